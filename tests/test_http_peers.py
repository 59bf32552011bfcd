# Our HTTP client against two that we did not write: http.client reads the same
# bytes, http.server answers over a real loopback socket. Seeded; CPython only.

import asyncio
import http.client
import http.server
import io
import json
import pathlib
import random
import sys
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "firmware"))

from linnet import url  # noqa: E402
from linnet.errors import Closed, LinnetError, Timeout  # noqa: E402
from linnet.http import Response, fetch  # noqa: E402


class FakeSocket:
    def __init__(self, data):
        self.data = data

    def makefile(self, _mode):
        return io.BytesIO(self.data)


def theirs(stream):
    """(status, reason, body) as http.client reads it, or None if it refuses."""
    response = http.client.HTTPResponse(FakeSocket(stream))
    try:
        response.begin()
        return response.status, response.reason, response.read()
    except (http.client.HTTPException, ValueError, OSError):
        return None


def ours(stream, step):
    response = Response()
    try:
        for at in range(0, len(stream), step):
            response.feed(stream[at : at + step])
        if not response.done:
            response.feed(b"")
    except LinnetError as error:
        return error.code
    assert response.done
    return response.status, response.reason, response.body


def an_answer(rnd):
    body = rnd.randbytes(rnd.choice((0, 1, 10, 300)))
    status = rnd.choice((200, 201, 301, 401, 404, 503))
    head = f"HTTP/1.{rnd.randrange(2)} {status} {rnd.choice(('OK', 'Not Here', ''))}\r\n"
    for _ in range(rnd.randrange(4)):
        head += f"X-{rnd.randrange(9)}: {rnd.choice(('a', 'b, c', '', '  d '))}\r\n"
    kind = rnd.randrange(3)
    if kind == 0:
        return (head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    if kind == 1:
        return (head + "\r\n").encode() + body
    chunks = b""
    while body:
        n = rnd.randrange(1, len(body) + 1)
        chunks += b"%x\r\n%s\r\n" % (n, body[:n])
        body = body[n:]
    return (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunks + b"0\r\n\r\n"


def test_good_answers_are_read_as_http_client_reads_them():
    rnd = random.Random(9110)
    for _ in range(1500):
        stream = an_answer(rnd)
        expected = theirs(stream)
        assert expected is not None
        for step in (len(stream), 1, 13):
            assert ours(stream, step) == expected, stream


def test_what_we_accept_of_damaged_answers_means_the_same_to_http_client():
    # The other way round does not hold: http.client is the more lenient of the two.
    rnd = random.Random(9112)
    accepted = refused = 0
    for _ in range(6000):
        data = bytearray(an_answer(rnd))
        for _ in range(rnd.choice((1, 1, 2))):
            at = rnd.randrange(len(data))
            if rnd.random() < 0.5:
                data[at] ^= 1 << rnd.randrange(8)
            else:
                data[at] = rnd.choice(b"\r\n :;,0x\x00\x80")
        stream = bytes(data)
        got = ours(stream, 50)
        if isinstance(got, str):
            refused += 1
            continue
        accepted += 1
        if got[0] in (204, 304):
            continue  # RFC 9112 6.3: no body; http.client reads a chunked one all the same
        expected = theirs(stream)
        assert expected is not None and got[0] == expected[0] and got[2] == expected[2], stream
    assert accepted > 1000 and refused > 1000


# Over a real socket.


class Stream:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def read(self, n):
        return await self.reader.read(n)

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    def close(self):
        self.writer.close()


class Net:
    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        return Stream(*await asyncio.open_connection(host, port))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = {"path": self.path, "body": body.decode(), "host": self.headers["Host"]}
        out = json.dumps(seen).encode()
        self.answer(201, out, ("Content-Length", str(len(out))))

    def do_GET(self):
        if self.path == "/chunked":
            chunks = b"".join(b"%x\r\n%s\r\n" % (n, b"y" * n) for n in range(1, 200))
            self.answer(200, chunks + b"0\r\n\r\n", ("Transfer-Encoding", "chunked"))
        elif self.path == "/close":
            self.close_connection = True
            self.answer(200, b"until the end", ("Connection", "close"))
        elif self.path == "/moved":
            self.answer(302, b"", ("Location", "/chunked"), ("Content-Length", "0"))
        else:
            self.send_error(404)


@pytest.fixture(scope="module")
def base():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(address, method="GET", body=None, **options):
    return asyncio.run(fetch(Net(), method, url.parse(address), (), body, **options))


def test_a_real_server_is_read_in_every_framing(base):
    assert ask(base + "/chunked").body == b"y" * (199 * 200 // 2)
    assert ask(base + "/close").body == b"until the end"
    assert ask(base + "/moved").header("location") == "/chunked"
    missing = ask(base + "/nothing")
    assert missing.status == 404 and "Not Found" in missing.text()


def test_a_real_server_understands_what_we_post(base):
    response = ask(base + "/p?q=%20", "POST", '{"a": "\u017c"}'.encode())
    assert response.status == 201
    seen = json.loads(response.body)
    assert seen == {"path": "/p?q=%20", "body": '{"a": "\u017c"}', "host": base[7:]}


def with_server(behave, **options):
    """fetch() from an asyncio server that does `behave(reader, writer)`."""

    async def scenario():
        async def on_connect(reader, writer):
            try:
                await behave(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await fetch(Net(), "GET", url.parse(f"http://127.0.0.1:{port}/"), **options)
        finally:
            server.close()

    return asyncio.run(scenario())


def test_a_server_that_says_nothing_is_a_timeout():
    async def silent(reader, _writer):
        await reader.read()  # ends when the client has given up

    with pytest.raises(Timeout):
        with_server(silent, timeout_ms=50)


def test_a_server_that_hangs_up_is_closed():
    async def rude(reader, _writer):
        await reader.readuntil(b"\r\n\r\n")

    with pytest.raises(Closed):
        with_server(rude)
