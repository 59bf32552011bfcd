"""Two cores in one process, joined by host_sim.netem, on one virtual clock.

    call = Call(seed=7, links=(Link(1, delay_us=25000), Link(2, delay_us=25000)))
    call.connect()
    call.run_until(lambda: call.left.is_connected and call.right.is_connected, limit_ms=5000)

Everything comes from the seed; nothing sleeps; 20 ms of sound are pushed and pulled on both sides every 20 ms.
"""

import heapq
import math
import random
import struct

from host_sim import native  # noqa: F401  (makes the core importable)
from host_sim.netem import Link
from linnet import core

FRAME_US = 20000
MASK = (1 << 30) - 1
AMPLITUDE = 8000  # of a tone that is sent


class ScenarioFailed(AssertionError):
    """A scenario did not reach its goal; the text says which and when."""


def tone(frequency, rate, frames, amplitude=AMPLITUDE):
    """`frames` frames of 20 ms of a sine, as one bytes object that repeats without a click."""
    n = rate // 50
    samples = [int(amplitude * math.sin(2 * math.pi * frequency * i / rate)) for i in range(n * frames)]
    return struct.pack("<%dh" % len(samples), *samples)


def power_at(frequency, rate, pcm):
    """Share of the energy of int16 bytes that lies at `frequency`, 0..1, by frames of 20 ms (Goertzel), so that
    concealment, which breaks the phase, does not count as another sound."""
    total = found = 0.0
    for energy, at_frequency in _frames_at(frequency, rate, pcm):
        total += energy
        found += at_frequency
    return found / total if total else 0.0


