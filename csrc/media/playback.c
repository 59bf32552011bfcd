/* Speaker side of one remote track: see playback.h. One struct, then the PCM of one packet, then a
 * skipped frame's beginning, then the decoder's state, in one piece of memory; only offsets are kept, so the whole may be moved. */
#include "playback.h"

#include "codec.h"
#include "level.h"
#include <string.h>

enum {
    GAIN_UNITY = 4096,
    FULL = 32768,        /* fade gain, Q15 */
    FADE_AFTER_MS = 100, /* of concealment: then down to silence over as long again */
    RAMP_MS = 5,         /* out of and into silence, and across a skipped frame */
    QUIET_LEVEL = 50,    /* -dBov: a frame that may be skipped or repeated unheard */
    METER_MS = 100
};

struct linnet_playback {
    linnet_jitter_t jitter;
    linnet_playback_stats_t stats;
    linnet_meter_t meter;
    uint32_t rate;                        /* of the decoder */
    uint32_t cap;                         /* samples the PCM area holds */
    uint32_t pcm_at, tail_at, decoder_at; /* offsets from the start of the struct */
    uint32_t at, len;                     /* of the PCM: next to hand out, end */
    uint32_t made_up;                     /* samples of concealment without a real packet between */
    uint32_t owed;     /* of a frame longer than the PCM area: samples still to conceal */
    uint32_t tail_len; /* of a skipped frame's beginning, to blend into the next frame */
    uint32_t ssrc;
    int32_t fade; /* gain at the end of what was made last, Q15; 0 = silent */
    uint16_t gain_q12;
    uint16_t gain_was_q12;
    uint8_t has_ssrc;
    uint8_t is_quiet;
    uint8_t is_new_source; /* the decoder starts afresh with the next packet */
};

static size_t align16(size_t n) {
    return (n + 15) & ~(size_t)15;
}

static int16_t *pcm_of(linnet_playback_t *p) {
    return (int16_t *)(void *)((uint8_t *)p + p->pcm_at);
}

static int16_t *tail_of(linnet_playback_t *p) {
    return (int16_t *)(void *)((uint8_t *)p + p->tail_at);
}

static void *decoder_of(linnet_playback_t *p) {
    return (uint8_t *)p + p->decoder_at;
}

static size_t pcm_samples(const linnet_media_config_t *resolved) {
    return linnet_media_codec_rate(resolved->rate_hz) / 1000 * resolved->max_packet_ms;
}

static size_t tail_samples(const linnet_media_config_t *resolved) {
    return linnet_media_codec_rate(resolved->rate_hz) / 1000 * RAMP_MS;
}

static uint32_t ms_to_samples(const linnet_playback_t *p, uint32_t ms) {
    return p->rate / 1000 * ms;
}

size_t linnet_playback_size(const linnet_media_config_t *cfg) {
    linnet_media_config_t resolved;
    if (linnet_media_resolve(cfg, &resolved) < 0) return 0;
    return align16(sizeof(linnet_playback_t)) + align16(2 * pcm_samples(&resolved)) +
           align16(2 * tail_samples(&resolved)) + linnet_decoder_size();
}

int linnet_playback_init(void *mem, size_t len, const linnet_media_config_t *cfg) {
    linnet_playback_t *p = mem;
    linnet_media_config_t resolved;
    size_t size = linnet_playback_size(cfg);
    if (size == 0 || ((uintptr_t)mem & 7) != 0) return LINNET_ERR_ARG;
    if (len < size) return LINNET_ERR_SPACE;
    memset(p, 0, sizeof *p);
    (void)linnet_media_resolve(cfg, &resolved);
    p->rate = linnet_media_codec_rate(resolved.rate_hz);
    p->cap = (uint32_t)pcm_samples(&resolved);
    p->pcm_at = (uint32_t)align16(sizeof *p);
    p->tail_at = p->pcm_at + (uint32_t)align16(2 * (size_t)p->cap);
    p->decoder_at = p->tail_at + (uint32_t)align16(2 * tail_samples(&resolved));
    p->gain_q12 = p->gain_was_q12 = GAIN_UNITY;
    linnet_jitter_init(&p->jitter, resolved.playout_delay_ms);
    linnet_meter_init(&p->meter);
    return linnet_decoder_init(decoder_of(p), p->rate);
}

/* What is decoded already still plays and is led to silence; only the next packet starts a fresh
 * decoder. */
static void start_afresh(linnet_playback_t *p) {
    linnet_jitter_flush(&p->jitter);
    p->is_new_source = 1;
    p->tail_len = 0;
}

void linnet_playback_reset(linnet_playback_t *p) {
    start_afresh(p);
    linnet_meter_init(&p->meter);
    p->at = p->len = 0;
    p->fade = 0;
    p->made_up = p->owed = 0;
    p->is_quiet = 0;
    p->has_ssrc = 0;
}

