/* Records of a datagram and the use_srtp extension of a ClientHello; dtls_hello.h says why.
 *
 * Mbed TLS as server takes the first of the client's profiles that it knows. RFC 5764 4.1.1 leaves
 * the choice to the server, and ours has reasons of its own (no AES hardware), so the offer is read
 * here first. A ClientHello that is fragmented over datagrams is left to the library. */
#include "dtls_hello.h"

enum { CLIENT_HELLO = 1, EXT_USE_SRTP = 14 };

int linnet_dtls_record_next(wire_in_t *datagram, dtls_record_t *record) {
    size_t start = datagram->pos;
    if (wire_left(datagram) == 0) return 0;
    record->type = wire_u8(datagram);
    uint16_t version = wire_u16(datagram);
    record->epoch = wire_u16(datagram);
    wire_skip(datagram, 6); /* sequence_number */
    record->body = wire_take(datagram, wire_u16(datagram));
    if (!wire_ok(datagram)) return LINNET_ERR_PACKET;
    /* DTLS 1.0 in the header of a first ClientHello is usual (RFC 6347 4.1). */
    if (version != 0xfefd && version != 0xfeff) return LINNET_ERR_PACKET;
    if (record->type < DTLS_RECORD_CCS || record->type > DTLS_RECORD_DATA) return LINNET_ERR_PACKET;
    record->whole.data = datagram->buf + start;
    record->whole.len = datagram->pos - start;
    return 1;
}

/* A cursor over the next n bytes of `in`, itself bad if they are not there. */
static wire_in_t within(wire_in_t *in, size_t n) {
    wire_span_t span = wire_take(in, n);
    wire_in_t part = wire_in(span.data, span.len);
    part.bad = !wire_ok(in);
    return part;
}

static uint16_t choose(wire_in_t *offered, const uint16_t *ours, size_t n_ours) {
    size_t best = n_ours;
    while (wire_left(offered) >= 2) {
        uint16_t profile = wire_u16(offered);
        for (size_t i = 0; i < best; i++)
            if (ours[i] == profile) best = i;
    }
    return best < n_ours ? ours[best] : 0;
}

static uint16_t profile_of_hello(wire_in_t *message, const uint16_t *ours, size_t n_ours) {
    wire_skip(message, 2 + 32);            /* client_version, random */
    wire_skip(message, wire_u8(message));  /* session_id */
    wire_skip(message, wire_u8(message));  /* cookie */
    wire_skip(message, wire_u16(message)); /* cipher_suites */
    wire_skip(message, wire_u8(message));  /* compression_methods */
    wire_in_t extensions = within(message, wire_u16(message));
    while (wire_left(&extensions) >= 4) {
        uint16_t type = wire_u16(&extensions);
        wire_in_t body = within(&extensions, wire_u16(&extensions));
        if (type != EXT_USE_SRTP) continue;
        wire_in_t offered = within(&body, wire_u16(&body));
        return choose(&offered, ours, n_ours);
    }
    return 0;
}

uint16_t linnet_dtls_hello_profile(const uint8_t *datagram, size_t len, const uint16_t *ours,
                                   size_t n_ours) {
    wire_in_t in = wire_in(datagram, len);
    dtls_record_t record;
    while (linnet_dtls_record_next(&in, &record) == 1) {
        if (record.type != DTLS_RECORD_HANDSHAKE || record.epoch != 0) continue;
        wire_in_t message = wire_in(record.body.data, record.body.len);
        uint8_t type = wire_u8(&message);
        uint32_t whole = wire_u24(&message);
        wire_skip(&message, 2); /* message_seq */
        uint32_t offset = wire_u24(&message);
        uint32_t here = wire_u24(&message);
        if (!wire_ok(&message) || type != CLIENT_HELLO || offset != 0 || here != whole) continue;
        return profile_of_hello(&message, ours, n_ours);
    }
    return 0;
}
