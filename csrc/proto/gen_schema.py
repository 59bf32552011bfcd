#!/usr/bin/env python3
"""Writes firmware/linnet/schema.py from csrc/proto/linnet.proto.

    python csrc/proto/gen_schema.py            write the file
    python csrc/proto/gen_schema.py --check    exit with 1 if the committed file is not what would be written

The root messages and their numbers come from enum linnet_pb in linnet.h. Needs grpcio-tools, the protoc that
the nanopb generator uses too.
"""

import importlib.resources
import re
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

REPO = Path(__file__).resolve().parent.parent.parent
PROTO = REPO / "csrc" / "proto" / "linnet.proto"
HEADER = REPO / "csrc" / "include" / "linnet.h"
CONFIG = REPO / "csrc" / "include" / "linnet_config.h"
TARGET = REPO / "firmware" / "linnet" / "schema.py"

Field = descriptor_pb2.FieldDescriptorProto

# What transcode.c and records.py know. Other types are an error here, not a surprise there.
KINDS = {
    Field.TYPE_INT32: "I32",
    Field.TYPE_ENUM: "I32",
    Field.TYPE_INT64: "I64",
    Field.TYPE_UINT32: "U32",
    Field.TYPE_UINT64: "U64",
    Field.TYPE_BOOL: "BOOL",
    Field.TYPE_FLOAT: "FLOAT",
    Field.TYPE_BYTES: "BYTES",
    Field.TYPE_STRING: "STRING",
    Field.TYPE_MESSAGE: "MSG",
}

HEAD = '''\
# Generated from csrc/proto/linnet.proto by csrc/proto/gen_schema.py: do not edit.
#
# MESSAGES[i] is a message: its name at index 0, then of the field with number n the
# name at 2n - 1 and at 2n its kind + label << LABEL + (index of the nested message,
# else 0) << SUB. A number that is not used has None and 0. A label from ONEOF on is
# ONEOF + the index of the group in ONEOFS. A map is a repeated message with the
# fields key and value. All of it is constant, so a frozen module keeps it in flash.

from .compat import const

LABEL = const(4)
SUB = const(9)

# Kinds, 4 bits. The signed ones come first.
I32 = const(1)  # also enums
I64 = const(2)
U32 = const(3)
U64 = const(4)
BOOL = const(5)
FLOAT = const(6)
BYTES = const(7)
STRING = const(8)
MSG = const(9)

# Labels, 5 bits.
PLAIN = const(0)  # absent means the default
OPTIONAL = const(1)  # absent means absent; a single message is always so
REPEATED = const(2)
MAP = const(3)
ONEOF = const(4)
'''


class SchemaError(Exception):
    """linnet.proto says something that the codec cannot do."""


def load():
    """The FileDescriptorProto of linnet.proto."""
    builtin = importlib.resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set"
        code = protoc.main(["protoc", f"-I{PROTO.parent}", f"-I{builtin}", f"--descriptor_set_out={out}", str(PROTO)])
        if code != 0:
            raise SchemaError(f"protoc refused {PROTO}")
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]


def roots():
    """{message name: number} of enum linnet_pb."""
    body = re.search(r"enum linnet_pb \{(.*?)\}", HEADER.read_text(encoding="utf-8"), re.S).group(1)
    found = re.findall(r"LINNET_PB_(\w+) = (\d+)", body)
    return {"".join(part.capitalize() for part in name.split("_")): int(number) for name, number in found}


def depth_limit():
    return int(re.search(r"define LINNET_PB_DEPTH_MAX (\d+)", CONFIG.read_text(encoding="utf-8")).group(1))


def flatten(file):
    """{full name without the package: DescriptorProto}, nested ones too, in order of the file."""
    found = {}

    def walk(message, prefix):
        name = prefix + message.name
        if message.field:  # what only wraps enums or messages is never on the wire
            found[name] = message
        for nested in message.nested_type:
            walk(nested, name + ".")

    for message in file.message_type:
        walk(message, "")
    return found


def sub_name(field, package):
    return field.type_name[len(package) + 2:]


def check_depth(messages, package, root, limit):
    def depth(name, above):
        if name in above:
            raise SchemaError(f"{name} contains itself")
        subs = [sub_name(f, package) for f in messages[name].field if f.type == Field.TYPE_MESSAGE]
        return 1 + max((depth(sub, above | {name}) for sub in subs), default=0)

    if depth(root, frozenset()) > limit:
        raise SchemaError(f"{root} nests deeper than LINNET_PB_DEPTH_MAX")


