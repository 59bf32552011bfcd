"""A LiveKit-speaking room at the other end of a path with round-trip time R, in virtual time with zero CPU.

It answers one client as livekit-server 1.13.5 was seen to (join, track_published, refresh_token, answer and trickle
in one flight; active DTLS role; controlled ICE). The WebSocket side is `websockets`, the media side a second core.
It exists to count round trips: what a server does is shown by the tests against the real one.
"""

import asyncio
import collections
import struct
import urllib.parse

from linnet import compat, core, records, sdp
from websockets.http11 import Request
from websockets.server import ServerProtocol

SERVER_IP = bytes((10, 0, 0, 2))
CLIENT_IP = bytes((10, 0, 0, 1))
SERVER_SSRC = 0x5F0001
FRAME = bytes(320 * 2)


class Pipe:
    """linnet.port.Stream whose bytes take R/2 each way."""

    def __init__(self, room):
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._incoming = asyncio.Queue()
        self._to_client = collections.deque()  # timers of one instant fire in any order: a stream has its own
        self._to_server = collections.deque()
        self._rest = b""
        self.closed = False

    async def read(self, n):
        if not self._rest:
            self._rest = await self._incoming.get()
        data, self._rest = self._rest[:n], self._rest[n:]
        return data

    async def write(self, data):
        self._to_server.append(bytes(data))
        self._loop.call_later(self._room.rtt / 2, lambda: self._room.on_stream(self, self._to_server.popleft()))

    def deliver(self, data):
        """The server sends."""
        self._to_client.append(bytes(data))
        self._loop.call_later(self._room.rtt / 2, lambda: self._incoming.put_nowait(self._to_client.popleft()))

    def close(self):
        self.closed = True


class VirtualNet:
    """linnet.port.Net towards a VirtualRoom. TCP costs one round trip, TLS 1.3 another, names nothing."""

    def __init__(self, room):
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._datagrams = asyncio.Queue()
        self.sent = []  # (time, first byte)
        room.net = self

    def local_addresses(self):
        return [CLIENT_IP]

    async def udp_open(self, family, address=None):
        return CLIENT_IP, 5000

    def udp_send(self, addr, view):
        self.sent.append((self._loop.time(), view[0]))
        self._loop.call_later(self._room.rtt / 2, self._room.on_datagram, bytes(view))
        return True

    async def udp_recv_into(self, view):
        data = await self._datagrams.get()
        view[: len(data)] = data
        return len(data), (SERVER_IP, 7882)

    def udp_listen(self, callback):
        return False

    def deliver(self, data):
        self._loop.call_later(self._room.rtt / 2, self._datagrams.put_nowait, data)

    def udp_close(self):
        pass

    async def stream_open(self, host, port, tls, timeout_ms, on_step=None):
        step = on_step or (lambda name: None)
        step("dns")
        await asyncio.sleep(self._room.rtt)
        step("tcp")
        if tls:
            await asyncio.sleep(self._room.rtt)
            step("tls")
        return Pipe(self._room)


