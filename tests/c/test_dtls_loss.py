"""DTLS (csrc/net/dtls.c): a handshake survives loss, reordering, duplication and outages, in virtual time."""

import pytest

from dtls_peers import BAD_NETWORK, CONNECTED, ERR_LIMIT, FAILED, HANDSHAKE, NEVER, Link, connect, load_dtls, pair


@pytest.fixture(scope="module")
def c():
    return load_dtls()


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


# --- flights sent again ---


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


# --- data around Finished ---


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
