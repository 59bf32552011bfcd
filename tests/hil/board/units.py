# Unit tests of the core's inside that run on a board: the vectors of the RFCs, and
# sound through the codec. `results()` prints facts that must be the laptop's too.

import binascii
import hashlib
import json

import linnet_units as units
from harness import TestCase

CM, GCM = 1, 7
ERR_AUTH, ERR_PACKET = -9, -2
RATE = 16000

unhex = binascii.unhexlify


def hexlify(data):
    return binascii.hexlify(data).decode()


def vectors(name):
    with open("/bundle/" + name) as file:
        return json.loads(file.read())


def flipped(data, at):
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


def rtp(seq, payload, ssrc=0xCAFEBABE):
    head = bytes((0x80, 111, seq >> 8, seq & 255)) + bytes(4)
    return head + bytes([ssrc >> s & 255 for s in (24, 16, 8, 0)]) + payload


def sound(frames):
    """A voice of whole numbers: a buzz whose pitch and loudness wander, with some noise, the same everywhere."""
    out, state, phase = bytearray(), 12345, 0
    for frame in range(frames):
        period, loud = 80 + frame * 7 % 60, 1500 + frame * 531 % 6000
        for _ in range(RATE // 50):
            state = (state * 1103515245 + 12345) & 0x3FFFFFFF
            phase = (phase + 1) % period
            value = loud * (period - 2 * phase) // period + (state >> 20) - 512
            out.append(value & 255)
            out.append(value >> 8 & 255)
    return out


class TestChecksums(TestCase):
    def test_crc32c_of_rfc_3720(self):
        for vector in vectors("crc32c.json")["vectors"]:
            with self.subTest(name=vector["name"]):
                self.assertEqual(hexlify(units.crc32c(unhex(vector["data"]))), vector["wire"])

    def test_hmac_sha1_of_rfc_2202(self):
        for vector in vectors("primitives.json")["hmac_sha1"]["cases"]:
            mac = units.hmac_sha1(unhex(vector["key"]), unhex(vector["data"]))
            self.assertEqual(hexlify(mac), vector["digest"])


class TestStun(TestCase):
    def test_messages_of_rfc_5769_parse_and_verify(self):
        file = vectors("rfc5769.json")
        for vector in file["vectors"]:
            if "long_term_password" in vector:
                continue
            with self.subTest(name=vector["name"]):
                message = unhex(vector["message"])
                kind, _, priority, tie, port, verdict = units.stun(message, file["password"].encode())
                self.assertEqual(verdict, 0)
                self.assertEqual(kind, {"request": 0, "success": 2}[vector["kind"]])
                if "mapped" in vector:
                    self.assertEqual(port, vector["mapped"][1])
                else:
                    self.assertEqual(priority, vector["priority"])
                    self.assertEqual("%016x" % tie, vector["controlled"])

    def test_a_wrong_password_or_a_changed_byte_is_noticed(self):
        file = vectors("rfc5769.json")
        message = unhex(file["vectors"][0]["message"])
        self.assertEqual(units.stun(message, b"another password")[-1], ERR_AUTH)
        for at in (4, 30, len(message) - 1):
            result = units.stun(flipped(message, at), file["password"].encode())
            self.assertTrue(result == ERR_PACKET or result[-1] == ERR_AUTH)


class TestSrtp(TestCase):
    def test_keystream_of_rfc_3711_b2(self):
        v = vectors("rfc3711.json")["keystream"]
        for block, expected in v["blocks"].items():
            n = int(block)
            iv = unhex(v["session_salt"]) + bytes((n >> 8, n & 255))
            self.assertEqual(hexlify(units.aes_ctr(unhex(v["session_key"]), iv, bytes(16))), expected)

    def test_packets_use_the_session_keys_of_rfc_3711_b3(self):
        v = vectors("rfc3711.json")["derivation"]
        packet = rtp(0x1234, bytes(range(40)))
        iv = bytearray(unhex(v["cipher_salt"]) + bytes(2))
        for i, byte in enumerate(b"\xca\xfe\xba\xbe" + bytes(4) + b"\x12\x34"):
            iv[4 + i] ^= byte
        expected = packet[:12] + units.aes_ctr(unhex(v["cipher_key"]), bytes(iv), packet[12:])
        expected += units.hmac_sha1(unhex(v["auth_key"])[:20], expected + bytes(4))[:10]
        keys = unhex(v["master_key"]), unhex(v["master_salt"])
        self.assertEqual(units.srtp("protect", CM, keys[0], keys[1], packet), expected)
        self.assertEqual(units.srtp("open", CM, keys[0], keys[1], expected), packet)

    def test_gcm_of_rfc_7714(self):
        v = vectors("rfc7714.json")
        key = unhex(v["key"])
        plain = unhex(v["srtp"]["plain"])
        sealed = units.gcm_seal(key, unhex(v["srtp"]["iv"]), plain[:12], plain[12:])
        self.assertEqual(hexlify(plain[:12] + sealed), v["srtp"]["protected"])
        plain = unhex(v["srtcp"]["plain"])
        index = v["srtcp"]["index"] | 0x80000000
        word = bytes([index >> s & 255 for s in (24, 16, 8, 0)])
        sealed = units.gcm_seal(key, unhex(v["srtcp"]["iv"]), plain[:8] + word, plain[8:])
        self.assertEqual(hexlify(plain[:8] + sealed + word), v["srtcp"]["protected"])

    def test_a_changed_packet_is_refused_by_both_profiles(self):
        packet = rtp(7, bytes(50))
        rtcp = bytes((0x81, 200, 0, 6)) + bytes(24)
        for profile, salt in ((CM, bytes(14)), (GCM, bytes(12))):
            key = bytes(range(16))
            for kind, plain in (("", packet), ("_rtcp", rtcp)):
                done = units.srtp("protect" + kind, profile, key, salt, plain)
                self.assertEqual(units.srtp("open" + kind, profile, key, salt, done), plain)
                for at in (1 if kind == "" else 5, 20, len(done) - 1):
                    self.assertEqual(units.srtp("open" + kind, profile, key, salt, flipped(done, at)), ERR_AUTH)


class TestCodec(TestCase):
    def test_what_was_encoded_is_decoded_to_as_many_samples(self):
        pcm = sound(25)
        packets = units.encode(RATE, 0, pcm)
        self.assertGreater(len(packets), 25 * 10)
        self.assertEqual(len(units.decode(RATE, packets)), len(pcm))

    def test_a_packet_that_is_none_is_refused(self):
        self.assertEqual(units.decode(RATE, b"\x02\x00\xff\xff"), ERR_PACKET)


def digest(data):
    return hexlify(hashlib.sha256(data).digest())


def results():
    """{name: digest} of what must come out the same on every machine."""
    found = {"sound": digest(sound(50))}
    for rate, complexity in ((16000, 0), (16000, 5), (48000, 0), (48000, 2)):
        packets = units.encode(rate, complexity, sound(50))
        name = "opus %d complexity %d" % (rate, complexity)
        found[name] = digest(packets)
        found[name + " decoded"] = digest(units.decode(rate, packets))
    for profile, salt in ((CM, bytes(range(14))), (GCM, bytes(range(12)))):
        done = units.srtp("protect", profile, bytes(range(16)), salt, rtp(1, bytes(range(100))))
        found["srtp %d" % profile] = digest(done)
    return found
