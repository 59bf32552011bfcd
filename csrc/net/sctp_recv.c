/* SCTP receiving: DATA into messages (RFC 9260 6.5, 6.6, 6.9), SACK out (6.2), FORWARD TSN in (RFC
 * 3758 3.6).
 *
 * recv_mem is cut into blocks; a DATA chunk is a chain of them, a message a chain of chunks.
 * Fragments wait in `pending`, whole ordered messages that came too early in `held`, the rest in
 * `ready`. Fragments of a message have consecutive TSNs, so reassembly needs no stream. Not
 * implemented, deliberately: partial delivery; a message over max_message is acknowledged and
 * skipped instead, so that it cannot block what follows. Invariants: the bit of a TSN is set
 * exactly when it is > cum and was received; only what has TSN > cum is ever given back
 * (reneging, 6.2), and only to let an earlier TSN in. */
#include "sctp_internal.h"

/* --- blocks and chunks --- */

static sctp_chunk_t *at(const linnet_sctp_t *s, uint16_t block) {
    return (sctp_chunk_t *)(void *)(s->recv_mem + (size_t)block * BLOCK_LEN);
}

static sctp_block_t *block_at(const linnet_sctp_t *s, uint16_t block) {
    return (sctp_block_t *)(void *)(s->recv_mem + (size_t)block * BLOCK_LEN);
}

/* A free block keeps the number of the next one in its first two bytes. */
static uint16_t take_block(linnet_sctp_t *s) {
    uint16_t block = s->free_block;
    s->free_block = block_at(s, block)->next_block;
    s->n_free--;
    return block;
}

static void give_block(linnet_sctp_t *s, uint16_t block) {
    block_at(s, block)->next_block = s->free_block;
    s->free_block = block;
    s->n_free++;
}

static size_t blocks_for(size_t len) {
    return len <= FIRST_LEN ? 1 : 1 + (len - FIRST_LEN + MORE_LEN - 1) / MORE_LEN;
}

/* The caller has asked for room: n_free >= blocks_for(payload.len). */
static uint16_t store(linnet_sctp_t *s, wire_span_t payload) {
    uint16_t first = take_block(s);
    sctp_chunk_t *c = at(s, first);
    size_t done = payload.len < FIRST_LEN ? payload.len : FIRST_LEN;
    uint16_t *link = &c->next_block;
    memset(c, 0, sizeof(*c));
    c->len = (uint16_t)payload.len;
    c->next = c->next_message = NO_BLOCK;
    if (done) memcpy(c->bytes, payload.data, done);
    while (done < payload.len) {
        size_t part = payload.len - done < MORE_LEN ? payload.len - done : MORE_LEN;
        uint16_t more = take_block(s);
        memcpy(block_at(s, more)->bytes, payload.data + done, part);
        *link = more;
        link = &block_at(s, more)->next_block;
        done += part;
    }
    *link = NO_BLOCK;
    return first;
}

static void load(const linnet_sctp_t *s, const sctp_chunk_t *c, uint8_t *to) {
    size_t done = c->len < FIRST_LEN ? c->len : FIRST_LEN;
    uint16_t block = c->next_block;
    memcpy(to, c->bytes, done);
    while (block != NO_BLOCK && done < c->len) {
        size_t part = c->len - done < MORE_LEN ? (size_t)(c->len - done) : MORE_LEN;
        memcpy(to + done, block_at(s, block)->bytes, part);
        done += part;
        block = block_at(s, block)->next_block;
    }
}

static void free_chunk(linnet_sctp_t *s, uint16_t chunk) {
    uint16_t block = at(s, chunk)->next_block;
    give_block(s, chunk);
    while (block != NO_BLOCK) {
        uint16_t next = block_at(s, block)->next_block;
        give_block(s, block);
        block = next;
    }
}

static void free_message(linnet_sctp_t *s, uint16_t message) {
    while (message != NO_BLOCK) {
        uint16_t next = at(s, message)->next;
        free_chunk(s, message);
        message = next;
    }
}

