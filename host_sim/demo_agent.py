"""A small voice agent on LiveKit's own Python SDK: what the badge talks to in `make demo`.

    python -m host_sim.demo_agent --url ws://127.0.0.1:7880 --token TOKEN

It joins as an agent does (participant kind from the token, track `roomio_audio` with source MICROPHONE, state in
`lk.agent.state`), listens to the first microphone in the room, and when the speaker falls silent it calls `set_led`
on the speaker's device and answers with a sentence. One JSON object a line on standard output tells what happened:
`event`, `time` (Unix seconds), and the event's own fields. Nothing of Linnet's is used here: it is the other side.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import time
import wave
from pathlib import Path

try:
    import numpy
    from livekit import rtc
except ImportError:
    numpy = rtc = None              # main() says so in one line

ANSWER = Path(__file__).resolve().parent / "assets" / "agent_answer.wav"
RATE = 48000
FRAME = RATE // 100                 # 10 ms
JOIN_TIMEOUT_S = 15
LISTENER_TIMEOUT_S = 10
RPC_TIMEOUT_S = 5.0
STATE_TIMEOUT_S = 5
LEAVE_TIMEOUT_S = 5
HEARD_MAX_S = 120


class SpeechDetector:
    """Energy-based ears: 10 ms levels in, "started" and "ended" out."""

    def __init__(self, *, loud_dbfs=-42.0, quiet_dbfs=-48.0, start_ms=80, pause_ms=600, least_ms=300):
        self.loud_dbfs, self.quiet_dbfs = loud_dbfs, quiet_dbfs
        self.start_frames, self.pause_frames, self.least_frames = start_ms // 10, pause_ms // 10, least_ms // 10
        self._forget()

    def _forget(self):
        self.is_speech = False
        self._loud = self._quiet = self._frames = 0

    def feed(self, level_dbfs):
        """One frame's level. Returns "started", "ended" or None."""
        if not self.is_speech:
            # Loud frames come nearly in a row in speech; a click or two never reach the mark.
            self._loud = self._loud + 1 if level_dbfs > self.loud_dbfs else max(0, self._loud - 1)
            if self._loud < self.start_frames:
                return None
            self.is_speech, self._frames = True, self._loud
            return "started"
        self._frames += 1
        self._quiet = self._quiet + 1 if level_dbfs < self.quiet_dbfs else 0
        if self._quiet < self.pause_frames:
            return None
        spoken = self._frames - self._quiet
        self._forget()
        return "ended" if spoken >= self.least_frames else None


class Voice:
    """A 48 kHz mono track that speaks 16-bit samples in real time. Make it inside the running loop."""

    def __init__(self, queue_ms=100):
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=queue_ms)
        self._track = None

    async def publish(self, room, name, *, source=None, red=True, dtx=True):
        self._track = rtc.LocalAudioTrack.create_audio_track(name, self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE if source is None else source,
                                          red=red, dtx=dtx)
        return await room.local_participant.publish_track(self._track, options)

    async def say(self, samples):
        """Returns when the last sample has left. The source's short queue sets the pace."""
        view = memoryview(bytes(samples)).cast("h")
        for start in range(0, len(view), FRAME):
            piece = view[start:start + FRAME]
            data = piece.tobytes() + bytes(2 * (FRAME - len(piece)))
            await self._source.capture_frame(rtc.AudioFrame(data, RATE, 1, FRAME))
        await self._source.wait_for_playout()

    def mute(self, muted=True):
        if muted:
            self._track.mute()
        else:
            self._track.unmute()

    async def close(self):
        await self._source.aclose()


