"""Board files on a laptop: all of one is held against boards/schema.json, here as in boards/gen.py, only that nothing
is required here. What it then means is firmware/board_file.py's.

    {"name": "s3_box3", "audio": {"rate": 16000}, "limits": {"remote_tracks": 2, "opus_complexity": 3},
     "ui": {"talk": 0, "led": null}}
"""

import json
import os

import board_file
from board_file import Board  # noqa: F401  (what read_board() gives)
from linnet.errors import Refused

from .schema_check import findings

MAX_FILE = 65536  # bytes
SCHEMA = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "boards", "schema.json")


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
    """The Board that a decoded board file describes. A name that is not known is an error, not ignored: a mistyped
    limit would otherwise be no limit."""
    if not isinstance(fields, dict):
        raise Refused("bad-board", f"{where} holds no JSON object")
    wrong = findings(fields, load_schema(), needs_all=False)
    if wrong:
        raise Refused("bad-board", f"{where}: {wrong[0][1]}")
    return board_file.read_board(fields)


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
