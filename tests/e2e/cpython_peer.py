"""Our side of the end-to-end tests on CPython: a Room in the test's own event loop, its sound device in memory."""

import asyncio
import contextlib
import importlib
import os
import sys
import threading
import time
import tracemalloc

import numpy as np

from host_sim import native  # noqa: F401  (before linnet.core: makes the compiled core importable)
from host_sim.port_host import HostClock, HostNet
from linnet import core
from linnet.log import Secret
from linnet.port import Port
from linnet.room import Room, RoomOptions
from linnet.track import LocalAudioTrack
from tests.audio_quality import to_float, to_int16
from tests.e2e.our_peer import EVENTS, OurPeer
from tests.e2e.peers import Received

RING_MS = 60
DRIVER = os.environ.get("LINNET_DRIVER", "native")      # or python: what moves packets and sound


class MemoryAudio:
    """linnet.port.Audio: a microphone that hears what it is given, in real time, and a speaker that keeps it all."""

    def __init__(self, rate):
        self.rate = rate
        self.played = bytearray()       # everything since start(); 2 * rate bytes a second, without holes in time
        self.underruns = 0
        self.started_at = None          # time.monotonic()
        self.first_sound_at = None      # when the speaker was first given something louder than -45 dBFS
        self._to_say = bytearray()
        self._captured = 0              # samples
        self._ring = rate * RING_MS // 1000

    def start(self):
        self.started_at = time.monotonic()
        self._captured, self.played, self.first_sound_at = 0, bytearray(), None

    def stop(self):
        self.started_at = None

    def queue(self, samples):
        """Samples at the device rate that the microphone hears next."""
        self._to_say += to_int16(to_float(samples)).tobytes()

    @property
    def seconds_to_say(self):
        return len(self._to_say) / 2 / self.rate

    @property
    def samples(self):
        """What the speaker played, as floats."""
        return to_float(np.frombuffer(bytes(self.played), "<i2"))

    def since(self, at):
        """The samples played after time.monotonic() `at`."""
        return self.samples[max(0, int((at - self.started_at) * self.rate)):]

    def _due(self):
        return int((time.monotonic() - self.started_at) * self.rate)

    def capture_into(self, buf):
        n = len(buf) // 2
        if self.started_at is None or self._due() < self._captured + n:
            return 0
        self._captured += n
        piece = self._to_say[:2 * n]
        del self._to_say[:2 * n]
        buf[:] = piece + bytes(2 * n - len(piece))
        return n

    def play_room(self):
        if self.started_at is None:
            return 0
        due = self._due()
        played = len(self.played) // 2
        if due > played:
            self.underruns += 1 if played else 0
            self.played += bytes(2 * (due - played))    # a device that runs dry is heard as silence
            played = due
        return max(0, due + self._ring - played)

    def play(self, buf):
        self.played += buf
        if self.first_sound_at is None and np.abs(np.frombuffer(buf, "<i2")).max() > 180:
            self.first_sound_at = time.monotonic()
        return len(buf) // 2


