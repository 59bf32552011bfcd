/* portaudio.h: the callback of a PortAudio stream, in C, between a sound card and a media loop of FREE rings.
 *
 * For CPython alone: host_sim/sound_card.py hands it to `sounddevice`, whose own callbacks would wait for an
 * interpreter that collects garbage. MicroPython has no PortAudio, so its module has neither this file nor these
 * names. PortAudio's header is not needed: the types below are those of its PaStreamCallback. */
#ifndef LINNET_PORTAUDIO_H
#define LINNET_PORTAUDIO_H

#include <stdint.h>

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */

struct PaStreamCallbackTimeInfo;

/* The user data of a stream, or of two, one for each direction; zero but for the handle. It is the opener's, and stays
 * until they are closed. */
typedef struct {
    int loop;                      /* its handle; one that was closed makes silence */
    uint32_t overruns, underruns;  /* times that the card lost what it heard; had nothing to play */
    uint8_t has_heard, has_played; /* not the first call */
} linnet_portaudio_t;

/* PaStreamCallback for mono int16. What is heard goes to linnet_loop_mic; what is played comes from
 * linnet_loop_speaker, the rest of it is silence. input or output is NULL where the stream has none. Waits no longer
 * than those two do; always 0 (paContinue). */
int linnet_portaudio_callback(const void *input, void *output, unsigned long frames,
                              const struct PaStreamCallbackTimeInfo *time, unsigned long flags,
                              void *user_data);
/* [ffi-end] */

#endif
