"""The rig's end of the serial line of a board that joins a room: its sockets, and what the test hears of it.

Frames as in board/link_port.py. Kinds, from the board: H hello, O open the datagram socket (u8 family), S send a
datagram (ADDR of linnet.h, payload), C close the socket, T connect a stream (u8 number, u16 port, host), W stream
bytes (u8 number, bytes), X close it, E an event (JSON), P what the speaker played (after the call), B bye. To the
board: o the socket's ADDR (empty: none), d a datagram, t connected (empty) or the reason, r stream bytes (none: the
end), c an order (JSON).
"""

import asyncio
import contextlib
import errno
import ipaddress
import json
import os
import socket
import struct
import time

from tests.hil.faults import RigFault

MAGIC = b"\xf5\x4c"
HEAD = 5
FRAME_MAX = 2048
STREAM_CHUNK = 1024
BACKLOG = 65536  # bytes that wait for the line before streams are read no further
FROM_BOARD = b"HOSCTWXEPB"
OVER = b"\x04>"  # of the raw REPL: the script has ended
BOOT = b"Type \"help()\""


class Frames:
    """Splits what comes from a board into frames and text."""

    def __init__(self):
        self._rest = b""
        self.text = bytearray()

    def feed(self, data):
        """[(kind, payload), ...]; anything that is no frame goes to self.text."""
        data = self._rest + data
        frames, at = [], 0
        while True:
            start = data.find(MAGIC, at)
            if start < 0:
                end = len(data) - 1 if data.endswith(MAGIC[:1]) else len(data)
                self.text += data[at:end]
                at = end
                break
            self.text += data[at:start]
            at = start
            if len(data) - at < HEAD:
                break
            length = data[at + 3] | data[at + 4] << 8
            if data[at + 2] not in FROM_BOARD or length > FRAME_MAX:
                self.text += data[at : at + 2]
                at += 2
                continue
            if len(data) - at < HEAD + length:
                break
            frames.append((chr(data[at + 2]), data[at + HEAD : at + HEAD + length]))
            at += HEAD + length
        self._rest = data[at:]
        return frames


def frame(kind, payload=b""):
    return MAGIC + kind.encode() + struct.pack("<H", len(payload)) + payload


def put_addr(ip, port):
    packed = ipaddress.ip_address(ip).packed
    return bytes((4 if len(packed) == 4 else 6, 0)) + struct.pack("<H", port) + packed.ljust(16, b"\0")


def read_addr(record):
    n = 4 if record[0] == 4 else 16
    return str(ipaddress.ip_address(record[4 : 4 + n])), record[2] | record[3] << 8


