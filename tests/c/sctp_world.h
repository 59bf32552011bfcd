/* Two SCTP associations joined by a virtual network: delay, jitter (which reorders), loss,
 * duplication, a rate, an outage, all from one seed. In C so that millions of packets take
 * seconds; Python sets the scene and looks. */
#ifndef SCTP_WORLD_H
#define SCTP_WORLD_H

#include <stdlib.h>

#include "net/dcep.h"
#include "sctp_seam.h"

enum { WORLD_FLYING = 4096, WORLD_PACKET = 1200 };

typedef struct {
    uint64_t at, order;
    uint16_t len;
    uint8_t to;
    uint8_t bytes[WORLD_PACKET];
} flying_t;

typedef struct world {
    uint64_t now, prng, n_flown;
    /* loss_ppm[i]: of what end i sends */
    uint32_t loss_ppm[2], duplicate_ppm, delay_us, jitter_us, bits_per_s;
    uint64_t outage_from, outage_to, busy_until[2];
    uint64_t sent[2], lost[2], overflow, steps;
    int drop_next[2]; /* lose exactly the next n packets of that end */
    linnet_rng_t rng[2];
    linnet_sctp_t end[2];
    linnet_dcep_t dcep[2];
    uint8_t *mem[4];
    int n_heap;
    int heap[WORLD_FLYING], spare[WORLD_FLYING];
    flying_t flying[WORLD_FLYING];
} world_t;

static uint32_t world_random(world_t *w) {
    w->prng = seam_mix(w->prng);
    return (uint32_t)(w->prng >> 20);
}

static int is_sooner(const world_t *w, int a, int b) {
    const flying_t *x = &w->flying[w->heap[a]], *y = &w->flying[w->heap[b]];
    return x->at < y->at || (x->at == y->at && x->order < y->order);
}

static void world_swap(world_t *w, int a, int b) {
    int t = w->heap[a];
    w->heap[a] = w->heap[b];
    w->heap[b] = t;
}

static void world_fly(world_t *w, int from, const uint8_t *bytes, size_t len, uint64_t at) {
    int i = w->n_heap, slot;
    if (i == WORLD_FLYING) {
        w->overflow++;
        return;
    }
    slot = w->spare[i];
    w->flying[slot].at = at;
    w->flying[slot].order = w->n_flown++;
    w->flying[slot].len = (uint16_t)len;
    w->flying[slot].to = (uint8_t)!from;
    memcpy(w->flying[slot].bytes, bytes, len);
    w->heap[w->n_heap++] = slot;
    for (; i > 0 && is_sooner(w, i, (i - 1) / 2); i = (i - 1) / 2) world_swap(w, i, (i - 1) / 2);
}

static flying_t *world_land(world_t *w) {
    int slot = w->heap[0], i = 0;
    w->heap[0] = w->heap[--w->n_heap];
    w->spare[w->n_heap] = slot;
    for (;;) {
        int best = i, l = 2 * i + 1, r = 2 * i + 2;
        if (l < w->n_heap && is_sooner(w, l, best)) best = l;
        if (r < w->n_heap && is_sooner(w, r, best)) best = r;
        if (best == i) break;
        world_swap(w, i, best);
        i = best;
    }
    return &w->flying[slot];
}

static void world_transmit(world_t *w, int from, const uint8_t *bytes, size_t len) {
    uint64_t leaves = w->now, copies = 1;
    w->sent[from]++;
    if (w->drop_next[from]) {
        w->drop_next[from]--;
        w->lost[from]++;
        return;
    }
    if (w->bits_per_s) {
        if (w->busy_until[from] < w->now) w->busy_until[from] = w->now;
        /* IP, UDP, DTLS */
        w->busy_until[from] += (uint64_t)(len + 65) * 8 * 1000000 / w->bits_per_s;
        leaves = w->busy_until[from];
    }
    if ((w->now >= w->outage_from && w->now < w->outage_to) ||
        world_random(w) % 1000000 < w->loss_ppm[from]) {
        w->lost[from]++;
        return;
    }
    if (world_random(w) % 1000000 < w->duplicate_ppm) copies = 2;
    while (copies--) {
        uint64_t jitter = w->jitter_us ? world_random(w) % w->jitter_us : 0;
        world_fly(w, from, bytes, len, leaves + w->delay_us + jitter);
    }
}

