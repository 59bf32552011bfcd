/* Candidates and candidate pairs of the ICE agent (RFC 8445 5.1.2, 6.1.2).
 *
 * A pair is known by the local socket and the remote address: two local candidates on one socket
 * cannot be told apart by the peer (RFC 8445 6.1.2.4 prunes them). The peer-reflexive local
 * candidate of RFC 8445 7.2.5.3.1 is not kept as a candidate of its own: data leaves from its base.
 * Invariant: pair->local and pair->remote of a pair that is not free name used places. */
#include "ice_pairs.h"

#include "errors.h"

/* The only place where the state of a pair changes (RFC 8445 6.1.2.6, 7.2.5, 7.3.1.4). */
static const struct {
    uint8_t state, event, next;
} transitions[] = {
    {LINNET_PAIR_FREE, LINNET_PAIR_MADE, LINNET_PAIR_WAITING},
    {LINNET_PAIR_WAITING, LINNET_PAIR_CHECK_SENT, LINNET_PAIR_IN_PROGRESS},
    {LINNET_PAIR_WAITING, LINNET_PAIR_REQUESTED, LINNET_PAIR_WAITING},
    {LINNET_PAIR_WAITING, LINNET_PAIR_ANSWERED, LINNET_PAIR_SUCCEEDED}, /* as lite */
    {LINNET_PAIR_WAITING, LINNET_PAIR_DROPPED, LINNET_PAIR_FREE},
    {LINNET_PAIR_IN_PROGRESS, LINNET_PAIR_CHECK_SENT, LINNET_PAIR_IN_PROGRESS},
    {LINNET_PAIR_IN_PROGRESS, LINNET_PAIR_REQUESTED, LINNET_PAIR_IN_PROGRESS},
    {LINNET_PAIR_IN_PROGRESS, LINNET_PAIR_ANSWERED, LINNET_PAIR_SUCCEEDED},
    {LINNET_PAIR_IN_PROGRESS, LINNET_PAIR_REFUSED, LINNET_PAIR_FAILED},
    {LINNET_PAIR_IN_PROGRESS, LINNET_PAIR_EXHAUSTED, LINNET_PAIR_FAILED},
    {LINNET_PAIR_IN_PROGRESS, LINNET_PAIR_CONFLICT, LINNET_PAIR_WAITING},
    {LINNET_PAIR_IN_PROGRESS, LINNET_PAIR_DROPPED, LINNET_PAIR_FREE},
    {LINNET_PAIR_SUCCEEDED, LINNET_PAIR_CHECK_SENT, LINNET_PAIR_SUCCEEDED},
    {LINNET_PAIR_SUCCEEDED, LINNET_PAIR_REQUESTED, LINNET_PAIR_SUCCEEDED},
    {LINNET_PAIR_SUCCEEDED, LINNET_PAIR_ANSWERED, LINNET_PAIR_SUCCEEDED},
    {LINNET_PAIR_SUCCEEDED, LINNET_PAIR_EXHAUSTED, LINNET_PAIR_FAILED}, /* a nomination */
    {LINNET_PAIR_SUCCEEDED, LINNET_PAIR_CONSENT_LOST, LINNET_PAIR_FAILED},
    {LINNET_PAIR_SUCCEEDED, LINNET_PAIR_DROPPED, LINNET_PAIR_FREE},
    {LINNET_PAIR_FAILED, LINNET_PAIR_REQUESTED, LINNET_PAIR_WAITING},
    {LINNET_PAIR_FAILED, LINNET_PAIR_DROPPED, LINNET_PAIR_FREE},
};

int linnet_ice_pair_event(linnet_ice_pair_t *pair, int event) {
    size_t i;
    for (i = 0; i < sizeof transitions / sizeof transitions[0]; i++) {
        if (transitions[i].state == pair->state && transitions[i].event == event) {
            pair->state = transitions[i].next;
            return 0;
        }
    }
    return LINNET_ERR_STATE;
}

/* --- candidates --- */

int linnet_ice_find_local(const linnet_ice_t *ice, uint8_t socket, uint8_t family) {
    int i;
    for (i = 0; i < LINNET_ICE_LOCAL_CANDIDATES; i++) {
        const linnet_addr_t *addr = &ice->local[i].addr;
        if (addr->family != LINNET_FAMILY_NONE && addr->family == family && addr->socket == socket)
            return i;
    }
    return -1;
}

