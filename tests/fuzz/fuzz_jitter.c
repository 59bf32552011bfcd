/* csrc/media/jitter.c: any order of any packets and gets keeps the invariants of jitter.h, and
 * answers go on.
 *
 * The first byte chooses the delay, the rest is a list of steps: u8 what, then what that takes.
 * A payload is the bytes of the input five times over.
 * Time moves on with every step by the upper half of `what` in milliseconds. */
#include <stdlib.h>

#include "media/jitter.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PUT_NEXT, PUT_AT, PUT_ANY, GET, QUIET, FLUSH };

static void require(int condition) {
    if (!condition) abort();
}

/* Of the payload in each slot, so that moving them together is seen to change none. */
static uint32_t sums[LINNET_JITTER_PACKETS];

static uint32_t sum_of(const uint8_t *bytes, size_t len) {
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < len; i++) sum = (sum ^ bytes[i]) * 16777619u;
    return sum;
}

static void check(const linnet_jitter_t *j) {
    uint32_t held = 0, buffered = 0;
    for (size_t i = 0; i < LINNET_JITTER_PACKETS; i++) {
        if (!j->slot[i].is_held) continue;
        held++;
        buffered += j->slot[i].duration;
        require(j->slot[i].sequence % LINNET_JITTER_PACKETS == i);
        require((uint16_t)(j->slot[i].sequence - j->next) < LINNET_JITTER_PACKETS);
        require(j->slot[i].at + j->slot[i].len <= j->end && j->end <= LINNET_JITTER_BYTES);
        require(sum_of(j->bytes + j->slot[i].at, j->slot[i].len) == sums[i]);
    }
    require(held == j->held && buffered == j->buffered);
}

static void get(linnet_jitter_t *j, uint64_t now_us) {
    const uint8_t *payload;
    size_t len;
    int kind = linnet_jitter_get(j, now_us, &payload, &len);
    uint32_t duration = linnet_jitter_duration(j);
    int has_payload =
        kind == LINNET_JITTER_PACKET || kind == LINNET_JITTER_SKIP || kind == LINNET_JITTER_FEC;
    require(kind >= LINNET_JITTER_WAIT && kind <= LINNET_JITTER_DTX);
    require((len > 0) == has_payload && (payload != NULL) == has_payload);
    require(duration > 0 && duration % 120 == 0 && duration <= 5760);
}

static void put(linnet_jitter_t *j, uint64_t now_us, uint16_t sequence, uint32_t timestamp,
                wire_in_t *in) {
    wire_span_t payload = wire_take(in, wire_u8(in));
    uint8_t
        packet[5 * 255 + 5]; /* five times as long as what stands here, so that the area fills */
    size_t len = 0;
    int result;
    if (!wire_ok(in)) return;
    for (int i = 0; i < 5 && payload.len; i++, len += payload.len)
        memcpy(packet + len, payload.data, payload.len);
    result = linnet_jitter_put(j, now_us, sequence, timestamp, packet, len);
    require(result == 0 || result == 1 || result == LINNET_ERR_PACKET);
    if (result == 1) sums[sequence % LINNET_JITTER_PACKETS] = sum_of(packet, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    linnet_jitter_t j;
    wire_in_t in = wire_in(data, size);
    uint64_t now_us = 0;
    uint16_t next = 65530;
    linnet_jitter_init(&j, wire_u8(&in));
    while (wire_left(&in) > 0) {
        uint8_t what = wire_u8(&in);
        uint16_t sequence;
        now_us += (uint64_t)(what >> 4) * 1000;
        switch (what & 7) {
        case PUT_NEXT:
            put(&j, now_us, next, next * 960u, &in);
            next++;
            break;
        case PUT_AT: /* around the stream: late, early, twice */
            sequence = (uint16_t)(next + wire_u8(&in) - 128);
            put(&j, now_us, sequence, sequence * 960u, &in);
            break;
        case PUT_ANY:
            sequence = wire_u16(&in);
            put(&j, now_us, sequence, wire_u32(&in), &in);
            break;
        case QUIET: linnet_jitter_set_quiet(&j, what >> 4 & 1); break;
        case FLUSH: linnet_jitter_flush(&j); break;
        default: get(&j, now_us);
        }
        check(&j);
    }
    return 0;
}
