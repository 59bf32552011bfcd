"""Our side of the end-to-end tests: a linnet Room in the test's own event loop, with a sound device in memory.

`LinnetPeer` notes every event, keeps what it heard and waits with a limit, as WheelPeer in peers.py does. It is
thin on purpose: what is tested is `peer.room`, through the same calls an application makes.
"""

import asyncio
import time

import numpy as np

from host_sim import native  # noqa: F401  (before linnet.core: makes the compiled core importable)
from host_sim.port_host import HostClock, HostNet
from linnet.log import Secret
from linnet.port import Port
from linnet.room import Room, RoomOptions
from linnet.track import LocalAudioTrack
from tests.audio_quality import resample, to_float, to_int16
from tests.e2e.peers import WAIT_TIMEOUT_S, News, Received

RING_MS = 60
EVENTS = ("connected", "disconnected", "connection_state_changed", "participant_connected", "participant_active",
          "participant_disconnected", "track_published", "track_unpublished", "track_subscribed",
          "track_unsubscribed", "track_muted", "track_unmuted", "track_subscription_failed",
          "local_track_published", "local_track_unpublished", "local_track_subscribed", "active_speakers_changed",
          "connection_quality_changed", "room_metadata_changed", "participant_metadata_changed",
          "participant_name_changed", "participant_attributes_changed", "participant_permissions_changed",
          "token_refreshed", "room_updated", "sip_dtmf_received", "track_heard", "media_state_changed",
          "track_limit_reached")


class MemoryAudio:
    """linnet.port.Audio: a microphone that hears what it is given, in real time, and a speaker that keeps it all."""

    def __init__(self, rate):
        self.rate = rate
        self.played = bytearray()       # everything since start(); 2 * rate bytes a second, without holes in time
        self.underruns = 0
        self.started_at = None          # time.monotonic()
        self.first_sound_at = None      # when the speaker was first given something louder than -45 dBFS
        self._to_say = bytearray()
        self._captured = 0              # samples
        self._ring = rate * RING_MS // 1000

    def start(self):
        self.started_at = time.monotonic()
        self._captured, self.played, self.first_sound_at = 0, bytearray(), None

    def stop(self):
        self.started_at = None

    def queue(self, samples):
        """Samples at the device rate that the microphone hears next."""
        self._to_say += to_int16(to_float(samples)).tobytes()

    @property
    def seconds_to_say(self):
        return len(self._to_say) / 2 / self.rate

    @property
    def samples(self):
        """What the speaker played, as floats."""
        return to_float(np.frombuffer(bytes(self.played), "<i2"))

    def since(self, at):
        """The samples played after time.monotonic() `at`."""
        return self.samples[max(0, int((at - self.started_at) * self.rate)):]

    def _due(self):
        return int((time.monotonic() - self.started_at) * self.rate)

    def capture_into(self, buf):
        n = len(buf) // 2
        if self.started_at is None or self._due() < self._captured + n:
            return 0
        self._captured += n
        piece = self._to_say[:2 * n]
        del self._to_say[:2 * n]
        buf[:] = piece + bytes(2 * n - len(piece))
        return n

    def play_room(self):
        if self.started_at is None:
            return 0
        due = self._due()
        played = len(self.played) // 2
        if due > played:
            self.underruns += 1 if played else 0
            self.played += bytes(2 * (due - played))    # a device that runs dry is heard as silence
            played = due
        return max(0, due + self._ring - played)

    def play(self, buf):
        self.played += buf
        if self.first_sound_at is None and np.abs(np.frombuffer(buf, "<i2")).max() > 180:
            self.first_sound_at = time.monotonic()
        return len(buf) // 2


