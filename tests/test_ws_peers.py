# Our WebSocket against a server that we did not write: the sans-I/O protocol of
# the `websockets` package. Needs: pip install websockets. No socket, no clock.

import pathlib
import random
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "firmware"))

from linnet import url, ws  # noqa: E402

pytest.importorskip("websockets", reason="the peer is missing: pip install websockets")

from websockets.frames import Frame, Opcode  # noqa: E402
from websockets.http11 import Request  # noqa: E402
from websockets.server import ServerProtocol  # noqa: E402


def all_events(client):
    events = []
    while (event := client.next_event()) is not None:
        events.append(event)
    return events


class Pair:
    """Our client and their server, with wires that cut the bytes at random."""

    def __init__(self, seed=0, status=None, address="ws://h:7880/rtc/v1?join_request=a%3D"):
        self.random = random.Random(seed)
        self.client = ws.WebSocket(url.parse(address), (("Authorization", "Bearer t"),))
        self.server = ServerProtocol(max_size=None)
        self.events = []
        self.frames = []
        self.server.receive_data(self.client.take())
        (self.request,) = self.server.events_received()
        if status is None:
            self.server.send_response(self.server.accept(self.request))
        else:
            self.server.send_response(self.server.reject(status, "no such room\n"))
        self.to_client()

    def pieces(self, data):
        while data:
            n = self.random.choice((1, 2, 7, 100, 5000))
            yield data[:n]
            data = data[n:]

    def to_client(self):
        for data in self.server.data_to_send():
            for piece in self.pieces(data):
                self.client.feed(piece)
                self.events += all_events(self.client)
            if not data:
                self.client.feed(b"")
                self.events += all_events(self.client)

    def to_server(self):
        for piece in self.pieces(self.client.take()):
            self.server.receive_data(piece)
        self.frames += self.server.events_received()


def test_the_server_accepts_our_handshake():
    pair = Pair()
    assert isinstance(pair.request, Request)
    assert pair.request.path == "/rtc/v1?join_request=a%3D"
    assert pair.request.headers["Host"] == "h:7880"
    assert pair.request.headers["Authorization"] == "Bearer t"
    assert [kind for kind, _ in pair.events] == [ws.OPEN]


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_rejection_arrives_with_status_and_body(status):
    pair = Pair(status=status)
    ((kind, response),) = pair.events
    assert (kind, response.status, response.body) == (ws.REJECTED, status, b"no such room\n")


def random_text(rnd, n):
    alphabet = "az \u00e9\u017c\u20ac\uffff\U0001f422\0"
    return "".join(rnd.choice(alphabet) for _ in range(n))


@pytest.mark.parametrize("seed", range(40))
def test_random_talk_arrives_in_order_both_ways(seed):
    pair = Pair(seed)
    rnd = pair.random
    pair.events.clear()
    wanted_events, wanted_frames = [], []
    for _ in range(30):
        n = rnd.choice((0, 1, 5, 125, 126, 127, 2000, 65535, 65536))
        action = rnd.randrange(7)
        if action == 0:
            text = random_text(rnd, n % 3000)
            pair.client.send_text(text)
            wanted_frames.append((Opcode.TEXT, text.encode()))
        elif action == 1:
            data = rnd.randbytes(n)
            pair.client.send_binary(data)
            wanted_frames.append((Opcode.BINARY, data))
        elif action == 2:
            pair.client.ping(b"c%d" % n)
            wanted_frames.append((Opcode.PING, b"c%d" % n))
            wanted_events.append((ws.PONG, b"c%d" % n))
            pair.to_server()
        elif action == 3:
            pair.server.send_ping(b"s%d" % n)
            wanted_events.append((ws.PING, b"s%d" % n))
            wanted_frames.append((Opcode.PONG, b"s%d" % n))
            pair.to_client()
            pair.to_server()
        elif action == 4:
            text = random_text(rnd, n % 3000)
            pair.server.send_text(text.encode())
            wanted_events.append((ws.TEXT, text))
        else:
            parts = [rnd.randbytes(rnd.randrange(300)) for _ in range(rnd.randrange(1, 6))]
            pair.server.send_binary(parts[0], fin=len(parts) == 1)
            for i, part in enumerate(parts[1:], 2):
                pair.server.send_continuation(part, fin=i == len(parts))
            wanted_events.append((ws.BINARY, b"".join(parts)))
        pair.to_server()
        pair.to_client()
    assert pair.events == wanted_events
    assert [(f.opcode, bytes(f.data)) for f in pair.frames] == wanted_frames


def test_either_side_may_close():
    pair = Pair()
    pair.client.close(1000, "bye")
    pair.to_server()
    pair.to_client()
    assert pair.events[-1] == (ws.CLOSE, (1000, "bye"))
    assert (pair.server.close_rcvd.code, pair.server.close_rcvd.reason) == (1000, "bye")

    pair = Pair()
    pair.server.send_close(4001, "kicked")
    pair.to_client()
    assert pair.events[-1] == (ws.CLOSE, (4001, "kicked"))
    pair.to_server()
    assert pair.server.close_rcvd.code == 4001


def test_every_frame_we_make_is_the_one_they_would_make(monkeypatch):
    rnd = random.Random(1)
    for n in (0, 1, 125, 126, 65535, 65536, 100000):
        data, mask = rnd.randbytes(n), rnd.randbytes(4)
        monkeypatch.setattr("websockets.frames.secrets.token_bytes", lambda _, m=mask: m)
        theirs = Frame(Opcode.BINARY, data).serialize(mask=True)
        assert theirs == bytes(ws.frame(2, data, mask))