void linnet_sctp_recv_init(linnet_sctp_t *s) {
    uint16_t i;
    s->free_block = NO_BLOCK;
    s->n_free = 0;
    for (i = s->n_blocks; i > 0; i--) give_block(s, (uint16_t)(i - 1));
    s->pending = s->pending_tail = s->held = s->held_tail = s->ready = s->ready_tail = NO_BLOCK;
    s->is_skipping = s->packets_unacked = s->n_duplicates = 0;
    memset(s->in, 0, sizeof(s->in));
    s->told_window = linnet_sctp_window(s);
}

/* The peer's next TSN is known. Nothing has been received: only our own states come here twice. */
void linnet_sctp_recv_start(linnet_sctp_t *s, uint32_t peer_first_tsn) {
    linnet_sctp_recv_init(s);
    memset(s->received, 0, sizeof(s->received));
    s->cum = s->highest = peer_first_tsn - 1;
}

/* What one chunk of that size would surely find room for. Less than a packet is told as nothing
 * (RFC 9260 6.1). */
uint32_t linnet_sctp_window(const linnet_sctp_t *s) {
    uint32_t window = s->n_free ? FIRST_LEN + (s->n_free - 1u) * 56u : 0;
    return window < s->mtu ? 0 : window;
}

/* --- TSNs --- */

static int is_received(const linnet_sctp_t *s, uint32_t tsn) {
    return (int)(s->received[tsn % LINNET_SCTP_TSN_WINDOW / 32] >> tsn % 32 & 1);
}

static void set_received(linnet_sctp_t *s, uint32_t tsn) {
    s->received[tsn % LINNET_SCTP_TSN_WINDOW / 32] |= 1u << tsn % 32;
}

static void clear_received(linnet_sctp_t *s, uint32_t tsn) {
    s->received[tsn % LINNET_SCTP_TSN_WINDOW / 32] &= ~(1u << tsn % 32);
}

/* Its bit is in the window. What is held can be so far behind cum that serial numbers say "after". */
static int is_ahead(const linnet_sctp_t *s, uint32_t tsn) {
    return tsn != s->cum && tsn - s->cum < LINNET_SCTP_TSN_WINDOW;
}

static void advance_cum(linnet_sctp_t *s) {
    while (s->cum != s->highest && is_received(s, s->cum + 1)) clear_received(s, ++s->cum);
}

/* --- messages on their way to the application --- */

static void push_ready(linnet_sctp_t *s, uint16_t message) {
    at(s, message)->next_message = NO_BLOCK;
    if (s->ready == NO_BLOCK) {
        s->ready = message;
    } else {
        at(s, s->ready_tail)->next_message = message;
    }
    s->ready_tail = message;
}

static void push_held(linnet_sctp_t *s, uint16_t message) {
    uint32_t tsn = at(s, message)->tsn;
    uint16_t before = NO_BLOCK;
    uint16_t next = s->held;
    if (s->held != NO_BLOCK && tsn_after(tsn, at(s, s->held_tail)->tsn)) {
        before = s->held_tail;
        next = NO_BLOCK;
    }
    while (next != NO_BLOCK && tsn_after(tsn, at(s, next)->tsn)) {
        before = next;
        next = at(s, next)->next_message;
    }
    at(s, message)->next_message = next;
    if (before == NO_BLOCK)
        s->held = message;
    else
        at(s, before)->next_message = message;
    if (next == NO_BLOCK) s->held_tail = message;
}

/* Takes `message` out of `held`; `before` is its predecessor there. Returns its successor. */
static uint16_t unlink_held(linnet_sctp_t *s, uint16_t before, uint16_t message) {
    uint16_t next = at(s, message)->next_message;
    if (before == NO_BLOCK)
        s->held = next;
    else
        at(s, before)->next_message = next;
    if (next == NO_BLOCK) s->held_tail = before;
    return next;
}

