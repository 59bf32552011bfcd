/* Bounded cursors over bytes: the only code of the core that touches wire offsets.
 *
 * A reader and a writer, both big-endian (network order) and both *sticky*: the first access past the end
 * marks the cursor bad, every later access gives 0 or does nothing, and the parser asks once at its end with
 * wire_ok(). So a parser reads straight through and cannot step outside its buffer.
 * Invariant: pos <= len always; no function reads or writes at or after buf[len]. */
#ifndef LINNET_WIRE_H
#define LINNET_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *buf;
    size_t len;
    size_t pos;
    int bad;
} wire_in_t;

typedef struct {
    uint8_t *buf;
    size_t len; /* capacity */
    size_t pos; /* bytes written so far */
    int bad;
} wire_out_t;

/* Borrowed bytes; `data` is never NULL when len > 0. */
typedef struct {
    const uint8_t *data;
    size_t len;
} wire_span_t;

/* --- reading --- */

static inline wire_in_t wire_in(const uint8_t *buf, size_t len) {
    wire_in_t in = {buf, len, 0, 0};
    return in;
}

static inline int wire_ok(const wire_in_t *in) {
    return !in->bad;
}

static inline size_t wire_left(const wire_in_t *in) {
    return in->bad ? 0 : in->len - in->pos;
}

static inline wire_span_t wire_take(wire_in_t *in, size_t n) {
    wire_span_t span = {NULL, 0};
    if (in->bad || n > in->len - in->pos) {
        in->bad = 1;
        return span;
    }
    span.data = in->buf + in->pos;
    span.len = n;
    in->pos += n;
    return span;
}

static inline void wire_skip(wire_in_t *in, size_t n) {
    (void)wire_take(in, n);
}

static inline uint8_t wire_u8(wire_in_t *in) {
    wire_span_t s = wire_take(in, 1);
    return s.len ? s.data[0] : 0;
}

static inline uint16_t wire_u16(wire_in_t *in) {
    wire_span_t s = wire_take(in, 2);
    return s.len ? (uint16_t)((uint32_t)s.data[0] << 8 | s.data[1]) : 0;
}

static inline uint32_t wire_u24(wire_in_t *in) {
    wire_span_t s = wire_take(in, 3);
    return s.len ? (uint32_t)s.data[0] << 16 | (uint32_t)s.data[1] << 8 | s.data[2] : 0;
}

static inline uint32_t wire_u32(wire_in_t *in) {
    wire_span_t s = wire_take(in, 4);
    return s.len ? (uint32_t)s.data[0] << 24 | (uint32_t)s.data[1] << 16 |
                       (uint32_t)s.data[2] << 8 | s.data[3]
                 : 0;
}

static inline uint64_t wire_u64(wire_in_t *in) {
    uint64_t high = wire_u32(in);
    return high << 32 | wire_u32(in);
}

/* Little-endian, for the records that cross the native border (never for the network). */
static inline uint16_t wire_u16le(wire_in_t *in) {
    wire_span_t s = wire_take(in, 2);
    return s.len ? (uint16_t)((uint32_t)s.data[1] << 8 | s.data[0]) : 0;
}

static inline uint32_t wire_u32le(wire_in_t *in) {
    uint32_t low = wire_u16le(in);
    return low | (uint32_t)wire_u16le(in) << 16;
}

/* Copies exactly n bytes to dst, or marks the cursor bad and leaves dst untouched. */
static inline void wire_copy(wire_in_t *in, uint8_t *dst, size_t n) {
    wire_span_t s = wire_take(in, n);
    if (s.len) memcpy(dst, s.data, s.len);
}

/* --- writing --- */

static inline wire_out_t wire_out(uint8_t *buf, size_t cap) {
    wire_out_t out = {buf, cap, 0, 0};
    return out;
}

static inline int wire_out_ok(const wire_out_t *out) {
    return !out->bad;
}

/* Room for n bytes that the caller fills; NULL when there is none. */
static inline uint8_t *wire_reserve(wire_out_t *out, size_t n) {
    uint8_t *at;
    if (out->bad || n > out->len - out->pos) {
        out->bad = 1;
        return NULL;
    }
    at = out->buf + out->pos;
    out->pos += n;
    return at;
}

static inline void wire_put_u8(wire_out_t *out, uint8_t v) {
    uint8_t *p = wire_reserve(out, 1);
    if (p) p[0] = v;
}

static inline void wire_put_u16(wire_out_t *out, uint16_t v) {
    uint8_t *p = wire_reserve(out, 2);
    if (p) {
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
    }
}

static inline void wire_put_u24(wire_out_t *out, uint32_t v) {
    wire_put_u8(out, (uint8_t)(v >> 16));
    wire_put_u16(out, (uint16_t)v);
}

static inline void wire_put_u32(wire_out_t *out, uint32_t v) {
    uint8_t *p = wire_reserve(out, 4);
    if (p) {
        p[0] = (uint8_t)(v >> 24);
        p[1] = (uint8_t)(v >> 16);
        p[2] = (uint8_t)(v >> 8);
        p[3] = (uint8_t)v;
    }
}

static inline void wire_put_u64(wire_out_t *out, uint64_t v) {
    wire_put_u32(out, (uint32_t)(v >> 32));
    wire_put_u32(out, (uint32_t)v);
}

static inline void wire_put_u16le(wire_out_t *out, uint16_t v) {
    wire_put_u8(out, (uint8_t)v);
    wire_put_u8(out, (uint8_t)(v >> 8));
}

static inline void wire_put_u32le(wire_out_t *out, uint32_t v) {
    wire_put_u16le(out, (uint16_t)v);
    wire_put_u16le(out, (uint16_t)(v >> 16));
}

static inline void wire_put(wire_out_t *out, const void *src, size_t n) {
    uint8_t *p = wire_reserve(out, n);
    if (p && n) memcpy(p, src, n);
}

static inline void wire_put_zero(wire_out_t *out, size_t n) {
    uint8_t *p = wire_reserve(out, n);
    if (p && n) memset(p, 0, n);
}

/* Overwrites a 16-bit field written earlier, e.g. a length known only at the end. */
static inline void wire_patch_u16(wire_out_t *out, size_t at, uint16_t v) {
    if (out->bad || at + 2 > out->pos) {
        out->bad = 1;
        return;
    }
    out->buf[at] = (uint8_t)(v >> 8);
    out->buf[at + 1] = (uint8_t)v;
}

/* Bytes needed to bring n to a multiple of 4. */
static inline size_t wire_pad4(size_t n) {
    return (4 - (n & 3)) & 3;
}

#endif
