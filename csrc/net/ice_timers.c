/* Roles, nomination and timers of the ICE agent (RFC 8445 7.3.1.1, 8.1; RFC 7675).
 *
 * Choices where the RFCs leave room:
 * - A controlling agent nominates the first valid pair at once if the peer's side of it is a host
 *   candidate; otherwise it waits 50 ms for a better type, while data flows on what is valid.
 * - Selected pair silent for 10 s while the peer proves itself on another: follow it there. */
#include "errors.h"
#include "ice_pairs.h"

/* --- roles and transactions --- */

void linnet_ice_make_tie_breaker(linnet_ice_t *ice, linnet_rng_t *rng) {
    uint64_t high = linnet_random_u32(rng);
    ice->tie_breaker = high << 32 | linnet_random_u32(rng);
}

void linnet_ice_stop_transaction(linnet_ice_pair_t *pair) {
    pair->purpose = LINNET_PURPOSE_NONE;
    pair->sends = 0;
}

/* What runs with the old role is asked again with the new one (RFC 8445 7.3.1.1). */
void linnet_ice_switch_role(linnet_ice_t *ice, int controlling) {
    int i;
    if (ice->controlling == (controlling != 0)) return;
    ice->controlling = controlling != 0;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (linnet_ice_pair_event(pair, LINNET_PAIR_CONFLICT) == 0) {
            linnet_ice_stop_transaction(pair);
            linnet_ice_trigger(ice, pair);
        } else if (pair->purpose == LINNET_PURPOSE_NOMINATION) {
            linnet_ice_stop_transaction(pair);
        } else if (pair->purpose == LINNET_PURPOSE_CONSENT && pair->sends) {
            pair->sends = 0;
            pair->next_us = 0;
        }
    }
}

void linnet_ice_forget_old(linnet_ice_t *ice) {
    linnet_wipe(&ice->old, sizeof ice->old);
    memset(&ice->old_pair, 0, sizeof ice->old_pair);
}

void linnet_ice_became_valid(linnet_ice_t *ice, uint64_t now_us) {
    if (ice->has_valid) return;
    ice->has_valid = 1;
    ice->valid_us = now_us;
}

/* --- nomination --- */

uint64_t linnet_ice_consent_time(linnet_rng_t *rng, uint64_t now_us) {
    return now_us + LINNET_ICE_CONSENT_MIN_US +
           linnet_random_u32(rng) % (LINNET_ICE_CONSENT_SPREAD_US + 1);
}

_Static_assert(LINNET_ICE_PAIRS <= UINT8_MAX, "nominated is an index plus 1 in 8 bits");

void linnet_ice_set_nominated(linnet_ice_t *ice, linnet_ice_pair_t *pair, uint64_t now_us) {
    ice->nominated = (uint8_t)(pair - ice->pairs + 1);
    pair->flags &= (uint8_t)~LINNET_PAIR_NOMINATE;
    linnet_ice_drop_unfinished(ice, pair); /* RFC 8445 8.1.2 */
    if (ice->old_pair.state != LINNET_PAIR_FREE && ice->old_pair.purpose != LINNET_PURPOSE_NONE) {
        linnet_ice_stop_transaction(&ice->old_pair);
        ice->old_pair.next_us = now_us + LINNET_ICE_DRAIN_US;
    }
}

/* Controlled: the peer wants this valid pair. One that nominates every pair it checks (RFC 5245)
 * ends on the best; one that nominates once (RFC 8445) and later another one means the later. */
void linnet_ice_consider_nomination(linnet_ice_t *ice, linnet_ice_pair_t *pair, uint64_t now_us) {
    const linnet_ice_pair_t *held = ice->nominated ? &ice->pairs[ice->nominated - 1] : NULL;
    pair->flags &= (uint8_t)~LINNET_PAIR_NOMINATE;
    if (held == pair || ice->controlling) return;
    if (held == NULL || !(held->flags & LINNET_PAIR_PEER_NOMINATES) ||
        now_us - held->heard_us >= LINNET_ICE_ELSEWHERE_US ||
        linnet_ice_pair_priority(ice, pair) > linnet_ice_pair_priority(ice, held))
        linnet_ice_set_nominated(ice, pair, now_us);
}

static void start_nomination(linnet_ice_pair_t *pair, uint64_t now_us) {
    pair->purpose = LINNET_PURPOSE_NOMINATION;
    pair->sends = 0;
    pair->next_us = now_us;
}

int linnet_ice_is_nominating(const linnet_ice_t *ice) {
    int i;
    for (i = 0; i < ice->pairs_n; i++) {
        if (ice->pairs[i].purpose == LINNET_PURPOSE_NOMINATION) return 1;
    }
    return 0;
}

