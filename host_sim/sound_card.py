"""The machine's microphone and speaker through PortAudio (`sounddevice`).

In a call of the native media loop PortAudio calls C (csrc/bind/portaudio.h), so that no interpreter stands between
the card and the rings. For the Python driver it calls Python, and short queues stand in between.
"""

import collections
import contextlib
import os
import sys
import threading
import types

from linnet.core_numbers import LOOP_FREE, LOOP_SILENT
from linnet.errors import Refused

QUEUE_MS = 60  # between the Python driver and the card, each way
BLOCK_MS = 10
AHEAD_MS = 40  # a card may take 30 ms at once, whatever it was asked for: 1024 samples at 48 kHz are 21
LATENCY_S = 0.03  # three blocks ahead: PortAudio then asks ALSA for four periods of one block


class DeviceAudio:
    """Either of the two may be left out. Raises Refused("no-audio-device") at start()."""

    def __init__(self, rate, microphone=True, speaker=True):
        self.rate = rate
        self._wants = (microphone, speaker)
        self._streams = []
        self._counts = types.SimpleNamespace(overruns=0, underruns=0)
        self._lock = threading.Lock()
        self._heard = collections.deque()
        self._heard_bytes = 0
        self._to_play = bytearray()
        self._queue = rate * QUEUE_MS // 1000
        self.loop_sound = LOOP_FREE if microphone else LOOP_SILENT
        self.loop_speaker_sound = LOOP_FREE if speaker else LOOP_SILENT
        self.loop_ring_ms = 0
        self.loop_ahead_ms = AHEAD_MS
        self.finished = False
        self.trouble = ""

    @property
    def overruns(self):
        """Times that sound of the microphone was lost before it got here."""
        return self._counts.overruns

    @property
    def underruns(self):
        """Times that the speaker had nothing to play."""
        return self._counts.underruns

    def begin(self):
        pass

    def _options(self):
        return {"samplerate": self.rate, "channels": 1, "dtype": "int16"}

    def check(self):
        """Raise what start() would, before a room is joined."""
        with _quiet():
            sounddevice = _import_sounddevice()
            try:
                if self._wants[0]:
                    sounddevice.check_input_settings(**self._options())
                if self._wants[1]:
                    sounddevice.check_output_settings(**self._options())
            except (sounddevice.PortAudioError, ValueError) as error:
                raise _no_device(error, self._wants) from None

    def _open(self, hear, speak, **how):
        options = dict(self._options(), blocksize=self.rate * BLOCK_MS // 1000, latency=LATENCY_S, **how)
        with _quiet():
            sounddevice = _import_sounddevice()
            try:
                for kind, is_wanted, callback in zip(("input", "output"), self._wants, (hear, speak), strict=True):
                    if is_wanted:  # the base class, which takes a callback in C too
                        self._streams.append(sounddevice._StreamBase(kind, callback=callback, **options))
                for stream in self._streams:
                    stream.start()
            except (sounddevice.PortAudioError, ValueError) as error:
                self.stop()
                raise _no_device(error, self._wants) from None

    def stop(self):
        for stream in self._streams:
            stream.close()
        self._streams = []

    # --- the native media loop ---

    def loop_start(self, loop):
        from . import native

        # C's until the streams are closed.
        self._counts = native.ffi.new("linnet_portaudio_t *", {"loop": loop.handle})
        callback = native.ffi.addressof(native.lib, "linnet_portaudio_callback")
        self._open(callback, callback, userdata=self._counts)

    def loop_stop(self):
        self.stop()

    # --- the Python driver ---

    def start(self):
        self._open(self._hear, self._speak, wrap_callback="buffer")

    def _hear(self, data, _frames, _time, status):
        with self._lock:
            self._heard.append(bytes(data))
            self._heard_bytes += len(data)
            self._counts.overruns += 1 if status.input_overflow else 0
            while self._heard_bytes > 4 * self._queue:
                self._heard_bytes -= len(self._heard.popleft())
                self._counts.overruns += 1

    def _speak(self, data, _frames, _time, status):
        with self._lock:
            piece = self._to_play[: len(data)]
            del self._to_play[: len(data)]
        if len(piece) < len(data) or status.output_underflow:
            self._counts.underruns += 1
        data[: len(piece)] = bytes(piece)
        data[len(piece) :] = bytes(len(data) - len(piece))

    def capture_into(self, buf):
        if not self._wants[0]:
            return 0
        with self._lock:
            if self._heard_bytes < len(buf):
                return 0
            at = 0
            while at < len(buf):
                piece = self._heard.popleft()
                take = piece[: len(buf) - at]
                buf[at : at + len(take)] = take
                at += len(take)
                if len(take) < len(piece):
                    self._heard.appendleft(piece[len(take) :])
            self._heard_bytes -= len(buf)
        return len(buf) // 2

    def play_room(self):
        if not self._wants[1]:
            return 0
        return max(0, self._queue - len(self._to_play) // 2)

    def play(self, buf):
        with self._lock:
            self._to_play += buf
        return len(buf) // 2


def _import_sounddevice():
    try:
        import sounddevice
    except ImportError:
        cure = "Install it with pip install sounddevice, or use --wav and --out."
        raise Refused("no-audio-device", "the Python package sounddevice is missing", cure) from None
    except OSError as error:
        cure = "Install PortAudio (Debian: apt install libportaudio2), or use --wav and --out."
        raise Refused("no-audio-device", f"there is no sound here: {error}", cure) from None
    return sounddevice


def _no_device(error, wants):
    what = " and ".join(name for name, wanted in zip(("microphone", "speaker"), wants, strict=True) if wanted)
    said = str(error.args[0])
    if "device -1" in said:  # PortAudio's way to say that there is no default device
        return Refused("no-audio-device", f"this machine has no {what.replace(' and ', ' or no ')}")
    return Refused("no-audio-device", f"the {what} of this machine cannot be used: {said}")


@contextlib.contextmanager
def _quiet():
    """Keeps ALSA's own complaints off the terminal: what matters of them is in the exception."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
