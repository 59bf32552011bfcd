"""The objects of Linnet beside those of livekit.rtc: the same names with the same parameters; what differs is in the
README's table, and nothing else is."""

import inspect
import re
import sys

import pytest
from livekit import rtc

from tests.e2e.peers import REPO

sys.path.append(str(REPO / "tests" / "app"))

from linnet import participant, track  # noqa: E402
from linnet.data import DataPacket, DataPacketKind, SipDTMF  # noqa: E402
from linnet.errors import Refused  # noqa: E402
from linnet.options import RoomOptions  # noqa: E402
from linnet.room import ConnectionState, Room  # noqa: E402
from linnet.rpc import RpcInvocationData  # noqa: E402
from rooms import MIC, JoinedRoom, info  # noqa: E402

# What livekit.rtc has and Linnet does not.
NOT_YET = {
    "Room": {"creation_time", "departure_timeout", "e2ee_manager", "empty_timeout", "get_rtc_stats", "is_recording",
             "num_publishers", "register_byte_stream_handler", "register_text_stream_handler", "simulate_scenario",
             "unregister_byte_stream_handler", "unregister_text_stream_handler"},
    "LocalParticipant": {"add_rpc_interceptor", "joined_at", "kind_details", "publish_data_track",
                         "publish_transcription", "remove_rpc_interceptor", "send_bytes", "send_file", "send_text",
                         "set_track_subscription_permissions", "stream_bytes", "stream_text"},
    "RemoteParticipant": {"joined_at", "kind_details"},
    "LocalTrackPublication": {"audio_features", "frame_metadata_features", "height", "simulcasted",
                              "wait_for_subscription", "width"},
    "RemoteTrackPublication": {"audio_features", "frame_metadata_features", "height", "set_video_quality",
                               "simulcasted", "width"},
    "LocalAudioTrack": {"get_stats"},
    "RemoteAudioTrack": {"get_stats"},
    "ParticipantPermission": set(),
    "DataPacket": set(),
    "SipDTMF": set(),
    "RpcInvocationData": {"cancel_reason"},
}
# Differences that no signature shows; the events among them are compared in test_events.py.
IN_MEANING = {"num_participants", "on", "perform_rpc", "publish_track", "create_audio_track",
              "track_subscription_failed"}


def objects():
    """{class name: (ours, an object of it, theirs)}"""
    room = JoinedRoom([info(tracks=[MIC])])
    bob = room.remote_participants["bob"]
    remote = bob.track_publications["TR_b"]
    permission = type(rtc.Participant.permissions.fget.__globals__["proto_participant"].ParticipantPermission())
    pairs = [
        (Room, room, rtc.Room),
        (participant.LocalParticipant, room.local_participant, rtc.LocalParticipant),
        (participant.RemoteParticipant, bob, rtc.RemoteParticipant),
        (track.LocalTrackPublication, track.LocalTrackPublication({}), rtc.LocalTrackPublication),
        (track.RemoteTrackPublication, remote, rtc.RemoteTrackPublication),
        (track.LocalAudioTrack, track.LocalAudioTrack("mic"), rtc.LocalAudioTrack),
        (track.RemoteAudioTrack, track.RemoteAudioTrack(MIC, room), rtc.RemoteAudioTrack),
        (participant.ParticipantPermission, bob.permissions, permission),
        (DataPacket, DataPacket(b"", 0, None, ""), rtc.DataPacket),
        (SipDTMF, SipDTMF(0, "", None), rtc.SipDTMF),
        (RpcInvocationData, RpcInvocationData("", "", "", 1.0), rtc.RpcInvocationData),
    ]
    return {ours.__name__: (ours, one, theirs) for ours, one, theirs in pairs}


def public_names(theirs):
    if hasattr(theirs, "DESCRIPTOR"):
        return {field.name for field in theirs.DESCRIPTOR.fields}
    fields = getattr(theirs, "__dataclass_fields__", {})
    return {name for name in [*dir(theirs), *fields] if not name.startswith("_")}


