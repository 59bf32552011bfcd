/* Two sessions in one program and virtual time, for those that count what a call costs: budgets/target.c and
 * bench/bench_packets.c. Queues stand in for the network; everything comes from fixed seeds.
 *
 * Who includes this defines fail and drain: they differ in how they complain and in what they measure. */
#ifndef LINNET_TESTS_CALL_H
#define LINNET_TESTS_CALL_H

#include "linnet.h"
#include <string.h>

enum {
    STEP_US = 5000, /* of bringing the layers up */
    FRAME_US = 20000,
    QUEUE = 64,
    DATAGRAM = 1524, /* ADDR and 1500 bytes, with room */
    MEMORY = 1 << 20,
    OUT = 131072,
    RATE_MAX = 48000,
    CFG_WORDS = 11,
    TICKS = 0x3fffffff
};

typedef struct {
    uint16_t len; /* of the IN_DATAGRAM record: ADDR source, payload */
    uint8_t record[DATAGRAM];
} datagram_t;

typedef struct {
    datagram_t item[QUEUE];
    int n;
} queue_t;

typedef struct {
    linnet_session_t *session;
    uint8_t *out; /* of linnet_poll */
    size_t cap;
    uint32_t rate; /* samples a second */
    uint8_t address[20];
    uint8_t local[96]; /* body of LINNET_OUT_LOCAL */
    uint8_t state[3];
    int channel;  /* the newest open one, -1 = none */
    size_t heard; /* bytes of messages */
    uint32_t deadline;
    queue_t rtp, other; /* for the peer */
} end_t;

static end_t left, right;
static uint8_t memory[2][MEMORY] __attribute__((aligned(64)));
static uint8_t out_buffer[2][OUT] __attribute__((aligned(64)));
static int16_t sound[RATE_MAX]; /* one second, repeated */
static uint32_t now = 1000000;

/* By the program: says what went wrong and ends; takes the outputs of a session until it is idle. */
static void fail(const char *what);
static void drain(end_t *e);

static void must(int result, const char *what) {
    if (result < 0) fail(what);
}

