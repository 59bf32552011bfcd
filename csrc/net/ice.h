/* An ICE agent (RFC 8445) with trickled candidates (RFC 8838) and consent freshness (RFC 7675), for
 * one component (RTP and RTCP share a port). Controlling or controlled, full or lite; peers full or
 * lite.
 *
 * Not implemented, deliberately: gathering from STUN servers and TURN (the peer learns our mapped
 * address from our checks), TCP candidates, the Frozen state (with one component it would only
 * order the first checks), 400 and 401 answers (a sender without our password gets silence), lite
 * with lite. Invariants: nothing changes state before MESSAGE-INTEGRITY was verified; at most one
 * answer per authenticated request; every table is bounded, every refusal counted; no pointers. */
#ifndef LINNET_ICE_H
#define LINNET_ICE_H

#include "linnet_config.h"
#include "stun.h"

enum {
    LINNET_ICE_UFRAG_LEN = 8,  /* ours: 48 bits of randomness; RFC 8445 5.3 asks for 24 */
    LINNET_ICE_PWD_LEN = 24,   /* ours: 144 bits; RFC 8445 5.3 asks for 128 */
    LINNET_ICE_UFRAG_MAX = 64, /* the peer's; RFC 8445 allows 256, pion sends 16, libwebrtc 4 */
    LINNET_ICE_ANSWERS = 4     /* answers waiting for linnet_ice_poll x 48 B */
};

typedef struct {
    linnet_addr_t addr;
    uint32_t priority;
    uint8_t type; /* LINNET_ICE_HOST ...; addr.family 0 = free place */
} linnet_ice_candidate_t;

/* A candidate pair and the one transaction that can run on it (RFC 8445 6.1.2). 64 bytes. */
typedef struct {
    uint64_t sent_us;    /* latest transmission of the current transaction */
    uint64_t next_us;    /* its retransmission, or the next consent check */
    uint64_t consent_us; /* latest authenticated success response */
    uint64_t heard_us;   /* latest authenticated message of any kind, if any */
    uint8_t transaction[12];
    uint32_t rtt_us;
    uint32_t triggered; /* place in the triggered-check queue, 0 = not in it */
    uint8_t local;      /* index of the local candidate */
    uint8_t remote;
    uint8_t state;
    uint8_t flags;
    uint8_t purpose; /* of the current transaction: check, nomination, consent */
    uint8_t sends;   /* transmissions of it */
} linnet_ice_pair_t;

/* What belongs to one pair of credentials (RFC 8445 9: a restart makes new ones). */
typedef struct {
    linnet_hmac_sha1_t local_key;  /* from our password: verifies requests, signs answers */
    linnet_hmac_sha1_t remote_key; /* from the peer's: signs requests, verifies answers */
    char ufrag[LINNET_ICE_UFRAG_LEN + 1];
    char remote_ufrag[LINNET_ICE_UFRAG_MAX];
    uint8_t remote_ufrag_len; /* 0 = not known yet */
} linnet_ice_generation_t;

typedef struct {
    linnet_addr_t to;
    uint8_t transaction[12];
    uint16_t error_code; /* 0 = success */
    uint8_t old;         /* signed with the key of the generation before the restart */
    uint8_t n_unknown;
    uint16_t unknown[LINNET_STUN_UNKNOWN_MAX];
} linnet_ice_answer_t;

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */
enum {
    LINNET_ICE_NEW,       /* no remote credentials or no remote candidate yet */
    LINNET_ICE_CHECKING,  /* also in a restart, while data still flows: see linnet_ice_selected */
    LINNET_ICE_CONNECTED, /* a valid pair: data may flow */
    LINNET_ICE_COMPLETED, /* a nominated pair */
    LINNET_ICE_DISCONNECTED, /* nothing heard for 10 s; still sending, data and consent checks */
    LINNET_ICE_FAILED,       /* consent expired (30 s), or every check failed: restart */
    LINNET_ICE_CLOSED
};

