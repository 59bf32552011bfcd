/* RTP packets: RFC 3550 5.1 header, RFC 8285 one- and two-byte header extensions, of these the
 * audio level of RFC 6464 and the mid of RFC 9143 15.
 *
 * Reads and writes single packets; keeps no state. Not implemented: contributing sources are
 * skipped, padding and other extensions are never written. Invariant: every span points into the
 * buffer that was read. */
#ifndef LINNET_RTP_H
#define LINNET_RTP_H

#include "errors.h"
#include "linnet_config.h"
#include "wire.h"

typedef struct {
    uint8_t payload_type; /* 0..127 */
    uint8_t marker;       /* 0 or 1 */
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    int8_t audio_level; /* -1 none, else 0 (loudest) .. 127 (silence) = -dBov */
    uint8_t voice;      /* the V bit beside the level: the sender heard voice */
    wire_span_t mid;    /* len 0 = none */
    wire_span_t payload;
} linnet_rtp_t;

/* Extension ids as negotiated in SDP, 1..255; 0 = not negotiated: neither read nor written. */
typedef struct {
    uint8_t audio_level_id;
    uint8_t mid_id;
} linnet_rtp_ext_t;

enum { LINNET_RTP_HEADER = 12 };

/* RFC 5761 4: 1 when a datagram of the RTP class (first byte 128..191) is RTCP, not RTP. */
int linnet_rtcp_is(const uint8_t *packet, size_t len);

/* 0, or LINNET_ERR_PACKET. `ext` may be NULL. A packet of padding only is good and has payload.len
 * 0. */
int linnet_rtp_read(linnet_rtp_t *rtp, const linnet_rtp_ext_t *ext, const uint8_t *packet,
                    size_t len);

/* Bytes written, LINNET_ERR_SPACE or LINNET_ERR_ARG (a field out of range). The payload must lie
 * outside buf. The level is written when audio_level >= 0 and its id is set, the mid when it is not
 * empty and its id is set. */
int linnet_rtp_write(const linnet_rtp_t *rtp, const linnet_rtp_ext_t *ext, uint8_t *buf,
                     size_t cap);

#endif
