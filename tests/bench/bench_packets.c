/* One call between two sessions in one process, in virtual time, for callgrind: bench_packets.py runs it.
 *
 *     bench_packets cm|gcm FRAMES      prints one JSON object; exits 1 when the call was not a good one
 *
 * Measured phases are dumped by name: "identity" (session_init), "client" and "server" (bringing up ICE, DTLS and
 * SCTP), "send" (send_path a frame) and "listen" (receive_path a packet, play_path a frame). The rest of the call
 * (reports and consent checks coming back) runs unmeasured. Also counts heap calls of the core and of the archives
 * behind it: linked with --wrap. Everything comes from fixed seeds. */
#include "linnet.h"
#include <opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif
#ifdef CALLGRIND_TOGGLE_COLLECT
#define PHASE_BEGIN() CALLGRIND_TOGGLE_COLLECT
#define PHASE_END(name)                                                                            \
    do {                                                                                           \
        CALLGRIND_TOGGLE_COLLECT;                                                                  \
        CALLGRIND_DUMP_STATS_AT(name);                                                             \
    } while (0)
#else
#define PHASE_BEGIN() (void)0
#define PHASE_END(name) (void)(name)
#endif

enum {
    RATE = 16000,
    FRAME = RATE / 50,
    FRAME_US = 20000,
    STEP_US = 5000,
    BLOCK = 25, /* frames sent in one go, before the other side hears them */
    QUEUE = 256,
    DATAGRAM = 1524, /* ADDR and 1500 bytes, with room */
    MEMORY = 2 << 20,
    TICKS = 0x3fffffff
};

/* --- heap calls of anything linked statically: -Wl,--wrap=malloc,... --- */

static unsigned long heap_calls;
static int heap_counts;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n) {
    heap_calls += (unsigned)heap_counts;
    return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size) {
    heap_calls += (unsigned)heap_counts;
    return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n) {
    heap_calls += (unsigned)heap_counts;
    return __real_realloc(p, n);
}
void __wrap_free(void *p) {
    heap_calls += (unsigned)heap_counts;
    __real_free(p);
}

/* A counter that never counts proves nothing: Opus's own constructor must be seen. */
static unsigned long heap_calls_of_a_known_user(void) {
    unsigned long before = heap_calls, seen;
    int error = 0;
    heap_counts = 1;
    opus_encoder_destroy(opus_encoder_create(RATE, 1, OPUS_APPLICATION_VOIP, &error));
    heap_counts = 0;
    seen = heap_calls - before;
    heap_calls = before;
    return seen;
}

/* --- the two ends --- */

typedef struct {
    uint16_t len; /* of the IN_DATAGRAM record: ADDR source, payload */
    uint8_t record[DATAGRAM];
} datagram_t;

typedef struct {
    datagram_t item[QUEUE];
    int n;
} queue_t;

typedef struct end {
    const char *phase;
    uint8_t *memory;
    linnet_session_t *session;
    uint8_t *out; /* of linnet_poll */
    size_t cap;
    uint8_t address[20];
    uint8_t local[96]; /* body of LINNET_OUT_LOCAL */
    uint8_t state[3];
    uint32_t deadline;
    queue_t rtp, other; /* for the peer */
} end_t;

static end_t left, right;
static uint8_t memory[2][MEMORY] __attribute__((aligned(64)));
static uint8_t out_buffer[2][131072] __attribute__((aligned(64)));
static int16_t sound[RATE]; /* one second, repeated */
static int16_t speaker[FRAME];
static uint32_t now = 1000000;

static void fail(const char *what) {
    fprintf(stderr, "bench_packets: %s\n", what);
    exit(1);
}

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

static __attribute__((noinline)) void drain(end_t *e) {
    int kind;
    while ((kind = linnet_poll(e->session, e->out, e->cap)) != LINNET_OUT_IDLE) {
        const uint8_t *body = e->out + 4;
        if (kind < 0) fail("poll");
        if (kind == LINNET_OUT_DATAGRAM) keep(e, le32(e->out));
        if (kind == LINNET_OUT_LOCAL) memcpy(e->local, body, le32(e->out));
        if (kind == LINNET_OUT_STATE) e->state[body[0]] = body[1];
    }
    e->deadline = le32(e->out + 4);
}

static void put(end_t *e, int kind, const uint8_t *data, size_t len, const char *what) {
    must(linnet_input(e->session, now & TICKS, kind, data, len), what);
}