class VirtualRoom:
    """The server's end. `rtt` in seconds. With `talker`, a remote track sounds from the first answer on."""

    def __init__(self, rtt, talker=True):
        self.rtt = rtt
        self.talker = talker
        self.net = None
        self._loop = asyncio.get_running_loop()
        self._ws = ServerProtocol()
        self.session = core.Session(bytes(range(64)), complexity=0, remote_tracks=1)
        self._local = None
        self._timer = None
        self._sound = None
        self.requests = []
        self.drain()

    # --- signalling ---

    def on_stream(self, pipe, data):
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._ws.send_response(self._ws.accept(event))
                self._join(urllib.parse.parse_qs(urllib.parse.urlsplit(event.path).query))
            elif hasattr(event, "data") and event.opcode == 2:
                self.requests.append(records.decode("SignalRequest", bytes(event.data)))
        for out in self._ws.data_to_send():
            if out:
                pipe.deliver(out)

    def _send(self, name, message):
        self._ws.send_binary(records.encode("SignalResponse", {name: message}))

    def _join(self, query):
        wrapped = records.decode("WrappedJoinRequest", compat.b64url_decode(query["join_request"][0]))
        join = records.decode("JoinRequest", wrapped["join_request"])
        me = {"sid": "PA_me", "identity": "badge", "permission": {"can_publish": True, "can_publish_data": True}}
        server = {"version": "1.13.5", "protocol": 17}
        others = []
        if self.talker:
            track = {"sid": "TR_talker", "type": 0, "source": 2}
            others = [{"sid": "PA_talker", "identity": "talker", "state": 2, "version": 1, "tracks": [track]}]
        self._send("join", {"participant": me, "room": {"name": "r"}, "server_info": server,
                            "other_participants": others, "ping_interval": 5, "ping_timeout": 15})
        for request in join.get("add_track_requests", []):
            self._send("track_published", {"cid": request["cid"], "track": {"sid": "TR_mic", "source": 2}})
        self._send("refresh_token", "newer")
        offer = join["publisher_offer"]
        self._send("answer", {"type": "answer", "id": offer.get("id", 0), "sdp": self._answer(offer["sdp"])})
        candidate = "candidate:1 1 udp 2130706431 10.0.0.2 7882 typ host"
        text = '{"candidate":"%s","sdpMid":"0","sdpMLineIndex":0}' % candidate
        self._send("trickle", {"candidateInit": text, "target": 0, "final": True})

    def _answer(self, offer_text):
        offer = sdp.parse(offer_text)
        now = self._ticks()
        self.session.add_local_candidate(now, SERVER_IP, 7882)
        self.session.set_remote(now, offer.ufrag, offer.pwd, offer.fingerprint, dtls_server=False, controlling=False)
        fingerprint, ufrag, pwd = self._local
        lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0",
                 "a=fingerprint:sha-256 " + sdp.hex_fingerprint(fingerprint)]
        talker_placed = not self.talker
        for section in offer.sections:
            lines += [f"m={section.kind} 9 " + ("UDP/TLS/RTP/SAVPF 111" if section.kind == "audio"
                                                else "UDP/DTLS/SCTP webrtc-datachannel"),
                      "a=setup:active", "a=mid:" + section.mid, "a=ice-ufrag:" + ufrag, "a=ice-pwd:" + pwd]
            if section.kind != "audio":
                continue
            lines += ["a=rtpmap:111 opus/48000/2", f"a=extmap:1 {sdp._LEVEL_URI}"]
            if section.direction == "sendonly":
                lines.append("a=recvonly")
                self.session.set_track(now, 0, section.ssrc, 111)
            else:
                lines.append("a=sendonly")
                if not talker_placed:
                    talker_placed = True
                    lines += ["a=msid:PA_talker|TR_talker TR_talker", f"a=ssrc:{SERVER_SSRC} cname:x"]
                    self.session.publish(now, SERVER_SSRC, 111)
        self.drain()
        self._sound = asyncio.create_task(self._speak())
        return "\r\n".join(lines) + "\r\n"

    # --- media ---

    def _ticks(self):
        return round(self._loop.time() * 1e6) & 0x3FFFFFFF

    def on_datagram(self, data):
        record = bytes(core.addr(CLIENT_IP, 5000)) + data
        self.session.input(self._ticks(), core.IN_DATAGRAM, record)
        self.drain()

    def drain(self):
        session = self.session
        while True:
            kind = session.poll()
            if kind == core.DATAGRAM:
                self.net.deliver(bytes(session.body[20 : session.body_len()]))
            elif kind == core.IDLE:
                break
            elif kind == core.LOCAL:
                self._local = session.event(kind)
        if self._timer is not None:
            self._timer.cancel()
        wait = ((session.deadline() - self._ticks()) & 0x3FFFFFFF) / 1e6
        self._timer = self._loop.call_later(max(wait, 1e-6), self._tick)

    def _tick(self):
        self.session.input(self._ticks(), core.IN_TIME)
        self.drain()

    async def _speak(self):
        tone = struct.pack("<320h", *[8000 if i % 32 < 16 else -8000 for i in range(320)])
        while True:
            self.session.pcm_push(tone)
            self._tick()
            await asyncio.sleep(0.02)

    def close(self):
        for thing in (self._timer, self._sound):
            if thing is not None:
                thing.cancel()


class ToneAudio:
    """linnet.port.Audio in virtual time: a microphone with a square wave, a speaker that notes the first sound."""

    rate = 16000

    def __init__(self, loop):
        self._loop = loop
        self._started = 0.0
        self._captured = self._played = 0
        self.heard_at = None

    def start(self):
        self._started = self._loop.time()

    def stop(self):
        pass

    def _due(self):
        return round((self._loop.time() - self._started) * self.rate)

    def capture_into(self, buf):
        n = len(buf) // 2
        if self._due() < self._captured + n:
            return 0
        self._captured += n
        buf[:] = struct.pack("<%dh" % n, *[8000 if i % 40 < 20 else -8000 for i in range(n)])
        return n

    def play_room(self):
        return max(0, self._due() + 320 - self._played)

    def play(self, buf):
        self._played += len(buf) // 2
        if self.heard_at is None and any(abs(v) > 500 for v in struct.unpack("<%dh" % (len(buf) // 2), buf)):
            self.heard_at = self._loop.time()
        return len(buf) // 2
