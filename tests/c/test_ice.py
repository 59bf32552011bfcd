"""csrc/net/ice*.c: agents connect, in virtual time over a scripted network (ice_net.py)."""

import random

import pytest
import stun_wire as wire
from ice_checks import A, B, USE, answer_to, check_to, connected_pair, is_request, lonely
from ice_net import MS, NEVER, S, Agent, Net, ffi, introduce, lib, two


# --- connecting ---

def test_first_valid_pair_after_one_round_trip_and_nominated_after_two():
    a, b, net = two(delay=20 * MS)
    introduce(a, b)
    net.run(1 * S)
    assert net.log[0].at == 0 and net.log[1].at == 0  # nobody waits before the first check
    assert a.reached("connected") == b.reached("connected") == 40 * MS
    assert b.reached("completed") == 60 * MS and a.reached("completed") == 80 * MS
    assert a.selected == (0, B) and b.selected == (0, A)
    assert a.rtt == b.rtt == 40 * MS
    assert a.can_send and b.can_send and a.accepts(*B) == b.accepts(*A) == 1


def test_without_loss_nothing_is_sent_twice():
    a, b, net = connected_pair(delay=20 * MS)
    assert a.counters["checks_sent"] == 2 and b.counters["checks_sent"] == 1
    assert a.counters["retransmissions"] == b.counters["retransmissions"] == 0


@pytest.mark.parametrize("controlling", [True, False], ids=["controlling", "controlled"])
def test_a_peer_that_tells_no_candidate_is_found_by_its_checks(controlling):
    """The device behind a NAT, or a client that never trickles (protocol.md 3.3)."""
    a, b, net = two(a_controlling=controlling, b_controlling=not controlling)
    introduce(a, b, candidates=False)
    a.add_remote(*B)
    net.run(1 * S)
    assert a.state == b.state == "completed"
    assert b.selected == (0, A)


def test_a_trickled_candidate_is_checked_at_once():
    a, b, net = two()
    introduce(a, b, candidates=False)
    net.run(3 * S)
    assert a.state == "new" and not net.log
    a.add_remote(*B)
    net.run(4 * S)
    assert net.log[0].at == 3 * S and a.reached("connected") == 3 * S + 40 * MS


def test_early_checks_are_answered_and_remembered():
    """The answer with the peer's credentials comes after its first check (RFC 8445 7.3)."""
    a, b, net = two()
    b.set_remote(a)
    b.add_remote(*A)
    net.run(100 * MS)
    assert b.counters["responses"] == 1  # valid for b already
    assert a.state == "new" and a.accepts(*B) == 2 and a.accepts("192.0.2.2", 2001) == 0
    assert not a.can_send
    a.set_remote(b)
    net.run(500 * MS)
    assert a.reached("connected") == 140 * MS
    assert a.state == b.state == "completed"


def test_an_early_nomination_is_kept_until_our_own_check_succeeds():
    a = Agent("a", A)
    assert a.input(0, B, check_to(a, extra=[USE])) == 0
    a.poll(0)
    a.set_remote(ufrag=b"peer", pwd=b"password of the peer 22")
    request = a.poll(1 * MS)[2]
    assert a.input(2 * MS, B, answer_to(request, b"password of the peer 22")) == 0
    assert a.state == "completed" and a.selected == (0, B)


def test_the_clock_may_start_anywhere():
    a, b, net = two()
    start = net.now = 7 * 24 * 3600 * S + 12345
    introduce(a, b)
    net.run(start + 100 * S)
    assert a.reached("connected") == start + 40 * MS and a.state == b.state == "completed"
    late = lonely()
    assert late.poll(start) is None and late.deadline == start + 30 * S
    assert late.poll(start + 29 * S) is None and late.state == "new"
    assert late.poll(start + 30 * S) is None and late.state == "failed"


@pytest.mark.parametrize("family", [4, 6])
def test_both_families_connect(family):
    addresses = [("192.0.2.1", 1), ("192.0.2.2", 2)] if family == 4 else [("2001:db8::1", 1), ("2001:db8::2", 2)]
    a, b = Agent("a", addresses[0], controlling=True), Agent("b", addresses[1])
    net = Net(a, b)
    introduce(a, b)
    net.run(1 * S)
    assert a.state == b.state == "completed"
    assert a.reflexive == addresses[0] and b.reflexive == addresses[1]


