/* Two rings of samples as an audio device: the loop on one side, whoever calls linnet_loop_mic and
 * linnet_loop_speaker on the other.
 *
 * PACED: the loop's clock says how many samples a microphone would have recorded and a speaker played since start;
 * what the ring does not hold then is silence and counted, so the sound has no hole in time. FREE: a device with a
 * clock of its own fills and empties the rings. Invariant: every sample is moved exactly once or counted once. */
#ifndef LINNET_AUDIO_RING_H
#define LINNET_AUDIO_RING_H

#include "audio_device.h"

typedef struct {
    int16_t *pcm;
    size_t cap, head, n;
} linnet_ring_t;

size_t linnet_ring_put(linnet_ring_t *r, const int16_t *pcm, size_t n); /* NULL: silence */
size_t linnet_ring_take(linnet_ring_t *r, int16_t *pcm, size_t n);
/* The oldest samples in one piece, at most *n, which becomes how many they are; 0 only of an empty ring. They stay. */
const int16_t *linnet_ring_look(const linnet_ring_t *r, size_t *n);
void linnet_ring_drop(linnet_ring_t *r, size_t n); /* the oldest n, of those there are */

/* Kinds as enum linnet_loop_sound: SILENT, PACED or FREE. */
typedef struct {
    uint8_t microphone_kind, speaker_kind, is_running;
    uint32_t rate_hz;
    size_t ahead; /* samples */
    uint64_t start_us, captured, played;
    linnet_ring_t microphone, speaker;
    linnet_audio_counts_t counts;
} linnet_rings_t;

void linnet_rings_init(linnet_rings_t *r, int microphone_kind, int speaker_kind, size_t ahead,
                       int16_t *microphone, size_t microphone_cap, int16_t *speaker,
                       size_t speaker_cap);
void linnet_rings_device(linnet_rings_t *r, linnet_audio_device_t *device);
/* The application's side; both return the samples moved. */
size_t linnet_rings_mic(linnet_rings_t *r, const int16_t *pcm, size_t n);
size_t linnet_rings_speaker(linnet_rings_t *r, int16_t *pcm, size_t n);

#endif
