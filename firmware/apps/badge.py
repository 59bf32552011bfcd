# A voice badge: joins a room with its microphone on, lets an agent switch its LED.
#
# The button mutes and unmutes. RPC methods, payloads as JSON:
#   set_led {"on": true} - set_volume {"percent": 0..100} - get_status {}
# Edit this file to make the badge yours; nothing here knows what machine it runs on.

import asyncio
import json

from linnet.errors import LinnetError, RpcError
from linnet.room import Room
from linnet.track import LocalAudioTrack

BAD_PAYLOAD = 1  # this app's own RPC error code


def _fields(data, name, kinds):
    """The field `name` of a JSON payload, or an RpcError the caller understands."""
    try:
        value = json.loads(data.payload)[name]
    except (ValueError, KeyError, TypeError):
        raise RpcError(BAD_PAYLOAD, 'send JSON like {"%s": ...}' % name)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise RpcError(BAD_PAYLOAD, "%s has the wrong type" % name)
    return value


class Badge:
    """The program: one room, one microphone track, three methods."""

    def __init__(self, device):
        self.device = device
        self.room = device.room = Room(device.port)
        self.microphone = LocalAudioTrack("microphone")
        self.has_left = False
        self.over = asyncio.Event()  # the room has ended, or the device stops
        self._watch()

    def _watch(self):
        room, report = self.room, self.device.report
        room.on("participant_connected", lambda p: report("participant_connected", identity=p.identity))
        room.on(
            "participant_disconnected",
            lambda p: report("participant_disconnected", identity=p.identity),
        )
        room.on(
            "track_subscribed",
            lambda track, pub, p: report("track_subscribed", identity=p.identity, track=track.sid),
        )
        room.on(
            "track_unsubscribed",
            lambda track, pub, p: report("track_unsubscribed", identity=p.identity, track=track.sid),
        )
        room.on(
            "track_heard",
            lambda track, pub, p: report("first_sound", identity=p.identity, track=track.sid),
        )
        room.on(
            "track_muted", lambda p, pub: report("muted", identity=p.identity, track=pub.sid)
        )
        room.on(
            "track_unmuted", lambda p, pub: report("unmuted", identity=p.identity, track=pub.sid)
        )
        room.on(
            "active_speakers_changed",
            lambda speakers: report("speakers", identities=[p.identity for p in speakers]),
        )
        room.on("data_received", self._on_data)
        room.on("connection_quality_changed", self._on_quality)
        room.on("disconnected", self._on_disconnected)

    def _on_data(self, packet):
        sender = packet.participant.identity if packet.participant else ""
        self.device.report("data", identity=sender, topic=packet.topic, bytes=len(packet.data))

    def _on_quality(self, participant, quality):
        if participant is self.room.local_participant:
            self.device.report("quality", quality=quality)

    def _on_disconnected(self, reason):
        error = self.room.disconnect_error
        self.device.report("disconnected", reason=reason, cause=error.cause if error else "")
        self.has_left = True
        self.over.set()

    # --- RPC methods ---

    def set_led(self, data):
        is_on = _fields(data, "on", (bool,))
        self.device.report("rpc", method="set_led", caller=data.caller_identity, payload=data.payload)
        self.device.led.set(is_on)
        return json.dumps({"on": self.device.led.is_on})

    def set_volume(self, data):
        percent = _fields(data, "percent", (int,))
        if not 0 <= percent <= 100:
            raise RpcError(BAD_PAYLOAD, "percent must be 0 to 100")
        self.device.volume = percent
        self.room.set_volume(percent / 100)
        self.device.report("rpc", method="set_volume", caller=data.caller_identity, payload=data.payload)
        return json.dumps({"percent": percent})

    def get_status(self, data):
        self.device.report("rpc", method="get_status", caller=data.caller_identity, payload=data.payload)
        stats = self.room.stats()
        return json.dumps(
            {
                "led": self.device.led.is_on,
                "volume": self.device.volume,
                "muted": self.microphone.muted,
                "rtt_ms": stats.get("rtt_us", 0) // 1000,
                "packets_sent": stats.get("rtp_sent", 0),
                "packets_received": stats.get("rtp_received", 0),
            }
        )

    # --- life ---

    def _on_button(self):
        if self.microphone.muted:
            self.microphone.unmute()
        else:
            self.microphone.mute()

    async def run(self):
        """Join, stay until told to stop or the room ends, leave."""
        device, room = self.device, self.room
        device.options.tracks = (self.microphone,)
        room.prepare(device.options)
        url, token = await device.details()
        await room.connect(url, token, device.options)
        me = room.local_participant
        me.register_rpc_method("set_led", self.set_led)
        me.register_rpc_method("set_volume", self.set_volume)
        me.register_rpc_method("get_status", self.get_status)
        device.button.on_press = self._on_button
        device.report(
            "joined",
            room=room.name,
            identity=me.identity,
            timeline=room.timeline(),
            others=sorted(room.remote_participants),
        )
        try:
            await self._until_over()
        finally:
            device.button.on_press = None
            device.report("leaving", timeline=room.timeline(), stats=room.stats())
            await room.disconnect()

    async def _until_over(self):
        stopping = asyncio.create_task(self._when_stopping())
        try:
            await self.over.wait()
        finally:
            stopping.cancel()
        if self.has_left and self.room.disconnect_error is not None:
            raise self.room.disconnect_error

    async def _when_stopping(self):
        await self.device.stopping.wait()
        self.over.set()


async def main(device):
    """What host_sim and main.py run."""
    badge = Badge(device)
    try:
        await badge.run()
    except LinnetError as error:
        device.report("failed", code=error.code, cause=error.cause, cure=error.cure)
        raise
