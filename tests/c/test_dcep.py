"""Data channels: DCEP (RFC 8832) and RFC 8831, over our SCTP and against aiortc's."""

import asyncio
import random
import struct

import pytest

from sctp_lib import RECONFIG, S, Channels, End, World, chunks_of, established, exchange, ffi, lib, types_of

LIMIT, CLOSED, STATE, ARG, PACKET = -8, -7, -4, -1, -2
EVEN, ODD = 0, 1


def pair(up=True):
    a, b = (established if up else lambda: (End(seed=1), End(seed=2)))()
    ours, theirs = Channels(a, EVEN), Channels(b, ODD)
    if up:
        for c in (ours, theirs):
            lib.linnet_dcep_on_sctp_event(c.d, c.end.s, c.end.now, lib.LINNET_SCTP_EVENT_UP, 0)
    return ours, theirs


def settle(*channels):
    a, b = channels
    for _ in range(8):
        a.service(), b.service()
        exchange(a.end, b.end, rounds=300)
    a.service(), b.service()


def opened(label=b"x", **how):
    ours, theirs = pair()
    handle = ours.open(label, **how)
    assert handle >= 0
    settle(ours, theirs)
    (_, there, _, _), = theirs.take_seen()
    ours.take_seen()
    return ours, theirs, handle, there


def dcep_open(label=b"x", type=0, reliability=0, protocol=b"", priority=0):
    return struct.pack("!BBHIHH", 3, type, priority, reliability, len(label), len(protocol)) + label + protocol


# --- opening ---

def test_open_is_written_as_rfc_8832_says():
    ours, theirs = pair()
    for how, type, reliability in ((dict(), 0x00, 0), (dict(ordered=False), 0x80, 0),
                                   (dict(max_retransmits=3), 0x01, 3),
                                   (dict(ordered=False, max_retransmits=0), 0x81, 0),
                                   (dict(lifetime_ms=500), 0x02, 500), (dict(ordered=False, lifetime_ms=9), 0x82, 9)):
        handle = ours.open(b"name", **how)
        exchange(ours.end, theirs.end)
        stream, ppid, data = theirs.end.recv()
        assert ppid == 50 and data == dcep_open(b"name", type, reliability, priority=256) and stream % 2 == 0
        assert handle >= 0
        theirs.end.recv_all()


def test_channel_opens_with_its_label_and_reliability_on_both_sides():
    for how in (dict(), dict(ordered=False), dict(max_retransmits=0, ordered=False), dict(lifetime_ms=250)):
        ours, theirs = pair()
        handle = ours.open(b"_reliable", **how)
        settle(ours, theirs)
        assert ours.take_seen() == [("OPENED", handle, 0, b"_reliable")]
        (event, there, id, label), = theirs.take_seen()
        assert (event, id, label) == ("OPENED", 0, b"_reliable")
        assert theirs.details[there] == (True, not how.get("ordered", True), how.get("max_retransmits", -1),
                                         how.get("lifetime_ms", 0))
        assert ours.details[handle][0] is False and ours.details[handle][1:] == theirs.details[there][1:]
        assert ours.d.counters.acks_in == theirs.d.counters.acks_out == 1


def test_ids_are_even_for_the_dtls_client_and_odd_for_the_server():
    ours, theirs = pair()
    for _ in range(3):
        assert ours.open() >= 0 and theirs.open() >= 0
    settle(ours, theirs)
    assert sorted(e[2] for e in ours.take_seen()) == sorted(e[2] for e in theirs.take_seen()) == [0, 1, 2, 3, 4, 5]
    assert ours.d.counters.opens_out == 3 and theirs.d.counters.opens_out == 3


def test_channels_asked_for_before_anything_exists_open_by_themselves():
    ours, theirs = pair(up=False)
    ours = Channels(ours.end, None)
    handles = [ours.open(label, early=True) for label in (b"_reliable", b"_lossy", b"_data_track")]
    assert not any(ours.is_open(h) for h in handles) and ours.send(handles[0], b"x") == STATE
    ours.end.connect()
    theirs.end.connect()
    settle(ours, theirs)
    assert ours.take_seen() == [], "no role, no id"
    lib.linnet_dcep_set_role(ours.d, EVEN)
    settle(ours, theirs)
    assert [e[3] for e in theirs.take_seen()] == [b"_reliable", b"_lossy", b"_data_track"]
    assert all(ours.is_open(h) for h in handles)


