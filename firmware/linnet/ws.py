# WebSocket client (RFC 6455), sans I/O and bounded.
#
# The law: give feed() what came from the server, then call next_event() until
# it gives None; send what take() gives whenever it is not empty, before closing
# too. Invariants: no byte of a message reaches the caller before the accept key
# was right; no more than max_message bytes are kept; after an error or a close
# frame nothing more is read. Not done: extensions, subprotocols, the server side.

from . import compat
from .errors import Closed, Protocol, Refused
from .http import Response, request
from .utf8 import Utf8, is_utf8

MAX_MESSAGE = 262144  # bytes of one message, all its fragments together
MAX_REJECTION = 4096  # bytes kept of the body of an answer other than 101
MAX_PONGS = 16  # pongs waiting to be sent; the oldest is given up (RFC 6455 5.5.3)
FIRST_BUFFER = 4096  # bytes reserved at first and kept between messages
MASK_PIECE = 1024  # bytes masked at once: what masking needs as working memory

OPEN, REJECTED, TEXT, BINARY, PING, PONG, CLOSE = range(7)  # kinds of events

_CONNECTING, _OPEN, _CLOSING, _CLOSED = range(4)

_CONT, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# What a peer may say in a close frame (RFC 6455 7.4, IANA): others are errors.
_CLOSE_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)


def accept_key(key):
    """What a server answers to the Sec-WebSocket-Key `key` (RFC 6455 4.2.2)."""
    return compat.b64encode(compat.sha1(key.encode() + _GUID))


