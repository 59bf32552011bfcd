/* linnet.h: the public API of the Linnet core, a sans-I/O WebRTC client for one audio + data peer connection.
 *
 * One law: give it one input, then call linnet_poll until it answers LINNET_OUT_IDLE.
 * The caller owns the session memory. Input bytes are borrowed for the duration of the call. Output is copied
 * into the caller's buffer. There are no callbacks, no allocation, no clock, no socket, no thread.
 * Only ints and buffers cross this border; rich values are little-endian records, written out below and decoded
 * by one Python file (firmware/linnet/core.py). `now` is microseconds modulo 2^30, as MicroPython's ticks_us().
 * Results: >= 0 is a count or a kind, < 0 is LINNET_ERR_*. A session must not be used by two threads at once.
 *
 * An ADDR in a record is 20 bytes: u8 family (4 or 6), u8 socket, u16 port, 16 bytes IP (IPv4: first four).
 * A STR is u8 length and that many bytes. */
#ifndef LINNET_H
#define LINNET_H

#include <stddef.h>
#include <stdint.h>

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */
typedef struct linnet_session linnet_session_t;

enum linnet_error {
    LINNET_OK = 0,
    LINNET_ERR_ARG = -1,    /* a wrong call */
    LINNET_ERR_PACKET = -2, /* wrong bytes from outside: dropped and counted */
    LINNET_ERR_SPACE = -3,  /* buffer too small; nothing was consumed */
    LINNET_ERR_STATE = -4,  /* right call, wrong moment */
    LINNET_ERR_AGAIN = -5,  /* a queue is full: poll, then try again */
    LINNET_ERR_CRYPTO = -6, /* the crypto backend failed */
    LINNET_ERR_CLOSED = -7, /* the session or channel has ended */
    LINNET_ERR_LIMIT = -8,  /* over a limit of linnet_config.h or of the peer */
    LINNET_ERR_AUTH = -9    /* integrity, fingerprint or replay check failed */
};

/* Kinds of linnet_input, with the record each takes. */
enum linnet_in {
    LINNET_IN_TIME = 0,            /* nothing: only time has passed */
    LINNET_IN_DATAGRAM = 1,        /* ADDR source, then the payload */
    LINNET_IN_LOCAL_CANDIDATE = 2, /* ADDR of a host candidate */
    LINNET_IN_REMOTE =
        3, /* u8 ice_controlling, u8 peer_is_lite, u8 dtls_role (0 client, 1 server), u8 0,
                                       32 bytes sha-256 fingerprint, STR ufrag, STR pwd, u32 largest data message that
                                       the peer takes (missing or 0: 65536, RFC 8841). A new ufrag = ICE restart */
    LINNET_IN_REMOTE_CANDIDATE =
        4,                     /* ADDR, u32 priority, u8 type (0 host, 1 srflx, 2 prflx, 3 relay) */
    LINNET_IN_ICE_RESTART = 5, /* nothing; answers with a new LINNET_OUT_LOCAL */
    LINNET_IN_PUBLISH =
        6, /* u32 ssrc (0 = stop sending), u8 payload_type, u8 audio_level_id, u8 mid_id, u8 0,
                                       STR mid. Every new ssrc lies further from the session's first than all before
                                       (modulo 2^32): the SRTP index of what another one replaced is forgotten, so it
                                       may never come back */
    LINNET_IN_MUTE = 7, /* u8 muted: no RTP leaves while 1 */
    LINNET_IN_TRACK =
        8, /* u8 slot, u8 payload_type, u16 gain (Q12, 0 = 4096 = unity), u32 ssrc (0 = free the slot) */
    LINNET_IN_CHANNEL =
        9, /* u8 unordered, u8 negotiated, u16 id, u16 max_retransmits (65535 = reliable), STR label;
                                       returns the channel handle */
    LINNET_IN_DATA = 10,          /* u16 handle, u8 is_string, u8 0, then the message */
    LINNET_IN_CLOSE_CHANNEL = 11, /* u16 handle */
    LINNET_IN_CLOSE = 12,  /* nothing: RTCP BYE, SCTP ABORT, DTLS close_notify, then silence */
    LINNET_IN_VOLUME = 13, /* u16 gain of the whole speaker mix (Q12, 4096 = unity, 0 = silence) */
    LINNET_IN_HOLD =
        14 /* u8 held: while 1 no LINNET_OUT_DATA is given, and the receive window closes */
};

