"""SCTP: stream reset (RFC 6525)."""

import struct

import pytest
from sctp_lib import (
    DATA, RECONFIG, S, STATE, Scripted, World, chunk, chunks_of, established, exchange, lib, reset_request, responses,
    sack_chunk, types_of,
)


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
