/* Instructions and stacks of an emulated processor, where both are exact and the same on every run.
 *
 * Instructions: qemu's -icount makes virtual time out of instructions. RV32 reads instret. The Cortex-M33 reads a
 * timer of 20 MHz while an instruction takes 64 ns, so that the timer counts 1.28 ticks for each: nothing is rounded.
 * Who the instructions belong to is told by functions wrapped at link time (-Wl,--wrap): those of libopus, of the
 * crypto seam, of dtls.h. What wrapping itself costs is measured once and taken off.
 *
 * Stacks: below the stack pointer everything is painted, the function is called, and the deepest byte that changed
 * is looked for. Around every call into Opus the paint is looked at and renewed, so Opus and the rest come apart. */
#include "meter.h"

#include "crypto.h"
#include "dtls.h"
#include "linnet.h"
#include <opus.h>
#include <stdio.h>

enum { PAINT_WORDS = 12 * 1024, COLOUR = (int)0xa5c35a3c, CALIBRATION = 64 };

/* --- the counter --- */

#if defined(__riscv)
static uint32_t counter(void) {
    uint32_t n;
    __asm__ volatile("rdinstret %0" : "=r"(n));
    return n;
}
static uint64_t instructions(uint64_t ticks) {
    return ticks;
}
static void start_counter(void) {
}
#else
static volatile uint32_t *const timer = (volatile uint32_t *)0x40000000; /* CMSDK timer 0, counts down */
static uint32_t counter(void) {
    return ~timer[1];
}
static uint64_t instructions(uint64_t ticks) {
    return (ticks * 50 + 32) / 64;
}
static void start_counter(void) {
    timer[2] = 0xffffffff;
    timer[1] = 0xffffffff;
    timer[0] = 1;
}
#endif

static uint64_t ticks[METER_KINDS];
static uint32_t entries[METER_KINDS];
static uint32_t mark;
static int kind, is_counting, is_handshaking;
static uint32_t cost_outside, cost_inside; /* of one wrapped call, in instructions x CALIBRATION */

int meter_enter(int next) {
    uint32_t now = counter();
    int was = kind;
    ticks[was] += now - mark;
    entries[next]++;
    kind = next;
    mark = counter();
    return was;
}

void meter_leave(int was) {
    uint32_t now = counter();
    ticks[kind] += now - mark;
    kind = was;
    mark = counter();
}

void meter_begin(void) {
    int i;
    for (i = 0; i < METER_KINDS; i++) ticks[i] = entries[i] = 0;
    kind = METER_GLUE;
    is_counting = 1;
    mark = counter();
}

void meter_end(meter_sum_t *sum) {
    uint32_t now = counter(), calls = 0;
    int i;
    is_counting = 0;
    ticks[kind] += now - mark;
    for (i = METER_OPUS; i < METER_KINDS; i++) {
        uint64_t n = instructions(ticks[i]), own = (uint64_t)entries[i] * cost_inside / CALIBRATION;
        sum->instructions[i] += n > own ? n - own : 0;
        calls += entries[i];
    }
    sum->instructions[METER_GLUE] +=
        instructions(ticks[METER_GLUE]) - (uint64_t)calls * cost_outside / CALIBRATION;
}

uint64_t meter_total(const meter_sum_t *sum) {
    uint64_t total = 0;
    int i;
    for (i = 0; i < METER_KINDS; i++) total += i == METER_HARNESS ? 0 : sum->instructions[i];
    return total;
}

void meter_handshaking(int is_so) {
    is_handshaking = is_so;
}

/* --- what is wrapped for counting --- */

static int is_painting;
static int opus_begins(void);
static void opus_ends(int was);

/* Crypto counts as such where it is called by our own code, not from inside of the handshake. */
static int enter(int next) {
    if (next == METER_OPUS && is_painting) return opus_begins();
    if (!is_counting || kind != METER_GLUE) return -1;
    if (next == METER_DTLS && !is_handshaking) return -1;
    return meter_enter(next);
}

static void leave(int next, int was) {
    if (next == METER_OPUS && is_painting) {
        opus_ends(was);
    } else if (was >= 0) {
        meter_leave(was);
    }
}

#define WRAP(KIND, TYPE, NAME, PARAMETERS, ARGUMENTS)                                              \
    TYPE __real_##NAME PARAMETERS;                                                                 \
    TYPE __wrap_##NAME PARAMETERS;                                                                 \
    TYPE __wrap_##NAME PARAMETERS {                                                                \
        int was = enter(KIND);                                                                     \
        TYPE result = __real_##NAME ARGUMENTS;                                                     \
        leave(KIND, was);                                                                          \
        return result;                                                                             \
    }
