/* The SCTP association: states, timers, and what the next packet carries (RFC 9260 4, 5, 6.3, 8,
 * 9).
 *
 * State changes are rows of TRANSITIONS and nothing else. Timers are absolute times looked at by
 * poll; deadline is the earliest. Differences from RFC 9260, deliberate: RTO from 0.4 s up
 * instead of 1 s, and backed off to rto_max (1 s) at most instead of 60 s, so that data flows
 * soon after an outage; the back-off ends with the first new acknowledgement; a silent peer is
 * given up after max_retrans tries (300), since ICE consent ends sooner. Invariant: after
 * `is_over` nothing leaves but one ABORT or SHUTDOWN COMPLETE and answers to strays. */
#include "sctp_internal.h"

/* --- states --- */

#define ANY 0xff

typedef struct {
    uint8_t state, cause, next;
} transition_t;

static const transition_t TRANSITIONS[] = {
    {LINNET_SCTP_CLOSED, ON_CONNECT, LINNET_SCTP_COOKIE_WAIT},
    {LINNET_SCTP_CLOSED, ON_COOKIE_ECHO, LINNET_SCTP_ESTABLISHED},
    {LINNET_SCTP_COOKIE_WAIT, ON_INIT_ACK, LINNET_SCTP_COOKIE_ECHOED},
    {LINNET_SCTP_COOKIE_WAIT, ON_COOKIE_ECHO, LINNET_SCTP_ESTABLISHED},
    {LINNET_SCTP_COOKIE_ECHOED, ON_COOKIE_ECHO, LINNET_SCTP_ESTABLISHED},
    {LINNET_SCTP_COOKIE_ECHOED, ON_COOKIE_ACK, LINNET_SCTP_ESTABLISHED},
    {LINNET_SCTP_COOKIE_ECHOED, ON_STALE_COOKIE, LINNET_SCTP_COOKIE_WAIT},
    {LINNET_SCTP_ESTABLISHED, ON_SHUTDOWN_CALL, LINNET_SCTP_SHUTDOWN_PENDING},
    {LINNET_SCTP_ESTABLISHED, ON_SHUTDOWN, LINNET_SCTP_SHUTDOWN_RECEIVED},
    {LINNET_SCTP_SHUTDOWN_PENDING, ON_SHUTDOWN, LINNET_SCTP_SHUTDOWN_RECEIVED},
    {LINNET_SCTP_SHUTDOWN_PENDING, ON_DRAINED, LINNET_SCTP_SHUTDOWN_SENT},
    {LINNET_SCTP_SHUTDOWN_RECEIVED, ON_DRAINED, LINNET_SCTP_SHUTDOWN_ACK_SENT},
    {LINNET_SCTP_SHUTDOWN_SENT, ON_SHUTDOWN, LINNET_SCTP_SHUTDOWN_ACK_SENT},
    {LINNET_SCTP_SHUTDOWN_SENT, ON_SHUTDOWN_ACK, LINNET_SCTP_CLOSED},
    {LINNET_SCTP_SHUTDOWN_ACK_SENT, ON_SHUTDOWN_ACK, LINNET_SCTP_CLOSED},
    {LINNET_SCTP_SHUTDOWN_ACK_SENT, ON_SHUTDOWN_COMPLETE, LINNET_SCTP_CLOSED},
    {ANY, ON_END, LINNET_SCTP_CLOSED},
    {ANY, ON_LOST, LINNET_SCTP_LOST},
};

int linnet_sctp_move(linnet_sctp_t *s, sctp_cause_t cause) {
    size_t i;
    for (i = 0; i < sizeof(TRANSITIONS) / sizeof(TRANSITIONS[0]); i++) {
        const transition_t *t = &TRANSITIONS[i];
        if (t->cause == cause && (t->state == s->state || t->state == ANY)) {
            s->state = t->next;
            return 1;
        }
    }
    return 0;
}

void linnet_sctp_raise(linnet_sctp_t *s, int event) {
    s->events = (uint8_t)(s->events | 1u << event);
}

