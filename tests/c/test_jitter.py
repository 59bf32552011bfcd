"""csrc/media/jitter.c in virtual time: order, loss, silence, restarts, drift and hostile packets."""

import random

import media_lib
import pytest

MODULE = media_lib.jitter()
ffi, lib = MODULE.ffi, MODULE.lib
WAIT, PACKET, SKIP, LOST, FEC, DTX = (getattr(lib, "LINNET_JITTER_" + name) for name in (
    "WAIT", "PACKET", "SKIP", "LOST", "FEC", "DTX"))
MS = 1000
SLOTS = media_lib.limits()["LINNET_JITTER_PACKETS"]
COUNTERS = [name for name, _ in ffi.typeof("linnet_jitter_stats_t").fields]
TOC = {10: 0x40, 20: 0x08, 40: 0x10, 60: 0x18, 2.5: 0xE0}  # one SILK frame; 2.5 ms: one CELT frame


def packet(n, frame_ms=20, size=40):
    """An Opus packet whose body says which one it is."""
    return (bytes([TOC[frame_ms]]) + n.to_bytes(4, "big") + bytes(size))[:size]


class Buffer:
    def __init__(self, delay_ms=60, first_sequence=0, first_timestamp=0, frame_ms=20):
        self.j = ffi.new("linnet_jitter_t *")
        lib.linnet_jitter_init(self.j, delay_ms)
        self.payload, self.len = ffi.new("const uint8_t **"), ffi.new("size_t *")
        self.first_sequence, self.first_timestamp, self.frame_ms = first_sequence, first_timestamp, frame_ms

    def put(self, now, n, data=None, timestamp=None):
        """Packet number n of an unbroken stream, unless told otherwise."""
        data = packet(n, self.frame_ms) if data is None else data
        if timestamp is None:
            timestamp = self.first_timestamp + int(48 * self.frame_ms * n)
        memory = ffi.new("uint8_t[]", data or b"\0")
        return lib.linnet_jitter_put(self.j, now, (self.first_sequence + n) & 0xFFFF, timestamp & 0xFFFFFFFF, memory,
                                     len(data))

    def get(self, now):
        """(kind, number of the packet or None)."""
        kind = lib.linnet_jitter_get(self.j, now, self.payload, self.len)
        self.check()
        if kind not in (PACKET, SKIP, FEC):
            assert self.payload[0] == ffi.NULL and self.len[0] == 0
            return kind, None
        body = bytes(ffi.buffer(self.payload[0], self.len[0]))
        return kind, int.from_bytes(body[1:5], "big") if len(body) >= 5 else None

    def check(self):
        """The invariants of jitter.h."""
        j = self.j
        held = [slot for slot in j.slot if slot.is_held]
        assert j.held == len(held) and j.buffered == sum(slot.duration for slot in held)
        assert all((slot.sequence - j.next) % 65536 < SLOTS for slot in held)
        places = sorted((slot.at, slot.at + slot.len) for slot in held if slot.len)
        assert all(end <= at for (_, end), (at, _) in zip(places, places[1:])) and (places or [(0, 0)])[-1][1] <= j.end
        assert lib.linnet_jitter_duration(j) % 120 == 0 and 0 < lib.linnet_jitter_duration(j) <= 5760

    def __getattr__(self, name):
        if name in COUNTERS:
            return getattr(self.j.stats, name)
        raise AttributeError(name)

    def counters(self):
        return {name: getattr(self.j.stats, name) for name in COUNTERS if getattr(self.j.stats, name)}


def run(buffer, arrivals, until_ms, frame_ms=20, start_ms=0, quiet=False, sink_ppm=0):
    """Arrivals [(ms, number)] and a player that gets one frame after the other; [(ms, kind, number)]."""
    arrivals = sorted(arrivals, key=lambda a: a[0])
    heard, at, now = [], 0, float(start_ms)
    while now < until_ms:
        while at < len(arrivals) and arrivals[at][0] <= now:
            buffer.put(int(arrivals[at][0] * MS), *arrivals[at][1:])
            at += 1
        kind, number = buffer.get(int(now * MS))
        if kind in (PACKET, LOST, FEC, DTX):
            lib.linnet_jitter_set_quiet(buffer.j, quiet(number) if callable(quiet) else quiet)
        heard.append((now, kind, number))
        if kind != SKIP:
            step = lib.linnet_jitter_duration(buffer.j) / 48 if kind != WAIT else 5
            now += step * (1 - sink_ppm / 1e6)
    return heard


