"""MediaLoop: the surface of Driver on the native media loop, in asyncio."""

import asyncio
import os
import wave

import numpy as np
import pytest

from host_sim import audio, port_host
from linnet import core, port
from linnet.errors import Closed, Refused
from linnet.media_loop import MediaLoop, make_session
from linnet.port import Port
from tests.port.loops import LOOPBACK, RATE
from tests.port.test_loop_call import best_correlation, chirps


class Machine:
    """One end of a call."""

    def __init__(self, ssrc, device=None, **options):
        self.port = Port(port_host.HostNet(addresses=[LOOPBACK]), port_host.HostClock(), device, media_loop=True)
        options.setdefault("rate", RATE)
        self.session = make_session(self.port, os.urandom(48), **options)
        self.ssrc = ssrc
        self.events, self.messages, self.failures = [], [], []
        self.local = None
        self.states = [core.NEW] * 3
        self.open = asyncio.Event()
        self.handle = None
        self.answer = None
        self.driver = MediaLoop(self.port, self.session, self.on_event, self.failures.append)

    def on_event(self, kind, fields):
        self.events.append((kind, fields))
        if kind == core.LOCAL:
            self.local = fields
        elif kind == core.STATE:
            self.states[fields[0]] = fields[1]
        elif kind == core.CHANNEL and fields[1]:
            self.handle = fields[0]
            self.open.set()
        elif kind == core.DATA:
            self.messages.append(fields[2])
            if self.answer is not None:
                self.answer(fields[2])

    async def until(self, fact, limit_s=10):
        async with asyncio.timeout(limit_s):
            while not fact():
                await asyncio.sleep(0.01)


async def connected(left_audio=None, right_audio=None, **options):
    left, right = Machine(0x1111, left_audio, **options), Machine(0x2222, right_audio, **options)
    for end in (left, right):
        await end.driver.open()
    for end, other, is_left in ((left, right, True), (right, left, False)):
        now = end.driver.now()
        fingerprint, ufrag, pwd = other.local
        mine = next(fields for kind, fields in end.events if kind == core.LOCAL)
        assert mine == end.local
        end.session.publish(now, end.ssrc, 111, 1, 2, "0")
        end.session.set_track(now, 0, other.ssrc, 111)
        end.session.set_remote(now, ufrag, pwd, fingerprint, not is_left, is_left)
    for end, other in ((left, right), (right, left)):
        # The candidate of the other is known to its core only: asked for by the system.
        end.session.add_remote_candidate(0, LOOPBACK, other.number, 2130706431, 0)
    left.session.open_channel(0, "_reliable")
    await left.until(left.open.is_set)
    await right.until(right.open.is_set)
    return left, right


@pytest.fixture(autouse=True)
def numbers(monkeypatch):
    """Lets a Machine know the port its loop was given."""
    bind = core.Loop.bind

    def noted(loop, family):
        number = bind(loop, family)
        Machine.last_number = number
        return number

    monkeypatch.setattr(core.Loop, "bind", noted)
    opened = MediaLoop.open

    async def open_noted(driver):
        await opened(driver)
        driver._on_event.__self__.number = Machine.last_number

    monkeypatch.setattr(MediaLoop, "open", open_noted)


def test_the_adapters_of_a_laptop_keep_the_contract_of_the_loop():
    for device in (audio.WavAudio(RATE), audio.DeviceAudio(RATE), audio.PairAudio(audio.WavAudio(RATE),
                                                                                  audio.WavAudio(RATE))):
        needed = set(port.missing(device, port.LoopAudio))
        assert needed <= ({"ring_fill", "ring_heard"} if isinstance(device, audio.DeviceAudio) else set())
    assert port.missing(port_host.HostNet(), port.Net) == []


@pytest.mark.asyncio
async def test_what_open_promises_is_told_when_it_returns():
    machine = Machine(1)
    await machine.driver.open()
    assert machine.local is not None and machine.driver.running
    await machine.driver.close()
    await machine.driver.close()
    assert not machine.driver.running and machine.failures == []