#define WRAP_VOID(KIND, NAME, PARAMETERS, ARGUMENTS)                                               \
    void __real_##NAME PARAMETERS;                                                                 \
    void __wrap_##NAME PARAMETERS;                                                                 \
    void __wrap_##NAME PARAMETERS {                                                                \
        int was = enter(KIND);                                                                     \
        __real_##NAME ARGUMENTS;                                                                   \
        leave(KIND, was);                                                                          \
    }

WRAP(METER_OPUS, opus_int32, opus_encode,
     (OpusEncoder * e, const opus_int16 *pcm, int n, unsigned char *data, opus_int32 cap),
     (e, pcm, n, data, cap))
WRAP(METER_OPUS, int, opus_decode,
     (OpusDecoder * d, const unsigned char *data, opus_int32 len, opus_int16 *pcm, int n, int fec),
     (d, data, len, pcm, n, fec))
WRAP(METER_OPUS, int, opus_encoder_init, (OpusEncoder * e, opus_int32 rate, int channels, int use),
     (e, rate, channels, use))
WRAP(METER_OPUS, int, opus_decoder_init, (OpusDecoder * d, opus_int32 rate, int channels),
     (d, rate, channels))
WRAP_VOID(METER_CRYPTO, linnet_aes128_ctr,
          (const linnet_aes_t *aes, const uint8_t iv[16], uint8_t *data, size_t len),
          (aes, iv, data, len))
WRAP_VOID(METER_CRYPTO, linnet_hmac_sha1_compute,
          (const linnet_hmac_sha1_t *h, const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
           uint8_t out[LINNET_SHA1_LEN]),
          (h, a, a_len, b, b_len, out))
WRAP_VOID(METER_CRYPTO, linnet_random, (linnet_rng_t * rng, uint8_t *out, size_t len),
          (rng, out, len))
WRAP(METER_CRYPTO, uint32_t, linnet_random_u32, (linnet_rng_t * rng), (rng))
WRAP(METER_DTLS, int, linnet_dtls_start, (linnet_dtls_t * d, uint64_t now), (d, now))
WRAP(METER_DTLS, int, linnet_dtls_input,
     (linnet_dtls_t * d, uint64_t now, const uint8_t *data, size_t len), (d, now, data, len))
WRAP(METER_DTLS, int, linnet_dtls_poll, (linnet_dtls_t * d, uint64_t now, uint8_t *data, size_t cap),
     (d, now, data, cap))

/* --- what wrapping costs --- */

static __attribute__((noinline)) int nothing(int x) {
    __asm__ volatile("" : "+r"(x));
    return x;
}

static __attribute__((noinline)) int wrapped_nothing(int x) {
    int was = enter(METER_CRYPTO);
    int result = nothing(x);
    leave(METER_CRYPTO, was);
    return result;
}

static __attribute__((noinline)) void call_often(int (*function)(int), meter_sum_t *sum) {
    int i;
    meter_begin();
    for (i = 0; i < CALIBRATION; i++) function(i);
    meter_end(sum);
}

void meter_start(void) {
    meter_sum_t plain = {{0}}, wrapped = {{0}};
    start_counter();
    call_often(nothing, &plain);
    call_often(wrapped_nothing, &wrapped);
    cost_outside = (uint32_t)(wrapped.instructions[METER_GLUE] - plain.instructions[METER_GLUE]);
    cost_inside = (uint32_t)wrapped.instructions[METER_CRYPTO];
}

/* --- stacks --- */

#define ENTRIES(X)                                                                                 \
    X(linnet_session_size)                                                                         \
    X(linnet_session_init)                                                                         \
    X(linnet_input)                                                                                \
    X(linnet_poll)                                                                                 \
    X(linnet_pcm_push)                                                                             \
    X(linnet_pcm_pull)                                                                             \
    X(linnet_stats)                                                                                \
    X(linnet_session_wipe)                                                                         \
    X(linnet_pb_decode)                                                                            \
    X(linnet_pb_encode)
#define ENTRY_ENUM(name) ENTRY_##name,
#define ENTRY_NAME(name) #name,
enum { ENTRIES(ENTRY_ENUM) ENTRY_N };
static const char *const entry_names[] = {ENTRIES(ENTRY_NAME)};

static uint32_t outside[ENTRY_N], in_all[ENTRY_N], opus_deepest;
static uint32_t *painted;          /* the lowest painted word */
static uintptr_t top, lowest, lowest_outside;

#if defined(__riscv)
#define READ_SP "mv %0, sp"
#else
#define READ_SP "mov %0, sp"
#endif

