/* SCTP sending: the queue of fragments, congestion control and retransmission (RFC 9260 6.1, 6.3,
 * 7), and giving up in order (PR-SCTP, RFC 3758 3.5).
 *
 * send_mem is a ring of fragments, `oldest` .. `tail` in the order of linnet_sctp_send. Their links
 * are in TSN order: `head` .. `unsent` have a TSN (or died without one), `unsent` .. `last` wait
 * for theirs. A message is queued whole or not at all; streams take turns, a message each (RFC
 * 8260 3.2), so that a burst on one does not hold up the others. Not implemented, deliberately:
 * interleaving (RFC 8260 2): a message that has begun to leave is finished first. Invariants:
 * `flight` is the payload of all R_INFLIGHT records, n_retransmit the number of R_AGAIN ones;
 * SSNs are given when a message begins to leave, so that one that expires before costs none. */
#include "sctp_internal.h"

/* --- the ring --- */

static sctp_record_t *at(const linnet_sctp_t *s, uint32_t offset) {
    return (sctp_record_t *)(void *)(s->send_mem + offset);
}

/* The next to leave; of a record that has a successor. */
static uint32_t after(const linnet_sctp_t *s, uint32_t offset) {
    return at(s, offset)->next;
}

/* The next in memory; of a record that has a successor. */
static uint32_t behind(const linnet_sctp_t *s, uint32_t offset) {
    offset += at(s, offset)->size;
    if (s->send_len - offset < sizeof(sctp_record_t) || at(s, offset)->state == R_WRAP) return 0;
    return offset;
}

static uint32_t count(const linnet_sctp_t *s) {
    return s->n_sent + s->n_unsent;
}

/* The next `n` records in the order of leaving. What a step gives may change, the links do not. */
typedef struct {
    uint32_t offset, n;
} walk_t;

/* NULL at the end. */
static sctp_record_t *step(const linnet_sctp_t *s, walk_t *walk) {
    sctp_record_t *r;
    if (walk->n == 0) return NULL;
    r = at(s, walk->offset);
    walk->offset = r->next;
    walk->n--;
    return r;
}

static uint32_t fragment_max(const linnet_sctp_t *s) {
    return (uint32_t)(s->mtu - HEADER_LEN - DATA_HEADER_LEN) & ~3u;
}

static uint32_t record_size(uint32_t len) {
    return ((uint32_t)sizeof(sctp_record_t) + len + 7) & ~7u;
}

/* Where `size` bytes would go if the ring ended at `tail`. */
static uint32_t find_place(const linnet_sctp_t *s, uint32_t tail, uint32_t size, int is_empty) {
    if (!is_empty && tail <= s->oldest) return s->oldest - tail >= size ? tail : NO_OFFSET;
    if (s->send_len - tail >= size) return tail;
    return !is_empty && s->oldest >= size ? 0 : NO_OFFSET;
}

static int is_room(const linnet_sctp_t *s, uint32_t len) {
    uint32_t tail = s->tail;
    int is_empty = s->n_records == 0;
    while (len) {
        uint32_t part = min_u32(len, fragment_max(s));
        uint32_t place = find_place(s, tail, record_size(part), is_empty);
        if (place == NO_OFFSET) return 0;
        tail = place + record_size(part);
        len -= part;
        is_empty = 0;
    }
    return 1;
}

int linnet_sctp_has_room(const linnet_sctp_t *s, size_t len) {
    return len <= s->send_len && is_room(s, (uint32_t)len);
}

/* A record at the end of the memory, behind the record `previous` in the order of leaving. */
static uint32_t push(linnet_sctp_t *s, uint32_t len, uint32_t previous) {
    uint32_t size = record_size(len);
    uint32_t place = find_place(s, s->tail, size, s->n_records == 0);
    sctp_record_t *r = at(s, place);
    if (place != s->tail && s->send_len - s->tail >= sizeof(sctp_record_t))
        at(s, s->tail)->state = R_WRAP;
    s->tail = place + size;
    memset(r, 0, sizeof(*r));
    r->size = size;
    r->len = (uint16_t)len;
    r->state = R_QUEUED;
    if (count(s) == 0) {
        s->head = s->last = place;
    } else {
        r->next = at(s, previous)->next;
        at(s, previous)->next = place;
        if (s->last == previous) s->last = place;
    }
    s->n_records++;
    if (s->n_unsent++ == 0) s->unsent = place;
    return place;
}

