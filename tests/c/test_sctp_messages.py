"""SCTP: messages whole and in order, SACKs, and the receiver's window (RFC 9260 6), in virtual time."""

import random
import struct

import pytest
from sctp_lib import (
    ABORT, AGAIN, ARG, DATA, ERROR, INIT_ACK, LIMIT, S, SACK, SPACE, End, Scripted, World, chunk, chunks_of,
    data_chunk, established, exchange, init_body, lib, packet, sack_chunk, sack_of, types_of,
)


# --- messages ---

@pytest.mark.parametrize("unordered", (False, True))
@pytest.mark.parametrize("size", (1, 2, 37, 38, 39, 99, 100, 101, 1119, 1120, 1121, 2240, 2241, 15360, 65535, 65536))
def test_message_of_any_size_arrives_whole(size, unordered):
    a, b = established()
    data = random.Random(size).randbytes(size)
    assert a.send(data, stream=3, ppid=51, unordered=unordered) == 0
    exchange(a, b, rounds=200)
    assert b.recv_all() == [(3, 51, data)]
    assert lib.linnet_sctp_buffered(a.s) == 0 and b.s.n_free == b.s.n_blocks


def test_message_over_the_limit_or_empty_is_refused():
    a, _ = established()
    assert a.send(bytes(65537)) == LIMIT
    assert a.send(b"") == ARG
    assert a.send(b"x", stream=65535) == LIMIT
    lib.linnet_sctp_set_peer_max_message(a.s, 100)
    assert a.send(bytes(101)) == LIMIT and a.send(bytes(100)) == 0


def test_stream_the_peer_does_not_have_is_refused():
    peer = Scripted()
    few = End()
    few.connect()
    tag = struct.unpack_from("!I", chunks_of(few.poll()[0])[0][2])[0]
    few.input(packet(tag, chunk(INIT_ACK, 0, init_body(into=4, params=b"\x00\x07\x00\x08abcd"))))
    assert few.send(b"x", stream=3) == 0 and few.send(b"x", stream=4) == LIMIT
    assert peer.end.send(b"x", stream=65534) == 0


def test_reading_with_too_small_a_buffer_loses_nothing():
    a, b = established()
    a.send(b"twelve bytes")
    exchange(a, b)
    assert lib.linnet_sctp_readable(b.s) == 12
    assert b.recv(cap=11) == SPACE and b.recv(cap=12) == (0, 53, b"twelve bytes") and b.recv() is None


def test_small_messages_share_a_packet():
    a, b = established()
    for i in range(20):
        a.send(b"%02d" % i)
    packets = a.poll()
    assert len(packets) == 1 and types_of(packets[0]) == [DATA] * 20


def test_packets_never_exceed_the_mtu():
    with World(seed=3, jitter_us=50_000, duplicate_ppm=300_000) as w:
        w.loss(20)
        w.connect()
        w.run(S)
        biggest = 0
        for _ in range(40):
            for end in w.ends:
                end.send(random.Random(1).randbytes(5000))
                for raw in end.poll():
                    biggest = max(biggest, len(raw))
                    assert len(raw) % 4 == 0
            w.run(50_000)
        assert 1100 < biggest <= 1150
        assert lib.linnet_sctp_poll(w.ends[0].s, w.now, w.ends[0].buf, 1147) == SPACE


def test_full_send_buffer_says_again_and_a_message_is_never_cut():
    a, b = established(send_len=70000, max_message=65536)
    accepted = 0
    while a.send(bytes([accepted]) * 3000) == 0:
        accepted += 1
    assert accepted == 22 and a.send(bytes(3000)) == AGAIN
    exchange(a, b, rounds=300)
    assert [m[2] for m in b.recv_all()] == [bytes([i]) * 3000 for i in range(accepted)]
    assert a.send(bytes(65536)) == 0, "room again for the largest"


def test_unordered_message_overtakes_and_ordered_ones_wait():
    peer = Scripted()
    first = peer.data(ssn=0, payload=b"first")
    peer.give(peer.data(ssn=1, payload=b"second"))
    peer.give(peer.data(payload=b"free", flags=7))
    peer.give(peer.data(ssn=0, payload=b"other", stream=9))
    assert [m[2] for m in peer.end.recv_all()] == [b"free", b"other"]
    peer.give(first)
    assert [m[2] for m in peer.end.recv_all()] == [b"first", b"second"]


def test_fragments_in_any_order_make_one_message():
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]):
        for unordered in (0, 4):
            peer = Scripted()
            parts = [peer.data(payload=bytes([65 + i]) * 50, flags=unordered | (2 if i == 0 else 1 if i == 3 else 0))
                     for i in range(4)]
            for i in order:
                assert peer.end.recv() is None
                peer.give(parts[i])
            assert peer.end.recv()[2] == b"".join(bytes([65 + i]) * 50 for i in range(4))


