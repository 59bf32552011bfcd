"""csrc/net/ice*.c: paths that change: NAT, consent (RFC 7675), restart."""

import pytest
import stun_wire as wire
from ice_checks import A, B, answer_to, check_to, connected_pair, is_request, lonely, nominations_of
from ice_net import MS, NEVER, S, Agent, Nat, Net, introduce, lib


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
