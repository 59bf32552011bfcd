"""csrc/net/ice*.c: agents in virtual time over a scripted network (ice_net.py)."""

import random
import struct

import pytest

import stun_wire as wire
from ice_net import MS, NEVER, S, Agent, Nat, Net, address, ffi, introduce, lib, two

A, B = ("192.0.2.1", 1000), ("192.0.2.2", 2000)


def is_request(sent):
    return sent.data[:2] == b"\0\1"


def check_to(agent, ufrag=b"peer", pwd=None, extra=(), priority=0x6E0001FF, role=(wire.ICE_CONTROLLING, 0),
             transaction=wire.TRANSACTION):
    """A connectivity check to `agent`, by an independent writer; `role`: attribute and tie-breaker, or None."""
    attributes = [wire.attribute(wire.USERNAME, agent.ufrag + b":" + ufrag)]
    if priority is not None:
        attributes.append(wire.attribute(wire.PRIORITY, struct.pack("!I", priority)))
    if role:
        attributes.append(wire.attribute(role[0], struct.pack("!Q", role[1])))
    data = wire.message(*attributes, *extra, transaction=transaction)
    return wire.seal(wire.sign(data, pwd or agent.pwd))


def answer_to(request, pwd, mapped=A, kind=wire.SUCCESS, attributes=None):
    if attributes is None:
        ip = bytes(int(x) for x in mapped[0].split("."))
        masked = bytes(x ^ y for x, y in zip(ip, b"\x21\x12\xa4\x42", strict=True))
        attributes = [wire.attribute(wire.XOR_MAPPED_ADDRESS,
                                     b"\0\1" + struct.pack("!H", mapped[1] ^ 0x2112) + masked)]
    data = wire.message(*attributes, kind=kind, transaction=wire.transaction_of(request))
    return wire.seal(wire.sign(data, pwd))


USE = wire.attribute(wire.USE_CANDIDATE, b"")


def lonely(controlling=False, **options):
    """An agent that knows remote credentials; the peer is the test."""
    agent = Agent("a", A, controlling=controlling, **options)
    agent.set_remote(ufrag=b"peer", pwd=b"password of the peer 22")
    return agent


def connected_pair(**options):
    a, b, net = two(**options)
    introduce(a, b)
    net.run(1 * S)
    assert a.state == b.state == "completed"
    return a, b, net


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


# --- roles and nomination ---

@pytest.mark.parametrize("controlling", [True, False], ids=["both controlling", "both controlled"])
@pytest.mark.parametrize("a_wins", [True, False])
def test_role_conflict_ends_with_one_of_each(controlling, a_wins):
    """RFC 8445 7.3.1.1: of two controlling the larger tie-breaker stays, of two controlled it takes over."""
    a, b, net = two(a_controlling=controlling, b_controlling=controlling)
    a.ice.tie_breaker, b.ice.tie_breaker = (2, 1) if a_wins else (1, 2)
    introduce(a, b)
    net.run(2 * S)
    assert a.state == b.state == "completed"
    assert (a.controlling, b.controlling) == ((True, False) if a_wins else (False, True))
    assert a.counters["role_conflicts"] and b.counters["role_conflicts"]
    assert a.reached("completed") < 500 * MS and b.reached("completed") < 500 * MS


@pytest.mark.parametrize("controlling", [True, False], ids=["both controlling", "both controlled"])
@pytest.mark.parametrize("first", ["a", "b"])
def test_role_conflict_is_settled_by_487_when_only_one_side_checks(controlling, first):
    a, b, net = two(a_controlling=controlling, b_controlling=controlling)
    before = a.ice.tie_breaker, b.ice.tie_breaker
    introduce(a, b, candidates=False)
    (a if first == "a" else b).add_remote(*(B if first == "a" else A))
    net.run(2 * S)
    assert a.state == b.state == "completed" and a.controlling != b.controlling
    refused = [s for s in net.log if s.data[:2] == b"\x01\x11"]
    for sent in refused:  # RFC 8445 16.1: whoever gets a 487 changes its number
        assert wire.attributes_of(sent.data)[wire.ERROR_CODE][2:4] == b"\x04\x57"
        loser = 0 if sent.to == A else 1
        assert (a.ice.tie_breaker, b.ice.tie_breaker)[loser] != before[loser]


