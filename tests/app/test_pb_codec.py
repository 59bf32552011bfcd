# The codec that stands in for the native one where there is none must say the
# same as it does.

import binascii

import native_core
import pb_codec
from harness import TestCase, main
from linnet import records
from test_records import CASES

MORE = (
    ("SignalResponse", {"join": {"ping_interval": -5, "room": {"sid": "RM_1", "name": "r"}}}),
    ("SignalResponse", {"connection_quality": {"updates": [{"participant_sid": "P", "quality": 3}]}}),
    ("SignalRequest", {"leave": {"reason": 1}}),
    ("SignalRequest", {"ping_req": {"timestamp": -1, "rtt": 0x7FFFFFFFFFFFFFFF}}),
    ("DataPacket", {"rpc_response": {"request_id": "x", "payload": ""}, "sequence": 1}),
)


class TestPbCodec(TestCase):
    def tearDown(self):
        records.bind(None)

    def test_the_recorded_cases_are_read_and_written_alike(self):
        records.bind(pb_codec)
        for root, message, wire, _ in CASES:
            with self.subTest(root=root):
                wire = binascii.unhexlify(wire)
                self.assertEqual(records.decode(root, wire), message)
                self.assertEqual(records.decode(root, records.encode(root, message)), message)

    def test_it_says_what_the_native_codec_says(self):
        if not native_core.HAS_CORE:
            self.skipTest(native_core.NEEDS_CORE)
        for root, message in MORE + tuple([case[:2] for case in CASES]):
            with self.subTest(root=root):
                records.bind(native_core.native)
                wire = records.encode(root, message)
                whole = records.decode(root, wire)
                records.bind(pb_codec)
                self.assertEqual(records.encode(root, message), wire)
                self.assertEqual(records.decode(root, wire), whole)

    def test_bytes_that_are_no_message_are_refused(self):
        for wire in (b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xff", b"\x07\x00", b"\x08\x01"):
            with self.subTest(wire=wire):
                record = bytearray(64)
                self.assertLess(pb_codec.pb_decode(2, wire, record), 0)


if __name__ == "__main__":
    main()
