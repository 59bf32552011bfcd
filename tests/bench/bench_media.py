"""CPU of the audio path per 20 ms frame beside libopus alone, both called in loops of C, in one run.

    python tests/bench/bench_media.py        -> one JSON object a line: microseconds of CPU per frame, best of 40 blocks

"ours" is capture (metering, framing, encoding) and playback (playout buffer, decoding, limiter, mixer) with all
they do; "opus" is opus_encode and opus_decode of the same build on the same sound. A busy machine
shows: ratios below 1 mean that nothing was measured. Instructions without Opus: bench_packets.py.
"""

import json
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in ("c", ".")]

import media_lib  # noqa: E402  (after sys.path)
from internals import load  # noqa: E402

FRAMES, BLOCKS = 100, 40
LOOP = """
#include <opus.h>
/* Every function goes through the same frames: `packets` are 320 bytes each, their lengths in `lens`. */
void ours_send(void *c, const int16_t *pcm, int size, int n, uint8_t *packets, int *lens) {
    uint32_t timestamp;
    int level, voice;
    for (int i = 0; i < n; i++) {
        linnet_capture_push(c, pcm + (size_t)i * (size_t)size, (size_t)size);
        lens[i] = linnet_capture_pop(c, packets + 320 * i, 320, &timestamp, &level, &voice);
    }
}
void ours_play(void *m, void *p, const uint8_t *packets, const int *lens, int n, int size,
               int16_t *pcm, uint32_t first) {
    for (int i = 0; i < n; i++) {
        linnet_rtp_t rtp = {.sequence = (uint16_t)(first + (uint32_t)i), .timestamp = (first + (uint32_t)i) * 960};
        linnet_playback_t *const tracks[] = {p};
        uint64_t now = (uint64_t)(first + (uint32_t)i) * 20000;
        rtp.payload.data = packets + 320 * i;
        rtp.payload.len = (size_t)lens[i];
        linnet_playback_put(p, now, &rtp);
        linnet_mixer_pull(m, tracks, 1, now, pcm, (size_t)size);
    }
}
void opus_send(void *encoder, const int16_t *pcm, int size, int n, uint8_t *packets, int *lens) {
    for (int i = 0; i < n; i++)
        lens[i] = opus_encode(encoder, pcm + (size_t)i * (size_t)size, size, packets + 320 * i, 320);
}
void opus_play(void *decoder, const uint8_t *packets, const int *lens, int n, int size, int16_t *pcm) {
    for (int i = 0; i < n; i++) opus_decode(decoder, packets + 320 * i, lens[i], pcm, size, 0);
}
"""
CDEF = """
void ours_send(void *c, const int16_t *pcm, int size, int n, uint8_t *packets, int *lens);
void ours_play(void *m, void *p, const uint8_t *packets, const int *lens, int n, int size,
               int16_t *pcm, uint32_t first);
void opus_send(void *encoder, const int16_t *pcm, int size, int n, uint8_t *packets, int *lens);
void opus_play(void *decoder, const uint8_t *packets, const int *lens, int n, int size, int16_t *pcm);
"""


def best_of_both(theirs, ours):
    """Microseconds of CPU per frame of the fastest block of each, in turns, so that both meet the same machine."""
    least = [float("inf")] * 2
    for i in range(BLOCKS):
        for which, block in enumerate((theirs, ours)):
            began = time.thread_time()
            block(i)
            least[which] = min(least[which], time.thread_time() - began)
    return [seconds / FRAMES * 1e6 for seconds in least]


def measure(c, rate, speech):
    ffi, lib, size = c.ffi, c.lib, rate // 50
    cfg = ffi.new("linnet_media_config_t *", {"rate_hz": rate})

    def memory(n):
        return ffi.new("uint64_t[]", n // 8)

    capture, track = memory(lib.linnet_capture_size(cfg)), memory(lib.linnet_playback_size(cfg))
    mixer, packets, lens = ffi.new("linnet_mixer_t *"), ffi.new("uint8_t[]", 320 * FRAMES), ffi.new("int[]", FRAMES)
    encoder, decoder = memory(lib.linnet_encoder_size()), memory(lib.linnet_decoder_size())
    pcm, out = ffi.from_buffer("int16_t[]", speech), ffi.new("int16_t[]", size)
    assert lib.linnet_capture_init(capture, ffi.sizeof(capture), cfg) == 0
    assert lib.linnet_playback_init(track, ffi.sizeof(track), cfg) == 0 and lib.linnet_mixer_init(mixer, cfg) == 0
    assert lib.linnet_media_resolve(cfg, cfg) == 0
    assert lib.linnet_encoder_init(encoder, cfg) == 0 and lib.linnet_decoder_init(decoder, rate) == 0
    send = best_of_both(lambda i: lib.opus_send(encoder, pcm, size, FRAMES, packets, lens),
                        lambda i: lib.ours_send(capture, pcm, size, FRAMES, packets, lens))
    play = best_of_both(lambda i: lib.opus_play(decoder, packets, lens, FRAMES, size, out),
                        lambda i: lib.ours_play(mixer, track, packets, lens, FRAMES, size, out, i * FRAMES))
    return {"rate_hz": rate, "opus_encode_us": send[0], "ours_send_us": send[1], "send_ratio": send[1] / send[0],
            "opus_decode_us": play[0], "ours_play_us": play[1], "play_ratio": play[1] / play[0]}


def main():
    from test_codec import speech

    headers = ["wire.h", "net/rtp.h"] + ["media/%s.h" % name for name in (
        "media_config", "codec", "level", "resample", "jitter", "capture", "playback", "mixer")]
    c = load("bench_media", sources=["net/rtp.c"] + ["media/%s.c" % name for name in media_lib.MEDIA],
             headers=headers, extra_cdef=media_lib.ERRORS + CDEF, extra_source=LOOP, third_party=["opus"],
             libraries=["m"])
    for rate in (16000, 48000):
        print(json.dumps({key: round(value, 3) for key, value in measure(c, rate, speech(rate)[rate // 2:]).items()}))


if __name__ == "__main__":
    main()
