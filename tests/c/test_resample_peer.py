"""Our resampler beside speexdsp's, which is not ours: the same sound at the same moment, and no worse in any figure.

Qualities 3 and 5 of speexdsp are the ones around the length of our filter (48 and 80 taps; ours has 34)."""

import numpy as np
import pytest
from scipy.signal import firwin, lfilter
from speex_resampler import Speex
from test_resample import PAIRS, Resampler, decibel, fit, lib, tone

QUALITIES = (3, 5)
# The rates that Opus does not know, each with the one it is turned into.
DEVICE_PAIRS = [pair for rates in ((11025, 12000), (22050, 24000), (32000, 48000), (44100, 48000))
                for pair in (rates, rates[::-1])]


def cleanness(resample, from_hz, to_hz, part):
    """dB between a tone at this part of the lower band and everything else in the output."""
    hz = part * min(from_hz, to_hz) / 2
    amplitude, _, rest = fit(resample(tone(hz, from_hz, 0.5))[600:].astype(float), hz, to_hz)
    return decibel(amplitude ** 2 / 2 / np.mean(rest ** 2))


def worst_cleanness(make, from_hz, to_hz):
    return min(cleanness(make(), from_hz, to_hz, part) for part in (0.05, 0.4, 0.7))


def alias(resample, from_hz, to_hz):
    """dB of what is left of a tone above the lower band."""
    out = resample(tone(1.15 * to_hz / 2, from_hz, 0.5))[600:].astype(float)
    return decibel(np.mean(out ** 2) / (32767 * 0.7) ** 2 * 2 + 1e-12)


@pytest.mark.parametrize("from_hz, to_hz", PAIRS)
def test_tones_are_as_clean_as_from_speexdsp(from_hz, to_hz):
    theirs = max(worst_cleanness(lambda q=q: Speex(from_hz, to_hz, q), from_hz, to_hz) for q in QUALITIES)
    ours = worst_cleanness(lambda: Resampler(from_hz, to_hz), from_hz, to_hz)
    # Beyond 90 dB it is the last bit of the samples that differs.
    assert ours > min(theirs, 90) - 0.5


@pytest.mark.parametrize("from_hz, to_hz", [pair for pair in PAIRS if pair[0] > 1.2 * pair[1]])
def test_what_the_lower_rate_cannot_hold_is_as_far_down_as_with_speexdsp(from_hz, to_hz):
    theirs = max(alias(Speex(from_hz, to_hz, q), from_hz, to_hz) for q in QUALITIES)
    assert alias(Resampler(from_hz, to_hz), from_hz, to_hz) < max(theirs, -80)


@pytest.mark.parametrize("from_hz, to_hz", DEVICE_PAIRS)
def test_both_give_the_same_sound_at_the_same_moment(from_hz, to_hz):
    """Noise up to 0.7 of the band: what one gives is what the other gives, moved by our filter's delay."""
    low_pass = firwin(511, 0.7 * min(from_hz, to_hz) / from_hz)
    noise = lfilter(low_pass, 1, np.random.default_rng(1).normal(0, 9000, from_hz))
    noise = np.clip(np.round(noise), -32000, 32000)
    resample = Resampler(from_hz, to_hz)
    delay = lib.linnet_resampler_delay_q16(resample.state) / 65536 * to_hz / from_hz
    ours, theirs = resample(noise).astype(float), Speex(from_hz, to_hz, 5)(noise).astype(float)
    size = min(len(ours), len(theirs))
    # A delay that is no whole number of samples: move ours back by it in the frequency domain.
    turn = np.exp(2j * np.pi * np.fft.rfftfreq(size) * delay)
    moved = np.fft.irfft(np.fft.rfft(ours[:size]) * turn, size)
    middle = slice(size // 10, -size // 10)
    rest = moved[middle] - theirs[:size][middle]
    assert decibel(np.mean(theirs[:size][middle] ** 2) / np.mean(rest ** 2)) > 65