int linnet_ice_find_remote(const linnet_ice_t *ice, const linnet_addr_t *addr) {
    int i;
    for (i = 0; i < LINNET_ICE_REMOTE_CANDIDATES; i++) {
        const linnet_addr_t *known = &ice->remote[i].addr;
        if (known->family != LINNET_FAMILY_NONE && linnet_addr_equal(known, addr)) return i;
    }
    return -1;
}

/* A place where one peer can be: no port 0, no unspecified, multicast or broadcast address, so that
 * nobody makes us knock on many doors at once. */
int linnet_ice_address_is_usable(const linnet_addr_t *addr) {
    static const uint8_t zero[16], ones[4] = {255, 255, 255, 255};
    if (addr->port == 0) return 0;
    if (addr->family == LINNET_FAMILY_IPV4)
        return addr->ip[0] != 0 && (addr->ip[0] & 0xF0) != 0xE0 && memcmp(addr->ip, ones, 4) != 0 &&
               memcmp(addr->ip + 4, zero, 12) == 0;
    if (addr->family == LINNET_FAMILY_IPV6)
        return addr->ip[0] != 0xFF && memcmp(addr->ip, zero, 16) != 0;
    return 0;
}

uint32_t linnet_ice_type_priority(uint8_t type, int local_index) {
    static const uint8_t preference[] = {126, 100, 110, 0}; /* host, srflx, prflx, relay */
    uint32_t local_preference = 65535u - (uint32_t)local_index;
    return (uint32_t)preference[type] << 24 | local_preference << 8 | 255u;
}

static int remote_is_valid(const linnet_ice_t *ice, int remote) {
    int i;
    for (i = 0; i < ice->pairs_n; i++) {
        const linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->state == LINNET_PAIR_SUCCEEDED && pair->remote == remote) return 1;
    }
    return 0;
}

static int place_for_remote(linnet_ice_t *ice) {
    int i, worst = -1;
    for (i = 0; i < LINNET_ICE_REMOTE_CANDIDATES; i++) {
        const linnet_ice_candidate_t *c = &ice->remote[i];
        if (c->addr.family == LINNET_FAMILY_NONE) return i;
        if (c->type != LINNET_ICE_PRFLX || remote_is_valid(ice, i)) continue;
        if (worst < 0 || c->priority < ice->remote[worst].priority) worst = i;
    }
    ice->counters.drop_remote++; /* either the newcomer or the one it replaces */
    if (worst < 0) return -1;
    for (i = 0; i < ice->pairs_n; i++) {
        if (ice->pairs[i].state != LINNET_PAIR_FREE && ice->pairs[i].remote == worst)
            linnet_ice_drop_pair(ice, &ice->pairs[i]);
    }
    return worst;
}

int linnet_ice_learn_remote(linnet_ice_t *ice, const linnet_addr_t *addr, uint32_t priority,
                            uint8_t type) {
    int at = linnet_ice_find_remote(ice, addr);
    if (at >= 0 && (type == LINNET_ICE_PRFLX || ice->remote[at].type != LINNET_ICE_PRFLX))
        return at;
    if (at < 0) at = place_for_remote(ice);
    if (at < 0) return -1;
    /* RFC 8838 11.4: a signalled candidate says what the peer-reflexive one with its address is. */
    ice->remote[at].addr = *addr;
    ice->remote[at].priority = priority;
    ice->remote[at].type = type;
    return at;
}

/* --- pairs --- */

uint64_t linnet_ice_pair_priority(const linnet_ice_t *ice, const linnet_ice_pair_t *pair) {
    uint64_t l = ice->local[pair->local].priority, r = ice->remote[pair->remote].priority;
    uint64_t g = ice->controlling ? l : r, d = ice->controlling ? r : l;
    return (g < d ? g : d) << 32 | ((g > d ? g : d) << 1) | (g > d); /* RFC 8445 6.1.2.3 */
}

int linnet_ice_pair_rank(const linnet_ice_t *ice, const linnet_ice_pair_t *pair) {
    static const uint8_t rank[] = {3, 2, 2, 1}; /* host, srflx, prflx, relay */
    return rank[ice->remote[pair->remote].type];
}

