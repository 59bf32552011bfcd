"""linnet_portaudio_callback, called as PortAudio calls it: from threads of its own, here without PortAudio."""

import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from host_sim import native
from linnet import core
from tests.port.loops import RATE, End, introduce, run, run_until
from tests.port.test_loop_call import best_correlation, chirps

BLOCK = RATE // 100
ffi, lib = native.ffi, native.lib
INPUT_OVERFLOW, OUTPUT_UNDERFLOW = 0x2, 0x4
JUNK = [0x1234] * BLOCK


class Stream:
    """What PortAudio holds of a stream."""

    def __init__(self, handle):
        self.user = ffi.new("linnet_portaudio_t *", {"loop": handle})

    def turn(self, *args, **options):
        """One call from a new thread; what it played, or None."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self.call, *args, **options).result()

    def call(self, heard=None, plays=True, flags=0):
        """From this thread, which may become a realtime one. `heard`: samples, None where there is no microphone."""
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


def test_a_loop_that_has_nothing_to_play_is_silence():
    end = End(sound=core.LOOP_FREE)  # its sound has not begun
    end.start()
    assert Stream(end.loop.handle).turn() == [0] * BLOCK
    end.loop.wipe()


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's PortAudio has ordinary threads")
def test_the_threads_of_a_card_become_urgent_with_their_first_call(end):
    def card(**directions):
        before = os.sched_getscheduler(0)
        stream.call(**directions)
        return before, os.sched_getscheduler(0)

    def given():
        """What this machine gives to who asks."""
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
        return os.sched_getscheduler(0)

    def in_a_thread(function, **arguments):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function, **arguments).result()

    stream, wanted = Stream(end.loop.handle), in_a_thread(given)
    assert in_a_thread(card, heard=[0] * BLOCK, plays=False) == (os.SCHED_OTHER, wanted)
    assert in_a_thread(card, plays=True) == (os.SCHED_OTHER, wanted)
    assert in_a_thread(card, plays=True) == (os.SCHED_OTHER, os.SCHED_OTHER)


def test_a_loop_may_be_closed_while_its_stream_still_calls(end):
    is_over, played = threading.Event(), []

    def card():
        stream = Stream(end.loop.handle)
        while not is_over.is_set():
            played.append(stream.call([1] * BLOCK))
            time.sleep(0.001)

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
            hears += stream.call(piece + [0] * (BLOCK - len(piece)))
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
    # These threads are Python's, and as late as this machine is busy: in pieces, between the holes.
    heard = np.array(heard, "<i2")
    found = [best_correlation(said[at : at + RATE // 4], heard)[0] for at in range(0, len(said), RATE // 4)]
    assert np.median(found) > 0.9, found
    assert left.stats()["microphone_lost"] == 0