def test_a_lost_role_renews_the_check_that_runs():
    a = lonely(controlling=True)
    a.ice.tie_breaker = 5
    a.add_remote(*B)
    first = a.poll(0)[2]
    a.input(10 * MS, B, check_to(a, role=(wire.ICE_CONTROLLING, 6)))
    assert wire.kind_of(a.poll(10 * MS)[2]) == wire.SUCCESS
    second = a.poll(10 * MS)[2]
    assert wire.ICE_CONTROLLING in wire.attributes_of(first) and wire.ICE_CONTROLLED in wire.attributes_of(second)
    assert wire.transaction_of(first) != wire.transaction_of(second)
    assert a.counters["role_conflicts"] == 1
    assert a.input(20 * MS, B, answer_to(first, b"password of the peer 22")) == lib.LINNET_ERR_PACKET
    assert a.input(20 * MS, B, answer_to(second, b"password of the peer 22")) == 0 and a.state == "connected"


def test_a_lost_role_renews_a_consent_check_that_runs_but_not_its_schedule():
    a, b, net = connected_pair()
    net.cut = lambda sent: sent.source == B
    net.run(while_=lambda: not (net.sent_by(a, 1)[-1].at > 1 * S))
    asked = net.log[-1]
    assert asked.source == A and wire.ICE_CONTROLLING in wire.attributes_of(asked.data)
    winner = (wire.ICE_CONTROLLING, 2**64 - 1)
    a.input(net.now, B, check_to(a, role=winner, extra=[]))
    renewed = [a.poll(net.now + 5 * MS)[2] for _ in range(2)][1]
    assert wire.ICE_CONTROLLED in wire.attributes_of(renewed)
    assert wire.transaction_of(renewed) != wire.transaction_of(asked.data)
    a, b, net = connected_pair()
    a.input(net.now, B, check_to(a, role=winner))
    assert wire.kind_of(a.poll(net.now + 5 * MS)[2]) == wire.SUCCESS and a.poll(net.now + 5 * MS) is None
    assert a.state == "completed" and not a.controlling


def test_a_487_is_counted_and_changes_role_and_number_once():
    a = lonely(controlling=True)
    number = a.ice.tie_breaker
    a.add_remote(*B)
    conflict = [wire.attribute(wire.ERROR_CODE, b"\0\0\4\x57")]
    first = a.poll(0)[2]
    assert a.input(1, B, answer_to(first, b"password of the peer 22", kind=wire.ERROR, attributes=conflict)) == 0
    assert not a.controlling and a.ice.tie_breaker != number and a.counters["role_conflicts"] == 1
    second = a.poll(5 * MS)[2]
    assert wire.attributes_of(second)[wire.ICE_CONTROLLED] == struct.pack("!Q", a.ice.tie_breaker)


def test_role_conflict_with_loss_always_ends():
    for seed in range(100):
        roles = bool(seed % 2)
        a, b, net = two(a_controlling=roles, b_controlling=roles, a_seed="a%d" % seed, b_seed="b%d" % seed)
        net.loss = 0.3
        net.rng.seed(seed)
        introduce(a, b)
        net.run_until_completed()
        assert a.state == b.state == "completed" and a.controlling != b.controlling, seed


def test_controlling_nominates_once_and_controlled_never():
    a, b, net = connected_pair()
    net.run(60 * S)
    nominations = [s for s in net.log if wire.USE_CANDIDATE in wire.attributes_of(s.data)]
    assert [s.source for s in nominations] == [A]


def test_a_nomination_that_is_lost_is_repeated():
    a, b, net = two()
    lost = []
    net.cut = lambda sent: wire.USE_CANDIDATE in wire.attributes_of(sent.data) and not lost and not lost.append(sent)
    introduce(a, b)
    net.run(1 * S)
    assert lost and a.state == b.state == "completed"
    assert a.reached("completed") == 40 * MS + 250 * MS + 40 * MS


def test_use_candidate_on_a_pair_in_progress_counts_when_the_check_succeeds():
    """RFC 8445 7.3.1.5."""
    a = lonely()
    a.add_remote(*B)
    request = a.poll(0)[2]
    assert a.input(10 * MS, B, check_to(a, extra=[USE])) == 0
    assert a.state == "checking"
    a.input(20 * MS, B, answer_to(request, b"password of the peer 22"))
    assert a.state == "completed"


def make_valid(agent, peer, now, extra=(), transaction=wire.TRANSACTION, priority=0x6E0001FF):
    """Lets a check of the peer come in from `peer` and answers the one it triggers."""
    agent.input(now, peer, check_to(agent, extra=extra, transaction=transaction, priority=priority))
    while out := agent.poll(now):
        if is_request_bytes(out[2]) and out[1] == peer:
            agent.input(now, peer, answer_to(out[2], b"password of the peer 22"))


def is_request_bytes(data):
    return data[:2] == b"\0\1"


def test_of_a_peer_that_nominates_everything_the_best_pair_is_used():
    """RFC 5245 aggressive nomination, which older peers do."""
    a = lonely()
    ports = {2000: 50, 2001: 90, 2002: 70}
    for i, (port, priority) in enumerate(ports.items()):
        make_valid(a, ("192.0.2.2", port), i * 10 * MS, [USE], bytes([i] * 12), priority)
    assert a.selected == (0, ("192.0.2.2", 2001))


