/* Two whole sessions (csrc/session*.c) in virtual time: one of them, the target, gets commands and datagrams that
 * the fuzzer wrote, and genuine datagrams of the other that it lost, repeated, cut or altered.
 *
 * The first byte: bit 0 which end is the target, bits 1-2 the stage to begin at: described to each other, in the
 * handshake, connected with channels and sound. Then operations, each a byte and its operands. After each both
 * ends are polled until idle. Nothing may arrive as data that the other end has not sent; no event may be lost;
 * polling must end. Stages are made once and copied back to the same addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/linnet.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STAGES = 3, RING = 16, DATAGRAM = 1500, SENT = 64, OPS_MAX = 64, POLLS_MAX = 4000 };
enum { ADDR_LEN = 20, MASK = (1 << 30) - 1, EVENTS_LOST = 32 };

typedef struct {
    uint16_t len[RING];
    uint8_t data[RING][DATAGRAM];
    uint32_t written, taken;
} flow_t;

typedef struct {
    uint32_t now;
    flow_t to[2]; /* datagrams on their way to each end */
    uint32_t sent[SENT];
    uint32_t n_sent;
    uint8_t local[2][96];
    size_t local_len[2];
    uint8_t is_connected[2];
} world_t;

static world_t world;
static uint8_t *memory[2], *out;
static size_t memory_len, out_len;
static linnet_session_t *ends[2];
static struct {
    world_t world;
    uint8_t *memory[2];
} stages[STAGES];

#define require(fact) ((fact) ? (void)0 : fail(#fact, __LINE__))
static void fail(const char *fact, int line) {
    fprintf(stderr, "fuzz_session.c:%d: %s does not hold\n", line, fact);
    abort();
}

static uint32_t hash(const uint8_t *data, size_t len) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++) h = (h ^ data[i]) * 16777619u;
    return h;
}

static uint32_t u32le(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void address(uint8_t addr[ADDR_LEN], int end) {
    static const uint8_t base[ADDR_LEN] = {4, 0, 0x88, 0x13, 10, 0, 0, 1};
    memcpy(addr, base, ADDR_LEN);
    addr[7] = (uint8_t)(1 + end);
}

/* A datagram of `from` is lost unless it goes to the other end's address. */
static void fly(int from, const uint8_t *body, size_t len) {
    uint8_t addr[ADDR_LEN];
    flow_t *flow = &world.to[1 - from];
    address(addr, 1 - from);
    require(len > ADDR_LEN && len - ADDR_LEN <= DATAGRAM);
    if (memcmp(body + 2, addr + 2, 6) != 0) return;
    flow->len[flow->written % RING] = (uint16_t)(len - ADDR_LEN);
    memcpy(flow->data[flow->written % RING], body + ADDR_LEN, len - ADDR_LEN);
    flow->written++;
}

static void event(int end, int kind, const uint8_t *body, size_t len) {
    if (kind == LINNET_OUT_LOCAL) {
        require(len <= sizeof world.local[0]);
        memcpy(world.local[end], body, len);
        world.local_len[end] = len;
    } else if (kind == LINNET_OUT_STATE && body[0] == LINNET_LAYER_SCTP) {
        world.is_connected[end] = body[1] == LINNET_STATE_CONNECTED;
    } else if (kind == LINNET_OUT_DATA) {
        uint32_t i, h = hash(body + 4, len - 4);
        for (i = 0; i < world.n_sent && i < SENT; i++)
            if (world.sent[i] == h) return;
        require(world.n_sent > SENT);
    }
}

static void drain(int end) {
    int polls = 0;
    for (;;) {
        int kind = linnet_poll(ends[end], out, out_len);
        size_t len = u32le(out);
        require(kind >= 0 && kind <= LINNET_OUT_SENDABLE && len <= out_len - 4);
        require(++polls < POLLS_MAX);
        if (kind == LINNET_OUT_IDLE) {
            require(len == 4 && ((u32le(out + 4) - world.now) & MASK) <= 1u << 29);
            return;
        }
        if (kind == LINNET_OUT_DATAGRAM) {
            fly(end, out + 4, len);
        } else {
            event(end, kind, out + 4, len);
        }
    }
}

/* The bytes lie at the end of a block of exactly their size. */
static int input(int end, int kind, const uint8_t *data, size_t len) {
    uint8_t *copy = malloc(len ? len : 1);
    int rc;
    require(copy != NULL);
    if (len) memcpy(copy, data, len);
    rc = linnet_input(ends[end], world.now, kind, copy, len);
    free(copy);
    if (rc >= 0 && kind == LINNET_IN_DATA)
        world.sent[world.n_sent++ % SENT] = hash(data + 4, len - 4);
    drain(end);
    return rc;
}

static void datagram(int to, const uint8_t *data, size_t len) {
    uint8_t record[ADDR_LEN + DATAGRAM];
    if (len > DATAGRAM) len = DATAGRAM;
    address(record, 1 - to);
    if (len) memcpy(record + ADDR_LEN, data, len);
    (void)input(to, LINNET_IN_DATAGRAM, record, ADDR_LEN + len);
}

/* The next one on its way to `to`; 0 when there is none. */
static int deliver(int to) {
    flow_t *flow = &world.to[to];
    uint32_t i;
    if (flow->written - flow->taken > RING) flow->taken = flow->written - RING;
    if (flow->taken == flow->written) return 0;
    i = flow->taken++ % RING;
    datagram(to, flow->data[i], flow->len[i]);
    return 1;
}

static void pass(uint32_t us) {
    world.now = (world.now + us) & MASK;
    for (int i = 0; i < 2; i++) (void)input(i, LINNET_IN_TIME, NULL, 0);
}

static void sound(void) {
    int16_t pcm[160];
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 160; k++) pcm[k] = (int16_t)((k * 37 % 100 - 50) * 200);
        (void)linnet_pcm_push(ends[i], pcm, 160);
        int tracks = linnet_pcm_pull(ends[i], pcm, 160);
        require(tracks >= 0 || tracks == LINNET_ERR_CLOSED);
        drain(i);
    }
    pass(20000);
}