class DemoAgent:
    def __init__(self, answer, *, emit, led_payload, turns, heard=None):
        self._emit = emit
        self._answer = answer
        self._led_payload = led_payload
        self._turns = turns
        self._heard_path = heard
        self._heard = bytearray()
        self._room = self._voice = self._publication = self._device = None
        self._tasks = set()
        self._finished = asyncio.Event()
        self._state_lock = asyncio.Lock()

    async def run(self, url, token):
        """Joins, talks, and returns when the device has left, the turns are done or the room is gone."""
        self._room = room = rtc.Room()          # inside the running loop: elsewhere no event ever comes
        room.on("track_subscribed", self._on_track)
        room.on("participant_disconnected", self._on_participant_left)
        room.on("disconnected", self._on_disconnected)
        started = time.monotonic()
        await asyncio.wait_for(room.connect(url, token), JOIN_TIMEOUT_S)
        self._emit("joined", identity=room.local_participant.identity, room=room.name, ms=_ms_since(started))
        try:
            self._voice = Voice()
            # Without DTX silence is sent too: what joins hears us at once, not up to 0.4 s later.
            self._publication = await self._voice.publish(room, "roomio_audio", dtx=False)
            self._emit("published", track=self._publication.sid)
            await self._set_state("listening")
            await self._finished.wait()
        finally:
            await self._close()

    async def _close(self):
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._heard_path:
            self._write_heard()
        if self._voice:
            await self._voice.close()
        await asyncio.wait_for(self._room.disconnect(), LEAVE_TIMEOUT_S)
        self._emit("left")

    def _write_heard(self):
        """What came out of the SDK, for whoever wants to listen or to compare."""
        try:
            with wave.open(str(self._heard_path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE)
                file.writeframes(self._heard)
        except OSError as error:
            self._emit("error", reason=f"{self._heard_path} cannot be written: {error.strerror}")
            return
        self._emit("heard", file=str(self._heard_path), seconds=round(len(self._heard) / 2 / RATE, 2))

    def _spawn(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task):
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self._emit("error", reason=f"{type(task.exception()).__name__}: {task.exception()}")
            self._finished.set()

    def _on_track(self, track, publication, participant):
        if track.kind != rtc.TrackKind.KIND_AUDIO or self._device:
            return
        if publication.source != rtc.TrackSource.SOURCE_MICROPHONE:
            # As real agents do: a device that does not say MICROPHONE is not heard.
            self._emit("ignored_track", identity=participant.identity, track=publication.sid,
                       reason="its source is not MICROPHONE")
            return
        self._device = participant.identity
        self._emit("listening_to", identity=participant.identity, track=publication.sid, mime=publication.mime_type)
        self._spawn(self._listen(track))

    def _on_participant_left(self, participant):
        if participant.identity == self._device:
            self._emit("device_left", identity=participant.identity)
            self._finished.set()

    def _on_disconnected(self, reason):
        self._emit("disconnected", reason=rtc.DisconnectReason.Name(reason))
        self._finished.set()

    async def _listen(self, track):
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=10)
        detector, started, peak, turns, answering = SpeechDetector(), 0.0, -120.0, 0, None
        try:
            async for event in stream:
                level = _level_dbfs(event.frame.data)
                if self._heard_path and len(self._heard) < 2 * RATE * HEARD_MAX_S:
                    self._heard += bytes(event.frame.data)
                peak = max(peak, level)
                heard = detector.feed(level)
                if heard == "started":
                    started, peak = time.monotonic(), level
                    self._emit("speech_started", level_dbfs=round(level, 1))
                elif heard == "ended" and (answering is None or answering.done()):
                    turns += 1
                    self._emit("speech_ended", seconds=round(time.monotonic() - started, 2),
                               peak_dbfs=round(peak, 1), turn=turns)
                    answering = self._spawn(self._take_turn(turns))
        finally:
            await stream.aclose()

    async def _take_turn(self, turn):
        await self._set_state("thinking")
        await asyncio.gather(self._switch_led(), self._speak(turn))
        await self._set_state("listening")
        if self._turns and turn >= self._turns:
            self._finished.set()

    async def _speak(self, turn):
        try:                # as real agents do: nothing is said before somebody listens
            await asyncio.wait_for(self._publication.wait_for_subscription(), LISTENER_TIMEOUT_S)
        except asyncio.TimeoutError:
            self._emit("answer_dropped", turn=turn, reason=f"nobody subscribed within {LISTENER_TIMEOUT_S} s")
            return
        await self._set_state("speaking")
        self._emit("answer_started", turn=turn, seconds=round(len(self._answer) / 2 / RATE, 2))
        await self._voice.say(self._answer)
        self._emit("answer_ended", turn=turn)

    async def _switch_led(self):
        started = time.monotonic()
        self._emit("rpc_sent", method="set_led", payload=self._led_payload, to=self._device)
        try:
            answer = await self._room.local_participant.perform_rpc(
                destination_identity=self._device, method="set_led", payload=self._led_payload,
                response_timeout=RPC_TIMEOUT_S)
            self._emit("rpc_answered", method="set_led", payload=answer, ms=_ms_since(started))
        except rtc.RpcError as error:
            self._emit("rpc_failed", method="set_led", code=int(error.code), reason=error.message)

    async def _set_state(self, state):
        """Tells the room. The server refuses it to a token without canUpdateOwnMetadata; the talk goes on."""
        async with self._state_lock:
            await asyncio.wait_for(self._room.local_participant.set_attributes({"lk.agent.state": state}),
                                   STATE_TIMEOUT_S)
            self._emit("state", state=state)


