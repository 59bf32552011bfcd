"""csrc/net/ice*.c: what strangers send changes nothing, and everything has a limit."""

import random
import struct

import pytest
import stun_wire as wire
from ice_checks import A, B, USE, answer_to, check_to, connected_pair, is_request, lonely
from ice_net import MS, NEVER, S, Agent, Net, address, ffi, introduce, lib, two


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
