"""Calls between two native media loops: sound, data, back-pressure, and a Python that stands still.

Time is real and the machine may be busy with others. A loop that itself came late explains concealed frames; a test
that finds it so in its window judges what is still exact, says so, and tries again (loops.tries)."""

import gc
import time

import numpy as np
import pytest

from tests.port.loops import RATE, core, pair, run, run_until, tries


def chirps(seconds, seed=7):
    """Speech-like: bursts of different pitch, so that a shift or a gap shows in the correlation."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(0.2 * RATE)) / RATE
    bursts = [np.sin(2 * np.pi * (200 + 60 * k * t) * t) * np.hanning(len(t)) for k in rng.integers(1, 40, 50)]
    return (8000 * np.concatenate(bursts)[: int(seconds * RATE)]).astype("<i2")


def best_correlation(sent, heard):
    """The largest normalised correlation of `sent` with any part of `heard`, and its place in samples."""
    sent, heard = sent.astype(float), heard.astype(float)
    n = len(sent) + len(heard)
    product = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(sent, n)), n)[: len(heard)]
    at = int(np.argmax(product))
    piece = heard[at : at + len(sent)]
    return product[at] / (np.linalg.norm(sent[: len(piece)]) * np.linalg.norm(piece) + 1e-9), at


def test_what_one_side_says_the_other_hears():
    for window in tries(longest_wait_s=0.4):
        with pair() as (left, right):
            sent = {left: chirps(2, 1), right: chirps(2, 2)}
            run(0.3, left, right)
            window.begin(left, right)
            before = {end: end.stats() for end in (left, right)}
            for end, samples in sent.items():
                end.to_say += samples.tobytes()
            run(3.5, left, right)
            window.end()
            figures = {end: end.stats() for end in (left, right)}  # before the judge takes its time
            assert window.is_whole(), window.gained_s
            for end, other in ((left, right), (right, left)):
                found, _ = best_correlation(sent[other], np.frombuffer(bytes(end.heard), "<i2"))
                stats, was = figures[end], before[end]
                assert stats["rtp_received"] > 150
                assert stats["speaker_lost"] == stats["events_dropped"] == 0
                if window.is_judged:
                    assert found > 0.9
                    for name in ("microphone_starved", "speaker_starved"):
                        assert stats[name] == was[name], name
                    assert stats["track"]["frames_concealed"] == was["track"]["frames_concealed"]


def test_the_clock_of_the_loop_is_the_clock_of_the_rings():
    """Samples taken and given are those that real time asks for, whenever Python looks."""
    with pair() as (left, right):
        began = time.monotonic()
        before = left.loop.stats()
        run(1.0, left, right)
        seconds = time.monotonic() - began
        after = left.loop.stats()
        for name in ("microphone_samples", "speaker_samples"):
            assert abs((after[name] - before[name]) / RATE - seconds) < 0.05, name


def test_a_turn_of_sound_is_one_step_of_the_core():
    """Not one more for the few samples that come while an encoder works."""
    with pair() as (left, right):
        run(0.5, left, right)
        before = left.stats()
        run(2.0, left, right)
        after = left.stats()
        grown = {name: after[name] - before[name] for name in ("turns", "steps", "datagrams_received")}
        assert grown["steps"] < grown["turns"] + grown["datagrams_received"] + 40, grown


def test_messages_arrive_whole_and_in_order_both_ways():
    with pair() as (left, right):
        run_until(lambda: right.open.get("_reliable") is not None, left, right)
        texts = [bytes([i % 256]) * (i * 37 % 4000 + 1) for i in range(200)]
        for end in (left, right):
            for text in texts:
                while end.loop.send_data(0, end.open["_reliable"], text) == core.ERR_AGAIN:
                    run_until(lambda end=end: any(kind == core.SENDABLE for kind, _ in end.events), left, right)
                    end.events = [event for event in end.events if event[0] != core.SENDABLE]
        run_until(lambda: len(left.messages) >= 200 and len(right.messages) >= 200, left, right)
        assert left.messages == texts and right.messages == texts


def send_for(seconds, sender, waiting, *ends):
    """Sends what waits, as soon as it may, until the last of it has come to the other end."""
    end, last = time.monotonic() + seconds, waiting[-1]

    def is_over():
        while waiting and sender.loop.send_data(0, sender.open["_reliable"], waiting[0]) == 0:
            waiting.pop(0)
        return time.monotonic() > end or any(one.messages[-1:] == [last] for one in ends)

    run_until(is_over, *ends, limit_s=seconds + 5)


def test_messages_wait_at_the_sender_while_python_sleeps_and_the_sound_goes_on():
    """Far more than all buffers of the receiver together; its Python takes nothing for two seconds."""
    small = {"event_bytes": 70000, "max_message": 30000, "recv_buffer": 60000, "mic_ms": 5000, "speaker_ms": 8000}
    for window in tries():
        with pair(right_options=small) as (left, right):
            texts = [bytes([i]) * 20000 for i in range(40)]  # 800 kB
            waiting = list(texts)
            window.begin(left, right)
            before = right.stats()
            send_for(2, left, waiting, left)
            window.end()
            asleep = right.stats()
            assert waiting, "everything fitted: this test shows nothing"
            assert asleep["events_held"] >= 1 and asleep["events_dropped"] == 0
            assert asleep["rtp_received"] - before["rtp_received"] > 80
            assert asleep["microphone_starved"] == before["microphone_starved"] and window.is_whole(), window.gained_s
            if window.is_judged:
                assert asleep["track"]["frames_concealed"] == before["track"]["frames_concealed"]
            send_for(20, left, waiting, left, right)
            assert right.messages == texts
            assert right.loop.loop_stats()["events_dropped"] == 0


def test_other_events_fit_while_messages_are_held():
    small = {"event_bytes": 70000, "max_message": 30000, "recv_buffer": 60000}
    with pair(right_options=small) as (left, right):
        run_until(lambda: left.loop.send_data(0, left.open["_reliable"], bytes(20000)) == core.ERR_AGAIN, left)
        run_until(lambda: right.loop.loop_stats()["events_held"] > 0, left)
        for _ in range(30):
            right.loop.ice_restart(0)  # tells a new LOCAL each
            time.sleep(0.005)
        assert right.loop.loop_stats()["events_dropped"] == 0
        right.poll()
        assert sum(kind == core.LOCAL for kind, _ in right.events) == 31


def test_a_flood_of_other_events_is_counted_not_endless():
    with pair(right_options={"event_bytes": 40000, "max_message": 30000}) as (left, right):
        for _ in range(1000):
            right.loop.ice_restart(0)
            if right.loop.loop_stats()["events_dropped"]:
                break
            time.sleep(0.001)
        assert right.loop.loop_stats()["events_dropped"] > 0


@pytest.mark.parametrize("seconds", [10])
def test_a_garbage_collection_and_a_busy_interpreter_are_not_heard(seconds):
    """gc.collect() and 200 ms of pure Python every second, on both sides' interpreter. The rings are long enough for
    a machine that also lets Python wait."""
    rings = {"mic_ms": 3000, "speaker_ms": 6000}
    for window in tries(longest_wait_s=2.5):
        with pair(rings, rings) as (left, right):
            run(0.5, left, right)
            window.begin(left, right)
            before = right.stats()
            be_busy(seconds, left, right)
            window.end()
            after = right.stats()
            figures = {name: after[name] - before[name] for name in
                       ("microphone_starved", "speaker_lost", "speaker_starved", "turns")}
            figures["concealed"] = after["track"]["frames_concealed"] - before["track"]["frames_concealed"]
            assert window.is_whole() and figures["speaker_lost"] == 0, (window.gained_s, figures)
            if window.is_judged:
                assert figures["turns"] >= seconds * 99
                assert figures["concealed"] == figures["speaker_starved"] == figures["microphone_starved"] == 0, figures


def be_busy(seconds, *ends):
    heap = [[[i] for i in range(20)] for _ in range(20000)]
    began = time.monotonic()
    for i in range(seconds):
        gc.collect()
        busy_until = time.monotonic() + 0.2
        while time.monotonic() < busy_until:
            heap[i] = sum(range(100))
        run(max(0.1, began + i + 1 - time.monotonic()), *ends)
