/* SCTP packets in, and the small chunks: RFC 9260 3 (formats), 3.2 (unknown chunks), 8.4 and 8.5
 * (strays and verification tags). Length, ports, checksum and tag are checked before any chunk
 * acts.
 *
 * Answers to single packets (INIT ACK, HEARTBEAT ACK, ERROR, SHUTDOWN COMPLETE, ABORT to a
 * stray) are built into the one slot `reply`, which poll empties; one that finds no room is
 * counted and not sent. Invariant: a chunk that does not parse changes nothing and ends its
 * packet. */
#include "sctp_internal.h"

/* --- building --- */

void linnet_sctp_put_header(wire_out_t *out, uint16_t port, uint32_t tag) {
    wire_put_u16(out, port);
    wire_put_u16(out, port);
    wire_put_u32(out, tag);
    wire_put_u32(out, 0); /* checksum: linnet_sctp_seal */
}

void linnet_sctp_put_chunk(wire_out_t *out, uint8_t type, uint8_t flags, size_t body_len) {
    wire_put_u8(out, type);
    wire_put_u8(out, flags);
    wire_put_u16(out, (uint16_t)(4 + body_len));
}

/* ABORT or ERROR with one cause that has no information. */
void linnet_sctp_put_cause(wire_out_t *out, uint8_t chunk_type, uint8_t flags,
                           uint16_t error_cause) {
    linnet_sctp_put_chunk(out, chunk_type, flags, 4);
    wire_put_u16(out, error_cause);
    wire_put_u16(out, 4);
}

static void put_checksum(uint8_t *at, uint32_t crc) {
    at[0] = (uint8_t)crc; /* RFC 9260 A: least significant byte first */
    at[1] = (uint8_t)(crc >> 8);
    at[2] = (uint8_t)(crc >> 16);
    at[3] = (uint8_t)(crc >> 24);
}

void linnet_sctp_seal(uint8_t *packet, size_t len) {
    put_checksum(packet + 8, 0);
    put_checksum(packet + 8, linnet_sctp_crc32c(0, packet, len));
}

int linnet_sctp_reply(linnet_sctp_t *s, uint32_t tag, uint8_t type, uint8_t flags, wire_span_t body,
                      int alone) {
    wire_out_t out = wire_out(s->reply, sizeof(s->reply));
    if (s->reply_len == 0) {
        linnet_sctp_put_header(&out, s->port, tag);
    } else {
        wire_in_t waiting = wire_in(s->reply + 4, 4);
        if (alone || s->is_reply_alone || wire_u32(&waiting) != tag) out.bad = 1;
        out.pos = s->reply_len;
    }
    linnet_sctp_put_chunk(&out, type, flags, body.len);
    wire_put(&out, body.data, body.len);
    wire_put_zero(&out, wire_pad4(body.len));
    if (!wire_out_ok(&out) || out.pos > s->mtu) {
        s->counters.drop_reply++;
        return 0;
    }
    s->reply_len = (uint16_t)out.pos;
    s->is_reply_alone = (uint8_t)alone;
    return 1;
}

void linnet_sctp_reply_error(linnet_sctp_t *s, uint16_t error_cause, wire_span_t info) {
    uint8_t body[LINNET_SCTP_REPLY_MAX - HEADER_LEN - 4];
    wire_out_t out = wire_out(body, sizeof(body));
    wire_span_t whole;
    wire_put_u16(&out, error_cause);
    wire_put_u16(&out, (uint16_t)(4 + info.len));
    wire_put(&out, info.data, info.len);
    if (!wire_out_ok(&out)) {
        s->counters.drop_reply++;
        return;
    }
    whole.data = body;
    whole.len = out.pos;
    linnet_sctp_reply(s, s->peer_tag, CHUNK_ERROR, 0, whole, 0);
}

/* --- strays: RFC 9260 8.4, 8.5 --- */

static const wire_span_t NOTHING = {NULL, 0};

/* The first chunk of a packet whose tag is not ours, or that reached an association which has
 * ended. */
