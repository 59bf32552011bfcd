/* Stream reset (RFC 6525) as data channels close with it (RFC 8831 6.7): each side resets its
 * outgoing streams.
 *
 * One request of ours is under way at a time; it waits until everything sent on the stream is
 * acknowledged, so the peer never has to defer it. The peer's request may have to wait here
 * until all its data has arrived: it is then answered "in progress" and done on our own account
 * later. Denied, deliberately: requests that we reset our side, TSN reset, more incoming
 * streams. Invariant: requests act in sequence-number order, each once. */
#include "sctp_internal.h"

enum { NOTHING_TO_DO = 0, PERFORMED = 1, DENIED = 2, BAD_SEQUENCE = 5, IN_PROGRESS = 6 };
enum { ALL_STREAMS = 0xffff };

/* --- ours --- */

int linnet_sctp_reset_stream(linnet_sctp_t *s, uint16_t stream) {
    linnet_sctp_stream_t *entry;
    if (s->is_over) return LINNET_ERR_CLOSED;
    if (stream >= OUR_STREAMS) return LINNET_ERR_ARG;
    if (!is_up(s) || !s->peer_has_reconfig) return LINNET_ERR_STATE;
    entry = linnet_sctp_find_stream(s->out, stream, 1);
    if (!entry || entry->reset == RESET_ASKED || entry->reset == RESET_DONE)
        return LINNET_ERR_AGAIN;
    entry->reset = RESET_WANTED;
    s->flags |= DUE_RESET_BEGIN;
    return 0;
}

static size_t count_reset(const linnet_sctp_t *s, uint8_t step) {
    size_t i, n = 0;
    for (i = 0; i < LINNET_SCTP_STREAM_SLOTS; i++) n += s->out[i].in_use && s->out[i].reset == step;
    return n;
}

/* Starts a request with every stream whose data has all been acknowledged. */
static void begin_request(linnet_sctp_t *s, uint64_t now) {
    size_t i, n = 0;
    for (i = 0; i < LINNET_SCTP_STREAM_SLOTS; i++) {
        linnet_sctp_stream_t *entry = &s->out[i];
        if (!entry->in_use || entry->reset != RESET_WANTED ||
            linnet_sctp_has_stream_data(s, entry->id))
            continue;
        entry->reset = RESET_ASKED;
        n++;
    }
    if (n == 0) return;
    if (count_reset(s, RESET_WANTED) == 0) s->flags &= ~(uint32_t)DUE_RESET_BEGIN;
    s->flags |= DUE_RESET_REQUEST;
    s->reconfig_us = s->rto_us;
    s->t_reconfig = now + s->reconfig_us;
}

static void put_request(linnet_sctp_t *s, wire_out_t *out) {
    size_t i, n = count_reset(s, RESET_ASKED);
    if (n == 0) return;
    linnet_sctp_put_chunk(out, CHUNK_RECONFIG, 0, 16 + 2 * n);
    wire_put_u16(out, PARAM_OUTGOING_RESET);
    wire_put_u16(out, (uint16_t)(16 + 2 * n));
    wire_put_u32(out, s->my_request);
    wire_put_u32(out, s->peer_request - 1);
    wire_put_u32(out, s->next_tsn - 1);
    for (i = 0; i < LINNET_SCTP_STREAM_SLOTS; i++) {
        if (s->out[i].in_use && s->out[i].reset == RESET_ASKED) wire_put_u16(out, s->out[i].id);
    }
    wire_put_zero(out, wire_pad4(2 * n));
}

static void put_answer(linnet_sctp_t *s, wire_out_t *out) {
    linnet_sctp_put_chunk(out, CHUNK_RECONFIG, 0, 12);
    wire_put_u16(out, PARAM_RECONFIG_RESPONSE);
    wire_put_u16(out, 12);
    wire_put_u32(out, s->answer_seq);
    wire_put_u32(out, s->answer_result);
}

void linnet_sctp_put_reset(linnet_sctp_t *s, uint64_t now, wire_out_t *out) {
    if (s->flags & DUE_RESET_ANSWER) {
        s->flags &= ~(uint32_t)DUE_RESET_ANSWER;
        put_answer(s, out);
    }
    if ((s->flags & DUE_RESET_BEGIN) && s->t_reconfig == NEVER) begin_request(s, now);
    if (s->flags & DUE_RESET_REQUEST) {
        s->flags &= ~(uint32_t)DUE_RESET_REQUEST;
        put_request(s, out);
    }
}

static int on_response(linnet_sctp_t *s, uint64_t now, wire_in_t *in) {
    uint32_t seq = wire_u32(in);
    uint32_t result = wire_u32(in);
    size_t i;
    if (!wire_ok(in)) return LINNET_ERR_PACKET;
    if (s->t_reconfig == NEVER || seq != s->my_request) {
        s->counters.drop_reconfig++; /* answered before */
        return 0;
    }
    s->errors = 0;
    s->reconfig_us = s->rto_us;
    s->t_reconfig = now + s->reconfig_us;
    if (result == IN_PROGRESS) return 0; /* RFC 6525 5.2.7: ask again when the timer fires */
    s->t_reconfig = NEVER;
    s->flags &= ~(uint32_t)DUE_RESET_REQUEST;
    s->my_request++;
    if (result != PERFORMED && result != NOTHING_TO_DO) s->counters.drop_reconfig++;
    for (i = 0; i < LINNET_SCTP_STREAM_SLOTS; i++) {
        if (!s->out[i].in_use || s->out[i].reset != RESET_ASKED) continue;
        s->out[i].reset = RESET_DONE;
        linnet_sctp_raise(s, LINNET_SCTP_EVENT_RESET_DONE);
    }
    return 0;
}