def test_open_and_first_message_ride_with_the_cookie():
    with World() as w:
        ours = Channels(w.ends[0], EVEN, raw=ffi.addressof(w.w.dcep, 0))
        theirs = Channels(w.ends[1], ODD, raw=ffi.addressof(w.w.dcep, 1))
        w.connect()
        handle = ours.open(b"fast", ordered=False, max_retransmits=0)
        assert ours.send(handle, b"hello") == 0
        w.run(76_000)
        theirs.service()
        assert [e[3] for e in theirs.take_seen()] == [b"fast"]
        assert [m[2] for m in theirs.take_messages()] == [b"hello"], "one and a half round trips after connect"


def test_negotiated_channel_needs_no_open():
    ours, theirs = pair()
    here, there = ours.open(b"_lossy", id=101, ordered=False, max_retransmits=0), theirs.open(b"_lossy", id=101)
    settle(ours, theirs)
    assert ours.take_seen() == [("OPENED", here, 101, b"_lossy")]
    assert ours.d.counters.opens_out == theirs.d.counters.opens_in == 0
    ours.send(here, b"to there")
    theirs.send(there, "to here")
    settle(ours, theirs)
    assert theirs.take_messages() == [(there, False, b"to there")]
    assert ours.take_messages() == [(here, True, b"to here")]


def test_in_band_ids_step_around_negotiated_ones():
    ours, theirs = pair()
    ours.open(id=0), ours.open(id=2)
    ours.open(b"in band")
    settle(ours, theirs)
    assert [e[2] for e in theirs.take_seen()] == [4]


def test_open_for_a_negotiated_channel_is_acknowledged():
    ours, theirs = pair()
    there = theirs.open(b"both", id=0)
    here = ours.open(b"both")
    settle(ours, theirs)
    assert ours.d.counters.acks_in == 1 and ours.send(here, b"x") == 0
    settle(ours, theirs)
    assert theirs.take_messages() == [(there, False, b"x")]


def test_wrong_calls_are_told_so():
    ours, _ = pair()
    assert ours.open(max_retransmits=-2) == ARG and ours.open(max_retransmits=1, lifetime_ms=1) == ARG
    assert ours.open(id=65535) == ARG and ours.open(id=-2) == ARG
    assert ours.open(b"l" * 33) == LIMIT and ours.open(b"l" * 32) >= 0
    assert ours.open(id=7) >= 0 and ours.open(id=7) == ARG
    for _ in range(6):
        assert ours.open() >= 0
    assert ours.open() == LIMIT
    for handle in (-1, 0, 9999, 127 * 8):
        assert ours.send(handle, b"x") == CLOSED and ours.close(handle) == CLOSED


# --- messages ---

def test_strings_bytes_and_empty_messages_keep_their_kind():
    ours, theirs, here, there = opened()
    for data in (b"bytes", "text \u00e9", b"", "", b"\0", "\0"):
        assert ours.send(here, data) == 0
    settle(ours, theirs)
    assert theirs.take_messages() == [
        (there, False, b"bytes"), (there, True, "text \u00e9".encode()), (there, False, b""), (there, True, b""),
        (there, False, b"\0"), (there, True, b"\0")]


def test_unordered_messages_stay_in_order_until_the_open_is_acknowledged():  # RFC 8832 6
    ours, theirs = pair()
    here = ours.open(ordered=False)
    ours.send(here, b"0")
    early = ours.end.poll()
    assert [c[1] & 4 for p in early for c in chunks_of(p)] == [0, 0], "DATA flags: OPEN and message without the U bit"
    theirs.end.input(early[0])
    settle(ours, theirs)
    ours.send(here, b"1")
    late, = ours.end.poll()
    assert [c[1] & 4 for c in chunks_of(late)] == [4]


