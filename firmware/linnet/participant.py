# Participants, with the names of livekit.rtc.

from .compat import const
from .errors import Refused
from .track import LocalTrackPublication, apply_publish_options

KIND_STANDARD = const(0)
KIND_INGRESS = const(1)
KIND_EGRESS = const(2)
KIND_SIP = const(3)
KIND_AGENT = const(4)

_RIGHTS = (
    "can_subscribe",
    "can_publish",
    "can_publish_data",
    "can_update_metadata",
    "can_subscribe_metrics",
    "can_manage_agent_session",
    "hidden",
)
_UNTOLD = {"can_subscribe": True, "can_publish": True, "can_publish_data": True}

MAX_METADATA = const(524288)  # bytes; the server's limits (protocol.md 2.3)
MAX_ATTRIBUTES = const(65536)
MAX_NAME = const(256)


class ConnectionQuality:
    """As in livekit.rtc."""

    QUALITY_UNKNOWN = -1  # none has been told yet
    QUALITY_POOR = 0
    QUALITY_GOOD = 1
    QUALITY_EXCELLENT = 2
    QUALITY_LOST = 3


class ParticipantPermission:
    """What somebody may do: can_subscribe, can_publish, ... True or False, and
    can_publish_sources, a list of TrackSource in which nothing means all."""

    def __init__(self, permission):
        for right in _RIGHTS:  # proto3 leaves what is false off the wire
            setattr(self, right, permission.get(right, False))
        self.can_publish_sources = list(permission.get("can_publish_sources", ()))

    def _facts(self):
        return [getattr(self, right) for right in _RIGHTS], self.can_publish_sources

    def __eq__(self, other):
        return isinstance(other, ParticipantPermission) and self._facts() == other._facts()

    def __repr__(self):
        granted = [right for right in _RIGHTS if getattr(self, right)]
        return "ParticipantPermission(%s)" % ", ".join(granted)


class Participant:
    """Anybody in the room."""

    def __init__(self, info):
        self.sid = ""
        self.identity = ""
        self.name = ""
        self.metadata = ""
        self.attributes = {}
        self.kind = KIND_STANDARD
        self.permissions = ParticipantPermission({})
        self.disconnect_reason = None  # a DisconnectReason once it has left and said why
        self.connection_quality = ConnectionQuality.QUALITY_UNKNOWN
        self.audio_level = 0.0
        self.track_publications = {}
        self._version = -1
        self.apply(info)

    def is_newer(self, info):
        return info.get("version", 0) > self._version

    def apply(self, info):
        """Take over what a ParticipantInfo says, tracks excepted."""
        self._version = info.get("version", 0)
        self.sid = info.get("sid", self.sid)
        self.identity = info.get("identity", self.identity)
        self.state = info.get("state", 0)  # ParticipantInfo.State: 2 is ACTIVE
        self.name = info.get("name", "")
        self.metadata = info.get("metadata", "")
        self.attributes = dict(info.get("attributes", {}))
        self.kind = info.get("kind", KIND_STANDARD)
        if "permission" in info:
            self.permissions = ParticipantPermission(info["permission"])
        self.client_protocol = info.get("client_protocol", 0)


class RemoteParticipant(Participant):
    """Somebody else."""


class LocalParticipant(Participant):
    """This device. Whatever the server would drop in silence raises here."""

    def __init__(self, info, room):
        super().__init__(info)
        if "permission" not in info:  # then the server decides what it drops
            self.permissions = ParticipantPermission(_UNTOLD)
        self._room = room

    # --- tracks ---

    async def publish_track(self, track, options=None):
        """Publish a LocalAudioTrack and give its LocalTrackPublication. `options` are
        TrackPublishOptions.

        Raises Refused("publish-refused") with the missing grant, Refused("bad-argument") for
        an option that a device does not have, Timeout("request-timeout")."""
        if options is not None:
            apply_publish_options(track, options, self._room._must_be_connected().options)
        return await self._room._own.publish(track)

    async def unpublish_track(self, track_sid):
        """Take the track back. Refused("not-published") if there is none of that sid."""
        await self._room._own.unpublish(track_sid)

    def _published(self, track, info):
        publication = LocalTrackPublication(info)
        publication.track = track
        track.sid = publication.sid
        self.track_publications[publication.sid] = publication
        return publication

    # --- data ---

    async def publish_data(self, payload, reliable=True, destination_identities=(), topic=""):
        """Send bytes or text to everybody else, or to these identities.

        Reliable packets arrive in order; others may be lost. At most about 64,000 bytes in all,
        15 KiB reach every kind of client. Raises Refused("missing-grant"),
        Refused("payload-too-large"), Timeout("queue-full"), Closed("not-connected")."""
        await self._room._data.publish(payload, reliable, destination_identities, topic)

    async def publish_dtmf(self, code, digit):
        """Send one DTMF digit to SIP participants."""
        await self._room._data.publish_dtmf(code, digit)

    # --- remote method calls ---

    async def perform_rpc(
        self,
        destination_identity,
        method,
        payload,
        response_timeout=None,
        max_round_trip_latency=None,
    ):
        """Call `method` at another participant and give its answer, a str.

        The limits are seconds from when the request is sent, 15 for the answer and 7 for the
        ack; livekit.rtc counts `response_timeout` from the ack. Raises RpcError with LiveKit's
        codes."""
        return await self._room._rpc.perform(
            destination_identity, method, payload, response_timeout, max_round_trip_latency
        )

    def register_rpc_method(self, method_name, handler=None):
        """Answer calls of this method with handler(RpcInvocationData) -> str, plain or async;
        without a handler: a decorator."""
        return self._room._rpc.register(method_name, handler)

    def unregister_rpc_method(self, method):
        self._room._rpc.unregister(method)

    # --- what others see of us ---

    async def set_metadata(self, metadata):
        """Needs the grant canUpdateOwnMetadata. Raises Refused("missing-grant")."""
        if len(metadata.encode()) > MAX_METADATA:
            raise Refused("payload-too-large", "metadata over %d bytes" % MAX_METADATA)
        await self._room._own.update({"metadata": metadata, "name": self.name})

    async def set_name(self, name):
        if len(name.encode()) > MAX_NAME:
            raise Refused("payload-too-large", "a name over %d bytes" % MAX_NAME)
        await self._room._own.update({"name": name, "metadata": self.metadata})

    async def set_attributes(self, attributes):
        """Set these keys; an empty value deletes its key, other keys stay."""
        size = sum([len(k.encode()) + len(v.encode()) for k, v in attributes.items()])
        if size > MAX_ATTRIBUTES:
            raise Refused("payload-too-large", "attributes over %d bytes" % MAX_ATTRIBUTES)
        await self._room._own.update(
            {"attributes": dict(attributes), "name": self.name, "metadata": self.metadata}
        )