/* The end of the association; what was received whole can still be read. */
void linnet_sctp_end(linnet_sctp_t *s, sctp_cause_t cause, int event) {
    if (s->is_over || !linnet_sctp_move(s, cause)) return;
    s->is_over = 1;
    s->flags &= DUE_ABORT;
    s->t1 = s->t2 = s->t3 = s->t_sack = s->t_heartbeat = s->t_reconfig = NEVER;
    linnet_sctp_send_clear(s);
    if (event != LINNET_SCTP_EVENT_NONE) linnet_sctp_raise(s, event);
}

/* The peer broke the protocol beyond repair, or we cannot serve it. */
void linnet_sctp_fail(linnet_sctp_t *s, uint16_t error_cause) {
    if (s->is_over) return;
    s->abort_cause = error_cause;
    s->flags |= DUE_ABORT;
    linnet_sctp_end(s, ON_END, LINNET_SCTP_EVENT_ABORTED);
}

void linnet_sctp_established(linnet_sctp_t *s, uint64_t now) {
    s->t1 = NEVER;
    s->errors = 0;
    s->flags &= ~(uint32_t)(DUE_INIT | DUE_COOKIE_ECHO);
    s->t3_us = s->rto_us;
    linnet_sctp_arm_t3(s, now);
    if (s->packets_unacked) s->flags |= DUE_SACK; /* data overtook the COOKIE ACK */
    linnet_sctp_rearm_heartbeat(s, now);
    linnet_sctp_raise(s, LINNET_SCTP_EVENT_UP);
}

/* --- small parts --- */

