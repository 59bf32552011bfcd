"""make demo, as a person starts it and as a person breaks it."""

import json
import os
import signal
import subprocess
import time

import exits
import pytest

from tests.host_sim.conftest import SENTENCE, end, start
from tests.host_sim.test_report import Page


def programs():
    """Agents, badges and servers on this machine that have this test's mark in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if b"LINNET_TEST_MARK=" + str(os.getpid()).encode() + b"\0" in file.read() + b"\0":
                    with open(f"/proc/{pid}/stat") as state:
                        if state.read().rpartition(")")[2].split()[0] != "Z":
                            found.append(pid)
        except OSError:
            continue
    return found


def demo(folder, **changes):
    return start("demo", "--folder", folder, LINNET_TEST_MARK=str(os.getpid()), **changes)


def gone(limit=10):
    deadline = time.monotonic() + limit
    while programs():
        assert time.monotonic() < deadline, programs()
        time.sleep(0.05)
    return True


def test_the_demo_shows_everything_and_leaves_its_page(start_server, tmp_path):
    start_server()  # builds the server first, with its progress on the terminal
    ended = end(demo(tmp_path), limit=60)
    assert (ended.code, ended.err) == (0, ""), ended.out
    for step in ("livekit-server answers", "agent joined", "badge joined", "agent heard", "set_led", "agent answered",
                 "badge left", "Join timeline", "WebSocket", "DTLS", "SCTP", "first packet out", "first sound in"):
        assert step in ended.out, step
    assert ended.out.count("  yes  ") == 4
    assert Page((tmp_path / "report.html").read_text()).open == []
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert {event["who"] for event in events} == {"agent", "badge"}
    assert (tmp_path / "badge_heard.wav").stat().st_size > 100000
    assert "eyJ" not in ended.out + "".join(path.read_text(errors="replace") for path in tmp_path.glob("*.log"))
    assert gone()


@pytest.mark.parametrize("moment_s", [0.1, 0.5, 1.0, 1.5, 2.5, 5.0])
def test_ctrl_c_ends_everything_the_demo_started(start_server, tmp_path, moment_s):
    start_server()
    process = demo(tmp_path)
    time.sleep(0.2 + moment_s)
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err + ended.out
    assert gone()


def test_a_demo_that_is_killed_leaves_nothing_behind(start_server, tmp_path):
    start_server()
    process = demo(tmp_path)
    while "badge joined" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert gone(20)


def test_a_server_that_does_not_start_is_told_in_one_line(tmp_path):
    end(demo(tmp_path, LIVEKIT_SERVER="/bin/false")).told(exits.NOT_BUILT, "livekit-server")
    end(demo(tmp_path, LIVEKIT_SERVER="/not/there")).told(exits.NOT_BUILT, "LIVEKIT_SERVER")
    assert gone()


def test_a_folder_that_cannot_be_made_is_bad_input():
    end(demo("/dev/null/x")).told(exits.BAD_INPUT, "/dev/null/x")


def test_the_agent_refuses_what_it_cannot_play(tmp_path, server, room):
    """The other side's own words for a bad WAV; the demo would show its last line."""
    import sys

    from tests.host_sim.conftest import REPO
    bad = tmp_path / "bad.wav"
    bad.write_bytes(SENTENCE.read_bytes()[:20])
    done = subprocess.run([sys.executable, "-m", "host_sim.demo_agent", "--url", server.url, "--token",
                           server.make_agent_token("agent", room), "--wav", str(bad)], cwd=REPO, text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 1 and '"event": "error"' in done.stdout
    assert "Traceback" not in done.stderr
