"""csrc/media/playback.c and mixer.c, fed by capture.c, in virtual time: what comes out, when, and how it breaks."""

import random

import audio_quality as quality
import numpy as np
import pytest
from test_codec import RATES, Capture, Decoder, codec_rate, ffi, lib, of, pcm, speech

US = 1_000_000
SILENCE_FRAME = b"\xf8\xff\xfe" + bytes(77)  # what the server injects on mute (protocol of LiveKit)


class Track:
    def __init__(self, **config):
        cfg = ffi.new("linnet_media_config_t *", config)
        size = lib.linnet_playback_size(cfg)
        self.mem = ffi.new("uint64_t[]", size // 8)
        assert lib.linnet_playback_init(self.mem, size, cfg) == 0
        self.ssrc = 1

    @property
    def state(self):
        return ffi.cast("linnet_playback_t *", self.mem)

    @property
    def stats(self):
        return lib.linnet_playback_stats(self.state)

    @property
    def jitter(self):
        return lib.linnet_playback_jitter_stats(self.state)

    def put(self, now_us, sequence, timestamp, payload):
        memory = ffi.new("uint8_t[]", payload or b"\0")
        rtp = ffi.new("linnet_rtp_t *", dict(ssrc=self.ssrc, sequence=sequence & 0xFFFF,
                                             timestamp=timestamp & 0xFFFFFFFF))
        rtp.payload.data, rtp.payload.len = memory, len(payload)
        return lib.linnet_playback_put(self.state, int(now_us), rtp)


class Speaker:
    def __init__(self, tracks=1, **config):
        self.rate = config.get("rate_hz") or 16000
        self.mixer = ffi.new("linnet_mixer_t *")
        assert lib.linnet_mixer_init(self.mixer, ffi.new("linnet_media_config_t *", config)) == 0
        self.tracks = [Track(**config) for _ in range(tracks)]
        self.samples = 0

    def pull(self, n):
        """n samples, or fewer if there were a gap, which fails; (samples, tracks sounding)."""
        out = np.full(n + 2, 12345, "<i2")
        states = ffi.new("linnet_playback_t *[]", [track.state for track in self.tracks] + [ffi.NULL])
        sounding = lib.linnet_mixer_pull(self.mixer, states, len(self.tracks) + 1, self.samples * US // self.rate,
                                         of(out[:n]), n)
        assert (out[n:] == 12345).all()  # not one more
        self.samples += n
        return out[:n], sounding

    def play(self, arrivals, seconds, step_ms=10):
        """arrivals: [(ms, track, sequence, timestamp, payload)]. All samples of that time."""
        arrivals, heard, at = sorted(arrivals, key=lambda a: a[0]), [], 0
        end = self.samples + int(seconds * self.rate)
        while self.samples < end:
            now_ms = self.samples * 1000 / self.rate
            while at < len(arrivals) and arrivals[at][0] <= now_ms:
                when, track, *packet = arrivals[at]
                self.tracks[track].put(when * 1000, *packet)
                at += 1
            heard.append(self.pull(min(end - self.samples, self.rate * step_ms // 1000))[0])
        return np.concatenate(heard)


def sent(samples, track=0, delay_ms=0, **config):
    """What a microphone sends of these samples, each packet when its frame is complete."""
    frame_ms = config.get("frame_ms", 20)
    return [(timestamp / 48 + frame_ms + delay_ms, track, timestamp // (48 * frame_ms), timestamp, packet)
            for timestamp, packet, *_ in Capture(**config)(samples)]


def tone(rate, seconds, hz=400, amplitude=8000):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)


def biggest_step(samples):
    return int(np.abs(np.diff(samples.astype(int))).max())


# --- the clean path ---

@pytest.mark.parametrize("rate", RATES)
def test_a_sound_comes_out_to_the_sample_when_the_delays_add_up(rate):
    """Frame 20 ms, playout 60 ms, the encoder's look-ahead and the two filters of rates that Opus does not know."""
    capture = Capture(rate_hz=rate)
    expected = lib.linnet_capture_delay(capture.state) + rate * 80 // 1000
    if codec_rate(rate) != rate:
        back = ffi.new("linnet_resampler_t *")
        assert lib.linnet_resampler_init(back, codec_rate(rate), rate) == 0
        expected += round(lib.linnet_resampler_delay_q16(back) / 65536 * rate / codec_rate(rate))
    burst = np.zeros(2 * rate)
    r = np.random.default_rng(1)
    burst[rate // 2:rate // 2 + rate // 4] = np.convolve(r.normal(0, 6000, rate // 4), np.ones(8) / 3, "same")
    heard = Speaker(rate_hz=rate).play(sent(burst, rate_hz=rate, bitrate=64000), 2.2)
    found = round(quality.find_delay(burst / 32768, heard / 32768, rate) * rate)
    # 10 ms are no whole number of samples at these two: the track may start one block of the mixer later.
    late = rate // 200 if rate in (11025, 22050) else 0
    assert -1 <= found - expected <= late + 1


@pytest.mark.parametrize("rate", [16000, 48000])
def test_one_track_at_unity_gain_passes_bit_for_bit(rate):
    packets = sent(speech(rate), rate_hz=rate)
    decoder = Decoder(rate)
    direct = np.concatenate([decoder(packet) for *_, packet in packets])
    heard = Speaker(rate_hz=rate).play(packets, 3)
    start = rate * 80 // 1000
    quiet_start = rate * 5 // 1000  # the first packet is faded in
    assert np.array_equal(heard[start + quiet_start:], direct[quiet_start:len(heard) - start])


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_speech_over_a_rough_network_within_the_delay_is_as_good_as_the_codec(rate):
    r, sentence = random.Random(1), speech(rate)
    packets = [(when + r.random() * 35, *rest) for when, *rest in sent(sentence, rate_hz=rate)]
    packets += [(when + r.random() * 40, *rest) for when, *rest in packets if r.random() < 0.3]
    speaker = Speaker(rate_hz=rate, playout_delay_ms=80)
    heard = speaker.play(packets, len(sentence) / rate)
    ceiling = quality.codec_ceiling(quality.resample(quality.to_float(sentence), rate, codec_rate(rate)),
                                    codec_rate(rate), bitrate=24000 if rate <= 16000 else 32000, complexity=5)
    score = quality.score(sentence, heard, rate)
    print(score, ceiling)
    assert score.stoi > ceiling.stoi - 0.02
    assert speaker.tracks[0].stats.concealed == 0 and speaker.tracks[0].jitter.duplicate > 0


@pytest.mark.parametrize("rate", RATES)
def test_pull_gives_exactly_what_is_asked_in_any_pieces(rate):
    r, speaker = random.Random(rate), Speaker(tracks=2, rate_hz=rate)
    for i in range(400):
        speaker.tracks[i % 2].put(speaker.samples * US / rate, i, 960 * i, SILENCE_FRAME)
        samples, _ = speaker.pull(r.choice((0, 1, 7, 80, 441, 960, r.randrange(3000))))
    assert speaker.tracks[0].stats.samples == speaker.tracks[1].stats.samples
    made, asked = speaker.tracks[0].stats.samples, speaker.samples
    assert 0 <= made - asked * codec_rate(rate) / rate <= codec_rate(rate) / 200 + 1


# --- loss ---

@pytest.mark.parametrize("seed", range(30))
def test_every_lost_frame_is_concealed_or_recovered_and_every_other_decoded(seed):
    r = random.Random(seed)
    fec = seed % 2
    packets = sent(speech(16000), fec=fec, expected_loss=20 * fec, bitrate=32000)
    rough = [(when + r.random() * 30, *rest) for when, *rest in packets if r.random() > 0.12 or rest[1] < 3]
    rough += [(when + 10, *rest) for when, *rest in rough if r.random() < 0.1]
    speaker = Speaker()
    seconds = len(packets) / 50 - 0.1
    speaker.play(rough, seconds)
    stats, jitter = speaker.tracks[0].stats, speaker.tracks[0].jitter
    assert stats.samples == int(seconds * 16000) and stats.malformed == stats.too_long == 0
    assert stats.decoded == jitter.played
    assert stats.concealed + stats.recovered == jitter.lost + jitter.starved
    assert (stats.recovered > 0) == bool(fec)
    frames = stats.decoded - stats.skipped + stats.concealed + stats.recovered + stats.comfort
    if jitter.rebuffers == 0:
        assert abs(frames * 320 + 80 * 16 - stats.samples) <= 2 * 320


def test_fec_makes_ten_percent_loss_more_intelligible():
    r, sentence = random.Random(4), speech(16000)
    gone = {i for i in range(240) if r.random() < 0.15}
    scores = []
    for fec in (0, 1):
        packets = sent(sentence, fec=fec, expected_loss=25 * fec, bitrate=32000)
        heard = Speaker().play([p for p in packets if p[2] not in gone], len(sentence) / 16000)
        scores.append(quality.score(sentence, heard, 16000).stoi)
    print(scores)
    assert scores[1] > scores[0] + 0.02


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("hz", [150, 400])
def test_a_long_loss_fades_to_silence_and_comes_back_without_a_click(rate, hz):
    steady, ms = tone(rate, 4, hz=hz), rate // 1000
    packets = sent(steady, rate_hz=rate, bitrate=64000)
    speaker = Speaker(rate_hz=rate)
    heard = speaker.play([p for p in packets if not 1000 < p[0] <= 2500], 4)
    end_of_sound = 1080 * ms
    assert np.abs(heard[end_of_sound:end_of_sound + 50 * ms]).max() > 1000  # at first it is bridged
    assert np.abs(heard[end_of_sound + 195 * ms:end_of_sound + 200 * ms]).max() < 200  # libopus alone: 600 to 3000
    assert np.abs(heard[end_of_sound + 200 * ms:2500 * ms]).max() == 0
    back = end_of_sound + 500 * ms + np.flatnonzero(heard[end_of_sound + 500 * ms:])[0]
    assert abs(back - 2580 * ms) <= 5 and abs(int(heard[back])) < 60  # without the ramp: 200 to 1900
    assert np.abs(heard[3 * rate:]).max() > 7000
    assert speaker.tracks[0].stats.faded == 1 and speaker.tracks[0].jitter.rebuffers == 1


def test_silence_injected_by_the_server_is_silence_without_a_click():
    """Mute in the middle of a tone: the server's silence frames, then nothing, then speech again."""
    steady = tone(16000, 3)
    before = [p for p in sent(steady) if p[0] <= 1000]
    silent = [(1020 + 20 * i, 0, 50 + i, 960 * (50 + i), SILENCE_FRAME) for i in range(5)]
    again = [(when + 1500, 0, sequence + 55, timestamp + 960 * 130, packet)
             for when, _, sequence, timestamp, packet in sent(steady) if when <= 800]
    speaker = Speaker()
    heard = speaker.play(before + silent + again, 3)
    assert np.abs(heard[1400 * 16:1500 * 16]).max() == 0
    assert np.abs(heard[2000 * 16:2200 * 16]).max() > 7000
    assert biggest_step(heard) < 2.5 * biggest_step(np.round(steady))
    assert speaker.tracks[0].stats.malformed == 0 and speaker.tracks[0].jitter.lost == 0


def test_dtx_silence_is_comfort_not_loss_and_speech_returns_on_time():
    talk, pause = speech(16000)[:24000], np.zeros(40000)
    packets = sent(np.concatenate((talk, pause, talk)), dtx=1)
    packets = [(when, track, n, timestamp, packet) for n, (when, track, _, timestamp, packet) in enumerate(packets)]
    speaker = Speaker()
    heard = speaker.play(packets, 5.4)
    stats, jitter = speaker.tracks[0].stats, speaker.tracks[0].jitter
    assert jitter.lost == jitter.starved == stats.concealed == 0 and stats.comfort > 60
    second = quality.find_delay(talk / 32768, heard[64000:] / 32768, 16000)
    first = quality.find_delay(talk / 32768, heard[:40000] / 32768, 16000)
    assert abs(first - second) < 0.001


def test_grown_delay_is_taken_back_without_a_click():
    """The network stalls for 190 ms under a tone: five frames or so are left out later, blended."""
    steady = tone(16000, 6, hz=333)
    packets = [(max(when, 1190) if when >= 1000 else when, *rest) for when, *rest in sent(steady, bitrate=64000)]
    speaker = Speaker()
    heard = speaker.play(packets, 5.9)
    assert speaker.tracks[0].stats.skipped >= 2 and speaker.tracks[0].jitter.lost == 0
    assert biggest_step(heard[1500 * 16:]) < 2.5 * biggest_step(np.round(steady))
    assert lib.linnet_playback_buffered_ms(speaker.tracks[0].state) <= 120


def test_a_word_that_begins_where_a_quiet_frame_was_to_be_skipped_is_played():
    """Two frames of silence, one of sound, again and again: after a quiet frame there is never one to leave out."""
    encoder = quality.load_opuslib().Encoder(48000, 1, "restricted_lowdelay")
    packets = []
    for i in range(300):
        frame = tone(48000, 0.02, amplitude=20000 if i % 3 == 2 else 0)
        when = max(20 * i, 1080) if i >= 50 else 20 * i
        packets.append((when, 0, i, 960 * i, encoder.encode(pcm(frame).tobytes(), 960)))
    speaker = Speaker(rate_hz=48000)
    speaker.play(packets, 5.9)
    offered, skipped = speaker.tracks[0].jitter.skipped, speaker.tracks[0].stats.skipped
    assert offered > 0 and skipped == 0


# --- hostile and odd packets ---

def test_malformed_packets_are_counted_and_concealed():
    r = random.Random(2)
    packets = sent(speech(16000))
    damaged = []
    for when, track, sequence, timestamp, packet in packets:
        if 20 < sequence < 200 and r.random() < 0.3:
            packet = bytes([packet[0] | 3, 0x83, *r.randbytes(20)])  # code 3, VBR lengths that do not add up
        damaged.append((when, track, sequence, timestamp, packet))
    speaker = Speaker()
    speaker.play(damaged, 4.5)
    stats, jitter = speaker.tracks[0].stats, speaker.tracks[0].jitter
    assert stats.malformed + jitter.malformed > 10
    assert stats.concealed >= stats.malformed and stats.decoded + stats.malformed == jitter.played


def test_packets_longer_than_allowed_are_counted_and_concealed():
    speaker = Speaker(max_packet_ms=20)
    speaker.play(sent(speech(16000), frame_ms=60), 3)
    stats = speaker.tracks[0].stats
    assert stats.decoded == 0 and stats.too_long > 40 and stats.concealed == stats.too_long
    assert speaker.tracks[0].jitter.starved == 0


def test_another_ssrc_starts_the_track_afresh():
    first, second = sent(tone(16000, 1)), sent(tone(16000, 1.5, hz=500), delay_ms=1000)
    speaker = Speaker()
    heard = speaker.play(first, 1.02)
    speaker.tracks[0].ssrc = 99
    second = [(when, 0, 40000 + sequence, timestamp + 3_000_000_000, packet)
              for when, _, sequence, timestamp, packet in second]
    heard = np.concatenate((heard, speaker.play(second, 1.3)))
    assert speaker.tracks[0].stats.sources == 2 and speaker.tracks[0].jitter.lost == 0
    assert np.abs(heard[1500 * 16:2200 * 16]).max() > 7000
    assert biggest_step(heard) < 2.5 * biggest_step(np.round(tone(16000, 1, hz=500)))
    fresh, start = Decoder(16000), 1080 * 16 + 80  # the first 5 ms are faded in
    alone = np.concatenate([fresh(packet) for *_, packet in second])
    assert np.array_equal(heard[start:2300 * 16], alone[80:80 + 2300 * 16 - start])


@pytest.mark.parametrize("seed", range(20))
def test_random_packets_never_stop_the_sound(seed):
    r, speaker = random.Random(seed), Speaker(tracks=2, rate_hz=(8000, 16000, 44100, 48000)[seed % 4])
    good = [p for *_, p in sent(speech(16000)[:16000])]
    for i in range(600):
        for _ in range(r.randrange(3)):
            packet = r.choice((r.choice(good), r.randbytes(r.randrange(0, 330)), b""))
            sequence = i if r.random() < 0.95 else r.randrange(65536)
            timestamp = i * 960 if r.random() < 0.9 else r.randrange(1 << 32)
            if r.random() < 0.01:
                speaker.tracks[0].ssrc = r.randrange(5)
            speaker.tracks[r.randrange(2)].put(speaker.samples * US // speaker.rate, sequence, timestamp, packet)
        speaker.pull(r.randrange(speaker.rate // 50 * 2))
    for track in speaker.tracks:
        assert track.stats.decoded > 0


def test_memory_may_be_moved_between_calls():
    packets = sent(speech(16000))
    packets = [p for p in packets if p[2] % 7]
    staying, moving = Speaker(), Speaker()
    expected = staying.play(packets, 3)
    heard = []
    for at in range(30):
        heard.append(moving.play([p for p in packets if at * 100 - 10 < p[0] <= at * 100 + 90], 0.1))
        old = moving.tracks[0].mem
        moving.tracks[0].mem = ffi.new("uint64_t[]", len(old))
        ffi.memmove(moving.tracks[0].mem, old, ffi.sizeof(old))
        ffi.memmove(old, b"\xee" * ffi.sizeof(old), ffi.sizeof(old))
    assert np.array_equal(np.concatenate(heard), expected)


# --- mixing ---

def test_tracks_are_summed():
    one, two = tone(16000, 2, hz=300, amplitude=6000), tone(16000, 2, hz=700, amplitude=5000)
    apart = [Speaker().play(sent(samples, bitrate=64000), 2).astype(int) for samples in (one, two)]
    speaker = Speaker(tracks=2)
    both = speaker.play(sent(one, bitrate=64000) + sent(two, track=1, bitrate=64000), 2)
    assert np.array_equal(both, sum(apart)) and speaker.mixer.limited == 0
    assert speaker.pull(10)[1] == 2


def test_a_track_sounds_the_same_alone_and_beside_a_silent_one():
    packets = [p for p in sent(speech(16000)) if p[2] % 9]
    alone, beside = Speaker(), Speaker(tracks=2)
    assert np.array_equal(alone.play(packets, 3), beside.play(packets, 3))
    assert [s.tracks[0].stats.concealed > 0 for s in (alone, beside)] == [True, True]


def test_sum_over_full_scale_is_turned_down_not_clipped_and_comes_back():
    loud = [sent(tone(16000, 1.5, hz=hz, amplitude=30000), track=i, bitrate=64000) for i, hz in
            enumerate((310, 470, 730))]
    alone = sent(tone(16000, 3, hz=310, amplitude=9000), track=3, bitrate=64000)
    speaker = Speaker(tracks=4)
    heard = speaker.play(sum(loud, alone), 2.9)
    during = heard[200 * 16:1400 * 16]
    clipped = np.mean(np.abs(during.astype(int)) >= 32767)
    assert np.abs(during).max() > 30000 and clipped < 0.01 and speaker.mixer.limited > 0
    assert biggest_step(heard) < 32768  # a wrapped sample would jump by 65536
    assert speaker.mixer.limiter_q15 == 32768
    after = heard[2600 * 16:].astype(float)
    assert abs(np.sqrt(2 * np.mean(after ** 2)) / 9000 - 1) < 0.05


def test_gain_and_volume_scale_and_change_without_a_click():
    steady = tone(16000, 3, amplitude=6000)
    speaker = Speaker()
    packets = sent(steady, bitrate=64000)
    level, heard = [], []
    for gain, volume in ((4096, 4096), (2048, 4096), (4096, 2048), (8192, 4096), (0, 4096), (4096, 0)):
        lib.linnet_playback_set_gain(speaker.tracks[0].state, gain)
        lib.linnet_mixer_set_volume(speaker.mixer, volume)
        start = speaker.samples * 1000 / 16000
        heard.append(speaker.play([p for p in packets if start - 10 < p[0] <= start + 390], 0.4))
        level.append(np.sqrt(2 * np.mean(heard[-1][3200:].astype(float) ** 2)) / 6000)
        assert speaker.pull(0)[1] == (1 if gain else 0)
    assert np.allclose(level, [1, 0.5, 0.5, 2, 0, 0], rtol=0.04)
    assert biggest_step(np.concatenate(heard)[2000:]) < 2 * 2.5 * biggest_step(np.round(steady))


def test_meters_show_the_last_tenth_of_a_second():
    speaker = Speaker(tracks=2)
    speaker.play(sent(tone(16000, 1, amplitude=3277), bitrate=64000), 0.9)
    assert abs(lib.linnet_playback_level(speaker.tracks[0].state) - 23) <= 1  # -20 dB, and 3 for a sine
    assert lib.linnet_playback_level(speaker.tracks[1].state) == 127
    speaker.play([], 1)
    assert lib.linnet_playback_level(speaker.tracks[0].state) == 127


def test_no_tracks_are_silence():
    speaker = Speaker(tracks=0, rate_hz=44100)
    samples, sounding = speaker.pull(5000)
    assert sounding == 0 and not samples.any()


def test_reset_keeps_the_counters_and_drops_the_sound():
    speaker = Speaker()
    speaker.play(sent(tone(16000, 1)), 0.5)
    decoded = speaker.tracks[0].stats.decoded
    lib.linnet_playback_reset(speaker.tracks[0].state)
    assert not speaker.pull(1600)[0].any() and speaker.tracks[0].stats.decoded == decoded > 10
    assert lib.linnet_playback_buffered_ms(speaker.tracks[0].state) == 0
