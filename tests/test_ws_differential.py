# Our WebSocket client and the one of the `websockets` package read the same
# server bytes, good ones and damaged ones, and must find the same in them; where
# they differ, a named reason says why ours is right. Needs: pip install websockets.

import codecs
import pathlib
import random
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "firmware"), str(ROOT / "tests" / "app")]

from linnet import ws  # noqa: E402
from linnet.errors import Protocol  # noqa: E402
from ws_server import frame as made_frame  # noqa: E402
from ws_server import opened  # noqa: E402

pytest.importorskip("websockets", reason="the peer is missing: pip install websockets")

from websockets.client import ClientProtocol  # noqa: E402
from websockets.datastructures import Headers  # noqa: E402
from websockets.frames import Opcode  # noqa: E402
from websockets.http11 import Response  # noqa: E402
from websockets.protocol import State  # noqa: E402
from websockets.uri import parse_uri  # noqa: E402

LIMIT = 20000


def their_client():
    client = ClientProtocol(parse_uri("ws://h/"), max_size=LIMIT)
    client.send_request(client.connect())
    key = client.key
    client.data_to_send()
    headers = Headers(Upgrade="websocket", Connection="Upgrade")
    headers["Sec-WebSocket-Accept"] = ws.accept_key(key)
    client.receive_data(Response(101, "Switching Protocols", headers).serialize())
    client.events_received()
    assert client.state is State.OPEN, client.handshake_exc
    return client


def their_verdict(stream):
    """(messages and control frames, how it ended) as `websockets` sees the stream."""
    client = their_client()
    client.receive_data(stream)
    events, opcode, parts = [], None, []
    for f in client.events_received():
        if f.opcode in (Opcode.PING, Opcode.PONG):
            events.append((f.opcode.name, bytes(f.data)))
        elif f.opcode is not Opcode.CLOSE:
            opcode = f.opcode if f.opcode is not Opcode.CONT else opcode
            parts.append(bytes(f.data))
            if f.fin:
                events.append((opcode.name, b"".join(parts)))
                parts = []
    if client.parser_exc is not None and not isinstance(client.parser_exc, EOFError):
        return events, "fail", client.close_sent.code if client.close_sent else None
    if client.close_rcvd is not None:
        return events, "bye", client.close_rcvd.code
    return events, "open", None


NAMES = {ws.TEXT: "TEXT", ws.BINARY: "BINARY", ws.PING: "PING", ws.PONG: "PONG"}


def our_verdict(stream):
    client = opened(max_message=LIMIT)
    events, end = [], ("open", None)
    client.feed(stream)
    try:
        while (event := client.next_event()) is not None:
            kind, value = event
            if kind == ws.CLOSE:
                end = ("bye", value[0])
            else:
                events.append((NAMES[kind], value.encode() if kind == ws.TEXT else value))
    except Protocol as error:
        end = ("fail", {"ws-too-large": 1009}.get(error.code, "1002 or 1007"))
    return events, *end


def a_stream(rnd):
    """A good stream of a few frames."""
    out = b""
    inside = False
    for _ in range(rnd.randrange(1, 8)):
        kind = rnd.randrange(6)
        data = rnd.randbytes(rnd.choice((0, 1, 3, 126, 300)))
        if kind == 0:
            out += made_frame(9 + rnd.randrange(2), data[:125])
        elif inside:
            fin = rnd.random() < 0.5
            out += made_frame(0, data, fin=fin)
            inside = not fin
        elif kind == 1:
            text = "".join(
                rnd.choice("az \u00e9\u017c\u20ac\U0001f422\0") for _ in range(len(data) % 90)
            )
            out += made_frame(1, text.encode())
        else:
            inside = kind == 2
            out += made_frame(2, data, fin=not inside)
    if rnd.random() < 0.3:
        out += made_frame(8, (1000 + rnd.randrange(20)).to_bytes(2, "big") + b"why")
    return out


