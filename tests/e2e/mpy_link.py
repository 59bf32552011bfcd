"""A MicroPython process and the objects in it, as Python objects here: the test's side of remote_peer.py.

Reading an attribute or calling a function asks the process and waits (a millisecond). What is a coroutine there is
awaited here; functions of a test run here when somebody there calls them. Objects are the same here (`is`) while they
are the same there.
"""

import asyncio
import atexit
import base64
import collections
import json
import os
import select
import socket
import struct
import subprocess
import time
import weakref
from pathlib import Path

from linnet import errors
from tests.micropython_program import FIRMWARE, PROGRAM

REPO = Path(__file__).resolve().parents[2]
HEAP = "16M"            # as much as a test needs: the link itself holds whole messages of the burst
ANSWER_TIMEOUT_S = 20
BUILT_IN = {"ValueError": ValueError, "TypeError": TypeError, "KeyError": KeyError, "RuntimeError": RuntimeError,
            "AttributeError": AttributeError, "CancelledError": asyncio.CancelledError}


class RemoteObject:
    """Something in the process; its attributes are asked for one by one."""

    def __init__(self, link, number, kind):
        finalizer = weakref.finalize(self, link.release, number)
        self.__dict__.update(_link=link, _number=number, _kind=kind, _finalizer=finalizer)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.ask("get", self._number, name)

    def __setattr__(self, name, value):
        self._link.ask("set", self._number, name, self._link.wrap(value))

    def __call__(self, *args, **more):
        return self._link.run(self._number, "", args, more)

    def __repr__(self):
        return self._link.ask("text", self._number)


class Method:
    """A method of something in the process, or a function of a module there."""

    def __init__(self, link, number, name):
        self._link, self._number, self._name = link, number, name
        self._owner = link.known(number)        # lives as long as its methods

    def __call__(self, *args, **more):
        return self._link.run(self._number, self._name, args, more)

    def soon(self, *args, **more):
        """The call of a coroutine function: nothing is waited for before the result is."""
        return self._link.run_soon(self._number, self._name, args, more)


