# Linnet on MicroPython for the end-to-end tests: does what micropython_peer.py asks for over a TCP connection.
#
#     micropython tests/e2e/remote_peer.py FIRMWARE_FOLDER PORT NONCE
#
# Both ways frames: u32 length, one byte of kind, body. "J": a JSON list, first what it is. "P": samples, after the
# number of the peer. Objects stay here and have a number there; attributes, calls and results go one by one, so the
# tests use the same Room with the same words. Events go at once, with the time they happened.

import sys

sys.path.insert(0, sys.argv[1])

import asyncio  # noqa: E402
import binascii  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import socket  # noqa: E402
import struct  # noqa: E402
import time  # noqa: E402
from asyncio import core as scheduler  # noqa: E402

from linnet import core, errors  # noqa: E402
from linnet.compat import iscoroutine  # noqa: E402
from linnet.log import Secret  # noqa: E402
from linnet.port import Port  # noqa: E402
from linnet.room import Room, RoomOptions  # noqa: E402
from linnet.track import LocalAudioTrack  # noqa: E402
from port_mpy import MpyClock, MpyNet  # noqa: E402
from port_udp import readable  # noqa: E402
from port_unix import UnixMachine  # noqa: E402

RING_MS = 250
BUILT_IN = {"ValueError": ValueError, "TypeError": TypeError, "KeyError": KeyError, "RuntimeError": RuntimeError,
            "AssertionError": AssertionError}


class LinkAudio:
    """linnet.port.LoopAudio: a microphone that hears what the test sends, a speaker that the test hears."""

    loop_sound = loop_speaker_sound = core.LOOP_PACED
    loop_ring_ms = RING_MS
    loop_ahead_ms = 0

    def __init__(self, link, number, rate):
        self.rate = rate
        self._link = link
        self._number = number
        self._to_say = bytearray()
        self._filled = 0  # samples given to the ring since the call began
        self._ends_at = 0  # the one after the last that was no filling silence
        self._taken = 0  # samples of what was queued
        self._loop = None

    def queue(self, pcm):
        self._to_say.extend(pcm)

    def loop_start(self, loop):
        self._loop = loop
        self._filled = self._ends_at = 0
        self._link.send(["sound", self._number, time.ticks_us()])

    def loop_stop(self):
        self._loop = None
        self._link.send(["sound", self._number, None])

    def ring_fill(self, buf):
        n = min(len(buf), len(self._to_say))
        if n:
            buf[:n] = self._to_say[:n]
            self._to_say = self._to_say[n:]
            self._taken += n // 2
            self._ends_at = self._filled + n // 2
        if n < len(buf):
            buf[n:] = bytes(len(buf) - n)
        self._filled += len(buf) // 2

    def ring_heard(self, buf):
        head = struct.pack("<BQQ", self._number, self._taken, self._ends_at)
        self._link.send_frame(b"P", head + buf)

    def starved(self):
        return self._loop.loop_stats()["speaker_starved"] if self._loop else 0


class FarNet(MpyNet):
    """A path on which datagrams take so long to the server. Only the Python driver sends through it."""

    def __init__(self, machine, one_way_s):
        super().__init__(machine)
        self._one_way_ms = int(1000 * one_way_s)

    def udp_send(self, addr, view):
        asyncio.create_task(self._send_later(addr, bytes(view)))
        return True

    async def _send_later(self, addr, data):
        await asyncio.sleep_ms(self._one_way_ms)
        super().udp_send(addr, data)


class Peer:
    """What the test drives: its room, network and sound. Every event of the room is told."""

    def __init__(self, link, number, rate, ca_file, addresses, one_way_s, events):
        self.audio = LinkAudio(link, number, rate) if rate else None
        machine = UnixMachine(ca_file, addresses)
        self.net = FarNet(machine, one_way_s) if one_way_s else MpyNet(machine)
        self.room = Room(Port(self.net, MpyClock(), self.audio, media_loop=not one_way_s))
        self._link = link
        self._number = number
        for name in events:
            self.room.on(name, self._note(name))
        self.room.on("data_received", self._on_data)

    def _on_data(self, packet):
        who = packet.participant.identity if packet.participant else None
        fields = self._link.wrap((packet.data, packet.topic, who, packet.kind == 1))
        self._link.send(["data", self._number, fields, self._link.wrap(packet), time.ticks_us()])

    def _note(self, name):
        def note(*arguments):
            self._link.send(["event", self._number, name, self._link.wrap(arguments), time.ticks_us()])

        return note

    def knows_no_time(self):
        self.room.port.clock.unix_time = lambda: 0

    async def send(self, data, reliable, destinations, topic):
        await self.room.local_participant.publish_data(data, reliable, destinations, topic)

    async def send_all(self, data, count):
        """The same packet many times at once; how each ended."""
        sending = [self.room.local_participant.publish_data(data) for _ in range(count)]
        return await asyncio.gather(*sending, return_exceptions=True)

    async def join(self, url, token, tracks, options):
        await self.room.connect(url, token, RoomOptions(tracks=tracks, **options))


