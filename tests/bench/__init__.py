"""Measurements beside the peers, each in one run: python -m tests.bench [NAME ...] [--accept]"""

import importlib
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
for _folder in ("firmware", "csrc/bind", "csrc/third_party"):
    if str(REPO / _folder) not in sys.path:
        sys.path.insert(0, str(REPO / _folder))

NAMES = {
    "packets": "instructions per packet, handshake and identity; heap calls (gate)",
    "memory": "bytes of session memory (gate)",
    "srtp": "nanoseconds per packet, beside libsrtp",
    "dtls": "handshakes: CPU time, and virtual time on bad networks",
    "resample": "our resampler beside speexdsp's: how clean, instructions, bytes",
    "media": "CPU of the audio path per frame, beside libopus alone",
    "join": "time from connect() to the first decoded remote sound, beside the livekit wheel",
    "call": "CPU and memory of one device in a call, beside the livekit wheel and aiortc",
    "micropython": "what a call costs MicroPython: heap, memory, and a busy Python (11 minutes)",
}


def runner(name):
    """run(accepting) of one bench: prints its table and returns what is wrong, one sentence each."""
    if name in ("srtp", "dtls", "media"):
        from tests.bench import scripts
        return getattr(scripts, name)
    return importlib.import_module(f"tests.bench.bench_{name}").run
