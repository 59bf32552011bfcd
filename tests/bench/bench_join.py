"""Time from connect() to the first decoded remote sound on a real livekit-server: Linnet with and without its early
re-offer, beside the livekit wheel, interleaved in one run.

Every join has a room and identities of its own (a server remembers both), with a talker on the livekit wheel that
speaks without a pause before the device comes. Each kind of device lives in one process for the whole run, so that
nobody pays for loading libraries, and joins once before anything is counted. Sound counts when the first frame whose
peak is above SOUND leaves the device's decoder; a key and certificate are made within connect(), as is a WebRTC
object of the wheel.

What the early re-offer can save is the server's request for one. livekit-server 1.13.5 puts the track of a talker who
is in the room already into its first answer, if it has a section left for it: one offer is enough then, and both kinds
of device do the same (87 and 88 ms). The line of offers says which case was measured.

    python -m tests.bench.bench_join [JOINS]
"""

import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import threading
import time

from host_sim.server import LiveKitServer

JOINS = 10
KINDS = ("early", "late", "wheel")
TITLES = {"early": "linnet, early re-offer", "late": "linnet, without", "wheel": "livekit wheel"}
SOUND = 300  # of 32767
WAIT_S = 15
ANSWER_S = 60
RATE = 16000


# --- the processes: one command a line in, one answer a line out ---


def is_sound(pcm):
    import numpy as np

    samples = np.frombuffer(pcm, np.int16)
    return len(samples) > 0 and int(np.abs(samples.astype(np.int32)).max()) > SOUND


async def join_linnet(url, token, early):
    from host_sim import native  # noqa: F401  (makes the core importable)
    from host_sim.port_host import HostClock, HostNet
    from linnet.options import RoomOptions
    from linnet.port import Port
    from linnet.room import Room
    from linnet.track import LocalAudioTrack
    from tests.e2e.cpython_peer import MemoryAudio

    heard = asyncio.get_running_loop().create_future()

    class Speaker(MemoryAudio):
        def play(self, buf):
            if not heard.done() and is_sound(buf):
                heard.set_result(time.monotonic())
            return super().play(buf)

    room = Room(Port(HostNet(), HostClock(), Speaker(RATE)))
    began = time.monotonic()
    try:
        await room.connect(url, token, RoomOptions(tracks=(LocalAudioTrack("microphone"),), early_reoffer=early))
        connected = time.monotonic()
        first = await asyncio.wait_for(heard, WAIT_S)
        steps = {}
        for name, at in room.timeline():
            steps.setdefault(name, at)
        return {"connected": connected - began, "sound": first - began, "steps": steps,
                "offers": room.stats()["offers_sent"]}
    finally:
        await room.disconnect()