def load_speech(path):
    """A 16-bit WAV as 48 kHz mono bytes. Linear interpolation is enough: the codec hears nothing above the source."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"{path} has {8 * file.getsampwidth()}-bit samples, 16-bit PCM is needed")
        channels, rate = file.getnchannels(), file.getframerate()
        mono = numpy.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels).mean(axis=1)
    places = numpy.arange(len(mono) * RATE // rate) * (rate / RATE)
    return numpy.interp(places, numpy.arange(len(mono)), mono).astype("<i2").tobytes()


def _level_dbfs(samples):
    power = float(numpy.mean(numpy.square(numpy.frombuffer(samples, numpy.int16).astype(float)))) / 2 ** 30
    return 10 * math.log10(power) if power > 0 else -120.0


def _ms_since(started):
    return round(1000 * (time.monotonic() - started), 1)


def print_event(event, **fields):
    """One line for a script. When nobody reads any more, the rest goes nowhere."""
    try:
        print(json.dumps({"event": event, "time": round(time.time(), 4), **fields}), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _serve(arguments):
    loop = asyncio.get_running_loop()
    agent = DemoAgent(load_speech(arguments.wav), emit=print_event, led_payload=arguments.led_payload,
                      turns=arguments.turns, heard=arguments.heard)
    talking = loop.create_task(agent.run(arguments.url, arguments.token))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, talking.cancel)
    if arguments.tied:
        await _tie_to_stdin(loop, talking)
    try:
        await asyncio.wait_for(talking, arguments.seconds)
    except asyncio.TimeoutError:
        print_event("ended", reason=f"--seconds {arguments.seconds:g} are over")
    except asyncio.CancelledError:
        print_event("ended", reason="interrupted")
    return 0


async def _tie_to_stdin(loop, talking):
    """Ends the talk when whoever started us closes our standard input, be it by dying."""
    class Tie(asyncio.Protocol):
        def connection_lost(self, exc):
            talking.cancel()
    await loop.connect_read_pipe(Tie, sys.stdin)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m host_sim.demo_agent",
        description="A voice agent that answers the first microphone in the room and switches its LED.",
        epilog="Exit codes: 0 ended as asked, 1 could not join or talk, 3 the livekit package is missing.")
    parser.add_argument("--url", required=True, help="ws:// or wss:// URL of the server")
    parser.add_argument("--token", default=os.environ.get("LIVEKIT_TOKEN"),
                        help="token of kind agent (default: LIVEKIT_TOKEN from the environment)")
    parser.add_argument("--wav", default=str(ANSWER), help="16-bit WAV of the answer")
    parser.add_argument("--led-payload", default='{"on": true}', help="what set_led is called with")
    parser.add_argument("--heard", metavar="OUT.wav", help="write what was heard, 48 kHz mono, into this file")
    parser.add_argument("--turns", type=int, default=0, help="leave after this many answers (default: with the device)")
    parser.add_argument("--seconds", type=float, default=300.0, help="leave after this time at the latest")
    parser.add_argument("--tied", action="store_true", help="leave when standard input is closed")
    arguments = parser.parse_args(argv)
    if not arguments.token:
        parser.error("--token or LIVEKIT_TOKEN is needed")
    if rtc is None:
        print_event("error", reason="the livekit package is missing: pip install livekit==1.2.0")
        return 3
    try:
        return asyncio.run(_serve(arguments))
    except (OSError, ValueError, EOFError, wave.Error) as error:
        print_event("error", reason=f"{error}")
    except (rtc.ConnectError, asyncio.TimeoutError) as error:
        print_event("error", reason=f"could not join {arguments.url}: {error or f'no answer in {JOIN_TIMEOUT_S} s'}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
