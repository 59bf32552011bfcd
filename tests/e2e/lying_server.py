"""Servers that do not do what they should: a proxy that changes what a real server says, and one that says anything.

    async with LyingProxy(server, change) as proxy: ...connect to proxy.url

`change(name, message)` gets every SignalResponse on its way to the client and gives what is sent instead: the message
(changed or not), bytes or str for a raw frame, None for nothing, a number for a pause in seconds, a list for several.

    async with RawServer(b"HTTP/1.1 404 Not Found\\r\\n...") as raw: ...
"""

import asyncio
import contextlib

import websockets
from livekit.protocol import rtc as proto
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


class LyingProxy:
    def __init__(self, server, change=lambda name, message: message):
        self._target = server.url
        self._change = change
        self._serving = None
        self.heard = []             # names of the client's SignalRequests

    async def __aenter__(self):
        self._serving = await serve(self._relay, "127.0.0.1", 0, compression=None, max_size=None)
        port = self._serving.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_):
        self._serving.close()
        await self._serving.wait_closed()

    async def _relay(self, client):
        headers = {"Authorization": client.request.headers["Authorization"]}
        with contextlib.suppress(websockets.ConnectionClosed, OSError):
            async with connect(self._target + client.request.path, additional_headers=headers, compression=None,
                               max_size=None) as real:
                up = asyncio.ensure_future(self._up(client, real))
                try:
                    await self._down(client, real)
                finally:
                    up.cancel()
                    await asyncio.gather(up, return_exceptions=True)

    async def _up(self, client, real):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for frame in client:
                self.heard.append(proto.SignalRequest.FromString(frame).WhichOneof("message"))
                await real.send(frame)
        await real.close()

    async def _down(self, client, real):
        async for frame in real:
            message = proto.SignalResponse.FromString(frame)
            said = self._change(message.WhichOneof("message"), message)
            for one in said if isinstance(said, list) else [said]:
                if isinstance(one, float):
                    await asyncio.sleep(one)
                elif one is not None:
                    await client.send(one.SerializeToString() if hasattr(one, "SerializeToString") else one)


class RawServer:
    """Answers every connection with the same bytes. `then` what follows: "close", "reset" or "wait"."""

    def __init__(self, answer=b"", then="close"):
        self._answer = answer
        self._then = then
        self._server = None
        self._open = set()
        self.requests = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError):
                head = await reader.read(65536)
                self.requests.append(head.split(b"\r\n")[0])
                writer.write(self._answer)
                await writer.drain()
                if self._then == "wait":
                    await reader.read()
        finally:
            self._open.discard(writer)
            if self._then == "reset":
                writer.transport.abort()
            writer.close()


def http_answer(status, reason, body=b"", *headers):
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", "Content-Type: text/plain", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
