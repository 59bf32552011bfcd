/* Speaker side of one remote track: playout buffer, Opus decoder, gain and meter; PCM at the codec
 * rate out.
 *
 * Never a gap: pull always fills what is asked, with decoded sound, concealment that fades to
 * silence when a loss goes on, comfort noise, or zeros. Malformed packets are counted and
 * concealed. The memory is the caller's. Invariant: only linnet_playback_put looks at packets, only
 * linnet_playback_pull moves the playout point. */
#ifndef LINNET_PLAYBACK_H
#define LINNET_PLAYBACK_H

#include "jitter.h"
#include "media_config.h"
#include "rtp.h"

typedef struct linnet_playback linnet_playback_t;

typedef struct {
    uint64_t samples;   /* pulled, at the codec rate */
    uint32_t decoded;   /* packets that gave sound */
    uint32_t malformed; /* packets the decoder refused: concealed */
    uint32_t concealed; /* frames made up by concealment, FEC copies excluded */
    uint32_t recovered; /* frames taken from an FEC copy */
    uint32_t comfort;   /* frames of comfort noise */
    uint32_t skipped;   /* frames left out because the buffer was too full */
    uint32_t faded;     /* times a loss lasted so long that it faded to silence */
    uint32_t sources;   /* SSRC changes */
    uint32_t too_long;  /* packets longer than max_packet_ms: concealed */
} linnet_playback_stats_t;

size_t linnet_playback_size(
    const linnet_media_config_t *cfg); /* 0 = bad configuration; a multiple of 16 */
/* mem must be aligned to 8 bytes. 0, LINNET_ERR_ARG or LINNET_ERR_SPACE. */
int linnet_playback_init(void *mem, size_t len, const linnet_media_config_t *cfg);
/* One authenticated packet. As linnet_jitter_put. A new SSRC starts the track afresh. */
int linnet_playback_put(linnet_playback_t *p, uint64_t now_us, const linnet_rtp_t *rtp);
/* Exactly n samples at linnet_media_codec_rate, gain not yet applied. 1 when there was sound, 0
 * when all is silence. now_us: the time of the first of them. Ask for few at a time (the mixer
 * takes 5 ms): a track starts on a call. */
int linnet_playback_pull(linnet_playback_t *p, uint64_t now_us, int16_t *pcm, size_t n);
void linnet_playback_set_gain(linnet_playback_t *p,
                              uint16_t gain_q12); /* 4096 = unity, 0 = silence */
/* The gain to end the next block with; *from = the one the last block ended with. For the mixer. */
uint16_t linnet_playback_take_gain(linnet_playback_t *p, uint16_t *from);
int linnet_playback_is_unity(const linnet_playback_t *p); /* it was, and stays, 4096 */
/* Level of what was played during the last 100 ms or so, 0..127 -dBov, before gain. */
int linnet_playback_level(const linnet_playback_t *p);
uint32_t linnet_playback_buffered_ms(const linnet_playback_t *p);
const linnet_playback_stats_t *linnet_playback_stats(const linnet_playback_t *p);
const linnet_jitter_stats_t *linnet_playback_jitter_stats(const linnet_playback_t *p);
/* Back to the state after init, counters kept. */
void linnet_playback_reset(linnet_playback_t *p);

#endif