class LinnetPeer:
    """One participant; a context manager. `ca_file` is trusted beside the machine's own authorities."""

    def __init__(self, *, rate=16000, ca_file=None, addresses=None, has_audio=True):
        self.audio = MemoryAudio(rate) if has_audio else None
        self.net = HostNet(ca_file=ca_file, addresses=addresses)
        self.room = Room(Port(self.net, HostClock(), self.audio))
        self.track = None
        self.events = []                # (time.monotonic(), name, arguments)
        self.received = []              # Received, in order of arrival
        self._news = News()
        for name in EVENTS:
            self.room.on(name, self._note(name))
        self.room.on("data_received", self._on_data)

    @property
    def identity(self):
        return self.room.local_participant.identity

    @property
    def me(self):
        return self.room.local_participant

    async def join(self, url, token, *, microphone=True, **options):
        """Options as in RoomOptions. `microphone`: publish one with the join. Returns self."""
        if microphone and self.audio:
            self.track = LocalAudioTrack("mic")
            options.setdefault("tracks", (self.track,))
        started = self.joined_from = time.monotonic()
        await self.room.connect(url, token, RoomOptions(**options))
        self.join_seconds = time.monotonic() - started
        return self

    async def close(self):
        await self.room.disconnect()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    # Facts

    def names(self, *wanted):
        """The names of the events so far, in order; only `wanted` ones if any are named."""
        return [name for _, name, _ in self.events if not wanted or name in wanted]

    def times(self, name):
        return [at for at, event, _ in self.events if event == name]

    @property
    def offers(self):
        return self.room.stats()["offers_sent"]

    # Waiting

    async def wait_until(self, fact, what, timeout_s=WAIT_TIMEOUT_S):
        """Waits until fact() is true and returns its value; it is asked again at every event and every 20 ms."""
        async def tick():
            while True:
                await asyncio.sleep(0.02)
                self._news.tell()
        ticking = asyncio.ensure_future(tick())
        try:
            return await self._news.until(fact, timeout_s)
        except asyncio.TimeoutError:
            seen = ", ".join(self.names()[-12:]) or "nothing"
            raise AssertionError(f"Linnet: no {what} within {timeout_s} s; last events: {seen};"
                                 f" {len(self.received)} data packets; {self.room.stats()}") from None
        finally:
            ticking.cancel()

    async def wait_for_event(self, name, timeout_s=WAIT_TIMEOUT_S, *, count=1):
        """The arguments of the count-th event of that name, past or to come."""
        found = await self.wait_until(
            lambda: (them := [event for event in self.events if event[1] == name])[count - 1:] and them,
            f"event {name} ({count})", timeout_s)
        return found[count - 1][2]

    async def wait_for_participant(self, identity, timeout_s=WAIT_TIMEOUT_S):
        return await self.wait_until(lambda: self.room.remote_participants.get(identity),
                                     f"participant {identity}", timeout_s)

    async def wait_for_publication(self, identity, timeout_s=WAIT_TIMEOUT_S):
        """The RemoteTrackPublication of the first track of `identity`."""
        def found():
            participant = self.room.remote_participants.get(identity)
            return participant and next(iter(participant.track_publications.values()), None)
        return await self.wait_until(found, f"publication of {identity}", timeout_s)

    async def wait_for_track(self, identity, timeout_s=WAIT_TIMEOUT_S):
        """The RemoteAudioTrack of `identity`, once it plays."""
        def found():
            participant = self.room.remote_participants.get(identity)
            return participant and next((one.track for one in participant.track_publications.values() if one.track),
                                        None)
        return await self.wait_until(found, f"sound of {identity}", timeout_s)

    async def wait_for_data(self, count=1, *, topic=None, timeout_s=WAIT_TIMEOUT_S):
        """The first `count` packets, of that topic if one is given, in order of arrival."""
        def enough():
            mine = [one for one in self.received if topic in (None, one.topic)]
            return mine[:count] if len(mine) >= count else None
        return await self.wait_until(enough, f"{count} data packets{f' on {topic}' if topic else ''}", timeout_s)

    # Sound

    async def say(self, samples, rate, *, lead_in_s=0.0):
        """Speaks in real time; returns time.monotonic() of the start, without the lead-in, and of the end."""
        self.audio.queue(np.zeros(int(lead_in_s * self.audio.rate)))
        started = time.monotonic() + self.audio.seconds_to_say
        self.audio.queue(resample(to_float(samples), rate, self.audio.rate))
        await self.wait_until(lambda: not self.audio.seconds_to_say, "end of the sentence",
                              self.audio.seconds_to_say + WAIT_TIMEOUT_S)
        return started, time.monotonic()

    async def hears_until(self, at):
        """Waits until the speaker has played what was under way at time.monotonic() `at`."""
        await self.wait_until(lambda: time.monotonic() > at, "time to pass", at - time.monotonic() + WAIT_TIMEOUT_S)

    # Data and RPC

    async def send(self, data, *, reliable=True, topic="", to=()):
        await self.me.publish_data(data, reliable, list(to), topic)

    async def call_rpc(self, identity, method, payload="", timeout_s=5.0):
        return await self.me.perform_rpc(destination_identity=identity, method=method, payload=payload,
                                         response_timeout=timeout_s)

    def answer_rpc(self, method, handler):
        self.me.register_rpc_method(method, handler)

    def _on_data(self, packet):
        self.received.append(Received(bytes(packet.data), packet.topic,
                                      packet.participant.identity if packet.participant else None,
                                      packet.kind == 1, time.monotonic()))
        self.events.append((time.monotonic(), "data_received", (packet,)))
        self._news.tell()

    def _note(self, name):
        def note(*arguments):
            self.events.append((time.monotonic(), name, arguments))
            self._news.tell()
        return note


def newest_token(peer):
    """The token a reconnect of `peer` would use, in the clear."""
    token = peer.room._engine.signal.token
    assert isinstance(token, Secret)
    return token.reveal()
