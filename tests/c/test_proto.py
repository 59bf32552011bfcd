"""csrc/proto/transcode.c and firmware/linnet/records.py against Google's own parser.

With the sanitizers, and with buffers that end where their memory ends:

    LINNET_SANITIZE=1 PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \\
        LD_PRELOAD=$(gcc -print-file-name=libasan.so) pytest tests/c/test_proto.py
"""

import random
import re
import struct
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "app")]

import test_records  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402
from protobuf_peers import (  # noqa: E402
    FIELDS, INDEX, Native, as_dict, canonical, mapless, ours, paths, randomise, schema, wheel, wrapped)

from linnet import records  # noqa: E402
from linnet.errors import Protocol  # noqa: E402

ERR_ARG, ERR_PACKET, ERR_SPACE = -1, -2, -3
REQUEST, RESPONSE, DATA_PACKET = 1, 2, 5
DEPTH_MAX = 8
SEEDS = 500


@pytest.fixture(scope="module", autouse=True)
def native():
    codec = Native()
    records.bind(codec)
    yield codec
    records.bind(None)


def decoded(name, wire):
    """The dict, with floats as upb's side of the comparison has them."""
    return canonical(records.decode(name, wire), INDEX[name])


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def tag(number, wire_type):
    return varint(number << 3 | wire_type)


def field(number, body):
    return tag(number, 2) + varint(len(body)) + body


# --- (b) round trips ---


@pytest.mark.parametrize("name", sorted(paths()))
def test_what_the_wheel_writes_is_read_the_same(name):
    root = paths()[name][0]
    for seed in range(SEEDS):
        outer, inner = wrapped(wheel, name)
        randomise(random.Random(seed), inner)
        assert decoded(root, outer.SerializeToString()) == as_dict(outer, INDEX[root]), f"seed {seed}"


@pytest.mark.parametrize("name", sorted(paths()))
def test_what_we_write_is_read_the_same_by_the_wheel(name):
    root = paths()[name][0]
    for seed in range(SEEDS):
        outer, inner = wrapped(ours, name)
        randomise(random.Random(seed), inner)
        wire = outer.SerializeToString()
        message = records.decode(root, wire)
        written = records.encode(root, message)
        assert len(written) == len(wire), f"seed {seed}: not as short as Google's"
        read = wheel(root).FromString(written)
        assert as_dict(read, INDEX[root]) == as_dict(outer, INDEX[root]), f"seed {seed}"


def test_the_round_trips_met_every_field():
    met = set()

    def visit(message, index):
        fields = {field[0]: field for field in FIELDS[index].values()}
        for name, value in message.items():
            _, kind, sub, label = fields[name]
            met.add((index, name))
            if label == schema.MAP:
                met.update(((sub, "key"), (sub, "value")) if value else ())
                inner = FIELDS[sub][2]
                for each in value.values() if inner[1] == schema.MSG else ():
                    visit(each, inner[2])
            elif kind == schema.MSG:
                for each in value if label == schema.REPEATED else [value]:
                    visit(each, sub)

    every = {(i, field[0]) for i, fields in enumerate(FIELDS) for field in fields.values()}
    for name, (root, _) in paths().items():
        own = {entry for entry in every if entry[0] == INDEX[name]}
        for seed in range(SEEDS):
            if own <= met:
                break
            outer, inner = wrapped(ours, name)
            randomise(random.Random(seed), inner)
            visit(records.decode(root, outer.SerializeToString()), INDEX[root])
    assert every - met == set()


# --- (c) hostile bytes: the same verdict and the same value as upb ---


def good_messages():
    """(root, wire) of a few messages of some hundred bytes that together hold most fields."""
    found = []
    for root in schema.ROOTS:
        for seed in (3, 5):
            rng = random.Random(seed)
            message = randomise(rng, ours(root)(), 0.9)
            while not 60 < len(message.SerializeToString()) < 600:
                message = randomise(rng, ours(root)(), 0.9)
            found.append((root, message.SerializeToString()))
    return found


# A tenth byte that overflows 64 bits: Go refuses it, and so does nanopb; upb drops the bits.
OVERFLOW = re.compile(rb"[\x80-\xff]{9}[\x02-\x7f]", re.S)


def verdict_of_upb(root, wire):
    try:
        return as_dict(mapless(root).FromString(wire), INDEX[root])
    except DecodeError:
        return "refused"


def check_verdicts(root, wire):
    """Ours, after it has been found to be upb's."""
    verdict, upb = our_verdict(root, wire), verdict_of_upb(root, wire)
    if verdict != "refused" or not OVERFLOW.search(wire):
        assert verdict == upb, f"{root}: {wire.hex()}"
    return verdict


