# The room: what an app author reads first.
#
#     room = Room(port)
#
#     @room.on("data_received")
#     def got(packet): ...
#
#     await room.connect(url, token, RoomOptions(tracks=(LocalAudioTrack("mic"),)))
#     await room.local_participant.publish_data("hello", topic="chat")
#     await room.disconnect()
#
# Names and argument order of events are those of livekit.rtc:
#   connected () - disconnected (reason) - connection_state_changed (state)
#   participant_connected (participant) - participant_disconnected (participant)
#   participant_active (participant): it can be sent data
#   track_published (publication, participant) - track_unpublished (publication, participant)
#   track_subscribed (track, publication, participant) - track_unsubscribed (same)
#   track_subscription_failed (participant, track_sid, error)
#   track_muted (participant, publication) - track_unmuted (same)
#   local_track_published (publication, track) - local_track_unpublished (publication)
#   local_track_subscribed (track)
#   active_speakers_changed (participants) - connection_quality_changed (participant, quality)
#   data_received (packet) - sip_dtmf_received (dtmf)
#   room_metadata_changed (old, new) - participant_metadata_changed (participant, old, new)
#   participant_name_changed (participant, old, new)
#   participant_attributes_changed (changed, participant)
#   participant_permissions_changed (participant, permissions)
#   token_refreshed () - room_updated ()
# Linnet's own: track_heard (track, publication, participant): its first sound has come;
#   media_state_changed (is_connected); track_limit_reached (track_sid).

import asyncio

from . import roster, token as tokens
from .compat import ticks_diff
from .data import Data
from .engine import Engine
from .errors import DisconnectReason, Refused, closed_by_server
from .events import EventEmitter
from .log import INFO, Secret, log
from .options import RoomOptions
from .own import Own
from .participant import LocalParticipant
from .rpc import Rpc


class ConnectionState:
    """livekit.ConnectionState."""

    CONN_DISCONNECTED = 0
    CONN_CONNECTED = 1
    CONN_RECONNECTING = 2


