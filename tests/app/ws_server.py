# The server's side of a WebSocket for the tests here: frames made by hand from
# RFC 6455 5.2, and a reader of what our client sends. Shares no code with ws.py.

from linnet import url, ws

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, rsv=0, size=None, mask=None):
    """One server frame; `size` lies about the length, `mask` masks it (both not allowed)."""
    n = len(payload) if size is None else size
    out = bytearray([(128 if fin else 0) | rsv << 4 | opcode])
    flag = 0 if mask is None else 128
    if n < 126:
        out.append(flag | n)
    elif n < 65536:
        out.extend(bytes([flag | 126, n >> 8, n & 255]))
    else:
        out.append(flag | 127)
        out.extend(bytes([n >> shift & 255 for shift in (56, 48, 40, 32, 24, 16, 8, 0)]))
    if mask is not None:
        out.extend(mask)
    return bytes(out) + bytes(payload)


def close_payload(code, reason=b""):
    return bytes([code >> 8, code & 255]) + reason


def client_frames(data):
    """[(opcode, payload)] of the frames a client sent; AssertionError if one is not as
    RFC 6455 5.1 wants it: masked, whole, no reserved bit, the shortest length."""
    frames = []
    at = 0
    while at < len(data):
        first, second = data[at], data[at + 1]
        assert first & 0x70 == 0 and first & 0x80 and second & 0x80, "header %d %d" % (
            first,
            second,
        )
        n = second & 127
        at += 2
        if n == 126:
            n = data[at] << 8 | data[at + 1]
            assert n > 125
            at += 2
        elif n == 127:
            n = 0
            for byte in data[at : at + 8]:
                n = n << 8 | byte
            assert n > 65535
            at += 8
        mask = data[at : at + 4]
        at += 4
        assert at + n <= len(data), "frame cut short"
        payload = bytearray(data[at : at + n])
        for i in range(n):
            payload[i] ^= mask[i & 3]
        frames.append((first & 15, bytes(payload)))
        at += n
    return frames


def answer_101(key, extra=""):
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n%s\r\n" % (ws.accept_key(key), extra)
    ).encode()


def request_key(request):
    """The Sec-WebSocket-Key of an upgrade request."""
    for line in request.decode().split("\r\n"):
        if line.lower().startswith("sec-websocket-key:"):
            return line[18:].strip()
    raise AssertionError("no key in the request")


def opened(max_message=ws.MAX_MESSAGE, rand=None):
    """A client whose handshake is done and taken."""
    client = ws.WebSocket(
        url.parse("ws://host:7880/rtc"), max_message=max_message, **({"rand": rand} if rand else {})
    )
    client.feed(answer_101(request_key(client.take())))
    event = client.next_event()
    assert event[0] == ws.OPEN
    return client


def drain(client, events):
    """Append the client's events to the list, until there are no more."""
    while True:
        event = client.next_event()
        if event is None:
            return
        events.append(event)


class Counter:
    """Random bytes that can be foreseen."""

    def __init__(self):
        self.n = 0

    def __call__(self, n):
        self.n += 1
        return bytes([self.n & 255] * n)
