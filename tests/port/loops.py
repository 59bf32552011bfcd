"""Two native media loops in one process, over loopback, and what their Python side saw.

    with pair() as (left, right):
        left.say(pcm); run(1.0, left, right); right.heard
Time is real here: the loop owns the clock. A test that counts sound does so in a Window, and judges only if the loop
was on time in it:
    for window in tries():
        with pair() as (left, right):
            window.begin(left, right); run(1.0, left, right); window.end()"""

import contextlib
import os
import select
import time
import warnings

import pytest

from host_sim import native  # noqa: F401  (makes the core importable)
from linnet import core

RATE = 16000
LOOPBACK = bytes((127, 0, 0, 1))
CHUNK = bytes(2 * RATE // 50)
TURN_S = 0.01  # of the loop: half a frame
TRIES = 4


class End:
    """A loop with its events noted, its microphone fed from `to_say` and its speaker kept in `heard`."""

    def __init__(self, ssrc=0x1111, sound=core.LOOP_PACED, **options):
        options = {"mic_ms": 500, "speaker_ms": 2000, "rate": RATE, **options}
        self.loop = core.Loop(os.urandom(48), sound, **options)
        self.ssrc = ssrc
        self.sound = sound
        self.port = self.loop.bind(4)
        self.loop.add_local_candidate(0, LOOPBACK, self.port)
        self.events = []  # (kind, fields) of everything but messages
        self.messages = []
        self.local = None
        self.states = [core.NEW] * 3
        self.open = {}
        self.to_say = bytearray()
        self.heard = bytearray()
        self._buffer = bytearray(2 * RATE // 10)
        self._served = None
        self.longest_wait_s = 0.0  # between two visits to the rings

    def start(self):
        self.loop.start()
        self.poll()

    def poll(self):
        """Takes the events that are there."""
        while (kind := self.loop.poll()) != core.IDLE:
            fields = self.loop.event(kind)
            if kind == core.DATA:
                self.messages.append(fields[2])
                continue
            self.events.append((kind, fields))
            if kind == core.LOCAL:
                self.local = fields
            elif kind == core.STATE:
                self.states[fields[0]] = fields[1]
            elif kind == core.CHANNEL:
                self.open[fields[3]] = fields[0] if fields[1] else None

    def turn_rings(self):
        now = time.monotonic()
        if self._served is not None:
            self.longest_wait_s = max(self.longest_wait_s, now - self._served)
        self._served = now
        while True:
            piece = bytes(self.to_say[: len(CHUNK)]).ljust(len(CHUNK), b"\0")
            taken = self.loop.mic(piece)
            del self.to_say[: 2 * taken]
            if 2 * taken < len(piece):
                break
        while n := self.loop.speaker(self._buffer):
            self.heard += self._buffer[: 2 * n]

    def is_up(self):
        return self.states[core.SCTP] == core.CONNECTED

    def stats(self):
        return {**self.loop.stats(), **self.loop.loop_stats(), "track": self.loop.track_stats(0)}

    def ahead_s(self):
        """The microphone's sound that the core has got, less the time that it is: the best of some looks, for any one
        may find the loop, or Python, a little late."""
        found = []
        for _ in range(10):
            found.append(self.loop.stats()["microphone_samples"] / RATE - time.monotonic())
            time.sleep(0.003)
        return max(found)


class Window:
    """From begin() to end(): was each loop on time, and did its microphone give what real time asks for?"""

    LATE_US = 8000  # the worst that sound does not suffer from

    def __init__(self, longest_wait_s):
        self._longest_wait_s = longest_wait_s

    def begin(self, *ends):
        self.ends = ends
        for end in ends:
            end.turn_rings()
            end.longest_wait_s = 0.0
        self._before = [self._figures(end) for end in ends]

    @staticmethod
    def _figures(end):
        stats = end.loop.loop_stats()
        return end.ahead_s(), stats["turns_late"], stats["worst_late_us"]

    def end(self):
        self.gained_s, late = [], {}
        for end, before, after in zip(self.ends, self._before, map(self._figures, self.ends), strict=True):
            self.gained_s.append(after[0] - before[0])
            if after[1] > before[1] or after[2] > max(before[2], self.LATE_US):
                late[end.ssrc] = after[2]
        self.is_judged = not late and all(end.longest_wait_s < self._longest_wait_s for end in self.ends)
        if late:
            warnings.warn(f"the loop came late, us: {late}; this machine is busy", stacklevel=2)

    def is_whole(self):
        """No sample of a microphone was lost or made twice: the clocks are apart by a turn at most."""
        return all(abs(gained) <= TURN_S + 0.002 for gained in self.gained_s)


def tries(longest_wait_s=float("inf")):
    """Windows, until one was fit to be judged: its loops on time, and Python at the rings often enough."""
    for _ in range(TRIES):
        window = Window(longest_wait_s)
        yield window
        if window.is_judged:
            return
    pytest.fail(f"the loop or this test came late in each of {TRIES} tries: too busy a machine to judge anything")


def introduce(left, right):
    """Each side gets the other's description, plays the other's track, and the left opens a channel."""
    for end, other, is_left in ((left, right, True), (right, left, False)):
        fingerprint, ufrag, pwd = other.local
        end.loop.publish(0, end.ssrc, 111, 1, 2, "0")
        end.loop.set_track(0, 0, other.ssrc, 111)
        end.loop.set_remote(0, ufrag, pwd, fingerprint, dtls_server=not is_left, controlling=is_left)
        end.loop.add_remote_candidate(0, LOOPBACK, other.port, 2130706431, 0)
    left.loop.open_channel(0, "_reliable")


@contextlib.contextmanager
def pair(left_options=None, right_options=None):
    left, right = End(0x1111, **(left_options or {})), None
    try:
        right = End(0x2222, **(right_options or {}))
        for end in (left, right):
            end.start()
        introduce(left, right)
        run_until(lambda: left.is_up() and right.is_up() and left.open.get("_reliable") is not None, left, right)
        for end in (left, right):
            if end.sound:
                end.turn_rings()
                assert end.loop.sound_start() == 0
        yield left, right
    finally:
        for end in (left, right):
            if end is not None:
                end.loop.wipe()


def run_until(fact, *ends, limit_s=10.0):
    """Serves the ends' events and rings until fact() holds."""
    began = time.monotonic()
    while not fact():
        assert time.monotonic() - began < limit_s, f"not reached in {limit_s} s: {[end.events[-4:] for end in ends]}"
        select.select([end.loop.wake_source() for end in ends], [], [], 0.02)
        for end in ends:
            end.poll()
            if end.sound == core.LOOP_PACED:
                end.turn_rings()


def run(seconds, *ends):
    until = time.monotonic() + seconds
    run_until(lambda: time.monotonic() >= until, *ends, limit_s=seconds + 5)


def threads():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Threads"))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def resident_kib():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
