"""A thousand bad networks, each from a seed: handshake, data channel and sound survive all of them."""

import os

from tests.scenario import bad_network

SEEDS = int(os.environ.get("LINNET_SEEDS", "1000"))


def test_calls_survive_loss_reorder_duplication_and_an_outage():
    jobs = os.cpu_count() or 1
    virtual, wall, failures = bad_network.run_all(SEEDS, jobs)
    print(f"\n{SEEDS} seeds: {virtual:.0f} virtual s in {wall:.1f} s on {jobs} processes, "
          f"{virtual / wall / jobs:.0f} x one call on one core")
    replay = "".join(f"\n{text}" for text in failures[:10])
    how = "replay: python -m tests.scenario.bad_network SEED"
    assert not failures, f"{len(failures)} of {SEEDS} seeds failed; {how}{replay}"


def test_a_seed_gives_the_same_call_twice():
    assert bad_network.run(11) == bad_network.run(11)
