"""The core against aiortc, an independent WebRTC stack: offer and answer, DTLS client and server, ICE controlling and
controlled, audio and data in both directions."""

import asyncio
import fractions
import math
import os

import aioice.ice
import av
import host_sim.native  # noqa: F401  (makes the core importable)
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from host_sim.port_host import HostClock, HostNet
from linnet import core, sdp
from linnet.driver import Driver
from linnet.port import Port
from tests.scenario.call import power_at, tone

LOOPBACK = bytes((127, 0, 0, 1))
OUR_HZ, THEIR_HZ = 440, 1000
OUR_SSRC = 0x0BADCAFE
LIMIT_S = 20


class ToneAudio:
    """linnet.port.Audio: a tone as microphone, a recording speaker; samples become due in real time."""

    rate = 16000

    def __init__(self, loop):
        self._loop = loop
        self._tone = tone(OUR_HZ, self.rate, 5)
        self._start = loop.time()
        self._captured = self._played = 0
        self.heard = bytearray()

    def start(self):
        self._start = self._loop.time()

    def stop(self):
        pass

    def _due(self):
        return int((self._loop.time() - self._start) * self.rate)

    def capture_into(self, buf):
        n = len(buf) // 2
        if self._due() < self._captured + n:
            return 0
        at = self._captured * 2 % len(self._tone)
        buf[:] = (self._tone + self._tone)[at : at + len(buf)]
        self._captured += n
        return n

    def play_room(self):
        return max(0, self._due() + 960 - self._played)

    def play(self, buf):
        self._played += len(buf) // 2
        self.heard += buf
        return len(buf) // 2


class WatchedNet(HostNet):
    """Counts the DTLS handshake messages that either side sends again, because an answer came late: what answers
    those in turn finds the handshake over, and is dropped."""

    def __init__(self):
        super().__init__(addresses=[LOOPBACK])
        self._seen = set()
        self.repeats = 0

    def _look(self, who, datagram):
        if datagram[0] == 22 and datagram[3:5] == b"\0\0":        # a handshake record in the clear
            header = (who, bytes(datagram[13:25]))                # RFC 6347 4.2.2: message_seq and fragment in it
            self.repeats += header in self._seen
            self._seen.add(header)

    def udp_send(self, addr, view):
        self._look("we", view)
        return super().udp_send(addr, view)

    def udp_recv_now(self, view):
        received = super().udp_recv_now(view)
        if received is not None:
            self._look("they", view[:received[0]])
        return received


class Ours:
    """One core session with a socket, driven in real time."""

    def __init__(self, **options):
        loop = asyncio.get_running_loop()
        self.audio = ToneAudio(loop)
        self.session = core.Session(os.urandom(48), rate=16000, **options)
        self.net = WatchedNet()
        self.port = Port(self.net, HostClock(), self.audio)
        self.driver = Driver(self.port, self.session, self._on_event)
        self.local = None
        self.states = [0, 0, 0]
        self.failures = []
        self.channels = {}
        self.messages = []
        self.changed = asyncio.Event()

    def _on_event(self, kind, fields):
        if kind == core.LOCAL:
            self.local = fields
        elif kind == core.STATE:
            self.states[fields[0]] = fields[1]
            if fields[1] == core.FAILED:
                self.failures.append(fields)
        elif kind == core.CHANNEL:
            handle, is_open, number, label = fields
            self.channels[label] = (handle, is_open, number)
        elif kind == core.DATA:
            labels = {c[0]: label for label, c in self.channels.items()}
            self.messages.append((labels.get(fields[0]), fields[1], fields[2]))
        self.changed.set()

    async def until(self, fact, what):
        async def wait():
            while not fact():
                self.changed.clear()
                await asyncio.wait([asyncio.create_task(self.changed.wait())], timeout=0.05)

        try:
            await asyncio.wait_for(wait(), LIMIT_S)
        except asyncio.TimeoutError:
            raise AssertionError(f"{what} not reached; states {self.states}, failures {self.failures}") from None

    async def open(self):
        await self.driver.open()
        self.driver.start_audio()
        address = next(iter(self.port.net._sockets.values())).getsockname()
        self.candidate = f"candidate:1 1 udp 2130706431 127.0.0.1 {address[1]} typ host"

    def describe(self, kinds, setup):
        """Our description with sections of these kinds ("audio", "application"), candidate included."""
        fingerprint, ufrag, pwd = self.local
        description = sdp.LocalDescription()
        for kind in kinds:
            cid = "cid" if kind == "audio" else ""
            description.add(kind, "sendrecv", cid, OUR_SSRC)
        text = description.offer(ufrag, pwd, fingerprint, setup)
        return text + f"a={self.candidate}\r\na=end-of-candidates\r\n"

    def apply(self, text, controlling, dtls_server):
        """Take over the peer's description."""
        remote = sdp.parse(text)
        now = self.driver.now()
        self.session.set_remote(now, remote.ufrag, remote.pwd, remote.fingerprint, dtls_server, controlling)
        for section in remote.sections:
            for c in section.candidates:
                if c.component == 1 and len(c.ip) == 4:
                    self.session.add_remote_candidate(now, c.ip, c.port, c.priority, c.kind)
            if section.kind == "audio":
                number = next(n for n, name in section.payload_types.items() if name.startswith("opus"))
                level = section.extensions.get("urn:ietf:params:rtp-hdrext:ssrc-audio-level", 0)
                mid = section.extensions.get("urn:ietf:params:rtp-hdrext:sdes:mid", 0)
                self.session.publish(now, OUR_SSRC, number, level, mid, section.mid)
                if section.ssrc:
                    self.session.set_track(now, 0, section.ssrc, number)
        self.driver.drain()