def test_data_for_nobody_and_of_no_kind_is_counted():
    ours, theirs, here, there = opened()
    assert theirs.give(8, 53, b"x") == PACKET and theirs.d.counters.drop_stream == 1
    assert theirs.give(0, 52, b"x") == PACKET and theirs.give(0, 0, b"x") == PACKET and theirs.d.counters.drop_ppid == 2


@pytest.mark.parametrize("bad", [
    b"", b"\x03", dcep_open()[:11], dcep_open(b"label")[:-1], dcep_open() + b"x", b"\x02", b"\x01", b"\xff" * 20,
    struct.pack("!BBHIHH", 3, 0, 0, 0, 65535, 65535), struct.pack("!BBHIHH", 3, 0, 0, 0, 0, 1)])
def test_control_message_that_does_not_parse_is_counted(bad):
    ours, theirs = pair()
    assert theirs.give(4, 50, bad) == PACKET
    assert theirs.d.counters.drop_control == 1 and theirs.take_seen() == []


def test_every_truncation_and_flipped_bit_of_an_open_is_survived():
    good = dcep_open(b"_reliable", 0x81, 3, b"proto")
    for cut in range(len(good)):
        _, theirs = pair()
        assert theirs.give(4, 50, good[:cut]) == PACKET
    for bit in range(8 * len(good)):
        ours, theirs = pair()
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        theirs.give(4, 50, bytes(bad))
        settle(ours, theirs)
        assert len(theirs.take_seen()) <= 1


@pytest.mark.parametrize("stream, bad", [(4, dcep_open(type=3)), (4, dcep_open(type=0x83)), (4, dcep_open(b"l" * 33)),
                                         (5, dcep_open())])
def test_channel_that_cannot_be_is_refused_by_reset(stream, bad):
    ours, theirs = pair()
    assert theirs.give(stream, 50, bad) == PACKET and theirs.d.counters.drop_channel == 1
    settle(ours, theirs)
    assert ours.end.events() == [] and theirs.take_seen() == []
    assert theirs.end.counters.packets_out > 3
    assert ours.end.s.counters.drop_reconfig == 0


def test_more_channels_than_the_table_holds_are_refused():
    ours, theirs = pair()
    for i in range(12):
        theirs.give(2 * i, 50, dcep_open(b"%d" % i))
    settle(ours, theirs)
    assert len(theirs.take_seen()) == 8 and theirs.d.counters.drop_channel == 4


# --- closing ---

@pytest.mark.parametrize("who", (0, 1))
def test_close_resets_both_directions_and_the_id_can_be_used_again(who):
    ours, theirs, here, there = opened()
    for round in range(20):
        closer, handle = ((ours, here), (theirs, there))[who]
        closer.send(handle, b"last %d" % round)
        assert closer.close(handle) == 0
        assert closer.send(handle, b"x") == CLOSED and closer.close(handle) == CLOSED
        settle(ours, theirs)
        assert ours.take_seen() == [("CLOSED", here, 0, b"x")] and theirs.take_seen() == [("CLOSED", there, 0, b"x")]
        assert (theirs, ours)[who].take_messages() == [((there, here)[who], False, b"last %d" % round)]
        old = here
        here = ours.open()
        assert here != old, "an old handle never means a new channel"
        settle(ours, theirs)
        assert ours.take_seen() == [("OPENED", here, 0, b"x")]
        (_, there, id, _), = theirs.take_seen()
        assert id == 0 and ours.send(old, b"x") == CLOSED


