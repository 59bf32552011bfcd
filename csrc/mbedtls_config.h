/* Configuration of Mbed TLS 3.6 for Linnet: DTLS 1.2 with one suite, one curve and use_srtp, plus
 * the primitives of crypto.h. Compile the library and everything that includes it with
 * MBEDTLS_CONFIG_FILE=<mbedtls_config.h> (in angle brackets: the library has a file of that name
 * beside the header that includes it) and -Icsrc.
 *
 * No PSA, no clock, no entropy source, no file system, no heap: memory comes from crypto_arena.c.
 * To offer AEAD_AES_128_GCM in use_srtp, its files ssl_*.c must also be compiled with `-include
 * mbedtls_srtp.h`; without it everything works but that profile (an ESP-IDF that brings its own
 * Mbed TLS is such a case). */
#ifndef LINNET_MBEDTLS_CONFIG_H
#define LINNET_MBEDTLS_CONFIG_H

#include <stddef.h>

/* --- platform --- */
void *linnet_tls_calloc(size_t n, size_t size);
void linnet_tls_free(void *mem);
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_CALLOC_MACRO linnet_tls_calloc
#define MBEDTLS_PLATFORM_FREE_MACRO linnet_tls_free

#define MBEDTLS_HAVE_ASM
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
#define MBEDTLS_AESNI_C /* chosen at run time */
#endif
#if defined(__aarch64__) && defined(__linux__)
#define MBEDTLS_AESCE_C /* chosen at run time */
#define MBEDTLS_SHA256_USE_ARMV8_A_CRYPTO_IF_PRESENT
#endif

/* --- primitives --- */
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES          /* flash instead of 8 KiB of RAM */
#define MBEDTLS_BLOCK_CIPHER_NO_DECRYPT /* CTR, GCM and CTR_DRBG only ever encrypt a block */
#define MBEDTLS_CIPHER_C
#define MBEDTLS_CIPHER_MODE_CTR
#define MBEDTLS_GCM_C
#define MBEDTLS_CTR_DRBG_C
#define MBEDTLS_MD_C
#define MBEDTLS_SHA1_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
#ifndef MBEDTLS_ECP_WINDOW_SIZE
#define MBEDTLS_ECP_WINDOW_SIZE 4 /* 2 saves arena and costs CPU */
#endif
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_MPI_MAX_SIZE 128

/* --- certificates --- */
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_PK_WRITE_C
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_CREATE_C
#define MBEDTLS_X509_CRT_WRITE_C
#define MBEDTLS_X509_REMOVE_INFO
#define MBEDTLS_X509_MAX_INTERMEDIATE_CA 2 /* peers of WebRTC show one certificate */

/* --- DTLS 1.2 --- */
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_PROTO_DTLS
#define MBEDTLS_SSL_DTLS_ANTI_REPLAY
#define MBEDTLS_SSL_DTLS_SRTP
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#define MBEDTLS_SSL_CIPHERSUITES MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
#ifndef MBEDTLS_SSL_IN_CONTENT_LEN
#define MBEDTLS_SSL_IN_CONTENT_LEN                                                                 \
    2048 /* the largest handshake message, e.g. Certificate; at least LINNET_DATAGRAM_MAX */
#endif
#define MBEDTLS_SSL_OUT_CONTENT_LEN 1280    /* records are cut to LINNET_MTU anyway */
#define MBEDTLS_SSL_DTLS_MAX_BUFFERING 6144 /* reassembly and messages that came too early */

#endif