def our_verdict(root, wire):
    try:
        return decoded(root, wire)
    except Protocol:
        return "refused"


def test_truncations_get_the_same_verdict_as_from_upb():
    refused = 0
    for root, wire in good_messages():
        for n in range(len(wire)):
            refused += check_verdicts(root, wire[:n]) == "refused"
    assert refused > 1000


def test_single_bit_flips_get_the_same_verdict_as_from_upb():
    refused = taken = 0
    for root, wire in good_messages():
        for bit in range(8 * len(wire)):
            bad = bytearray(wire)
            bad[bit // 8] ^= 1 << bit % 8
            verdict = check_verdicts(root, bytes(bad))
            refused += verdict == "refused"
            taken += verdict != "refused"
    assert refused > 1000 and taken > 1000


def test_random_edits_get_the_same_verdict_as_from_upb():
    good = good_messages()
    for seed in range(20000):
        rng = random.Random(seed)
        root, wire = rng.choice(good)
        bad = bytearray(wire)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(bad) + 1)
            bad[at:at + rng.randrange(3)] = rng.choice((b"", b"\x80", b"\xff" * 4, rng.randbytes(2)))
        check_verdicts(root, bytes(bad))


def test_any_record_is_encoded_or_refused_and_what_is_encoded_decodes(native):
    wires = good_messages()
    taken = 0
    for seed in range(20000):
        rng = random.Random(seed)
        root, wire = rng.choice(wires)
        number = INDEX[root] + 1
        record = bytearray(8 * len(wire))
        record = record[:native.pb_decode(number, wire, record)]
        for _ in range(rng.randrange(1, 4)):
            record[rng.randrange(len(record))] ^= 1 << rng.randrange(8)
        out = bytearray(2 * len(record))
        n = native.pb_encode(number, bytes(record[:rng.choice((len(record), rng.randrange(len(record))))]), out)
        assert n >= 0 or n == ERR_ARG, f"seed {seed}"
        if n >= 0:
            taken += 1
            assert native.pb_decode(number, bytes(out[:n]), bytearray(8 * n)) >= 0, f"seed {seed}"
    assert taken > 1000


# --- (d) the corners of the wire format ---


def same_as_upb(root, wire, expected):
    assert verdict_of_upb(root, wire) == expected
    assert our_verdict(root, wire) == expected


def test_unknown_fields_of_every_wire_type_are_skipped():
    unknown = tag(900, 0) + varint(300) + tag(901, 1) + bytes(8) + field(902, b"abc") + tag(903, 5) + bytes(4)
    same_as_upb("SignalResponse", unknown + field(16, b"token") + unknown, {"refresh_token": "token"})


def test_groups_are_skipped_with_what_is_in_them():
    inner = tag(7, 3) + tag(1, 0) + b"\1" + tag(7, 4)
    group = tag(5, 3) + field(16, b"no") + inner + tag(5, 4)
    same_as_upb("SignalResponse", group + field(16, b"yes"), {"refresh_token": "yes"})


@pytest.mark.parametrize("wire", [
    tag(5, 4), tag(5, 3), tag(5, 3) + tag(6, 4), tag(5, 3) + tag(6, 3) + tag(5, 4) + tag(6, 4),
    tag(5, 6), tag(5, 7), b"\0", b"\0\0", tag(5, 3) + b"\0" + tag(5, 4),
], ids=["end alone", "never ends", "wrong end", "crossed", "type 6", "type 7", "field 0", "zeros", "0 in group"])
def test_broken_groups_and_tags_are_refused(wire):
    same_as_upb("SignalResponse", wire, "refused")


@pytest.mark.parametrize("wire_type, body", [(0, b"\1"), (1, bytes(8)), (5, bytes(4))])
def test_a_known_field_of_another_wire_type_counts_as_unknown(wire_type, body):
    same_as_upb("SignalResponse", tag(16, wire_type) + body, {})
    same_as_upb("SignalResponse", tag(1, wire_type) + body, {})


def test_a_scalar_sent_as_bytes_counts_as_unknown():
    same_as_upb("WrappedJoinRequest", field(1, b"\1") + field(2, b"x"), {"join_request": b"x"})


def test_an_overlong_varint_is_taken_up_to_ten_bytes():
    same_as_upb("WrappedJoinRequest", tag(1, 0) + b"\x81" + b"\x80" * 8 + b"\0", {"compression": 1})
    same_as_upb("WrappedJoinRequest", tag(1, 0) + b"\x81" + b"\x80" * 9 + b"\0", "refused")
    assert our_verdict("WrappedJoinRequest", tag(1, 0) + b"\xff" * 9 + b"\1") == {"compression": -1}
    assert our_verdict("WrappedJoinRequest", tag(1, 0) + b"\xff" * 9 + b"\2") == "refused"  # as in Go