/* --- stages --- */

static void describe(int end) {
    static const uint8_t publish[] = {0x11, 0x11, 0, 0, 111, 1, 2, 0, 1, '0'};
    static const uint8_t track[] = {0, 111, 0, 0, 0x11, 0x11, 0, 0};
    static const uint8_t channel[] = {0, 0, 0, 0, 255, 255, 1, 'r'};
    uint8_t record[128] = {(uint8_t)end, 0, (uint8_t)end, 0};
    uint8_t candidate[ADDR_LEN + 5] = {0};
    address(candidate, end);
    require(input(end, LINNET_IN_LOCAL_CANDIDATE, candidate, ADDR_LEN) >= 0);
    memcpy(record + 4, world.local[1 - end], world.local_len[1 - end]);
    require(input(end, LINNET_IN_REMOTE, record, 4 + world.local_len[1 - end]) >= 0);
    address(candidate, 1 - end);
    memset(candidate + ADDR_LEN, 0x7E, 4);
    require(input(end, LINNET_IN_REMOTE_CANDIDATE, candidate, sizeof candidate) >= 0);
    require(input(end, LINNET_IN_PUBLISH, publish, sizeof publish) >= 0);
    require(input(end, LINNET_IN_TRACK, track, sizeof track) >= 0);
    if (end == 0) require(input(end, LINNET_IN_CHANNEL, channel, sizeof channel) >= 0);
}

static void keep(int stage) {
    stages[stage].world = world;
    for (int i = 0; i < 2; i++) {
        stages[stage].memory[i] = malloc(memory_len);
        require(stages[stage].memory[i] != NULL);
        memcpy(stages[stage].memory[i], memory[i], memory_len);
    }
}

static void restore(int stage) {
    world = stages[stage].world;
    for (int i = 0; i < 2; i++) memcpy(memory[i], stages[stage].memory[i], memory_len);
}

static void exchange(int rounds) {
    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < 2; k++) (void)deliver(k);
}

