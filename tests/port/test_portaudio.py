"""linnet_portaudio_callback, called as PortAudio calls it: from threads of its own, here without PortAudio."""

import threading
import time

import numpy as np
import pytest

from host_sim import native
from linnet import core
from tests.port.loops import RATE, End, introduce, run, run_until
from tests.port.test_loop_call import best_correlation, chirps, explained

BLOCK = RATE // 100
ffi, lib = native.ffi, native.lib
INPUT_OVERFLOW, OUTPUT_UNDERFLOW = 0x2, 0x4
JUNK = [0x1234] * BLOCK


class Stream:
    """What PortAudio holds of a stream."""

    def __init__(self, handle):
        self.user = ffi.new("linnet_portaudio_t *", {"loop": handle})

    def turn(self, heard=None, plays=True, flags=0):
        """One call; what it played, or None. `heard` is samples, or None for a stream without a microphone."""
        output = ffi.new("int16_t[]", JUNK) if plays else ffi.NULL
        heard = ffi.NULL if heard is None else ffi.new("int16_t[]", heard)
        n = len(heard) if heard else BLOCK
        assert lib.linnet_portaudio_callback(heard, output, n, ffi.NULL, flags, self.user) == 0
        return list(output) if plays else None


@pytest.fixture
def end():
    end = End(sound=core.LOOP_FREE)
    end.start()
    assert end.loop.sound_start() == 0
    yield end
    end.loop.wipe()


def test_a_loop_that_has_nothing_to_play_is_silence(end):
    assert Stream(end.loop.handle).turn() == [0] * BLOCK


def test_what_is_heard_waits_in_the_ring_of_the_microphone(end):
    stream = Stream(end.loop.handle)
    before = end.stats()["microphone_samples"]
    for _ in range(10):
        assert stream.turn([7] * BLOCK, plays=False) is None
    until = time.monotonic() + 5
    while end.stats()["microphone_samples"] - before < 10 * BLOCK and time.monotonic() < until:
        time.sleep(0.01)
    stats = end.stats()
    assert stats["microphone_samples"] - before == 10 * BLOCK and stats["microphone_lost"] == 0


def test_more_than_the_ring_holds_is_lost_and_counted(end):
    Stream(end.loop.handle).turn([7] * RATE, plays=False)
    assert end.stats()["microphone_lost"] >= RATE // 2 - BLOCK  # the ring is 500 ms


def test_a_loop_that_was_closed_is_silence_for_both_directions():
    end = End(sound=core.LOOP_FREE)
    stream = Stream(end.loop.handle)
    end.loop.wipe()
    assert stream.turn([7] * BLOCK) == [0] * BLOCK
    assert Stream(0).turn() == Stream(-1).turn() == [0] * BLOCK


def test_what_portaudio_says_was_lost_is_counted(end):
    stream = Stream(end.loop.handle)
    stream.turn([0] * BLOCK, plays=False)
    assert (stream.user.overruns, stream.user.underruns) == (0, 0)
    stream.turn([0] * BLOCK, plays=False, flags=INPUT_OVERFLOW | 0x1)
    stream.turn(flags=OUTPUT_UNDERFLOW | 0x8 | 0x10)
    stream.turn(flags=OUTPUT_UNDERFLOW | INPUT_OVERFLOW)
    assert (stream.user.overruns, stream.user.underruns) == (2, 2)


def test_a_loop_may_be_closed_while_its_stream_still_calls(end):
    is_over, played = threading.Event(), []

    def card():
        stream = Stream(end.loop.handle)
        while not is_over.is_set():
            played.append(stream.turn([1] * BLOCK))

    threads = [threading.Thread(target=card) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(played) < 50:
        time.sleep(0.001)
    end.loop.wipe()
    at = len(played)
    while len(played) < at + 50:
        time.sleep(0.001)
    is_over.set()
    for thread in threads:
        thread.join()
    assert all(JUNK[0] not in block for block in played)


@pytest.fixture
def call():
    """Two ends that talk, their rings at the pace of whoever comes."""
    ends = []
    try:
        for ssrc in (0x1111, 0x2222):
            ends.append(End(ssrc, core.LOOP_FREE, mic_ms=500, speaker_ms=500, ahead_ms=60))
            ends[-1].start()
        introduce(*ends)
        run_until(lambda: all(end.is_up() for end in ends), *ends)
        for end in ends:
            assert end.loop.sound_start() == 0
        yield ends
    finally:
        for end in ends:
            end.loop.wipe()


def test_a_call_between_two_cards_is_heard(call):
    """Blocks of 10 ms from a thread on each side, both directions at once."""
    left, right = call
    said, heard, is_over = chirps(2, 5), [], threading.Event()

    def card(end, says, hears):
        stream, at, turn = Stream(end.loop.handle), 0, time.monotonic()
        while not is_over.is_set():
            piece = says[at : at + BLOCK]
            hears += stream.turn(piece + [0] * (BLOCK - len(piece)))
            at += BLOCK
            turn += 0.01
            time.sleep(max(0, turn - time.monotonic()))

    threads = [threading.Thread(target=card, args=(left, [0] * (RATE // 2) + said.tolist(), [])),
               threading.Thread(target=card, args=(right, [], heard))]
    for thread in threads:
        thread.start()
    run(3.5, left, right)
    is_over.set()
    for thread in threads:
        thread.join()
    explained(left, right)
    # These threads are Python's, and as late as this machine is busy: in pieces, between the holes.
    heard = np.array(heard, "<i2")
    found = [best_correlation(said[at : at + RATE // 4], heard)[0] for at in range(0, len(said), RATE // 4)]
    assert np.median(found) > 0.9, found
    assert left.stats()["microphone_lost"] == 0
