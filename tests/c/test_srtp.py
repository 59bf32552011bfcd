"""SRTP and SRTCP (csrc/net/srtp.c): the vectors of RFC 3711 and RFC 7714, and libsrtp (pylibsrtp) as judge."""

import hmac
import json
import random
import struct

import pylibsrtp
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto_parts import load_with_crypto
from internals import ROOT, limits

CM, GCM = 1, 7
ERR_ARG, ERR_PACKET, ERR_SPACE, ERR_STATE, ERR_LIMIT, ERR_AUTH = -1, -2, -3, -4, -8, -9
RTP_ROOM = {CM: 10, GCM: 16}
RTCP_ROOM = {CM: 14, GCM: 20}
STREAMS = limits()["LINNET_TRACKS_MAX"] + 2
RFC3711 = json.loads((ROOT / "tests" / "vectors" / "rfc3711.json").read_text())
RFC7714 = json.loads((ROOT / "tests" / "vectors" / "rfc7714.json").read_text())

CDEF = """
typedef struct { uint32_t packets, malformed, unauthentic, replayed, unencrypted, evicted; } linnet_srtp_counts_t;
typedef struct { uint16_t profile; linnet_srtp_counts_t rtp_counts, rtcp_counts; ...; } linnet_srtp_t;
void set_session_keys(linnet_srtp_t *srtp, const uint8_t *key, const uint8_t *salt);
void set_rtp_index(linnet_srtp_t *srtp, uint32_t ssrc, uint64_t index);
void set_rtcp_index(linnet_srtp_t *srtp, uint32_t ssrc, uint64_t index);
"""
# Vectors that give session keys, and indices that a test cannot wait for, are put in from here.
SOURCE = """
void set_session_keys(linnet_srtp_t *srtp, const uint8_t *key, const uint8_t *salt) {
    size_t salt_len = srtp->profile == 7 ? 12 : 14;
    if (srtp->profile == 7) linnet_gcm_init(&srtp->rtp.cipher.gcm, key);
    else linnet_aes128_init(&srtp->rtp.cipher.cm.aes, key);
    memcpy(srtp->rtp.salt, salt, salt_len);
    memcpy(srtp->rtcp.key, key, 16);
    memcpy(srtp->rtcp.salt, salt, salt_len);
}
static linnet_srtp_stream_t *stream(linnet_srtp_t *srtp, uint32_t ssrc) {
    srtp->streams[0].ssrc = ssrc;
    srtp->streams[0].used = 1;
    return &srtp->streams[0];
}
void set_rtp_index(linnet_srtp_t *srtp, uint32_t ssrc, uint64_t index) {
    stream(srtp, ssrc)->rtp.top = index;
    stream(srtp, ssrc)->rtp.any = 1;
    stream(srtp, ssrc)->rtp.seen[0] = 1;
}
void set_rtcp_index(linnet_srtp_t *srtp, uint32_t ssrc, uint64_t index) {
    stream(srtp, ssrc)->rtcp.top = index;
    stream(srtp, ssrc)->rtcp.any = 1;
}
"""


@pytest.fixture(scope="module")
def c():
    return load_with_crypto("srtp", sources=["net/srtp.c"], headers=["net/srtp.h"], extra_cdef=CDEF,
                            extra_source=SOURCE)


def unhex(text):
    return bytes.fromhex(text)


class Srtp:
    """One linnet_srtp_t. Packets live in buffers of exactly the size that is said: a sanitizer sees a step over."""

    def __init__(self, c, profile, key=bytes(range(16)), salt=bytes(range(32, 46))):
        self.c, self.profile = c, profile
        self.srtp = c.ffi.new("linnet_srtp_t *")
        assert c.lib.linnet_srtp_init(self.srtp, profile, key, salt) == 0

    def _run(self, function, packet, size, *cap):
        buffer = self.c.ffi.new("uint8_t[]", max(size, 1))
        self.c.ffi.memmove(buffer, packet, len(packet))
        n = function(self.srtp, buffer, len(packet), *cap)
        return bytes(buffer[0:n]) if n >= 0 else n

    def protect(self, packet, cap=None):
        cap = len(packet) + RTP_ROOM[self.profile] if cap is None else cap
        return self._run(self.c.lib.linnet_srtp_protect, packet, max(cap, len(packet)), cap)

    def protect_rtcp(self, packet, cap=None):
        cap = len(packet) + RTCP_ROOM[self.profile] if cap is None else cap
        return self._run(self.c.lib.linnet_srtcp_protect, packet, max(cap, len(packet)), cap)

    def open(self, packet):
        return self._run(self.c.lib.linnet_srtp_open, packet, len(packet))

    def open_rtcp(self, packet):
        return self._run(self.c.lib.linnet_srtcp_open, packet, len(packet))


