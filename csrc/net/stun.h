/* STUN messages (RFC 8489) as ICE uses them (RFC 8445 7.1, 16.1): the Binding method, short-term
 * credentials with MESSAGE-INTEGRITY (HMAC-SHA1), FINGERPRINT.
 *
 * Not implemented, deliberately: other methods, MESSAGE-INTEGRITY-SHA256, USERHASH, classic STUN
 * without the magic cookie. linnet_stun_parse only gives structure: nothing in a message may be
 * acted on before linnet_stun_verify said 0. Invariant: every span of a parsed message lies inside
 * the caller's datagram. */
#ifndef LINNET_STUN_H
#define LINNET_STUN_H

#include "address.h"
#include "crypto.h"

enum {
    LINNET_STUN_UNKNOWN_MAX = 4
}; /* unknown comprehension-required types that are named in a 420 */

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */
enum {
    LINNET_STUN_REQUEST = 0, /* the class bits of RFC 8489 5 */
    LINNET_STUN_INDICATION = 1,
    LINNET_STUN_SUCCESS = 2,
    LINNET_STUN_ERROR = 3
};

enum { /* bits of linnet_stun_msg_t.has */
       LINNET_STUN_HAS_USERNAME = 1,
       LINNET_STUN_HAS_INTEGRITY = 2,
       LINNET_STUN_HAS_FINGERPRINT = 4, /* present and right; a wrong one does not parse */
       LINNET_STUN_HAS_MAPPED = 8,      /* XOR-MAPPED-ADDRESS */
       LINNET_STUN_HAS_PRIORITY = 16,
       LINNET_STUN_HAS_USE_CANDIDATE = 32,
       LINNET_STUN_HAS_CONTROLLED = 64,
       LINNET_STUN_HAS_CONTROLLING = 128,
       LINNET_STUN_HAS_ERROR_CODE = 256,
       LINNET_STUN_HAS_REALM = 512, /* long-term credentials: noted, not used by ICE */
       LINNET_STUN_HAS_NONCE = 1024
};

typedef struct {
    uint8_t kind; /* LINNET_STUN_REQUEST ... */
    uint8_t transaction[12];
    uint16_t has;        /* of a repeated attribute the first counts (RFC 8489 14) */
    uint16_t error_code; /* 300 to 699 */
    uint16_t n_unknown; /* comprehension-required attributes that we do not know, all of them ... */
    uint16_t unknown[4];   /* ... and the first of their types */
    uint16_t integrity_at; /* offset of the MESSAGE-INTEGRITY attribute */
    uint32_t priority;
    uint64_t tie_breaker; /* of ICE-CONTROLLED or ICE-CONTROLLING */
    linnet_addr_t mapped; /* socket = 0 */
    wire_span_t username;
    wire_span_t realm;
    wire_span_t nonce;
} linnet_stun_msg_t;

/* Is this datagram STUN, by its first byte, length and cookie (RFC 7983 7, RFC 8489 5)? */
int linnet_stun_is(const uint8_t *data, size_t len);

/* 0, or LINNET_ERR_PACKET. Every length, the fingerprint and the class are checked; nothing is
 * authenticated. */
int linnet_stun_parse(linnet_stun_msg_t *msg, const uint8_t *data, size_t len);

/* 0 = MESSAGE-INTEGRITY is there and right; LINNET_ERR_AUTH. `data` is what was parsed into msg. */
int linnet_stun_verify(const linnet_stun_msg_t *msg, const uint8_t *data, size_t len,
                       const linnet_hmac_sha1_t *key);

/* Writing: begin on a fresh cursor, attributes, end. A buffer that is too small: LINNET_ERR_SPACE
 * at the end. */
void linnet_stun_begin(wire_out_t *out, int kind, const uint8_t transaction[12]);
/* left ":" right */
void linnet_stun_put_username(wire_out_t *out, const char *left, size_t left_len, const char *right,
                              size_t right_len);
void linnet_stun_put_priority(wire_out_t *out, uint32_t priority);
void linnet_stun_put_role(wire_out_t *out, int controlling, uint64_t tie_breaker);
void linnet_stun_put_use_candidate(wire_out_t *out);
void linnet_stun_put_mapped(wire_out_t *out, const linnet_addr_t *addr,
                            const uint8_t transaction[12]);
void linnet_stun_put_error(wire_out_t *out, int code); /* with the standard's reason phrase */
void linnet_stun_put_unknown(wire_out_t *out, const uint16_t *types, size_t n);

/* Adds MESSAGE-INTEGRITY (unless key is NULL) and FINGERPRINT. The length, or LINNET_ERR_SPACE. */
int linnet_stun_end(wire_out_t *out, const linnet_hmac_sha1_t *key);

uint32_t linnet_stun_crc32(const uint8_t *data, size_t len); /* ISO 3309, as FINGERPRINT uses it */
/* [ffi-end] */

#endif
