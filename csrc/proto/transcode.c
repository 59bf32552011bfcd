/* Transcodes protobuf to records and back (transcode.h has the record format).
 *
 * Descriptors, varints and streams are nanopb's; no message struct exists, so the only memory is
 * the caller's output buffer and one stack frame per nesting level. Unknown fields, groups among
 * them, are skipped; a known field with another wire type counts as unknown, as in Google's
 * parsers. Deliberately missing: sint, fixed64, double and messages without fields, of which
 * linnet.proto has none (gen_schema.py refuses them).
 * Invariants: at most LINNET_PB_DEPTH_MAX levels; every loop turn consumes input. */
#include "transcode.h"

#include "errors.h"
#include "include/linnet_config.h"
#include "linnet.pb.h"
#include "pb_common.h"
#include "pb_decode.h"
#include "pb_encode.h"
#include "wire.h"

#define ITEM_HEAD 8
#define VARINT_MAX 10 /* bytes of the longest varint */
#define TAG_MAX 5     /* bytes of the longest tag or length that Google's parsers take */
#define GROUP_START 3 /* wire types that proto3 does not write but every parser must skip */
#define GROUP_END 4

static const pb_msgdesc_t *root_of(int message) {
    switch (message) {
    case LINNET_PB_SIGNAL_REQUEST: return livekit_SignalRequest_fields;
    case LINNET_PB_SIGNAL_RESPONSE: return livekit_SignalResponse_fields;
    case LINNET_PB_WRAPPED_JOIN_REQUEST: return livekit_WrappedJoinRequest_fields;
    case LINNET_PB_JOIN_REQUEST: return livekit_JoinRequest_fields;
    case LINNET_PB_DATA_PACKET: return livekit_DataPacket_fields;
    case LINNET_PB_ENCRYPTED_PACKET_PAYLOAD: return livekit_EncryptedPacketPayload_fields;
    default: return NULL;
    }
}

static pb_wire_type_t wire_type_of(pb_type_t type) {
    switch (PB_LTYPE(type)) {
    case PB_LTYPE_BOOL:
    case PB_LTYPE_VARINT:
    case PB_LTYPE_UVARINT: return PB_WT_VARINT;
    case PB_LTYPE_FIXED32: return PB_WT_32BIT;
    default: return PB_WT_STRING;
    }
}

static int is_packable(pb_type_t type) {
    return PB_HTYPE(type) == PB_HTYPE_REPEATED && wire_type_of(type) != PB_WT_STRING;
}

static int is_continuation(const uint8_t *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
    }
    return 1;
}

/* RFC 3629 section 4. nanopb's own check stops at a NUL and refuses U+FFFE and U+FFFF, which
 * protobuf allows. */
static int is_utf8(const uint8_t *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint8_t lead = s[i];
        size_t more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        if (more == 0) {
            i++;
            continue;
        }
        if (lead < 0xC2 || lead > 0xF4 || n - i <= more) return 0;
        if (!is_continuation(s + i + 1, more)) return 0;
        if (lead == 0xE0 && s[i + 1] < 0xA0) return 0; /* overlong */
        if (lead == 0xED && s[i + 1] > 0x9F) return 0; /* surrogate */
        if (lead == 0xF0 && s[i + 1] < 0x90) return 0; /* overlong */
        if (lead == 0xF4 && s[i + 1] > 0x8F) return 0; /* over U+10FFFF */
        i += more + 1;
    }
    return 1;
}

/* --- wire -> record --- */

static void write_head(uint8_t *p, uint32_t number, int kind, uint32_t n) {
    p[0] = (uint8_t)number;
    p[1] = (uint8_t)(number >> 8);
    p[2] = (uint8_t)kind;
    p[3] = 0;
    p[4] = (uint8_t)n;
    p[5] = (uint8_t)(n >> 8);
    p[6] = (uint8_t)(n >> 16);
    p[7] = (uint8_t)(n >> 24);
}

static int put_item(wire_out_t *out, uint32_t number, int kind, uint32_t n) {
    uint8_t *p = wire_reserve(out, ITEM_HEAD);
    if (!p) return LINNET_ERR_SPACE;
    write_head(p, number, kind, n);
    return LINNET_OK;
}

static int put_int64(wire_out_t *out, uint32_t number, uint64_t value) {
    if (put_item(out, number, LINNET_PB_INT64, 8) < 0) return LINNET_ERR_SPACE;
    wire_put_u32le(out, (uint32_t)value);
    wire_put_u32le(out, (uint32_t)(value >> 32));
    return wire_out_ok(out) ? LINNET_OK : LINNET_ERR_SPACE;
}

