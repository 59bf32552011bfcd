/* Microphone side: see capture.h. One struct, then one frame of PCM, then the resampler if there is
 * one, then the encoder's state, in one piece of memory; only offsets are kept, so the whole may be moved. */
#include "capture.h"

#include "codec.h"
#include "level.h"
#include "resample.h"
#include <string.h>

struct linnet_capture {
    linnet_media_config_t cfg; /* resolved */
    linnet_capture_stats_t stats;
    linnet_meter_t meter;
    uint32_t codec_rate;
    uint32_t timestamp; /* 48 kHz, of the frame being collected */
    uint32_t frame;     /* samples of a frame at the codec rate */
    uint32_t filled;
    uint32_t pcm_at, resampler_at, encoder_at; /* offsets from the start of the struct */
    uint8_t is_silent; /* DTX: the peer has been told, the rest stays unsent */
    uint8_t starts_talkspurt;
    uint8_t has_sent;
};

static size_t align16(size_t n) {
    return (n + 15) & ~(size_t)15;
}

static int16_t *pcm_of(linnet_capture_t *c) {
    return (int16_t *)(void *)((uint8_t *)c + c->pcm_at);
}

static linnet_resampler_t *resampler_of(linnet_capture_t *c) {
    return (linnet_resampler_t *)(void *)((uint8_t *)c + c->resampler_at);
}

static void *encoder_of(linnet_capture_t *c) {
    return (uint8_t *)c + c->encoder_at;
}

static size_t frame_samples(const linnet_media_config_t *resolved) {
    return linnet_media_codec_rate(resolved->rate_hz) / 1000 * resolved->frame_ms;
}

/* 0 when the device rate is a codec rate. */
static size_t resampler_size(const linnet_media_config_t *resolved) {
    int is_needed = linnet_media_codec_rate(resolved->rate_hz) != resolved->rate_hz;
    return is_needed ? align16(sizeof(linnet_resampler_t)) : 0;
}

static int start_resampler(linnet_capture_t *c) {
    if (resampler_size(&c->cfg) == 0) return 0;
    return linnet_resampler_init(resampler_of(c), c->cfg.rate_hz, c->codec_rate);
}

size_t linnet_capture_size(const linnet_media_config_t *cfg) {
    linnet_media_config_t resolved;
    if (linnet_media_resolve(cfg, &resolved) < 0) return 0;
    return align16(sizeof(linnet_capture_t)) + align16(2 * frame_samples(&resolved)) +
           resampler_size(&resolved) + linnet_encoder_size();
}

int linnet_capture_init(void *mem, size_t len, const linnet_media_config_t *cfg) {
    linnet_capture_t *c = mem;
    size_t size = linnet_capture_size(cfg);
    if (size == 0 || ((uintptr_t)mem & 7) != 0) return LINNET_ERR_ARG;
    if (len < size) return LINNET_ERR_SPACE;
    memset(c, 0, sizeof *c);
    (void)linnet_media_resolve(cfg, &c->cfg);
    c->codec_rate = linnet_media_codec_rate(c->cfg.rate_hz);
    c->frame = (uint32_t)frame_samples(&c->cfg);
    c->pcm_at = (uint32_t)align16(sizeof *c);
    c->resampler_at = c->pcm_at + (uint32_t)align16(2 * (size_t)c->frame);
    c->encoder_at = c->resampler_at + (uint32_t)resampler_size(&c->cfg);
    linnet_meter_init(&c->meter);
    if (start_resampler(c) < 0) return LINNET_ERR_ARG;
    return linnet_encoder_init(encoder_of(c), &c->cfg);
}

int linnet_capture_push(linnet_capture_t *c, const int16_t *pcm, size_t n) {
    int16_t *at = pcm_of(c) + c->filled;
    size_t room = c->frame - c->filled;
    size_t taken, made;
    if (c->codec_rate == c->cfg.rate_hz) {
        taken = made = n < room ? n : room;
        if (taken) memcpy(at, pcm, 2 * taken);
    } else {
        made = linnet_resample(resampler_of(c), pcm, n, &taken, at, room);
    }
    c->filled += (uint32_t)made;
    c->stats.samples += taken;
    linnet_meter_add(&c->meter, pcm, taken);
    return (int)taken;
}

/* Opus answers a frame it need not send with at most 2 bytes. The first one is sent all the same:
 * it tells the receiver that silence follows on purpose, as libwebrtc does. */
static int is_suppressed(linnet_capture_t *c, int len) {
    int was_silent = c->is_silent;
    c->is_silent = len <= 2;
    c->starts_talkspurt = !c->is_silent && (was_silent || !c->has_sent);
    if (c->is_silent && was_silent) {
        c->stats.suppressed++;
        return 1;
    }
    c->has_sent = 1;
    return 0;
}

int linnet_capture_pop(linnet_capture_t *c, uint8_t *opus, size_t cap, uint32_t *timestamp_48k,
                       int *level, int *voice) {
    int len;
    if (c->filled < c->frame) return 0;
    if (cap < LINNET_OPUS_SEND_MAX) return LINNET_ERR_SPACE;
    *timestamp_48k = c->timestamp;
    *level = linnet_meter_read(&c->meter);
    *voice = linnet_meter_voice(&c->meter, c->cfg.frame_ms);
    len = linnet_encode(encoder_of(c), pcm_of(c), c->frame, opus, LINNET_OPUS_SEND_MAX);
    c->filled = 0;
    c->timestamp += 48 * c->cfg.frame_ms;
    c->stats.frames++;
    if (len < 0) {
        c->stats.failed++;
        return 0;
    }
    if (is_suppressed(c, len)) return 0;
    c->stats.packets++;
    return len;
}

int linnet_capture_starts_talkspurt(const linnet_capture_t *c) {
    return c->starts_talkspurt;
}

int linnet_capture_set_loss(linnet_capture_t *c, uint32_t percent) {
    return linnet_encoder_set_loss(encoder_of(c), percent);
}

void linnet_capture_reset(linnet_capture_t *c, uint32_t gap_48k) {
    c->filled = 0;
    c->timestamp += gap_48k;
    c->is_silent = 0;
    c->has_sent = 0;
    linnet_meter_init(&c->meter);
    (void)start_resampler(c);
    linnet_encoder_reset(encoder_of(c));
}

uint32_t linnet_capture_delay(const linnet_capture_t *c) {
    linnet_capture_t *mine =
        (linnet_capture_t *)(uintptr_t)c; /* Opus wants a writable state to be asked */
    uint64_t lookahead = linnet_encoder_lookahead(encoder_of(mine));
    uint32_t filter = 0;
    if (c->codec_rate != c->cfg.rate_hz)
        filter = linnet_resampler_delay_q16(resampler_of(mine)) >> 16;
    return filter + (uint32_t)(lookahead * c->cfg.rate_hz / c->codec_rate);
}

const linnet_capture_stats_t *linnet_capture_stats(const linnet_capture_t *c) {
    return &c->stats;
}