class Waiting:
    """What a function of the test will answer."""

    def __init__(self):
        self._event = asyncio.Event()
        self._value = self._error = None

    def end(self, value=None, error=None):
        self._value, self._error = value, error
        self._event.set()

    async def wait(self, link, number):
        try:
            await self._event.wait()
        except asyncio.CancelledError:
            link.send(["forget", number])
            raise
        if self._error is not None:
            raise self._error
        return self._value


class Link:
    def __init__(self, sock):
        self._sock = sock
        self._objects = {}  # number -> object
        self._told = {}  # number -> how often the test was told it
        self._numbers = {}  # id of an object -> its number
        self._functions = {}  # number there -> function here that calls it
        self._function_numbers = {}  # and back, by id
        self._calls = {}  # number -> Waiting
        self._new = set()  # numbers of requests whose task has not run yet
        self._tasks = {}  # number of a request -> task that works for it
        self._count = 0
        self.watched = []  # every task that asyncio was asked for
        self.watched_before = 100

    # --- frames ---

    def send(self, message):
        self.send_frame(b"J", json.dumps(message).encode())

    def send_frame(self, kind, body):
        self._sock.write(struct.pack("<I", len(body) + 1) + kind + body)

    async def serve(self):
        buffer = b""
        while True:
            await readable(self._sock)
            data = self._sock.recv(16384)
            if not data:
                return
            buffer += data
            at = 0
            while len(buffer) - at >= 4:
                n = struct.unpack_from("<I", buffer, at)[0]
                if len(buffer) - at - 4 < n:
                    break
                self._take(buffer[at + 4 : at + 5], buffer[at + 5 : at + 4 + n])
                at += 4 + n
            buffer = buffer[at:]

    def _take(self, kind, body):
        if kind == b"P":
            self._objects[struct.unpack_from("<I", body)[0]].queue(body[4:])
            return
        message = json.loads(body)
        try:
            getattr(self, "do_" + message[0])(*message[1:])
        except Exception as error:
            if message[0] not in ("release", "answer", "cancel"):
                self.send(["failed", message[1], self.wrap(error)])
            else:
                raise

    # --- values ---

    def wrap(self, value):
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"b": binascii.b2a_base64(value).decode().strip()}
        if type(value) is list:
            return {"l": [self.wrap(one) for one in value]}
        if type(value) is tuple:
            return {"t": [self.wrap(one) for one in value]}
        if type(value) is dict:
            return {"d": [[self.wrap(key), self.wrap(one)] for key, one in value.items()]}
        if isinstance(value, BaseException):
            return {"x": _described(value)}
        if id(value) in self._function_numbers:
            return {"f": self._function_numbers[id(value)]}
        return {"o": self.number_of(value), "c": type(value).__name__}

    def number_of(self, value):
        number = self._numbers.get(id(value))
        if number is None:
            self._count += 1
            number = self._numbers[id(value)] = self._count
            self._objects[number] = value
            self._told[number] = 0
        self._told[number] += 1
        return number

    def unwrap(self, value):
        if not isinstance(value, dict):
            return value
        for kind, inner in value.items():
            if kind == "b":
                return binascii.a2b_base64(inner)
            if kind == "l":
                return [self.unwrap(one) for one in inner]
            if kind == "t":
                return tuple([self.unwrap(one) for one in inner])
            if kind == "d":
                return {self.unwrap(key): self.unwrap(one) for key, one in inner}
            if kind == "o":
                return self._objects[inner]
            if kind == "m":
                return getattr(self._objects[inner[0]], inner[1])
            if kind == "f":
                return self._function(inner)
            if kind == "x":
                return _made(inner)

    def _function(self, number):
        function = self._functions.get(number)
        if function is None:

            def function(*args, **more):
                self._count += 1
                call = self._count
                waiting = self._calls[call] = Waiting()
                self.send(["call", call, number, self.wrap(args), self.wrap(more)])
                return waiting.wait(self, call)

            self._functions[number] = function
            self._function_numbers[id(function)] = number
        return function

    # --- what the test asks for ---

    def do_peer(self, request, number, rate, ca_file, addresses, one_way_s, events):
        peer = Peer(self, number, rate, ca_file, self.unwrap(addresses), one_way_s, events)
        self.send(["done", request, self.wrap(peer)])

    def do_track(self, request, name, muted):
        track = LocalAudioTrack(name)
        if muted:
            track.mute()
        self.send(["done", request, self.wrap(track)])

    def do_get(self, request, number, name):
        value = getattr(self._objects[number], name)
        if callable(value) and not isinstance(value, type) and type(value).__name__ in ("bound_method", "function"):
            self.send(["done", request, {"m": [number, name]}])
        else:
            self.send(["done", request, self.wrap(value)])

    def do_set(self, request, number, name, value):
        target = self._objects[number]
        if isinstance(value, dict) and value.get("m") == [number, name]:
            delattr(target, name)  # its own method again
        else:
            setattr(target, name, self.unwrap(value))
        self.send(["done", request, None])

    def do_module(self, request, module, name, value):
        """Change a constant of a module; its old value."""
        __import__(module)
        old = getattr(sys.modules[module], name)
        setattr(sys.modules[module], name, self.unwrap(value))
        self.send(["done", request, self.wrap(old)])

    def do_text(self, request, number):
        self.send(["done", request, repr(self._objects[number])])

    def do_run(self, request, number, name, args, more):
        target = self._objects[number]
        result = (getattr(target, name) if name else target)(*self.unwrap(args), **self.unwrap(more))
        if iscoroutine(result):
            self._new.add(request)
            self._tasks[request] = asyncio.create_task(self._work(request, result))
            self.send(["later", request])
        else:
            self.send(["done", request, self.wrap(result)])

    async def _work(self, request, coroutine):
        self._new.discard(request)
        try:
            self.send(["done", request, self.wrap(await coroutine)])
        except BaseException as error:
            self.send(["failed", request, self.wrap(error)])
        finally:
            del self._tasks[request]

    def do_cancel(self, request):
        task = self._tasks.get(request)
        if task is not None:
            task.cancel()
        if request in self._new:  # it will never begin
            self._new.discard(request)
            del self._tasks[request]
            self.send(["failed", request, self.wrap(asyncio.CancelledError())])

    def do_answer(self, call, value, error):
        waiting = self._calls.pop(call, None)
        if waiting is not None:
            waiting.end(self.unwrap(value), _made(error) if error else None)

    def do_release(self, numbers):
        for number, times in numbers:
            self._told[number] -= times
            if self._told[number] == 0:
                del self._told[number]
                del self._numbers[id(self._objects.pop(number))]

    def do_state(self, request):
        """Tasks under way but this link's own, and bytes of the heap in use."""
        self.watched = [task for task in self.watched if not task.done()]
        own = len(self._tasks) + 1
        gc.collect()
        gc.collect()
        self.send(["done", request, self.wrap((len(self.watched) - own, gc.mem_alloc()))])

    def do_reveal(self, request, number):
        secret = self._objects[number]
        assert isinstance(secret, Secret)
        self.send(["done", request, secret.reveal()])


def _described(error):
    name = type(error).__name__
    if isinstance(error, errors.RpcError):
        return [name, error.code, error.message, error.data]
    if isinstance(error, errors.LinnetError):
        return [name, error.code, error.cause, error.cure]
    return [name, str(error)]


def _made(described):
    name = described[0]
    if hasattr(errors, name):
        return getattr(errors, name)(*described[1:])
    return BUILT_IN.get(name, Exception)(*described[1:])


def watch_tasks(link):
    """asyncio on MicroPython keeps no list of its tasks."""
    create = scheduler.create_task

    def create_and_note(coroutine):
        task = create(coroutine)
        if len(link.watched) > link.watched_before:
            link.watched = [one for one in link.watched if not one.done()]
            link.watched_before = 2 * len(link.watched) + 100
        link.watched.append(task)
        return task

    scheduler.create_task = asyncio.create_task = create_and_note


def main():
    sock = socket.socket()
    sock.connect(socket.getaddrinfo("127.0.0.1", int(sys.argv[2]))[0][-1])
    sock.setsockopt(6, 1, 1)  # TCP_NODELAY
    link = Link(sock)
    watch_tasks(link)
    link.send(["hello", sys.argv[3]])
    asyncio.run(link.serve())


main()
