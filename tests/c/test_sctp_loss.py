"""SCTP: loss, retransmission and congestion (RFC 9260 6.3, 7), and giving up (RFC 3758), in virtual time."""

import os
import struct

import pytest
from sctp_lib import (
    DATA, FORWARD_TSN, S, Scripted, World, chunk, chunks_of, data_chunk, lib, sack_chunk, sack_of, types_of,
)

SEEDS = int(os.environ.get("LINNET_SEEDS", "200"))


# --- loss, retransmission, congestion ---

def test_third_report_of_a_missing_chunk_sends_it_again_at_once():  # RFC 9260 7.2.4
    peer = Scripted()
    for i in range(8):
        peer.end.send(bytes([i]) * 900)
    sent = peer.answers()
    assert len(sent) == 4, "initial burst"
    for last in (2, 3):
        peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, last)]))
        assert all(struct.unpack_from("!I", c[2])[0] != peer.end_tsn for c in peer.answers())
    before = peer.end.s.cwnd
    peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, 4)]))
    again = peer.answers()
    assert struct.unpack_from("!I", again[0][2])[0] == peer.end_tsn
    assert peer.end.counters.fast_retransmits == 1 and peer.end.counters.t3_expired == 0
    assert peer.end.s.cwnd == max(before // 2, 4 * 1148)


def test_lost_fast_retransmission_is_noticed_without_a_timer():
    peer = Scripted()
    for i in range(14):
        peer.end.send(bytes([i]) * 900)
    peer.answers()
    peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, 2)]))
    peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, 3)]))
    peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, 4)]))
    assert struct.unpack_from("!I", peer.answers()[0][2])[0] == peer.end_tsn
    seen = 0
    for last in range(5, 14):  # later chunks keep arriving, the retransmission does not
        peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, last)]))
        seen += sum(struct.unpack_from("!I", c[2])[0] == peer.end_tsn for c in peer.answers() if c[0] == DATA)
        if last > 13 or peer.end.s.next_tsn - peer.end_tsn <= last:
            break
    assert seen >= 1 and peer.end.counters.t3_expired == 0


def test_retransmission_timer_backs_off_to_its_bound_and_the_association_is_lost():
    peer = Scripted(max_retrans=12)
    peer.end.send(b"anyone?")
    sent = [(t, p) for t, p in peer.end.sleep(60 * S) if DATA in types_of(p)]
    gaps = [b[0] - a[0] for a, b in zip(sent, sent[1:])]
    assert gaps == [500_000] + [1_000_000] * 11
    assert peer.end.state == "LOST" and peer.end.events() == ["LOST"]
    assert lib.linnet_sctp_deadline(peer.end.s) == 2 ** 64 - 1 and peer.end.poll() == []
    assert lib.linnet_sctp_buffered(peer.end.s) == 0


def test_timeout_shrinks_the_window_to_one_packet_and_acknowledgements_open_it():
    peer = Scripted()
    assert peer.end.s.cwnd == 4404
    for _ in range(10):
        peer.end.send(bytes(1120))
    assert len(peer.answers()) == 4
    sent = [p for _, p in peer.end.sleep(600_000) if DATA in types_of(p)]
    assert len(sent) <= 2 and peer.end.s.cwnd == 1148, "RFC 9260 7.2.3, 6.1 B: the last packet may exceed cwnd"
    assert peer.end.s.ssthresh == 4 * 1148
    grown = []
    for i in range(10):
        peer.give(sack_chunk(peer.end_tsn + i))
        peer.answers()
        grown.append(peer.end.s.cwnd)
    assert grown[:4] == [2268, 3388, 4508, 5628], "slow start: a packet for each one acknowledged"
    assert grown[-1] - grown[3] <= 1148 * 2, "then congestion avoidance: a packet a window"


def test_window_that_was_not_full_does_not_grow():  # RFC 9260 7.2.1
    peer = Scripted()
    for i in range(100):
        peer.end.send(bytes(500))
        peer.answers()
        peer.give(sack_chunk(peer.end_tsn + i))
    assert peer.end.s.cwnd == 4404


