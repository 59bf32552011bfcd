/* Fuzz target: data channels whose messages and stream events come from a hostile peer, while
 * the application opens, sends and closes. The input is a program of operations, as in
 * fuzz_sctp.c; SCTP below is real and established with a peer that acknowledges nothing. */
#include <stdlib.h>

#include "net/dcep.h"
#include "net/sctp_internal.h"

enum { MTU = 1150, MAX_MESSAGE = 4096, MEM = 12000, OPS_MAX = 400 };

typedef struct {
    linnet_sctp_t s;
    linnet_dcep_t d;
    linnet_rng_t rng;
    uint64_t now;
    _Alignas(8) uint8_t send_mem[MEM], recv_mem[MEM];
    uint8_t buf[MTU];
} fuzz_t;

static void check(int fact) {
    if (!fact) abort();
}

static void drain(fuzz_t *f) {
    while (linnet_sctp_poll(&f->s, f->now, f->buf, sizeof(f->buf)) > 0) {
    }
}

static void give(fuzz_t *f, const uint8_t *chunks, size_t len) {
    wire_out_t out = wire_out(f->buf, sizeof(f->buf));
    linnet_sctp_put_header(&out, 5000, f->s.my_tag);
    wire_put(&out, chunks, len);
    linnet_sctp_seal(f->buf, out.pos);
    (void)linnet_sctp_input(&f->s, &f->rng, f->now, f->buf, out.pos);
}

static void begin(fuzz_t *f) {
    static const uint8_t SEED[32] = {7};
    static const uint8_t INIT_ACK[] = {2, 0, 0,    40,  0,   0,   0x12, 0x34, 0,    1,
                                       0, 0, 255,  255, 255, 255, 0,    0,    3,    0xe8,
                                       0, 7, 0,    8,   0,   0,   0,    7,    0xc0, 0,
                                       0, 4, 0x80, 8,   0,   5,   0x82, 0,    0,    0};
    static const uint8_t COOKIE_ACK[] = {11, 0, 0, 4};
    linnet_sctp_config_t config;
    memset(&config, 0, sizeof(config));
    config.max_message = MAX_MESSAGE;
    config.send_mem = f->send_mem;
    config.send_len = sizeof(f->send_mem);
    config.recv_mem = f->recv_mem;
    config.recv_len = sizeof(f->recv_mem);
    f->now = 1000000;
    check(linnet_rng_init(&f->rng, SEED, sizeof(SEED)) == 0);
    check(linnet_sctp_init(&f->s, &config, &f->rng) == 0);
    linnet_dcep_init(&f->d);
    (void)linnet_sctp_connect(&f->s, f->now);
    drain(f);
    give(f, INIT_ACK, sizeof(INIT_ACK));
    drain(f);
    give(f, COOKIE_ACK, sizeof(COOKIE_ACK));
    check(linnet_sctp_state(&f->s) == LINNET_SCTP_ESTABLISHED);
}

static void take_events(fuzz_t *f) {
    linnet_dcep_event_t event;
    int kind, n = 0;
    while ((kind = linnet_dcep_event(&f->d, &event)) != LINNET_DCEP_EVENT_NONE) {
        check(kind == LINNET_DCEP_EVENT_OPENED || kind == LINNET_DCEP_EVENT_CLOSED);
        check(event.handle >= 0 && event.handle <= UINT16_MAX &&
              event.label_len <= LINNET_SCTP_LABEL_MAX);
        check(++n <= 2 * LINNET_SCTP_STREAMS);
    }
}

static void operate(fuzz_t *f, wire_in_t *in) {
    static const uint16_t PPIDS[] = {50, 50, 50, 51, 53, 56, 57, 54};
    static const int EVENTS[] = {LINNET_SCTP_EVENT_UP,         LINNET_SCTP_EVENT_PEER_RESET,
                                 LINNET_SCTP_EVENT_RESET_DONE, LINNET_SCTP_EVENT_PEER_RESET,
                                 LINNET_SCTP_EVENT_RESET_DONE, LINNET_SCTP_EVENT_RESTARTED,
                                 LINNET_SCTP_EVENT_LOST,       LINNET_SCTP_EVENT_CLOSED};
    uint8_t op = wire_u8(in);
    uint8_t operand = wire_u8(in);
    uint8_t len = wire_u8(in);
    wire_span_t bytes = wire_take(in, len < wire_left(in) ? len : wire_left(in));
    linnet_dcep_message_t message;
    const uint8_t *data = bytes.len ? bytes.data : f->buf;
    int n;
    switch (op & 7) {
    case 0:
    case 1:
    case 2:
        n = linnet_dcep_on_message(&f->d, &f->s, f->now, operand & 15, PPIDS[op >> 5], data,
                                   bytes.len, &message);
        check(n == LINNET_DCEP_CONTROL || n == LINNET_ERR_PACKET || n == LINNET_DCEP_DATA);
        if (n == LINNET_DCEP_DATA) check(message.len <= bytes.len);
        break;
    case 3:
        (void)linnet_dcep_open(&f->d, op & 8 ? NULL : &f->s, f->now, data, bytes.len, operand & 1,
                               (operand >> 1 & 3) - 1, 0, operand & 8 ? operand >> 4 : -1);
        break;
    case 4: (void)linnet_dcep_close(&f->d, &f->s, f->now, operand); break;
    case 5:
        (void)linnet_dcep_send(&f->d, &f->s, f->now, operand, op >> 3 & 1, data, bytes.len);
        break;
    case 6:
        linnet_dcep_on_sctp_event(&f->d, &f->s, f->now, EVENTS[op >> 5],
                                  operand == 255 ? 65535 : operand & 15);
        break;
    default:
        if (op & 8) linnet_dcep_set_role(&f->d, operand & 1);
        f->now += (uint64_t)operand * 1000;
        drain(f);
        if (bytes.len) give(f, bytes.data, bytes.len);
        linnet_dcep_step(&f->d, &f->s, f->now);
    }
    if (op & 16) take_events(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_t fuzz;
    wire_in_t in = wire_in(data, size);
    int ops;
    begin(&fuzz);
    for (ops = 0; wire_left(&in) >= 3 && ops < OPS_MAX; ops++) operate(&fuzz, &in);
    /* The end of the association closes everything, whatever came before. */
    linnet_dcep_on_sctp_event(&fuzz.d, &fuzz.s, fuzz.now, LINNET_SCTP_EVENT_LOST, 0);
    take_events(&fuzz);
    for (ops = 0; ops < LINNET_SCTP_STREAMS; ops++) check(fuzz.d.channels[ops].state == 0);
    linnet_rng_wipe(&fuzz.rng);
    return 0;
}