async def join_wheel(url, token):
    from livekit import rtc

    heard = asyncio.get_running_loop().create_future()
    tasks = []
    room = rtc.Room()

    async def listen(track):
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            if not heard.done() and is_sound(event.frame.data):
                heard.set_result(time.monotonic())

    room.on("track_subscribed", lambda track, *_: tasks.append(asyncio.create_task(listen(track))))
    began = time.monotonic()
    try:
        await room.connect(url, token)
        connected = time.monotonic()
        source = rtc.AudioSource(RATE, 1)
        await room.local_participant.publish_track(
            rtc.LocalAudioTrack.create_audio_track("microphone", source),
            rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
        first = await asyncio.wait_for(heard, WAIT_S)
        return {"connected": connected - began, "sound": first - began}
    finally:
        for task in tasks:
            task.cancel()
        await room.disconnect()


class Talker:
    """Speaks in one room at a time: a tone that never pauses, so that the first decoded frame is loud."""

    def __init__(self):
        self.room = self.task = None

    async def enter(self, url, token):
        import numpy as np
        from livekit import rtc

        await self.leave()
        self.room = rtc.Room()
        await self.room.connect(url, token)
        source = rtc.AudioSource(48000, 1)
        tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(480) / 48000 * 100 / 88)).astype(np.int16)
        frame = rtc.AudioFrame(tone.tobytes(), 48000, 1, 480)

        async def talk():
            while True:
                await source.capture_frame(frame)

        await self.room.local_participant.publish_track(
            rtc.LocalAudioTrack.create_audio_track("voice", source),
            rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
        self.task = asyncio.create_task(talk())
        await asyncio.sleep(1)  # its own media path is up, and sound flows

    async def leave(self):
        if self.task:
            self.task.cancel()
            await self.room.disconnect()
            self.task = self.room = None


async def worker(kind):
    """Answers commands {url, token} until its input ends."""
    talker = Talker()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            if kind == "talker":
                answer = await (talker.enter(command["url"], command["token"]) if command else talker.leave())
            elif kind == "wheel":
                answer = await join_wheel(**command)
            else:
                answer = await join_linnet(**command, early=kind == "early")
        except Exception as problem:
            answer = {"failed": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(answer or {}), flush=True)
    await talker.leave()


class Worker:
    def __init__(self, kind):
        self.kind = kind
        command = [sys.executable, "-m", "tests.bench.bench_join", "worker", kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **command):
        """One command; its answer. A worker that has ended or failed is an error with its reason."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        limit = threading.Timer(ANSWER_S, self.process.kill)  # a join that hangs ends the run, with a reason
        limit.start()
        line = self.process.stdout.readline()
        limit.cancel()
        if not line:
            raise RuntimeError(f"the {self.kind} process gave no answer and ended with {self.process.wait(10)}")
        answer = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(f"{self.kind}: {answer['failed']}")
        return answer

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# --- the run ---


def one_join(server, workers, kind):
    room = f"join-{secrets.token_hex(4)}"
    workers["talker"].ask(url=server.url, token=server.make_token(f"talker-{secrets.token_hex(3)}", room))
    token = server.make_token(f"device-{secrets.token_hex(3)}", room)
    result = workers[kind].ask(url=server.url, token=token)
    workers["talker"].ask()
    return result


def measure(joins=JOINS):
    """{kind: [result of each join]}; the kinds take turns, in another order every round."""
    found = {kind: [] for kind in KINDS}
    workers = {}
    with LiveKitServer(log_level="warn") as server:
        try:
            for kind in ("talker", *KINDS):
                workers[kind] = Worker(kind)
            for kind in KINDS:
                one_join(server, workers, kind)  # not counted
            for turn in range(joins):
                for kind in KINDS[turn % 3:] + KINDS[:turn % 3]:
                    found[kind].append(one_join(server, workers, kind))
        finally:
            for one in workers.values():
                one.close()
    return found


def p90(values):
    return sorted(values)[max(0, -(-len(values) * 9 // 10) - 1)]


def show(found):
    from tests.bench import gates

    rows = []
    for kind, results in found.items():
        sound = [1000 * one["sound"] for one in results]
        connected = [1000 * one["connected"] for one in results]
        rows.append([TITLES[kind], len(results), *(f"{value:.0f}" for value in (
            statistics.median(connected), statistics.median(sound), p90(sound), min(sound), max(sound)))])
    gates.table(["ms after connect()", "joins", "connected", "first sound", "p90", "best", "worst"], rows)
    for kind in ("early", "late"):
        names = {name for one in found[kind] for name in one["steps"]}
        medians = sorted((statistics.median(one["steps"][name] for one in found[kind] if name in one["steps"]), name)
                         for name in names)
        offers = sorted(one["offers"] for one in found[kind])
        print(f"  {TITLES[kind]}: " + ", ".join(f"{name} {at:.0f}" for at, name in medians)
              + f" ms; offers {offers[0]} to {offers[-1]}")
    if all(one["offers"] == 1 for kind in ("early", "late") for one in found[kind]):
        print("  the first answer carried the talker's track: there was nothing to re-offer")


def run(accepting=False, joins=JOINS):
    """What is wrong: only a join that failed; times are for a person to read."""
    show(measure(joins))
    return []


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        asyncio.run(worker(sys.argv[2]))
    else:
        run(joins=int(sys.argv[1]) if len(sys.argv) > 1 else JOINS)
