/* Sample rate conversion between any two of the nine device rates: windowed sinc, exact rational
 * phase.
 *
 * Our own rather than speexdsp's, which is the judge in tests/c/test_resample_peer.py. Its
 * fixed-point build is no cleaner at the rates Opus does not know (78 dB in the worst case against
 * 84) and needs 1.1 M instructions per frame between 44.1 and 48 kHz against 0.7 M (between 32 and
 * 48 kHz 0.36 M: python -m tests.bench resample); it allocates its state, needs libm and makes its
 * tables in floating point, so that its output differs between machines. Integers only: the same
 * bytes everywhere. One 4 KiB table in flash, linear interpolation between its entries. Not
 * implemented: a changing ratio. Invariant: after any number of calls, outputs made = ceil(inputs
 * taken x out / in) exactly: no drift, ever. */
#ifndef LINNET_RESAMPLE_H
#define LINNET_RESAMPLE_H

#include "errors.h"
#include <stddef.h>
#include <stdint.h>

enum {
    LINNET_RESAMPLE_HALF = 16, /* samples of the lower rate on each side of the filter's middle */
    LINNET_RESAMPLE_TAPS_MAX = 194 /* 2 x HALF x 6 (48 to 8 kHz), and two for the ends */
};

typedef struct {
    uint32_t in, out;  /* the ratio, reduced */
    uint32_t phase;    /* of the next output after its newest input, in 1/out of an input sample */
    uint32_t step;     /* filter distance between two inputs, 2^20 = one sample of the lower rate */
    uint32_t gain_q16; /* downwards there are more taps to sum */
    uint16_t taps;
    uint16_t at;     /* newest sample in the history */
    uint16_t wanted; /* inputs to take before the next output */
    int16_t history
        [2 * LINNET_RESAMPLE_TAPS_MAX]; /* written twice, so that a window is contiguous: 776 B */
} linnet_resampler_t;

/* 0, or LINNET_ERR_ARG: any two rates of 8000..48000 whose reduced ratio has no term over 1280. */
int linnet_resampler_init(linnet_resampler_t *r, uint32_t in_hz, uint32_t out_hz);
/* Consumes up to n_in and writes up to n_out, whichever ends first. *taken = inputs consumed;
 * returns outputs made. */
size_t linnet_resample(linnet_resampler_t *r, const int16_t *in, size_t n_in, size_t *taken,
                       int16_t *out, size_t n_out);
/* Delay of the filter in input samples x 65536. */
uint32_t linnet_resampler_delay_q16(const linnet_resampler_t *r);

#endif
