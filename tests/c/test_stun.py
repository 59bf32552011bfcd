"""csrc/net/stun.c: RFC 5769 vectors, what it builds, and what it makes of hostile bytes."""

import hashlib
import ipaddress
import json
import random
import struct
import zlib
from pathlib import Path

import pytest

from internals import CRYPTO, load
from stun_wire import HEADER, TRANSACTION, attribute, message, seal, sign

mod = load("stun", ["net/stun.c", *CRYPTO],
           ["errors.h", "wire.h", "crypto.h", "address.h", "net/stun.h"], third_party=["mbedtls"])
ffi, lib = mod.ffi, mod.lib

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc5769.json").read_text())
KINDS = {"request": lib.LINNET_STUN_REQUEST, "success": lib.LINNET_STUN_SUCCESS}


def key_of(password):
    key = ffi.new("linnet_hmac_sha1_t *")
    lib.linnet_hmac_sha1_init(key, password, len(password))
    return key


PASSWORD = b"password of the peer 24b"
KEY = key_of(PASSWORD)


def parse(data):
    """The result code, and the message; the datagram lies in memory of exactly its own size."""
    buf = ffi.new("uint8_t[]", bytes(data)) if data else ffi.new("uint8_t[1]")
    msg = ffi.new("linnet_stun_msg_t *")
    result = lib.linnet_stun_parse(msg, buf, len(data))
    msg_of[msg] = buf  # spans of msg point into it
    return result, msg


def verify(msg, data, key=KEY):
    return lib.linnet_stun_verify(msg, msg_of[msg], len(data), key)


class _Alive(dict):
    """Keeps the datagrams of the messages of one test alive."""


msg_of = _Alive()


@pytest.fixture(autouse=True)
def _forget_messages():
    yield
    msg_of.clear()


def text(span):
    return bytes(ffi.buffer(span.data, span.len)).decode() if span.len else ""


def address(host, port, socket=0):
    ip = ipaddress.ip_address(host)
    return ffi.new("linnet_addr_t *", {"family": ip.version, "socket": socket, "port": port,
                                       "ip": ip.packed.ljust(16, b"\0")})


def host_port(addr):
    size = {4: 4, 6: 16}[addr.family]
    return str(ipaddress.ip_address(bytes(addr.ip)[:size])), addr.port


def build(kind, *puts, key=KEY, capacity=1200, transaction=TRANSACTION):
    """puts: (function, arguments...) after the cursor."""
    buf = ffi.new("uint8_t[]", max(capacity, 1))
    out = ffi.new("wire_out_t *", {"buf": buf, "len": capacity})
    lib.linnet_stun_begin(out, kind, transaction)
    for put, *args in puts:
        put(out, *args)
    n = lib.linnet_stun_end(out, ffi.NULL if key is None else key)
    return n if n < 0 else bytes(ffi.buffer(buf, n))


def a_check():
    return build(lib.LINNET_STUN_REQUEST,
                 (lib.linnet_stun_put_username, b"theirs", 6, b"ours", 4),
                 (lib.linnet_stun_put_priority, 0x6E0001FF),
                 (lib.linnet_stun_put_role, 1, 0x0123456789ABCDEF),
                 (lib.linnet_stun_put_use_candidate,))


# --- RFC 5769 ---

