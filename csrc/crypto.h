/* The crypto seam: everything the protocols need, nothing about who provides it.
 *
 * Default backend: crypto_mbedtls.c (Mbed TLS 3.6 over a fixed arena). Contexts are opaque, caller-owned storage,
 * so no backend header leaks into protocol code; the backend asserts at compile time that its own fit.
 * Randomness is an input: a DRBG seeded by the caller of linnet_session_init. All functions are deterministic
 * given the seed. Tag comparison is constant-time (linnet_equal_ct). */
#ifndef LINNET_CRYPTO_H
#define LINNET_CRYPTO_H

#include "errors.h"
#include "wire.h"

/* --- randomness: CTR_DRBG or HMAC_DRBG over a caller-given seed --- */
typedef struct {
    uint64_t opaque[44];
} linnet_rng_t;
/* seed_len >= 32, else LINNET_ERR_ARG. 0 on success. */
int linnet_rng_init(linnet_rng_t *rng, const uint8_t *seed, size_t seed_len);
void linnet_rng_wipe(linnet_rng_t *rng);
void linnet_random(linnet_rng_t *rng, uint8_t *out, size_t len);
uint32_t linnet_random_u32(linnet_rng_t *rng);

/* --- hashes --- */
enum { LINNET_SHA1_LEN = 20, LINNET_SHA256_LEN = 32 };
void linnet_sha256(const uint8_t *data, size_t len, uint8_t out[LINNET_SHA256_LEN]);

/* HMAC-SHA1 with the key schedule done once (two saved hash states of 20 bytes), so that a 60-byte packet costs four
 * compressions. `init` may be followed by any number of `compute` calls; data may come in two parts. */
typedef struct {
    uint64_t opaque[5];
} linnet_hmac_sha1_t;
void linnet_hmac_sha1_init(linnet_hmac_sha1_t *h, const uint8_t *key, size_t key_len);
void linnet_hmac_sha1_compute(const linnet_hmac_sha1_t *h, const uint8_t *a, size_t a_len,
                              const uint8_t *b, size_t b_len, uint8_t out[LINNET_SHA1_LEN]);

/* --- AES-128 --- */
typedef struct {
    uint64_t opaque[36];
} linnet_aes_t;
int linnet_aes128_init(linnet_aes_t *aes, const uint8_t key[16]);
void linnet_aes128_block(const linnet_aes_t *aes, const uint8_t in[16], uint8_t out[16]);
/* Counter mode, RFC 3711 4.1.1: XORs data in place with the keystream that starts at iv. */
void linnet_aes128_ctr(const linnet_aes_t *aes, const uint8_t iv[16], uint8_t *data, size_t len);

/* AES-128-GCM, in place, 16-byte tag, 12-byte IV. No allocation after init. open: LINNET_ERR_AUTH leaves data unspecified. */
typedef struct {
    uint64_t opaque[94];
} linnet_gcm_t;
int linnet_gcm_init(linnet_gcm_t *gcm, const uint8_t key[16]);
int linnet_gcm_seal(linnet_gcm_t *gcm, const uint8_t iv[12], const uint8_t *aad, size_t aad_len,
                    uint8_t *data, size_t len, uint8_t tag[16]);
int linnet_gcm_open(linnet_gcm_t *gcm, const uint8_t iv[12], const uint8_t *aad, size_t aad_len,
                    uint8_t *data, size_t len, const uint8_t tag[16]);

/* --- helpers --- */
/* 1 = equal, in constant time. */
int linnet_equal_ct(const uint8_t *a, const uint8_t *b, size_t len);
/* Zeroes, and is not optimised away. */
void linnet_wipe(void *mem, size_t len);

#endif