@pytest.mark.asyncio
async def test_a_file_on_one_side_is_the_file_on_the_other(tmp_path):
    said = chirps(2, 5)
    ears = audio.WavAudio(RATE, out=tmp_path / "heard.wav")
    with wave.open(str(tmp_path / "said.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(said.tobytes())
    mouth = audio.WavAudio(*audio.read_wav(tmp_path / "said.wav"), wait=True)
    left, right = await connected(mouth, ears)
    for end in (left, right):
        end.driver.start_audio()
    await asyncio.sleep(0.3)
    assert not mouth.finished
    mouth.begin()
    await left.until(lambda: mouth.finished)
    await asyncio.sleep(0.4)
    late = [end.driver.frames_late for end in (left, right)]
    assert left.driver.unsent == right.driver.unsent == 0
    await left.driver.close()
    await right.driver.close()
    with wave.open(str(tmp_path / "heard.wav")) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    found, at = best_correlation(said, heard)
    assert found > (0.7 if any(late) else 0.9)
    assert len(heard) > at + len(said)  # finished means heard: nothing of the file was still in a ring
    assert ears.trouble == ""


@pytest.mark.asyncio
@pytest.mark.parametrize("ring_ms, most", [(400, 15), (600, 5), (3000, 5)])
async def test_a_longer_ring_is_looked_at_less_often_and_keeps_its_reserve(ring_ms, most):
    """Every look wakes the interpreter."""
    device = audio.WavAudio(RATE)
    device.loop_ring_ms = ring_ms
    machine = Machine(1, device)
    await machine.driver.open()
    machine.driver.start_audio()
    waiting, turn = [], machine.driver._turn_rings

    def look():
        waiting.append(machine.session.loop_stats()["microphone_waiting"])
        turn()

    machine.driver._turn_rings = look
    await asyncio.sleep(1.55)
    starved = machine.session.loop_stats()["microphone_starved"]
    await machine.driver.close()
    assert 2 <= len(waiting) <= most
    assert starved == 0 and np.median(waiting) > 0.25 * RATE


@pytest.mark.asyncio
async def test_whoever_is_told_may_answer_at_once():
    left, right = await connected()
    right.answer = lambda text: right.session.send_data(0, right.handle, text[::-1])
    for i in range(50):
        left.session.send_data(left.driver.now(), left.handle, b"%d!" % i)
        left.driver.drain()
    await left.until(lambda: len(left.messages) == 50)
    assert left.messages == [(b"%d!" % i)[::-1] for i in range(50)]
    await left.driver.close()
    await right.until(lambda: right.states[core.SCTP] == core.CLOSED)
    await right.driver.close()


@pytest.mark.asyncio
async def test_a_handler_that_fails_ends_the_call_and_says_so():
    left, right = await connected()

    def fail(text):
        raise RuntimeError("a bug of the application")

    right.answer = fail
    left.session.send_data(0, left.handle, b"x")
    await right.until(lambda: right.failures)
    assert "a bug" in str(right.failures[0])
    for end in (left, right):
        await end.driver.close()


@pytest.mark.asyncio
async def test_a_loop_that_gave_up_waiting_for_us_is_a_failure():
    machine = Machine(1, dead_ms=100)
    await machine.driver.open()
    await machine.until(lambda: machine.session.loop_stats()["is_over"])
    await machine.until(lambda: machine.failures)
    assert isinstance(machine.failures[0], Closed)
    await machine.driver.close()


@pytest.mark.asyncio
async def test_a_device_that_does_not_open_is_refused(tmp_path):
    machine = Machine(1, audio.WavAudio(RATE, out=tmp_path / "not there" / "o.wav"))
    await machine.driver.open()
    with pytest.raises(Refused):
        machine.driver.start_audio()
    await machine.driver.close()


@pytest.mark.asyncio
async def test_a_full_disk_is_told_and_the_call_goes_on():
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is missing: run it on Linux")
    full = audio.WavAudio(RATE, out="/dev/full")
    left, right = await connected(audio.WavAudio(RATE), full)
    right.driver.start_audio()
    await right.until(lambda: "No space left" in full.trouble)
    left.session.send_data(0, left.handle, b"still here")
    await right.until(lambda: right.messages)
    for end in (left, right):
        await end.driver.close()


@pytest.mark.asyncio
async def test_a_device_with_a_clock_of_its_own_is_fed_from_its_own_thread():
    """What sounddevice's callbacks do, without a sound card: blocks of 10 ms, from another thread."""
    import threading
    import time

    class Card(port.LoopAudio):
        rate = RATE
        loop_sound = loop_speaker_sound = core.LOOP_FREE

        def __init__(self, says):
            self.says, self.heard = bytearray(says), bytearray()
            self.thread = None

        def loop_start(self, loop):
            self.loop, self.is_open = loop, True
            self.thread = threading.Thread(target=self.run)
            self.thread.start()

        def loop_stop(self):
            self.is_open = False
            if self.thread:
                self.thread.join()

        def run(self):
            block, turn = bytearray(RATE // 50), time.monotonic()
            while self.is_open:
                piece, self.says = self.says[: len(block)], self.says[len(block) :]
                self.loop.mic(bytes(piece).ljust(len(block), b"\0"))
                n = self.loop.speaker(block)
                self.heard += bytes(block[: 2 * n]).ljust(len(block), b"\0")
                turn += 0.01
                time.sleep(max(0, turn - time.monotonic()))

    said = chirps(2, 9)
    left, right = await connected(Card(bytes(RATE) + said.tobytes()), Card(b""))
    for end in (left, right):
        end.driver.start_audio()
    await asyncio.sleep(3.5)
    counts = right.session.loop_stats()
    for end in (left, right):
        await end.driver.close()
    # The card's thread is Python's, and as late as this machine is busy: in pieces, between the holes.
    heard = np.frombuffer(bytes(right.port.audio.heard), "<i2")
    found = [best_correlation(said[at : at + RATE // 4], heard)[0] for at in range(0, len(said), RATE // 4)]
    assert np.median(found) > 0.9, (found, counts)
    assert counts["speaker_lost"] == 0
