"""csrc/net/ice*.c: roles, nomination and lite peers (RFC 8445 6.1.1, 7.3.1.1, 8.1)."""

import struct

import pytest
import stun_wire as wire
from ice_checks import A, B, USE, answer_to, check_to, connected_pair, lonely, nominations_of
from ice_net import MS, S, Agent, Net, introduce, lib, two


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
