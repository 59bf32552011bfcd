/* The media half of a session: RTP and RTCP through SRTP (RFC 3550, 3711), the microphone's packets out, the remote
 * tracks in, retransmission on NACK (RFC 4585).
 *
 * Order for every packet from outside: SRTP opens it (integrity, replay), RTP parses it, the SSRC finds its track.
 * An SSRC that no answer named is counted and dropped. Not implemented: several published tracks, RED, RTX. */
#include "session.h"

enum { RTX_MIN_GAP_US = 15000 };
_Static_assert(RTP_PACKET_MAX <= LINNET_RTX_PACKET_MAX && RTP_QUEUE < LINNET_RTX_PACKETS &&
                   (RTP_QUEUE + 1) * RTP_PACKET_MAX <= LINNET_RTX_BYTES,
               "packets that wait to be sent stay in the history");
_Static_assert(RTP_PACKET_MAX <= LINNET_DATAGRAM_MAX, "packets are made in the scratch");

static const uint8_t cname[] = {'l', 'i', 'n', 'n', 'e', 't'};

void linnet_session_media_init(linnet_session_t *s) {
    s->rtcp_ssrc = linnet_random_u32(&s->rng) | 1;
    linnet_rtx_init(&s->rtx);
    linnet_rtcp_timer_init(&s->rtcp_timer);
    linnet_rtcp_send_init(&s->send_stats, 0, 48000);
    s->publish.level = 127;
}

/* --- commands --- */

/* The place in SRTP of a source that has ended. RTCP's own SSRC keeps its index whatever it is equal to. */
static void forget(linnet_session_t *s, uint32_t ssrc) {
    if (s->has_media && ssrc != s->rtcp_ssrc) linnet_srtp_forget(&s->srtp_out, ssrc);
}

/* A source that another one replaced has lost its packet index: to send from it again would use a keystream twice
 * (RFC 3711 9.1). Each new SSRC lies further from the first than those before, so one number tells which are spent. */
static int is_spent(const session_publish_t *p, uint32_t ssrc) {
    return p->first && ssrc - p->first <= p->last - p->first;
}

static void start_source(linnet_session_t *s, uint32_t ssrc) {
    session_publish_t *p = &s->publish;
    if (p->leaving) forget(s, p->leaving); /* nothing could leave since: no BYE for it */
    p->leaving = s->has_media ? p->last : 0;
    if (!p->first) p->first = ssrc;
    p->last = ssrc;
    /* RFC 3550 5.1: random start; below 2^15 so that no peer misjudges the first rollover. */
    p->sequence = (uint16_t)(linnet_random_u32(&s->rng) & 0x7fff);
    p->timestamp_base = linnet_random_u32(&s->rng);
    linnet_rtcp_send_init(&s->send_stats, ssrc, 48000);
}

int linnet_session_publish(linnet_session_t *s, wire_in_t *in) {
    session_publish_t *p = &s->publish;
    uint32_t ssrc = wire_u32le(in);
    uint8_t payload_type = wire_u8(in);
    linnet_rtp_ext_t ext;
    wire_span_t mid;
    ext.audio_level_id = wire_u8(in);
    ext.mid_id = wire_u8(in);
    wire_skip(in, 1);
    mid = wire_take(in, wire_u8(in));
    if (!wire_ok(in) || payload_type > 127 || mid.len > LINNET_MID_MAX) return LINNET_ERR_ARG;
    if (ssrc && ssrc != p->last) {
        if (is_spent(p, ssrc)) return LINNET_ERR_ARG;
        start_source(s, ssrc);
    }
    if (ssrc != p->ssrc) {
        p->has_sent = 0;
        linnet_rtx_init(&s->rtx);
        s->rtp_n = 0;
    }
    p->ssrc = ssrc;
    p->payload_type = payload_type;
    p->ext = ext;
    p->mid_len = (uint8_t)mid.len;
    if (mid.len) memcpy(p->mid, mid.data, mid.len);
    return 0;
}

