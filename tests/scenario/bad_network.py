"""One call over a network drawn from a seed: up to 30 % loss, reorder, duplication and a 1 s outage.

    python -m tests.scenario.bad_network SEED      replay one, telling what happens
    python -m tests.scenario.bad_network --count 1000 [--jobs 2]   all of them, with the rate of virtual to real time
"""

import argparse
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from host_sim.netem import Link

from .call import Call, ScenarioFailed, core, power_at, sounding_at

MESSAGES = 12
OUTAGE_US = 1000000


def draw(seed):
    """The network and the roles of a seed."""
    rng = random.Random(seed)
    # Of a quarter of the seeds, in every role, it comes in the middle of the handshakes.
    outage = int(rng.random() * 1000000) if seed & 12 == 4 else 1000000 + int(rng.random() * 4000000)
    links = []
    for direction in range(2):
        links.append(
            Link(
                seed * 2 + direction,
                loss=0.3 * rng.random() if seed % 4 else 0.3,
                delay_us=int(rng.random() * 60000),
                jitter_us=int(rng.random() * 40000),
                duplicate=0.1 * rng.random(),
                outages=[(1000000 + outage, 1000000 + outage + OUTAGE_US)],
            )
        )
    roles = {"left_is_client": bool(seed & 1), "left_is_controlling": bool(seed & 2)}
    return rng, tuple(links), roles


def run(seed, tell=lambda text: None):
    """Run one seed; returns virtual seconds. Raises ScenarioFailed."""
    rng, links, roles = draw(seed)
    # Narrow band, complexity 0: the point is the network, and most of the time goes into Opus.
    options = {"rate": 8000, "complexity": 0, "flags": core.FEC}
    call = Call(seed, links, options, dict(options))
    begin = call.now
    call.connect(negotiated=bool(seed & 8), **roles)
    call.start_sound()
    both = (call.left, call.right)
    took = call.run_until(
        lambda: all(e.is_connected and e.is_open("_reliable") for e in both), 20000, "the data channel"
    )
    tell(f"data channel open after {took:.0f} ms")
    sent = {}
    for end in both:
        sent[end.name] = [rng.randbytes(1 + rng.randrange(3000)) for _ in range(MESSAGES)]
        for message in sent[end.name]:
            call.send(end, "_reliable", message)
    took = call.run_until(lambda: all(len(e.received) >= MESSAGES for e in both), 30000, "all messages")
    tell(f"{2 * MESSAGES} messages delivered after {took:.0f} ms")
    for end in both:
        got = [data for _, _, data in call.other(end).received]
        if got != sent[end.name]:
            raise ScenarioFailed(f"seed {seed}: messages of {end.name} arrived changed or out of order")
    over = max(link.outages[0][1] for link in links) + 500000
    call.run_for(max(0, over - call.now) // 1000)
    for end in both:
        end.keep_sound = True
    call.run_for(1000)
    for end, frequency in ((call.left, 1000), (call.right, 440)):
        share, goes_on = (of(frequency, end.rate, bytes(end.heard)) for of in (power_at, sounding_at))
        tell(f"{end.name} hears {share:.2f} of its sound at {frequency} Hz, in {goes_on:.2f} of the time")
        if share < 0.5 or goes_on < 0.7:
            raise ScenarioFailed(f"seed {seed}: {end.name} hears {share:.2f} at {frequency} Hz after the outage,"
                                 f" in {goes_on:.2f} of the time")
    for end in both:
        if end.session.stats()["dropped_srtp_auth"] or end.failures:
            raise ScenarioFailed(f"seed {seed}: {end.name} failed inside: {end.failures}")
    return (call.now - begin) / 1e6


def run_many(seeds):
    """(virtual seconds, [failure texts]) of some seeds."""
    virtual, failures = 0.0, []
    for seed in seeds:
        try:
            virtual += run(seed)
        except ScenarioFailed as failure:
            failures.append(str(failure))
    return virtual, failures


def run_all(count, jobs, first=0):
    """(virtual seconds, wall seconds, failures) of `count` seeds on `jobs` processes."""
    start = time.monotonic()
    parts = [range(first + i, first + count, jobs * 4) for i in range(jobs * 4)]
    with ProcessPoolExecutor(jobs) as pool:
        results = list(pool.map(run_many, parts))
    wall = time.monotonic() - start
    return sum(v for v, _ in results), wall, [text for _, texts in results for text in texts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    if args.seed is not None:
        seconds = run(args.seed, print)
        print(f"seed {args.seed}: passed, {seconds:.1f} virtual seconds")
        return
    virtual, wall, failures = run_all(args.count, args.jobs)
    for text in failures:
        print(f"{text}\n  replay: python -m tests.scenario.bad_network {text.split()[1].rstrip(':')}")
    print(
        f"{args.count} seeds, {len(failures)} failed; {virtual:.0f} virtual s in {wall:.1f} s on {args.jobs} processes:"
        f" {virtual / wall:.0f} x real time, {virtual / wall / args.jobs:.0f} x one call on one core"
    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
