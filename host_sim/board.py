"""Board files: what a device has, as JSON. The simulator takes from one what concerns a laptop too.

    {"name": "s3_box3", "audio": {"rate": 16000}, "limits": {"remote_tracks": 2, "opus_complexity": 3},
     "ui": {"talk": 0, "led": null}}

Pins and parts of a real board may stand in the same file. A name that is not known is an error, not ignored: a
mistyped limit would otherwise be no limit.
"""

import json

from linnet.errors import Refused

from .audio import RATES

MAX_FILE = 65536  # bytes
MAX_REMOTE_TRACKS = 8  # LINNET_TRACKS_MAX

# section -> {name: kind}; a kind is a type, or (lowest, highest) of an integer. Sections of pins and parts are free.
_TOP = {"name": str, "family": str, "mcu": str, "psram_kib": (0, 1 << 24), "flash_kib": (0, 1 << 24),
        "audio": dict, "ui": dict, "limits": dict, "hil": dict}
_LIMITS = {"remote_tracks": (1, MAX_REMOTE_TRACKS), "jitter_packets": (4, 1024), "opus_complexity": (0, 10),
           "heap_kib": (16, 1 << 20)}
_FREE = ("audio", "ui", "hil")


class Board:
    """What the simulator uses of a board. `rate` is None for a machine without a file: the WAV decides."""

    def __init__(self, name="laptop", rate=None, remote_tracks=3, opus_complexity=None, has_led=True,
                 has_button=True):
        self.name = name
        self.rate = rate
        self.remote_tracks = remote_tracks
        self.opus_complexity = opus_complexity
        self.has_led = has_led
        self.has_button = has_button


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
    _check(fields, _TOP, where, "")
    limits = fields.get("limits", {})
    _check(limits, _LIMITS, where, "limits.")
    for section in _FREE:
        for name, value in fields.get(section, {}).items():
            if value is not None and not isinstance(value, (bool, int, str)):
                raise Refused("bad-board", f"{where}: {section}.{name} must be a pin, a name or null")
    audio, ui = fields.get("audio", {}), fields.get("ui", {})
    rate = audio.get("rate")
    if "audio" in fields and (not isinstance(rate, int) or rate not in RATES):
        known = ", ".join(str(each) for each in RATES)
        raise Refused("bad-board", f"{where}: audio.rate must be one of {known}, not {rate!r}")
    return Board(
        name=fields.get("name", "board"),
        rate=rate,
        remote_tracks=limits.get("remote_tracks", 3),
        opus_complexity=limits.get("opus_complexity"),
        has_led=ui.get("led", True) is not None,
        has_button=ui.get("talk", True) is not None,
    )


def _check(fields, kinds, where, prefix):
    for name, value in fields.items():
        kind = kinds.get(name)
        if kind is None:
            known = ", ".join(kinds)
            raise Refused("bad-board", f"{where}: there is no {prefix}{name}; known are {known}")
        if isinstance(kind, tuple):
            low, high = kind
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise Refused("bad-board", f"{where}: {prefix}{name} must be a whole number from {low} to {high},"
                                           f" not {json.dumps(value)[:40]}")
        elif not isinstance(value, kind):
            noun = {str: "text", dict: "an object"}[kind]
            raise Refused("bad-board", f"{where}: {prefix}{name} must be {noun}, not {json.dumps(value)[:40]}")


def _without_repeats(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} stands there twice")
    return fields
