/* STUN messages (RFC 8489): see stun.h for what is left out.
 *
 * Reading goes once over the attributes with a wire cursor. Order of trust: structure and
 * FINGERPRINT here, then linnet_stun_verify, and only then may a caller act. What follows
 * MESSAGE-INTEGRITY is not covered by it and is ignored, except FINGERPRINT (RFC 8489 14.5). */
#include "stun.h"

#include "errors.h"

#define COOKIE 0x2112A442u
#define FINGERPRINT_XOR 0x5354554Eu

enum {
    HEADER_LEN = 20,
    ATTRIBUTE_HEADER_LEN = 4,
    FINGERPRINT_LEN = 8,
    USERNAME_MAX = 508, /* RFC 8489 14.3: less than 509 bytes */
    METHOD_BINDING = 1
};

enum {
    MAPPED_ADDRESS = 0x0001,
    USERNAME = 0x0006,
    MESSAGE_INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    UNKNOWN_ATTRIBUTES = 0x000A,
    REALM = 0x0014,
    NONCE = 0x0015,
    XOR_MAPPED_ADDRESS = 0x0020,
    PRIORITY = 0x0024,
    USE_CANDIDATE = 0x0025,
    COMPREHENSION_OPTIONAL = 0x8000,
    FINGERPRINT = 0x8028,
    ICE_CONTROLLED = 0x8029,
    ICE_CONTROLLING = 0x802A
};

int linnet_stun_is(const uint8_t *data, size_t len) {
    wire_in_t in = wire_in(data, len);
    uint8_t first = wire_u8(&in);
    wire_skip(&in, 3);
    return wire_u32(&in) == COOKIE && wire_ok(&in) && first < 4 && len >= HEADER_LEN;
}

