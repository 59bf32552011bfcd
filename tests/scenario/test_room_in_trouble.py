"""A whole Room on the real core, in virtual time: whatever stops on the way, nobody waits for ever and nothing stays
open. Each limit that an await has is met here once."""

import asyncio

import pytest
from host_sim.dev_token import make_token
from linnet import log
from linnet.errors import DisconnectReason, LinnetError
from linnet.options import RoomOptions
from linnet.port import Port
from linnet.room import Room
from linnet.track import LocalAudioTrack

from tests.scenario import virtual_time
from tests.scenario.virtual_room import CLIENT_IP, ToneAudio, VirtualNet, VirtualRoom

RTT = 0.1


class Net(VirtualNet):
    """Counts what is open; loses what it is told to lose."""

    def __init__(self, room):
        super().__init__(room)
        self.pipes = []
        self.sockets = 0
        self.loses_media = False

    async def stream_open(self, *args):
        self.pipes.append(await super().stream_open(*args))
        return self.pipes[-1]

    async def udp_open(self, family, address=None):
        self.sockets += 1
        return CLIENT_IP, 5000

    def udp_close(self):
        self.sockets = 0

    def udp_send(self, addr, view):
        return True if self.loses_media else super().udp_send(addr, view)

    def deliver(self, data):
        if not self.loses_media:
            super().deliver(data)


class Server(VirtualRoom):
    """`silent_about`: messages that it never sends. `spoil` changes the answer's text."""

    def __init__(self, silent_about=(), spoil=None):
        super().__init__(RTT)
        self.silent_about = silent_about
        self.spoil = spoil
        self.is_dead = False

    def on_stream(self, pipe, data):
        if self.is_dead:
            return
        before = len(self.requests)
        super().on_stream(pipe, data)
        for request in self.requests[before:]:
            if "ping_req" in request:
                self._send("pong_resp", {"last_ping_timestamp": request["ping_req"].get("timestamp", 0)})
                pipe.deliver(b"".join(self._ws.data_to_send()))

    def _send(self, name, message):
        if name not in self.silent_about:
            super()._send(name, message)

    def _answer(self, offer_text):
        text = super()._answer(offer_text)
        return self.spoil(text) if self.spoil else text


class Audio(ToneAudio):
    running = False

    def start(self):
        super().start()
        self.running = True

    def stop(self):
        self.running = False


