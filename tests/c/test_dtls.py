"""DTLS (csrc/net/dtls.c): our two roles against each other on bad networks, and each against OpenSSL."""

import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dtls_peers import (CLIENT, CLOSED, CM, CONNECTED, ERR_AGAIN, ERR_ARG, ERR_AUTH, ERR_CLOSED, ERR_CRYPTO, ERR_LIMIT,
                        ERR_PACKET, ERR_SPACE, ERR_STATE, FAILED, GCM, HANDSHAKE, MTU, NEVER, NEW, SERVER, Endpoint,
                        Link, OpenSsl, connect, converse, load_dtls, pair, records)
from internals import limits

ALERT, HANDSHAKE_RECORD, DATA = 21, 22, 23
WRITE_MAX = 1163
QUEUE = limits()["LINNET_DTLS_QUEUE"]
BAD_NETWORK = dict(delay_us=30_000, loss=0.3, reorder=0.3, duplicate=0.1)


@pytest.fixture(scope="module")
def c():
    return load_dtls()


@pytest.fixture
def connected(c):
    client, server = pair(c)
    link = connect(client, server)
    assert link.both_connected()
    link.run(until=link.now + 5_000_000)
    return client, server, link


def other_role(role):
    return CLIENT + SERVER - role


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


def test_identity_in_too_small_an_arena_is_an_error_that_leaves_no_key(c):
    end = Endpoint(c, CLIENT)
    for size in range(64, 1600, 32):
        scratch = c.ffi.new("uint64_t[]", size // 8)
        assert c.lib.linnet_identity_make(end.identity, end.rng, scratch, size) == ERR_CRYPTO
        assert bytes(end.identity.key) == bytes(32) and end.identity.cert_len == 0
        assert bytes(c.ffi.buffer(scratch)) == bytes(size)
    assert c.lib.linnet_identity_make(end.identity, end.rng, c.ffi.new("uint64_t[512]"), 4096) == 0
    assert c.lib.linnet_identity_make(end.identity, end.rng, c.ffi.NULL, 16384) == ERR_ARG


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


@pytest.mark.parametrize("role", [CLIENT, SERVER])
@pytest.mark.parametrize("profiles", [b"SRTP_AES128_CM_SHA1_32", b"SRTP_AEAD_AES_256_GCM", b""])
def test_a_peer_without_a_profile_of_ours_gets_no_keys(c, role, profiles):
    ours, peer = Endpoint(c, role), OpenSsl(other_role(role), profiles)
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    assert ours.state == CONNECTED and ours.keys() == ERR_AUTH


# --- OpenSSL on the other side ---


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


def converse_more(ours, peer):
    for datagram in list(ours.poll(0)):
        peer.input(datagram)
    for datagram in peer.output():
        ours.input(datagram)


def test_client_answers_a_hello_verify_request(c):
    ours, peer = Endpoint(c, CLIENT), OpenSsl(SERVER, cookie=True)
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    assert ours.state == CONNECTED and peer.connected
    assert len(ours.sent) == 3 and len(ours.sent[1]) > len(ours.sent[0])  # the second hello carries the cookie


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


def test_a_client_without_a_certificate_is_refused(c):
    ours, peer = Endpoint(c, SERVER), OpenSsl(CLIENT, certificate=False)
    ours.expect(peer.fingerprint)
    converse(ours, peer)
    assert ours.state == FAILED and ours.keys() == ERR_STATE
    assert not peer.connected or peer.failed


# --- the fingerprint ---


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


# --- bad networks ---


def slowest(c, seeds, **conditions):
    times = []
    for seed in seeds:
        client, server = pair(c, seed % 4)
        link = connect(client, server, seed=seed, **conditions)
        assert link.both_connected(), "seed %d: %r" % (seed, conditions)
        assert client.keys() == server.keys()
        times.append(link.now)
    return sorted(times)


def test_handshake_survives_loss_reorder_and_duplication(c):
    times = slowest(c, range(150), **BAD_NETWORK)
    assert times[75] < 1_500_000 and times[-1] < 12_000_000, times[-5:]


def test_handshake_survives_half_of_everything_lost(c):
    times = slowest(c, range(40), delay_us=30_000, loss=0.5)
    assert times[-1] < 28_000_000, times[-5:]


@pytest.mark.parametrize("starts_at", range(0, 160_000, 20_000))
def test_handshake_survives_an_outage_of_one_second(c, starts_at):
    times = slowest(c, range(2), delay_us=30_000, outage=(starts_at, starts_at + 1_000_000))
    assert times[-1] < 2_500_000


def test_handshake_starts_before_the_server_listens(c):
    client, server = pair(c)
    link = Link(client, server)
    client.start(0)
    link.filter = lambda to, datagram: [datagram] if link.now >= 900_000 else []
    link.run(stop=link.both_connected)
    assert link.both_connected() and link.now < 2_000_000


def test_client_repeats_its_hello_at_doubling_distances_and_gives_up_after_thirty_seconds(c):
    client, server = pair(c)
    link, times = Link(client, server), []
    link.filter = lambda to, datagram: times.append(link.now) or []
    client.start(0)
    link.run(until=40_000_000)
    assert times[:7] == [0, 100_000, 300_000, 700_000, 1_500_000, 2_500_000, 3_500_000]
    assert client.state == FAILED and client.error == ERR_LIMIT and client.deadline == NEVER
    assert 29_000_000 < times[-1] < 30_000_000


def test_a_repeated_flight_is_not_cut_into_smaller_datagrams(c):
    client, server = pair(c)
    link = Link(client, server)
    link.filter = lambda to, datagram: [datagram] if to == 1 or link.now > 5_000_000 else []
    client.start(0)
    link.run(stop=link.both_connected)
    assert link.both_connected()
    assert len(set(map(len, server.sent[:-1]))) == 1


def test_server_repeats_its_last_flight_when_the_client_repeats_its_own(c):
    client, server = pair(c)
    link, dropped = Link(client, server), []

    def drop_two_finished(to, datagram):
        if to == 0 and server.state == CONNECTED and len(dropped) < 2:
            dropped.append(datagram)
            return []
        return [datagram]

    link.filter = drop_two_finished
    client.start(0)
    link.run(stop=link.both_connected)
    assert link.both_connected() and len(dropped) == 2
    assert server.counts.retransmissions == 0 and client.counts.retransmissions == 2


def test_data_before_our_finished_is_tolerated(c):
    client, server = pair(c)
    link, held = Link(client, server), []

    def hold_finished(to, datagram):
        if to == 0 and server.state == CONNECTED and not held:
            held.append(datagram)
            return []
        return [datagram]

    link.filter = hold_finished
    client.start(0)
    link.run(stop=lambda: server.state == CONNECTED)
    assert server.write(b"early") == 0
    for datagram in server.poll(link.now):
        client.input(datagram, link.now)
    assert client.state == HANDSHAKE and client.received == []
    client.input(held[0], link.now)
    assert client.state == CONNECTED
    assert server.write(b"late") == 0
    for datagram in server.poll(link.now):
        client.input(datagram, link.now)
    assert client.received == [b"late"]


def test_data_right_behind_finished_in_the_same_datagram_is_delivered(c):
    client, server = pair(c)
    link = Link(client, server)
    client.start(0)
    link.filter = lambda to, datagram: [datagram] if server.state != CONNECTED or to == 1 else []
    link.run(stop=lambda: server.state == CONNECTED)
    server.write(b"behind")
    client.input(server.sent[-1] + next(server.poll(link.now)), link.now)
    assert client.state == CONNECTED and client.received == [b"behind"]


# --- hostile bytes ---


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


def test_junk_before_and_in_a_handshake_is_counted_and_ignored(c):
    rng = random.Random(4)
    client, server = pair(c)
    link = Link(client, server)

    def junk():
        noise = rng.randbytes(rng.randrange(1, 1600))
        wrong_epoch = bytes([HANDSHAKE_RECORD, 0xFE, 0xFD, 0, rng.randrange(2, 256)]) + bytes(6) + b"\0\1x"
        sealed = bytes([DATA, 0xFE, 0xFD, 0, 1]) + bytes(6) + b"\0\x28" + rng.randbytes(40)
        return [noise, wrong_epoch, sealed, b"", b"\x16" * 12]

    link.filter = lambda to, datagram: [*junk(), datagram, *junk()]
    client.start(0)
    link.run(until=2_000_000)
    assert link.both_connected()
    assert client.counts.bad_datagram > 0 and client.counts.wrong_epoch > 0


def answered(server):
    return any(kind == HANDSHAKE_RECORD for datagram in server.poll(0) for kind, _, _ in records(datagram))


def test_a_hello_that_makes_no_sense_does_not_end_the_server(c):
    client, server = pair(c)
    client.start(0)
    hello = next(client.poll(0))
    rng = random.Random(5)
    for _ in range(300):
        bad = bytearray(hello)
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        trial = Endpoint(c, SERVER, 7)
        trial.expect(client.fingerprint)
        trial.input(bytes(bad[:rng.randrange(14, len(bad) + 1)]), 0)
        assert trial.state in (NEW, HANDSHAKE)
        if answered(trial):
            continue  # the change was harmless: this server now waits for that client
        trial.input(hello, 0)
        assert answered(trial)


def test_a_server_that_saw_nonsense_first_still_connects(c):
    client, server = pair(c)
    client.start(0)
    bad = bytearray(next(client.poll(0)))
    bad[25:27] = b"\x03\x00"  # a version that is not DTLS 1.2
    server.input(bytes(bad), 0)
    assert server.counts.hello_rejected == 1 and server.state == HANDSHAKE
    link = Link(client, server)
    link.run(stop=link.both_connected)
    assert link.both_connected() and client.keys() == server.keys()


def recorded_handshake(c, seed):
    client, server = pair(c, seed)
    link, log = Link(client, server), []
    link.filter = lambda to, datagram: log.append((to, datagram)) or [datagram]
    client.start(0)
    link.run(stop=link.both_connected)
    return log


def handshake_with_one_change(c, seed, index, change):
    """The same handshake, in which datagram `index` arrives changed; repeats arrive whole."""
    client, server = pair(c, seed)
    link, seen = Link(client, server), []

    def spoil(to, datagram):
        seen.append(datagram)
        return [change(datagram)] if len(seen) == index + 1 else [datagram]

    link.filter = spoil
    client.start(0)
    link.run(until=3_000_000, stop=lambda: link.both_connected() or FAILED in (client.state, server.state))
    return client, server


def check_honest(client, server):
    for end in (client, server):
        if end.state != CONNECTED:
            assert end.keys() == ERR_STATE
    if client.state == server.state == CONNECTED:
        assert client.keys() == server.keys()


def test_flipped_bits_in_a_handshake_never_crash_and_never_give_different_keys(c):
    rng, log = random.Random(6), recorded_handshake(c, 1)
    places = [(i, at) for i, (_, datagram) in enumerate(log) for at in range(len(datagram))]
    states = set()
    for index, at in rng.sample(places, 250):
        def flip(datagram, at=at):
            bad = bytearray(datagram)
            bad[at] ^= 1 << rng.randrange(8)
            return bytes(bad)

        client, server = handshake_with_one_change(c, 1, index, flip)
        check_honest(client, server)
        states.add((client.state, server.state))
    assert (CONNECTED, CONNECTED) in states  # the network repaired some


def test_a_truncated_handshake_datagram_is_like_a_lost_one_or_an_error(c):
    rng, log = random.Random(7), recorded_handshake(c, 1)
    for index, (_, datagram) in enumerate(log):
        for length in rng.sample(range(len(datagram)), 30):
            check_honest(*handshake_with_one_change(c, 1, index, lambda whole, n=length: whole[:n]))


def test_every_flipped_bit_and_truncation_of_a_data_record_is_rejected(connected):
    client, server, _ = connected
    client.write(b"the quick brown fox")
    record = next(client.poll(0))
    for bit in range(8 * len(record)):
        bad = bytearray(record)
        bad[bit // 8] ^= 1 << bit % 8
        server.input(bytes(bad))
    for length in range(len(record)):
        server.input(record[:length])
    assert server.received == [] and server.state == CONNECTED
    assert server.counts.record_rejected > 100 and server.counts.bad_datagram > 0
    server.input(record)
    assert server.received == [b"the quick brown fox"]


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


def test_a_datagram_of_impossible_size_is_refused(connected):
    client, _, _ = connected
    assert client.input(b"") == ERR_PACKET
    assert client.input(bytes(12)) == ERR_PACKET
    assert client.input(bytes([DATA, 0xFE, 0xFD, 0, 1]) + bytes(6) + b"\x05\xd0" + bytes(1488)) == ERR_PACKET
    assert client.counts.bad_datagram == 3


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


def test_wipe_leaves_only_zeros(c, connected):
    client, _, _ = connected
    secret = client.keys()[1]
    assert secret in bytes(c.ffi.buffer(client.dtls))
    c.lib.linnet_dtls_wipe(client.dtls)
    assert bytes(c.ffi.buffer(client.dtls)) == bytes(c.ffi.sizeof("linnet_dtls_t"))
    assert c.lib.linnet_dtls_poll(client.dtls, 0, client.out, MTU) == ERR_STATE
    assert client.input(bytes(20)) == ERR_STATE


# --- memory ---


def test_the_arena_is_large_enough_with_room_to_spare(c):
    peaks = []
    for seed in range(10):
        ends = pair(c, seed)
        connect(*ends, seed=seed, **BAD_NETWORK)
        peaks += [end.arena_peak for end in ends]
    peer = OpenSsl(CLIENT, mtu=256, padding=1600)
    ours = Endpoint(c, SERVER)
    ours.expect(peer.fingerprint)
    converse(ours, peer, rounds=20)
    assert ours.state == CONNECTED
    assert max(peaks + [ours.arena_peak]) < limits()["LINNET_TLS_ARENA"] - 1024


@pytest.mark.parametrize("role", [CLIENT, SERVER])
def test_a_queue_of_one_datagram_carries_every_flight(role):
    tiny = load_dtls(defines=["LINNET_DTLS_QUEUE=1"])
    ends = pair(tiny, 3)
    connect(*ends, seed=3, **BAD_NETWORK)
    check_honest(*ends)
    assert ends[0].state == ends[1].state == CONNECTED
    peer = OpenSsl(other_role(role), mtu=256, padding=800)
    ours = Endpoint(tiny, role)
    ours.expect(peer.fingerprint)
    converse(ours, peer, rounds=20)
    assert ours.state == CONNECTED and ours.keys()[1]


@pytest.mark.parametrize("kib", [2, 6, 8, 9, 12])
def test_too_small_an_arena_is_an_error_not_a_crash(kib):
    small = load_dtls(defines=["LINNET_TLS_ARENA=(%d*1024)" % kib])
    client, server = Endpoint(small, CLIENT), Endpoint(small, SERVER)
    results = client.expect(server.fingerprint), server.expect(client.fingerprint)
    if results != (0, 0):
        assert set(results) <= {0, ERR_CRYPTO} and kib <= 8
        return
    connect(client, server)
    check_honest(client, server)
    if kib < 10:
        assert client.state == FAILED or server.state == FAILED
        assert ERR_CRYPTO in (client.error, server.error)


@pytest.mark.parametrize("role", [CLIENT, SERVER])
@pytest.mark.parametrize("peer_is", ["ours", "openssl", "openssl with a long certificate"])
def test_what_only_the_handshake_needed_is_given_back(c, role, peer_is):
    def give_back(end):
        mem = c.ffi.new("uint8_t **")
        n = c.lib.linnet_dtls_give_back(end.dtls, mem)
        start = int(c.ffi.cast("uintptr_t", mem[0]))
        assert n == 0 or start + n == int(c.ffi.cast("uintptr_t", end.dtls)) + c.lib.linnet_dtls_size()
        c.ffi.memmove(mem[0], b"\xa5" * n, n)  # whatever SCTP writes there
        return n

    if peer_is == "ours":
        ends = pair(c, 4)
        assert give_back(ends[0]) == give_back(ends[1]) == 0
        link = connect(*ends)
        given = give_back(ends[0]), give_back(ends[1])
        ours, other = ends[role], ends[1 - role]
        assert ours.write(b"ping") == 0 and other.write(b"pong") == 0
        link.run(until=link.now + 1_000_000)
        assert ours.received == [b"pong"] and other.received == [b"ping"]
        other.close()
        link.run(until=link.now + 1_000_000)
        assert ours.state == CLOSED
    else:
        ours, other = Endpoint(c, role), OpenSsl(other_role(role), padding=1600 if "long" in peer_is else 0)
        ours.expect(other.fingerprint)
        converse(ours, other, rounds=20)
        assert ours.state == CONNECTED
        given = [give_back(ours)]
        converse_more(ours, other)
    assert min(given) >= limits()["LINNET_TLS_SPARE"]


# --- what the ClientHello offers ---


def test_the_offer_of_a_hello_is_read_without_trusting_a_length(c):
    client, _ = pair(c)
    client.offer(GCM, CM)
    client.start(0)
    hello = next(client.poll(0))

    def chosen(datagram, *ours):
        data = c.ffi.new("uint8_t[]", datagram or b"\0")
        return c.lib.linnet_dtls_hello_profile(data, len(datagram), list(ours), len(ours))

    assert chosen(hello, CM, GCM) == CM and chosen(hello, GCM, CM) == GCM and chosen(hello, 2, 8) == 0
    for length in range(len(hello)):
        assert chosen(hello[:length], CM, GCM) == 0
    for bit in range(8 * len(hello)):
        bad = bytearray(hello)
        bad[bit // 8] ^= 1 << bit % 8
        assert chosen(bytes(bad), CM, GCM) in (0, CM, GCM)