def test_pairs_are_of_one_family_and_checks_leave_from_the_right_socket():
    a = Agent("a", ("192.0.2.1", 1), ("2001:db8::1", 2), controlling=True)
    b = Agent("b", ("192.0.2.2", 3), ("2001:db8::2", 4))
    net = Net(a, b)
    introduce(a, b)
    net.run(1 * S)
    assert a.state == b.state == "completed"
    for sent in net.log:
        assert (":" in sent.source[0]) == (":" in sent.to[0])


def test_the_next_pair_is_taken_when_the_best_one_is_dead():
    a = Agent("a", ("192.0.2.1", 1), ("192.0.2.9", 2), controlling=True)
    b = Agent("b", ("192.0.2.2", 3))
    net = Net(a, b)
    net.cut = lambda sent: "192.0.2.1" in (sent.source[0], sent.to[0])
    introduce(a, b)
    net.run(1 * S)
    assert a.selected == (1, ("192.0.2.2", 3)) and b.selected == (0, ("192.0.2.9", 2))
    assert a.reached("connected") <= 50 * MS  # 5 ms after the first


@pytest.mark.parametrize("loss,slowest", [(0.3, 15 * S), (0.5, 25 * S)])
def test_loss_delays_but_does_not_prevent(loss, slowest):
    """The server gives up after about 15 s (protocol.md 3.6)."""
    for seed in range(150):
        a, b, net = two(a_seed="a%d" % seed, b_seed="b%d" % seed)
        net.rng.seed(seed)
        net.loss = loss
        introduce(a, b)
        net.run_until_completed()
        assert net.now < slowest, seed


# --- pace and retransmission ---