def test_ssn_and_tsn_wrap_around_unnoticed():
    a, b = End(seed=1), End(seed=2)
    a.s.my_first_tsn = a.s.next_tsn = 0xfffffffa
    a.s.peer_cum = 0xfffffff9
    lib.linnet_sctp_connect(a.s, a.now)
    b.connect()
    exchange(a, b)
    for i in range(66000):
        assert a.send(struct.pack("!I", i)) == 0
        if i % 50 == 49:
            exchange(a, b)
            assert [m[2] for m in b.recv_all()] == [struct.pack("!I", k) for k in range(i - 49, i + 1)]


# --- SACK ---

def test_sack_waits_for_a_second_packet_or_a_tenth_of_a_second():
    peer = Scripted()
    peer.give(peer.data())
    assert peer.answers() == []
    assert lib.linnet_sctp_deadline(peer.end.s) == peer.end.now + 100_000
    (at, raw), = peer.end.sleep(100_000)
    assert sack_of(chunks_of(raw))[0] == 1000
    peer.give(peer.data(ssn=1))
    peer.give(peer.data(ssn=2))
    assert sack_of(peer.answers())[0] == 1002


def test_waiting_sack_travels_with_data():
    peer = Scripted()
    peer.give(peer.data())
    peer.end.send(b"going your way")
    assert [c[0] for c in peer.answers()] == [SACK, DATA]


def test_waiting_sack_does_not_hold_back_a_full_fragment():
    peer = Scripted()
    peer.give(peer.data())
    peer.end.send(bytes(1120))
    assert [c[0] for c in peer.answers()] == [DATA]


def test_immediate_bit_asks_for_a_sack_at_once():
    peer = Scripted()
    peer.give(peer.data(flags=3 | 8))
    assert sack_of(peer.answers())[0] == 1000


def test_gap_is_reported_at_once():
    peer = Scripted()
    peer.data()
    peer.give(peer.data(ssn=1))
    assert sack_of(peer.answers())[::2] == (999, [(2, 2)])


def test_gaps_and_duplicates_are_reported():
    peer = Scripted()
    chunks = [peer.data(ssn=i) for i in range(10)]
    for i in (0, 2, 3, 6, 9):
        peer.give(chunks[i])
    assert sack_of(peer.answers())[::2] == (1000, [(2, 3), (6, 6), (9, 9)])
    peer.give(chunks[3])
    peer.give(chunks[0])
    cum, _, gaps, duplicates = sack_of(peer.answers())
    assert (cum, gaps, duplicates) == (1000, [(2, 3), (6, 6), (9, 9)], [1003, 1000])
    assert peer.end.counters.duplicates_in == 2
    for i in (1, 4, 5, 7, 8):
        peer.give(chunks[i])
    assert sack_of(peer.answers())[::2] == (1009, [])
    assert len(peer.end.recv_all()) == 10


def test_sack_with_more_gaps_than_fit_names_the_first_ones():
    peer = Scripted()
    for tsn in range(1001, 3000, 2):
        peer.give(data_chunk(tsn, flags=7))
    raw, = [p for p in peer.end.poll()]
    cum, _, gaps, _ = sack_of(chunks_of(raw))
    assert cum == 999 and len(raw) <= 1150 and len(gaps) > 100
    assert gaps == [(2 + 2 * i, 2 + 2 * i) for i in range(len(gaps))]


def test_data_too_far_ahead_is_dropped_and_counted():
    peer = Scripted()
    peer.give(data_chunk(999 + 4096))
    assert peer.end.counters.drop_window == 1 and peer.end.recv() is None
    peer.give(data_chunk(999 + 4095, flags=7))
    assert peer.end.recv()


def test_sack_for_what_was_never_sent_is_dropped():
    peer = Scripted()
    peer.end.send(b"one")
    peer.end.poll()
    first = peer.end_tsn
    for bad in (sack_chunk(first + 1), sack_chunk(first - 1, gaps=[(1, 2)]), sack_chunk(first - 1, gaps=[(0, 1)]),
                sack_chunk(first - 1, gaps=[(1, 1), (1, 1)]), sack_chunk(first - 1, gaps=[(2, 1)]),
                sack_chunk(first - 2)):
        before = peer.end.counters.drop_sack
        peer.give(bad)
        assert peer.end.counters.drop_sack == before + 1 and peer.end.s.flight == 3
    peer.give(sack_chunk(first))
    assert peer.end.s.flight == 0


# --- the receiver's window ---

def test_unread_messages_close_the_window_and_reading_opens_it():
    with World(seed=5, max_message=16384, send_len=65536, recv_len=32768) as w:
        w.connect()
        w.run(S)
        a, b = w.ends
        sent = 0

        def pump(us):
            nonlocal sent
            end = w.now + us
            while w.now < end:
                while a.send(struct.pack("!I", sent) * 250) == 0:
                    sent += 1
                w.run(10_000)

        pump(10 * S)
        assert a.s.peer_window == 0 and a.state == "ESTABLISHED"
        stalled = sent
        pump(30 * S)
        assert sent == stalled, "nothing moves"
        assert a.counters.t3_expired >= 25, "but the window is probed, with the longest interval a second"
        assert a.s.errors <= 1, "and the peer is known to be there"
        got = [m[2] for m in b.recv_all()]
        assert 20 <= len(got) <= 32
        at = w.now
        while len(got) < stalled:
            pump(10_000)
            got += [m[2] for m in b.recv_all()]
            assert w.now - at < 3 * S, "resumes at once"
        assert [struct.unpack_from("!I", m)[0] for m in got] == list(range(len(got)))


