"""Ctrl-C at any moment: the room is left, the files are complete, the exit code says why, nothing is left behind."""

import json
import os
import signal
import time
import wave
from pathlib import Path

import exits
import pytest

from tests.host_sim.conftest import SENTENCE, end, not_on_micropython, start
from tests.host_sim.test_cli_session import participants, started

# From the first moment in which the program has anything open, through the join, into the call.
MOMENTS_MS = (0, 5, 20, 40, 60, 80, 100, 120, 150, 180, 220, 260, 300, 400, 600, 1200)


def children():
    """Processes that we started and that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            program = (process / "cmdline").read_bytes()
        except OSError:
            continue            # it has just ended
        is_ours = b"host_sim" in program or b"firmware/main.py" in program
        if int(parent) == os.getpid() and state != "Z" and is_ours:
            found.append(program)
    return found


def wait_for(what, limit=10):
    deadline = time.monotonic() + limit
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)
    return found


def nobody_left(server, room, limit=10):
    """True once the server has no badge in the room any more."""
    return wait_for(lambda: participants(server, room) == [], limit)


@pytest.mark.parametrize("moment_ms", MOMENTS_MS)
def test_ctrl_c_at_any_moment_leaves_the_room_and_ends_with_130(server, room, tmp_path, moment_ms):
    events, out = tmp_path / "e.jsonl", tmp_path / "o.wav"
    process = start("run", "--url", server.url, "--wav", SENTENCE, "--out", out, "--events", events,
                    token=server.make_token("badge", room))
    wait_for(events.exists)
    time.sleep(moment_ms / 1000)
    process.send_signal(signal.SIGINT)
    ended = end(process, events)
    assert (ended.code, ended.err) == (130, "")
    assert ended.names()[-1] == "exit"
    assert nobody_left(server, room)
    if out.exists() and out.stat().st_size:
        with wave.open(str(out)) as file:
            assert file.getframerate() == 16000


def test_ctrl_c_while_nobody_answers_ends_at_once(tmp_path):
    import socket

    from host_sim.dev_token import make_token

    events = tmp_path / "e.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        process = start("run", "--url", url, "--wav", SENTENCE, "--events", events,
                        token=make_token("b", "r", api_key="k", api_secret="s" * 40))
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            ended = end(process, events)
    assert (ended.code, ended.err) == (130, "")
    assert ended.seconds < 5


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_ways_to_ask_have_their_own_codes(server, room, tmp_path, number, code):
    events = tmp_path / "e.jsonl"
    process = started(server, room, events)
    process.send_signal(number)
    ended = end(process, events)
    assert (ended.code, ended.err) == (code, "")
    assert "leaving" in ended.names()
    assert nobody_left(server, room)


def test_what_our_parent_ignores_stays_ignored(server, room, tmp_path):
    """As nohup does it."""
    events = tmp_path / "e.jsonl"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = started(server, room, events, "--seconds", "2")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    assert end(process, events).code == exits.OK


STUBBORN = """
import asyncio
async def main(device):
    device.report("here")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            device.report("no")
"""
BUSY = """
import time
async def main(device):
    device.report("here")
    while True:
        time.sleep(0.05)
"""


def app_running(server, room, tmp_path, text):
    app, events = tmp_path / "app.py", tmp_path / "e.jsonl"
    app.write_text(text)
    process = start("run", "--url", server.url, "--wav", SENTENCE, "--app", app, "--events", events,
                    token=server.make_token("badge", room))
    wait_for(lambda: events.exists() and '"here"' in events.read_text())
    return process, events


def test_an_app_that_does_not_want_to_end_is_left_behind(server, room, tmp_path):
    process, events = app_running(server, room, tmp_path, STUBBORN)
    process.send_signal(signal.SIGINT)
    ended = end(process, events)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert ended.seconds < 14


@pytest.mark.parametrize("text", [STUBBORN, pytest.param(BUSY, marks=not_on_micropython(
    "MicroPython takes signals when its event loop turns"))])
def test_a_second_ctrl_c_ends_at_once(server, room, tmp_path, text):
    process, events = app_running(server, room, tmp_path, text)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    ended = end(process, events)
    assert (ended.code, ended.err) == (130, "")
    assert ended.seconds < 3


@not_on_micropython("MicroPython takes signals when its event loop turns")
def test_an_app_that_never_gives_way_is_ended_by_one_sigterm(server, room, tmp_path):
    process, events = app_running(server, room, tmp_path, BUSY)
    process.terminate()
    ended = end(process, events)
    assert (ended.code, ended.err) == (143, "")
    assert ended.seconds < 16


def test_no_program_of_ours_is_left(server, room, tmp_path):
    assert children() == []
    process = started(server, room, tmp_path / "e.jsonl")
    assert len(children()) == 1
    process.kill()
    process.communicate()
    assert children() == []


def test_the_events_of_a_killed_program_are_whole_lines(server, room, tmp_path):
    events = tmp_path / "e.jsonl"
    process = started(server, room, events)
    process.kill()
    process.communicate()
    assert all(json.loads(line)["event"] for line in events.read_text().splitlines())
