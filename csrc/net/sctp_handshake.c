/* Opening an SCTP association: INIT, INIT ACK, COOKIE ECHO (RFC 9260 5.1), and every way in which
 * two openings can cross (5.2), since in WebRTC both ends send INIT.
 *
 * The state cookie is ours alone: tags, tie-tags, the peer's INIT and a time, under HMAC-SHA1
 * with a key that never leaves. Known and ignored: addresses, cookie preservative, ECN,
 * adaptation; address families do not exist below DTLS. Invariant: INIT changes nothing in the
 * association; only a cookie that verifies does. */
#include "sctp_internal.h"

/* What an INIT or INIT ACK says. */
typedef struct {
    uint32_t tag, window, first_tsn;
    uint16_t outgoing, incoming;
    uint8_t has_forward, has_reconfig;
    wire_span_t cookie;
    wire_out_t unknown; /* parameters to report, as the two high bits of their type ask */
} hello_t;

/* --- building --- */

static void put_hello(const linnet_sctp_t *s, wire_out_t *out, uint32_t tag, uint32_t first_tsn) {
    wire_put_u32(out, tag);
    wire_put_u32(out, max_u32(linnet_sctp_window(s), PROBE_MIN_WINDOW));
    wire_put_u16(out, OUR_STREAMS);
    wire_put_u16(out, OUR_STREAMS);
    wire_put_u32(out, first_tsn);
    wire_put_u16(out, PARAM_EXTENSIONS);
    wire_put_u16(out, 4 + 2);
    wire_put_u8(out, CHUNK_RECONFIG);
    wire_put_u8(out, CHUNK_FORWARD_TSN);
    wire_put_zero(out, 2);
    wire_put_u16(out, PARAM_FORWARD_TSN);
    wire_put_u16(out, 4);
}

void linnet_sctp_put_init(linnet_sctp_t *s, wire_out_t *out) {
    linnet_sctp_put_chunk(out, CHUNK_INIT, 0, 16 + 8 + 4);
    put_hello(s, out, s->my_tag, s->my_first_tsn);
}

void linnet_sctp_put_cookie_echo(linnet_sctp_t *s, wire_out_t *out) {
    linnet_sctp_put_chunk(out, CHUNK_COOKIE_ECHO, 0, s->cookie_len);
    wire_put(out, s->cookie, s->cookie_len);
    wire_put_zero(out, wire_pad4(s->cookie_len));
    if (s->unknown_len == 0) return;
    /* RFC 9260 3.2.1: what we did not understand of the INIT ACK. */
    linnet_sctp_put_chunk(out, CHUNK_ERROR, 0, 4 + (size_t)s->unknown_len);
    wire_put_u16(out, CAUSE_UNRECOGNIZED_PARAMETERS);
    wire_put_u16(out, (uint16_t)(4 + s->unknown_len));
    wire_put(out, s->unknown, s->unknown_len);
    wire_put_zero(out, wire_pad4(s->unknown_len));
}

/* --- reading --- */

/* 1 = go on, 0 = stop reading parameters (RFC 9260 3.2.1). */
static int read_parameter(hello_t *hello, uint16_t type, wire_span_t whole) {
    wire_in_t body = wire_in(whole.data + 4, whole.len - 4);
    switch (type) {
    case PARAM_COOKIE: hello->cookie = wire_take(&body, body.len); return 1;
    case PARAM_FORWARD_TSN: hello->has_forward = 1; return 1;
    case PARAM_EXTENSIONS:
        while (wire_left(&body)) {
            uint8_t chunk = wire_u8(&body);
            if (chunk == CHUNK_RECONFIG) hello->has_reconfig = 1;
            if (chunk == CHUNK_FORWARD_TSN) hello->has_forward = 1;
        }
        return 1;
    /* addresses, cookie preservative, host name, address types */
    case 5:
    case 6:
    case 9:
    case 11:
    case 12:
    case PARAM_UNRECOGNIZED: /* the peer tells us what it did not know: nothing that we depend on */
        return 1;
    }
    if ((type & 0x4000) &&
        hello->unknown.len - hello->unknown.pos >= whole.len + wire_pad4(whole.len)) {
        wire_put(&hello->unknown, whole.data, whole.len);
        wire_put_zero(&hello->unknown, wire_pad4(whole.len));
    }
    return (type & 0x8000) != 0;
}

