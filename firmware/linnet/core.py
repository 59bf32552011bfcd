# The native core as Python objects: the only importer of `_linnet`. Its numbers
# are in core_numbers.py and its records in core_records.py; both are here too.
#
# Session is the core alone: who steps it (driver.py) keeps its law, one input,
# then poll() until IDLE. Loop is a session inside the native media loop, which
# steps it, owns its sockets and its sound, and keeps events for us.
# ruff: noqa: F403, F405 (every number of the border is core's too)

import struct

import _linnet as native

from .compat import const
from .core_numbers import *
from .core_records import (  # noqa: F401
    LOOP_STATS,
    SESSION_STATS,
    TRACK_STATS,
    CoreError,
    addr,
    body_len,
    config,
    loop_config,
    put_addr,
    put_str,
    read_addr,
    read_event,
)

_HEAD = const(4)

HAS_LOOP = hasattr(native, "loop_open")  # not on a port without threads


class _Commands:
    """What can be asked of a session, however it is stepped: everything goes through
    input(now, kind, data) and _read_stats(which, words) of whoever inherits this."""

    def _must(self, now, kind, data, what):
        result = self.input(now, kind, data)
        if result < 0:
            raise CoreError(result, what)
        return result

    def add_local_candidate(self, now, ip, port):
        self._must(now, IN_LOCAL_CANDIDATE, addr(ip, port), "local candidate")

    def set_remote(
        self,
        now,
        ufrag,
        pwd,
        fingerprint,
        dtls_server,
        controlling=True,
        lite=False,
        max_message=0,
    ):
        """What the peer's description said; `dtls_server` and `controlling` are our own roles,
        `max_message` the bytes of the largest message that the peer takes (0: 65536)."""
        head = bytes((1 if controlling else 0, 1 if lite else 0, 1 if dtls_server else 0, 0))
        record = head + bytes(fingerprint) + put_str(ufrag) + put_str(pwd)
        record += struct.pack("<I", max_message)
        self._must(now, IN_REMOTE, record, "remote description")

    def add_remote_candidate(self, now, ip, port, priority, kind=0):
        """A remote candidate. False if the core has no room for it or does not want it."""
        record = bytes(addr(ip, port)) + struct.pack("<IB", priority, kind)
        return self.input(now, IN_REMOTE_CANDIDATE, record) >= 0

    def ice_restart(self, now):
        self._must(now, IN_ICE_RESTART, b"", "ICE restart")

    def publish(self, now, ssrc, payload_type, audio_level_id=0, mid_id=0, mid=""):
        record = struct.pack("<IBBBB", ssrc, payload_type, audio_level_id, mid_id, 0) + put_str(mid)
        self._must(now, IN_PUBLISH, record, "publish")

    def unpublish(self, now):
        self._must(now, IN_PUBLISH, struct.pack("<IBBBB", 0, 0, 0, 0, 0) + put_str(""), "unpublish")

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
        return self._must(now, IN_CHANNEL, record + put_str(label), "data channel")

    def send_data(self, now, handle, data, is_string=False):
        """Queue one message. 0, or ERR_AGAIN (no room now), ERR_LIMIT (too large), ERR_CLOSED."""
        head = struct.pack("<HBB", handle, 1 if is_string else 0, 0)
        return self.input(now, IN_DATA, head + bytes(data))

    def close_channel(self, now, handle):
        return self.input(now, IN_CLOSE_CHANNEL, struct.pack("<H", handle))

    def close(self, now):
        return self.input(now, IN_CLOSE, b"")

    def set_volume(self, now, gain):
        """Gain of the speaker mix, Q12: 4096 is unity."""
        self._must(now, IN_VOLUME, struct.pack("<H", gain), "volume")

    # --- outputs ---

    def body_len(self):
        return body_len(self.out)

    def event(self, kind):
        """The last output as a tuple, by kind (DATAGRAM and IDLE are read in place).

        LOCAL (fingerprint, ufrag, pwd) - STATE (layer, state, detail) - SELECTED (ip, port,
        rtt_us) - CHANNEL (handle, is_open, id, label) - DATA (handle, is_string, message) -
        FIRST_SENT, BYE (ssrc,) - FIRST_HEARD (slot, ssrc) - SENDABLE (handle,)"""
        return read_event(kind, self.body, body_len(self.out))

    # --- counters ---

    def stats(self):
        return self._stats(-1, SESSION_STATS)

    def track_stats(self, slot):
        return self._stats(slot, TRACK_STATS)

    def _stats(self, which, names):
        words = bytearray(8 * len(names))
        n = self._read_stats(which, words)
        if n < 0:
            raise CoreError(n, "stats")
        return dict(zip(names, struct.unpack("<%dQ" % len(names), words)))