static void pop(linnet_sctp_t *s) {
    sctp_record_t *r = at(s, s->head);
    s->buffered -= r->len;
    s->n_sent--;
    r->state = R_FREE;
    if (count(s)) s->head = after(s, s->head);
    while (s->n_records && at(s, s->oldest)->state == R_FREE) {
        if (--s->n_records) {
            s->oldest = behind(s, s->oldest);
        } else {
            s->oldest = s->tail = 0;
        }
    }
}

/* The record behind which a message of this stream is to leave: the streams take turns, so its
 * n-th waiting message comes before the others' messages n + 1. The message that is leaving now
 * is its stream's first. */
static uint32_t find_turn(const linnet_sctp_t *s, uint16_t stream) {
    uint32_t waiting[LINNET_SCTP_STREAM_SLOTS] = {0};
    uint32_t mine = 0, place = NO_OFFSET, previous = s->unsent, offset = s->unsent;
    uint32_t n = s->n_unsent;
    if (n == 0 || at(s, s->last)->stream == stream) return s->last;
    while (n) {
        const sctp_record_t *r = at(s, offset);
        size_t i = 0;
        if (offset == s->unsent || (r->flags & DATA_BEGIN)) {
            /* every stream with a message has an entry, so one is found */
            while (i + 1 < LINNET_SCTP_STREAM_SLOTS &&
                   !(s->out[i].in_use && s->out[i].id == r->stream))
                i++;
            waiting[i]++;
            if (r->stream == stream) {
                mine++;
                place = NO_OFFSET;
            } else if (place == NO_OFFSET && waiting[i] > mine + 1) {
                place = previous;
            }
        }
        previous = offset;
        if (--n) offset = after(s, offset);
    }
    return place == NO_OFFSET ? s->last : place;
}

/* The first waiting record joins those that have left. */
static void step_unsent(linnet_sctp_t *s) {
    s->n_sent++;
    if (--s->n_unsent) s->unsent = after(s, s->unsent);
}

void linnet_sctp_send_init(linnet_sctp_t *s) {
    memset(s->out, 0, sizeof(s->out));
    s->next_tsn = s->my_first_tsn;
    s->peer_cum = s->advanced = s->my_first_tsn - 1;
    s->cwnd = min_u32(4u * s->mtu, max_u32(2u * s->mtu, 4404)); /* RFC 9260 7.2.1 */
    s->ssthresh = UINT32_MAX / 2;
    s->partial_acked = 0;
    s->in_recovery = s->fast_credit = s->is_probing = 0;
    s->burst = BURST_PACKETS;
    s->rtt_sent_us = NEVER;
    s->t3_us = s->rto_us;
}

void linnet_sctp_send_clear(linnet_sctp_t *s) {
    s->head = s->last = s->unsent = s->oldest = s->tail = 0;
    s->n_records = s->n_sent = s->n_unsent = s->n_retransmit = 0;
    s->flight = s->buffered = 0;
}

int linnet_sctp_has_stream_data(const linnet_sctp_t *s, uint16_t stream) {
    walk_t walk = {s->head, count(s)};
    const sctp_record_t *r;
    while ((r = step(s, &walk))) {
        if (r->stream == stream && r->state != R_DEAD) return 1;
    }
    return 0;
}

/* --- queueing --- */

static int check_send(const linnet_sctp_t *s, const linnet_sctp_send_t *how, const uint8_t *data,
                      size_t len) {
    if (s->is_over || s->state > LINNET_SCTP_ESTABLISHED) return LINNET_ERR_CLOSED;
    if (s->state == LINNET_SCTP_CLOSED) return LINNET_ERR_STATE;
    if (!data || len == 0 || how->max_retransmits < -1) return LINNET_ERR_ARG;
    if (len > s->peer_max_message || len > s->send_len) return LINNET_ERR_LIMIT;
    if (how->stream >= OUR_STREAMS || (s->peer_tag && how->stream >= s->peer_streams))
        return LINNET_ERR_LIMIT;
    return 0;
}

