"""SCTP: the association (RFC 9260), partial reliability (RFC 3758) and stream reset (RFC 6525), in virtual time."""

import json
import os
import random
import struct
from pathlib import Path

import pytest

from sctp_lib import (
    ABORT, COOKIE_ACK, COOKIE_ECHO, DATA, ERROR, FORWARD_TSN, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, RECONFIG, S,
    SACK, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE, End, Scripted, World, chunk, chunks_of, data_chunk, established,
    exchange, ffi, init_body, lib, packet, sack_chunk, seal, tag_of, types_of,
)

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
SEEDS = int(os.environ.get("LINNET_SEEDS", "200"))
AGAIN, LIMIT, CLOSED, STATE, ARG, SPACE, PACKET = -5, -8, -7, -4, -1, -3, -2


# --- checksum ---

CRC32C = json.loads((VECTORS / "crc32c.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", CRC32C, ids=lambda v: v["name"])
def test_crc32c_gives_the_published_values(vector):
    data = bytes.fromhex(vector["data"])
    assert struct.pack("<I", lib.linnet_sctp_crc32c(0, data, len(data))).hex() == vector["wire"]


def test_crc32c_may_be_computed_in_parts():
    data = random.Random(1).randbytes(1000)
    whole = lib.linnet_sctp_crc32c(0, data, len(data))
    for cut in (0, 1, 500, 999, 1000):
        first = lib.linnet_sctp_crc32c(0, data[:cut], cut)
        assert lib.linnet_sctp_crc32c(first, data[cut:], len(data) - cut) == whole


# --- opening ---

def test_both_ends_open_at_once_and_meet():
    with World() as w:
        w.connect()
        w.run(S // 5)
        assert [e.state for e in w.ends] == ["ESTABLISHED"] * 2
        assert [e.events() for e in w.ends] == [["UP"], ["UP"]]


def test_one_end_opens_and_the_other_only_answers():
    with World() as w:
        w.tell_time()
        w.ends[0].connect()
        w.run(S // 5)
        assert [e.state for e in w.ends] == ["ESTABLISHED"] * 2


def test_data_queued_before_the_association_is_up_rides_with_the_cookie():
    with World() as w:
        w.connect()
        assert w.ends[0].send(b"early") == 0
        start = w.now
        w.run(76_000)  # three one-way delays of 25 ms: INIT, INIT ACK, COOKIE ECHO with DATA
        assert w.ends[1].recv() == (0, 53, b"early"), "one and a half round trips"
        assert w.now - start < 80_000


@pytest.mark.parametrize("lost", range(6))
@pytest.mark.parametrize("sender", (0, 1))
def test_any_single_loss_while_opening_is_repaired(lost, sender):
    with World(seed=7) as w:
        w.connect()
        w.ends[0].send(b"a")
        w.ends[1].send(b"b")
        while w.w.sent[sender] < lost:
            if not lib.world_step(w.w, w.now + S):
                break
        w.w.drop_next[sender] = 1
        w.run(5 * S)
        assert [e.state for e in w.ends] == ["ESTABLISHED"] * 2
        assert [e.recv() for e in w.ends] == [(0, 53, b"b"), (0, 53, b"a")]
        assert w.ends[0].s.flight == w.ends[1].s.flight == 0


@pytest.mark.parametrize("seed", range(50))
def test_opening_survives_half_of_all_packets_lost(seed):
    with World(seed=seed, jitter_us=40_000, duplicate_ppm=200_000) as w:
        w.loss(50)
        w.connect()
        w.run(60 * S)
        assert [e.state for e in w.ends] == ["ESTABLISHED"] * 2, "seed %d" % seed


def test_init_is_repeated_with_back_off_and_in_the_end_given_up():
    end = End(max_retrans=5)
    end.connect()
    sent = end.sleep(60 * S)
    assert all(types_of(p) == [INIT] and tag_of(p) == 0 for _, p in sent)
    times = [t for t, _ in sent]
    assert [b - a for a, b in zip(times, times[1:])] == [500_000] + [1_000_000] * 4
    assert end.state == "LOST" and end.events() == ["LOST"]
    assert end.send(b"x") == CLOSED and end.poll() == []


def test_init_offers_what_webrtc_needs_and_nothing_else():
    end = End()
    end.connect()
    (type, flags, body), = chunks_of(end.poll()[0])
    tag, window, out, into, tsn = struct.unpack_from("!IIHHI", body)
    assert (type, out, into) == (INIT, 65535, 65535) and tag and window > 100_000
    assert body[16:] == bytes.fromhex("80080006 82c0 0000 c0000004"), "RE-CONFIG and FORWARD TSN"


def cookie_of(raw):
    (type, _, body), = chunks_of(raw)
    assert type == INIT_ACK
    at = 16
    while True:
        kind, length = struct.unpack_from("!HH", body, at)
        if kind == 7:
            return body[at + 4:at + length]
        at += length + (-length % 4)


def init_ack_tag(raw):
    return struct.unpack_from("!I", chunks_of(raw)[0][2])[0]


def test_init_while_opening_is_answered_with_our_own_init_again():  # RFC 9260 5.2.1
    end = End()
    end.connect()
    mine = chunks_of(end.poll()[0])[0][2]
    for state in ("COOKIE_WAIT", "COOKIE_ECHOED"):
        assert end.state == state
        end.input(packet(0, chunk(INIT, 0, init_body(tag=77))))
        answer, = end.poll()
        assert tag_of(answer) == 77 and chunks_of(answer)[0][2][:16] == mine[:16]
        assert end.state == state
        end.input(packet(init_ack_tag(answer), chunk(INIT_ACK, 0, init_body(params=b"\x00\x07\x00\x08abcd"))))
        end.poll()


def test_cookie_echo_reaches_an_end_that_still_waits_for_its_init_ack():  # 5.2.4 B: our INIT was lost
    a, b = End(seed=1), End(seed=2)
    b.connect()
    a.connect()
    a.poll()  # lost
    for p in b.poll():
        a.input(p)
    for p in a.poll():
        b.input(p)
    for p in b.poll():
        a.input(p)
    assert a.state == "ESTABLISHED"
    exchange(a, b)
    assert b.state == "ESTABLISHED" and a.s.my_tag == b.s.peer_tag and b.s.my_tag == a.s.peer_tag


def test_peer_that_restarts_gets_a_fresh_association():  # 5.2.4 A
    a, b = established()
    a.send(b"to the old one")
    b.send(b"half of this stays unread")
    exchange(a, b)
    reborn = End(seed=99)
    reborn.connect()
    exchange(a, reborn)
    assert a.state == reborn.state == "ESTABLISHED"
    assert a.events() == ["RESTARTED"]
    a.send(b"hello again")
    reborn.send(b"hello too")
    exchange(a, reborn)
    assert reborn.recv_all() == [(0, 53, b"hello again")] and a.recv_all() == [(0, 53, b"hello too")]


def test_init_to_an_established_association_changes_nothing():  # 5.2.2
    a, b = established()
    a.input(packet(0, chunk(INIT, 0, init_body(tag=5))))
    answer, = a.poll()
    assert init_ack_tag(answer) != a.s.my_tag, "a new tag is offered"
    a.send(b"still here")
    exchange(a, b)
    assert b.recv_all() == [(0, 53, b"still here")]


def test_old_cookie_is_dropped():  # 5.2.4 C
    a, b = End(seed=1), End(seed=2)
    a.connect()
    early = a.poll()[0]
    b.input(early)
    old = cookie_of(b.poll()[0])
    b.connect()
    exchange(a, b)
    tag = struct.unpack_from("!I", old, 8)[0]
    exchange(a, b)
    b.s.my_tag += 1  # as if b had opened anew with another tag since
    before = b.counters.drop_cookie
    b.input(packet(tag, chunk(COOKIE_ECHO, 0, old)))
    assert b.poll() == [] and b.counters.drop_cookie == before + 1


def test_cookie_with_one_bit_changed_is_dropped():
    b = End(seed=2)
    b.input(packet(0, chunk(INIT, 0, init_body(tag=77))))
    answer = b.poll()[0]
    cookie, tag = cookie_of(answer), init_ack_tag(answer)
    for bit in range(8 * len(cookie)):
        bad = bytearray(cookie)
        bad[bit // 8] ^= 1 << bit % 8
        b.input(packet(tag, chunk(COOKIE_ECHO, 0, bytes(bad))))
        assert b.state == "CLOSED"
    assert b.counters.drop_cookie == 8 * len(cookie)
    b.input(packet(tag, chunk(COOKIE_ECHO, 0, cookie)))
    assert b.state == "ESTABLISHED" and types_of(b.poll()[0]) == [COOKIE_ACK]


def test_cookie_echo_with_a_wrong_tag_is_dropped():
    b = End(seed=2)
    b.input(packet(0, chunk(INIT, 0, init_body(tag=77))))
    answer = b.poll()[0]
    b.input(packet(init_ack_tag(answer) ^ 1, chunk(COOKIE_ECHO, 0, cookie_of(answer))))
    assert b.state == "CLOSED" and b.counters.drop_cookie == 1


def test_cookie_older_than_a_minute_is_refused_as_stale():
    b = End(seed=2)
    b.input(packet(0, chunk(INIT, 0, init_body(tag=77))))
    answer = b.poll()[0]
    b.now += 61 * S
    b.input(packet(init_ack_tag(answer), chunk(COOKIE_ECHO, 0, cookie_of(answer))))
    (type, _, body), = chunks_of(b.poll()[0])
    assert type == ERROR and struct.unpack("!HHI", body) == (3, 8, S)
    assert b.state == "CLOSED" and b.counters.drop_cookie_stale == 1


def test_stale_cookie_error_makes_us_ask_for_a_fresh_one():
    end = End()
    end.connect()
    init = end.poll()[0]
    tag = struct.unpack_from("!I", chunks_of(init)[0][2])[0]
    end.send(b"waits")
    end.input(packet(tag, chunk(INIT_ACK, 0, init_body(params=b"\x00\x07\x00\x08abcd"))))
    assert types_of(end.poll()[0]) == [COOKIE_ECHO, DATA]
    end.input(packet(tag, chunk(ERROR, 0, struct.pack("!HHI", 3, 8, 1000))))
    assert types_of(end.poll()[0]) == [INIT] and end.state == "COOKIE_WAIT"
    end.input(packet(tag, chunk(INIT_ACK, 0, init_body(params=b"\x00\x07\x00\x08efgh"))))
    again = end.poll()[0]
    assert types_of(again) == [COOKIE_ECHO, DATA] and chunks_of(again)[0][2] == b"efgh"


def test_lost_cookie_echo_is_repeated_with_its_data():
    end = End()
    end.connect()
    tag = struct.unpack_from("!I", chunks_of(end.poll()[0])[0][2])[0]
    end.send(b"rides along")
    end.input(packet(tag, chunk(INIT_ACK, 0, init_body(params=b"\x00\x07\x00\x08abcd"))))
    sent = end.sleep(S)
    assert [types_of(p) for _, p in sent] == [[COOKIE_ECHO, DATA]] * 2
    assert sent[0][0] == S and sent[1][0] == S + 500_000 and end.counters.t3_expired == 0


def test_data_that_overtakes_the_cookie_ack_is_kept():
    end = End()
    end.connect()
    tag = struct.unpack_from("!I", chunks_of(end.poll()[0])[0][2])[0]
    end.input(packet(tag, chunk(INIT_ACK, 0, init_body(params=b"\x00\x07\x00\x08abcd"))))
    end.poll()
    end.input(packet(tag, data_chunk(1000, payload=b"quick")))
    assert end.recv() == (0, 53, b"quick") and end.poll() == []
    end.input(packet(tag, chunk(COOKIE_ACK)))
    (type, _, body), = chunks_of(end.poll()[0])
    assert type == SACK and struct.unpack_from("!I", body)[0] == 1000


@pytest.mark.parametrize("field", ["tag", "out", "into"])
def test_init_with_a_forbidden_zero_is_dropped(field):
    end = End()
    assert end.input(packet(0, chunk(INIT, 0, init_body(**{field: 0})))) == PACKET
    assert end.poll() == [] and end.counters.drop_chunk == 1


def test_cookie_longer_than_we_keep_ends_the_attempt():
    end = End()
    end.connect()
    tag = struct.unpack_from("!I", chunks_of(end.poll()[0])[0][2])[0]
    end.input(packet(tag, chunk(INIT_ACK, 0, init_body(params=struct.pack("!HH", 7, 604) + bytes(600)))))
    assert types_of(end.poll()[0]) == [ABORT] and end.events() == ["ABORTED"]


# --- unknown chunks and parameters: the two high bits decide (RFC 9260 3.2) ---

@pytest.mark.parametrize("type, goes_on, reports", [(0x3f, 0, 0), (0x7f, 0, 1), (0xbf, 1, 0), (0xff, 1, 1)])
def test_unknown_chunk_is_treated_as_its_high_bits_ask(type, goes_on, reports):
    peer = Scripted()
    peer.give(chunk(type, 9, b"what"), peer.data(payload=b"after"))
    assert (peer.end.recv() is not None) == bool(goes_on)
    errors = [c for c in peer.answers() if c[0] == ERROR]
    assert len(errors) == reports
    if reports:
        assert errors[0][2] == struct.pack("!HH", 6, 12) + chunk(type, 9, b"what")
    assert peer.end.counters.drop_unknown == 1


@pytest.mark.parametrize("type, goes_on, reports", [(0x3fff, 0, 0), (0x7fff, 0, 1), (0xbfff, 1, 0), (0xffff, 1, 1)])
def test_unknown_parameter_of_an_init_is_treated_as_its_high_bits_ask(type, goes_on, reports):
    end = End()
    odd = struct.pack("!HH", type, 7) + b"odd\0"
    end.input(packet(0, chunk(INIT, 0, init_body(params=odd + b"\xc0\x00\x00\x04"))))
    answer = end.poll()[0]
    end.input(packet(init_ack_tag(answer), chunk(COOKIE_ECHO, 0, cookie_of(answer))))
    assert (struct.pack("!HH", 8, 12) + odd in answer) == bool(reports)
    end.poll()
    end.connect()
    assert end.state == "ESTABLISHED"
    # What followed was FORWARD TSN support: seen only if reading went on.
    end.send(b"x" * 100, max_retransmits=0)
    end.poll()
    end.sleep(2 * S)
    assert bool(end.counters.forward_tsn_out) == bool(goes_on)


def test_unknown_parameter_of_an_init_ack_is_reported_with_the_cookie():
    end = End()
    end.connect()
    tag = struct.unpack_from("!I", chunks_of(end.poll()[0])[0][2])[0]
    odd = b"\xff\xff\x00\x06zz\0\0"
    end.input(packet(tag, chunk(INIT_ACK, 0, init_body(params=odd + b"\x00\x07\x00\x08abcd"))))
    echo, error = chunks_of(end.poll()[0])
    assert echo[0] == COOKIE_ECHO and error[0] == ERROR and error[2] == struct.pack("!HH", 8, 12) + odd


# --- packets that are not for us ---

def test_wrong_checksum_port_tag_and_short_packets_are_counted_and_dropped():
    peer = Scripted()
    c = peer.end.counters
    good = packet(peer.end_tag, peer.data())
    for name, bad in (("drop_checksum", good[:-1] + bytes([good[-1] ^ 1])),
                      ("drop_checksum", good[:8] + b"\0\0\0\0" + good[12:]),  # zero checksum was not negotiated
                      ("drop_port", packet(peer.end_tag, data_chunk(1000), port=5001)),
                      ("drop_tag", packet(peer.end_tag ^ 1, data_chunk(1000))),
                      ("drop_tag", packet(0, data_chunk(1000))),
                      ("drop_tag", packet(5, chunk(INIT, 0, init_body()))),
                      ("drop_short", good[:12]), ("drop_short", b""), ("drop_short", good[:5])):
        before = getattr(c, name)
        peer.end.input(bad)
        assert getattr(c, name) == before + 1, name
    assert peer.end.recv() is None and peer.end.poll() == [] and peer.end.state == "ESTABLISHED"
    peer.end.input(good)
    assert peer.end.recv()


def test_abort_needs_the_right_tag_for_its_t_bit():  # RFC 9260 8.5.1 B
    peer = Scripted()
    peer.end.input(packet(peer.tag, chunk(ABORT)))
    peer.end.input(packet(peer.end_tag, chunk(ABORT, 1)))
    peer.end.input(packet(0, chunk(ABORT, 1)))
    assert peer.end.state == "ESTABLISHED" and peer.end.counters.drop_tag == 3
    peer.end.input(packet(peer.tag, chunk(ABORT, 1)))
    assert peer.end.state == "CLOSED" and peer.end.events() == ["ABORTED"]
    assert Scripted().give(chunk(ABORT)) == 0


def test_chunks_that_may_not_share_a_packet_are_refused_when_they_do():
    peer = Scripted()
    for bad in ([peer.data(), chunk(INIT_ACK, 0, init_body())], [chunk(SHUTDOWN_COMPLETE), peer.data()]):
        before = peer.end.counters.drop_chunk
        peer.give(*bad)
        assert peer.end.counters.drop_chunk == before + 1
    assert peer.end.input(packet(0, chunk(INIT, 0, init_body()), peer.data())) == PACKET
    assert peer.end.state == "ESTABLISHED"


def test_strays_after_the_end_are_answered_once_each():
    peer = Scripted()
    peer.give(chunk(ABORT))
    peer.give(peer.data())
    answer, = peer.end.poll()
    assert tag_of(answer) == peer.end_tag and chunks_of(answer) == [(ABORT, 1, b"")]  # 8.4: reflected tag, T bit
    peer.give(chunk(SHUTDOWN_ACK))
    assert chunks_of(peer.end.poll()[0]) == [(SHUTDOWN_COMPLETE, 1, b"")]
    for silent in (chunk(ABORT), chunk(SHUTDOWN_COMPLETE), chunk(COOKIE_ACK), chunk(ERROR, 0, b"\0\1\0\4")):
        peer.give(silent)
        assert peer.end.poll() == []
    peer.end.input(packet(0, chunk(INIT, 0, init_body(tag=9))))
    assert types_of(peer.end.poll()[0]) == [ABORT]


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

def sack_of(chunks):
    body, = [c[2] for c in chunks if c[0] == SACK]
    cum, window, n_gaps, n_dups = struct.unpack_from("!IIHH", body)
    gaps = [struct.unpack_from("!HH", body, 12 + 4 * i) for i in range(n_gaps)]
    return cum, window, gaps, list(struct.unpack_from("!%dI" % n_dups, body, 12 + 4 * n_gaps))


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


def test_old_forward_tsn_only_repeats_the_sack():
    peer = Scripted()
    peer.give(peer.data(payload=b"x"))
    peer.end.recv()
    peer.give(chunk(FORWARD_TSN, 0, struct.pack("!IHH", 999, 0, 9)))
    assert sack_of(peer.answers())[0] == 1000
    peer.give(peer.data(ssn=1, payload=b"y"))
    assert peer.end.recv()[2] == b"y", "the stream was not skipped ahead"


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


# --- stream reset ---

def test_stream_is_reset_and_used_anew():
    a, b = established()
    for _round in range(3):
        a.send(b"before", stream=6)
        assert lib.linnet_sctp_reset_stream(a.s, 6) == 0
        assert a.send(b"x", stream=6) == STATE
        exchange(a, b)
        assert b.events() == [], "messages come first"
        assert b.recv() == (6, 53, b"before") and b.recv() is None
        assert b.events() == [("PEER_RESET", 6)] and a.events() == [("RESET_DONE", 6)]
        assert a.send(b"first of the new", stream=6) == 0
        exchange(a, b)
        assert b.recv() == (6, 53, b"first of the new")
        lib.linnet_sctp_reset_stream(a.s, 6)
        exchange(a, b)
        a.events(), b.events()


@pytest.mark.parametrize("seed", range(20))
def test_reset_under_loss_happens_once_and_after_all_messages(seed):
    with World(seed=seed, jitter_us=30_000, duplicate_ppm=100_000) as w:
        w.connect()
        w.run(S)
        w.loss(40)
        a, b = w.ends
        a.events(), b.events()
        seen = []
        for generation in range(3):
            for i in range(10):
                a.send(b"%d.%d" % (generation, i) + bytes(1500), stream=2)
            lib.linnet_sctp_reset_stream(a.s, 2)
            for _ in range(600):
                w.run(100_000)
                seen += [m[2][:3].decode() for m in b.recv_all()]
                seen += [e[0] for e in b.events()]
                if a.events():
                    break
        assert seen == sum(([("%d.%d" % (g, i)) for i in range(10)] + ["PEER_RESET"] for g in range(3)), [])


def reset_request(seq, last_tsn, *streams, response=0):
    body = struct.pack("!HHIII", 13, 16 + 2 * len(streams), seq, response, last_tsn)
    return chunk(RECONFIG, 0, body + b"".join(struct.pack("!H", s) for s in streams))


def responses(chunks):
    return [struct.unpack("!HHII", c[2])[2:] for c in chunks if c[0] == RECONFIG and c[2][:2] == b"\0\x10"]


def test_reset_waits_for_data_that_is_still_missing():
    peer = Scripted()
    missing = peer.data(stream=5, ssn=0, payload=b"late")
    peer.give(reset_request(1000, 1000, 5))
    assert responses(peer.answers()) == [(1000, 6)] and peer.end.events() == []
    peer.give(reset_request(1000, 1000, 5))
    assert responses(peer.answers()) == [(1000, 6)], "asked again, still in progress"
    peer.give(missing)
    assert responses(peer.answers()) == [(1000, 1)], "done on our own account"
    assert peer.end.recv()[2] == b"late" and peer.end.events() == [("PEER_RESET", 5)]
    peer.give(reset_request(1000, 1000, 5))
    assert responses(peer.answers()) == [(1000, 1)] and peer.end.events() == [], "not done twice"


def test_reset_request_out_of_sequence_is_refused():
    peer = Scripted()
    peer.give(reset_request(1005, 999, 5))
    assert responses(peer.answers()) == [(1005, 5)] and peer.end.events() == []
    peer.give(reset_request(1000, 999, 5))
    assert responses(peer.answers()) == [(1000, 1)]


def test_reset_of_more_streams_than_we_keep_is_denied():
    peer = Scripted()
    peer.give(reset_request(1000, 999, *range(17)))
    assert responses(peer.answers()) == [(1000, 2)] and peer.end.events() == []
    peer.give(reset_request(1001, 999, *range(16)))
    assert responses(peer.answers()) == [(1001, 1)] and len(peer.end.events()) == 16


def test_reset_of_all_streams_restarts_every_one():
    peer = Scripted()
    peer.give(peer.data(stream=1, payload=b"a"), peer.data(stream=2, payload=b"b"))
    peer.give(reset_request(1000, 1001))
    assert len(peer.end.recv_all()) == 2 and peer.end.events() == [("PEER_RESET", 65535)]
    peer.give(peer.data(stream=1, ssn=0, payload=b"c"), peer.data(stream=2, ssn=0, payload=b"d"))
    assert len(peer.end.recv_all()) == 2


@pytest.mark.parametrize("type, body, result", [(14, b"\0\5", 2), (15, b"", 2), (17, b"\0\1\0\0", 1),
                                                (18, b"\0\1\0\0", 2)])
def test_other_reconfiguration_requests_are_answered(type, body, result):
    peer = Scripted()
    peer.give(chunk(RECONFIG, 0, struct.pack("!HHI", type, 8 + len(body), 1000) + body))
    assert responses(peer.answers()) == [(1000, result)]


def test_our_reset_is_repeated_until_it_is_answered():
    peer = Scripted()
    peer.end.send(b"x", stream=4)
    lib.linnet_sctp_reset_stream(peer.end.s, 4)
    assert [c[0] for c in peer.answers()] == [DATA], "not before the data is acknowledged"
    peer.give(sack_chunk(peer.end_tsn))
    requests = [c for c in peer.answers() if c[0] == RECONFIG]
    first = requests[0][2]
    assert struct.unpack("!HHIIIH", first) == (13, 18, peer.end_tsn, 999, peer.end_tsn, 4)
    again = [c[2] for _, p in peer.end.sleep(3 * S) for c in chunks_of(p) if c[0] == RECONFIG]
    assert len(again) >= 3 and set(again) == {first}
    peer.give(chunk(RECONFIG, 0, struct.pack("!HHII", 16, 12, peer.end_tsn, 6)))
    assert peer.end.events() == [] and peer.end.s.errors == 0, "in progress: go on asking"
    assert [c[2] for _, p in peer.end.sleep(S) for c in chunks_of(p) if c[0] == RECONFIG][0] == first
    peer.give(chunk(RECONFIG, 0, struct.pack("!HHII", 16, 12, peer.end_tsn, 1)))
    assert peer.end.events() == [("RESET_DONE", 4)]
    assert not [p for _, p in peer.end.sleep(3 * S) if RECONFIG in types_of(p)]


# --- heartbeat ---

def test_heartbeat_is_answered_with_its_own_words():
    peer = Scripted()
    info = struct.pack("!HH", 1, 44) + bytes(range(40))
    peer.give(chunk(HEARTBEAT, 0, info))
    assert peer.answers() == [(HEARTBEAT_ACK, 0, info)]


def test_idle_path_is_watched_and_a_silent_peer_noticed():
    peer = Scripted(max_retrans=10)
    sent = peer.end.sleep(120 * S)
    beats = [(t, c) for t, p in sent for c in chunks_of(p)]
    assert all(c[0] == HEARTBEAT for _, c in beats)
    assert 30 * S < beats[0][0] - S < 31.1 * S
    assert peer.end.state == "LOST" and peer.end.counters.heartbeats_lost == 11
    assert beats[-1][0] - beats[0][0] < 15 * S, "once one is missed, the pace is that of retransmissions"


def test_answered_heartbeats_keep_the_association():
    peer = Scripted(max_retrans=2)
    n = 0
    for _ in range(3000):
        for _, raw in peer.end.sleep(S // 10):
            for c in chunks_of(raw):
                assert c[0] == HEARTBEAT
                n += 1
                peer.give(chunk(HEARTBEAT_ACK, 0, c[2]))
    assert peer.end.state == "ESTABLISHED" and 8 <= n <= 10 and peer.end.counters.heartbeats_lost == 0


def test_heartbeat_ack_that_nobody_asked_for_is_dropped():
    peer = Scripted()
    assert peer.give(chunk(HEARTBEAT_ACK, 0, struct.pack("!HHQQ", 1, 20, 0, 0))) == PACKET
    assert peer.give(chunk(HEARTBEAT_ACK, 0, struct.pack("!HHQQ", 1, 20, 77, 0))) == PACKET
    assert peer.end.counters.drop_chunk == 2


# --- the end ---

def test_shutdown_delivers_everything_first():
    with World(seed=4) as w:
        w.connect()
        w.run(S)
        a, b = w.ends
        a.send(bytes(60000))
        b.send(b"answer")
        assert lib.linnet_sctp_shutdown(a.s, w.now) == 0
        assert a.send(b"late") == CLOSED
        w.run(10 * S)
        assert [e.state for e in w.ends] == ["CLOSED"] * 2
        assert len(b.recv()[2]) == 60000 and a.recv()[2] == b"answer"
        assert a.events() == ["UP", "CLOSED"] and b.events() == ["UP", "CLOSED"]
        assert w.run(100 * S) == 0, "silence"


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("both", (False, True))
def test_shutdown_survives_loss(seed, both):
    with World(seed=seed, jitter_us=30_000, duplicate_ppm=100_000, max_message=4096) as w:
        w.connect()
        w.run(S)
        w.loss(35)
        w.ends[0].send(bytes(4000))
        lib.linnet_sctp_shutdown(w.ends[0].s, w.now)
        if both:
            lib.linnet_sctp_shutdown(w.ends[1].s, w.now)
        w.run(120 * S)
        assert [e.state for e in w.ends] == ["CLOSED"] * 2
        assert len(w.ends[1].recv()[2]) == 4000


def test_shutdown_of_an_end_that_waits_for_data_acknowledges_it():  # RFC 9260 9.2
    peer = Scripted()
    lib.linnet_sctp_shutdown(peer.end.s, peer.end.now)
    assert [c[0] for c in peer.answers()] == [SHUTDOWN]
    peer.give(peer.data(payload=b"still"))
    assert sorted(c[0] for c in peer.answers()) == [SACK, SHUTDOWN]
    assert peer.end.recv()[2] == b"still"
    peer.give(chunk(SHUTDOWN_ACK))
    assert peer.answers() == [(SHUTDOWN_COMPLETE, 0, b"")] and peer.end.state == "CLOSED"


def test_peer_that_shuts_down_gets_our_queue_first():
    peer = Scripted()
    for _ in range(6):
        peer.end.send(bytes(1000))
    peer.answers()
    peer.give(chunk(SHUTDOWN, 0, struct.pack("!I", 999)))
    assert peer.end.state == "SHUTDOWN_RECEIVED" and peer.end.send(b"x") == CLOSED
    peer.give(sack_chunk(peer.end_tsn + 3))
    assert [c[0] for c in peer.answers()] == [DATA, DATA]
    peer.give(chunk(SHUTDOWN, 0, struct.pack("!I", peer.end_tsn + 5)))  # acknowledges too
    assert peer.answers() == [(SHUTDOWN_ACK, 0, b"")] and peer.end.state == "SHUTDOWN_ACK_SENT"
    peer.give(chunk(SHUTDOWN_COMPLETE))
    assert peer.end.state == "CLOSED" and peer.end.events() == ["CLOSED"]


def test_unanswered_shutdown_is_repeated_and_in_the_end_given_up():
    peer = Scripted(max_retrans=4)
    lib.linnet_sctp_shutdown(peer.end.s, peer.end.now)
    sent = peer.end.sleep(30 * S)
    assert [types_of(p) for _, p in sent] == [[SHUTDOWN]] * 5
    assert peer.end.state == "LOST"


def test_abort_leaves_once_and_ends_the_peer():
    a, b = established()
    a.send(b"never mind")
    assert lib.linnet_sctp_abort(a.s, a.now) == 0
    raw, = a.poll()
    assert chunks_of(raw) == [(ABORT, 0, struct.pack("!HH", 12, 4))]
    b.input(raw)
    assert a.state == b.state == "CLOSED" and a.events() == ["CLOSED"] and b.events() == ["ABORTED"]
    assert b.poll() == [] and b.send(b"x") == CLOSED and lib.linnet_sctp_abort(b.s, b.now) == CLOSED


def test_orderly_end_is_told_after_the_last_message():
    a, b = established()
    a.send(b"last words")
    lib.linnet_sctp_shutdown(a.s, a.now)
    exchange(a, b)
    assert b.state == "CLOSED" and b.events() == []
    assert b.recv()[2] == b"last words" and b.events() == ["CLOSED"]


def test_messages_that_had_arrived_can_be_read_after_the_end():
    a, b = established()
    a.send(b"last words")
    exchange(a, b)
    lib.linnet_sctp_abort(a.s, a.now)
    exchange(a, b)
    assert b.recv()[2] == b"last words"


# --- bytes from outside ---

def recorded():
    """One good packet of every kind, each with the state in which it is good."""
    peer = Scripted()
    good = [packet(peer.end_tag, c) for c in (
        peer.data(payload=bytes(100)), data_chunk(1003, flags=2), sack_chunk(peer.end_tsn - 1, gaps=[], duplicates=[5]),
        chunk(HEARTBEAT, 0, struct.pack("!HH", 1, 12) + bytes(8)),
        chunk(FORWARD_TSN, 0, struct.pack("!IHH", 1001, 1, 0)),
        reset_request(1000, 999, 1, 2), chunk(RECONFIG, 0, struct.pack("!HHII", 16, 12, 1, 1)),
        chunk(ERROR, 0, struct.pack("!HHI", 1, 8, 7)), chunk(SHUTDOWN, 0, struct.pack("!I", 999)),
        chunk(COOKIE_ACK), chunk(SHUTDOWN_ACK), chunk(ABORT))]
    params = bytes.fromhex("80080006 82c0 0000 c0000004 fff1000561000000")
    good.append(packet(0, chunk(INIT, 0, init_body(params=params))))
    good.append(packet(peer.end_tag, chunk(INIT_ACK, 0, init_body(params=b"\x00\x07\x00\x08abcd"))))
    good.append(packet(peer.end_tag, peer.data(ssn=1), sack_chunk(peer.end_tsn - 1), chunk(HEARTBEAT, 0, b"\0\1\0\4")))
    return good


def alive(peer):
    """No crash, no packet too big, timers still sane."""
    for raw in peer.end.poll():
        assert 16 <= len(raw) <= 1150
    peer.end.recv_all(), peer.end.events()


def test_every_truncation_of_every_good_packet_is_survived():
    for good in recorded():
        peer = Scripted()
        for cut in range(len(good)):
            assert peer.end.input(good[:cut]) == PACKET  # the checksum is wrong
        for cut in range(12, len(good)):
            peer.end.input(seal(good[:cut] + bytes(max(0, 12 - cut))))
            alive(peer)


def test_every_flipped_bit_is_caught_by_the_checksum_or_survived_behind_it():
    for good in recorded():
        peer = Scripted()
        for bit in range(8 * len(good)):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            assert peer.end.input(bytes(bad)) == PACKET
        assert peer.end.state == "ESTABLISHED" and peer.end.recv() is None
        for bit in range(96, 8 * len(good)):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            peer.end.input(seal(bytes(bad)))
            alive(peer)
            if peer.end.state not in ("ESTABLISHED", "SHUTDOWN_RECEIVED"):
                peer = Scripted()


def test_every_chunk_type_at_every_kind_of_length_is_survived():
    rng = random.Random(9)
    lengths = list(range(0, 40)) + [63, 64, 65, 255, 256, 511, 512, 1100, 1101, 32767, 65531, 65535]
    peer = Scripted()
    for type in list(range(16)) + [63, 64, 127, 128, 129, 130, 131, 191, 192, 193, 255]:
        for claimed in lengths:
            for actual in (max(0, claimed - 4), min(1130, max(0, claimed - 5)), rng.randrange(1100)):
                body = rng.randbytes(min(actual, 1130))
                raw = struct.pack("!BBH", type, rng.randrange(256), claimed) + body
                peer.end.input(packet(0 if type == INIT else peer.end_tag, raw))
                alive(peer)
                if peer.end.state != "ESTABLISHED":
                    peer = Scripted()
    assert peer.end.counters.packets_in > 0


@pytest.mark.parametrize("seed", range(20))
def test_random_chunks_in_every_state_leave_no_leak(seed):
    rng = random.Random(seed)
    for _ in range(30):
        peer = Scripted(max_message=8192, recv_len=24000, send_len=32768)
        for _ in range(120):
            kind = rng.choice([DATA] * 8 + [SACK, SACK, FORWARD_TSN, RECONFIG, HEARTBEAT, SHUTDOWN, ERROR])
            if kind == DATA:
                body = struct.pack("!IHHI", 1000 + rng.randrange(300), rng.randrange(4), rng.randrange(4), 53)
                body += bytes(rng.choice([1, 30, 500, 1100]))
            elif kind == SACK:
                body = sack_chunk(peer.end_tsn - 1 + rng.randrange(8), rng.randrange(3000),
                                  [(rng.randrange(5), rng.randrange(5))] * rng.randrange(2))[4:]
            elif kind == FORWARD_TSN:
                body = struct.pack("!IHH", 1000 + rng.randrange(300), rng.randrange(4), rng.randrange(4))
            elif kind == RECONFIG:
                body = reset_request(1000 + rng.randrange(4), 1000 + rng.randrange(100), rng.randrange(4))[4:]
            else:
                body = rng.randbytes(4 * rng.randrange(5))
            peer.give(chunk(kind, rng.randrange(8) if kind == DATA else 0, body))
            peer.end.send(bytes(rng.choice([1, 900, 3000])), stream=rng.randrange(3),
                          max_retransmits=rng.choice([-1, 0, 1]), unordered=rng.random() < .5)
            for _, raw in peer.end.sleep(rng.choice([0, 0, 0, 50_000, 600_000])):
                assert len(raw) <= 1150
            if rng.random() < .3:
                peer.end.recv_all(), peer.end.events()
        if peer.end.state == "ESTABLISHED":
            peer.give(chunk(FORWARD_TSN, 0, struct.pack("!I", 1400)))
            peer.end.recv_all(), peer.end.events()
            # What is left waits for SSNs that never come: at most what the streams hold.
            for stream in range(4):
                lib_held = peer.end.s.n_blocks - peer.end.s.n_free
                peer.give(reset_request_next(peer, stream))
                peer.end.recv_all(), peer.end.events()
                assert peer.end.s.n_blocks - peer.end.s.n_free <= lib_held
            assert peer.end.s.n_free == peer.end.s.n_blocks


def reset_request_next(peer, stream):
    """The peer's next reset request, whatever number is next."""
    for seq in range(1000, 1010):
        peer.give(reset_request(seq, 1400, stream))
        if (seq, 1) in responses(peer.answers()):
            break
    return chunk(COOKIE_ACK)


def test_memory_of_an_association_is_what_was_given():
    assert ffi.sizeof("linnet_sctp_t") < 3600
    for max_message in (1000, 16384, 65536):
        need = lib.linnet_sctp_send_mem(max_message, 1150), lib.linnet_sctp_recv_mem(max_message, 1150)
        assert max(need) < max_message * 1.2 + 4000
        a = End(seed=1, max_message=max_message, send_len=need[0], recv_len=need[1])
        b = End(seed=2, max_message=max_message, send_len=need[0], recv_len=need[1])
        a.connect()
        exchange(a, b)
        for _ in range(5):
            assert a.send(b"m" * max_message) == 0
            exchange(a, b, rounds=300)
            assert b.recv() == (0, 53, b"m" * max_message)
        config = ffi.new("linnet_sctp_config_t *", dict(max_message=max_message, send_mem=a.mem[0], recv_mem=a.mem[1],
                                                        send_len=need[0], recv_len=need[1] - 1))
        assert lib.linnet_sctp_init(a.s, config, a.rng) == ARG
        config.recv_len, config.send_len = need[1], lib.linnet_sctp_send_mem(1, 1150) - 1
        assert lib.linnet_sctp_init(a.s, config, a.rng) == ARG


def test_a_small_send_buffer_takes_what_it_holds_and_receives_the_largest():
    a, b = established(send_len=5000, recv_len=24000, max_message=16384)
    assert a.send(bytes(5000)) == LIMIT and a.send(bytes(4000)) == 0
    assert a.send(bytes(2000)) == AGAIN and not lib.linnet_sctp_has_room(a.s, 2000)
    exchange(a, b, rounds=50)
    assert lib.linnet_sctp_has_room(a.s, 4000) and not lib.linnet_sctp_has_room(a.s, 5000)
    assert not lib.linnet_sctp_has_room(a.s, 2**40)
    assert [len(m[2]) for m in b.recv_all()] == [4000]
    big = End(seed=3, max_message=16384, send_len=70000, recv_len=24000)
    small = End(seed=4, max_message=16384, send_len=5000, recv_len=24000)
    big.connect()
    exchange(big, small)
    assert big.send(bytes(16384)) == 0
    exchange(big, small, rounds=100)
    assert [len(m[2]) for m in small.recv_all()] == [16384]
