/* DTLS 1.2 (RFC 6347) with use_srtp (RFC 5764) for one peer, as WebRTC uses it (RFC 8827 6.5): both
 * sides show a self-signed ECDSA P-256 certificate that the other knows only by its SHA-256
 * fingerprint.
 *
 * One suite, ECDHE-ECDSA-AES128-GCM-SHA256 on P-256, extended master secret. Not implemented,
 * deliberately: other suites and curves, renegotiation, resumption, DTLS 1.3, a cookie exchange of
 * our own (ICE has proven the address; as client we answer HelloVerifyRequest). Over Mbed TLS 3.6,
 * whose memory is a fixed arena inside linnet_dtls_t. Invariant: no SRTP key and no application
 * byte leaves before the peer's certificate matched the fingerprint and its Finished verified. The
 * memory of linnet_dtls_t never moves between init and wipe. */
#ifndef LINNET_DTLS_H
#define LINNET_DTLS_H

#include "crypto.h"
#include "linnet_config.h"

/* --- limits of this module (see linnet_config.h for the form) --- */
#ifndef LINNET_DTLS_RETRANSMIT_MS
#define LINNET_DTLS_RETRANSMIT_MS 100 /* first flight timer; RFC 6347 4.2.4.1 asks for 1 s */
#endif
#ifndef LINNET_DTLS_RETRANSMIT_MIN_MS
#define LINNET_DTLS_RETRANSMIT_MIN_MS 50 /* of a timer made from the round-trip time */
#endif
#ifndef LINNET_DTLS_RETRANSMIT_MAX_MS
#define LINNET_DTLS_RETRANSMIT_MAX_MS 1000 /* the timer doubles up to this */
#endif
#ifndef LINNET_DTLS_HANDSHAKE_MS
#define LINNET_DTLS_HANDSHAKE_MS 30000 /* then LINNET_ERR_LIMIT; the server's own limit is 60 s */
#endif
#define LINNET_DTLS_OVERHEAD 37 /* record header 13, explicit nonce 8, tag 16 */
#define LINNET_DTLS_WRITE_MAX (LINNET_MTU - LINNET_DTLS_OVERHEAD) /* largest SCTP packet */
#define LINNET_DTLS_CERT_MAX 400 /* our certificate has about 305 bytes */
#define LINNET_DTLS_CONTEXT 2560 /* backend contexts and counters; dtls.c asserts that they fit */
#define LINNET_DTLS_BYTES                                                                          \
    (LINNET_TLS_ARENA + LINNET_DTLS_QUEUE * (LINNET_MTU + 8) + LINNET_DTLS_CONTEXT)

/* Our key and certificate: plain bytes, may be copied and stored. Make it ahead of the join. */
typedef struct {
    uint8_t key[32];         /* P-256 private scalar, big-endian */
    uint8_t fingerprint[32]; /* SHA-256 of the certificate, for a=fingerprint */
    uint16_t cert_len;
    uint8_t cert[LINNET_DTLS_CERT_MAX]; /* DER */
} linnet_identity_t;

typedef struct linnet_dtls {
    uint64_t opaque[LINNET_DTLS_BYTES / 8];
} linnet_dtls_t;

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */
enum { LINNET_DTLS_CLIENT = 0, LINNET_DTLS_SERVER = 1 };
enum {
    LINNET_DTLS_NEW,
    LINNET_DTLS_HANDSHAKE,
    LINNET_DTLS_CONNECTED,
    LINNET_DTLS_FAILED,
    LINNET_DTLS_CLOSED
};

/* Protection profiles, IANA values (RFC 5764 4.1.2, RFC 7714 14.2). */
enum { LINNET_SRTP_AES128_CM_SHA1_80 = 1, LINNET_SRTP_AEAD_AES_128_GCM = 7 };

/* Master keys and salts. AEAD_AES_128_GCM uses the first 12 bytes of a salt. */
typedef struct {
    uint16_t profile;
    uint8_t client_key[16], server_key[16], client_salt[14], server_salt[14];
} linnet_srtp_keys_t;

typedef struct {
    uint32_t datagrams_in;
    uint32_t datagrams_out;
    uint32_t records_in; /* application records delivered by linnet_dtls_read */
    uint32_t records_out;
    uint32_t retransmissions; /* of a flight, by our timer */
    uint32_t bad_datagram;    /* too short, too long, or a record header that makes no sense */
    uint32_t wrong_epoch;     /* records of an epoch that this handshake cannot have */
    uint32_t alert_ignored;   /* unauthenticated (RFC 6347 4.1.2.7): anyone could have sent it */
    uint32_t hello_rejected;  /* a ClientHello that makes no sense or offers nothing of ours */
    uint32_t record_rejected; /* decryption failed, replayed, or out of place */
    uint32_t not_started;     /* arrived before linnet_dtls_start of a client */
} linnet_dtls_counts_t;

/* Key pair and self-signed certificate; its dates are fixed and wide, because there is no clock.
 * arena_len >= 4096 of scratch aligned to 8, wiped before return. 0, LINNET_ERR_ARG or
 * LINNET_ERR_CRYPTO. */