static inline __attribute__((always_inline)) uintptr_t stack_pointer(void) {
    uintptr_t sp;
    __asm__ volatile(READ_SP : "=r"(sp));
    return sp;
}

/* A leaf: what lies below its stack pointer is nobody's. */
static __attribute__((noinline)) void paint(void) {
    uint32_t *p = (uint32_t *)(stack_pointer() & ~(uintptr_t)3) - 4;
    uint32_t *end = p - PAINT_WORDS;
    painted = end;
    while (p > end) {
        p--;
        *(volatile uint32_t *)p = (uint32_t)COLOUR;
    }
}

static __attribute__((noinline)) uintptr_t deepest(void) {
    volatile uint32_t *p = painted;
    while (*p == (uint32_t)COLOUR && (uintptr_t)p < top) p++;
    if (p == painted) printf("error the stack went deeper than the paint\n");
    return (uintptr_t)p;
}

static void note(int is_outside) {
    uintptr_t at = deepest();
    if (at < lowest) lowest = at;
    if (is_outside && at < lowest_outside) lowest_outside = at;
}

static uintptr_t opus_top;

static int opus_begins(void) {
    note(1);
    paint();
    opus_top = stack_pointer();
    return 0;
}

static void opus_ends(int was) {
    uintptr_t at = deepest();
    (void)was;
    if (opus_top - at > opus_deepest) opus_deepest = (uint32_t)(opus_top - at);
    note(0);
    paint();
}

static void entry_begins(uintptr_t sp) {
    top = lowest = lowest_outside = sp;
    paint();
}

static void entry_ends(int entry) {
    note(1);
    if (top - lowest > in_all[entry]) in_all[entry] = (uint32_t)(top - lowest);
    if (top - lowest_outside > outside[entry]) outside[entry] = (uint32_t)(top - lowest_outside);
}

void meter_paint(int on) {
    is_painting = on;
}

void meter_opus_afresh(void) {
    opus_deepest = 0;
    entry_begins(stack_pointer());
}

uint32_t meter_opus_stack(void) {
    return opus_deepest;
}

void meter_print_stacks(void) {
    int i;
    for (i = 0; i < ENTRY_N; i++) {
        printf("%s: outside Opus %lu\n", entry_names[i], (unsigned long)outside[i]);
        if (in_all[i] != outside[i])
            printf("%s: with Opus %lu\n", entry_names[i], (unsigned long)in_all[i]);
    }
}

#define ENTRY(NAME, PARAMETERS, ARGUMENTS)                                                         \
    int __real_##NAME PARAMETERS;                                                                  \
    int __wrap_##NAME PARAMETERS;                                                                  \
    int __wrap_##NAME PARAMETERS {                                                                 \
        int result;                                                                                \
        if (!is_painting) return __real_##NAME ARGUMENTS;                                          \
        entry_begins(stack_pointer());                                                             \
        result = __real_##NAME ARGUMENTS;                                                          \
        entry_ends(ENTRY_##NAME);                                                                  \
        return result;                                                                             \
    }

ENTRY(linnet_session_size, (const uint8_t *cfg, size_t len), (cfg, len))
ENTRY(linnet_session_init,
      (void *mem, size_t mem_len, const uint8_t *cfg, size_t cfg_len, const uint8_t *seed, size_t seed_len),
      (mem, mem_len, cfg, cfg_len, seed, seed_len))
ENTRY(linnet_input, (linnet_session_t * s, uint32_t now, int what, const uint8_t *data, size_t len),
      (s, now, what, data, len))
ENTRY(linnet_poll, (linnet_session_t * s, uint8_t *buf, size_t cap), (s, buf, cap))
ENTRY(linnet_pcm_push, (linnet_session_t * s, const int16_t *pcm, size_t n), (s, pcm, n))
ENTRY(linnet_pcm_pull, (linnet_session_t * s, int16_t *pcm, size_t n), (s, pcm, n))
ENTRY(linnet_stats, (linnet_session_t * s, int which, uint8_t *buf, size_t cap), (s, which, buf, cap))
ENTRY(linnet_pb_decode, (int message, const uint8_t *wire, size_t len, uint8_t *record, size_t cap),
      (message, wire, len, record, cap))
ENTRY(linnet_pb_encode, (int message, const uint8_t *record, size_t len, uint8_t *wire, size_t cap),
      (message, record, len, wire, cap))

void __real_linnet_session_wipe(linnet_session_t *s);
void __wrap_linnet_session_wipe(linnet_session_t *s);
void __wrap_linnet_session_wipe(linnet_session_t *s) {
    if (is_painting) entry_begins(stack_pointer());
    __real_linnet_session_wipe(s);
    if (is_painting) entry_ends(ENTRY_linnet_session_wipe);
}