def test_a_later_nomination_by_a_peer_that_nominates_once_moves_the_pair():
    a = lonely()
    make_valid(a, ("192.0.2.2", 2000), 0, [USE], b"0" * 12, 90)
    make_valid(a, ("192.0.2.2", 2000), 10 * MS, [], b"1" * 12, 90)  # an ordinary consent check
    make_valid(a, ("192.0.2.2", 2001), 20 * MS, [USE], b"2" * 12, 50)
    assert a.selected == (0, ("192.0.2.2", 2001))


def nominations_of(agent, now):
    found = []
    while out := agent.poll(now):
        if wire.USE_CANDIDATE in wire.attributes_of(out[2]):
            found.append(out[1])
    return found


def test_a_reflexive_pair_waits_a_moment_for_a_host_pair_while_data_may_flow():
    a = lonely(controlling=True)
    a.add_remote("198.51.100.1", 5, kind=lib.LINNET_ICE_SRFLX)
    a.add_remote(*B)
    first = a.poll(0)
    second = a.poll(5 * MS)
    assert first[1] == B and second[1] == ("198.51.100.1", 5)
    a.input(20 * MS, second[1], answer_to(second[2], b"password of the peer 22"))
    assert a.state == "connected" and a.can_send and a.selected == (0, ("198.51.100.1", 5))
    assert nominations_of(a, 69 * MS) == [] and a.deadline == 70 * MS
    assert nominations_of(a, 70 * MS) == [("198.51.100.1", 5)]


def test_a_host_pair_that_comes_in_time_is_nominated_instead():
    a = lonely(controlling=True)
    a.add_remote("198.51.100.1", 5, kind=lib.LINNET_ICE_SRFLX)
    a.add_remote(*B)
    first, second = a.poll(0), a.poll(5 * MS)
    a.input(20 * MS, second[1], answer_to(second[2], b"password of the peer 22"))
    a.input(40 * MS, first[1], answer_to(first[2], b"password of the peer 22"))
    assert nominations_of(a, 40 * MS) == [B]


def test_a_reflexive_pair_does_not_wait_for_a_host_pair_that_has_failed():
    a = lonely(controlling=True)
    a.add_remote("198.51.100.1", 5, kind=lib.LINNET_ICE_SRFLX)
    a.add_remote(*B)
    first, second = a.poll(0), a.poll(5 * MS)
    refused = [wire.attribute(wire.ERROR_CODE, b"\0\0\4\0")]
    a.input(10 * MS, B, answer_to(first[2], b"password of the peer 22", kind=wire.ERROR, attributes=refused))
    a.input(20 * MS, second[1], answer_to(second[2], b"password of the peer 22"))
    assert nominations_of(a, 20 * MS) == [("198.51.100.1", 5)]


def test_after_nomination_the_other_checks_end():
    a = lonely(controlling=True)
    for port in range(2000, 2006):
        a.add_remote("192.0.2.2", port)
    net = Net(a)
    net.run(1 * MS)
    a.input(1 * MS, net.log[0].to, answer_to(net.log[0].data, b"password of the peer 22"))
    nomination = a.poll(5 * MS)
    a.input(6 * MS, nomination[1], answer_to(nomination[2], b"password of the peer 22"))
    assert a.state == "completed"
    a.add_remote("192.0.2.2", 2006)
    net.log.clear()
    net.run(4 * S)
    assert net.log == []


# --- lite ---

@pytest.mark.parametrize("configured", [True, False])
def test_a_lite_peer_makes_us_controlling(configured):
    """protocol.md 3.6: the cloud, or `rtc.use_ice_lite`."""
    a, b, net = two(a_controlling=configured, b_lite=True)
    introduce(a, b, b_lite=True)
    net.run(60 * S)
    assert a.controlling and a.state == b.state == "completed"
    assert a.reached("connected") == 40 * MS
    assert not net.sent_by(b, 0x0001)


def test_as_lite_we_only_answer():
    a, b, net = two(a_lite=True, b_controlling=True)
    introduce(a, b, a_lite=True)
    net.run(5 * S)
    assert a.state == b.state == "completed" and a.selected == (0, B)
    assert not net.sent_by(a, 0x0001) and not a.controlling


def test_as_lite_we_never_take_control():
    a = Agent("a", A, lite=True)
    a.ice.tie_breaker = 2**64 - 1
    a.set_remote(ufrag=b"peer", pwd=b"p" * 22)
    assert lib.linnet_ice_set_controlling(a.ice, 1) == 0 and not a.controlling
    a.input(0, B, check_to(a, role=(wire.ICE_CONTROLLED, 1), extra=[USE]))
    assert wire.attributes_of(a.poll(0)[2])[wire.ERROR_CODE][2:4] == b"\x04\x57"
    assert not a.controlling and a.selected is None


