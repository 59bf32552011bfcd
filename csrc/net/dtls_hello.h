/* What DTLS must know of bytes before it trusts the library with them: the records of a datagram
 * (RFC 6347 4.1) and the SRTP profiles of a ClientHello (RFC 5764 4.1.1).
 *
 * Pure parsing: nothing here is authenticated, and nothing is kept. */
#ifndef LINNET_DTLS_HELLO_H
#define LINNET_DTLS_HELLO_H

#include "errors.h"
#include "wire.h"

enum {
    DTLS_RECORD_CCS = 20,
    DTLS_RECORD_ALERT = 21,
    DTLS_RECORD_HANDSHAKE = 22,
    DTLS_RECORD_DATA = 23,
    DTLS_RECORD_HEADER = 13
};

typedef struct {
    uint8_t type;
    uint16_t epoch;
    wire_span_t whole; /* header and body */
    wire_span_t body;
} dtls_record_t;

/* The next record of a datagram. 1, 0 at the end, LINNET_ERR_PACKET if what follows is no DTLS
 * record. */
int linnet_dtls_record_next(wire_in_t *datagram, dtls_record_t *record);

/* The first of `ours` that an unfragmented ClientHello in this datagram offers; 0 = none, or no
 * ClientHello there. */
uint16_t linnet_dtls_hello_profile(const uint8_t *datagram, size_t len, const uint16_t *ours,
                                   size_t n_ours);

#endif
