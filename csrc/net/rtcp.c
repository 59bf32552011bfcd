/* RTCP packets: reading and building compounds (RFC 3550 6, RFC 4585 6, RFC 5506 3.4.2). See
 * rtcp.h.
 *
 * Reading is in two steps: linnet_rtcp_read walks the whole compound by its length fields and
 * refuses it as a whole when these do not add up; linnet_rtcp_next then hands out one item at a
 * time and cannot leave its packet. */
#include "rtcp.h"

enum { SR = 200, RR = 201, SDES = 202, BYE = 203, RTPFB = 205 }; /* RFC 3550 12.1, RFC 4585 6.1 */
enum {
    RTCP_VERSION = 2,
    FMT_NACK = 1,
    SDES_CNAME = 1,
    HEADER = 4,
    BLOCK = 24,
    BLOCKS_MAX = 31,
    SENDER_INFO = 20,
    NTP_SHIFT = 16, /* from a 64-bit NTP time to its middle 32 bits */
    RTT_MAX_S = 60,
    MAX_DROPOUT = 3000, /* A.1 */
    MAX_MISORDER = 100,
    NO_BAD_SEQUENCE = 65537,
    JITTER_MAX_S = 5 /* a larger step is a new timestamp base or a pause, not jitter */
};
#define NEVER UINT64_MAX

/* --- NTP --- */

static uint64_t ntp_time(uint64_t now_us, uint64_t epoch_us) {
    uint64_t us = now_us + epoch_us;
    uint64_t seconds = us / 1000000;
    return seconds << 32 | ((us % 1000000) << 32) / 1000000;
}

static uint32_t ntp_middle(uint64_t ntp) {
    return (uint32_t)(ntp >> NTP_SHIFT);
}

/* --- reading --- */

int linnet_rtcp_read(linnet_rtcp_reader_t *r, const uint8_t *packet, size_t len) {
    wire_in_t in = wire_in(packet, len);
    memset(r, 0, sizeof *r);
    if (len == 0) return LINNET_ERR_PACKET;
    while (wire_left(&in) > 0) {
        uint8_t first = wire_u8(&in);
        uint8_t type = wire_u8(&in);
        wire_span_t body = wire_take(&in, 4 * (size_t)wire_u16(&in));
        if (!wire_ok(&in) || first >> 6 != RTCP_VERSION || type < 192 || type > 223)
            return LINNET_ERR_PACKET;
        if (first & 0x20) { /* A.2: only the last packet of a compound may be padded */
            uint8_t padding = body.len ? body.data[body.len - 1] : 0;
            if (padding == 0 || padding % 4 != 0 || padding > body.len || wire_left(&in) > 0)
                return LINNET_ERR_PACKET;
        }
    }
    if (!wire_ok(&in)) return LINNET_ERR_PACKET;
    r->data = packet;
    r->len = len;
    return 0;
}

static void read_sender_info(wire_in_t *in, linnet_rtcp_item_t *item) {
    item->ntp = wire_u64(in);
    item->rtp_timestamp = wire_u32(in);
    item->packets = wire_u32(in);
    item->octets = wire_u32(in);
}

static void read_block(wire_in_t *in, linnet_rtcp_item_t *item) {
    uint32_t lost;
    item->subject = wire_u32(in);
    item->fraction_lost = wire_u8(in);
    lost = wire_u24(in);
    item->lost = lost & 0x800000 ? (int32_t)lost - 0x1000000 : (int32_t)lost;
    item->highest = wire_u32(in);
    item->jitter = wire_u32(in);
    item->last_sr = wire_u32(in);
    item->delay_since_sr = wire_u32(in);
}

/* Opens the packet at r->pos and reads its fixed part. Returns the kind that part stands for, 0 =
 * only its list counts. Leaves r->item at the list and in r->count how many entries it has. */
