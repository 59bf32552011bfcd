"""csrc/net/rtcp.c against aiortc, the formulas of RFC 3550, and everything that may come from outside."""

import random
import struct

import media_lib
import pytest
from aiortc.rtp import (RTCP_RTPFB_NACK, RtcpByePacket, RtcpPacket, RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket,
                        RtcpRtpfbPacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSourceInfo, RtcpSrPacket)

MODULE = media_lib.rtcp()
ffi, lib = MODULE.ffi, MODULE.lib
S = 1_000_000
KIND = {lib.LINNET_RTCP_SR: "sr", lib.LINNET_RTCP_REPORT: "report", lib.LINNET_RTCP_RR: "rr",
        lib.LINNET_RTCP_SDES: "sdes", lib.LINNET_RTCP_BYE: "bye", lib.LINNET_RTCP_NACK: "nack",
        lib.LINNET_RTCP_OTHER: "other"}


def read(data):
    """[(kind, fields)], or the error of linnet_rtcp_read; a bad body ends the list with ("bad", None)."""
    reader, item = ffi.new("linnet_rtcp_reader_t *"), ffi.new("linnet_rtcp_item_t *")
    memory = ffi.new("uint8_t[]", bytes(data))
    result = lib.linnet_rtcp_read(reader, memory, len(data))
    if result < 0:
        return result
    found = []
    while True:
        kind = lib.linnet_rtcp_next(reader, item)
        if kind == 0:
            return found
        if kind < 0:
            found.append(("bad", None))
            continue
        fields = {name: getattr(item, name) for name, _ in ffi.typeof("linnet_rtcp_item_t").fields}
        found.append((KIND[kind], fields))
        assert len(found) < 2000


def sources(*stats):
    return ffi.new("linnet_rtcp_recv_stats_t *[]", list(stats))


def receiver(ssrc=77, clock=48000):
    s = ffi.new("linnet_rtcp_recv_stats_t *")
    lib.linnet_rtcp_recv_init(s, ssrc, clock)
    return s


def sender(ssrc=1234, clock=48000):
    s = ffi.new("linnet_rtcp_send_stats_t *")
    lib.linnet_rtcp_send_init(s, ssrc, clock)
    return s


def build(now, ssrc=1234, cname=b"dev", send=None, recv=(), bye=0, epoch=0, cap=1200):
    name, list_ = ffi.new("uint8_t[]", cname or b"\0"), sources(*recv)
    c = ffi.new("linnet_rtcp_compound_t *")
    c.ssrc, c.cname.data, c.cname.len, c.ntp_epoch_us = ssrc, name, len(cname), epoch
    c.send, c.recv, c.n_recv, c.bye = send or ffi.NULL, list_, len(recv), bye
    buf = ffi.new("uint8_t[]", max(cap, 1))
    n = lib.linnet_rtcp_build(c, now, buf, cap)
    return bytes(ffi.buffer(buf, n)) if n >= 0 else n


def feed(stats, packets):
    """(time in us, sequence, timestamp) each."""
    for now, sequence, timestamp in packets:
        lib.linnet_rtcp_received(stats, now, sequence & 0xFFFF, timestamp & 0xFFFFFFFF)


# --- building, read by others ---

def test_aiortc_reads_our_compound():
    out, heard = sender(), receiver()
    for i in range(10):
        lib.linnet_rtcp_sent(out, i * 20_000, 5000 + 960 * i, 60)
    feed(heard, [(i * 20_000, 65530 + i, 960 * i) for i in range(20) if i != 7])
    data = build(1 * S, send=out, recv=[heard], bye=1, epoch=3_900_000_000 * S)
    sr, sdes, bye = RtcpPacket.parse(data)
    assert isinstance(sr, RtcpSrPacket) and sr.ssrc == 1234
    assert sr.sender_info.packet_count == 10 and sr.sender_info.octet_count == 600
    assert sr.sender_info.ntp_timestamp == (3_900_000_001 << 32)
    assert sr.sender_info.rtp_timestamp == 5000 + 9 * 960 + (S - 9 * 20_000) * 48 // 1000
    [block] = sr.reports
    assert (block.ssrc, block.packets_lost, block.highest_sequence) == (77, 1, 65536 + 13)
    assert block.fraction_lost == 256 * 1 // 20
    assert isinstance(sdes, RtcpSdesPacket) and sdes.chunks[0].ssrc == 1234
    assert sdes.chunks[0].items == [(1, b"dev")]
    assert isinstance(bye, RtcpByePacket) and bye.sources == [1234]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 8, 255])
