"""csrc/media/resample.c: how clean it is, that it never drifts, and how it fails."""

import itertools
import math
import random
import subprocess
import sys

import media_lib
import numpy as np
import pytest
from internals import CSRC

MODULE = media_lib.jitter()
ffi, lib = MODULE.ffi, MODULE.lib
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
PAIRS = list(itertools.permutations(RATES, 2))


class Resampler:
    def __init__(self, from_hz, to_hz):
        self.state = ffi.new("linnet_resampler_t *")
        assert lib.linnet_resampler_init(self.state, from_hz, to_hz) == 0
        self.taken = ffi.new("size_t *")

    def __call__(self, samples, room=None):
        """All that these samples give; with `room`, (outputs, samples taken)."""
        samples = np.ascontiguousarray(samples, "<i2")
        out = np.zeros(room if room is not None else 8 * len(samples) + 8, "<i2")
        made = lib.linnet_resample(self.state, ffi.from_buffer("int16_t[]", samples), len(samples), self.taken,
                                   ffi.from_buffer("int16_t[]", out), len(out))
        if room is not None:
            return out[:made], self.taken[0]
        assert self.taken[0] == len(samples)
        return out[:made]


def tone(hz, rate, seconds, level=0.7, start=0):
    return np.round(32767 * level * np.sin(2 * np.pi * hz * (start + np.arange(int(rate * seconds))) / rate))


def fit(signal, hz, rate, start=0):
    """(amplitude, phase, rest) of the sine of that frequency in the signal, by least squares."""
    t = 2 * np.pi * hz * (start + np.arange(len(signal))) / rate
    basis = np.stack([np.sin(t), np.cos(t)], axis=1)
    (a, b), *_ = np.linalg.lstsq(basis, signal, rcond=None)
    return math.hypot(a, b), math.atan2(b, a), signal - basis @ (a, b)


def decibel(power_ratio):
    return 10 * math.log10(power_ratio)


@pytest.mark.parametrize("from_hz, to_hz", PAIRS)
def test_tones_come_out_clean_at_their_own_level(from_hz, to_hz):
    for part in (0.05, 0.4, 0.7):
        hz = part * min(from_hz, to_hz) / 2
        out = Resampler(from_hz, to_hz)(tone(hz, from_hz, 0.5))[400:].astype(float)
        amplitude, _, rest = fit(out, hz, to_hz)
        assert abs(20 * math.log10(amplitude / (32767 * 0.7))) < 0.05
        assert decibel(amplitude ** 2 / 2 / np.mean(rest ** 2)) > 78


@pytest.mark.parametrize("from_hz, to_hz", [pair for pair in PAIRS if pair[0] > 1.2 * pair[1]])
def test_what_the_lower_rate_cannot_hold_is_gone(from_hz, to_hz):
    hz = 1.15 * to_hz / 2
    out = Resampler(from_hz, to_hz)(tone(hz, from_hz, 0.5))[400:].astype(float)
    assert decibel(np.mean(out ** 2) / (32767 * 0.7) ** 2 * 2) < -65