static uint32_t le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v) {
    int i;
    for (i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/* --- one end --- */

static int is_rtp(const uint8_t *payload) {
    return payload[0] >= 128 && payload[0] <= 191 && !(payload[1] >= 192 && payload[1] <= 223);
}

/* Keeps a datagram for the peer: what the socket would do. */
static void keep(end_t *e, uint32_t len) {
    queue_t *q = is_rtp(e->out + 24) ? &e->rtp : &e->other;
    datagram_t *d = &q->item[q->n];
    if (q->n == QUEUE || len > DATAGRAM) fail("a queue is full");
    q->n++;
    d->len = (uint16_t)len;
    memcpy(d->record, e->address, 20);
    memcpy(d->record + 20, e->out + 24, len - 20);
}

/* One output of linnet_poll. */
static void take(end_t *e, int kind) {
    const uint8_t *body = e->out + 4;
    if (kind < 0) fail("poll");
    if (kind == LINNET_OUT_DATAGRAM) keep(e, le32(e->out));
    if (kind == LINNET_OUT_LOCAL) memcpy(e->local, body, le32(e->out));
    if (kind == LINNET_OUT_STATE) e->state[body[0]] = body[1];
    if (kind == LINNET_OUT_CHANNEL) e->channel = body[2] ? body[0] | body[1] << 8 : -1;
    if (kind == LINNET_OUT_DATA) e->heard += le32(e->out) - 4;
}

static void put(end_t *e, int kind, const uint8_t *data, size_t len, const char *what) {
    must(linnet_input(e->session, now & TICKS, kind, data, len), what);
}

static void tick(end_t *e) {
    (void)linnet_input(e->session, now & TICKS, LINNET_IN_TIME, NULL, 0);
    drain(e);
}

static int is_due(const end_t *e) {
    uint32_t left_us = (e->deadline - now) & TICKS;
    return left_us > TICKS / 2 || left_us == 0;
}

/* Everything but sound that waits for it. */
static void take_all(end_t *e, end_t *from) {
    int i, n = from->other.n;
    from->other.n = 0;
    for (i = 0; i < n; i++) {
        (void)linnet_input(e->session, now & TICKS, LINNET_IN_DATAGRAM, from->other.item[i].record,
                           from->other.item[i].len);
        drain(e);
    }
}

/* --- making an end: plan_session, init_session, open_end; a program may measure the second --- */

typedef struct {
    uint8_t cfg[4 * CFG_WORDS], seed[48];
    size_t size;
    uint32_t rate;
    int index;
} plan_t;

/* words: those of linnet.h's cfg, the rate given. */
static plan_t plan_session(int index, const uint32_t *words) {
    plan_t p = {.rate = words[0], .index = index};
    int i, size;
    for (i = 0; i < CFG_WORDS; i++) put32(p.cfg + 4 * i, words[i]);
    for (i = 0; i < 48; i++) p.seed[i] = (uint8_t)(i * 7 + index * 31 + 5);
    size = linnet_session_size(p.cfg, sizeof p.cfg);
    if (size < 0 || size > MEMORY) fail("session_size");
    p.size = (size_t)size;
    return p;
}

static int init_session(const plan_t *p) {
    return linnet_session_init(memory[p->index], p->size, p->cfg, sizeof p->cfg, p->seed, sizeof p->seed);
}

static void open_end(end_t *e, const plan_t *p) {
    memset(e, 0, sizeof *e);
    e->session = linnet_session_at(memory[p->index]);
    e->out = out_buffer[p->index];
    e->cap = (size_t)linnet_poll_size(e->session);
    if (e->cap > OUT) fail("poll_size");
    e->rate = p->rate;
    e->channel = -1;
    e->address[0] = 4;
    e->address[2] = 0x89, e->address[3] = 0x13;
    e->address[4] = 10, e->address[7] = (uint8_t)(p->index + 1);
    drain(e);
}

/* --- what the signalling would tell --- */

/* The peer's description and its candidate. Index 0 controls ICE and is the client of DTLS. */
static void introduce(end_t *e, const end_t *peer, int index) {
    uint8_t remote[4 + 32 + 64] = {(uint8_t)(index == 0), 0, (uint8_t)index, 0};
    uint8_t candidate[25];
    size_t strings = 1 + (size_t)peer->local[32];
    strings += 1 + (size_t)peer->local[32 + strings];
    memcpy(remote + 4, peer->local, 32 + strings);
    put(e, LINNET_IN_LOCAL_CANDIDATE, e->address, 20, "local candidate");
    put(e, LINNET_IN_REMOTE, remote, 36 + strings, "remote description");
    memcpy(candidate, peer->address, 20);
    put32(candidate + 20, 2130706431);
    candidate[24] = 0;
    put(e, LINNET_IN_REMOTE_CANDIDATE, candidate, sizeof candidate, "remote candidate");
}

static void publish(end_t *e, uint32_t ssrc) {
    uint8_t record[10] = {0};
    put32(record, ssrc);
    record[4] = 111, record[5] = 1, record[6] = 2;
    record[8] = 1, record[9] = '0'; /* mid */
    put(e, LINNET_IN_PUBLISH, record, sizeof record, "publish");
}

static void subscribe(end_t *e, uint32_t ssrc) {
    uint8_t record[8] = {0, 111, 0, 16};
    put32(record + 4, ssrc);
    put(e, LINNET_IN_TRACK, record, sizeof record, "track");
}

/* --- the microphone --- */

/* Voiced syllables with pauses: a pulse train through two resonators, integers only. */
static void make_sound(uint32_t rate) {
    int32_t a1 = 0, a2 = 0, b1 = 0, b2 = 0, y, z;
    uint32_t noise = 12345;
    int i;
    for (i = 0; i < (int)rate; i++) {
        int at = i * 50 / (int)(rate / 80) % 1000; /* 4000 steps a second: four syllables */
        int envelope = at < 100 ? at * 40 : at < 700 ? 4000 : at < 800 ? (800 - at) * 40 : 0;
        int pulse = i % ((int)rate / 128 + at / 50) == 0 ? envelope * 2 : 0;
        noise = noise * 1664525 + 1013904223;
        pulse += ((int)(noise >> 20) - 2048) * envelope / 60000;
        y = (pulse * 256 + a1 * 474 - a2 * 240) / 256; /* at 16 kHz about 600 Hz */
        a2 = a1, a1 = y;
        z = (pulse * 256 + b1 * 300 - b2 * 225) / 256; /* and 2.2 kHz */
        b2 = b1, b1 = z;
        y = y / 2 + z / 2;
        sound[i] = (int16_t)(y > 30000 ? 30000 : y < -30000 ? -30000 : y);
    }
}

#endif
