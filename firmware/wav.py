# WAV files as a machine's microphone and speaker, for the native media loop and for the
# Python driver. The file is read and written as it is spoken and heard, not kept in memory.

import os
import struct

from linnet.compat import const, ticks_diff, ticks_us
from linnet.core_numbers import LOOP_PACED
from linnet.errors import Refused
from os_error import reason

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
LOOP_RING_MS = const(600)  # between a file and the media loop, for a Python that stands still
_AHEAD_MS = const(700)  # read and not heard yet: the ring, and what the loop's Python side holds
_RING_MS = const(60)  # between the Python driver and a file
_HEAD = const(44)
_FORMAT = const(40)  # bytes of the longest description of a format
_MOST = 0xFFFFFFFF - 36 - 1  # bytes of sound, whole samples


class WavReader:
    """The samples of a 16-bit PCM WAV, mono; two channels are averaged. Raises
    Refused("wav-format") or Refused("file-missing")."""

    def __init__(self, path):
        self.path = path
        self.trouble = ""  # why it was not read to its end
        self._file = None
        try:
            self._file = open(path, "rb")
            self._find_sound()
        except OSError as error:
            self.close()
            raise Refused("file-missing", "%s cannot be read: %s" % (path, reason(error)))
        except Refused:
            self.close()
            raise

    def _bad(self, said):
        return Refused("wav-format", "%s %s" % (self.path, said))

    def _find_sound(self):
        head = self._file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise self._bad("is no PCM WAV file: it does not begin with RIFF and WAVE")
        self._channels = 0
        while True:
            chunk = self._file.read(8)
            if len(chunk) < 8:
                raise self._bad("is no PCM WAV file: it ends too early")
            n = struct.unpack("<I", chunk[4:])[0]
            if chunk[:4] == b"data":
                break
            left = n + (n & 1)
            if chunk[:4] == b"fmt ":
                record = self._file.read(min(n, _FORMAT))
                self._check_format(record)
                left -= len(record)
            self._skip(left)
        if not self._channels:
            raise self._bad("is no PCM WAV file: its format is missing")
        n = min(n, self._to_the_end())  # of a file that was cut short
        self._left = n - n % (2 * self._channels)
        if not self._left:
            raise self._bad("holds no sound")
        self._pair = bytearray(2048)

    def _check_format(self, record):
        if len(record) < 16:
            raise self._bad("is no PCM WAV file: it ends too early")
        kind, channels, self.rate, _, _, bits = struct.unpack("<HHIIHH", record[:16])
        # 0xFFFE: the same, described at length
        if kind != 1 and not (kind == 0xFFFE and record[24:26] == b"\x01\x00"):
            raise self._bad("is no PCM WAV file: its format is %d" % kind)
        if bits != 16:
            raise self._bad("has %d-bit samples, not 16-bit ones" % bits)
        if self.rate not in RATES:
            raise self._bad("has %d samples a second, which no device has" % self.rate)
        if channels not in (1, 2):
            raise self._bad("has %d channels, not one or two" % channels)
        self._channels = channels

    def _skip(self, n):
        # Read, not sought: it may be a pipe.
        while n > 0:
            got = len(self._file.read(min(n, 4096)))
            if not got:
                return
            n -= got

    def _to_the_end(self):
        try:
            at = self._file.seek(0, 1)
            end = self._file.seek(0, 2)
            self._file.seek(at)
        except OSError:
            return _MOST  # a pipe: its header must be believed
        return end - at

    def read_into(self, view):
        """The next samples into `view`; bytes written, less than all of it at the end. hot"""
        n = 0
        try:
            n = self._mono_into(view) if self._channels == 1 else self._mix_into(view)
        except OSError as error:
            self._left = 0
            self.trouble = "%s was not read to its end: %s" % (self.path, reason(error))
        if not self._left:
            self.close()
        return n

    def _mono_into(self, view):
        n = min(len(view), self._left)
        if n < len(view):
            view = memoryview(view)[:n]
        n = self._file.readinto(view) if n else 0
        self._left = self._left - n if n else 0
        return n - (n & 1)

    def _mix_into(self, view):
        at = 0
        pair = self._pair
        while at < len(view) and self._left:
            want = min(2 * (len(view) - at), self._left, len(pair))
            n = self._file.readinto(memoryview(pair)[:want])
            self._left -= n or self._left
            for i in range(0, n - 3, 4):
                left, right = struct.unpack_from("<hh", pair, i)
                struct.pack_into("<h", view, at, (left + right) >> 1)
                at += 2
        return at

    @property
    def is_over(self):
        return not self._left

    def close(self):
        if self._file is not None:
            self._file.close()