/* Controlling: RFC 8445 8.1.1. */
static void choose(linnet_ice_t *ice, uint64_t now_us) {
    int i, current = linnet_ice_current(ice), best = current, rank, hope = 0;
    if (!ice->controlling || ice->nominated || current < 0 || linnet_ice_is_nominating(ice)) return;
    rank = linnet_ice_pair_rank(ice, &ice->pairs[current]);
    for (i = 0; i < ice->pairs_n; i++) {
        const linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->state == LINNET_PAIR_FREE || pair->state == LINNET_PAIR_FAILED) continue;
        if (linnet_ice_pair_rank(ice, pair) <= rank) continue;
        if (pair->state != LINNET_PAIR_SUCCEEDED) {
            hope = 1;
            continue;
        }
        best = i;
        rank = linnet_ice_pair_rank(ice, pair);
    }
    if (hope && rank < 3 && now_us - ice->valid_us < LINNET_ICE_BETTER_TYPE_US) return;
    start_nomination(&ice->pairs[best], now_us);
}

/* The selected pair is silent while the peer lives on another: its address has changed. */
static void follow(linnet_ice_t *ice, uint64_t now_us) {
    linnet_ice_pair_t *held;
    int i;
    if (!ice->nominated || linnet_ice_is_nominating(ice)) return;
    held = &ice->pairs[ice->nominated - 1];
    if (now_us - held->heard_us < LINNET_ICE_DOUBT_US) return;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair == held || pair->state != LINNET_PAIR_SUCCEEDED) continue;
        if (now_us - pair->heard_us >= LINNET_ICE_ELSEWHERE_US) continue;
        if (ice->controlling) {
            start_nomination(pair, now_us);
        } else {
            linnet_ice_set_nominated(ice, pair, now_us);
        }
        return;
    }
}

/* --- timers --- */

static void expire_pair(linnet_ice_t *ice, linnet_ice_pair_t *pair, uint64_t now_us) {
    int event = 0;
    if (pair->state == LINNET_PAIR_SUCCEEDED && now_us - pair->consent_us >= LINNET_ICE_CONSENT_US)
        event = LINNET_PAIR_CONSENT_LOST;
    else if (pair->sends >= LINNET_ICE_CHECK_SENDS && pair->next_us <= now_us)
        event = LINNET_PAIR_EXHAUSTED;
    if (!event || linnet_ice_pair_event(pair, event) != 0) return;
    linnet_ice_stop_transaction(pair);
    pair->triggered = 0;
    pair->flags &= (uint8_t)~LINNET_PAIR_NOMINATE;
    if (ice->nominated && &ice->pairs[ice->nominated - 1] == pair) ice->nominated = 0;
}

static void expire_old(linnet_ice_t *ice, uint64_t now_us) {
    const linnet_ice_pair_t *pair = &ice->old_pair;
    if (pair->state == LINNET_PAIR_FREE) return;
    if (now_us - pair->consent_us >= LINNET_ICE_CONSENT_US ||
        (pair->purpose == LINNET_PURPOSE_NONE && pair->next_us <= now_us))
        linnet_ice_forget_old(ice);
}

/* Consent checks run on the selected pair of this generation and nowhere else. */
static void schedule_consent(linnet_ice_t *ice, linnet_rng_t *rng) {
    int i, current = ice->lite ? -1 : linnet_ice_current(ice);
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (i == current && pair->purpose == LINNET_PURPOSE_NONE) {
            pair->purpose = LINNET_PURPOSE_CONSENT;
            pair->sends = 0;
            pair->next_us = linnet_ice_consent_time(rng, pair->consent_us);
        } else if (i != current && pair->purpose == LINNET_PURPOSE_CONSENT) {
            linnet_ice_stop_transaction(pair);
        }
    }
}

static int has_failed(const linnet_ice_t *ice, uint64_t now_us) {
    int out_of_patience = ice->has_started && now_us - ice->started_us >= LINNET_ICE_PATIENCE_US;
    int i;
    if (!ice->now.remote_ufrag_len) return 0;
    if (ice->lite || !ice->has_pair) return out_of_patience;
    for (i = 0; i < ice->pairs_n; i++) {
        uint8_t state = ice->pairs[i].state;
        if (state == LINNET_PAIR_WAITING || state == LINNET_PAIR_IN_PROGRESS) return 0;
    }
    return 1;
}

static int derive_state(const linnet_ice_t *ice, uint64_t now_us) {
    int current = linnet_ice_current(ice);
    if (current >= 0) {
        if (now_us - ice->pairs[current].heard_us >= LINNET_ICE_DOUBT_US)
            return LINNET_ICE_DISCONNECTED;
        return ice->nominated ? LINNET_ICE_COMPLETED : LINNET_ICE_CONNECTED;
    }
    if (has_failed(ice, now_us)) return LINNET_ICE_FAILED;
    if (ice->old_pair.state != LINNET_PAIR_FREE) return LINNET_ICE_CHECKING;
    return ice->now.remote_ufrag_len && ice->has_pair ? LINNET_ICE_CHECKING : LINNET_ICE_NEW;
}

void linnet_ice_advance(linnet_ice_t *ice, linnet_rng_t *rng, uint64_t now_us) {
    int i;
    if (!ice->has_started && ice->now.remote_ufrag_len) {
        ice->has_started = 1;
        ice->started_us = now_us;
    }
    for (i = 0; i < ice->pairs_n; i++) expire_pair(ice, &ice->pairs[i], now_us);
    expire_old(ice, now_us);
    if (!ice->lite) {
        follow(ice, now_us);
        choose(ice, now_us);
    }
    schedule_consent(ice, rng);
    ice->state = (uint8_t)derive_state(ice, now_us);
}
