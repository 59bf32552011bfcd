/* Datagrams of the ICE agent: requests and responses in, checks and answers out (RFC 8445 7).
 *
 * Choices where the RFCs leave room:
 * - A request for a pair in progress repeats the running transaction instead of starting another
 *   (RFC 8445 7.3.1.4): the first response then counts, whichever transmission it answers.
 * - An unanswered consent check is repeated every second, unlike RFC 7675 5.1, so that 30 % loss
 *   does not end a call and the end of an outage is seen within a second.
 * Invariant: before linnet_stun_verify a message changes nothing but a counter. */
#include "errors.h"
#include "ice_pairs.h"

/* --- requests --- */

static linnet_ice_generation_t *generation_of(linnet_ice_t *ice, const linnet_stun_msg_t *msg) {
    const uint8_t *name = msg->username.data;
    if (!(msg->has & LINNET_STUN_HAS_USERNAME) || msg->username.len < LINNET_ICE_UFRAG_LEN + 1 ||
        name[LINNET_ICE_UFRAG_LEN] != ':')
        return NULL;
    if (memcmp(name, ice->now.ufrag, LINNET_ICE_UFRAG_LEN) == 0) return &ice->now;
    if (ice->old_pair.state != LINNET_PAIR_FREE &&
        memcmp(name, ice->old.ufrag, LINNET_ICE_UFRAG_LEN) == 0)
        return &ice->old;
    return NULL;
}

static void queue_answer(linnet_ice_t *ice, const linnet_addr_t *to, const linnet_stun_msg_t *msg,
                         int error_code, int old) {
    linnet_ice_answer_t *answer = &ice->answers[ice->n_answers++];
    memset(answer, 0, sizeof *answer);
    answer->to = *to;
    memcpy(answer->transaction, msg->transaction, sizeof answer->transaction);
    answer->error_code = (uint16_t)error_code;
    answer->old = (uint8_t)old;
    answer->n_unknown =
        (uint8_t)(msg->n_unknown < LINNET_STUN_UNKNOWN_MAX ? msg->n_unknown
                                                           : LINNET_STUN_UNKNOWN_MAX);
    memcpy(answer->unknown, msg->unknown, sizeof answer->unknown);
}

/* RFC 8445 7.3.1.1. 1 = the peer has to change (487); otherwise we did, or there is no conflict. */
static int peer_must_switch(linnet_ice_t *ice, const linnet_stun_msg_t *msg) {
    int ours_wins = ice->tie_breaker >= msg->tie_breaker;
    if ((msg->has & LINNET_STUN_HAS_CONTROLLING) && ice->controlling) {
        ice->counters.role_conflicts++;
        if (ours_wins) return 1;
        linnet_ice_switch_role(ice, 0);
    } else if ((msg->has & LINNET_STUN_HAS_CONTROLLED) && !ice->controlling) {
        ice->counters.role_conflicts++;
        if (!ours_wins || ice->lite) return 1;
        linnet_ice_switch_role(ice, 1);
    }
    return 0;
}

/* RFC 8445 7.3.1.4: check what the peer checks. */
static void trigger_check(linnet_ice_t *ice, linnet_ice_pair_t *pair, uint64_t now_us) {
    int is_early = pair->state == LINNET_PAIR_IN_PROGRESS &&
                   now_us - pair->sent_us < LINNET_ICE_TRIGGER_GAP_US;
    (void)linnet_ice_pair_event(pair, LINNET_PAIR_REQUESTED);
    if (pair->state == LINNET_PAIR_SUCCEEDED) return;
    if (!is_early) {
        linnet_ice_trigger(ice, pair);
    } else if (pair->next_us > pair->sent_us + LINNET_ICE_TRIGGER_GAP_US) {
        pair->next_us = pair->sent_us + LINNET_ICE_TRIGGER_GAP_US;
    }
}

/* Lite: a pair is valid when the peer says that it uses it (RFC 8445 7.3.2), as long as it asks. */
static void answer_as_lite(linnet_ice_t *ice, linnet_ice_pair_t *pair, int use, uint64_t now_us) {
    if (use) {
        (void)linnet_ice_pair_event(pair, LINNET_PAIR_REQUESTED);
        (void)linnet_ice_pair_event(pair, LINNET_PAIR_ANSWERED);
        linnet_ice_became_valid(ice, now_us);
        linnet_ice_consider_nomination(ice, pair, now_us);
    }
    pair->consent_us = now_us;
}

