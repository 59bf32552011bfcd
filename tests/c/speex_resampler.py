"""speexdsp's fixed-point resampler, as the judge of ours; nothing but tests and benches compiles it."""

import functools

import numpy as np
from internals import load

CDEF = """
typedef struct SpeexResamplerState_ SpeexResamplerState;
SpeexResamplerState *speex_resampler_init(uint32_t channels, uint32_t in_hz, uint32_t out_hz, int quality, int *err);
void speex_resampler_destroy(SpeexResamplerState *st);
int speex_resampler_skip_zeros(SpeexResamplerState *st);
int speex_resampler_process_int(SpeexResamplerState *st, uint32_t channel, const int16_t *in, uint32_t *in_len,
                                int16_t *out, uint32_t *out_len);
"""


@functools.cache
def _module():
    return load("speex_resampler", sources=[], headers=[], third_party=["speexdsp"], extra_cdef=CDEF,
                extra_source="#include <speex_resampler.h>", libraries=["m"])


class Speex:
    """Quality 0 to 10: how long the filter is. It starts at the middle of the first sample, so it has no delay."""

    def __init__(self, from_hz, to_hz, quality):
        self._ffi, self._lib = _module().ffi, _module().lib
        error = self._ffi.new("int *")
        self._state = self._ffi.gc(self._lib.speex_resampler_init(1, from_hz, to_hz, quality, error),
                                   self._lib.speex_resampler_destroy)
        assert error[0] == 0
        self._lib.speex_resampler_skip_zeros(self._state)

    def __call__(self, samples):
        samples = np.ascontiguousarray(samples, "<i2")
        out = np.zeros(8 * len(samples) + 8, "<i2")
        taken, made = self._ffi.new("uint32_t *", len(samples)), self._ffi.new("uint32_t *", len(out))
        assert self._lib.speex_resampler_process_int(
            self._state, 0, self._ffi.from_buffer("int16_t[]", samples), taken,
            self._ffi.from_buffer("int16_t[]", out), made) == 0
        assert taken[0] == len(samples)
        return out[:made[0]]
