/* A call between two sessions in one program without an operating system, in virtual time, on an emulated processor.
 *
 *     count    instructions by path and kind        stack    the deepest stack of every public function
 *
 * Prints "name value" lines; "error ..." and exit code 1 when the call was not a good one. Both modes play the same
 * kind of call: identity, ICE, DTLS, SCTP, sound, data, goodbye. "count" measures a steady 16 kHz call at complexity
 * 0 without loss, packet by packet; "stack" takes the heavier roads too: 44.1 kHz, FEC, losses, a large message. */
#include "codec.h"
#include "linnet.h"
#include "meter.h"
#include "samples.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEP_US = 5000,
    FRAME_US = 20000,
    WARM_UP = 25,
    FRAMES = 50,
    QUEUE = 64,
    DATAGRAM = 1524, /* ADDR and 1500 bytes, with room */
    MEMORY = 1 << 20,
    OUT = 131072,
    RATE_MAX = 48000,
    TICKS = 0x3fffffff,
    LOSS_EVERY = 7
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
    uint32_t rate;
    uint8_t address[20];
    uint8_t local[96]; /* body of LINNET_OUT_LOCAL */
    uint8_t state[3];
    int channel; /* the newest open one, -1 = none */
    size_t heard; /* bytes of messages */
    uint32_t deadline;
    queue_t rtp, other; /* for the peer */
    meter_sum_t up;     /* what bringing the layers up took */
} end_t;

static end_t left, right;
static uint8_t memory[2][MEMORY] __attribute__((aligned(16)));
static uint8_t out_buffer[2][OUT] __attribute__((aligned(16)));
static int16_t sound[RATE_MAX]; /* one second, repeated */
static int16_t speaker[RATE_MAX / 50];
static uint32_t now = 1000000;
static meter_sum_t identity, path_send, path_receive, path_play;