static void prepare(void) {
    static const uint32_t words[] = {8000, 1, 20, 0, 1, 2, 0, 4096, 12000, 12000};
    uint8_t cfg[sizeof words], seed[48] = {7};
    int need;
    for (size_t i = 0; i < sizeof words; i++) cfg[i] = (uint8_t)(words[i / 4] >> 8 * (i % 4));
    need = linnet_session_size(cfg, sizeof cfg);
    require(need > 0);
    memory_len = (size_t)need;
    world.now = 1000;
    for (int i = 0; i < 2; i++) {
        seed[1] = (uint8_t)i;
        memory[i] = aligned_alloc(16, (memory_len + 15) & ~(size_t)15);
        require(memory[i] != NULL);
        memset(memory[i], 0, memory_len);
        require(linnet_session_init(memory[i], memory_len, cfg, sizeof cfg, seed, sizeof seed) ==
                0);
        ends[i] = linnet_session_at(memory[i]);
    }
    out_len = (size_t)linnet_poll_size(ends[0]);
    out = malloc(out_len);
    require(out != NULL);
    for (int i = 0; i < 2; i++) drain(i);
    for (int i = 0; i < 2; i++) describe(i);
    keep(0);
    for (int i = 0; i < 2; i++) pass(50000), exchange(2);
    keep(1);
    for (int i = 0; i < 400 && !(world.is_connected[0] && world.is_connected[1]); i++) {
        exchange(8);
        pass(20000);
    }
    require(world.is_connected[0] && world.is_connected[1]);
    for (int i = 0; i < 4; i++) sound(), exchange(4);
    keep(2);
}

/* --- operations --- */

static void altered(int to, wire_in_t *in) {
    uint8_t copy[DATAGRAM];
    flow_t *flow = &world.to[to];
    uint8_t slot = wire_u8(in), how = wire_u8(in);
    uint16_t at = wire_u16(in);
    size_t len = flow->len[slot % RING];
    if (len == 0) return;
    memcpy(copy, flow->data[slot % RING], len);
    switch (how & 3) {
    case 0: copy[at % len] ^= (uint8_t)(1 << (how >> 2 & 7)); break;
    case 1: len = at % len; break;
    case 2: copy[at % len] = how; break;
    default: break; /* as it was: a repetition */
    }
    datagram(to, copy, len);
}

static void operation(int target, wire_in_t *in) {
    uint8_t what = wire_u8(in);
    wire_span_t bytes;
    switch (what & 15) {
    case 0: pass((uint32_t)wire_u8(in) * 1000); break;
    case 1: pass((uint32_t)wire_u8(in) * 1000000); break;
    case 2:
    case 3: /* a command to the target, or to the other end */
        bytes = wire_take(in, wire_u8(in));
        if (wire_ok(in))
            (void)input((what & 1) ^ target, (what >> 4) + (what & 1 ? 1 : 0), bytes.data,
                        bytes.len);
        break;
    case 4:
        bytes = wire_take(in, wire_u16(in));
        if (wire_ok(in)) datagram(target, bytes.data, bytes.len);
        break;
    case 5: altered(target, in); break;
    case 6: altered(1 - target, in); break;
    case 7: sound(); break;
    case 8: exchange(1 + (what >> 4)); break;
    case 9: (void)deliver(target); break;
    case 10: world.to[target].taken = world.to[target].written; break; /* lost */
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t stats[64 * 8];
    wire_in_t in = wire_in(data, size);
    uint8_t first = wire_u8(&in);
    if (!ends[0]) prepare();
    restore((first >> 1 & 3) % STAGES);
    for (int i = 0; i < OPS_MAX && wire_left(&in) > 0; i++) operation(first & 1, &in);
    for (int i = 0; i < 2; i++) {
        int n = linnet_stats(ends[i], -1, stats, sizeof stats);
        if (n == LINNET_ERR_ARG) continue; /* closed */
        require(n > EVENTS_LOST * 8);
        require(u32le(stats + EVENTS_LOST * 8) == 0);
    }
    return 0;
}
