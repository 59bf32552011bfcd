/* One call between two sessions in one process, in virtual time, for callgrind: bench_packets.py runs it.
 *
 *     bench_packets cm|gcm FRAMES      prints one JSON object; exits 1 when the call was not a good one
 *
 * Measured phases are dumped by name: "identity" (session_init), "client" and "server" (bringing up ICE, DTLS and
 * SCTP), "send" (send_path a frame) and "listen" (receive_path a packet, play_path a frame). The rest of the call
 * (reports and consent checks coming back) runs unmeasured. Also counts heap calls of the core and of the archives
 * behind it: linked with --wrap. Everything comes from fixed seeds. */
#include "../call.h"
#include <opus.h>
#include <stdio.h>
#include <stdlib.h>

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
    BLOCK = 25 /* frames sent in one go, before the other side hears them */
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

/* --- coming up --- */

static void fail(const char *what) {
    fprintf(stderr, "bench_packets: %s\n", what);
    exit(1);
}

static __attribute__((noinline)) void drain(end_t *e) {
    int kind;
    while ((kind = linnet_poll(e->session, e->out, e->cap)) != LINNET_OUT_IDLE) take(e, kind);
    e->deadline = le32(e->out + 4);
}

static void make_end(end_t *e, int index, int gcm) {
    const uint32_t words[CFG_WORDS] = {RATE, 1, 0, 0, 0, gcm ? 8 : 0};
    plan_t plan = plan_session(index, words);
    int rc;
    if (index == 0) PHASE_BEGIN();
    rc = init_session(&plan);
    if (index == 0) PHASE_END("identity");
    must(rc, "session_init");
    open_end(e, &plan);
}

/* Sound goes from left to right alone; the channel is negotiated, so that it costs no packet. */
static void tell(end_t *e, const end_t *peer, int index) {
    static const uint8_t channel[] = {0, 1, 100, 0, 255, 255, 9, '_', 'r', 'e', 'l', 'i', 'a', 'b', 'l', 'e'};
    introduce(e, peer, index);
    put(e, LINNET_IN_CHANNEL, channel, sizeof channel, "channel");
    if (index == 0) publish(e, 0x1111);
    if (index == 1) subscribe(e, 0x1111);
}

static int is_up(const end_t *e) {
    return e->state[LINNET_LAYER_DTLS] == LINNET_STATE_CONNECTED &&
           e->state[LINNET_LAYER_SCTP] == LINNET_STATE_CONNECTED;
}

static void connect_step(end_t *e, end_t *peer, const char *phase) {
    if (!peer->other.n && !is_due(e)) return;
    PHASE_BEGIN();
    take_all(e, peer);
    if (is_due(e)) tick(e);
    PHASE_END(phase);
}

static void connect_both(void) {
    int steps;
    tick(&left);
    tick(&right);
    for (steps = 0; !(is_up(&left) && is_up(&right)); steps++) {
        if (steps > 2000) fail("the two did not connect");
        now += STEP_US;
        connect_step(&right, &left, "server");
        connect_step(&left, &right, "client");
    }
}

/* --- the call --- */

static int16_t speaker[FRAME];

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
    make_sound(RATE);
    heap_counts = 1;
    make_end(&left, 0, gcm);
    make_end(&right, 1, gcm);
    tell(&left, &right, 0);
    tell(&right, &left, 1);
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