@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda v: v["name"])
def test_rfc_5769_vector_is_read_and_authenticated(vector):
    data = bytes.fromhex(vector["message"])
    password = VECTORS["password"].encode()
    if "long_term_password" in vector:
        parts = vector["username"], vector["realm"], vector["long_term_password"]
        password = hashlib.md5(":".join(parts).encode()).digest()
    result, msg = parse(data)
    assert result == 0
    assert msg.kind == KINDS[vector["kind"]]
    assert bytes(msg.transaction) == bytes.fromhex(vector["transaction"])
    assert bool(msg.has & lib.LINNET_STUN_HAS_FINGERPRINT) == vector["fingerprint"]
    assert msg.n_unknown == 0
    assert verify(msg, data, key_of(password)) == 0
    assert verify(msg, data, key_of(password + b"x")) == lib.LINNET_ERR_AUTH
    for name in ("username", "realm", "nonce"):
        assert text(getattr(msg, name)) == vector.get(name, "")
    if "priority" in vector:
        assert msg.priority == vector["priority"]
        assert msg.has & lib.LINNET_STUN_HAS_CONTROLLED
        assert msg.tie_breaker == int(vector["controlled"], 16)
    if "mapped" in vector:
        assert list(host_port(msg.mapped)) == vector["mapped"]


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda v: v["name"])
def test_any_flipped_bit_of_a_vector_is_noticed(vector):
    """But for the type of FINGERPRINT: another attribute behind MESSAGE-INTEGRITY, so it is ignored."""
    data = bytes.fromhex(vector["message"])
    password = VECTORS["password"].encode()
    if "long_term_password" in vector:
        parts = vector["username"], vector["realm"], vector["long_term_password"]
        password = hashlib.md5(":".join(parts).encode()).digest()
    key = key_of(password)
    fingerprint_type = range(len(data) - 8, len(data) - 6) if vector["fingerprint"] else ()
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        result, msg = parse(bad)
        if bit // 8 in fingerprint_type:
            assert result != 0 or not msg.has & lib.LINNET_STUN_HAS_FINGERPRINT
        else:
            assert result == lib.LINNET_ERR_PACKET or verify(msg, bad, key) == lib.LINNET_ERR_AUTH


def test_crc32_is_that_of_zlib():
    rng = random.Random(1)
    assert lib.linnet_stun_crc32(b"123456789", 9) == 0xCBF43926
    for n in range(0, 300, 7):
        data = rng.randbytes(n)
        assert lib.linnet_stun_crc32(data, n) == zlib.crc32(data)


# --- what we build ---

def test_a_check_reads_back_as_it_was_written():
    data = a_check()
    result, msg = parse(data)
    assert result == 0 and verify(msg, data) == 0
    assert text(msg.username) == "theirs:ours"
    assert (msg.priority, msg.tie_breaker) == (0x6E0001FF, 0x0123456789ABCDEF)
    has = lib.LINNET_STUN_HAS_USE_CANDIDATE | lib.LINNET_STUN_HAS_CONTROLLING
    assert msg.has & has == has and not msg.has & lib.LINNET_STUN_HAS_CONTROLLED


def test_a_check_is_what_an_independent_writer_makes():
    head = message(attribute(6, b"theirs:ours"), attribute(0x24, struct.pack("!I", 0x6E0001FF)),
                   attribute(0x802A, bytes.fromhex("0123456789abcdef")), attribute(0x25, b""))
    assert a_check() == seal(sign(head, PASSWORD))


@pytest.mark.parametrize("host", ["192.0.2.1", "255.255.255.255", "2001:db8::1", "ff02::1"])
@pytest.mark.parametrize("port", [1, 0x2112, 65535])
def test_mapped_address_reads_back(host, port):
    data = build(lib.LINNET_STUN_SUCCESS,
                 (lib.linnet_stun_put_mapped, address(host, port, socket=3), TRANSACTION))
    result, msg = parse(data)
    assert result == 0
    assert host_port(msg.mapped) == (host, port) and msg.mapped.socket == 0


@pytest.mark.parametrize("code,reason", [(420, b"Unknown Attribute"), (487, b"Role Conflict")])
def test_error_answer_carries_code_reason_and_unknown_types(code, reason):
    data = build(lib.LINNET_STUN_ERROR, (lib.linnet_stun_put_error, code),
                 (lib.linnet_stun_put_unknown, [0x7777, 0x0002, 0x1234], 3))
    result, msg = parse(data)
    assert result == 0 and verify(msg, data) == 0
    assert msg.kind == lib.LINNET_STUN_ERROR and msg.error_code == code
    assert reason in data and bytes.fromhex("000a0006777700021234") in data