static void on_peer_check(linnet_ice_t *ice, const linnet_addr_t *from, int local,
                          const linnet_stun_msg_t *msg, uint64_t now_us) {
    int use = (msg->has & LINNET_STUN_HAS_USE_CANDIDATE) != 0;
    int remote = linnet_ice_learn_remote(ice, from, msg->priority, LINNET_ICE_PRFLX);
    linnet_ice_pair_t *pair;
    if (remote < 0) return;
    pair = linnet_ice_find_pair(ice, from->socket, remote);
    if (pair == NULL) pair = linnet_ice_make_pair(ice, local, remote);
    if (pair == NULL) return;
    pair->heard_us = now_us;
    pair->flags |= LINNET_PAIR_HEARD;
    pair->flags &= (uint8_t)~LINNET_PAIR_PEER_NOMINATES;
    if (use) pair->flags |= LINNET_PAIR_PEER_NOMINATES;
    if (ice->lite) {
        answer_as_lite(ice, pair, use, now_us);
        return;
    }
    if (use && !ice->controlling) pair->flags |= LINNET_PAIR_NOMINATE;
    if (pair->state != LINNET_PAIR_SUCCEEDED) {
        trigger_check(ice, pair, now_us);
    } else if (pair->flags & LINNET_PAIR_NOMINATE) {
        linnet_ice_consider_nomination(ice, pair, now_us);
    }
}

static int on_request(linnet_ice_t *ice, uint64_t now_us, const linnet_addr_t *from,
                      const linnet_stun_msg_t *msg, const uint8_t *data, size_t len) {
    linnet_ice_generation_t *generation = generation_of(ice, msg);
    int local, old = generation == &ice->old;
    if (ice->n_answers == LINNET_ICE_ANSWERS) {
        ice->counters.drop_answer++;
        return LINNET_ERR_AGAIN;
    }
    if (generation == NULL) {
        ice->counters.drop_username++;
        return LINNET_ERR_AUTH;
    }
    if (linnet_stun_verify(msg, data, len, &generation->local_key) != 0) {
        ice->counters.drop_integrity++;
        return LINNET_ERR_AUTH;
    }
    local = linnet_ice_find_local(ice, from->socket, from->family);
    if (local < 0 || !linnet_ice_address_is_usable(from)) {
        ice->counters.drop_socket++;
        return LINNET_ERR_PACKET;
    }
    ice->counters.requests++;
    if (msg->n_unknown) { /* RFC 8489 6.3.1 */
        ice->counters.drop_unknown++;
        queue_answer(ice, from, msg, 420, old);
        return LINNET_ERR_PACKET;
    }
    if (!(msg->has & LINNET_STUN_HAS_PRIORITY)) {
        ice->counters.drop_malformed++;
        return LINNET_ERR_PACKET;
    }
    if (old) { /* the peer has not seen our restart yet: keep its consent alive */
        queue_answer(ice, from, msg, 0, 1);
        if (linnet_addr_equal(from, &ice->old_remote)) ice->old_pair.heard_us = now_us;
        return 0;
    }
    if (peer_must_switch(ice, msg)) {
        queue_answer(ice, from, msg, 487, 0);
        return 0;
    }
    queue_answer(ice, from, msg, 0, 0);
    on_peer_check(ice, from, local, msg, now_us);
    return 0;
}

/* --- responses --- */

static int is_answer_to(const linnet_ice_pair_t *pair, const linnet_stun_msg_t *msg) {
    return pair->sends && memcmp(pair->transaction, msg->transaction, 12) == 0;
}

static void measure(linnet_ice_pair_t *pair, uint64_t now_us) {
    uint64_t sample = now_us - pair->sent_us;
    if (pair->sends != 1) return; /* RFC 6298 3: which transmission was answered? */
    if (sample == 0) sample = 1;
    if (pair->rtt_us) sample = (7 * (uint64_t)pair->rtt_us + sample) / 8;
    pair->rtt_us = sample > UINT32_MAX ? UINT32_MAX : (uint32_t)sample;
}

static void on_error(linnet_ice_t *ice, linnet_rng_t *rng, linnet_ice_pair_t *pair,
                     const linnet_stun_msg_t *msg) {
    int sent_controlling = (pair->flags & LINNET_PAIR_SENT_CONTROLLING) != 0;
    if (msg->error_code == 487 && !ice->peer_is_lite) { /* RFC 8445 7.2.5.1, 16.1 */
        ice->counters.role_conflicts++;
        if (sent_controlling != ice->controlling) return;
        linnet_ice_make_tie_breaker(ice, rng);
        linnet_ice_switch_role(ice, !sent_controlling);
    } else if (linnet_ice_pair_event(pair, LINNET_PAIR_REFUSED) == 0) {
        linnet_ice_stop_transaction(pair);
    }
}

