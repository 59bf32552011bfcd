# Messages as dicts, on both interpreters. The native codec is played back from
# the cases below; tests/c/test_proto.py checks that each is what the real one
# gives, and everything that needs it.

import binascii

from harness import TestCase, main
from linnet import records
from linnet.errors import Protocol

# root, message, protobuf, record
CASES = (
    (
        "SignalRequest",
        {"mute": {"sid": "TR_1", "muted": True}},
        "2a080a0454525f311001",
        "0500070014000000010006000400000054525f310200030001000000",
    ),
    (
        "SignalRequest",
        {"offer": {"type": "offer", "sdp": "v=0\r\n", "id": 1, "mid_to_track_id": {"0": "TR_1"}}},
        "0a1b0a056f666665721205763d300d0a180122090a0130120454525f31",
        "010007004800000001000600050000006f666665720000000200060005000000763d300d0a000000"
        "03000100010000000400070018000000010006000100000030000000020006000400000054525f31",
    ),
    (
        "SignalRequest",
        {"ping_req": {"timestamp": 1763683200123, "rtt": 20}},
        "82010908fbd8d79daa331014",
        "100007001800000001000200080000007becb5a39a0100000200010014000000",
    ),
    (
        "SignalRequest",
        {"update_audio_track": {"track_sid": "TR_1", "features": [1, 6, 300]}},
        "8a010c0a0454525f3112040106ac02",
        "1100070024000000010006000400000054525f310200010001000000020001000600000002000100"
        "2c010000",
    ),
    (
        "SignalResponse",
        {"refresh_token": "Zoë 🐦"},
        "8201095a6fc3ab20f09f90a6",
        "10000600090000005a6fc3ab20f09f90a6000000",
    ),
    (
        "SignalResponse",
        {
            "speakers_changed": {
                "speakers": [{"sid": "PA_1", "level": 0.25, "active": True}, {"sid": "PA_2"}]
            }
        },
        "52170a0d0a0450415f31150000803e18010a060a0450415f32",
        "0a00070038000000010007001c000000010006000400000050415f31020004000000803e03000300"
        "01000000010007000c000000010006000400000050415f32",
    ),
    (
        "SignalResponse",
        {"data_track_subscriber_handles": {"sub_handles": {7: {"track_sid": "DTR_1"}}}},
        "ea010d0a0b080712071a054454525f31",
        "1d000700280000000100070020000000010001000700000002000700100000000300060005000000"
        "4454525f31000000",
    ),
    (
        "SignalResponse",
        {
            "update": {
                "participants": [
                    {
                        "sid": "PA_1",
                        "version": 0xFFFFFFFF,
                        "kind": 4,
                        "attributes": {"lk.agent.state": "listening"},
                        "permission": {},
                    }
                ]
            }
        },
        "2a2f0a2d0a0450415f3150ffffffff0f5a0070047a1b0a0e6c6b2e6167656e742e737461746512096c697374656e696e67",
        "05000700600000000100070058000000010006000400000050415f310a000100ffffffff0b000700"
        "000000000e000100040000000f0007002c000000010006000e0000006c6b2e6167656e742e737461"
        "7465000002000600090000006c697374656e696e67000000",
    ),
    (
        "WrappedJoinRequest",
        {"join_request": b"\x00\x01\x02\x03\x04"},
        "12050001020304",
        "02000500050000000001020304000000",
    ),
    (
        "JoinRequest",
        {"connection_settings": {"auto_subscribe": True, "auto_subscribe_data_track": False}},
        "120408012800",
        "020007001000000001000300010000000500030000000000",
    ),
    (
        "DataPacket",
        {
            "destination_identities": ["bob", "eve"],
            "user": {"payload": b"hi", "topic": "", "start_time": 0xFFFFFFFFFFFFFFFF},
            "sequence": 3,
        },
        "121112026869220048ffffffffffffffffff012a03626f622a03657665800103",
        "020007002400000002000500020000006869000004000600000000000900020008000000ffffffff"
        "ffffffff0500060003000000626f62000500060003000000657665001000010003000000",
    ),
    (
        "EncryptedPacketPayload",
        {"rpc_response": {"request_id": "r", "error": {"code": 1400}}},
        "32080a01721a0308f80a",
        "060007001c00000001000600010000007200000003000700080000000100010078050000",
    ),
)