def test_as_lite_consent_is_what_the_peer_asks():
    a, b, net = two(a_lite=True, b_controlling=True)
    introduce(a, b, a_lite=True)
    net.run(5 * S)
    net.cut = lambda sent: True
    last = max(s.at for s in net.sent_by(b) if s.at < 5 * S) + 20 * MS
    net.run(last + 29 * S)
    assert a.state == "disconnected" and a.can_send
    net.run(last + 31 * S)
    assert a.state == "failed" and not a.can_send


# --- NAT ---

def behind_nat(a_controlling=True, delay=20 * MS):
    a = Agent("a", ("10.0.0.5", 1000), controlling=a_controlling)
    b = Agent("b", B, controlling=not a_controlling)
    net = Net(a, b, delay=delay)
    net.nats.append(Nat("10.0.0.5", "203.0.113.7"))
    return a, b, net


@pytest.mark.parametrize("a_controlling", [True, False])
def test_through_a_nat_both_learn_the_mapped_address(a_controlling):
    a, b, net = behind_nat(a_controlling)
    introduce(a, b)  # b is told 10.0.0.5, which leads nowhere
    net.run(2 * S)
    assert a.state == b.state == "completed"
    assert b.selected == (0, ("203.0.113.7", 40000)) and a.selected == (0, B)
    assert a.reflexive == ("203.0.113.7", 40000) and b.reflexive == B
    assert a.reached("connected") == 40 * MS


@pytest.mark.parametrize("a_controlling", [True, False])
def test_a_peer_whose_nat_forgets_is_followed(a_controlling):
    a, b, net = behind_nat(a_controlling)
    introduce(a, b)
    net.run(6 * S)
    net.nats[0].rebind()
    net.run(22 * S)  # in doubt after 10 s of silence, long before consent expires
    assert b.selected == (0, ("203.0.113.7", 40001))
    net.run(60 * S)
    assert a.state == b.state == "completed" and a.can_send and b.can_send
    assert b.selected == (0, ("203.0.113.7", 40001))
    assert b.controlling != a_controlling
    assert not b.reached("failed")


@pytest.mark.parametrize("is_signalled", [False, True])
def test_a_signalled_candidate_gives_its_type_to_the_learned_one(is_signalled):
    """RFC 8838 11.4: one candidate, one pair, one check; as a host candidate it is nominated at once."""
    a = lonely(controlling=True)
    a.input(0, B, check_to(a, role=(wire.ICE_CONTROLLED, 0)))
    if is_signalled:
        a.add_remote(*B)
    a.add_remote("192.0.2.3", 3000)
    assert a.poll(0)[2][:2] == b"\1\1"
    check, other = a.poll(0), a.poll(5 * MS)
    assert check[1] == B and other[1] == ("192.0.2.3", 3000)
    a.input(10 * MS, B, answer_to(check[2], b"password of the peer 22"))
    assert nominations_of(a, 10 * MS) == ([B] if is_signalled else [])
    assert nominations_of(a, 60 * MS) == ([] if is_signalled else [B])


# --- consent (RFC 7675) ---

def test_consent_checks_come_every_four_to_five_seconds_with_jitter():
    a, b, net = connected_pair()
    net.log.clear()
    net.run(601 * S)
    for agent in (a, b):
        times = [s.at for s in net.sent_by(agent, 0x0001)]
        gaps = [y - x for x, y in zip(times, times[1:], strict=False)]
        assert 120 <= len(gaps) <= 150
        assert 4 * S <= min(gaps) < 4.1 * S and 4.9 * S < max(gaps) <= 5.1 * S
        assert len({wire.transaction_of(s.data) for s in net.sent_by(agent, 0x0001)}) == len(times)
    assert a.state == b.state == "completed"


def test_consent_expires_thirty_seconds_after_the_last_answer_and_ends_all_sending():
    a, b, net = connected_pair()
    net.run(100 * S)
    cut_at = net.now
    net.cut = lambda sent: True
    last = {agent: max(s.at for s in net.sent_by(agent, 0x0001)) + 40 * MS for agent in (a, b)}
    heard = {a: max([last[a], last[b] - 20 * MS]), b: max([last[b], last[a] - 20 * MS])}
    net.run(cut_at + 60 * S)
    for agent in (a, b):
        states = [(at, state) for at, state in agent.history if at > cut_at]
        assert [state for _, state in states] == ["disconnected", "failed"]
        assert states[0][0] == heard[agent] + 10 * S
        assert states[1][0] == last[agent] + 30 * S
        assert not agent.can_send and agent.selected is None and agent.accepts(*(B if agent is a else A)) == 0
        assert max(s.at for s in net.sent_by(agent)) <= last[agent] + 30 * S
        assert agent.deadline == NEVER