int linnet_sctp_send(linnet_sctp_t *s, uint64_t now_us, const linnet_sctp_send_t *how,
                     const uint8_t *data, size_t len) {
    linnet_sctp_stream_t *stream;
    uint32_t place;
    size_t done;
    int n = check_send(s, how, data, len);
    if (n < 0) return n;
    stream = linnet_sctp_find_stream(s->out, how->stream, 0);
    if (stream && stream->reset != RESET_NONE) return LINNET_ERR_STATE;
    if (!is_room(s, (uint32_t)len)) return count(s) ? LINNET_ERR_AGAIN : LINNET_ERR_LIMIT;
    if (!stream && !linnet_sctp_find_stream(s->out, how->stream, 1)) return LINNET_ERR_LIMIT;
    s->message++;
    place = find_turn(s, how->stream);
    for (done = 0; done < len;) {
        uint32_t part = min_u32((uint32_t)(len - done), fragment_max(s));
        sctp_record_t *r;
        place = push(s, part, place);
        r = at(s, place);
        r->message = s->message;
        r->stream = how->stream;
        r->ppid = how->ppid;
        r->max_retransmits = how->max_retransmits;
        r->expires_us = how->lifetime_ms ? now_us + (uint64_t)how->lifetime_ms * MS : NEVER;
        r->flags = (uint8_t)((done == 0 ? DATA_BEGIN : 0) | (done + part == len ? DATA_END : 0) |
                             (how->unordered ? DATA_UNORDERED : 0));
        memcpy((uint8_t *)(r + 1), data + done, part);
        done += part;
    }
    s->buffered += (uint32_t)len;
    s->burst = BURST_PACKETS;
    s->counters.messages_out++;
    return 0;
}

/* --- giving up: RFC 3758 3.5 --- */

static void leave_flight(linnet_sctp_t *s, const sctp_record_t *r) {
    if (r->state == R_INFLIGHT) s->flight -= r->len;
    if (r->state == R_AGAIN) s->n_retransmit--;
}

/* TSN and SSN for the first waiting record. */
static void number(linnet_sctp_t *s, sctp_record_t *r) {
    r->tsn = s->next_tsn++;
    if (!(r->flags & DATA_UNORDERED)) {
        linnet_sctp_stream_t *stream = linnet_sctp_find_stream(s->out, r->stream, 1);
        /* cannot be: linnet_sctp_send made the entry, a reset waits for the record */
        if (!stream) return;
        r->ssn = stream->next_ssn;
        if (r->flags & DATA_END) stream->next_ssn++;
    }
    step_unsent(s);
}

/* A message that had begun to leave keeps one more TSN: without it the peer, which has all that
 * was sent, would hold the beginning for ever, since no FORWARD TSN could pass it. */
static void kill_unsent(linnet_sctp_t *s, uint32_t message) {
    walk_t walk = {s->unsent, s->n_unsent};
    int had_begun = s->n_unsent && !(at(s, s->unsent)->flags & DATA_BEGIN);
    sctp_record_t *r;
    while ((r = step(s, &walk)) && r->message == message) {
        s->buffered -= r->len;
        r->len = 0;
        if (had_begun) {
            r->flags |= DATA_END;
            number(s, r);
            r->state = R_ABANDONED;
            had_begun = 0;
        } else {
            if (r->flags & DATA_BEGIN) s->counters.expired_unsent++;
            r->state = R_DEAD;
        }
    }
    while (s->n_unsent && at(s, s->unsent)->state == R_DEAD) step_unsent(s);
}

static void abandon(linnet_sctp_t *s, uint32_t message) {
    walk_t walk = {s->head, s->n_sent};
    sctp_record_t *r;
    s->counters.abandoned++;
    while ((r = step(s, &walk))) {
        if (r->message == message && r->state != R_DEAD) {
            leave_flight(s, r);
            if (r->tsn == s->rtt_tsn) s->rtt_sent_us = NEVER;
            s->buffered -= r->len;
            r->len = 0;
            r->state = R_ABANDONED;
        }
    }
    kill_unsent(s, message);
}