int linnet_session_mute(linnet_session_t *s, wire_in_t *in) {
    session_publish_t *p = &s->publish;
    uint8_t muted = wire_u8(in);
    if (!wire_ok(in)) return LINNET_ERR_ARG;
    if (p->is_muted && !muted) {
        linnet_capture_reset(s->capture, (uint32_t)(p->muted_samples * 48000 / s->config.rate_hz));
        p->muted_samples = 0;
    }
    if (muted) { /* what was said before must not leave after the mute */
        s->rtp_n = 0;
        s->frame.len = 0;
    }
    p->is_muted = muted != 0;
    return 0;
}

int linnet_session_track(linnet_session_t *s, wire_in_t *in) {
    uint8_t slot = wire_u8(in);
    uint8_t payload_type = wire_u8(in);
    uint16_t gain = wire_u16le(in);
    uint32_t ssrc = wire_u32le(in);
    session_track_t *t;
    if (!wire_ok(in) || slot >= s->config.tracks || payload_type > 127) return LINNET_ERR_ARG;
    t = &s->track[slot];
    t->payload_type = payload_type;
    linnet_playback_set_gain(t->playback, gain ? gain : 4096);
    if (ssrc == t->ssrc) return 0;
    t->ssrc = ssrc;
    t->is_heard = 0;
    linnet_playback_reset(t->playback);
    linnet_rtcp_recv_init(&t->recv, ssrc, 48000);
    return 0;
}

/* --- microphone --- */

/* Protects one encoded frame and puts it into the queue of packets for linnet_poll. */
static void send_frame(linnet_session_t *s, const session_frame_t *frame) {
    session_publish_t *p = &s->publish;
    linnet_rtp_t rtp;
    int n;
    if (s->rtp_n == RTP_QUEUE) {
        s->counts.dropped_rtp++;
        return;
    }
    memset(&rtp, 0, sizeof rtp);
    rtp.payload_type = p->payload_type;
    rtp.marker = (uint8_t)(!p->has_sent || frame->starts_talkspurt);
    rtp.sequence = p->sequence;
    rtp.timestamp = p->timestamp_base + frame->timestamp;
    rtp.ssrc = p->ssrc;
    rtp.audio_level = (int8_t)frame->level;
    rtp.voice = frame->voice;
    rtp.mid.data = p->mid;
    rtp.mid.len = p->mid_len;
    rtp.payload.data = frame->opus;
    rtp.payload.len = frame->len;
    n = linnet_rtp_write(&rtp, &p->ext, s->scratch, RTP_PACKET_MAX);
    if (n > 0) n = linnet_srtp_protect(&s->srtp_out, s->scratch, (size_t)n, RTP_PACKET_MAX);
    if (n <= 0) {
        s->counts.dropped_rtp++;
        return;
    }
    (void)linnet_rtx_put(&s->rtx, rtp.sequence, s->scratch, (size_t)n);
    s->rtp_n++;
    p->sequence++;
    linnet_rtcp_sent(&s->send_stats, s->now, rtp.timestamp, rtp.payload.len);
    linnet_rtcp_timer_start(&s->rtcp_timer, s->now);
}

/* One frame is complete. While the handshake runs only the newest is kept, so that sound leaves the moment it can. */
static void take_frame(linnet_session_t *s) {
    session_publish_t *p = &s->publish;
    session_frame_t *frame = &s->frame;
    uint32_t timestamp = 0;
    int level = p->level, voice = 0; /* without a whole frame the level is the last one's */
    int n =
        linnet_capture_pop(s->capture, frame->opus, sizeof frame->opus, &timestamp, &level, &voice);
    p->level = level;
    frame->len = 0;
    if (n <= 0 || p->ssrc == 0 || s->is_closing) return;
    frame->len = (uint16_t)n;
    frame->timestamp = timestamp;
    frame->level = (uint8_t)level;
    frame->voice = (uint8_t)voice;
    frame->starts_talkspurt = (uint8_t)linnet_capture_starts_talkspurt(s->capture);
    if (!s->has_media) return;
    send_frame(s, frame);
    frame->len = 0;
}

