"""linnet.proto is LiveKit's schema, and schema.py is linnet.proto."""

import ast

import pytest
from protobuf_peers import FIELDS, PACKAGE, ROOT, gen_schema, ours, schema, wheel

FILE = gen_schema.load()
MESSAGES = gen_schema.flatten(FILE)


def enums(file):
    """Full names, without the package, of every enum in a FileDescriptorProto."""
    found = [enum.name for enum in file.enum_type]

    def walk(message, prefix):
        found.extend(prefix + message.name + "." + enum.name for enum in message.enum_type)
        for nested in message.nested_type:
            walk(nested, prefix + message.name + ".")

    for message in file.message_type:
        walk(message, "")
    return found


def enum_of(make_class, name):
    """The enum descriptor of that name in the pool behind make_class."""
    return make_class("SignalRequest").DESCRIPTOR.file.pool.FindEnumTypeByName(PACKAGE + name)


def facts(field):
    """Everything about a field that decides what is on the wire and what it means."""
    oneof = field.containing_oneof
    return {
        "number": field.number,
        "type": field.type,
        "repeated": field.is_repeated,
        "packed": field.is_packed,
        "presence": field.has_presence,
        "oneof": oneof.name if oneof is not None else None,
        "message": field.message_type.full_name if field.message_type is not None else None,
        "map": field.message_type is not None and field.message_type.GetOptions().map_entry,
        "enum": field.enum_type.full_name if field.enum_type is not None else None,
        "deprecated": field.GetOptions().deprecated,
    }


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_field_is_the_one_of_livekit(name):
    theirs = wheel(name).DESCRIPTOR.fields_by_name
    for field in ours(name).DESCRIPTOR.fields:
        assert field.name in theirs, f"{name} has no field {field.name} in LiveKit's schema"
        assert facts(field) == facts(theirs[field.name]), f"{name}.{field.name}"


@pytest.mark.parametrize("name", sorted(enums(FILE)))
def test_every_enum_has_the_values_of_livekit(name):
    def values(enum):
        return {value.name: value.number for value in enum.values}

    assert values(enum_of(ours, name)) == values(enum_of(wheel, name))


def test_nothing_deprecated_is_spoken_but_the_kind_of_a_data_packet():
    deprecated = [f"{name}.{field.name}" for name in MESSAGES for field in ours(name).DESCRIPTOR.fields
                  if field.GetOptions().deprecated]
    assert deprecated == ["DataPacket.kind"]


def test_the_committed_tables_are_fresh():
    committed = (ROOT / "firmware" / "linnet" / "schema.py").read_text(encoding="utf-8")
    assert committed == gen_schema.render(), "run: python csrc/proto/gen_schema.py"


def test_the_tables_say_what_the_descriptors_say():
    kinds = {"int32": schema.I32, "enum": schema.I32, "int64": schema.I64, "uint32": schema.U32,
             "uint64": schema.U64, "bool": schema.BOOL, "float": schema.FLOAT, "bytes": schema.BYTES,
             "string": schema.STRING, "message": schema.MSG}
    names = {value: name for name, value in vars(type(FILE.message_type[0].field[0])).items()
             if name.startswith("TYPE_")}
    assert {message[0] for message in schema.MESSAGES} == set(MESSAGES)
    for message, fields in zip(schema.MESSAGES, FIELDS):
        descriptors = ours(message[0]).DESCRIPTOR.fields_by_number
        assert set(fields) == set(descriptors)
        for number, descriptor in descriptors.items():
            name, kind, sub, label = fields[number]
            assert name == descriptor.name
            assert kind == kinds[names[descriptor.type][5:].lower()]
            nested = descriptor.message_type
            assert (sub == 0) if nested is None else schema.MESSAGES[sub][0] == nested.full_name[len(PACKAGE):]
            assert (label in (schema.REPEATED, schema.MAP)) == descriptor.is_repeated
            if descriptor.containing_type.GetOptions().map_entry:
                assert label == schema.OPTIONAL  # written even if it is the default
            elif not descriptor.is_repeated:
                assert (label != schema.PLAIN) == descriptor.has_presence
            if label >= schema.ONEOF:
                oneof, members = schema.ONEOFS[label - schema.ONEOF]
                assert oneof == descriptor.containing_oneof.name
                assert list(members) == [field.name for field in descriptor.containing_oneof.fields]


def test_the_tables_are_constants_that_micropython_keeps_in_flash():
    tree = ast.parse((ROOT / "firmware" / "linnet" / "schema.py").read_text(encoding="utf-8"))
    tables = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    allowed = (ast.Tuple, ast.Constant, ast.Name, ast.BinOp, ast.Add, ast.LShift, ast.Load)
    for name in ("ROOTS", "ONEOFS", "MESSAGES"):
        assert {type(node) for node in ast.walk(tables[name])} <= set(allowed), name
