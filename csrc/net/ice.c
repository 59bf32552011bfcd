/* The ICE agent (RFC 8445): what the session calls: credentials, candidates, restart, questions.
 * Candidates and pairs: ice_pairs.c. Roles, nomination, timers: ice_timers.c. Datagrams:
 * ice_checks.c. What is left out and the invariants: ice.h. */
#include "ice.h"

#include "errors.h"
#include "ice_pairs.h"

/* --- credentials and roles --- */

static void make_text(linnet_rng_t *rng, char *text, size_t n) {
    static const char ice_char[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t random[LINNET_ICE_PWD_LEN];
    size_t i;
    linnet_random(rng, random, n);
    for (i = 0; i < n; i++) text[i] = ice_char[random[i] & 63];
    text[n] = 0;
    linnet_wipe(random, sizeof random);
}

static void make_credentials(linnet_ice_t *ice, linnet_rng_t *rng) {
    make_text(rng, ice->now.ufrag, LINNET_ICE_UFRAG_LEN);
    make_text(rng, ice->pwd, LINNET_ICE_PWD_LEN);
    linnet_hmac_sha1_init(&ice->now.local_key, (const uint8_t *)ice->pwd, LINNET_ICE_PWD_LEN);
}

void linnet_ice_init(linnet_ice_t *ice, const linnet_ice_config_t *config, linnet_rng_t *rng) {
    memset(ice, 0, sizeof *ice);
    ice->controlling = config->controlling && !config->lite;
    ice->lite = config->lite != 0;
    ice->ta_us = config->ta_us ? config->ta_us : LINNET_ICE_TA_US;
    make_credentials(ice, rng);
    linnet_ice_make_tie_breaker(ice, rng);
}

const char *linnet_ice_ufrag(const linnet_ice_t *ice) {
    return ice->now.ufrag;
}

const char *linnet_ice_pwd(const linnet_ice_t *ice) {
    return ice->pwd;
}

int linnet_ice_set_controlling(linnet_ice_t *ice, int controlling) {
    if (ice->has_role || ice->lite || ice->peer_is_lite) return 0;
    linnet_ice_switch_role(ice, controlling);
    return 0;
}

/* --- restart --- */

/* The selected pair and its keys step aside; everything else of this generation goes. */
static void begin_generation(linnet_ice_t *ice) {
    int i, current = linnet_ice_current(ice);
    if (current >= 0 && (ice->nominated || ice->old_pair.state == LINNET_PAIR_FREE)) {
        ice->old = ice->now;
        ice->old_pair = ice->pairs[current];
        ice->old_remote = ice->remote[ice->old_pair.remote].addr;
        ice->old_remote.socket = ice->local[ice->old_pair.local].addr.socket;
        ice->old_pair.triggered = 0;
        if (ice->old_pair.purpose != LINNET_PURPOSE_CONSENT) {
            linnet_ice_stop_transaction(&ice->old_pair);
            ice->old_pair.purpose = LINNET_PURPOSE_CONSENT;
            ice->old_pair.next_us = ice->old_pair.consent_us + LINNET_ICE_CONSENT_MIN_US;
        }
    }
    ice->nominated = 0;
    for (i = 0; i < ice->pairs_n; i++) {
        if (ice->pairs[i].state != LINNET_PAIR_FREE) linnet_ice_drop_pair(ice, &ice->pairs[i]);
    }
    ice->pairs_n = 0;
    memset(ice->remote, 0, sizeof ice->remote);
    linnet_wipe(&ice->now.remote_key, sizeof ice->now.remote_key);
    ice->now.remote_ufrag_len = 0;
    ice->has_started = ice->has_pair = ice->has_valid = 0;
    ice->next_check_us = 0;
    ice->counters.restarts++;
    ice->state = ice->old_pair.state != LINNET_PAIR_FREE ? LINNET_ICE_CHECKING : LINNET_ICE_NEW;
}

void linnet_ice_restart(linnet_ice_t *ice, linnet_rng_t *rng) {
    if (ice->state == LINNET_ICE_CLOSED) return;
    begin_generation(ice);
    make_credentials(ice, rng);
}

/* Contexts are opaque, so keys are compared by what they make of the same text. */
static int is_same_remote(const linnet_ice_generation_t *now, const char *ufrag, size_t ufrag_len,
                          const linnet_hmac_sha1_t *key) {
    uint8_t held[LINNET_SHA1_LEN], given[LINNET_SHA1_LEN];
    if (ufrag_len != now->remote_ufrag_len || memcmp(ufrag, now->remote_ufrag, ufrag_len) != 0)
        return 0;
    linnet_hmac_sha1_compute(&now->remote_key, (const uint8_t *)ufrag, ufrag_len, NULL, 0, held);
    linnet_hmac_sha1_compute(key, (const uint8_t *)ufrag, ufrag_len, NULL, 0, given);
    return linnet_equal_ct(held, given, sizeof held);
}

int linnet_ice_set_remote(linnet_ice_t *ice, const char *ufrag, size_t ufrag_len, const char *pwd,
                          size_t pwd_len, int peer_is_lite) {
    linnet_ice_generation_t *now = &ice->now;
    linnet_hmac_sha1_t key;
    if (ice->state == LINNET_ICE_CLOSED) return LINNET_ERR_CLOSED;
    if (ufrag_len == 0 || pwd_len == 0) return LINNET_ERR_ARG;
    if (ufrag_len > LINNET_ICE_UFRAG_MAX) return LINNET_ERR_LIMIT;
    linnet_hmac_sha1_init(&key, (const uint8_t *)pwd, pwd_len);
    ice->peer_is_lite = peer_is_lite != 0;
    if (peer_is_lite && !ice->lite) linnet_ice_switch_role(ice, 1); /* RFC 8445 6.1.1 */
    ice->has_role = 1;
    if (!is_same_remote(now, ufrag, ufrag_len, &key)) {
        if (now->remote_ufrag_len) begin_generation(ice);
        memcpy(now->remote_ufrag, ufrag, ufrag_len);
        now->remote_ufrag_len = (uint8_t)ufrag_len;
        now->remote_key = key;
    }
    linnet_wipe(&key, sizeof key);
    return 0;
}

void linnet_ice_close(linnet_ice_t *ice) {
    struct linnet_ice_counters counters = ice->counters;
    linnet_wipe(ice, sizeof *ice);
    ice->counters = counters;
    ice->state = LINNET_ICE_CLOSED;
}

/* --- candidates --- */

int linnet_ice_add_local(linnet_ice_t *ice, const linnet_addr_t *base) {
    int i, free = -1;
    if (ice->state == LINNET_ICE_CLOSED) return LINNET_ERR_CLOSED;
    if (!linnet_ice_address_is_usable(base)) return LINNET_ERR_ARG;
    for (i = LINNET_ICE_LOCAL_CANDIDATES - 1; i >= 0; i--) {
        const linnet_addr_t *known = &ice->local[i].addr;
        if (known->family == LINNET_FAMILY_NONE) free = i;
        if (linnet_addr_equal(known, base) && known->socket == base->socket) return i;
    }
    if (free < 0) return LINNET_ERR_LIMIT;
    ice->local[free].addr = *base;
    ice->local[free].type = LINNET_ICE_HOST;
    ice->local[free].priority = linnet_ice_type_priority(LINNET_ICE_HOST, free);
    for (i = 0; i < LINNET_ICE_REMOTE_CANDIDATES; i++) linnet_ice_pair_up(ice, free, i);
    return free;
}

uint32_t linnet_ice_local_priority(const linnet_ice_t *ice, int index) {
    if (index < 0 || index >= LINNET_ICE_LOCAL_CANDIDATES) return 0;
    return ice->local[index].priority;
}

void linnet_ice_remove_local(linnet_ice_t *ice, uint8_t socket) {
    int i;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->state != LINNET_PAIR_FREE && ice->local[pair->local].addr.socket == socket)
            linnet_ice_drop_pair(ice, pair);
    }
    if (ice->old_pair.state != LINNET_PAIR_FREE && ice->old_remote.socket == socket)
        linnet_ice_forget_old(ice);
    for (i = 0; i < LINNET_ICE_LOCAL_CANDIDATES; i++) {
        if (ice->local[i].addr.socket == socket) memset(&ice->local[i], 0, sizeof ice->local[i]);
    }
}

