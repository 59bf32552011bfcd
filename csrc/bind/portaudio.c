/* A PortAudio stream's callback; portaudio.h says what for.
 *
 * PortAudio calls it from a thread of its own, one at a time per stream. Invariant: all of `output` is written,
 * whatever has become of the loop. */
#include "portaudio.h"

#include <string.h>

#include "loop.h"

enum { INPUT_OVERFLOW = 0x2, OUTPUT_UNDERFLOW = 0x4 }; /* PaStreamCallbackFlags */

int linnet_portaudio_callback(const void *input, void *output, unsigned long frames,
                              const struct PaStreamCallbackTimeInfo *time, unsigned long flags,
                              void *user_data) {
    linnet_portaudio_t *stream = user_data;
    (void)time;
    if (flags & INPUT_OVERFLOW) stream->overruns++;
    if (flags & OUTPUT_UNDERFLOW) stream->underruns++;
    if (input) (void)linnet_loop_mic(stream->loop, input, frames); /* counts what does not fit */
    if (output) {
        int16_t *pcm = output;
        int given = linnet_loop_speaker(stream->loop, pcm, frames);
        size_t n = given > 0 ? (size_t)given : 0;
        memset(pcm + n, 0, (frames - n) * sizeof *pcm);
    }
    return 0;
}
