"""An independent writer and reader of STUN (RFC 8489) for tests: the standard library only, nothing of csrc/."""

import hashlib
import hmac
import struct
import zlib

COOKIE = 0x2112A442
REQUEST, INDICATION, SUCCESS, ERROR = 0x0001, 0x0011, 0x0101, 0x0111
USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES = 6, 8, 9, 10
XOR_MAPPED_ADDRESS, PRIORITY, USE_CANDIDATE = 0x20, 0x24, 0x25
FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING = 0x8028, 0x8029, 0x802A
HEADER = 20
TRANSACTION = bytes(range(1, 13))


def attribute(kind, value, padding=b"\0"):
    return struct.pack("!HH", kind, len(value)) + value + padding * (-len(value) % 4)


def message(*attributes, kind=REQUEST, length=None, transaction=TRANSACTION):
    body = b"".join(attributes)
    length = len(body) if length is None else length
    return struct.pack("!HHI", kind, length, COOKIE) + transaction + body


def sign(data, password):
    """With MESSAGE-INTEGRITY."""
    head = data[:2] + struct.pack("!H", len(data) - HEADER + 24) + data[4:]
    return head + attribute(MESSAGE_INTEGRITY, hmac.digest(password, head, hashlib.sha1))


def seal(data):
    """With FINGERPRINT."""
    head = data[:2] + struct.pack("!H", len(data) - HEADER + 8) + data[4:]
    return head + attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(head) ^ 0x5354554E))


def kind_of(data):
    return struct.unpack("!H", data[:2])[0]


def transaction_of(data):
    return data[8:20]


def attributes_of(data):
    """type -> value, of a good message."""
    found, at = {}, HEADER
    while at < len(data):
        kind, length = struct.unpack("!HH", data[at:at + 4])
        found.setdefault(kind, data[at + 4:at + 4 + length])
        at += 4 + length + (-length % 4)
    return found