static void fail(const char *what) {
    printf("error %s\n", what);
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

static void print(const char *name, uint64_t value) {
    printf("%s %lu\n", name, (unsigned long)value);
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

static void take(end_t *e, int kind) {
    const uint8_t *body = e->out + 4;
    if (kind < 0) fail("poll");
    if (kind == LINNET_OUT_DATAGRAM) keep(e, le32(e->out));
    if (kind == LINNET_OUT_LOCAL) memcpy(e->local, body, le32(e->out));
    if (kind == LINNET_OUT_STATE) e->state[body[0]] = body[1];
    if (kind == LINNET_OUT_CHANNEL) e->channel = body[2] ? body[0] | body[1] << 8 : -1;
    if (kind == LINNET_OUT_DATA) e->heard += le32(e->out) - 4;
}

static void drain(end_t *e) {
    int kind, was;
    while ((kind = linnet_poll(e->session, e->out, e->cap)) != LINNET_OUT_IDLE) {
        was = meter_enter(METER_HARNESS);
        take(e, kind);
        meter_leave(was);
    }
    e->deadline = le32(e->out + 4);
}

static void put(end_t *e, int kind, const uint8_t *data, size_t len, const char *what) {
    must(linnet_input(e->session, now & TICKS, kind, data, len), what);
}

static void make_end(end_t *e, int index, uint32_t rate, uint32_t complexity_plus_1, uint32_t flags) {
    uint8_t cfg[44], seed[48];
    int size, i;
    memset(e, 0, sizeof *e);
    memset(cfg, 0, sizeof cfg);
    put32(cfg, rate);
    put32(cfg + 16, complexity_plus_1);
    put32(cfg + 20, flags);
    for (i = 0; i < 48; i++) seed[i] = (uint8_t)(i * 7 + index * 31 + 5);
    size = linnet_session_size(cfg, sizeof cfg);
    if (size < 0 || size > MEMORY) fail("session_size");
    e->out = out_buffer[index];
    e->rate = rate;
    e->channel = -1;
    meter_begin();
    i = linnet_session_init(memory[index], (size_t)size, cfg, sizeof cfg, seed, sizeof seed);
    if (index == 0) meter_end(&identity);
    must(i, "session_init");
    e->session = linnet_session_at(memory[index]);
    e->cap = (size_t)linnet_poll_size(e->session);
    if (e->cap > OUT) fail("poll_size");
    e->address[0] = 4;
    e->address[2] = 0x89, e->address[3] = 0x13;
    e->address[4] = 10, e->address[7] = (uint8_t)(index + 1);
    drain(e);
}

/* What the signalling would tell: the peer's description, its candidate, the tracks and a data channel. */
static void introduce(end_t *e, const end_t *peer, int index) {
    static const uint8_t channel[] = {0,   0,   0,   0,   255, 255, 9,   '_',
                                      'r', 'e', 'l', 'i', 'a', 'b', 'l', 'e'};
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
    if (index == 0) put(e, LINNET_IN_CHANNEL, channel, sizeof channel, "channel");
    put32(publish, 0x1111u * (uint32_t)(index + 1));
    publish[4] = 111, publish[5] = 1, publish[6] = 2;
    publish[8] = 1, publish[9] = '0'; /* mid */
    put(e, LINNET_IN_PUBLISH, publish, sizeof publish, "publish");
    put32(track + 4, 0x1111u * (uint32_t)(2 - index));
    put(e, LINNET_IN_TRACK, track, sizeof track, "track");
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

static void tick(end_t *e) {
    (void)linnet_input(e->session, now & TICKS, LINNET_IN_TIME, NULL, 0);
    drain(e);
}

static int is_due(const end_t *e) {
    uint32_t left_us = (e->deadline - now) & TICKS;
    return left_us > TICKS / 2 || left_us == 0;
}

static void step(end_t *e, end_t *peer) {
    meter_begin();
    take_all(e, peer);
    if (is_due(e)) tick(e);
    meter_end(&e->up);
}

static int is_up(const end_t *e) {
    return e->state[LINNET_LAYER_SCTP] == LINNET_STATE_CONNECTED && e->channel >= 0;
}

static void connect_both(void) {
    int steps;
    meter_handshaking(1);
    tick(&left);
    tick(&right);
    for (steps = 0; !(is_up(&left) && is_up(&right)); steps++) {
        if (steps > 2000) fail("the two did not connect");
        now += STEP_US;
        step(&right, &left);
        step(&left, &right);
    }
    meter_handshaking(0);
}

/* --- the call --- */

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
        y = (pulse * 256 + a1 * 474 - a2 * 240) / 256;
        a2 = a1, a1 = y;
        z = (pulse * 256 + b1 * 300 - b2 * 225) / 256;
        b2 = b1, b1 = z;
        y = y / 2 + z / 2;
        sound[i] = (int16_t)(y > 30000 ? 30000 : y < -30000 ? -30000 : y);
    }
}

/* One frame of the microphone, as a driver gives it: push, tell the time, poll until idle. */
static void send_path(end_t *e, unsigned frame) {
    size_t n = e->rate / 50;
    const int16_t *pcm = sound + frame % 50 * n;
    (void)linnet_pcm_push(e->session, pcm, n);
    tick(e);
}

/* One packet from the socket, until idle. */
static void receive_path(end_t *e, const datagram_t *d) {
    (void)linnet_input(e->session, now & TICKS, LINNET_IN_DATAGRAM, d->record, d->len);
    drain(e);
}

static int hear(end_t *e) {
    return linnet_pcm_pull(e->session, speaker, e->rate / 50);
}

/* A frame from one end to the other; every LOSS_EVERY-th packet gets lost if `lossy`. */
static int one_frame(end_t *from, end_t *to, unsigned frame, int lossy, int measured) {
    meter_sum_t unmeasured;
    int i, sounding;
    meter_begin();
    send_path(from, frame);
    meter_end(measured ? &path_send : &unmeasured);
    meter_begin();
    for (i = 0; i < from->rtp.n; i++) {
        if (!lossy || frame % LOSS_EVERY) receive_path(to, &from->rtp.item[i]);
    }
    meter_end(measured ? &path_receive : &unmeasured);
    from->rtp.n = 0;
    meter_begin();
    sounding = hear(to) > 0;
    meter_end(measured ? &path_play : &unmeasured);
    return sounding;
}

static void bring_up(uint32_t left_rate, uint32_t right_rate, uint32_t complexity_plus_1, uint32_t flags) {
    make_end(&left, 0, left_rate, complexity_plus_1, flags);
    make_end(&right, 1, right_rate, complexity_plus_1, flags);
    introduce(&left, &right, 0);
    introduce(&right, &left, 1);
    connect_both();
}

static void print_path(const char *name, const meter_sum_t *sum, unsigned n, const char *per) {
    static const char *const kinds[] = {"glue", "Opus", "crypto", "DTLS"};
    char text[80];
    int i;
    for (i = 0; i < METER_HARNESS; i++) {
        if (sum->instructions[i] == 0) continue;
        snprintf(text, sizeof text, "%s: %s %s", name, kinds[i], per);
        print(text, sum->instructions[i] / n);
    }
}

/* --- Opus alone, one sound, as the capture and playback call it --- */

static uint8_t encoder[65536] __attribute__((aligned(16))), decoder[65536] __attribute__((aligned(16)));

static void open_codec(uint32_t complexity_plus_1) {
    linnet_media_config_t wanted = {0}, cfg;
    wanted.complexity_plus_1 = complexity_plus_1;
    must(linnet_media_resolve(&wanted, &cfg), "media_resolve");
    if (linnet_encoder_size() > sizeof encoder || linnet_decoder_size() > sizeof decoder) fail("codec size");
    must(linnet_encoder_init(encoder, &cfg), "encoder");
    must(linnet_decoder_init(decoder, cfg.rate_hz), "decoder");
}

static void one_way(unsigned frame, meter_sum_t *encode, meter_sum_t *decode) {
    static uint8_t packet[LINNET_OPUS_SEND_MAX];
    static int16_t pcm[RATE_MAX / 50];
    int len;
    meter_begin();
    len = linnet_encode(encoder, sound + frame % 50 * 320, 320, packet, sizeof packet);
    meter_end(encode);
    must(len, "encode");
    meter_begin();
    must(linnet_decode(decoder, packet, (size_t)len, pcm, 320), "decode");
    meter_end(decode);
}

static void print_codec(const char *name, const char *what, uint64_t value) {
    char text[80];
    snprintf(text, sizeof text, "%s: %s", name, what);
    print(text, value);
}

static void codec(const char *name, uint32_t complexity_plus_1) {
    uint64_t encode = 0, decode = 0, worst_encode = 0, worst_decode = 0;
    unsigned i;
    open_codec(complexity_plus_1);
    for (i = 0; i < WARM_UP + FRAMES; i++) {
        meter_sum_t one = {{0}}, other = {{0}};
        one_way(i, &one, &other);
        if (i < WARM_UP) continue;
        encode += meter_total(&one);
        decode += meter_total(&other);
        if (meter_total(&one) > worst_encode) worst_encode = meter_total(&one);
        if (meter_total(&other) > worst_decode) worst_decode = meter_total(&other);
    }
    print_codec(name, "encode a frame", encode / FRAMES);
    print_codec(name, "encode the worst frame", worst_encode);
    print_codec(name, "decode a frame", decode / FRAMES);
    print_codec(name, "decode the worst frame", worst_decode);
}

static void codec_stack(const char *name, uint32_t complexity_plus_1) {
    meter_sum_t sum = {{0}};
    unsigned i;
    open_codec(complexity_plus_1);
    meter_opus_afresh();
    for (i = 0; i < WARM_UP; i++) one_way(i, &sum, &sum);
    print_codec("Opus alone", name, meter_opus_stack());
}

static void count(void) {
    unsigned i, sounding = 0;
    meter_start();
    make_sound(16000);
    bring_up(16000, 16000, 1, 0);
    print_path("session_init", &identity, 1, "in all");
    print_path("client joins", &left.up, 1, "in all");
    print_path("server joins", &right.up, 1, "in all");
    for (i = 0; i < WARM_UP + FRAMES; i++) {
        int is_heard = one_frame(&left, &right, i, 0, i >= WARM_UP);
        if (i >= WARM_UP) sounding += (unsigned)is_heard;
        left.other.n = right.other.n = 0; /* reports and consent are not what a frame costs */
        now += FRAME_US;
    }
    if (sounding != FRAMES) fail("not every frame was heard");
    print_path("send", &path_send, FRAMES, "a frame");
    print_path("receive", &path_receive, FRAMES, "a frame");
    print_path("play", &path_play, FRAMES, "a frame");
    codec("16 kHz complexity 0", 1);
    codec("16 kHz default", 0);
}

/* --- stacks: every road once --- */

static void say(end_t *e, size_t len) {
    static uint8_t record[4 + 3000];
    put32(record, (uint32_t)e->channel);
    memset(record + 4, 'x', len);
    put(e, LINNET_IN_DATA, record, 4 + len, "data");
    drain(e);
}

static void transcode(void) {
    static uint8_t record[8 * SAMPLE_MAX], wire[SAMPLE_MAX];
    unsigned i;
    for (i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        int n = linnet_pb_decode(samples[i].message, samples[i].wire, samples[i].len, record, sizeof record);
        must(n, "pb_decode");
        must(linnet_pb_encode(samples[i].message, record, (size_t)n, wire, sizeof wire), "pb_encode");
    }
}

static void stack(void) {
    static uint8_t numbers[512];
    static const uint8_t softer[] = {0, 8};
    uint8_t held = 1;
    unsigned i, sounding = 0;
    make_sound(44100);
    meter_paint(1);
    bring_up(44100, 16000, 0, 2);
    say(&left, 2000);
    say(&right, 3000);
    put(&left, LINNET_IN_VOLUME, softer, sizeof softer, "volume"); /* the mixer's longer road */
    for (i = 0; i < 100; i++) {
        sounding += (unsigned)one_frame(&left, &right, i, 1, 0);
        sounding += (unsigned)one_frame(&right, &left, i, 1, 0);
        take_all(&right, &left);
        take_all(&left, &right);
        now += FRAME_US;
    }
    must(linnet_stats(left.session, -1, numbers, sizeof numbers), "stats");
    must(linnet_stats(left.session, 0, numbers, sizeof numbers), "stats");
    if (sounding < 100 || left.heard != 3000 || right.heard != 2000) fail("not heard");
    put(&left, LINNET_IN_MUTE, &held, 1, "mute");
    put(&left, LINNET_IN_ICE_RESTART, NULL, 0, "restart");
    drain(&left);
    put(&right, LINNET_IN_CLOSE, NULL, 0, "close");
    drain(&right);
    take_all(&left, &right);
    transcode();
    linnet_session_wipe(left.session);
    linnet_session_wipe(right.session);
    print_codec("Opus alone", "48 kHz default", meter_opus_stack());
    make_sound(16000);
    codec_stack("16 kHz complexity 0", 1);
    codec_stack("16 kHz default", 0);
    meter_paint(0);
    meter_print_stacks();
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[argc - 1], "stack") == 0) {
        stack();
    } else {
        count();
    }
    printf("done 1\n");
    return 0;
}
