# Linnet on MicroPython as one device of bench_call, and for the tests of what a call costs the interpreter:
#
#     micropython tests/bench/mpy_device.py FIRMWARE URL TOKEN WAV SETTLE_S SECONDS WHAT
#
# 16 kHz speech up, whoever is in the room down. WHAT happens in the measured window:
#   call     nothing
#   heap     no garbage collection, so that what is allocated shows: while the microphone sends silence, and muted
#   slope    a collection every five seconds of a long call: does what is kept grow?
#   held     every second a collection and 200 ms in which Python does nothing else
# Prints one JSON line.

import sys

sys.path.insert(0, sys.argv[1])

import asyncio  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402

import port_unix  # noqa: E402
from linnet.port import Port  # noqa: E402
from linnet.room import Room, RoomOptions  # noqa: E402
from linnet.track import LocalAudioTrack  # noqa: E402
from port_mpy import MpyClock, MpyNet  # noqa: E402
from wav import WavAudio, WavReader  # noqa: E402

HELD_MS = 200
SLOPE_MS = 5000


class Speech(WavAudio):
    """The file again and again, in memory, and a speaker that only counts."""

    def __init__(self, path):
        reader = WavReader(path)
        super().__init__(reader.rate)
        samples = bytearray(1 << 17)  # four seconds
        n = reader.read_into(samples)
        self._samples = memoryview(samples)[: n & ~1]
        self._at = 0
        self._zeros = b""
        self.is_silent = False
        self.heard = 0

    def ring_fill(self, buf):
        if self.is_silent:
            if len(self._zeros) != len(buf):
                self._zeros = bytes(len(buf))
            buf[:] = self._zeros
            return
        if self._at + len(buf) > len(self._samples):
            self._at = 0
        buf[:] = self._samples[self._at : self._at + len(buf)]
        self._at += len(buf)

    def ring_heard(self, buf):
        self.heard += len(buf) // 2


def counters(room):
    """What a call must not lose, in one dict."""
    found = room.stats()
    found["concealed"] = found["played"] = found["track_packets"] = found["late"] = 0
    for participant in room.remote_participants.values():
        for publication in participant.track_publications.values():
            track = publication.track.stats() if publication.track is not None else None
            if track is not None:
                found["concealed"] += track["frames_concealed"]
                found["played"] += track["frames_played"]
                found["track_packets"] += track["packets_received"]
                found["late"] += track["packets_late"]
    return found


def sound_ahead(room, since):
    """Samples that the core has got of the microphone, less those of the milliseconds since then: the best of some
    looks, for any one may find the loop a little late."""
    best = -(1 << 29)
    for _ in range(10):
        samples = room.stats()["microphone_samples"]
        best = max(best, samples - time.ticks_diff(time.ticks_ms(), since) * room.port.audio.rate // 1000)
        time.sleep_ms(3)
    return best


async def held(seconds):
    """Each second a forced collection and nothing else for a while, as a careless app would. Milliseconds of it."""
    total = 0
    for _ in range(seconds):
        started = time.ticks_ms()
        gc.collect()
        while time.ticks_diff(time.ticks_ms(), started) < HELD_MS:
            pass
        total += time.ticks_diff(time.ticks_ms(), started)
        await asyncio.sleep_ms(1000 - HELD_MS)
    return total


async def slope(seconds):
    """Bytes in use after each collection."""
    kept = [0] * (seconds * 1000 // SLOPE_MS)  # a list that grows would be what is found
    for i in range(len(kept)):
        await asyncio.sleep_ms(SLOPE_MS)
        gc.collect()
        gc.collect()
        kept[i] = gc.mem_alloc()
    return kept


async def allocated(seconds, room, track, is_quiet):
    """(bytes allocated, packets both ways) in so many seconds."""
    (track.mute if is_quiet else track.unmute)()
    await asyncio.sleep(2)
    gc.collect()
    gc.disable()
    packets, before = moved(room), gc.mem_alloc()
    await asyncio.sleep(seconds)
    after = gc.mem_alloc()
    gc.enable()
    return after - before, moved(room) - packets


def moved(room):
    stats = room.stats()
    return stats["rtp_sent"] + stats["rtp_received"]


async def window(what, seconds, room, track):
    """{name: figure} of the interpreter's heap."""
    if what == "heap":
        room.port.audio.is_silent = True  # or the server tells all the time who speaks
        quiet = await allocated(seconds, room, track, True)
        return {"quiet": quiet, "call": await allocated(seconds, room, track, False)}
    if what == "slope":
        return {"kept": await slope(seconds)}
    if what == "held":
        return {"held_ms": await held(seconds)}
    await asyncio.sleep(seconds)
    return {}


async def main(url, token, path, settle, seconds, what):
    room = Room(Port(MpyNet(port_unix.UnixMachine()), MpyClock(), Speech(path), media_loop=True))
    track = LocalAudioTrack("microphone")
    await room.connect(url, token, RoomOptions(tracks=(track,)))
    await asyncio.sleep(settle)
    begun = time.ticks_ms()
    ahead = sound_ahead(room, begun)
    before, cpu, started = counters(room), time.clock(), time.ticks_ms()
    facts = await window(what, seconds, room, track)
    cpu = time.clock() - cpu
    took = time.ticks_diff(time.ticks_ms(), started) / 1000
    after = counters(room)
    drift = sound_ahead(room, begun) - ahead
    facts["window"] = {name: after[name] - before[name] for name in after}
    facts["window"]["microphone_drift"] = drift
    facts["device"] = "micropython"
    facts["seconds"] = took
    facts["cpu_per_second"] = cpu / took
    facts["rss_kib"] = port_unix.memory_kib()
    facts["sent"], facts["heard"] = after["rtp_sent"], after["rtp_received"]
    await room.disconnect()
    print(json.dumps(facts))


if __name__ == "__main__":
    args = sys.argv[2:]
    asyncio.run(main(args[0], args[1], args[2], int(args[3]), int(args[4]), args[5]))