/* C1, C2: as far as everything next in line was given up. */
static void advance(linnet_sctp_t *s) {
    walk_t walk = {s->head, s->n_sent};
    const sctp_record_t *r;
    uint32_t before = s->advanced;
    if (tsn_after(s->peer_cum, s->advanced)) s->advanced = s->peer_cum;
    while ((r = step(s, &walk))) {
        if (r->state != R_DEAD && tsn_after(r->tsn, s->advanced)) {
            if (r->state != R_ABANDONED) break;
            s->advanced = r->tsn;
        }
    }
    if (s->advanced != before && tsn_after(s->advanced, s->peer_cum)) s->flags |= DUE_FORWARD;
}

/* Without the peer's support a message that began must be finished (RFC 3758 3.3.1). */
static int is_given_up(const linnet_sctp_t *s, const sctp_record_t *r, uint64_t now) {
    if (!s->peer_has_forward) return 0;
    if (now > r->expires_us) return 1;
    return r->max_retransmits >= 0 && r->sends > (uint32_t)r->max_retransmits;
}

void linnet_sctp_put_forward_tsn(linnet_sctp_t *s, wire_out_t *out) {
    struct {
        uint16_t stream, ssn;
    } skipped[LINNET_SCTP_STREAM_SLOTS];
    walk_t walk = {s->head, s->n_sent};
    const sctp_record_t *r;
    size_t i, used = 0;
    if (!tsn_after(s->advanced, s->peer_cum)) return;
    while ((r = step(s, &walk))) {
        if (r->state == R_ABANDONED && !(r->flags & DATA_UNORDERED) &&
            !tsn_after(r->tsn, s->advanced)) {
            for (i = 0; i < used && skipped[i].stream != r->stream; i++) {
            }
            /* as many streams as `out` has entries, so always */
            if (i < LINNET_SCTP_STREAM_SLOTS) {
                skipped[i].stream = r->stream;
                skipped[i].ssn = r->ssn;
                if (i == used) used++;
            }
        }
    }
    linnet_sctp_put_chunk(out, CHUNK_FORWARD_TSN, 0, 4 + 4 * used);
    wire_put_u32(out, s->advanced);
    for (i = 0; i < used; i++) {
        wire_put_u16(out, skipped[i].stream);
        wire_put_u16(out, skipped[i].ssn);
    }
    s->counters.forward_tsn_out++;
}

/* --- retransmission --- */

static int is_outstanding(const linnet_sctp_t *s) {
    return s->flight || s->n_retransmit || tsn_after(s->advanced, s->peer_cum);
}

void linnet_sctp_arm_t3(linnet_sctp_t *s, uint64_t now) {
    s->t3 = is_outstanding(s) ? now + s->t3_us : NEVER;
}

/* This transmission is taken for lost. 1 when it will be sent again. */
static int mark_lost(linnet_sctp_t *s, sctp_record_t *r, uint64_t now) {
    if (is_given_up(s, r, now)) {
        abandon(s, r->message);
        return 0;
    }
    s->flight -= r->len;
    s->n_retransmit++;
    r->state = R_AGAIN;
    r->missing = 0;
    if (r->tsn == s->rtt_tsn) s->rtt_sent_us = NEVER; /* Karn: RFC 9260 6.3.1 C5 */
    return 1;
}

static void all_again(linnet_sctp_t *s, uint64_t now, int is_loss) {
    walk_t walk = {s->head, s->n_sent};
    sctp_record_t *r;
    while ((r = step(s, &walk))) {
        if (r->state == R_INFLIGHT) {
            if (is_loss) {
                mark_lost(s, r, now);
            } else {
                s->flight -= r->len;
                s->n_retransmit++;
                r->state = R_AGAIN;
            }
        }
    }
    s->rtt_sent_us = NEVER;
}

/* What left with a COOKIE ECHO, or to a tag that changed, says nothing about loss. */
void linnet_sctp_all_again(linnet_sctp_t *s) {
    all_again(s, 0, 0);
}

void linnet_sctp_t3_expired(linnet_sctp_t *s, uint64_t now) {
    s->counters.t3_expired++;
    linnet_sctp_count_error(s);
    if (s->is_over) return;
    /* RFC 9260 7.2.3; a probe of a closed window says nothing about congestion */
    if (!s->is_probing) {
        s->ssthresh = max_u32(s->cwnd / 2, 4u * s->mtu);
        s->cwnd = s->mtu;
        s->partial_acked = 0;
    }
    s->in_recovery = s->fast_credit = 0;
    s->burst = BURST_PACKETS;
    all_again(s, now, 1);
    advance(s);
    if (tsn_after(s->advanced, s->peer_cum)) s->flags |= DUE_FORWARD;
    s->t3_us = linnet_sctp_back_off(s, s->t3_us);
    linnet_sctp_ask_time(s, now);
    linnet_sctp_arm_t3(s, now);
}

