/* Microphone side: PCM at the device rate in, Opus packets out, exact frames (RFC 6716, RFC 7587).
 *
 * One frame of PCM is collected (resampled first when Opus does not know the device rate), metered
 * on the raw samples (RFC 6464) and encoded. The memory is the caller's and may be moved as a whole
 * between calls. Invariant: the timestamp advances by one frame for each frame collected, whether
 * or not a packet comes of it. */
#ifndef LINNET_CAPTURE_H
#define LINNET_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#include "media_config.h"

typedef struct linnet_capture linnet_capture_t;

typedef struct {
    uint64_t samples;    /* taken, at the device rate */
    uint32_t frames;     /* completed and encoded */
    uint32_t packets;    /* handed out */
    uint32_t suppressed; /* frames that DTX left unsent */
    uint32_t failed;     /* frames the encoder refused: a bug, counted all the same */
} linnet_capture_stats_t;

size_t
linnet_capture_size(const linnet_media_config_t *cfg); /* 0 = bad configuration; a multiple of 16 */
/* mem must be aligned to 8 bytes. 0, LINNET_ERR_ARG or LINNET_ERR_SPACE. */
int linnet_capture_init(void *mem, size_t len, const linnet_media_config_t *cfg);
/* Takes samples until one frame is complete; returns how many it took (0: pop first). */
int linnet_capture_push(linnet_capture_t *c, const int16_t *pcm, size_t n);
/* Packet length; 0 when no frame is complete or DTX suppressed it; LINNET_ERR_SPACE when cap is too
 * small for a frame (nothing is lost). timestamp: of the frame's first sample at 48 kHz, from 0.
 * level: 0..127 -dBov. voice: 0/1. */
int linnet_capture_pop(linnet_capture_t *c, uint8_t *opus, size_t cap, uint32_t *timestamp_48k,
                       int *level, int *voice);
/* 1 when the packet popped last is the first one after silence: the RTP marker (RFC 7587 4.1). */
int linnet_capture_starts_talkspurt(const linnet_capture_t *c);
/* Loss the peer reports, in percent: steers FEC. Takes effect with the next frame. */
int linnet_capture_set_loss(linnet_capture_t *c, uint32_t percent);
/* Forgets half a frame and the encoder's history (after mute); the timestamp goes on by gap_48k. */
void linnet_capture_reset(linnet_capture_t *c, uint32_t gap_48k);
/* Samples at the device rate by which a sound leaves the decoder later than it entered here,
 * framing excluded. */
uint32_t linnet_capture_delay(const linnet_capture_t *c);
const linnet_capture_stats_t *linnet_capture_stats(const linnet_capture_t *c);

#endif
