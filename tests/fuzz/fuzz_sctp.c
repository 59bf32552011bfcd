/* Fuzz target: an SCTP association under a hostile peer and a busy application.
 *
 * The input is a program: its first byte chooses the state to begin in, then each operation is
 * one byte and its operands. Packets get a right header and checksum, so that the fuzzer works
 * on chunks. After every operation the books of the association are checked against its lists. */
#include <stdlib.h>

#include "net/sctp_internal.h"

enum { MTU = 1150, MAX_MESSAGE = 4096, MEM = 12000, OPS_MAX = 400 };
enum { PEER_TAG = 0x1234, PEER_TSN = 1000 };

typedef struct {
    linnet_sctp_t s;
    linnet_rng_t rng;
    uint64_t now;
    _Alignas(8) uint8_t send_mem[MEM], recv_mem[MEM];
    uint8_t buf[70000];
    /* the last one that the association handed out, and the tag it goes with */
    uint8_t cookie[COOKIE_LEN];
    uint32_t cookie_tag;
} fuzz_t;

static void check(int fact) {
    if (!fact) abort();
}

static const sctp_record_t *record_at(const linnet_sctp_t *s, uint32_t offset) {
    const sctp_record_t *r = (const sctp_record_t *)(const void *)(s->send_mem + offset);
    check(s->send_len - offset >= sizeof(*r));
    check(r->size >= sizeof(*r) && r->size <= s->send_len - offset);
    return r;
}

/* The ring as it lies in memory: how many records of it still have to leave or to be acknowledged. */
static uint32_t count_ring(const linnet_sctp_t *s) {
    uint32_t offset = s->oldest, alive = 0, i;
    for (i = 0; i < s->n_records; i++) {
        const sctp_record_t *r = record_at(s, offset);
        alive += r->state != R_FREE;
        if (i + 1 == s->n_records) {
            check(offset + r->size == s->tail);
            break;
        }
        offset += r->size;
        if (s->send_len - offset < sizeof(*r) ||
            ((const sctp_record_t *)(const void *)(s->send_mem + offset))->state == R_WRAP) {
            offset = 0;
        }
    }
    return alive;
}

/* The same records in the order in which they leave. */
static void check_sending(const linnet_sctp_t *s) {
    uint32_t offset = s->head, n = s->n_sent + s->n_unsent, flight = 0, again = 0, buffered = 0, i;
    for (i = 0; i < n; i++) {
        const sctp_record_t *r = record_at(s, offset);
        check(r->state != R_FREE);
        if (i == s->n_sent) check(offset == s->unsent);
        if (i + 1 == n) check(offset == s->last);
        flight += r->state == R_INFLIGHT ? r->len : 0;
        again += r->state == R_AGAIN;
        buffered += r->len;
        offset = r->next;
    }
    check(flight == s->flight && again == s->n_retransmit && buffered == s->buffered);
    check(count_ring(s) == n);
}

static uint32_t count_chain(const linnet_sctp_t *s, uint16_t chunk) {
    const sctp_chunk_t *c =
        (const sctp_chunk_t *)(const void *)(s->recv_mem + (size_t)chunk * BLOCK_LEN);
    uint32_t n = 1;
    uint16_t block = c->next_block;
    for (; block != NO_BLOCK; n++) {
        check(block < s->n_blocks && n <= s->n_blocks);
        block = ((const sctp_block_t *)(const void *)(s->recv_mem + (size_t)block * BLOCK_LEN))
                    ->next_block;
    }
    return n;
}

static uint32_t count_messages(const linnet_sctp_t *s, uint16_t message, int is_list_of_messages) {
    uint32_t n = 0;
    while (message != NO_BLOCK) {
        uint16_t chunk = message;
        const sctp_chunk_t *c = NULL;
        check(message < s->n_blocks && n <= s->n_blocks);
        do {
            c = (const sctp_chunk_t *)(const void *)(s->recv_mem + (size_t)chunk * BLOCK_LEN);
            n += count_chain(s, chunk);
            chunk = c->next;
        } while (chunk != NO_BLOCK);
        if (!is_list_of_messages) break; /* `pending` is one chain of chunks */
        message = ((const sctp_chunk_t *)(const void *)(s->recv_mem + (size_t)message * BLOCK_LEN))
                      ->next_message;
    }
    return n;
}

