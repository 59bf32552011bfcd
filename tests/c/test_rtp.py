"""csrc/net/rtp.c against aiortc's RTP, byte for byte, and against everything that may come from outside."""

import random
import struct

import media_lib
import pytest
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters

MODULE = media_lib.rtp()
ffi, lib = MODULE.ffi, MODULE.lib
MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"


class Packet:
    """What linnet_rtp_read found, with the bytes kept alive."""

    def __init__(self, data, level_id=1, mid_id=2):
        self.rtp = ffi.new("linnet_rtp_t *")
        self.data = ffi.new("uint8_t[]", bytes(data))  # exactly as long: a read beyond shows under ASan
        ext = ffi.new("linnet_rtp_ext_t *", (level_id, mid_id))
        self.result = lib.linnet_rtp_read(self.rtp, ext, self.data, len(data))

    def __getattr__(self, name):
        value = getattr(self.rtp, name)
        return bytes(ffi.buffer(value.data, value.len)) if hasattr(value, "len") else value


def write(payload=b"opus", level=-1, voice=0, mid=b"", level_id=0, mid_id=0, cap=1500, **fields):
    payload_mem, mid_mem = ffi.new("uint8_t[]", payload or b"\0"), ffi.new("uint8_t[]", mid or b"\0")
    rtp = ffi.new("linnet_rtp_t *", dict(fields, audio_level=level, voice=voice))
    rtp.payload.data, rtp.payload.len = payload_mem, len(payload)
    rtp.mid.data, rtp.mid.len = mid_mem, len(mid)
    buf = ffi.new("uint8_t[]", max(cap, 1))
    n = lib.linnet_rtp_write(rtp, ffi.new("linnet_rtp_ext_t *", (level_id, mid_id)), buf, cap)
    return bytes(ffi.buffer(buf, n)) if n >= 0 else n


def extension_map(level_id=1, mid_id=2):
    known = HeaderExtensionsMap()
    known.configure(RTCRtpParameters(headerExtensions=[
        RTCRtpHeaderExtensionParameters(id=level_id, uri=LEVEL_URI),
        RTCRtpHeaderExtensionParameters(id=mid_id, uri=MID_URI)]))
    return known