class Session(_Commands):
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

    def input(self, now, kind, data=b""):
        """One input, to be followed by a drain; the core's result, negative for an error.
        hot: no allocation"""
        return native.input(self._s, now, kind, data)

    def poll(self):
        """The kind of the next output; its bytes are in self.body[:self.body_len()].
        hot: no allocation"""
        kind = native.poll(self._s, self.out)
        if kind < 0:
            raise CoreError(kind, "poll")
        return kind

    def deadline(self):
        """After IDLE: when to call again, in ticks_us."""
        out = self.out
        return out[4] | out[5] << 8 | out[6] << 16 | out[7] << 24

    def pcm_push(self, pcm):
        """Samples of the microphone (bytes-like, int16); samples taken. hot: no allocation"""
        return native.pcm_push(self._s, pcm)

    def pcm_pull(self, pcm):
        """Fill `pcm` for the speaker; the number of tracks that sounded. hot: no allocation"""
        return native.pcm_pull(self._s, pcm)

    def _read_stats(self, which, words):
        return native.stats(self._s, which, words)

    def wipe(self):
        """Zero keys and everything else; the session cannot be used afterwards."""
        if self._s is not None:
            native.session_wipe(self._s)
            self._s = None


class Loop(_Commands):
    """A session in the native media loop (csrc/port/loop.h): the same commands, whose `now` is
    the loop's own, and no sound or datagram in sight.

    `sound`, `speaker_sound`: LOOP_SILENT, LOOP_PACED, LOOP_FREE or LOOP_DEVICE; `mic_ms` and
    `speaker_ms` of rings, `ahead_ms` of sound kept for the speaker, `dead_ms` without a poll()
    after which the loop leaves the call by itself, `event_bytes` of the event ring."""

    def __init__(
        self,
        entropy,
        sound=LOOP_SILENT,
        speaker_sound=None,
        mic_ms=0,
        speaker_ms=0,
        ahead_ms=0,
        dead_ms=0,
        event_bytes=0,
        **options
    ):
        if not HAS_LOOP:
            raise CoreError(ERR_STATE, "there is no native media loop on this machine")
        if speaker_sound is None:
            speaker_sound = sound
        cfg = config(**options)
        record = loop_config(sound, speaker_sound, mic_ms, speaker_ms, ahead_ms, dead_ms, event_bytes)
        self._handle = native.loop_open(cfg, entropy, record)
        if self._handle < 0:
            raise CoreError(self._handle, "media loop")
        self.out = bytearray(native.loop_event_size(self._handle))
        self.view = memoryview(self.out)
        self.body = self.view[_HEAD:]
        self.memory_size = native.session_size(cfg)

    def _check(self, result, what):
        if result < 0:
            raise CoreError(result, what)
        return result

    @property
    def handle(self):
        """Which loop this is to C: for a sound card whose driver calls C."""
        return self._handle

    def bind(self, family):
        """Open the datagram socket of a family, 4 or 6; its port."""
        return self._check(native.loop_bind(self._handle, family), "datagram socket")

    def start(self):
        """Start the thread. The events of what was asked before can be polled at once."""
        self._check(native.loop_start(self._handle), "media loop")

    def input(self, _now, kind, data=b""):
        """One input; the core's result, negative for an error."""
        return native.loop_input(self._handle, kind, data)

    def poll(self):
        """The kind of the next event, IDLE when there is none. hot: no allocation"""
        kind = native.loop_event(self._handle, self.out)
        if kind < 0:
            raise CoreError(kind, "event")
        return kind

    def wake_source(self):
        """What Net.wake_wait() waits for: a file descriptor, or MicroPython's stream."""
        stream = getattr(native, "WakeStream", None)
        if stream is not None:
            return stream(self._handle)
        return self._check(native.loop_wake_fd(self._handle), "wake descriptor")

    def sound_start(self):
        """Open the device, or start the clock of the rings. The core's result."""
        return native.loop_sound_start(self._handle)

    def sound_stop(self):
        return native.loop_sound_stop(self._handle)

    def mic(self, pcm):
        """Put samples (bytes-like, int16) into the microphone ring; samples taken.
        hot: no allocation"""
        return native.loop_mic(self._handle, pcm)

    def speaker(self, pcm):
        """Samples of the speaker ring into `pcm`; samples given. hot: no allocation"""
        return native.loop_speaker(self._handle, pcm)

    def loop_stats(self):
        """The loop's own counters (LOOP_STATS)."""
        return self._stats(-2, LOOP_STATS)

    def _read_stats(self, which, words):
        return native.loop_stats(self._handle, which, words)

    def wipe(self):
        """Say goodbye, end the thread, zero keys and everything else. May be called twice."""
        if self._handle is not None:
            native.loop_close(self._handle)
            self._handle = None