int linnet_playback_put(linnet_playback_t *p, uint64_t now_us, const linnet_rtp_t *rtp) {
    if (!p->has_ssrc || p->ssrc != rtp->ssrc) {
        if (p->has_ssrc) start_afresh(p);
        p->stats.sources++;
        p->ssrc = rtp->ssrc;
        p->has_ssrc = 1;
    }
    return linnet_jitter_put(&p->jitter, now_us, rtp->sequence, rtp->timestamp, rtp->payload.data,
                             rtp->payload.len);
}

/* --- making sound --- */

/* Multiplies by a gain that goes from `from` to `to` over `over` samples and stays there. */
static void ramp(int16_t *pcm, uint32_t n, int32_t from, int32_t to, uint32_t over) {
    for (uint32_t i = 0; i < n; i++) {
        int32_t gain = i < over ? from + (int32_t)((int64_t)(to - from) * i / over) : to;
        pcm[i] = (int16_t)((pcm[i] * gain) >> 15);
    }
}

static void hand_out(linnet_playback_t *p, uint32_t n) {
    p->at = 0;
    p->len = n;
}

static void silence(linnet_playback_t *p, uint32_t n) {
    memset(pcm_of(p), 0, 2 * (size_t)n);
    p->fade = 0;
    hand_out(p, n);
}

/* Concealment by Opus, or zeros when that fails, which it does for no state that we know of. */
static void make_up(linnet_playback_t *p, uint32_t n) {
    if (linnet_conceal(decoder_of(p), pcm_of(p), n) != (int)n) memset(pcm_of(p), 0, 2 * (size_t)n);
    p->tail_len = 0;
    hand_out(p, n);
}

/* Some samples of a loss: concealment that goes silent when it lasts. Silence stays silent until a
 * packet comes. */
static void bridge(linnet_playback_t *p, uint32_t n) {
    uint32_t start = ms_to_samples(p, FADE_AFTER_MS);
    uint32_t end = 2 * start;
    if (p->fade == 0) {
        silence(p, n);
        return;
    }
    make_up(p, n);
    if (p->made_up + n > start) {
        uint32_t left = p->made_up < end ? end - p->made_up : 0; /* until silence */
        uint32_t fall = left < n ? left : n;
        int32_t to = left > n ? (int32_t)((int64_t)p->fade * (left - n) / left) : 0;
        ramp(pcm_of(p), n, p->fade, to, fall);
        p->fade = to;
        if (to == 0) p->stats.faded++;
    }
    p->made_up += n;
}

/* A lost frame, in parts when it is longer than the PCM area. */
static void conceal(linnet_playback_t *p, uint32_t n) {
    uint32_t part = n < p->cap ? n : p->cap;
    p->stats.concealed++;
    p->owed = n - part;
    bridge(p, part);
}

/* The sender's own silence: comfort noise by Opus, at whatever gain a loss before it has left. */
static void comfort(linnet_playback_t *p, uint32_t n) {
    p->stats.comfort++;
    if (p->fade == 0) {
        silence(p, n);
        return;
    }
    make_up(p, n);
    if (p->fade < FULL) ramp(pcm_of(p), n, p->fade, p->fade, n);
}

/* Real sound is in the PCM area: blend it with what came before. */
static void play(linnet_playback_t *p, uint32_t n) {
    int16_t *pcm = pcm_of(p);
    const int16_t *tail = tail_of(p);
    uint32_t blend = p->tail_len < n ? p->tail_len : n;
    for (uint32_t i = 0; i < blend; i++) {
        int32_t mixed = tail[i] * (int32_t)(blend - i) + pcm[i] * (int32_t)i;
        pcm[i] = (int16_t)(mixed / (int32_t)blend);
    }
    if (p->fade < FULL) ramp(pcm, n, p->fade, FULL, ms_to_samples(p, RAMP_MS));
    p->is_quiet = linnet_level(pcm, n) >= QUIET_LEVEL;
    linnet_jitter_set_quiet(&p->jitter, p->is_quiet);
    p->tail_len = 0;
    p->made_up = 0;
    p->fade = FULL;
    hand_out(p, n);
}

/* Left out: only its beginning is kept, for the blend that hides the seam. */
static void skip(linnet_playback_t *p, uint32_t n) {
    uint32_t keep = ms_to_samples(p, RAMP_MS);
    p->tail_len = keep < n ? keep : n;
    memcpy(tail_of(p), pcm_of(p), 2 * (size_t)p->tail_len);
    p->stats.skipped++;
    hand_out(p, 0);
}