def test_cname_of_any_length_is_padded_right(length):
    data = build(0, cname=b"x" * length)
    rr, sdes = RtcpPacket.parse(data)
    assert isinstance(rr, RtcpRrPacket) and rr.reports == []
    assert sdes.chunks[0].items == [(1, b"x" * length)]
    assert build(0, cname=b"x" * length, cap=len(data)) == data
    assert build(0, cname=b"x" * length, cap=len(data) - 1) == lib.LINNET_ERR_SPACE


def test_refused_build_does_not_close_a_loss_interval():
    heard = receiver()
    feed(heard, [(0, 1, 0), (1, 3, 960)])
    assert build(S, recv=[heard], cap=40) == lib.LINNET_ERR_SPACE
    assert RtcpPacket.parse(build(S, recv=[heard]))[0].reports[0].fraction_lost == 256 // 3
    assert RtcpPacket.parse(build(S, recv=[heard]))[0].reports[0].fraction_lost == 0  # nothing new since


def test_wrong_calls_are_told_from_wrong_packets():
    out = sender(ssrc=1)
    lib.linnet_rtcp_sent(out, 0, 0, 1)
    assert build(0, ssrc=2, send=out) == lib.LINNET_ERR_ARG
    assert build(0, cname=b"") == lib.LINNET_ERR_ARG
    assert build(0, cname=b"x" * 256) == lib.LINNET_ERR_ARG
    assert build(0, recv=[receiver()] * 32) == lib.LINNET_ERR_ARG


def test_source_without_a_packet_gets_no_block_and_a_silent_sender_writes_rr():
    data = build(0, send=sender(), recv=[receiver(), receiver(78)])
    assert isinstance(RtcpPacket.parse(data)[0], RtcpRrPacket) and RtcpPacket.parse(data)[0].reports == []


# --- reading what others built ---

def report(r):
    return RtcpReceiverInfo(ssrc=r.randrange(1 << 32), fraction_lost=r.randrange(256),
                            packets_lost=r.randrange(-(1 << 23), 1 << 23), highest_sequence=r.randrange(1 << 32),
                            jitter=r.randrange(1 << 32), lsr=r.randrange(1 << 32), dlsr=r.randrange(1 << 32))


@pytest.mark.parametrize("seed", range(100))
def test_we_read_what_aiortc_writes(seed):
    r = random.Random(seed)
    blocks = [report(r) for _ in range(r.randrange(32))]
    info = RtcpSenderInfo(ntp_timestamp=r.randrange(1 << 64), rtp_timestamp=r.randrange(1 << 32),
                          packet_count=r.randrange(1 << 32), octet_count=r.randrange(1 << 32))
    lost = sorted(r.sample(range(65536), r.randrange(1, 30)))
    leaving = [r.randrange(1 << 32) for _ in range(r.randrange(1, 5))]
    data = bytes(RtcpSrPacket(ssrc=9, sender_info=info, reports=blocks))
    data += bytes(RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=9, items=[(1, b"cname")])]))
    data += bytes(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=5, media_ssrc=6, lost=lost))
    data += bytes(RtcpPsfbPacket(fmt=1, ssrc=5, media_ssrc=6))
    data += bytes(RtcpByePacket(sources=leaving))
    items = read(data)
    sr = items[0][1]
    assert items[0][0] == "sr" and sr["sender"] == 9 and sr["ntp"] == info.ntp_timestamp
    assert (sr["rtp_timestamp"], sr["packets"], sr["octets"]) == (
        info.rtp_timestamp, info.packet_count, info.octet_count)
    found = [f for kind, f in items if kind == "report"]
    assert [(f["sender"], f["subject"], f["fraction_lost"], f["lost"], f["highest"], f["jitter"], f["last_sr"],
             f["delay_since_sr"]) for f in found] == [
        (9, b.ssrc, b.fraction_lost, b.packets_lost, b.highest_sequence, b.jitter, b.lsr, b.dlsr) for b in blocks]
    asked = []
    for kind, fields in items:
        if kind == "nack":
            assert (fields["sender"], fields["subject"]) == (5, 6)
            out = ffi.new("uint16_t[17]")
            n = lib.linnet_rtcp_nack_list(ffi.new("linnet_rtcp_item_t *", fields), out)
            asked += list(out)[:n]
    assert asked == lost
    assert [f["subject"] for kind, f in items if kind == "bye"] == leaving
    kinds = [kind for kind, _ in items]
    assert kinds.count("sdes") == 1 and kinds.count("other") == 1 and "bad" not in kinds