linnet_ice_pair_t *linnet_ice_find_pair(linnet_ice_t *ice, uint8_t socket, int remote) {
    int i;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->state != LINNET_PAIR_FREE && pair->remote == remote &&
            ice->local[pair->local].addr.socket == socket)
            return pair;
    }
    return NULL;
}

static uint64_t worth(const linnet_ice_t *ice, const linnet_ice_pair_t *pair) {
    return pair->state == LINNET_PAIR_FAILED ? 0 : linnet_ice_pair_priority(ice, pair);
}

/* A free place, or that of the worst pair that is of no use any more or yet. */
static linnet_ice_pair_t *place_for_pair(linnet_ice_t *ice, uint64_t priority) {
    linnet_ice_pair_t *worst = NULL;
    int i;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->state == LINNET_PAIR_FREE) return pair;
        if (pair->state == LINNET_PAIR_SUCCEEDED || pair->triggered) continue;
        if (worst == NULL || worth(ice, pair) < worth(ice, worst)) worst = pair;
    }
    if (ice->pairs_n < LINNET_ICE_PAIRS) return &ice->pairs[ice->pairs_n++];
    ice->counters.drop_pair++; /* either the newcomer or the one it replaces */
    if (worst == NULL) return NULL;
    if (worth(ice, worst) >= priority) return NULL;
    linnet_ice_drop_pair(ice, worst);
    return worst;
}

linnet_ice_pair_t *linnet_ice_make_pair(linnet_ice_t *ice, int local, int remote) {
    linnet_ice_pair_t made, *place;
    memset(&made, 0, sizeof made);
    made.local = (uint8_t)local;
    made.remote = (uint8_t)remote;
    place = place_for_pair(ice, linnet_ice_pair_priority(ice, &made));
    if (place == NULL) return NULL;
    *place = made;
    (void)linnet_ice_pair_event(place, LINNET_PAIR_MADE);
    ice->has_pair = 1;
    return place;
}

/* RFC 8445 6.1.2.2: same family; RFC 8838 11: as candidates come. Once a pair is nominated the
 * checks are over (RFC 8445 8.1.2) and candidates that come late are only remembered. */
void linnet_ice_pair_up(linnet_ice_t *ice, int local, int remote) {
    const linnet_addr_t *l = &ice->local[local].addr, *r = &ice->remote[remote].addr;
    if (ice->nominated || ice->lite) return;
    if (l->family == LINNET_FAMILY_NONE || l->family != r->family) return;
    if (linnet_ice_find_pair(ice, l->socket, remote) == NULL)
        (void)linnet_ice_make_pair(ice, local, remote);
}

void linnet_ice_drop_pair(linnet_ice_t *ice, linnet_ice_pair_t *pair) {
    if (ice->nominated && &ice->pairs[ice->nominated - 1] == pair) ice->nominated = 0;
    (void)linnet_ice_pair_event(pair, LINNET_PAIR_DROPPED);
    memset(pair, 0, sizeof *pair);
}

void linnet_ice_drop_unfinished(linnet_ice_t *ice, const linnet_ice_pair_t *except) {
    int i;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair == except || pair->state == LINNET_PAIR_SUCCEEDED) continue;
        if (pair->flags & LINNET_PAIR_NOMINATE) continue; /* the peer may still move there */
        if (pair->state != LINNET_PAIR_FREE) linnet_ice_drop_pair(ice, pair);
    }
    while (ice->pairs_n && ice->pairs[ice->pairs_n - 1].state == LINNET_PAIR_FREE) ice->pairs_n--;
}

void linnet_ice_trigger(linnet_ice_t *ice, linnet_ice_pair_t *pair) {
    if (pair->triggered) return;
    if (++ice->last_triggered == 0) ice->last_triggered = 1;
    pair->triggered = ice->last_triggered;
}

int linnet_ice_current(const linnet_ice_t *ice) {
    int i, best = -1;
    if (ice->nominated) return ice->nominated - 1;
    for (i = 0; i < ice->pairs_n; i++) {
        const linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->state != LINNET_PAIR_SUCCEEDED) continue;
        if (best < 0 ||
            linnet_ice_pair_priority(ice, pair) > linnet_ice_pair_priority(ice, &ice->pairs[best]))
            best = i;
    }
    return best;
}
