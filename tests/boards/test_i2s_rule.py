"""A board file is refused for exactly the sounds that the driver refuses when a call begins."""

import re
import sys
from itertools import product
from pathlib import Path

import pytest

from boards import rules

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c"))
from internals import CSRC, load  # noqa: E402

AUDIO = rules.schema()["properties"]["audio"]["properties"]


@pytest.fixture(scope="module")
def c():
    return load("i2s_words", sources=["port/i2s_words.c"], headers=["port/i2s_words.h"], include_dirs=[CSRC / "port"])


def test_the_rule_refuses_what_the_driver_refuses(c):
    """Every rate and width of the schema, with DMA sizes on both sides of every bound."""
    frames = [AUDIO["dma_frames"]["minimum"], 100, 159, 160, 240, 441, 442, 511, 512, AUDIO["dma_frames"]["maximum"]]
    counts = [AUDIO["dma_count"]["minimum"], 3, 4, 5, 6, 10, 29, 30, AUDIO["dma_count"]["maximum"]]
    gains = [AUDIO["in_gain_bits"][end] for end in ("minimum", "maximum")]
    widths = product(AUDIO["slot_bits"]["enum"], AUDIO["in_bits"]["enum"], gains)
    verdicts = set()
    for (slot, bits, gain), rate, n, count in product(widths, AUDIO["rate"]["enum"], frames, counts):
        audio = {"rate": rate, "slot_bits": slot, "in_bits": bits, "in_gain_bits": gain, "dma_frames": n,
                 "dma_count": count}
        form = c.ffi.new("linnet_i2s_format_t *", dict(rate_hz=rate, slot_bits=slot, in_bits=bits, gain_log2=gain,
                                                       dma_frames=n, dma_count=count))
        is_refused = c.lib.linnet_i2s_dma_bytes(form, rules.AHEAD_MS) < 0
        assert bool(rules._check_dma(audio)) == is_refused, audio
        verdicts.add(is_refused)
    assert verdicts == {True, False}


def test_a_cure_for_too_little_dma_memory_cures_and_is_the_least():
    for rate, n in product(AUDIO["rate"]["enum"], (32, 160, 441, 511)):
        for finding in rules._check_dma({"rate": rate, "dma_frames": n, "dma_count": 2}):
            count = int(re.search(r"dma_count of (\d+)", finding.cure)[1])
            assert rules._check_dma({"rate": rate, "dma_frames": n, "dma_count": count}) == []
            assert rules._check_dma({"rate": rate, "dma_frames": n, "dma_count": count - 1})


def test_the_sound_kept_ahead_is_the_loop_s():
    text = (CSRC / "port" / "loop_posix.c").read_text()
    for name in ("AHEAD_MS", "RING_MS"):
        assert int(re.search(rf"\b{name} = (\d+),", text)[1]) == getattr(rules, name)
