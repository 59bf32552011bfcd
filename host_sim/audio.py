"""Sound devices of the simulator: WAV files in real time, or the machine's microphone and speaker.

Both follow linnet.port.LoopAudio, for the native media loop: a file fills and empties rings far ahead of the call,
a device does at its own pace. And linnet.port.Audio, for the Python driver: capture_into() gives whole frames that
are due, play() fills a short ring.
"""

import collections
import contextlib
import os
import sys
import threading
import time
import wave

from linnet.core_numbers import LOOP_FREE, LOOP_PACED, LOOP_SILENT
from linnet.errors import Refused

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
RING_MS = 60  # between the Python driver and a device, each way
LOOP_RING_MS = 400  # between a file and the media loop: how long Python may stand still
MAX_WAV = 1 << 28  # bytes of sound: more than two hours at 16 kHz


def read_wav(path):
    """(rate, samples as bytes, mono int16) of a 16-bit PCM WAV; two channels are averaged.

    Raises Refused("wav-format") or Refused("file-missing")."""
    try:
        with wave.open(str(path), "rb") as file:
            rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            if file.getnframes() * width * channels > MAX_WAV:
                raise Refused("wav-format", f"{path} is longer than {MAX_WAV >> 20} MiB")
            data = file.readframes(file.getnframes())
    except OSError as error:
        raise Refused("file-missing", f"{path} cannot be read: {error.strerror}") from None
    except (EOFError, wave.Error) as error:
        raise Refused("wav-format", f"{path} is no PCM WAV file: {error or 'it ends too early'}") from None
    if width != 2:
        raise Refused("wav-format", f"{path} has {8 * width}-bit samples, not 16-bit ones")
    if rate not in RATES:
        raise Refused("wav-format", f"{path} has {rate} samples a second, which no device has")
    data = data[: len(data) - len(data) % (2 * max(1, channels))]  # of a file that was cut short
    if not data:
        raise Refused("wav-format", f"{path} holds no sound")
    if channels == 2:
        pairs = memoryview(data).cast("h")
        mono = memoryview(bytearray(len(data) // 2)).cast("h")
        for i in range(len(mono)):
            mono[i] = (pairs[2 * i] + pairs[2 * i + 1]) >> 1
        data = bytes(mono.cast("B"))
    elif channels != 1:
        raise Refused("wav-format", f"{path} has {channels} channels, not one or two")
    return rate, data


class WavAudio:
    """A microphone that hears a WAV file once and silence afterwards, and a speaker that writes one.

    Samples become due with time, as on a device. `wait`: the file begins when begin() is called."""

    loop_sound = loop_speaker_sound = LOOP_PACED
    loop_ring_ms = LOOP_RING_MS

    def __init__(self, rate, samples=b"", out=None, wait=False, ticks_us=None):
        self.rate = rate
        self._samples = memoryview(samples)
        self._out_path = out
        self._out_file = self._out = None
        self._waits = wait
        self._now_us = ticks_us or (lambda: time.monotonic_ns() // 1000)
        self._started = None
        self._captured = 0  # samples since start()
        self._file_at = 0  # bytes of the file used
        self._played = 0
        self._ring = rate * RING_MS // 1000
        self._ahead = 0  # samples that are not heard yet although they were read from the file
        self._silence = 0  # samples after the end of the file
        self.underruns = 0
        self.trouble = ""  # why the file written is not complete

    @property
    def finished(self):
        """True once all of the file has been heard."""
        return self._file_at >= len(self._samples) and self._silence >= self._ahead

    def begin(self):
        self._waits = False

    def check(self):
        """Raise what start() would, before a room is joined."""
        if self._out_path and self._out is None:
            try:
                self._out_file = open(self._out_path, "wb")
            except OSError as error:
                raise Refused("file-missing", f"{self._out_path} cannot be written: {error.strerror}") from None
            self._out = wave.open(self._out_file, "wb")
            self._out.setnchannels(1)
            self._out.setsampwidth(2)
            self._out.setframerate(self.rate)
            self._write(b"")

    def start(self):
        self.check()
        self._started = self._now_us()

    def stop(self):
        self._started = None
        if self._out is not None:
            try:
                self._out.close()
                self._out_file.close()
            except (OSError, wave.Error) as error:
                self._failed(error)
            self._out_file = self._out = None

    def _failed(self, error):
        self.trouble = f"{self._out_path} is not complete: {getattr(error, 'strerror', None) or error}"

    def _due(self):
        return (self._now_us() - self._started) * self.rate // 1000000

    def capture_into(self, buf):
        n = len(buf) // 2
        if self._started is None or self._due() < self._captured + n:
            return 0
        self._captured += n
        self.ring_fill(buf)
        return n

    def ring_fill(self, buf):
        piece = b"" if self._waits else self._samples[self._file_at : self._file_at + len(buf)]
        self._file_at += len(piece)
        buf[: len(piece)] = piece
        if len(piece) < len(buf):
            buf[len(piece) :] = bytes(len(buf) - len(piece))
            self._silence += 0 if self._waits else (len(buf) - len(piece)) // 2

    def ring_heard(self, buf):
        self._write(buf)

    def loop_start(self, loop):
        self.check()
        self._ahead = self.rate * (LOOP_RING_MS + 100) // 1000  # what the loop's Python side holds, too

    def loop_stop(self):
        self.stop()

    def play_room(self):
        if self._started is None:
            return 0
        due = self._due()
        if due > self._played:
            # The device ran dry: what it played meanwhile was silence, and is heard as such.
            if self._played:
                self.underruns += 1
            self._write(bytes(2 * (due - self._played)))
        return max(0, due + self._ring - self._played)

    def play(self, buf):
        self._write(buf)
        return len(buf) // 2

    def _write(self, data):
        self._played += len(data) // 2
        if self._out is not None and not self.trouble:
            try:
                self._out.writeframesraw(data)
            except OSError as error:  # a full disk ends the recording, not the call
                self._failed(error)


class DeviceAudio:
    """The machine's microphone and speaker through PortAudio (`sounddevice`).

    Either may be left out. Raises Refused("no-audio-device") at start()."""

    def __init__(self, rate, microphone=True, speaker=True):
        self.rate = rate
        self._wants = (microphone, speaker)
        self._streams = []
        self._lock = threading.Lock()
        self._heard = collections.deque()
        self._heard_bytes = 0
        self._to_play = bytearray()
        self._ring = rate * RING_MS // 1000
        self.loop_sound = LOOP_FREE if microphone else LOOP_SILENT
        self.loop_speaker_sound = LOOP_FREE if speaker else LOOP_SILENT
        self.loop_ring_ms = 0
        self._loop = None
        self.overruns = 0
        self.underruns = 0
        self.finished = False
        self.trouble = ""

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

    def start(self):
        self._open(self._hear, self._speak)

    def loop_start(self, loop):
        self._loop = loop
        self._open(self._hear_loop, self._speak_loop)

    def loop_stop(self):
        self.stop()
        self._loop = None

    def _hear_loop(self, data, _frames, _time, _status):
        self._loop.mic(bytes(data))

    def _speak_loop(self, data, _frames, _time, _status):
        piece = bytearray(len(data))
        self._loop.speaker(piece)
        data[:] = bytes(piece)

    def _open(self, hear, speak):
        with _quiet():
            sounddevice = _import_sounddevice()
            options = dict(self._options(), blocksize=self.rate // 100)
            try:
                if self._wants[0]:
                    self._streams.append(sounddevice.RawInputStream(callback=hear, **options))
                if self._wants[1]:
                    self._streams.append(sounddevice.RawOutputStream(callback=speak, **options))
                for stream in self._streams:
                    stream.start()
            except (sounddevice.PortAudioError, ValueError) as error:
                self.stop()
                raise _no_device(error, self._wants) from None

    def stop(self):
        for stream in self._streams:
            stream.close()
        self._streams = []

    def _hear(self, data, _frames, _time, _status):
        with self._lock:
            self._heard.append(bytes(data))
            self._heard_bytes += len(data)
            while self._heard_bytes > 4 * self._ring:
                self._heard_bytes -= len(self._heard.popleft())
                self.overruns += 1

    def _speak(self, data, _frames, _time, _status):
        with self._lock:
            piece = self._to_play[: len(data)]
            del self._to_play[: len(data)]
        if len(piece) < len(data):
            self.underruns += 1
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
        return max(0, self._ring - len(self._to_play) // 2)

    def play(self, buf):
        with self._lock:
            self._to_play += buf
        return len(buf) // 2


class PairAudio:
    """The microphone of one adapter and the speaker of another, both at one rate."""

    def __init__(self, microphone, speaker):
        self.rate = microphone.rate
        self._microphone = microphone
        self._speaker = speaker
        self.capture_into = microphone.capture_into
        self.play = speaker.play
        self.play_room = speaker.play_room
        self.begin = microphone.begin
        self.loop_sound = microphone.loop_sound
        self.loop_speaker_sound = speaker.loop_speaker_sound
        self.loop_ring_ms = LOOP_RING_MS
        self.ring_fill = getattr(microphone, "ring_fill", None)
        self.ring_heard = getattr(speaker, "ring_heard", None)

    @property
    def finished(self):
        return self._microphone.finished

    @property
    def trouble(self):
        return self._microphone.trouble or self._speaker.trouble

    @property
    def underruns(self):
        return self._speaker.underruns

    def check(self):
        self._microphone.check()
        self._speaker.check()

    def start(self):
        self._microphone.start()
        try:
            self._speaker.start()
        except Refused:
            self._microphone.stop()
            raise

    def stop(self):
        self._microphone.stop()
        self._speaker.stop()

    def loop_start(self, loop):
        self._microphone.loop_start(loop)
        try:
            self._speaker.loop_start(loop)
        except Refused:
            self._microphone.loop_stop()
            raise

    def loop_stop(self):
        self._microphone.loop_stop()
        self._speaker.loop_stop()


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
