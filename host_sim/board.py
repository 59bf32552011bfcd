"""Board files: what a device has, as JSON. The simulator takes from one what concerns a laptop too.

    {"name": "s3_box3", "audio": {"rate": 16000}, "limits": {"remote_tracks": 2, "opus_complexity": 3},
     "ui": {"talk": 0, "led": null}}

boards/schema.json says which names there are and what they may be, here as in boards/gen.py; only that nothing is
required here. A name that is not known is an error, not ignored: a mistyped limit would otherwise be no limit.
"""

import json
import os

from linnet.errors import Refused

from .schema_check import findings

MAX_FILE = 65536  # bytes
SCHEMA = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "boards", "schema.json")


class Board:
    """What the simulator uses of a board. `rate` is None for a machine without a file: the WAV decides.
    `room_options`: the limits that a session takes when it is made, by their names in RoomOptions."""

    def __init__(self, name="laptop", rate=None, remote_tracks=3, opus_complexity=None, has_led=True,
                 has_button=True, room_options=None):
        self.name = name
        self.rate = rate
        self.remote_tracks = remote_tracks
        self.opus_complexity = opus_complexity
        self.has_led = has_led
        self.has_button = has_button
        self.room_options = room_options or {"remote_tracks": remote_tracks}  # for RoomOptions


def load_board(path):
    """The Board of a file. Raises Refused("file-missing") or Refused("bad-board") with the place in the file."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE + 1)
    except OSError as error:
        raise Refused("file-missing", f"the board file {path} cannot be read: {error.strerror}") from None
    if len(text) > MAX_FILE:
        raise Refused("bad-board", f"{path} is longer than {MAX_FILE} bytes")
    try:
        fields = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise Refused("bad-board", f"{path} is no JSON: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one
        raise Refused("bad-board", f"{path} cannot be read: {error}") from None
    return read_board(fields, path)


def read_board(fields, where="the board"):
    """The Board that a decoded board file describes."""
    if not isinstance(fields, dict):
        raise Refused("bad-board", f"{where} holds no JSON object")
    wrong = findings(fields, load_schema(), needs_all=False)
    if wrong:
        raise Refused("bad-board", f"{where}: {wrong[0][1]}")
    audio, ui, limits = fields.get("audio", {}), fields.get("ui", {}), fields.get("limits", {})
    known = load_schema()["properties"]["limits"]["properties"]
    return Board(
        name=fields.get("name", "board"),
        rate=audio.get("rate"),
        remote_tracks=limits.get("remote_tracks", 3),
        opus_complexity=limits.get("opus_complexity"),
        has_led=ui.get("led", True) is not None,
        has_button=ui.get("talk", True) is not None,
        room_options={"remote_tracks": 3, **{known[name]["x-config"]: value for name, value in limits.items()
                                             if "x-config" in known[name]}},
    )


def load_schema():
    with open(SCHEMA, encoding="utf-8") as file:
        return json.load(file)


def _without_repeats(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} stands there twice")
    return fields
