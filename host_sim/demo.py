"""`make demo`: a badge talks with an agent through a real livekit-server, all on this machine.

Three programs of three makers: livekit-server, an agent on LiveKit's own Python SDK (demo_agent.py) and the badge,
started as anybody would start it (`python -m host_sim run`). What they tell is followed line by line; what does not
happen in time ends the demo with the reason. It leaves report.html, both recordings and the events in build/demo.
"""

import asyncio
import contextlib
import datetime
import importlib.util
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path

import exits
from linnet.errors import Refused

from .server import LiveKitServer
from .server_build import ServerUnavailable, ensure_server, find_server
from .signals import hear_again
from .timeline import as_text

REPO = Path(__file__).resolve().parent.parent
SENTENCE = REPO / "host_sim" / "assets" / "badge_sentence.wav"
ANSWER = REPO / "host_sim" / "assets" / "agent_answer.wav"
STEP_S = 20  # for anything that must happen
END_S = 6  # for a program that was asked to end
LIKE = 0.6  # correlation above which a recording is that speech; other speech reaches about 0.2


class DemoFailed(Refused):
    def __init__(self, cause, cure="Look into the demo's folder: agent.log, badge.log, server.log."):
        super().__init__("app-failed", cause, cure)


class Story:
    """What the three programs told, in the order of their own clocks; one machine, one clock."""

    def __init__(self):
        self.events = []  # {"at": Unix seconds, "who", "event", ...}
        self._changed = asyncio.Event()
        self._over = {}  # who -> how it ended

    def tell(self, who, at, event, fields):
        self.events.append(dict(fields, at=at, who=who, event=event))
        self._changed.set()

    def ended(self, who, how):
        self._over[who] = how
        self._changed.set()

    def find(self, who, event):
        return next((e for e in self.events if e["who"] == who and e["event"] == event), None)

    async def wait(self, who, event, what, limit=STEP_S):
        """The first such event. DemoFailed if it does not come."""
        deadline = time.monotonic() + limit
        while (found := self.find(who, event)) is None:
            if who in self._over:
                raise DemoFailed(f"{what}: the {who} ended before, {self._over[who]}")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.001, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                raise DemoFailed(f"{what}: it did not happen within {limit} s") from None
        return found


class Program:
    """The agent or the badge: a process whose lines are events."""

    def __init__(self, who, story, log_path):
        self._who = who
        self._story = story
        self._log_path = log_path
        self._process = self._reader = None

    async def start(self, arguments, **environment):
        with open(self._log_path, "wb") as log:
            # Its own session: Ctrl-C reaches the demo alone, which then ends its programs in order. Should the demo
            # die, the agent sees its standard input close, and the badge that nobody reads its events.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *arguments, cwd=REPO, env=dict(os.environ, **environment), limit=1 << 20,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
                preexec_fn=hear_again)
        self._reader = asyncio.create_task(self._read())

    async def _read(self):
        while line := await self._process.stdout.readline():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                fields = json.loads(line)
                at = fields.pop("at", None)
                moment = datetime.datetime.fromisoformat(at).timestamp() if at else fields.pop("time")
                self._story.tell(self._who, moment, fields.pop("event"), fields)
        code = await self._process.wait()
        self._story.ended(self._who, f"exit code {code}: {self._last_line()}")

    def _last_line(self):
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def end(self, gently):
        """Asks with `gently(process)`, waits, kills. The exit code."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                gently(process)
            try:
                await asyncio.wait_for(process.wait(), END_S)
            except asyncio.TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        await asyncio.wait((self._reader,), timeout=END_S)
        return process.returncode


class Teller:
    """Prints what happened and how long each step took."""

    def __init__(self, out=sys.stdout):
        self._out = out
        self._colour = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.started = time.monotonic()
        self.steps = []  # (what, seconds it took)

    def paint(self, text, code):
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def say(self, text=""):
        print(text, file=self._out, flush=True)

    def note(self, text):
        self.say(self.paint(f"           {text}", "2"))

    def step(self, text, took):
        self.steps.append((text, took))
        self.say(f"{self.paint(f'{took:7.2f} s', '36')}  {text}")


def demo(options, signals):
    """Runs it; an exit code. Raises LinnetErrors."""
    folder = Path(options.folder or REPO / "build" / "demo")
    tell = Teller()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("report.html", "badge_heard.wav", "agent_heard.wav", "events.jsonl"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise Refused("file-missing", f"{folder} cannot be used: {error.strerror}") from None
    for name in ("livekit", "numpy"):
        if importlib.util.find_spec(name) is None:
            raise Refused("not-built", f"the demo's agent needs the package {name}", "Start it with: make demo.")
    _check_native()
    tell.say(tell.paint("Linnet: a badge talks with an agent through a real livekit-server", "1"))
    binary = _find_or_build(tell, signals)
    with asyncio.Runner() as runner:
        task = runner.get_loop().create_task(_play(binary, folder, tell))
        signals.on_first = lambda why: runner.get_loop().call_soon_threadsafe(task.cancel)
        if signals.code is not None:
            task.cancel()
        try:
            return runner.get_loop().run_until_complete(task)
        except asyncio.CancelledError:
            tell.say("stopped: badge, agent and server are gone")
            return signals.code or exits.APP_FAILED


def _check_native():
    try:
        from . import native  # noqa: F401
    except ImportError as error:
        raise Refused("no-native-module", str(error).partition(": run ")[0]) from None


def _find_or_build(tell, signals):
    """The server's program. Building takes 80 s, once; Ctrl-C ends the compilers too."""
    def interrupt(why):
        raise KeyboardInterrupt

    signals.on_first = interrupt
    try:
        started = time.monotonic()
        found = find_server()
        binary = found or ensure_server(tell.note)
        if not found:
            tell.step("livekit-server built", time.monotonic() - started)
        return binary
    except ServerUnavailable as error:
        raise Refused("not-built", str(error), "") from None
    except KeyboardInterrupt:
        raise Refused("app-failed", "stopped while the server was being built", "") from None