@pytest.mark.parametrize("outage", [1, 5, 12, 25])
def test_an_outage_within_consent_ends_within_a_second_or_so(outage):
    a, b, net = connected_pair()
    net.run(50 * S)
    net.cut = lambda sent: True
    net.run(50 * S + outage * S)
    assert a.can_send and b.can_send
    assert (a.state == "disconnected") == (outage > 11)
    net.cut = lambda sent: False
    net.run(50 * S + outage * S + 6 * S if outage < 11 else 50 * S + outage * S + 1100 * MS)
    assert a.state == b.state == "completed"
    assert a.selected == (0, B) and b.selected == (0, A)


def test_after_failure_a_restart_connects_again():
    a, b, net = connected_pair()
    net.cut = lambda sent: True
    net.run(50 * S)
    assert a.state == b.state == "failed"
    net.cut = lambda sent: False
    a.restart()
    b.restart()
    introduce(a, b)
    net.run(51 * S)
    assert a.state == b.state == "completed" and a.can_send


def test_after_failure_a_peer_that_still_asks_is_taken_back():
    """Our consent expired because the way there was cut; the way back was not."""
    a, b, net = connected_pair()
    net.cut = lambda sent: sent.to == B
    net.run(45 * S)
    assert a.state == "failed"
    net.cut = lambda sent: False
    a.input(45 * S, B, check_to(a, role=(wire.ICE_CONTROLLED, 0)))
    net.run(47 * S)
    assert a.state == "completed" and a.can_send


def test_thirty_percent_loss_for_an_hour_never_ends_consent():
    a, b, net = connected_pair()
    net.loss = 0.3
    net.run(3600 * S)
    for agent in (a, b):
        assert {state for at, state in agent.history if at > 1 * S} <= {"disconnected", "completed"}
        assert agent.can_send


# --- restart ---

@pytest.mark.parametrize("who", ["controlling", "controlled", "both"])
def test_restart_while_media_flows_never_leaves_us_without_a_pair(who):
    a, b, net = connected_pair(delay=30 * MS)
    old = a.ufrag, b.ufrag
    starter, other = (a, b) if who != "controlled" else (b, a)

    def media():
        assert a.can_send and b.can_send and a.selected and b.selected
        assert a.accepts(*B) == 1 and b.accepts(*A) == 1

    net.run(20 * S, step=media)
    starter.restart()
    if who == "both":
        other.restart()
    net.run(22 * S, step=media)  # the offer travels
    if who != "both":
        other.restart()
    other.set_remote(starter)
    other.add_remote(*starter.sockets[0])
    net.run(24 * S, step=media)  # the answer travels
    assert starter.state == "checking"
    starter.set_remote(other)
    starter.add_remote(*other.sockets[0])
    net.run(25 * S, step=media)
    assert a.state == b.state == "completed"
    assert (a.ufrag, b.ufrag) != old and a.counters["restarts"] == b.counters["restarts"] == 1
    net.log.clear()
    net.run(60 * S, step=media)
    for sent in filter(is_request, net.log):  # nothing of the old generation any more
        assert not any(ufrag in wire.attributes_of(sent.data)[wire.USERNAME] for ufrag in old)


def test_during_a_restart_the_old_pair_keeps_its_consent():
    a, b, net = connected_pair()
    a.restart()
    net.run(100 * S)
    assert a.state == "checking" and a.can_send and b.state == "completed"
    assert a.selected == (0, B)


def test_a_restart_whose_old_pair_dies_uses_the_new_one():
    a, b, net = connected_pair()
    a.restart()
    net.cut = lambda sent: True
    net.run(40 * S)
    assert not a.can_send and a.selected is None
    net.cut = lambda sent: False
    b.restart()
    introduce(a, b)
    net.run(41 * S)
    assert a.state == b.state == "completed"


def test_a_second_restart_before_the_first_is_done_keeps_the_pair():
    a, b, net = connected_pair()
    a.restart()
    net.run(2 * S)
    a.restart()
    assert a.can_send and a.selected == (0, B)
    b.restart()
    introduce(a, b)
    net.run(3 * S)
    assert a.state == b.state == "completed"


def test_changed_credentials_of_the_peer_alone_are_a_restart():
    a, b, net = connected_pair()
    ufrag = a.ufrag
    b.restart()
    b.set_remote(a)
    b.add_remote(*A)
    a.set_remote(b)
    assert a.can_send and a.ufrag == ufrag
    a.add_remote(*B)
    net.run(2 * S)
    assert a.state == b.state == "completed" and a.counters["restarts"] == 1


