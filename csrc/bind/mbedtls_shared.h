/* Configuration of the one Mbed TLS 3.6 that MicroPython's `tls` module and the core share (unix port and
 * others that compile lib/mbedtls): the port's own, plus what csrc/mbedtls_config.h needs and it lacks.
 *
 * micropython.mk sets it as MBEDTLS_CONFIG_FILE. Memory: inside the core a call has selected its arena
 * (crypto_arena.c), by a thread-local pointer, so the media loop's thread never meets the interpreter's
 * allocator; calls of the tls module select none and get calloc and free of the system. Threads: the
 * library's own variables are lists (cipher suites, curves) that whoever comes first fills in; two
 * threads at once fill in the same. */
#ifndef LINNET_MBEDTLS_SHARED_H
#define LINNET_MBEDTLS_SHARED_H

#include "mbedtls/mbedtls_config_port.h"

#if MICROPY_MBEDTLS_CONFIG_BARE_METAL
#error                                                                                             \
    "this port gives Mbed TLS memory of the interpreter's heap: compile the module with LINNET_TLS=own"
#endif

/* --- memory --- */
#include <stddef.h>
void *linnet_tls_calloc(size_t n, size_t size);
void linnet_tls_free(void *mem);
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_CALLOC_MACRO linnet_tls_calloc
#define MBEDTLS_PLATFORM_FREE_MACRO linnet_tls_free

/* --- speed --- */
#define MBEDTLS_HAVE_ASM
#if defined(__x86_64__) || defined(__i386__)
#define MBEDTLS_AESNI_C /* chosen at run time */
#endif
#define MBEDTLS_ECP_NIST_OPTIM
#ifndef MBEDTLS_ECP_WINDOW_SIZE
#define MBEDTLS_ECP_WINDOW_SIZE 4
#endif

/* --- certificates: ours is written, not only read --- */
#undef MBEDTLS_DEPRECATED_REMOVED /* mbedtls_ecp_write_key; its successor is not in every 3.6 */
#define MBEDTLS_PK_WRITE_C
#define MBEDTLS_X509_CREATE_C
#define MBEDTLS_X509_CRT_WRITE_C

/* --- what port_mpy.py asks a TLS stream to learn that its handshake is over --- */
#ifndef MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#endif

/* --- DTLS 1.2 with use_srtp; MicroPython before 1.26 has no DTLS of its own --- */
#ifndef MBEDTLS_SSL_PROTO_DTLS
#define MBEDTLS_SSL_PROTO_DTLS
#endif
#ifndef MBEDTLS_SSL_DTLS_ANTI_REPLAY
#define MBEDTLS_SSL_DTLS_ANTI_REPLAY
#endif
#define MBEDTLS_SSL_DTLS_SRTP
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_DTLS_MAX_BUFFERING 6144

#endif