def two(c, profile):
    return Srtp(c, profile), Srtp(c, profile)


def rtp(seq, payload=b"opus", ssrc=0x11223344, csrc=0, extension=None, timestamp=None):
    first = 0x80 | (0x10 if extension is not None else 0) | csrc
    timestamp = seq * 960 if timestamp is None else timestamp
    packet = struct.pack(">BBHII", first, 111, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + bytes(range(4 * csrc))
    if extension is not None:
        packet += struct.pack(">HH", 0xBEDE, len(extension) // 4) + extension
    return packet + payload


def rtcp(ssrc=0x11223344, body=b"sender report body"):
    return struct.pack(">BBHI", 0x80, 200, 6, ssrc) + body


def libsrtp(profile, direction, key=bytes(range(16)), salt=bytes(range(32, 46))):
    policy = pylibsrtp.Policy(
        key=key + salt[:12 if profile == GCM else 14], ssrc_type=direction,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM if profile == GCM
        else pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80)
    policy.window_size = 128
    return pylibsrtp.Session(policy=policy)


both = pytest.mark.parametrize("profile", [CM, GCM], ids=["cm", "gcm"])

# --- published vectors ---


def test_payload_is_encrypted_with_the_keystream_of_rfc_3711_b2(c):
    v = RFC3711["keystream"]
    srtp = Srtp(c, CM)
    c.lib.set_session_keys(srtp.srtp, unhex(v["session_key"]), unhex(v["session_salt"]))
    out = srtp.protect(rtp(v["seq"], bytes(48), ssrc=v["ssrc"], timestamp=0))
    assert out[12:60].hex() == v["blocks"]["0"] + v["blocks"]["1"] + v["blocks"]["2"]


def test_session_keys_are_those_of_rfc_3711_b3(c):
    v = {name: unhex(value) for name, value in RFC3711["derivation"].items()}
    srtp = Srtp(c, CM, v["master_key"], v["master_salt"])
    packet = rtp(0x1234, bytes(range(40)), ssrc=0xCAFEBABE)
    iv = bytearray(v["cipher_salt"] + bytes(2))
    for i, byte in enumerate(b"\xca\xfe\xba\xbe" + bytes(4) + b"\x12\x34"):
        iv[4 + i] ^= byte
    cipher = Cipher(algorithms.AES(v["cipher_key"]), modes.CTR(bytes(iv))).encryptor()
    expected = packet[:12] + cipher.update(packet[12:])
    expected += hmac.digest(v["auth_key"][:20], expected + bytes(4), "sha1")[:10]
    assert srtp.protect(packet) == expected


@pytest.mark.parametrize("kind", ["srtp", "srtcp"])
def test_gcm_packets_are_those_of_rfc_7714(c, kind):
    v = RFC7714[kind]
    plain, protected = unhex(v["plain"]), unhex(v["protected"])
    sender, receiver = two(c, GCM)
    for end in (sender, receiver):
        c.lib.set_session_keys(end.srtp, unhex(RFC7714["key"]), unhex(RFC7714["salt"]))
    if kind == "srtp":
        assert sender.protect(plain) == protected and receiver.open(protected) == plain
    else:
        ssrc = int.from_bytes(plain[4:8], "big")
        c.lib.set_rtcp_index(sender.srtp, ssrc, v["index"] - 1)
        assert sender.protect_rtcp(plain) == protected and receiver.open_rtcp(protected) == plain


# --- libsrtp on the other side ---


def shapes():
    return [rtp(100, b""), rtp(101, b"x"), rtp(102, bytes(60)), rtp(103, bytes(1100)), rtp(104, b"a", csrc=15),
            rtp(105, b"b", extension=b"\x10\xff\0\0"), rtp(106, b"c" * 33, csrc=3, extension=bytes(64)),
            rtp(107, b"d", extension=b"")]


@both
def test_libsrtp_opens_what_we_protect(c, profile):
    ours, theirs = Srtp(c, profile), libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    for packet in shapes():
        assert theirs.unprotect(ours.protect(packet)) == packet
    for i in range(5):
        packet = rtcp(body=bytes(4 * i))
        assert theirs.unprotect_rtcp(ours.protect_rtcp(packet)) == packet


@both
def test_we_open_what_libsrtp_protects(c, profile):
    ours, theirs = Srtp(c, profile), libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    for packet in shapes():
        assert ours.open(theirs.protect(packet)) == packet
    for i in range(5):
        packet = rtcp(body=bytes(4 * i))
        assert ours.open_rtcp(theirs.protect_rtcp(packet)) == packet


@both
def test_same_packets_give_the_same_bytes_as_libsrtp_across_three_rollovers(c, profile):
    ours, theirs = Srtp(c, profile), libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    for seq in range(30000, 30000 + 3 * 65536, 641):
        packet = rtp(seq, b"%d" % seq)
        assert ours.protect(packet) == theirs.protect(packet)


@both
@pytest.mark.parametrize("seed", range(8))
def test_we_accept_what_libsrtp_accepts_in_any_order_with_repeats_across_rollovers(c, profile, seed):
    rng = random.Random(seed)
    sender = libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    judge, ours = libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_INBOUND), Srtp(c, profile)
    start = 65536 - 150 if seed % 2 else 5
    stream = [(n, sender.protect(rtp(start + n, b"%d" % n))) for n in range(400)]
    # Repeats and moves of up to 200 packets: over both edges of the 128-packet window.
    order = sorted(stream + rng.sample(stream, 200), key=lambda item: item[0] + rng.choice([0, 3, 60, 130, 200]))
    order = [stream[0]] + order
    accepted = 0
    for n, packet in order:
        try:
            expected = judge.unprotect(packet)
        except pylibsrtp.Error:
            expected = ERR_AUTH
        assert ours.open(packet) == expected, "packet %d" % n
        accepted += expected != ERR_AUTH
    assert 300 < accepted <= 400
    assert ours.srtp.rtp_counts.packets == accepted
    assert ours.srtp.rtp_counts.replayed + ours.srtp.rtp_counts.unauthentic == len(order) - accepted


# --- replay, RFC 3711 3.3.2 ---


@both
def test_no_packet_is_opened_twice(c, profile):
    sender, receiver = two(c, profile)
    packets = [sender.protect(rtp(65400 + n)) for n in range(300)]
    reports = [sender.protect_rtcp(rtcp()) for _ in range(50)]
    assert all(receiver.open(p) == rtp(65400 + n) for n, p in enumerate(packets))
    assert all(receiver.open_rtcp(p) == rtcp() for p in reports)
    for _ in range(4):
        assert all(receiver.open(p) == ERR_AUTH for p in packets)
        assert all(receiver.open_rtcp(p) == ERR_AUTH for p in reports)
    assert receiver.srtp.rtp_counts.replayed == 1200 and receiver.srtp.rtp_counts.unauthentic == 0
    assert receiver.srtp.rtcp_counts.replayed == 200 and receiver.srtp.rtcp_counts.packets == 50


@both
def test_window_reaches_exactly_128_packets_back(c, profile):
    for late, accepted in [(126, True), (127, True), (128, False), (129, False)]:
        sender, receiver = two(c, profile)
        first = sender.protect(rtp(1000 - 1))
        packets = {n: sender.protect(rtp(n)) for n in range(1000, 1300)}
        receiver.open(first)
        assert receiver.open(packets[1299]) == rtp(1299)
        assert (receiver.open(packets[1299 - late]) == rtp(1299 - late)) == accepted


@both
def test_window_remembers_every_packet_when_it_moves_by_any_distance(c, profile):
    for step in [1, 2, 31, 32, 63, 64, 65, 100, 127, 128, 129, 500]:
        sender, receiver = two(c, profile)
        packets = [sender.protect(rtp(200 + n)) for n in range(700)]
        model, top = set(), 0
        for n in [*range(0, 60, 7), 60 + step]:
            assert receiver.open(packets[n]) == rtp(200 + n)
            model.add(n)
            top = max(top, n)
        for n in range(top + 1):
            fresh = n not in model and top - n < 128
            assert (receiver.open(packets[n]) != ERR_AUTH) == fresh, (step, n)


@both
def test_forged_packets_do_not_move_the_window_or_the_rollover_counter(c, profile):
    sender, receiver = two(c, profile)
    assert receiver.open(sender.protect(rtp(10))) == rtp(10)
    for seq in [11, 40000, 32778, 65535, 10]:
        forged = rtp(seq, bytes(40))
        assert receiver.open(forged) == ERR_AUTH
    assert receiver.open(sender.protect(rtp(11))) == rtp(11)


@both
def test_forged_packets_of_new_sources_take_no_place(c, profile):
    sender, receiver = two(c, profile)
    packets = [sender.protect(rtp(1, ssrc=s)) for s in range(STREAMS)]
    assert all(receiver.open(p) != ERR_AUTH for p in packets)
    for ssrc in range(1000, 1200):
        assert receiver.open(rtp(1, bytes(40), ssrc=ssrc)) == ERR_AUTH
        assert receiver.open_rtcp(rtcp(ssrc, b"\xff" * 60)) == ERR_AUTH  # E flag set
    assert receiver.srtp.rtp_counts.evicted == receiver.srtp.rtcp_counts.evicted == 0
    assert all(receiver.open(p) == ERR_AUTH for p in packets)
    assert receiver.srtp.rtp_counts.replayed == STREAMS


@both
def test_the_source_idle_for_longest_gives_its_place_to_a_new_one(c, profile):
    senders, receiver = [Srtp(c, profile) for _ in range(3)], Srtp(c, profile)
    for ssrc in range(STREAMS):
        assert receiver.open(senders[0].protect(rtp(1, ssrc=ssrc))) != ERR_AUTH
    again = [senders[0].protect(rtp(2, ssrc=ssrc)) for ssrc in range(STREAMS) if ssrc != 3]
    assert all(receiver.open(p) != ERR_AUTH for p in again)
    assert receiver.open(senders[1].protect(rtp(1, ssrc=500))) == rtp(1, ssrc=500)
    assert receiver.srtp.rtp_counts.evicted == 1
    assert all(receiver.open(p) == ERR_AUTH for p in again)  # everyone but source 3 is still known


@both
def test_sources_have_windows_of_their_own_and_so_do_rtp_and_rtcp(c, profile):
    sender, receiver = two(c, profile)
    for ssrc in (1, 2, 3):
        for seq in (5, 6):
            assert receiver.open(sender.protect(rtp(seq, ssrc=ssrc))) == rtp(seq, ssrc=ssrc)
        for _ in range(2):
            assert receiver.open_rtcp(sender.protect_rtcp(rtcp(ssrc))) == rtcp(ssrc)


@both
def test_packets_before_the_first_rollover_are_not_guessed_to_lie_before_zero(c, profile):
    receiver, first = Srtp(c, profile), libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    packets = [first.protect(rtp(seq)) for seq in (65530, 65536 + 4)]
    assert receiver.open(Srtp(c, profile).protect(rtp(4))) == rtp(4)
    assert receiver.open(packets[0]) == ERR_AUTH and receiver.srtp.rtp_counts.replayed == 1


@both
def test_rollover_is_guessed_at_exactly_half_the_sequence_numbers(c, profile):
    # RFC 3711 appendix A: a guess behind us is refused as replay, one ahead of us gets as far as the tag.
    for top, seq, is_behind in [(1 << 16 | 10, 10 + 32768, False), (1 << 16 | 10, 10 + 32769, True),
                                (1 << 16 | 40000, 7232, True), (1 << 16 | 40000, 7231, False)]:
        receiver = Srtp(c, profile)
        c.lib.set_rtp_index(receiver.srtp, 7, top)
        assert receiver.open(rtp(seq, bytes(40), ssrc=7)) == ERR_AUTH
        counts = receiver.srtp.rtp_counts
        assert (counts.replayed, counts.unauthentic) == ((1, 0) if is_behind else (0, 1))


# --- what a sender must not do ---


@both
def test_a_sequence_number_is_protected_only_once(c, profile):
    sender = Srtp(c, profile)
    for seq in (70, 72, 71):
        assert isinstance(sender.protect(rtp(seq)), bytes)
    for seq in (70, 71, 72):
        assert sender.protect(rtp(seq, b"another")) == ERR_STATE
    assert isinstance(sender.protect(rtp(72 + 130)), bytes)
    assert sender.protect(rtp(73)) == ERR_STATE  # behind the window: nobody knows any more
    assert sender.srtp.rtp_counts.packets == 4


@both
def test_a_sender_never_forgets_a_source_to_make_room(c, profile):
    sender = Srtp(c, profile)
    for ssrc in range(STREAMS):
        assert isinstance(sender.protect(rtp(1, ssrc=ssrc)), bytes)
    assert sender.protect(rtp(1, ssrc=99)) == ERR_LIMIT
    assert sender.protect_rtcp(rtcp(99)) == ERR_LIMIT
    assert isinstance(sender.protect_rtcp(rtcp(0)), bytes)


@both
def test_a_source_that_is_forgotten_gives_its_place_and_no_other(c, profile):
    sender = Srtp(c, profile)
    for ssrc in range(5 * STREAMS):
        if ssrc >= STREAMS:
            c.lib.linnet_srtp_forget(sender.srtp, ssrc - STREAMS + 1)
        assert isinstance(sender.protect(rtp(1, ssrc=ssrc)), bytes)
    c.lib.linnet_srtp_forget(sender.srtp, 12345)
    assert sender.protect(rtp(1, ssrc=5 * STREAMS)) == ERR_LIMIT
    for kept in (0, 4 * STREAMS + 1, 5 * STREAMS - 1):
        assert sender.protect(rtp(1, ssrc=kept)) == ERR_STATE, "its index is known"


@both
def test_the_last_index_of_a_key_is_the_last(c, profile):
    sender, receiver = two(c, profile)
    for end in (sender, receiver):
        c.lib.set_rtp_index(end.srtp, 7, 2**48 - 2)
    assert receiver.open(sender.protect(rtp(65535, ssrc=7))) == rtp(65535, ssrc=7)
    assert sender.protect(rtp(0, ssrc=7)) == ERR_LIMIT
    c.lib.set_rtcp_index(sender.srtp, 7, 2**31 - 2)
    c.lib.set_rtcp_index(receiver.srtp, 7, 2**31 - 2)
    assert receiver.open_rtcp(sender.protect_rtcp(rtcp(7))) == rtcp(7)
    assert sender.protect_rtcp(rtcp(7)) == ERR_LIMIT


# --- lengths and hostile bytes ---


@both
def test_buffers_that_fit_exactly_are_enough_and_one_byte_less_is_not(c, profile):
    for packet in shapes():
        sender = Srtp(c, profile)
        need = len(packet) + RTP_ROOM[profile]
        for cap in (0, len(packet) - 1, len(packet), need - 1):
            assert sender.protect(packet, cap) == ERR_SPACE
        assert len(sender.protect(packet, need)) == need
    sender, need = Srtp(c, profile), len(rtcp()) + RTCP_ROOM[profile]
    assert sender.protect_rtcp(rtcp(), need - 1) == ERR_SPACE
    assert len(sender.protect_rtcp(rtcp(), need)) == need


@both
def test_every_short_length_is_refused_without_reading_past_it(c, profile):
    rng = random.Random(9)
    for length in range(65):
        for first in (0x80, 0x90, 0x8F, 0x9F, 0x40, 0xFF, 0x00):
            end = Srtp(c, profile)
            data = (bytes([first]) + rng.randbytes(63))[:length]
            assert end.open(data) in (ERR_PACKET, ERR_AUTH)
            assert end.open_rtcp(data) in (ERR_PACKET, ERR_AUTH)
            if length < 12 + RTP_ROOM[profile]:
                assert end.srtp.rtp_counts.malformed == 1
            if length < 8 + RTCP_ROOM[profile]:
                assert end.srtp.rtcp_counts.malformed == 1
            counts = end.srtp.rtp_counts
            assert counts.packets == 0 and counts.malformed + counts.unauthentic + counts.replayed == 1


@both
def test_headers_longer_than_the_packet_are_malformed(c, profile):
    end = Srtp(c, profile)
    tag = bytes(RTP_ROOM[profile])
    full = rtp(1, b"", csrc=15, extension=bytes(16))
    for length in range(12, len(full)):
        assert end.open(full[:length] + tag) in (ERR_PACKET, ERR_AUTH)
        assert end.protect(full[:length]) == ERR_ARG
    assert end.open(struct.pack(">BBHII", 0x90, 111, 1, 0, 1) + b"\xbe\xde\xff\xff" + bytes(200)) == ERR_PACKET
    assert end.srtp.rtp_counts.packets == 0


@both
def test_what_is_no_rtp_is_a_wrong_call_to_protect(c, profile):
    end = Srtp(c, profile)
    assert end.protect(b"") == end.protect(bytes(12)) == end.protect(rtp(1)[:11]) == ERR_ARG
    assert end.protect_rtcp(b"") == end.protect_rtcp(bytes(8)) == end.protect_rtcp(rtcp()[:7]) == ERR_ARG


@both
def test_every_flipped_bit_and_every_truncation_is_rejected(c, profile):
    sender, receiver = two(c, profile)
    packet = sender.protect(rtp(500, b"forty bytes of an Opus packet, or about..", csrc=1, extension=bytes(8)))
    report = sender.protect_rtcp(rtcp())
    for good, opener in ((packet, receiver.open), (report, receiver.open_rtcp)):
        for bit in range(8 * len(good)):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            assert opener(bytes(bad)) in (ERR_AUTH, ERR_PACKET)
        for length in range(len(good)):
            assert opener(good[:length]) in (ERR_AUTH, ERR_PACKET)
        assert opener(good + b"\0") == ERR_AUTH or good is report
    assert receiver.srtp.rtcp_counts.unencrypted > 0
    assert receiver.open(packet)[-41:] == b"forty bytes of an Opus packet, or about.."
    assert receiver.open_rtcp(report) == rtcp()


def derived(label, length, key=bytes(range(16)), salt=bytes(range(32, 46))):
    """RFC 3711 4.3.1, on another implementation of AES."""
    iv = bytearray(salt + bytes(2))
    iv[7] ^= label
    return Cipher(algorithms.AES(key), modes.CTR(bytes(iv))).encryptor().update(bytes(length))


def unencrypted_srtcp(profile, plain, index):
    """An SRTCP packet without the E flag whose tag is right, as a peer without encryption would send."""
    word = struct.pack(">I", index)
    if profile == CM:
        return plain + word + hmac.digest(derived(4, 20), plain + word, "sha1")[:10]
    salt = bytes(range(32, 44)) + bytes(2)
    fields = bytes(2) + plain[4:8] + bytes(2) + word
    iv = bytes(a ^ b for a, b in zip(derived(5, 12, salt=salt), fields))
    return plain + AESGCM(derived(3, 16, salt=salt)).encrypt(iv, b"", plain + word) + word


@both
def test_unencrypted_srtcp_is_refused_even_with_a_right_tag(c, profile):
    receiver = Srtp(c, profile)
    assert receiver.open_rtcp(unencrypted_srtcp(profile, rtcp(), 1)) == ERR_PACKET
    assert receiver.srtp.rtcp_counts.unencrypted == 1


@both
def test_keys_of_the_other_direction_open_nothing(c, profile):
    sender, receiver = Srtp(c, profile, key=bytes(16)), Srtp(c, profile, key=b"\1" + bytes(15))
    salted = Srtp(c, profile, key=bytes(16), salt=bytes(14))
    packet, report = sender.protect(rtp(1)), sender.protect_rtcp(rtcp())
    for end in (receiver, salted):
        assert end.open(packet) == ERR_AUTH and end.open_rtcp(report) == ERR_AUTH
    assert sender.open_rtcp(packet) in (ERR_AUTH, ERR_PACKET) and sender.open(report) in (ERR_AUTH, ERR_PACKET)


def test_profiles_that_do_not_protect_are_refused(c):
    srtp = c.ffi.new("linnet_srtp_t *")
    for profile in (0, 2, 5, 6, 8, -1):
        assert c.lib.linnet_srtp_init(srtp, profile, bytes(16), bytes(14)) == ERR_ARG
    assert c.lib.linnet_srtp_init(srtp, CM, c.ffi.NULL, bytes(14)) == ERR_ARG


@both
def test_wipe_leaves_only_zeros(c, profile):
    end = Srtp(c, profile)
    end.protect(rtp(1))
    c.lib.linnet_srtp_wipe(end.srtp)
    assert bytes(c.ffi.buffer(end.srtp)) == bytes(c.ffi.sizeof("linnet_srtp_t"))