static void make_end(end_t *e, int index, int gcm) {
    static const char *phases[] = {"client", "server"};
    uint8_t cfg[24], seed[48];
    int size, i;
    memset(cfg, 0, sizeof cfg);
    put32(cfg + 4, 1);
    put32(cfg + 20, gcm ? 8 : 0);
    for (i = 0; i < 48; i++) seed[i] = (uint8_t)(i * 7 + index * 31 + 5);
    size = linnet_session_size(cfg, sizeof cfg);
    if (size < 0 || size > MEMORY) fail("session_size");
    e->phase = phases[index];
    e->memory = memory[index];
    e->out = out_buffer[index];
    if (index == 0) PHASE_BEGIN();
    i = linnet_session_init(e->memory, (size_t)size, cfg, sizeof cfg, seed, sizeof seed);
    if (index == 0) PHASE_END("identity");
    must(i, "session_init");
    e->session = linnet_session_at(e->memory);
    e->cap = (size_t)linnet_poll_size(e->session);
    if (e->cap > sizeof out_buffer[0]) fail("poll_size");
    e->address[0] = 4;
    e->address[2] = 0x89, e->address[3] = 0x13;
    e->address[4] = 10, e->address[7] = (uint8_t)(index + 1);
    drain(e);
}

/* What the signalling would tell: the peer's description, its candidate, the tracks and one data channel. */
static void introduce(end_t *e, const end_t *peer, int index) {
    static const uint8_t channel[] = {0, 1, 100, 0, 255, 255, 9, '_', 'r', 'e', 'l', 'i', 'a', 'b', 'l', 'e'};
    uint8_t remote[4 + 32 + 64] = {(uint8_t)(index == 0), 0, (uint8_t)index, 0};
    uint8_t candidate[25], publish[10] = {0}, track[8] = {0, 111, 0, 16};
    size_t strings = 1 + (size_t)peer->local[32];
    strings += 1 + (size_t)peer->local[32 + strings];
    memcpy(remote + 4, peer->local, 32 + strings);
    put(e, LINNET_IN_LOCAL_CANDIDATE, e->address, 20, "local candidate");
    put(e, LINNET_IN_REMOTE, remote, 36 + strings, "remote description");
    memcpy(candidate, peer->address, 20);
    put32(candidate + 20, 2130706431);
    candidate[24] = 0;
    put(e, LINNET_IN_REMOTE_CANDIDATE, candidate, sizeof candidate, "remote candidate");
    put(e, LINNET_IN_CHANNEL, channel, sizeof channel, "channel");
    put32(publish, 0x1111u * (uint32_t)(index + 1));
    publish[4] = 111, publish[5] = 1, publish[6] = 2;
    publish[8] = 1, publish[9] = '0'; /* mid */
    if (index == 0) put(e, LINNET_IN_PUBLISH, publish, sizeof publish, "publish");
    put32(track + 4, 0x1111);
    if (index == 1) put(e, LINNET_IN_TRACK, track, sizeof track, "track");
}

/* --- coming up --- */

static void take_all(end_t *e, end_t *from) {
    int i, n = from->other.n;
    from->other.n = 0;
    for (i = 0; i < n; i++) {
        (void)linnet_input(e->session, now & TICKS, LINNET_IN_DATAGRAM, from->other.item[i].record,
                           from->other.item[i].len);
        drain(e);
    }
}

static int is_due(const end_t *e) {
    return ((e->deadline - now) & TICKS) > TICKS / 2 || ((e->deadline - now) & TICKS) == 0;
}

static void tick(end_t *e) {
    (void)linnet_input(e->session, now & TICKS, LINNET_IN_TIME, NULL, 0);
    drain(e);
}

static int is_up(const end_t *e) {
    return e->state[LINNET_LAYER_DTLS] == LINNET_STATE_CONNECTED &&
           e->state[LINNET_LAYER_SCTP] == LINNET_STATE_CONNECTED;
}

static void connect_step(end_t *e, end_t *peer) {
    if (!peer->other.n && !is_due(e)) return;
    PHASE_BEGIN();
    take_all(e, peer);
    if (is_due(e)) tick(e);
    PHASE_END(e->phase);
}

static void connect_both(void) {
    int steps;
    tick(&left);
    tick(&right);
    for (steps = 0; !(is_up(&left) && is_up(&right)); steps++) {
        if (steps > 2000) fail("the two did not connect");
        now += STEP_US;
        connect_step(&right, &left);
        connect_step(&left, &right);
    }
}

