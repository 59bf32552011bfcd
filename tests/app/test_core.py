# The border: little-endian records in, tuples out, by the tables of linnet.h. The
# layouts are checked on every interpreter; the real core where there is one.

import struct

import native_core
from answers import DIGEST
from harness import TestCase, main
from linnet import core
from linnet.core import CoreError, Session, config

V4 = bytes((192, 0, 2, 1))
V6 = bytes(range(16))


class Recorder:
    """A native module that keeps inputs and gives what the test put there."""

    def __init__(self):
        self.inputs = []
        self.result = 0
        self.kind = 0
        self.body = b""
        self.wiped = 0

    def session_size(self, cfg):
        self.cfg = cfg
        return 1000

    def session_init(self, mem, cfg, entropy):
        self.memory = mem
        return self

    def poll_size(self, s):
        return 2000

    def input(self, s, now, kind, data):
        self.inputs.append((now, kind, bytes(data)))
        return self.result

    def poll(self, s, out):
        body = bytes(self.body)
        out[0:4] = struct.pack("<I", len(body))
        out[4 : 4 + len(body)] = body
        return self.kind

    def stats(self, s, which, words):
        words[:] = struct.pack("<%dQ" % (len(words) // 8), *range(len(words) // 8))
        return self.result

    def session_wipe(self, s):
        self.wiped += 1


def text(value):
    return bytes((len(value),)) + value.encode()


class Bordered(TestCase):
    def setUp(self):
        self.native = core.native
        self.rec = core.native = Recorder()
        self.session = Session(bytes(48), rate=16000, complexity=0)

    def tearDown(self):
        core.native = self.native


class TestInputs(Bordered):
    def test_options_are_words_and_zero_is_the_default(self):
        words = struct.unpack("<11I", self.rec.cfg)
        self.assertEqual((words[0], words[4]), (16000, 1))
        self.assertEqual(sum(words), 16001)
        every = config(rate=48000, remote_tracks=3, frame_ms=20, bitrate=24000, complexity=10, flags=3)
        self.assertEqual(struct.unpack("<11I", every)[:6], (48000, 3, 20, 24000, 11, 3))
        self.assertEqual(config(complexity=None), bytes(44))
        with self.assertRaises(ValueError):
            config(colour=1)

    def test_addresses_of_both_families(self):
        record = core.addr(V4, 0x1F90, 1)
        self.assertEqual(bytes(record), bytes((4, 1, 0x90, 0x1F)) + V4 + bytes(12))
        self.assertEqual(core.read_addr(record), (V4, 0x1F90))
        record = core.addr(V6, 65535)
        self.assertEqual(bytes(record), bytes((6, 0, 255, 255)) + V6)
        self.assertEqual(core.read_addr(record), (V6, 65535))

    def test_each_input_is_the_record_of_linnet_h(self):
        s = self.session
        s.add_local_candidate(1, V4, 5000)
        s.set_remote(2, "uf", "pw", DIGEST, True, True, False)
        s.set_remote(3, "uf", "pw", DIGEST, False, False, True, 0xFFFFFFFF)
        s.add_remote_candidate(4, V4, 5000, 0xFFFFFFFF, 3)
        s.ice_restart(5)
        s.publish(6, 0x80000001, 111, 1, 2, "0")
        s.unpublish(7)
        s.mute(8, True)
        s.set_track(9, 2, 77, 111, 2048)
        s.open_channel(10, "_lossy", True, 0, 101)
        s.open_channel(11, "r")
        s.send_data(12, 513, b"abc", True)
        s.close_channel(13, 513)
        s.close(14)
        s.set_volume(15, 4096)
        expected = [
            (core.IN_LOCAL_CANDIDATE, bytes(core.addr(V4, 5000))),
            (core.IN_REMOTE, bytes((1, 0, 1, 0)) + DIGEST + text("uf") + text("pw") + bytes(4)),
            (core.IN_REMOTE, bytes((0, 1, 0, 0)) + DIGEST + text("uf") + text("pw") + b"\xff" * 4),
            (core.IN_REMOTE_CANDIDATE, bytes(core.addr(V4, 5000)) + b"\xff\xff\xff\xff\x03"),
            (core.IN_ICE_RESTART, b""),
            (core.IN_PUBLISH, b"\x01\x00\x00\x80\x6f\x01\x02\x00" + text("0")),
            (core.IN_PUBLISH, bytes(8) + text("")),
            (core.IN_MUTE, b"\x01"),
            (core.IN_TRACK, b"\x02\x6f\x00\x08\x4d\x00\x00\x00"),
            (core.IN_CHANNEL, b"\x01\x01\x65\x00\x00\x00" + text("_lossy")),
            (core.IN_CHANNEL, b"\x00\x00\x00\x00\xff\xff" + text("r")),
            (core.IN_DATA, b"\x01\x02\x01\x00abc"),
            (core.IN_CLOSE_CHANNEL, b"\x01\x02"),
            (core.IN_CLOSE, b""),
            (core.IN_VOLUME, b"\x00\x10"),
        ]
        self.assertEqual(self.rec.inputs, [(n + 1,) + e for n, e in enumerate(expected)])

    def test_what_the_core_refuses_has_its_code(self):
        self.rec.result = core.ERR_ARG
        with self.assertRaises(CoreError) as raised:
            self.session.mute(0, True)
        self.assertEqual(raised.exception.code, core.ERR_ARG)
        self.assertFalse(self.session.add_remote_candidate(0, V4, 1, 1))
        self.assertEqual(self.session.send_data(0, 1, b""), core.ERR_ARG)
        with self.assertRaises(CoreError):
            self.session.set_remote(0, "x" * 256, "pw", DIGEST, True)


class TestOutputs(Bordered):
    def event(self, kind, body):
        self.rec.kind, self.rec.body = kind, body
        self.assertEqual(self.session.poll(), kind)
        self.assertEqual(self.session.body_len(), len(body))
        return self.session.event(kind)

    def test_each_output_is_a_tuple(self):
        for kind, body, fields in (
            (core.LOCAL, DIGEST + text("uf") + text("pw"), (DIGEST, "uf", "pw")),
            (core.STATE, b"\x01\x04\xf7\xff", (1, 4, -9)),
            (core.SELECTED, bytes(core.addr(V4, 9)) + b"\x10\x27\0\0", (V4, 9, 10000)),
            (core.CHANNEL, b"\x02\x00\x01\x00\x64\x00" + text("l"), (2, True, 100, "l")),
            (core.DATA, b"\x02\x01\x01\x00hello", (258, True, b"hello")),
            (core.DATA, b"\x02\x00\x00\x00", (2, False, b"")),
            (core.FIRST_SENT, b"\x01\x00\x00\x80", (0x80000001,)),
            (core.FIRST_HEARD, b"\x02\x00\x00\x00\x4d\x00\x00\x00", (2, 77)),
            (core.BYE, b"\x4d\x00\x00\x00", (77,)),
            (core.SENDABLE, b"\x01\x02", (513,)),
        ):
            with self.subTest(kind=kind):
                self.assertEqual(self.event(kind, body), fields)

    def test_idle_has_a_deadline(self):
        self.rec.kind, self.rec.body = core.IDLE, struct.pack("<I", 0x3FFFFFFF)
        self.assertEqual(self.session.poll(), core.IDLE)
        self.assertEqual(self.session.deadline(), 0x3FFFFFFF)

    def test_a_poll_that_fails_is_an_error(self):
        self.rec.kind = core.ERR_SPACE
        with self.assertRaises(CoreError):
            self.session.poll()

    def test_statistics_have_names(self):
        stats = self.session.stats()
        self.assertEqual(stats["datagrams_received"], 0)
        self.assertEqual(stats["bytes_received"], 1)
        self.assertEqual(len(stats), len(core.SESSION_STATS))
        self.assertEqual(self.session.track_stats(0)["packets_received"], 1)

    def test_wipe_is_done_once(self):
        self.session.wipe()
        self.session.wipe()
        self.assertEqual(self.rec.wiped, 1)


class TestRealCore(TestCase):
    def setUp(self):
        if not native_core.HAS_CORE:
            self.skipTest(native_core.NEEDS_CORE)

    def test_a_session_describes_itself_and_is_wiped(self):
        session = Session(bytes(range(48)), complexity=0)
        kinds = []
        while True:
            kind = session.poll()
            kinds.append(kind)
            if kind == core.LOCAL:
                fingerprint, ufrag, pwd = session.event(kind)
                self.assertEqual(len(fingerprint), 32)
                self.assertGreaterEqual(len(ufrag), 4)
                self.assertGreaterEqual(len(pwd), 22)
            if kind == core.IDLE:
                break
        self.assertIn(core.LOCAL, kinds)
        secret = pwd.encode()
        self.assertIn(secret, bytes(session._mem))
        memory = session._mem
        session.wipe()
        self.assertNotIn(secret, bytes(memory))
        session.wipe()

    def test_wrong_calls_are_errors_with_a_code(self):
        with self.assertRaises(CoreError):
            Session(bytes(8))
        with self.assertRaises(CoreError):
            Session(bytes(48), rate=7)
        session = Session(bytes(48), complexity=0)
        with self.assertRaises(CoreError):
            session.set_track(0, 200, 1)
        with self.assertRaises(CoreError):
            session.set_remote(0, "", "", DIGEST, True)
        self.assertLess(session.send_data(0, 5, b"x"), 0)
        session.wipe()


if __name__ == "__main__":
    main()