def test_id_may_come_again_before_our_reset_is_confirmed():
    ours, theirs, here, there = opened()  # id 0: ours chose it, so let ours close and reopen
    ours.close(here)
    for giver, taker in ((ours, theirs), (theirs, ours)):
        giver.service()
        for raw in giver.end.poll():
            taker.end.input(raw)
        taker.service()
    assert ours.take_seen() == [("CLOSED", here, 0, b"x")]
    lost = ours.end.poll()  # the answer to the reset of theirs
    assert any(RECONFIG in types_of(p) for p in lost)
    again = ours.open(b"again")
    for raw in ours.end.poll():
        theirs.end.input(raw)
    theirs.service()
    assert [e[0] for e in theirs.take_seen()] == ["OPENED"], "beside the old one"
    for _ in range(3):
        ours.end.now = theirs.end.now = ours.end.now + S
        settle(ours, theirs)
    assert theirs.take_seen() == [("CLOSED", there, 0, b"x")] and ours.d.counters.acks_in == 2
    ours.send(again, b"works")
    settle(ours, theirs)
    assert [m[2] for m in theirs.take_messages()] == [b"works"]


def test_both_close_at_once():
    ours, theirs, here, there = opened()
    ours.close(here), theirs.close(there)
    settle(ours, theirs)
    assert [e[0] for e in ours.take_seen()] == [e[0] for e in theirs.take_seen()] == ["CLOSED"]
    assert ours.open() >= 0


def test_channel_closed_before_it_could_open_is_never_seen_by_the_peer():
    ours, theirs = pair(up=False)
    handle = ours.open(early=True)
    ours.close(handle)
    ours.end.connect()
    theirs.end.connect()
    settle(ours, theirs)
    assert ours.take_seen() == [("CLOSED", handle, 65535, b"x")] and theirs.take_seen() == []


def test_end_of_the_association_closes_every_channel():
    for how in ("abort", "shutdown"):
        ours, theirs, here, there = opened()
        theirs.open()
        settle(ours, theirs)
        ours.take_seen(), theirs.take_seen()
        getattr(lib, "linnet_sctp_" + how)(ours.end.s, ours.end.now)
        settle(ours, theirs)
        assert len(ours.take_seen()) == len(theirs.take_seen()) == 2
        assert ours.send(here, b"x") == CLOSED


@pytest.mark.parametrize("seed", range(20))
def test_channels_come_and_go_under_loss(seed):
    rng = random.Random(seed)
    with World(seed=seed, jitter_us=30_000, duplicate_ppm=50_000) as w:
        sides = [Channels(w.ends[i], i, raw=ffi.addressof(w.w.dcep, i)) for i in (0, 1)]
        w.connect()
        w.loss(25)
        opened, closed, _sent = [0, 0], [0, 0], [[], []]
        live = [[], []]
        for _ in range(150):
            for i, side in enumerate(sides):
                for event, handle, id, _label in side.take_seen():
                    if event == "OPENED":
                        live[i].append((handle, id))
                        opened[i] += 1
                    else:
                        live[i] = [c for c in live[i] if c[0] != handle]
                        closed[i] += 1
                if len(live[i]) < 5 and rng.random() < .3:
                    side.open(b"%d" % rng.randrange(99))
                if live[i] and rng.random() < .15:
                    side.close(rng.choice(live[i])[0])
                for handle, _ in live[i]:
                    side.send(handle, rng.randbytes(rng.choice([1, 500, 3000])))
            for _ in range(10):
                w.run(30_000)
                for side in sides:
                    side.service()
        w.loss(0)
        for _ in range(40):
            w.run(200_000)
            for side in sides:
                side.service()
        for i, side in enumerate(sides):
            for event, handle, id, _label in side.take_seen():
                opened[i] += event == "OPENED"
                closed[i] += event == "CLOSED"
                live[i] = [c for c in live[i] if c[0] != handle] + ([(handle, id)] if event == "OPENED" else [])
        assert opened[0] >= 10 and closed[0] >= 5
        assert {c[1] for c in live[0]} == {c[1] for c in live[1]}, "both see the same channels"
        for side in sides:
            assert side.d.counters.drop_control == 0


# --- against aiortc ---

aiortc = pytest.importorskip("aiortc", reason="aiortc is the independent peer: pip install aiortc")
from sctp_aiortc import Pair, run  # noqa: E402