class Place:
    """A device and its server. `server` is made inside the running loop."""

    def __init__(self, **server):
        self.loop = asyncio.get_running_loop()
        self.server = Server(**server)
        self.net = Net(self.server)
        self.audio = Audio(self.loop)
        self.clock = virtual_time.VirtualClock(self.loop)
        self.room = Room(Port(self.net, self.clock, self.audio))
        self.ended = []
        self.room.on("disconnected", lambda reason: self.ended.append((self.loop.time(), reason)))

    async def join(self):
        token = make_token("badge", "r", api_key="k", api_secret="s" * 32, now_s=self.clock.unix_time())
        options = RoomOptions(tracks=(LocalAudioTrack("mic"),))
        await self.room.connect("wss://server.test", token, options)

    def check_nothing_is_open(self):
        assert [pipe.closed for pipe in self.net.pipes] == [True] * len(self.net.pipes)
        assert self.net.sockets == 0 and not self.audio.running
        assert self.room._engine is None and not self.room.isconnected()
        names = [task.get_coro().__qualname__ for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert [name for name in names if not name.startswith(("VirtualRoom", "run_in"))] == []


def run_in(test, **server):
    """Run `await test(place)` in virtual time, at most ten minutes of it; no log line tells a token or an address."""
    lines = []

    async def whole():
        place = Place(**server)
        try:
            await test(place)
        finally:
            await place.room.disconnect()
            place.check_nothing_is_open()
            place.server.close()

    async def limited():
        task = asyncio.create_task(whole(), name="whole")
        task.get_coro().__qualname__ = "run_in"
        await asyncio.wait_for(task, 600)

    log.set_sink(lambda level, where, text: lines.append(text), log.DEBUG)
    try:
        virtual_time.run(limited())
    finally:
        log.set_sink(None, log.WARN)
    assert not [line for line in lines if "eyJ" in line or "10.0.0." in line]


STOPS = [
    ({"silent_about": ("join",)}, "join-timeout", 15),
    ({"silent_about": ("answer",)}, "media-timeout", 16),
    ({"silent_about": ("trickle",)}, "media-timeout", 16),
    ({"silent_about": ("track_published",)}, "request-timeout", 12),
    ({"spoil": lambda text: text.replace("a=ice-pwd:", "a=ice-pwd:x")}, None, 16),
    ({"spoil": lambda text: text.replace("sha-256 ", "sha-256 ").replace(fingerprint_of(text), "AB:" * 31 + "AB")},
     "dtls-fingerprint", 3),
    ({"spoil": lambda text: text.replace("a=ice-ufrag:", "a=ice-ufrag:" + "x" * 300)}, "sdp", 1),
    ({"spoil": lambda text: ""}, "sdp", 1),
]


def fingerprint_of(text):
    return next(line for line in text.split("\r\n") if line.startswith("a=fingerprint")).split(" ")[1]


@pytest.mark.parametrize("server, code, within", STOPS, ids=range(len(STOPS)))
def test_a_join_that_stops_on_the_way_ends_in_time(server, code, within):
    async def test(place):
        start = place.loop.time()
        with pytest.raises(LinnetError) as raised:
            await place.join()
        assert raised.value.code == code or (code is None and raised.value.code in ("ice-failed", "media-timeout"))
        assert place.loop.time() - start <= within + 4  # and the time to leave politely
        place.check_nothing_is_open()
        assert place.ended == []

    run_in(test, **server)


@pytest.mark.parametrize("tenths", range(0, 62, 2))
def test_a_join_cancelled_at_any_time_leaves_nothing_open(tenths):
    """The join takes six round trips; cancel after every fifth of one."""

    async def test(place):
        task = asyncio.create_task(place.join())
        await asyncio.sleep(tenths / 10 * RTT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        place.check_nothing_is_open()

    run_in(test)


def test_a_server_that_falls_silent_is_noticed():
    async def test(place):
        await place.join()
        start = place.loop.time()
        place.server.is_dead = place.net.loses_media = True
        await asyncio.sleep(60)
        assert len(place.ended) == 1
        assert place.ended[0][0] - start < 40
        place.check_nothing_is_open()

    run_in(test)


def test_media_that_stops_while_signalling_lives_ends_the_room():
    async def test(place):
        await place.join()
        states = []
        place.room.on("media_state_changed", states.append)
        start = place.loop.time()
        place.net.loses_media = True
        await asyncio.sleep(120)
        assert states[0] is False
        assert [reason for _, reason in place.ended] == [DisconnectReason.MEDIA_FAILURE]
        assert place.ended[0][0] - start < 60
        assert place.room.disconnect_error.code == "ice-failed"

    run_in(test)


def test_media_that_the_server_closes_while_signalling_lives_ends_the_room():
    async def test(place):
        await place.join()
        start = place.loop.time()
        place.server.session.close(place.server._ticks())
        place.server.drain()
        await asyncio.sleep(10)
        assert [reason for _, reason in place.ended] == [DisconnectReason.MEDIA_FAILURE]
        assert place.ended[0][0] - start < 5
        assert place.room.disconnect_error.code == "media-failed"

    run_in(test)


def test_a_short_gap_in_the_media_is_survived():
    async def test(place):
        await place.join()
        place.net.loses_media = True
        await asyncio.sleep(3)
        place.net.loses_media = False
        heard = place.room.stats()["rtp_received"]
        await asyncio.sleep(10)
        assert place.ended == [] and place.room.isconnected()
        assert place.room.stats()["rtp_received"] > heard + 400

    run_in(test)


def test_twenty_joins_and_leaves_of_one_room():
    async def test(place):
        for _ in range(20):
            place.server = Server()
            place.net._room, place.server.net = place.server, place.net
            await place.join()
            await asyncio.sleep(0.1)
            await place.room.disconnect()
            place.server.close()
            place.check_nothing_is_open()
            while not place.net._datagrams.empty():
                place.net._datagrams.get_nowait()
        assert len(place.ended) == 20

    run_in(test)
