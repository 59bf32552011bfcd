"""What a DTLS handshake costs: CPU time a side, arena, round trips and time on bad networks (virtual time).

    python tests/bench/bench_dtls.py [SEEDS]    -> one JSON object a line
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "c"))

from dtls_peers import Link, connect, load_dtls, pair  # noqa: E402  (after sys.path)

NETWORKS = {
    "clean, RTT 60 ms": dict(delay_us=30_000),
    "5 % loss": dict(delay_us=30_000, loss=0.05),
    "30 % loss, reorder, duplicates": dict(delay_us=30_000, loss=0.3, reorder=0.3, duplicate=0.1),
    "50 % loss": dict(delay_us=30_000, loss=0.5),
}


def cpu_ms(c, rounds=20):
    """Both sides of a handshake; and one identity."""
    pairs = [pair(c, seed) for seed in range(rounds)]
    began = time.process_time()
    for client, server in pairs:
        link = Link(client, server)
        client.start(0)
        link.run(stop=link.both_connected)
    handshake = (time.process_time() - began) / rounds
    end, scratch = pairs[0][0], c.ffi.new("uint64_t[]", 512)
    began = time.process_time()
    for _ in range(rounds):
        c.lib.linnet_identity_make(end.identity, end.rng, scratch, 4096)
    return handshake * 1000, (time.process_time() - began) / rounds * 1000


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    c = load_dtls()
    handshake, identity = cpu_ms(c)
    print(json.dumps({"handshake_both_sides_ms": round(handshake, 2), "identity_ms": round(identity, 2),
                      "linnet_dtls_t": c.ffi.sizeof("linnet_dtls_t")}))
    for name, network in NETWORKS.items():
        times, sent, peak = [], 0, 0
        for seed in range(seeds):
            ends = pair(c, seed % 8)
            link = connect(*ends, seed=seed, **network)
            assert link.both_connected(), seed
            times.append(link.now / 1000)
            sent += sum(len(end.sent) for end in ends)
            peak = max(peak, *(end.arena_peak for end in ends))
        times.sort()
        print(json.dumps({"network": name, "handshakes": seeds, "median_ms": times[seeds // 2],
                          "p95_ms": times[seeds * 95 // 100], "worst_ms": times[-1],
                          "datagrams": round(sent / seeds, 1), "arena_peak": peak}))


if __name__ == "__main__":
    main()