int linnet_sctp_take_reset_done(linnet_sctp_t *s, uint16_t *stream) {
    size_t i;
    if (!(s->events >> LINNET_SCTP_EVENT_RESET_DONE & 1)) return 0; /* asked with every packet */
    for (i = 0; i < LINNET_SCTP_STREAM_SLOTS; i++) {
        if (!s->out[i].in_use || s->out[i].reset != RESET_DONE) continue;
        *stream = s->out[i].id;
        s->out[i].in_use = 0;
        return 1;
    }
    s->events = (uint8_t)(s->events & ~(1u << LINNET_SCTP_EVENT_RESET_DONE));
    return 0;
}

/* --- the peer's --- */

static void answer(linnet_sctp_t *s, uint32_t seq, uint32_t result) {
    s->answer_seq = seq;
    s->answer_result = result;
    s->flags |= DUE_RESET_ANSWER;
}

/* The result of the request that is_next_request has just accepted, or of a deferred one. */
static void conclude(linnet_sctp_t *s, uint32_t result) {
    s->last_result = result;
    answer(s, s->peer_request - 1, result);
}

/* 0 when there is no memory for the marks: the peer asks again. */
static int perform(linnet_sctp_t *s) {
    size_t i;
    if (s->n_free <= s->n_deferred) return 0;
    for (i = 0; i < s->n_deferred; i++) {
        linnet_sctp_forget_stream(s, s->deferred[i]);
        linnet_sctp_push_reset(s, s->deferred[i]);
    }
    if (s->n_deferred == 0) { /* RFC 6525 4.1: no list means all streams */
        for (i = 0; i < LINNET_SCTP_STREAM_SLOTS; i++) {
            if (s->in[i].in_use) linnet_sctp_forget_stream(s, s->in[i].id);
        }
        linnet_sctp_push_reset(s, ALL_STREAMS);
    }
    return 1;
}

void linnet_sctp_run_deferred_reset(linnet_sctp_t *s) {
    if (tsn_after(s->deferred_tsn, s->cum) || !perform(s)) return;
    s->is_deferred = 0;
    conclude(s, PERFORMED);
}

/* A request number: 1 = new, act; 0 = dealt with (answered again, or refused). */
static int is_next_request(linnet_sctp_t *s, uint32_t seq) {
    if (seq == s->peer_request) {
        s->peer_request++;
        s->is_deferred = 0;
        return 1;
    }
    s->counters.drop_reconfig++;
    /* RFC 6525 5.2.1: the one before again means that our answer was lost, or is still to come. */
    answer(s, seq, seq == s->peer_request - 1 ? s->last_result : (uint32_t)BAD_SEQUENCE);
    return 0;
}

static int on_outgoing_reset(linnet_sctp_t *s, wire_in_t *in) {
    uint32_t seq = wire_u32(in);
    uint32_t last_tsn;
    size_t n;
    (void)wire_u32(in); /* the response it stands for: we look at responses themselves */
    last_tsn = wire_u32(in);
    n = wire_left(in) / 2;
    if (!wire_ok(in) || wire_left(in) % 2) return LINNET_ERR_PACKET;
    if (!is_next_request(s, seq)) return 0;
    if (n > LINNET_SCTP_STREAM_SLOTS) { /* more than we have state for */
        s->counters.drop_reconfig++;
        conclude(s, DENIED);
        return 0;
    }
    s->n_deferred = 0;
    while (wire_left(in)) s->deferred[s->n_deferred++] = wire_u16(in);
    s->deferred_tsn = last_tsn;
    s->is_deferred = 1;
    conclude(s, IN_PROGRESS);
    linnet_sctp_run_deferred_reset(s);
    return 0;
}

/* Requests that we refuse, or that cost nothing to grant. */
static int on_other_request(linnet_sctp_t *s, uint16_t type, wire_in_t *in) {
    uint32_t seq = wire_u32(in);
    if (!wire_ok(in)) return LINNET_ERR_PACKET;
    /* Our streams are entries of a table and exist up to 65534 anyway. */
    if (is_next_request(s, seq)) conclude(s, type == PARAM_ADD_OUTGOING ? PERFORMED : DENIED);
    return 0;
}

int linnet_sctp_on_reconfig(linnet_sctp_t *s, uint64_t now, wire_in_t body) {
    while (wire_left(&body)) {
        wire_in_t peek = body;
        uint16_t type = wire_u16(&peek);
        uint16_t len = wire_u16(&peek);
        wire_span_t whole;
        wire_in_t in;
        int n;
        if (!wire_ok(&peek) || len < 4) return LINNET_ERR_PACKET;
        whole = wire_take(&body, len);
        if (!wire_ok(&body)) return LINNET_ERR_PACKET;
        wire_skip(&body, wire_pad4(len) < wire_left(&body) ? wire_pad4(len) : wire_left(&body));
        in = wire_in(whole.data + 4, whole.len - 4);
        switch (type) {
        case PARAM_OUTGOING_RESET: n = on_outgoing_reset(s, &in); break;
        case PARAM_RECONFIG_RESPONSE: n = on_response(s, now, &in); break;
        case PARAM_INCOMING_RESET:
        case PARAM_TSN_RESET:
        case PARAM_ADD_OUTGOING:
        case PARAM_ADD_INCOMING: n = on_other_request(s, type, &in); break;
        default: s->counters.drop_reconfig++; n = 0;
        }
        if (n < 0) return n;
    }
    return 0;
}
