"""The rings between a loop and an application, in virtual time: every sample is moved once or counted once."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c"))
from internals import CSRC, load  # noqa: E402

PACED, FREE = 1, 2
RATE = 8000


@pytest.fixture(scope="module")
def c():
    return load("audio_ring", sources=["port/audio_ring.c", "port/audio_none.c"],
                headers=["port/audio_device.h", "port/audio_ring.h"], include_dirs=[CSRC / "port"])


class Rings:
    def __init__(self, c, microphone=PACED, speaker=PACED, ahead=160, cap=800):
        self.c = c
        self.keep = c.ffi.new("int16_t[]", 2 * cap)
        self.r = c.ffi.new("linnet_rings_t *")
        self.device = c.ffi.new("linnet_audio_device_t *")
        c.lib.linnet_rings_init(self.r, microphone, speaker, ahead, self.keep, cap, self.keep + cap, cap)
        c.lib.linnet_rings_device(self.r, self.device)
        self.next = 1  # what the loop plays next

    def start(self, at=0):
        assert self.device.start(self.r, RATE, at) == 0

    def mic(self, samples):
        return self.c.lib.linnet_rings_mic(self.r, self.c.ffi.new("int16_t[]", list(samples)), len(samples))

    def speaker(self, n):
        pcm = self.c.ffi.new("int16_t[]", n)
        return list(pcm[0 : self.c.lib.linnet_rings_speaker(self.r, pcm, n)])

    def capture(self, now, n):
        pcm = self.c.ffi.new("int16_t[]", n)
        return list(pcm[0 : self.device.capture(self.r, now, pcm, n)])

    def play_all(self, now):
        """As the loop does: fills what there is room for, with a count that goes on."""
        n = self.device.room(self.r, now)
        if n:
            self.device.play(self.r, self.c.ffi.new("int16_t[]", list(range(self.next, self.next + n))), n)
            self.next += n
        return n

    def counts(self):
        counts = self.c.ffi.new("linnet_audio_counts_t *")
        self.device.counts(self.r, counts)
        return {name: getattr(counts, name) for name in
                ("microphone_lost", "microphone_starved", "speaker_lost", "speaker_starved")}


NONE = dict.fromkeys(("microphone_lost", "microphone_starved", "speaker_lost", "speaker_starved"), 0)


def test_a_paced_microphone_gives_what_time_has_recorded(c):
    rings = Rings(c)
    assert rings.mic(range(1, 101)) == 100
    rings.start(1000)
    assert rings.capture(1000, 80) == []
    assert rings.capture(6000, 80) == list(range(1, 41))  # 5 ms of 8 kHz
    assert rings.capture(6000, 80) == []
    assert rings.capture(11000, 30) == list(range(41, 71))
    assert rings.capture(11000, 30) == list(range(71, 81))
    assert rings.counts() == NONE


def test_a_microphone_that_has_nothing_is_silent_and_counted(c):
    rings = Rings(c)
    rings.mic([5] * 30)
    rings.start()
    assert rings.capture(10000, 80) == [5] * 30 + [0] * 50
    assert rings.counts() == {**NONE, "microphone_starved": 50}


def test_a_long_sleep_of_the_machine_is_left_out(c):
    rings = Rings(c)
    rings.start()
    assert len(rings.capture(3600 * 10**6, 80)) == 80
    assert rings.counts()["microphone_starved"] == 3600 * RATE - 2 * RATE + 80


def test_a_paced_speaker_is_kept_ahead_by_as_much_as_was_asked(c):
    rings = Rings(c)
    rings.start()
    assert rings.play_all(0) == 0  # it begins with 20 ms of silence
    assert rings.play_all(10000) == 80
    assert rings.play_all(10000) == 0
    assert rings.play_all(25000) == 120
    assert rings.speaker(800) == [0] * 160 + list(range(1, 201))
    assert rings.counts() == NONE


def test_a_speaker_that_ran_dry_was_silent_for_just_that_long(c):
    rings = Rings(c)
    rings.start()
    rings.play_all(10000)
    assert rings.play_all(40000) == 160  # 30 ms were there, 10 ms were not
    assert rings.speaker(800) == [0] * 160 + list(range(1, 81)) + [0] * 80 + list(range(81, 241))
    assert rings.counts() == {**NONE, "speaker_starved": 80}


def test_what_nobody_reads_is_lost_and_counted(c):
    rings = Rings(c)
    rings.start()
    for ms in range(0, 200, 10):
        rings.play_all(1000 * ms)
    assert rings.counts() == {**NONE, "speaker_lost": 190 * 8 + 160 - 800}
    assert rings.speaker(800) == [0] * 160 + list(range(1, 641))


def test_a_free_microphone_that_nobody_hears_loses_the_newest(c):
    rings = Rings(c, FREE, FREE)
    assert rings.mic([1] * 10) == 10  # before the start: old by then
    rings.start()
    assert rings.capture(10**6, 80) == []
    assert rings.mic([2] * 1000) == 800
    assert rings.capture(0, 1000) == [2] * 800
    assert rings.counts() == {**NONE, "microphone_lost": 200}


def test_a_free_speaker_is_filled_up_to_ahead_and_starves_by_what_is_missing(c):
    rings = Rings(c, FREE, FREE)
    rings.start()
    assert rings.speaker(80) == []  # nothing was made yet: not counted
    assert rings.play_all(0) == 160
    assert rings.speaker(200) == list(range(1, 161))
    assert rings.counts() == {**NONE, "speaker_starved": 40}
    assert rings.play_all(0) == 160


def test_one_side_paced_and_one_free(c):
    rings = Rings(c, PACED, FREE)
    rings.mic([3] * 80)
    rings.start()
    assert rings.capture(10000, 80) == [3] * 80
    assert rings.play_all(10000) == 160 and rings.play_all(20000) == 0


def oldest(c, ring, n):
    found = c.ffi.new("size_t *", n)
    pcm = c.lib.linnet_ring_look(ring, found)
    return list(pcm[0 : found[0]])


def test_what_a_device_did_not_take_stays_the_oldest(c):
    keep = c.ffi.new("int16_t[]", 10)
    ring = c.ffi.new("linnet_ring_t *", {"pcm": keep, "cap": 10})
    assert c.lib.linnet_ring_put(ring, list(range(1, 9)), 8) == 8
    assert oldest(c, ring, 5) == [1, 2, 3, 4, 5]
    c.lib.linnet_ring_drop(ring, 3)
    assert oldest(c, ring, 5) == [4, 5, 6, 7, 8]
    assert c.lib.linnet_ring_put(ring, list(range(9, 14)), 5) == 5
    assert oldest(c, ring, 10) == list(range(4, 11))  # in one piece, to the end of the memory
    c.lib.linnet_ring_drop(ring, 7)
    assert oldest(c, ring, 10) == [11, 12, 13]
    c.lib.linnet_ring_drop(ring, 99)
    assert oldest(c, ring, 10) == [] and ring.n == 0


@pytest.mark.parametrize("seed", range(20))
def test_every_sample_is_moved_once_or_counted_once(c, seed):
    rng = random.Random(seed)
    rings = Rings(c, ahead=rng.choice((40, 160, 400)), cap=rng.randrange(400, 900))
    said, now, given, captured, heard = 0, 0, [], [], []
    rings.start()
    for _ in range(400):
        now += rng.choice((0, 1000, 5000, 10000, 10000, 60000))
        if rng.random() < 0.8:
            n = rng.randrange(0, 300)
            taken = rings.mic([1 + (said + i) % 30000 for i in range(n)])
            given += [1 + (said + i) % 30000 for i in range(taken)]
            said += taken
        while piece := rings.capture(now, 80):
            captured += piece
        rings.next = rings.next % 20000 or 1
        rings.play_all(now)
        if rng.random() < 0.8:
            heard += rings.speaker(rng.randrange(0, 900))
    heard += rings.speaker(1000)
    counts = rings.counts()
    assert len(captured) == now * RATE // 10**6
    assert [s for s in captured if s] == given[: len(captured) - counts["microphone_starved"]]
    assert len(heard) + counts["speaker_lost"] == rings.r.played
    assert counts["microphone_lost"] == 0
