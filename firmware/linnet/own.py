# What this device asks of the room about itself: its track, its name, metadata and
# attributes; and the answers of the server to that.

import asyncio

from .compat import const, hexlify, rand_bytes
from .errors import LinnetError, Refused, Timeout
from .log import INFO, log
from .track import SOURCE_MICROPHONE

_REQUEST_TIMEOUT_MS = const(10000)  # as the other SDKs (protocol.md 2.3)
_OK = const(0)  # RequestResponse.Reason
_QUEUED = const(4)


class Own:
    """Requests of one Room. Each has a key: the cid of a track, or a request id."""

    def __init__(self, room):
        self._room = room
        self._waiting = {}  # key -> [Event, result]
        self._request_id = 0

    # --- asking and answering ---

    async def _wait_for(self, key, what):
        """The result that _settle() gives for `key`."""
        waiting = self._waiting[key]
        try:
            await self._room.port.clock.wait_for_ms(waiting[0].wait(), _REQUEST_TIMEOUT_MS)
        except asyncio.TimeoutError:
            raise Timeout("request-timeout", "the server did not answer: " + what)
        finally:
            self._waiting.pop(key, None)
        if isinstance(waiting[1], LinnetError):
            raise waiting[1]
        if waiting[1] is None:
            raise Refused("not-connected", "the room was left meanwhile: " + what)
        return waiting[1]

    def _settle(self, key, result):
        if key in self._waiting:
            self._waiting[key][1] = result
            self._waiting[key][0].set()

    def on_closed(self, error=None):
        """Whoever waits learns that the room was left, or that the session was lost."""
        for waiting in list(self._waiting.values()):
            waiting[1] = waiting[1] or error
            waiting[0].set()

    def on_track_published(self, message):
        self._settle(message.get("cid", ""), message.get("track", {}))

    def on_request_response(self, response):
        reason = response.get("reason", 0)
        text = response.get("message", "") or "the server gave reason %d" % reason
        if "add_track" in response:
            if reason not in (_OK, _QUEUED):  # then track_published follows
                cid = response["add_track"].get("cid", "")
                self._settle(cid, Refused("publish-refused", text))
        else:
            error = Refused("request-refused", text)
            self._settle(response.get("request_id", 0), response if reason == _OK else error)

    # --- the track ---

    def add_request(self, track):
        """The AddTrackRequest of a track, which from now on is this room's."""
        track.cid = "TR" + hexlify(rand_bytes(8))
        track._room = self._room
        if track.source != SOURCE_MICROPHONE:
            log(INFO, "own", "agents listen to a track only if its source is the microphone")
        self._waiting[track.cid] = [asyncio.Event(), None]
        return {
            "cid": track.cid,
            "name": track.name,
            "type": 0,
            "source": track.source,
            "muted": track.muted,
            "disable_red": True,
        }

    async def wait_published(self, track):
        """The LocalTrackPublication, once the server has given the track a sid."""
        room = self._room
        info = await self._wait_for(track.cid, "publish " + track.name)
        engine = room._must_be_connected()
        publication = room.local_participant._published(track, info)
        engine.set_muted(track.muted)
        if publication.muted != track.muted:  # it changed while the request was under way
            publication.muted = track.muted
            engine.signal.send_soon("mute", {"sid": track.sid, "muted": track.muted})
        room.emit("local_track_published", publication, track)
        return publication

    def give_up(self, track):
        """The track is not this room's after all."""
        self._waiting.pop(track.cid, None)
        track._room = None

    async def publish(self, track):
        room = self._room
        engine = room._must_be_connected()
        if not room.local_participant.permissions.can_publish:
            raise Refused("publish-refused", "the token does not grant canPublish")
        under_way = [key for key in self._waiting if isinstance(key, str)]
        if room.local_participant.track_publications or under_way:
            raise Refused("publish-refused", "a device publishes one microphone track at a time")
        try:
            await engine.request("add_track", self.add_request(track))
            publication = await self.wait_published(track)
        except BaseException:
            self.give_up(track)
            raise
        engine.negotiation.add_microphone(track.cid)
        engine.negotiation.renegotiate()
        return publication

    async def unpublish(self, sid):
        room = self._room
        engine = room._must_be_connected()
        publication = room.local_participant.track_publications.pop(sid, None)
        if publication is None:
            raise Refused("not-published", "no track of ours has the sid " + sid)
        # There is no message for it: the section ends with the next offer (protocol.md 2.3).
        engine.session.unpublish(engine.driver.now())
        engine.negotiation.remove_microphone(publication.track.cid)
        engine.negotiation.renegotiate()
        publication.track._room = None
        room.emit("local_track_unpublished", publication)

    def mute(self, track, muted):
        """RTP stops or goes on before the server knows."""
        room = self._room
        if room._engine is None or room.local_participant is None:
            return
        publication = room.local_participant.track_publications.get(track.sid)
        if publication is None:
            return  # still being published: wait_published() tells the server
        room._engine.set_muted(muted)
        room._engine.signal.send_soon("mute", {"sid": track.sid, "muted": muted})
        publication.muted = muted
        event = "track_muted" if muted else "track_unmuted"
        room.emit(event, room.local_participant, publication)

    def on_mute(self, message):
        """Somebody with admin rights muted us, or unmuted us where the server allows it."""
        publications = self._room.local_participant.track_publications
        publication = publications.get(message.get("sid", ""))
        if publication is not None and publication.track is not None:
            publication.track._set_muted(message.get("muted", False))

    # --- name, metadata, attributes ---

    async def update(self, fields):
        room = self._room
        engine = room._must_be_connected()
        if not room.local_participant.permissions.can_update_metadata:
            raise Refused("missing-grant", "the token does not grant canUpdateOwnMetadata")
        self._request_id += 1
        key = fields["request_id"] = self._request_id
        self._waiting[key] = [asyncio.Event(), None]
        try:
            await engine.request("update_metadata", fields)
            await self._wait_for(key, "update_metadata")
        finally:
            self._waiting.pop(key, None)