def test_reduced_size_packets_are_read():
    data = bytes(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=5, media_ssrc=6, lost=[3]))
    assert [kind for kind, _ in read(data)] == ["nack"]


def test_nack_bitmask_wraps_around_the_sequence_space():
    item = ffi.new("linnet_rtcp_item_t *", {"nack_pid": 65530, "nack_blp": 0xFFFF})
    out = ffi.new("uint16_t[17]")
    assert lib.linnet_rtcp_nack_list(item, out) == 17
    assert list(out) == [(65530 + i) & 0xFFFF for i in range(17)]


def test_padding_is_allowed_on_the_last_packet_only():
    rr = struct.pack("!BBHL", 0x80, 201, 1, 1)
    padded = struct.pack("!BBHLL", 0xA0, 201, 2, 1, 4)
    assert [k for k, _ in read(rr + padded)] == ["rr", "rr"]
    assert read(padded + rr) == lib.LINNET_ERR_PACKET
    for padding in (0, 1, 3, 12, 255):
        assert read(struct.pack("!BBHLL", 0xA0, 201, 2, 1, padding)) == lib.LINNET_ERR_PACKET


def test_counts_larger_than_the_body_end_the_reading():
    assert read(struct.pack("!BBHL", 0x81, 201, 1, 1)) == [("rr", read(struct.pack("!BBHL", 0x80, 201, 1, 1))[0][1]),
                                                          ("bad", None)]
    assert read(struct.pack("!BBH", 0x81, 203, 0)) == [("bad", None)]
    assert read(struct.pack("!BBH", 0x80, 200, 0)) == [("bad", None)]
    assert read(struct.pack("!BBHL", 0x81, 205, 1, 1)) == [("bad", None)]


def test_every_truncation_and_bit_flip_is_handled():
    r = random.Random(1)
    info = RtcpSenderInfo(ntp_timestamp=1, rtp_timestamp=2, packet_count=3, octet_count=4)
    good = bytes(RtcpSrPacket(ssrc=9, sender_info=info, reports=[report(r), report(r)]))
    good += bytes(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=5, media_ssrc=6, lost=[1, 2, 40]))
    good += bytes(RtcpByePacket(sources=[9]))
    boundaries = {76, 76 + 20}
    for n in range(len(good)):
        expected = list if n in boundaries else int
        assert isinstance(read(good[:n]), expected), n
    for bit in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        read(flipped)


# --- statistics ---

def reference_statistics(packets, clock=48000):
    """RFC 3550 A.3 and A.8 in their own words, on unwrapped sequence numbers."""
    jitter, previous = 0, None
    for now, _, timestamp in packets:
        transit = now * clock // S - timestamp
        if previous is not None:
            d = abs(transit - previous)
            jitter += d - ((jitter + 8) >> 4)
        previous = transit
    seen = [s for _, s, _ in packets]
    return max(seen), max(seen) - seen[0] + 1 - len(seen), jitter >> 4


@pytest.mark.parametrize("seed", range(50))
def test_loss_and_jitter_follow_the_formulas_of_the_rfc(seed):
    r = random.Random(seed)
    first, base = r.randrange(65536), r.randrange(1 << 31)
    packets = []
    for i in range(1500):
        if r.random() > 0.1:
            packets.append((i * 20_000 + int(r.expovariate(1 / 8000)), first + i, base + 960 * i))
    packets = [packets[0]] + sorted(packets[1:])
    stats = receiver()
    feed(stats, packets)
    highest, lost, jitter = reference_statistics(packets)
    assert (stats.max_sequence, lib.linnet_rtcp_lost(stats), stats.jitter_q4 >> 4) == (highest, lost, jitter)


