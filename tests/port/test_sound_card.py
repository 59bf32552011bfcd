"""A real PortAudio on a real alsa-lib, on a card without hardware (alsa_card.c): nothing of a microphone or speaker is
lost while the interpreter stands still."""

import ctypes.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
CARD = Path(__file__).with_name("alsa_card.c")
PACKAGES = "Debian: apt install libportaudio2 libasound2-dev"
RATE = 16000
CONF = """
pcm_type.linnet_card {{ lib "{library}" }}
pcm.!default {{ type linnet_card log "{log}" period {period} }}
"""
NO_CARD = "pcm.default { type of_nobody }"  # PortAudio 19.6 aborts when there is no entry at all


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The card, compiled."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the card is a plugin of ALSA: run it on Linux")
    if not ctypes.util.find_library("portaudio"):
        pytest.skip(f"PortAudio is missing. {PACKAGES}")
    target = tmp_path_factory.mktemp("card") / "libcard.so"
    command = [*os.environ.get("CC", "cc").split(), "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2",
               "-shared", "-fPIC", "-DPIC", str(CARD), "-lasound", "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "asoundlib.h" in done.stderr:
        pytest.skip(f"the headers of alsa-lib are missing. {PACKAGES}")
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def run(library, tmp_path):
    """run("c", seconds) gives what card_run.py printed and {direction: counters} of the card, which moves at least
    `period` bytes at once."""
    def run(what, seconds, period=64):
        log, conf = tmp_path / "log", tmp_path / "asound.conf"
        log.write_text("")
        conf.write_text(NO_CARD if what == "none" else CONF.format(library=library, log=log,
                                                                                 period=period))
        done = subprocess.run([sys.executable, "-m", "tests.port.card_run", what, str(seconds)], cwd=REPO, text=True,
                              capture_output=True, timeout=60,
                              env={**os.environ, "ALSA_CONFIG_PATH": str(conf), "JACK_NO_START_SERVER": "1"})
        assert done.returncode == 0, done.stderr
        card = {}
        for line in log.read_text().splitlines():
            direction, *counters = line.split()
            card[direction] = {name: int(value) for name, value in (counter.split("=") for counter in counters)}
        return json.loads(done.stdout.splitlines()[-1]), card
    return run


def losses(told, card):
    """Everything that may go wrong between a card and a loop, by name; empty is what is wanted."""
    found = {name: told[name] for name in ("microphone_lost", "speaker_starved", "overruns", "underruns")}
    found.update({f"{direction} xruns": card[direction]["xruns"] for direction in ("capture", "playback")})
    return {name: value for name, value in found.items() if value}


def test_nothing_is_lost_while_the_interpreter_stands_still(run):
    """200 ms of each second, five times what the card's buffer holds. A machine that stumbled is asked again."""
    for _ in range(3):
        told, card = run("c", 5)
        lost = losses(told, card)
        if not lost:
            break
    assert lost == {}, told
    assert abs(told["microphone_samples"] / RATE - told["seconds"]) < 0.1, told
    assert abs(told["speaker_samples"] / RATE - told["seconds"]) < 0.1, told
    assert card["capture"]["due"] - card["capture"]["moved"] < RATE // 10, card


def test_a_card_that_takes_more_at_once_finds_it_ready(run):
    """21 ms, as a card does that runs at 48 kHz for everybody: PortAudio then calls two or three times in a row."""
    for _ in range(3):
        told, card = run("c", 3, period=2 * RATE * 1024 // 48000)
        lost = losses(told, card)
        if not lost:
            break
    assert lost == {}, told
    assert abs(told["speaker_samples"] / RATE - told["seconds"]) < 0.1, told


def test_callbacks_in_python_would_lose_sound(run):
    """The same with the interpreter between card and loop: the test above can fail."""
    told, card = run("python", 3)
    assert card["capture"]["xruns"] >= 3 and card["playback"]["xruns"] >= 3, (told, card)
    assert card["capture"]["due"] - card["capture"]["moved"] > 3 * RATE // 10, card


def test_what_a_card_lost_is_counted(run):
    """A process that stood still, all of it: PortAudio tells the callback, which counts."""
    told, card = run("stopped", 2)
    assert told["overruns"] == card["capture"]["xruns"] >= 2, (told, card)
    assert told["underruns"] == card["playback"]["xruns"] >= 2, (told, card)


def test_the_python_driver_hears_and_plays_through_its_queues(run):
    told, card = run("driver", 1)
    assert told["heard"] > RATE // 2 and told["loud"] == told["heard"], told
    assert told["played"] > RATE // 2, told


def test_a_machine_without_a_card_is_told_so(run):
    told, _ = run("none", 1)
    assert told["code"] == "no-audio-device" and "no microphone or no speaker" in told["said"], told