def test_an_overlong_tag_or_length_is_taken_up_to_five_bytes():
    same_as_upb("WrappedJoinRequest", b"\x92\x80\x80\x80\0\1x", {"join_request": b"x"})
    same_as_upb("WrappedJoinRequest", b"\x92\x80\x80\x80\x80\0\1x", "refused")
    same_as_upb("WrappedJoinRequest", b"\x12\x81\x80\x80\x80\0x", {"join_request": b"x"})
    same_as_upb("WrappedJoinRequest", b"\x12\x81\x80\x80\x80\x80\0x", "refused")


@pytest.mark.parametrize("length", [2, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1])
def test_a_length_beyond_the_end_is_refused(length):
    for number in (2, 99):
        same_as_upb("WrappedJoinRequest", tag(number, 2) + varint(length) + b"x", "refused")


def test_negative_numbers_keep_their_sign():
    for value in (-1, -2, -(1 << 31)):
        wire = field(13, tag(1, 0) + varint(value & (1 << 64) - 1))
        same_as_upb("SignalRequest", wire, {"simulate": {"speaker_update": value}})
        assert records.encode("SignalRequest", {"simulate": {"speaker_update": value}}) == wire


def test_a_32_bit_field_drops_what_is_above_32_bits():
    wide = varint((5 << 32) + 7)
    same_as_upb("SignalRequest", field(13, tag(1, 0) + wide), {"simulate": {"speaker_update": 7}})
    same_as_upb("SignalRequest", field(20, tag(1, 0) + wide), {"unpublish_data_track_request": {"pub_handle": 7}})
    same_as_upb("WrappedJoinRequest", tag(1, 0) + varint(0xFFFFFFFF), {"compression": -1})
    same_as_upb("SignalRequest", field(13, tag(6, 0) + wide), {"simulate": {"subscriber_bandwidth": (5 << 32) + 7}})


def test_a_bool_is_true_for_any_bit_of_the_varint():
    same_as_upb("SignalRequest", field(13, tag(2, 0) + varint(1 << 40)), {"simulate": {"node_failure": True}})


def test_repeated_numbers_come_packed_unpacked_and_mixed():
    packed, single = field(2, b"\1\2\x80\1"), tag(2, 0) + b"\5"
    same_as_upb("SignalRequest", field(17, packed), {"update_audio_track": {"features": [1, 2, 128]}})
    same_as_upb("SignalRequest", field(17, single + packed + single),
                {"update_audio_track": {"features": [5, 1, 2, 128, 5]}})
    same_as_upb("SignalRequest", field(17, field(2, b"")), {"update_audio_track": {}})
    same_as_upb("SignalRequest", field(17, field(2, b"\1\x80")), "refused")


def test_repeated_numbers_are_written_packed():
    wire = records.encode("SignalRequest", {"update_audio_track": {"features": [1, 2, 300]}})
    assert wire == field(17, field(2, b"\1\2\xac\2"))


def test_a_later_scalar_counts_and_a_later_message_is_merged():
    first = field(1, field(1, b"offer") + field(2, b"old"))
    same_as_upb("SignalRequest", first + field(1, field(2, b"new") + tag(3, 0) + b"\4"),
                {"offer": {"type": "offer", "sdp": "new", "id": 4}})


def test_a_later_member_of_a_oneof_replaces_an_earlier_one():
    same_as_upb("SignalRequest", field(1, field(1, b"a")) + field(5, b"") + field(1, field(2, b"b")),
                {"offer": {"sdp": "b"}})


def test_a_map_entry_without_key_or_value_has_the_default():
    entries = field(4, field(2, b"v")) + field(4, field(1, b"k")) + field(4, field(1, b"j") + field(9, b"?"))
    same_as_upb("SignalRequest", field(1, entries), {"offer": {"mid_to_track_id": {"": "v", "k": "", "j": ""}}})
    same_as_upb("SignalRequest", field(1, entries + field(4, b"")),
                {"offer": {"mid_to_track_id": {"": "", "k": "", "j": ""}}})
    same_as_upb("SignalResponse", field(29, field(1, tag(1, 0) + b"\7")),
                {"data_track_subscriber_handles": {"sub_handles": {7: {}}}})


