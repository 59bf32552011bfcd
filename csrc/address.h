/* A transport address (RFC 8489 4, RFC 8445 5.1.1): IP and UDP port, plus the local socket it belongs to.
 * Plain bytes so that it can be compared and copied; IPv4 uses the first four bytes of `ip`, the rest is 0. */
#ifndef LINNET_ADDRESS_H
#define LINNET_ADDRESS_H

#include "wire.h"

enum { LINNET_FAMILY_NONE = 0, LINNET_FAMILY_IPV4 = 4, LINNET_FAMILY_IPV6 = 6 };

typedef struct {
    uint8_t family; /* 4 or 6; 0 = no address */
    uint8_t socket; /* index of the local socket the datagram came in on or must go out of */
    uint16_t port;
    uint8_t ip[16];
} linnet_addr_t;

/* Same IP and port; the socket does not count. */
static inline int linnet_addr_equal(const linnet_addr_t *a, const linnet_addr_t *b) {
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
}

/* The 20-byte border form: family, socket, port (little-endian), 16 bytes of IP. */
static inline linnet_addr_t linnet_addr_read(wire_in_t *in) {
    linnet_addr_t a;
    memset(&a, 0, sizeof a);
    a.family = wire_u8(in);
    a.socket = wire_u8(in);
    a.port = wire_u16le(in);
    wire_copy(in, a.ip, 16);
    if (a.family != LINNET_FAMILY_IPV4 && a.family != LINNET_FAMILY_IPV6) in->bad = 1;
    return a;
}

static inline void linnet_addr_write(wire_out_t *out, const linnet_addr_t *a) {
    wire_put_u8(out, a->family);
    wire_put_u8(out, a->socket);
    wire_put_u16le(out, a->port);
    wire_put(out, a->ip, 16);
}

#endif