/* --- the call --- */

/* One frame of the microphone, as driver.py gives it: push, tell the time, poll until idle. */
static __attribute__((noinline)) void send_path(const int16_t *pcm) {
    (void)linnet_pcm_push(left.session, pcm, FRAME);
    (void)linnet_input(left.session, now & TICKS, LINNET_IN_TIME, NULL, 0);
    drain(&left);
}

/* One packet from the socket, until idle. */
static __attribute__((noinline)) void receive_path(const datagram_t *d) {
    (void)linnet_input(right.session, now & TICKS, LINNET_IN_DATAGRAM, d->record, d->len);
    drain(&right);
}

/* One frame for the speaker. */
static __attribute__((noinline)) int play_path(void) {
    return linnet_pcm_pull(right.session, speaker, FRAME);
}

/* Voiced syllables with pauses: a pulse train through two resonators, integers only. */
static void make_sound(void) {
    int32_t a1 = 0, a2 = 0, b1 = 0, b2 = 0, y, z;
    uint32_t noise = 12345;
    int i, envelope, pulse;
    for (i = 0; i < RATE; i++) {
        int at = i % 4000; /* four syllables a second */
        envelope = at < 400 ? at * 10 : at < 2800 ? 4000 : at < 3200 ? (3200 - at) * 10 : 0;
        noise = noise * 1664525 + 1013904223;
        pulse = i % (125 + at / 200) == 0 ? envelope * 2 : 0;
        pulse += ((int)(noise >> 20) - 2048) * envelope / 60000;
        y = (pulse * 256 + a1 * 474 - a2 * 240) / 256; /* about 600 Hz */
        a2 = a1, a1 = y;
        z = (pulse * 256 + b1 * 300 - b2 * 225) / 256; /* about 2.2 kHz */
        b2 = b1, b1 = z;
        y = y / 2 + z / 2;
        sound[i] = (int16_t)(y > 30000 ? 30000 : y < -30000 ? -30000 : y);
    }
}

typedef struct {
    unsigned long sent, bytes, received, frames, sounding;
} totals_t;

static void one_block(totals_t *t, unsigned first, int measured) {
    uint32_t began = now;
    int i, n;
    if (measured) PHASE_BEGIN();
    for (i = 0; i < BLOCK; i++, now += FRAME_US) send_path(sound + (first + (unsigned)i) % 50 * FRAME);
    if (measured) PHASE_END("send");
    n = left.rtp.n;
    now = began;
    if (measured) PHASE_BEGIN();
    for (i = 0; i < BLOCK; i++, now += FRAME_US) {
        if (i < n) receive_path(&left.rtp.item[i]);
        t->sounding += play_path() > 0 && measured;
    }
    if (measured) PHASE_END("listen");
    left.rtp.n = 0;
    take_all(&right, &left);
    take_all(&left, &right);
    if (!measured) return;
    t->frames += BLOCK;
    t->sent += (unsigned)n;
    t->received += (unsigned)(n < BLOCK ? n : BLOCK);
    for (i = 0; i < n; i++) t->bytes += left.rtp.item[i].len - 20u;
}

int main(int argc, char **argv) {
    int gcm = argc > 1 && strcmp(argv[1], "gcm") == 0;
    unsigned frames = argc > 2 ? (unsigned)atoi(argv[2]) : 500, at;
    unsigned long known;
    totals_t t = {0, 0, 0, 0, 0};
    make_sound();
    heap_counts = 1;
    make_end(&left, 0, gcm);
    make_end(&right, 1, gcm);
    introduce(&left, &right, 0);
    introduce(&right, &left, 1);
    connect_both();
    one_block(&t, 0, 0); /* the first packets, and the playout buffer filling */
    for (at = 0; at < frames; at += BLOCK) one_block(&t, at + BLOCK, 1);
    linnet_session_wipe(left.session);
    linnet_session_wipe(right.session);
    heap_counts = 0;
    known = heap_calls_of_a_known_user();
    printf("{\"frames\": %lu, \"sent\": %lu, \"received\": %lu, \"sounding\": %lu, \"datagram_bytes\": %lu, "
           "\"heap_calls\": %lu, \"heap_calls_of_a_known_user\": %lu}\n",
           t.frames, t.sent, t.received, t.sounding, t.bytes, heap_calls, known);
    if (t.sent != t.frames || t.sounding != t.frames) fail("not every frame was sent and heard");
    return 0;
}
