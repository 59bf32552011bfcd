"""The other side of the end-to-end tests: peers on LiveKit's own Python SDK (the `livekit` wheel, Rust inside).

`WheelPeer` publishes, records, sends and answers as a test tells it; `AgentProcess` is the demo's voice agent in a
process of its own. Every wait has a limit, and its error says what had come until then.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from livekit import rtc

from host_sim.demo_agent import Voice
from tests.audio_quality import level_dbfs, resample, to_float, to_int16

RATE = 48000
FRAME = RATE // 100
JOIN_TIMEOUT_S = 15
WAIT_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 10
REPO = Path(__file__).resolve().parents[2]


class News:
    """Lets coroutines wait for a fact that is looked at again whenever something happened."""

    def __init__(self):
        self._happened = asyncio.Event()

    def tell(self):
        self._happened.set()

    async def until(self, fact, timeout_s):
        """Returns the first true value of fact(); raises asyncio.TimeoutError."""
        async def waiting():
            while not (value := fact()):
                self._happened.clear()
                await self._happened.wait()
            return value
        return await asyncio.wait_for(waiting(), timeout_s)


@dataclass
class Received:
    """A data packet as it came."""
    data: bytes
    topic: str
    sender: str | None
    reliable: bool
    at: float               # time.monotonic()


@dataclass
class Recording:
    """One remote audio track, 48 kHz mono, from the moment it was subscribed."""
    identity: str
    sid: str
    name: str
    mime: str
    source: int
    subscribed_at: float
    frames: list = field(default_factory=list)
    arrivals: list = field(default_factory=list)
    seconds: float = 0.0
    ended: bool = False

    def add(self, frame, at):
        self.frames.append(frame)
        self.arrivals.append(at)
        self.seconds += len(frame) / RATE

    @property
    def pcm(self):
        """All samples until now, 16 bit."""
        return np.concatenate(self.frames) if self.frames else np.zeros(0, np.int16)

    @property
    def samples(self):
        """The same as floats in -1..1."""
        return to_float(self.pcm)

    def first_sound_at(self, above_dbfs=-45.0):
        """time.monotonic() of the first frame that is no silence, or None."""
        for frame, at in zip(self.frames, self.arrivals, strict=True):
            if level_dbfs(frame) > above_dbfs:
                return at
        return None

    def since(self, at):
        """The samples that arrived after the moment `at`."""
        frames = [frame for frame, arrival in zip(self.frames, self.arrivals, strict=True) if arrival >= at]
        return to_float(np.concatenate(frames)) if frames else np.zeros(0)

    def longest_wait(self):
        """Seconds between the two neighbouring frames that came furthest apart."""
        return float(np.max(np.diff(self.arrivals))) if len(self.arrivals) > 1 else 0.0


class WheelPeer:
    """One participant. Make it, join() it and close() it inside the same running loop."""

    def __init__(self):
        # Inside the running loop: elsewhere the SDK makes a Room that never gets an event.
        asyncio.get_running_loop()
        self.room = rtc.Room()
        self.events = []            # (time.monotonic(), name, arguments)
        self.received = []          # Received, in order of arrival
        self.recordings = {}        # track sid -> Recording
        self._voices = []
        self._streams = []
        self._tasks = []
        self._news = News()
        for name in ("participant_connected", "participant_disconnected", "track_published", "track_unpublished",
                     "track_unsubscribed", "track_muted", "track_unmuted", "participant_attributes_changed",
                     "participant_metadata_changed", "participant_name_changed", "room_metadata_changed",
                     "active_speakers_changed", "connection_quality_changed", "disconnected", "reconnecting",
                     "reconnected", "local_track_subscribed", "track_subscription_failed"):
            self.room.on(name, self._note(name))
        self.room.on("track_subscribed", self._on_track)
        self.room.on("data_received", self._on_data)

    @property
    def identity(self):
        return self.room.local_participant.identity

    async def join(self, url, token, **options):
        """Options as in rtc.RoomOptions. Returns self; the seconds it took are in join_seconds."""
        started = time.monotonic()
        await asyncio.wait_for(self.room.connect(url, token, rtc.RoomOptions(**options)), JOIN_TIMEOUT_S)
        self.join_seconds = time.monotonic() - started
        return self

    async def close(self):
        """Leaves politely and frees everything. Harmless when it never joined."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams:
            await asyncio.wait_for(stream.aclose(), CLOSE_TIMEOUT_S)
        for voice in self._voices:
            await voice.close()
        await asyncio.wait_for(self.room.disconnect(), CLOSE_TIMEOUT_S)
        self._tasks, self._streams, self._voices = [], [], []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    # Waiting

    async def wait_until(self, fact, what, timeout_s=WAIT_TIMEOUT_S):
        """Waits until fact() is true and returns its value; it is asked again at every event, packet and frame."""
        try:
            return await self._news.until(fact, timeout_s)
        except asyncio.TimeoutError:
            seen = ", ".join(name for _, name, _ in self.events[-12:]) or "nothing"
            raise AssertionError(f"no {what} within {timeout_s} s; last events: {seen};"
                                 f" {len(self.received)} data packets, {len(self.recordings)} tracks") from None

    async def wait_for_event(self, name, timeout_s=WAIT_TIMEOUT_S):
        """The arguments of the first event of that name, past or to come."""
        found = await self.wait_until(lambda: [event for event in self.events if event[1] == name],
                                      f"event {name}", timeout_s)
        return found[0][2]

    async def wait_for_participant(self, identity, timeout_s=WAIT_TIMEOUT_S):
        return await self.wait_until(lambda: self.room.remote_participants.get(identity),
                                     f"participant {identity}", timeout_s)

    async def wait_for_track(self, identity=None, timeout_s=WAIT_TIMEOUT_S):
        """The Recording of the first audio track of `identity` (or of anybody) that has not ended."""
        return await self.wait_until(
            lambda: next((one for one in self.recordings.values()
                          if identity in (None, one.identity) and not one.ended), None),
            f"audio track of {identity or 'anybody'}", timeout_s)

    # Sound

    async def publish_audio(self, name="microphone", **options):
        """Publishes a 48 kHz mono track and returns its Voice; options: source, red, dtx (see demo_agent.Voice)."""
        voice = Voice()
        self._voices.append(voice)
        voice.publication = await asyncio.wait_for(voice.publish(self.room, name, **options), WAIT_TIMEOUT_S)
        return voice

    async def say(self, voice, samples, rate=RATE, lead_in_s=0.0):
        """Speaks floats or 16-bit samples in real time; returns time.monotonic() of the start and of the end.

        A receiver that has just met a track plays its first second a little faster, until its playout buffer is as
        short as the network allows (STOI 0.97 instead of 0.997). Whoever judges the sound of a call, and not its
        first second, lets some silence go first: `lead_in_s`, 0.5 is enough. The start is that of the samples."""
        pcm = to_int16(resample(to_float(samples), rate, RATE))
        if lead_in_s:
            await asyncio.wait_for(voice.say(np.zeros(int(lead_in_s * RATE), np.int16)), lead_in_s + WAIT_TIMEOUT_S)
        started = time.monotonic()
        await asyncio.wait_for(voice.say(pcm), len(pcm) / RATE + WAIT_TIMEOUT_S)
        return started, time.monotonic()

    async def unpublish(self, voice):
        await asyncio.wait_for(self.room.local_participant.unpublish_track(voice.publication.sid), WAIT_TIMEOUT_S)

    def _on_track(self, track, publication, participant):
        self._note("track_subscribed")(track, publication, participant)
        if track.kind != rtc.TrackKind.KIND_AUDIO:
            return
        recording = Recording(participant.identity, publication.sid, publication.name, publication.mime_type,
                              publication.source, time.monotonic())
        self.recordings[publication.sid] = recording
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=10)
        self._streams.append(stream)
        self._tasks.append(asyncio.get_running_loop().create_task(self._record(stream, recording)))

    async def _record(self, stream, recording):
        async for event in stream:
            recording.add(np.frombuffer(event.frame.data, np.int16).copy(), time.monotonic())
            self._news.tell()
        recording.ended = True
        self._news.tell()

    # Data

    async def send(self, data, *, reliable=True, topic="", to=()):
        await asyncio.wait_for(self.room.local_participant.publish_data(
            data, reliable=reliable, topic=topic, destination_identities=list(to)), WAIT_TIMEOUT_S)

    async def wait_for_data(self, count=1, *, topic=None, timeout_s=WAIT_TIMEOUT_S):
        """The first `count` packets, of that topic if one is given, in order of arrival."""
        def enough():
            mine = [one for one in self.received if topic in (None, one.topic)]
            return mine[:count] if len(mine) >= count else None
        return await self.wait_until(enough, f"{count} data packets{f' on {topic}' if topic else ''}", timeout_s)

    def _on_data(self, packet):
        self.received.append(Received(
            bytes(packet.data), packet.topic or "", packet.participant.identity if packet.participant else None,
            packet.kind == rtc.DataPacketKind.KIND_RELIABLE, time.monotonic()))
        self._news.tell()

    # RPC

    def answer_rpc(self, method, handler):
        """`handler` gets rtc.RpcInvocationData and returns a str, or raises rtc.RpcError."""
        self.room.local_participant.register_rpc_method(method, handler)

    async def call_rpc(self, identity, method, payload="", timeout_s=5.0, **options):
        """The answer; raises rtc.RpcError with its code."""
        return await asyncio.wait_for(self.room.local_participant.perform_rpc(
            destination_identity=identity, method=method, payload=payload, response_timeout=timeout_s, **options),
            timeout_s + WAIT_TIMEOUT_S)

    # Events

    def _note(self, name):
        def note(*arguments):
            self.events.append((time.monotonic(), name, arguments))
            self._news.tell()
        return note


