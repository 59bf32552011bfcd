"""The rig's boards, as rig.json names them (LINNET_RIG: another file).

An emulated board: "start" is the emulator's command, where {serial}, {control} and {firmware} are filled in;
"serial" is "tcp" or "pty"; "firmware" is a folder of tests/hil/firmware, built on demand.
A real board with a MicroPython that has the module `_linnet` and asyncio needs three lines:

    {"name": "badge", "kind": "serial", "device": "/dev/ttyACM0"}

and may have: "baud" (115200); "reset": "soft" (default: Ctrl-D of the raw REPL) or a command as a list, for
instance one that switches its power; "mount": folders of firmware/ to copy along for a firmware that has not frozen
them, ["linnet", "apps"]; "skip": {"a file, class or Class.test of tests/app": "why not here"}.
"fixtures" says what hangs on the board: "units" (a firmware with linnet_units), "link" (may join the real server
over its serial line).
"""

import json
import os
from pathlib import Path

from tests.hil.faults import RigFault

HERE = Path(__file__).resolve().parent
DEFAULT = HERE / "rig.json"
KINDS = {
    "emulated": {"needs": ("firmware", "start", "serial"), "may": ()},
    "serial": {"needs": ("device",), "may": ("baud", "reset")},
}
COMMON = ("name", "kind", "about", "fixtures", "skip", "mount")
FIXTURES = ("units", "link")


def roster_file(env=os.environ):
    return Path(env.get("LINNET_RIG") or DEFAULT)


def load(path=None):
    """[entry, ...]; RigFault("bad-roster") names the place and what is wrong."""
    path = Path(path or roster_file())
    try:
        boards = json.loads(path.read_text(encoding="utf-8"))["boards"]
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise _bad(path, f"is not JSON with a list \"boards\": {error}") from None
    if not isinstance(boards, list):
        raise _bad(path, "has no list \"boards\"")
    seen = {}
    for number, entry in enumerate(boards, 1):
        _check(path, number, entry)
        for key in ("name", "device"):
            place = (key, os.path.realpath(entry[key]) if key == "device" else entry[key]) if key in entry else None
            if place and place in seen:
                raise _bad(path, f"has {key} {entry[key]!r} twice, as board {seen[place]} and {number}")
            seen[place] = number
    return boards


def find(name, path=None):
    boards = load(path)
    for entry in boards:
        if entry["name"] == name:
            return entry
    names = ", ".join(entry["name"] for entry in boards) or "none"
    raise RigFault("no-such-board", f"the roster has no board {name!r}; it has {names}",
                   f"Use one of these or add it to {path or roster_file()}")


def _bad(path, what):
    return RigFault("bad-roster", f"{path} {what}", "tests/hil/roster.py describes the fields")


def _check(path, number, entry):
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise _bad(path, f"has no name for board {number}")
    kind = KINDS.get(entry.get("kind"))
    if kind is None:
        raise _bad(path, f"says kind {entry.get('kind')!r} for {entry['name']}; it must be {' or '.join(KINDS)}")
    for field in kind["needs"]:
        if not entry.get(field):
            raise _bad(path, f"lacks {field!r} for {entry['name']}")
    unknown = sorted(set(entry) - set(COMMON) - set(kind["needs"]) - set(kind["may"]))
    if unknown:
        raise _bad(path, f"has a field {unknown[0]!r} for {entry['name']} that no {entry['kind']} board has")
    wrong = [one for one in entry.get("fixtures", ()) if one not in FIXTURES]
    if wrong:
        raise _bad(path, f"has a fixture {wrong[0]!r} for {entry['name']}; there are {', '.join(FIXTURES)}")
    if entry["kind"] == "emulated":
        if entry["serial"] not in ("tcp", "pty"):
            raise _bad(path, f"says serial {entry['serial']!r} for {entry['name']}; it must be tcp or pty")
        if "{serial}" not in entry["start"]:
            raise _bad(path, f"does not use {{serial}} in \"start\" of {entry['name']}")
