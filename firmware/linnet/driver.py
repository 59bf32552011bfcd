# Steps the core from Python: one input, then drain until it is idle.
#
# The driver of tests and of the smallest ports; a device that must not hear a
# garbage collection uses the native media loop instead. It owns the core
# session, the datagram socket and the sound device of one call, and nothing
# else: what an event means is decided by who gave `on_event`.

import asyncio

from . import core
from .compat import const, ticks_add, ticks_diff
from .errors import Closed
from .log import DEBUG, log
from .port import by_family
from .tasks import Tasks

_DATAGRAM_MAX = const(1500)
_IDLE_MS = const(1000)


class Driver:
    """`on_event(kind, fields)` gets every output of the core that is no datagram, and
    `on_failure(error)` the exception that ended one of the driver's own loops."""

    def __init__(self, port, session, on_event, on_failure=None, frame_ms=20):
        self.port = port
        self.session = session
        self._on_event = on_event
        self._closed = False
        self._draining = False
        self._tasks = Tasks("driver", on_failure)
        self._poke = asyncio.Event()
        self._deadline = 0
        self._armed = False  # the timer task sleeps until _deadline
        self._datagram = bytearray(20 + _DATAGRAM_MAX)
        self._view = memoryview(self._datagram)
        self._payload = self._view[20:]
        self._to_record = bytearray(20)
        self._to = None
        self._frame_ms = frame_ms
        audio = port.audio
        samples = audio.rate * frame_ms // 1000 if audio else 0
        self._mic = bytearray(samples * 2)
        self._speaker = bytearray(samples * 2)
        self.frames_late = 0  # audio turns that came more than a frame late
        self.unsent = 0  # datagrams that the socket did not take
        self.running = False

    async def open(self):
        """Open the socket and give the core its host candidates."""
        net = self.port.net
        for family, addresses in by_family(net.local_addresses()):
            _, number = await net.udp_open(family)
            if self._closed:  # meanwhile
                net.udp_close()
                raise Closed("not-connected", "the room was left meanwhile")
            for ip in addresses:
                self.session.add_local_candidate(self.now(), ip, number)
        self.running = True
        if not net.udp_listen(self._on_readable):
            self._tasks.start(self._receive)
        self._tasks.start(self._timer)
        self.drain()

    def start_audio(self):
        """Open the sound device and begin to move samples. Raises Refused("no-audio-device")."""
        self.port.audio.start()
        self._tasks.start(self._sound)

    async def close(self):
        """Let the core say goodbye, then stop everything and wipe the keys. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self.running:
            self.session.close(self.now())
            self.drain()
        self.running = False
        await self._tasks.close()
        self.port.net.udp_close()
        if self.port.audio:
            self.port.audio.stop()
        self.session.wipe()

    def now(self):
        return self.port.clock.ticks_us()

    def feed(self, kind, data=b""):
        """One input and its drain; the core's result."""
        result = self.session.input(self.now(), kind, data)
        self.drain()
        return result

    def drain(self):
        """Take outputs until the core is idle. Inputs given by an event handler are taken
        in the same loop, not in a loop of their own."""
        if self._draining:
            return
        self._draining = True
        session = self.session
        try:
            while True:
                kind = session.poll()
                if kind == core.DATAGRAM:
                    self._send(session.body_len())
                elif kind == core.IDLE:
                    break
                else:
                    self._on_event(kind, session.event(kind))
        finally:
            self._draining = False
        self._arm(session.deadline())

    def _send(self, length):
        # hot: the destination tuple is made once per peer address
        body = self.session.body
        record = self._to_record
        if self._to is None or body[0:20] != record:
            record[:] = body[0:20]
            self._to = core.read_addr(record)
        if not self.port.net.udp_send(self._to, body[20:length]):
            self.unsent += 1

    def _arm(self, deadline):
        if self._armed and ticks_diff(deadline, self._deadline) >= 0:
            return
        self._deadline = deadline
        self._poke.set()

    def _on_readable(self):
        while self.running:
            received = self.port.net.udp_recv_now(self._payload)
            if received is None:
                return
            self._take(received)

    async def _receive(self):
        while self.running:
            try:
                self._take(await self.port.net.udp_recv_into(self._payload))
            except Closed:
                return

    def _take(self, received):
        n, (ip, number) = received
        core.put_addr(self._datagram, ip, number)
        self.feed(core.IN_DATAGRAM, self._view[: 20 + n])

    async def _timer(self):
        clock = self.port.clock
        while self.running:
            self._armed = True
            wait_us = ticks_diff(self._deadline, clock.ticks_us())
            if wait_us > 0:
                self._poke.clear()
                try:
                    # Rounded up: a turn too early would be idle and come back at once.
                    await clock.wait_for_ms(
                        self._poke.wait(), min((wait_us + 999) // 1000, _IDLE_MS)
                    )
                except asyncio.TimeoutError:
                    pass
            else:
                await clock.sleep_ms(0)
            self._armed = False
            if self.running and ticks_diff(self._deadline, clock.ticks_us()) <= 0:
                self.feed(core.IN_TIME)

    async def _sound(self):
        audio = self.port.audio
        clock = self.port.clock
        period = self._frame_ms * 1000
        turn = clock.ticks_us()
        while self.running:
            self._sound_turn(audio)
            turn = ticks_add(turn, period)
            wait_us = ticks_diff(turn, clock.ticks_us())
            if wait_us < -period:
                self.frames_late += 1
                log(DEBUG, "driver", "audio turn late by", -wait_us, "us")
                turn = clock.ticks_us()
            await clock.sleep_ms(max(0, wait_us // 1000))

    def _sound_turn(self, audio):
        # hot: no allocation
        session = self.session
        while audio.capture_into(self._mic):
            session.pcm_push(self._mic)
            self.feed(core.IN_TIME)
        while audio.play_room() >= len(self._speaker) // 2:
            session.pcm_pull(self._speaker)
            audio.play(self._speaker)
