/* Our DTLS identity: an ECDSA P-256 key and a self-signed X.509 v3 certificate (RFC 5280, RFC
 * 8827 6.5).
 *
 * WebRTC peers never look at names or dates, only at the fingerprint; so the dates are fixed and
 * wide (there is no clock here) and the name is random, because a constant one would make the
 * peer's certificate look like issued by ours and cost a useless signature check. No extension is
 * written. */
#include "crypto_arena.h"
#include "dtls.h"
#include "mbedtls/ecp.h"
#include "mbedtls/pk.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/x509_crt.h"

enum { NAME_LEN = 8, SERIAL_LEN = 8 };

static int fill_random(void *rng, unsigned char *out, size_t len) {
    linnet_random(rng, out, len);
    return 0;
}

/* "CN=" and 16 hexadecimal digits. */
static void random_name(linnet_rng_t *rng, char name[3 + 2 * NAME_LEN + 1]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[NAME_LEN];
    linnet_random(rng, bytes, sizeof bytes);
    memcpy(name, "CN=", 3);
    for (size_t i = 0; i < NAME_LEN; i++) {
        name[3 + 2 * i] = digits[bytes[i] >> 4];
        name[4 + 2 * i] = digits[bytes[i] & 15];
    }
    name[3 + 2 * NAME_LEN] = '\0';
}

static int write_certificate(mbedtls_x509write_cert *writer, mbedtls_pk_context *key,
                             linnet_rng_t *rng, linnet_identity_t *identity) {
    char name[3 + 2 * NAME_LEN + 1];
    uint8_t serial[SERIAL_LEN];
    uint8_t der[LINNET_DTLS_CERT_MAX];
    random_name(rng, name);
    linnet_random(rng, serial, sizeof serial);
    /* Positive, and no leading zero octet (RFC 5280 4.1.2.2). */
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    mbedtls_x509write_crt_set_version(writer, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(writer, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(writer, key);
    mbedtls_x509write_crt_set_issuer_key(writer, key);
    if (mbedtls_x509write_crt_set_subject_name(writer, name) != 0) return LINNET_ERR_CRYPTO;
    if (mbedtls_x509write_crt_set_issuer_name(writer, name) != 0) return LINNET_ERR_CRYPTO;
    if (mbedtls_x509write_crt_set_serial_raw(writer, serial, sizeof serial) != 0)
        return LINNET_ERR_CRYPTO;
    if (mbedtls_x509write_crt_set_validity(writer, "20200101000000", "20491231235959") != 0)
        return LINNET_ERR_CRYPTO;
    int len = mbedtls_x509write_crt_der(writer, der, sizeof der, fill_random, rng);
    if (len <= 0) return LINNET_ERR_CRYPTO;
    /* The writer works from the end of its buffer. */
    memcpy(identity->cert, der + sizeof der - (size_t)len, (size_t)len);
    identity->cert_len = (uint16_t)len;
    linnet_sha256(identity->cert, identity->cert_len, identity->fingerprint);
    return 0;
}

static int make(linnet_identity_t *identity, linnet_rng_t *rng) {
    mbedtls_pk_context key;
    mbedtls_x509write_cert writer;
    int result = LINNET_ERR_CRYPTO;
    mbedtls_pk_init(&key);
    mbedtls_x509write_crt_init(&writer);
    if (mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0 &&
        mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), fill_random, rng) == 0 &&
        mbedtls_ecp_write_key(mbedtls_pk_ec(key), identity->key, sizeof identity->key) == 0)
        result = write_certificate(&writer, &key, rng, identity);
    mbedtls_x509write_crt_free(&writer);
    mbedtls_pk_free(&key);
    return result;
}

int linnet_identity_make(linnet_identity_t *identity, linnet_rng_t *rng, void *arena_mem,
                         size_t arena_len) {
    linnet_arena_t arena;
    if (identity == NULL || rng == NULL) return LINNET_ERR_ARG;
    if (linnet_arena_init(&arena, arena_mem, arena_len) != 0) return LINNET_ERR_ARG;
    memset(identity, 0, sizeof *identity);
    linnet_arena_t *previous = linnet_arena_enter(&arena);
    int result = make(identity, rng);
    linnet_arena_leave(previous);
    linnet_wipe(arena_mem, arena_len);
    if (result != 0) linnet_wipe(identity, sizeof *identity);
    return result;
}
