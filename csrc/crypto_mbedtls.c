/* The default backend of crypto.h: Mbed TLS 3.6, without its PSA layer.
 *
 * Nothing here allocates but linnet_gcm_init, whose one allocation (the AES key schedule of the
 * library's cipher layer) comes from a piece of the linnet_gcm_t itself. So contexts are wiped,
 * never freed. A linnet_gcm_t holds pointers into itself: its memory must not move. */
#include "crypto.h"

#include "crypto_arena.h"
#include "mbedtls/aes.h"
#include "mbedtls/constant_time.h"
#include "mbedtls/ctr_drbg.h"
#include "mbedtls/gcm.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/sha1.h"
#include "mbedtls/sha256.h"

/* --- randomness: CTR_DRBG with AES-256 (NIST SP 800-90A 10.2.1) --- */

enum {
    SEED_MIN = 32,
    REQUEST_MAX = MBEDTLS_CTR_DRBG_MAX_REQUEST,
    RESEED_AFTER = 1 << 20 /* requests; SP 800-90A allows 2^48, the library counts in an int */
};

typedef struct {
    mbedtls_ctr_drbg_context drbg;
    uint32_t requests;
} rng_t;
_Static_assert(sizeof(rng_t) <= sizeof(linnet_rng_t), "linnet_rng_t is too small for this backend");

typedef struct {
    const uint8_t *data;
    size_t len;
} seed_t;

static int give_seed(void *source, unsigned char *out, size_t len) {
    const seed_t *seed = source;
    if (seed == NULL || len != seed->len) return -1;
    memcpy(out, seed->data, len);
    return 0;
}

/* No entropy source stays behind: a pointer to the seed must not outlive this call. */
static int instantiate(rng_t *rng, const uint8_t digest[LINNET_SHA256_LEN]) {
    seed_t seed = {digest, LINNET_SHA256_LEN};
    mbedtls_ctr_drbg_init(&rng->drbg);
    rng->requests = 0;
    mbedtls_ctr_drbg_set_entropy_len(&rng->drbg, LINNET_SHA256_LEN);
    if (mbedtls_ctr_drbg_set_nonce_len(&rng->drbg, 0) != 0) return LINNET_ERR_CRYPTO;
    if (mbedtls_ctr_drbg_seed(&rng->drbg, give_seed, &seed, NULL, 0) != 0) return LINNET_ERR_CRYPTO;
    mbedtls_ctr_drbg_set_reseed_interval(&rng->drbg, RESEED_AFTER + 1); /* renew draws once more */
    rng->drbg.MBEDTLS_PRIVATE(p_entropy) = NULL;
    return 0;
}

int linnet_rng_init(linnet_rng_t *rng, const uint8_t *seed, size_t seed_len) {
    uint8_t digest[LINNET_SHA256_LEN];
    if (rng == NULL || seed == NULL || seed_len < SEED_MIN) return LINNET_ERR_ARG;
    linnet_sha256(seed, seed_len, digest);
    int result = instantiate((rng_t *)(void *)rng, digest);
    linnet_wipe(digest, sizeof digest);
    return result;
}

void linnet_rng_wipe(linnet_rng_t *rng) {
    linnet_wipe(rng, sizeof *rng);
}

/* The generator feeds its successor: the state before can no longer be computed. */
static void renew(rng_t *rng) {
    uint8_t next[LINNET_SHA256_LEN];
    if (mbedtls_ctr_drbg_random(&rng->drbg, next, sizeof next) == 0) (void)instantiate(rng, next);
    linnet_wipe(next, sizeof next);
}

void linnet_random(linnet_rng_t *opaque, uint8_t *out, size_t len) {
    rng_t *rng = (rng_t *)(void *)opaque;
    while (len != 0) {
        size_t n = len < REQUEST_MAX ? len : REQUEST_MAX;
        if (rng->requests++ >= RESEED_AFTER) renew(rng);
        /* Fails only if the generator was wiped: zeros, which key generation and ECDSA refuse. */
        if (mbedtls_ctr_drbg_random(&rng->drbg, out, n) != 0) memset(out, 0, n);
        out += n;
        len -= n;
    }
}