static void on_stray(linnet_sctp_t *s, uint32_t tag, uint8_t type) {
    switch (type) {
    case CHUNK_ABORT:
    case CHUNK_SHUTDOWN_COMPLETE:
    case CHUNK_ERROR:
    case CHUNK_COOKIE_ACK:
    case CHUNK_COOKIE_ECHO: return;
    /* 8.5.1 E: the peer waits for the end of an association we no longer have */
    case CHUNK_SHUTDOWN_ACK:
        if (s->is_over || s->state == LINNET_SCTP_COOKIE_WAIT ||
            s->state == LINNET_SCTP_COOKIE_ECHOED) {
            linnet_sctp_reply(s, tag, CHUNK_SHUTDOWN_COMPLETE, T_BIT, NOTHING, 1);
        }
        return;
    default: /* 8.4: only when there is no association; a wrong tag alone is dropped in silence */
        if (s->is_over) linnet_sctp_reply(s, tag, CHUNK_ABORT, T_BIT, NOTHING, 1);
    }
}

/* 1 when a packet that begins with this chunk may carry this tag. */
static int is_tag_right(const linnet_sctp_t *s, uint8_t type, uint8_t flags, uint32_t tag) {
    if (type == CHUNK_INIT) return tag == 0;
    if (type == CHUNK_COOKIE_ECHO) return 1; /* compared with the cookie */
    if (s->is_over || s->state == LINNET_SCTP_CLOSED) return 0;
    if ((type == CHUNK_ABORT || type == CHUNK_SHUTDOWN_COMPLETE) && (flags & T_BIT)) {
        return s->peer_tag != 0 && tag == s->peer_tag;
    }
    return tag == s->my_tag;
}

/* --- chunks --- */

/* RFC 9260 3.2: the two high bits of a type nobody told us about. 1 = go on with the next chunk. */
static int on_unknown(linnet_sctp_t *s, uint8_t type, wire_span_t chunk) {
    s->counters.drop_unknown++;
    if ((type & 0x40) && is_up(s)) linnet_sctp_reply_error(s, CAUSE_UNRECOGNIZED_CHUNK, chunk);
    return (type & 0x80) != 0;
}

static int on_heartbeat(linnet_sctp_t *s, wire_in_t body) {
    if (wire_left(&body) < 4) return LINNET_ERR_PACKET;
    linnet_sctp_reply(s, s->peer_tag, CHUNK_HEARTBEAT_ACK, 0, wire_take(&body, body.len), 0);
    return 0;
}

static int on_heartbeat_ack(linnet_sctp_t *s, uint64_t now, wire_in_t body) {
    uint16_t type = wire_u16(&body);
    uint16_t len = wire_u16(&body);
    uint64_t nonce = wire_u64(&body);
    uint64_t sent_us = wire_u64(&body);
    if (!wire_ok(&body) || type != PARAM_HEARTBEAT || len != 20) return LINNET_ERR_PACKET;
    if (nonce == 0 || nonce != s->heartbeat_nonce || sent_us > now) return LINNET_ERR_PACKET;
    s->errors = 0;
    linnet_sctp_measured(s, now - sent_us);
    s->heartbeat_nonce = 0;
    linnet_sctp_rearm_heartbeat(s, now);
    return 0;
}

static int on_error(linnet_sctp_t *s, uint64_t now, wire_in_t body) {
    uint16_t error_cause = wire_u16(&body);
    (void)wire_u16(&body);
    if (!wire_ok(&body)) return LINNET_ERR_PACKET;
    if (error_cause != CAUSE_STALE_COOKIE || s->state != LINNET_SCTP_COOKIE_ECHOED) return 0;
    /* RFC 9260 5.2.6: try once more with a fresh cookie; T1 and its limit go on. */
    linnet_sctp_move(s, ON_STALE_COOKIE);
    linnet_sctp_all_again(s);
    s->flags = (s->flags & ~(uint32_t)DUE_COOKIE_ECHO) | DUE_INIT;
    s->t1 = now + s->t1_us;
    return 0;
}

static int on_shutdown(linnet_sctp_t *s, uint64_t now, wire_in_t body) {
    uint32_t cum = wire_u32(&body);
    if (!wire_ok(&body)) return LINNET_ERR_PACKET;
    if (s->state == LINNET_SCTP_SHUTDOWN_SENT) { /* both at once: RFC 9260 9.2 */
        linnet_sctp_move(s, ON_SHUTDOWN);
        s->flags = (s->flags & ~(uint32_t)DUE_SHUTDOWN) | DUE_SHUTDOWN_ACK;
        return 0;
    }
    if (s->state == LINNET_SCTP_SHUTDOWN_ACK_SENT) {
        s->flags |= DUE_SHUTDOWN_ACK;
        return 0;
    }
    linnet_sctp_on_cum_ack(s, now, cum);
    if (linnet_sctp_move(s, ON_SHUTDOWN)) linnet_sctp_check_drained(s, now);
    return 0;
}

