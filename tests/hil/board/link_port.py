# linnet.port over a serial line, for a board that has no network of its own: datagrams
# and byte streams travel as frames between this file and tests/hil/link.py. Sound stays
# on the board: an emulated serial port hardly carries more than packets.
#
# A frame: F5 4C, kind, u16 length (little-endian), payload. Whatever the board prints
# in between is text. To the board come only frames. Kinds: the table in link.py.

import asyncio
import json
import sys
from asyncio import core as loop_core

from linnet import compat, core
from linnet.compat import const, ticks_diff
from linnet.errors import Closed, Refused, Timeout

_HEAD = const(5)
_FRAME_MAX = const(2048)
_STREAM_MAX = const(1024)
_DATAGRAMS = const(16)


class Link:
    """The frames of one line. `on(kind, handler)`: the handler gets a memoryview, valid during the call."""

    def __init__(self):
        self._out = sys.stdout.buffer
        self._in = sys.stdin.buffer
        self._head = bytearray(_HEAD)
        self._head[0], self._head[1] = 0xF5, 0x4C
        self._incoming = bytearray(_HEAD)
        self._frame = memoryview(bytearray(_FRAME_MAX))
        self._handlers = {}
        self._waiting = {}  # kind -> [Event, answer]
        self.is_broken = False
        self.sent = 0  # frames

    def on(self, kind, handler):
        self._handlers[ord(kind)] = handler

    def send(self, kind, *parts):
        """hot: no allocation but the tuple"""
        self.sent += 1
        n = 0
        for part in parts:
            n += len(part)
        head = self._head
        head[2] = ord(kind)
        head[3] = n & 255
        head[4] = n >> 8
        self._out.write(head)
        for part in parts:
            self._out.write(part)

    async def ask(self, kind, answer_kind, payload, timeout_ms):
        """Send a question and wait for its answer, as bytes."""
        event, key = asyncio.Event(), ord(answer_kind)
        waiting = self._waiting[key] = [event, b""]
        self.send(kind, payload)
        try:
            await asyncio.wait_for_ms(event.wait(), timeout_ms)
        finally:
            self._waiting.pop(key, None)
        return waiting[1]

    async def run(self):
        """Take frames until cancelled."""
        while True:
            yield loop_core._io_queue.queue_read(sys.stdin)
            self._in.readinto(self._incoming)
            head = self._incoming
            n = head[3] | head[4] << 8
            if head[0] != 0xF5 or head[1] != 0x4C or n > _FRAME_MAX:
                self.is_broken = True
                raise Closed("ws-closed", "the serial line lost bytes: a frame does not begin where it should")
            payload = self._frame[:n]
            if n:
                self._in.readinto(payload)
            waiting = self._waiting.get(head[2])
            if waiting is not None:
                waiting[1] = bytes(payload)
                waiting[0].set()
            else:
                handler = self._handlers.get(head[2])
                if handler is not None:
                    handler(payload)


class LinkClock:
    def __init__(self, unix_time):
        self._offset = unix_time - compat.ticks_ms() // 1000

    ticks_us = staticmethod(compat.ticks_us)
    sleep_ms = staticmethod(compat.sleep_ms)
    wait_for_ms = staticmethod(compat.wait_for_ms)

    def unix_time(self):
        return self._offset + compat.ticks_ms() // 1000


class LinkStream:
    def __init__(self, link, number):
        self._link = link
        self._number = bytes((number,))
        self._rest = b""
        self._ended = False
        self._news = asyncio.Event()

    def take(self, data):
        """From the link: bytes, or none of them for the end."""
        if len(data):
            self._rest += bytes(data)
        else:
            self._ended = True
        self._news.set()

    async def read(self, n):
        while not self._rest and not self._ended:
            self._news.clear()
            await self._news.wait()
        data, self._rest = self._rest[:n], self._rest[n:]
        return data

    async def write(self, data):
        if self._ended:
            raise Closed("ws-closed", "the connection has ended")
        for at in range(0, len(data), _STREAM_MAX):
            self._link.send("W", self._number, memoryview(data)[at : at + _STREAM_MAX])

    def close(self):
        if not self._ended:
            self._link.send("X", self._number)
        self._ended = True
        self._news.set()