static int open_packet(linnet_rtcp_reader_t *r, linnet_rtcp_item_t *item) {
    wire_in_t in = wire_in(r->data, r->len);
    uint8_t first;
    int kind = LINNET_RTCP_OTHER;
    wire_skip(&in, r->pos);
    first = wire_u8(&in);
    r->type = wire_u8(&in);
    r->pos += HEADER + 4 * (size_t)wire_u16(&in);
    r->end = r->pos - (first & 0x20 ? r->data[r->pos - 1] : 0);
    in.len = r->end; /* nothing beyond this packet, nor its padding */
    r->count = 0;
    r->sender = 0;
    if (r->type == SR || r->type == RR) {
        r->sender = wire_u32(&in);
        if (r->type == SR) read_sender_info(&in, item);
        r->count = first & 0x1F;
        kind = r->type == SR ? LINNET_RTCP_SR : LINNET_RTCP_RR;
    } else if (r->type == SDES) {
        kind = LINNET_RTCP_SDES;
    } else if (r->type == BYE) {
        r->count = first & 0x1F;
        kind = 0;
    } else if (r->type == RTPFB && (first & 0x1F) == FMT_NACK) {
        r->sender = wire_u32(&in);
        r->media = wire_u32(&in);
        r->count = (uint16_t)(wire_left(&in) / 4); /* a length field counts at most 65535 words */
        kind = 0;
    }
    item->sender = r->sender;
    r->item = in.pos;
    return wire_ok(&in) ? kind : LINNET_ERR_PACKET;
}

static int list_item(linnet_rtcp_reader_t *r, linnet_rtcp_item_t *item) {
    wire_in_t in = wire_in(r->data, r->end);
    int kind;
    wire_skip(&in, r->item);
    item->sender = r->sender;
    if (r->type == BYE) {
        kind = LINNET_RTCP_BYE;
        item->subject = wire_u32(&in);
    } else if (r->type == RTPFB) {
        kind = LINNET_RTCP_NACK;
        item->subject = r->media;
        item->nack_pid = wire_u16(&in);
        item->nack_blp = wire_u16(&in);
    } else {
        kind = LINNET_RTCP_REPORT;
        read_block(&in, item);
    }
    r->count--;
    r->item = in.pos;
    return wire_ok(&in) ? kind : LINNET_ERR_PACKET;
}

int linnet_rtcp_next(linnet_rtcp_reader_t *r, linnet_rtcp_item_t *item) {
    for (;;) {
        int kind;
        memset(item, 0, sizeof *item);
        if (r->count > 0) {
            kind = list_item(r, item);
        } else if (r->pos < r->len) {
            kind = open_packet(r, item);
            if (kind == 0) continue;
        } else {
            return 0;
        }
        if (kind < 0) { /* a body shorter than its count says: nothing after it can be trusted */
            r->pos = r->len;
            r->count = 0;
        }
        return kind;
    }
}

int linnet_rtcp_nack_list(const linnet_rtcp_item_t *item, uint16_t out[17]) {
    int n = 0;
    out[n++] = item->nack_pid;
    for (unsigned bit = 0; bit < 16; bit++)
        if (item->nack_blp >> bit & 1) out[n++] = (uint16_t)(item->nack_pid + bit + 1);
    return n;
}

/* --- statistics of what we send --- */

void linnet_rtcp_send_init(linnet_rtcp_send_stats_t *s, uint32_t ssrc, uint32_t clock_hz) {
    memset(s, 0, sizeof *s);
    s->ssrc = ssrc;
    s->clock_hz = clock_hz;
}

void linnet_rtcp_sent(linnet_rtcp_send_stats_t *s, uint64_t now_us, uint32_t timestamp,
                      size_t payload_len) {
    s->packets++;
    s->octets += (uint32_t)payload_len;
    s->last_timestamp = timestamp;
    s->last_us = now_us;
}

