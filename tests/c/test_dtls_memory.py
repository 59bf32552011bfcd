"""DTLS (csrc/net/dtls.c): arena and queue are large enough, smaller ones are errors, and what is over is given back."""

import pytest

from dtls_peers import (BAD_NETWORK, CLIENT, CLOSED, CONNECTED, ERR_ARG, ERR_CRYPTO, ERR_STATE, FAILED, MTU, SERVER,
                        Endpoint, OpenSsl, check_honest, connect, connected_pair, converse, converse_more, load_dtls,
                        other_role, pair)
from internals import limits


@pytest.fixture(scope="module")
def c():
    return load_dtls()


@pytest.fixture
def connected(c):
    return connected_pair(c)


# --- how much is enough ---


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


def test_identity_in_too_small_an_arena_is_an_error_that_leaves_no_key(c):
    end = Endpoint(c, CLIENT)
    for size in range(64, 1600, 32):
        scratch = c.ffi.new("uint64_t[]", size // 8)
        assert c.lib.linnet_identity_make(end.identity, end.rng, scratch, size) == ERR_CRYPTO
        assert bytes(end.identity.key) == bytes(32) and end.identity.cert_len == 0
        assert bytes(c.ffi.buffer(scratch)) == bytes(size)
    assert c.lib.linnet_identity_make(end.identity, end.rng, c.ffi.new("uint64_t[512]"), 4096) == 0
    assert c.lib.linnet_identity_make(end.identity, end.rng, c.ffi.NULL, 16384) == ERR_ARG


# --- what is over ---


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


def test_wipe_leaves_only_zeros(c, connected):
    client, _, _ = connected
    secret = client.keys()[1]
    assert secret in bytes(c.ffi.buffer(client.dtls))
    c.lib.linnet_dtls_wipe(client.dtls)
    assert bytes(c.ffi.buffer(client.dtls)) == bytes(c.ffi.sizeof("linnet_dtls_t"))
    assert c.lib.linnet_dtls_poll(client.dtls, 0, client.out, MTU) == ERR_STATE
    assert client.input(bytes(20)) == ERR_STATE
