/* Run-time options of the audio path: one flat struct, 0 = default everywhere.
 *
 * The device rate may be any of the nine usual ones; Opus itself works at 8, 12, 16, 24 or 48 kHz,
 * so the others are resampled (linnet_media_codec_rate). linnet_media_resolve is the one place that
 * knows defaults and limits. */
#ifndef LINNET_MEDIA_CONFIG_H
#define LINNET_MEDIA_CONFIG_H

#include "errors.h"
#include "linnet_config.h"

typedef struct {
    uint32_t
        rate_hz; /* PCM in and out: 8000 11025 12000 16000 22050 24000 32000 44100 48000 (16000) */
    uint32_t frame_ms;          /* microphone frames: 10, 20, 40 or 60 (20) */
    uint32_t bitrate;           /* bit/s, 6000..128000 (24000 up to 16 kHz, else 32000) */
    uint32_t complexity_plus_1; /* 1..11 = Opus complexity 0..10 (6 = complexity 5) */
    uint32_t dtx;               /* 1: silence is not sent (0) */
    uint32_t fec;               /* 1: in-band FEC, LBRR (0) */
    uint32_t expected_loss;     /* percent, 0..100 (10 with fec, else 0) */
    uint32_t playout_delay_ms;  /* target of the playout buffer, 10..500 (60) */
    uint32_t max_packet_ms;     /* longest packet a remote track may send, 20..120
                                   (LINNET_PACKET_MS_MAX);
                                   2 B x codec rate x this: 11.5 KB a track at 48 kHz */
} linnet_media_config_t;

/* Writes `cfg` with every default filled in to `out` (may be the same). 0, or LINNET_ERR_ARG. */
int linnet_media_resolve(const linnet_media_config_t *cfg, linnet_media_config_t *out);
/* The rate Opus runs at for a device rate: itself or the next higher Opus rate; 0 = no device rate
 * we know. */
uint32_t linnet_media_codec_rate(uint32_t rate_hz);

#endif