/* splitmix64: heartbeat nonces and jitter need no secrecy under DTLS. */
uint64_t linnet_sctp_prng(linnet_sctp_t *s) {
    uint64_t z;
    s->prng += 0x9e3779b97f4a7c15u;
    z = s->prng;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

linnet_sctp_stream_t *linnet_sctp_find_stream(linnet_sctp_stream_t *table, uint16_t id,
                                              int create) {
    linnet_sctp_stream_t *vacant = NULL;
    size_t i;
    for (i = 0; i < LINNET_SCTP_STREAM_SLOTS; i++) {
        if (table[i].in_use && table[i].id == id) return &table[i];
        if (!table[i].in_use && !vacant) vacant = &table[i];
    }
    if (!create || !vacant) return NULL;
    memset(vacant, 0, sizeof(*vacant));
    vacant->in_use = 1;
    vacant->id = id;
    return vacant;
}

/* RFC 9260 6.3.1, in integers. */
void linnet_sctp_measured(linnet_sctp_t *s, uint64_t rtt) {
    uint32_t r = rtt > RTO_CEILING_US ? RTO_CEILING_US : (uint32_t)rtt;
    if (s->srtt_us == 0) {
        s->srtt_us = max_u32(r, 1);
        s->rttvar_us = r / 2;
    } else {
        uint32_t off = r > s->srtt_us ? r - s->srtt_us : s->srtt_us - r;
        s->rttvar_us += off / 4 - s->rttvar_us / 4;
        s->srtt_us = max_u32(s->srtt_us - s->srtt_us / 8 + r / 8, 1);
    }
    s->rto_us = min_u32(max_u32(s->srtt_us + 4 * s->rttvar_us, RTO_MIN_US), RTO_CEILING_US);
}

/* RFC 9260 6.3.3 E2, with our own bound; never below what the path was measured to need. */
uint32_t linnet_sctp_back_off(const linnet_sctp_t *s, uint32_t timeout_us) {
    return min_u32(timeout_us * 2, max_u32(s->rto_max_us, s->rto_us));
}

/* RFC 9260 8.1: the error counter of the association. */
void linnet_sctp_count_error(linnet_sctp_t *s) {
    if (++s->errors > s->max_retrans) linnet_sctp_end(s, ON_LOST, LINNET_SCTP_EVENT_LOST);
}

/* RFC 9260 8.3: idle paths only, every HB.interval + RTO, give or take half an RTO. */
void linnet_sctp_rearm_heartbeat(linnet_sctp_t *s, uint64_t now) {
    if (!is_up(s)) return;
    if (now - s->heartbeat_sent_us > RTO_CEILING_US) s->heartbeat_nonce = 0;
    s->t_heartbeat = now + HEARTBEAT_US + s->rto_us / 2 + linnet_sctp_prng(s) % s->rto_us;
}

/* RFC 9260 9.2: SHUTDOWN leaves when nothing of ours is outstanding; the answer to one likewise. */
void linnet_sctp_check_drained(linnet_sctp_t *s, uint64_t now) {
    if (s->state != LINNET_SCTP_SHUTDOWN_PENDING && s->state != LINNET_SCTP_SHUTDOWN_RECEIVED)
        return;
    if (s->n_sent || s->n_unsent || !linnet_sctp_move(s, ON_DRAINED)) return;
    s->flags |= s->state == LINNET_SCTP_SHUTDOWN_SENT ? DUE_SHUTDOWN : DUE_SHUTDOWN_ACK;
    s->t3 = NEVER;
    s->t2_us = s->rto_us;
    s->t2 = now + s->t2_us;
}

/* --- life --- */

static uint16_t mtu_or_default(uint16_t mtu) {
    return mtu ? mtu : 1150;
}

static uint32_t message_or_default(uint32_t max_message) {
    return max_message ? max_message : 65536;
}

size_t linnet_sctp_send_mem(uint32_t max_message, uint16_t mtu) {
    size_t fragment = (mtu_or_default(mtu) - (size_t)(HEADER_LEN + DATA_HEADER_LEN)) & ~(size_t)3;
    size_t n = (message_or_default(max_message) + fragment - 1) / fragment;
    return n * ((fragment + sizeof(sctp_record_t) + 7) & ~(size_t)7) + 8; /* + alignment */
}

/* A message in fragments of 512 bytes or more fits, beside the packet that completes another. */
size_t linnet_sctp_recv_mem(uint32_t max_message, uint16_t mtu) {
    size_t message = message_or_default(max_message);
    return message + message / 6 + 2 * (size_t)mtu_or_default(mtu) + 8 * BLOCK_LEN;
}

static void start_values(linnet_sctp_t *s) {
    s->t1 = s->t2 = s->t3 = s->t_sack = s->t_heartbeat = s->t_reconfig = NEVER;
    s->rto_us = min_u32(RTO_INITIAL_US, s->rto_max_us);
    s->my_request = s->my_first_tsn;
    linnet_sctp_send_init(s);
    linnet_sctp_recv_init(s);
}

int linnet_sctp_init(linnet_sctp_t *s, const linnet_sctp_config_t *config, linnet_rng_t *rng) {
    uint16_t mtu;
    if (!s || !config || !rng || !config->send_mem || !config->recv_mem) return LINNET_ERR_ARG;
    mtu = mtu_or_default(config->mtu);
    if (mtu < MTU_MIN || config->rto_max_ms > 600000) return LINNET_ERR_ARG;
    if (message_or_default(config->max_message) > 16u * 1024 * 1024) return LINNET_ERR_ARG;
    if (config->send_len < linnet_sctp_send_mem(1, mtu)) return LINNET_ERR_ARG;
    if (config->recv_len < linnet_sctp_recv_mem(config->max_message, mtu)) return LINNET_ERR_ARG;
    memset(s, 0, sizeof(*s));
    s->port = config->port ? config->port : 5000;
    s->mtu = (uint16_t)(mtu & ~3u);
    s->max_message = message_or_default(config->max_message);
    s->peer_max_message = s->max_message;
    s->rto_max_us = (config->rto_max_ms ? max_u32(config->rto_max_ms, 400) : 1000) * MS;
    s->max_retrans = config->max_retrans ? config->max_retrans : 300;
    s->send_mem = config->send_mem + (8 - ((uintptr_t)config->send_mem & 7)) % 8;
    s->send_len =
        (uint32_t)((config->send_len > UINT32_MAX / 2 ? UINT32_MAX / 2 : config->send_len) - 8) &
        ~7u;
    s->recv_mem = config->recv_mem + (8 - ((uintptr_t)config->recv_mem & 7)) % 8;
    s->n_blocks = (uint16_t)((config->recv_len - 8) / BLOCK_LEN > NO_BLOCK - 1
                                 ? NO_BLOCK - 1
                                 : (config->recv_len - 8) / BLOCK_LEN);
    linnet_random(rng, s->secret, sizeof(s->secret));
    linnet_random(rng, (uint8_t *)&s->prng, sizeof(s->prng));
    do {
        s->my_tag = linnet_random_u32(rng);
    } while (s->my_tag == 0); /* RFC 9260 3.3.2: never 0 */
    s->my_first_tsn = linnet_random_u32(rng);
    start_values(s);
    return 0;
}

int linnet_sctp_connect(linnet_sctp_t *s, uint64_t now_us) {
    if (s->is_over) return LINNET_ERR_CLOSED;
    /* the peer was quicker */
    if (s->state != LINNET_SCTP_CLOSED) return is_up(s) ? 0 : LINNET_ERR_STATE;
    linnet_sctp_move(s, ON_CONNECT);
    s->flags |= DUE_INIT;
    s->t1_us = s->rto_us;
    s->t1 = now_us + s->t1_us;
    return 0;
}

int linnet_sctp_shutdown(linnet_sctp_t *s, uint64_t now_us) {
    if (s->is_over) return LINNET_ERR_CLOSED;
    if (!is_up(s)) return linnet_sctp_abort(s, now_us); /* nothing has been agreed yet */
    linnet_sctp_move(s, ON_SHUTDOWN_CALL);
    linnet_sctp_check_drained(s, now_us);
    return 0;
}

int linnet_sctp_abort(linnet_sctp_t *s, uint64_t now_us) {
    (void)now_us;
    if (s->is_over) return LINNET_ERR_CLOSED;
    if (s->peer_tag) { /* else there is nobody to tell */
        s->abort_cause = CAUSE_USER_ABORT;
        s->flags |= DUE_ABORT;
    }
    linnet_sctp_end(s, ON_END, LINNET_SCTP_EVENT_CLOSED);
    return 0;
}

int linnet_sctp_state(const linnet_sctp_t *s) {
    return s->state;
}

size_t linnet_sctp_buffered(const linnet_sctp_t *s) {
    return s->buffered;
}

void linnet_sctp_set_peer_max_message(linnet_sctp_t *s, uint32_t max_message) {
    s->peer_max_message = max_message ? max_message : UINT32_MAX;
}

int linnet_sctp_event(linnet_sctp_t *s, uint16_t *stream) {
    static const uint8_t ORDER[] = {LINNET_SCTP_EVENT_UP, LINNET_SCTP_EVENT_RESTARTED,
                                    LINNET_SCTP_EVENT_CLOSED, LINNET_SCTP_EVENT_ABORTED,
                                    LINNET_SCTP_EVENT_LOST};
    size_t i;
    *stream = 0;
    if (linnet_sctp_take_reset(s, stream)) return LINNET_SCTP_EVENT_PEER_RESET;
    if (linnet_sctp_take_reset_done(s, stream)) return LINNET_SCTP_EVENT_RESET_DONE;
    if (!s->events) return LINNET_SCTP_EVENT_NONE;
    for (i = 0; i < sizeof(ORDER); i++) {
        if (!(s->events >> ORDER[i] & 1)) continue;
        if (ORDER[i] == LINNET_SCTP_EVENT_CLOSED && linnet_sctp_readable(s)) continue;
        s->events = (uint8_t)(s->events & ~(1u << ORDER[i]));
        return ORDER[i];
    }
    return LINNET_SCTP_EVENT_NONE;
}

/* --- timers --- */

static void t1_expired(linnet_sctp_t *s, uint64_t now) {
    s->counters.t1_expired++;
    linnet_sctp_count_error(s);
    if (s->is_over) return;
    s->t1_us = linnet_sctp_back_off(s, s->t1_us);
    s->t1 = now + s->t1_us;
    if (s->state == LINNET_SCTP_COOKIE_WAIT) {
        s->flags |= DUE_INIT;
    } else { /* the data that went with the COOKIE ECHO goes with it again */
        s->flags |= DUE_COOKIE_ECHO;
        linnet_sctp_all_again(s);
    }
}

static void t2_expired(linnet_sctp_t *s, uint64_t now) {
    s->counters.t2_expired++;
    linnet_sctp_count_error(s);
    if (s->is_over) return;
    s->t2_us = linnet_sctp_back_off(s, s->t2_us);
    s->t2 = now + s->t2_us;
    s->flags |= s->state == LINNET_SCTP_SHUTDOWN_SENT ? DUE_SHUTDOWN : DUE_SHUTDOWN_ACK;
}

/* A HEARTBEAT carries its own time: so the path can be measured even where every DATA chunk is
 * sent twice because the timer is too short for it, and RFC 9260 6.3.1 C5 leaves no other
 * sample. */
void linnet_sctp_ask_time(linnet_sctp_t *s, uint64_t now) {
    /* one is on its way */
    if (s->heartbeat_nonce && now - s->heartbeat_sent_us <= RTO_CEILING_US) return;
    s->heartbeat_nonce = linnet_sctp_prng(s) | 1;
    s->heartbeat_sent_us = now;
    s->flags |= DUE_HEARTBEAT;
}

static void heartbeat_expired(linnet_sctp_t *s, uint64_t now) {
    /* the last one had no answer: ask again at the pace of a retransmission */
    if (s->heartbeat_nonce) {
        s->counters.heartbeats_lost++;
        linnet_sctp_count_error(s);
        if (s->is_over) return;
    }
    s->heartbeat_nonce = 0;
    linnet_sctp_ask_time(s, now);
    s->t_heartbeat = now + linnet_sctp_back_off(s, s->rto_us);
}

static void reconfig_expired(linnet_sctp_t *s, uint64_t now) {
    linnet_sctp_count_error(s);
    if (s->is_over) return;
    s->reconfig_us = linnet_sctp_back_off(s, s->reconfig_us);
    s->t_reconfig = now + s->reconfig_us;
    s->flags |= DUE_RESET_REQUEST;
}

static void run_timers(linnet_sctp_t *s, uint64_t now) {
    if (now >= s->t1) t1_expired(s, now);
    if (now >= s->t2) t2_expired(s, now);
    if (now >= s->t3) linnet_sctp_t3_expired(s, now);
    if (now >= s->t_reconfig) reconfig_expired(s, now);
    if (now >= s->t_heartbeat) heartbeat_expired(s, now);
    if (now >= s->t_sack) {
        s->t_sack = NEVER;
        s->flags |= DUE_SACK;
    }
}

uint64_t linnet_sctp_deadline(const linnet_sctp_t *s) {
    const uint64_t all[] = {s->t1, s->t2, s->t3, s->t_sack, s->t_heartbeat, s->t_reconfig};
    uint64_t first = NEVER;
    size_t i;
    if (s->reply_len || (s->flags & DUE_ABORT) || (is_up(s) && (s->flags & DUE_SACK))) return 0;
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] < first) first = all[i];
    }
    return first;
}