class Playback:
    """pb_decode and pb_encode for the bytes in CASES."""

    def __init__(self):
        self.wire_of = {}
        self.record_of = {}
        for _, _, wire, record in CASES:
            wire, record = binascii.unhexlify(wire), binascii.unhexlify(record)
            self.wire_of[record] = wire
            self.record_of[wire] = record

    def pb_decode(self, message, wire, record):
        return self._give(self.record_of.get(bytes(wire)), record)

    def pb_encode(self, message, record, wire):
        return self._give(self.wire_of[bytes(record)], wire)

    def _give(self, result, buffer):
        if result is None:
            return -2
        if len(buffer) < len(result):
            return -3
        buffer[: len(result)] = result
        return len(result)


class TestRecords(TestCase):
    def setUp(self):
        self.codec = Playback()
        records.bind(self.codec)

    def tearDown(self):
        records.bind(None)

    def test_what_is_read(self):
        for root, message, wire, _ in CASES:
            with self.subTest(root=root, wire=wire):
                self.assertEqual(records.decode(root, binascii.unhexlify(wire)), message)

    def test_what_is_written(self):
        for root, message, wire, _ in CASES:
            with self.subTest(root=root, wire=wire):
                self.assertEqual(records.encode(root, message), binascii.unhexlify(wire))

    def test_numbers_keep_sign_and_width(self):
        # kind, item, low word, 8 bytes -> value; kinds 1 to 4 are I32, I64, U32, U64
        cases = (
            (1, 1, 0xFFFFFFFF, b"", -1),
            (2, 1, 0x80000000, b"", -0x80000000),
            (3, 1, 0xFFFFFFFF, b"", 0xFFFFFFFF),
            (4, 1, 0xFFFFFFFF, b"", 0xFFFFFFFF),
            (1, 2, 8, b"\xfe\xff\xff\xff\1\0\0\0", -2),
            (3, 2, 8, b"\xfe\xff\xff\xff\1\0\0\0", 0xFFFFFFFE),
            (2, 2, 8, b"\xff" * 8, -1),
            (4, 2, 8, b"\xff" * 8, 0xFFFFFFFFFFFFFFFF),
        )
        for kind, item, n, payload, value in cases:
            with self.subTest(kind=kind, item=item, n=n):
                self.assertEqual(records._integer(kind, item, n, payload, 0), value)

    def test_bytes_that_are_no_message(self):
        with self.assertRaises(Protocol) as raised:
            records.decode("SignalResponse", b"\xff")
        self.assertEqual(raised.exception.code, "protobuf")

    def test_values_of_the_wrong_type(self):
        cases = (
            {"destination_identities": "bob"},
            {"participant_identity": 5},
            {"sequence": "1"},
            {"sequence": 1.5},
            {"user": {"payload": "text"}},
        )
        for packet in cases:
            with self.subTest(packet=packet):
                self.assertRaises(TypeError, records.encode, "DataPacket", packet)

    def test_numbers_out_of_range(self):
        for packet in ({"sequence": -1}, {"sequence": 1 << 32}, {"kind": 1 << 31}):
            with self.subTest(packet=packet):
                self.assertRaises(ValueError, records.encode, "DataPacket", packet)

    def test_a_name_that_does_not_exist(self):
        with self.assertRaises(ValueError) as raised:
            records.encode("SignalRequest", {"mute": {"sid": "x", "muet": True}})
        self.assertEqual(str(raised.exception), "MuteTrackRequest has no field muet")
        self.assertRaises(ValueError, records.decode, "Room", b"")

    def test_which_member_of_a_oneof(self):
        self.assertEqual(records.which({"mute": {"sid": "x"}}, "message"), ("mute", {"sid": "x"}))
        self.assertEqual(records.which({"sequence": 3, "rpc_ack": {}}, "value"), ("rpc_ack", {}))
        self.assertEqual(records.which({"sequence": 3}, "value"), (None, None))

    def test_get_and_fill(self):
        message = {"join": {"room": {"name": "r"}}}
        self.assertEqual(records.get(message, "join.room.name"), "r")
        self.assertEqual(records.get(message, "join.participant.sid", "?"), "?")
        packet = records.fill("DataPacket", {"user": {}})
        self.assertEqual(packet["user"], {"payload": b"", "nonce": b""})
        self.assertEqual((packet["sequence"], packet["destination_identities"]), (0, []))
        self.assertFalse("rpc_ack" in packet)


if __name__ == "__main__":
    main()