class RingAudio(MemoryAudio):
    """The same as linnet.port.LoopAudio: the native media loop has the clock, we fill and empty its rings."""

    loop_sound = loop_speaker_sound = core.LOOP_PACED
    loop_ring_ms = 400
    loop_ahead_ms = 0

    def __init__(self, rate):
        super().__init__(rate)
        self._said_until = 0            # sample of the microphone at which what was queued ends

    def loop_start(self, loop):
        self.start()

    def loop_stop(self):
        self.stop()

    def queue(self, samples):
        super().queue(samples)
        self._said_until = self._captured + len(self._to_say) // 2

    @property
    def seconds_to_say(self):
        elapsed = time.monotonic() - self.started_at if self.started_at is not None else 0
        return max(0.0, self._said_until / self.rate - elapsed)

    def ring_fill(self, buf):
        piece = self._to_say[:len(buf)]
        del self._to_say[:len(buf)]
        buf[:] = piece + bytes(len(buf) - len(piece))
        self._captured += len(buf) // 2

    def ring_heard(self, buf):
        if self.first_sound_at is None:
            loud = np.flatnonzero(np.abs(np.frombuffer(buf, "<i2").astype(int)) > 180)
            if len(loud):
                self.first_sound_at = self.started_at + (len(self.played) // 2 + int(loud[0])) / self.rate
        self.played += buf


class FarNet(HostNet):
    """A path on which datagrams take so long to the server."""

    def __init__(self, one_way_s):
        super().__init__()
        self._one_way_s = one_way_s

    def udp_send(self, addr, view):
        asyncio.get_running_loop().call_later(self._one_way_s, super().udp_send, addr, bytes(view))
        return True


class OwnProcess:
    """The process that runs Linnet is the test's own."""

    def state(self):
        """What must be the same before and after: tasks and handles."""
        return set(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))

    def handles(self):
        """What is held open: {target: how often}."""
        return open_handles("self")

    def threads(self):
        return set(threading.enumerate())

    def tasks(self):
        return asyncio.all_tasks()

    def resident_bytes(self):
        return resident_bytes("self")

    def trace(self, is_on):
        """python_bytes() counts while this is on."""
        (tracemalloc.start if is_on else tracemalloc.stop)()

    def python_bytes(self):
        return tracemalloc.get_traced_memory()[0]


def open_handles(process):
    found = {}
    for name in os.listdir(f"/proc/{process}/fd"):
        try:
            target = os.readlink(f"/proc/{process}/fd/{name}").split(":")[0]
        except OSError:
            continue            # the one that listed the folder
        found[target] = found.get(target, 0) + 1
    return found


def resident_bytes(process):
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class CPythonPeer(OurPeer):
    """`ca_file` is trusted beside the machine's own authorities; a machine that does not `know_the_time` has no clock.
    `process` is for peers that live in one process; here all do."""

    def __init__(self, *, rate=16000, ca_file=None, addresses=None, has_audio=True, know_the_time=True, one_way_s=0,
                 process=None, driver=None):
        super().__init__()
        # Datagrams that a test holds back go through Python.
        is_native = (driver or DRIVER) == "native" and not one_way_s
        self.audio = (RingAudio if is_native else MemoryAudio)(rate) if has_audio else None
        self.net = FarNet(one_way_s) if one_way_s else HostNet(ca_file=ca_file, addresses=addresses)
        self.room = Room(Port(self.net, HostClock(), self.audio, media_loop=is_native))
        self.process = process or OwnProcess()
        if not know_the_time:
            self.room.port.clock.unix_time = lambda: 0
        for name in EVENTS:
            self.room.on(name, self._note(name))
        self.room.on("data_received", self._on_data)

    async def join(self, url, token, *, microphone=True, **options):
        """Options as in RoomOptions. `microphone`: publish one with the join. Returns self."""
        if microphone and self.audio:
            self.track = LocalAudioTrack("mic")
            options.setdefault("tracks", (self.track,))
        started = self.joined_from = time.monotonic()
        await self.room.connect(url, token, RoomOptions(**options))
        self.join_seconds = time.monotonic() - started
        return self

    async def send_all(self, data, count):
        """The same packet many times at once; how each ended."""
        return await asyncio.gather(*(self.send(data) for _ in range(count)), return_exceptions=True)

    async def close(self):
        await self.room.disconnect()

    @contextlib.contextmanager
    def constant(self, module, name, value):
        """A constant of a module of firmware/ is another for a while."""
        importlib.import_module(module)
        old = getattr(sys.modules[module], name)
        setattr(sys.modules[module], name, value)
        try:
            yield old
        finally:
            setattr(sys.modules[module], name, old)

    def newest_token(self):
        """The token a reconnect would use, in the clear."""
        token = self.room._engine.signal.token
        assert isinstance(token, Secret)
        return token.reveal()

    def _on_data(self, packet):
        self.received.append(Received(bytes(packet.data), packet.topic,
                                      packet.participant.identity if packet.participant else None,
                                      packet.kind == 1, time.monotonic()))
        self.events.append((time.monotonic(), "data_received", (packet,)))
        self._news.tell()

    def _note(self, name):
        def note(*arguments):
            self.events.append((time.monotonic(), name, arguments))
            self._news.tell()
        return note
