"""Words, DMA sizes and ports of I2S: the part of the ESP32's driver that needs no ESP32."""

import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c"))
from internals import CSRC, load  # noqa: E402

ARG, LIMIT = -1, -8


@pytest.fixture(scope="module")
def c():
    return load("i2s_words", sources=["port/i2s_words.c"], headers=["port/i2s_words.h"], include_dirs=[CSRC / "port"])


def form(c, **fields):
    f = c.ffi.new("linnet_i2s_format_t *", dict(rate_hz=16000, slot_bits=32, in_bits=24, dma_frames=160, dma_count=4))
    for name, value in fields.items():
        setattr(f, name, value)
    return f


def from_words(c, f, words):
    """`words`: (left, right) pairs of unsigned ints."""
    letter = "H" if f.slot_bits == 16 else "I"
    data = b"".join(struct.pack("<2" + letter, *pair) for pair in words)
    pcm = c.ffi.new("int16_t[]", len(words))
    c.lib.linnet_i2s_from_words(f, data, len(words), pcm)
    return list(pcm)


@pytest.mark.parametrize("bits, word, sample", [
    (16, 0x0000, 0), (16, 0x7FFF, 32767), (16, 0x8000, -32768), (16, 0xFFFF, -1),
    (24, 0x00010000, 1), (24, 0x7FFFFF00, 32767), (24, 0x80000000, -32768), (24, 0xFFFFFF00, -1), (24, 0x0000FF00, 0),
    (32, 0x12345678, 0x1234), (32, 0xFEDCBA98, -292),
])
def test_the_upper_bits_of_a_word_are_the_sample(c, bits, word, sample):
    f = form(c, in_bits=bits, slot_bits=16 if bits == 16 else 32)
    assert from_words(c, f, [(word, 0x5555)]) == [sample]
    f.is_right = 1
    assert from_words(c, f, [(0x5555, word)]) == [sample]


def test_bits_that_the_microphone_does_not_drive_are_no_sound(c):
    """Turned up by 12 steps the line's noise below an INMP441's 24 bits would be heard."""
    f = form(c, gain_log2=12)
    assert from_words(c, f, [(0x000000FF, 0)]) == [0]
    assert from_words(c, f, [(0x00000100, 0)]) == [16]
    assert from_words(c, form(c, gain_log2=12, in_bits=32), [(0x000000FF, 0)]) == [15]


def test_gain_saturates(c):
    f = form(c, gain_log2=3)
    assert from_words(c, f, [(0x00100000, 0), (0x10000000, 0), (0xEF000000, 0), (0xFFF00000, 0)]) == [
        128, 32767, -32768, -128]


@pytest.mark.parametrize("slot_bits", [16, 32])
def test_what_goes_to_the_speaker_comes_back_from_a_looped_wire(c, slot_bits):
    samples = [0, 1, -1, 32767, -32768, 12345]
    f = form(c, slot_bits=slot_bits, in_bits=16)
    words = c.ffi.new("uint8_t[]", len(samples) * c.lib.linnet_i2s_frame_bytes(f) + 1)
    words[len(words) - 1] = 0xA5
    c.lib.linnet_i2s_to_words(f, c.ffi.new("int16_t[]", samples), len(samples), words)
    for is_right in (0, 1):
        f.is_right = is_right
        pcm = c.ffi.new("int16_t[]", len(samples))
        c.lib.linnet_i2s_from_words(f, words, len(samples), pcm)
        assert list(pcm) == samples
    assert words[len(words) - 1] == 0xA5


def test_dma_memory_of_the_devkit(c):
    assert c.lib.linnet_i2s_dma_bytes(form(c), 20) == 4 * 160 * 8


@pytest.mark.parametrize("fields, least_ms, expected", [
    ({"slot_bits": 24}, 20, ARG), ({"in_bits": 20}, 20, ARG), ({"slot_bits": 16}, 20, ARG), ({"dma_count": 1}, 5, ARG),
    ({"dma_frames": 0}, 0, ARG), ({"rate_hz": 0}, 0, ARG), ({"gain_log2": 13}, 20, ARG),
    ({"dma_frames": 512}, 20, LIMIT), ({"dma_frames": 511}, 20, 511 * 8 * 4), ({"dma_count": 257}, 20, LIMIT),
    ({}, 40, 5120), ({}, 41, LIMIT),
])
def test_dma_that_cannot_be_is_refused(c, fields, least_ms, expected):
    assert c.lib.linnet_i2s_dma_bytes(form(c, **fields), least_ms) == expected


@pytest.mark.parametrize("pins, expected", [
    ((-1, -1, 0, 0, 1), 0), ((7, -1, 0, 1, 0), 1), ((-1, 6, 0, 1, 0), 2), ((7, 6, 0, 0, 1), 3), ((7, 6, 0, 1, 0), 4),
    ((7, 6, 0, 1, 1), ARG), ((7, 6, 0, 0, 0), ARG), ((0, 0, 0, 0, 1), 3),
])
def test_who_shares_a_port(c, pins, expected):
    assert c.lib.linnet_i2s_plan(*pins) == expected