int linnet_ice_add_remote(linnet_ice_t *ice, const linnet_addr_t *addr, uint32_t priority,
                          uint8_t type) {
    int i, at;
    if (ice->state == LINNET_ICE_CLOSED) return LINNET_ERR_CLOSED;
    if (!linnet_ice_address_is_usable(addr) || type > LINNET_ICE_RELAY) {
        ice->counters.drop_remote++;
        return LINNET_ERR_PACKET;
    }
    at = linnet_ice_learn_remote(ice, addr, priority, type);
    if (at < 0) return LINNET_ERR_LIMIT;
    for (i = 0; i < LINNET_ICE_LOCAL_CANDIDATES; i++) linnet_ice_pair_up(ice, i, at);
    return 0;
}

/* --- what the session asks --- */

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t pair_deadline(const linnet_ice_t *ice, const linnet_ice_pair_t *pair) {
    uint64_t at = UINT64_MAX;
    if (pair->state == LINNET_PAIR_SUCCEEDED) at = pair->consent_us + LINNET_ICE_CONSENT_US;
    if (ice->lite) return at;
    if (pair->triggered ||
        (pair->state == LINNET_PAIR_WAITING && pair->purpose == LINNET_PURPOSE_NONE))
        at = sooner(at, ice->next_check_us);
    if (pair->purpose != LINNET_PURPOSE_NONE)
        at = sooner(at, later(pair->next_us, ice->next_check_us));
    return at;
}

