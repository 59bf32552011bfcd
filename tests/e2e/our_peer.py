"""What both kinds of our side in the end-to-end tests have in common: notes, waiting, and the calls most tests use."""

import asyncio
import time

import numpy as np

from tests.audio_quality import resample, to_float
from tests.e2e.peers import WAIT_TIMEOUT_S, News

EVENTS = ("connected", "disconnected", "connection_state_changed", "participant_connected", "participant_active",
          "participant_disconnected", "track_published", "track_unpublished", "track_subscribed",
          "track_unsubscribed", "track_muted", "track_unmuted", "track_subscription_failed",
          "local_track_published", "local_track_unpublished", "local_track_subscribed", "active_speakers_changed",
          "connection_quality_changed", "room_metadata_changed", "participant_metadata_changed",
          "participant_name_changed", "participant_attributes_changed", "participant_permissions_changed",
          "token_refreshed", "room_updated", "sip_dtmf_received", "track_heard", "media_state_changed",
          "track_limit_reached")


class OurPeer:
    """One participant; a context manager. Has `room` and `me` as an application sees them, `audio`, `net` and
    `process`, the one in which Linnet runs."""

    def __init__(self):
        self.track = None
        self.events = []                # (time.monotonic(), name, arguments)
        self.received = []              # Received, in order of arrival
        self._news = News()

    @property
    def identity(self):
        return self.room.local_participant.identity

    @property
    def me(self):
        return self.room.local_participant

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

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()
