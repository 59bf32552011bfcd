/* The one place that calls libopus (RFC 6716): encoder and decoder in the caller's memory, mono.
 *
 * Works with the fixed-point and the floating-point build alike. A stereo packet is decoded to mono
 * by Opus itself. Also the packet's framing (RFC 6716 3), read without libopus. Not used:
 * multistream, DRED, deep PLC. */
#ifndef LINNET_CODEC_H
#define LINNET_CODEC_H

#include "media_config.h"
#include <stddef.h>
#include <stdint.h>

/* --- framing, opus_toc.c --- */
/* 48 kHz samples in a packet, 120..5760; 0 = the packet breaks RFC 6716 3.4. */
uint32_t linnet_opus_duration(const uint8_t *packet, size_t len);

/* --- encoder --- */
size_t linnet_encoder_size(void); /* a multiple of 16 */
/* cfg as linnet_media_resolve left it; mem aligned to 8 bytes. */
int linnet_encoder_init(void *mem, const linnet_media_config_t *cfg);
/* n samples at the codec rate, one frame. Packet length; <= 2 = DTX: nothing to say. LINNET_ERR_ARG
 * / _SPACE. */
int linnet_encode(void *mem, const int16_t *pcm, size_t n, uint8_t *packet, size_t cap);
int linnet_encoder_set_loss(void *mem, uint32_t percent);
void linnet_encoder_reset(void *mem);
uint32_t linnet_encoder_lookahead(void *mem); /* samples at the codec rate */

/* --- decoder --- */
size_t linnet_decoder_size(void); /* a multiple of 16 */
int linnet_decoder_init(void *mem, uint32_t rate_hz);
/* Samples decoded, or LINNET_ERR_PACKET (the packet is bad), LINNET_ERR_SPACE (longer than cap). */
int linnet_decode(void *mem, const uint8_t *packet, size_t len, int16_t *pcm, size_t cap);
/* The frame of n samples before `packet`, from its LBRR copy; Opus conceals when there is none. */
int linnet_decode_fec(void *mem, const uint8_t *packet, size_t len, int16_t *pcm, size_t n);
int linnet_opus_has_fec(const uint8_t *packet, size_t len);
/* n samples of concealment; n a multiple of 2.5 ms. */
int linnet_conceal(void *mem, int16_t *pcm, size_t n);
void linnet_decoder_reset(void *mem);

#endif
