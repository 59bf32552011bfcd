/* A session: ICE, DTLS-SRTP, SCTP and media of one peer connection, composed behind linnet.h.
 *
 * This file owns the memory layout, the clock, the demultiplexing of RFC 7983, the order in which layers come up
 * (ICE pair -> DTLS -> SRTP keys and SCTP) and the order in which linnet_poll empties them. Order for every
 * datagram: length, class, source allowed, authenticate, parse, act. Not implemented: more than one peer. */
#include "session.h"

#define TIME_MASK 0x3fffffffu
#define TIME_HALF 0x20000000u

enum { MESSAGE_DEFAULT = 65536, MESSAGE_MAX = 262144, ADDR_LEN = 20, SEED_MIN = 32, ALIGN = 16 };

static size_t align_up(size_t n) {
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* --- configuration and memory --- */

static int read_config(session_config_t *config, const uint8_t *cfg, size_t cfg_len) {
    wire_in_t in = wire_in(cfg, cfg_len);
    uint32_t word[11];
    linnet_media_config_t media;
    size_t i;
    if ((!cfg && cfg_len) || cfg_len % 4) return LINNET_ERR_ARG;
    for (i = 0; i < 11; i++) word[i] = wire_left(&in) ? wire_u32le(&in) : 0;
    if (wire_left(&in)) return LINNET_ERR_ARG;
    memset(config, 0, sizeof *config);
    memset(&media, 0, sizeof media);
    media.rate_hz = word[0];
    media.frame_ms = word[2];
    media.bitrate = word[3];
    media.complexity_plus_1 = word[4];
    media.dtx = (word[5] & CONFIG_DTX) != 0;
    media.fec = (word[5] & CONFIG_FEC) != 0;
    media.playout_delay_ms = word[6];
    media.expected_loss = word[10];
    config->tracks = word[1] ? word[1] : 2;
    config->flags = word[5];
    config->max_message = word[7] ? word[7] : MESSAGE_DEFAULT;
    config->send_buffer = word[8];
    config->recv_buffer = word[9];
    if (config->tracks > LINNET_TRACKS_MAX || config->max_message > MESSAGE_MAX)
        return LINNET_ERR_ARG;
    if (config->send_buffer > 4 * MESSAGE_MAX || config->recv_buffer > 4 * MESSAGE_MAX)
        return LINNET_ERR_ARG;
    if (linnet_media_resolve(&media, &config->media) < 0) return LINNET_ERR_ARG;
    config->rate_hz = config->media.rate_hz;
    return 0;
}

/* The regions behind the struct, in order; *total grows by each. */
typedef struct {
    size_t dtls, sctp_recv, capture, mixer, playback, sctp_send, total;
} layout_t;

static layout_t make_layout(const session_config_t *config) {
    layout_t l;
    l.dtls = align_up(sizeof(linnet_session_t));
    l.sctp_recv = l.dtls + linnet_dtls_size(); /* without a gap: see linnet_session_data_start */
    l.capture = align_up(l.sctp_recv + linnet_session_recv_mem(config));
    l.mixer = l.capture + align_up(linnet_capture_size(&config->media));
    l.playback = l.mixer + align_up(linnet_mixer_size(&config->media));
    l.sctp_send = l.playback + config->tracks * align_up(linnet_playback_size(&config->media));
    l.total = l.sctp_send + align_up(linnet_session_send_mem(config));
    return l;
}

int linnet_session_size(const uint8_t *cfg, size_t cfg_len) {
    session_config_t config;
    if (read_config(&config, cfg, cfg_len) < 0) return LINNET_ERR_ARG;
    return (int)(make_layout(&config).total + ALIGN);
}

linnet_session_t *linnet_session_at(void *mem) {
    uintptr_t at = (uintptr_t)mem;
    return (linnet_session_t *)((at + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
}

static int init_media(linnet_session_t *s, uint8_t *base, const layout_t *l) {
    size_t i, each = align_up(linnet_playback_size(&s->config.media));
    int rc;
    s->capture = (linnet_capture_t *)(void *)(base + l->capture);
    rc = linnet_capture_init(s->capture, l->mixer - l->capture, &s->config.media);
    for (i = 0; rc == 0 && i < s->config.tracks; i++) {
        s->track[i].playback = (linnet_playback_t *)(void *)(base + l->playback + i * each);
        rc = linnet_playback_init(s->track[i].playback, each, &s->config.media);
    }
    s->mixer = (linnet_mixer_t *)(void *)(base + l->mixer);
    if (rc == 0) rc = linnet_mixer_init(s->mixer, &s->config.media);
    if (rc == 0) linnet_session_media_init(s);
    return rc;
}

static void tell_local(linnet_session_t *s) {
    wire_out_t body = linnet_session_event(s);
    const char *ufrag = linnet_ice_ufrag(&s->ice), *pwd = linnet_ice_pwd(&s->ice);
    wire_put(&body, s->identity.fingerprint, 32);
    wire_put_u8(&body, LINNET_ICE_UFRAG_LEN);
    wire_put(&body, ufrag, LINNET_ICE_UFRAG_LEN);
    wire_put_u8(&body, LINNET_ICE_PWD_LEN);
    wire_put(&body, pwd, LINNET_ICE_PWD_LEN);
    linnet_session_event_done(s, LINNET_OUT_LOCAL, &body);
}

int linnet_session_init(void *mem, size_t mem_len, const uint8_t *cfg, size_t cfg_len,
                        const uint8_t *seed, size_t seed_len) {
    linnet_ice_config_t ice;
    session_config_t config;
    linnet_session_t *s;
    layout_t l;
    int rc;
    if (!mem || !seed || seed_len < SEED_MIN || read_config(&config, cfg, cfg_len) < 0)
        return LINNET_ERR_ARG;
    l = make_layout(&config);
    if (mem_len < l.total + ALIGN) return LINNET_ERR_SPACE;
    s = linnet_session_at(mem);
    memset(s, 0, l.total);
    s->config = config;
    s->dtls = (linnet_dtls_t *)(void *)((uint8_t *)s + l.dtls);
    s->sctp_send_mem = (uint8_t *)s + l.sctp_send;
    s->sctp_recv_end = (uint8_t *)s + l.capture;
    rc = linnet_rng_init(&s->rng, seed, seed_len);
    /* The DTLS region is idle until the answer comes: the key generation may use it. */
    if (rc == 0) rc = linnet_identity_make(&s->identity, &s->rng, s->dtls, linnet_dtls_size());
    if (rc == 0) rc = init_media(s, (uint8_t *)s, &l);
    if (rc < 0) return rc;
    memset(&ice, 0, sizeof ice);
    ice.controlling = 1;
    ice.lite = (config.flags & CONFIG_ICE_LITE) != 0;
    linnet_ice_init(&s->ice, &ice, &s->rng);
    linnet_dcep_init(&s->dcep);
    tell_local(s);
    return 0;
}

void linnet_session_wipe(linnet_session_t *s) {
    size_t total;
    if (!s) return;
    total = make_layout(&s->config).total;
    if (s->dtls_ready) linnet_dtls_wipe(s->dtls);
    linnet_wipe(s, total);
    s->is_closed = WIPED;
}

/* --- events --- */

/* A place for the next event; its body is written through the cursor, then linnet_session_event_done. */
wire_out_t linnet_session_event(linnet_session_t *s) {
    size_t at;
    if (s->event_at == s->event_end) s->event_at = s->event_end = 0;
    at = (size_t)s->event_end + EVENT_HEAD;
    return at <= EVENT_BYTES ? wire_out(s->event + at, EVENT_BYTES - at) : wire_out(NULL, 0);
}

void linnet_session_event_done(linnet_session_t *s, int kind, const wire_out_t *body) {
    if (!wire_out_ok(body) || body->pos == 0) {
        s->counts.events_lost++;
        return;
    }
    s->event[s->event_end] = (uint8_t)kind;
    s->event[s->event_end + 1] = (uint8_t)body->pos;
    s->event_end = (uint16_t)(s->event_end + EVENT_HEAD + body->pos);
}

static void tell_state(linnet_session_t *s, int layer, int state, int detail) {
    wire_out_t body;
    if (s->layer[layer] == state) return;
    s->layer[layer] = (uint8_t)state;
    body = linnet_session_event(s);
    wire_put_u8(&body, (uint8_t)layer);
    wire_put_u8(&body, (uint8_t)state);
    wire_put_u16le(&body, (uint16_t)(int16_t)detail);
    linnet_session_event_done(s, LINNET_OUT_STATE, &body);
}

static int ice_state(int state) {
    switch (state) {
    case LINNET_ICE_NEW: return LINNET_STATE_NEW;
    case LINNET_ICE_CHECKING: return LINNET_STATE_CONNECTING;
    case LINNET_ICE_CONNECTED:
    case LINNET_ICE_COMPLETED: return LINNET_STATE_CONNECTED;
    case LINNET_ICE_DISCONNECTED: return LINNET_STATE_DISCONNECTED;
    case LINNET_ICE_FAILED: return LINNET_STATE_FAILED;
    default: return LINNET_STATE_CLOSED;
    }
}

static int dtls_state(int state) {
    switch (state) {
    case LINNET_DTLS_NEW: return LINNET_STATE_NEW;
    case LINNET_DTLS_HANDSHAKE: return LINNET_STATE_CONNECTING;
    case LINNET_DTLS_CONNECTED: return LINNET_STATE_CONNECTED;
    case LINNET_DTLS_FAILED: return LINNET_STATE_FAILED;
    default: return LINNET_STATE_CLOSED;
    }
}

static int sctp_state(int state) {
    switch (state) {
    case LINNET_SCTP_CLOSED: return LINNET_STATE_CLOSED;
    case LINNET_SCTP_COOKIE_WAIT:
    case LINNET_SCTP_COOKIE_ECHOED: return LINNET_STATE_CONNECTING;
    case LINNET_SCTP_ESTABLISHED: return LINNET_STATE_CONNECTED;
    case LINNET_SCTP_LOST: return LINNET_STATE_FAILED;
    default: return LINNET_STATE_CLOSED;
    }
}

static void tell_selected(linnet_session_t *s) {
    linnet_addr_t remote;
    wire_out_t body;
    if (!linnet_ice_selected(&s->ice, &remote)) return;
    if (linnet_addr_equal(&remote, &s->selected) && remote.socket == s->selected.socket) return;
    s->selected = remote;
    body = linnet_session_event(s);
    linnet_addr_write(&body, &remote);
    wire_put_u32le(&body, linnet_ice_rtt_us(&s->ice));
    linnet_session_event_done(s, LINNET_OUT_SELECTED, &body);
}

/* --- bringing the layers up --- */

static void dtls_up(linnet_session_t *s) {
    int rc = linnet_session_media_start(s);
    if (rc < 0) {
        tell_state(s, LINNET_LAYER_DTLS, LINNET_STATE_FAILED, rc);
        return;
    }
    tell_state(s, LINNET_LAYER_DTLS, LINNET_STATE_CONNECTED, 0);
    rc = linnet_session_data_start(s);
    if (rc < 0) tell_state(s, LINNET_LAYER_SCTP, LINNET_STATE_FAILED, rc);
}

static void read_dtls(linnet_session_t *s) {
    int n;
    while ((n = linnet_dtls_read(s->dtls, s->scratch, sizeof s->scratch)) > 0) {
        if (s->sctp_ready) linnet_session_data_input(s, s->scratch, (size_t)n);
    }
}

/* What one input made possible: told in the order the layers stand. */
static void advance(linnet_session_t *s) {
    int state = ice_state(linnet_ice_state(&s->ice)), before = s->layer[LINNET_LAYER_ICE];
    tell_state(s, LINNET_LAYER_ICE, state, 0);
    if (state == LINNET_STATE_CONNECTED && before > LINNET_STATE_CONNECTED && s->sctp_ready) {
        linnet_sctp_path_restored(&s->sctp,
                                  s->now); /* do not wait out a timer that an outage grew */
    }
    tell_selected(s);
    if (!s->dtls_ready) return;
    /* The handshake's clock starts with the first pair that works, whichever role is ours. */
    if (s->selected.family && !s->dtls_started) {
        linnet_dtls_set_rtt(s->dtls, linnet_ice_rtt_us(&s->ice));
        (void)linnet_dtls_start(s->dtls, s->now);
        s->dtls_started = 1;
    }
    state = linnet_dtls_state(s->dtls);
    if (state == LINNET_DTLS_CONNECTED) {
        if (!s->has_media && s->layer[LINNET_LAYER_DTLS] != LINNET_STATE_FAILED) dtls_up(s);
        read_dtls(s);
    } else {
        tell_state(s, LINNET_LAYER_DTLS, dtls_state(state), linnet_dtls_error(s->dtls));
    }
    if (s->sctp_ready) tell_state(s, LINNET_LAYER_SCTP, sctp_state(linnet_sctp_state(&s->sctp)), 0);
}

/* --- input --- */

static int on_stun(linnet_session_t *s, const linnet_addr_t *from, size_t len) {
    int rc = linnet_ice_input(&s->ice, &s->rng, s->now, from, s->scratch, len);
    if (rc < 0) s->counts.dropped_stun++;
    return rc;
}

static int on_dtls(linnet_session_t *s, size_t len) {
    int rc = s->dtls_ready ? linnet_dtls_input(s->dtls, s->now, s->scratch, len) : LINNET_ERR_STATE;
    if (!s->dtls_ready || rc == LINNET_ERR_AGAIN || rc == LINNET_ERR_CLOSED)
        s->counts.dropped_dtls++; /* the rest it counts itself */
    return rc;
}

static int on_media(linnet_session_t *s, size_t len) {
    if (linnet_rtcp_is(s->scratch, len)) {
        linnet_session_rtcp_input(s, s->scratch, len);
    } else {
        linnet_session_rtp_input(s, s->scratch, len);
    }
    return 0;
}

/* RFC 7983 7: the first byte tells the protocol. */
static int on_datagram(linnet_session_t *s, wire_in_t *in) {
    linnet_addr_t from = linnet_addr_read(in);
    size_t len = wire_left(in);
    uint8_t first;
    if (!wire_ok(in) || len == 0 || len > LINNET_DATAGRAM_MAX) {
        s->counts.dropped_unknown++;
        return LINNET_ERR_PACKET;
    }
    s->counts.datagrams_received++;
    s->counts.bytes_received += len;
    memcpy(s->scratch, in->buf + in->pos, len);
    first = s->scratch[0];
    if (first <= 3) return on_stun(s, &from, len);
    if (!linnet_ice_accepts(&s->ice, &from)) {
        s->counts.dropped_source++;
        return LINNET_ERR_PACKET;
    }
    if (first >= 20 && first <= 63) return on_dtls(s, len);
    if (first >= 128 && first <= 191 && s->has_media) return on_media(s, len);
    s->counts.dropped_unknown++;
    return LINNET_ERR_PACKET;
}

static int on_remote(linnet_session_t *s, wire_in_t *in) {
    static const uint16_t gcm_first[2] = {LINNET_SRTP_AEAD_AES_128_GCM,
                                          LINNET_SRTP_AES128_CM_SHA1_80};
    uint8_t controlling = wire_u8(in), lite = wire_u8(in), role = wire_u8(in);
    wire_span_t fingerprint, ufrag, pwd;
    uint32_t max_message;
    int rc;
    wire_skip(in, 1);
    fingerprint = wire_take(in, 32);
    ufrag = wire_take(in, wire_u8(in));
    pwd = wire_take(in, wire_u8(in));
    max_message = wire_left(in) ? wire_u32le(in) : 0;
    if (!wire_ok(in) || role > 1 || !ufrag.len || !pwd.len) return LINNET_ERR_ARG;
    if (!s->dtls_ready) {
        rc = linnet_dtls_init(s->dtls, &s->rng, &s->identity, role, fingerprint.data);
        if (rc == 0 && (s->config.flags & CONFIG_GCM))
            rc = linnet_dtls_set_profiles(s->dtls, gcm_first, 2);
        if (rc < 0) return rc;
        s->dtls_ready = 1;
        s->dtls_role = role;
        linnet_dcep_set_role(&s->dcep,
                             role == LINNET_DTLS_CLIENT ? LINNET_DCEP_EVEN : LINNET_DCEP_ODD);
    }
    linnet_session_peer_limit(s, max_message);
    rc = linnet_ice_set_controlling(&s->ice, controlling);
    if (rc < 0) return rc;
    return linnet_ice_set_remote(&s->ice, (const char *)ufrag.data, ufrag.len,
                                 (const char *)pwd.data, pwd.len, lite);
}

static int on_candidate(linnet_session_t *s, wire_in_t *in, int is_local) {
    linnet_addr_t addr = linnet_addr_read(in);
    uint32_t priority = is_local ? 0 : wire_u32le(in);
    uint8_t type = is_local ? 0 : wire_u8(in);
    if (!wire_ok(in)) return LINNET_ERR_ARG;
    if (is_local) return linnet_ice_add_local(&s->ice, &addr);
    return linnet_ice_add_remote(&s->ice, &addr, priority, type);
}

static int on_volume(linnet_session_t *s, wire_in_t *in) {
    uint16_t gain = wire_u16le(in);
    if (!wire_ok(in)) return LINNET_ERR_ARG;
    linnet_mixer_set_volume(s->mixer, gain);
    return 0;
}

static int on_hold(linnet_session_t *s, wire_in_t *in) {
    uint8_t held = wire_u8(in);
    if (!wire_ok(in) || held > 1) return LINNET_ERR_ARG;
    s->is_held = held;
    return 0;
}

static int on_restart(linnet_session_t *s) {
    linnet_ice_restart(&s->ice, &s->rng);
    tell_local(s);
    return 0;
}

static int on_close(linnet_session_t *s) {
    s->is_closing = CLOSING_MEDIA;
    s->rtp_n = 0;
    return 0;
}

static int dispatch(linnet_session_t *s, int kind, wire_in_t *in) {
    switch (kind) {
    case LINNET_IN_TIME: return 0;
    case LINNET_IN_DATAGRAM: return on_datagram(s, in);
    case LINNET_IN_LOCAL_CANDIDATE: return on_candidate(s, in, 1);
    case LINNET_IN_REMOTE: return on_remote(s, in);
    case LINNET_IN_REMOTE_CANDIDATE: return on_candidate(s, in, 0);
    case LINNET_IN_ICE_RESTART: return on_restart(s);
    case LINNET_IN_PUBLISH: return linnet_session_publish(s, in);
    case LINNET_IN_MUTE: return linnet_session_mute(s, in);
    case LINNET_IN_TRACK: return linnet_session_track(s, in);
    case LINNET_IN_CHANNEL: return linnet_session_channel_open(s, in);
    case LINNET_IN_DATA: return linnet_session_data_send(s, in);
    case LINNET_IN_CLOSE_CHANNEL: return linnet_session_channel_close(s, in);
    case LINNET_IN_CLOSE: return on_close(s);
    case LINNET_IN_VOLUME: return on_volume(s, in);
    case LINNET_IN_HOLD: return on_hold(s, in);
    default: return LINNET_ERR_ARG;
    }
}

/* Widens the border clock. A step back (two threads, a late interrupt) counts as no time at all. */
static void set_time(linnet_session_t *s, uint32_t now) {
    uint32_t step = (now - s->now_border) & TIME_MASK;
    if (!s->has_time) {
        s->has_time = 1;
        s->now = (uint64_t)TIME_MASK + 1 + (now & TIME_MASK);
    } else if (step < TIME_HALF) {
        s->now += step;
    } else {
        return;
    }
    s->now_border = now & TIME_MASK;
}

int linnet_input(linnet_session_t *s, uint32_t now, int kind, const uint8_t *data, size_t len) {
    wire_in_t in = wire_in(data, len);
    int rc;
    if (!s || (!data && len)) return LINNET_ERR_ARG;
    set_time(s, now); /* also of a closed session: its idle deadline must not fall into the past */
    if (s->is_closed || s->is_closing) return LINNET_ERR_CLOSED;
    rc = dispatch(s, kind, &in);
    advance(s);
    return rc;
}

/* --- output --- */

static uint64_t earliest(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static int put_idle(linnet_session_t *s, wire_out_t *out) {
    uint64_t at = linnet_ice_deadline(&s->ice);
    /* What cannot leave is not due: the layers above ICE wait for a pair with consent. */
    if (linnet_ice_can_send(&s->ice)) {
        at = earliest(at, linnet_session_media_deadline(s));
        if (s->dtls_ready) at = earliest(at, linnet_dtls_deadline(s->dtls));
        if (s->sctp_ready) at = earliest(at, linnet_sctp_deadline(&s->sctp));
    }
    if (s->is_closed) at = UINT64_MAX;
    at = earliest(at, s->now + TIME_HALF - 1);
    if (at < s->now) at = s->now;
    wire_put_u32le(out, 4);
    wire_put_u32le(out, (uint32_t)at & TIME_MASK);
    return wire_out_ok(out) ? LINNET_OUT_IDLE : LINNET_ERR_SPACE;
}

static int put_event(linnet_session_t *s, wire_out_t *out) {
    const uint8_t *event = s->event + s->event_at;
    wire_put_u32le(out, event[1]);
    wire_put(out, event + EVENT_HEAD, event[1]);
    if (!wire_out_ok(out)) return LINNET_ERR_SPACE;
    s->event_at = (uint16_t)(s->event_at + EVENT_HEAD + event[1]);
    return event[0];
}

/* Head of a datagram record; the payload was written behind it already. */
static int put_datagram(linnet_session_t *s, uint8_t *buf, const linnet_addr_t *to, int len) {
    wire_out_t head = wire_out(buf, 4 + ADDR_LEN);
    wire_put_u32le(&head, (uint32_t)(ADDR_LEN + len));
    linnet_addr_write(&head, to);
    s->counts.datagrams_sent++;
    s->counts.bytes_sent += (uint64_t)len;
    return LINNET_OUT_DATAGRAM;
}

/* The next datagram that goes over the selected pair, in order of urgency: handshake, media, data. */
static int next_datagram(linnet_session_t *s, uint8_t *buf, size_t cap) {
    int n = 0;
    if (s->dtls_ready) n = linnet_dtls_poll(s->dtls, s->now, buf, cap);
    if (n == 0) n = linnet_session_media_poll(s, buf, cap);
    if (n == 0 && s->sctp_ready) {
        linnet_session_data_flush(s, buf, cap);
        n = linnet_dtls_poll(s->dtls, s->now, buf, cap);
    }
    return n;
}

/* Goodbye in order: RTCP BYE, SCTP ABORT, close_notify; then nothing more. What is in the way of the next one leaves
 * first: the queue of DTLS has little room. */
static int poll_closing(linnet_session_t *s, uint8_t *buf, size_t cap, const linnet_addr_t *to) {
    int n = 0;
    if (s->is_closing == CLOSING_MEDIA) {
        s->is_closing = CLOSING_DATA;
        if (to) n = linnet_session_media_bye(s, buf, cap);
        if (n > 0) return n;
    }
    if (to && s->dtls_ready) n = linnet_dtls_poll(s->dtls, s->now, buf, cap);
    if (n > 0) return n;
    if (s->is_closing == CLOSING_DATA) {
        s->is_closing = CLOSING_DTLS;
        if (s->sctp_ready) {
            (void)linnet_sctp_abort(&s->sctp, s->now);
            linnet_session_data_flush(s, buf, cap);
        }
    }
    if (to && s->dtls_ready) n = linnet_dtls_poll(s->dtls, s->now, buf, cap);
    if (n > 0) return n;
    if (s->is_closing == CLOSING_DTLS && s->dtls_ready) {
        s->is_closing = CLOSING_REST;
        linnet_dtls_close(s->dtls);
        if (to) n = linnet_dtls_poll(s->dtls, s->now, buf, cap);
    }
    if (n > 0) return n;
    linnet_ice_close(&s->ice);
    s->has_media = 0;
    s->is_closed = 1;
    tell_state(s, LINNET_LAYER_ICE, LINNET_STATE_CLOSED, 0);
    return 0;
}

static int poll_datagram(linnet_session_t *s, uint8_t *buf, size_t cap) {
    uint8_t *payload = buf + 4 + ADDR_LEN;
    size_t room = cap - 4 - ADDR_LEN;
    linnet_addr_t to;
    int n, has_pair;
    if (!s->is_closing) {
        n = linnet_ice_poll(&s->ice, &s->rng, s->now, &to, payload, room);
        if (n > 0) return put_datagram(s, buf, &to, n);
    }
    has_pair = linnet_ice_can_send(&s->ice) && linnet_ice_selected(&s->ice, &to);
    if (s->is_closing) {
        n = poll_closing(s, payload, room, has_pair ? &to : NULL);
    } else if (has_pair) {
        n = next_datagram(s, payload, room);
    } else {
        s->rtp_n = 0; /* sound that cannot leave now must not leave later */
        n = 0;
    }
    return n > 0 ? put_datagram(s, buf, &to, n) : n;
}

int linnet_poll_size(linnet_session_t *s) {
    size_t message = 8 + (size_t)s->config.max_message;
    size_t datagram = 4 + ADDR_LEN + LINNET_DATAGRAM_MAX;
    return (int)(message > datagram ? message : datagram);
}

int linnet_poll(linnet_session_t *s, uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    int kind = 0;
    if (!s || !buf) return LINNET_ERR_ARG;
    if (cap < (size_t)linnet_poll_size(s)) return LINNET_ERR_SPACE;
    if (s->event_at != s->event_end) return put_event(s, &out);
    if (!s->is_closed) {
        kind = poll_datagram(s, buf, cap);
        if (kind == 0 && s->sctp_ready && !s->is_closing)
            kind = linnet_session_data_poll(s, buf, cap);
        if (kind == 0) advance(s);
    }
    if (kind) return kind;
    if (s->event_at != s->event_end) return put_event(s, &out);
    return put_idle(s, &out);
}

/* --- statistics --- */

/* With what DTLS counted itself: a record that fails authentication shows only there. */
static uint64_t dropped_dtls(const linnet_session_t *s) {
    linnet_dtls_counts_t c;
    if (!s->dtls_ready) return s->counts.dropped_dtls;
    linnet_dtls_counts(s->dtls, &c);
    return s->counts.dropped_dtls + c.bad_datagram + c.wrong_epoch + c.alert_ignored +
           c.hello_rejected + c.record_rejected + c.not_started;
}

static int session_stats(linnet_session_t *s, wire_out_t *out) {
    const session_counts_t *c = &s->counts;
    const linnet_sctp_counters_t *sctp = &s->sctp.counters;
    const uint64_t words[] = {c->datagrams_received,
                              c->bytes_received,
                              c->datagrams_sent,
                              c->bytes_sent,
                              c->dropped_unknown,
                              c->dropped_source,
                              c->dropped_stun,
                              dropped_dtls(s),
                              c->dropped_srtp_auth,
                              c->dropped_srtp_replay,
                              c->dropped_rtp,
                              c->dropped_rtp_unmapped,
                              c->dropped_rtcp,
                              c->dropped_sctp,
                              c->dropped_data,
                              c->rtp_sent,
                              c->rtp_received,
                              c->rtcp_sent,
                              c->rtcp_received,
                              c->nacks_received,
                              c->retransmitted,
                              linnet_ice_rtt_us(&s->ice),
                              s->send_stats.remote_fraction_lost,
                              s->send_stats.remote_lost > 0 ? (uint64_t)s->send_stats.remote_lost
                                                            : 0,
                              c->data_sent,
                              c->data_received,
                              s->sctp_ready ? linnet_sctp_buffered(&s->sctp) : 0,
                              s->sctp_ready ? sctp->retransmits : 0,
                              (uint64_t)s->publish.level,
                              c->microphone_samples,
                              c->speaker_samples,
                              s->dtls_ready ? linnet_dtls_arena_peak(s->dtls) : 0,
                              c->events_lost};
    size_t i;
    for (i = 0; i < sizeof words / sizeof words[0]; i++) wire_put_u64le(out, words[i]);
    return 0;
}

int linnet_stats(linnet_session_t *s, int which, uint8_t *buf, size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    int rc;
    if (!s || !buf || s->is_closed == WIPED) return LINNET_ERR_ARG;
    rc = which < 0 ? session_stats(s, &out) : linnet_session_media_stats(s, which, &out);
    if (rc < 0) return rc;
    return wire_out_ok(&out) ? (int)out.pos : LINNET_ERR_SPACE;
}
