# LiveKit's messages as plain dicts: field names of linnet.proto, enums as ints,
# absent fields absent.
#
#     kind, join = which(decode("SignalResponse", data), "message")
#     encode("SignalRequest", {"mute": {"sid": sid, "muted": True}})
#
# The protobuf wire format is read and written in C (csrc/proto/transcode.c);
# here its flat records become dicts and back, by the tables of schema.py.

import struct

from .compat import const
from .errors import Protocol
from .schema import BOOL, BYTES, FLOAT, I32, I64, MSG, STRING, U32, U64
from .schema import LABEL, MAP, MESSAGES, ONEOF, ONEOFS, PLAIN, REPEATED, ROOTS, SUB

# Kinds of items in a record, as in csrc/proto/transcode.h.
_INT = const(1)
_INT64 = const(2)
_BOOL = const(3)
_FLOAT = const(4)
_BYTES = const(5)
_STRING = const(6)
_MSG = const(7)

_ERR_SPACE = const(-3)
_HEAD = const(8)

_DEFAULTS = {BOOL: False, FLOAT: 0.0, BYTES: b"", STRING: ""}
_TYPES = {FLOAT: (float, int), BYTES: (bytes, bytearray, memoryview), STRING: str}
_INTEGERS = (int, bool)  # for every other kind; MicroPython's bool is no int
_RANGES = {
    I32: (-0x80000000, 0x7FFFFFFF),
    I64: (-0x8000000000000000, 0x7FFFFFFFFFFFFFFF),
    U32: (0, 0xFFFFFFFF),
    U64: (0, 0xFFFFFFFFFFFFFFFF),
}

_native = None


def bind(native):
    """Use this module's pb_decode and pb_encode. Without it: those of linnet.core."""
    global _native
    _native = native


def _codec():
    if _native is None:
        from . import core

        bind(core.native)
    return _native


def _root(name):
    if name not in ROOTS:
        raise ValueError("%s is not a root message" % name)
    return ROOTS.index(name)


def fields_of(index):
    """[(number, name, kind, index of the nested message, label)] of MESSAGES[index]."""
    fields = MESSAGES[index]
    found = []
    for at in range(1, len(fields), 2):
        if fields[at] is not None:
            info = fields[at + 1]
            found.append((at + 1 >> 1, fields[at], info & 15, info >> SUB, info >> LABEL & 31))
    return found


def _default(kind):
    return {} if kind == MSG else _DEFAULTS.get(kind, 0)


# --- reading ---


def decode(name, wire):
    """The dict of a root message. Protocol("protobuf") if the bytes are no such message.

    A map is a dict, a repeated field a list, a nested message a dict."""
    index = _root(name)
    record, n = _to_record(index + 1, wire)
    if n < 0:
        raise Protocol("protobuf", "%d bytes are no %s" % (len(wire), name))
    message = {}
    _read(index, record, 0, n, message)
    return message


def _to_record(root, wire):
    """(record, its length or an error). The second size is enough for whatever bytes."""
    n = len(wire)
    for size in (4 * n, 8 * n):
        record = bytearray(size)
        result = _codec().pb_decode(root, wire, record)
        if result != _ERR_SPACE:
            break
    return record, result


def _read(index, record, at, end, message):
    fields = MESSAGES[index]
    view = memoryview(record)
    while at < end:
        number, item, n = struct.unpack_from("<HHI", record, at)
        name = fields[2 * number - 1]
        info = fields[2 * number]
        kind = info & 15
        label = info >> LABEL & 31
        at += _HEAD
        if kind == MSG:
            _read_message(info >> SUB, label, record, at, at + n, message, name)
            at += n
            continue
        if kind >= BYTES:
            value = bytes(view[at : at + n]) if kind == BYTES else str(view[at : at + n], "utf-8")
            at += n + 3 & ~3
        elif kind == BOOL:
            value = n != 0
        elif kind == FLOAT:
            value = struct.unpack_from("<f", record, at - 4)[0]
        else:
            value = _integer(kind, item, n, record, at)
            if item == _INT64:
                at += 8
        if label == REPEATED:
            message.setdefault(name, []).append(value)
        else:
            if label >= ONEOF:
                _clear_oneof(label, name, message)
            message[name] = value


def _integer(kind, item, n, record, at):
    """The value of an INT or INT64 item in a field of this kind: 32-bit fields drop the rest."""
    if item == _INT64:
        if kind == I64:
            return struct.unpack_from("<q", record, at)[0]
        if kind == U64:
            return struct.unpack_from("<Q", record, at)[0]
        n = struct.unpack_from("<I", record, at)[0]
    return n - 0x100000000 if kind <= I64 and n > 0x7FFFFFFF else n


def _read_message(sub, label, record, at, end, message, name):
    if label == MAP:
        entry = {}
        _read(sub, record, at, end, entry)
        fields = MESSAGES[sub]
        key = entry.get("key", _default(fields[2] & 15))
        message.setdefault(name, {})[key] = entry.get("value", _default(fields[4] & 15))
        return
    if label == REPEATED:
        value = {}
        message.setdefault(name, []).append(value)
    else:
        if label >= ONEOF:
            _clear_oneof(label, name, message)
        value = message.setdefault(name, {})  # the same message again is merged (protobuf's rule)
    _read(sub, record, at, end, value)