class Link:
    """The connection to one process. `on_frame(kind, ...)` of a peer gets what is not an answer."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(ANSWER_TIMEOUT_S)
        self._nonce = os.urandom(8).hex()
        if not PROGRAM.exists():
            raise FileNotFoundError(f"{PROGRAM} is missing: make micropython")
        port = self._listening.getsockname()[1]
        self.process = subprocess.Popen(
            [PROGRAM, "-X", f"heapsize={HEAP}", REPO / "tests" / "e2e" / "remote_peer.py", FIRMWARE, str(port),
             self._nonce], stdin=subprocess.DEVNULL)
        self._sock = None
        self._in, self._out = bytearray(), bytearray()
        self._answers = {}          # request -> message, for whoever waits in ask()
        self._futures = {}          # request -> Future of a coroutine's result
        self._functions = []        # of the test, by number
        self._known = weakref.WeakValueDictionary()
        self._received = collections.Counter()      # number -> how often it came since it is known
        self._released = []         # (number, how often): what is not known any more
        self._running = {}          # call -> Task of a function of the test
        self._count = 0
        self._loop = None
        self.peers = weakref.WeakValueDictionary()
        self.peers_made = 0

    # --- coming and going ---

    def open(self):
        """Wait for the process. Blocks: it was started a while ago."""
        if self._sock is None:
            self._sock, _ = self._listening.accept()
            self._listening.close()
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.setblocking(False)
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
            while not self._answers:
                self._exchange(deadline)
            assert self._answers.pop("hello") == self._nonce
        self._watch()
        return self

    def _watch(self):
        """Frames are taken as they come while a loop runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._loop is not loop:
            self._loop = loop
            loop.add_reader(self._sock.fileno(), self._on_readable)

    def close(self):
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
        for one in (self._sock, self._listening):
            if one is not None:
                one.close()
        self.process.kill()
        self.process.wait()
        for future in self._futures.values():
            if not future.done():
                future.cancel()

    def _gone(self):
        code = self.process.wait(5)
        raise RuntimeError(f"the MicroPython process ended with {code}: its words are above")

    # --- frames ---

    def send(self, *message):
        self.send_frame(b"J", json.dumps(message, ensure_ascii=False).encode())

    def send_frame(self, kind, body):
        if self._released:
            numbers, self._released = self._released, []
            self.send("release", numbers)
        self._out += struct.pack("<I", len(body) + 1) + kind + body
        self._write()
        if self._out and self._loop is not None:
            self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def _write(self):
        try:
            n = self._sock.send(self._out)
            del self._out[:n]
        except BlockingIOError:
            pass

    def _on_writable(self):
        self._write()
        if not self._out:
            self._loop.remove_writer(self._sock.fileno())

    def _on_readable(self):
        try:
            data = self._sock.recv(1 << 20)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._sock.fileno())
            self._gone()
        self._in += data
        while len(self._in) >= 4:
            n = struct.unpack_from("<I", self._in)[0]
            if len(self._in) < 4 + n:
                return
            frame = bytes(self._in[4:4 + n])
            del self._in[:4 + n]
            if frame[:1] == b"P":
                number, taken, ends_at = struct.unpack_from("<BQQ", frame, 1)
                self._tell(number, "on_sound", frame[18:], taken, ends_at)
            else:
                message = json.loads(frame[1:])
                getattr(self, "_on_" + message[0])(*message[1:])

    def _exchange(self, deadline):
        """One step of a blocking wait."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the MicroPython process does not answer")
        readable, writable, _ = select.select([self._sock], [self._sock] if self._out else [], [], left)
        if writable:
            self._write()
        if readable:
            try:
                data = self._sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return
            if not data:
                self._gone()
            self._on_readable()

    # --- asking ---

    def ask(self, what, *args):
        """Ask, and wait for the answer. Events meanwhile are noted, nobody is called."""
        self._count += 1
        request = self._count
        self._answers[request] = None
        self.send(what, request, *args)
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while self._answers[request] is None:
            self._exchange(deadline)
        how, value = self._answers.pop(request)
        if how == "failed":
            raise value
        if how == "later":
            return self._result(request)
        return value

    def run(self, number, name, args, more):
        return self.ask("run", number, name, self.wrap(args), self.wrap(more))

    def run_soon(self, number, name, args, more):
        self._count += 1
        request = self._count
        self._futures[request] = asyncio.get_running_loop().create_future()
        self.send("run", request, number, name, self.wrap(args), self.wrap(more))
        return self._result(request)

    async def _result(self, request):
        future = self._futures[request]
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.done():
                raise
            self.send("cancel", request)
            await asyncio.wait((future,), timeout=ANSWER_TIMEOUT_S)
            return await future
        finally:
            self._futures.pop(request, None)

    def known(self, number):
        return self._known.get(number)

    def release(self, number):
        self._released.append((number, self._received.pop(number, 0)))

    # --- what the process says ---

    def _on_hello(self, nonce):
        self._answers["hello"] = nonce

    def _settle(self, request, how, value):
        future = self._futures.get(request)
        if future is None:
            if request in self._answers:
                self._answers[request] = how, value
            elif how == "failed" and not isinstance(value, asyncio.CancelledError):
                print("nobody waited for:", repr(value))
        elif how != "later" and not future.done():
            if how == "done":
                future.set_result(value)
            elif isinstance(value, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(value)
                future.exception()      # a test may never look at it

    def _on_done(self, request, value):
        self._settle(request, "done", self.unwrap(value))

    def _on_failed(self, request, value):
        self._settle(request, "failed", self.unwrap(value))

    def _on_later(self, request):
        if request in self._answers:
            # The result may come before whoever asked has a running loop again: so the place for it is made here.
            self._futures[request] = asyncio.get_running_loop().create_future()
            self._answers[request] = "later", None

    def _on_event(self, number, name, arguments, ticks):
        self._tell(number, "on_event", name, self.unwrap(arguments), ticks / 1e6)

    def _on_data(self, number, fields, packet, ticks):
        self._tell(number, "on_data", self.unwrap(fields), self.unwrap(packet), ticks / 1e6)

    def _on_sound(self, number, ticks):
        self._tell(number, "on_sound_state", None if ticks is None else ticks / 1e6)

    def _tell(self, number, what, *args):
        peer = self.peers.get(number)
        if peer is not None:            # the test may have dropped it
            getattr(peer, what)(*args)

    def _on_call(self, call, number, args, more):
        function, args, more = self._functions[number], self.unwrap(args), self.unwrap(more)
        # In its turn, not in the middle of what the test does.
        self._loop.call_soon(lambda: self._running.__setitem__(
            call, self._loop.create_task(self._answer(call, function, args, more))))

    async def _answer(self, call, function, args, more):
        value = error = None
        try:
            value = function(*args, **more)
            if asyncio.iscoroutine(value):
                value = await value
            value = self.wrap(value)
        except asyncio.CancelledError:
            raise
        except Exception as problem:
            value, error = None, _described(problem)
        finally:
            self._running.pop(call, None)
        self.send("answer", call, value, error)

    def _on_forget(self, call):
        task = self._running.get(call)
        if task is not None:
            task.cancel()

    # --- values ---

    def wrap(self, value):
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"b": base64.b64encode(value).decode()}
        if type(value) is list:
            return {"l": [self.wrap(one) for one in value]}
        if type(value) is tuple:
            return {"t": [self.wrap(one) for one in value]}
        if type(value) is dict:
            return {"d": [[self.wrap(key), self.wrap(one)] for key, one in value.items()]}
        if isinstance(value, BaseException):
            return {"x": _described(value)}
        if isinstance(value, RemoteObject):
            if hasattr(type(value), "bring"):
                value.bring(self)
            return {"o": value._number}
        if isinstance(value, Method):
            return {"m": [value._number, value._name]}
        if callable(value):
            if value not in self._functions:
                self._functions.append(value)
            return {"f": self._functions.index(value)}
        raise TypeError(f"a test gives Linnet a {type(value).__name__}")

    def unwrap(self, value):
        if not isinstance(value, dict):
            return value
        (kind, inner), *more = value.items()
        if kind == "b":
            return base64.b64decode(inner)
        if kind == "l":
            return [self.unwrap(one) for one in inner]
        if kind == "t":
            return tuple(self.unwrap(one) for one in inner)
        if kind == "d":
            return {self.unwrap(key): self.unwrap(one) for key, one in inner}
        if kind == "f":
            return self._functions[inner]
        if kind == "m":
            return Method(self, *inner)
        if kind == "x":
            name, *args = inner
            made = getattr(errors, name, None) or BUILT_IN.get(name, RuntimeError)
            return made(*args)
        found = self._known.get(inner)
        self._received[inner] += 1
        if found is None:
            found = self._known[inner] = RemoteObject(self, inner, more[0][1])
        return found

    def adopt(self, thing, number):
        """From now on `thing` is what stands for that number."""
        self._known[number] = thing


def _described(error):
    if hasattr(error, "code") and hasattr(error, "message"):    # RpcError, ours or the wheel's
        return ["RpcError", error.code, error.message, error.data]
    return [type(error).__name__, str(error)]


# --- processes ---

_spare = collections.deque()


def started_link():
    """A Link whose process was started a while ago; the next one is started at once."""
    link = _spare.popleft() if _spare else Link()
    _spare.append(Link())
    return link


@atexit.register
def _end_spare():
    while _spare:
        _spare.popleft().close()
