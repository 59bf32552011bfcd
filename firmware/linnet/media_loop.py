# A call in the native media loop: the surface of driver.py, without a packet or
# a sample per step in Python.
#
# The loop's thread steps the core, sends, receives and moves sound; here arrive
# events, a few a second. What a garbage collection delays is them alone. Sound
# in rings (files, tests) is filled far ahead and emptied far behind.

import asyncio

from . import core
from .compat import const
from .errors import Closed, Refused
from .port import by_family
from .tasks import Tasks

_HEARTBEAT_MS = const(5000)  # the loop leaves a call whose Python side asks for nothing (dead_ms)
# Between two looks at the rings: each wakes the interpreter, so they are as few as leave enough
# sound in the ring for a Python that stands still.
_TURN_MS = const(100)
_TURN_MAX_MS = const(300)
_RESERVE_MS = const(300)
_CHUNK_MS = const(100)  # of sound moved at once


def make_session(port, entropy, **options):
    """A core.Loop for the sound of `port`."""
    audio = port.audio
    if audio is None:
        return core.Loop(entropy, **options)
    return core.Loop(
        entropy,
        audio.loop_sound,
        audio.loop_speaker_sound,
        mic_ms=audio.loop_ring_ms,
        speaker_ms=4 * audio.loop_ring_ms,  # what is not read in time is lost for the file
        ahead_ms=audio.loop_ahead_ms,
        **options
    )


class MediaLoop:
    """As driver.Driver: `session` is a core.Loop, `on_event(kind, fields)` gets every event,
    `on_failure(error)` what ended the call from within."""

    def __init__(self, port, session, on_event, on_failure=None):
        self.port = port
        self.session = session
        self._on_event = on_event
        self._on_failure = on_failure
        self._closed = False
        self._draining = False
        self._tasks = Tasks("media_loop", on_failure)
        self._has_sound = False
        audio = port.audio
        chunk = audio.rate * _CHUNK_MS // 1000 * 2 if audio else 0
        self._mic = bytearray(chunk)
        self._mic_view = memoryview(self._mic)
        self._mic_at = chunk  # bytes of the chunk that the ring has taken
        self._speaker = bytearray(chunk)
        self._speaker_view = memoryview(self._speaker)
        self.running = False

    @property
    def frames_late(self):
        """Turns of sound that came late, of the loop's own."""
        return self.session.loop_stats()["turns_late"]

    @property
    def unsent(self):
        """Datagrams that the socket did not take."""
        return self.session.loop_stats()["datagrams_unsent"]

    async def open(self):
        """Open the sockets, give the core its host candidates, start the thread."""
        session = self.session
        for family, addresses in by_family(self.port.net.local_addresses()):
            try:
                number = session.bind(family)
            except core.CoreError:
                raise Refused("host-unreachable", "the system gives no datagram socket")
            for ip in addresses:
                session.add_local_candidate(0, ip, number)
        session.start()
        self.running = True
        self._tasks.start(self._events)
        self.drain()

    def start_audio(self):
        """Open the sound device and begin to move samples. Raises Refused("no-audio-device")."""
        audio = self.port.audio
        audio.loop_start(self.session)
        self._has_sound = True
        is_paced = core.LOOP_PACED in (audio.loop_sound, audio.loop_speaker_sound)
        if is_paced:
            self._turn_rings()
        if self.session.sound_start() < 0:
            raise Refused("no-audio-device", "the media loop cannot open this machine's sound device")
        if is_paced:
            self._tasks.start(self._rings)

    async def close(self):
        """Let the core say goodbye, then stop everything and wipe the keys. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self.running = False
        await self._tasks.close()
        if self._has_sound:
            self.session.sound_stop()
            self._empty_speaker()
        if self.port.audio:
            self.port.audio.loop_stop()
        self.session.wipe()

    def now(self):
        return self.port.clock.ticks_us()

    def feed(self, kind, data=b""):
        """One input; the core's result."""
        result = self.session.input(0, kind, data)
        self.drain()
        return result

    def drain(self):
        """Take the events that are there. Inputs given by an event handler are done by the
        thread; what follows from them is taken here, later."""
        if self._draining or not self.running:
            return
        self._draining = True
        session = self.session
        try:
            while self.running:
                kind = session.poll()
                if kind == core.IDLE:
                    break
                fields = session.event(kind)
                if kind == core.STATE and fields == (core.ICE, core.CLOSED, 0):
                    self._on_loop_over()
                self._on_event(kind, fields)
        finally:
            self._draining = False

    def _on_loop_over(self):
        """The loop left the call: for a while nobody here asked for anything."""
        error = Closed("not-connected", "the program stood still for so long that the call was left")
        if self._on_failure is not None:
            self._on_failure(error)

    async def _events(self):
        clock = self.port.clock
        net = self.port.net
        source = self.session.wake_source()
        while self.running:
            try:
                await clock.wait_for_ms(net.wake_wait(source), _HEARTBEAT_MS)
            except asyncio.TimeoutError:
                pass
            self.drain()

    async def _rings(self):
        clock = self.port.clock
        spare = self.port.audio.loop_ring_ms - _RESERVE_MS
        turn_ms = min(_TURN_MAX_MS, max(_TURN_MS, spare))
        while self.running:
            await clock.sleep_ms(turn_ms)
            self._turn_rings()

    def _turn_rings(self):
        # hot: no allocation but the views
        audio = self.port.audio
        if audio.loop_sound == core.LOOP_PACED:
            self._fill_microphone(audio)
        if audio.loop_speaker_sound == core.LOOP_PACED:
            self._empty_speaker()

    def _fill_microphone(self, audio):
        mic = self._mic
        session = self.session
        while True:
            if self._mic_at == len(mic):
                audio.ring_fill(mic)
                self._mic_at = 0
            part = self._mic_view[self._mic_at :] if self._mic_at else mic
            self._mic_at += 2 * max(0, session.mic(part))
            if self._mic_at < len(mic):
                return

    def _empty_speaker(self):
        audio = self.port.audio
        if audio.loop_speaker_sound != core.LOOP_PACED:
            return
        while True:
            n = self.session.speaker(self._speaker)
            if n <= 0:
                return
            audio.ring_heard(self._speaker_view[: 2 * n])