static int read_hello(hello_t *hello, wire_in_t *in, uint8_t *unknown, size_t unknown_cap) {
    int go_on = 1;
    memset(hello, 0, sizeof(*hello));
    hello->unknown = wire_out(unknown, unknown_cap);
    hello->tag = wire_u32(in);
    hello->window = wire_u32(in);
    hello->outgoing = wire_u16(in);
    hello->incoming = wire_u16(in);
    hello->first_tsn = wire_u32(in);
    while (go_on && wire_left(in) >= 4) {
        wire_in_t peek = *in;
        uint16_t type = wire_u16(&peek);
        uint16_t len = wire_u16(&peek);
        wire_span_t whole;
        if (len < 4) return LINNET_ERR_PACKET;
        whole = wire_take(in, len);
        if (!wire_ok(in)) return LINNET_ERR_PACKET;
        wire_skip(in, wire_pad4(len) < wire_left(in) ? wire_pad4(len) : wire_left(in));
        go_on = read_parameter(hello, type, whole);
    }
    if (!wire_ok(in) || hello->tag == 0) return LINNET_ERR_PACKET; /* RFC 9260 3.3.2, 3.3.3 */
    if (hello->outgoing == 0 || hello->incoming == 0) return LINNET_ERR_PACKET;
    return 0;
}

/* --- the cookie --- */

typedef struct {
    uint64_t made_us;
    uint32_t my_tag, peer_tag, my_tie, peer_tie, my_first_tsn, peer_first_tsn, peer_window;
    uint16_t peer_streams;
    uint8_t has_forward, has_reconfig;
} cookie_t;

static void sign(const linnet_sctp_t *s, const uint8_t *data, size_t len,
                 uint8_t mac[LINNET_SHA1_LEN]) {
    linnet_hmac_sha1_t h;
    linnet_hmac_sha1_init(&h, s->secret, sizeof(s->secret));
    linnet_hmac_sha1_compute(&h, data, len, NULL, 0, mac);
}

/* COOKIE_LEN bytes: 8 + 7 x 4 + 4 of fields, then the first 16 of the HMAC. */
static void put_cookie(const linnet_sctp_t *s, wire_out_t *out, const cookie_t *c) {
    uint8_t mac[LINNET_SHA1_LEN];
    size_t from = out->pos;
    wire_put_u64(out, c->made_us);
    wire_put_u32(out, c->my_tag);
    wire_put_u32(out, c->peer_tag);
    wire_put_u32(out, c->my_tie);
    wire_put_u32(out, c->peer_tie);
    wire_put_u32(out, c->my_first_tsn);
    wire_put_u32(out, c->peer_first_tsn);
    wire_put_u32(out, c->peer_window);
    wire_put_u16(out, c->peer_streams);
    wire_put_u8(out, c->has_forward);
    wire_put_u8(out, c->has_reconfig);
    if (!wire_out_ok(out)) return;
    sign(s, out->buf + from, out->pos - from, mac);
    wire_put(out, mac, COOKIE_LEN - (out->pos - from));
}

static int read_cookie(const linnet_sctp_t *s, wire_in_t *in, cookie_t *c) {
    uint8_t mac[LINNET_SHA1_LEN];
    const size_t signed_len = 8 + 7 * 4 + 4;
    wire_in_t all = *in;
    wire_span_t bytes = wire_take(&all, signed_len);
    wire_span_t theirs = wire_take(&all, COOKIE_LEN - signed_len);
    if (!wire_ok(&all) || wire_left(&all)) return LINNET_ERR_PACKET;
    sign(s, bytes.data, bytes.len, mac);
    if (!linnet_equal_ct(mac, theirs.data, theirs.len)) return LINNET_ERR_AUTH;
    c->made_us = wire_u64(in);
    c->my_tag = wire_u32(in);
    c->peer_tag = wire_u32(in);
    c->my_tie = wire_u32(in);
    c->peer_tie = wire_u32(in);
    c->my_first_tsn = wire_u32(in);
    c->peer_first_tsn = wire_u32(in);
    c->peer_window = wire_u32(in);
    c->peer_streams = wire_u16(in);
    c->has_forward = wire_u8(in);
    c->has_reconfig = wire_u8(in);
    return 0;
}

/* --- acting --- */

static uint32_t random_tag(linnet_rng_t *rng) {
    uint32_t tag;
    do {
        tag = linnet_random_u32(rng);
    } while (tag == 0);
    return tag;
}

/* RFC 9260 5.2.1: while opening, the INIT ACK repeats our INIT. 5.2.2: with an association, it
 * offers a new tag, and the cookie remembers the old ones (tie-tags), by which a restart is
 * recognised. */
