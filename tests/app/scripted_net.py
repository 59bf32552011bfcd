# A Net whose other side is a script: what a server would answer, piece by
# piece. HANG waits until cancelled; an exception in the script is raised.

import asyncio

from linnet import compat

HANG = object()


class ScriptedStream:
    def __init__(self, script):
        self.script = list(script)
        self.sent = b""
        self.closed = False

    async def read(self, n):
        piece = self.script.pop(0) if self.script else b""
        if piece is HANG:
            await asyncio.Event().wait()
        if isinstance(piece, Exception):
            raise piece
        if len(piece) > n:
            self.script.insert(0, piece[n:])
        return piece[:n]

    async def write(self, data):
        self.sent += bytes(data)

    def close(self):
        self.closed = True


class ScriptedNet:
    """Gives one stream for each script, in order; keeps them in `streams`."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.streams = []
        self.opened = []

    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        self.opened.append((host, port, tls))
        script = self.scripts.pop(0)
        if isinstance(script, Exception):
            raise script
        self.streams.append(ScriptedStream(script))
        return self.streams[-1]


class ScriptedClock:
    """Unix time as the test says. A limit of any length is over after a millisecond, so that
    nobody waits for a server that hangs."""

    def __init__(self, now=0):
        self.now = now

    def unix_time(self):
        return self.now

    async def wait_for_ms(self, coroutine, ms):
        return await compat.wait_for_ms(coroutine, min(ms, 1) if ms < 1000 else 1000)
