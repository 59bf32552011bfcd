"""What the protobuf tests compare with: Google's parser (upb) on two schemas, and random messages.

`wheel(name)` is a message class of the livekit-protocol wheel, the whole schema; `ours(name)` one made from
csrc/proto/linnet.proto, and `mapless(name)` the same without the notion of a map. `codec()` is our own, compiled
alone. Plain dicts are the common form: as_dict() makes them from a message of either schema, with what
linnet.proto leaves out left out.
"""

import functools
import random
import struct
import sys
from pathlib import Path

import livekit.protocol.models  # noqa: F401  (registers the wheel's schema)
import livekit.protocol.rtc  # noqa: F401
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import api_implementation

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "csrc" / "proto"))

import gen_schema  # noqa: E402
from build_tools import Toolchain  # noqa: E402
from internals import load  # noqa: E402
from linnet import records, schema  # noqa: E402

# FIELDS[index of a message][number] = (name, kind, index of the nested message, label)
FIELDS = [{number: field for number, *field in records.fields_of(i)} for i in range(len(schema.MESSAGES))]
INDEX = {message[0]: i for i, message in enumerate(schema.MESSAGES)}
PACKAGE = "livekit."


def _without_maps(file):
    """The same wire format with maps as the repeated messages that they are on the wire. upb sets a map entry
    with an unknown field aside; every other parser, and ours, keeps the entry."""
    for message in gen_schema.flatten(file).values():
        message.options.ClearField("map_entry")
    return file


_ours = descriptor_pool.DescriptorPool()
_ours.Add(gen_schema.load())
_mapless = descriptor_pool.DescriptorPool()
_mapless.Add(_without_maps(gen_schema.load()))


@functools.cache
def wheel(name):
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(PACKAGE + name))


@functools.cache
def ours(name):
    return message_factory.GetMessageClass(_ours.FindMessageTypeByName(PACKAGE + name))


@functools.cache
def mapless(name):
    return message_factory.GetMessageClass(_mapless.FindMessageTypeByName(PACKAGE + name))


assert api_implementation.Type() == "upb", "the comparison is with upb, Google's C parser"


# --- our codec ---

_CDEF = """
int linnet_pb_decode(int message, const uint8_t *wire, size_t len, uint8_t *record, size_t cap);
int linnet_pb_encode(int message, const uint8_t *record, size_t len, uint8_t *wire, size_t cap);
"""


class Native:
    """pb_decode and pb_encode as records.py wants them, and `lib` and `ffi` for what it never does."""

    def __init__(self, defines=()):
        tools = Toolchain(say=lambda text: None)
        module = load(
            "proto",
            sources=["proto/transcode.c", *map(str, tools.generated_sources())],
            headers=["proto/transcode.h"],
            extra_cdef=_CDEF,
            extra_source='#include "include/linnet.h"',
            include_dirs=[*tools.recipe("nanopb").use_includes, tools.generated()],
            archives=[tools.third_party_archive("nanopb")],
            defines=[*tools.recipe("nanopb").use_defines, *defines],
        )
        self.lib, self.ffi = module.lib, module.ffi

    def _call(self, function, message, source, target):
        view = self.ffi.from_buffer
        return function(message, view("uint8_t[]", source), len(source), view("uint8_t[]", target), len(target))

    def pb_decode(self, message, wire, record):
        return self._call(self.lib.linnet_pb_decode, message, wire, record)

    def pb_encode(self, message, record, wire):
        return self._call(self.lib.linnet_pb_encode, message, record, wire)


@functools.cache
def codec():
    """Our codec, compiled once."""
    return Native()


# --- the wire format by hand ---


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def tag(number, wire_type):
    return varint(number << 3 | wire_type)


def field(number, body):
    return tag(number, 2) + varint(len(body)) + body


# --- messages as dicts ---


def comparable(kind, value):
    """A NaN equals itself here."""
    return struct.pack("<f", value).hex() if kind == schema.FLOAT else value


def as_dict(message, index):
    """A message of upb as the dict that records.decode() should give."""
    found = {}
    for descriptor, value in message.ListFields():
        if descriptor.number not in FIELDS[index]:
            continue
        name, kind, sub, label = FIELDS[index][descriptor.number]
        assert name == descriptor.name
        if label == schema.MAP:
            inner = FIELDS[sub][2]
            pairs = value.items() if hasattr(value, "items") else [(entry.key, entry.value) for entry in value]
            found[name] = {key: as_dict(each, inner[2]) if inner[1] == schema.MSG else each for key, each in pairs}
        elif kind == schema.MSG:
            found[name] = [as_dict(each, sub) for each in value] if label == schema.REPEATED else as_dict(value, sub)
        else:
            found[name] = [comparable(kind, each) for each in value] if label == schema.REPEATED else comparable(
                kind, value)
    return found


