"""csrc/proto/transcode.c and firmware/linnet/records.py: good messages and the border.

With the sanitizers, and with buffers that end where their memory ends:

    LINNET_SANITIZE=1 PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \\
        LD_PRELOAD=$(gcc -print-file-name=libasan.so) pytest tests/c/test_proto.py
"""

import random
import struct

import pytest
import test_records
from protobuf_peers import (
    FIELDS, INDEX, as_dict, codec, decoded, field, good_messages, ours, paths, randomise, schema, tag,
    varint, wheel, wrapped)

from linnet import records

ERR_ARG, ERR_PACKET, ERR_SPACE = -1, -2, -3
REQUEST, RESPONSE = 1, 2
SEEDS = 500


@pytest.fixture(autouse=True)
def native():
    records.bind(codec())
    yield codec()
    records.bind(None)


# --- round trips ---


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


# --- the border ---


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
    assert records.decode("SignalRequest", worst) == {"update_audio_track": {"features": [0] * 1000}}
    for root, wire in good_messages():
        for n in range(len(wire)):
            assert native.pb_decode(INDEX[root] + 1, wire[:n], bytearray(8 * n)) != ERR_SPACE


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


def test_the_record_of_a_known_message_is_what_the_header_says(native):
    wire = field(4, field(1, field(2, b"url") + tag(3, 0) + varint(1 << 35)))
    wire = field(8, tag(1, 0) + b"\1" + tag(2, 0) + b"\3" + wire)
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


def test_the_extension_that_ships_gives_the_same():
    extension = pytest.importorskip("host_sim.native", reason="not built: run make", exc_type=ImportError)
    for root, wire in good_messages():
        expected = records.decode(root, wire)
        records.bind(extension)
        assert records.decode(root, wire) == expected
        assert records.decode(root, records.encode(root, expected)) == expected
        records.bind(codec())


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


def scalar(number, kind, value):
    return struct.pack("<HBBI", number, kind, 0, value)


def test_every_kind_of_field_takes_its_own_kind_of_item_only(native):
    int64 = struct.pack("<HBBIQ", 1, 2, 0, 8, 7)
    good = {  # root, field of the root, item within: number, kind
        "int": (REQUEST, 16, int64), "bool": (REQUEST, 5, scalar(2, 3, 1)), "bytes": (3, None, scalar(2, 5, 0)),
        "string": (REQUEST, 5, scalar(1, 6, 0)), "packed": (REQUEST, 17, scalar(2, 1, 7)),
        "message": (REQUEST, 16, b""), "float": (RESPONSE, 10, scalar(1, 7, 8) + scalar(2, 4, 0)),
    }
    for name, (root, outer, item) in good.items():
        record = item if outer is None else scalar(outer, 7, len(item)) + item
        assert native.pb_encode(root, record, bytearray(100)) >= 0, name
        at = len(record) - len(item) if item else 0
        at += 8 if name == "float" else 0
        own = record[at + 2]
        for kind in range(10):
            if kind == own or (name == "int" and kind == 1) or (name == "packed" and kind == 2):
                continue
            wrong = bytearray(record)
            wrong[at + 2] = kind
            assert native.pb_encode(root, bytes(wrong), bytearray(100)) == ERR_ARG, f"{name} as kind {kind}"


def test_a_spoilt_item_in_a_packed_run_is_refused(native):
    items = scalar(2, 1, 7) + struct.pack("<HBBI", 2, 1, 1, 7)
    assert native.pb_encode(REQUEST, scalar(17, 7, len(items)) + items, bytearray(100)) == ERR_ARG


def test_a_small_number_takes_no_payload(native):
    record = bytearray(100)
    wire = field(13, tag(1, 0) + varint((1 << 64) - 1))
    assert record[:native.pb_decode(REQUEST, wire, record)] == scalar(13, 7, 8) + scalar(1, 1, 0xFFFFFFFF)


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