def test_retransmissions_of_an_unanswered_check_and_its_end():
    a = lonely(controlling=True)
    net = Net(a)
    a.add_remote(*B)
    net.run(40 * S)
    times = [s.at // MS for s in net.log]
    assert times == [0, 250, 750] + [1750 + 1000 * k for k in range(13)]
    assert len({wire.transaction_of(s.data) for s in net.log}) == 1 and len({s.data for s in net.log}) == 1
    assert a.reached("failed") == 14750 * MS and a.deadline == NEVER


def test_checks_of_many_pairs_are_paced_and_the_best_comes_first():
    a = lonely(controlling=True)
    net = Net(a)
    for i in range(12):
        a.add_remote("192.0.2.%d" % (50 + i), 9, priority=1000 + i)
    net.run(100 * MS)
    assert [s.at for s in net.log] == [5 * MS * i for i in range(12)]
    assert [s.to[0] for s in net.log] == ["192.0.2.%d" % (61 - i) for i in range(12)]


def test_ta_can_be_chosen():
    a = lonely(controlling=True, ta_us=20 * MS)
    net = Net(a)
    for i in range(3):
        a.add_remote("192.0.2.%d" % (50 + i), 9)
    net.run(100 * MS)
    assert [s.at for s in net.log] == [0, 20 * MS, 40 * MS]


def test_a_request_brings_the_repetition_of_our_check_forward():
    """The peer's check opens its NAT: do not wait for the timer (RFC 8445 7.3.1.4)."""
    a = lonely(controlling=True)
    net = Net(a)
    a.add_remote(*B)
    net.run(100 * MS)
    assert len(net.log) == 1
    a.input(100 * MS, B, check_to(a, role=(wire.ICE_CONTROLLED, 1)))
    net.run(101 * MS)
    assert [is_request(s) for s in net.log] == [True, False, True]
    assert wire.transaction_of(net.log[2].data) == wire.transaction_of(net.log[0].data)


def test_no_candidate_and_no_check_in_thirty_seconds_is_a_failure():
    a = lonely(controlling=True)
    net = Net(a)
    net.run(29 * S)
    assert a.state == "new"
    net.run(31 * S)
    assert a.state == "failed" and a.reached("failed") == 30 * S


def test_a_candidate_after_failure_is_tried():
    a, b, net = two()
    introduce(a, b, candidates=False)
    a.add_remote("192.0.2.77", 7)
    net.run(20 * S)
    assert a.state == "failed"
    a.add_remote(*B)
    net.run(21 * S)
    assert a.state == b.state == "completed"


def test_the_deadline_is_neither_early_nor_late():
    """Polling on a 1 ms grid gives what polling at deadlines gives."""
    for seed in range(10):
        logs = []
        for grid in (False, True):
            a, b, net = two(a_seed="a%d" % seed, b_seed="b%d" % seed, delay=20 * MS)
            net.loss = 0.3
            net.rng.seed(seed)
            introduce(a, b)
            if grid:
                for t in range(0, 12000):
                    for agent in (a, b):
                        if agent.deadline > t * MS:
                            assert agent.poll(t * MS) is None
                    net.run(t * MS)
            else:
                net.run(11999 * MS)
            logs.append([(s.at, s.source) for s in net.log])
        assert logs[0] == logs[1]


# --- the rest ---

def test_credentials_are_of_the_right_alphabet_and_differ():
    agents = [Agent("x%d" % i, A) for i in range(50)]
    allowed = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    for agent in agents:
        assert len(agent.ufrag) == 8 and len(agent.pwd) == 24
        assert set(agent.ufrag + agent.pwd) <= allowed
    assert len({agent.ufrag for agent in agents}) == len({agent.pwd for agent in agents}) == 50
    assert len({agent.ice.tie_breaker for agent in agents}) == 50


def test_removing_a_socket_forgets_its_pairs():
    a = Agent("a", ("192.0.2.1", 1), ("192.0.2.9", 2), controlling=True)
    b = Agent("b", B)
    net = Net(a, b)
    introduce(a, b)
    net.run(1 * S)
    assert a.selected == (0, B)
    lib.linnet_ice_remove_local(a.ice, 0)
    assert a.selected == (1, B)  # was valid too
    a.restart()
    b.restart()
    introduce(a, b)
    net.log.clear()
    net.run(2 * S)
    assert a.selected == (1, B) and a.state == "completed"
    assert {s.source for s in net.sent_by(a)} == {("192.0.2.9", 2)}


def test_closing_wipes_the_secrets_and_ends_all_output():
    a, b, net = connected_pair()
    secrets = a.pwd, a.ufrag
    lib.linnet_ice_close(a.ice)
    assert a.state == "closed" and a.deadline == NEVER and a.poll(100 * S) is None
    assert not a.can_send and a.accepts(*B) == 0
    assert not any(secret in bytes(ffi.buffer(a.ice)) for secret in secrets)
    assert a.input(100 * S, B, b"") == lib.LINNET_ERR_CLOSED
    assert a.add_remote(*B) == a.set_remote(ufrag=b"u", pwd=b"p") == lib.LINNET_ERR_CLOSED
    a.restart()
    assert a.state == "closed"


def test_an_agent_can_be_moved_in_memory():
    """No pointer inside: session memory is the caller's."""
    a, b, net = connected_pair()
    copy = ffi.new("linnet_ice_t *", a.ice[0])
    ffi.buffer(a.ice)[:] = b"\xaa" * ffi.sizeof("linnet_ice_t")
    a.ice = copy
    net.run(20 * S)
    assert a.state == b.state == "completed"


@pytest.mark.parametrize("seed", range(40))
def test_random_bytes_mutations_and_clocks_leave_the_agent_whole(seed):
    rng = random.Random(seed)
    a, b, net = two(a_seed=str(seed), a_controlling=bool(seed & 1), b_controlling=not seed & 1)
    net.rng.seed(seed)
    net.loss = 0.2
    introduce(a, b)

    def garble(sent):
        data = bytearray(sent.data)
        for _ in range(rng.choice((0, 0, 1, 3))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return sent._replace(data=bytes(data[:rng.randrange(len(data) + 1)] if rng.random() < .1 else data))

    net.rewrite = garble
    for t in range(1, 20):
        if rng.random() < 0.2:
            rng.choice((a, b)).restart()
            introduce(a, b)
        net.run(t * S)
    net.loss, net.rewrite = 0, lambda sent: sent
    a.restart(), b.restart()
    introduce(a, b)
    net.run(net.now + 2 * S)
    assert a.state == b.state == "completed"