static void check_receiving(const linnet_sctp_t *s) {
    uint32_t used = count_messages(s, s->pending, 0) + count_messages(s, s->held, 1) +
                    count_messages(s, s->ready, 1);
    check(used + s->n_free == s->n_blocks);
    check(s->highest == s->cum || tsn_after(s->highest, s->cum));
}

/* A cookie can be guessed by no mutation, so an INIT ACK that leaves is kept for operation 13. */
static void keep_cookie(fuzz_t *f, size_t len) {
    wire_in_t in = wire_in(f->buf, len);
    wire_skip(&in, HEADER_LEN);
    if (wire_u8(&in) != CHUNK_INIT_ACK) return;
    wire_skip(&in, 3);
    f->cookie_tag = wire_u32(&in);
    wire_skip(&in, 12 + 12 + 4);
    wire_copy(&in, f->cookie, COOKIE_LEN);
}

static void drain(fuzz_t *f) {
    int n, packets = 0;
    while ((n = linnet_sctp_poll(&f->s, f->now, f->buf, MTU)) > 0) {
        check(n <= MTU && n % 4 == 0 && n >= 16);
        keep_cookie(f, (size_t)n);
        check(++packets < 1000);
    }
    check(n == 0);
    check(linnet_sctp_deadline(&f->s) > f->now); /* or a driver would spin */
}

static void give(fuzz_t *f, uint32_t tag, const uint8_t *chunks, size_t len) {
    wire_out_t out = wire_out(f->buf, 2000);
    linnet_sctp_put_header(&out, 5000, tag);
    wire_put(&out, chunks, len);
    if (!wire_out_ok(&out)) return;
    linnet_sctp_seal(f->buf, out.pos);
    (void)linnet_sctp_input(&f->s, &f->rng, f->now, f->buf, out.pos);
}

static void echo_cookie(fuzz_t *f, uint8_t with) {
    uint8_t bytes[4 + COOKIE_LEN];
    wire_out_t out = wire_out(bytes, sizeof(bytes));
    linnet_sctp_put_chunk(&out, CHUNK_COOKIE_ECHO, 0, COOKIE_LEN);
    wire_put(&out, f->cookie, COOKIE_LEN);
    give(f, f->cookie_tag ^ with, bytes, out.pos);
}

static void establish(fuzz_t *f, int has_extensions) {
    uint8_t bytes[64];
    wire_out_t out = wire_out(bytes, sizeof(bytes));
    drain(f);
    linnet_sctp_put_chunk(&out, CHUNK_INIT_ACK, 0, 16 + 8 + (has_extensions ? 12 : 0));
    wire_put_u32(&out, PEER_TAG);
    wire_put_u32(&out, 5000);
    wire_put_u16(&out, 100);
    wire_put_u16(&out, 100);
    wire_put_u32(&out, PEER_TSN);
    wire_put_u16(&out, PARAM_COOKIE);
    wire_put_u16(&out, 8);
    wire_put_u32(&out, 7);
    if (has_extensions) {
        wire_put_u16(&out, PARAM_FORWARD_TSN);
        wire_put_u16(&out, 4);
        wire_put_u16(&out, PARAM_EXTENSIONS);
        wire_put_u16(&out, 5);
        wire_put_u32(&out, 0x82000000);
    }
    give(f, f->s.my_tag, bytes, out.pos);
    drain(f);
    out = wire_out(bytes, sizeof(bytes));
    linnet_sctp_put_chunk(&out, CHUNK_COOKIE_ACK, 0, 0);
    give(f, f->s.my_tag, bytes, out.pos);
    check(linnet_sctp_state(&f->s) == LINNET_SCTP_ESTABLISHED);
}