/* A varint of at most `max` bytes: tags and lengths are shorter than numbers. */
static int read_varint(pb_istream_t *in, size_t max, uint64_t *value) {
    size_t before = in->bytes_left;
    if (!pb_decode_varint(in, value)) return LINNET_ERR_PACKET;
    return before - in->bytes_left <= max ? LINNET_OK : LINNET_ERR_PACKET;
}

static int read_tag(pb_istream_t *in, uint32_t *number, uint8_t *wire_type) {
    uint64_t tag;
    if (read_varint(in, TAG_MAX, &tag) < 0 || tag > UINT32_MAX) return LINNET_ERR_PACKET;
    *number = (uint32_t)(tag >> 3);
    *wire_type = (uint8_t)(tag & 7);
    return *number != 0 ? LINNET_OK : LINNET_ERR_PACKET;
}

/* The bytes of a length-delimited field as a stream of its own; `in` is then past them. */
static int open_substream(pb_istream_t *in, pb_istream_t *sub) {
    uint64_t len;
    if (read_varint(in, TAG_MAX, &len) < 0 || len > in->bytes_left) return LINNET_ERR_PACKET;
    *sub = *in;
    sub->bytes_left = (size_t)len;
    return pb_read(in, NULL, (size_t)len) ? LINNET_OK : LINNET_ERR_PACKET;
}

static int skip_field(pb_istream_t *in, uint32_t number, uint8_t wire_type, int depth) {
    uint64_t ignored;
    pb_istream_t sub;
    switch (wire_type) {
    case PB_WT_VARINT: return read_varint(in, VARINT_MAX, &ignored);
    case PB_WT_64BIT: return pb_read(in, NULL, 8) ? LINNET_OK : LINNET_ERR_PACKET;
    case PB_WT_32BIT: return pb_read(in, NULL, 4) ? LINNET_OK : LINNET_ERR_PACKET;
    case PB_WT_STRING: return open_substream(in, &sub);
    case GROUP_START: break;
    default: return LINNET_ERR_PACKET;
    }
    if (depth <= 1) return LINNET_ERR_PACKET;
    for (;;) { /* a group ends with its own number, not with a length */
        uint32_t inner;
        uint8_t inner_type;
        if (read_tag(in, &inner, &inner_type) < 0) return LINNET_ERR_PACKET;
        if (inner_type == GROUP_END) return inner == number ? LINNET_OK : LINNET_ERR_PACKET;
        if (skip_field(in, inner, inner_type, depth - 1) < 0) return LINNET_ERR_PACKET;
    }
}

static int decode_scalar(pb_istream_t *in, const pb_field_iter_t *field, wire_out_t *out) {
    uint64_t value;
    if (PB_LTYPE(field->type) == PB_LTYPE_FIXED32) {
        uint32_t bits;
        if (!pb_decode_fixed32(in, &bits)) return LINNET_ERR_PACKET;
        return put_item(out, field->tag, LINNET_PB_FLOAT, bits);
    }
    if (read_varint(in, VARINT_MAX, &value) < 0) return LINNET_ERR_PACKET;
    if (PB_LTYPE(field->type) == PB_LTYPE_BOOL) {
        return put_item(out, field->tag, LINNET_PB_BOOL, value != 0);
    }
    /* A signed value fits in 32 bits when all bits above 31 repeat bit 31. */
    uint64_t high = value >> 31;
    int is_signed = PB_LTYPE(field->type) == PB_LTYPE_VARINT;
    int fits = is_signed ? high == 0 || high == 0x1FFFFFFFFu : high <= 1;
    return fits ? put_item(out, field->tag, LINNET_PB_INT, (uint32_t)value)
                : put_int64(out, field->tag, value);
}

static int decode_text(pb_istream_t *sub, const pb_field_iter_t *field, wire_out_t *out) {
    int is_string = PB_LTYPE(field->type) == PB_LTYPE_STRING;
    size_t n = sub->bytes_left;
    int kind = is_string ? LINNET_PB_STRING : LINNET_PB_BYTES;
    if (put_item(out, field->tag, kind, (uint32_t)n) < 0) return LINNET_ERR_SPACE;
    uint8_t *p = wire_reserve(out, n);
    wire_put_zero(out, wire_pad4(n));
    if (!wire_out_ok(out)) return LINNET_ERR_SPACE;
    if (!pb_read(sub, p, n)) return LINNET_ERR_PACKET;
    return !is_string || is_utf8(p, n) ? LINNET_OK : LINNET_ERR_PACKET;
}

static int decode_message(pb_istream_t *in, const pb_msgdesc_t *desc, wire_out_t *out, int depth);