void linnet_rtcp_on_report(linnet_rtcp_send_stats_t *s, uint64_t now_us, uint64_t ntp_epoch_us,
                           const linnet_rtcp_item_t *item) {
    if (item->subject != s->ssrc) return;
    s->reports++;
    s->remote_fraction_lost = item->fraction_lost;
    s->remote_lost = item->lost;
    s->remote_jitter = item->jitter;
    s->remote_highest = item->highest;
    if (item->last_sr !=
        0) { /* RFC 3550 6.4.1, in 1/65536 s; a negative or absurd result is the peer's clock */
        uint32_t rtt =
            ntp_middle(ntp_time(now_us, ntp_epoch_us)) - item->last_sr - item->delay_since_sr;
        if (rtt < RTT_MAX_S << NTP_SHIFT)
            s->rtt_us = (uint32_t)(((uint64_t)rtt * 1000000) >> NTP_SHIFT);
    }
}

/* --- statistics of what we receive --- */

void linnet_rtcp_recv_init(linnet_rtcp_recv_stats_t *s, uint32_t ssrc, uint32_t clock_hz) {
    memset(s, 0, sizeof *s);
    s->ssrc = ssrc;
    s->clock_hz = clock_hz;
    s->bad_sequence = NO_BAD_SEQUENCE;
}

static void start_counting(linnet_rtcp_recv_stats_t *s, uint16_t sequence) {
    s->base_sequence = sequence;
    s->max_sequence = sequence;
    s->bad_sequence = NO_BAD_SEQUENCE;
    s->received = 0;
    s->received_prior = 0;
    s->expected_prior = 0;
    s->is_started = 1;
}

/* RFC 3550 A.1, without its probation: every packet here was authenticated. */
static int update_sequence(linnet_rtcp_recv_stats_t *s, uint16_t sequence) {
    uint16_t ahead = (uint16_t)(sequence - (uint16_t)s->max_sequence);
    if (!s->is_started) {
        start_counting(s, sequence);
    } else if (ahead < MAX_DROPOUT) {
        s->max_sequence += ahead;
    } else if (ahead <= 65536 - MAX_MISORDER) {
        if (sequence != s->bad_sequence) {
            s->bad_sequence = (uint16_t)(sequence + 1);
            return 0;
        }
        start_counting(s, sequence); /* two in a row: the sender started again */
        s->transit = 0;
        s->restarts++;
    }
    s->received++;
    return 1;
}

/* RFC 3550 A.8, in timestamp units and scaled by 16. */
static void update_jitter(linnet_rtcp_recv_stats_t *s, uint64_t now_us, uint32_t timestamp) {
    uint32_t arrival =
        (uint32_t)(now_us / 1000000 * s->clock_hz + now_us % 1000000 * s->clock_hz / 1000000);
    uint32_t transit = arrival - timestamp;
    int32_t d = (int32_t)(transit - s->transit);
    uint32_t distance = d < 0 ? 0u - (uint32_t)d : (uint32_t)d;
    if (s->received > 1 && distance < s->clock_hz * JITTER_MAX_S)
        s->jitter_q4 += distance - ((s->jitter_q4 + 8) >> 4);
    s->transit = transit;
}

int linnet_rtcp_received(linnet_rtcp_recv_stats_t *s, uint64_t now_us, uint16_t sequence,
                         uint32_t timestamp) {
    if (!update_sequence(s, sequence)) return 0;
    update_jitter(s, now_us, timestamp);
    return 1;
}

static uint32_t expected(const linnet_rtcp_recv_stats_t *s) {
    return s->is_started ? s->max_sequence - s->base_sequence + 1 : 0;
}

int32_t linnet_rtcp_lost(const linnet_rtcp_recv_stats_t *s) {
    int64_t lost =
        (int64_t)expected(s) - (int64_t)s->received; /* A.3: clamped, not wrapped, to 24 bits */
    if (lost > 0x7FFFFF) return 0x7FFFFF;
    if (lost < -0x800000) return -0x800000;
    return (int32_t)lost;
}

void linnet_rtcp_on_sr(linnet_rtcp_recv_stats_t *s, uint64_t now_us,
                       const linnet_rtcp_item_t *item) {
    if (item->sender != s->ssrc) return;
    s->last_sr = ntp_middle(item->ntp);
    s->last_sr_us = now_us;
}

/* A.3: the fraction lost since the last report; duplicates can make the interval negative, which
 * counts as 0. What raised the highest number was itself received, so the fraction never reaches
 * 256. */