def test_without_a_key_there_is_a_fingerprint_and_no_integrity():
    data = build(lib.LINNET_STUN_INDICATION, key=None)
    result, msg = parse(data)
    assert result == 0 and msg.has == lib.LINNET_STUN_HAS_FINGERPRINT
    assert verify(msg, data) == lib.LINNET_ERR_AUTH


def test_a_buffer_that_is_too_small_is_refused_at_every_size():
    whole = len(a_check())
    for capacity in range(whole + 1):
        data = build(lib.LINNET_STUN_REQUEST,
                     (lib.linnet_stun_put_username, b"theirs", 6, b"ours", 4),
                     (lib.linnet_stun_put_priority, 0x6E0001FF),
                     (lib.linnet_stun_put_role, 1, 0x0123456789ABCDEF),
                     (lib.linnet_stun_put_use_candidate,), capacity=capacity)
        assert data == (a_check() if capacity == whole else lib.LINNET_ERR_SPACE)


def test_a_username_over_508_bytes_is_not_written():
    put = (lib.linnet_stun_put_username, b"a" * 400, 400, b"b" * 108, 108)
    assert build(lib.LINNET_STUN_REQUEST, put) == lib.LINNET_ERR_SPACE


# --- what we read ---

def test_what_follows_message_integrity_is_ignored_except_the_fingerprint():
    """RFC 8489 14.5: otherwise anyone on the path could add USE-CANDIDATE."""
    signed = sign(message(attribute(6, b"a:b")), PASSWORD)
    added = signed + attribute(0x25, b"") + attribute(0x24, b"\1\2\3\4") + attribute(0x7FFF, b"")
    data = seal(added)
    result, msg = parse(data)
    assert result == 0 and verify(msg, data) == 0
    assert msg.has == (lib.LINNET_STUN_HAS_USERNAME | lib.LINNET_STUN_HAS_INTEGRITY
                       | lib.LINNET_STUN_HAS_FINGERPRINT)
    assert msg.n_unknown == 0 and msg.priority == 0


def test_unknown_attributes_are_named_when_they_must_be_understood():
    types = [0x7F00, 0x0003, 0x8000, 0x8055, 0x7FFF, 0xC057, 0x0019, 0x001C, 0x0026]
    result, msg = parse(message(*[attribute(t, b"??") for t in types]))
    required = [t for t in types if t < 0x8000]
    assert result == 0 and msg.n_unknown == len(required)
    assert list(msg.unknown) == required[:4]


def test_of_a_repeated_attribute_the_first_counts():
    result, msg = parse(message(attribute(0x24, b"\0\0\0\1"), attribute(0x24, b"\0\0\0\2")))
    assert result == 0 and msg.priority == 1


def test_the_old_mapped_address_and_software_are_ignored():
    result, msg = parse(message(attribute(0x8022, b"x" * 700), attribute(1, b"\0\1\0\1\1\2\3\4"), kind=0x0101))
    assert result == 0 and msg.has == 0 and msg.n_unknown == 0