class ToneTrack(MediaStreamTrack):
    """48 kHz mono, 20 ms frames, in real time."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self._at = 0
        self._start = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self._start = self._start or loop.time()
        wait = self._start + self._at / 48000 - loop.time()
        if wait > 0:
            await asyncio.wait([loop.create_future()], timeout=wait)
        i = np.arange(self._at, self._at + 960)
        samples = (8000 * np.sin(2 * math.pi * THEIR_HZ * i / 48000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._at, fractions.Fraction(1, 48000)
        self._at += 960
        return frame


class Theirs:
    """aiortc's end: sends a tone, records what it hears, echoes every message."""

    def __init__(self):
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(ToneTrack())
        self.heard = []
        self.labels = []
        self._tasks = []
        self.pc.on("track", self._on_track)
        self.pc.on("datachannel", self._on_channel)

    def _on_track(self, track):
        self._tasks.append(asyncio.create_task(self._record(track)))

    async def _record(self, track):
        try:
            while True:
                frame = await track.recv()
                self.heard.append(frame.to_ndarray().reshape(-1)[:: len(frame.layout.channels)])
        except Exception as end:  # aiortc ends a track with MediaStreamError
            if type(end).__name__ != "MediaStreamError":
                raise

    def _on_channel(self, channel):
        self.labels.append(channel.label)
        channel.on("message", lambda message: channel.send(message))

    async def close(self):
        await self.pc.close()
        for task in self._tasks:
            task.cancel()


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch):
    """aioice leaves loopback out of its candidates; here it is the only network there is."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


def echo_numbers(answer, offer):
    """An answer uses the payload types and extension ids of the offer (RFC 3264 6.1, RFC 8285 6)."""
    audio = next(s for s in sdp.parse(offer).sections if s.kind == "audio")
    number = next(n for n, name in audio.payload_types.items() if name.startswith("opus"))
    for prefix in ("SAVPF ", "rtpmap:", "fmtp:"):
        answer = answer.replace(f"{prefix}{sdp.OPUS}", f"{prefix}{number}")
    lines = []
    for line in answer.split("\r\n"):
        if line.startswith("a=extmap:"):
            uri = line.split(" ")[1]
            if uri not in audio.extensions:
                continue
            line = f"a=extmap:{audio.extensions[uri]} {uri}"
        lines.append(line)
    return "\r\n".join(lines)


async def negotiate(ours, theirs, we_offer, we_are_client):
    """Exchange descriptions so that the roles come out as asked."""
    if we_offer:
        # actpass makes aiortc active; active makes it passive.
        offer = ours.describe(("audio", "application"), "active" if we_are_client else "actpass")
        await theirs.pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await theirs.pc.setLocalDescription(await theirs.pc.createAnswer())
        ours.apply(theirs.pc.localDescription.sdp, True, not we_are_client)
    else:
        theirs.channel = theirs.pc.createDataChannel("from-them")
        await theirs.pc.setLocalDescription(await theirs.pc.createOffer())
        offer = theirs.pc.localDescription.sdp
        kinds = [s.kind for s in sdp.parse(offer).sections]
        answer = echo_numbers(ours.describe(kinds, "active" if we_are_client else "passive"), offer)
        ours.apply(offer, False, not we_are_client)
        await theirs.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))


async def hear_each_other(ours, theirs):
    await ours.until(lambda: len(ours.audio.heard) > 0 and len(theirs.heard) > 100, "two seconds of their recording")
    their_part = np.concatenate(theirs.heard[-50:]).astype(np.int16).tobytes()
    our_part = bytes(ours.audio.heard[-32000:])
    they_hear, we_hear = power_at(OUR_HZ, 48000, their_part), power_at(THEIR_HZ, 16000, our_part)
    print(f"\nthey hear {they_hear:.3f} of our {OUR_HZ} Hz, we hear {we_hear:.3f} of their {THEIR_HZ} Hz")
    assert they_hear > 0.9 and we_hear > 0.9


async def echo_messages(ours, label):
    """Messages of all sizes on one reliable channel come back unchanged and in order."""
    handle = ours.channels[label][0]
    messages = [os.urandom(n) for n in (1, 2, 1149, 1150, 1151, 5000, 16384, 60000)] + ["Grüße".encode()]
    for i, message in enumerate(messages):
        is_string = i == len(messages) - 1
        while ours.session.send_data(ours.driver.now(), handle, message, is_string) == core.ERR_AGAIN:
            ours.driver.drain()
            await asyncio.wait([asyncio.create_task(ours.changed.wait())], timeout=0.05)
        ours.driver.drain()
    await ours.until(lambda: len(ours.messages) >= len(messages), "the echo of all messages")
    assert [m[2] for m in ours.messages] == messages
    assert [m[1] for m in ours.messages] == [False] * (len(messages) - 1) + [True]


@pytest.mark.asyncio
@pytest.mark.parametrize("we_are_client", [True, False], ids=["dtls-client", "dtls-server"])
@pytest.mark.parametrize("we_offer", [True, False], ids=["offer-controlling", "answer-controlled"])
@pytest.mark.parametrize("gcm", [False, True], ids=["aes-cm", "aes-gcm"])
async def test_audio_and_data_flow_both_ways(we_offer, we_are_client, gcm):
    ours, theirs = Ours(flags=core.PREFER_GCM if gcm else 0), Theirs()
    try:
        await ours.open()
        await negotiate(ours, theirs, we_offer, we_are_client)
        await ours.until(lambda: ours.states[core.SCTP] == core.CONNECTED, "the association")
        ours.session.open_channel(ours.driver.now(), "echo")
        ours.driver.drain()
        await ours.until(lambda: ours.channels.get("echo", (0, False))[1], "our channel")
        await echo_messages(ours, "echo")
        if not we_offer:
            await their_channel_works(ours, theirs)
        await hear_each_other(ours, theirs)
        stats = ours.session.stats()
        assert not ours.failures
        dropped = {name: count for name, count in stats.items() if name.startswith("dropped_") and count}
        if ours.net.repeats:
            dropped.pop("dropped_dtls", None)
        assert dropped == {}
    finally:
        await ours.driver.close()
        await theirs.close()


async def their_channel_works(ours, theirs):
    """A channel that the peer opened in band: they speak first, we answer."""
    await ours.until(lambda: ours.channels.get("from-them", (0, False))[1], "their channel")
    replies = []
    theirs.channel.on("message", replies.append)
    theirs.channel.send("hello")
    await ours.until(lambda: ("from-them", True, b"hello") in ours.messages, "their message")
    ours.session.send_data(ours.driver.now(), ours.channels["from-them"][0], b"\x00\xff")
    ours.driver.drain()
    await ours.until(lambda: replies == [b"\x00\xff"], "our answer")


@pytest.mark.asyncio
async def test_a_pre_negotiated_channel_works_without_open_messages():
    ours, theirs = Ours(), Theirs()
    try:
        await ours.open()
        theirs.channel = theirs.pc.createDataChannel("agreed", negotiated=True, id=100)
        theirs.channel.on("message", lambda message: theirs.channel.send(message))
        handle = ours.session.open_channel(ours.driver.now(), "agreed", negotiated_id=100)
        ours.channels["agreed"] = (handle, False, 100)
        await negotiate(ours, theirs, True, False)
        await ours.until(lambda: ours.channels["agreed"][1], "the channel")
        await echo_messages(ours, "agreed")
        assert theirs.labels == []
    finally:
        await ours.driver.close()
        await theirs.close()


@pytest.mark.asyncio
async def test_a_wrong_fingerprint_gives_no_keys():
    ours, theirs = Ours(), Theirs()
    try:
        await ours.open()
        offer = ours.describe(("audio", "application"), "actpass")
        await theirs.pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await theirs.pc.setLocalDescription(await theirs.pc.createAnswer())
        honest = sdp.hex_fingerprint(sdp.parse(theirs.pc.localDescription.sdp).fingerprint)
        forged = ("00" if honest[:2] != "00" else "01") + honest[2:]
        ours.apply(theirs.pc.localDescription.sdp.replace(honest, forged), True, True)
        await ours.until(lambda: ours.failures, "the refusal")
        assert ours.failures == [(core.DTLS, core.FAILED, core.ERR_AUTH)]
        assert ours.session.stats()["rtp_sent"] == 0
    finally:
        await ours.driver.close()
        await theirs.close()