def test_round_trip_time_sets_the_timer_within_its_bounds():
    for delay, low, high in ((500, 400_000, 400_000), (100_000, 400_000, 700_000), (1_500_000, 2_900_000, 10_000_000)):
        with World(delay_us=delay) as w:
            w.connect()
            w.run(20 * S)
            for _ in range(20):
                w.ends[0].send(bytes(100))
                w.ends[0].send(bytes(1000))
                w.run(4 * S)
            assert low <= w.ends[0].s.rto_us <= high
            assert abs(w.ends[0].s.srtt_us - 2 * delay) <= 110_000
            w.ends[0].counters.retransmits = 0
            w.ends[0].send(bytes(2000))
            w.run(9 * S)
            assert w.ends[0].counters.retransmits == 0, "a long path is no loss"


def test_chunk_sent_twice_says_nothing_about_the_round_trip():  # RFC 9260 6.3.1 C5
    for third_report in (False, True):
        peer = Scripted()
        for _i in range(4):
            peer.end.send(bytes(900))
        peer.answers()
        if third_report:
            for last in (2, 3, 4):
                peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, last)]))
        else:
            peer.end.sleep(600_000)
        peer.answers()
        peer.end.now += 100_000
        peer.give(sack_chunk(peer.end_tsn))
        assert peer.end.s.srtt_us == 0
        for _i in range(1, 9):  # the next fresh one is measured again
            peer.end.send(bytes(900))
            peer.answers()
            peer.end.now += 100_000
            peer.give(sack_chunk(peer.end.s.next_tsn - 1))
        assert peer.end.s.srtt_us == 100_000


def test_probe_that_was_refused_is_repeated_as_soon_as_the_window_opens():
    peer = Scripted(window=0)
    peer.end.send(bytes(1000))
    peer.end.send(b"second")
    assert [len(c[2]) for c in peer.answers()] == [1012], "one chunk may be under way"
    peer.give(sack_chunk(peer.end_tsn - 1, window=0))
    assert peer.answers() == []
    peer.give(sack_chunk(peer.end_tsn - 1, window=900))
    assert peer.answers() == [], "too narrow for it"
    peer.give(sack_chunk(peer.end_tsn - 1, window=5000))
    assert [struct.unpack_from("!I", c[2])[0] - peer.end_tsn for c in peer.answers()] == [0, 1]


