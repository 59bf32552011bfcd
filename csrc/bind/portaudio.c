/* A PortAudio stream's callback; portaudio.h says what for.
 *
 * PortAudio calls it from a thread of its own, one at a time per stream. Invariant: all of `output` is written,
 * whatever has become of the loop. */
#define _POSIX_C_SOURCE 200809L
#include "portaudio.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "loop.h"

enum { INPUT_OVERFLOW = 0x2, OUTPUT_UNDERFLOW = 0x4 }; /* PaStreamCallbackFlags */

/* PortAudio's threads are ordinary ones on ALSA, and a busy machine lets them wait. They ask for as much as the
 * thread of the loop, and go on without when it is not given; elsewhere the system has seen to it. */
static void become_realtime(void) {
#ifdef __linux__
    struct sched_param how;
    int policy;
    if (pthread_getschedparam(pthread_self(), &policy, &how) || policy != SCHED_OTHER) return;
    memset(&how, 0, sizeof how);
    how.sched_priority = sched_get_priority_min(SCHED_RR) + 9;
    (void)pthread_setschedparam(pthread_self(), SCHED_RR, &how);
#endif
}

int linnet_portaudio_callback(const void *input, void *output, unsigned long frames,
                              const struct PaStreamCallbackTimeInfo *time, unsigned long flags,
                              void *user_data) {
    linnet_portaudio_t *stream = user_data;
    (void)time;
    if ((input && !stream->has_heard) || (output && !stream->has_played)) {
        if (input) stream->has_heard = 1;
        if (output) stream->has_played = 1;
        become_realtime();
    }
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