/* --- leaving --- */

static int is_fit(const wire_out_t *out, uint32_t len) {
    return out->len - out->pos >= DATA_HEADER_LEN + len + wire_pad4(len);
}

/* The I bit (RFC 9260 3.3.1) asks for a SACK at once: after a loss, and when nothing more may
 * follow it. */
static void put_record(linnet_sctp_t *s, uint64_t now, wire_out_t *out, sctp_record_t *r) {
    int is_last = r->sends > 0 || s->flight + r->len >= s->cwnd || s->is_probing;
    uint8_t flags = (uint8_t)(r->flags | (is_last ? DATA_IMMEDIATE : 0));
    linnet_sctp_put_chunk(out, CHUNK_DATA, flags, 12 + (size_t)r->len);
    wire_put_u32(out, r->tsn);
    wire_put_u16(out, r->stream);
    wire_put_u16(out, r->ssn);
    wire_put_u32(out, r->ppid);
    wire_put(out, (const uint8_t *)(r + 1), r->len);
    wire_put_zero(out, wire_pad4(r->len));
    r->state = R_INFLIGHT;
    r->missing = 0;
    r->order = ++s->order;
    if (r->sends < UINT16_MAX) r->sends++;
    s->flight += r->len;
    s->last_data_us = now;
    s->counters.data_out++;
    if (r->sends == 1 && s->rtt_sent_us == NEVER) {
        s->rtt_sent_us = now;
        s->rtt_tsn = r->tsn;
    }
    if (s->t3 == NEVER && is_up(s)) s->t3 = now + s->t3_us;
}

/* RFC 9260 6.1 A: whatever the peer's window, one chunk may be under way. */
static int is_window_open(linnet_sctp_t *s, uint32_t len) {
    if (s->flight + len <= s->peer_window) return 1;
    if (s->flight) return 0;
    s->is_probing = 1;
    return 1;
}

static void put_again(linnet_sctp_t *s, uint64_t now, wire_out_t *out) {
    walk_t walk = {s->head, s->n_sent};
    sctp_record_t *r;
    /* 7.2.4: the first packet of a fast retransmission ignores cwnd */
    int has_credit = s->fast_credit;
    while (s->n_retransmit && (r = step(s, &walk))) {
        if (r->state == R_AGAIN && now > r->expires_us && s->peer_has_forward) {
            abandon(s, r->message);
            advance(s);
        }
        if (r->state == R_AGAIN) {
            if (!is_fit(out, r->len) || (s->flight >= s->cwnd && !has_credit) ||
                !is_window_open(s, r->len))
                return;
            s->n_retransmit--;
            s->counters.retransmits++;
            s->fast_credit = 0;
            put_record(s, now, out, r);
            /* RFC 9260 6.3.2 R1 */
            if (r->tsn == s->peer_cum + 1) s->t3 = is_up(s) ? now + s->t3_us : NEVER;
        }
    }
    s->fast_credit = 0;
}

/* RFC 9260 7.2.1: a path that was idle is not known any more; half the window for every RTO,
 * down to the start. */
static void decay(linnet_sctp_t *s, uint64_t now) {
    uint64_t idle = now - s->last_data_us;
    if (s->n_sent || s->last_data_us == 0) return;
    while (idle > s->rto_us && s->cwnd > 4u * s->mtu) {
        s->cwnd = max_u32(s->cwnd / 2, 4u * s->mtu);
        idle -= s->rto_us;
    }
}

static void put_new(linnet_sctp_t *s, uint64_t now, wire_out_t *out) {
    decay(s, now);
    while (s->n_unsent) {
        sctp_record_t *r = at(s, s->unsent);
        if (r->state == R_DEAD) {
            step_unsent(s);
            continue;
        }
        if (now > r->expires_us && (s->peer_has_forward || (r->flags & DATA_BEGIN))) {
            abandon(s, r->message);
            advance(s);
            continue;
        }
        if (!is_fit(out, r->len) || s->flight >= s->cwnd || !is_window_open(s, r->len)) return;
        number(s, r);
        put_record(s, now, out, r);
        if (s->is_probing) return;
    }
}

