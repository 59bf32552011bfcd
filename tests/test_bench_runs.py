"""The deterministic benches are part of the suite: instructions per packet, heap calls, bytes of session memory."""

import json

import pytest

from tests.bench import bench_memory, bench_packets, gates


def budget_or_skip(bench, key):
    budget = gates.budget_for(bench, key)
    if budget is None:
        pytest.skip(f"no budget for {key!r} in tests/bench/budgets.json; "
                    f"python -m tests.bench {bench} --accept makes one")
    return budget


@pytest.fixture(scope="module")
def tools():
    return gates.toolchain()


def test_a_call_makes_no_heap_call_between_init_and_wipe(tools):
    program = bench_packets.build(tools)
    facts = {profile: bench_packets.call_facts(program, profile, frames=100) for profile in bench_packets.PROFILES}
    assert bench_packets.heap_wrongs(facts) == []


def test_a_call_goes_through_with_the_limits_of_a_board():
    """The handshake in both roles in the small TLS arena, one datagram of DTLS queue, sound in the small buffers."""
    program = bench_packets.build(gates.toolchain(LINNET_OPUS="fixed"), bench_memory.BOARD_LIMITS)
    for profile in bench_packets.PROFILES:
        facts = bench_packets.call_facts(program, profile, frames=100)
        assert facts["sounding"] == facts["frames"] == facts["received"] and facts["heap_calls"] == 0


def test_a_heap_call_and_a_blind_counter_are_both_told():
    good = {"heap_calls": 0, "heap_calls_of_a_known_user": 2}
    assert bench_packets.heap_wrongs({"cm": good}) == []
    assert len(bench_packets.heap_wrongs({"cm": {**good, "heap_calls": 1}})) == 1
    assert len(bench_packets.heap_wrongs({"cm": {**good, "heap_calls_of_a_known_user": 0}})) == 1


def test_instructions_per_packet_stay_in_their_budget(tools):
    if not bench_packets.has_valgrind():
        pytest.skip(bench_packets.MISSING)
    budget = budget_or_skip("packets", gates.compiler_key(tools))
    figures, _, _ = bench_packets.measure(tools)
    assert gates.over_budget(figures, budget) == [], "python -m tests.bench packets shows where; --accept if wanted"


def test_session_memory_stays_in_its_budget():
    budget = budget_or_skip("memory", bench_memory.key())
    assert gates.over_budget(bench_memory.figures_of(bench_memory.measure()), budget) == []


def test_growth_beyond_two_percent_is_over_budget():
    assert gates.over_budget({"send": 1020}, {"send": 1000}) == []
    assert len(gates.over_budget({"send": 1021}, {"send": 1000})) == 1
    assert len(gates.over_budget({"send": 1}, {"send": 0})) == 1


def test_a_figure_without_a_budget_and_a_budget_without_a_figure_are_both_told():
    assert len(gates.over_budget({"send": 1}, {"receive": 1})) == 2


def test_accepting_writes_the_figures_of_one_key_and_keeps_the_others(tmp_path):
    path = tmp_path / "budgets.json"
    gates.accept("packets", "gcc-12 x86_64", {"send": 1}, path)
    gates.accept("packets", "gcc-13 x86_64", {"send": 2}, path)
    gates.accept("memory", "x86_64", {"all": 3}, path)
    assert json.loads(path.read_text()) == {
        "packets": {"gcc-12 x86_64": {"send": 1}, "gcc-13 x86_64": {"send": 2}}, "memory": {"x86_64": {"all": 3}}}