@pytest.mark.parametrize("we_are", ("client", "server"))
@pytest.mark.parametrize("who", ("both", "ours", "theirs"))
def test_association_with_aiortc(we_are, who):
    async def scenario():
        p = Pair(we_are)
        await p.start(who)
        await p.until(lambda: p.end.state == "ESTABLISHED")
        await p.until(lambda: p.theirs._association_state.name == "ESTABLISHED")
        assert p.end.counters.drop_chunk == p.end.counters.drop_tag == 0
        return p.end.now
    assert run(scenario) < 1.2 * S


@pytest.mark.parametrize("we_are", ("client", "server"))
def test_channels_with_aiortc_each_side_opens(we_are):
    async def scenario():
        p = Pair(we_are)
        await p.start()
        here = p.ours.open(b"ours", ordered=False, max_retransmits=2)
        p.create("theirs", ordered=False, maxPacketLifeTime=700)
        await p.until(lambda: len(p.ours.seen) == 2 and "ours" in p.their_channels)
        c = p.their_channels["ours"]
        assert (c.ordered, c.maxRetransmits, c.maxPacketLifeTime, c.id % 2) == (False, 2, None, we_are == "server")
        await p.until(lambda: p.their_channels["theirs"].readyState == "open")
        there = [e[1] for e in p.ours.seen if e[3] == b"theirs"][0]
        assert p.ours.details[there] == (True, True, -1, 700)
        for data in ("text", b"bytes", "", b"", b"\0"):
            p.ours.send(here, data)
            p.ours.send(there, data)
            p.their_channels["ours"].send(data)
            p.their_channels["theirs"].send(data)
        await p.until(lambda: len(p.ours.messages) == 10 and len(p.their_messages) == 10)
        for label, handle in (("ours", here), ("theirs", there)):
            assert [m[1] for m in p.their_messages if m[0] == label] == ["text", b"bytes", "", b"", b"\0"]
            assert [m[1:] for m in p.ours.messages if m[0] == handle] == [
                (True, b"text"), (False, b"bytes"), (True, b""), (False, b""), (False, b"\0")]
    run(scenario)


@pytest.mark.parametrize("we_are", ("client", "server"))
def test_negotiated_channel_with_aiortc(we_are):
    async def scenario():
        p = Pair(we_are)
        p.create("agreed", negotiated=True, id=100)
        handle = p.ours.open(b"agreed", id=100)
        await p.start()
        await p.until(lambda: p.ours.is_open(handle) and p.their_channels["agreed"].readyState == "open")
        p.ours.send(handle, "there")
        p.their_channels["agreed"].send("back")
        await p.until(lambda: p.ours.messages and p.their_messages)
        assert p.ours.messages == [(handle, True, b"back")] and p.their_messages == [("agreed", "there")]
    run(scenario)


@pytest.mark.parametrize("we_are, loss, jitter", [("client", 0, 0), ("server", 0, 0), ("client", .15, .03),
                                                  ("server", .15, .03)])
def test_messages_of_all_sizes_both_ways_with_aiortc(we_are, loss, jitter):
    rng = random.Random(5)
    out = [rng.randbytes(int(2 ** rng.uniform(0, 14))) for _ in range(150)] + [rng.randbytes(65536)]
    back = [rng.randbytes(int(2 ** rng.uniform(0, 14))) for _ in range(150)] + [rng.randbytes(65536)]

    async def scenario():
        p = Pair(we_are, loss=loss, jitter=jitter)
        await p.start()
        handle = p.ours.open(b"bulk")
        await p.until(lambda: "bulk" in p.their_channels)
        for m in back:
            p.their_channels["bulk"].send(m)
        todo = list(out)

        def offer():
            while todo and p.ours.send(handle, todo[0]) == 0:
                todo.pop(0)
            return len(p.their_messages) == len(out) and len(p.ours.messages) == len(back)
        await p.until(offer, limit_s=2000)
        assert [m for _, m in p.their_messages] == out
        assert [m[2] for m in p.ours.messages] == back
        await p.until(lambda: p.end.s.n_free == p.end.s.n_blocks and not lib.linnet_sctp_buffered(p.end.s))
    run(scenario)