int linnet_sctp_on_init(linnet_sctp_t *s, linnet_rng_t *rng, uint64_t now, wire_in_t body) {
    uint8_t unknown[128];
    uint8_t answer[16 + 12 + 4 + COOKIE_LEN + 4 + sizeof(unknown)];
    wire_out_t out = wire_out(answer, sizeof(answer));
    hello_t hello;
    cookie_t cookie;
    wire_span_t span = {answer, 0};
    int n = read_hello(&hello, &body, unknown, sizeof(unknown));
    if (n < 0) return n;
    if (s->is_over) {
        static const wire_span_t NOTHING = {NULL, 0};
        s->counters.drop_state++; /* 8.4: nobody listens here any more */
        linnet_sctp_reply(s, hello.tag, CHUNK_ABORT, 0, NOTHING, 1);
        return 0;
    }
    /* 9.2: the INIT is dropped, our SHUTDOWN ACK repeated */
    if (s->state == LINNET_SCTP_SHUTDOWN_ACK_SENT) {
        s->flags |= DUE_SHUTDOWN_ACK;
        return 0;
    }
    memset(&cookie, 0, sizeof(cookie));
    cookie.made_us = now;
    cookie.my_tag = is_up(s) ? random_tag(rng) : s->my_tag;
    cookie.my_first_tsn = is_up(s) ? linnet_random_u32(rng) : s->my_first_tsn;
    if (s->state != LINNET_SCTP_CLOSED && s->state != LINNET_SCTP_COOKIE_WAIT) {
        cookie.my_tie = s->my_tag;
        cookie.peer_tie = s->peer_tag;
    }
    cookie.peer_tag = hello.tag;
    cookie.peer_first_tsn = hello.first_tsn;
    cookie.peer_window = hello.window;
    cookie.peer_streams = hello.incoming;
    cookie.has_forward = hello.has_forward;
    cookie.has_reconfig = hello.has_reconfig;
    put_hello(s, &out, cookie.my_tag, cookie.my_first_tsn);
    wire_put_u16(&out, PARAM_COOKIE);
    wire_put_u16(&out, 4 + COOKIE_LEN);
    put_cookie(s, &out, &cookie);
    if (hello.unknown.pos) {
        wire_put_u16(&out, PARAM_UNRECOGNIZED);
        wire_put_u16(&out, (uint16_t)(4 + hello.unknown.pos));
        wire_put(&out, unknown, hello.unknown.pos);
    }
    span.len = out.pos;
    if (wire_out_ok(&out)) linnet_sctp_reply(s, hello.tag, CHUNK_INIT_ACK, 0, span, 1);
    return 0;
}

static void take_peer(linnet_sctp_t *s, uint32_t tag, uint32_t first_tsn, uint32_t window,
                      uint16_t streams) {
    s->peer_tag = tag;
    s->peer_window = window;
    s->peer_streams = streams < OUR_STREAMS ? streams : OUR_STREAMS;
    s->last_result = 0;
    s->peer_request = first_tsn; /* RFC 6525 4.1: request numbers begin with the initial TSN */
    linnet_sctp_recv_start(s, first_tsn);
}

int linnet_sctp_on_init_ack(linnet_sctp_t *s, uint64_t now, wire_in_t body) {
    hello_t hello;
    int n;
    if (s->state != LINNET_SCTP_COOKIE_WAIT) { /* 5.2.3 */
        s->counters.drop_state++;
        return 0;
    }
    n = read_hello(&hello, &body, s->unknown, sizeof(s->unknown));
    s->unknown_len = n < 0 ? 0 : (uint8_t)hello.unknown.pos;
    if (n < 0) return n;
    if (hello.cookie.len == 0) return LINNET_ERR_PACKET;
    if (hello.cookie.len > sizeof(s->cookie)) {
        s->counters.drop_cookie++;
        s->peer_tag = hello.tag;
        linnet_sctp_fail(s, CAUSE_NO_RESOURCE);
        return 0;
    }
    take_peer(s, hello.tag, hello.first_tsn, hello.window, hello.incoming);
    s->peer_has_forward = hello.has_forward;
    s->peer_has_reconfig = hello.has_reconfig;
    memcpy(s->cookie, hello.cookie.data, hello.cookie.len);
    s->cookie_len = (uint16_t)hello.cookie.len;
    linnet_sctp_move(s, ON_INIT_ACK);
    s->errors = 0;
    s->flags = (s->flags & ~(uint32_t)DUE_INIT) | DUE_COOKIE_ECHO;
    s->t1_us = s->rto_us;
    s->t1 = now + s->t1_us;
    return 0;
}

