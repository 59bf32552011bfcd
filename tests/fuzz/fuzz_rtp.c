/* csrc/net/rtp.c: any bytes are read without leaving them, and what was read is written back and
 * read the same.
 *
 * The first two bytes are the negotiated extension ids, the rest is a packet. */
#include <stdlib.h>

#include "net/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition) {
    if (!condition) abort();
}

static int is_inside(wire_span_t span, const uint8_t *data, size_t size) {
    return span.len == 0 ||
           (span.data >= data + LINNET_RTP_HEADER && span.data + span.len <= data + size);
}

static int is_same(wire_span_t a, wire_span_t b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void write_back(const linnet_rtp_t *rtp, const linnet_rtp_ext_t *ext) {
    uint8_t buf[2048];
    linnet_rtp_t again;
    int n = linnet_rtp_write(rtp, ext, buf, sizeof buf);
    if (n == LINNET_ERR_SPACE) return;
    require(n > 0 && linnet_rtp_read(&again, ext, buf, (size_t)n) == 0);
    require(again.payload_type == rtp->payload_type && again.marker == rtp->marker);
    require(again.sequence == rtp->sequence && again.timestamp == rtp->timestamp &&
            again.ssrc == rtp->ssrc);
    require(is_same(again.payload, rtp->payload) && is_same(again.mid, rtp->mid));
    require(again.audio_level == rtp->audio_level && again.voice == rtp->voice);
    require(linnet_rtp_write(rtp, ext, buf, (size_t)n - 1) == LINNET_ERR_SPACE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    linnet_rtp_ext_t ext;
    linnet_rtp_t rtp;
    if (size < 2) return 0;
    ext.audio_level_id = data[0];
    ext.mid_id = data[0] == data[1] ? 0 : data[1]; /* SDP never gives one id to two extensions */
    data += 2;
    size -= 2;
    (void)linnet_rtcp_is(data, size);
    if (linnet_rtp_read(&rtp, &ext, data, size) != 0) return 0;
    require(rtp.payload_type < 128 && rtp.marker < 2 && rtp.mid.len <= LINNET_MID_MAX);
    require(is_inside(rtp.payload, data, size) && is_inside(rtp.mid, data, size));
    write_back(&rtp, &ext);
    return 0;
}