void linnet_sctp_path_restored(linnet_sctp_t *s, uint64_t now_us) {
    uint64_t *const running[] = {&s->t1, &s->t2, &s->t3, &s->t_reconfig};
    size_t i;
    if (s->is_over) return;
    s->errors = 0;
    /* doubled when the timer fires now */
    s->t1_us = s->t2_us = s->t3_us = s->reconfig_us = s->rto_us / 2;
    for (i = 0; i < sizeof(running) / sizeof(running[0]); i++) {
        if (*running[i] != NEVER) *running[i] = now_us;
    }
    if (s->heartbeat_nonce) s->t_heartbeat = now_us;
}

/* --- poll --- */

static int finish(linnet_sctp_t *s, uint8_t *buf, size_t len) {
    linnet_sctp_seal(buf, len);
    s->counters.packets_out++;
    s->counters.bytes_out += (uint32_t)len;
    return (int)len;
}

static int poll_reply(linnet_sctp_t *s, uint8_t *buf) {
    int len = s->reply_len;
    memcpy(buf, s->reply, s->reply_len);
    s->reply_len = 0;
    s->is_reply_alone = 0;
    return finish(s, buf, (size_t)len);
}

static int poll_abort(linnet_sctp_t *s, uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    s->flags &= ~(uint32_t)DUE_ABORT;
    linnet_sctp_put_header(&out, s->port, s->peer_tag);
    linnet_sctp_put_cause(&out, CHUNK_ABORT, 0, s->abort_cause);
    return finish(s, buf, out.pos);
}