int linnet_identity_make(linnet_identity_t *identity, linnet_rng_t *rng, void *arena_mem,
                         size_t arena_len);

/* Bytes that the backend needs, a few less than sizeof(linnet_dtls_t). */
size_t linnet_dtls_size(void);
/* The rng and the identity must outlive the connection. 0, LINNET_ERR_ARG or LINNET_ERR_CRYPTO. */
int linnet_dtls_init(linnet_dtls_t *dtls, linnet_rng_t *rng, const linnet_identity_t *identity,
                     int role, const uint8_t peer_fingerprint[32]);
/* Which profiles we offer or accept, best first; at most 2. Default: AES128_CM_SHA1_80,
 * AEAD_AES_128_GCM. As server ours first wins, not the client's order. Before start and before any
 * input. */
int linnet_dtls_set_profiles(linnet_dtls_t *dtls, const uint16_t *profiles, size_t n);

/* What ICE measured: the first flight timer becomes 1.5 round trips + 30 ms, so that a short lossy
 * path repairs sooner and a long one carries nothing twice. Any time before the handshake. */
void linnet_dtls_set_rtt(linnet_dtls_t *dtls, uint32_t rtt_us);

/* Client: queues the ClientHello (call on the first valid pair). Server: arms the handshake limit;
 * it also takes input without it. */
int linnet_dtls_start(linnet_dtls_t *dtls, uint64_t now_us);
/* One datagram, borrowed. 0 = taken (even if only counted); LINNET_ERR_AGAIN = the last datagram is
 * not read out yet: nothing was consumed; LINNET_ERR_PACKET = counted and dropped;
 * LINNET_ERR_STATE; LINNET_ERR_CLOSED. */
int linnet_dtls_input(linnet_dtls_t *dtls, uint64_t now_us, const uint8_t *data, size_t len);
/* > 0: length of one datagram to send. 0: none. Drives retransmission. cap >= LINNET_MTU, else
 * LINNET_ERR_SPACE. */
int linnet_dtls_poll(linnet_dtls_t *dtls, uint64_t now_us, uint8_t *buf, size_t cap);
/* Absolute, UINT64_MAX = none; 0 = now, because datagrams wait in the queue. */
uint64_t linnet_dtls_deadline(const linnet_dtls_t *dtls);

int linnet_dtls_state(const linnet_dtls_t *dtls);
/* Why FAILED: LINNET_ERR_AUTH = the peer's certificate is not the one of the fingerprint;
 * LINNET_ERR_LIMIT = no answer in LINNET_DTLS_HANDSHAKE_MS; LINNET_ERR_CRYPTO = no common ground, a
 * bad signature, or the arena is too small; LINNET_ERR_CLOSED = the peer ended it by an
 * authenticated fatal alert. 0 otherwise. */
int linnet_dtls_error(const linnet_dtls_t *dtls);
/* The last alert description (RFC 5246 7.2) that came in or went out, ignored ones included; -1 =
 * none. */
int linnet_dtls_alert(const linnet_dtls_t *dtls);

/* One SCTP packet becomes one record in the queue. 0; LINNET_ERR_AGAIN = queue full;
 * LINNET_ERR_LIMIT = longer than LINNET_DTLS_WRITE_MAX; LINNET_ERR_STATE before CONNECTED,
 * LINNET_ERR_CLOSED after. */
int linnet_dtls_write(linnet_dtls_t *dtls, const uint8_t *data, size_t len);
/* > 0: one application record. 0: none. LINNET_ERR_SPACE consumes nothing. Call until 0 after every
 * input. */
int linnet_dtls_read(linnet_dtls_t *dtls, uint8_t *buf, size_t cap);
/* 0 only when CONNECTED; LINNET_ERR_STATE before and after, LINNET_ERR_AUTH if the peer agreed to
 * no profile of ours. */
int linnet_dtls_srtp_keys(const linnet_dtls_t *dtls, linnet_srtp_keys_t *keys);
/* Queues close_notify (if there was a connection) and becomes CLOSED; poll until 0 to send it. */
void linnet_dtls_close(linnet_dtls_t *dtls);
/* Zeroes keys and everything else. */
void linnet_dtls_wipe(linnet_dtls_t *dtls);

void linnet_dtls_counts(const linnet_dtls_t *dtls, linnet_dtls_counts_t *counts);
/* Once CONNECTED: what only the handshake needed is the caller's again. Its length and, in *mem, its
 * beginning, aligned to 8; it ends at the end of linnet_dtls_size(). At least LINNET_TLS_SPARE unless
 * the peer made the library keep more; 0 before. */
size_t linnet_dtls_give_back(linnet_dtls_t *dtls, uint8_t **mem);
/* Bytes of LINNET_TLS_ARENA that were ever needed at once, holes included. */
size_t linnet_dtls_arena_peak(const linnet_dtls_t *dtls);
/* [ffi-end] */

#endif