class AgentProcess:
    """`python -m host_sim.demo_agent` beside the test, ended with it; its events are dictionaries."""

    def __init__(self, url, token, *options):
        self._command = [sys.executable, "-m", "host_sim.demo_agent", "--url", url, "--tied", *options]
        self._token = token
        self._process = self._reader = None
        self._news = News()
        self.events = []

    async def __aenter__(self):
        # The token goes through the environment: a command line is everybody's to read.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, cwd=REPO, env=dict(os.environ, LIVEKIT_TOKEN=self._token),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        self._reader = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(self, *_):
        self._process.stdin.close()         # --tied: it leaves the room and ends
        try:
            await asyncio.wait_for(self._process.wait(), CLOSE_TIMEOUT_S)
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reader

    @property
    def returncode(self):
        return self._process.returncode

    def stand_still(self, yes=True):
        """The whole process stops, or goes on: a peer that is there and says nothing."""
        self._process.send_signal(signal.SIGSTOP if yes else signal.SIGCONT)

    async def wait_for(self, name, timeout_s=20):
        """The first event of that name, past or to come."""
        try:
            return await self._news.until(
                lambda: next((event for event in self.events if event["event"] == name), None), timeout_s)
        except asyncio.TimeoutError:
            raise AssertionError(f"the agent had no {name} within {timeout_s} s; it had {self.events}") from None

    async def _read(self):
        async for line in self._process.stdout:
            self.events.append(json.loads(line))
            self._news.tell()