static void on_success(linnet_ice_t *ice, linnet_rng_t *rng, linnet_ice_pair_t *pair,
                       uint64_t now_us) {
    uint8_t purpose = pair->purpose;
    measure(pair, now_us);
    pair->consent_us = pair->heard_us = now_us;
    pair->flags |= LINNET_PAIR_HEARD;
    if (purpose == LINNET_PURPOSE_CONSENT) {
        pair->sends = 0;
        pair->next_us = linnet_ice_consent_time(rng, now_us);
        return;
    }
    (void)linnet_ice_pair_event(pair, LINNET_PAIR_ANSWERED);
    linnet_ice_stop_transaction(pair);
    pair->triggered = 0;
    linnet_ice_became_valid(ice, now_us);
    if (purpose == LINNET_PURPOSE_NOMINATION) {
        linnet_ice_set_nominated(ice, pair, now_us);
    } else if (pair->flags & LINNET_PAIR_NOMINATE) {
        linnet_ice_consider_nomination(ice, pair, now_us);
    }
}

/* The pair whose transaction this is, with the address that we asked and the keys. */
static linnet_ice_pair_t *asked(linnet_ice_t *ice, const linnet_stun_msg_t *msg,
                                linnet_addr_t *address, const linnet_hmac_sha1_t **key) {
    int i;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (!is_answer_to(pair, msg)) continue;
        *address = ice->remote[pair->remote].addr;
        address->socket = ice->local[pair->local].addr.socket;
        *key = &ice->now.remote_key;
        return pair;
    }
    *address = ice->old_remote;
    *key = &ice->old.remote_key;
    return is_answer_to(&ice->old_pair, msg) ? &ice->old_pair : NULL;
}

static int on_response(linnet_ice_t *ice, linnet_rng_t *rng, uint64_t now_us,
                       const linnet_addr_t *from, const linnet_stun_msg_t *msg, const uint8_t *data,
                       size_t len) {
    const linnet_hmac_sha1_t *key;
    linnet_addr_t address;
    linnet_ice_pair_t *pair = asked(ice, msg, &address, &key);
    uint16_t needed =
        msg->kind == LINNET_STUN_SUCCESS ? LINNET_STUN_HAS_MAPPED : LINNET_STUN_HAS_ERROR_CODE;
    if (pair == NULL) {
        ice->counters.drop_transaction++;
        return LINNET_ERR_PACKET;
    }
    if (linnet_stun_verify(msg, data, len, key) != 0) {
        ice->counters.drop_integrity++;
        return LINNET_ERR_AUTH;
    }
    ice->counters.responses++;
    if (msg->n_unknown) {
        ice->counters.drop_unknown++;
        return LINNET_ERR_PACKET;
    }
    if (!(msg->has & needed)) {
        ice->counters.drop_malformed++;
        return LINNET_ERR_PACKET;
    }
    if (!linnet_addr_equal(from, &address) || from->socket != address.socket) {
        ice->counters.drop_asymmetric++; /* RFC 8445 7.2.5.2.1 */
        if (linnet_ice_pair_event(pair, LINNET_PAIR_REFUSED) == 0)
            linnet_ice_stop_transaction(pair);
        return LINNET_ERR_PACKET;
    }
    if (msg->kind == LINNET_STUN_ERROR) {
        on_error(ice, rng, pair, msg);
    } else {
        ice->reflexive = msg->mapped;
        ice->reflexive.socket = from->socket;
        on_success(ice, rng, pair, now_us);
    }
    return 0;
}

int linnet_ice_input(linnet_ice_t *ice, linnet_rng_t *rng, uint64_t now_us,
                     const linnet_addr_t *from, const uint8_t *data, size_t len) {
    linnet_stun_msg_t msg;
    int rc = 0;
    if (ice->state == LINNET_ICE_CLOSED) return LINNET_ERR_CLOSED;
    if (linnet_stun_parse(&msg, data, len) != 0) {
        ice->counters.drop_malformed++;
        return LINNET_ERR_PACKET;
    }
    if (msg.kind == LINNET_STUN_INDICATION) {
        ice->counters.indications++;
    } else if (msg.kind == LINNET_STUN_REQUEST) {
        rc = on_request(ice, now_us, from, &msg, data, len);
    } else {
        rc = on_response(ice, rng, now_us, from, &msg, data, len);
    }
    linnet_ice_advance(ice, rng, now_us);
    return rc;
}

/* --- output --- */

static int put_answer(linnet_ice_t *ice, linnet_addr_t *to, wire_out_t *out) {
    linnet_ice_answer_t answer = ice->answers[0];
    const linnet_ice_generation_t *generation = answer.old ? &ice->old : &ice->now;
    ice->n_answers--;
    memmove(&ice->answers[0], &ice->answers[1], ice->n_answers * sizeof answer);
    *to = answer.to;
    ice->counters.answers_sent++;
    linnet_stun_begin(out, answer.error_code ? LINNET_STUN_ERROR : LINNET_STUN_SUCCESS,
                      answer.transaction);
    if (!answer.error_code) linnet_stun_put_mapped(out, &answer.to, answer.transaction);
    if (answer.error_code) linnet_stun_put_error(out, answer.error_code);
    if (answer.error_code == 420) linnet_stun_put_unknown(out, answer.unknown, answer.n_unknown);
    return linnet_stun_end(out, &generation->local_key);
}