/* The handshake is done: keys by role (RFC 5764 4.2). */
int linnet_session_media_start(linnet_session_t *s) {
    linnet_srtp_keys_t keys;
    int client = s->dtls_role == LINNET_DTLS_CLIENT;
    int rc = linnet_dtls_srtp_keys(s->dtls, &keys);
    if (rc < 0) return rc;
    rc = linnet_srtp_init(&s->srtp_out, keys.profile, client ? keys.client_key : keys.server_key,
                          client ? keys.client_salt : keys.server_salt);
    if (rc == 0) {
        rc = linnet_srtp_init(&s->srtp_in, keys.profile, client ? keys.server_key : keys.client_key,
                              client ? keys.server_salt : keys.client_salt);
    }
    linnet_wipe(&keys, sizeof keys);
    s->has_media = rc == 0;
    if (s->has_media && s->frame.len && s->publish.ssrc && !s->publish.is_muted)
        send_frame(s, &s->frame);
    s->frame.len = 0;
    return rc;
}

int linnet_pcm_push(linnet_session_t *s, const int16_t *pcm, size_t n) {
    size_t taken = 0;
    if (!s || (!pcm && n)) return LINNET_ERR_ARG;
    if (s->is_closed == WIPED) return LINNET_ERR_CLOSED;
    s->counts.microphone_samples += n;
    if (s->publish.is_muted) {
        s->publish.muted_samples += n;
        s->publish.level = 127;
        return (int)n;
    }
    while (taken < n) {
        int step = linnet_capture_push(s->capture, pcm + taken, n - taken);
        if (step < 0) return step;
        taken += (size_t)step;
        take_frame(s);
        if (step == 0) break;
    }
    return (int)taken;
}

int linnet_pcm_pull(linnet_session_t *s, int16_t *pcm, size_t n) {
    linnet_playback_t *playing[LINNET_TRACKS_MAX];
    size_t i;
    if (!s || (!pcm && n)) return LINNET_ERR_ARG;
    if (s->is_closed == WIPED) return LINNET_ERR_CLOSED;
    s->counts.speaker_samples += n;
    for (i = 0; i < s->config.tracks; i++) {
        playing[i] = s->track[i].ssrc ? s->track[i].playback : NULL;
    }
    return linnet_mixer_pull(s->mixer, playing, s->config.tracks, s->now, pcm, n);
}

/* --- from the network --- */

static session_track_t *find_track(linnet_session_t *s, uint32_t ssrc) {
    size_t i;
    for (i = 0; i < s->config.tracks; i++) {
        if (s->track[i].ssrc && s->track[i].ssrc == ssrc) return &s->track[i];
    }
    return NULL;
}

static void tell_heard(linnet_session_t *s, session_track_t *t) {
    wire_out_t body = linnet_session_event(s);
    wire_put_u8(&body, (uint8_t)(t - s->track));
    wire_put_zero(&body, 3);
    wire_put_u32le(&body, t->ssrc);
    linnet_session_event_done(s, LINNET_OUT_FIRST_HEARD, &body);
    t->is_heard = 1;
}

static int open_rtp(linnet_session_t *s, uint8_t *packet, size_t len, int rtcp) {
    uint32_t replayed = s->srtp_in.rtp_counts.replayed + s->srtp_in.rtcp_counts.replayed;
    int n = rtcp ? linnet_srtcp_open(&s->srtp_in, packet, len)
                 : linnet_srtp_open(&s->srtp_in, packet, len);
    if (n >= 0) return n;
    if (s->srtp_in.rtp_counts.replayed + s->srtp_in.rtcp_counts.replayed != replayed) {
        s->counts.dropped_srtp_replay++;
    } else {
        s->counts.dropped_srtp_auth++;
    }
    return n;
}

void linnet_session_rtp_input(linnet_session_t *s, uint8_t *packet, size_t len) {
    linnet_rtp_t rtp;
    session_track_t *t;
    int n = open_rtp(s, packet, len, 0);
    if (n < 0) return;
    if (linnet_rtp_read(&rtp, NULL, packet, (size_t)n) < 0) {
        s->counts.dropped_rtp++;
        return;
    }
    t = find_track(s, rtp.ssrc);
    if (!t || rtp.payload_type != t->payload_type) {
        s->counts.dropped_rtp_unmapped++;
        return;
    }
    s->counts.rtp_received++;
    if (!t->is_heard) tell_heard(s, t);
    (void)linnet_rtcp_received(&t->recv, s->now, rtp.sequence, rtp.timestamp);
    linnet_rtcp_timer_start(&s->rtcp_timer, s->now);
    if (rtp.payload.len) (void)linnet_playback_put(t->playback, s->now, &rtp);
}