static int decode_submessage(pb_istream_t *sub, const pb_field_iter_t *field, wire_out_t *out,
                             int depth) {
    uint8_t *head = wire_reserve(out, ITEM_HEAD);
    size_t start = out->pos;
    if (!head) return LINNET_ERR_SPACE;
    int result = decode_message(sub, field->submsg_desc, out, depth - 1);
    write_head(head, field->tag, LINNET_PB_MSG, (uint32_t)(out->pos - start));
    return result;
}

static int decode_field(pb_istream_t *in, const pb_field_iter_t *field, uint8_t wire_type,
                        wire_out_t *out, int depth) {
    pb_istream_t sub;
    int packed = wire_type == PB_WT_STRING && is_packable(field->type);
    if (!packed && wire_type != wire_type_of(field->type)) {
        return skip_field(in, field->tag, wire_type, depth);
    }
    if (wire_type != PB_WT_STRING) return decode_scalar(in, field, out);
    if (open_substream(in, &sub) < 0) return LINNET_ERR_PACKET;
    if (PB_LTYPE_IS_SUBMSG(field->type)) return decode_submessage(&sub, field, out, depth);
    if (!packed) return decode_text(&sub, field, out);
    while (sub.bytes_left > 0) {
        int result = decode_scalar(&sub, field, out);
        if (result < 0) return result;
    }
    return LINNET_OK;
}

static int decode_message(pb_istream_t *in, const pb_msgdesc_t *desc, wire_out_t *out, int depth) {
    pb_field_iter_t field;
    if (depth <= 0) return LINNET_ERR_PACKET;
    (void)pb_field_iter_begin(&field, desc, NULL); /* false for a message without fields: none */
    while (in->bytes_left > 0) {
        uint32_t number;
        uint8_t wire_type;
        if (read_tag(in, &number, &wire_type) < 0) return LINNET_ERR_PACKET;
        int result = pb_field_iter_find(&field, number)
                         ? decode_field(in, &field, wire_type, out, depth)
                         : skip_field(in, number, wire_type, depth);
        if (result < 0) return result;
    }
    return LINNET_OK;
}

int linnet_pb_decode(int message, const uint8_t *wire, size_t len, uint8_t *record, size_t cap) {
    const pb_msgdesc_t *desc = root_of(message);
    if (!desc || (!wire && len > 0) || (!record && cap > 0)) return LINNET_ERR_ARG;
    pb_istream_t in = pb_istream_from_buffer(wire, len);
    wire_out_t out = wire_out(record, cap > INT32_MAX ? INT32_MAX : cap);
    int result = decode_message(&in, desc, &out, LINNET_PB_DEPTH_MAX);
    return result < 0 ? result : (int)out.pos;
}

/* --- record -> wire --- */

typedef struct {
    uint16_t number;
    uint8_t kind;
    uint8_t zero;
    uint32_t n;
} item_t;

static item_t read_item(wire_in_t *record) {
    item_t item;
    item.number = wire_u16le(record);
    item.kind = wire_u8(record);
    item.zero = wire_u8(record);
    item.n = wire_u32le(record);
    return item;
}

static size_t varint(uint8_t bytes[VARINT_MAX], uint64_t value) {
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, VARINT_MAX);
    return pb_encode_varint(&stream, value) ? stream.bytes_written : 0;
}

static void put_varint(wire_out_t *out, uint64_t value) {
    uint8_t bytes[VARINT_MAX];
    size_t n = varint(bytes, value);
    wire_put(out, bytes, n);
}

static void put_tag(wire_out_t *out, uint32_t number, pb_wire_type_t wire_type) {
    put_varint(out, (uint64_t)number << 3 | (uint64_t)wire_type);
}

/* The length of what follows is known only at its end: leave one byte for it, and move the body
 * if it needs more. */
static size_t begin_length(wire_out_t *out) {
    size_t at = out->pos;
    wire_put_u8(out, 0);
    return at;
}

static void end_length(wire_out_t *out, size_t at) {
    uint8_t bytes[VARINT_MAX];
    if (!wire_out_ok(out)) return;
    size_t body = out->pos - at - 1;
    size_t n = varint(bytes, body);
    if (!wire_reserve(out, n - 1)) return;
    memmove(out->buf + at + n, out->buf + at + 1, body);
    memcpy(out->buf + at, bytes, n);
}