class LinkNet:
    """linnet.port.Net. There is no TLS on these boards: a wss:// address is refused."""

    def __init__(self, link, address):
        self._link = link
        self._address = bytes(address)
        self._streams = {}
        self._number = 0
        self._listener = None
        self._queue = []  # datagrams that nobody has taken yet: records
        self._to = bytearray(20)
        self.datagrams_lost = 0
        link.on("d", self._on_datagram)
        link.on("r", self._on_stream)

    def local_addresses(self):
        return [self._address]

    async def udp_open(self, family, address=None):
        answer = await self._link.ask("O", "o", bytes((family,)), 5000)
        if not answer:
            raise Refused("host-unreachable", "the rig could not open a datagram socket")
        return core.read_addr(answer)

    def udp_send(self, addr, view):
        core.put_addr(self._to, addr[0], addr[1])
        self._link.send("S", self._to, view)
        return True

    def _on_datagram(self, record):
        if len(self._queue) >= _DATAGRAMS:
            self.datagrams_lost += 1
            return
        self._queue.append(bytes(record))
        if self._listener is not None:
            self._listener()

    def udp_listen(self, callback):
        self._listener = callback
        return True

    def udp_recv_now(self, view):
        if not self._queue:
            return None
        record = self._queue.pop(0)
        n = len(record) - 20
        view[:n] = record[20:]
        return n, core.read_addr(record)

    async def udp_recv_into(self, view):
        raise Closed("not-connected", "this adapter calls whoever listens")

    def udp_close(self):
        self._listener = None
        self._queue = []
        self._link.send("C")

    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        if tls:
            raise Refused("tls-refused", "this board has no TLS: join by ws://")
        self._number = self._number % 255 + 1
        stream = self._streams[self._number] = LinkStream(self._link, self._number)
        head = bytes((self._number, port & 255, port >> 8))
        answer = None
        try:
            answer = await self._link.ask("T", "t", head + host.encode(), timeout_ms)
        except asyncio.TimeoutError:
            stream.close()
        if answer is None:
            raise Timeout("connect-timeout", "%s:%d did not answer within %d ms" % (host, port, timeout_ms))
        if answer:
            raise Refused("host-unreachable", answer.decode())
        if on_step:
            on_step("dns")
            on_step("tcp")
        return stream

    def _on_stream(self, record):
        stream = self._streams.get(record[0])
        if stream is not None:
            stream.take(record[1:])


class BoardAudio:
    """linnet.port.Audio in the board's memory: the microphone says a WAV's samples once speak() was called, the
    speaker is kept for afterwards. Both go by the board's clock, as a codec would."""

    rate = 16000

    def __init__(self, samples, keep_s):
        self._samples = samples  # int16 bytes
        self._at = len(samples)
        self._kept = bytearray(keep_s * self.rate * 2)
        self._turn = None
        self._elapsed = 0  # us since start()
        self._captured = 0  # samples
        self._played = 0
        self.frames_missed = 0  # of the microphone: nobody came for them in time
        self.frames_captured = 0

    def start(self):
        self._turn = compat.ticks_us()

    def stop(self):
        self._turn = None

    def speak(self):
        self._at = 0

    def has_spoken(self):
        return self._at >= len(self._samples)

    def kept(self):
        """What the speaker played, from the first sample on."""
        return memoryview(self._kept)[: 2 * min(self._played, len(self._kept) // 2)]

    def _due(self):
        """Samples that a clock of 16 kHz has made since start()."""
        now = compat.ticks_us()
        self._elapsed += ticks_diff(now, self._turn)
        self._turn = now
        return self._elapsed // 1000 * 16 + self._elapsed % 1000 * 16 // 1000

    def capture_into(self, buf):
        n = len(buf) // 2
        waiting = self._due() - self._captured
        if waiting < n:
            return 0
        if waiting > 16 * n:  # the buffer of a codec holds 320 ms
            lost = waiting // n - 16
            self.frames_missed += lost
            self._captured += lost * n
        self._captured += n
        self.frames_captured += 1
        left = min(2 * n, len(self._samples) - self._at)
        buf[:left] = self._samples[self._at : self._at + left]
        if left < 2 * n:
            buf[left:] = bytes(2 * n - left)
        self._at += left
        return n

    def play(self, buf):
        at = 2 * self._played
        if at + len(buf) <= len(self._kept):
            self._kept[at : at + len(buf)] = buf
        self._played += len(buf) // 2
        return len(buf) // 2

    def play_room(self):
        return max(0, self._due() + self.rate * 40 // 1000 - self._played)


def report_over(link):
    """report(event, **fields) of linnet.device, as frames."""

    def report(event, **fields):
        fields["event"] = event
        text = json.dumps(fields)
        if len(text) > _FRAME_MAX:
            text = json.dumps({"event": event, "too_long": len(text)})
        link.send("E", text.encode())

    return report