static void on_nack(linnet_session_t *s, const linnet_rtcp_item_t *item) {
    uint16_t list[17];
    int n = linnet_rtcp_nack_list(item, list), i;
    s->counts.nacks_received++;
    if (item->subject != s->publish.ssrc) return;
    for (i = 0; i < n && s->nack_n < NACK_QUEUE; i++) s->nack[s->nack_n++] = list[i];
}

static void on_bye(linnet_session_t *s, uint32_t ssrc) {
    wire_out_t body;
    if (!find_track(s, ssrc)) return;
    body = linnet_session_event(s);
    wire_put_u32le(&body, ssrc);
    linnet_session_event_done(s, LINNET_OUT_BYE, &body);
}

void linnet_session_rtcp_input(linnet_session_t *s, uint8_t *packet, size_t len) {
    linnet_rtcp_reader_t reader;
    linnet_rtcp_item_t item;
    session_track_t *t;
    int kind, n = open_rtp(s, packet, len, 1);
    if (n < 0) return;
    if (linnet_rtcp_read(&reader, packet, (size_t)n) < 0) {
        s->counts.dropped_rtcp++;
        return;
    }
    s->counts.rtcp_received++;
    while ((kind = linnet_rtcp_next(&reader, &item)) > 0) {
        if (kind == LINNET_RTCP_SR) {
            t = find_track(s, item.sender);
            if (t) linnet_rtcp_on_sr(&t->recv, s->now, &item);
        } else if (kind == LINNET_RTCP_REPORT) {
            linnet_rtcp_on_report(&s->send_stats, s->now, 0, &item);
            if (item.subject == s->publish.ssrc && (s->config.flags & CONFIG_FEC)) {
                (void)linnet_capture_set_loss(s->capture, item.fraction_lost * 100u / 256u);
            }
        } else if (kind == LINNET_RTCP_NACK) {
            on_nack(s, &item);
        } else if (kind == LINNET_RTCP_BYE) {
            on_bye(s, item.subject);
        }
    }
    if (kind < 0) s->counts.dropped_rtcp++;
}

/* --- to the network --- */

static int poll_rtp(linnet_session_t *s, uint8_t *buf, size_t cap) {
    const uint8_t *packet;
    int len;
    if (s->rtp_n == 0) return 0;
    len = linnet_rtx_peek(&s->rtx, (uint16_t)(s->publish.sequence - s->rtp_n), &packet);
    if ((size_t)len > cap) return LINNET_ERR_SPACE;
    s->rtp_n--;
    if (len <= 0) return 0; /* cannot be: see the assertions above */
    memcpy(buf, packet, (size_t)len);
    s->counts.rtp_sent++;
    if (!s->publish.has_sent) {
        wire_out_t body = linnet_session_event(s);
        wire_put_u32le(&body, s->publish.ssrc);
        linnet_session_event_done(s, LINNET_OUT_FIRST_SENT, &body);
        s->publish.has_sent = 1;
    }
    return len;
}

static int poll_nack(linnet_session_t *s, uint8_t *buf, size_t cap) {
    while (s->nack_n > 0) {
        const uint8_t *packet;
        uint16_t sequence = s->nack[--s->nack_n];
        int n = s->publish.is_muted
                    ? 0
                    : linnet_rtx_get(&s->rtx, s->now, RTX_MIN_GAP_US, sequence, &packet);
        if (n > 0 && (size_t)n <= cap) {
            memcpy(buf, packet, (size_t)n);
            s->counts.retransmitted++;
            return n;
        }
    }
    return 0;
}

/* What cannot be protected is dropped: the next report may be. */
static int seal_rtcp(linnet_session_t *s, linnet_rtcp_compound_t *c, uint8_t *buf, size_t cap) {
    int n;
    c->cname.data = cname;
    c->cname.len = sizeof cname;
    n = linnet_rtcp_build(c, s->now, buf, cap);
    if (n > 0) n = linnet_srtcp_protect(&s->srtp_out, buf, (size_t)n, cap);
    if (n <= 0) {
        s->counts.dropped_rtcp++;
        return 0;
    }
    s->counts.rtcp_sent++;
    return n;
}

