/* Inside of the ICE agent, shared by the four ice*.c files. Nothing else includes it. */
#ifndef LINNET_ICE_PAIRS_H
#define LINNET_ICE_PAIRS_H

#include "ice.h"

enum { /* linnet_ice_pair_t.state, RFC 8445 6.1.2.6 without Frozen */
       LINNET_PAIR_FREE,
       LINNET_PAIR_WAITING,
       LINNET_PAIR_IN_PROGRESS,
       LINNET_PAIR_SUCCEEDED,
       LINNET_PAIR_FAILED
};

enum { /* what can happen to a pair; the table in ice_pairs.c says what follows */
       LINNET_PAIR_MADE,
       LINNET_PAIR_CHECK_SENT,
       LINNET_PAIR_ANSWERED,     /* success response, authenticated and symmetric */
       LINNET_PAIR_REFUSED,      /* error response, or one from elsewhere */
       LINNET_PAIR_EXHAUSTED,    /* no response to any transmission */
       LINNET_PAIR_REQUESTED,    /* the peer checks this pair: triggered check */
       LINNET_PAIR_CONFLICT,     /* 487, or our role changed: check again */
       LINNET_PAIR_CONSENT_LOST, /* RFC 7675 5.1 */
       LINNET_PAIR_DROPPED
};

enum {                                 /* linnet_ice_pair_t.flags */
       LINNET_PAIR_HEARD = 1,          /* the peer sent an authenticated message from there */
       LINNET_PAIR_PEER_NOMINATES = 2, /* its latest request carried USE-CANDIDATE */
       LINNET_PAIR_NOMINATE = 4,       /* controlled: nominated as soon as our own check succeeds */
       LINNET_PAIR_SENT_CONTROLLING = 8 /* the role in the current transaction */
};

enum { /* linnet_ice_pair_t.purpose */
       LINNET_PURPOSE_NONE,
       LINNET_PURPOSE_CHECK,
       LINNET_PURPOSE_NOMINATION,
       LINNET_PURPOSE_CONSENT
};

enum {
    LINNET_ICE_TA_US = 5000,    /* RFC 8445 14.2 allows no less */
    LINNET_ICE_RTO_US = 250000, /* doubles up to RTO_MAX */
    LINNET_ICE_RTO_MAX_US = 1000000,
    LINNET_ICE_CHECK_SENDS = 16,       /* 15.75 s until a pair has failed, as the server tries */
    LINNET_ICE_TRIGGER_GAP_US = 50000, /* least distance of a repetition that a request triggers */
    LINNET_ICE_BETTER_TYPE_US = 50000, /* how long a valid pair waits for one of a better type */
    LINNET_ICE_PATIENCE_US = 30000000, /* without any pair, or as lite: then FAILED */
    LINNET_ICE_CONSENT_US = 30000000,  /* RFC 7675 5.1: expiry */
    LINNET_ICE_DOUBT_US = 10000000,    /* silence after which consent is in doubt */
    LINNET_ICE_CONSENT_MIN_US = 4000000, /* between consent checks: 4 to 5 s, evenly spread */
    LINNET_ICE_CONSENT_SPREAD_US = 1000000,
    LINNET_ICE_CONSENT_REPEAT_US = 1000000,
    LINNET_ICE_CONSENT_SENDS = 5,      /* transmissions of one consent check, then a new one */
    LINNET_ICE_ELSEWHERE_US = 5000000, /* heard from another pair within this time */
    LINNET_ICE_MESSAGE_MAX = 256,      /* largest message that we make */
    LINNET_ICE_DRAIN_US = 5000000      /* the pair before a restart goes on receiving */
};

/* Moves a pair by the table. 0, or LINNET_ERR_STATE when the table has no such row. */
int linnet_ice_pair_event(linnet_ice_pair_t *pair, int event);

int linnet_ice_find_local(const linnet_ice_t *ice, uint8_t socket, uint8_t family); /* or -1 */
int linnet_ice_find_remote(const linnet_ice_t *ice, const linnet_addr_t *addr);     /* or -1 */
int linnet_ice_address_is_usable(const linnet_addr_t *addr);
uint32_t linnet_ice_type_priority(uint8_t type, int local_index); /* RFC 8445 5.1.2.1 */

/* Known or new; when the table is full it takes the place of the worst peer-reflexive candidate
 * that carries no valid pair. Index, or -1 (counted). */
int linnet_ice_learn_remote(linnet_ice_t *ice, const linnet_addr_t *addr, uint32_t priority,
                            uint8_t type);

linnet_ice_pair_t *linnet_ice_find_pair(linnet_ice_t *ice, uint8_t socket, int remote);
linnet_ice_pair_t *linnet_ice_make_pair(linnet_ice_t *ice, int local,
                                        int remote);               /* NULL: counted */
void linnet_ice_pair_up(linnet_ice_t *ice, int local, int remote); /* unless they cannot or are */
void linnet_ice_drop_pair(linnet_ice_t *ice, linnet_ice_pair_t *pair);
void linnet_ice_drop_unfinished(linnet_ice_t *ice, const linnet_ice_pair_t *except);
uint64_t linnet_ice_pair_priority(const linnet_ice_t *ice, const linnet_ice_pair_t *pair);
int linnet_ice_pair_rank(const linnet_ice_t *ice,
                         const linnet_ice_pair_t *pair); /* by remote type */
void linnet_ice_trigger(linnet_ice_t *ice, linnet_ice_pair_t *pair);

/* Index of the nominated, or else of the best valid pair of this generation, or -1. */
int linnet_ice_current(const linnet_ice_t *ice);

/* ice_timers.c */
void linnet_ice_make_tie_breaker(linnet_ice_t *ice, linnet_rng_t *rng);
void linnet_ice_stop_transaction(linnet_ice_pair_t *pair);
void linnet_ice_switch_role(linnet_ice_t *ice, int controlling);
void linnet_ice_forget_old(linnet_ice_t *ice);
void linnet_ice_became_valid(linnet_ice_t *ice, uint64_t now_us);
int linnet_ice_is_nominating(const linnet_ice_t *ice);
void linnet_ice_set_nominated(linnet_ice_t *ice, linnet_ice_pair_t *pair, uint64_t now_us);
void linnet_ice_consider_nomination(linnet_ice_t *ice, linnet_ice_pair_t *pair, uint64_t now_us);
uint64_t linnet_ice_consent_time(linnet_rng_t *rng, uint64_t now_us);
/* Everything that time alone changes, then the state. */
void linnet_ice_advance(linnet_ice_t *ice, linnet_rng_t *rng, uint64_t now_us);

#endif