enum { LINNET_ICE_HOST, LINNET_ICE_SRFLX, LINNET_ICE_PRFLX, LINNET_ICE_RELAY };

typedef struct {
    uint8_t controlling;
    uint8_t lite;   /* ourselves: only answer (RFC 8445 2.5); the peer must be full */
    uint32_t ta_us; /* pacing between checks, 0 = 5 ms; the first check never waits */
} linnet_ice_config_t;

struct linnet_ice_counters {
    uint32_t requests;        /* authenticated */
    uint32_t responses;       /* authenticated, success and error */
    uint32_t indications;     /* ignored: they carry no credentials */
    uint32_t checks_sent;     /* connectivity checks and nominations, retransmissions included */
    uint32_t retransmissions; /* of those */
    uint32_t consents_sent;   /* RFC 7675 checks */
    uint32_t answers_sent;
    uint32_t role_conflicts;   /* 487 given or taken */
    uint32_t restarts;         /* of either side */
    uint32_t drop_malformed;   /* does not parse, or lacks what such a message must have */
    uint32_t drop_username;    /* request for another ufrag */
    uint32_t drop_integrity;   /* MESSAGE-INTEGRITY missing or wrong */
    uint32_t drop_transaction; /* response to nothing we asked */
    uint32_t drop_asymmetric;  /* response from elsewhere than asked (RFC 8445 7.2.5.2.1) */
    uint32_t drop_unknown;     /* unknown comprehension-required attribute; a request got a 420 */
    uint32_t drop_socket;      /* came in on a socket without local candidate */
    uint32_t drop_answer;      /* more requests between two polls than LINNET_ICE_ANSWERS */
    uint32_t drop_remote; /* remote candidate beyond LINNET_ICE_REMOTE_CANDIDATES, or unusable */
    uint32_t drop_pair;   /* pair beyond LINNET_ICE_PAIRS */
};
/* [ffi-end] */

typedef struct linnet_ice {
    linnet_ice_generation_t now;
    linnet_ice_generation_t old; /* alive while old_pair.state is not free */
    char pwd[LINNET_ICE_PWD_LEN + 1];
    linnet_ice_candidate_t local[LINNET_ICE_LOCAL_CANDIDATES];
    linnet_ice_candidate_t remote[LINNET_ICE_REMOTE_CANDIDATES];
    linnet_ice_pair_t pairs[LINNET_ICE_PAIRS];
    linnet_ice_pair_t old_pair; /* carries data until a pair of the new generation is nominated */
    linnet_addr_t old_remote;
    linnet_addr_t reflexive; /* our address as the peer last saw it */
    linnet_ice_answer_t answers[LINNET_ICE_ANSWERS];
    struct linnet_ice_counters counters;
    uint64_t tie_breaker;
    uint64_t next_check_us;  /* pacing */
    uint64_t started_us;     /* when checking began */
    uint64_t valid_us;       /* when the first pair of this generation became valid */
    uint32_t last_triggered; /* ticket of the triggered-check queue */
    uint32_t ta_us;
    uint8_t controlling;
    uint8_t lite;
    uint8_t peer_is_lite;
    uint8_t has_role; /* settled with the first remote credentials, conflicts excepted */
    uint8_t state;
    uint16_t pairs_n;  /* places of pairs used so far; those behind are free and need no look */
    uint8_t nominated; /* index of the nominated pair + 1, 0 = none */
    uint8_t n_answers;
    uint8_t has_started; /* of this generation: started_us counts */
    uint8_t has_pair;    /* there was a pair */
    uint8_t has_valid;   /* there was a valid one: valid_us counts */
} linnet_ice_t;

/* [ffi-begin]  plain declarations only */
/* Makes ufrag, password and tie-breaker. */
void linnet_ice_init(linnet_ice_t *ice, const linnet_ice_config_t *config, linnet_rng_t *rng);
const char *linnet_ice_ufrag(const linnet_ice_t *ice);
const char *linnet_ice_pwd(const linnet_ice_t *ice);

