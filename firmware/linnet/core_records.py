# The little-endian records of csrc/include/linnet.h and csrc/port/loop.h: what
# goes in as bytes and what comes out as tuples. core.py has the names that
# others use.

import struct

from .compat import const
from .core_numbers import (
    CHANNEL,
    DATA,
    ERR_ARG,
    FIRST_HEARD,
    LOCAL,
    SELECTED,
    SENDABLE,
    STATE,
)

_ADDR = const(20)

# The configuration words, in the order of linnet.h; 0 is the default.
_CONFIG = (
    "rate",
    "remote_tracks",
    "frame_ms",
    "bitrate",
    "complexity",
    "flags",
    "playout_delay_ms",
    "max_message",
    "send_buffer",
    "recv_buffer",
    "expected_loss",
)

# Names of the u64 words that linnet_stats() writes, in order.
SESSION_STATS = (
    "datagrams_received",
    "bytes_received",
    "datagrams_sent",
    "bytes_sent",
    "dropped_unknown",
    "dropped_source",
    "dropped_stun",
    "dropped_dtls",
    "dropped_srtp_auth",
    "dropped_srtp_replay",
    "dropped_rtp",
    "dropped_rtp_unmapped",
    "dropped_rtcp",
    "dropped_sctp",
    "dropped_data",
    "rtp_sent",
    "rtp_received",
    "rtcp_sent",
    "rtcp_received",
    "nacks_received",
    "retransmitted",
    "rtt_us",
    "remote_fraction_lost",
    "remote_packets_lost",
    "data_sent",
    "data_received",
    "sctp_buffered",
    "sctp_retransmitted",
    "microphone_level",
    "microphone_samples",
    "speaker_samples",
    "arena_high_water",
    "events_lost",
)
TRACK_STATS = (
    "ssrc",
    "packets_received",
    "packets_lost",
    "packets_late",
    "packets_duplicate",
    "packets_overflow",
    "frames_concealed",
    "frames_played",
    "samples_played",
    "level",
    "jitter_us",
    "delay_ms",
)
# Which = -2 of linnet_loop_stats(): the media loop's own.
LOOP_STATS = (
    "turns",
    "turns_late",
    "worst_late_us",
    "microphone_lost",
    "microphone_starved",
    "speaker_lost",
    "speaker_starved",
    "datagrams_unsent",
    "datagrams_cut",
    "events",
    "events_held",
    "events_dropped",
    "wakes",
    "steps",
    "cpu_us",
    "is_realtime",
    "is_over",
    "microphone_waiting",
    "speaker_waiting",
    "datagrams_overtaken",  # in the socket when sound was moved, and taken after it (Linux tells)
)


class CoreError(Exception):
    """The native core refused a call; `code` is one of the ERR_ constants."""

    def __init__(self, code, what):
        super().__init__("%s: core error %d" % (what, code))
        self.code = code


def addr(ip, port, socket=0):
    """The 20-byte border form of a packed IP address (4 or 16 bytes) and a port."""
    record = bytearray(_ADDR)
    put_addr(record, ip, port, socket)
    return record


def put_addr(record, ip, port, socket=0):
    """Write an address into the first 20 bytes of `record`. hot: no allocation"""
    n = len(ip)
    record[0] = 4 if n == 4 else 6
    record[1] = socket
    record[2] = port & 255
    record[3] = port >> 8
    i = 0
    while i < 16:
        record[4 + i] = ip[i] if i < n else 0
        i += 1


def read_addr(record):
    """(packed_ip, port) of the border form."""
    n = 4 if record[0] == 4 else 16
    return bytes(record[4 : 4 + n]), record[2] | record[3] << 8


def put_str(data):
    if isinstance(data, str):
        data = data.encode()
    if len(data) > 255:
        raise CoreError(ERR_ARG, "text over 255 bytes")
    return bytes((len(data),)) + bytes(data)


def _read_str(body, at):
    n = body[at]
    return bytes(body[at + 1 : at + 1 + n]).decode(), at + 1 + n


def config(**options):
    """The configuration record; names and units as in linnet.h, `complexity` 0 to 10.

    Raises ValueError for a name that does not exist."""
    words = [0] * len(_CONFIG)
    for name, value in options.items():
        if name not in _CONFIG:
            raise ValueError("no such core option: %s" % name)
        if value is not None:
            words[_CONFIG.index(name)] = value + 1 if name == "complexity" else value
    return struct.pack("<%dI" % len(words), *words)


def loop_config(sound, speaker_sound, mic_ms, speaker_ms, ahead_ms, dead_ms, event_bytes):
    """The record of linnet_loop_open; 0 is the default of each but the sounds."""
    return struct.pack(
        "<7I", sound, mic_ms, speaker_ms, ahead_ms, dead_ms, event_bytes, speaker_sound + 1
    )


def body_len(out):
    """Length of the body in an output of linnet_poll. hot: no allocation"""
    return out[0] | out[1] << 8 | out[2] << 16 | out[3] << 24


def read_event(kind, b, length):
    """The body `b` of an output as a tuple, by kind; Session.event() says which."""
    if kind == DATA:
        return b[0] | b[1] << 8, b[2] != 0, bytes(b[4:length])
    if kind == STATE:
        return struct.unpack_from("<BBh", b, 0)
    if kind == LOCAL:
        ufrag, at = _read_str(b, 32)
        return bytes(b[0:32]), ufrag, _read_str(b, at)[0]
    if kind == CHANNEL:
        handle, is_open, _, number = struct.unpack_from("<HBBH", b, 0)
        return handle, is_open != 0, number, _read_str(b, 6)[0]
    if kind == SELECTED:
        ip, port = read_addr(b)
        return ip, port, struct.unpack_from("<I", b, _ADDR)[0]
    if kind == FIRST_HEARD:
        return struct.unpack_from("<B3xI", b, 0)
    if kind == SENDABLE:
        return struct.unpack_from("<H", b, 0)
    return struct.unpack_from("<I", b, 0)