static uint8_t next_fraction(linnet_rtcp_recv_stats_t *s) {
    uint32_t expected_now = expected(s);
    uint32_t expected_interval = expected_now - s->expected_prior;
    uint32_t received_interval = s->received - s->received_prior;
    s->expected_prior = expected_now;
    s->received_prior = s->received;
    if (expected_interval == 0 || received_interval >= expected_interval) return 0;
    return (uint8_t)(((uint64_t)(expected_interval - received_interval) << 8) / expected_interval);
}

/* --- building --- */

static void put_header(wire_out_t *out, size_t count, uint8_t type, size_t body) {
    wire_put_u8(out, (uint8_t)(RTCP_VERSION << 6 | count));
    wire_put_u8(out, type);
    wire_put_u16(out, (uint16_t)(body / 4));
}

static void put_block(wire_out_t *out, linnet_rtcp_recv_stats_t *s, uint64_t now_us) {
    uint64_t delay = s->last_sr ? ((now_us - s->last_sr_us) << NTP_SHIFT) / 1000000 : 0;
    s->fraction_lost = next_fraction(s);
    wire_put_u32(out, s->ssrc);
    wire_put_u8(out, s->fraction_lost);
    wire_put_u24(out, (uint32_t)linnet_rtcp_lost(s) & 0xFFFFFF);
    wire_put_u32(out, s->max_sequence);
    wire_put_u32(out, s->jitter_q4 >> 4);
    wire_put_u32(out, s->last_sr);
    wire_put_u32(out, delay > UINT32_MAX ? UINT32_MAX : (uint32_t)delay);
}

/* 6.4.1: the RTP timestamp of the report's own instant, not of the last packet. */
static void put_sender_info(wire_out_t *out, const linnet_rtcp_compound_t *c, uint64_t now_us) {
    const linnet_rtcp_send_stats_t *s = c->send;
    uint64_t since = now_us - s->last_us;
    uint64_t ticks = since / 1000000 * s->clock_hz + since % 1000000 * s->clock_hz / 1000000;
    wire_put_u64(out, ntp_time(now_us, c->ntp_epoch_us));
    wire_put_u32(out, s->last_timestamp + (uint32_t)ticks);
    wire_put_u32(out, s->packets);
    wire_put_u32(out, s->octets);
}

/* Bytes of an SDES chunk with one CNAME: SSRC, type, length, name, the zeros that end it (6.5). */
static size_t cname_chunk(size_t cname_len) {
    size_t items = 2 + cname_len + 1;
    return 4 + items + wire_pad4(items);
}

static void put_cname(wire_out_t *out, const linnet_rtcp_compound_t *c) {
    put_header(out, 1, SDES, cname_chunk(c->cname.len));
    wire_put_u32(out, c->ssrc);
    wire_put_u8(out, SDES_CNAME);
    wire_put_u8(out, (uint8_t)c->cname.len);
    wire_put(out, c->cname.data, c->cname.len);
    wire_put_zero(out, cname_chunk(c->cname.len) - 6 - c->cname.len);
}

int linnet_rtcp_build(const linnet_rtcp_compound_t *c, uint64_t now_us, uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    int is_sr = c->send && c->send->packets > 0;
    size_t blocks = 0, first;
    if (c->n_recv > BLOCKS_MAX || c->cname.len == 0 || c->cname.len > 255) return LINNET_ERR_ARG;
    if (is_sr && c->send->ssrc != c->ssrc) return LINNET_ERR_ARG;
    for (size_t i = 0; i < c->n_recv; i++) blocks += c->recv[i]->is_started;
    first = 4 + (size_t)(is_sr ? SENDER_INFO : 0) + BLOCK * blocks;
    if (HEADER + first + HEADER + cname_chunk(c->cname.len) + (size_t)(c->bye ? HEADER + 4 : 0) >
        cap)
        return LINNET_ERR_SPACE; /* before any loss interval is closed */
    put_header(&out, blocks, is_sr ? SR : RR, first);
    wire_put_u32(&out, c->ssrc);
    if (is_sr) put_sender_info(&out, c, now_us);
    for (size_t i = 0; i < c->n_recv; i++)
        if (c->recv[i]->is_started) put_block(&out, c->recv[i], now_us);
    put_cname(&out, c);
    if (c->bye) {
        put_header(&out, 1, BYE, 4);
        wire_put_u32(&out, c->ssrc);
    }
    return wire_out_ok(&out) ? (int)out.pos : LINNET_ERR_SPACE;
}