@pytest.mark.parametrize("data,why", [
    (message(kind=0x0003), "method other than Binding"),
    (message(kind=0x4001), "first bits not zero"),
    (message()[:19], "shorter than a header"),
    (message() + b"\0\0\0\0", "longer than its length field"),
    (message(length=4), "shorter than its length field"),
    (message(b"\0\0", length=2), "length no multiple of four"),
    (message()[:4] + b"\x21\x12\xa4\x43" + TRANSACTION, "another cookie"),
    (message(attribute(0x24, b"\0\0\0")), "PRIORITY of 3 bytes"),
    (message(attribute(0x25, b"\0\0\0\0")), "USE-CANDIDATE with a value"),
    (message(attribute(0x8029, b"\0" * 7)), "tie-breaker of 7 bytes"),
    (message(attribute(8, b"\0" * 16)), "MESSAGE-INTEGRITY of 16 bytes"),
    (message(attribute(6, b"u" * 509)), "USERNAME over 508 bytes"),
    (message(attribute(0x20, b"\0\3\0\0\0\0\0\0"), kind=0x0101), "address family 3"),
    (message(attribute(0x20, b"\0\2\0\0\0\0\0\0"), kind=0x0101), "IPv6 in 4 bytes"),
    (message(attribute(9, b"\0\0\2\0"), kind=0x0111), "error class 2"),
    (message(attribute(9, b"\0\0\4\x64"), kind=0x0111), "error number 100"),
    (message(attribute(9, b"\0\0\4"), kind=0x0111), "ERROR-CODE of 3 bytes"),
    (message(struct.pack("!HH", 6, 5) + b"abcd"), "attribute longer than the message"),
    (message(attribute(0x8028, b"\0\0\0\0")), "wrong fingerprint"),
    (seal(message())[:2] + b"\0\x0c" + seal(message())[4:] + attribute(0x25, b""), "attribute after FINGERPRINT"),
    (message(attribute(0x8029, b"\0" * 8), attribute(0x802A, b"\0" * 8)), "both roles"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_malformed_is_refused(data, why):
    assert parse(data)[0] == lib.LINNET_ERR_PACKET, why


def test_stun_is_told_from_its_neighbours_on_the_port():
    """RFC 7983 7."""
    good = message()
    assert lib.linnet_stun_is(good, len(good))
    for first in range(4, 256):
        assert not lib.linnet_stun_is(bytes([first]) + good[1:], len(good))
    for n in range(HEADER):
        assert not lib.linnet_stun_is(good[:n] or b"\0", n)


ATTRIBUTES = [0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x0020, 0x0024, 0x0025, 0x7F00,
              0x8022, 0x8028, 0x8029, 0x802A]
RIGHT_LENGTH = {0x0008: (20,), 0x0020: (8, 20), 0x0024: (4,), 0x0025: (0,), 0x8029: (8,), 0x802A: (8,)}
LENGTHS = sorted({*range(0, 70), *(2**k + d for k in range(6, 16) for d in (-1, 0, 1)),
                  *random.Random(5769).sample(range(65536), 60), 507, 508, 509, 510, 65531, 65535})


@pytest.mark.parametrize("kind", ATTRIBUTES, ids=hex)
def test_attribute_of_every_length_stays_inside_the_datagram(kind):
    """The classic: a length field that is trusted (anchors: libpeer #264, Sofia-SIP #180)."""
    values = random.Random(kind).randbytes(65536)
    for length in LENGTHS:
        for room in {0, 4, 20, min(length, 65000), max(0, length - 1)}:
            room = min(room + 3 & ~3, 65508)
            body = struct.pack("!HH", kind, length) + values[:room]
            data = message(body)
            result, msg = parse(data)
            low = int(ffi.cast("uintptr_t", msg_of[msg]))
            for span in (msg.username, msg.realm, msg.nonce):
                start = int(ffi.cast("uintptr_t", span.data))
                assert span.len == 0 or low + HEADER <= start <= start + span.len <= low + len(data)
            assert msg.integrity_at + 24 <= len(data) or result != 0 or msg.integrity_at == 0
            if length > room:
                assert result == lib.LINNET_ERR_PACKET
            if result == 0 and kind in RIGHT_LENGTH and length + 3 & ~3 == room:
                assert length in RIGHT_LENGTH[kind]
            verify(msg, data)
            msg_of.clear()


def test_random_bytes_behind_a_good_header_never_authenticate():
    rng = random.Random(8489)
    for _ in range(3000):
        data = message(rng.randbytes(4 * rng.randrange(60)), kind=rng.choice([1, 0x11, 0x101, 0x111]))
        result, msg = parse(data)
        if result == 0:
            assert verify(msg, data) == lib.LINNET_ERR_AUTH
        msg_of.clear()