def played(heard):
    return [number for _, kind, number in heard if kind == PACKET]


def steady(count, frame_ms=20, delay=0):
    return [(delay + i * frame_ms, i) for i in range(count)]


# --- an unbroken stream ---

@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
@pytest.mark.parametrize("delay_ms", [20, 60, 120])
def test_clean_stream_is_played_whole_after_the_target_delay(frame_ms, delay_ms):
    buffer = Buffer(delay_ms, frame_ms=frame_ms)
    heard = run(buffer, steady(100, frame_ms, delay=7), 100 * frame_ms + delay_ms, frame_ms)
    first = next(now for now, kind, _ in heard if kind == PACKET)
    assert delay_ms + 7 <= first < delay_ms + 7 + 5  # it asks every 5 ms while it waits
    assert played(heard) == list(range(len(played(heard)))) and len(played(heard)) >= 98
    assert set(buffer.counters()) == {"received", "played"}


@pytest.mark.parametrize("first", [0, 65530, 32760])
def test_sequence_and_timestamp_wrap_unheard(first):
    buffer = Buffer(first_sequence=first, first_timestamp=2**32 - 5 * 960)
    heard = run(buffer, steady(200), 4000)
    assert played(heard) == list(range(len(played(heard)))) and set(buffer.counters()) == {"received", "played"}


def test_short_frames_start_before_the_ring_is_full():
    buffer = Buffer(60, frame_ms=2.5)
    heard = run(buffer, steady(400, 2.5), 1000, 2.5)
    assert played(heard) == list(range(len(played(heard)))) and len(played(heard)) > 380
    assert set(buffer.counters()) == {"received", "played"}


# --- order ---

@pytest.mark.parametrize("seed", range(60))
def test_reorder_and_duplicates_within_the_delay_change_nothing(seed):
    r = random.Random(seed)
    arrivals = [(i * 20 + r.random() * 55, i) for i in range(300)]
    arrivals[0] = (0, 0)
    arrivals += [(when + r.random() * 80, i) for when, i in arrivals if r.random() < 0.2]
    clean, rough = Buffer(), Buffer()
    expected = run(clean, steady(300), 5900)
    assert run(rough, arrivals, 5900) == expected
    assert rough.lost == rough.starved == rough.late == 0 and rough.duplicate == rough.received - rough.played - sum(
        slot.is_held for slot in rough.j.slot) > 0


def test_a_packet_older_than_the_first_is_still_played_while_filling():
    buffer = Buffer()
    heard = run(buffer, [(0, 2), (1, 1), (5, 3), (30, 0)] + [(i * 20, i) for i in range(4, 50)], 900)
    assert played(heard)[:5] == [0, 1, 2, 3, 4]


# --- loss ---

@pytest.mark.parametrize("seed", range(100))
def test_every_lost_packet_is_one_concealed_frame_and_nothing_else(seed):
    r = random.Random(seed)
    gone = {i for i in range(5, 490) if r.random() < 0.15}
    buffer = Buffer()
    heard = run(buffer, [(i * 20 + r.random() * 30, i) for i in range(500) if i not in gone], 9900)
    assert played(heard) == [i for i in range(500) if i not in gone][:len(played(heard))]
    missing = [i for i in gone if i < played(heard)[-1]]
    concealed = [kind for _, kind, _ in heard if kind in (LOST, FEC)]
    assert len(concealed) == buffer.lost + buffer.starved
    if buffer.rebuffers == 0:
        assert buffer.lost == len(missing)
    assert buffer.duplicate == buffer.overflow == buffer.restarts == 0


def test_the_frame_before_a_packet_that_is_there_comes_with_its_fec_copy():
    buffer = Buffer()
    heard = run(buffer, [(i * 20, i) for i in range(50) if i not in (10, 20, 21)], 900)
    kinds = [(kind, number) for _, kind, number in heard if kind in (PACKET, LOST, FEC)]
    at = kinds.index((PACKET, 9))
    assert kinds[at:at + 3] == [(PACKET, 9), (FEC, 11), (PACKET, 11)]
    at = kinds.index((PACKET, 19))
    assert kinds[at:at + 4] == [(PACKET, 19), (LOST, None), (FEC, 22), (PACKET, 22)]
    assert buffer.lost == 3 and buffer.starved == 0


