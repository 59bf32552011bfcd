"""DTLS (csrc/net/dtls.c): our two roles against each other: identity, keys, data, profiles, goodbye."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dtls_peers import (CLIENT, CLOSED, CM, ERR_AGAIN, ERR_ARG, ERR_AUTH, ERR_CLOSED, ERR_LIMIT, ERR_SPACE, ERR_STATE,
                        GCM, MTU, NEVER, NEW, WRITE_MAX, Endpoint, connect, connected_pair, load_dtls, pair)
from internals import limits

QUEUE = limits()["LINNET_DTLS_QUEUE"]


@pytest.fixture(scope="module")
def c():
    return load_dtls()


@pytest.fixture
def connected(c):
    return connected_pair(c)


# --- the identity ---


def test_identity_is_a_self_signed_p256_certificate_with_its_fingerprint(c):
    identity = Endpoint(c, CLIENT).identity
    certificate = x509.load_der_x509_certificate(bytes(identity.cert[0:identity.cert_len]))
    certificate.verify_directly_issued_by(certificate)
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)
    assert certificate.fingerprint(certificate.signature_hash_algorithm) == bytes(identity.fingerprint)
    assert certificate.public_key().public_numbers() == ec.derive_private_key(
        int.from_bytes(bytes(identity.key), "big"), ec.SECP256R1()).public_key().public_numbers()
    assert certificate.not_valid_before_utc.year == 2020 and certificate.not_valid_after_utc.year == 2049


def test_identity_differs_with_the_seed_and_only_with_it(c):
    again = [Endpoint(c, CLIENT, seed).fingerprint for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


# --- two of ours ---


def test_both_ends_derive_the_same_keys(connected):
    client, server, _ = connected
    profile, client_key, server_key, client_salt, server_salt = client.keys()
    assert client.keys() == server.keys()
    assert profile == CM and client_key != server_key and client_salt != server_salt
    assert len(client_salt) == 14


def test_keys_differ_between_connections(c):
    pairs = [pair(c, seed) for seed in (1, 2)]
    assert all(connect(*two).both_connected() for two in pairs)
    assert pairs[0][0].keys()[1:] != pairs[1][0].keys()[1:]


@pytest.mark.parametrize("rtt_us", [20_000, 80_000])
def test_client_is_up_after_two_round_trips_and_server_one_after_the_hello(c, rtt_us):
    client, server = pair(c)
    connect(client, server, delay_us=rtt_us // 2)
    assert client.connected_at == 2 * rtt_us
    assert server.connected_at - rtt_us // 2 == rtt_us
    assert client.counts.retransmissions == server.counts.retransmissions == 0
    assert len(client.sent) == len(server.sent) == 2  # every flight fits one datagram


def test_a_long_path_carries_nothing_twice_when_the_round_trip_is_known(c):
    client, server = pair(c)
    for end in (client, server):
        c.lib.linnet_dtls_set_rtt(end.dtls, 400_000)
    connect(client, server, delay_us=200_000)
    assert client.connected_at == 800_000
    assert client.counts.retransmissions == server.counts.retransmissions == 0


def test_data_of_every_size_goes_both_ways(connected):
    client, server, link = connected
    for size in [1, 2, 16, 100, 1000, WRITE_MAX - 1, WRITE_MAX]:
        message = bytes(i & 255 for i in range(size))
        assert client.write(message) == 0 and server.write(message[::-1]) == 0
        link.run(until=link.now + 1_000_000)
        assert server.received.pop() == message and client.received.pop() == message[::-1]
    assert max(map(len, client.sent)) == MTU
    assert client.counts.records_in == client.counts.records_out == 7


def test_write_says_what_is_wrong(c, connected):
    client, server, _ = connected
    assert client.write(bytes(WRITE_MAX + 1)) == ERR_LIMIT
    assert client.write(b"") == ERR_ARG
    assert [client.write(b"x") for _ in range(QUEUE + 1)] == [0] * QUEUE + [ERR_AGAIN]
    assert len(list(client.poll(0))) == QUEUE
    assert client.write(b"x") == 0
    assert Endpoint(c, CLIENT).write(b"x") == ERR_STATE
    server.close()
    assert server.write(b"x") == ERR_CLOSED


def test_read_into_too_small_a_buffer_consumes_nothing(c, connected):
    client, server, _ = connected
    client.write(b"0123456789")
    datagram = next(client.poll(0))
    assert c.lib.linnet_dtls_input(server.dtls, 0, datagram, len(datagram)) == 0
    assert c.lib.linnet_dtls_read(server.dtls, server.plain, 9) == ERR_SPACE
    assert c.lib.linnet_dtls_input(server.dtls, 0, datagram, len(datagram)) == ERR_AGAIN
    assert c.lib.linnet_dtls_read(server.dtls, server.plain, 10) == 10
    assert c.lib.linnet_dtls_read(server.dtls, server.plain, 10) == 0


def test_several_records_in_one_datagram_are_all_delivered(connected):
    client, server, _ = connected
    datagrams = []
    for i in range(5):
        client.write(b"record %d" % i)
        datagrams += client.poll(0)
    server.input(b"".join(datagrams))
    assert server.received == [b"record %d" % i for i in range(5)]


def test_wrong_calls_are_refused(c):
    end = Endpoint(c, CLIENT)
    assert end.start() == ERR_STATE
    assert c.lib.linnet_dtls_init(end.dtls, end.rng, end.identity, 2, bytes(32)) == ERR_ARG
    assert c.lib.linnet_dtls_init(end.dtls, end.rng, end.identity, CLIENT, c.ffi.NULL) == ERR_ARG
    assert end.expect(bytes(32)) == 0 and end.state == NEW and end.deadline == NEVER
    assert c.lib.linnet_dtls_set_profiles(end.dtls, [2], 1) == ERR_ARG
    assert c.lib.linnet_dtls_set_profiles(end.dtls, [1, 7, 1], 3) == ERR_ARG
    assert c.lib.linnet_dtls_poll(end.dtls, 0, end.out, MTU - 1) == ERR_SPACE
    assert end.input(bytes(20)) == ERR_STATE and end.counts.not_started == 1
    assert end.start() == 0 and end.start() == ERR_STATE
    assert c.lib.linnet_dtls_set_profiles(end.dtls, [1], 1) == ERR_STATE
    assert end.keys() == ERR_STATE


# --- which SRTP profile ---


@pytest.mark.parametrize("client_offers, server_takes, chosen", [
    ((CM, GCM), (CM, GCM), CM),
    ((GCM, CM), (CM, GCM), CM),
    ((CM, GCM), (GCM, CM), GCM),
    ((GCM,), (CM, GCM), GCM),
    ((CM, GCM), (GCM,), GCM),
    ((CM,), (CM,), CM),
    ((CM,), (GCM,), None),
    ((GCM,), (CM,), None),
])
def test_the_servers_first_profile_that_the_client_offers_wins(c, client_offers, server_takes, chosen):
    client, server = pair(c)
    client.offer(*client_offers)
    server.offer(*server_takes)
    assert connect(client, server).both_connected()
    if chosen is None:
        assert client.keys() == server.keys() == ERR_AUTH
    else:
        assert client.keys() == server.keys() and client.keys()[0] == chosen


# --- the end ---


def test_close_notify_makes_the_other_side_closed(connected):
    client, server, link = connected
    client.write(b"last words")
    client.close()
    assert client.state == CLOSED and client.deadline == 0
    link.run(until=link.now + 1_000_000)
    assert server.received == [b"last words"] and server.state == CLOSED
    assert server.error == 0 and server.alert == 0 and server.keys() == ERR_STATE


def test_close_before_a_connection_sends_nothing(c):
    client, _ = pair(c)
    client.start(0)
    assert len(list(client.poll(0))) == 1
    client.close()
    assert list(client.poll(0)) == [] and client.state == CLOSED and client.deadline == NEVER