static void drop_dead(linnet_sctp_t *s) {
    while (s->n_sent && at(s, s->head)->state == R_DEAD) pop(s);
}

void linnet_sctp_put_data(linnet_sctp_t *s, uint64_t now, wire_out_t *out) {
    size_t from = out->pos;
    if (s->state > LINNET_SCTP_SHUTDOWN_PENDING && s->state != LINNET_SCTP_SHUTDOWN_RECEIVED)
        return;
    if (s->burst == 0) return;
    if (s->n_retransmit) put_again(s, now, out);
    if (s->n_retransmit == 0 && s->n_unsent) put_new(s, now, out);
    drop_dead(s);
    if (out->pos > from) s->burst--;
}

/* --- SACK --- */

typedef struct {
    uint32_t cum, window;
    uint16_t n_gaps;
    wire_in_t gaps;
    uint32_t acked;  /* payload bytes acknowledged for the first time */
    uint32_t latest; /* highest `order` acknowledged for the first time */
    int is_new;
} sack_t;

static int read_sack(const linnet_sctp_t *s, sack_t *k, wire_in_t in) {
    uint32_t last = 0;
    uint16_t i, n_duplicates;
    memset(k, 0, sizeof(*k));
    k->cum = wire_u32(&in);
    k->window = wire_u32(&in);
    k->n_gaps = wire_u16(&in);
    n_duplicates = wire_u16(&in);
    k->gaps = in;
    for (i = 0; i < k->n_gaps && wire_ok(&in); i++) {
        uint32_t start = wire_u16(&in);
        uint32_t end = wire_u16(&in);
        if (!wire_ok(&in)) break;
        /* Blocks ascend, and acknowledge only what has left. */
        if (start <= last || end < start || tsn_after(k->cum + end, s->next_tsn - 1))
            return LINNET_ERR_PACKET;
        last = end;
    }
    wire_skip(&in, 4 * (size_t)n_duplicates);
    return wire_ok(&in) ? 0 : LINNET_ERR_PACKET;
}

static void newly_acked(linnet_sctp_t *s, uint64_t now, sack_t *k, const sctp_record_t *r) {
    leave_flight(s, r);
    k->acked += r->len;
    if (!k->is_new || tsn_after(r->order, k->latest)) k->latest = r->order;
    k->is_new = 1;
    if (s->rtt_sent_us != NEVER && r->tsn == s->rtt_tsn) {
        linnet_sctp_measured(s, now - s->rtt_sent_us);
        s->rtt_sent_us = NEVER;
    }
}

static void take_cum(linnet_sctp_t *s, uint64_t now, sack_t *k) {
    while (s->n_sent) {
        sctp_record_t *r = at(s, s->head);
        if (r->state != R_DEAD) {
            if (tsn_after(r->tsn, k->cum)) break;
            if (r->state == R_INFLIGHT || r->state == R_AGAIN) newly_acked(s, now, k, r);
        }
        pop(s);
    }
    s->peer_cum = k->cum;
}

static void take_gaps(linnet_sctp_t *s, uint64_t now, sack_t *k) {
    walk_t walk = {s->head, s->n_sent};
    sctp_record_t *r;
    uint32_t start = 0, end = 0;
    uint16_t left = k->n_gaps;
    while ((r = step(s, &walk))) {
        uint32_t ahead = r->tsn - k->cum;
        if (r->state != R_DEAD) {
            while (left && ahead > end) {
                start = wire_u16(&k->gaps);
                end = wire_u16(&k->gaps);
                left--;
            }
            if (ahead >= start && ahead <= end) {
                if (r->state == R_INFLIGHT || r->state == R_AGAIN) {
                    newly_acked(s, now, k, r);
                    r->state = R_ACKED;
                }
            } else if (r->state == R_ACKED) { /* RFC 9260 6.2.1 D iii: the peer gave it back */
                r->state = R_INFLIGHT;
                s->flight += r->len;
            }
        }
    }
}

/* RFC 9260 7.2.4: the third report that a TSN is missing while what left later arrives. "Later"
 * is told by the order of transmissions, not of TSNs: so a fast retransmission that is lost too
 * is noticed without a timer (as RFC 8985 does for TCP), where 7.2.4 would have us wait for T3. */
