"""csrc/proto/transcode.c: hostile bytes get the verdict of upb, Google's own parser.

With the sanitizers, and with buffers that end where their memory ends:

    LINNET_SANITIZE=1 PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \\
        LD_PRELOAD=$(gcc -print-file-name=libasan.so) pytest tests/c/test_proto_wire.py
"""

import random
import re
import struct

import pytest
from google.protobuf.message import DecodeError
from protobuf_peers import INDEX, Native, as_dict, codec, decoded, field, good_messages, mapless, tag, varint

from linnet import records
from linnet.errors import Protocol

ERR_ARG, ERR_PACKET = -1, -2
RESPONSE = 2
DEPTH_MAX = 8


@pytest.fixture(autouse=True)
def native():
    records.bind(codec())
    yield codec()
    records.bind(None)

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


# --- the corners of the wire format ---


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


def test_numbers_around_the_borders_of_32_bits_are_kept():
    for value in ((1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 33) - 1, 1 << 63, (1 << 64) - 1):
        wire = field(14, tag(2, 0) + varint(value))
        same_as_upb("DataPacket", wire, {"stream_chunk": {"chunk_index": value}})
    for value in ((1 << 31) - 1, 1 << 31, -(1 << 31), -(1 << 31) - 1, (1 << 63) - 1, -(1 << 63)):
        wire = field(16, tag(1, 0) + varint(value & (1 << 64) - 1))
        same_as_upb("SignalRequest", wire, {"ping_req": {"timestamp": value}})


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
    same_as_upb("SignalResponse", field(1, b"") + field(16, b"t"), {"refresh_token": "t"})
    same_as_upb("SignalResponse", field(16, b"t") + field(1, b""), {"join": {}})


def test_a_map_entry_without_key_or_value_has_the_default():
    entries = field(4, field(2, b"v")) + field(4, field(1, b"k")) + field(4, field(1, b"j") + field(9, b"?"))
    same_as_upb("SignalRequest", field(1, entries), {"offer": {"mid_to_track_id": {"": "v", "k": "", "j": ""}}})
    same_as_upb("SignalRequest", field(1, entries + field(4, b"")),
                {"offer": {"mid_to_track_id": {"": "", "k": "", "j": ""}}})
    same_as_upb("SignalResponse", field(29, field(1, tag(1, 0) + b"\7")),
                {"data_track_subscriber_handles": {"sub_handles": {7: {}}}})


@pytest.mark.parametrize("text", [
    b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xef\xbf",
    b"\xe2\x28\xa1", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x90", b"\xff",
    b"ok\xfe"], ids=repr)
def test_a_string_that_is_not_utf8_is_refused_both_ways(native, text):
    same_as_upb("SignalResponse", field(16, text), "refused")
    record = struct.pack("<HBBI", 16, 6, 0, len(text)) + text + bytes(-len(text) % 4)
    assert native.pb_encode(RESPONSE, record, bytearray(100)) == ERR_ARG


def test_a_character_cut_at_the_end_of_a_string_is_not_completed_by_what_follows(native):
    wire = field(16, b"abc\xc3")
    assert native.pb_decode(RESPONSE, wire, bytearray(b"\x80" * 100)) == ERR_PACKET


@pytest.mark.parametrize("text", [
    "\0", "a\0b", "\uffff", "\ufffe", "\ud7ff\ue000", "\U0010ffff", "\x7f\x80\u07ff\u0800"], ids=ascii)
def test_every_character_of_unicode_is_a_character(text):
    same_as_upb("SignalResponse", field(16, text.encode()), {"refresh_token": text})


def test_groups_within_groups_end_at_the_depth_limit():
    def nested(levels):
        return b"".join(tag(50, 3) for _ in range(levels)) + b"".join(tag(50, 4) for _ in range(levels))

    assert our_verdict("SignalResponse", nested(DEPTH_MAX - 1)) == {}
    assert our_verdict("SignalResponse", nested(DEPTH_MAX)) == "refused"
    assert our_verdict("SignalResponse", tag(50, 3) * 100000) == "refused"


def test_messages_within_messages_end_at_the_depth_limit():
    shallow = Native(defines=["LINNET_PB_DEPTH_MAX=3"])
    three = {"track_published": {"track": {"sid": "x"}}}
    four = {"track_published": {"track": {"sid": "x", "version": {"ticks": 1}}}}
    wires = [records.encode("SignalResponse", message) for message in (three, four)]
    assert shallow.pb_decode(RESPONSE, wires[0], bytearray(100)) > 0
    assert shallow.pb_decode(RESPONSE, wires[1], bytearray(100)) == ERR_PACKET
    records.bind(shallow)
    assert records.encode("SignalResponse", three) == wires[0]
    with pytest.raises(ValueError, match="core error -1"):
        records.encode("SignalResponse", four)