static int poll_handshake(linnet_sctp_t *s, uint64_t now, uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    if (s->flags & DUE_INIT) {
        s->flags &= ~(uint32_t)DUE_INIT;
        linnet_sctp_put_header(&out, s->port, 0); /* RFC 9260 8.5.1 A */
        linnet_sctp_put_init(s, &out);
        return finish(s, buf, out.pos);
    }
    if (!(s->flags & DUE_COOKIE_ECHO)) return 0;
    s->flags &= ~(uint32_t)DUE_COOKIE_ECHO;
    linnet_sctp_put_header(&out, s->port, s->peer_tag);
    linnet_sctp_put_cookie_echo(s, &out);
    /* RFC 9260 5.1 C: data may ride along, only in this packet */
    linnet_sctp_put_data(s, now, &out);
    return finish(s, buf, out.pos);
}

static void put_heartbeat(linnet_sctp_t *s, wire_out_t *out) {
    linnet_sctp_put_chunk(out, CHUNK_HEARTBEAT, 0, 4 + 16);
    wire_put_u16(out, PARAM_HEARTBEAT);
    wire_put_u16(out, 4 + 16);
    wire_put_u64(out, s->heartbeat_nonce);
    wire_put_u64(out, s->heartbeat_sent_us);
}

/* Everything but DATA and SACK that an established association owes. */
static void put_control(linnet_sctp_t *s, uint64_t now, wire_out_t *out) {
    if (s->flags & DUE_FORWARD) {
        s->flags &= ~(uint32_t)DUE_FORWARD;
        linnet_sctp_put_forward_tsn(s, out);
    }
    linnet_sctp_put_reset(s, now, out);
    if (s->flags & DUE_HEARTBEAT) {
        s->flags &= ~(uint32_t)DUE_HEARTBEAT;
        put_heartbeat(s, out);
    }
    if (s->flags & DUE_SHUTDOWN) {
        s->flags &= ~(uint32_t)DUE_SHUTDOWN;
        linnet_sctp_put_chunk(out, CHUNK_SHUTDOWN, 0, 4);
        wire_put_u32(out, s->cum);
    }
    if (s->flags & DUE_SHUTDOWN_ACK) {
        s->flags &= ~(uint32_t)DUE_SHUTDOWN_ACK;
        linnet_sctp_put_chunk(out, CHUNK_SHUTDOWN_ACK, 0, 0);
    }
}

