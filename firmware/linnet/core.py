# The native core as Python objects: the only importer of `_linnet`, and the
# only place that knows the little-endian records of csrc/include/linnet.h.
#
# The law of the core is kept by who steps it (driver.py): one input, then
# poll() until IDLE.

import struct

import _linnet as native

from .compat import const

# linnet_in
IN_TIME = const(0)
IN_DATAGRAM = const(1)
IN_LOCAL_CANDIDATE = const(2)
IN_REMOTE = const(3)
IN_REMOTE_CANDIDATE = const(4)
IN_ICE_RESTART = const(5)
IN_PUBLISH = const(6)
IN_MUTE = const(7)
IN_TRACK = const(8)
IN_CHANNEL = const(9)
IN_DATA = const(10)
IN_CLOSE_CHANNEL = const(11)
IN_CLOSE = const(12)
IN_VOLUME = const(13)

# linnet_out
IDLE = const(0)
DATAGRAM = const(1)
LOCAL = const(2)
STATE = const(3)
SELECTED = const(4)
CHANNEL = const(5)
DATA = const(6)
FIRST_SENT = const(7)
FIRST_HEARD = const(8)
BYE = const(9)
SENDABLE = const(10)

# linnet_layer and linnet_state
ICE = const(0)
DTLS = const(1)
SCTP = const(2)
NEW = const(0)
CONNECTING = const(1)
CONNECTED = const(2)
DISCONNECTED = const(3)
FAILED = const(4)
CLOSED = const(5)

LAYER_NAMES = ("ICE", "DTLS", "SCTP")
STATE_NAMES = ("new", "connecting", "connected", "disconnected", "failed", "closed")

# linnet_error
ERR_ARG = const(-1)
ERR_PACKET = const(-2)
ERR_SPACE = const(-3)
ERR_STATE = const(-4)
ERR_AGAIN = const(-5)
ERR_CRYPTO = const(-6)
ERR_CLOSED = const(-7)
ERR_LIMIT = const(-8)
ERR_AUTH = const(-9)

# Flags of the configuration record.
DTX = const(1)
FEC = const(2)
ICE_LITE = const(4)
PREFER_GCM = const(8)

_ADDR = const(20)
_HEAD = const(4)

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


def _str(data):
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