def with_extension(profile, block, payload=b"opus"):
    assert len(block) % 4 == 0
    return (struct.pack("!BBHLL", 0x90, 111, 1, 2, 3) + struct.pack("!HH", profile, len(block) // 4) + block + payload)


@pytest.mark.parametrize("seed", range(200))
def test_aiortc_reads_what_we_write(seed):
    r = random.Random(seed)
    fields = dict(payload_type=r.randrange(128), marker=r.randrange(2), sequence=r.randrange(1 << 16),
                  timestamp=r.randrange(1 << 32), ssrc=r.randrange(1 << 32))
    payload, mid = r.randbytes(r.randrange(300)), b"mid-%d" % r.randrange(1000)
    data = write(payload, level=r.randrange(128), voice=r.randrange(2), mid=mid, level_id=1, mid_id=2, **fields)
    theirs = RtpPacket.parse(data, extension_map())
    assert (theirs.payload_type, theirs.marker, theirs.sequence_number, theirs.timestamp, theirs.ssrc) == tuple(
        fields.values())
    assert theirs.payload == payload and theirs.extensions.mid == mid.decode()
    ours = Packet(data)
    assert ours.result == 0 and ours.payload == payload and ours.mid == mid
    assert theirs.extensions.audio_level == (bool(ours.voice), ours.audio_level)


@pytest.mark.parametrize("seed", range(200))
def test_we_read_what_aiortc_writes(seed):
    r = random.Random(seed)
    packet = RtpPacket(payload_type=r.randrange(128), marker=r.randrange(2), sequence_number=r.randrange(1 << 16),
                       timestamp=r.randrange(1 << 32), ssrc=r.randrange(1 << 32),
                       payload=r.randbytes(r.randrange(1, 200)))
    packet.csrc = [r.randrange(1 << 32) for _ in range(r.randrange(16))]
    packet.padding_size = r.choice([0, 0, 1, 4, 255])
    if r.randrange(2):
        packet.extensions.mid = "m%d" % r.randrange(100)
    if r.randrange(2):
        packet.extensions.audio_level = (bool(r.randrange(2)), r.randrange(128))
    ours = Packet(packet.serialize(extension_map()))
    assert ours.result == 0
    assert (ours.payload_type, ours.marker, ours.sequence, ours.timestamp, ours.ssrc, ours.payload) == (
        packet.payload_type, packet.marker, packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload)
    assert ours.mid == (packet.extensions.mid or "").encode()
    level = packet.extensions.audio_level
    assert (ours.audio_level, ours.voice) == ((level[1], int(level[0])) if level else (-1, 0))


def test_two_byte_elements_are_read_and_written_for_large_ids():
    data = write(level=30, voice=1, mid=b"audio", level_id=200, mid_id=3, sequence=9)
    assert data[12:14] == b"\x10\x00"
    ours = Packet(data, level_id=200, mid_id=3)
    assert (ours.result, ours.audio_level, ours.voice, ours.mid) == (0, 30, 1, b"audio")
    assert RtpPacket.parse(data, extension_map(200, 3)).extensions.mid == "audio"


def test_an_id_that_was_not_negotiated_is_not_read():
    data = write(level=30, mid=b"audio", level_id=1, mid_id=2)
    ours = Packet(data, level_id=0, mid_id=0)
    assert (ours.result, ours.audio_level, ours.mid) == (0, -1, b"")


def test_padding_ids_stop_id_and_unknown_elements_are_passed_over():
    block = bytes([0x00, 0x52, 1, 2, 3, 0x10, 0x8A, 0x00])  # padding, unknown id 5 of 3 bytes, level
    assert Packet(with_extension(0xBEDE, block)).audio_level == 10
    stopped = bytes([0xF0, 0x00, 0x10, 0x8A])  # id 15: nothing after it counts
    assert Packet(with_extension(0xBEDE, stopped)).audio_level == -1
    assert Packet(with_extension(0xABCD, bytes([0x10, 0x8A, 0, 0]))).audio_level == -1  # unknown profile
    two = bytes([9, 2, 7, 7, 1, 1, 0x05, 0x00])
    assert Packet(with_extension(0x100F, two)).audio_level == 5


@pytest.mark.parametrize("profile, block", [
    (0xBEDE, bytes([0, 0, 0, 0x13])),  # four bytes announced, none there
    (0x1000, bytes([1, 200, 0, 0])),
    (0x1000, bytes([0, 0, 0, 1])),  # no room for the length
    (0x1000, bytes([2, 17]) + bytes(18)),  # a mid longer than LINNET_MID_MAX
])
def test_an_element_that_does_not_fit_makes_the_packet_bad(profile, block):
    assert Packet(with_extension(profile, block)).result == lib.LINNET_ERR_PACKET


def test_padding_must_be_at_least_itself_and_at_most_the_payload():
    header = struct.pack("!BBHLL", 0xA0, 111, 1, 2, 3)
    assert Packet(header + b"\0\0\0\0").result == lib.LINNET_ERR_PACKET
    assert Packet(header + b"\0\0\0\5").result == lib.LINNET_ERR_PACKET
    assert Packet(header).result == lib.LINNET_ERR_PACKET
    only_padding = Packet(header + b"\0\0\0\4")
    assert only_padding.result == 0 and only_padding.payload == b""


def test_every_truncation_and_bit_flip_is_handled():
    good = RtpPacket(payload_type=111, sequence_number=7, timestamp=960, ssrc=5, payload=b"payload")
    good.csrc = [1, 2]
    good.padding_size = 4
    good.extensions.mid, good.extensions.audio_level = "0", (True, 20)
    good = good.serialize(extension_map())
    for n in range(len(good)):
        data = good[:n]
        assert Packet(data).result in (0, lib.LINNET_ERR_PACKET)
        if n < 12:
            assert Packet(data).result == lib.LINNET_ERR_PACKET
    for bit in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        ours = Packet(flipped)
        assert ours.result in (0, lib.LINNET_ERR_PACKET)
        if ours.result == 0:
            assert len(ours.payload) <= len(good)
    for version in (0, 1, 3):
        assert Packet(bytes([good[0] & 0x3F | version << 6]) + good[1:]).result == lib.LINNET_ERR_PACKET


def test_a_buffer_one_byte_too_small_is_refused():
    whole = write(level=5, mid=b"0", level_id=1, mid_id=2)
    assert len(whole) == 12 + 4 + 4 + 4
    assert write(level=5, mid=b"0", level_id=1, mid_id=2, cap=len(whole)) == whole
    for cap in range(len(whole)):
        assert write(level=5, mid=b"0", level_id=1, mid_id=2, cap=cap) == lib.LINNET_ERR_SPACE
    assert write(payload_type=128) == lib.LINNET_ERR_ARG
    assert write(mid=b"x" * 17, mid_id=2) == lib.LINNET_ERR_ARG


def test_rtcp_is_told_from_rtp_by_its_packet_type():
    for second in range(256):
        assert lib.linnet_rtcp_is(bytes([0x80, second]), 2) == (192 <= second <= 223)
    assert lib.linnet_rtcp_is(b"\x80", 1) == 0