def sounding_at(frequency, rate, pcm, amplitude=AMPLITUDE / 10):
    """Share of the frames of 20 ms, 0..1, that hold at least a sine of `amplitude` at `frequency`: power_at() asks
    what the sound is, this whether it goes on."""
    enough = amplitude**2 / 2 * (rate // 50)
    frames = [at_frequency >= enough for _, at_frequency in _frames_at(frequency, rate, pcm)]
    return sum(frames) / len(frames) if frames else 0.0


def _frames_at(frequency, rate, pcm):
    """(energy, energy at `frequency`) of each frame of 20 ms."""
    samples = struct.unpack("<%dh" % (len(pcm) // 2), pcm)
    n = rate // 50
    k = 2 * math.cos(2 * math.pi * frequency / rate)
    for start in range(0, len(samples) - n + 1, n):
        a = b = energy = 0.0
        for s in samples[start : start + n]:
            a, b = s + k * a - b, a
            energy += s * s
        yield energy, min(energy, 2 * (a * a + b * b - k * a * b) / n)


class Endpoint:
    """One core and what it told."""

    def __init__(self, name, seed, address, **options):
        entropy = random.Random(f"{name}{seed}").randbytes(48)
        self.name = name
        self.session = core.Session(entropy, **options)
        self.rate = options.get("rate") or 16000
        self.address = address  # (packed ip, port)
        self.local = None
        self.states = [core.NEW] * 3
        self.state_times = {}  # (layer, state) -> virtual us
        self.failures = []
        self.channels = {}  # label -> (handle, is_open)
        self.received = []  # (label, is_string, bytes)
        self.events = []  # (virtual us, kind, fields) of everything but data
        self.deadline = 0
        self.microphone = None  # bytes, repeated
        self._mic_at = 0
        self.keep_sound = False
        self.heard = bytearray()
        self.sounding_frames = 0
        self._frame = bytearray(self.rate // 50 * 2)

    @property
    def is_connected(self):
        return self.states[core.SCTP] == core.CONNECTED

    def is_open(self, label):
        return self.channels.get(label, (0, False))[1]

    def on_event(self, now, kind, fields):
        if kind == core.DATA:
            labels = {handle: label for label, (handle, _) in self.channels.items()}
            self.received.append((labels.get(fields[0], "?"), fields[1], fields[2]))
            return
        self.events.append((now, kind, fields))
        if kind == core.LOCAL:
            self.local = fields
        elif kind == core.STATE:
            layer, state, detail = fields
            self.states[layer] = state
            self.state_times.setdefault((layer, state), now)
            if state == core.FAILED:
                self.failures.append((layer, detail))
        elif kind == core.CHANNEL:
            handle, is_open, _, label = fields
            self.channels[label] = (handle, is_open)

    def next_frame(self):
        n = len(self._frame)
        frame = self.microphone[self._mic_at : self._mic_at + n]
        self._mic_at = (self._mic_at + n) % len(self.microphone)
        return frame


class Call:
    """A session at each end of a pair of links (left to right, right to left)."""

    def __init__(self, seed, links=None, left_options=None, right_options=None):
        self.seed = seed
        self.links = links or (Link(seed), Link(seed + 1))
        self.now = 1000000 + seed % 1000
        self.left = Endpoint("left", seed, (bytes((10, 0, 0, 1)), 5001), **(left_options or {}))
        self.right = Endpoint("right", seed, (bytes((10, 0, 0, 2)), 5002), **(right_options or {}))
        self._queue = []
        self._count = 0
        self._next_frame = self.now + FRAME_US
        self.sound = False
        self.datagrams = 0
        self.on_datagram = None  # (sender, payload) -> payload or None: a tap that may drop or alter
        for end in (self.left, self.right):
            self.drain(end)

    def other(self, end):
        return self.right if end is self.left else self.left

    # --- setting up ---

    def connect(self, *, left_is_client=True, left_is_controlling=True, channels=("_reliable", "_lossy"),
                negotiated=False, fingerprints=None, largest=None):
        """Give each side the other's description, and open the channels on the left. `largest`: by the end's name, the
        largest message that its peer says to take."""
        for end in (self.left, self.right):
            peer = self.other(end)
            fingerprint, ufrag, pwd = peer.local
            if fingerprints and end.name in fingerprints:
                fingerprint = fingerprints[end.name]
            is_left = end is self.left
            end.session.add_local_candidate(self.ticks(), *end.address)
            end.session.set_remote(
                self.ticks(), ufrag, pwd, fingerprint,
                dtls_server=left_is_client != is_left,
                controlling=left_is_controlling == is_left,
                max_message=(largest or {}).get(end.name, 0),
            )
            end.session.add_remote_candidate(self.ticks(), *peer.address, 2130706431, 0)
        for i, label in enumerate(channels):
            for end in (self.left, self.right) if negotiated else (self.left,):
                handle = end.session.open_channel(
                    self.ticks(), label, label != "_reliable", None if label == "_reliable" else 0,
                    100 + i if negotiated else None,
                )
                end.channels[label] = (handle, False)
        self.drain(self.left)
        self.drain(self.right)

    def start_sound(self, left_hz=440, right_hz=1000):
        """Each side publishes a tone and plays the other's."""
        for end, frequency, ssrc in ((self.left, left_hz, 0x1111), (self.right, right_hz, 0x2222)):
            end.microphone = tone(frequency, end.rate, 5)
            end.session.publish(self.ticks(), ssrc, 111, 1, 2, "0")
            self.other(end).session.set_track(self.ticks(), 0, ssrc, 111)
        self.sound = True

    # --- time ---

    def ticks(self):
        return self.now & MASK

    def drain(self, end):
        session = end.session
        while True:
            kind = session.poll()
            if kind == core.DATAGRAM:
                self._send(end, session.body_len())
            elif kind == core.IDLE:
                break
            else:
                end.on_event(self.now, kind, session.event(kind))
        end.deadline = self.now + ((session.deadline() - self.ticks()) & MASK)

    def _send(self, end, length):
        payload = bytes(end.session.body[20:length])
        if self.on_datagram is not None:
            payload = self.on_datagram(end, payload)
            if payload is None:
                return
        self.datagrams += 1
        link = self.links[0 if end is self.left else 1]
        for arrival in link.send(self.now, len(payload)):
            self._count += 1
            heapq.heappush(self._queue, (arrival, self._count, self.other(end), payload))

    def step(self):
        """Go to the next thing that happens, and let it happen."""
        due = min(self.left.deadline, self.right.deadline)
        if self._queue:
            due = min(due, self._queue[0][0])
        if self.sound:
            due = min(due, self._next_frame)
        self.now = max(self.now, due)
        while self._queue and self._queue[0][0] <= self.now:
            _, _, end, payload = heapq.heappop(self._queue)
            source = core.addr(*self.other(end).address)
            end.session.input(self.ticks(), core.IN_DATAGRAM, bytes(source) + payload)
            self.drain(end)
        if self.sound and self._next_frame <= self.now:
            self._next_frame += FRAME_US
            self._sound_turn(self.left)
            self._sound_turn(self.right)
        for end in (self.left, self.right):
            if end.deadline <= self.now:
                end.session.input(self.ticks(), core.IN_TIME)
                self.drain(end)

    def _sound_turn(self, end):
        end.session.input(self.ticks(), core.IN_TIME)
        if end.microphone:
            end.session.pcm_push(end.next_frame())
        if end.session.pcm_pull(end._frame):
            end.sounding_frames += 1
        if end.keep_sound:
            end.heard += end._frame
        self.drain(end)

    def run_for(self, ms):
        end_at = self.now + ms * 1000
        while min(self.left.deadline, self.right.deadline, self._due()) < end_at:
            self.step()
        self.now = end_at

    def _due(self):
        due = self._queue[0][0] if self._queue else 1 << 62
        return min(due, self._next_frame) if self.sound else due

    def run_until(self, fact, limit_ms, what="the goal"):
        """Run until fact() holds; ScenarioFailed after limit_ms of virtual time. Milliseconds taken."""
        start = self.now
        while not fact():
            if self.now - start > limit_ms * 1000:
                raise ScenarioFailed(
                    f"seed {self.seed}: {what} not reached in {limit_ms} virtual ms; "
                    f"left {self.left.states}, right {self.right.states}, "
                    f"failures {self.left.failures + self.right.failures}"
                )
            self.step()
        return (self.now - start) / 1000

    # --- data ---

    def send(self, end, label, data, is_string=False):
        """Queue a message, letting time pass while there is no room."""
        handle = end.channels[label][0]
        for _ in range(20000):
            result = end.session.send_data(self.ticks(), handle, data, is_string)
            self.drain(end)
            if result != core.ERR_AGAIN:
                return result
            self.step()
        raise ScenarioFailed(f"seed {self.seed}: {end.name} found no room for a message")