/* Held messages of the stream whose turn has come. They are in TSN order, so one pass is enough. */
static void release_held(linnet_sctp_t *s, linnet_sctp_stream_t *stream) {
    uint16_t before = NO_BLOCK;
    uint16_t message = s->held;
    while (message != NO_BLOCK) {
        sctp_chunk_t *c = at(s, message);
        uint16_t next = c->next_message;
        if (c->stream != stream->id || ssn_after(c->ssn, stream->next_ssn)) {
            before = message;
        } else {
            next = unlink_held(s, before, message);
            if (c->ssn == stream->next_ssn) {
                stream->next_ssn++;
                push_ready(s, message);
            } else { /* a number that was skipped or used already */
                s->counters.drop_fragment++;
                free_message(s, message);
            }
        }
        message = next;
    }
}

static void deliver(linnet_sctp_t *s, uint16_t message) {
    sctp_chunk_t *c = at(s, message);
    linnet_sctp_stream_t *stream;
    if (c->flags & DATA_UNORDERED) {
        push_ready(s, message);
        return;
    }
    stream = linnet_sctp_find_stream(s->in, c->stream, 1);
    if (!stream || ssn_after(stream->next_ssn, c->ssn)) {
        s->counters.drop_fragment++;
        free_message(s, message);
    } else if (c->ssn != stream->next_ssn) {
        push_held(s, message);
    } else {
        stream->next_ssn++;
        push_ready(s, message);
        release_held(s, stream);
    }
}

/* An ordered message that will never be delivered must not block its stream. */
static void skip_ssn(linnet_sctp_t *s, uint16_t id, uint16_t ssn) {
    linnet_sctp_stream_t *stream = linnet_sctp_find_stream(s->in, id, 1);
    if (!stream) {
        s->counters.drop_stream++;
        return;
    }
    /* Whole messages up to the skipped number have arrived: they come first (RFC 3758 3.6). */
    while (!ssn_after(stream->next_ssn, ssn)) {
        uint16_t message = s->held;
        uint16_t next_ssn = (uint16_t)(ssn + 1);
        for (; message != NO_BLOCK; message = at(s, message)->next_message) {
            const sctp_chunk_t *c = at(s, message);
            if (c->stream != id || ssn_after(c->ssn, ssn)) continue;
            next_ssn = c->ssn;
            break;
        }
        stream->next_ssn = next_ssn;
        release_held(s, stream);
    }
}

/* --- fragments --- */

static void insert_pending(linnet_sctp_t *s, uint16_t chunk) {
    uint32_t tsn = at(s, chunk)->tsn;
    uint16_t before = NO_BLOCK;
    uint16_t next = s->pending;
    if (s->pending != NO_BLOCK && tsn_after(tsn, at(s, s->pending_tail)->tsn)) {
        before = s->pending_tail;
        next = NO_BLOCK;
    }
    while (next != NO_BLOCK && tsn_after(tsn, at(s, next)->tsn)) {
        before = next;
        next = at(s, next)->next;
    }
    at(s, chunk)->next = next;
    if (before == NO_BLOCK)
        s->pending = chunk;
    else
        at(s, before)->next = chunk;
    if (next == NO_BLOCK) s->pending_tail = chunk;
}

/* Takes the chunks first .. last out of `pending`. */
static void unlink_run(linnet_sctp_t *s, uint16_t before, uint16_t last) {
    uint16_t next = at(s, last)->next;
    if (before == NO_BLOCK)
        s->pending = next;
    else
        at(s, before)->next = next;
    if (next == NO_BLOCK) s->pending_tail = before;
    at(s, last)->next = NO_BLOCK;
}

static int is_follower(const sctp_chunk_t *c, const sctp_chunk_t *previous) {
    return c->tsn == previous->tsn + 1 && c->stream == previous->stream &&
           c->ssn == previous->ssn && !((c->flags ^ previous->flags) & DATA_UNORDERED) &&
           !(c->flags & DATA_BEGIN) && !(previous->flags & DATA_END);
}