def test_a_packet_after_its_place_is_late_and_dropped():
    buffer = Buffer()
    heard = run(buffer, [(i * 20, i) for i in range(50) if i != 10] + [(290, 10)], 900)
    assert 10 not in played(heard) and buffer.late == 1 and buffer.lost == 1 and buffer.duplicate == 0
    assert buffer.put(900 * MS, 20) == 0 and buffer.duplicate == 1  # that one was played


def test_padding_only_packets_take_their_number_and_no_time():
    buffer = Buffer()
    arrivals = []
    for i in range(60):  # every sixth packet is padding, with the timestamp of the one before
        timestamp = 960 * (i - i // 6 - 1)
        arrivals.append((i * 17, i, packet(i) if i % 6 else b"", timestamp))
    heard = run(buffer, arrivals, 950)
    assert played(heard) == [i for i in range(60) if i % 6][:len(played(heard))] and len(played(heard)) > 40
    assert buffer.lost == buffer.starved == buffer.dtx == 0 and buffer.empty == 10


def test_a_lost_packet_behind_padding_is_still_concealed():
    buffer = Buffer()
    arrivals = [(i * 20, i) for i in range(10)]
    arrivals += [(220, 11, b"", 10 * 960)]  # number 10 lost; 11 is padding
    arrivals += [(i * 20, i, packet(i), (i - 1) * 960) for i in range(12, 30)]
    heard = run(buffer, arrivals, 550)
    expected = [i for i in range(30) if i not in (10, 11)]
    assert buffer.lost == 1 and played(heard) == expected[:len(played(heard))]


# --- starving and silence ---

def test_an_outage_conceals_then_waits_then_fills_again():
    buffer = Buffer()
    heard = run(buffer, steady(50) + [(2000 + i * 20, 100 + i) for i in range(50)], 3050)
    kinds = [kind for now, kind, _ in heard if 1060 <= now < 2000]
    assert kinds[:10] == [LOST] * 10 and set(kinds[10:]) == {WAIT}
    again = next(now for now, kind, number in heard if number == 100)
    assert 2060 <= again < 2066
    assert buffer.rebuffers == 1 and buffer.lost == 10 and buffer.starved == 0


def test_packets_that_come_late_but_whole_are_all_played_and_the_delay_grows():
    """The network holds everything back for 90 ms: nothing is lost, two frames are bridged, the delay stays."""
    buffer = Buffer()
    heard = run(buffer, [(i * 20 if i < 30 else max(i * 20, 30 * 20 + 90), i) for i in range(200)], 3900)
    assert played(heard) == list(range(len(played(heard)))) and len(played(heard)) > 185
    assert buffer.counters() == {"received": 195, "played": len(played(heard)), "starved": 2}


def test_grown_delay_goes_back_in_quiet_moments_and_a_frame_at_a_time_when_there_are_none():
    for quiet, within_ms in ((lambda n: n is not None and n % 10 == 0, 3000), (False, 5000)):
        buffer = Buffer()
        arrivals = [(i * 20 if i < 50 else max(i * 20, 50 * 20 + 190), i) for i in range(400)]
        heard = run(buffer, arrivals, 1400, quiet=quiet)
        assert buffer.j.buffered > 48 * 140
        run(buffer, [a for a in arrivals if a[0] > 1395], 1400 + within_ms, start_ms=1400, quiet=quiet)
        assert buffer.j.buffered <= 48 * 120, quiet
        assert buffer.skipped > 0 and buffer.lost == 0 and heard


def test_silence_of_the_sender_lasts_as_long_as_it_meant_and_is_no_loss():
    """DTX: a 1-byte packet announces it, one packet each 400 ms, then speech again on the old time line."""
    buffer = Buffer()
    arrivals = [(i * 20, i) for i in range(50)]
    arrivals += [(1000, 50, b"\x08", 50 * 960)]
    arrivals += [(1400, 51, packet(51), 70 * 960), (1420, 52, b"\x08", 71 * 960)]
    arrivals += [(1800 + i * 20, 53 + i, packet(53 + i), (90 + i) * 960) for i in range(50)]
    heard = run(buffer, arrivals, 2700)
    when = {number: now for now, kind, number in heard if kind == PACKET and number is not None}
    assert when[53] - when[0] == 1800 and when[51] - when[0] == 1400  # to the millisecond
    assert buffer.lost == buffer.starved == buffer.rebuffers == buffer.restarts == 0
    assert buffer.dtx == 19 + 18
    assert {kind for now, kind, _ in heard if 60 <= now} == {PACKET, DTX}


def test_unannounced_silence_is_recognised_afterwards():
    """The packet that announces it never came; the timestamps tell, once speech goes on."""
    buffer = Buffer()
    arrivals = steady(50) + [(1000 + 120 + i * 20, 50 + i, packet(50 + i), (56 + i) * 960) for i in range(50)]
    run(buffer, arrivals, 1900)
    assert (buffer.dtx, buffer.lost, buffer.starved) == (6, 0, 0)


def test_a_sender_that_stays_silent_for_seconds_is_waited_for_without_counting_loss():
    buffer = Buffer()
    arrivals = steady(50) + [(1000, 50, b"\x08", 50 * 960)]
    arrivals += [(9000 + i * 20, 51 + i, packet(51 + i), (450 + i) * 960) for i in range(20)]
    heard = run(buffer, arrivals, 9400)
    assert (buffer.lost, buffer.starved, buffer.rebuffers) == (0, 0, 0)
    assert 9060 <= next(now for now, kind, number in heard if number == 51) < 9066


# --- another source ---

def test_jump_of_the_sequence_number_starts_afresh():
    for jump in (5000, -500, 32768):
        buffer = Buffer(first_sequence=20000)
        heard = run(buffer, steady(50) + [(1000 + i * 20, jump + i, packet(900 + i)) for i in range(50)], 1900)
        after = [n for n in played(heard) if n >= 900]
        assert after == list(range(900, 900 + len(after))) and len(after) > 35
        assert buffer.restarts == 1 and buffer.overflow == 0


@pytest.mark.parametrize("jump", [1 << 31, 40_000_000, -40_000_000, 200_000])
def test_jump_of_the_timestamp_alone_plays_on(jump):
    buffer = Buffer()
    heard = run(buffer, steady(50) + [(1000 + i * 20, 50 + i, None, jump + 960 * (50 + i)) for i in range(50)], 1900)
    assert played(heard) == list(range(len(played(heard)))) and len(played(heard)) > 88
    assert buffer.restarts == 1 and buffer.dtx == buffer.lost == 0


# --- bounds ---

def test_overflow_keeps_the_newest():
    buffer = Buffer()
    for i in range(100):
        buffer.put(0, i)
    assert buffer.overflow == 100 - SLOTS and buffer.get(0) == (PACKET, 100 - SLOTS)


def test_burst_while_playing_drops_the_oldest_and_goes_on_at_once():
    buffer = Buffer()
    heard = run(buffer, steady(10) + [(200, i) for i in range(10, 60)], 400)
    after = [(kind, number) for now, kind, number in heard if now >= 200]
    assert after[0] == (PACKET, 60 - SLOTS) and all(kind in (PACKET, SKIP) for kind, _ in after)


@pytest.mark.parametrize("bad, counter", [
    (b"\x09\1\2", None), (b"\x09\1", "malformed"), (b"\x0b", "malformed"), (b"\x0b\0", "malformed"),
    (b"\x1b\x3f" + bytes(9), "malformed"), (bytes([8]) + bytes(1275), "oversize"), (bytes([8]) + bytes(1274), None)])
def test_what_is_no_opus_packet_is_refused_and_its_place_concealed(bad, counter):
    buffer = Buffer()
    result = buffer.put(0, 0, bad)
    if counter is None:
        assert result == 1
        return
    assert result == lib.LINNET_ERR_PACKET and buffer.counters() == {"received": 1, counter: 1}
    run(buffer, [(i * 20, i) for i in range(10)] + [(200, 10, bad)] + [(i * 20, i) for i in range(11, 30)], 500)
    assert buffer.lost == 1


@pytest.mark.parametrize("seed", range(200))
def test_any_order_of_any_packets_keeps_the_invariants(seed):
    """Invariants are checked at each get; every put is accounted for."""
    r, buffer = random.Random(seed), Buffer(delay_ms=(0, 10, 60, 500)[seed % 4])
    number, now = 0, 0
    for _ in range(600):
        now += r.randrange(40) * MS
        for _ in range(r.randrange(4)):
            number += r.choice((0, 1, 1, 1, 1, 2, -3, 17)) if r.random() < 0.98 else r.randrange(-40000, 40000)
            data = r.choice((None, None, None, b"", b"\x08", r.randbytes(r.randrange(1, 330))))
            timestamp = None if r.random() < 0.9 else r.randrange(1 << 32)
            if data is None:
                data = packet(abs(number), r.choice(list(TOC)))
            buffer.put(now, number, data, timestamp)
        for _ in range(r.randrange(3)):
            buffer.get(now)
        if r.random() < 0.3:
            lib.linnet_jitter_set_quiet(buffer.j, r.randrange(2))
    s = buffer.counters()
    dropped = sum(s.get(k, 0) for k in ("late", "duplicate", "malformed", "oversize"))
    assert s["received"] >= dropped + s.get("played", 0)


# --- time ---

@pytest.mark.parametrize("ppm", [-200, 200])
def test_clock_drift_is_taken_up_in_quiet_frames(ppm):
    """One hour, some 36 frames of drift, one quiet frame a second: no underrun, bounded delay."""
    buffer, minutes = Buffer(), 60
    count = minutes * 60 * 50
    state = {"at": 0}
    now, deepest, shallowest = 0.0, 0, 10**9
    while state["at"] < count:
        while state["at"] < count and state["at"] * 20 <= now:
            buffer.put(int(state["at"] * 20 * MS), state["at"], packet(state["at"], size=8))
            state["at"] += 1
        kind = lib.linnet_jitter_get(buffer.j, int(now * MS), buffer.payload, buffer.len)
        if kind != SKIP:
            now += 20 * (1 - ppm / 1e6) if kind != WAIT else 5
            lib.linnet_jitter_set_quiet(buffer.j, state["at"] % 50 == 0)
        if now > 1000:
            deepest, shallowest = max(deepest, buffer.j.buffered), min(shallowest, buffer.j.buffered)
    assert buffer.starved == buffer.lost == buffer.overflow == buffer.rebuffers == 0
    assert deepest <= 48 * 120 and shallowest >= 48 * 20
    moved = buffer.skipped if ppm < 0 else buffer.stretched
    assert abs(moved - minutes * 60 * 50 * 200e-6) <= 3


# --- room ---


def test_payloads_of_any_size_come_back_as_they_were():
    for seed in range(20):
        rng = random.Random(seed)
        buffer, sent, now = Buffer(), {}, 0
        for n in range(300):
            sent[n] = packet(n, 20, 1) + rng.randbytes(rng.choice((5, 40, 80, 300, 1270)))
        order = sorted(sent, key=lambda n: n + rng.uniform(0, 4))
        for n in order:
            buffer.put(now, n, sent[n][:1] + n.to_bytes(4, "big") + sent[n][5:])
            kind, number = buffer.get(now)
            if kind in (PACKET, SKIP, FEC):
                body = bytes(ffi.buffer(buffer.payload[0], buffer.len[0]))
                assert body[5:] == sent[number][5:]
            now += 20 * MS
        assert buffer.played > 200


def test_the_oldest_packets_give_way_when_the_bytes_run_out():
    largest = media_lib.limits()["LINNET_OPUS_PACKET_MAX"]
    fit = media_lib.limits()["LINNET_JITTER_BYTES"] // largest
    assert 2 <= fit < SLOTS
    buffer = Buffer(delay_ms=500)
    for n in range(fit + 2):
        assert buffer.put(0, n, packet(n, 20, largest)) == 1
    assert buffer.overflow == 2 and buffer.j.held == fit
    assert buffer.put(0, 1, packet(1, 20, largest)) == 0 and buffer.overflow + buffer.late == 3
    assert buffer.get(0) == (PACKET, 2)  # as full as it gets: no use in waiting longer


def test_the_largest_frames_play_with_the_delay_that_the_bytes_allow():
    largest = media_lib.limits()["LINNET_OPUS_PACKET_MAX"]
    buffer = Buffer(delay_ms=60)
    heard = run(buffer, [(20 * n, n, packet(n, 20, largest)) for n in range(100)], 2000)
    played = [number for _, kind, number in heard if kind == PACKET]
    assert played == list(range(len(played))) and len(played) > 90
    assert buffer.overflow == buffer.lost == buffer.starved == 0
