/* A crypto seam for the tests of SCTP: repeatable randomness and a keyed sum instead of HMAC-
 * SHA1. SCTP asks only that other input gives another result; the real backend is tested on its
 * own and through the session. */
#ifndef SCTP_SEAM_H
#define SCTP_SEAM_H

#include "crypto.h"

static uint64_t seam_mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void seam_seed(linnet_rng_t *rng, uint64_t seed) {
    memset(rng, 0, sizeof(*rng));
    rng->opaque[0] = seam_mix(seed);
}

uint32_t linnet_random_u32(linnet_rng_t *rng) {
    rng->opaque[0] = seam_mix(rng->opaque[0]);
    return (uint32_t)(rng->opaque[0] >> 16);
}

void linnet_random(linnet_rng_t *rng, uint8_t *out, size_t len) {
    size_t i;
    for (i = 0; i < len; i++) out[i] = (uint8_t)linnet_random_u32(rng);
}

void linnet_hmac_sha1_init(linnet_hmac_sha1_t *h, const uint8_t *key, size_t key_len) {
    size_t i;
    memset(h, 0, sizeof(*h));
    for (i = 0; i < key_len; i++) h->opaque[0] = seam_mix(h->opaque[0] ^ key[i]);
}

void linnet_hmac_sha1_compute(const linnet_hmac_sha1_t *h, const uint8_t *a, size_t a_len,
                              const uint8_t *b, size_t b_len, uint8_t out[LINNET_SHA1_LEN]) {
    uint64_t state = h->opaque[0];
    size_t i;
    for (i = 0; i < a_len; i++) state = seam_mix(state ^ a[i]);
    for (i = 0; i < b_len; i++) state = seam_mix(state ^ b[i]);
    for (i = 0; i < LINNET_SHA1_LEN; i++) out[i] = (uint8_t)(state = seam_mix(state));
}

int linnet_equal_ct(const uint8_t *a, const uint8_t *b, size_t len) {
    uint8_t difference = 0;
    while (len--) difference = (uint8_t)(difference | (*a++ ^ *b++));
    return difference == 0;
}

#endif
