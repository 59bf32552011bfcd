"""Protobuf messages as a real server and peers send them, as a C header for target.c: what pb_decode meets."""

from livekit.protocol import models
from livekit.protocol import rtc

SIGNAL_RESPONSE, DATA_PACKET = 2, 5  # linnet.h: enum linnet_pb


def _participant(name):
    who = models.ParticipantInfo(sid=f"PA_{name}", identity=name, name=name.title(), state=2, metadata="{}",
                                 attributes={"lk.agent.state": "listening", "lang": "en"}, kind=4)
    track = who.tracks.add(sid=f"TR_{name}", type=0, name="microphone", source=2, mime_type="audio/opus", mid="0",
                           stream=f"PA_{name}")
    track.codecs.add(mime_type="audio/opus", mid="0", cid="x")
    track.version.unix_micro = 1763700000000000
    who.permission.can_subscribe = True
    return who


def messages():
    """(LINNET_PB_* root, wire bytes)."""
    join = rtc.SignalResponse()
    join.join.room.sid, join.join.room.name = "RM_1", "kitchen"
    join.join.participant.CopyFrom(_participant("badge"))
    join.join.other_participants.extend([_participant("agent"), _participant("guest")])
    join.join.ice_servers.add(urls=["turn:turn.example:3478?transport=udp"], username="u", credential="c")
    packet = models.DataPacket(participant_identity="agent", destination_identities=["badge"])
    packet.stream_header.stream_id, packet.stream_header.topic = "s", "lk.transcription"
    packet.stream_header.attributes["lk.segment_id"] = "1"
    packet.stream_header.text_header.operation_type = 0
    return [(SIGNAL_RESPONSE, join.SerializeToString(deterministic=True)),
            (DATA_PACKET, packet.SerializeToString(deterministic=True))]


def header():
    found = messages()
    lines = ["/* Made by samples.py. */", "#include <stddef.h>", "#include <stdint.h>"]
    for i, (_, wire) in enumerate(found):
        lines.append(f"static const uint8_t sample_{i}[] = {{{', '.join(map(str, wire))}}};")
    lines.append("static const struct { int message; const uint8_t *wire; size_t len; } samples[] = {")
    lines += [f"    {{{message}, sample_{i}, sizeof sample_{i}}}," for i, (message, _) in enumerate(found)]
    lines += ["};", f"enum {{ SAMPLE_MAX = {max(len(wire) for _, wire in found) + 64} }};"]
    return "\n".join(lines) + "\n"