def default_differs(mine, other):
    """Defaults that are plain values have to be the same; an empty collection is one, of whatever type."""
    if other.default is other.empty:
        return False
    plain = (str, int, float, type(None))
    if isinstance(other.default, plain) and mine.default is not None:
        return mine.default != other.default
    return mine.default is mine.empty


def differs(mine, other):
    """Whether a call that livekit.rtc takes means something else here, or an error."""
    if not callable(other):
        is_awaited = isinstance(other, property) and inspect.iscoroutinefunction(other.fget)
        return is_awaited or callable(mine)
    if not callable(mine) or inspect.iscoroutinefunction(mine) != inspect.iscoroutinefunction(other):
        return True
    ours, theirs = inspect.signature(mine).parameters, inspect.signature(other).parameters
    theirs = {name: one for name, one in theirs.items() if name != "self"}
    if [name for name, one in ours.items() if one.default is one.empty and one.kind != one.VAR_POSITIONAL
            and name not in theirs]:
        return True
    if [name for name, one in theirs.items() if name not in ours or default_differs(ours[name], one)]:
        return True
    by_position = [name for name, one in theirs.items() if one.kind == one.POSITIONAL_OR_KEYWORD]
    return list(ours)[: len(by_position)] != by_position


def told_in_the_readme():
    """The last word of each name in the first column of its table."""
    table = (REPO / "README.md").read_text().split("differs from `livekit.rtc`", 1)[1].split("\n\n", 2)[1]
    return re.findall(r"^\| `(?:Room\.)?(\w+)", table, re.MULTILINE)


@pytest.mark.parametrize("name", NOT_YET)
def test_every_name_of_livekits_is_here_or_listed_as_missing(name):
    _, one, theirs = objects()[name]
    assert {other for other in public_names(theirs) if not hasattr(one, other)} == NOT_YET[name]


def test_parameters_differ_only_where_the_readme_says_so():
    found = {"Room"} if differs(Room, rtc.Room) else set()
    for _, one, theirs in objects().values():
        for name in public_names(theirs):
            if hasattr(one, name) and differs(getattr(one, name), getattr(theirs, name, None)):
                found.add(name)
    assert sorted(told_in_the_readme()) == sorted(found | IN_MEANING)


def test_a_difference_of_parameters_is_seen():
    def ours(a, b=1): ...

    def same(self, a, *, b=1): ...

    async def awaited(self, a, *, b=1): ...

    assert not differs(ours, same)
    assert differs(ours, awaited) and differs(5, same) and differs(ours, property(same))
    for other in (lambda self, a, b=2: 0, lambda self, b=1, a=0: 0, lambda self, a, c: 0, lambda self, b=1: 0,
                  lambda self, a, *, b=1, c=0: 0, lambda self, b, a: 0):
        assert differs(ours, other)


def test_publish_options_of_the_wheel_are_taken_or_refused():
    mic = track.LocalAudioTrack("mic", source=0)
    source = rtc.TrackSource.SOURCE_MICROPHONE
    track.apply_publish_options(mic, rtc.TrackPublishOptions(), RoomOptions())
    track.apply_publish_options(mic, rtc.TrackPublishOptions(source=source, dtx=True, red=False), RoomOptions(dtx=True))
    assert mic.source == track.SOURCE_MICROPHONE
    encoding = rtc.TrackPublishOptions()
    encoding.audio_encoding.max_bitrate = 16000
    with pytest.raises(Refused, match="audio_encoding.*RoomOptions has bitrate"):
        track.apply_publish_options(mic, encoding, RoomOptions())


@pytest.mark.parametrize("ours, theirs", [
    (ConnectionState, rtc.ConnectionState), (DataPacketKind, rtc.DataPacketKind), (track.TrackKind, rtc.TrackKind),
    (track.TrackSource, rtc.TrackSource), (participant.ConnectionQuality, rtc.ConnectionQuality)],
    ids=lambda one: one.__module__)
def test_numbers_have_their_names_and_values(ours, theirs):
    items = dict(theirs.items()) if hasattr(theirs, "items") else {one.name: int(one) for one in theirs}
    mine = {name: value for name, value in vars(ours).items() if not name.startswith("_")}
    assert mine == items