uint32_t linnet_random_u32(linnet_rng_t *rng) {
    uint8_t bytes[4];
    linnet_random(rng, bytes, sizeof bytes);
    wire_in_t in = wire_in(bytes, sizeof bytes);
    return wire_u32(&in);
}

/* --- hashes --- */

void linnet_sha256(const uint8_t *data, size_t len, uint8_t out[LINNET_SHA256_LEN]) {
    (void)mbedtls_sha256(data, len, out, 0); /* the software implementation cannot fail */
}

#ifdef MBEDTLS_SHA1_ALT
#error "linnet_hmac_sha1_t holds the state words of the library's own SHA-1"
#endif

enum { SHA1_BLOCK = 64, SHA1_WORDS = 5 };

/* The state after one block is all there is to a context then: its buffer is empty. */
typedef struct {
    uint32_t inner[SHA1_WORDS]; /* key ^ ipad (RFC 2104 2) */
    uint32_t outer[SHA1_WORDS];
} hmac_t;
_Static_assert(sizeof(hmac_t) <= sizeof(linnet_hmac_sha1_t), "linnet_hmac_sha1_t is too small");

static void start_with_key(uint32_t state[SHA1_WORDS], const uint8_t key[SHA1_BLOCK], uint8_t pad) {
    mbedtls_sha1_context sha;
    uint8_t block[SHA1_BLOCK];
    for (size_t i = 0; i < SHA1_BLOCK; i++) block[i] = key[i] ^ pad;
    mbedtls_sha1_init(&sha);
    (void)mbedtls_sha1_starts(&sha);
    (void)mbedtls_sha1_update(&sha, block, sizeof block);
    memcpy(state, sha.MBEDTLS_PRIVATE(state), SHA1_WORDS * sizeof state[0]);
    linnet_wipe(block, sizeof block);
    linnet_wipe(&sha, sizeof sha);
}

static void resume(mbedtls_sha1_context *sha, const uint32_t state[SHA1_WORDS]) {
    sha->MBEDTLS_PRIVATE(total)[0] = SHA1_BLOCK;
    sha->MBEDTLS_PRIVATE(total)[1] = 0;
    memcpy(sha->MBEDTLS_PRIVATE(state), state, SHA1_WORDS * sizeof state[0]);
}

void linnet_hmac_sha1_init(linnet_hmac_sha1_t *h, const uint8_t *key, size_t key_len) {
    hmac_t *hmac = (hmac_t *)(void *)h;
    uint8_t block[SHA1_BLOCK] = {0};
    if (key_len > SHA1_BLOCK) {
        (void)mbedtls_sha1(key, key_len, block);
    } else if (key_len != 0) {
        memcpy(block, key, key_len);
    }
    start_with_key(hmac->inner, block, 0x36);
    start_with_key(hmac->outer, block, 0x5c);
    linnet_wipe(block, sizeof block);
}

void linnet_hmac_sha1_compute(const linnet_hmac_sha1_t *h, const uint8_t *a, size_t a_len,
                              const uint8_t *b, size_t b_len, uint8_t out[LINNET_SHA1_LEN]) {
    const hmac_t *hmac = (const hmac_t *)(const void *)h;
    mbedtls_sha1_context sha;
    resume(&sha, hmac->inner);
    if (a_len != 0) (void)mbedtls_sha1_update(&sha, a, a_len);
    if (b_len != 0) (void)mbedtls_sha1_update(&sha, b, b_len);
    (void)mbedtls_sha1_finish(&sha, out);
    resume(&sha, hmac->outer);
    (void)mbedtls_sha1_update(&sha, out, LINNET_SHA1_LEN);
    (void)mbedtls_sha1_finish(&sha, out);
    linnet_wipe(&sha, sizeof sha);
}

/* --- AES-128 --- */

_Static_assert(sizeof(mbedtls_aes_context) <= sizeof(linnet_aes_t), "linnet_aes_t is too small");