static void begin(fuzz_t *f, uint8_t how) {
    static const uint8_t SEED[32] = {7};
    linnet_sctp_config_t config;
    memset(&config, 0, sizeof(config));
    config.max_message = MAX_MESSAGE;
    config.send_mem = f->send_mem;
    config.send_len = sizeof(f->send_mem);
    config.recv_mem = f->recv_mem;
    config.recv_len = sizeof(f->recv_mem);
    config.max_retrans = 20;
    f->now = 1000000;
    check(linnet_rng_init(&f->rng, SEED, sizeof(SEED)) == 0);
    check(linnet_sctp_init(&f->s, &config, &f->rng) == 0);
    f->s.my_first_tsn = f->s.next_tsn = f->s.my_request = 1; /* numbers that a mutation can guess */
    f->s.peer_cum = f->s.advanced = 0;
    if ((how & 3) == 0) return;
    (void)linnet_sctp_connect(&f->s, f->now);
    if ((how & 3) >= 2) establish(f, (how & 3) == 3);
}

static void read_all(fuzz_t *f) {
    uint16_t stream;
    uint32_t ppid;
    int n = 1, rounds = 0;
    while (n && ++rounds < 3000) {
        n = linnet_sctp_recv(&f->s, &stream, &ppid, f->buf, sizeof(f->buf));
        check(n >= 0 && n <= MAX_MESSAGE);
        n += linnet_sctp_event(&f->s, &stream);
    }
}

static void operate(fuzz_t *f, wire_in_t *in) {
    uint8_t op = wire_u8(in);
    uint16_t operand = wire_u16(in);
    wire_span_t rest;
    linnet_sctp_send_t how;
    switch (op & 15) {
    case 8: f->now += (uint64_t)operand * 1000; break;
    case 9:
        memset(&how, 0, sizeof(how));
        how.stream = op >> 6;
        how.unordered = op >> 5 & 1;
        how.max_retransmits = (operand >> 12 & 3) - 1;
        how.lifetime_ms = operand & 0x8000 ? 100 : 0;
        (void)linnet_sctp_send(&f->s, f->now, &how, f->buf, operand & 0xfff);
        break;
    case 10: read_all(f); break;
    case 11: (void)linnet_sctp_reset_stream(&f->s, op >> 6); break;
    case 12: (void)linnet_sctp_shutdown(&f->s, f->now); break;
    case 13:
        drain(f);
        if (op >> 4 == 9) (void)linnet_sctp_abort(&f->s, f->now);
        if (op >> 4 == 2) echo_cookie(f, (uint8_t)operand);
        break;
    case 14: linnet_sctp_path_restored(&f->s, f->now); break;
    case 15: (void)linnet_sctp_connect(&f->s, f->now); break;
    default:
        rest = wire_take(in, operand < wire_left(in) ? operand : wire_left(in));
        /* one in eight with tag 0, as an INIT needs it */
        if (rest.len) give(f, op & 7 ? f->s.my_tag : 0, rest.data, rest.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_t fuzz;
    wire_in_t in = wire_in(data, size);
    uint8_t how = wire_u8(&in);
    int ops;
    memset(&fuzz, 0, sizeof(fuzz));
    begin(&fuzz, how);
    if (how & 128) { /* raw: the rest is one packet as it is */
        wire_span_t rest = wire_take(&in, wire_left(&in));
        (void)linnet_sctp_input(&fuzz.s, &fuzz.rng, fuzz.now, rest.len ? rest.data : data,
                                rest.len);
    }
    for (ops = 0; wire_left(&in) >= 3 && ops < OPS_MAX; ops++) {
        operate(&fuzz, &in);
        check_sending(&fuzz.s);
        check_receiving(&fuzz.s);
        if (how & 64 || ops % 4 == 3) drain(&fuzz);
    }
    drain(&fuzz);
    read_all(&fuzz);
    check_sending(&fuzz.s);
    check_receiving(&fuzz.s);
    linnet_rng_wipe(&fuzz.rng);
    return 0;
}
