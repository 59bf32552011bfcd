"""What a call costs MicroPython's unix port (mpy_device.py): heap per packet and per minute, memory of the process, and
what is lost while Python is busy. tests/e2e/test_micropython.py holds the short forms.
"""

import json
import secrets
import subprocess
import sys

from host_sim.server import LiveKitServer
from tests.bench import REPO, gates
from tests.micropython_program import FIRMWARE, PROGRAM

SENTENCE = REPO / "host_sim" / "assets" / "badge_sentence.wav"
HEAP = "1M"
SETTLE_S = 4
RSS_AIM_KIB = 12 << 10
TURN = 160          # samples: half a frame
GROWTH_MAX = 16     # bytes a minute of a long call: half of the smallest object


def ensure_binary():
    """The interpreter with the core; built the first time."""
    if not PROGRAM.exists():
        subprocess.run([sys.executable, REPO / "csrc" / "bind" / "micropython_build.py", "unix"], check=True,
                       stdout=subprocess.DEVNULL)
    return PROGRAM


def command(url, token, seconds, what, settle=SETTLE_S):
    return [str(one) for one in (ensure_binary(), "-X", f"heapsize={HEAP}", REPO / "tests" / "bench" / "mpy_device.py",
                                 FIRMWARE, url, token, SENTENCE, settle, seconds, what)]


def measure(server, seconds, what, with_talker=True):
    """The figures of mpy_device.py after `seconds` of `what`."""
    room = "micropython-" + secrets.token_hex(3)
    talker = None
    if with_talker:
        talker = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.devices", "talker", "--url", server.url, "--settle", "20",
             "--seconds", str(seconds), "--token", server.make_token("talker", room)], cwd=REPO,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        done = subprocess.run(command(server.url, server.make_token("device", room), seconds, what), cwd=REPO,
                              capture_output=True, text=True, timeout=3 * seconds + 60)
    finally:
        if talker is not None:
            talker.kill()
            talker.wait()
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"the MicroPython process ended with {done.returncode}: {done.stderr[-800:]}")
    return json.loads(done.stdout.splitlines()[-1])


def bytes_per_packet(figures):
    """What the heap pays for a packet: what is allocated with packets less what is without, over their number."""
    (with_packets, packets), (without, none) = figures["call"], figures["quiet"]
    assert none == 0 and packets > 0
    return (with_packets - without) / packets


def growth_per_minute(kept, every_s):
    """The median slope of what is in use after a collection, in bytes a minute."""
    slopes = sorted((later - earlier) / (j - i) for i, earlier in enumerate(kept)
                    for j, later in enumerate(kept[i + 1:], i + 1))
    return slopes[len(slopes) // 2] * 60 / every_s


def lost(window):
    """{what: samples} that a call must not lose. The microphone's are those that real time asks for, give or take a
    turn of the loop (and a millisecond of the clock)."""
    drift = abs(window["microphone_drift"])
    found = {name: window[name] for name in ("microphone_starved", "speaker_lost", "speaker_starved")}
    return found | {"microphone drift": max(0, drift - TURN - 16), "frames concealed": window["concealed"]}


def run(accepting=False, seconds=60, long_seconds=600):
    """python -m tests.bench micropython"""
    wrong = []
    with LiveKitServer() as server:
        heap = measure(server, 20, "heap", with_talker=False)
        a_packet, quiet = bytes_per_packet(heap), heap["quiet"][0] / 20
        print(f"  heap: {a_packet:.1f} B a packet; {quiet:.0f} B/s without packets (rings of files, waits, pings)")
        held = measure(server, seconds, "held")
        print(f"  {seconds} s, each with a collection and 200 ms of nothing else: lost {lost(held['window'])}, "
              f"{held['window']['played']} frames played, {held['window']['rtp_sent']} packets sent")
        slope = measure(server, long_seconds, "slope")
        growth = growth_per_minute(slope["kept"], 5)
        moved = slope["window"]["rtp_sent"], slope["window"]["rtp_received"]
        print(f"  {long_seconds} s, {moved[0]:,} packets out and {moved[1]:,} in: {slope['kept'][0]:,} to "
              f"{slope['kept'][-1]:,} B in use, {growth:+.0f} B a minute; resident at most "
              f"{slope['rss_kib'] / 1024:.1f} MiB of {RSS_AIM_KIB >> 10}")
        gates.table(["window", "CPU ms/s", "RSS MiB"], [
            [name, f"{1000 * one['cpu_per_second']:.1f}", f"{one['rss_kib'] / 1024:.1f}"]
            for name, one in (("heap", heap), ("held", held), ("long", slope))])
    if any(lost(held["window"]).values()):
        wrong.append(f"a busy Python was heard: {lost(held['window'])}")
    if min(moved) < 40 * long_seconds:
        wrong.append(f"only {moved} packets out and in during {long_seconds} s: no call to measure")
    if abs(growth) > GROWTH_MAX:
        wrong.append(f"what Python keeps grows by {growth:.0f} B a minute")
    if slope["rss_kib"] > RSS_AIM_KIB:
        wrong.append(f"{slope['rss_kib']} KiB resident")
    return wrong
