# HTTP/1.1 client (RFC 9110, RFC 9112), sans I/O and bounded, and fetch().
#
# Response knows no socket: feed() it bytes, look at `done`. Also the WebSocket
# upgrade is read with it. Not done: pipelining, keep-alive, redirects (they
# are reported), compression, bare LF as a line end, obsolete line folding.
# Every limit is named here; a server that passes one gets Protocol, never RAM.

from . import compat
from .errors import Closed, Protocol, Refused, Timeout
from .log import redact

MAX_HEAD = 16384  # bytes of status line and headers; read as a whole, so this much RAM
MAX_HEADERS = 64  # header lines in one head
MAX_BODY = 65536  # bytes of body, unless the caller says otherwise
MAX_INTERIM = 8  # answers 1xx before the real one
MAX_CHUNK_LINE = 256  # bytes of a chunk-size line with its extensions
MAX_TRAILER = 4096  # bytes of trailer fields: read and dropped

_TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_HEAD, _LENGTH, _UNTIL_CLOSE, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _TRAILER, _DONE = range(8)


def _is_token(text):
    for c in text:
        if c not in _TOKEN:
            return False
    return bool(text)


def _is_field_value(text):
    for c in text:
        if (c < " " and c != "\t") or c == "\x7f":
            return False
    return True


def request(method, url, headers=(), body=None):
    """The bytes of a request for a parsed Url. `headers` are (name, value) pairs; Host and
    Content-Length are added. Refused("bad-argument") if a pair would break the request."""
    lines = ["%s %s HTTP/1.1" % (method, url.target), "Host: " + url.authority]
    for name, value in headers:
        if not _is_token(name):
            raise Refused("bad-argument", "the name of a header holds characters it may not hold")
        if not _is_field_value(value) or [c for c in value if c > "~"]:
            raise Refused("bad-argument", "the value of the header %s cannot be sent" % name)
        lines.append(name + ": " + value)
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    return head + body if body else head


class Response:
    """One answer, read piece by piece.

    `status`, `reason`, `headers` (names in lower case; a repeated one is joined
    with commas) and `body` mean something once `done`. `rest` is what came after
    the end: after a 101 the first bytes of the new protocol. With `cut_body` a
    body over the limit is cut there instead of being an error."""

    def __init__(self, max_body=MAX_BODY, method="GET", cut_body=False):
        self.status = 0
        self.reason = ""
        self.headers = {}
        self._body = bytearray()
        self._max_body = max_body
        self._cut_body = cut_body
        self._no_body = method == "HEAD"
        self._in = b""
        self._at = 0  # how much of _in has been used
        self._state = _HEAD
        self._left = 0  # bytes of body or chunk still to come; of trailers still allowed
        self._interim = 0
        self._looked = 0  # how much of _in is known to hold no end of head

    @property
    def done(self):
        return self._state == _DONE

    @property
    def body(self):
        return bytes(self._body)

    @property
    def rest(self):
        return self._in[self._at :]

    def header(self, name, default=""):
        return self.headers.get(name.lower(), default)

    def text(self, limit=200):
        """The start of the body as one line for a person: printable, no token in it."""
        text = "".join([chr(b) if 32 <= b < 127 else " " for b in self._body[: 4 * limit]])
        return redact(" ".join(text.split()))[:limit]

    def feed(self, data):
        """Take bytes from the server; raises Protocol. b"" says that the stream has ended."""
        if not data:
            return self._feed_end()
        self._in = self._in[self._at :] + data
        self._at = 0
        while self._state != _DONE and self._STEPS[self._state](self):
            pass

    def _feed_end(self):
        if self._state == _UNTIL_CLOSE:
            self._state = _DONE
        elif self._state == _HEAD and not self.rest and not self._interim:
            raise Closed("ws-closed", "the server closed the connection before it answered")
        elif self._state != _DONE:
            raise Protocol("http", "the answer of the server ended in the middle")

    def _take(self, n):
        self._at += n
        return self._in[self._at - n : self._at]

    def _have(self):
        return len(self._in) - self._at

    def _find(self, mark, start):
        at = self._in.find(mark, self._at + start)
        return at - self._at if at >= 0 else -1

    # Each step gives True if it got on and the next one should be tried.

    def _head(self):
        end = self._find(b"\r\n\r\n", max(0, self._looked - 3))
        if end > MAX_HEAD or (end < 0 and self._have() > MAX_HEAD):
            raise Protocol("http-too-large", "the answer's headers are over %d bytes" % MAX_HEAD)
        if end < 0:
            self._looked = self._have()
            self._check_start()
            return False
        lines = _ascii(self._take(end + 4)[:end]).split("\r\n")
        self._looked = 0
        self.status, self.reason = _status_line(lines[0])
        self.headers = _fields(lines[1:])
        if self.status < 200 and self.status != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise Protocol("http", "the server sent more than %d interim answers" % MAX_INTERIM)
            return True
        self._state = self._framing()
        return True

    def _check_start(self):
        # Fail at once if this is no HTTP at all: the other side may wait for us forever.
        start = self._in[self._at : self._at + 5]
        if start != b"HTTP/"[: len(start)]:
            raise Protocol("http", "the server does not speak HTTP")

    def _framing(self):
        # RFC 9112 6.3: how long is the body?
        if self._no_body or self.status in (101, 204, 304):
            return _DONE
        coding = self.headers.get("transfer-encoding")
        length = self.headers.get("content-length")
        if coding is not None:
            if length is not None:
                raise Protocol("http", "the answer has both Content-Length and Transfer-Encoding")
            if coding.lower() != "chunked":
                raise Protocol("http", "the answer has a transfer encoding other than chunked")
            return _CHUNK_SIZE
        if length is None:
            return _UNTIL_CLOSE
        self._left = _content_length(length)
        if self._left > self._max_body and not self._cut_body:
            raise self._too_large()
        return _LENGTH if self._left else _DONE

    def _too_large(self):
        return Protocol("http-too-large", "the answer is over %d bytes" % self._max_body)

    def _keep(self, n):
        """Move n bytes to the body; False if it was cut, and so is complete."""
        room = self._max_body - len(self._body)
        self._body.extend(self._take(n)[:room])
        if n <= room:
            return True
        if not self._cut_body:
            raise self._too_large()
        self._state = _DONE
        return False

    def _length(self):
        n = min(self._left, self._have())
        self._left -= n
        if self._keep(n) and not self._left:
            self._state = _DONE
        return False

    def _until_close(self):
        self._keep(self._have())
        return False

    def _line(self, limit):
        end = self._find(b"\r\n", 0)
        if end > limit or (end < 0 and self._have() > limit + 1):
            raise Protocol("http", "a line inside the chunked answer is too long")
        return None if end < 0 else _ascii(self._take(end + 2)[:end])

    def _chunk_size(self):
        line = self._line(MAX_CHUNK_LINE)
        if line is None:
            return False
        self._left = _chunk_length(line.split(";")[0].rstrip(" \t"))
        self._state = _CHUNK_DATA if self._left else _TRAILER
        if not self._left:
            self._left = MAX_TRAILER
        return True

    def _chunk_data(self):
        n = min(self._left, self._have())
        self._left -= n
        if not self._keep(n):
            return False
        if not self._left:
            self._state = _CHUNK_END
        return not self._left

    def _chunk_end(self):
        if self._have() < 2:
            return False
        if self._take(2) != b"\r\n":
            raise Protocol("http", "a chunk of the answer is longer than it says")
        self._state = _CHUNK_SIZE
        return True

    def _trailer(self):
        line = self._line(self._left)
        if line is None:
            return False
        self._left -= len(line) + 2
        if not line:
            self._state = _DONE
        return bool(line)

    _STEPS = (_head, _length, _until_close, _chunk_size, _chunk_data, _chunk_end, _trailer)