/* A whole message among the pending chunks: first .. last, `before` in front of it. */
typedef struct {
    uint16_t before, first, last;
    uint32_t total;
} run_t;

/* The message that `chunk` belongs to; 0 while a part of it is missing. */
static int find_whole(const linnet_sctp_t *s, uint16_t chunk, run_t *run) {
    uint16_t previous = NO_BLOCK, next = s->pending;
    int has_chunk = 0;
    for (; next != NO_BLOCK; previous = next, next = at(s, next)->next) {
        const sctp_chunk_t *c = at(s, next);
        if (c->flags & DATA_BEGIN) {
            run->before = previous;
            run->first = next;
            run->total = 0;
            has_chunk = 0;
        } else if (run->first != NO_BLOCK && !is_follower(c, at(s, previous))) {
            run->first = NO_BLOCK;
        }
        if (run->first == NO_BLOCK) {
            if (next == chunk) return 0;
            continue;
        }
        run->total += c->len;
        run->last = next;
        if (next == chunk) has_chunk = 1;
        if (has_chunk && (c->flags & DATA_END)) return 1;
        if (tsn_after(c->tsn, at(s, chunk)->tsn) && !has_chunk) return 0;
    }
    return 0;
}

/* `chunk` has just been stored: if it completes a message, the message moves on. */
static void complete(linnet_sctp_t *s, uint16_t chunk) {
    run_t run = {NO_BLOCK, NO_BLOCK, NO_BLOCK, 0};
    sctp_chunk_t *first;
    if (!find_whole(s, chunk, &run)) return;
    unlink_run(s, run.before, run.last);
    first = at(s, run.first);
    first->total = run.total;
    if (run.total > s->max_message) {
        uint16_t id = first->stream, ssn = first->ssn;
        uint8_t is_unordered = first->flags & DATA_UNORDERED;
        s->counters.drop_oversize++;
        free_message(s, run.first);
        if (!is_unordered) skip_ssn(s, id, ssn);
        return;
    }
    deliver(s, run.first);
}

static void drop_first_pending(linnet_sctp_t *s) {
    uint16_t chunk = s->pending;
    s->pending = at(s, chunk)->next;
    if (s->pending == NO_BLOCK) s->pending_tail = NO_BLOCK;
    free_chunk(s, chunk);
}

/* The one message that reaches cum can never be whole here: free what there is of it and skip
 * the rest. */
static void begin_skipping(linnet_sctp_t *s) {
    s->counters.drop_oversize++;
    s->is_skipping = 1;
    while (s->pending != NO_BLOCK && !tsn_after(at(s, s->pending)->tsn, s->cum))
        drop_first_pending(s);
}

/* What is pending with TSN <= cum can only be the beginning of one message, up to cum itself.
 * All else is the rest of a message that is being skipped, or breaks RFC 9260 6.9. */
static void settle(linnet_sctp_t *s) {
    while (s->pending != NO_BLOCK && !tsn_after(at(s, s->pending)->tsn, s->cum)) {
        const sctp_chunk_t *c = at(s, s->pending);
        uint32_t total = c->len;
        if (s->is_skipping && !(c->flags & DATA_BEGIN)) {
            uint16_t id = c->stream, ssn = c->ssn;
            int is_end = c->flags & DATA_END;
            int is_ordered = !(c->flags & DATA_UNORDERED);
            drop_first_pending(s);
            if (!is_end) continue;
            s->is_skipping = 0;
            if (is_ordered) skip_ssn(s, id, ssn);
            continue;
        }
        s->is_skipping = 0;
        if (c->flags & DATA_BEGIN) {
            while (c->next != NO_BLOCK && is_follower(at(s, c->next), c)) {
                c = at(s, c->next);
                total += c->len;
            }
            if (!tsn_after(s->cum, c->tsn)) { /* reaches cum */
                if (total > s->max_message) begin_skipping(s);
                return;
            }
        }
        s->counters.drop_fragment++;
        drop_first_pending(s);
    }
}

/* --- room --- */

