/* RTP packets: RFC 3550 5.1 and RFC 8285. See rtp.h for what is left out.
 *
 * The reader goes straight through the packet with a sticky cursor and judges once at the end; an
 * extension element that does not fit its block makes the packet bad, an unknown one is skipped. */
#include "rtp.h"

enum {
    RTP_VERSION = 2,
    PROFILE_ONE_BYTE = 0xBEDE, /* RFC 8285 4.2 */
    PROFILE_TWO_BYTE = 0x1000, /* RFC 8285 4.3: the low four bits are the application's */
    ONE_BYTE_ID_MAX = 14,
    ONE_BYTE_STOP = 15,
    ONE_BYTE_LEN_MAX = 16
};

int linnet_rtcp_is(const uint8_t *packet, size_t len) {
    return len >= 2 && packet[1] >= 192 && packet[1] <= 223;
}

static void read_element(linnet_rtp_t *rtp, const linnet_rtp_ext_t *ext, uint8_t id,
                         wire_span_t value, wire_in_t *in) {
    if (id == ext->audio_level_id && value.len >= 1) {
        rtp->audio_level = (int8_t)(value.data[0] & 0x7F);
        rtp->voice = value.data[0] >> 7;
    } else if (id == ext->mid_id) {
        if (value.len > LINNET_MID_MAX) in->bad = 1;
        rtp->mid = value;
    }
}

/* RFC 8285 4.2 and 4.3: elements until the block ends; id 0 is one byte of padding in both. */
static void read_elements(linnet_rtp_t *rtp, const linnet_rtp_ext_t *ext, uint16_t profile,
                          wire_in_t *in) {
    int one_byte = profile == PROFILE_ONE_BYTE;
    if (!one_byte && (profile & 0xFFF0) != PROFILE_TWO_BYTE) return;
    while (wire_left(in) > 0) {
        uint8_t head = wire_u8(in);
        uint8_t id = one_byte ? head >> 4 : head;
        size_t len;
        if (id == 0) {
            /* A one-byte element with id 0 but a length is to be ended like id 15 (RFC 8285 4.2).
             */
            if (one_byte && (head & 0x0F) != 0) return;
            continue;
        }
        if (one_byte && id == ONE_BYTE_STOP) return;
        len = one_byte ? (size_t)(head & 0x0F) + 1 : wire_u8(in);
        read_element(rtp, ext, id, wire_take(in, len), in);
    }
}

int linnet_rtp_read(linnet_rtp_t *rtp, const linnet_rtp_ext_t *ext, const uint8_t *packet,
                    size_t len) {
    static const linnet_rtp_ext_t none = {0, 0};
    wire_in_t in = wire_in(packet, len);
    uint8_t first = wire_u8(&in);
    uint8_t second = wire_u8(&in);
    size_t left;
    memset(rtp, 0, sizeof *rtp);
    rtp->audio_level = -1;
    rtp->marker = second >> 7;
    rtp->payload_type = second & 0x7F;
    rtp->sequence = wire_u16(&in);
    rtp->timestamp = wire_u32(&in);
    rtp->ssrc = wire_u32(&in);
    wire_skip(&in, 4 * (size_t)(first & 0x0F)); /* contributing sources */
    if (first & 0x10) {
        uint16_t profile = wire_u16(&in);
        wire_span_t block = wire_take(&in, 4 * (size_t)wire_u16(&in));
        wire_in_t elements = wire_in(block.data, block.len);
        read_elements(rtp, ext ? ext : &none, profile, &elements);
        if (!wire_ok(&elements)) return LINNET_ERR_PACKET;
    }
    if (!wire_ok(&in) || first >> 6 != RTP_VERSION) return LINNET_ERR_PACKET;
    left = wire_left(&in);
    if (first & 0x20) { /* RFC 3550 5.1: the last byte counts the padding, itself included */
        size_t padding = left ? packet[len - 1] : 0;
        if (padding == 0 || padding > left) return LINNET_ERR_PACKET;
        left -= padding;
    }
    if (left > 0) rtp->payload = wire_take(&in, left);
    return 0;
}

static void put_element(wire_out_t *out, int two_byte, uint8_t id, const uint8_t *data,
                        size_t len) {
    if (two_byte) {
        wire_put_u8(out, id);
        wire_put_u8(out, (uint8_t)len);
    } else {
        wire_put_u8(out, (uint8_t)((unsigned)id << 4 | (unsigned)(len - 1)));
    }
    wire_put(out, data, len);
}

/* The shortest form that holds both elements: one-byte headers unless an id or the mid is too large
 * for them. */
static void put_extensions(wire_out_t *out, const linnet_rtp_t *rtp, uint8_t level_id,
                           uint8_t mid_id) {
    uint8_t level = (uint8_t)((rtp->voice ? 0x80 : 0) | (rtp->audio_level & 0x7F));
    int two_byte = level_id > ONE_BYTE_ID_MAX || mid_id > ONE_BYTE_ID_MAX ||
                   (mid_id && rtp->mid.len > ONE_BYTE_LEN_MAX);
    size_t start;
    wire_put_u16(out, two_byte ? PROFILE_TWO_BYTE : PROFILE_ONE_BYTE);
    wire_put_u16(out, 0);
    start = out->pos;
    if (level_id) put_element(out, two_byte, level_id, &level, 1);
    if (mid_id) put_element(out, two_byte, mid_id, rtp->mid.data, rtp->mid.len);
    wire_put_zero(out, wire_pad4(out->pos - start));
    wire_patch_u16(out, start - 2, (uint16_t)((out->pos - start) / 4));
}

int linnet_rtp_write(const linnet_rtp_t *rtp, const linnet_rtp_ext_t *ext, uint8_t *buf,
                     size_t cap) {
    wire_out_t out = wire_out(buf, cap);
    uint8_t level_id = ext && rtp->audio_level >= 0 ? ext->audio_level_id : 0;
    uint8_t mid_id = ext && rtp->mid.len > 0 ? ext->mid_id : 0;
    int has_extensions = level_id || mid_id;
    if (rtp->payload_type > 127 || rtp->mid.len > LINNET_MID_MAX) return LINNET_ERR_ARG;
    wire_put_u8(&out, (uint8_t)(RTP_VERSION << 6 | (has_extensions ? 0x10 : 0)));
    wire_put_u8(&out, (uint8_t)((rtp->marker ? 0x80 : 0) | rtp->payload_type));
    wire_put_u16(&out, rtp->sequence);
    wire_put_u32(&out, rtp->timestamp);
    wire_put_u32(&out, rtp->ssrc);
    if (has_extensions) put_extensions(&out, rtp, level_id, mid_id);
    wire_put(&out, rtp->payload.data, rtp->payload.len);
    return wire_out_ok(&out) ? (int)out.pos : LINNET_ERR_SPACE;
}
