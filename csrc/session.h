/* Inside of a session: what session.c composes and session_media.c, session_data.c work on. Not public.
 *
 * Invariant: the struct and its regions (dtls, sctp buffers, capture, playbacks) live in one caller-owned block that
 * never moves after init; every byte from outside passes ice, dtls or srtp before anything acts on it. */
#ifndef LINNET_SESSION_H
#define LINNET_SESSION_H

#include "crypto.h"
#include "media/capture.h"
#include "media/mixer.h"
#include "media/playback.h"
#include "net/dcep.h"
#include "net/dtls.h"
#include "net/ice.h"
#include "net/rtcp.h"
#include "net/rtp.h"
#include "net/sctp.h"
#include "net/srtp.h"

enum {
    EVENT_HEAD = 2,    /* kind, length */
    EVENT_BYTES = 512, /* of events that wait for the next poll: 7 of the largest (LOCAL), 85 of the
                          smallest; what one input causes is far less, and the counter tells */
    RTP_QUEUE = 4,     /* protected packets waiting for the next poll, in the rtx ring */
    RTP_PACKET_MAX = LINNET_OPUS_SEND_MAX + 80,
    NACK_QUEUE = 17 /* one NACK item names at most 17 packets */
};

/* Counters in the order of SESSION_STATS in firmware/linnet/core.py. */
typedef struct {
    uint64_t datagrams_received, bytes_received, datagrams_sent, bytes_sent;
    uint64_t dropped_unknown, dropped_source, dropped_stun, dropped_dtls;
    uint64_t dropped_srtp_auth, dropped_srtp_replay, dropped_rtp, dropped_rtp_unmapped,
        dropped_rtcp;
    uint64_t dropped_sctp, dropped_data;
    uint64_t rtp_sent, rtp_received, rtcp_sent, rtcp_received, nacks_received, retransmitted;
    uint64_t data_sent, data_received, microphone_samples, speaker_samples, events_lost;
} session_counts_t;

typedef struct {
    uint32_t rate_hz;
    uint32_t tracks;
    uint32_t flags;
    uint32_t max_message;
    uint32_t send_buffer;
    uint32_t recv_buffer;
    linnet_media_config_t media;
} session_config_t;

enum { WIPED = 2 }; /* linnet_session.is_closed: nothing is left; 1 keeps the counters readable */

/* linnet_session.is_closing: what of the goodbye has still to leave, in this order. */
enum { NOT_CLOSING, CLOSING_MEDIA, CLOSING_DATA, CLOSING_DTLS, CLOSING_REST };

enum { CONFIG_DTX = 1, CONFIG_FEC = 2, CONFIG_ICE_LITE = 4, CONFIG_GCM = 8 };

typedef struct {
    linnet_playback_t *playback;
    linnet_rtcp_recv_stats_t recv;
    uint32_t ssrc; /* 0 = free slot */
    uint8_t payload_type;
    uint8_t is_heard;
} session_track_t;

typedef struct {
    uint32_t ssrc;        /* 0 = not publishing */
    uint32_t first, last; /* SSRCs of this session, 0 = none yet */
    uint32_t leaving;     /* the one before `last`, while its BYE has not left */
    uint32_t timestamp_base;
    uint64_t muted_samples;
    uint16_t sequence;
    uint8_t payload_type;
    uint8_t is_muted;
    uint8_t has_sent;
    uint8_t mid_len;
    uint8_t mid[LINNET_MID_MAX];
    linnet_rtp_ext_t ext;
    int level;
} session_publish_t;

/* An encoded frame of the microphone. */
typedef struct {
    uint32_t timestamp; /* 48 kHz, from 0 */
    uint16_t len;       /* 0 = none */
    uint8_t level, voice, starts_talkspurt;
    uint8_t opus[LINNET_OPUS_SEND_MAX];
} session_frame_t;

