/* Mixes any number of remote tracks to one mono stream at the device rate.
 *
 * Sums at the codec rate, so one resampler serves all tracks. A limiter turns the sum down while it is over full
 * scale and lets go slowly; below full scale a single track at unity gain passes bit for bit.
 * Invariant: exactly n samples are written, whatever the tracks hold. */
#ifndef LINNET_MIXER_H
#define LINNET_MIXER_H

#include "level.h"
#include "playback.h"
#include "resample.h"

enum { LINNET_MIXER_BLOCK = 240 }; /* samples summed at once: 5 ms at 48 kHz; 1.4 KiB of stack */

typedef struct {
    linnet_resampler_t resampler; /* idle when the device rate is a codec rate */
    linnet_meter_t meter;
    uint32_t rate_hz;      /* device */
    uint32_t codec_rate;
    int32_t limiter_q15;   /* gain of the limiter, 32768 = open */
    uint16_t volume_q12;   /* of the whole mix */
    uint16_t sounding;     /* tracks heard in the block last mixed */
    uint16_t ahead_pos, ahead_len; /* mixed samples not yet resampled */
    int16_t ahead[LINNET_MIXER_BLOCK];
    uint32_t limited;      /* blocks the limiter turned down */
} linnet_mixer_t;

int linnet_mixer_init(linnet_mixer_t *m, const linnet_media_config_t *cfg);
/* Fills pcm[0..n) at the device rate; returns the number of tracks that sounded. NULL entries are skipped. */
int linnet_mixer_pull(linnet_mixer_t *m, linnet_playback_t *const *tracks, size_t n_tracks, uint64_t now_us,
                      int16_t *pcm, size_t n);
void linnet_mixer_set_volume(linnet_mixer_t *m, uint16_t gain_q12); /* 4096 = unity, 0 = silence */
int linnet_mixer_level(const linnet_mixer_t *m);                    /* 0..127 -dBov, after volume */

#endif