def reachable(messages, package, names):
    """The names in order of the file, but `names` first."""
    seen, todo = set(names), list(names)
    while todo:
        for field in messages[todo.pop()].field:
            if field.type == Field.TYPE_MESSAGE and sub_name(field, package) not in messages:
                raise SchemaError(f"{sub_name(field, package)} has no fields, which transcode.c cannot tell")
            if field.type == Field.TYPE_MESSAGE and sub_name(field, package) not in seen:
                seen.add(sub_name(field, package))
                todo.append(sub_name(field, package))
    unused = set(messages) - seen
    if unused:
        raise SchemaError(f"nothing uses {', '.join(sorted(unused))}")
    return [*names, *(name for name in messages if name not in names)]


def oneof_groups(messages):
    """[(message, name, members)], with a check that a dict tells by itself which member it holds."""
    groups = []
    for name, message in messages.items():
        real = {f.oneof_index for f in message.field if f.HasField("oneof_index") and not f.proto3_optional}
        for i in sorted(real):
            members = [f.name for f in message.field if f.HasField("oneof_index") and f.oneof_index == i]
            groups.append((name, message.oneof_decl[i].name, members))
    for name, oneof, members in groups:
        others = {f.name for f in messages[name].field} - set(members)
        clash = others & {m for _, other, more in groups if other == oneof for m in more}
        if clash:
            raise SchemaError(f"{name}.{clash.pop()} is also a member of another oneof {oneof}")
    return groups


def label_of(field, message_name, messages, package, groups):
    if field.label == Field.LABEL_REPEATED:
        is_map = field.type == Field.TYPE_MESSAGE and messages[sub_name(field, package)].options.map_entry
        return "MAP" if is_map else "REPEATED"
    if field.HasField("oneof_index") and not field.proto3_optional:
        for i, (owner, _, members) in enumerate(groups):
            if owner == message_name and field.name in members:
                return f"ONEOF + {i}"
    if messages[message_name].options.map_entry:
        return "OPTIONAL"  # key and value are always written, as Google's serializers do
    return "OPTIONAL" if field.proto3_optional or field.type == Field.TYPE_MESSAGE else "PLAIN"


def render_message(name, messages, order, package, groups):
    fields = {field.number: field for field in messages[name].field}
    lines = ["    (", f'        "{name}",  # {order.index(name)}']
    for number in range(1, max(fields) + 1):
        field = fields.get(number)
        if field is None:
            lines.append("        None, 0,")
            continue
        if field.type not in KINDS:
            raise SchemaError(f"{name}.{field.name} has a type that transcode.c does not know")
        info = f"{KINDS[field.type]} + ({label_of(field, name, messages, package, groups)} << LABEL)"
        if field.type == Field.TYPE_MESSAGE:
            info += f" + ({order.index(sub_name(field, package))} << SUB)"
        lines.append(f'        "{field.name}", {info},')
    return [*lines, "    ),"]


def render():
    """The text of schema.py."""
    file = load()
    messages, package, wanted = flatten(file), file.package, roots()
    order = reachable(messages, package, list(wanted))
    for root in wanted:
        check_depth(messages, package, root, depth_limit())
    groups = oneof_groups(messages)
    if len(groups) > 27:
        raise SchemaError("more oneofs than fit in a label")
    lines = [HEAD, "# What the native codec takes by number; each is MESSAGES[number - 1]."]
    if list(wanted.values()) != list(range(1, len(wanted) + 1)):
        raise SchemaError("enum linnet_pb must count 1, 2, 3 ...")
    lines += ["ROOTS = (", *(f'    "{root}",' for root in wanted), ")", ""]
    lines += ["# (name, members) of every oneof.", "ONEOFS = ("]
    for i, (owner, name, members) in enumerate(groups):
        lines += [f"    (  # {i}: {owner}", f'        "{name}",', "        ("]
        lines += [*(f'            "{member}",' for member in members), "        ),", "    ),"]
    lines += [")", "", "MESSAGES = ("]
    for name in order:
        lines += render_message(name, messages, order, package, groups)
    return "\n".join([*lines, ")", ""])


def main(argv):
    text = render()
    if argv == ["--check"]:
        fresh = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text
        print("schema.py is fresh" if fresh else "schema.py is stale: run python csrc/proto/gen_schema.py")
        return 0 if fresh else 1
    if argv:
        print(__doc__, file=sys.stderr)
        return 2
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SchemaError as error:
        print(f"gen_schema: {error}", file=sys.stderr)
        sys.exit(1)
