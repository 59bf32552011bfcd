/* Mixer: see mixer.h. Works block by block of at most 5 ms: pull every track, sum, limit, hand out
 * or resample. */
#include "mixer.h"

#include <string.h>

enum {
    OPEN = 32768,      /* limiter gain, Q15 */
    RELEASE_LOG2 = 5,  /* of what it is closed, 1/32 comes back per block: 160 ms */
    BLOCKS_PER_S = 200 /* 5 ms */
};
#define FULL_SCALE INT64_C(32768)

int linnet_mixer_init(linnet_mixer_t *m, const linnet_media_config_t *cfg) {
    linnet_media_config_t resolved;
    int result = linnet_media_resolve(cfg, &resolved);
    if (result < 0) return result;
    memset(m, 0, sizeof *m);
    m->rate_hz = resolved.rate_hz;
    m->codec_rate = linnet_media_codec_rate(resolved.rate_hz);
    m->limiter_q15 = OPEN;
    m->volume_q12 = m->volume_was_q12 = LINNET_GAIN_UNITY;
    return linnet_resampler_init(&m->resampler, m->codec_rate, m->rate_hz);
}

/* Sample i of n under a gain that goes from one value to another over the block, so that no change
 * clicks. */
static int32_t scale_q12(int32_t sample, uint16_t from, uint16_t to, size_t i, size_t n) {
    int64_t gain = from == to ? to : from + ((int64_t)to - from) * (int64_t)i / (int64_t)n;
    return (int32_t)((sample * gain) >> 12);
}

static int is_unity(uint16_t from, uint16_t to) {
    return from == LINNET_GAIN_UNITY && to == LINNET_GAIN_UNITY;
}

static int32_t peak_of(const int32_t *sum, size_t n) {
    int32_t peak = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t size = sum[i] < 0 ? -sum[i] : sum[i];
        peak = size > peak ? size : peak;
    }
    return peak;
}

static int16_t saturate(int64_t v) {
    if (v > INT16_MAX) return INT16_MAX;
    if (v < INT16_MIN) return INT16_MIN;
    return (int16_t)v;
}

/* Narrows the sum to 16 bits; 0 when a sample did not fit. */
static int fits(linnet_mixer_t *m, const int32_t *sum, size_t n) {
    int32_t over = 0;
    for (size_t i = 0; i < n; i++) {
        m->block[i] = (int16_t)sum[i];
        over |= m->block[i] ^ sum[i];
    }
    return over == 0;
}

/* Closes within a quarter of the block to what its peak asks, opens slowly: no hard clipping, no
 * pumping at every peak. Nearly always it is open and the sum fits. */
static void limit(linnet_mixer_t *m, const int32_t *sum, size_t n) {
    int32_t from = m->limiter_q15, to, peak;
    if (from == OPEN && fits(m, sum, n)) return;
    peak = peak_of(sum, n);
    to = from + ((OPEN - from + (1 << RELEASE_LOG2) - 1) >> RELEASE_LOG2);
    if ((int64_t)peak * to > FULL_SCALE * OPEN) to = (int32_t)(FULL_SCALE * OPEN / peak);
    m->limiter_q15 = to;
    if (to < from) m->limited++;
    for (size_t i = 0; i < n; i++) {
        int64_t gain = to;
        if (to < from && i < n / 4)
            gain = from + (int64_t)(to - from) * (int64_t)i * 4 / (int64_t)n;
        m->block[i] = saturate((sum[i] * gain) >> 15);
    }
}

static void add_track(linnet_mixer_t *m, linnet_playback_t *track, uint64_t now_us, int32_t *sum,
                      size_t n) {
    int16_t part[LINNET_MIXER_BLOCK];
    uint16_t from, to = linnet_playback_take_gain(track, &from);
    if (!linnet_playback_pull(track, now_us, part, n)) return;
    if (to > 0) m->sounding++;
    if (is_unity(from, to)) {
        for (size_t i = 0; i < n; i++) sum[i] += part[i];
    } else {
        for (size_t i = 0; i < n; i++) sum[i] += scale_q12(part[i], from, to, i, n);
    }
}

static void sum_tracks(linnet_mixer_t *m, linnet_playback_t *const *tracks, size_t n_tracks,
                       uint64_t now_us, size_t n) {
    int32_t sum[LINNET_MIXER_BLOCK];
    memset(sum, 0, n * sizeof sum[0]);
    for (size_t t = 0; t < n_tracks; t++)
        if (tracks[t]) add_track(m, tracks[t], now_us, sum, n);
    if (!is_unity(m->volume_was_q12, m->volume_q12))
        for (size_t i = 0; i < n; i++)
            sum[i] = scale_q12(sum[i], m->volume_was_q12, m->volume_q12, i, n);
    m->volume_was_q12 = m->volume_q12;
    limit(m, sum, n);
}

/* The track that is the mix itself: the only one, nothing turned up or down. NULL when it has to be
 * worked out. */
static linnet_playback_t *only_track(const linnet_mixer_t *m, linnet_playback_t *const *tracks,
                                     size_t n_tracks) {
    linnet_playback_t *only = NULL;
    for (size_t t = 0; t < n_tracks; t++) {
        if (tracks[t] && only) return NULL;
        if (tracks[t]) only = tracks[t];
    }
    if (m->limiter_q15 != OPEN || !is_unity(m->volume_was_q12, m->volume_q12)) return NULL;
    return only && linnet_playback_is_unity(only) ? only : NULL;
}

static void mix_block(linnet_mixer_t *m, linnet_playback_t *const *tracks, size_t n_tracks,
                      uint64_t now_us, size_t n) {
    linnet_playback_t *only = only_track(m, tracks, n_tracks);
    m->sounding = 0;
    m->block_at = 0;
    m->block_len = (uint16_t)n;
    if (only) {
        m->sounding = linnet_playback_pull(only, now_us, m->block, n);
    } else {
        sum_tracks(m, tracks, n_tracks, now_us, n);
    }
}

/* Samples to mix for `left` samples still asked for: no more than are needed now, so that nothing
 * is held back. */
static size_t block_size(const linnet_mixer_t *m, size_t left) {
    size_t most = m->codec_rate / BLOCKS_PER_S;
    if (m->rate_hz != m->codec_rate) return most;
    return left < most ? left : most;
}

int linnet_mixer_pull(linnet_mixer_t *m, linnet_playback_t *const *tracks, size_t n_tracks,
                      uint64_t now_us, int16_t *pcm, size_t n) {
    size_t done = 0;
    while (done < n) {
        const int16_t *from = m->block + m->block_at;
        size_t have = (size_t)(m->block_len - m->block_at), taken, made;
        if (m->rate_hz == m->codec_rate) {
            taken = made = have < n - done ? have : n - done;
            memcpy(pcm + done, from, 2 * made);
        } else {
            made = linnet_resample(&m->resampler, from, have, &taken, pcm + done, n - done);
        }
        m->block_at = (uint16_t)(m->block_at + taken);
        done += made;
        if (done < n)
            mix_block(m, tracks, n_tracks, now_us + done * UINT64_C(1000000) / m->rate_hz,
                      block_size(m, n - done));
    }
    return m->sounding;
}

void linnet_mixer_set_volume(linnet_mixer_t *m, uint16_t gain_q12) {
    m->volume_q12 = gain_q12;
}