def test_reading_tells_the_peer_of_a_window_that_was_shut():
    peer = Scripted(max_message=16384, recv_len=32768, send_len=65536)
    window, n = 1, 0
    while window:
        peer.give(peer.data(ssn=n, payload=bytes(1000)), peer.data(ssn=n + 1, payload=bytes(120)))
        peer.end.now += 200_000
        window, n = sack_of(peer.answers())[1], n + 2
    peer.end.recv()
    assert sack_of(peer.answers())[1] >= 1148, "at once, and a packet wide"
    peer.end.recv()
    assert peer.answers() == [], "but not for every message"


def test_receiver_without_room_gives_back_the_latest_for_the_earliest():
    peer = Scripted(max_message=16384, recv_len=32768, send_len=65536)
    first = peer.data(ssn=0, payload=b"0" * 1000)
    for i in range(1, 60):
        peer.give(peer.data(ssn=i, payload=bytes([i]) * 1000))
    assert peer.end.counters.drop_memory > 20 and peer.end.recv() is None
    held = peer.end.s.n_free
    peer.give(first)
    assert peer.end.counters.reneged >= 1 or held > 18
    got = peer.end.recv_all()
    assert got[0][2] == b"0" * 1000 and len(got) > 20
    cum, _, gaps, _ = sack_of(peer.answers())
    assert cum == 1000 + len(got) - 1 and gaps == []
    assert peer.end.s.n_free == peer.end.s.n_blocks


def test_message_over_our_limit_is_skipped_and_the_stream_goes_on():
    peer = Scripted(max_message=5000, recv_len=32768, send_len=32768)
    for i in range(12):
        peer.give(peer.data(flags=2 if i == 0 else 1 if i == 11 else 0, payload=bytes(1000)))
        if i >= 5:
            assert peer.end.s.n_free == peer.end.s.n_blocks, "nothing more of it is kept"
    peer.give(peer.data(ssn=1, payload=b"after"))
    assert [m[2] for m in peer.end.recv_all()] == [b"after"]
    assert peer.end.counters.drop_oversize == 1 and peer.end.s.n_free == peer.end.s.n_blocks
    assert sack_of(peer.answers())[0] == 1012


def test_message_over_our_limit_is_skipped_whatever_the_order_of_its_fragments():
    for seed in range(30):
        peer = Scripted(max_message=5000, recv_len=32768, send_len=32768)
        chunks = [peer.data(flags=2 if i == 0 else 1 if i == 11 else 0, payload=bytes(1000)) for i in range(12)]
        chunks.append(peer.data(ssn=1, payload=b"after"))
        random.Random(seed).shuffle(chunks)
        for c in chunks:
            peer.give(c)
        assert [m[2] for m in peer.end.recv_all()] == [b"after"], "seed %d" % seed
        assert peer.end.s.n_free == peer.end.s.n_blocks, "seed %d" % seed


def test_endless_message_of_tiny_fragments_cannot_block_the_association():
    peer = Scripted(max_message=16384, recv_len=32768, send_len=32768)
    peer.give(peer.data(flags=2, payload=b"."))
    for _i in range(700):
        peer.give(peer.data(flags=0, payload=b"."))
    peer.give(peer.data(flags=1, payload=b"."))
    peer.give(peer.data(ssn=1, payload=b"after"))
    assert [m[2] for m in peer.end.recv_all()] == [b"after"]
    assert peer.end.s.n_free == peer.end.s.n_blocks


def test_fragments_that_fit_no_message_are_freed_and_counted():
    peer = Scripted()
    peer.give(peer.data(flags=0, payload=b"middle without beginning"))
    peer.give(peer.data(flags=1, payload=b"end without beginning"))
    peer.give(peer.data(flags=2, payload=b"beginning without end"))
    peer.give(peer.data(flags=3, ssn=0, payload=b"whole"))
    assert [m[2] for m in peer.end.recv_all()] == [b"whole"]
    assert peer.end.counters.drop_fragment == 3 and peer.end.s.n_free == peer.end.s.n_blocks


def test_more_streams_than_we_keep_are_refused_with_an_error():
    peer = Scripted()
    for stream in range(20):
        peer.give(peer.data(stream=stream, payload=b"%d" % stream))
    assert len(peer.end.recv_all()) == 16 and peer.end.counters.drop_stream == 4
    errors = [c[2] for c in peer.answers() if c[0] == ERROR]
    assert errors[0] == struct.pack("!HHHH", 1, 8, 16, 0)
    assert peer.end.s.cum == 1019, "all the same acknowledged"


def test_data_without_payload_aborts():  # RFC 9260 6.2
    peer = Scripted()
    peer.give(peer.data(payload=b""))
    assert peer.answers() == [(ABORT, 0, struct.pack("!HH", 9, 4))] and peer.end.events() == ["ABORTED"]
