/* Teaches Mbed TLS 3.6 the protection profile AEAD_AES_128_GCM (RFC 7714 14.2).
 *
 * Force this header on the files ssl_*.c of the library (-include mbedtls_srtp.h). The library
 * accepts four fixed profiles in use_srtp, two of them without encryption. Here one of those two,
 * which RFC 8827 6.5 forbids anyway, gets the number 7 instead; the library only passes the number
 * on. No source is patched, so any 3.6 tree will do. */
#ifndef LINNET_MBEDTLS_SRTP_H
#define LINNET_MBEDTLS_SRTP_H

#ifndef MBEDTLS_ALLOW_PRIVATE_ACCESS
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* as the library's own files do before they include anything \
                                      */
#endif
#include "mbedtls/ssl.h"
#undef MBEDTLS_TLS_SRTP_NULL_HMAC_SHA1_32
#define MBEDTLS_TLS_SRTP_NULL_HMAC_SHA1_32 ((uint16_t)0x0007)

#endif