static int on_shutdown_ack(linnet_sctp_t *s) {
    if (s->state != LINNET_SCTP_SHUTDOWN_SENT && s->state != LINNET_SCTP_SHUTDOWN_ACK_SENT) {
        s->counters.drop_state++;
        return 0;
    }
    linnet_sctp_reply(s, s->peer_tag, CHUNK_SHUTDOWN_COMPLETE, 0, NOTHING, 1);
    linnet_sctp_end(s, ON_SHUTDOWN_ACK, LINNET_SCTP_EVENT_CLOSED);
    return 0;
}

/* Chunks that only an association with both tags known may receive. */
static int on_established_chunk(linnet_sctp_t *s, uint64_t now, uint8_t type, wire_in_t body) {
    if (!is_up(s)) {
        s->counters.drop_state++;
        return 0;
    }
    switch (type) {
    case CHUNK_SACK: return linnet_sctp_on_sack(s, now, body);
    case CHUNK_HEARTBEAT_ACK: return on_heartbeat_ack(s, now, body);
    case CHUNK_SHUTDOWN: return on_shutdown(s, now, body);
    case CHUNK_SHUTDOWN_ACK: return on_shutdown_ack(s);
    case CHUNK_RECONFIG: return linnet_sctp_on_reconfig(s, now, body);
    case CHUNK_SHUTDOWN_COMPLETE:
        if (s->state == LINNET_SCTP_SHUTDOWN_ACK_SENT) {
            linnet_sctp_end(s, ON_SHUTDOWN_COMPLETE, LINNET_SCTP_EVENT_CLOSED);
        } else {
            s->counters.drop_state++;
        }
        return 0;
    }
    return LINNET_ERR_PACKET;
}

static int is_receiving(const linnet_sctp_t *s) {
    return s->state == LINNET_SCTP_COOKIE_ECHOED || s->state == LINNET_SCTP_ESTABLISHED ||
           s->state == LINNET_SCTP_SHUTDOWN_PENDING || s->state == LINNET_SCTP_SHUTDOWN_SENT;
}

/* DATA while the COOKIE ACK is still on its way comes from a peer that is established: RFC 9260
 * 6 says SHOULD discard, but the tag proves the sender, and keeping it saves that peer a
 * retransmission. */
static int on_payload_chunk(linnet_sctp_t *s, uint8_t type, uint8_t flags, wire_in_t body) {
    if (!is_receiving(s)) {
        s->counters.drop_state++;
        return 0;
    }
    if (type == CHUNK_FORWARD_TSN) return linnet_sctp_on_forward_tsn(s, body);
    /* RFC 9260 9.2 */
    if (s->state == LINNET_SCTP_SHUTDOWN_SENT) s->flags |= DUE_SHUTDOWN | DUE_SACK;
    return linnet_sctp_on_data(s, flags, body);
}

typedef struct {
    uint8_t type, flags;
    uint32_t tag;
    wire_span_t whole; /* header and body, without padding */
} chunk_in_t;

/* 1: go on; 0: the rest of the packet is not for us; < 0: this chunk does not parse. */
static int on_chunk(linnet_sctp_t *s, linnet_rng_t *rng, uint64_t now, const chunk_in_t *c) {
    wire_in_t body = wire_in(c->whole.data + 4, c->whole.len - 4);
    int n;
    switch (c->type) {
    case CHUNK_INIT: n = linnet_sctp_on_init(s, rng, now, body); return n < 0 ? n : 0;
    case CHUNK_INIT_ACK: n = linnet_sctp_on_init_ack(s, now, body); return n < 0 ? n : 0;
    case CHUNK_COOKIE_ECHO: return linnet_sctp_on_cookie_echo(s, now, c->tag, body);
    case CHUNK_COOKIE_ACK:
        if (linnet_sctp_move(s, ON_COOKIE_ACK)) linnet_sctp_established(s, now);
        return 1;
    case CHUNK_ABORT: linnet_sctp_end(s, ON_END, LINNET_SCTP_EVENT_ABORTED); return 0;
    case CHUNK_ERROR: n = on_error(s, now, body); break;
    case CHUNK_HEARTBEAT: n = s->peer_tag ? on_heartbeat(s, body) : 0; break;
    case CHUNK_DATA:
    case CHUNK_FORWARD_TSN: n = on_payload_chunk(s, c->type, c->flags, body); break;
    case CHUNK_SACK:
    case CHUNK_HEARTBEAT_ACK:
    case CHUNK_SHUTDOWN:
    case CHUNK_SHUTDOWN_ACK:
    case CHUNK_SHUTDOWN_COMPLETE:
    case CHUNK_RECONFIG: n = on_established_chunk(s, now, c->type, body); break;
    default: return on_unknown(s, c->type, c->whole);
    }
    return n < 0 ? n : !s->is_over;
}