def canonical(message, index):
    """What records.decode() gave, without defaults that were written out: upb does not tell those."""
    found = {}
    for name, kind, sub, label in FIELDS[index].values():
        if name not in message:
            continue
        value = message[name]
        if label == schema.MAP:
            inner = FIELDS[sub][2]
            found[name] = {key: canonical(value[key], inner[2]) if inner[1] == schema.MSG else value[key]
                           for key in value}
        elif kind == schema.MSG:
            found[name] = [canonical(each, sub) for each in value] if label == schema.REPEATED else canonical(
                value, sub)
        elif label == schema.REPEATED:
            found[name] = value
        elif label != schema.PLAIN or comparable(kind, value) not in (0, "", b"", "00000000"):
            found[name] = comparable(kind, value)
    assert len(found) <= len(message)
    return found


def decoded(root, wire):
    """records.decode() in the form that as_dict() gives."""
    return canonical(records.decode(root, wire), INDEX[root])


# --- random messages ---

_TEXTS = ("", "x", "TR_AM", "Zoë 🐦", "nul\0inside", "\uffff\ufffe", "ä" * 70, "{}" * 100)
_FLOATS = (0.0, 1.0, 0.25, -2.5, 3.0e38)


def _random_integer(rng, bits, signed):
    value = rng.choice((0, 1, 127, 128, (1 << bits - 1) - 1, rng.getrandbits(bits), rng.getrandbits(bits // 4)))
    if not signed:
        return (1 << bits) - 1 if rng.random() < 0.1 else value
    return value - (1 << bits) if value >> bits - 1 else -value


def _random_scalar(rng, field):
    kind = field.cpp_type
    if kind == field.CPPTYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values] + [-1, 9999])
    if kind == field.CPPTYPE_BOOL:
        return rng.random() < 0.7
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return rng.choice(_FLOATS)
    if kind == field.CPPTYPE_STRING:
        if field.type == field.TYPE_BYTES:
            return rng.randbytes(rng.choice((0, 1, 2, 3, 4, 130)))
        return rng.choice(_TEXTS)
    bits = 64 if kind in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64) else 32
    return _random_integer(rng, bits, kind in (field.CPPTYPE_INT32, field.CPPTYPE_INT64))


def _is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _fill_map(rng, field, target, share):
    value = field.message_type.fields_by_name["value"]
    for _ in range(rng.randrange(3)):
        key = _random_scalar(rng, field.message_type.fields_by_name["key"])
        if value.message_type is not None:
            randomise(rng, target[key], share)
        else:
            target[key] = _random_scalar(rng, value)


def randomise(rng, message, share=0.8):
    """Set a share of the fields at random; nested messages get a smaller share."""
    fields = list(message.DESCRIPTOR.fields)
    rng.shuffle(fields)  # or the last members of a oneof would always win
    for field in fields:
        if rng.random() > share:
            continue
        if _is_map(field):
            _fill_map(rng, field, getattr(message, field.name), share * 0.7)
        elif field.is_repeated and field.message_type is not None:
            for _ in range(rng.randrange(3)):
                randomise(rng, getattr(message, field.name).add(), share * 0.7)
        elif field.is_repeated:
            getattr(message, field.name).extend(_random_scalar(rng, field) for _ in range(rng.randrange(5)))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            randomise(rng, getattr(message, field.name), share * 0.7)
        else:
            setattr(message, field.name, _random_scalar(rng, field))
    return message


@functools.cache
def paths():
    """{message: (root, [fields that lead to it])} for every message of the schema except map entries."""
    found = {root: (root, []) for root in schema.ROOTS}
    todo = list(schema.ROOTS)
    while todo:
        name = todo.pop(0)
        root, way = found[name]
        for field in FIELDS[INDEX[name]].values():
            if field[1] != schema.MSG:
                continue
            sub = field[2]
            if field[3] == schema.MAP:
                _, kind, sub, _ = FIELDS[sub][2]
                if kind != schema.MSG:
                    continue
            if schema.MESSAGES[sub][0] not in found:
                found[schema.MESSAGES[sub][0]] = (root, [*way, field])
                todo.append(schema.MESSAGES[sub][0])
    return found


def wrapped(make_class, name):
    """(root message, the nested message `name` in it), both empty."""
    root, way = paths()[name]
    outer = inner = make_class(root)()
    for field_name, _, _, label in way:
        inner = getattr(inner, field_name)
        if label == schema.REPEATED:
            inner = inner.add()
        elif label == schema.MAP:
            inner = inner[7]
        else:
            inner.SetInParent()
    return outer, inner


@functools.cache
def good_messages():
    """(root, wire) of a few messages of some hundred bytes that together hold most fields."""
    found = []
    for root in schema.ROOTS:
        for seed in (3, 5):
            rng = random.Random(seed)
            message = randomise(rng, ours(root)(), 0.9)
            while not 60 < len(message.SerializeToString()) < 600:
                message = randomise(rng, ours(root)(), 0.9)
            found.append((root, message.SerializeToString()))
    return found
