/* csrc/media/codec.c, playback.c and mixer.c: any Opus bytes in any order give sound or silence,
 * never a gap.
 *
 * The first byte chooses the device rate; the rest is a list: i8 step of the sequence number, u8
 * length, that many bytes of payload (length 0: none), u8 how much to pull, in 2.5 ms. One in four
 * pulls is doubled to drain. */
#include <stdlib.h>

#include "media/codec.h"
#include "media/mixer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024, PULL_MAX = 48000 / 400 * 64 };

static void require(int condition) {
    if (!condition) abort();
}

static void pull(linnet_mixer_t *mixer, linnet_playback_t *track, uint64_t *samples, size_t n,
                 int16_t *pcm) {
    linnet_playback_t *const tracks[] = {track};
    pcm[n] = 12345;
    require(linnet_mixer_pull(mixer, tracks, 1, *samples * 1000000 / mixer->rate_hz, pcm, n) <= 1);
    require(pcm[n] == 12345);
    *samples += n;
}

static void put(linnet_playback_t *track, uint64_t now_us, uint16_t sequence, wire_span_t payload) {
    linnet_rtp_t rtp;
    memset(&rtp, 0, sizeof rtp);
    rtp.ssrc = sequence >> 14; /* a few sources */
    rtp.sequence = sequence;
    rtp.timestamp = sequence * 960u;
    rtp.payload = payload;
    (void)linnet_playback_put(track, now_us, &rtp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t rates[4] = {8000, 16000, 44100, 48000};
    linnet_media_config_t cfg;
    linnet_mixer_t mixer;
    uint64_t samples = 0;
    uint16_t sequence = 0;
    wire_in_t in = wire_in(data, size);
    uint8_t first = wire_u8(&in);
    int16_t *pcm = malloc((PULL_MAX + 1) * sizeof *pcm);
    void *mem = malloc(MEMORY);
    memset(&cfg, 0, sizeof cfg);
    cfg.rate_hz = rates[first & 3];
    cfg.max_packet_ms = first & 4 ? 20 : 120;
    cfg.playout_delay_ms = 20;
    require(pcm && mem && linnet_mixer_init(&mixer, &cfg) == 0);
    require(linnet_playback_size(&cfg) <= MEMORY && linnet_playback_init(mem, MEMORY, &cfg) == 0);
    while (wire_left(&in) > 0) {
        sequence = (uint16_t)(sequence + (int8_t)wire_u8(&in));
        wire_span_t payload = wire_take(&in, wire_u8(&in));
        uint8_t amount = wire_u8(&in);
        if (!wire_ok(&in)) break;
        if (payload.len > 0) put(mem, samples * 1000000 / cfg.rate_hz, sequence, payload);
        pull(&mixer, mem, &samples, cfg.rate_hz / 400 * (amount & 15) * (amount & 0xC0 ? 1u : 2u),
             pcm);
    }
    free(mem);
    free(pcm);
    return 0;
}