/* Gives back the latest thing that is not needed to move cum. 1 when something was. */
static int renege(linnet_sctp_t *s, uint32_t tsn) {
    uint16_t before = NO_BLOCK, chunk;
    if (s->held != NO_BLOCK && tsn_after(at(s, s->held_tail)->tsn, tsn) &&
        is_ahead(s, at(s, s->held_tail)->tsn)) {
        for (chunk = s->held; chunk != s->held_tail; chunk = at(s, chunk)->next_message)
            before = chunk;
        unlink_held(s, before, chunk);
        s->counters.reneged++;
        for (before = chunk; before != NO_BLOCK; before = at(s, before)->next)
            clear_received(s, at(s, before)->tsn);
        free_message(s, chunk);
        return 1;
    }
    if (s->pending == NO_BLOCK || !tsn_after(at(s, s->pending_tail)->tsn, tsn)) return 0;
    if (!tsn_after(at(s, s->pending_tail)->tsn, s->cum)) return 0;
    for (chunk = s->pending; chunk != s->pending_tail; chunk = at(s, chunk)->next) before = chunk;
    unlink_run(s, before, chunk);
    s->counters.reneged++;
    clear_received(s, at(s, chunk)->tsn);
    free_chunk(s, chunk);
    return 1;
}

static int make_room(linnet_sctp_t *s, uint32_t tsn, size_t len) {
    while (s->n_free < blocks_for(len)) {
        if (renege(s, tsn)) continue;
        /* One message alone fills everything, and the application has nothing to read: it can
         * never be whole. */
        if (s->ready != NO_BLOCK || s->pending == NO_BLOCK || tsn != s->cum + 1) return 0;
        begin_skipping(s);
    }
    return 1;
}

/* --- chunks in --- */

static void note_duplicate(linnet_sctp_t *s, uint32_t tsn) {
    s->counters.duplicates_in++;
    if (s->n_duplicates < LINNET_SCTP_DUPLICATES) s->duplicates[s->n_duplicates++] = tsn;
    s->flags |= DUE_SACK;
}

static void accept_tsn(linnet_sctp_t *s, uint32_t tsn) {
    set_received(s, tsn);
    if (tsn_after(tsn, s->highest)) s->highest = tsn;
    advance_cum(s);
}

/* RFC 9260 6.5: a stream we cannot serve. The DATA counts as received, the peer is told. */
static void refuse_stream(linnet_sctp_t *s, uint16_t id) {
    uint8_t info[4];
    wire_out_t out = wire_out(info, sizeof(info));
    wire_span_t span = {info, sizeof(info)};
    wire_put_u16(&out, id);
    wire_put_u16(&out, 0);
    s->counters.drop_stream++;
    linnet_sctp_reply_error(s, CAUSE_INVALID_STREAM, span);
}

typedef struct {
    uint32_t tsn, ppid;
    uint16_t stream, ssn;
    uint8_t flags;
    wire_span_t payload;
} data_t;

static int read_data(data_t *d, uint8_t flags, wire_in_t *in) {
    d->flags = flags;
    d->tsn = wire_u32(in);
    d->stream = wire_u16(in);
    d->ssn = wire_u16(in);
    d->ppid = wire_u32(in);
    d->payload = wire_take(in, wire_left(in));
    if (flags & DATA_UNORDERED) d->ssn = 0; /* RFC 9260 3.3.1: to be ignored */
    return wire_ok(in);
}

/* 1 when its stream has an entry, or gets one; what is unordered needs none. */
static int can_serve(linnet_sctp_t *s, const data_t *d) {
    if (d->stream >= OUR_STREAMS) return 0;
    return d->flags & DATA_UNORDERED || linnet_sctp_find_stream(s->in, d->stream, 1);
}

