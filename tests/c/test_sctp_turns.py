"""SCTP sends its streams in turn, a message each (RFC 8260 3.2): a burst on one does not hold up the others."""

import random

import pytest
from sctp_lib import DATA, S, Scripted, World, established, exchange, sack_chunk

KIB15 = 15 * 1024


def order_of_arrival(w, limit_s=60):
    """[(stream, first four bytes)] of everything that the second end gets."""
    got, until = [], w.now + limit_s * S
    while w.now < until and w.ends[0].s.buffered:
        w.run(S // 20)
        got += [(stream, data[:4]) for stream, _, data in w.ends[1].recv_all()]
    w.run(S)
    return got + [(stream, data[:4]) for stream, _, data in w.ends[1].recv_all()]


def test_a_small_message_waits_for_one_message_of_a_burst_and_not_for_all():
    with World() as w:
        w.connect()
        w.run(S // 5)
        for _ in range(7):
            assert w.ends[0].send(bytes(KIB15), stream=0) == 0
        assert w.ends[0].send(b"fast", stream=1, unordered=True, max_retransmits=0) == 0
        got = order_of_arrival(w)
        assert [stream for stream, _ in got].index(1) == 1
        assert len(got) == 8


def test_the_message_that_is_leaving_is_finished_and_counts_as_its_streams_turn():
    with World() as w:
        w.connect()
        w.run(S // 5)
        for _ in range(4):
            w.ends[0].send(b"slow" + bytes(KIB15), stream=0)
        w.run(1000)             # the first fragments leave
        assert 0 < w.ends[0].s.flight
        w.ends[0].send(b"fast", stream=1)
        assert [stream for stream, _ in order_of_arrival(w)] == [0, 1, 0, 0, 0]


def test_three_streams_take_turns_whatever_the_order_of_the_calls():
    for seed in range(20):
        rng = random.Random(seed)
        end = Scripted()
        calls = [stream for stream in (3, 5, 7) for _ in range(4)]
        rng.shuffle(calls)
        for i, stream in enumerate(calls):
            assert end.end.send(bytes([i]), stream=stream) == 0
        left = leave(end)
        assert sorted(left) == list(range(12))
        streams = [calls[i] for i in left]
        for stream in (3, 5, 7):
            mine = [i for i in left if calls[i] == stream]
            assert mine == sorted(mine), "the order of one stream is that of the calls"
        for n in range(0, 12, 3):
            assert sorted(streams[n:n + 3]) == [3, 5, 7], (calls, left)


def leave(end):
    """First bytes of all messages in the order in which they leave."""
    left = []
    for _ in range(100):
        chunks = [one for one in end.answers() if one[0] == DATA]
        if not chunks:
            return left
        left += [body[12] for _, _, body in chunks]
        end.give(sack_chunk(int.from_bytes(chunks[-1][2][:4], "big")))
    raise AssertionError("it never ends")


@pytest.mark.parametrize("seed", range(10))
def test_every_stream_keeps_its_order_while_the_ring_goes_round(seed):
    """Streams of different habits over a small ring and a bad network: whole, once, in order, and the ring empties."""
    rng = random.Random(seed)
    with World(seed=seed + 1, send_len=16384, delay_us=20_000) as w:
        w.loss(10)
        w.connect()
        w.run(3 * S)
        sent, got, number = {0: [], 1: [], 2: []}, {0: [], 1: [], 2: []}, 0
        for _ in range(400):
            stream = rng.choice((0, 0, 1, 2))
            size = rng.choice((4, 30, 500, 3000, 5000)) if stream else rng.choice((4, 4000))
            data = number.to_bytes(4, "big") + bytes(size)
            if w.ends[0].send(data, stream=stream) == 0:
                sent[stream].append(data)
                number += 1
            else:
                w.run(S // 50)
            for stream, _, data in w.ends[1].recv_all():
                got[stream].append(data)
        w.run(300 * S)
        for stream, _, data in w.ends[1].recv_all():
            got[stream].append(data)
        assert got == sent and number > 100
        state = w.ends[0].s
        assert (state.n_records, state.n_sent, state.n_unsent, state.buffered, state.flight) == (0, 0, 0, 0, 0)


def test_a_dead_message_between_two_turns_costs_the_others_nothing():
    a, b = established()
    for _ in range(6):
        assert a.send(b"lost", stream=1, lifetime_ms=1) == 0
        assert a.send(b"kept", stream=2) == 0
    a.now = b.now = a.now + 50_000
    exchange(a, b)
    assert a.counters.expired_unsent == 6
    assert [data for stream, _, data in b.recv_all() if stream == 2] == [b"kept"] * 6
