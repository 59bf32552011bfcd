/* csrc/net/stun.c: any bytes are read without leaving them, and what we write from them reads back.
 *
 * The input is a datagram. It is parsed as it is; then its bytes choose the fields of a message that we build,
 * which must parse, verify under its key and under no other, and carry the same fields. */
#include <stdlib.h>

#include "net/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition) {
    if (!condition) abort();
}

static int is_inside(wire_span_t span, const uint8_t *data, size_t size) {
    return span.len == 0 || (span.data >= data + 20 && span.data + span.len <= data + size);
}

static void read_it(const uint8_t *data, size_t size, const linnet_hmac_sha1_t *key) {
    linnet_stun_msg_t msg;
    if (linnet_stun_parse(&msg, data, size) != 0) return;
    require(linnet_stun_is(data, size));
    require(is_inside(msg.username, data, size) && is_inside(msg.realm, data, size));
    require(is_inside(msg.nonce, data, size));
    require(msg.username.len <= 508);
    require(msg.error_code == 0 || (msg.error_code >= 300 && msg.error_code <= 699));
    (void)linnet_stun_verify(&msg, data, size, key);
}

static void write_it(const uint8_t *data, size_t size, const linnet_hmac_sha1_t *key,
                     const linnet_hmac_sha1_t *other) {
    uint8_t buf[800], transaction[12] = {0};
    wire_in_t in = wire_in(data, size);
    wire_out_t out = wire_out(buf, (size_t)(wire_u8(&in) * 4));
    uint8_t fields = wire_u8(&in);
    uint32_t priority = wire_u32(&in);
    wire_span_t left = wire_take(&in, fields & 15), right = wire_take(&in, fields >> 4);
    linnet_addr_t addr;
    linnet_stun_msg_t msg;
    int n;
    memset(&addr, 0, sizeof addr);
    addr.family = fields & 1 ? LINNET_FAMILY_IPV6 : LINNET_FAMILY_IPV4;
    addr.port = wire_u16(&in);
    wire_copy(&in, addr.ip, fields & 1 ? 16 : 4);
    wire_copy(&in, transaction, 12);
    if (!wire_ok(&in)) return;
    linnet_stun_begin(&out, fields & 3, transaction);
    linnet_stun_put_username(&out, (const char *)left.data, left.len, (const char *)right.data,
                             right.len);
    linnet_stun_put_priority(&out, priority);
    linnet_stun_put_role(&out, fields & 4, (uint64_t)priority << 7);
    if (fields & 8) linnet_stun_put_use_candidate(&out);
    linnet_stun_put_mapped(&out, &addr, transaction);
    linnet_stun_put_error(&out, fields & 16 ? 487 : 420);
    n = linnet_stun_end(&out, key);
    if (n < 0) return;
    require(linnet_stun_parse(&msg, buf, (size_t)n) == 0);
    require(linnet_stun_verify(&msg, buf, (size_t)n, key) == 0);
    require(linnet_stun_verify(&msg, buf, (size_t)n, other) < 0);
    require(msg.kind == (fields & 3) && msg.priority == priority);
    require(msg.username.len == left.len + 1 + right.len);
    require(msg.tie_breaker == (uint64_t)priority << 7);
    require(memcmp(&msg.mapped, &addr, sizeof addr) == 0);
    require(msg.error_code == (fields & 16 ? 487 : 420));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    linnet_hmac_sha1_t key, other;
    linnet_hmac_sha1_init(&key, (const uint8_t *)"VOkJxbRl1RmTxUk/WvJxBt", 22);
    linnet_hmac_sha1_init(&other, (const uint8_t *)"VOkJxbRl1RmTxUk/WvJxBT", 22);
    read_it(data, size, &key);
    write_it(data, size, &key, &other);
    return 0;
}