static int poll_up(linnet_sctp_t *s, uint64_t now, uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    size_t before_sack, after_sack;
    linnet_sctp_put_header(&out, s->port, s->peer_tag);
    if (s->flags & DUE_COOKIE_ACK) {
        s->flags &= ~(uint32_t)DUE_COOKIE_ACK;
        linnet_sctp_put_chunk(&out, CHUNK_COOKIE_ACK, 0, 0);
    }
    before_sack = out.pos;
    if (s->packets_unacked || (s->flags & DUE_SACK)) linnet_sctp_put_sack(s, &out);
    after_sack = out.pos;
    put_control(s, now, &out);
    linnet_sctp_put_data(s, now, &out);
    /* A SACK that is not due yet leaves only in company (RFC 9260 6.1: "SHOULD bundle"). */
    if (out.pos == after_sack && !(s->flags & DUE_SACK)) {
        out.pos = before_sack;
        /* a full fragment has no room for company: it goes alone */
        linnet_sctp_put_data(s, now, &out);
    } else if (after_sack > before_sack) {
        s->flags &= ~(uint32_t)DUE_SACK;
        s->packets_unacked = s->n_duplicates = 0;
        s->t_sack = NEVER;
        s->told_window = linnet_sctp_window(s);
    }
    return out.pos > HEADER_LEN ? finish(s, buf, out.pos) : 0;
}

int linnet_sctp_poll(linnet_sctp_t *s, uint64_t now_us, uint8_t *buf, size_t cap) {
    int n;
    if (cap < s->mtu) {
        s->counters.drop_size++;
        return LINNET_ERR_SPACE;
    }
    run_timers(s, now_us);
    if (s->reply_len) return poll_reply(s, buf);
    if (s->flags & DUE_ABORT) return poll_abort(s, buf, s->mtu);
    if (s->is_over) return 0;
    n = poll_handshake(s, now_us, buf, s->mtu);
    if (n != 0 || !is_up(s)) return n;
    return poll_up(s, now_us, buf, s->mtu);
}
