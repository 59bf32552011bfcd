"""DTLS (csrc/net/dtls.c) with OpenSSL on the other side: keys, data, cookies, messages longer than a datagram."""

import pytest

from dtls_peers import (CLIENT, CLOSED, CM, CONNECTED, ERR_AUTH, ERR_CLOSED, ERR_LIMIT, ERR_STATE, FAILED, GCM, SERVER,
                        WRITE_MAX, Endpoint, Link, OpenSsl, converse, converse_more, load_dtls, other_role, pair)


@pytest.fixture(scope="module")
def c():
    return load_dtls()


# --- keys and data ---


@pytest.mark.parametrize("mtu", [1200, 256], ids=["whole", "fragmented"])
@pytest.mark.parametrize("profiles, chosen", [(b"SRTP_AES128_CM_SHA1_80", CM), (b"SRTP_AEAD_AES_128_GCM", GCM),
                                              (b"SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80",
                                               None)], ids=["cm", "gcm", "all"])
@pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])
def test_openssl_agrees_on_the_keys(c, role, profiles, chosen, mtu):
    ours, peer = Endpoint(c, role), OpenSsl(other_role(role), profiles, mtu)
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    assert ours.state == CONNECTED and peer.connected and peer.failed is None
    profile, *keys = ours.keys()
    # As server we take AES-CM first; as client OpenSSL takes its own first.
    assert profile == (chosen or (CM if role == SERVER else GCM))
    exported = peer.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56 if profile == GCM else 60)
    assert b"".join(keys) == exported


@pytest.mark.parametrize("role", [CLIENT, SERVER])
@pytest.mark.parametrize("profiles", [b"SRTP_AES128_CM_SHA1_32", b"SRTP_AEAD_AES_256_GCM", b""])
def test_a_peer_without_a_profile_of_ours_gets_no_keys(c, role, profiles):
    ours, peer = Endpoint(c, role), OpenSsl(other_role(role), profiles)
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    assert ours.state == CONNECTED and ours.keys() == ERR_AUTH


@pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])
def test_openssl_and_we_exchange_data_and_goodbyes(c, role):
    ours, peer = Endpoint(c, role), OpenSsl(other_role(role))
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    for size in (1, 500, WRITE_MAX):
        assert ours.write(b"o" * size) == 0
        peer.connection.send(b"p" * size)
        converse_more(ours, peer)
    assert peer.received == [b"o" * n for n in (1, 500, WRITE_MAX)]
    assert ours.received == [b"p" * n for n in (1, 500, WRITE_MAX)]
    peer.connection.shutdown()
    converse_more(ours, peer)
    assert ours.state == CLOSED and ours.alert == 0 and ours.error == 0
    assert ours.input(bytes(20)) == ERR_CLOSED


def test_client_answers_a_hello_verify_request(c):
    ours, peer = Endpoint(c, CLIENT), OpenSsl(SERVER, cookie=True)
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    assert ours.state == CONNECTED and peer.connected
    assert len(ours.sent) == 3 and len(ours.sent[1]) > len(ours.sent[0])  # the second hello carries the cookie


# --- messages longer than a datagram ---


@pytest.mark.parametrize("role", [CLIENT, SERVER], ids=["client", "server"])
@pytest.mark.parametrize("padding", [600, 1000, 1600])
def test_a_long_certificate_is_reassembled_from_its_fragments(c, role, padding):
    ours, peer = Endpoint(c, role), OpenSsl(other_role(role), padding=padding)
    ours.expect(peer.fingerprint)
    converse(ours, peer, rounds=20)
    assert ours.state == CONNECTED and ours.keys()[0] == CM


def fragments(record, sizes):
    """A handshake record cut into fragments (RFC 6347 4.2.3), each in a record and datagram of its own."""
    message, at, cut = record[13:], 0, []
    for n, size in enumerate(sizes):
        part = message[12 + at:12 + at + size]
        body = message[:6] + at.to_bytes(3, "big") + len(part).to_bytes(3, "big") + part
        cut.append(record[:5] + (40 + n).to_bytes(6, "big") + len(body).to_bytes(2, "big") + body)
        at += len(part)
    assert at == len(message) - 12
    return cut


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 0, 2, 2, 1]])
def test_a_hello_in_fragments_is_understood_in_any_order(c, order):
    # A post-quantum key share makes a ClientHello longer than a datagram.
    client, server = pair(c)
    client.start(0)
    hello = next(client.poll(0))
    parts = fragments(hello, [30, 40, len(hello) - 25 - 70])
    for i in order:
        server.input(parts[i])
    link = Link(client, server)
    link.run(stop=link.both_connected)
    assert link.both_connected() and client.keys() == server.keys()
    assert client.counts.retransmissions == 0


def test_a_certificate_over_our_limit_ends_in_an_error_not_in_a_crash(c):
    ours, peer = Endpoint(c, CLIENT), OpenSsl(SERVER, padding=3000)
    ours.expect(peer.fingerprint)
    converse(ours, peer, rounds=20)
    list(ours.poll(30_000_000))
    assert ours.state == FAILED and ours.error == ERR_LIMIT and ours.keys() == ERR_STATE
