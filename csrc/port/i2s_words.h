/* What an I2S microphone and speaker need besides a driver: DMA sizes, who shares clocks, and words to int16.
 *
 * A frame is a left and a right word of slot_bits (16 or 32), most significant bit first and left-aligned, as the
 * Philips format has it: an INMP441's 24 bits are the upper ones of a 32-bit word. Pure: compiled and tested on the
 * host, used by i2s_esp32.c. */
#ifndef LINNET_I2S_WORDS_H
#define LINNET_I2S_WORDS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LINNET_I2S_DESCRIPTOR_MAX = 4092, /* bytes that one DMA descriptor of an ESP32 can name */
    LINNET_I2S_DESCRIPTORS_MIN = 2,   /* one in use by the wire, one by the loop */
    LINNET_I2S_GAIN_MAX = 12
};

typedef struct {
    uint32_t rate_hz;
    uint8_t slot_bits; /* of a word on the wire: 16 or 32 */
    uint8_t
        in_bits; /* of it that the microphone drives: 16, 24 or 32; the others are noise of the line */
    uint8_t is_right;  /* which slot the microphone speaks in */
    uint8_t gain_log2; /* the microphone is turned up by 6 dB x this, with saturation */
    uint32_t dma_frames, dma_count;
} linnet_i2s_format_t;

/* How the two directions share the ports of the chip. */
typedef enum {
    LINNET_I2S_NOTHING = 0,
    LINNET_I2S_OUT_ONLY = 1,
    LINNET_I2S_IN_ONLY = 2,
    LINNET_I2S_DUPLEX = 3,   /* one port, BCLK and WS shared */
    LINNET_I2S_TWO_PORTS = 4 /* clocks of their own */
} linnet_i2s_plan_t;

/* Bytes of a frame: both words. */
size_t linnet_i2s_frame_bytes(const linnet_i2s_format_t *f);
/* Bytes of DMA memory of one direction; LINNET_ERR_ARG for a format that cannot be, LINNET_ERR_LIMIT for a
 * descriptor that is too large, or for less memory than `least_ms` of sound. */
int linnet_i2s_dma_bytes(const linnet_i2s_format_t *f, uint32_t least_ms);
/* Pins are -1 where there is none. LINNET_ERR_ARG: shared clocks on two ports, or two clocks on one. */
int linnet_i2s_plan(int out_data, int in_data, int out_port, int in_port, int shares_clocks);
/* Microphone: `frames` frames of words to as many samples. */
void linnet_i2s_from_words(const linnet_i2s_format_t *f, const void *words, size_t frames,
                           int16_t *pcm);
/* Speaker: n samples to n frames, the same in both slots. */
void linnet_i2s_to_words(const linnet_i2s_format_t *f, const int16_t *pcm, size_t n, void *words);

#endif