/* RFC 9260 6.2: a SACK at least for every second packet, at once when something is missing or
 * came twice. */
static void after_packet(linnet_sctp_t *s, uint64_t now, uint32_t data_before) {
    if (s->is_over) return;
    if (s->counters.data_in != data_before) {
        if (s->packets_unacked < UINT8_MAX) s->packets_unacked++;
        if (s->packets_unacked >= 2 || s->highest != s->cum) s->flags |= DUE_SACK;
        if (s->t_sack == NEVER && is_up(s)) s->t_sack = now + SACK_DELAY_US;
    }
    if (s->is_deferred) linnet_sctp_run_deferred_reset(s);
    linnet_sctp_check_drained(s, now);
}

/* One chunk at the cursor. 1, 0 as on_chunk; < 0 ends the packet. */
static int next_chunk(linnet_sctp_t *s, linnet_rng_t *rng, uint64_t now, wire_in_t *in,
                      uint32_t tag, int is_first) {
    wire_in_t peek = *in;
    chunk_in_t c;
    uint16_t len;
    c.tag = tag;
    c.type = wire_u8(&peek);
    c.flags = wire_u8(&peek);
    len = wire_u16(&peek);
    if (!wire_ok(&peek) || len < 4) return LINNET_ERR_PACKET;
    c.whole = wire_take(in, len);
    if (!wire_ok(in)) return LINNET_ERR_PACKET;
    if (wire_left(in))
        wire_skip(in, wire_pad4(len) < wire_left(in) ? wire_pad4(len) : wire_left(in));
    if (is_first && !is_tag_right(s, c.type, c.flags, tag)) {
        s->counters.drop_tag++;
        on_stray(s, tag, c.type);
        return 0;
    }
    /* RFC 9260 6.10: these share a packet with nothing; a COOKIE ECHO comes first, for its tag. */
    if (c.type == CHUNK_INIT || c.type == CHUNK_INIT_ACK || c.type == CHUNK_SHUTDOWN_COMPLETE) {
        if (!is_first || wire_left(in)) return LINNET_ERR_PACKET;
    }
    if (c.type == CHUNK_COOKIE_ECHO && !is_first) return LINNET_ERR_PACKET;
    return on_chunk(s, rng, now, &c);
}

int linnet_sctp_input(linnet_sctp_t *s, linnet_rng_t *rng, uint64_t now_us, const uint8_t *packet,
                      size_t len) {
    wire_in_t in = wire_in(packet, len);
    uint32_t data_before = s->counters.data_in;
    uint32_t tag, crc;
    uint16_t from, to;
    static const uint8_t ZERO[4] = {0};
    int n = 1;
    int is_first;
    s->counters.packets_in++;
    s->counters.bytes_in += (uint32_t)len;
    from = wire_u16(&in);
    to = wire_u16(&in);
    tag = wire_u32(&in);
    crc = wire_u32le(&in);
    if (wire_left(&in) < 4) {
        s->counters.drop_short++;
        return LINNET_ERR_PACKET;
    }
    if (from != s->port || to != s->port) {
        s->counters.drop_port++;
        return LINNET_ERR_PACKET;
    }
    if (linnet_sctp_crc32c(linnet_sctp_crc32c(linnet_sctp_crc32c(0, packet, 8), ZERO, 4),
                           packet + 12, len - 12) != crc) {
        s->counters.drop_checksum++;
        return LINNET_ERR_PACKET;
    }
    for (is_first = 1; n == 1 && wire_left(&in); is_first = 0)
        n = next_chunk(s, rng, now_us, &in, tag, is_first);
    if (n < 0) s->counters.drop_chunk++;
    after_packet(s, now_us, data_before);
    return n < 0 ? LINNET_ERR_PACKET : 0;
}