def test_fraction_lost_is_that_of_the_interval_and_duplicates_make_it_zero():
    stats = receiver()
    feed(stats, [(i, i, 0) for i in range(0, 100) if i % 4])
    build(0, recv=[stats])
    assert stats.fraction_lost == (24 << 8) // 99
    feed(stats, [(i, i, 0) for i in range(100, 200)] + [(i, i, 0) for i in range(100, 150)])
    build(0, recv=[stats])
    assert stats.fraction_lost == 0 and lib.linnet_rtcp_lost(stats) == 24 - 50
    feed(stats, [(0, 999, 0)])
    build(0, recv=[stats])
    assert stats.fraction_lost == (799 << 8) // 800


def test_all_lost_but_one_in_very_many_is_255():
    stats = receiver()
    feed(stats, [(0, 0, 0)])
    build(0, recv=[stats])
    feed(stats, [(0, 2999, 0)])
    build(0, recv=[stats])
    assert stats.fraction_lost == 255


def test_a_jump_counts_as_restart_only_when_the_next_packet_confirms_it():
    stats = receiver()
    feed(stats, [(0, 10, 0), (1, 11, 960)])
    assert lib.linnet_rtcp_received(stats, 2, 40_000, 0) == 0
    assert stats.max_sequence == 11 and stats.restarts == 0
    assert lib.linnet_rtcp_received(stats, 3, 12, 1920) == 1  # it was a stray
    assert lib.linnet_rtcp_received(stats, 2, 40_000, 0) == 0
    assert lib.linnet_rtcp_received(stats, 2, 40_001, 960) == 1
    assert (stats.restarts, stats.received, stats.max_sequence) == (1, 1, 40_001)
    assert lib.linnet_rtcp_lost(stats) == 0


def test_a_new_timestamp_base_does_not_count_as_jitter():
    stats = receiver()
    feed(stats, [(i * 20_000, i, 960 * i) for i in range(50)])
    feed(stats, [(i * 20_000, i, 4_000_000_000 + 960 * i) for i in range(50, 60)])
    assert stats.jitter_q4 >> 4 == 0