/* RFC 3550 8.2: a source says BYE when another one takes its place. */
static int poll_leaving(linnet_session_t *s, uint8_t *buf, size_t cap) {
    session_publish_t *p = &s->publish;
    linnet_rtcp_compound_t c;
    int n;
    if (!p->leaving) return 0;
    memset(&c, 0, sizeof c);
    c.ssrc = p->leaving;
    c.bye = 1;
    n = seal_rtcp(s, &c, buf, cap);
    forget(s, p->leaving);
    p->leaving = 0;
    return n;
}

static int build_rtcp(linnet_session_t *s, int bye, uint8_t *buf, size_t cap) {
    linnet_rtcp_recv_stats_t *sources[LINNET_TRACKS_MAX];
    linnet_rtcp_compound_t c;
    size_t i, n_sources = 0;
    for (i = 0; i < s->config.tracks; i++) {
        if (s->track[i].ssrc && s->track[i].is_heard) sources[n_sources++] = &s->track[i].recv;
    }
    memset(&c, 0, sizeof c);
    c.ssrc = s->publish.ssrc ? s->publish.ssrc : s->rtcp_ssrc;
    c.send = s->publish.has_sent ? &s->send_stats : NULL;
    c.recv = sources;
    c.n_recv = n_sources;
    c.bye = (uint8_t)bye;
    return seal_rtcp(s, &c, buf, cap);
}

int linnet_session_media_poll(linnet_session_t *s, uint8_t *buf, size_t cap) {
    int n;
    if (!s->has_media) return 0;
    n = poll_leaving(s, buf, cap);
    if (n == 0) n = poll_rtp(s, buf, cap);
    if (n == 0) n = poll_nack(s, buf, cap);
    /* Every poll comes here: random bits are drawn only when a report is due. */
    if (n == 0 && s->now >= linnet_rtcp_timer_deadline(&s->rtcp_timer) &&
        linnet_rtcp_timer_poll(&s->rtcp_timer, s->now, linnet_random_u32(&s->rng))) {
        n = build_rtcp(s, 0, buf, cap);
    }
    return n;
}

int linnet_session_media_bye(linnet_session_t *s, uint8_t *buf, size_t cap) {
    if (!s->has_media || (!s->publish.has_sent && s->counts.rtp_received == 0)) return 0;
    return build_rtcp(s, 1, buf, cap);
}

uint64_t linnet_session_media_deadline(const linnet_session_t *s) {
    return s->has_media ? linnet_rtcp_timer_deadline(&s->rtcp_timer) : UINT64_MAX;
}

int linnet_session_media_stats(linnet_session_t *s, int slot, wire_out_t *out) {
    const session_track_t *t;
    const linnet_jitter_stats_t *jitter;
    const linnet_playback_stats_t *playback;
    int32_t lost;
    if (slot < 0 || (uint32_t)slot >= s->config.tracks) return LINNET_ERR_ARG;
    t = &s->track[slot];
    jitter = linnet_playback_jitter_stats(t->playback);
    playback = linnet_playback_stats(t->playback);
    lost = t->ssrc && t->is_heard ? linnet_rtcp_lost(&t->recv) : 0;
    wire_put_u64le(out, t->ssrc);
    wire_put_u64le(out, jitter->received);
    wire_put_u64le(out, lost > 0 ? (uint64_t)lost : 0);
    wire_put_u64le(out, jitter->late);
    wire_put_u64le(out, jitter->duplicate);
    wire_put_u64le(out, jitter->overflow);
    wire_put_u64le(out, playback->concealed);
    wire_put_u64le(out, playback->decoded);
    wire_put_u64le(out, playback->samples);
    wire_put_u64le(out, (uint64_t)linnet_playback_level(t->playback));
    wire_put_u64le(out, (uint64_t)(t->recv.jitter_q4 / 16) * 1000 / 48);
    wire_put_u64le(out, linnet_playback_buffered_ms(t->playback));
    return 0;
}