/* make_room has found room for it. */
static void keep_data(linnet_sctp_t *s, const data_t *d) {
    const uint8_t whole = DATA_BEGIN | DATA_END;
    uint16_t chunk = store(s, d->payload);
    sctp_chunk_t *c = at(s, chunk);
    c->tsn = d->tsn;
    c->ppid = d->ppid;
    c->stream = d->stream;
    c->ssn = d->ssn;
    c->flags = d->flags;
    c->total = c->len;
    accept_tsn(s, d->tsn);
    if ((d->flags & whole) == whole && c->len <= s->max_message) {
        deliver(s, chunk);
    } else {
        insert_pending(s, chunk);
        complete(s, chunk);
    }
}

int linnet_sctp_on_data(linnet_sctp_t *s, uint8_t flags, wire_in_t body) {
    data_t d;
    if (!read_data(&d, flags, &body)) return LINNET_ERR_PACKET;
    if (d.payload.len == 0) { /* RFC 9260 6.2 */
        linnet_sctp_fail(s, CAUSE_NO_USER_DATA);
        return LINNET_ERR_PACKET;
    }
    s->counters.data_in++;
    if (flags & DATA_IMMEDIATE) s->flags |= DUE_SACK;
    if (!tsn_after(d.tsn, s->cum) || (!tsn_after(d.tsn, s->highest) && is_received(s, d.tsn))) {
        note_duplicate(s, d.tsn);
        return 0;
    }
    if (d.tsn - s->cum >= LINNET_SCTP_TSN_WINDOW) {
        s->counters.drop_window++;
        s->flags |= DUE_SACK;
        return 0;
    }
    if (!can_serve(s, &d)) {
        refuse_stream(s, d.stream);
        accept_tsn(s, d.tsn);
    } else if (make_room(s, d.tsn, d.payload.len)) {
        keep_data(s, &d);
    } else {
        s->counters.drop_memory++;
        s->flags |= DUE_SACK;
        return 0;
    }
    settle(s);
    return 0;
}

/* RFC 3758 3.6: what misses a TSN up to here will never be whole. A beginning that has them all
 * may go on: the peer may have counted its chunks as acknowledged, not as given up. */
static void drop_passed(linnet_sctp_t *s) {
    while (s->pending != NO_BLOCK && !tsn_after(at(s, s->pending)->tsn, s->cum)) {
        const sctp_chunk_t *c = at(s, s->pending);
        int is_begin = c->flags & DATA_BEGIN;
        while (c->next != NO_BLOCK && is_follower(at(s, c->next), c)) c = at(s, c->next);
        if (is_begin && !tsn_after(s->cum, c->tsn)) return;
        drop_first_pending(s);
    }
}

int linnet_sctp_on_forward_tsn(linnet_sctp_t *s, wire_in_t body) {
    uint32_t to = wire_u32(&body);
    if (!wire_ok(&body) || wire_left(&body) % 4) return LINNET_ERR_PACKET;
    s->counters.forward_tsn_in++;
    s->flags |= DUE_SACK;
    if (!tsn_after(to, s->cum)) return 0; /* old: the SACK says so (RFC 3758 3.6) */
    while (s->cum != to && s->cum != s->highest) {
        if (!is_received(s, ++s->cum)) s->counters.skipped_in++;
        clear_received(s, s->cum);
    }
    /* Behind the highest nothing was received, so no bit is set: however far the peer goes, that
     * costs no more than one window. */
    s->counters.skipped_in += to - s->cum;
    s->cum = to;
    if (tsn_after(s->cum, s->highest)) s->highest = s->cum;
    drop_passed(s);
    while (wire_left(&body) >= 4) {
        uint16_t id = wire_u16(&body);
        uint16_t ssn = wire_u16(&body);
        skip_ssn(s, id, ssn);
    }
    advance_cum(s);
    settle(s);
    return 0;
}

/* --- SACK out --- */

