/* SRTP and SRTCP (RFC 3711), one direction of one session: AES128_CM_HMAC_SHA1_80 (RFC 5764 4.1.2)
 * and AEAD_AES_128_GCM (RFC 7714). Keys come from linnet_dtls_srtp_keys.
 *
 * Not implemented, deliberately: MKI, key derivation rate, <From, To>, 32-bit tags, NULL ciphers,
 * unencrypted SRTCP (RFC 8827 6.5 forbids the last two). Invariants: no state changes and no
 * plaintext leaves before a packet is authenticated; a packet index is sealed at most once (a
 * second time would reuse the keystream) and opened at most once; nothing is read or written
 * outside packet[0..len) and [0..cap). */
#ifndef LINNET_SRTP_H
#define LINNET_SRTP_H

#include "crypto.h"
#include "linnet_config.h"

/* SSRCs with state at the same time: the tracks, our own track, RTCP's own SSRC; x 88 B a
 * direction. */
#define LINNET_SRTP_STREAMS (LINNET_TRACKS_MAX + 2)
#define LINNET_SRTP_WINDOW 128 /* packets; RFC 3711 3.3.2 wants at least 64 */

/* What a sender must leave free behind its packet. */
#define LINNET_SRTP_ROOM 16  /* RTP: 10 with AES-CM, 16 with GCM */
#define LINNET_SRTCP_ROOM 20 /* RTCP: 14 with AES-CM, 20 with GCM */

/* Replay window (RFC 3711 3.3.2): bit i of `seen` is packet `top - i`. Empty until `any`. */
typedef struct {
    uint64_t top;
    uint64_t seen[LINNET_SRTP_WINDOW / 64];
    uint8_t any;
} linnet_srtp_window_t;

typedef struct {
    uint32_t ssrc;
    uint32_t used;             /* stamp of the last authenticated packet; 0 = free */
    linnet_srtp_window_t rtp;  /* index: ROC || SEQ, 48 bits */
    linnet_srtp_window_t rtcp; /* index: 31 bits */
} linnet_srtp_stream_t;

typedef struct {
    union {
        struct {
            linnet_aes_t aes;
            linnet_hmac_sha1_t hmac;
        } cm;
        linnet_gcm_t gcm;
    } cipher;
    uint8_t salt[14]; /* session salt; 12 bytes with GCM */
} linnet_srtp_session_keys_t;

/* Session keys as they were derived. RTCP is rare: its ciphers are set up for each packet, on the
 * stack, instead of kept. */
typedef struct {
    uint8_t key[16], auth[20], salt[14];
} linnet_srtp_derived_t;

typedef struct {
    uint32_t packets;     /* protected or opened */
    uint32_t malformed;   /* LINNET_ERR_PACKET: length, version, header beyond the packet */
    uint32_t unauthentic; /* LINNET_ERR_AUTH: tag */
    uint32_t replayed;    /* LINNET_ERR_AUTH: index seen before, or behind the window */
    uint32_t unencrypted; /* LINNET_ERR_PACKET: SRTCP without the E flag */
    uint32_t evicted;     /* a stream gave its place to a newer one */
} linnet_srtp_counts_t;

typedef struct {
    uint16_t profile; /* LINNET_SRTP_* of dtls.h */
    uint16_t tag_len;
    uint32_t stamp;
    linnet_srtp_session_keys_t rtp;
    linnet_srtp_derived_t rtcp;
    linnet_srtp_stream_t streams[LINNET_SRTP_STREAMS];
    linnet_srtp_counts_t rtp_counts;
    linnet_srtp_counts_t rtcp_counts;
} linnet_srtp_t;

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */
/* key: 16 bytes; salt: 14 bytes with AES-CM, 12 with GCM. 0, LINNET_ERR_ARG or LINNET_ERR_CRYPTO.
 * The memory must not move afterwards. One linnet_srtp_t either protects or opens, never both. */
int linnet_srtp_init(linnet_srtp_t *srtp, int profile, const uint8_t *key, const uint8_t *salt);

/* In place: new length, or LINNET_ERR_ARG (not an RTP packet), LINNET_ERR_SPACE (packet untouched),
 * LINNET_ERR_STATE (this sequence number was protected before, or lies behind the window: keep the
 * protected bytes for a retransmission), LINNET_ERR_LIMIT (too many SSRCs, or the key is used up).
 */
int linnet_srtp_protect(linnet_srtp_t *srtp, uint8_t *packet, size_t len, size_t cap);
int linnet_srtcp_protect(linnet_srtp_t *srtp, uint8_t *packet, size_t len, size_t cap);
/* A sender's SSRC that has ended gives its place back. Its packet indices are forgotten with it, so
 * the caller must never protect a packet of that SSRC again. */
void linnet_srtp_forget(linnet_srtp_t *srtp, uint32_t ssrc);

/* In place: new length, LINNET_ERR_PACKET, or LINNET_ERR_AUTH; each with its counter. After an
 * error the content of packet[] is unspecified and must not be used. */
int linnet_srtp_open(linnet_srtp_t *srtp, uint8_t *packet, size_t len);
int linnet_srtcp_open(linnet_srtp_t *srtp, uint8_t *packet, size_t len);

void linnet_srtp_wipe(linnet_srtp_t *srtp);
/* [ffi-end] */

#endif
