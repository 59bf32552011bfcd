"""The benches that are programs of their own (srtp, dtls, media) and print JSON lines: run, and shown as tables."""

import json
import subprocess
import sys

from tests.bench import REPO, gates

TIMEOUT_S = 300
HANDSHAKES = 60  # each network


def _lines(name, *arguments):
    done = subprocess.run([sys.executable, str(gates.HERE / f"bench_{name}.py"), *arguments], cwd=REPO, text=True,
                          capture_output=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"bench_{name}.py ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def srtp(accepting=False):
    *rows, last = _lines("srtp")
    gates.table(["ns a packet (theirs: through Python)", "payload", "protect", "open", "libsrtp's", "libsrtp's open"],
                [[row["profile"], row["payload"], row["protect_ns"], row["open_ns"], row["pylibsrtp_protect_ns"],
                  row["pylibsrtp_open_ns"]] for row in rows])
    print(f"  {last['bytes_per_direction']:,} bytes of state a direction")
    return []


def dtls(accepting=False):
    first, *rows = _lines("dtls", str(HANDSHAKES))
    print(f"  CPU: {first['handshake_both_sides_ms']} ms for both sides of a handshake, {first['identity_ms']} ms for "
          f"key and certificate; linnet_dtls_t has {first['linnet_dtls_t']:,} bytes")
    gates.table(["network", "handshakes", "median ms", "p95 ms", "worst ms", "datagrams", "arena peak"],
                [[row["network"], row["handshakes"], row["median_ms"], row["p95_ms"], row["worst_ms"],
                  row["datagrams"], f"{row['arena_peak']:,}"] for row in rows])
    return []


def media(accepting=False):
    for row in _lines("media"):
        print("  " + ", ".join(f"{name} {value}" for name, value in row.items()))
    return []