/* --- when --- */

void linnet_rtcp_timer_init(linnet_rtcp_timer_t *t) {
    t->due_us = UINT64_MAX;
}

void linnet_rtcp_timer_start(linnet_rtcp_timer_t *t, uint64_t now_us) {
    if (t->due_us == UINT64_MAX) t->due_us = now_us + LINNET_RTCP_FIRST_MS * UINT64_C(1000);
}

uint64_t linnet_rtcp_timer_deadline(const linnet_rtcp_timer_t *t) {
    return t->due_us;
}

int linnet_rtcp_timer_poll(linnet_rtcp_timer_t *t, uint64_t now_us, uint32_t random) {
    uint64_t interval = LINNET_RTCP_INTERVAL_MS * UINT64_C(1000);
    if (now_us < t->due_us) return 0;
    t->due_us = now_us + interval / 2 + ((interval * random) >> 32);
    return 1;
}

/* --- retransmission history --- */

_Static_assert(LINNET_RTX_BYTES >= 2 * LINNET_RTX_PACKET_MAX && LINNET_RTX_BYTES <= 65535,
               "offsets have 16 bits");
_Static_assert((LINNET_RTX_PACKETS & (LINNET_RTX_PACKETS - 1)) == 0,
               "sequence numbers wrap at 65536: the slots must divide it");

void linnet_rtx_init(linnet_rtx_ring_t *ring) {
    memset(ring, 0, sizeof *ring);
}

int linnet_rtx_put(linnet_rtx_ring_t *ring, uint16_t sequence, const uint8_t *packet, size_t len) {
    linnet_rtx_slot_t *slot = &ring->slot[sequence % LINNET_RTX_PACKETS];
    size_t at = ring->end;
    slot->len = 0;
    if (len > LINNET_RTX_PACKET_MAX) {
        ring->too_large++;
        return LINNET_ERR_LIMIT;
    }
    if (len > sizeof ring->bytes - at) at = 0;
    for (size_t i = 0; i < LINNET_RTX_PACKETS; i++) {
        linnet_rtx_slot_t *old = &ring->slot[i];
        if (old->at < at + len && at < (size_t)old->at + old->len) old->len = 0;
    }
    slot->sequence = sequence;
    slot->at = (uint16_t)at;
    slot->len = (uint16_t)len;
    slot->resent_us = NEVER;
    if (len) memcpy(ring->bytes + at, packet, len);
    ring->end = (uint16_t)(at + len);
    ring->stored++;
    return 0;
}

int linnet_rtx_peek(const linnet_rtx_ring_t *ring, uint16_t sequence, const uint8_t **packet) {
    const linnet_rtx_slot_t *slot = &ring->slot[sequence % LINNET_RTX_PACKETS];
    if (slot->len == 0 || slot->sequence != sequence) return 0;
    *packet = ring->bytes + slot->at;
    return slot->len;
}

int linnet_rtx_get(linnet_rtx_ring_t *ring, uint64_t now_us, uint64_t min_gap_us, uint16_t sequence,
                   const uint8_t **packet) {
    linnet_rtx_slot_t *slot = &ring->slot[sequence % LINNET_RTX_PACKETS];
    if (slot->len == 0 || slot->sequence != sequence) {
        ring->missed++;
        return 0;
    }
    if (slot->resent_us != NEVER && now_us - slot->resent_us < min_gap_us) {
        ring->refused++;
        return 0;
    }
    slot->resent_us = now_us;
    ring->resent++;
    *packet = ring->bytes + slot->at;
    return slot->len;
}
