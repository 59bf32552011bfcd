"""DTLS (csrc/net/dtls.c): only the right certificate gets keys, and what nobody signed changes nothing."""

import random

import pytest

from dtls_peers import (ALERT, CLIENT, CONNECTED, DATA, ERR_AUTH, ERR_CLOSED, ERR_STATE, FAILED, SERVER, Endpoint, Link,
                        OpenSsl, connect, connected_pair, converse, load_dtls, other_role, pair, records)


@pytest.fixture(scope="module")
def c():
    return load_dtls()


@pytest.fixture
def connected(c):
    return connected_pair(c)


# --- the certificate ---


@pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])
def test_a_wrong_fingerprint_ends_it_before_any_key(c, role):
    ends = pair(c)
    wrong = bytearray(ends[other_role(role)].fingerprint)
    wrong[31] ^= 1
    assert ends[role].expect(bytes(wrong)) == 0
    connect(*ends)
    assert ends[role].state == FAILED and ends[role].error == ERR_AUTH
    assert ends[role].keys() == ERR_STATE and ends[role].write(b"x") == ERR_CLOSED
    assert ends[other_role(role)].state != CONNECTED and ends[other_role(role)].keys() == ERR_STATE


@pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])
def test_a_wrong_fingerprint_is_noticed_with_the_certificate_not_later(c, role):
    ends = pair(c)
    assert ends[role].expect(bytes(32)) == 0
    connect(*ends)
    # The last flight of the one who noticed is an alert in the clear: it never had keys to encrypt with.
    last = list(records(ends[role].sent[-1]))[-1]
    assert last[0] == ALERT and last[1] == 0 and ends[role].alert == last[2][-1]


@pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])
def test_openssl_with_a_wrong_fingerprint_gets_no_keys(c, role):
    ours, peer = Endpoint(c, role), OpenSsl(other_role(role))
    ours.expect(Endpoint(c, CLIENT, 99).fingerprint)
    converse(ours, peer)
    assert ours.state == FAILED and ours.error == ERR_AUTH and ours.keys() == ERR_STATE


def test_a_client_without_a_certificate_is_refused(c):
    ours, peer = Endpoint(c, SERVER), OpenSsl(CLIENT, certificate=False)
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    assert ours.state == FAILED and ours.keys() == ERR_STATE
    assert not peer.connected or peer.failed


# --- what anyone could have sent ---


def test_unauthenticated_alerts_do_not_end_a_handshake(c):
    client, server = pair(c)
    link = Link(client, server)

    def with_alerts(to, datagram):
        alerts = [bytes([ALERT, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, n, 0, 2, level, code])
                  for n, (level, code) in enumerate([(2, 40), (1, 0), (2, 20)])]
        return [*alerts, datagram, *alerts]

    link.filter = with_alerts
    client.start(0)
    link.run(until=2_000_000)
    assert link.both_connected()
    assert client.counts.alert_ignored >= 9 and client.alert == 20


def test_unprotected_records_after_the_handshake_change_nothing(connected):
    client, server, _ = connected
    for end, peer in ((client, server), (server, client)):
        for datagram in peer.sent:
            plain = b"".join(whole for _, epoch, whole in records(datagram) if epoch == 0)
            if plain:
                end.input(plain)
        end.input(bytes([ALERT, 0xFE, 0xFD, 0, 0]) + bytes(6) + b"\0\2\2\x28")
        end.input(bytes([DATA, 0xFE, 0xFD, 0, 0]) + bytes(6) + b"\0\5hello")
        assert end.state == CONNECTED and end.received == [] and end.counts.wrong_epoch >= 3


def test_each_record_is_delivered_once_however_often_it_comes(connected):
    client, server, _ = connected
    datagrams = []
    for i in range(60):
        client.write(b"%d" % i)
        datagrams += list(client.poll(0))
    random.Random(8).shuffle(datagrams)
    before = server.counts.record_rejected
    for datagram in datagrams:
        for _ in range(5):
            server.input(datagram)
    assert sorted(map(int, server.received)) == list(range(60))
    assert server.counts.record_rejected - before == 4 * 60
