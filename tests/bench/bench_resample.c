/* Resamples frames of 20 ms, for callgrind: bench_resample FROM_HZ TO_HZ QUALITY FRAMES. QUALITY -1 is our resampler,
 * 0 to 10 speexdsp's. Prints the bytes of state it needs. */
#include "resample.h"

#include <speex_resampler.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRAME_MAX = 960 };

static size_t heap_bytes;
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_calloc(size_t n, size_t size) {
    heap_bytes += n * size;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
    heap_bytes += size; /* speexdsp grows nothing here: each is the first of its kind */
    return __real_realloc(old, size);
}

int main(int count, char **words) {
    static int16_t in[FRAME_MAX], out[FRAME_MAX + 1];
    uint32_t noise = 1, from, to;
    int quality, frames, error = 0;
    if (count != 5) return 2;
    from = (uint32_t)atoi(words[1]);
    to = (uint32_t)atoi(words[2]);
    quality = atoi(words[3]);
    frames = atoi(words[4]);
    for (int i = 0; i < FRAME_MAX; i++) {
        noise = noise * 1103515245 + 12345;
        in[i] = (int16_t)((int32_t)noise >> 18);
    }
    if (quality < 0) {
        linnet_resampler_t ours;
        if (linnet_resampler_init(&ours, from, to) < 0) return 1;
        for (int i = 0; i < frames; i++) {
            size_t taken;
            linnet_resample(&ours, in, from / 50, &taken, out, FRAME_MAX + 1);
        }
        printf("%zu\n", sizeof ours);
        return 0;
    }
    heap_bytes = 0;
    SpeexResamplerState *theirs = speex_resampler_init(1, from, to, quality, &error);
    if (theirs == NULL) return 1;
    for (int i = 0; i < frames; i++) {
        uint32_t taken = from / 50, made = FRAME_MAX + 1;
        speex_resampler_process_int(theirs, 0, in, &taken, out, &made);
    }
    printf("%zu\n", heap_bytes);
    return 0;
}
