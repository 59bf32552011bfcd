"""One run of test_sound_card.py, in a process of its own: python -m tests.port.card_run WHAT SECONDS

WHAT is who moves the sound between the default sound card and a media loop, while this interpreter is held for 200 ms
of each second: `c` as host_sim does, `python` with callbacks in Python; `stopped`: as `c`, but the whole process stands
still once. Or `driver`: no loop, the queues of the Python driver, read as it reads them. Prints one JSON line.
"""

import ctypes
import gc
import json
import os
import subprocess
import sys
import time

from host_sim import native  # noqa: F401  (makes the core importable)
from host_sim.sound_card import DeviceAudio
from linnet.errors import Refused
from linnet.media_loop import make_session
from linnet.port import Port

RATE = 16000
HOLD_US = 200000
usleep = ctypes.PyDLL(None).usleep  # does not give up the interpreter's lock


def hold_the_interpreter():
    """As a long call into a C extension does, at no cost in CPU."""
    usleep(HOLD_US)


class ByPython(DeviceAudio):
    """How not to do it."""

    def loop_start(self, loop):
        def hear(data, _frames, _time, _status):
            loop.mic(bytes(data))

        def speak(data, _frames, _time, _status):
            piece = bytearray(len(data))
            loop.speaker(piece)
            data[:] = bytes(piece)

        self._open(hear, speak, wrap_callback="buffer")


def stand_still():
    """For 200 ms, with all threads."""
    command = f"kill -STOP {os.getpid()}; sleep 0.2; kill -CONT {os.getpid()}"
    subprocess.run(["/bin/sh", "-c", command], env={}, check=True)  # none of ours: a sanitizer is for this process


def in_a_loop(audio, seconds, hold):
    loop = make_session(Port(None, None, audio, media_loop=True), os.urandom(48), rate=RATE)
    loop.start()
    audio.loop_start(loop)
    assert loop.sound_start() == 0
    time.sleep(0.3)
    heap = [[[i] for i in range(20)] for _ in range(20000)]
    before, began = dict(loop.stats(), **loop.loop_stats()), time.monotonic()
    for i in range(seconds):
        hold()
        gc.collect()
        loop.poll()
        time.sleep(max(0.1, began + i + 1 - time.monotonic()))
    after, ended = dict(loop.stats(), **loop.loop_stats()), time.monotonic()
    overruns, underruns = audio.overruns, audio.underruns
    audio.loop_stop()
    loop.wipe()
    del heap
    names = ("microphone_lost", "speaker_lost", "speaker_starved", "microphone_samples", "speaker_samples")
    return dict({name: after[name] - before[name] for name in names}, overruns=overruns, underruns=underruns,
                seconds=ended - began, worst_late_us=after["worst_late_us"])


def as_the_driver(audio, seconds):
    audio.start()
    frame, heard, loud, played = bytearray(RATE // 50 * 2), 0, 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        while n := audio.capture_into(frame):
            heard += n
            loud += sum(abs(sample) == 1000 for sample in memoryview(frame).cast("h"))
        while audio.play_room() >= len(frame) // 2:
            played += audio.play(bytes(len(frame)))
        time.sleep(0.005)
    audio.stop()
    return {"heard": heard, "loud": loud, "played": played}


def main(what, seconds):
    audio = {"python": ByPython}.get(what, DeviceAudio)(RATE)
    try:
        audio.check()
        if what == "driver":
            told = as_the_driver(audio, seconds)
        else:
            told = in_a_loop(audio, seconds, stand_still if what == "stopped" else hold_the_interpreter)
        print(json.dumps(told))
    except Refused as error:
        print(json.dumps({"code": error.code, "said": str(error)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