class Link:
    """One board on one line (a file descriptor), inside a running loop."""

    def __init__(self, name, fd):
        self._name = name
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._outgoing = bytearray()
        self._drained = asyncio.Event()
        self._udp = None
        self._streams = {}
        self._tasks = set()
        self._news = asyncio.Event()
        self.heard = bytearray()  # int16 at 16 kHz
        self.events = []  # (seconds since the start, {...})
        self.fault = None
        self.is_over = False
        self.greeted = False
        self.unsent = 0
        self.undelivered = 0  # datagrams to the board: the line was full of others
        self.frames = 0  # that came
        self.datagrams = [0, 0]  # to the board, from it
        self.bytes = [0, 0]
        self._started = time.monotonic()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    # --- the line ---

    @property
    def text(self):
        """What the board printed: log lines and tracebacks."""
        return self._frames.text.decode("utf-8", "replace").replace("\r\n", "\n")

    def send(self, kind, payload=b""):
        self.bytes[0] += HEAD + len(payload)
        was_empty = not self._outgoing
        self._outgoing += frame(kind, payload)
        if was_empty:
            self._writable()

    def _writable(self):
        try:
            n = os.write(self._fd, self._outgoing)
        except BlockingIOError:
            n = 0
        except OSError as error:
            return self._broken(f"writing failed: {error.strerror}")
        del self._outgoing[:n]
        if self._outgoing:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)
        if len(self._outgoing) < BACKLOG:
            self._drained.set()
        else:
            self._drained.clear()
        return None

    def _readable(self):
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken("the port is gone" if error.errno == errno.EIO else f"reading failed: {error.strerror}")
            return
        if not data:
            self._broken("the port was closed at the other end")
            return
        self.bytes[1] += len(data)
        for kind, payload in self._frames.feed(data):
            self._take(kind, payload)
        text = self._frames.text
        if OVER in text and not self.is_over:
            words = text[: text.index(OVER)].decode("utf-8", "replace").strip("\x04\r\n ").splitlines()
            self._fail(RigFault("link-broken", f"the program on {self._name} ended in the middle of a call: "
                                f"{words[-1] if words else 'without a word'}", "Read all that it printed"))
        elif BOOT in text and not self.is_over:
            self._fail(RigFault("rebooted", f"the board {self._name} rebooted in the middle of a call",
                                "Look for a crash, a watchdog or its power"))
        self._news.set()

    def _broken(self, why):
        self._fail(RigFault("rebooted", f"the board {self._name} rebooted or died in the middle of a call: {why}",
                            "Look for a crash, a loose cable or its power"))

    def _fail(self, fault):
        self.fault = self.fault or fault
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        self._news.set()

    async def close(self):
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._close_udp()
        for writer in self._streams.values():
            writer.transport.abort()

    # --- waiting ---

    async def wait_until(self, fact, what, timeout_s):
        """The first true value of fact(); the rig's fault, or AssertionError with what had come."""
        end = time.monotonic() + timeout_s
        while not (value := fact()):
            if self.fault:
                raise self.fault
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), max(0.01, end - time.monotonic()))
            except asyncio.TimeoutError:
                names = [event["event"] for _, event in self.events]
                raise AssertionError(f"no {what} from {self._name} within {timeout_s} s; events {names}; "
                                     f"text {self.text[-600:]!r}") from None
        return value

    async def wait_for(self, name, timeout_s=20, **fields):
        """The first event of that name whose fields are these."""
        def found():
            return next((event for _, event in self.events if event["event"] == name
                         and all(event.get(key) == value for key, value in fields.items())), None)
        return await self.wait_until(found, f"event {name}", timeout_s)

    async def order(self, what, **fields):
        self.send("c", json.dumps({"do": what, **fields}).encode())

    async def start(self, url, token, address="127.0.0.1", timeout_s=20):
        await self.wait_until(lambda: self.greeted, "greeting", timeout_s)
        await self.order("start", url=url, token=token, address=list(ipaddress.ip_address(address).packed),
                         unix_time=int(time.time()))

    # --- what the board asks for ---

    def _take(self, kind, payload):
        self.frames += 1
        if kind == "H":
            self.greeted = True
        elif kind == "B":
            self.is_over = True
        elif kind == "E":
            event = json.loads(payload)
            if event["event"] == "figures":
                event["frames_came"] = self.frames - 1  # the board counted before it told
            self.events.append((time.monotonic() - self._started, event))
        elif kind == "P":
            self.heard += payload
        elif kind == "S":
            self._send_datagram(payload)
        elif kind == "O":
            self._open_udp(payload[0])
        elif kind == "C":
            self._close_udp()
        elif kind == "T":
            self._spawn(self._connect(payload[0], payload[1] | payload[2] << 8, payload[3:].decode()))
        elif kind == "W":
            writer = self._streams.get(payload[0])
            if writer:
                writer.write(payload[1:])
        elif kind == "X":
            writer = self._streams.pop(payload[0], None)
            if writer:
                writer.transport.abort()

    def _spawn(self, coroutine):
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _open_udp(self, family):
        self._close_udp()
        self._udp = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        try:
            self._udp.bind(("127.0.0.1" if family == 4 else "::1", 0))
        except OSError:
            self._close_udp()
            self.send("o")
            return
        self._loop.add_reader(self._udp.fileno(), self._receive)
        self.send("o", put_addr(*self._udp.getsockname()[:2]))

    def _close_udp(self):
        if self._udp is not None:
            self._loop.remove_reader(self._udp.fileno())
            self._udp.close()
            self._udp = None

    def _send_datagram(self, record):
        self.datagrams[1] += 1
        if self._udp is not None:
            try:
                self._udp.sendto(record[20:], read_addr(record))
            except OSError:
                self.unsent += 1

    def _receive(self):
        while True:
            try:
                data, source = self._udp.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            if len(data) + 20 <= FRAME_MAX and len(self._outgoing) < BACKLOG:
                self.datagrams[0] += 1
                self.send("d", put_addr(*source[:2]) + data)
            else:
                self.undelivered += 1

    async def _connect(self, number, port, host):
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            self.send("t", f"{host}:{port} cannot be reached: {error.strerror or error}".encode())
            return
        self._streams[number] = writer
        self.send("t")
        with contextlib.suppress(OSError):
            while data := await reader.read(STREAM_CHUNK):
                self.send("r", bytes((number,)) + data)
                await self._drained.wait()
        self.send("r", bytes((number,)))