@pytest.mark.parametrize("text", [
    b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xef\xbf", b"\xe2\x28\xa1",
    b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x90", b"\xff", b"ok\xfe"], ids=repr)
def test_a_string_that_is_not_utf8_is_refused_both_ways(native, text):
    same_as_upb("SignalResponse", field(16, text), "refused")
    record = struct.pack("<HBBI", 16, 6, 0, len(text)) + text + bytes(-len(text) % 4)
    assert native.pb_encode(RESPONSE, record, bytearray(100)) == ERR_ARG


@pytest.mark.parametrize("text", ["\0", "a\0b", "\uffff", "\ufffe", "\ud7ff\ue000", "\U0010ffff", "\x7f\x80\u07ff\u0800"],
                         ids=ascii)
def test_every_character_of_unicode_is_a_character(text):
    same_as_upb("SignalResponse", field(16, text.encode()), {"refresh_token": text})


def test_groups_within_groups_end_at_the_depth_limit():
    def nested(levels):
        return b"".join(tag(50, 3) for _ in range(levels)) + b"".join(tag(50, 4) for _ in range(levels))

    assert our_verdict("SignalResponse", nested(DEPTH_MAX - 1)) == {}
    assert our_verdict("SignalResponse", nested(DEPTH_MAX)) == "refused"
    assert our_verdict("SignalResponse", tag(50, 3) * 100000) == "refused"


# --- (e) the border ---


def test_a_record_buffer_that_is_too_small_is_said_so_and_not_overrun(native):
    for root, wire in good_messages():
        number = INDEX[root] + 1
        whole = bytearray(8 * len(wire))
        need = native.pb_decode(number, wire, whole)
        for cap in [*range(0, need, 7), need - 1]:
            memory = bytearray(b"\xa5" * (cap + 64))
            at = native.ffi.from_buffer("uint8_t[]", memory)
            assert native.lib.linnet_pb_decode(number, wire, len(wire), at, cap) == ERR_SPACE
            assert memory[cap:] == b"\xa5" * 64
        exact = bytearray(need)
        assert native.pb_decode(number, wire, exact) == need and exact == whole[:need]


def test_a_wire_buffer_that_is_too_small_is_said_so_and_not_overrun(native):
    for root, wire in good_messages():
        number = INDEX[root] + 1
        record = bytearray(8 * len(wire))
        record = bytes(record[:native.pb_decode(number, wire, record)])
        for cap in range(len(wire)):
            memory = bytearray(b"\xa5" * (cap + 64))
            at = native.ffi.from_buffer("uint8_t[]", memory)
            assert native.lib.linnet_pb_encode(number, record, len(record), at, cap) == ERR_SPACE
            assert memory[cap:] == b"\xa5" * 64
        assert native.pb_encode(number, record, bytearray(len(wire))) == len(wire)


def test_a_record_is_at_most_eight_times_its_wire(native):
    worst = field(17, field(2, b"\0" * 1000))
    record = bytearray(8 * len(worst))
    assert 7.9 * len(worst) < native.pb_decode(REQUEST, worst, record) <= len(record)
    for root, wire in good_messages():
        for n in range(len(wire)):
            assert native.pb_decode(INDEX[root] + 1, wire[:n], bytearray(8 * n)) != ERR_SPACE


def test_the_record_of_a_known_message_is_what_the_header_says(native):
    wire = field(8, tag(1, 0) + b"\1" + tag(2, 0) + b"\3" + field(4, field(1, field(2, b"url") + tag(3, 0) + varint(1 << 35))))
    region = struct.pack("<HBBI4s", 2, 6, 0, 3, b"url") + struct.pack("<HBBIQ", 3, 2, 0, 8, 1 << 35)
    regions = struct.pack("<HBBI", 1, 7, 0, len(region)) + region
    leave = struct.pack("<HBBI", 1, 3, 0, 1) + struct.pack("<HBBI", 2, 1, 0, 3)
    leave += struct.pack("<HBBI", 4, 7, 0, len(regions)) + regions
    expected = struct.pack("<HBBI", 8, 7, 0, len(leave)) + leave
    record = bytearray(200)
    assert record[:native.pb_decode(RESPONSE, wire, record)] == expected
    out = bytearray(200)
    assert out[:native.pb_encode(RESPONSE, expected, out)] == wire


def test_the_cases_that_micropython_plays_back_are_what_the_codec_gives(native):
    for root, _, wire, record in test_records.CASES:
        wire, record = bytes.fromhex(wire), bytes.fromhex(record)
        out = bytearray(len(record))
        assert native.pb_decode(INDEX[root] + 1, wire, out) == len(record) and out == record
        out = bytearray(len(wire))
        assert native.pb_encode(INDEX[root] + 1, record, out) == len(wire) and out == wire


def test_a_wrong_call_is_no_wrong_packet(native):
    null, some = native.ffi.NULL, native.ffi.new("uint8_t[8]")
    for function in (native.lib.linnet_pb_decode, native.lib.linnet_pb_encode):
        for message in (0, -1, len(schema.ROOTS) + 1):
            assert function(message, some, 0, some, 8) == ERR_ARG
        assert function(1, null, 1, some, 8) == ERR_ARG
        assert function(1, some, 0, null, 8) == ERR_ARG
        assert function(1, null, 0, null, 0) == 0
    assert native.lib.linnet_pb_decode(1, b"\0", 1, some, 8) == ERR_PACKET


@pytest.mark.parametrize("record", [
    struct.pack("<HBBI", 9, 7, 0, 0), struct.pack("<HBBI", 0, 7, 0, 0), struct.pack("<HBBI", 5, 1, 0, 0),
    struct.pack("<HBBI", 5, 7, 1, 0), struct.pack("<HBBI", 5, 7, 0, 8), b"\5", struct.pack("<HBBI", 5, 99, 0, 0),
], ids=["unknown field", "field 0", "wrong kind", "no zero", "beyond the end", "short head", "no such kind"])
def test_a_record_that_the_schema_cannot_mean_is_refused(native, record):
    assert native.pb_encode(REQUEST, record, bytearray(100)) == ERR_ARG


# --- records.py ---


def test_a_name_that_the_schema_does_not_have_is_refused_by_name():
    with pytest.raises(ValueError, match="MuteTrackRequest has no field muet"):
        records.encode("SignalRequest", {"mute": {"sid": "x", "muet": True}})
    with pytest.raises(ValueError, match="Room is not a root message"):
        records.encode("Room", {})
    with pytest.raises(ValueError, match="Room is not a root message"):
        records.decode("Room", b"")


@pytest.mark.parametrize("packet", [
    {"destination_identities": "bob"}, {"participant_identity": 5}, {"sequence": "1"}, {"sequence": 1.0},
    {"user": {"payload": "text"}}], ids=repr)
def test_a_value_of_the_wrong_type_is_refused(packet):
    with pytest.raises(TypeError):
        records.encode("DataPacket", packet)


@pytest.mark.parametrize("packet", [{"sequence": -1}, {"sequence": 1 << 32}, {"chat_message": {"timestamp": 1 << 63}}])
def test_a_number_out_of_range_is_refused(packet):
    with pytest.raises(ValueError, match="out of range"):
        records.encode("DataPacket", packet)


def test_none_is_absent_and_defaults_cost_nothing():
    assert records.encode("DataPacket", {"sequence": None, "user": None}) == b""
    assert records.encode("DataPacket", {"sequence": 0, "participant_sid": "", "destination_identities": []}) == b""
    assert records.encode("DataPacket", {"user": {"topic": ""}}) == field(2, field(4, b""))


def test_which_get_and_fill_read_what_a_message_says():
    name, mute = records.which({"mute": {"sid": "TR_1"}}, "message")
    assert (name, mute) == ("mute", {"sid": "TR_1"})
    assert records.which({"sequence": 3, "rpc_ack": {}}, "value") == ("rpc_ack", {})
    assert records.which({"sequence": 3}, "value") == (None, None)
    message = {"join": {"room": {"name": "r"}}}
    assert records.get(message, "join.room.name") == "r"
    assert records.get(message, "join.participant.sid", "?") == "?"
    room = records.fill("JoinResponse", {"room": {}, "other_participants": [{}]})
    assert room["room"]["num_participants"] == 0 and room["server_version"] == "" and room["ice_servers"] == []
    assert room["other_participants"][0]["attributes"] == {} and "participant" not in room
    packet = records.fill("DataPacket", {"user": {}})
    assert packet["user"] == {"payload": b"", "nonce": b""} and "rpc_ack" not in packet


def test_a_message_of_a_large_room_is_read_and_written():
    join = wheel("SignalResponse")()
    for i in range(500):
        peer = join.join.other_participants.add(sid="PA_%d" % i, identity="user-%d" % i, state=2, version=3)
        peer.tracks.add(sid="TR_%d" % i, source=2, mime_type="audio/red")
        peer.attributes["lk.agent.state"] = "listening"
    message = records.decode("SignalResponse", join.SerializeToString())
    assert message == as_dict(join, INDEX["SignalResponse"])
    assert records.encode("SignalResponse", message) == join.SerializeToString(deterministic=True)