/* A host candidate. Its index, LINNET_ERR_LIMIT when the table is full, LINNET_ERR_ARG for an
 * unusable address. Local preference falls with the index: add the best interface first. */
int linnet_ice_add_local(linnet_ice_t *ice, const linnet_addr_t *base);
/* For the candidate line of SDP; 0 when there is no such candidate. */
uint32_t linnet_ice_local_priority(const linnet_ice_t *ice, int index);
/* Forgets a socket that is gone, with all its pairs; follow with linnet_ice_restart. */
void linnet_ice_remove_local(linnet_ice_t *ice, uint8_t socket);

/* The peer's credentials; call it before the candidates that belong to them. Same as before: only
 * peer_is_lite counts. Others than before: the peer restarted; its candidates are forgotten, the
 * selected pair goes on carrying data. To answer such an offer call linnet_ice_restart first
 * (RFC 8445 9). 0, LINNET_ERR_ARG, or LINNET_ERR_LIMIT for a ufrag over LINNET_ICE_UFRAG_MAX. */
int linnet_ice_set_remote(linnet_ice_t *ice, const char *ufrag, size_t ufrag_len, const char *pwd,
                          size_t pwd_len, int peer_is_lite);
/* 0 = taken or known; LINNET_ERR_PACKET: unusable address or type; LINNET_ERR_LIMIT: table full. */
int linnet_ice_add_remote(linnet_ice_t *ice, const linnet_addr_t *addr, uint32_t priority,
                          uint8_t type);
/* Counts only before the first linnet_ice_set_remote: later, in restarts too, the role stays what
 * the peers settled (RFC 8445 6.1.1, 9). No effect if either side is lite: that decides. Gives 0. */
int linnet_ice_set_controlling(linnet_ice_t *ice, int controlling);
/* New ufrag and password; the selected pair goes on carrying data until a new one is nominated. */
void linnet_ice_restart(linnet_ice_t *ice, linnet_rng_t *rng);
void linnet_ice_close(linnet_ice_t *ice); /* wipes the keys; state CLOSED, no more output */

/* One STUN datagram; from->socket = the socket it came in on. 0, or LINNET_ERR_PACKET, _AUTH,
 * _CLOSED; every drop is counted. */
int linnet_ice_input(linnet_ice_t *ice, linnet_rng_t *rng, uint64_t now_us,
                     const linnet_addr_t *from, const uint8_t *data, size_t len);
/* Length of one datagram to send to `to` (out of to->socket), 0 = none. Advances the timers.
 * LINNET_ERR_SPACE if cap < 256. */
int linnet_ice_poll(linnet_ice_t *ice, linnet_rng_t *rng, uint64_t now_us, linnet_addr_t *to,
                    uint8_t *buf, size_t cap);
/* May lie in the past: poll now. UINT64_MAX: never. */
uint64_t linnet_ice_deadline(const linnet_ice_t *ice);
int linnet_ice_state(const linnet_ice_t *ice);

/* The pair that data goes out on: the nominated one; in a restart the old one until then; else the
 * best valid one. 1 with remote->socket = the local socket, or 0. */
int linnet_ice_selected(const linnet_ice_t *ice, linnet_addr_t *remote);
/* May DTLS and SRTP look at a datagram from there? 1 = a valid pair; 2 = the peer proved itself
 * from there with an authenticated request and our own check is still on its way (so that its
 * first flight is not lost); 0 = no. */
int linnet_ice_accepts(const linnet_ice_t *ice, const linnet_addr_t *from);
int linnet_ice_can_send(const linnet_ice_t *ice);    /* a pair is selected and consent is fresh */
uint32_t linnet_ice_rtt_us(const linnet_ice_t *ice); /* of the selected pair, 0 = not known */
/* Our address as the peer sees it: 1, or 0 when not known. */
int linnet_ice_reflexive(const linnet_ice_t *ice, linnet_addr_t *addr);
/* [ffi-end] */

#endif
