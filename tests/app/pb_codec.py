# pb_decode and pb_encode in Python, for an interpreter that has no native core:
# protobuf (its encoding guide) to the records of csrc/proto/transcode.h and
# back, by the tables of schema.py. Written from those documents, not from the
# C; test_pb_codec.py holds the two against each other where both are there.

import struct

from linnet import schema
from linnet.utf8 import is_utf8

_ERR_PACKET, _ERR_SPACE = -2, -3
_INT, _INT64, _BOOL, _FLOAT, _BYTES, _STRING, _MSG = 1, 2, 3, 4, 5, 6, 7
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_DEPTH = 16


class _Bad(Exception):
    pass


def _field(index, number):
    """(kind, index of the nested message) of a field, or None."""
    fields = schema.MESSAGES[index]
    at = 2 * number - 1
    if at < 1 or at >= len(fields) or fields[at] is None:
        return None
    return fields[at + 1] & 15, fields[at + 1] >> schema.SUB


def _varint(data, at, end):
    value = shift = 0
    while True:
        if at >= end or shift > 63:
            raise _Bad
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at


def _item(out, number, kind, n, body=b""):
    out.extend(struct.pack("<HBBI", number, kind, 0, n))
    out.extend(body)
    out.extend(b"\0\0\0"[: -len(body) & 3])


def _number(out, number, kind, value):
    if kind == schema.BOOL:
        _item(out, number, _BOOL, 1 if value else 0)
    elif kind in (schema.U32, schema.U64):
        if value < 1 << 32:
            _item(out, number, _INT, value)
        else:
            _item(out, number, _INT64, 8, struct.pack("<Q", value))
    else:
        signed = value - (1 << 64) if value >> 63 else value
        if -0x80000000 <= signed <= 0x7FFFFFFF:
            _item(out, number, _INT, signed & 0xFFFFFFFF)
        else:
            _item(out, number, _INT64, 8, struct.pack("<Q", value))


def _text(data):
    if not is_utf8(data):
        raise _Bad
    return data


def _read(index, data, at, end, out, depth):
    if depth > _DEPTH:
        raise _Bad
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise _Bad
        field = _field(index, number)
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            if field:
                if field[0] in (schema.FLOAT, schema.BYTES, schema.STRING, schema.MSG):
                    raise _Bad
                _number(out, number, field[0], value)
            continue
        if wire == _LENGTH:
            n, at = _varint(data, at, end)
        elif wire in (_FIXED32, _FIXED64):
            n = 4 if wire == _FIXED32 else 8
        else:
            raise _Bad
        if n > end - at:
            raise _Bad
        if field:
            _read_piece(field, number, wire, data, at, n, out, depth)
        at += n


def _read_piece(field, number, wire, data, at, n, out, depth):
    kind, sub = field
    piece = bytes(data[at : at + n])
    if kind == schema.FLOAT and wire == _FIXED32:
        out.extend(struct.pack("<HBB", number, _FLOAT, 0) + piece)
    elif wire != _LENGTH:
        raise _Bad
    elif kind == schema.MSG:
        start = len(out)
        _item(out, number, _MSG, 0)
        _read(sub, data, at, at + n, out, depth + 1)
        struct.pack_into("<I", out, start + 4, len(out) - start - 8)
    elif kind == schema.STRING:
        _item(out, number, _STRING, n, _text(piece))
    elif kind == schema.BYTES:
        _item(out, number, _BYTES, n, piece)
    elif kind == schema.FLOAT:
        raise _Bad
    else:  # packed numbers
        end = at + n
        while at < end:
            value, at = _varint(data, at, end)
            _number(out, number, kind, value)


def pb_decode(message, wire, record):
    out = bytearray()
    try:
        _read(message - 1 if message <= len(schema.ROOTS) else -1, wire, 0, len(wire), out, 0)
    except _Bad:
        return _ERR_PACKET
    if len(out) > len(record):
        return _ERR_SPACE
    record[: len(out)] = out
    return len(out)


def _put(out, value):
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _packed(kind):
    return kind in (_INT, _INT64, _BOOL)


def _value(index, number, item, n, record, at):
    """The 64-bit number of an INT, INT64 or BOOL item."""
    if item == _INT64:
        return struct.unpack_from("<Q", record, at)[0]
    if item == _INT and _field(index, number)[0] <= schema.I64 and n >> 31:
        return n | 0xFFFFFFFF00000000
    return n


def _write(index, record, at, end, out):
    fields = schema.MESSAGES[index]
    packing = 0
    numbers = bytearray()
    while at < end:
        number, item, n = struct.unpack_from("<HHI", record, at)
        at += 8
        repeated = fields[2 * number] >> schema.LABEL & 31 == schema.REPEATED
        if packing and (number != packing or not repeated):
            _put(out, packing << 3 | _LENGTH)
            _put(out, len(numbers))
            out.extend(numbers)
            packing, numbers = 0, bytearray()
        if _packed(item):
            value = _value(index, number, item, n, record, at)
            if repeated:
                packing = number
                _put(numbers, value)
            else:
                _put(out, number << 3 | _VARINT)
                _put(out, value)
            at += 8 if item == _INT64 else 0
        elif item == _FLOAT:
            _put(out, number << 3 | _FIXED32)
            out.extend(struct.pack("<I", n))
        else:
            body = bytes(memoryview(record)[at : at + n])
            if item == _MSG:
                body = bytearray()
                _write(_field(index, number)[1], record, at, at + n, body)
            _put(out, number << 3 | _LENGTH)
            _put(out, len(body))
            out.extend(body)
            at += n + 3 & ~3
    if packing:
        _put(out, packing << 3 | _LENGTH)
        _put(out, len(numbers))
        out.extend(numbers)


def pb_encode(message, record, wire):
    out = bytearray()
    _write(message - 1, record, 0, len(record), out)
    if len(out) > len(wire):
        return _ERR_SPACE
    wire[: len(out)] = out
    return len(out)