/* Everything the ends have to say now. */
static void world_drain(world_t *w) {
    uint8_t packet[WORLD_PACKET];
    int i, n;
    for (i = 0; i < 2; i++) {
        while ((n = linnet_sctp_poll(&w->end[i], w->now, packet, sizeof(packet))) > 0) {
            world_transmit(w, i, packet, (size_t)n);
        }
    }
}

/* When the next thing happens. */
static uint64_t world_next(const world_t *w) {
    uint64_t at = w->n_heap ? w->flying[w->heap[0]].at : UINT64_MAX;
    int i;
    for (i = 0; i < 2; i++) {
        uint64_t deadline = linnet_sctp_deadline(&w->end[i]);
        if (deadline < at) at = deadline;
    }
    return at < w->now ? w->now : at;
}

/* One step in time: to the next packet or timer, but not past `until`. 0 when nothing is left to
 * happen by then. */
static int world_step(world_t *w, uint64_t until) {
    uint64_t at;
    world_drain(w);
    at = world_next(w);
    if (at > until) {
        w->now = until;
        return 0;
    }
    w->now = at;
    w->steps++;
    while (w->n_heap && w->flying[w->heap[0]].at <= w->now) {
        flying_t *f = world_land(w);
        (void)linnet_sctp_input(&w->end[f->to], &w->rng[f->to], w->now, f->bytes, f->len);
        world_drain(w); /* the law: one input, then poll until idle */
    }
    world_drain(w);
    return 1;
}

static int world_run(world_t *w, uint64_t until) {
    int n = 0;
    while (world_step(w, until)) n++;
    return n;
}

static world_t *world_new(uint64_t seed, uint32_t max_message, uint32_t send_len,
                          uint32_t recv_len) {
    world_t *w = calloc(1, sizeof(*w));
    int i;
    for (i = 0; i < WORLD_FLYING; i++) w->spare[i] = i;
    w->prng = seam_mix(seed);
    w->delay_us = 25000;
    w->now = 1000000;
    for (i = 0; i < 2; i++) {
        linnet_sctp_config_t config;
        memset(&config, 0, sizeof(config));
        config.max_message = max_message;
        /* uninitialised on purpose: valgrind and ASan watch */
        config.send_mem = w->mem[i] = malloc(send_len);
        config.send_len = send_len;
        config.recv_mem = w->mem[2 + i] = malloc(recv_len);
        config.recv_len = recv_len;
        seam_seed(&w->rng[i], seed * 2 + (uint64_t)i);
        if (linnet_sctp_init(&w->end[i], &config, &w->rng[i]) < 0) abort();
        linnet_dcep_init(&w->dcep[i]);
        linnet_dcep_set_role(&w->dcep[i], i);
    }
    return w;
}

static void world_free(world_t *w) {
    int i;
    for (i = 0; i < 4; i++) free(w->mem[i]);
    free(w);
}

/* --- bulk: n messages each way on `streams` streams, sizes spread evenly over the logarithm,
 * contents checked --- */

typedef struct {
    uint32_t n, streams, max_len;
    uint8_t unordered;
    int32_t max_retransmits;
    uint32_t lifetime_ms;
    uint64_t limit_us; /* give up at this virtual time */
    /* results */
    uint32_t received[2], out_of_order, corrupt;
    uint64_t bytes[2], longest_gap_us;
} bulk_t;

static uint32_t bulk_size(const bulk_t *b, int from, uint32_t i) {
    uint64_t r = seam_mix((uint64_t)from << 40 | i);
    uint32_t bits = 0, size;
    while ((1u << (bits + 1)) <= b->max_len) bits++;
    size = 1u << r % (bits + 1);
    size += (uint32_t)((r >> 8) % size);
    /* The number is in the first bytes; a shorter message can only be told by its place in an
     * ordered stream. */
    if (size < 5 && (b->unordered || b->max_retransmits >= 0 || b->lifetime_ms)) size = 5;
    return size > b->max_len ? b->max_len : size;
}