class Session:
    """One peer connection's core. `entropy` is at least 32 unpredictable bytes.

    Making one takes tens of milliseconds (key and certificate): do it ahead of the join."""

    def __init__(self, entropy, **options):
        cfg = config(**options)
        size = native.session_size(cfg)
        if size < 0:
            raise CoreError(size, "session options")
        self._mem = bytearray(size)
        made = native.session_init(self._mem, cfg, entropy)
        if isinstance(made, int) and made < 0:
            raise CoreError(made, "session_init")
        self._s = made
        self.out = bytearray(native.poll_size(self._s))
        self.view = memoryview(self.out)
        self.body = self.view[_HEAD:]
        self.memory_size = size

    # --- inputs: each is followed by a drain ---

    def input(self, now, kind, data=b""):
        """One input; the core's result, negative for an error. hot: no allocation"""
        return native.input(self._s, now, kind, data)

    def _must(self, now, kind, data, what):
        result = native.input(self._s, now, kind, data)
        if result < 0:
            raise CoreError(result, what)
        return result

    def add_local_candidate(self, now, ip, port):
        self._must(now, IN_LOCAL_CANDIDATE, addr(ip, port), "local candidate")

    def set_remote(self, now, ufrag, pwd, fingerprint, dtls_server, controlling=True, lite=False):
        """What the peer's description said; `dtls_server` and `controlling` are our own roles."""
        head = bytes((1 if controlling else 0, 1 if lite else 0, 1 if dtls_server else 0, 0))
        record = head + bytes(fingerprint) + _str(ufrag) + _str(pwd)
        self._must(now, IN_REMOTE, record, "remote description")

    def add_remote_candidate(self, now, ip, port, priority, kind=0):
        """A remote candidate. False if the core has no room for it or does not want it."""
        record = bytes(addr(ip, port)) + struct.pack("<IB", priority, kind)
        return native.input(self._s, now, IN_REMOTE_CANDIDATE, record) >= 0

    def ice_restart(self, now):
        self._must(now, IN_ICE_RESTART, b"", "ICE restart")

    def publish(self, now, ssrc, payload_type, audio_level_id=0, mid_id=0, mid=""):
        record = struct.pack("<IBBBB", ssrc, payload_type, audio_level_id, mid_id, 0) + _str(mid)
        self._must(now, IN_PUBLISH, record, "publish")

    def unpublish(self, now):
        self._must(now, IN_PUBLISH, struct.pack("<IBBBB", 0, 0, 0, 0, 0) + _str(""), "unpublish")

    def mute(self, now, muted):
        self._must(now, IN_MUTE, bytes((1 if muted else 0,)), "mute")

    def set_track(self, now, slot, ssrc, payload_type=111, gain=4096):
        """Play the source `ssrc` through `slot`; ssrc 0 frees the slot. gain is Q12."""
        self._must(now, IN_TRACK, struct.pack("<BBHI", slot, payload_type, gain, ssrc), "track")

    def open_channel(self, now, label, unordered=False, max_retransmits=None, negotiated_id=None):
        """The handle of a new data channel; pre-negotiated if `negotiated_id` is given."""
        record = struct.pack(
            "<BBHH",
            1 if unordered else 0,
            0 if negotiated_id is None else 1,
            negotiated_id or 0,
            65535 if max_retransmits is None else max_retransmits,
        )
        return self._must(now, IN_CHANNEL, record + _str(label), "data channel")

    def send_data(self, now, handle, data, is_string=False):
        """Queue one message. 0, or ERR_AGAIN (no room now), ERR_LIMIT (too large), ERR_CLOSED."""
        head = struct.pack("<HBB", handle, 1 if is_string else 0, 0)
        return native.input(self._s, now, IN_DATA, head + bytes(data))

    def close_channel(self, now, handle):
        return native.input(self._s, now, IN_CLOSE_CHANNEL, struct.pack("<H", handle))

    def close(self, now):
        return native.input(self._s, now, IN_CLOSE, b"")

    def set_volume(self, now, gain):
        """Gain of the speaker mix, Q12: 4096 is unity."""
        self._must(now, IN_VOLUME, struct.pack("<H", gain), "volume")

    # --- outputs ---

    def poll(self):
        """The kind of the next output; its bytes are in self.body[:self.body_len()].
        hot: no allocation"""
        kind = native.poll(self._s, self.out)
        if kind < 0:
            raise CoreError(kind, "poll")
        return kind

    def body_len(self):
        out = self.out
        return out[0] | out[1] << 8 | out[2] << 16 | out[3] << 24

    def deadline(self):
        """After IDLE: when to call again, in ticks_us."""
        out = self.out
        return out[4] | out[5] << 8 | out[6] << 16 | out[7] << 24

    def event(self, kind):
        """The last output as a tuple, by kind (DATAGRAM and IDLE are read in place).

        LOCAL (fingerprint, ufrag, pwd) - STATE (layer, state, detail) - SELECTED (ip, port,
        rtt_us) - CHANNEL (handle, is_open, id, label) - DATA (handle, is_string, message) -
        FIRST_SENT, BYE (ssrc,) - FIRST_HEARD (slot, ssrc) - SENDABLE (handle,)"""
        b = self.body
        if kind == DATA:
            return b[0] | b[1] << 8, b[2] != 0, bytes(b[4 : self.body_len()])
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

    # --- sound ---

    def pcm_push(self, pcm):
        """Samples of the microphone (bytes-like, int16); samples taken. hot: no allocation"""
        return native.pcm_push(self._s, pcm)

    def pcm_pull(self, pcm):
        """Fill `pcm` for the speaker; the number of tracks that sounded. hot: no allocation"""
        return native.pcm_pull(self._s, pcm)

    # --- the rest ---

    def stats(self):
        return self._stats(-1, SESSION_STATS)

    def track_stats(self, slot):
        return self._stats(slot, TRACK_STATS)

    def _stats(self, which, names):
        words = bytearray(8 * len(names))
        n = native.stats(self._s, which, words)
        if n < 0:
            raise CoreError(n, "stats")
        return dict(zip(names, struct.unpack("<%dQ" % len(names), words)))

    def wipe(self):
        """Zero keys and everything else; the session cannot be used afterwards."""
        if self._s is not None:
            native.session_wipe(self._s)
            self._s = None
