/* Windowed-sinc resampler in integers: see resample.h.
 *
 * Output k lies at input position p = k x in / out and is made as soon as input floor(p) is there:
 *   y(k) = sum over j of x[floor(p) - j] x h((frac(p) + j) x scale - HALF)
 * with scale = min(1, out / in) and h in samples of the lower rate, so the filter is causal with a
 * delay of HALF / scale inputs. */
#include "resample.h"

#include "resample_table.h"
#include <string.h>

enum {
    UNIT_LOG2 = 20, /* one sample of the lower rate */
    FRACTION_LOG2 = UNIT_LOG2 - RESAMPLE_STEPS_LOG2,
    TERM_MAX = 1280, /* 11025 to 32000 Hz is 441 : 1280; keeps phase x step below 2^31 */
    SUM_LOG2 = 15 + FRACTION_LOG2
};
static const uint32_t middle = (uint32_t)LINNET_RESAMPLE_HALF << UNIT_LOG2;

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b) {
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int linnet_resampler_init(linnet_resampler_t *r, uint32_t in_hz, uint32_t out_hz) {
    uint32_t divisor;
    memset(r, 0, sizeof *r);
    if (in_hz < 8000 || in_hz > 48000 || out_hz < 8000 || out_hz > 48000) return LINNET_ERR_ARG;
    divisor = greatest_common_divisor(in_hz, out_hz);
    r->in = in_hz / divisor;
    r->out = out_hz / divisor;
    if (r->in > TERM_MAX || r->out > TERM_MAX) return LINNET_ERR_ARG;
    r->step = r->out >= r->in ? 1u << UNIT_LOG2 : (r->out << UNIT_LOG2) / r->in;
    r->gain_q16 = r->out >= r->in ? 1u << 16 : ((r->out << 16) + r->in / 2) / r->in;
    r->taps = (uint16_t)(2 * middle / r->step + 2);
    r->wanted = 1;
    return 0;
}

static void push(linnet_resampler_t *r, int16_t sample) {
    r->at = (uint16_t)(r->at + 1 == r->taps ? 0 : r->at + 1);
    r->history[r->at] = sample;
    r->history[r->at + r->taps] = sample;
}

static int16_t saturate(int64_t v) {
    if (v > INT16_MAX) return INT16_MAX;
    if (v < INT16_MIN) return INT16_MIN;
    return (int16_t)v;
}

static int16_t filter(const linnet_resampler_t *r) {
    const int16_t *x = &r->history[r->at + r->taps];
    uint32_t place = r->phase * r->step / r->out; /* from the filter's end, of the newest input */
    int64_t sum = 0;
    for (; place < 2 * middle; place += r->step, x--) {
        uint32_t away = place < middle ? middle - place : place - middle;
        const int16_t *entry = &resample_table[away >> FRACTION_LOG2];
        int32_t fraction = (int32_t)(away & ((1u << FRACTION_LOG2) - 1));
        int32_t weight =
            (int32_t)entry[0] * (1 << FRACTION_LOG2) + (entry[1] - entry[0]) * fraction;
        sum += (int64_t)weight * *x;
    }
    sum = (sum >> FRACTION_LOG2) * r->gain_q16; /* |sum| < 2^32 before the gain */
    return saturate((sum + (INT64_C(1) << (SUM_LOG2 - FRACTION_LOG2 + 15))) >>
                    (SUM_LOG2 - FRACTION_LOG2 + 16));
}

size_t linnet_resample(linnet_resampler_t *r, const int16_t *in, size_t n_in, size_t *taken,
                       int16_t *out, size_t n_out) {
    size_t used = 0, made = 0;
    while (made < n_out) {
        for (; r->wanted > 0 && used < n_in; r->wanted--) push(r, in[used++]);
        if (r->wanted > 0) break;
        out[made++] = filter(r);
        r->phase += r->in;
        r->wanted = (uint16_t)(r->phase / r->out);
        r->phase %= r->out;
    }
    *taken = used;
    return made;
}

uint32_t linnet_resampler_delay_q16(const linnet_resampler_t *r) {
    return (uint32_t)(((uint64_t)middle << 16) / r->step);
}
