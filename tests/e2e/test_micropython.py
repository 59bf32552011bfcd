"""What a call costs MicroPython's unix port with the native media loop: nothing per packet, few megabytes, and no sound
lost while its Python collects garbage. `python -m tests.bench micropython` is the long form."""

import pytest

from tests.bench import bench_micropython as bench

SECONDS = 10


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
