# Data packets: what an application sends and receives as bytes (protocol.md 4.2).

from .channels import LOSSY, RELIABLE
from .errors import Closed, Refused


class DataPacketKind:
    """As in livekit.rtc."""

    KIND_LOSSY = 0
    KIND_RELIABLE = 1


class DataPacket:
    """What a "data_received" handler gets. `participant` is None if the sender is hidden or not
    known yet, or if the server's API sent it."""

    def __init__(self, data, kind, participant, topic):
        self.data = data
        self.kind = kind
        self.participant = participant
        self.topic = topic


class SipDTMF:
    """What a "sip_dtmf_received" handler gets."""

    def __init__(self, code, digit, participant):
        self.code = code
        self.digit = digit
        self.participant = participant


class Data:
    """Sends and sorts DataPackets for a Room."""

    def __init__(self, room):
        self._room = room

    async def send(self, packet, reliable=True, destinations=()):
        """Send a DataPacket dict. Raises what publish_data documents."""
        room = self._room
        if room._engine is None:
            raise Closed("not-connected", "there is no room to send to")
        if not room.local_participant.permissions.can_publish_data:
            raise Refused("missing-grant", "the token does not grant canPublishData")
        if destinations:
            packet["destination_identities"] = list(destinations)
        await room._engine.send_packet(packet, RELIABLE if reliable else LOSSY)

    async def publish(self, payload, reliable, destinations, topic):
        if isinstance(payload, str):
            payload = payload.encode()
        user = {"payload": bytes(payload)}
        if topic:
            user["topic"] = topic
        await self.send({"user": user}, reliable, destinations)

    async def publish_dtmf(self, code, digit):
        await self.send({"sip_dtmf": {"code": code, "digit": digit}})

    def on_packet(self, kind, packet):
        """Sort one received packet to events and to RPC."""
        room = self._room
        identity = packet.get("participant_identity", "")
        sender = room.remote_participants.get(identity)
        if "user" in packet:
            user = packet["user"]
            public = DataPacketKind.KIND_RELIABLE if kind == RELIABLE else DataPacketKind.KIND_LOSSY
            room.emit(
                "data_received",
                DataPacket(user.get("payload", b""), public, sender, user.get("topic", "")),
            )
        elif "rpc_request" in packet:
            room._rpc.on_request(identity, packet["rpc_request"])
        elif "rpc_ack" in packet:
            room._rpc.on_ack(packet["rpc_ack"])
        elif "rpc_response" in packet:
            room._rpc.on_response(packet["rpc_response"])
        elif "sip_dtmf" in packet:
            dtmf = packet["sip_dtmf"]
            room.emit(
                "sip_dtmf_received", SipDTMF(dtmf.get("code", 0), dtmf.get("digit", ""), sender)
            )
        else:
            room.packets_ignored += 1
