"""Fixtures for the tests of the command line: a real server, and `cli` that runs the program as a person would."""

import contextlib
import dataclasses
import json
import os
import secrets
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest
from host_sim.signals import hear_again

from host_sim.server import LiveKitServer, ServerUnavailable, ensure_server
from tests.micropython_program import MAIN, PROGRAM

REPO = Path(__file__).resolve().parents[2]
MICROPYTHON = os.environ.get("LINNET_INTERPRETER") == "micropython"
SENTENCE = REPO / "host_sim" / "assets" / "badge_sentence.wav"


def not_on_micropython(reason):
    """A test of what only the simulator has."""
    return pytest.mark.skipif(MICROPYTHON, reason=reason)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory, request):
    """start_server(**options) gives a running LiveKitServer that ends with the session."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with contextlib.ExitStack() as running:
        def start(**options):
            log = tmp_path_factory.mktemp("livekit-server") / "server.log"
            try:
                with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                    ensure_server()
                return running.enter_context(LiveKitServer(log_path=log, **options))
            except ServerUnavailable as problem:
                reason = str(problem)
            pytest.fail(reason, pytrace=False)
        yield start


@pytest.fixture(scope="session")
def server(start_server):
    return start_server()


@pytest.fixture
def room():
    return f"room-{secrets.token_hex(4)}"


@dataclasses.dataclass
class Ended:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str
    seconds: float
    events: list

    def told(self, code, *words):
        """One line with these words, this exit code, and nothing that frightens a person."""
        assert "Traceback" not in self.err + self.out, self.err
        assert self.code == code, (self.code, self.err, self.out)
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        for word in words:
            assert word in lines[0], (word, lines[0])
        return lines[0]

    def names(self):
        return [event["event"] for event in self.events]

    def first(self, name):
        return next(event for event in self.events if event["event"] == name)


def environment(**changes):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LINNET_TOKEN", "LIVEKIT"))}
    return dict(kept, **changes)


def start(*arguments, token="", closed="", **changes):
    """The program, running; its output is read by end(). `closed`: streams it has not, as a shell says it."""
    command = [sys.executable, "-m", "host_sim"]
    if MICROPYTHON:
        command = [PROGRAM, *MAIN]
    if closed:
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
    return subprocess.Popen([*command, *map(str, arguments)], cwd=REPO, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(**({"LINNET_TOKEN": token} if token else {}), **changes),
                            preexec_fn=hear_again)


def end(process, events=None, limit=25, secret=""):
    """Waits for the program's own end. A program that does not end fails the test."""
    started = time.monotonic()
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"it did not end within {limit} s: {out}{err}")
    text = Path(events).read_text() if events and Path(events).exists() else ""
    for shown in (out, err, text):
        assert not secret or secret not in shown, "a token was shown"
    return Ended(process.returncode, out, err, time.monotonic() - started, _events(text, process.returncode))


def _events(text, code):
    """Every line is one object, time never goes back, and the last line tells the exit code."""
    events = [json.loads(line) for line in text.splitlines()]
    if events:
        assert all(list(event)[:3] == ["time", "at", "event"] for event in events)
        times = [event["time"] for event in events]
        assert times == sorted(times)
        assert (events[-1]["event"], events[-1]["code"]) == ("exit", code)
        assert text.endswith("\n")
    return events


@pytest.fixture
def cli(tmp_path):
    """cli("run", "--url", ..., token=...) runs the program to its end; every run writes events, which are checked."""
    def run(*arguments, token="", limit=25, **changes):
        events = tmp_path / f"{secrets.token_hex(4)}.jsonl"
        if arguments[:1] == ("run",) and "--events" not in arguments:
            arguments = (*arguments, "--events", events)
        return end(start(*arguments, token=token, **changes), events, limit, token)
    return run


@pytest.fixture
def write_wav(tmp_path):
    """write_wav(name, data, ...) makes a WAV file; its path."""
    def write(name, data, rate=16000, width=2, channels=1):
        path = tmp_path / name
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(rate)
            file.writeframes(data)
        return path
    return write
