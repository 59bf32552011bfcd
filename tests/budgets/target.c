/* A call between two sessions in one program without an operating system, in virtual time, on an emulated processor.
 *
 *     count    instructions by path and kind        stack    the deepest stack of every public function
 *
 * Prints "name value" lines; "error ..." and exit code 1 when the call was not a good one. Both modes play the same
 * kind of call: identity, ICE, DTLS, SCTP, sound, data, goodbye. "count" measures a steady 16 kHz call at complexity
 * 0 without loss, packet by packet; "stack" takes the heavier roads too: 44.1 kHz, FEC, losses, a large message. */
#include "../call.h"
#include "codec.h"
#include "meter.h"
#include "samples.h"
#include <stdio.h>
#include <stdlib.h>

enum { WARM_UP = 25, FRAMES = 50, LOSS_EVERY = 7 };

static int16_t speaker[RATE_MAX / 50];
static meter_sum_t identity, left_up, right_up, path_send, path_receive, path_play;

static void fail(const char *what) {
    printf("error %s\n", what);
    exit(1);
}

static void print(const char *name, uint64_t value) {
    printf("%s %lu\n", name, (unsigned long)value);
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

/* --- coming up --- */

static void make_end(end_t *e, int index, uint32_t rate, uint32_t complexity_plus_1, uint32_t flags) {
    const uint32_t words[CFG_WORDS] = {rate, 0, 0, 0, complexity_plus_1, flags};
    plan_t plan = plan_session(index, words);
    int rc;
    meter_begin();
    rc = init_session(&plan);
    if (index == 0) meter_end(&identity);
    must(rc, "session_init");
    open_end(e, &plan);
}

static void tell(end_t *e, const end_t *peer, int index) {
    static const uint8_t channel[] = {0,   0,   0,   0,   255, 255, 9,   '_',
                                      'r', 'e', 'l', 'i', 'a', 'b', 'l', 'e'};
    introduce(e, peer, index);
    if (index == 0) put(e, LINNET_IN_CHANNEL, channel, sizeof channel, "channel");
    publish(e, 0x1111u * (uint32_t)(index + 1));
    subscribe(e, 0x1111u * (uint32_t)(2 - index));
}

static void step(end_t *e, end_t *peer, meter_sum_t *up) {
    meter_begin();
    take_all(e, peer);
    if (is_due(e)) tick(e);
    meter_end(up);
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
        step(&right, &left, &right_up);
        step(&left, &right, &left_up);
    }
    meter_handshaking(0);
}

static void bring_up(uint32_t left_rate, uint32_t right_rate, uint32_t complexity_plus_1, uint32_t flags) {
    make_end(&left, 0, left_rate, complexity_plus_1, flags);
    make_end(&right, 1, right_rate, complexity_plus_1, flags);
    tell(&left, &right, 0);
    tell(&right, &left, 1);
    connect_both();
}

/* --- the call --- */

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
    print_path("client joins", &left_up, 1, "in all");
    print_path("server joins", &right_up, 1, "in all");
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