class Room(EventEmitter):
    """One room; may be connected again after it was left."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self._volume = 1.0
        self._prepared = None
        self._clear()

    def _clear(self):
        self._engine = None
        self._data = Data(self)
        self._rpc = Rpc(self)
        self._own = Own(self)
        self._info = {}
        self._early_tracks = {}  # sid -> slot of sound that came before its participant
        self._steps = []
        self.disconnect_error = None
        self._started = 0
        self._connecting = False
        self.local_participant = None
        self.remote_participants = {}
        self.server_version = ""
        self.connection_state = ConnectionState.CONN_DISCONNECTED
        self.active_speakers = []
        self.packets_ignored = 0

    # --- facts ---

    @property
    def name(self):
        return self._info.get("name", "")

    @property
    def sid(self):
        """A str, to be had at once, not awaited. Empty for a moment after connect():
        "room_updated" tells that the server has given it."""
        return self._info.get("sid", "")

    @property
    def num_participants(self):
        """This device and those that it sees; 0 before the first connect()."""
        return len(self.remote_participants) + (self.local_participant is not None)

    @property
    def metadata(self):
        return self._info.get("metadata", "")

    def isconnected(self):
        return self.connection_state == ConnectionState.CONN_CONNECTED

    def timeline(self):
        """[(step, milliseconds since connect())]: start (key, certificate and offer are made), dns,
        tcp, tls, ws, join, ice, dtls, first_sent, sctp, first_heard; what did not happen is
        absent."""
        return list(self._steps)

    def stats(self):
        """Counters of the core (core.SESSION_STATS), of the native media loop where there is one
        (core.LOOP_STATS), and the driver's; {} when not connected."""
        if self._engine is None:
            return {}
        stats = self._engine.session.stats()
        if self.port.media_loop:
            stats.update(self._engine.session.loop_stats())
        stats["audio_turns_late"] = self._engine.driver.frames_late
        stats["datagrams_unsent"] = self._engine.driver.unsent
        stats["offers_sent"] = self._engine.negotiation.offers_sent
        return stats

    def set_volume(self, volume):
        """Loudness of everything this device plays: 0.0 is silence, 1.0 as it comes, at most 4.0."""
        self._volume = volume
        if self._engine is not None:
            gain = max(0, min(16384, int(volume * 4096)))
            self._engine.session.set_volume(self._engine.driver.now(), gain)

    # --- coming and going ---

    def prepare(self, options):
        """Make keys and certificate for the next connect() with these RoomOptions. On a device it
        takes a good part of a second: do it while the token is fetched, or at boot."""
        if self._prepared is None or self._prepared.options is not options:
            if self._prepared is not None:
                self._prepared.discard()
            self._prepared = Engine(self.port, options, self._on_engine)

    async def connect(self, url, token, options=None):
        """Join. Returns when the media path and the data channels are up: what participants send
        to this device reliably from then on arrives. Sound and reliable packets may have come
        before. Raises a LinnetError that says what is wrong and what helps. `token` is never
        shown, logged or stored."""
        if self._engine is not None or self._connecting:
            raise Refused("already-connected", "this room is connected already")
        options = options or RoomOptions()
        self._connecting = True
        try:
            await self._connect(url, Secret(token), options)
        finally:
            self._connecting = False

    async def _connect(self, url, token, options):
        claims = tokens.inspect(token)
        claims.check(self.port.clock.unix_time())
        if options.tracks and not claims.can_publish_source("microphone"):
            raise Refused("publish-refused", "the token does not let this device publish a microphone")
        if len(options.tracks) > 1:
            raise Refused("publish-refused", "a device publishes one microphone track at a time")
        connecting = self._connecting
        self._clear()
        self._connecting = connecting
        self._started = self.port.clock.ticks_us()
        self.prepare(options)
        engine, self._prepared = self._prepared, None
        self._engine = engine
        self.set_volume(self._volume)
        try:
            requests = [self._own.add_request(track) for track in options.tracks]
            await engine.connect(url, token.reveal(), requests)
            for track in options.tracks:
                await self._own.wait_published(track)
            if engine.failure is not None:
                raise engine.failure
        except BaseException:
            # Cancelled, refused or broken: nothing may stay open behind our back, and a server
            # that has let us in hears that we go.
            for track in options.tracks:
                self._own.give_up(track)
            try:
                await engine.close(DisconnectReason.CLIENT_INITIATED)
            finally:
                self._clear()
            raise
        self._set_state(ConnectionState.CONN_CONNECTED)
        self.emit("connected")

    async def disconnect(self, reason=DisconnectReason.CLIENT_INITIATED):
        """Leave. The server is told why. Does nothing when not connected."""
        engine = self._engine
        if engine is None:
            return
        await self._end(reason, reason)

    async def _end(self, reason, tell_server=None):
        engine, self._engine = self._engine, None
        if engine is None:
            return
        self._rpc.on_closed()
        self._own.on_closed()
        await engine.close(tell_server)
        self._set_state(ConnectionState.CONN_DISCONNECTED)
        self.emit("disconnected", reason)

    def _set_state(self, state):
        if state != self.connection_state:
            self.connection_state = state
            self.emit("connection_state_changed", state)

    def _must_be_connected(self):
        if self._engine is None:
            raise Refused("not-connected", "this room is not connected")
        return self._engine

    # --- other people's tracks ---

    def _subscribe(self, publication, subscribed):
        engine = self._must_be_connected()
        engine.set_track_wanted(publication.sid, subscribed)
        engine.signal.send_soon(
            "subscription",
            {
                "track_sids": [publication.sid],
                "subscribe": subscribed,
                "participant_tracks": [
                    {
                        "participant_sid": publication.participant.sid,
                        "track_sids": [publication.sid],
                    }
                ],
            },
        )

    def _set_track_volume(self, track, volume):
        if self._engine is not None and track.slot is not None:
            self._engine.negotiation.receivers.set_gain(track.sid, max(1, min(65535, int(volume * 4096))))

    def _track_stats(self, track):
        if self._engine is None or track.slot is None:
            return None
        return self._engine.session.track_stats(track.slot)

    # --- what the engine says ---

    def _on_engine(self, name, *args):
        if name == "packet":
            self._data.on_packet(*args)
        elif name == "signal":
            self._on_signal(*args)
        elif name == "track":
            roster.track_playing(self, *args)
        elif name == "heard":
            roster.track_heard(self, *args)
        elif name == "step":
            self._on_step(*args)
        elif name == "transport":
            self.emit("media_state_changed", *args)
        elif name == "limit":
            self.emit("track_limit_reached", *args)
        elif name == "lost":
            self._on_lost(*args)

    def _on_step(self, name):
        if name in [step for step, _ in self._steps]:
            return
        us = ticks_diff(self.port.clock.ticks_us(), self._started)
        self._steps.append((name, us / 1000))

    def _on_lost(self, error):
        reason = DisconnectReason.SIGNAL_CLOSE
        if error.code in ("ice-failed", "media-timeout", "dtls-failed", "media-failed"):
            reason = DisconnectReason.MEDIA_FAILURE
        elif error.code == "signal-timeout":
            reason = DisconnectReason.CONNECTION_TIMEOUT
        if self.disconnect_error is None:  # the server may have said before why it closes
            self.disconnect_error = error
        if self._connecting:
            self._own.on_closed(error)
        else:
            # The server hears that we go, if it can: it would keep our place for a while.
            asyncio.create_task(self._end(reason, DisconnectReason.CLIENT_INITIATED))

    def _on_signal(self, name, message):
        handler = _SIGNALS.get(name)
        if handler is not None:
            handler(self, message)
        else:
            log(INFO, "room", "ignored the signal", name)

    def _on_join(self, join):
        self._info = join.get("room", {})
        server = join.get("server_info", {})
        self.server_version = server.get("version", "") or join.get("server_version", "")
        self.local_participant = LocalParticipant(join.get("participant", {}), self)
        for info in join.get("other_participants", []):
            roster.update_one(self, info, True)

    def _on_update(self, update):
        for info in update.get("participants", []):
            roster.update_one(self, info)

    def _on_leave(self, leave):
        reason = leave.get("reason", 0)
        self.disconnect_error = closed_by_server(reason)
        if self._connecting:
            self._engine._lost(self.disconnect_error)
        else:
            asyncio.create_task(self._end(reason))

    def _on_track_unpublished(self, message):
        log(INFO, "room", "the server confirmed the end of", message.get("track_sid", ""))

    def _on_room_update(self, update):
        old, self._info = self._info, update.get("room", {})
        if old.get("metadata", "") != self.metadata:
            self.emit("room_metadata_changed", old.get("metadata", ""), self.metadata)
        self.emit("room_updated")

    def _on_refresh_token(self, _):
        self.emit("token_refreshed")

    def _on_own_subscribed(self, message):
        publication = self.local_participant.track_publications.get(message.get("track_sid", ""))
        if publication is not None:
            self.emit("local_track_subscribed", publication.track)


_SIGNALS = {
    "join": Room._on_join,
    "update": Room._on_update,
    "leave": Room._on_leave,
    "track_published": lambda room, message: room._own.on_track_published(message),
    "track_unpublished": Room._on_track_unpublished,
    "request_response": lambda room, message: room._own.on_request_response(message),
    "mute": lambda room, message: room._own.on_mute(message),
    "room_update": Room._on_room_update,
    "refresh_token": Room._on_refresh_token,
    "track_subscribed": Room._on_own_subscribed,
    "speakers_changed": roster.speakers_changed,
    "connection_quality": roster.quality_changed,
    "subscription_response": roster.subscription_failed,
    "subscription_permission_update": roster.permission_changed,
}
