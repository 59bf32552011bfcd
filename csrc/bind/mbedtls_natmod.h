/* Configuration of the few files of Mbed TLS 3.6 that natmod.c needs for SRTP: AES, GCM, SHA-1. No cipher layer, so
 * nothing allocates; constant tables only, because a native module has no writable static data.
 * CTR_DRBG and SHA-256 are declared for crypto_mbedtls.c, whose functions of that kind are linked away. */
#ifndef LINNET_MBEDTLS_NATMOD_H
#define LINNET_MBEDTLS_NATMOD_H

#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_AES_FEWER_TABLES /* 2 KiB instead of 8 */
#define MBEDTLS_BLOCK_CIPHER_NO_DECRYPT
#define MBEDTLS_CIPHER_MODE_CTR
#define MBEDTLS_GCM_C
#define MBEDTLS_SHA1_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_CTR_DRBG_C

#endif