uint32_t linnet_stun_crc32(const uint8_t *data, size_t len) {
    /* Half a byte at a time: 64 bytes of table instead of 1 KiB, and STUN is rare. */
    static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu,
                                       0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
                                       0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                       0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t crc = 0xFFFFFFFFu;
    size_t i;
    for (i = 0; i < len; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* The class is spread over the method (RFC 8489 5): bits 4 and 8 of the type. */
static uint16_t type_of(int kind) {
    return (uint16_t)(METHOD_BINDING | (kind & 1) << 4 | (kind & 2) << 7);
}

/* --- reading --- */

static void xor_address(linnet_addr_t *addr, const uint8_t transaction[12]) {
    uint8_t mask[16] = {0x21, 0x12, 0xA4, 0x42};
    size_t n = addr->family == LINNET_FAMILY_IPV4 ? 4 : 16;
    size_t i;
    memcpy(mask + 4, transaction, 12);
    addr->port = (uint16_t)(addr->port ^ (COOKIE >> 16));
    for (i = 0; i < n; i++) addr->ip[i] ^= mask[i];
}

static int read_mapped(linnet_stun_msg_t *msg, wire_in_t *value) {
    linnet_addr_t *addr = &msg->mapped;
    uint8_t family;
    memset(addr, 0, sizeof *addr);
    wire_skip(value, 1);
    family = wire_u8(value);
    addr->port = wire_u16(value);
    addr->family = family == 1 ? LINNET_FAMILY_IPV4 : LINNET_FAMILY_IPV6;
    wire_copy(value, addr->ip, family == 1 ? 4 : 16);
    xor_address(addr, msg->transaction);
    return family == 1 || family == 2;
}

static int read_error_code(linnet_stun_msg_t *msg, wire_in_t *value) {
    uint8_t hundreds, rest;
    wire_skip(value, 2);
    hundreds = wire_u8(value) & 7;
    rest = wire_u8(value);
    msg->error_code = (uint16_t)(hundreds * 100 + rest);
    wire_skip(value, wire_left(value)); /* the reason phrase is for people */
    return hundreds >= 3 && hundreds <= 6 && rest < 100;
}

static void note_unknown(linnet_stun_msg_t *msg, uint16_t type) {
    if (type >= COMPREHENSION_OPTIONAL) return;
    if (msg->n_unknown < LINNET_STUN_UNKNOWN_MAX) msg->unknown[msg->n_unknown] = type;
    msg->n_unknown++; /* cannot wrap: an attribute takes 4 bytes of at most 64 KiB */
}

/* The bit of an attribute that we read, 0 = none. */
static uint16_t bit_of(uint16_t type) {
    switch (type) {
    case USERNAME: return LINNET_STUN_HAS_USERNAME;
    case MESSAGE_INTEGRITY: return LINNET_STUN_HAS_INTEGRITY;
    case ERROR_CODE: return LINNET_STUN_HAS_ERROR_CODE;
    case REALM: return LINNET_STUN_HAS_REALM;
    case NONCE: return LINNET_STUN_HAS_NONCE;
    case XOR_MAPPED_ADDRESS: return LINNET_STUN_HAS_MAPPED;
    case PRIORITY: return LINNET_STUN_HAS_PRIORITY;
    case USE_CANDIDATE: return LINNET_STUN_HAS_USE_CANDIDATE;
    case ICE_CONTROLLED: return LINNET_STUN_HAS_CONTROLLED;
    case ICE_CONTROLLING: return LINNET_STUN_HAS_CONTROLLING;
    default: return 0;
    }
}

/* One attribute value. 1, or 0 when its length or content is wrong. */
static int read_value(linnet_stun_msg_t *msg, uint16_t type, wire_span_t span) {
    wire_in_t value = wire_in(span.data, span.len);
    int good = 1;
    switch (type) {
    case USERNAME:
        msg->username = wire_take(&value, span.len);
        good = span.len <= USERNAME_MAX;
        break;
    case REALM: msg->realm = wire_take(&value, span.len); break;
    case NONCE: msg->nonce = wire_take(&value, span.len); break;
    case MESSAGE_INTEGRITY: wire_skip(&value, LINNET_SHA1_LEN); break;
    case ERROR_CODE: good = read_error_code(msg, &value); break;
    case XOR_MAPPED_ADDRESS: good = read_mapped(msg, &value); break;
    case PRIORITY: msg->priority = wire_u32(&value); break;
    case USE_CANDIDATE: break;
    default: msg->tie_breaker = wire_u64(&value); break; /* the two roles */
    }
    return good && wire_ok(&value) && wire_left(&value) == 0;
}

static int read_attribute(linnet_stun_msg_t *msg, wire_in_t *in) {
    size_t at = in->pos;
    uint16_t type = wire_u16(in);
    uint16_t len = wire_u16(in);
    wire_span_t span = wire_take(in, len);
    uint16_t bit = bit_of(type);
    wire_skip(in, wire_pad4(len));
    if (!wire_ok(in)) return 0;
    if (type == FINGERPRINT) {
        wire_in_t value = wire_in(span.data, span.len);
        uint32_t crc = wire_u32(&value);
        msg->has |= LINNET_STUN_HAS_FINGERPRINT;
        /* RFC 8489 14.7: the last attribute, over everything before it. */
        return len == 4 && wire_left(in) == 0 &&
               crc == (linnet_stun_crc32(in->buf, at) ^ FINGERPRINT_XOR);
    }
    if (msg->has & LINNET_STUN_HAS_INTEGRITY) return 1;
    if (bit == 0) {
        if (type != MAPPED_ADDRESS && type != UNKNOWN_ATTRIBUTES) note_unknown(msg, type);
        return 1;
    }
    if (msg->has & bit) return 1;
    msg->has |= bit;
    if (type == MESSAGE_INTEGRITY) msg->integrity_at = (uint16_t)at;
    return read_value(msg, type, span);
}

int linnet_stun_parse(linnet_stun_msg_t *msg, const uint8_t *data, size_t len) {
    wire_in_t in = wire_in(data, len);
    uint16_t type, length;
    int kind;
    memset(msg, 0, sizeof *msg);
    if (!linnet_stun_is(data, len)) return LINNET_ERR_PACKET;
    type = wire_u16(&in);
    length = wire_u16(&in);
    wire_skip(&in, 4);
    wire_copy(&in, msg->transaction, sizeof msg->transaction);
    kind = (type >> 4 & 1) | (type >> 7 & 2);
    if (type != type_of(kind)) return LINNET_ERR_PACKET;
    if (length % 4 != 0 || wire_left(&in) != length) return LINNET_ERR_PACKET;
    msg->kind = (uint8_t)kind;
    while (wire_left(&in) > 0) {
        if (!read_attribute(msg, &in)) return LINNET_ERR_PACKET;
    }
    /* An agent cannot claim both roles. */
    if ((msg->has & LINNET_STUN_HAS_CONTROLLED) && (msg->has & LINNET_STUN_HAS_CONTROLLING))
        return LINNET_ERR_PACKET;
    return wire_ok(&in) ? 0 : LINNET_ERR_PACKET;
}

int linnet_stun_verify(const linnet_stun_msg_t *msg, const uint8_t *data, size_t len,
                       const linnet_hmac_sha1_t *key) {
    uint8_t header[HEADER_LEN], mac[LINNET_SHA1_LEN];
    size_t at = msg->integrity_at;
    wire_out_t out = wire_out(header, sizeof header);
    if (!(msg->has & LINNET_STUN_HAS_INTEGRITY)) return LINNET_ERR_AUTH;
    if (at < HEADER_LEN || at + ATTRIBUTE_HEADER_LEN + LINNET_SHA1_LEN > len)
        return LINNET_ERR_AUTH;
    wire_put(&out, data, HEADER_LEN);
    /* RFC 8489 14.5: the length field counts up to and with this attribute, whatever follows it. */
    wire_patch_u16(&out, 2, (uint16_t)(at - HEADER_LEN + ATTRIBUTE_HEADER_LEN + LINNET_SHA1_LEN));
    linnet_hmac_sha1_compute(key, header, HEADER_LEN, data + HEADER_LEN, at - HEADER_LEN, mac);
    at += ATTRIBUTE_HEADER_LEN;
    return linnet_equal_ct(mac, data + at, LINNET_SHA1_LEN) ? 0 : LINNET_ERR_AUTH;
}

/* --- writing --- */

void linnet_stun_begin(wire_out_t *out, int kind, const uint8_t transaction[12]) {
    wire_put_u16(out, type_of(kind));
    wire_put_u16(out, 0); /* patched by linnet_stun_end */
    wire_put_u32(out, COOKIE);
    wire_put(out, transaction, 12);
}

static void put_header(wire_out_t *out, uint16_t type, size_t len) {
    wire_put_u16(out, type);
    wire_put_u16(out, (uint16_t)len);
}

void linnet_stun_put_username(wire_out_t *out, const char *left, size_t left_len, const char *right,
                              size_t right_len) {
    size_t len = left_len + 1 + right_len;
    if (len > USERNAME_MAX) {
        out->bad = 1;
        return;
    }
    put_header(out, USERNAME, len);
    wire_put(out, left, left_len);
    wire_put_u8(out, ':');
    wire_put(out, right, right_len);
    wire_put_zero(out, wire_pad4(len));
}

void linnet_stun_put_priority(wire_out_t *out, uint32_t priority) {
    put_header(out, PRIORITY, 4);
    wire_put_u32(out, priority);
}

void linnet_stun_put_role(wire_out_t *out, int controlling, uint64_t tie_breaker) {
    put_header(out, controlling ? ICE_CONTROLLING : ICE_CONTROLLED, 8);
    wire_put_u64(out, tie_breaker);
}

void linnet_stun_put_use_candidate(wire_out_t *out) {
    put_header(out, USE_CANDIDATE, 0);
}

void linnet_stun_put_mapped(wire_out_t *out, const linnet_addr_t *addr,
                            const uint8_t transaction[12]) {
    linnet_addr_t masked = *addr;
    size_t n = addr->family == LINNET_FAMILY_IPV4 ? 4 : 16;
    xor_address(&masked, transaction);
    put_header(out, XOR_MAPPED_ADDRESS, 4 + n);
    wire_put_u8(out, 0);
    wire_put_u8(out, addr->family == LINNET_FAMILY_IPV4 ? 1 : 2);
    wire_put_u16(out, masked.port);
    wire_put(out, masked.ip, n);
}

void linnet_stun_put_error(wire_out_t *out, int code) {
    static const char unknown[] = "Unknown Attribute", conflict[] = "Role Conflict";
    const char *reason = code == 420 ? unknown : conflict;
    size_t n = code == 420 ? sizeof unknown - 1 : code == 487 ? sizeof conflict - 1 : 0;
    put_header(out, ERROR_CODE, 4 + n);
    wire_put_u16(out, 0);
    wire_put_u8(out, (uint8_t)(code / 100));
    wire_put_u8(out, (uint8_t)(code % 100));
    wire_put(out, reason, n);
    wire_put_zero(out, wire_pad4(n));
}

void linnet_stun_put_unknown(wire_out_t *out, const uint16_t *types, size_t n) {
    size_t i;
    put_header(out, UNKNOWN_ATTRIBUTES, 2 * n);
    for (i = 0; i < n; i++) wire_put_u16(out, types[i]);
    wire_put_zero(out, wire_pad4(2 * n));
}

int linnet_stun_end(wire_out_t *out, const linnet_hmac_sha1_t *key) {
    uint8_t mac[LINNET_SHA1_LEN];
    size_t at = out->pos;
    if (key != NULL && wire_out_ok(out)) {
        size_t length = at - HEADER_LEN + ATTRIBUTE_HEADER_LEN + LINNET_SHA1_LEN;
        wire_patch_u16(out, 2, (uint16_t)length);
        linnet_hmac_sha1_compute(key, out->buf, at, NULL, 0, mac);
        put_header(out, MESSAGE_INTEGRITY, LINNET_SHA1_LEN);
        wire_put(out, mac, sizeof mac);
    }
    /* RFC 8489 14.7: the length field counts FINGERPRINT too before the CRC is taken. */
    at = out->pos;
    wire_patch_u16(out, 2, (uint16_t)(at - HEADER_LEN + FINGERPRINT_LEN));
    if (!wire_out_ok(out)) return LINNET_ERR_SPACE;
    put_header(out, FINGERPRINT, 4);
    wire_put_u32(out, linnet_stun_crc32(out->buf, at) ^ FINGERPRINT_XOR);
    return wire_out_ok(out) ? (int)out->pos : LINNET_ERR_SPACE;
}
