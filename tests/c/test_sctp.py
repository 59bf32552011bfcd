"""SCTP: the association, from INIT to its end (RFC 9260), in virtual time."""

import json
import random
import struct
from pathlib import Path

import pytest
from sctp_lib import (
    ABORT, CLOSED, COOKIE_ACK, COOKIE_ECHO, DATA, ERROR, HEARTBEAT, HEARTBEAT_ACK, INIT, INIT_ACK, PACKET, S, SACK,
    SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE, End, Scripted, World, chunk, chunks_of, data_chunk, established,
    exchange, init_body, lib, packet, sack_chunk, tag_of, types_of,
)

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


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
