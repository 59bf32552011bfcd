# What a run uses of a board: from a JSON file (--board), or from the board.py that
# boards/gen.py made and the firmware holds. The whole file is checked by boards/gen.py and
# on a laptop; here only what is used, with the same words.

import json

from linnet.compat import json_loads
from linnet.errors import Refused
from os_error import reason
from wav import RATES

# Those that boards/schema.json knows (a test compares), and the two that count here.
LIMITS = (
    "remote_tracks",
    "jitter_packets",
    "opus_packet_bytes",
    "jitter_bytes",
    "packet_ms",
    "rtx_packets",
    "rtx_bytes",
    "datagram_bytes",
    "dtls_queue",
    "tls_arena_bytes",
    "ice_remote_candidates",
    "ice_pairs",
    "opus_complexity",
    "bitrate",
    "playout_delay_ms",
    "message_bytes",
    "send_bytes",
    "recv_bytes",
    "heap_kib",
)
_USED = {"remote_tracks": (1, 8), "opus_complexity": (0, 10)}
# Limits that a session takes when it is made, by their names in RoomOptions.
ROOM_OPTIONS = {
    "remote_tracks": "remote_tracks",
    "opus_complexity": "complexity",
    "bitrate": "bitrate",
    "playout_delay_ms": "playout_delay_ms",
    "message_bytes": "max_message",
    "send_bytes": "send_buffer",
    "recv_bytes": "recv_buffer",
}


class Board:
    """`rate` is None for a machine without a file: the WAV decides. `talk` and `led` are pins of a
    machine of that `family`. A board's frozen board.py has the same names and more."""

    def __init__(self, name, rate=None, remote_tracks=3, opus_complexity=None, has_led=True,
                 has_button=True, room_options=None, family=None, talk=None, led=None, led_kind="plain"):
        self.name = name
        self.rate = rate
        self.remote_tracks = remote_tracks
        self.opus_complexity = opus_complexity
        self.has_led = has_led
        self.has_button = has_button
        self.room_options = room_options or {"remote_tracks": remote_tracks}
        self.family = family
        self.talk = talk
        self.led = led
        self.led_kind = led_kind


def load_board(path):
    """The Board of a JSON file. Raises Refused("file-missing") or Refused("bad-board")."""
    try:
        with open(path, "rb") as file:
            try:
                fields = json_loads(file.read().decode())
            except ValueError:
                raise Refused("bad-board", "%s is no JSON: something is wrong in line %d" % (path, _wrong_line(file)))
    except OSError as error:
        raise Refused("file-missing", "the board file %s cannot be read: %s" % (path, reason(error)))
    try:
        return read_board(fields)
    except ValueError as error:
        raise Refused("bad-board", "%s: %s" % (path, error))


def _wrong_line(file):
    """MicroPython reads a stream byte by byte, up to the one that is wrong."""
    file.seek(0)
    try:
        json.load(file)
    except ValueError:
        pass
    at = file.tell()
    file.seek(0)
    return file.read(at).rstrip().count(b"\n") + 1


def read_board(fields):
    """The Board that a decoded file describes; ValueError with the place of what is wrong."""
    if not isinstance(fields, dict):
        raise ValueError("the board must be an object")
    audio, ui, limits = _section(fields, "audio"), _section(fields, "ui"), _section(fields, "limits")
    if "audio" in fields and audio.get("rate") not in RATES:
        known = ", ".join([str(rate) for rate in RATES])
        raise ValueError("audio.rate must be one of %s" % known)
    for name in limits:
        if name not in LIMITS:
            known = ", ".join(["limits." + one for one in LIMITS])
            raise ValueError("there is no limits.%s; known are %s" % (name, known))
    for name, (low, high) in _USED.items():
        value = limits.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError("limits.%s must be a whole number from %d to %d" % (name, low, high))
    chosen = {"remote_tracks": 3}
    for name, option in ROOM_OPTIONS.items():
        if name in limits:
            if isinstance(limits[name], bool) or not isinstance(limits[name], int):
                raise ValueError("limits.%s must be a whole number" % name)
            chosen[option] = limits[name]
    return Board(
        name=fields.get("name", "board"),
        rate=audio.get("rate"),
        remote_tracks=limits.get("remote_tracks", 3),
        opus_complexity=limits.get("opus_complexity"),
        has_led=ui.get("led", True) is not None,
        has_button=ui.get("talk", True) is not None,
        room_options=chosen,
        family=fields.get("family"),
        talk=ui.get("talk"),
        led=ui.get("led"),
        led_kind=ui.get("led_kind", "plain"),
    )


def _section(fields, name):
    section = fields.get(name, {})
    if not isinstance(section, dict):
        raise ValueError("%s must be an object" % name)
    return section