def test_round_trip_time_comes_out_of_our_sr_and_their_report():
    """The peer holds our SR for 300 ms, the network takes 80 ms in all, our clock may start anywhere."""
    for start in (0, 5 * S, (1 << 40)):
        out = sender()
        lib.linnet_rtcp_sent(out, start, 0, 10)
        sr = RtcpPacket.parse(build(start + S, send=out, epoch=3_900_000_000 * S))[0]
        middle = sr.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
        answer = RtcpRrPacket(ssrc=5, reports=[RtcpReceiverInfo(
            ssrc=1234, fraction_lost=12, packets_lost=-3, highest_sequence=9, jitter=7, lsr=middle,
            dlsr=300 * 65536 // 1000)])
        fields = [f for kind, f in read(bytes(answer)) if kind == "report"][0]
        item = ffi.new("linnet_rtcp_item_t *", fields)
        lib.linnet_rtcp_on_report(out, start + S + 380_000, 3_900_000_000 * S, item)
        assert abs(out.rtt_us - 80_000) < 40
        assert (out.remote_fraction_lost, out.remote_lost, out.remote_jitter, out.reports) == (12, -3, 7, 1)
        lib.linnet_rtcp_on_report(out, start + S + 290_000, 3_900_000_000 * S, item)  # earlier than possible
        assert abs(out.rtt_us - 80_000) < 40


def test_report_about_someone_else_is_ignored():
    out = sender()
    lib.linnet_rtcp_on_report(out, 0, 0, ffi.new("linnet_rtcp_item_t *", {"subject": 999, "lost": 5}))
    assert out.reports == 0


def test_delay_since_last_sr_is_reported_in_65536ths():
    heard = receiver()
    feed(heard, [(0, 1, 0)])
    lib.linnet_rtcp_on_sr(heard, 10 * S, ffi.new("linnet_rtcp_item_t *", {"sender": 77, "ntp": 0x1122334455667788}))
    lib.linnet_rtcp_on_sr(heard, 11 * S, ffi.new("linnet_rtcp_item_t *", {"sender": 76, "ntp": 1}))
    block = RtcpPacket.parse(build(12 * S + 500_000, recv=[heard]))[0].reports[0]
    assert (block.lsr, block.dlsr) == (0x33445566, 5 * 65536 // 2)


# --- when ---

def test_reports_come_soon_after_the_first_packet_and_then_every_one_to_three_seconds():
    timer, r = ffi.new("linnet_rtcp_timer_t *"), random.Random(3)
    lib.linnet_rtcp_timer_init(timer)
    assert lib.linnet_rtcp_timer_deadline(timer) == 2**64 - 1
    assert not lib.linnet_rtcp_timer_poll(timer, 10 * S, 0)
    lib.linnet_rtcp_timer_start(timer, 20 * S)
    lib.linnet_rtcp_timer_start(timer, 21 * S)  # the second packet changes nothing
    due = lib.linnet_rtcp_timer_deadline(timer)
    assert due == 20 * S + 100_000
    gaps = []
    for _ in range(500):
        assert not lib.linnet_rtcp_timer_poll(timer, due - 1, 0)
        assert lib.linnet_rtcp_timer_poll(timer, due, r.randrange(1 << 32))
        gaps.append(lib.linnet_rtcp_timer_deadline(timer) - due)
        due += gaps[-1]
    assert 1 * S <= min(gaps) and max(gaps) < 3 * S and abs(sum(gaps) / 500 - 2 * S) < 100_000


# --- retransmission history ---

def test_history_gives_back_the_last_packets_once_per_gap():
    ring, out = ffi.new("linnet_rtx_ring_t *"), ffi.new("const uint8_t **")
    lib.linnet_rtx_init(ring)

    def ask(now, sequence):
        n = lib.linnet_rtx_get(ring, now, 20_000, sequence, out)
        return bytes(ffi.buffer(out[0], n)) if n > 0 else n

    for i in range(65530, 65530 + 40):
        assert lib.linnet_rtx_put(ring, i & 0xFFFF, b"packet %d" % i, len(b"packet %d" % i)) == 0
    assert ask(0, (65530 + 39) & 0xFFFF) == b"packet 65569"
    assert ask(1000, (65530 + 39) & 0xFFFF) == 0 and ring.refused == 1
    assert ask(20_000, (65530 + 39) & 0xFFFF) == b"packet 65569"
    assert ask(0, (65530 + 39 - 15) & 0xFFFF) == b"packet 65554"
    assert ask(0, (65530 + 39 - 16) & 0xFFFF) == 0 and ring.missed == 1
    assert lib.linnet_rtx_put(ring, 5, bytes(401), 401) == lib.LINNET_ERR_LIMIT
    assert ask(0, 5) == 0 and ring.too_large == 1


def test_history_keeps_as_many_packets_as_its_bytes_hold():
    bytes_all, most = media_lib.limits()["LINNET_RTX_BYTES"], media_lib.limits()["LINNET_RTX_PACKETS"]
    ring, out, rng = ffi.new("linnet_rtx_ring_t *"), ffi.new("const uint8_t **"), random.Random(7)
    lib.linnet_rtx_init(ring)
    sent = []
    for i in range(65500, 65500 + 400):
        sent.append(rng.randbytes(rng.choice((60, 110, 390, 400))))
        assert lib.linnet_rtx_put(ring, i & 0xFFFF, sent[-1], len(sent[-1])) == 0
        kept, at = 0, len(sent) - 1
        while at >= 0 and (n := lib.linnet_rtx_peek(ring, (65500 + at) & 0xFFFF, out)):
            assert bytes(ffi.buffer(out[0], n)) == sent[at]
            kept, at = kept + n, at - 1
        count = len(sent) - 1 - at
        assert count == most or at < 0 or kept + 2 * 400 > bytes_all
    lib.linnet_rtx_init(ring)
    for i in range(most):
        assert lib.linnet_rtx_put(ring, i, bytes(400), 400) == 0
    assert [bool(lib.linnet_rtx_peek(ring, i, out)) for i in range(most)].count(True) == min(most, bytes_all // 400)