def mutate(rnd, stream):
    data = bytearray(stream)
    for _ in range(rnd.choice((0, 1, 1, 1, 2, 5))):
        choice = rnd.randrange(4)
        at = rnd.randrange(len(data))
        if choice == 0:
            data[at] ^= 1 << rnd.randrange(8)
        elif choice == 1:
            data[at] = rnd.choice((0, 1, 0x7E, 0x7F, 0x80, 0x88, 0xC0, 0xFE, 0xFF))
        elif choice == 2:
            del data[at : at + rnd.randrange(1, 4)]
        else:
            data[at:at] = rnd.randbytes(rnd.randrange(1, 4))
        if not data:
            return b"\x00"
    return bytes(data)


def agree(ours, theirs):
    """Both read the same; where one fails the other fails too."""
    our_events, our_end, our_code = ours
    their_events, their_end, their_code = theirs
    if our_end != their_end:
        return False
    if our_end == "fail":
        # They look at the size first, so theirs may be 1009 where ours is 1002.
        same_kind = their_code == 1009 or our_code != 1009
        return same_kind and our_events[: len(their_events)] == their_events[: len(our_events)]
    return our_events == their_events and our_code == their_code


def expected_of_text(theirs):
    """What `websockets` would have said if it looked inside text: fail at the first bad one."""
    events, end, code = theirs
    for i, (name, data) in enumerate(events):
        if name == "TEXT":
            try:
                data.decode()
            except UnicodeDecodeError:
                return events[:i], "fail", 1007
    return events, end, code


def walk(stream):
    """(first byte, length, width of the length field, payload as far as it is there) of each
    frame, without judging any."""
    at = 0
    while at + 2 <= len(stream):
        n = stream[at + 1] & 127
        wide = {126: 2, 127: 8}.get(n, 0)
        start = at + 2 + wide
        if start > len(stream):
            yield stream[at], -1, wide, b""
            return
        n = int.from_bytes(stream[at + 2 : start], "big") if wide else n
        yield stream[at], n, wide, stream[start : start + n]
        at = start + n


def overlong_length(stream):
    """A frame's length is in a longer form than needed: RFC 6455 5.2 forbids it, and
    `websockets` lets it pass."""
    return any(wide and 0 <= n < (126 if wide == 2 else 65536) for _, n, wide, _ in walk(stream))


def unfinished_bad_header(stream):
    """The stream ends inside a frame whose header is wrong: we fail at once, `websockets` when
    the frame is whole."""
    _, n, _, payload = list(walk(stream))[-1]
    rest = bytes(n - len(payload)) if n >= 0 else bytes(8)
    return bool(rest) and their_verdict(stream + rest)[1] == "fail"


def unfinished_bad_text(stream):
    """The stream ends inside a text message whose bytes so far are wrong already: we fail at
    once (Autobahn 6.4), `websockets` when the message is whole."""
    text = None
    for first, n, _, payload in walk(stream):
        if first & 15 in (1, 2):
            text = b"" if first & 15 == 1 else None
        if first & 15 < 8 and text is not None:
            text += payload
            if first & 128 and len(payload) == n:
                text = None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text or b"")
    except UnicodeDecodeError:
        return True
    return False


def closed_inside_a_message(ours, theirs):
    """A close between fragments: RFC 6455 5.4 lets control frames in there (Autobahn 7.1.5
    expects a clean close), `websockets` calls it a protocol error."""
    return ours[1] == "bye" and theirs[1] == "fail" and ours[0] == theirs[0]


def test_two_clients_read_the_same_bytes_the_same():
    rnd = random.Random(6455)
    outcomes = {"open": 0, "bye": 0, "fail": 0}
    excused = {}
    for _ in range(4000):
        stream = mutate(rnd, a_stream(rnd))
        ours = our_verdict(stream)
        theirs = expected_of_text(their_verdict(stream))
        outcomes[ours[1]] += 1
        if not agree(ours, theirs):
            excuse = (
                (overlong_length(stream) and "overlong length")
                or (unfinished_bad_text(stream) and "unfinished bad text")
                or (unfinished_bad_header(stream) and "unfinished bad header")
                or (closed_inside_a_message(ours, theirs) and "closed inside a message")
            )
            assert excuse, (stream.hex(), ours, theirs)
            excused[excuse] = excused.get(excuse, 0) + 1
    assert min(outcomes.values()) > 100, outcomes
    assert sum(excused.values()) < 300, excused