@pytest.mark.parametrize("we_are", ("client", "server"))
@pytest.mark.parametrize("ordered", (False, True))
@pytest.mark.parametrize("seed", range(3))
def test_partial_reliability_both_ways_with_aiortc(we_are, ordered, seed):
    async def scenario():
        p = Pair(we_are, seed=seed)
        await p.start()
        ours = p.ours.open(b"ours", ordered=ordered, max_retransmits=0)
        p.create("theirs", ordered=ordered, maxRetransmits=0)
        await p.until(lambda: len(p.ours.seen) == 2 and "ours" in p.their_channels)
        await p.until(lambda: p.their_channels["theirs"].readyState == "open")
        p.loss = 0.2
        # aiortc 1.16 forgets whole ordered messages when a FORWARD TSN passes the last fragment of one that lacks
        # its first (it prunes beyond the new TSN), and its stream stops there: so fragments only when unordered.
        long = 0 if ordered else 1500
        for i in range(200):
            p.ours.send(ours, b"%d" % i + bytes(300 + long * (i % 4 == 0)))
            p.their_channels["theirs"].send(b"%d" % i + bytes(300 + 1500 * (i % 4 == 0)))
            p.pump()
            await asyncio.sleep(0.02)
        p.loss = 0
        await asyncio.sleep(20)
        p.ours.send(ours, b"end")
        p.their_channels["theirs"].send(b"end")
        await p.until(lambda: p.their_messages[-1][1] == b"end" and p.ours.messages[-1][2] == b"end")
        sent = [int(m[1].rstrip(b"\0")) for m in p.their_messages[:-1]]
        got = [int(m[2].rstrip(b"\0")) for m in p.ours.messages[:-1]]
        for numbers in (sent, got):
            assert 90 < len(numbers) < 195 and len(set(numbers)) == len(numbers)
            if ordered:
                assert numbers == sorted(numbers)
        assert p.end.counters.abandoned > 5 and p.end.counters.forward_tsn_in > 0
        await p.until(lambda: p.end.s.n_free == p.end.s.n_blocks and not lib.linnet_sctp_buffered(p.end.s))
    run(scenario)


@pytest.mark.parametrize("we_are", ("client", "server"))
@pytest.mark.parametrize("closer", ("ours", "theirs"))
def test_channel_closes_and_its_id_is_reused_with_aiortc(we_are, closer):
    async def open_use_and_close(p, label):
        handle = p.ours.open(label.encode())
        await p.until(lambda: label in p.their_channels)
        channel = p.their_channels[label]
        assert channel.id == (0 if we_are == "client" else 1)
        p.ours.send(handle, "hello")
        await p.until(lambda: p.their_messages and p.their_messages[-1] == (label, "hello"))
        if closer == "ours":
            p.ours.close(handle)
        else:
            channel.close()
        await p.until(lambda: channel.readyState == "closed" and p.ours.seen[-1][0] == "CLOSED")

    async def scenario():
        p = Pair(we_are, loss=0.1)
        await p.start()
        for generation in range(3):
            await open_use_and_close(p, "again %d" % generation)
    run(scenario)


@pytest.mark.parametrize("who", ("ours", "theirs"))
def test_abort_reaches_aiortc_and_comes_from_it(who):
    async def scenario():
        p = Pair()
        await p.start()
        handle = p.ours.open(b"x")
        await p.until(lambda: "x" in p.their_channels)
        if who == "ours":
            lib.linnet_sctp_abort(p.end.s, p.end.now)
        else:
            await p.theirs.stop()
        await p.until(lambda: p.theirs.state == "closed" and p.end.state == "CLOSED")
        p.pump()
        assert p.ours.seen[-1] == ("CLOSED", handle, 0, b"x")
    run(scenario)


def test_shutdown_with_aiortc_is_answered():
    async def scenario():
        p = Pair()
        await p.start()
        handle = p.ours.open(b"x")
        await p.until(lambda: "x" in p.their_channels)
        p.ours.send(handle, "last")
        lib.linnet_sctp_shutdown(p.end.s, p.end.now)
        await p.until(lambda: p.theirs.state == "closed" and p.end.state == "CLOSED")
        assert p.their_messages == [("x", "last")]
    run(scenario)