async def _play(binary, folder, tell):
    from . import report

    story = Story()
    server = LiveKitServer(binary=binary, log_path=folder / "server.log")
    agent, badge = (Program(who, story, folder / f"{who}.log") for who in ("agent", "badge"))
    (folder / "server.log").unlink(missing_ok=True)
    try:
        try:
            await _timed(tell, "livekit-server answers", _start_server(server))
            codes = await _talk(server, agent, badge, story, folder, tell)
        finally:
            # In the order in which nobody waits for somebody who is gone.
            await asyncio.shield(badge.end(lambda process: process.send_signal(signal.SIGINT)))
            await asyncio.shield(agent.end(lambda process: process.stdin.close()))
    except ServerUnavailable as error:
        raise Refused("not-built", str(error), "") from None
    finally:
        server.stop()
        _keep_events(story, folder)
    ending = story.find("badge", "exit")
    if ending is None or "timeline" not in ending:
        raise DemoFailed("the badge did not tell how it ended")
    checks = report.check(story, folder, codes, LIKE)
    tell.say()
    tell.say(as_text(ending["timeline"], tell.paint))
    tell.say()
    for check in checks:
        tell.say(f"  {tell.paint('yes', '32') if check.is_good else tell.paint('NO ', '1;31')}  {check.text}")
    path = folder / "report.html"
    path.write_text(report.page(story, ending, checks, tell.steps, report.versions(ending)), encoding="utf-8")
    tell.say()
    tell.say(f"{time.monotonic() - tell.started:.1f} s in all. Look at {_short(path)}, listen to"
             f" {_short(folder / 'badge_heard.wav')} and {_short(folder / 'agent_heard.wav')}")
    return exits.OK if all(check.is_good for check in checks) else exits.APP_FAILED


async def _timed(tell, what, work):
    started = time.monotonic()
    result = await work
    tell.step(what, time.monotonic() - started)
    return result


async def _start_server(server):
    await server.__aenter__()


async def _talk(server, agent, badge, story, folder, tell):
    """Everything between the three; the exit code of the badge that was asked to leave."""
    room = f"demo-{secrets.token_hex(2)}"
    began = time.monotonic()

    async def until(who, event, what, text=None, limit=STEP_S):
        nonlocal began
        found = await story.wait(who, event, what, limit)
        tell.step(text(found) if text else what, time.monotonic() - began)
        began = time.monotonic()
        return found

    await agent.start(["host_sim.demo_agent", "--url", server.url, "--tied", "--wav", str(ANSWER), "--heard",
                       str(folder / "agent_heard.wav")],
                      LIVEKIT_TOKEN=server.make_agent_token("agent", room))
    await until("agent", "joined", "the agent joins", lambda e: f"agent joined {room} on LiveKit's own Python SDK")
    command = ["host_sim", "run", "--url", server.url, "--wav", str(SENTENCE), "--out",
               str(folder / "badge_heard.wav"), "--events", "-", "--sample", "0.05", "--plain"]
    await badge.start(command, LINNET_TOKEN=server.make_token("badge", room))
    await until("badge", "joined", "the badge joins",
                lambda e: f"badge joined in {dict(e['timeline']).get('dtls', 0):.0f} ms (the rest: Python starts)")
    await until("badge", "wav_started", "the agent listens to the badge",
                lambda e: "agent listens, badge speaks: Hello, this is the Linnet badge ...")
    await until("agent", "speech_ended", "the agent hears the badge",
                lambda e: f"agent heard {e['seconds']:.1f} s of speech, peak {e['peak_dbfs']:.0f} dBFS")
    led = story.wait("badge", "led", "the LED is switched")
    await until("agent", "rpc_answered", "the agent calls set_led",
                lambda e: f"agent called set_led over RPC, answered {e['payload']} after {e['ms']:.0f} ms")
    await led
    await until("agent", "answer_ended", "the agent answers",
                lambda e: "agent answered: Yes, loud and clear. I am switching your light on now.")
    await asyncio.sleep(0.5)  # what the server and the playout buffer still hold
    began = time.monotonic()
    code = await badge.end(lambda process: process.send_signal(signal.SIGINT))
    await until("agent", "device_left", "the agent sees the badge leave", lambda e: "badge left, agent saw it go")
    await agent.end(lambda process: process.stdin.close())
    return code


def _keep_events(story, folder):
    with contextlib.suppress(OSError), open(folder / "events.jsonl", "w", encoding="utf-8") as file:
        for event in sorted(story.events, key=lambda e: e["at"]):
            file.write(json.dumps(event) + "\n")


def _short(path):
    with contextlib.suppress(ValueError):
        return path.resolve().relative_to(Path.cwd())
    return path

