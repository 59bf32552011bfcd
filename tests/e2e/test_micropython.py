"""What a call costs MicroPython's unix port with the native media loop: nothing per packet, few megabytes, and no sound
lost while its Python collects garbage. `python -m tests.bench micropython` is the long form. And the frozen program
(make micropython FROZEN=1) in a real room, with nothing beside it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import micropython_build
import pytest

from host_sim.demo_agent import ANSWER
from tests import audio_quality as quality
from tests.bench import bench_micropython as bench
from tests.e2e.peers import RATE

SECONDS = 10
CLEAR = 0.9     # STOI; what the codec and the first second cost is test_audio.py's business


@pytest.fixture(scope="module", autouse=True)
def packages():
    try:
        micropython_build.need_packages()
    except micropython_build.BuildError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def held(server):
    return bench.measure(server, SECONDS, "held")


def test_no_packet_costs_memory_of_the_interpreter(server):
    figures = bench.measure(server, SECONDS, "heap", with_talker=False)
    print(f"{figures['call'][1]} packets: {figures['call'][0]} B, without packets {figures['quiet'][0]} B")
    assert figures["call"][1] > 40 * SECONDS
    assert abs(bench.bytes_per_packet(figures)) < 4     # the smallest object has 32 bytes: one in eight packets at most


def test_a_busy_python_loses_no_sample_and_no_frame(held):
    print(f"{SECONDS} s, each with a collection and 200 ms of nothing else: {bench.lost(held['window'])}")
    assert held["window"]["played"] > 45 * SECONDS and held["window"]["rtp_sent"] > 45 * SECONDS
    assert held["held_ms"] >= 200 * SECONDS
    assert bench.lost(held["window"]) == dict.fromkeys(bench.lost(held["window"]), 0)


def test_the_whole_process_fits_in_twelve_megabytes(held):
    print(f"resident at most {held['rss_kib']} KiB, {1000 * held['cpu_per_second']:.0f} ms CPU a second")
    assert held["rss_kib"] <= bench.RSS_AIM_KIB


# --- frozen ---


def build(**settings):
    """The interpreter that micropython_build.py makes with these settings. Both share their objects: seconds."""
    env = {name: value for name, value in os.environ.items() if name != "FROZEN"} | settings
    done = subprocess.run([sys.executable, micropython_build.__file__, "unix"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def frozen():
    return build(FROZEN="1")


async def badge_beside(ann, voice, identity):
    """What ann hears of the badge, while she speaks and calls it."""
    recording = await ann.wait_for_track(identity)
    answer, _ = quality.load_wav(ANSWER, RATE)
    _, lit = await asyncio.gather(ann.say(voice, answer, lead_in_s=0.5),
                                  ann.call_rpc(identity, "set_led", json.dumps({"on": True})))
    assert json.loads(lit) == {"on": True}
    status = json.loads(await ann.call_rpc(identity, "get_status"))
    assert status["led"] and status["packets_sent"] > 50 and status["packets_received"] > 50
    sentence, _ = quality.load_wav(bench.SENTENCE, RATE)
    wanted = len(sentence) / RATE + 2
    await ann.wait_until(lambda: recording.seconds >= wanted, "the sentence of the badge")
    return quality.score(sentence, recording.samples, RATE), answer


@pytest.mark.asyncio
async def test_a_frozen_badge_joins_talks_and_answers_with_nothing_beside_it(frozen, server, join, unique, room_name,
                                                                            tmp_path):
    shutil.copy(frozen, tmp_path / "badge")
    shutil.copy(bench.SENTENCE, tmp_path / "in.wav")
    ann, identity = await join("ann"), unique("badge")
    voice = await ann.publish_audio()
    process = await asyncio.create_subprocess_exec(
        "./badge", "-m", "main", "--url", server.url, "--wav", "in.wav", "--out", "out.wav", cwd=tmp_path,
        env={"LINNET_TOKEN": server.make_token(identity, room_name), "HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    try:
        spoken, answer = await badge_beside(ann, voice, identity)
        process.send_signal(signal.SIGTERM)
        said = (await asyncio.wait_for(process.communicate(), 15))[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM and f"joined {room_name} as {identity}" in said, said
    out, rate = quality.load_wav(tmp_path / "out.wav")
    heard = quality.score(quality.resample(answer, RATE, rate), out, rate)
    print(f"the badge is heard: {spoken}; it hears: {heard}")
    assert spoken.stoi > CLEAR and heard.stoi > CLEAR


def test_what_was_frozen_is_gone_from_the_plain_one(frozen, tmp_path):
    """MicroPython itself freezes anew only when a file is newer, and none is."""
    plain = build()
    found = [subprocess.run([program, "-c", "import linnet.room"], cwd=tmp_path, env={}, capture_output=True, text=True)
             for program in (frozen, plain)]
    assert found[0].returncode == 0, found[0].stderr
    assert found[1].returncode == 1 and "no module named 'linnet'" in found[1].stderr + found[1].stdout