/* Kinds that linnet_poll returns. The buffer holds u32 body length, then the body. */
enum linnet_out {
    LINNET_OUT_IDLE = 0, /* u32 deadline: call again at that time (mod 2^30) or at the next input */
    LINNET_OUT_DATAGRAM = 1, /* ADDR destination, then the payload */
    LINNET_OUT_LOCAL = 2,    /* 32 bytes sha-256 fingerprint, STR ufrag, STR pwd: for the offer */
    LINNET_OUT_STATE = 3,    /* u8 layer (linnet_layer), u8 state, i16 detail */
    LINNET_OUT_SELECTED = 4, /* ADDR remote, u32 round-trip time in us: the pair in use changed */
    LINNET_OUT_CHANNEL = 5,  /* u16 handle, u8 state (1 open, 0 closed), u8 0, u16 id, STR label */
    LINNET_OUT_DATA = 6,     /* u16 handle, u8 is_string, u8 0, then the message */
    LINNET_OUT_FIRST_SENT = 7, /* u32 ssrc: the first media packet left */
    LINNET_OUT_FIRST_HEARD =
        8,              /* u8 slot, 3 x 0, u32 ssrc: the first authenticated media packet arrived */
    LINNET_OUT_BYE = 9, /* u32 ssrc: the peer sent RTCP BYE for this source */
    LINNET_OUT_SENDABLE = 10 /* u16 handle: room again after LINNET_ERR_AGAIN */
};

enum linnet_layer { LINNET_LAYER_ICE = 0, LINNET_LAYER_DTLS = 1, LINNET_LAYER_SCTP = 2 };

/* State of a layer in LINNET_OUT_STATE; `detail` is a LINNET_ERR_* when FAILED, else 0. */
enum linnet_state {
    LINNET_STATE_NEW = 0,
    LINNET_STATE_CONNECTING = 1,
    LINNET_STATE_CONNECTED = 2,
    LINNET_STATE_DISCONNECTED = 3, /* ICE: consent in doubt; may come back by itself */
    LINNET_STATE_FAILED = 4,
    LINNET_STATE_CLOSED = 5
};

/* Root messages of the protobuf transcoder (records: csrc/proto/transcode.h). */
enum linnet_pb {
    LINNET_PB_SIGNAL_REQUEST = 1,
    LINNET_PB_SIGNAL_RESPONSE = 2,
    LINNET_PB_WRAPPED_JOIN_REQUEST = 3,
    LINNET_PB_JOIN_REQUEST = 4,
    LINNET_PB_DATA_PACKET = 5,
    LINNET_PB_ENCRYPTED_PACKET_PAYLOAD = 6
};

/* cfg is a record of u32 words; a missing word or 0 means the default in brackets. Word: 0 rate_hz of PCM in and
 * out, 8000..48000 (16000); 1 remote tracks, 1..LINNET_TRACKS_MAX (2); 2 frame_ms 10, 20, 40 or 60 (20); 3 Opus
 * bit/s (24000 up to 16 kHz, else 32000); 4 Opus complexity + 1, 1..11 (6); 5 flags: 1 DTX, 2 in-band FEC, 4 ICE-lite,
 * 8 prefer AEAD_AES_128_GCM; 6 playout delay in ms (60); 7 largest data message taken, in bytes, <= 262144
 * (65536); 8 SCTP send buffer (a largest data message; larger ones than it holds, or than the peer takes, are refused
 * with LINNET_ERR_LIMIT);
 * 9 SCTP receive buffer (a largest data message, which is also the least); 10 expected loss in percent (0).
 * linnet_session_size: bytes that session_init needs, 16-byte aligned, or LINNET_ERR_ARG. */
int linnet_session_size(const uint8_t *cfg, size_t cfg_len);
/* Makes keys and the certificate too (tens of ms): do it ahead of the join. seed_len >= 32 bytes of real entropy. */
int linnet_session_init(void *mem, size_t mem_len, const uint8_t *cfg, size_t cfg_len,
                        const uint8_t *seed, size_t seed_len);
linnet_session_t *linnet_session_at(void *mem);
int linnet_input(linnet_session_t *s, uint32_t now, int kind, const uint8_t *data, size_t len);
/* cap >= linnet_poll_size(s). Returns a linnet_out kind or LINNET_ERR_SPACE. */
int linnet_poll(linnet_session_t *s, uint8_t *buf, size_t cap);
int linnet_poll_size(linnet_session_t *s);
/* Microphone: n samples at the device rate; returns the samples taken (all of them unless frames pile up). */
int linnet_pcm_push(linnet_session_t *s, const int16_t *pcm, size_t n);
/* Speaker: fills exactly n samples (silence when nothing plays); returns the number of tracks that sounded. */
int linnet_pcm_pull(linnet_session_t *s, int16_t *pcm, size_t n);
/* Counters as u64 words, after close too. which = -1: the session; 0..: a track slot. Names: firmware/linnet/core.py.
 * Bytes written. */
int linnet_stats(linnet_session_t *s, int which, uint8_t *buf, size_t cap);
/* Zeroes keys and everything else; the session is gone: input and sound are LINNET_ERR_CLOSED from then on, stats are
 * LINNET_ERR_ARG. */
void linnet_session_wipe(linnet_session_t *s);
/* Protobuf <-> record; bytes written or LINNET_ERR_PACKET (wire), _SPACE, _ARG. */
int linnet_pb_decode(int message, const uint8_t *wire, size_t len, uint8_t *record, size_t cap);
int linnet_pb_encode(int message, const uint8_t *record, size_t len, uint8_t *wire, size_t cap);
/* [ffi-end] */

#endif
