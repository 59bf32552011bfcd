/* Mixes any number of remote tracks to one mono stream at the device rate.
 *
 * Sums at the codec rate, so one resampler serves all tracks. A limiter turns the sum down while it
 * is over full scale and lets go slowly; below full scale a single track at unity gain passes bit
 * for bit. Invariant: exactly n samples are written, whatever the tracks hold. */
#ifndef LINNET_MIXER_H
#define LINNET_MIXER_H

#include "playback.h"
#include "resample.h"

enum {
    LINNET_MIXER_BLOCK = 240, /* most samples summed at once, 5 ms at 48 kHz; 1.4 KiB of stack */
    LINNET_GAIN_UNITY = 4096
};

/* Where the device rate is a codec rate, linnet_mixer_size ends before `block`. */
typedef struct {
    uint32_t rate_hz; /* device */
    uint32_t codec_rate;
    uint32_t limited;                  /* blocks the limiter turned down */
    int32_t limiter_q15;               /* gain of the limiter, 32768 = open */
    int sounding;                      /* tracks heard in the block mixed last */
    uint16_t volume_q12;               /* of the whole mix */
    uint16_t volume_was_q12;           /* at the end of the block mixed last */
    uint16_t block_at, block_len;      /* mixed, not yet resampled */
    int16_t block[LINNET_MIXER_BLOCK]; /* on a word, for copies by words */
    linnet_resampler_t resampler;
} linnet_mixer_t;

size_t linnet_mixer_size(const linnet_media_config_t *cfg); /* 0 = bad configuration */
int linnet_mixer_init(linnet_mixer_t *m,
                      const linnet_media_config_t *cfg); /* 0 or LINNET_ERR_ARG */
/* Fills pcm[0..n) at the device rate, to be played from now_us on; returns the number of tracks
 * that sounded at the end of it. NULL entries are skipped. All tracks must have been made with the
 * mixer's configuration. */
int linnet_mixer_pull(linnet_mixer_t *m, linnet_playback_t *const *tracks, size_t n_tracks,
                      uint64_t now_us, int16_t *pcm, size_t n);
void linnet_mixer_set_volume(linnet_mixer_t *m, uint16_t gain_q12); /* 4096 = unity, 0 = silence */

#endif
