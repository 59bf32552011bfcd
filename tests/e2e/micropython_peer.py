"""Our side of the end-to-end tests on MicroPython's unix port: the Room is in a process of its own, its sound device
here. The process is real (firmware/port_mpy.py, the native media loop); only its microphone and speaker are the test's.
"""

import contextlib
import gc
import time

import numpy as np

from tests.audio_quality import to_float, to_int16
from tests.e2e.cpython_peer import open_handles, resident_bytes
from tests.e2e.mpy_link import RemoteObject, started_link
from tests.e2e.our_peer import EVENTS, OurPeer
from tests.e2e.peers import WAIT_TIMEOUT_S, Received

LOUD = 180              # -45 dBFS


class RemoteAudio:
    """The surface of MemoryAudio; the device itself is LinkAudio in remote_peer.py, paced by the media loop."""

    def __init__(self, link, remote, rate):
        self.rate = rate
        self.played = bytearray()
        self.started_at = None
        self.first_sound_at = None
        self._link, self._remote = link, remote
        self._queued = self._taken = 0      # samples
        self._ends_at = 0           # sample of the call at which the last of those taken is over

    def queue(self, samples):
        pcm = to_int16(to_float(samples)).tobytes()
        self._queued += len(pcm) // 2
        for at in range(0, len(pcm), 65536):
            self._link.send_frame(b"P", self._remote._number.to_bytes(4, "little") + pcm[at:at + 65536])

    @property
    def seconds_to_say(self):
        """Until the last sample that was queued is heard."""
        left = (self._queued - self._taken) / self.rate
        if self.started_at is None:
            return left
        return left + max(0.0, self._ends_at / self.rate - (time.monotonic() - self.started_at))

    @property
    def samples(self):
        return to_float(np.frombuffer(bytes(self.played), "<i2"))

    def since(self, at):
        return self.samples[max(0, int((at - self.started_at) * self.rate)):]

    @property
    def underruns(self):
        return self._remote.starved()

    def on_sound(self, pcm, taken, ends_at):
        if self.first_sound_at is None:
            loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > LOUD)
            if len(loud) and self.started_at is not None:
                self.first_sound_at = self.started_at + (len(self.played) // 2 + int(loud[0])) / self.rate
        self.played += pcm
        self._taken, self._ends_at = taken, ends_at

    def on_state(self, at):
        if at is not None:
            self.played, self.first_sound_at, self._ends_at = bytearray(), None, 0
        self.started_at = at


class MpyProcess:
    """A process of MicroPython with any number of peers."""

    def __init__(self):
        self.link = started_link()

    def state(self):
        return self.tasks(), sum(self.handles().values())

    def handles(self):
        return open_handles(self.link.process.pid)

    def threads(self):
        with open(f"/proc/{self.link.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Threads:"))

    def tasks(self):
        return self._heap()[0]

    def resident_bytes(self):
        return resident_bytes(self.link.process.pid)

    def python_bytes(self):
        return self._heap()[1]

    def _heap(self):
        gc.collect()            # what nobody here knows any more need not be kept there
        return self.link.open().ask("state")

    def trace(self, is_on):
        """gc.mem_alloc() needs no tracing."""

    def close(self):
        self.link.close()


class LocalAudioTrack(RemoteObject):
    """A track that a test made. It is made in the process of the room that it is first given to."""

    def __init__(self, name):
        self.__dict__.update(name=name, _link=None, _is_muted=False)

    def bring(self, link):
        if self._link is None:
            found = link.ask("track", self.name, self._is_muted)
            found._finalizer.detach()
            link.adopt(self, found._number)
            RemoteObject.__init__(self, link, found._number, found._kind)

    def mute(self):
        if self._link is None:
            self.__dict__["_is_muted"] = True
        else:
            self._link.run(self._number, "mute", (), {})


class MicroPythonPeer(OurPeer):
    """As CPythonPeer. `process`: live in this one, with others, instead of in a process of one's own."""

    def __init__(self, *, rate=16000, ca_file=None, addresses=None, has_audio=True, know_the_time=True, one_way_s=0,
                 process=None):
        super().__init__()
        self._is_own_process = process is None
        self.process = process or MpyProcess()
        self._options = (rate if has_audio else 0, str(ca_file) if ca_file else None, addresses, one_way_s)
        self._knows_the_time = know_the_time
        self._is_closed = False
        self._peer = self._audio = self._room = self._send = None
        self.joined_from = None

    def _made(self):
        """The peer in the process, which may have to be waited for."""
        if self._peer is None:
            link = self.process.link.open()
            rate, ca_file, addresses, one_way_s = self._options
            number = link.peers_made
            link.peers_made += 1
            link.peers[number] = self
            self._peer = link.ask("peer", number, rate, ca_file, link.wrap(addresses), one_way_s, EVENTS)
            self._audio = RemoteAudio(link, self._peer.audio, rate) if rate else None
            if not self._knows_the_time:
                self._peer.knows_no_time()
        return self._peer

    @property
    def audio(self):
        self._made()
        return self._audio

    @property
    def room(self):
        if self._room is None:
            self._room = self._made().room
        return self._room

    @property
    def net(self):
        return self._made().net

    async def join(self, url, token, *, microphone=True, **options):
        peer = self._made()
        tracks = options.pop("tracks", ())
        if microphone and self._audio:
            self.track = LocalAudioTrack("mic")
            tracks = (self.track,)
        started = self.joined_from = time.monotonic()
        await peer.join.soon(url, token, tracks, options)
        self.join_seconds = time.monotonic() - started
        return self

    async def close(self):
        if self._is_closed:
            return
        self._is_closed = True
        if self._peer is not None:
            await self.room.disconnect()
        if self._is_own_process:
            self.process.close()

    async def send(self, data, *, reliable=True, topic="", to=()):
        if self._send is None:
            self._send = self._peer.send
        await self._send.soon(data, reliable, list(to), topic)

    async def send_all(self, data, count):
        return await self._peer.send_all.soon(data, count)

    async def hears_until(self, at):
        audio = self.audio
        await self.wait_until(lambda: len(audio.played) >= 2 * audio.rate * (at - audio.started_at), "time to pass",
                              at - time.monotonic() + WAIT_TIMEOUT_S)

    @contextlib.contextmanager
    def constant(self, module, name, value):
        self._made()
        link = self.process.link
        old = link.ask("module", module, name, link.wrap(value))
        try:
            yield old
        finally:
            link.ask("module", module, name, link.wrap(old))

    def newest_token(self):
        token = self.room._engine.signal.token
        return self.process.link.ask("reveal", token._number)

    # What the process says.

    def on_event(self, name, arguments, at):
        self.events.append((at, name, arguments))
        self._news.tell()

    def on_data(self, fields, packet, at):
        data, topic, sender, is_reliable = fields
        self.received.append(Received(data, topic, sender, is_reliable, at))
        self.on_event("data_received", (packet,), at)

    def on_sound(self, pcm, taken, ends_at):
        self._audio.on_sound(pcm, taken, ends_at)
        self._news.tell()

    def on_sound_state(self, at):
        self._audio.on_state(at)
