/* Datagrams into a DTLS endpoint (csrc/net/dtls.c), fresh, in the middle of a handshake, or
 * connected.
 *
 * The first byte: bit 0 our role; bits 1-3 how many genuine datagrams come before the foreign ones;
 * high bits all set: the handshake goes on with a genuine peer afterwards. Then datagrams: u16
 * length, then that many bytes. Whatever comes, keys may exist on both sides only if they are
 * equal. The state after each number of genuine datagrams is made once and copied back to the same
 * address, because a handshake costs milliseconds. */
#include <stdlib.h>

#include "dtls.h"

enum { STAGES = 6, CLIENT = LINNET_DTLS_CLIENT, SERVER = LINNET_DTLS_SERVER };

typedef struct {
    linnet_dtls_t ends[2];
    linnet_rng_t rngs[2];
    uint8_t flying[LINNET_MTU]; /* the next genuine datagram */
    int flying_len, to;
} world_t;

static world_t world;
static world_t stages[STAGES];
static int ready;

/* Takes one datagram from whoever has one. */
static void next_genuine(world_t *w) {
    w->flying_len = 0;
    for (int i = 0; i < 2 && w->flying_len <= 0; i++) {
        w->to = 1 - i;
        w->flying_len = linnet_dtls_poll(&w->ends[i], 1000, w->flying, sizeof w->flying);
    }
}

static void read_all(linnet_dtls_t *end) {
    uint8_t plain[LINNET_DATAGRAM_MAX];
    while (linnet_dtls_read(end, plain, sizeof plain) > 0) {
    }
}

static void deliver(linnet_dtls_t *end, const uint8_t *data, size_t len) {
    uint8_t *copy = malloc(len ? len : 1);
    if (copy == NULL) abort();
    if (len) memcpy(copy, data, len);
    (void)linnet_dtls_input(end, 1000, copy, len);
    free(copy);
    read_all(end);
}

static void prepare(void) {
    static linnet_identity_t ids[2];
    static uint64_t scratch[512];
    for (int i = 0; i < 2; i++) {
        uint8_t seed[32] = {(uint8_t)i};
        if (linnet_rng_init(&world.rngs[i], seed, sizeof seed) != 0) abort();
        if (linnet_identity_make(&ids[i], &world.rngs[i], scratch, sizeof scratch) != 0) abort();
    }
    for (int i = 0; i < 2; i++)
        if (linnet_dtls_init(&world.ends[i], &world.rngs[i], &ids[i], i, ids[1 - i].fingerprint) !=
            0)
            abort();
    (void)linnet_dtls_start(&world.ends[SERVER], 0);
    (void)linnet_dtls_start(&world.ends[CLIENT], 0);
    for (int i = 0; i < STAGES; i++) {
        next_genuine(&world);
        stages[i] = world;
        if (world.flying_len > 0)
            deliver(&world.ends[world.to], world.flying, (size_t)world.flying_len);
    }
    if (linnet_dtls_state(&world.ends[CLIENT]) != LINNET_DTLS_CONNECTED) abort();
    ready = 1;
}

static void check(const world_t *w) {
    linnet_srtp_keys_t keys[2];
    int has[2];
    for (int i = 0; i < 2; i++) {
        has[i] = linnet_dtls_srtp_keys(&w->ends[i], &keys[i]) == 0;
        if (has[i] && linnet_dtls_state(&w->ends[i]) != LINNET_DTLS_CONNECTED) abort();
    }
    if (has[0] && has[1] && memcmp(&keys[0], &keys[1], sizeof keys[0]) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!ready) prepare();
    if (size < 3) return 0;
    int role = data[0] & 1, stage = (data[0] >> 1 & 7) % STAGES;
    world = stages[stage];
    wire_in_t in = wire_in(data + 1, size - 1);
    for (int i = 0; i < 16 && wire_left(&in) > 2; i++) {
        wire_span_t datagram = wire_take(&in, wire_u16(&in));
        if (!wire_ok(&in)) break;
        deliver(&world.ends[role], datagram.data, datagram.len);
    }
    if (data[0] >> 4 == 15) {
        for (int i = 0; i < 8 && world.flying_len > 0; i++) {
            deliver(&world.ends[world.to], world.flying, (size_t)world.flying_len);
            next_genuine(&world);
        }
    }
    check(&world);
    return 0;
}
