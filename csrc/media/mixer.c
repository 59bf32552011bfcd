/* Mixer: see mixer.h. Works block by block of at most 5 ms: pull every track, sum, limit, into the
 * caller's buffer or into a block of its own for the resampler. */
#include "mixer.h"

#include <string.h>

enum {
    OPEN = 32768,      /* limiter gain, Q15 */
    RELEASE_LOG2 = 5,  /* of what it is closed, 1/32 comes back per block: 160 ms */
    BLOCKS_PER_S = 200 /* 5 ms */
};
#define FULL_SCALE INT64_C(32768)

static int is_resampling(uint32_t rate_hz) {
    return rate_hz != linnet_media_codec_rate(rate_hz);
}

size_t linnet_mixer_size(const linnet_media_config_t *cfg) {
    linnet_media_config_t resolved;
    if (linnet_media_resolve(cfg, &resolved) < 0) return 0;
    return is_resampling(resolved.rate_hz) ? sizeof(linnet_mixer_t)
                                           : offsetof(linnet_mixer_t, block);
}

int linnet_mixer_init(linnet_mixer_t *m, const linnet_media_config_t *cfg) {
    linnet_media_config_t resolved;
    int result = linnet_media_resolve(cfg, &resolved);
    if (result < 0) return result;
    memset(m, 0, linnet_mixer_size(&resolved));
    m->rate_hz = resolved.rate_hz;
    m->codec_rate = linnet_media_codec_rate(resolved.rate_hz);
    m->limiter_q15 = OPEN;
    m->volume_q12 = m->volume_was_q12 = LINNET_GAIN_UNITY;
    if (!is_resampling(m->rate_hz)) return 0;
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
static int fits(int16_t *to, const int32_t *sum, size_t n) {
    int32_t over = 0;
    for (size_t i = 0; i < n; i++) {
        to[i] = (int16_t)sum[i];
        over |= to[i] ^ sum[i];
    }
    return over == 0;
}

/* Closes within a quarter of the block to what its peak asks, opens slowly: no hard clipping, no
 * pumping at every peak. Nearly always it is open and the sum fits. */
static void limit(linnet_mixer_t *m, int16_t *out, const int32_t *sum, size_t n) {
    int32_t from = m->limiter_q15, to, peak;
    if (from == OPEN && fits(out, sum, n)) return;
    peak = peak_of(sum, n);
    to = from + ((OPEN - from + (1 << RELEASE_LOG2) - 1) >> RELEASE_LOG2);
    if ((int64_t)peak * to > FULL_SCALE * OPEN) to = (int32_t)(FULL_SCALE * OPEN / peak);
    m->limiter_q15 = to;
    if (to < from) m->limited++;
    for (size_t i = 0; i < n; i++) {
        int64_t gain = to;
        if (to < from && i < n / 4)
            gain = from + (int64_t)(to - from) * (int64_t)i * 4 / (int64_t)n;
        out[i] = saturate((sum[i] * gain) >> 15);
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
                       uint64_t now_us, int16_t *out, size_t n) {
    int32_t sum[LINNET_MIXER_BLOCK];
    memset(sum, 0, n * sizeof sum[0]);
    for (size_t t = 0; t < n_tracks; t++)
        if (tracks[t]) add_track(m, tracks[t], now_us, sum, n);
    if (!is_unity(m->volume_was_q12, m->volume_q12))
        for (size_t i = 0; i < n; i++)
            sum[i] = scale_q12(sum[i], m->volume_was_q12, m->volume_q12, i, n);
    m->volume_was_q12 = m->volume_q12;
    limit(m, out, sum, n);
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
                      uint64_t now_us, int16_t *out, size_t n) {
    linnet_playback_t *only = only_track(m, tracks, n_tracks);
    m->sounding = 0;
    if (only) {
        m->sounding = linnet_playback_pull(only, now_us, out, n);
    } else {
        sum_tracks(m, tracks, n_tracks, now_us, out, n);
    }
}

/* The time of sample `done` of a pull. */
static uint64_t time_of(const linnet_mixer_t *m, uint64_t now_us, size_t done) {
    return now_us + done * UINT64_C(1000000) / m->rate_hz;
}

int linnet_mixer_pull(linnet_mixer_t *m, linnet_playback_t *const *tracks, size_t n_tracks,
                      uint64_t now_us, int16_t *pcm, size_t n) {
    size_t most = m->codec_rate / BLOCKS_PER_S, done = 0, taken;
    while (m->rate_hz == m->codec_rate && done < n) { /* as much as is wanted: nothing is kept */
        size_t part = most < n - done ? most : n - done;
        mix_block(m, tracks, n_tracks, time_of(m, now_us, done), pcm + done, part);
        done += part;
    }
    while (done < n) {
        size_t have = (size_t)(m->block_len - m->block_at);
        done += linnet_resample(&m->resampler, m->block + m->block_at, have, &taken, pcm + done,
                                n - done);
        m->block_at = (uint16_t)(m->block_at + taken);
        if (done == n) break;
        mix_block(m, tracks, n_tracks, time_of(m, now_us, done), m->block, most);
        m->block_at = 0;
        m->block_len = (uint16_t)most;
    }
    return m->sounding;
}

void linnet_mixer_set_volume(linnet_mixer_t *m, uint16_t gain_q12) {
    m->volume_q12 = gain_q12;
}