def test_the_same_credentials_again_change_nothing():
    """Every later offer and answer repeats them."""
    a, b, net = connected_pair()
    before = a.image()
    a.set_remote(b)
    a.add_remote(*B)
    lib.linnet_ice_set_controlling(a.ice, 0)
    assert a.image() == before


# --- trust ---

def assert_nothing_changes(agent, now, source, data, results):
    before, counters = agent.image(), agent.counters
    result = agent.input(now, source, data)
    assert agent.image() == before
    changed = [name for name in counters if agent.counters[name] != counters[name]]
    assert len(changed) == 1 and agent.counters[changed[0]] == counters[changed[0]] + 1
    if changed != ["indications"]:  # ignored by design: they carry no credentials
        assert result in results and changed[0].startswith("drop_"), changed


REFUSED = (lib.LINNET_ERR_AUTH, lib.LINNET_ERR_PACKET)


def agents_to_attack():
    fresh = Agent("fresh", A)
    checking = lonely(controlling=True)
    checking.add_remote(*B)
    checking.poll(0)
    a, b, net = connected_pair()
    fresh.poll(1 * S), checking.poll(1 * S)
    return [fresh, checking, a]


def test_a_wrong_password_never_changes_state():
    for agent in agents_to_attack():
        for source in (B, ("203.0.113.66", 6)):
            for extra in ([], [USE]):
                for role in ((wire.ICE_CONTROLLING, 2**64 - 1), (wire.ICE_CONTROLLED, 0), None):
                    bad = check_to(agent, pwd=b"another password 24 byte", extra=extra, role=role)
                    assert_nothing_changes(agent, 1 * S, source, bad, REFUSED)
        assert agent.counters["drop_integrity"] == 12


def test_a_request_without_integrity_or_for_another_ufrag_is_dropped():
    for agent in agents_to_attack():
        name = agent.ufrag + b":peer"
        unsigned = wire.seal(wire.message(wire.attribute(wire.USERNAME, name),
                                          wire.attribute(wire.PRIORITY, b"\1\2\3\4"), USE))
        assert_nothing_changes(agent, 1 * S, B, unsigned, REFUSED)
        for name in (b"", b":", b"wrong:peer", agent.ufrag, agent.ufrag + b"x:peer", agent.ufrag[:-1] + b":peer"):
            data = wire.message(wire.attribute(wire.USERNAME, name), wire.attribute(wire.PRIORITY, b"\1\2\3\4"))
            assert_nothing_changes(agent, 1 * S, B, wire.seal(wire.sign(data, agent.pwd)), REFUSED)
        assert_nothing_changes(agent, 1 * S, B, wire.sign(wire.message(), agent.pwd), REFUSED)


def test_responses_that_nobody_asked_for_or_signed_wrongly_are_dropped():
    a = lonely(controlling=True)
    a.add_remote(*B)
    request = a.poll(0)[2]
    for pwd in (b"wrong", a.pwd):
        assert_nothing_changes(a, 0, B, answer_to(request, pwd), REFUSED)
        conflict = [wire.attribute(wire.ERROR_CODE, b"\0\0\4\x57")]
        assert_nothing_changes(a, 0, B, answer_to(request, pwd, kind=wire.ERROR, attributes=conflict), REFUSED)
    other = request[:8] + bytes(12) + request[20:]
    assert_nothing_changes(a, 0, B, answer_to(other, b"password of the peer 22"), REFUSED)
    unsigned = wire.seal(wire.message(kind=wire.SUCCESS, transaction=wire.transaction_of(request)))
    assert_nothing_changes(a, 0, B, unsigned, REFUSED)
    assert a.input(0, B, answer_to(request, b"password of the peer 22")) == 0 and a.state == "connected"
    assert_nothing_changes(a, 0, B, answer_to(request, b"password of the peer 22"), REFUSED)  # a replay


def test_a_consent_answer_counts_once():
    """A replayed answer must not keep consent alive."""
    a, b, net = connected_pair()
    net.run(20 * S)
    last = [s for s in net.sent_by(b, 0x0101)][-1].data
    net.cut = lambda sent: True

    def replay():
        assert a.input(net.now, B, last) == lib.LINNET_ERR_PACKET

    for _ in range(60):
        net.run(net.now + 1 * S)
        replay()
    assert a.state == "failed"


def test_an_answer_from_elsewhere_fails_the_pair():
    """RFC 8445 7.2.5.2.1."""
    a = lonely(controlling=True)
    a.add_remote(*B)
    request = a.poll(0)[2]
    assert a.input(1, ("192.0.2.3", 2000), answer_to(request, b"password of the peer 22")) == lib.LINNET_ERR_PACKET
    assert a.counters["drop_asymmetric"] == 1 and a.state == "failed"