def test_peer_that_keeps_its_window_shut_but_answers_is_not_given_up():  # RFC 9260 6.1 A
    peer = Scripted(window=0, max_retrans=5)
    peer.end.send(b"x")
    probes = 0
    for _ in range(100):
        for _, raw in peer.end.sleep(S // 2):
            if DATA in types_of(raw):
                probes += 1
                peer.give(sack_chunk(peer.end_tsn - 1, window=0))
    assert peer.end.state == "ESTABLISHED" and probes > 40


def test_receiver_that_takes_back_a_gap_gets_the_chunk_again():  # RFC 9260 6.2.1 D iii
    peer = Scripted()
    peer.end.send(b"a" * 900)
    peer.end.send(b"b" * 900)
    peer.answers()
    peer.give(sack_chunk(peer.end_tsn - 1, gaps=[(2, 2)]))
    assert peer.end.s.flight == 900
    peer.give(sack_chunk(peer.end_tsn - 1))
    assert peer.end.s.flight == 1800
    sent = [c for _, p in peer.end.sleep(3 * S) for c in chunks_of(p)]
    assert {struct.unpack_from("!I", c[2])[0] for c in sent} >= {peer.end_tsn}


def test_path_that_is_back_is_used_at_once():
    peer = Scripted()
    peer.end.send(b"x")
    peer.end.sleep(20 * S)
    peer.end.now += 300_000
    assert peer.end.poll() == []
    lib.linnet_sctp_path_restored(peer.end.s, peer.end.now)
    assert DATA in [c[0] for c in peer.answers()]
    peer.end.sleep(600 * S)
    assert peer.end.state == "LOST"
    lib.linnet_sctp_path_restored(peer.end.s, peer.end.now)
    assert lib.linnet_sctp_deadline(peer.end.s) == 2 ** 64 - 1, "too late: nothing wakes up any more"


@pytest.mark.parametrize("part", range(8))
def test_a_thousand_messages_survive_loss_reorder_duplication_and_an_outage(part):
    """30 % loss, 5 % duplicates, 30 ms jitter on 25 ms, one second of nothing; 200 seeds, both ways at once."""
    for seed in range(part, SEEDS, 8):
        with World(seed=seed, jitter_us=30_000, duplicate_ppm=50_000, outage_from=6 * S, outage_to=7 * S) as w:
            w.loss(30)
            w.connect()
            took, bulk = w.bulk(streams=1 + seed % 3, limit_s=1200)
            where = "seed %d" % seed
            assert took > 0, where
            assert list(bulk.received) == [1000, 1000], where
            assert bulk.corrupt == bulk.out_of_order == 0, where
            assert w.w.overflow == 0
            assert [e.state for e in w.ends] == ["ESTABLISHED"] * 2, where
            assert [e.s.n_free for e in w.ends] == [e.s.n_blocks for e in w.ends], where


def test_a_burst_of_a_mebibyte_on_a_clean_path_is_quick():
    for rate, at_most in ((0, 1.5), (10_000_000, 1.5), (1_000_000, 11)):
        with World(bits_per_s=rate) as w:
            w.connect()
            w.run(S)
            sent = got = 0
            start = w.now
            while got < 1000:
                while sent < 1000 and w.ends[0].send(bytes(1024)) == 0:
                    sent += 1
                w.run(1000)
                got += len(w.ends[1].recv_all())
                assert w.now - start < at_most * S, "%d bit/s" % rate
            assert w.ends[0].counters.retransmits == 0
            assert w.w.sent[1] < 600, "SACKs for every second packet"


def test_no_stall_over_five_seconds_at_twenty_percent_loss():
    stalls = []
    for seed in range(20):
        with World(seed=seed) as w:
            w.loss(20)
            w.connect()
            took, bulk = w.bulk(n=500)
            assert took > 0 and bulk.corrupt == bulk.out_of_order == 0
            stalls.append(bulk.longest_gap_us / S)
    stalls.sort()
    assert stalls[18] < 5, stalls  # 95 % of them


# --- partial reliability ---

@pytest.mark.parametrize("seed", range(20))
def test_lossy_channel_delivers_what_arrives_and_never_blocks(seed):
    with World(seed=seed, jitter_us=20_000) as w:
        w.connect()
        w.run(S)
        w.loss(20)
        took, bulk = w.bulk(n=500, unordered=1, max_retransmits=0, limit_s=600)
        assert took > 0, "ends when the last is acknowledged or given up"
        assert bulk.corrupt == 0
        for got in bulk.received:
            assert 250 < got < 500, "some of what was lost stays lost"
        for end in w.ends:
            assert end.counters.abandoned > 20 and end.counters.forward_tsn_out > 0
            assert end.counters.retransmits < end.counters.data_out * 0.02
        w.loss(0)
        assert w.ends[0].send(b"reliable after all") == 0
        w.run(3 * S)
        assert (0, 53, b"reliable after all") in w.ends[1].recv_all()
        assert w.ends[1].s.n_free == w.ends[1].s.n_blocks, "nothing of the lost ones is kept"


@pytest.mark.parametrize("how", [dict(max_retransmits=0), dict(max_retransmits=2), dict(lifetime_ms=300)])
@pytest.mark.parametrize("unordered", (0, 1))
def test_given_up_messages_leave_the_others_in_order(how, unordered):
    for seed in range(10):
        with World(seed=seed, jitter_us=20_000) as w:
            w.connect()
            w.run(S)
            w.loss(25)
            took, bulk = w.bulk(n=300, streams=2, unordered=unordered, limit_s=900,
                                **dict({"max_retransmits": -1}, **how))
            assert took > 0 and bulk.corrupt == 0, "seed %d" % seed
            if not unordered:
                assert bulk.out_of_order == 0, "seed %d" % seed
            assert min(bulk.received) > (3 if "lifetime_ms" in how else 60)


def test_message_that_may_not_be_repeated_is_given_up_and_passed_over():
    peer = Scripted()
    peer.end.send(b"a" * 100, stream=4, max_retransmits=0)
    peer.end.send(b"b" * 100, stream=4)
    peer.answers()
    sent = [c for _, p in peer.end.sleep(500_000) for c in chunks_of(p)]
    forward = [c[2] for c in sent if c[0] == FORWARD_TSN]
    assert forward[0] == struct.pack("!IHH", peer.end_tsn, 4, 0)
    assert [struct.unpack_from("!I", c[2])[0] for c in sent if c[0] == DATA] == [peer.end_tsn + 1]
    peer.give(sack_chunk(peer.end_tsn + 1))
    assert peer.answers() == [] and lib.linnet_sctp_deadline(peer.end.s) > peer.end.now + 10 * S


@pytest.mark.parametrize("limit", range(4))
def test_message_is_sent_once_more_than_max_retransmits(limit):
    peer = Scripted()
    peer.end.send(b"a", max_retransmits=limit)
    sent = [c for _, p in peer.end.sleep(20 * S) for c in chunks_of(p)]
    assert sum(c[0] == DATA for c in sent) == 1 + limit
    assert sum(c[0] == FORWARD_TSN for c in sent) > 3, "repeated until the peer confirms"


def test_message_that_expires_before_it_leaves_costs_no_number():
    peer = Scripted(window=0)
    peer.end.send(b"first")
    peer.end.send(b"late", lifetime_ms=50)
    peer.end.send(b"third")
    assert len(peer.answers()) == 1
    peer.end.now += 60_000
    peer.give(sack_chunk(peer.end_tsn))
    third, = peer.answers()
    assert struct.unpack_from("!IHH", third[2]) == (peer.end_tsn + 1, 0, 1) and third[2][12:] == b"third"
    assert peer.end.counters.expired_unsent == 1


def test_long_message_that_expires_halfway_is_passed_over_with_all_its_fragments():
    peer = Scripted()
    peer.end.send(bytes(20000), lifetime_ms=300, unordered=True)
    peer.end.send(b"next")
    first = [struct.unpack_from("!I", c[2])[0] for c in peer.answers() if c[0] == DATA]
    assert first == [peer.end_tsn + i for i in range(4)]
    peer.give(sack_chunk(peer.end_tsn + 3))  # all that was sent has arrived
    peer.end.now += 400_000
    peer.give(sack_chunk(peer.end_tsn + 3, duplicates=[peer.end_tsn]))
    sent = peer.answers() + [c for _, p in peer.end.sleep(S) for c in chunks_of(p)]
    point = struct.unpack_from("!I", [c[2] for c in sent if c[0] == FORWARD_TSN][-1])[0]
    started = peer.end.s.next_tsn - 1  # of "next", which is whole in one chunk
    assert point == started - 1, "one more TSN than was sent passes the beginning that the peer holds"
    assert [c[2][12:] for c in sent if c[0] == DATA and struct.unpack_from("!I", c[2])[0] == started][0] == b"next"


def test_peer_without_forward_tsn_gets_everything():
    peer = Scripted(params=b"")
    peer.end.send(b"a", max_retransmits=0)
    sent = [c for _, p in peer.end.sleep(5 * S) for c in chunks_of(p)]
    assert sum(c[0] == DATA for c in sent) > 3 and not [c for c in sent if c[0] == FORWARD_TSN]


def test_forward_tsn_releases_what_waited():
    peer = Scripted()
    lost = peer.data(stream=2, ssn=0)
    peer.give(peer.data(stream=2, ssn=1, payload=b"one"))
    peer.give(peer.data(stream=3, ssn=0, payload=b"other"))
    assert [m[2] for m in peer.end.recv_all()] == [b"other"]
    peer.give(chunk(FORWARD_TSN, 0, struct.pack("!IHH", 1000, 2, 0)))
    assert [m[2] for m in peer.end.recv_all()] == [b"one"]
    assert sack_of(peer.answers())[::2] == (1002, [])
    peer.give(lost)
    assert peer.end.recv() is None and peer.end.counters.duplicates_in == 1


def test_forward_tsn_delivers_whole_messages_between_those_given_up():  # RFC 3758 3.6
    peer = Scripted()
    peer.data()
    peer.give(peer.data(ssn=1, payload=b"one"))
    peer.data()
    peer.give(peer.data(ssn=3, payload=b"three"), peer.data(ssn=5, payload=b"five"))
    assert peer.end.recv() is None
    peer.give(chunk(FORWARD_TSN, 0, struct.pack("!IHH", 1002, 0, 2)))
    assert [m[2] for m in peer.end.recv_all()] == [b"one", b"three"]


def test_forward_tsn_frees_the_fragments_it_passes():
    peer = Scripted()
    peer.give(peer.data(flags=2, payload=bytes(1000)))
    peer.give(peer.data(flags=0, payload=bytes(1000)))
    peer.data()
    peer.give(peer.data(flags=7, payload=b"later"))
    peer.give(chunk(FORWARD_TSN, 0, struct.pack("!IHH", 1002, 0, 0)))
    assert peer.end.recv()[2] == b"later" and peer.end.s.n_free == peer.end.s.n_blocks
    assert peer.end.counters.drop_fragment == 0, "given up, not wrong"
    assert sack_of(peer.answers())[::2] == (1003, [])
    peer.give(peer.data(ssn=1, payload=b"goes on"))
    assert peer.end.recv()[2] == b"goes on"


def test_forward_tsn_spares_a_message_that_misses_nothing_yet():
    peer = Scripted()
    peer.data(flags=7)
    peer.give(peer.data(flags=6, payload=b"begins, "))
    peer.give(chunk(FORWARD_TSN, 0, struct.pack("!I", 1001)))  # 1000 given up, 1001 counted as acknowledged
    peer.give(peer.data(flags=5, payload=b"and ends"))
    assert peer.end.recv()[2] == b"begins, and ends"


@pytest.mark.parametrize("first", [1000, 2**32 - 3000, 2**31 - 3000], ids=["", "past 2^32", "past 2^31"])
@pytest.mark.parametrize("jump", [4095, 4096, 5000, 100_000, 2**31 - 1])
def test_forward_tsn_may_pass_more_than_a_window(jump, first):
    """An outage may cost a sender any number of lossy messages; what is reliable comes after it all the same."""
    def tsn(n):
        return (first + n) % 2**32

    peer = Scripted(tsn=first)
    lost = data_chunk(tsn(0), stream=0, ssn=0), data_chunk(tsn(1), stream=2, ssn=0)
    peer.give(data_chunk(tsn(2), stream=2, ssn=1, payload=b"waits"), data_chunk(tsn(3), stream=3, flags=2))
    assert peer.end.recv() is None
    peer.give(chunk(FORWARD_TSN, 0, struct.pack("!IHHHH", tsn(jump - 1), 0, 0, 2, 0)))
    assert sack_of(peer.answers())[::2] == (tsn(jump - 1), [])
    assert [m[2] for m in peer.end.recv_all()] == [b"waits"]
    assert peer.end.s.n_free == peer.end.s.n_blocks, "nothing that was passed is kept"
    assert peer.end.counters.skipped_in == jump - 2
    peer.give(*lost)
    assert peer.end.counters.duplicates_in == 2 and peer.end.recv() is None
    # The window begins anew: its last TSN is taken, the one behind it is not.
    peer.give(data_chunk(tsn(jump + 4094), flags=7, payload=b"last"), data_chunk(tsn(jump + 4095), flags=7))
    assert [m[2] for m in peer.end.recv_all()] == [b"last"] and peer.end.counters.drop_window == 1
    peer.answers()
    peer.give(data_chunk(tsn(jump), stream=0, ssn=1, payload=b"reliable"))
    assert peer.end.recv()[2] == b"reliable"
    assert sack_of(peer.answers())[::2] == (tsn(jump), [(4094, 4094)])


def test_old_forward_tsn_only_repeats_the_sack():
    peer = Scripted()
    peer.give(peer.data(payload=b"x"))
    peer.end.recv()
    peer.give(chunk(FORWARD_TSN, 0, struct.pack("!IHH", 999, 0, 9)))
    assert sack_of(peer.answers())[0] == 1000
    peer.give(peer.data(ssn=1, payload=b"y"))
    assert peer.end.recv()[2] == b"y", "the stream was not skipped ahead"