/* The library's functions take a context that they do not change. */
static mbedtls_aes_context *aes_of(const linnet_aes_t *aes) {
    return (mbedtls_aes_context *)(uintptr_t)aes;
}

int linnet_aes128_init(linnet_aes_t *aes, const uint8_t key[16]) {
    mbedtls_aes_init(aes_of(aes));
    return mbedtls_aes_setkey_enc(aes_of(aes), key, 128) == 0 ? 0 : LINNET_ERR_CRYPTO;
}

void linnet_aes128_block(const linnet_aes_t *aes, const uint8_t in[16], uint8_t out[16]) {
    (void)mbedtls_aes_crypt_ecb(aes_of(aes), MBEDTLS_AES_ENCRYPT, in, out);
}

void linnet_aes128_ctr(const linnet_aes_t *aes, const uint8_t iv[16], uint8_t *data, size_t len) {
    uint8_t counter[16], keystream[16];
    size_t used = 0;
    memcpy(counter, iv, sizeof counter);
    (void)mbedtls_aes_crypt_ctr(aes_of(aes), len, &used, counter, keystream, data, data);
    linnet_wipe(keystream, sizeof keystream);
}

/* --- AES-128-GCM --- */

#ifdef MBEDTLS_CIPHER_C
enum { GCM_ARENA = 320 }; /* the key schedule is 288 bytes on 64-bit machines, 8 more its header */
#else
enum { GCM_ARENA = LINNET_ARENA_MIN }; /* it lies in the context */
#endif

typedef struct {
    mbedtls_gcm_context gcm;
    uint64_t arena[GCM_ARENA / 8];
} gcm_t;
_Static_assert(sizeof(gcm_t) <= sizeof(linnet_gcm_t), "linnet_gcm_t is too small for this backend");

int linnet_gcm_init(linnet_gcm_t *opaque, const uint8_t key[16]) {
    gcm_t *gcm = (gcm_t *)(void *)opaque;
    linnet_arena_t arena;
    memset(gcm, 0, sizeof *gcm);
    if (linnet_arena_init(&arena, gcm->arena, sizeof gcm->arena) != 0) return LINNET_ERR_ARG;
    mbedtls_gcm_init(&gcm->gcm);
    linnet_arena_t *previous = linnet_arena_enter(&arena);
    int result = mbedtls_gcm_setkey(&gcm->gcm, MBEDTLS_CIPHER_ID_AES, key, 128);
    linnet_arena_leave(previous);
    return result == 0 ? 0 : LINNET_ERR_CRYPTO;
}

int linnet_gcm_seal(linnet_gcm_t *opaque, const uint8_t iv[12], const uint8_t *aad, size_t aad_len,
                    uint8_t *data, size_t len, uint8_t tag[16]) {
    gcm_t *gcm = (gcm_t *)(void *)opaque;
    int result = mbedtls_gcm_crypt_and_tag(&gcm->gcm, MBEDTLS_GCM_ENCRYPT, len, iv, 12, aad,
                                           aad_len, data, data, 16, tag);
    return result == 0 ? 0 : LINNET_ERR_CRYPTO;
}

int linnet_gcm_open(linnet_gcm_t *opaque, const uint8_t iv[12], const uint8_t *aad, size_t aad_len,
                    uint8_t *data, size_t len, const uint8_t tag[16]) {
    gcm_t *gcm = (gcm_t *)(void *)opaque;
    int result =
        mbedtls_gcm_auth_decrypt(&gcm->gcm, len, iv, 12, aad, aad_len, tag, 16, data, data);
    if (result == MBEDTLS_ERR_GCM_AUTH_FAILED) return LINNET_ERR_AUTH;
    return result == 0 ? 0 : LINNET_ERR_CRYPTO;
}

/* --- helpers --- */

int linnet_equal_ct(const uint8_t *a, const uint8_t *b, size_t len) {
    return mbedtls_ct_memcmp(a, b, len) == 0;
}

void linnet_wipe(void *mem, size_t len) {
    mbedtls_platform_zeroize(mem, len);
}