class WavWriter:
    """Writes a mono WAV. A full disk ends the recording, not the call: `trouble` says so.

    `reader`: a WavReader at work, whose file must not be overwritten."""

    def __init__(self, path, rate, reader=None):
        self.path = path
        self.trouble = ""
        self._rate = rate
        self._bytes = 0
        if reader is not None and is_same(reader.path, path):
            said = "%s cannot be written: it is the file that is spoken" % path
            raise Refused("file-missing", said, "Write to another file.")
        try:
            self._file = open(path, "wb", 0)
        except OSError as error:
            raise Refused("file-missing", "%s cannot be written: %s" % (path, reason(error)))
        try:
            self._write_header()
        except OSError as error:
            self._failed(error)

    def _write_header(self):
        self._file.write(b"RIFF" + struct.pack("<I", self._bytes + _HEAD - 8) + b"WAVEfmt " + struct.pack(
            "<IHHIIHH", 16, 1, 1, self._rate, 2 * self._rate, 2, 16
        ) + b"data" + struct.pack("<I", self._bytes))

    def write(self, pcm):
        """The next samples. What comes after close(), of a later call, follows in the same file."""
        if self.trouble:
            return
        if self._bytes + len(pcm) > _MOST:
            self.trouble = "%s is not complete: a WAV holds no more than 4 GiB" % self.path
            return
        try:
            if self._file is None:
                self._file = open(self.path, "r+b", 0)
                self._file.seek(_HEAD + self._bytes)
            n = self._file.write(pcm)
            self._bytes += n
        except OSError as error:
            self._failed(error)
            return
        if n < len(pcm):
            self.write(memoryview(pcm)[n:])  # which says why

    def close(self):
        if self._file is None:
            return
        try:
            self._file.seek(0)
            self._write_header()
        except OSError as error:
            self._failed(error)
        self._file.close()
        self._file = None

    def _failed(self, error):
        self.trouble = self.trouble or "%s is not complete: %s" % (self.path, reason(error))


def is_same(one, other):
    """Would a file written to one path be found at the other? A device takes whatever it is given."""
    one, other = _place(str(one)), _place(str(other))
    return one is not None and one == other


def _place(path):
    """What tells one file from another, also for a file that is not there yet; None for a device."""
    try:
        found = os.stat(path)
    except OSError:
        folder, slash, name = path.rpartition("/")
        try:
            found = os.stat(folder + slash or ".")
        except OSError:
            return path
        return (name,) + tuple(found[1:3]) if found[1] else path
    if found[0] & 0o170000 != 0o100000:
        return None
    return tuple(found[1:3]) if found[1] else path  # some file systems do not number their files


class WavAudio:
    """linnet.port.LoopAudio and Audio on files. Nothing is heard of the file before begin()."""

    loop_sound = loop_speaker_sound = LOOP_PACED
    loop_ring_ms = LOOP_RING_MS
    loop_ahead_ms = 0

    def __init__(self, rate, reader=None, writer=None):
        self.rate = rate
        self._reader = reader
        self._writer = writer
        self._waits = True
        self._ahead = 0  # samples read from the file and not heard yet
        self._silence = 0  # samples after the end of the file
        self._is_on = False
        self._zeros = b""
        self._last = self._clock = 0  # microseconds of sound since start(), for the Python driver
        self._captured = self._played = 0
        self.underruns = 0  # times that the Python driver was late

    def begin(self):
        self._waits = False

    @property
    def finished(self):
        """True once all of the file has been heard."""
        if self._reader is None:
            return True
        return self._reader.is_over and self._silence >= self._ahead

    @property
    def trouble(self):
        """Why the file written is not complete, or the one read was not read to its end."""
        return (self._writer.trouble if self._writer else "") or (self._reader.trouble if self._reader else "")

    # --- the native media loop ---

    def loop_start(self, loop):
        self._ahead = self.rate * _AHEAD_MS // 1000

    def loop_stop(self):
        self.stop()

    def ring_fill(self, buf):
        n = 0
        if not self._waits and self._reader is not None:
            n = self._reader.read_into(buf)
            self._silence += (len(buf) - n) // 2
        if n < len(buf):
            if len(self._zeros) < len(buf):
                self._zeros = bytes(len(buf))
            buf[n:] = self._zeros[: len(buf) - n] if n or len(self._zeros) > len(buf) else self._zeros

    def ring_heard(self, buf):
        if self._writer is not None:
            self._writer.write(buf)

    # --- the Python driver ---

    def start(self):
        self._is_on = True
        self._captured = self._played = self._clock = 0
        self._last = ticks_us()

    def stop(self):
        self._is_on = False
        if self._writer is not None:
            self._writer.close()

    def _due(self):
        now = ticks_us()
        self._clock += ticks_diff(now, self._last)
        self._last = now
        return self._clock * self.rate // 1000000

    def capture_into(self, buf):
        n = len(buf) // 2
        if not self._is_on or self._due() < self._captured + n:
            return 0
        self._captured += n
        self.ring_fill(buf)
        return n

    def play_room(self):
        if not self._is_on:
            return 0
        due = self._due()
        if due > self._played:  # what the device played meanwhile was silence, and is heard as such
            self.underruns += 1 if self._played else 0
            self.play(bytes(2 * (due - self._played)))
        return max(0, due + self.rate * _RING_MS // 1000 - self._played)

    def play(self, buf):
        self._played += len(buf) // 2
        self.ring_heard(buf)
        return len(buf) // 2