static void take_cookie(linnet_sctp_t *s, const cookie_t *c) {
    take_peer(s, c->peer_tag, c->peer_first_tsn, c->peer_window, c->peer_streams);
    s->peer_has_forward = c->has_forward;
    s->peer_has_reconfig = c->has_reconfig;
}

/* RFC 9260 5.2.4.1: the peer lost its association and opens anew. Nothing of the old one is of
 * use to it. */
static void restart(linnet_sctp_t *s, const cookie_t *c, uint64_t now) {
    s->my_tag = c->my_tag;
    s->my_first_tsn = c->my_first_tsn;
    s->my_request = c->my_first_tsn;
    s->flags = 0;
    s->t1 = s->t2 = s->t3 = s->t_sack = s->t_reconfig = NEVER;
    s->is_deferred = 0;
    linnet_sctp_send_clear(s);
    linnet_sctp_send_init(s);
    linnet_sctp_recv_init(s);
    take_cookie(s, c);
    linnet_sctp_rearm_heartbeat(s, now);
    linnet_sctp_raise(s, LINNET_SCTP_EVENT_RESTARTED);
}

/* RFC 9260 5.2.4, table 12. The letters are its rows. 1 = go on with the packet, 0 = drop the
 * rest. */
static int judge_cookie(linnet_sctp_t *s, const cookie_t *c, uint64_t now) {
    int is_mine = c->my_tag == s->my_tag;
    int is_theirs = c->peer_tag == s->peer_tag;
    if (s->state == LINNET_SCTP_CLOSED || s->state == LINNET_SCTP_COOKIE_WAIT) {
        if (!is_mine) return 0;
        take_cookie(s, c);
        linnet_sctp_move(s, ON_COOKIE_ECHO);
        linnet_sctp_established(s, now);
    } else if (is_mine && is_theirs) { /* D */
        if (linnet_sctp_move(s, ON_COOKIE_ECHO)) linnet_sctp_established(s, now);
        /* B: the peer changed its tag between two INITs */
    } else if (is_mine && s->state == LINNET_SCTP_COOKIE_ECHOED) {
        take_cookie(s, c);
        linnet_sctp_all_again(s);
        linnet_sctp_move(s, ON_COOKIE_ECHO);
        linnet_sctp_established(s, now);
        /* A */
    } else if (!is_mine && !is_theirs && c->my_tie == s->my_tag && c->peer_tie == s->peer_tag &&
               is_up(s)) {
        if (s->state != LINNET_SCTP_ESTABLISHED && s->state != LINNET_SCTP_SHUTDOWN_PENDING) {
            s->flags |= s->state == LINNET_SCTP_SHUTDOWN_ACK_SENT ? DUE_SHUTDOWN_ACK : 0u;
            return 0;
        }
        restart(s, c, now);
    } else { /* C and all others: an old cookie */
        return 0;
    }
    s->flags |= DUE_COOKIE_ACK;
    return 1;
}

/* RFC 9260 5.2.6: how much too late, in microseconds. */
static void answer_stale(linnet_sctp_t *s, uint32_t tag, uint64_t late_us) {
    uint8_t bytes[8];
    wire_out_t out = wire_out(bytes, sizeof(bytes));
    wire_span_t span = {bytes, sizeof(bytes)};
    wire_put_u16(&out, CAUSE_STALE_COOKIE);
    wire_put_u16(&out, sizeof(bytes));
    wire_put_u32(&out, late_us > UINT32_MAX ? UINT32_MAX : (uint32_t)late_us);
    s->counters.drop_cookie_stale++;
    linnet_sctp_reply(s, tag, CHUNK_ERROR, 0, span, 0);
}

int linnet_sctp_on_cookie_echo(linnet_sctp_t *s, uint64_t now, uint32_t tag, wire_in_t body) {
    cookie_t c;
    if (s->is_over || read_cookie(s, &body, &c) < 0 || tag != c.my_tag) {
        s->counters.drop_cookie++;
        return 0;
    }
    if (now - c.made_us > COOKIE_LIFE_US && !(c.my_tag == s->my_tag && c.peer_tag == s->peer_tag)) {
        answer_stale(s, c.peer_tag, now - c.made_us - COOKIE_LIFE_US);
        return 0;
    }
    if (!judge_cookie(s, &c, now)) {
        s->counters.drop_cookie++;
        return 0;
    }
    return 1;
}
