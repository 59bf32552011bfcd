"""Sound of the simulator: WAV files, the machine's microphone and speaker, or one of each.

All follow linnet.port.LoopAudio, for the native media loop: a file fills and empties rings far ahead of the call, a
device does at its own pace. And linnet.port.Audio, for the Python driver.
"""

import wav
from linnet.errors import Refused
from wav import LOOP_RING_MS, RATES, WavReader, WavWriter

from .sound_card import DeviceAudio

__all__ = ["RATES", "DeviceAudio", "PairAudio", "WavAudio", "read_wav"]


def read_wav(path):
    """(rate, what WavAudio speaks) of a 16-bit PCM WAV. Raises Refused("wav-format") or Refused("file-missing")."""
    reader = WavReader(path)
    return reader.rate, reader


class WavAudio(wav.WavAudio):
    """As on a device, but that the file `out` is made by check(). `wait`: nothing is spoken before begin()."""

    def __init__(self, rate, reader=None, out=None, wait=False):
        super().__init__(rate, reader or None)
        self._out = out
        if not wait:
            self.begin()

    def check(self):
        """Raise what start() would, before a room is joined."""
        if self._out and self._writer is None:
            self._writer = WavWriter(self._out, self.rate, self._reader)

    def start(self):
        self.check()
        super().start()

    def loop_start(self, loop):
        self.check()
        super().loop_start(loop)


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
        self.loop_ahead_ms = speaker.loop_ahead_ms
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