def mask_into(out, at, data, mask):
    """Write `data` XORed with the 4 bytes of `mask` to out[at:]. Whole numbers do the work,
    so that no interpreter has to loop over bytes."""
    pattern = mask * ((min(len(data), MASK_PIECE) + 3) // 4)
    for start in range(0, len(data), MASK_PIECE):
        piece = data[start : start + MASK_PIECE]
        n = len(piece)
        number = int.from_bytes(piece, "little") ^ int.from_bytes(pattern[:n], "little")
        out[at + start : at + start + n] = number.to_bytes(n, "little")


def frame(opcode, payload, mask, fin=True):
    """One masked client frame (RFC 6455 5.2)."""
    n = len(payload)
    if n < 126:
        head = bytes((0x80 * fin | opcode, 0x80 | n))
    elif n < 65536:
        head = bytes((0x80 * fin | opcode, 0x80 | 126)) + n.to_bytes(2, "big")
    else:
        head = bytes((0x80 * fin | opcode, 0x80 | 127)) + n.to_bytes(8, "big")
    out = bytearray(len(head) + 4 + n)
    out[: len(head)] = head
    out[len(head) : len(head) + 4] = mask
    mask_into(out, len(head) + 4, payload, mask)
    return out


class WebSocket:
    """The client's end of one connection to `url` (a parsed Url). `headers` are more
    (name, value) pairs for the upgrade request, which take() has at once.

    next_event() gives None or (kind, value):
      OPEN      the Response 101     REJECTED  any other Response, its body cut
      TEXT      a str                BINARY    bytes
      PING      bytes (answered)     PONG      bytes
      CLOSE     (code, reason): the connection is over, close the stream. Code 1005
                means that the server gave none, 1006 that the stream just ended.
    It raises Protocol if the server breaks the protocol or passes a limit, Closed
    if the stream ends before there is an answer: take() once more, then close."""

    def __init__(self, url, headers=(), max_message=MAX_MESSAGE, rand=compat.rand_bytes):
        self._rand = rand
        self._max = max_message
        self._state = _CONNECTING
        self._out = []
        self._pongs = []
        self.pongs_dropped = 0
        self._key = compat.b64encode(rand(16))
        self._response = Response(MAX_REJECTION, cut_body=True)
        self._in = b""  # what feed() brought; used up to _at
        self._at = 0
        self._ended = False
        self._message = bytearray(FIRST_BUFFER)
        self._control = bytearray(125)
        self._kind = 0  # opcode of the message being received, 0 between messages
        self._kept = 0  # bytes of it in _message
        self._utf8 = None
        self._opcode = -1  # of the frame being received, -1 between frames
        self._fin = False
        self._size = 0  # payload bytes of this frame
        self._got = 0  # of these, already stored
        upgrade = (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._key),
            ("Sec-WebSocket-Version", "13"),
        )
        self._out.append(request("GET", url, upgrade + tuple(headers)))

    # What the application says.

    @property
    def is_open(self):
        return self._state == _OPEN

    def send_binary(self, data):
        """Send bytes as one message."""
        self._send(_BINARY, data)

    def send_text(self, text):
        """Send a str as one message."""
        self._send(_TEXT, text.encode())

    def ping(self, payload=b""):
        """Ask for a sign of life with up to 125 bytes."""
        if len(payload) > 125:
            raise Refused("bad-argument", "a ping carries at most 125 bytes")
        self._send(_PING, payload)

    def close(self, code=1000, reason=""):
        """Start the closing handshake; a CLOSE event ends it. Does nothing the second time."""
        if self._state == _OPEN:
            payload = code.to_bytes(2, "big") + reason.encode()
            if len(payload) > 125 or not _may_close_with(code):
                raise Refused("bad-argument", "this close code or reason cannot be sent")
            self._send(_CLOSE, payload)
            self._state = _CLOSING
        elif self._state == _CONNECTING:
            self._state = _CLOSED
            self._out = []

    def _send(self, opcode, payload):
        if self._state != _OPEN:
            raise Closed("ws-closed", "the WebSocket is not open")
        self._out.append(frame(opcode, payload, self._rand(4)))

    def take(self):
        """The bytes to send now, b"" if there are none. Frames leave in the order they were
        made; pongs go first."""
        frames = [frame(_PONG, payload, self._rand(4)) for payload in self._pongs]
        out = b"".join(frames + self._out)
        self._out = []
        self._pongs = []
        return out

    # What the server says.

    def feed(self, data):
        """Take bytes from the server; b"" says that the stream has ended."""
        if self._state == _CLOSED:
            return
        if not data:
            self._ended = True
        elif self._at == len(self._in):
            self._in = data
            self._at = 0
        else:
            self._in = bytes(self._in[self._at :]) + data
            self._at = 0

    def next_event(self):
        """The next event, or None when all bytes have been used."""
        if self._state == _CLOSED:
            return None
        try:
            event = self._upgrade() if self._state == _CONNECTING else self._frames()
        except (Protocol, Closed):
            self._state = _CLOSED
            raise
        if event is None and self._ended and self._state != _CLOSED:
            self._state = _CLOSED
            return (CLOSE, (1006, ""))
        return event

    def _upgrade(self):
        response = self._response
        if self._at < len(self._in):
            response.feed(bytes(self._in[self._at :]))
            self._at = len(self._in)
        if self._ended and not response.done:
            response.feed(b"")
        if not response.done:
            return None
        if response.status != 101:
            self._state = _CLOSED
            return (REJECTED, response)
        self._check_upgrade(response)
        self._in = response.rest
        self._at = 0
        self._state = _OPEN
        return (OPEN, response)

    def _check_upgrade(self, response):
        # RFC 6455 4.1: each of these fails the connection.
        connection = [v.strip().lower() for v in response.header("connection").split(",")]
        if response.header("upgrade").lower() != "websocket" or "upgrade" not in connection:
            raise Protocol("ws", "the server's 101 is no upgrade to WebSocket")
        if response.header("sec-websocket-accept") != accept_key(self._key):
            raise Protocol("ws", "the server's WebSocket accept key is wrong")
        for name in ("sec-websocket-extensions", "sec-websocket-protocol"):
            if response.header(name):
                raise Protocol("ws", "the server answered a %s that nobody asked for" % name)

    def _frames(self):
        while True:
            if self._opcode < 0 and not self._frame_head():
                return None
            if not self._frame_payload():
                return None
            event = self._frame_end()
            if event is not None:
                return event

    def _fail(self, code, said, name="ws"):
        """The error for the caller, with the close frame for the server in take()."""
        if self._state == _OPEN:
            self._out.append(frame(_CLOSE, code.to_bytes(2, "big"), self._rand(4)))
        self._pongs = []
        return Protocol(name, said)

    def _frame_head(self):
        data = self._in
        at = self._at
        have = len(data) - at
        if have < 2:
            return False
        opcode = data[at] & 15
        size = data[at + 1] & 127
        self._check_head(data[at], opcode, data[at + 1])
        wide = 0 if size < 126 else 2 if size == 126 else 8
        if have < 2 + wide:
            return False
        if wide:
            size = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
            if size < (126 if wide == 2 else 65536) or size >> 63:
                raise self._fail(1002, "the server sent a length in the wrong form")
        if opcode < 8 and self._kept + size > self._max:
            said = "the server sent a message over %d bytes" % self._max
            raise self._fail(1009, said, "ws-too-large")
        self._at = at + 2 + wide
        self._fin = data[at] >= 128
        self._opcode = opcode
        self._size = size
        self._got = 0
        return True

    def _check_head(self, first, opcode, second):
        if first & 0x70:
            raise self._fail(1002, "the server set a reserved bit")
        if second & 0x80:
            raise self._fail(1002, "the server sent a masked frame")
        if opcode >= 8:
            if opcode > _PONG or first < 128 or second > 125:
                raise self._fail(1002, "the server sent a control frame that is not allowed")
        elif opcode > _BINARY or (opcode == _CONT) != (self._kind != 0):
            raise self._fail(1002, "the server sent a data frame out of order")

    def _frame_payload(self):
        n = min(self._size - self._got, len(self._in) - self._at)
        piece = self._in[self._at : self._at + n]
        if self._opcode >= 8:
            self._control[self._got : self._got + n] = piece
        else:
            self._kind = self._opcode or self._kind
            if self._kind == _TEXT:
                self._utf8 = self._utf8 or Utf8()
                if not self._utf8.feed(piece):
                    raise self._fail(1007, "the server sent text that is not UTF-8")
            self._reserve(self._kept + n)
            self._message[self._kept : self._kept + n] = piece
            self._kept += n
        self._at += n
        self._got += n
        return self._got == self._size

    def _reserve(self, size):
        # Twice as much each time, so that a long message is not copied for each piece of it.
        if size > len(self._message):
            larger = bytearray(min(max(size, 2 * len(self._message)), max(size, self._max)))
            larger[: self._kept] = memoryview(self._message)[: self._kept]
            self._message = larger

    def _frame_end(self):
        opcode = self._opcode
        self._opcode = -1
        if opcode < 8:
            return self._message_end() if self._fin else None
        payload = bytes(memoryview(self._control)[: self._size])
        if opcode == _CLOSE:
            return self._close_received(payload)
        if opcode == _PONG:
            return (PONG, payload)
        if self._state == _OPEN:
            if len(self._pongs) == MAX_PONGS:
                self._pongs.pop(0)
                self.pongs_dropped += 1
            self._pongs.append(payload)
        return (PING, payload)

    def _message_end(self):
        kind = self._kind
        payload = bytes(memoryview(self._message)[: self._kept])
        self._kind = 0
        self._kept = 0
        if len(self._message) > FIRST_BUFFER:
            self._message = bytearray(FIRST_BUFFER)
        if kind == _BINARY:
            return (BINARY, payload)
        check = self._utf8
        self._utf8 = None
        if check.need:
            raise self._fail(1007, "the server sent text that ends inside a character")
        return (TEXT, payload.decode())

    def _close_received(self, payload):
        if len(payload) == 1 or (payload and not _may_close_with(_code_of(payload))):
            raise self._fail(1002, "the server closed with a code that does not exist")
        if not is_utf8(payload[2:]):
            raise self._fail(1007, "the server closed with a reason that is not UTF-8")
        if self._state == _OPEN:
            self._out.append(frame(_CLOSE, payload[:2], self._rand(4)))
        self._state = _CLOSED
        return (CLOSE, (_code_of(payload) if payload else 1005, payload[2:].decode()))


def _code_of(payload):
    return payload[0] << 8 | payload[1]


def _may_close_with(code):
    return code in _CLOSE_CODES or 3000 <= code <= 4999