uint64_t linnet_ice_deadline(const linnet_ice_t *ice) {
    uint64_t at = UINT64_MAX;
    int i, current = linnet_ice_current(ice);
    if (ice->state == LINNET_ICE_CLOSED) return at;
    if (ice->n_answers) return 0;
    if (ice->old_pair.state != LINNET_PAIR_FREE) {
        at = pair_deadline(ice, &ice->old_pair);
        if (ice->old_pair.purpose == LINNET_PURPOSE_NONE) at = sooner(at, ice->old_pair.next_us);
    }
    if (!ice->now.remote_ufrag_len) return at;
    if (!ice->has_started) return 0;
    for (i = 0; i < ice->pairs_n; i++) at = sooner(at, pair_deadline(ice, &ice->pairs[i]));
    if (current >= 0) {
        if (ice->state != LINNET_ICE_DISCONNECTED)
            at = sooner(at, ice->pairs[current].heard_us + LINNET_ICE_DOUBT_US);
        if (ice->controlling && !ice->nominated && !linnet_ice_is_nominating(ice))
            at = sooner(at, ice->valid_us + LINNET_ICE_BETTER_TYPE_US);
    } else if (ice->state != LINNET_ICE_FAILED && (ice->lite || !ice->has_pair)) {
        at = sooner(at, ice->started_us + LINNET_ICE_PATIENCE_US);
    }
    return at;
}

int linnet_ice_state(const linnet_ice_t *ice) {
    return ice->state;
}

/* The selected pair: of this generation once one is nominated or there is no older one. */
static const linnet_ice_pair_t *selected(const linnet_ice_t *ice) {
    int current;
    if (!ice->nominated && ice->old_pair.state != LINNET_PAIR_FREE) return &ice->old_pair;
    current = linnet_ice_current(ice);
    return current < 0 ? NULL : &ice->pairs[current];
}

int linnet_ice_selected(const linnet_ice_t *ice, linnet_addr_t *remote) {
    const linnet_ice_pair_t *pair = selected(ice);
    if (pair == NULL) return 0;
    if (pair == &ice->old_pair) {
        *remote = ice->old_remote;
    } else {
        *remote = ice->remote[pair->remote].addr;
        remote->socket = ice->local[pair->local].addr.socket;
    }
    return 1;
}

int linnet_ice_accepts(const linnet_ice_t *ice, const linnet_addr_t *from) {
    int i, result = 0;
    if (ice->old_pair.state != LINNET_PAIR_FREE && ice->old_remote.socket == from->socket &&
        linnet_addr_equal(&ice->old_remote, from))
        return 1;
    for (i = 0; i < ice->pairs_n; i++) {
        const linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->state == LINNET_PAIR_FREE || pair->state == LINNET_PAIR_FAILED) continue;
        if (ice->local[pair->local].addr.socket != from->socket) continue;
        if (!linnet_addr_equal(&ice->remote[pair->remote].addr, from)) continue;
        if (pair->state == LINNET_PAIR_SUCCEEDED) return 1;
        if (pair->flags & LINNET_PAIR_HEARD) result = 2;
    }
    return result;
}

int linnet_ice_can_send(const linnet_ice_t *ice) {
    return selected(ice) != NULL; /* a pair whose consent expires is no longer selected */
}

uint32_t linnet_ice_rtt_us(const linnet_ice_t *ice) {
    const linnet_ice_pair_t *pair = selected(ice);
    return pair == NULL ? 0 : pair->rtt_us;
}

int linnet_ice_reflexive(const linnet_ice_t *ice, linnet_addr_t *addr) {
    *addr = ice->reflexive;
    return addr->family != LINNET_FAMILY_NONE;
}