struct linnet_session {
    uint64_t now;
    uint32_t now_border; /* the last `now` given, modulo 2^30 */
    uint8_t has_time, is_closing, is_closed, has_media, dtls_ready, dtls_started, sctp_ready,
        dtls_role;
    session_config_t config;
    linnet_rng_t rng;
    linnet_identity_t identity;
    linnet_ice_t ice;
    linnet_dtls_t *dtls;
    linnet_srtp_t srtp_out, srtp_in;
    linnet_sctp_t sctp;
    linnet_dcep_t dcep;
    uint32_t peer_max_message; /* of the remote description */
    uint8_t *sctp_send_mem;
    uint8_t *sctp_recv_end; /* its memory begins in what DTLS gives back */
    linnet_capture_t *capture;
    linnet_mixer_t *mixer;
    session_publish_t publish;
    session_frame_t frame; /* being sent, or waiting for the handshake */
    linnet_rtcp_send_stats_t send_stats;
    linnet_rtcp_timer_t rtcp_timer;
    linnet_rtx_ring_t rtx;
    uint16_t nack[NACK_QUEUE];
    uint8_t nack_n;
    uint8_t rtp_n; /* the newest packets of rtx that have not been sent yet */
    session_track_t track[LINNET_TRACKS_MAX];
    uint32_t rtcp_ssrc; /* our SSRC in reports while nothing is published */
    linnet_addr_t selected;
    uint8_t layer[3];                      /* states as last told by LINNET_OUT_STATE */
    uint16_t event_at, event_end;          /* of the events that wait */
    uint8_t event[EVENT_BYTES];            /* kind, length, body of each */
    uint16_t waiting[LINNET_SCTP_STREAMS]; /* channels that got LINNET_ERR_AGAIN */
    uint8_t n_waiting;
    uint32_t wanted; /* bytes of the largest message that got it */
    uint8_t is_held; /* LINNET_IN_HOLD */
    session_counts_t counts;
    uint8_t scratch[LINNET_DATAGRAM_MAX]; /* decryption in place */
};

/* session.c */
wire_out_t linnet_session_event(linnet_session_t *s);
void linnet_session_event_done(linnet_session_t *s, int kind, const wire_out_t *body);

/* session_media.c */
void linnet_session_media_init(linnet_session_t *s);
int linnet_session_media_start(linnet_session_t *s);
int linnet_session_publish(linnet_session_t *s, wire_in_t *in);
int linnet_session_mute(linnet_session_t *s, wire_in_t *in);
int linnet_session_track(linnet_session_t *s, wire_in_t *in);
void linnet_session_rtp_input(linnet_session_t *s, uint8_t *packet, size_t len);
void linnet_session_rtcp_input(linnet_session_t *s, uint8_t *packet, size_t len);
int linnet_session_media_poll(linnet_session_t *s, uint8_t *buf,
                              size_t cap); /* > 0: length of a datagram to send */
int linnet_session_media_bye(linnet_session_t *s, uint8_t *buf, size_t cap);
uint64_t linnet_session_media_deadline(const linnet_session_t *s);
int linnet_session_media_stats(linnet_session_t *s, int slot, wire_out_t *out);

/* session_data.c */
size_t linnet_session_send_mem(const session_config_t *config);
size_t linnet_session_recv_mem(const session_config_t *config); /* beside LINNET_TLS_SPARE */
int linnet_session_channel_open(linnet_session_t *s, wire_in_t *in);
int linnet_session_data_send(linnet_session_t *s, wire_in_t *in);
int linnet_session_channel_close(linnet_session_t *s, wire_in_t *in);
int linnet_session_data_start(linnet_session_t *s);
void linnet_session_peer_limit(linnet_session_t *s, uint32_t max_message); /* 0 = the default */
void linnet_session_data_input(linnet_session_t *s, const uint8_t *packet, size_t len);
int linnet_session_data_poll(linnet_session_t *s, uint8_t *buf,
                             size_t cap); /* a LINNET_OUT kind, or 0; body written */
/* SCTP packets into DTLS records; buf is scratch of LINNET_MTU bytes or more. */
void linnet_session_data_flush(linnet_session_t *s, uint8_t *buf, size_t cap);

/* the border's 64-bit little-endian words */
static inline void wire_put_u64le(wire_out_t *out, uint64_t v) {
    wire_put_u32le(out, (uint32_t)v);
    wire_put_u32le(out, (uint32_t)(v >> 32));
}

#endif