size_t linnet_sctp_put_sack(const linnet_sctp_t *s, wire_out_t *out) {
    size_t from = out->pos;
    size_t count_at;
    uint16_t n_gaps = 0;
    uint32_t ahead, span = s->highest - s->cum;
    uint8_t i;
    linnet_sctp_put_chunk(out, CHUNK_SACK, 0, 12); /* length: patched below */
    wire_put_u32(out, s->cum);
    wire_put_u32(out, linnet_sctp_window(s));
    count_at = out->pos;
    wire_put_u16(out, 0);
    wire_put_u16(out, s->n_duplicates);
    /* the rest is for others */
    for (ahead = 1; ahead <= span && out->pos < out->len / 2; ahead++) {
        uint32_t start = ahead;
        if (!is_received(s, s->cum + ahead)) continue;
        while (ahead < span && is_received(s, s->cum + ahead + 1)) ahead++;
        wire_put_u16(out, (uint16_t)start);
        wire_put_u16(out, (uint16_t)ahead);
        n_gaps++;
    }
    for (i = 0; i < s->n_duplicates; i++) wire_put_u32(out, s->duplicates[i]);
    wire_patch_u16(out, from + 2, (uint16_t)(out->pos - from));
    wire_patch_u16(out, count_at, n_gaps);
    return out->pos - from;
}

/* --- to the application --- */

size_t linnet_sctp_readable(const linnet_sctp_t *s) {
    return s->ready == NO_BLOCK || at(s, s->ready)->kind == K_RESET ? 0 : at(s, s->ready)->total;
}

static void pop_ready(linnet_sctp_t *s) {
    uint16_t message = s->ready;
    s->ready = at(s, message)->next_message;
    if (s->ready == NO_BLOCK) s->ready_tail = NO_BLOCK;
    free_message(s, message);
}

int linnet_sctp_recv(linnet_sctp_t *s, uint16_t *stream, uint32_t *ppid, uint8_t *buf, size_t cap) {
    size_t len = linnet_sctp_readable(s);
    size_t done = 0;
    uint16_t chunk = s->ready;
    uint32_t window;
    if (len == 0) return 0;
    if (len > cap) return LINNET_ERR_SPACE;
    *stream = at(s, chunk)->stream;
    *ppid = at(s, chunk)->ppid;
    for (; chunk != NO_BLOCK; chunk = at(s, chunk)->next) {
        load(s, at(s, chunk), buf + done);
        done += at(s, chunk)->len;
    }
    pop_ready(s);
    s->counters.messages_in++;
    /* RFC 9260 6.2: tell the peer of a window that was shut, or that grew by a good part. */
    window = linnet_sctp_window(s);
    if (is_up(s) && window > s->told_window &&
        (s->told_window == 0 || window - s->told_window > s->n_blocks * (BLOCK_LEN / 4u))) {
        s->flags |= DUE_SACK;
    }
    return (int)len;
}

/* --- stream reset --- */

int linnet_sctp_push_reset(linnet_sctp_t *s, uint16_t stream) {
    static const wire_span_t NOTHING = {NULL, 0};
    uint16_t mark;
    if (s->n_free == 0) return 0;
    mark = store(s, NOTHING);
    at(s, mark)->kind = K_RESET;
    at(s, mark)->stream = stream;
    push_ready(s, mark);
    return 1;
}

int linnet_sctp_take_reset(linnet_sctp_t *s, uint16_t *stream) {
    if (s->ready == NO_BLOCK || at(s, s->ready)->kind != K_RESET) return 0;
    *stream = at(s, s->ready)->stream;
    pop_ready(s);
    return 1;
}

/* The peer's next message on this stream is number 0. What still waited for an earlier one never
 * gets it. */
void linnet_sctp_forget_stream(linnet_sctp_t *s, uint16_t stream) {
    linnet_sctp_stream_t *entry = linnet_sctp_find_stream(s->in, stream, 0);
    uint16_t before = NO_BLOCK;
    uint16_t message = s->held;
    if (entry) entry->in_use = 0;
    while (message != NO_BLOCK) {
        uint16_t next = at(s, message)->next_message;
        if (at(s, message)->stream != stream) {
            before = message;
        } else {
            next = unlink_held(s, before, message);
            s->counters.drop_fragment++;
            free_message(s, message);
        }
        message = next;
    }
}