@pytest.mark.parametrize("from_hz, to_hz", PAIRS)
def test_output_count_is_exact_whatever_the_pieces(from_hz, to_hz):
    r = random.Random(from_hz + to_hz)
    resample, taken, made = Resampler(from_hz, to_hz), 0, 0
    for _ in range(200):
        piece = r.randrange(0, 300)
        taken, made = taken + piece, made + len(resample(np.zeros(piece)))
        assert made == -(-taken * to_hz // from_hz)


@pytest.mark.parametrize("from_hz, to_hz", [(44100, 48000), (48000, 44100), (11025, 12000), (48000, 8000)])
def test_pieces_of_any_size_give_the_same_samples(from_hz, to_hz):
    r = random.Random(7)
    speech = np.array([r.randrange(-20000, 20000) for _ in range(6000)])
    whole = Resampler(from_hz, to_hz)(speech)
    resample, pieces, at = Resampler(from_hz, to_hz), [], 0
    while at < len(speech):
        out, taken = resample(speech[at:at + r.randrange(1, 100)], room=r.randrange(1, 60))
        pieces.append(out)
        at += taken
    pieces.append(resample(np.zeros(0), room=100)[0])
    assert np.array_equal(np.concatenate(pieces)[:len(whole)], whole)


@pytest.mark.parametrize("from_hz, to_hz", [(44100, 48000), (48000, 44100), (11025, 12000), (32000, 48000)])
def test_ten_minutes_later_the_tone_is_still_in_step(from_hz, to_hz):
    resample, made, hz = Resampler(from_hz, to_hz), 0, 1000
    second = tone(hz, from_hz, 1)  # whole periods: every second is the same
    first_phase = None
    for n in range(600):
        out = resample(second)
        if n in (1, 599):
            _, phase, _ = fit(out.astype(float), hz, to_hz, start=made)
            first_phase = phase if first_phase is None else first_phase
        made += len(out)
    assert made == 600 * to_hz
    assert abs(phase - first_phase) < 2 * math.pi * hz * 1e-6 / 10  # a tenth of a microsecond


@pytest.mark.parametrize("from_hz, to_hz", PAIRS)
def test_a_click_comes_out_where_the_delay_says(from_hz, to_hz):
    resample = Resampler(from_hz, to_hz)
    delay = lib.linnet_resampler_delay_q16(resample.state) / 65536
    click = np.zeros(4000)
    click[1000] = 30000
    peak = int(np.argmax(np.abs(resample(click).astype(int))))
    assert abs(peak - (1000 + delay) * to_hz / from_hz) <= 1


@pytest.mark.parametrize("from_hz, to_hz", PAIRS)
def test_full_scale_saturates_and_never_wraps(from_hz, to_hz):
    square = np.where(np.arange(8000) // 1000 % 2, 32767, -32768)
    resample = Resampler(from_hz, to_hz)
    delay = lib.linnet_resampler_delay_q16(resample.state) / 65536
    out = resample(square)
    heard_at = np.arange(len(out)) * from_hz / to_hz - delay  # the input each output is the middle of
    settled = (heard_at > 0) & (np.abs(heard_at % 1000 - 500) < 300)
    expected = square[heard_at[settled].astype(int)]
    assert np.abs(out[settled].astype(int) - expected).max() < 60
    assert out.max() == 32767 and out.min() == -32768  # the overshoot at the edges


def test_rates_we_do_not_know_are_a_wrong_call():
    state = ffi.new("linnet_resampler_t *")
    for pair in ((0, 8000), (8000, 0), (7999, 8000), (48001, 8000), (44101, 48000), (2**32 - 1, 8000)):
        assert lib.linnet_resampler_init(state, *pair) == lib.LINNET_ERR_ARG


def test_the_table_is_what_its_generator_writes():
    made = subprocess.run([sys.executable, CSRC / "media" / "gen_resample_table.py"], capture_output=True, text=True,
                          check=True).stdout
    assert made == (CSRC / "media" / "resample_table.h").read_text()


# --- levels ---

def level(samples):
    samples = np.ascontiguousarray(np.clip(np.round(samples), -32768, 32767), "<i2")
    return lib.linnet_level(ffi.from_buffer("int16_t[]", samples), len(samples))


@pytest.mark.parametrize("db", range(0, 85, 7))
def test_level_is_the_root_mean_square_in_db_below_full_scale(db):
    r = np.random.default_rng(db)
    noise = np.clip(np.round(r.normal(0, 1, 9600) * 32768 * 10 ** (-(db + 12) / 20)), -32768, 32767)
    exact = -20 * np.log10(np.sqrt(np.mean(noise ** 2)) / 32768)
    assert abs(level(noise) - exact) <= 0.52


def test_level_at_its_ends():
    assert level(np.zeros(960)) == 127 and level(np.zeros(0)) == 127
    assert level(np.full(960, -32768)) == 0 and level(np.full(960, 32767)) == 0
    assert level(tone(1000, 48000, 0.1, 1.0)) == 3  # a full-scale sine


@pytest.mark.parametrize("n", range(1, 13))
def test_every_sample_of_a_block_of_any_length_counts(n):
    assert level(np.full(n, -32768)) == 0
    for at in range(n):
        samples = np.zeros(n)
        samples[at] = 32767
        assert abs(level(samples) - 10 * np.log10(n)) <= 0.51


def test_voice_is_what_stands_out_of_a_noise_that_one_gets_used_to():
    meter, r = ffi.new("linnet_meter_t *"), np.random.default_rng(1)
    lib.linnet_meter_init(meter)

    def frame(amplitude):
        samples = np.ascontiguousarray(np.round(r.normal(0, 1, 320) * amplitude), "<i2")
        lib.linnet_meter_add(meter, ffi.from_buffer("int16_t[]", samples), 320)
        lib.linnet_meter_read(meter)
        return lib.linnet_meter_voice(meter, 20)

    assert not any(frame(5) for _ in range(50))  # a quiet room
    assert all(frame(2000) for _ in range(100))  # speech
    after = [frame(5) for _ in range(50)]
    assert sum(after) == 10 and after[9]  # held for 200 ms
    hum = [frame(100) for _ in range(1500)]
    assert hum[0] and not any(hum[-500:])  # 30 s later it is part of the room
    assert frame(3000)