def test_an_error_answer_fails_the_pair_but_not_one_that_is_valid():
    a = lonely(controlling=True)
    a.add_remote(*B)
    refused = [wire.attribute(wire.ERROR_CODE, b"\0\0\4\0")]
    request = a.poll(0)[2]
    a.input(1, B, answer_to(request, b"password of the peer 22", kind=wire.ERROR, attributes=refused))
    assert a.state == "failed" and a.deadline == NEVER and a.poll(1 * S) is None
    a, b, net = connected_pair()
    net.run(while_=lambda: not (net.sent_by(a, 1) and net.sent_by(a, 1)[-1].at > 1 * S))
    request = net.sent_by(a, 1)[-1].data
    a.input(net.now, B, answer_to(request, b.pwd, kind=wire.ERROR, attributes=refused))
    assert a.state == "completed" and a.can_send


def test_every_flipped_bit_of_good_messages_is_dropped():
    a, b, net = two()
    introduce(a, b)
    net.run_until_completed()
    fresh, fresh_b, _ = two()
    introduce(fresh, fresh_b)
    request = next(s for s in net.log if s.source == B and is_request(s)).data
    asked = fresh.poll(0)[2]
    answer = answer_to(asked, fresh_b.pwd)
    assert request.startswith(b"\0\1")
    for good in (request, answer):
        for bit in range(8 * (len(good) - 8)):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            # Repair the fingerprint, so that the integrity check has to notice.
            for data in (bytes(bad), wire.seal(bytes(bad[:2]) + struct.pack("!H", len(bad) - 28) + bytes(bad[4:-8]))):
                if data != good:
                    assert_nothing_changes(fresh, 0, B, data, REFUSED)
    assert fresh.input(0, B, request) == 0 and fresh.input(0, B, answer) == 0


def test_an_unknown_attribute_that_must_be_understood_is_answered_with_420():
    a = lonely()
    unknown = [wire.attribute(kind, b"") for kind in (0x7000, 0x7001, 0x7002, 0x7003, 0x7004)]
    assert a.input(0, B, check_to(a, extra=unknown)) == lib.LINNET_ERR_PACKET
    _, to, answer = a.poll(0)
    found = wire.attributes_of(answer)
    assert to == B and wire.kind_of(answer) == wire.ERROR
    assert found[wire.ERROR_CODE] == b"\0\0\4\x14Unknown Attribute"
    assert found[wire.UNKNOWN_ATTRIBUTES] == bytes.fromhex("7000700170027003")
    body = answer[:2] + struct.pack("!H", len(answer) - 28) + answer[4:-32]
    assert wire.seal(wire.sign(body, a.pwd)) == answer  # an authenticated error
    assert a.selected is None and a.accepts(*B) == 0
    assert a.input(0, B, check_to(a, extra=[wire.attribute(0x8022, b"me"), wire.attribute(0xC057, b"ab")])) == 0


def test_a_request_without_priority_or_on_an_unknown_socket_is_counted():
    a = lonely()
    assert_nothing_changes_but_requests(a, check_to(a, priority=None), "drop_malformed", 0)
    assert_nothing_changes_but_requests(a, check_to(a), "drop_socket", 5)
    assert a.input(0, B, b"\0\1\0\0") == lib.LINNET_ERR_PACKET
    assert a.input(0, B, wire.seal(wire.message(kind=wire.INDICATION))) == 0 and a.counters["indications"] == 1


def assert_nothing_changes_but_requests(agent, data, counter, socket):
    agent.poll(0)
    before = agent.image()
    assert agent.input(0, B, data, socket) == lib.LINNET_ERR_PACKET
    assert agent.image() == before and agent.counters[counter] == 1


def test_an_answer_is_never_longer_than_its_request():
    """Nobody can use us to amplify."""
    for a, data in ((lonely(), None), (lonely(controlling=True), None)):
        data = check_to(a, ufrag=b"1234")
        a.input(0, B, data)
        assert len(a.poll(0)[2]) <= len(data)


# --- limits ---

def test_a_flood_of_requests_is_answered_one_to_one_and_costs_no_pair():
    a, b, net = connected_pair()
    rng = random.Random(4)
    answers = checks = 0
    for i in range(5000):
        source = ("203.0.113.%d" % rng.randrange(1, 250), rng.randrange(1, 65536))
        a.input(1 * S + i, source, check_to(a, role=(wire.ICE_CONTROLLED, 0), transaction=struct.pack("!3I", 0, 0, i)))
        while out := a.poll(1 * S + i):
            answers += out[2][:2] == b"\1\1"
            checks += out[2][:2] == b"\0\1"
    assert answers == 5000 and checks <= 1 + 5  # 5 ms apart
    assert a.counters["drop_remote"] > 4900
    assert a.state == "completed" and a.selected == (0, B) and a.accepts(*B) == 1


