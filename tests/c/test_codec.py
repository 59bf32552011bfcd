"""csrc/media/codec.c, opus_toc.c and capture.c: our packets in other people's decoders and the other way round."""

import random
from pathlib import Path

import audio_quality as quality
import media_lib
import numpy as np
import pytest

MODULE = media_lib.media()
ffi, lib = MODULE.ffi, MODULE.lib
opuslib = quality.load_opuslib()
SENTENCE = Path(__file__).resolve().parents[2] / "host_sim" / "assets" / "badge_sentence.wav"
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def codec_rate(rate):
    return lib.linnet_media_codec_rate(rate)


def pcm(samples):
    return np.ascontiguousarray(np.clip(np.round(samples), -32768, 32767), "<i2")


def of(array):
    return ffi.from_buffer("int16_t[]", array)


def speech(rate):
    return quality.to_int16(quality.load_wav(SENTENCE, rate)[0])


class Capture:
    """A microphone: push samples, collect (timestamp, packet, level, voice, starts_talkspurt)."""

    def __init__(self, **config):
        cfg = ffi.new("linnet_media_config_t *", config)
        size = lib.linnet_capture_size(cfg)
        self.mem = ffi.new("uint64_t[]", size // 8)
        assert lib.linnet_capture_init(self.mem, size, cfg) == 0
        self.timestamp, self.level, self.voice = ffi.new("uint32_t *"), ffi.new("int *"), ffi.new("int *")
        self.buf = ffi.new("uint8_t[320]")

    @property
    def state(self):
        return ffi.cast("linnet_capture_t *", self.mem)

    @property
    def stats(self):
        return lib.linnet_capture_stats(self.state)

    def pop(self):
        n = lib.linnet_capture_pop(self.state, self.buf, 320, self.timestamp, self.level, self.voice)
        assert n >= 0
        if n == 0:
            return None
        return (self.timestamp[0], bytes(ffi.buffer(self.buf, n)), self.level[0], self.voice[0],
                lib.linnet_capture_starts_talkspurt(self.state))

    def __call__(self, samples):
        out, at = [], 0
        while at < len(samples):
            part = pcm(samples[at:])
            at += lib.linnet_capture_push(self.state, of(part), len(part))
            popped = self.pop()
            if popped:
                out.append(popped)
        return out


class Decoder:
    def __init__(self, rate):
        self.mem, self.rate = ffi.new("uint64_t[]", lib.linnet_decoder_size() // 8), rate
        assert lib.linnet_decoder_init(self.mem, rate) == 0
        self.out = np.zeros(rate * 120 // 1000, "<i2")

    def _result(self, n):
        return self.out[:n].copy() if n >= 0 else n

    def __call__(self, packet, cap=None):
        return self._result(lib.linnet_decode(self.mem, packet, len(packet), of(self.out), cap or len(self.out)))

    def fec(self, packet, n):
        return self._result(lib.linnet_decode_fec(self.mem, packet, len(packet), of(self.out), n))

    def conceal(self, n):
        return self._result(lib.linnet_conceal(self.mem, of(self.out), n))


def theirs_decoded(packets, rate):
    decoder = opuslib.Decoder(rate, 1)
    return np.frombuffer(b"".join(decoder.decode(p, rate * 120 // 1000) for p in packets), "<i2")


# --- framing ---

def test_duration_agrees_with_libopus_on_every_first_byte_and_length():
    api = media_lib.opus_api()
    r, judged = random.Random(1), 0
    for toc in range(256):
        for _ in range(60):
            packet = bytes([toc]) + r.randbytes(r.choice((0, 1, 2, 3, 5, 20, 121)))
            frames = api.lib.opus_packet_parse(packet, len(packet), api.ffi.NULL, api.ffi.NULL,
                                               api.ffi.new("int16_t[48]"), api.ffi.NULL)
            ours = lib.linnet_opus_duration(packet, len(packet))
            if frames > 0:  # a good packet is never refused, and its length is right
                assert ours == api.lib.opus_packet_get_nb_samples(packet, len(packet), 48000)
                judged += 1
            if ours:
                assert ours <= 5760 and ours % 120 == 0
    assert judged > 5000 and lib.linnet_opus_duration(b"", 0) == 0


# --- encoder and decoder ---

@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_speech_through_our_encoder_is_as_intelligible_as_through_opuslib(rate):
    """Our encoder with their decoder, and ours with ours, against theirs with theirs."""
    sentence, bitrate = speech(rate), 24000 if rate <= 16000 else 32000
    ceiling = quality.codec_ceiling(sentence, rate, bitrate=bitrate, complexity=5)
    packets = [p for _, p, *_ in Capture(rate_hz=rate)(np.concatenate((sentence, np.zeros(2 * rate // 50))))]
    original = quality.resample(quality.to_float(sentence), rate, 48000)
    heard_by_them = quality.score(original, theirs_decoded(packets, 48000), 48000)
    decoder = Decoder(48000)
    heard_by_us = quality.score(original, np.concatenate([decoder(p) for p in packets]), 48000)
    print(ceiling, heard_by_them, heard_by_us, sep="\n")
    assert heard_by_them.stoi > ceiling.stoi - 0.01
    assert heard_by_us.stoi > ceiling.stoi - 0.01


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000, 48000])
def test_we_decode_what_opuslib_encodes(rate):
    sentence = speech(rate)
    size = rate // 50
    encoder = opuslib.Encoder(rate, 1, opuslib.APPLICATION_VOIP)
    packets = [encoder.encode(sentence[at:at + size].tobytes(), size) for at in range(0, len(sentence) - size, size)]
    decoder = Decoder(rate)
    ours = np.concatenate([decoder(p) for p in packets]).astype(float)
    theirs = theirs_decoded(packets, rate).astype(float)
    assert len(ours) == len(theirs) == size * len(packets)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9999


def test_stereo_packets_become_mono():
    size, t = 960, np.arange(48000)
    left, right = 12000 * np.sin(t / 20), 4000 * np.sin(t / 20)
    encoder = opuslib.Encoder(48000, 2, opuslib.APPLICATION_AUDIO)
    encoder.bitrate = 96000
    both = np.stack([pcm(left), pcm(right)], axis=1)
    decoder = Decoder(48000)
    heard = np.concatenate([decoder(encoder.encode(both[at:at + size].tobytes(), size))
                            for at in range(0, 48000, size)]).astype(float)
    assert len(heard) == 48000
    expected = (left + right) / 2
    assert abs(np.std(heard[9600:]) / np.std(expected) - 1) < 0.02


def test_a_packet_longer_than_the_buffer_and_no_packet_at_all_are_told_apart():
    decoder = Decoder(16000)
    [(_, packet, *_)] = Capture(frame_ms=60)(np.zeros(960))
    assert decoder(packet, cap=320) == lib.LINNET_ERR_SPACE
    assert decoder(b"") == lib.LINNET_ERR_PACKET
    assert decoder(b"\xff\xff") == lib.LINNET_ERR_PACKET  # 63 frames of 20 ms


def test_random_and_damaged_packets_never_do_more_than_sound_odd():
    r, decoder = random.Random(5), Decoder(48000)
    packets = [p for _, p, *_ in Capture(rate_hz=48000, fec=1, expected_loss=20)(speech(48000)[:48000])]
    refused = 0
    for _ in range(3000):
        packet = bytearray(r.choice(packets))
        if r.randrange(2):
            packet = packet[:r.randrange(1, len(packet) + 1)]
        for _ in range(r.randrange(6)):
            packet[r.randrange(len(packet))] ^= 1 << r.randrange(8)
        got = decoder(bytes(packet)) if r.randrange(4) else decoder.fec(bytes(packet), 960)
        refused += isinstance(got, int)
        assert isinstance(got, int) or len(got) <= 5760
    for _ in range(3000):
        decoder(r.randbytes(r.randrange(1, 200)))
    assert refused > 20
    quiet = [decoder(b"\xf8\xff\xfe" + bytes(77)) for _ in range(60)]
    assert np.abs(quiet[-1]).max() == 0  # and it recovers


def test_silence_frame_of_the_server_is_silence():
    decoder = Decoder(48000)
    for _ in range(3):
        assert np.abs(decoder(b"\xf8\xff\xfe" + bytes(77))).max() == 0


def test_fec_copy_brings_back_a_lost_frame():
    sentence = speech(16000)
    packets = [p for _, p, *_ in Capture(fec=1, expected_loss=30, bitrate=32000)(sentence)]
    have = [bool(lib.linnet_opus_has_fec(p, len(p))) for p in packets]
    assert sum(have) > len(packets) // 3
    whole, fec, plc = Decoder(16000), Decoder(16000), Decoder(16000)
    reference, recovered, concealed = [], [], []
    for i, packet in enumerate(packets[:-1]):
        reference.append(whole(packet))
        lost = i % 5 == 2 and have[i + 1]
        recovered.append(fec.fec(packets[i + 1], 320) if lost else fec(packet))
        concealed.append(plc.conceal(320) if lost else plc(packet))
    scores = [np.corrcoef(np.concatenate(reference), np.concatenate(x))[0, 1] for x in (recovered, concealed)]
    assert scores[0] > 0.9 and scores[0] > scores[1] + 0.05
    plain = [p for _, p, *_ in Capture(fec=0)(sentence)]
    assert not any(lib.linnet_opus_has_fec(p, len(p)) for p in plain)


# --- microphone side ---

@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_frames_are_exact_whatever_the_pieces(rate, frame_ms):
    r = random.Random(rate + frame_ms)
    capture, packets, pushed = Capture(rate_hz=rate, frame_ms=frame_ms, complexity_plus_1=1), [], 0
    while pushed < 2 * rate:
        piece = np.zeros(r.randrange(1, 700))
        packets += capture(piece)
        pushed += len(piece)
    full_frames = -(-pushed * codec_rate(rate) // rate) // (codec_rate(rate) * frame_ms // 1000)
    assert len(packets) == full_frames == capture.stats.packets and capture.stats.samples == pushed
    assert [timestamp for timestamp, *_ in packets] == [48 * frame_ms * i for i in range(full_frames)]
    for _, packet, *_ in packets:
        assert lib.linnet_opus_duration(packet, len(packet)) == 48 * frame_ms


def test_push_takes_one_frame_and_waits_for_pop():
    capture = Capture()
    samples = pcm(np.zeros(1000))
    assert lib.linnet_capture_push(capture.state, of(samples), 1000) == 320
    assert lib.linnet_capture_push(capture.state, of(samples), 1000) == 0
    small = ffi.new("uint8_t[319]")
    assert lib.linnet_capture_pop(capture.state, small, 319, capture.timestamp, capture.level,
                                  capture.voice) == lib.LINNET_ERR_SPACE
    assert capture.pop()[0] == 0  # nothing was lost
    assert capture.pop() is None
    assert lib.linnet_capture_push(capture.state, of(samples), 1000) == 320


def test_level_and_voice_are_those_of_the_raw_samples():
    r, capture = np.random.default_rng(1), Capture(rate_hz=44100)
    quiet = [frame for frame in capture(r.normal(0, 3, 44100))]
    loud = [frame for frame in capture(r.normal(0, 3276.8, 44100))]
    assert {level for *_, level, _, _ in quiet[1:]} <= {79, 80, 81, 82}
    assert {level for *_, level, _, _ in loud[1:-1]} <= {19, 20, 21}
    assert not any(voice for *_, voice, _ in quiet) and all(voice for *_, voice, _ in loud[1:])


def test_dtx_announces_silence_once_and_the_clock_goes_on():
    capture = Capture(dtx=1)
    talk, pause = speech(16000)[:32000], np.zeros(5 * 16000)
    first, silent, again = capture(talk), capture(pause), capture(talk)
    assert len(first) == 100 and first[0][4] == 1 and not any(start for *_, start in first[1:90])
    assert len(silent) < 60 and capture.stats.suppressed > 180
    assert [p for _, p, *_ in silent if len(p) <= 2], "the first frame of silence tells the peer"
    together = [timestamp for timestamp, *_ in first + silent + again]
    assert together[-1] == 960 * (capture.stats.frames - 1) and together == sorted(set(together))
    starts = [timestamp for timestamp, *_, start in first + silent + again if start]
    assert len(starts) >= 2 and any(t >= 960 * 350 for t in starts)
    assert capture.stats.packets + capture.stats.suppressed == capture.stats.frames == 450


def test_without_dtx_every_frame_of_silence_is_sent():
    assert len(Capture()(np.zeros(16000))) == 50


def test_reset_forgets_the_half_frame_and_moves_the_clock():
    capture = Capture()
    assert len(capture(np.zeros(500))) == 1
    lib.linnet_capture_reset(capture.state, 4800)
    [frame] = capture(np.zeros(320))
    assert frame[0] == 960 + 4800 and frame[4] == 1


def test_loss_hint_turns_fec_copies_on_while_running():
    capture, sentence = Capture(fec=1, bitrate=32000), speech(16000)

    def copies(samples):
        return sum(lib.linnet_opus_has_fec(p, len(p)) for _, p, *_ in capture(samples))

    assert lib.linnet_capture_set_loss(capture.state, 0) == 0
    assert copies(sentence) <= 1  # the first frame may have been prepared for the old hint
    assert lib.linnet_capture_set_loss(capture.state, 30) == 0
    assert copies(sentence) > 100
    assert lib.linnet_capture_set_loss(capture.state, 101) == lib.LINNET_ERR_ARG


def test_memory_may_be_moved_between_calls():
    staying, moving, sentence = Capture(rate_hz=44100), Capture(rate_hz=44100), speech(44100)[:44100]
    one, two = [], []
    for at in range(0, len(sentence), 1000):
        one += staying(sentence[at:at + 1000])
        two += moving(sentence[at:at + 1000])
        old, moving.mem = moving.mem, ffi.new("uint64_t[]", len(moving.mem))
        ffi.memmove(moving.mem, old, ffi.sizeof(old))
        ffi.memmove(old, b"\xee" * ffi.sizeof(old), ffi.sizeof(old))
    assert one == two and len(one) > 40


@pytest.mark.parametrize("bad", [
    dict(rate_hz=44000), dict(rate_hz=96000), dict(frame_ms=30), dict(bitrate=5999), dict(bitrate=128001),
    dict(complexity_plus_1=12), dict(dtx=2), dict(fec=7), dict(expected_loss=101), dict(playout_delay_ms=501),
    dict(playout_delay_ms=9), dict(max_packet_ms=121), dict(bitrate=64000, frame_ms=60)])
def test_configurations_outside_the_limits_are_wrong_calls(bad):
    cfg = ffi.new("linnet_media_config_t *", bad)
    assert lib.linnet_media_resolve(cfg, cfg) == lib.LINNET_ERR_ARG
    assert lib.linnet_capture_size(cfg) == 0 and lib.linnet_playback_size(cfg) == 0
    mem = ffi.new("uint64_t[20000]")
    assert lib.linnet_capture_init(mem, 160000, cfg) == lib.LINNET_ERR_ARG
    assert lib.linnet_playback_init(mem, 160000, cfg) == lib.LINNET_ERR_ARG


def test_defaults_and_memory():
    cfg = ffi.new("linnet_media_config_t *")
    size = lib.linnet_capture_size(cfg)
    mem = ffi.new("uint64_t[]", size // 8 + 1)
    assert lib.linnet_capture_init(mem, size - 1, cfg) == lib.LINNET_ERR_SPACE
    assert lib.linnet_capture_init(ffi.cast("uint8_t *", mem) + 4, size, cfg) == lib.LINNET_ERR_ARG
    assert lib.linnet_media_resolve(cfg, cfg) == 0
    assert (cfg.rate_hz, cfg.frame_ms, cfg.bitrate, cfg.complexity_plus_1, cfg.playout_delay_ms,
            cfg.max_packet_ms) == (16000, 20, 24000, 6, 60, 120)
