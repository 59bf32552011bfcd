/* Defaults and limits of the audio path, in one place. See media_config.h. */
#include "media_config.h"

uint32_t linnet_media_codec_rate(uint32_t rate_hz) {
    switch (rate_hz) {
    case 8000:
    case 12000:
    case 16000:
    case 24000:
    case 48000: return rate_hz;
    case 11025: return 12000;
    case 22050: return 24000;
    case 32000:
    case 44100: return 48000;
    default: return 0;
    }
}

static uint32_t or_default(uint32_t value, uint32_t fallback) {
    return value ? value : fallback;
}

static int within(uint32_t value, uint32_t low, uint32_t high) {
    return value >= low && value <= high;
}

int linnet_media_resolve(const linnet_media_config_t *cfg, linnet_media_config_t *out) {
    linnet_media_config_t c = *cfg;
    c.rate_hz = or_default(c.rate_hz, 16000);
    c.frame_ms = or_default(c.frame_ms, 20);
    c.bitrate = or_default(c.bitrate, c.rate_hz <= 16000 ? 24000 : 32000);
    c.complexity_plus_1 = or_default(c.complexity_plus_1, 6);
    c.expected_loss = or_default(c.expected_loss, c.fec ? 10 : 0);
    c.playout_delay_ms = or_default(c.playout_delay_ms, 60);
    c.max_packet_ms = or_default(c.max_packet_ms, LINNET_PACKET_MS_MAX);
    if (linnet_media_codec_rate(c.rate_hz) == 0) return LINNET_ERR_ARG;
    if (c.frame_ms != 10 && c.frame_ms != 20 && c.frame_ms != 40 && c.frame_ms != 60)
        return LINNET_ERR_ARG;
    if (!within(c.bitrate, 6000, 128000) || !within(c.complexity_plus_1, 1, 11) || c.dtx > 1 ||
        c.fec > 1 || c.expected_loss > 100 || !within(c.playout_delay_ms, 10, 500) ||
        !within(c.max_packet_ms, 20, 120))
        return LINNET_ERR_ARG;
    /* A frame at this rate must fit a packet, or Opus would quietly lower the rate. */
    if (c.bitrate / 8 * c.frame_ms / 1000 > LINNET_OPUS_SEND_MAX) return LINNET_ERR_ARG;
    *out = c;
    return 0;
}