static void count_missing(linnet_sctp_t *s, uint64_t now, const sack_t *k) {
    walk_t walk = {s->head, s->n_sent};
    sctp_record_t *r;
    int is_lost = 0;
    while ((r = step(s, &walk))) {
        if (r->state == R_INFLIGHT && tsn_after(k->latest, r->order) && ++r->missing >= 3) {
            is_lost = 1;
            if (mark_lost(s, r, now)) s->counters.fast_retransmits++;
        }
    }
    if (!is_lost || s->in_recovery) return;
    s->in_recovery = 1;
    s->fast_credit = s->n_retransmit != 0;
    s->recovery_tsn = s->next_tsn - 1;
    s->ssthresh = s->cwnd = max_u32(s->cwnd / 2, 4u * s->mtu);
    s->partial_acked = 0;
}

/* RFC 9260 7.2.1, 7.2.2: only a window that was full may grow. */
static void grow_cwnd(linnet_sctp_t *s, uint32_t acked, int was_full) {
    if (s->in_recovery || !was_full || s->cwnd > s->send_len) return;
    if (s->cwnd <= s->ssthresh) {
        s->cwnd += min_u32(acked, s->mtu);
        return;
    }
    s->partial_acked += acked;
    if (s->partial_acked >= s->cwnd) {
        s->partial_acked -= s->cwnd;
        s->cwnd += s->mtu;
    }
}

/* The window opened again, wide enough: what probed it was most likely dropped. */
static void end_probe(linnet_sctp_t *s, uint64_t now) {
    if (!s->is_probing || s->peer_window == 0 || s->flight > s->peer_window) return;
    s->is_probing = 0;
    s->t3_us = s->rto_us;
    if (s->flight) all_again(s, now, 0);
    linnet_sctp_arm_t3(s, now);
}

static void take_sack(linnet_sctp_t *s, uint64_t now, sack_t *k) {
    int was_full = s->flight + s->mtu > s->cwnd;
    int is_cum_new = tsn_after(k->cum, s->peer_cum);
    take_cum(s, now, k);
    if (s->in_recovery && !tsn_after(s->recovery_tsn, k->cum)) s->in_recovery = 0;
    take_gaps(s, now, k);
    if (k->is_new) count_missing(s, now, k);
    if (is_cum_new) grow_cwnd(s, k->acked, was_full);
    if (s->flight == 0) s->partial_acked = 0;
    s->peer_window = k->window;
    s->errors = 0; /* also while the window is closed: RFC 9260 6.1 A, the peer is there */
    s->burst = BURST_PACKETS;
    advance(s);
    if (is_cum_new) {
        s->t3_us = s->rto_us;
        linnet_sctp_arm_t3(s, now);
        s->is_probing = 0;
        if (tsn_after(s->advanced, s->peer_cum)) s->flags |= DUE_FORWARD;
    } else if (!is_outstanding(s)) {
        s->t3 = NEVER;
    } else if (s->t3 == NEVER) {
        linnet_sctp_arm_t3(s, now);
    }
    end_probe(s, now);
    linnet_sctp_rearm_heartbeat(s, now);
}

int linnet_sctp_on_sack(linnet_sctp_t *s, uint64_t now, wire_in_t body) {
    sack_t k;
    int n = read_sack(s, &k, body);
    if (n == 0 && tsn_after(k.cum, s->next_tsn - 1)) n = LINNET_ERR_PACKET;
    if (n < 0 || tsn_after(s->peer_cum, k.cum)) { /* wrong, or overtaken by a later one */
        s->counters.drop_sack++;
        return n;
    }
    take_sack(s, now, &k);
    return 0;
}

/* A SHUTDOWN acknowledges like a SACK without gaps, but says nothing about the window (RFC 9260
 * 9.2). */
void linnet_sctp_on_cum_ack(linnet_sctp_t *s, uint64_t now, uint32_t cum) {
    sack_t k;
    memset(&k, 0, sizeof(k));
    k.cum = cum;
    if (tsn_after(cum, s->next_tsn - 1) || !tsn_after(cum, s->peer_cum)) return;
    take_cum(s, now, &k);
    advance(s);
    linnet_sctp_arm_t3(s, now);
}