static uint8_t bulk_byte(int from, uint32_t i, uint32_t at) {
    return (uint8_t)(i * 7u + at * 13u + (at >> 8) + (uint32_t)from * 101u);
}

static uint8_t bulk_byte_at(int from, uint32_t i, uint32_t at) {
    return at < 3 ? (uint8_t)(i >> 8 * at) : bulk_byte(from, i, at);
}

/* Returns the message's number, or -1 when it is not what was sent. `expected`: the next one in
 * order. */
static int64_t bulk_check(const bulk_t *b, int from, const uint8_t *data, uint32_t len,
                          uint32_t expected) {
    uint32_t i = expected, k;
    if (len >= 5) i = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16;
    if (i >= b->n || len != bulk_size(b, from, i)) return -1;
    for (k = 0; k < len; k++) {
        if (data[k] != bulk_byte_at(from, i, k)) return -1;
    }
    return i;
}

static void bulk_receive(world_t *w, bulk_t *b, int at, uint32_t *last, uint8_t *seen, uint8_t *buf,
                         uint32_t cap) {
    uint16_t stream;
    uint32_t ppid;
    int n;
    while ((n = linnet_sctp_recv(&w->end[at], &stream, &ppid, buf, cap)) > 0) {
        uint32_t expected = last[stream % 64] ? last[stream % 64] - 1 + b->streams : stream;
        int64_t i = bulk_check(b, !at, buf, (uint32_t)n, expected);
        if (i < 0 || ppid != 53 || (uint32_t)i % b->streams != stream || seen[i]) {
            b->corrupt++;
            continue;
        }
        seen[i] = 1;
        if (last[stream] && (uint32_t)i + 1 <= last[stream]) b->out_of_order++;
        last[stream] = (uint32_t)i + 1;
        b->received[at]++;
        b->bytes[at] += (uint64_t)n;
    }
}

/* The virtual time it took in us, or -1 when the limit came first. A lossy bulk ends when
 * nothing is buffered. */
static int64_t world_bulk(world_t *w, bulk_t *b) {
    static uint8_t buf[300000];
    uint32_t next[2] = {0, 0};
    uint32_t last[2][64];
    uint8_t *seen[2] = {calloc(1, b->n), calloc(1, b->n)};
    uint64_t from = w->now, progress = w->now;
    int64_t result = -1;
    int i;
    memset(last, 0, sizeof(last));
    while (w->now < b->limit_us) {
        uint32_t before = b->received[0] + b->received[1];
        for (i = 0; i < 2; i++) {
            while (next[i] < b->n && linnet_sctp_state(&w->end[i]) == LINNET_SCTP_ESTABLISHED) {
                linnet_sctp_send_t how = {(uint16_t)(next[i] % b->streams), 53, b->unordered,
                                          b->max_retransmits, b->lifetime_ms};
                uint32_t len = bulk_size(b, i, next[i]);
                uint32_t k;
                for (k = 0; k < len; k++) buf[k] = bulk_byte_at(i, next[i], k);
                if (linnet_sctp_send(&w->end[i], w->now, &how, buf, len) < 0) break;
                next[i]++;
            }
            bulk_receive(w, b, i, last[i], seen[i], buf, sizeof(buf));
        }
        if (b->received[0] + b->received[1] != before) {
            if (w->now - progress > b->longest_gap_us) b->longest_gap_us = w->now - progress;
            progress = w->now;
        }
        if (next[0] == b->n && next[1] == b->n && !linnet_sctp_buffered(&w->end[0]) &&
            !linnet_sctp_buffered(&w->end[1]) &&
            (b->max_retransmits >= 0 || b->lifetime_ms ||
             (b->received[0] == b->n && b->received[1] == b->n))) {
            result = (int64_t)(w->now - from);
            break;
        }
        if (!world_step(w, b->limit_us)) break;
    }
    free(seen[0]);
    free(seen[1]);
    return result;
}

#endif