def test_requests_between_two_polls_are_bounded():
    a = lonely()
    results = [a.input(0, B, check_to(a, transaction=bytes([i] * 12))) for i in range(20)]
    assert results == [0] * 4 + [lib.LINNET_ERR_AGAIN] * 16
    assert a.counters["drop_answer"] == 16
    answers = 0
    while out := a.poll(0):
        answers += out[2][:2] == b"\1\1"
    assert answers == 4


def test_signalled_candidates_push_out_learned_ones_and_no_others():
    a = lonely(controlling=True)
    for i in range(12):
        a.input(0, ("203.0.113.9", 100 + i), check_to(a, role=(wire.ICE_CONTROLLED, 0)))
        a.poll(0)
    for i in range(12):
        assert a.add_remote("192.0.2.%d" % (10 + i), 9) == 0
    assert a.counters["drop_remote"] == 12
    assert a.add_remote("192.0.2.99", 9) == lib.LINNET_ERR_LIMIT
    assert a.counters["drop_remote"] == 13
    net = Net(a)
    net.run(200 * MS)
    assert {s.to[0] for s in net.log} == {"192.0.2.%d" % (10 + i) for i in range(12)}


def test_more_pairs_than_places_keep_the_best():
    a = Agent("a", *[("10.0.0.%d" % i, i) for i in range(1, 5)], controlling=True)
    a.set_remote(ufrag=b"peer", pwd=b"p" * 22)
    for i in range(12):
        assert a.add_remote("192.0.2.%d" % (10 + i), 9, priority=2**24 * (i + 1)) == 0
    net = Net(a)
    net.run(1 * S)
    assert a.counters["drop_pair"] == 48 - 24
    assert {s.to[0] for s in net.log} == {"192.0.2.%d" % (10 + i) for i in range(6, 12)}


def test_local_candidates_are_bounded_and_known_once():
    a = Agent("a", *[("10.0.0.%d" % i, i) for i in range(1, 5)])
    assert lib.linnet_ice_add_local(a.ice, address("0.0.0.0", 1)) == lib.LINNET_ERR_ARG
    assert lib.linnet_ice_add_local(a.ice, address("10.0.0.2", 2, 1)) == 1
    assert lib.linnet_ice_add_local(a.ice, address("10.0.0.9", 2, 1)) == lib.LINNET_ERR_LIMIT
    priorities = [lib.linnet_ice_local_priority(a.ice, i) for i in range(-1, 5)]
    assert priorities[1] == 126 << 24 | 65535 << 8 | 255 and priorities[0] == priorities[5] == 0
    assert priorities[1:5] == sorted(priorities[1:5], reverse=True)


@pytest.mark.parametrize("host,port", [("192.0.2.1", 0), ("0.0.0.0", 5), ("224.0.0.1", 5), ("239.1.2.3", 5),
                                       ("255.255.255.255", 5), ("0.1.2.3", 5), ("::", 5), ("ff02::1", 5)])
def test_addresses_where_no_single_peer_can_be_are_refused(host, port):
    a = lonely(controlling=True)
    assert a.add_remote(host, port) == lib.LINNET_ERR_PACKET
    assert a.counters["drop_remote"] == 1 and a.poll(0) is None


def test_unknown_candidate_type_and_bad_credentials_are_refused():
    a = lonely(controlling=True)
    assert a.add_remote(*B, kind=4) == lib.LINNET_ERR_PACKET
    assert a.set_remote(ufrag=b"u" * 64, pwd=b"p" * 256) == 0
    assert a.set_remote(ufrag=b"u" * 65, pwd=b"p" * 22) == lib.LINNET_ERR_LIMIT
    assert lib.linnet_ice_set_remote(a.ice, b"", 0, b"p", 1, 0) == lib.LINNET_ERR_ARG
    assert lib.linnet_ice_set_remote(a.ice, b"u", 1, b"", 0, 0) == lib.LINNET_ERR_ARG


def test_the_longest_ufrag_fits_the_buffer():
    a = Agent("a", A, controlling=True)
    a.set_remote(ufrag=b"u" * 64, pwd=b"p" * 256)
    a.add_remote(*B)
    assert wire.attributes_of(a.poll(0)[2])[wire.USERNAME] == b"u" * 64 + b":" + a.ufrag
    to, buf = ffi.new("linnet_addr_t *"), ffi.new("uint8_t[255]")
    assert lib.linnet_ice_poll(a.ice, a.rng, 0, to, buf, 255) == lib.LINNET_ERR_SPACE


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
