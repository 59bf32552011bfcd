/* Opus behind our own names: see codec.h. Results of libopus are turned into ours here and nowhere
 * else. */
#include "codec.h"

#include <opus.h>

static size_t align16(size_t n) {
    return (n + 15) & ~(size_t)15;
}

static int is_aligned(const void *mem) {
    return ((uintptr_t)mem & 7) == 0;
}

/* --- encoder --- */

size_t linnet_encoder_size(void) {
    return align16((size_t)opus_encoder_get_size(1));
}

int linnet_encoder_init(void *mem, const linnet_media_config_t *cfg) {
    OpusEncoder *e = mem;
    opus_int32 rate = (opus_int32)linnet_media_codec_rate(cfg->rate_hz);
    int bad = 0;
    if (!is_aligned(mem)) return LINNET_ERR_ARG;
    if (opus_encoder_init(e, rate, 1, OPUS_APPLICATION_VOIP) != OPUS_OK) return LINNET_ERR_ARG;
    bad |= opus_encoder_ctl(e, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    bad |= opus_encoder_ctl(e, OPUS_SET_BITRATE((opus_int32)cfg->bitrate));
    bad |= opus_encoder_ctl(e, OPUS_SET_COMPLEXITY((opus_int32)cfg->complexity_plus_1 - 1));
    bad |= opus_encoder_ctl(e, OPUS_SET_DTX((opus_int32)cfg->dtx));
    bad |= opus_encoder_ctl(e, OPUS_SET_INBAND_FEC((opus_int32)cfg->fec));
    bad |= opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC((opus_int32)cfg->expected_loss));
    return bad ? LINNET_ERR_ARG : 0;
}

int linnet_encode(void *mem, const int16_t *pcm, size_t n, uint8_t *packet, size_t cap) {
    opus_int32 len;
    if (n > 5760 || cap > 4000) return LINNET_ERR_ARG;
    len = opus_encode(mem, pcm, (int)n, packet, (opus_int32)cap);
    if (len == OPUS_BUFFER_TOO_SMALL) return LINNET_ERR_SPACE;
    return len < 0 ? LINNET_ERR_ARG : (int)len;
}

int linnet_encoder_set_loss(void *mem, uint32_t percent) {
    if (percent > 100) return LINNET_ERR_ARG;
    return opus_encoder_ctl((OpusEncoder *)mem, OPUS_SET_PACKET_LOSS_PERC((opus_int32)percent)) ==
                   OPUS_OK
               ? 0
               : LINNET_ERR_ARG;
}

void linnet_encoder_reset(void *mem) {
    (void)opus_encoder_ctl((OpusEncoder *)mem, OPUS_RESET_STATE);
}

uint32_t linnet_encoder_lookahead(void *mem) {
    opus_int32 samples = 0;
    (void)opus_encoder_ctl((OpusEncoder *)mem, OPUS_GET_LOOKAHEAD(&samples));
    return (uint32_t)samples;
}

/* --- decoder --- */

size_t linnet_decoder_size(void) {
    return align16((size_t)opus_decoder_get_size(1));
}

int linnet_decoder_init(void *mem, uint32_t rate_hz) {
    if (!is_aligned(mem)) return LINNET_ERR_ARG;
    return opus_decoder_init(mem, (opus_int32)rate_hz, 1) == OPUS_OK ? 0 : LINNET_ERR_ARG;
}

static int decoder_result(int samples) {
    if (samples == OPUS_BUFFER_TOO_SMALL) return LINNET_ERR_SPACE;
    return samples < 0 ? LINNET_ERR_PACKET : samples;
}

int linnet_decode(void *mem, const uint8_t *packet, size_t len, int16_t *pcm, size_t cap) {
    if (len == 0) return LINNET_ERR_PACKET; /* to libopus this would mean "conceal" */
    return decoder_result(opus_decode(mem, packet, (opus_int32)len, pcm, (int)cap, 0));
}

int linnet_decode_fec(void *mem, const uint8_t *packet, size_t len, int16_t *pcm, size_t n) {
    if (len == 0) return LINNET_ERR_PACKET;
    return decoder_result(opus_decode(mem, packet, (opus_int32)len, pcm, (int)n, 1));
}

int linnet_opus_has_fec(const uint8_t *packet, size_t len) {
    return len > 0 && opus_packet_has_lbrr(packet, (opus_int32)len) > 0;
}

int linnet_conceal(void *mem, int16_t *pcm, size_t n) {
    return decoder_result(opus_decode(mem, NULL, 0, pcm, (int)n, 0));
}

void linnet_decoder_reset(void *mem) {
    (void)opus_decoder_ctl((OpusDecoder *)mem, OPUS_RESET_STATE);
}