def _clear_oneof(label, name, message):
    for member in ONEOFS[label - ONEOF][1]:
        if member != name and member in message:
            del message[member]


# --- writing ---


def encode(name, message):
    """The protobuf bytes of a root message. None stands for an absent field.

    ValueError or TypeError, naming the field, for what the schema does not have."""
    index = _root(name)
    record = bytearray()
    _write(index, message, record)
    # No item is shorter than its protobuf, so this is always enough.
    wire = bytearray(len(record))
    n = _codec().pb_encode(index + 1, record, wire)
    if n < 0:
        raise ValueError("%s cannot be encoded: core error %d" % (name, n))
    return bytes(memoryview(wire)[:n])


def _write(index, message, out):
    fields = MESSAGES[index]
    known = 0
    for at in range(1, len(fields), 2):
        name = fields[at]
        if name in message:
            known += 1
            if message[name] is not None:
                _write_field(at + 1 >> 1, name, fields[at + 1], message[name], out)
    if known != len(message):
        names = [field[1] for field in fields_of(index)]
        unknown = [name for name in message if name not in names]
        raise ValueError("%s has no field %s" % (fields[0], unknown[0]))


def _write_field(number, name, info, value, out):
    kind = info & 15
    label = info >> LABEL & 31
    sub = info >> SUB
    if label == MAP:
        for key in value:
            _write_message(number, sub, {"key": key, "value": value[key]}, out)
    elif label == REPEATED:
        if isinstance(value, (str, bytes)):
            raise TypeError("%s takes a list" % name)
        for element in value:
            _write_value(number, name, kind, sub, element, out)
    elif value or label != PLAIN:
        _write_value(number, name, kind, sub, value, out)


def _write_message(number, sub, message, out):
    at = len(out)
    out.extend(struct.pack("<HBBI", number, _MSG, 0, 0))
    _write(sub, message, out)
    struct.pack_into("<I", out, at + 4, len(out) - at - _HEAD)


def _write_value(number, name, kind, sub, value, out):
    if kind == MSG:
        _write_message(number, sub, value, out)
        return
    if not isinstance(value, _TYPES.get(kind, _INTEGERS)):
        raise TypeError("%s cannot be %r" % (name, type(value)))
    if kind == BOOL:
        out.extend(struct.pack("<HBBI", number, _BOOL, 0, 1 if value else 0))
    elif kind == FLOAT:
        out.extend(struct.pack("<HBBf", number, _FLOAT, 0, value))
    elif kind == STRING:
        _write_text(number, _STRING, value.encode(), out)
    elif kind == BYTES:
        _write_text(number, _BYTES, value, out)
    else:
        _write_integer(number, name, kind, value, out)


def _write_integer(number, name, kind, value, out):
    low, high = _RANGES[kind]
    if not low <= value <= high:
        raise ValueError("%s is out of range: %d" % (name, value))
    if 0 <= value <= (0xFFFFFFFF if kind > I64 else 0x7FFFFFFF):
        out.extend(struct.pack("<HBBI", number, _INT, 0, value))
    else:
        form = "<HBBIQ" if kind == U64 else "<HBBIq"
        out.extend(struct.pack(form, number, _INT64, 0, 8, value))


def _write_text(number, item, data, out):
    n = len(data)
    out.extend(struct.pack("<HBBI", number, item, 0, n))
    out.extend(data)
    out.extend(b"\0\0\0"[: -n & 3])


# --- using ---


def which(message, oneof):
    """(name, value) of the member that a oneof holds, or (None, None)."""
    for name, members in ONEOFS:
        if name == oneof:
            for member in members:
                if message.get(member) is not None:
                    return member, message[member]
    return None, None


def get(message, path, default=None):
    """The field at a dotted path, or `default` where anything on the way is absent."""
    for name in path.split("."):
        message = message.get(name)
        if message is None:
            return default
    return message


def fill(name, message):
    """Add what is absent with proto3's defaults, in the nested messages that are there too.

    `name` is any message of linnet.proto. Absent nested messages, optional fields and
    members of oneofs stay absent. Returns `message`."""
    for index in range(len(MESSAGES)):
        if MESSAGES[index][0] == name:
            return _fill(index, message)
    raise ValueError("no message %s" % name)


def _fill(index, message):
    for _, name, kind, sub, label in fields_of(index):
        if name not in message:
            if label == REPEATED:
                message[name] = []
            elif label == MAP:
                message[name] = {}
            elif label == PLAIN:
                message[name] = _default(kind)
        elif label == MAP:
            value = fields_of(sub)[1]
            if value[2] == MSG:
                for key in message[name]:
                    _fill(value[3], message[name][key])
        elif kind == MSG:
            for nested in message[name] if label == REPEATED else (message[name],):
                _fill(sub, nested)
    return message