/* The value of one item without its tag: that is how packed elements are written. */
static int encode_scalar(wire_in_t *record, pb_type_t type, const item_t *item, wire_out_t *out) {
    if (PB_LTYPE(type) == PB_LTYPE_FIXED32) {
        if (item->kind != LINNET_PB_FLOAT) return LINNET_ERR_ARG;
        wire_put_u32le(out, item->n);
    } else if (PB_LTYPE(type) == PB_LTYPE_BOOL) {
        if (item->kind != LINNET_PB_BOOL) return LINNET_ERR_ARG;
        put_varint(out, item->n != 0);
    } else if (item->kind == LINNET_PB_INT) {
        uint64_t sign = PB_LTYPE(type) == PB_LTYPE_VARINT && item->n >> 31 ? UINT64_MAX << 32 : 0;
        put_varint(out, sign | item->n);
    } else {
        if (item->kind != LINNET_PB_INT64 || item->n != 8) return LINNET_ERR_ARG;
        uint64_t low = wire_u32le(record);
        put_varint(out, (uint64_t)wire_u32le(record) << 32 | low);
    }
    return wire_ok(record) ? LINNET_OK : LINNET_ERR_ARG;
}

static int encode_packed(wire_in_t *record, const pb_field_iter_t *field, item_t item,
                         wire_out_t *out) {
    put_tag(out, field->tag, PB_WT_STRING);
    size_t at = begin_length(out);
    for (;;) {
        int result = encode_scalar(record, field->type, &item, out);
        if (result < 0) return result;
        wire_in_t ahead = *record;
        if (wire_left(record) < ITEM_HEAD) break;
        item = read_item(&ahead);
        if (item.number != field->tag || item.zero != 0) break;
        *record = ahead;
    }
    end_length(out, at);
    return LINNET_OK;
}

static int encode_text(wire_in_t *record, pb_type_t type, const item_t *item, wire_out_t *out) {
    int is_string = PB_LTYPE(type) == PB_LTYPE_STRING;
    if (item->kind != (is_string ? LINNET_PB_STRING : LINNET_PB_BYTES)) return LINNET_ERR_ARG;
    wire_span_t text = wire_take(record, item->n);
    wire_skip(record, wire_pad4(item->n));
    if (!wire_ok(record)) return LINNET_ERR_ARG;
    if (is_string && !is_utf8(text.data, text.len)) return LINNET_ERR_ARG;
    put_tag(out, item->number, PB_WT_STRING);
    put_varint(out, item->n);
    wire_put(out, text.data, text.len);
    return LINNET_OK;
}

static int encode_message(wire_in_t record, const pb_msgdesc_t *desc, wire_out_t *out, int depth);

static int encode_submessage(wire_in_t *record, const pb_field_iter_t *field, const item_t *item,
                             wire_out_t *out, int depth) {
    if (item->kind != LINNET_PB_MSG) return LINNET_ERR_ARG;
    wire_span_t items = wire_take(record, item->n);
    if (!wire_ok(record)) return LINNET_ERR_ARG;
    put_tag(out, item->number, PB_WT_STRING);
    size_t at = begin_length(out);
    int result = encode_message(wire_in(items.data, items.len), field->submsg_desc, out, depth - 1);
    end_length(out, at);
    return result;
}

static int encode_field(wire_in_t *record, const pb_field_iter_t *field, const item_t *item,
                        wire_out_t *out, int depth) {
    pb_wire_type_t wire_type = wire_type_of(field->type);
    if (PB_LTYPE_IS_SUBMSG(field->type)) return encode_submessage(record, field, item, out, depth);
    if (wire_type == PB_WT_STRING) return encode_text(record, field->type, item, out);
    if (is_packable(field->type)) return encode_packed(record, field, *item, out);
    put_tag(out, item->number, wire_type);
    return encode_scalar(record, field->type, item, out);
}

static int encode_message(wire_in_t record, const pb_msgdesc_t *desc, wire_out_t *out, int depth) {
    pb_field_iter_t field;
    if (depth <= 0) return LINNET_ERR_ARG;
    (void)pb_field_iter_begin(&field, desc, NULL);
    while (wire_left(&record) > 0) {
        item_t item = read_item(&record);
        if (!wire_ok(&record) || item.zero != 0) return LINNET_ERR_ARG;
        if (!pb_field_iter_find(&field, item.number)) return LINNET_ERR_ARG;
        int result = encode_field(&record, &field, &item, out, depth);
        if (result < 0) return result;
        if (!wire_out_ok(out)) return LINNET_ERR_SPACE;
    }
    return LINNET_OK;
}

int linnet_pb_encode(int message, const uint8_t *record, size_t len, uint8_t *wire, size_t cap) {
    const pb_msgdesc_t *desc = root_of(message);
    if (!desc || (!record && len > 0) || (!wire && cap > 0)) return LINNET_ERR_ARG;
    wire_out_t out = wire_out(wire, cap > INT32_MAX ? INT32_MAX : cap);
    int result = encode_message(wire_in(record, len), desc, &out, LINNET_PB_DEPTH_MAX);
    return result < 0 ? result : (int)out.pos;
}