static void play_packet(linnet_playback_t *p, int kind, const uint8_t *payload, size_t len,
                        uint32_t n) {
    int got;
    if (p->is_new_source) linnet_decoder_reset(decoder_of(p));
    p->is_new_source = 0;
    got = linnet_decode(decoder_of(p), payload, len, pcm_of(p), p->cap);
    if (got <= 0) {
        if (got == LINNET_ERR_SPACE) {
            p->stats.too_long++;
        } else {
            p->stats.malformed++;
        }
        conceal(p, n);
        return;
    }
    p->stats.decoded++;
    /* A word that begins just where a quiet frame was to be left out is played. */
    if (kind == LINNET_JITTER_SKIP &&
        (!p->is_quiet || linnet_level(pcm_of(p), (size_t)got) >= QUIET_LEVEL)) {
        skip(p, (uint32_t)got);
        return;
    }
    play(p, (uint32_t)got);
}

static void play_fec(linnet_playback_t *p, const uint8_t *payload, size_t len, uint32_t n) {
    if (!linnet_opus_has_fec(payload, len) ||
        linnet_decode_fec(decoder_of(p), payload, len, pcm_of(p), n) != (int)n) {
        conceal(p, n);
        return;
    }
    p->stats.recovered++;
    play(p, n);
}

/* Nothing to play yet. What was sounding ends in a ramp, not in a click. */
static void wait_silently(linnet_playback_t *p) {
    uint32_t n = ms_to_samples(p, RAMP_MS);
    if (p->fade > 0) {
        make_up(p, n);
        ramp(pcm_of(p), n, p->fade, 0, n);
        p->fade = 0;
        return;
    }
    hand_out(p, 0);
}

/* The next stretch of sound into the PCM area. 0 = nothing to play: silence for the rest of this
 * pull. */
static int refill(linnet_playback_t *p, uint64_t now_us) {
    const uint8_t *payload;
    size_t len;
    uint32_t n;
    int kind;
    if (p->owed > 0) {
        n = p->owed < p->cap ? p->owed : p->cap;
        p->owed -= n;
        bridge(p, n);
        return 1;
    }
    kind = linnet_jitter_get(&p->jitter, now_us, &payload, &len);
    n = linnet_jitter_duration(&p->jitter) * (p->rate / 1000) / 48;
    if (kind == LINNET_JITTER_WAIT) {
        wait_silently(p);
        return p->len > 0;
    }
    if (kind == LINNET_JITTER_PACKET || kind == LINNET_JITTER_SKIP) {
        play_packet(p, kind, payload, len, n);
    } else if (kind == LINNET_JITTER_FEC && n <= p->cap) {
        play_fec(p, payload, len, n);
    } else if (kind == LINNET_JITTER_DTX && n <= p->cap) {
        comfort(p, n);
    } else {
        conceal(p, n);
    }
    return 1;
}

int linnet_playback_pull(linnet_playback_t *p, uint64_t now_us, int16_t *pcm, size_t n) {
    size_t done = 0;
    int is_sounding = 0;
    while (done < n) {
        size_t part = p->len - p->at;
        if (part == 0) {
            if (refill(p, now_us)) continue;
            memset(pcm + done, 0, 2 * (n - done));
            break;
        }
        if (part > n - done) part = n - done;
        memcpy(pcm + done, pcm_of(p) + p->at, 2 * part);
        p->at += (uint32_t)part;
        done += part;
        is_sounding = 1;
    }
    p->stats.samples += n;
    linnet_meter_add(&p->meter, pcm, n);
    if (p->meter.gathered >= ms_to_samples(p, METER_MS)) (void)linnet_meter_read(&p->meter);
    return is_sounding;
}

/* --- the rest --- */

void linnet_playback_set_gain(linnet_playback_t *p, uint16_t gain_q12) {
    p->gain_q12 = gain_q12;
}

uint16_t linnet_playback_take_gain(linnet_playback_t *p, uint16_t *from) {
    *from = p->gain_was_q12;
    p->gain_was_q12 = p->gain_q12;
    return p->gain_q12;
}

int linnet_playback_is_unity(const linnet_playback_t *p) {
    return p->gain_was_q12 == GAIN_UNITY && p->gain_q12 == GAIN_UNITY;
}

int linnet_playback_level(const linnet_playback_t *p) {
    return p->meter.level;
}

uint32_t linnet_playback_buffered_ms(const linnet_playback_t *p) {
    return linnet_jitter_buffered_ms(&p->jitter) + (p->len - p->at) / (p->rate / 1000);
}

const linnet_playback_stats_t *linnet_playback_stats(const linnet_playback_t *p) {
    return &p->stats;
}

const linnet_jitter_stats_t *linnet_playback_jitter_stats(const linnet_playback_t *p) {
    return &p->jitter.stats;
}