def _ascii(raw):
    # Field values may hold bytes over 127 (RFC 9110 5.5): they become "?" and mean nothing.
    try:
        text = raw.decode()
        if len(text) == len(raw):
            return text
    except UnicodeError:
        pass
    return "".join([chr(b) if b < 128 else "?" for b in raw])


def _digits(text, most):
    for c in text:
        if not "0" <= c <= "9":
            return False
    return 0 < len(text) <= most


def _status_line(line):
    parts = line.split(" ", 2)
    version = parts[0]
    if len(version) != 8 or version[:7] != "HTTP/1." or not _digits(version[7], 1):
        raise Protocol("http", "the server does not speak HTTP/1.1")
    if len(parts) < 2 or len(parts[1]) != 3 or not _digits(parts[1], 3) or parts[1][0] == "0":
        raise Protocol("http", "the answer has no valid status code")
    reason = parts[2] if len(parts) > 2 else ""
    if not _is_field_value(reason):
        raise Protocol("http", "the status line holds control characters")
    return int(parts[1]), reason


def _fields(lines):
    if len(lines) > MAX_HEADERS:
        raise Protocol("http-too-large", "the answer has more than %d headers" % MAX_HEADERS)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _is_token(name):
            raise Protocol("http", "a header of the answer is not well formed")
        value = value.strip(" \t")
        if not _is_field_value(value):
            raise Protocol("http", "a header of the answer holds control characters")
        name = name.lower()
        headers[name] = headers[name] + ", " + value if name in headers else value
    return headers


def _content_length(text):
    # RFC 9112 6.3: the same number repeated is one number.
    values = [v.strip(" \t") for v in text.split(",")]
    if not _digits(values[0], 9) or [v for v in values if v != values[0]]:
        raise Protocol("http", "the Content-Length of the answer is not a number")
    return int(values[0])


def _chunk_length(text):
    if not 0 < len(text) <= 7:
        raise Protocol("http", "a chunk size of the answer is not a number")
    for c in text.lower():
        if c not in "0123456789abcdef":
            raise Protocol("http", "a chunk size of the answer is not a number")
    return int(text, 16)


async def fetch(
    net, method, url, headers=(), body=None, timeout_ms=10000, max_body=MAX_BODY, clock=compat
):
    """Ask `url` (a parsed Url, http or https) over `net` and give the finished Response.

    Redirects are given back like any answer. Raises what Net.stream_open raises,
    Timeout("http-timeout") when the whole takes longer than timeout_ms, Closed or
    Protocol when the answer is none."""
    exchange = _exchange(net, method, url, headers, body, timeout_ms, max_body)
    try:
        return await clock.wait_for_ms(exchange, timeout_ms)
    except compat.TimeoutError:
        error = Timeout("http-timeout", "%s did not answer in %d ms" % (url.host, timeout_ms))
    raise error  # here, so that no exception hangs on to another


async def _exchange(net, method, url, headers, body, timeout_ms, max_body):
    data = request(method, url, tuple(headers) + (("Connection", "close"),), body)
    stream = await net.stream_open(url.host, url.port, url.secure, timeout_ms)
    try:
        await stream.write(data)
        response = Response(max_body, method)
        while not response.done:
            response.feed(await stream.read(4096))
        return response
    finally:
        stream.close()
