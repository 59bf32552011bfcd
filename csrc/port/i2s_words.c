/* Words, sizes and ports of I2S; i2s_words.h. */
#include "i2s_words.h"

#include <string.h>

#include "errors.h"

size_t linnet_i2s_frame_bytes(const linnet_i2s_format_t *f) {
    return 2u * f->slot_bits / 8u;
}

int linnet_i2s_dma_bytes(const linnet_i2s_format_t *f, uint32_t least_ms) {
    size_t descriptor;
    if (f->slot_bits != 16 && f->slot_bits != 32) return LINNET_ERR_ARG;
    if (f->in_bits != 16 && f->in_bits != 24 && f->in_bits != 32) return LINNET_ERR_ARG;
    if (f->in_bits > f->slot_bits || f->gain_log2 > LINNET_I2S_GAIN_MAX) return LINNET_ERR_ARG;
    if (f->rate_hz == 0 || f->dma_frames == 0 || f->dma_count < LINNET_I2S_DESCRIPTORS_MIN)
        return LINNET_ERR_ARG;
    descriptor = f->dma_frames * linnet_i2s_frame_bytes(f);
    if (descriptor > LINNET_I2S_DESCRIPTOR_MAX || f->dma_count > 256) return LINNET_ERR_LIMIT;
    if ((uint64_t)f->dma_frames * f->dma_count * 1000 < (uint64_t)least_ms * f->rate_hz)
        return LINNET_ERR_LIMIT;
    return (int)(descriptor * f->dma_count);
}

int linnet_i2s_plan(int out_data, int in_data, int out_port, int in_port, int shares_clocks) {
    if (out_data < 0 && in_data < 0) return LINNET_I2S_NOTHING;
    if (in_data < 0) return LINNET_I2S_OUT_ONLY;
    if (out_data < 0) return LINNET_I2S_IN_ONLY;
    if (shares_clocks != (out_port == in_port)) return LINNET_ERR_ARG;
    return shares_clocks ? LINNET_I2S_DUPLEX : LINNET_I2S_TWO_PORTS;
}

static int16_t saturate(int64_t v) {
    if (v > INT16_MAX) return INT16_MAX;
    if (v < INT16_MIN) return INT16_MIN;
    return (int16_t)v;
}

void linnet_i2s_from_words(const linnet_i2s_format_t *f, const void *words, size_t frames,
                           int16_t *pcm) {
    const uint8_t *p = words;
    size_t i, step = linnet_i2s_frame_bytes(f);
    uint32_t driven = 0xffffffffu << (32 - f->in_bits);
    if (f->is_right) p += step / 2;
    for (i = 0; i < frames; i++, p += step) {
        uint32_t word;
        int32_t value;
        if (f->slot_bits == 16) {
            uint16_t half;
            memcpy(&half, p, sizeof half);
            word = (uint32_t)half << 16;
        } else {
            memcpy(&word, p, sizeof word);
        }
        word &= driven;
        memcpy(&value, &word, sizeof value);
        pcm[i] = saturate(((int64_t)value * (1 << f->gain_log2)) >> 16);
    }
}

void linnet_i2s_to_words(const linnet_i2s_format_t *f, const int16_t *pcm, size_t n, void *words) {
    uint8_t *p = words;
    size_t i;
    for (i = 0; i < n; i++) {
        uint16_t half = (uint16_t)pcm[i];
        if (f->slot_bits == 16) {
            memcpy(p, &half, 2);
            memcpy(p + 2, &half, 2);
            p += 4;
        } else {
            uint32_t word = (uint32_t)half << 16;
            memcpy(p, &word, 4);
            memcpy(p + 4, &word, 4);
            p += 8;
        }
    }
}