static void transmit(linnet_ice_t *ice, linnet_rng_t *rng, linnet_ice_pair_t *pair,
                     uint64_t now_us) {
    int is_consent = pair->purpose == LINNET_PURPOSE_CONSENT;
    uint32_t rto = LINNET_ICE_RTO_US;
    uint8_t i;
    if (pair->state == LINNET_PAIR_WAITING) pair->purpose = LINNET_PURPOSE_CHECK;
    if (pair->sends == 0 || (is_consent && pair->sends >= LINNET_ICE_CONSENT_SENDS)) {
        linnet_random(rng, pair->transaction, sizeof pair->transaction);
        pair->flags &= (uint8_t)~LINNET_PAIR_SENT_CONTROLLING;
        if (ice->controlling) pair->flags |= LINNET_PAIR_SENT_CONTROLLING;
        pair->sends = 0;
    } else {
        ice->counters.retransmissions++;
        if (pair->triggered) pair->sends = 1; /* the peer lives: begin the retransmissions anew */
    }
    (void)linnet_ice_pair_event(pair, LINNET_PAIR_CHECK_SENT);
    pair->triggered = 0;
    pair->sends++;
    for (i = 1; i < pair->sends && rto < LINNET_ICE_RTO_MAX_US; i++) rto *= 2;
    pair->sent_us = now_us;
    pair->next_us = now_us + (is_consent ? LINNET_ICE_CONSENT_REPEAT_US : rto);
    ice->next_check_us = now_us + ice->ta_us;
    if (is_consent) {
        ice->counters.consents_sent++;
    } else {
        ice->counters.checks_sent++;
    }
}

static int put_check(linnet_ice_t *ice, const linnet_ice_generation_t *generation,
                     const linnet_ice_pair_t *pair, wire_out_t *out) {
    linnet_stun_begin(out, LINNET_STUN_REQUEST, pair->transaction);
    linnet_stun_put_username(out, generation->remote_ufrag, generation->remote_ufrag_len,
                             generation->ufrag, LINNET_ICE_UFRAG_LEN);
    linnet_stun_put_priority(out, linnet_ice_type_priority(LINNET_ICE_PRFLX, pair->local));
    linnet_stun_put_role(out, ice->controlling, ice->tie_breaker);
    if (pair->purpose == LINNET_PURPOSE_NOMINATION) linnet_stun_put_use_candidate(out);
    return linnet_stun_end(out, &generation->remote_key);
}

/* The next check to send: triggered ones in their order, what is due, then the best waiting pair
 * (RFC 8445 6.1.4.2). */
static linnet_ice_pair_t *due(linnet_ice_t *ice, uint64_t now_us) {
    linnet_ice_pair_t *triggered = NULL, *timed = NULL, *waiting = NULL;
    int i;
    if (!ice->now.remote_ufrag_len) return NULL;
    for (i = 0; i < ice->pairs_n; i++) {
        linnet_ice_pair_t *pair = &ice->pairs[i];
        if (pair->triggered) {
            if (!triggered || pair->triggered < triggered->triggered) triggered = pair;
        } else if (pair->purpose != LINNET_PURPOSE_NONE) {
            if (pair->next_us <= now_us && (!timed || pair->next_us < timed->next_us)) timed = pair;
        } else if (pair->state == LINNET_PAIR_WAITING) {
            if (!waiting ||
                linnet_ice_pair_priority(ice, pair) > linnet_ice_pair_priority(ice, waiting))
                waiting = pair;
        }
    }
    return triggered ? triggered : timed ? timed : waiting;
}

int linnet_ice_poll(linnet_ice_t *ice, linnet_rng_t *rng, uint64_t now_us, linnet_addr_t *to,
                    uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    linnet_ice_pair_t *pair;
    if (ice->state == LINNET_ICE_CLOSED) return 0;
    if (cap < LINNET_ICE_MESSAGE_MAX) return LINNET_ERR_SPACE;
    linnet_ice_advance(ice, rng, now_us);
    if (ice->n_answers) return put_answer(ice, to, &out);
    if (ice->lite || now_us < ice->next_check_us) return 0;
    pair = due(ice, now_us);
    if (pair != NULL) {
        transmit(ice, rng, pair, now_us);
        *to = ice->remote[pair->remote].addr;
        to->socket = ice->local[pair->local].addr.socket;
        return put_check(ice, &ice->now, pair, &out);
    }
    pair = &ice->old_pair;
    if (pair->purpose != LINNET_PURPOSE_CONSENT || pair->next_us > now_us) return 0;
    transmit(ice, rng, pair, now_us);
    *to = ice->old_remote;
    return put_check(ice, &ice->old, pair, &out);
}
