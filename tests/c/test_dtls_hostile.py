"""DTLS (csrc/net/dtls.c): junk, flipped bits and truncations are counted; none crashes or gives a wrong key."""

import random

import pytest

from dtls_peers import (CM, CONNECTED, DATA, ERR_PACKET, FAILED, GCM, HANDSHAKE, HANDSHAKE_RECORD, NEW, SERVER,
                        Endpoint, Link, check_honest, connected_pair, load_dtls, pair, records)


@pytest.fixture(scope="module")
def c():
    return load_dtls()


@pytest.fixture
def connected(c):
    return connected_pair(c)


# --- before the handshake ---


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


# --- in the handshake ---


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


# --- after it ---


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


def test_a_datagram_of_impossible_size_is_refused(connected):
    client, _, _ = connected
    assert client.input(b"") == ERR_PACKET
    assert client.input(bytes(12)) == ERR_PACKET
    assert client.input(bytes([DATA, 0xFE, 0xFD, 0, 1]) + bytes(6) + b"\x05\xd0" + bytes(1488)) == ERR_PACKET
    assert client.counts.bad_datagram == 3
