"""A call whose every datagram also arrives truncated, with a flipped bit, from a stranger, or five times."""

import random

import pytest

from host_sim.netem import Link

from .call import Call, core, power_at, sounding_at

STRANGER = core.addr(bytes((10, 6, 6, 6)), 666)
OPTIONS = {"rate": 8000, "complexity": 0}
MESSAGES = [b"short", bytes(range(256)) * 9, b"the last"]
ACCEPTED = ("rtp_received", "rtcp_received", "data_received")


def is_stun(payload):
    return payload[:1] < b"\4"


def is_dtls(payload):
    return 20 <= payload[0] <= 63


def flipped(payload, bit):
    altered = bytearray(payload)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


def truncations(payload):
    return [payload[:n] for n in range(len(payload))]


class TappedCall(Call):
    """A call that hands each datagram, before it arrives, to `extra(receiver, payload)`."""

    def __init__(self, seed, extra, **options):
        links = (Link(seed, delay_us=20000), Link(seed + 1, delay_us=20000))  # an extra overtakes its original
        super().__init__(seed, links, dict(OPTIONS, **options), dict(OPTIONS, **options))
        self.extra = extra
        self.flown = []
        self.is_tapped = True
        self.on_datagram = self.note

    def note(self, sender, payload):
        if self.is_tapped:
            self.flown.append((self.other(sender), payload))
        return payload

    def step(self):
        super().step()
        flown, self.flown = self.flown, []
        self.is_tapped = False
        for receiver, payload in flown:
            self.extra(receiver, payload)
        self.is_tapped = True

    def feed(self, receiver, payload, source=None):
        source = core.addr(*self.other(receiver).address) if source is None else source
        receiver.session.input(self.ticks(), core.IN_DATAGRAM, bytes(source) + payload)
        self.drain(receiver)

    def meet(self, limit_ms=20000):
        self.connect()
        self.start_sound()
        ends = (self.left, self.right)
        self.run_until(lambda: all(e.is_connected and e.is_open("_reliable") for e in ends), limit_ms, "a connection")

    def talk(self):
        """Sound and messages both ways; what arrives is what was said."""
        for end in (self.left, self.right):
            for message in MESSAGES:
                self.send(end, "_reliable", message)
        ends = (self.left, self.right)
        self.run_until(lambda: all(len(e.received) >= len(MESSAGES) for e in ends), 20000, "all messages")
        for end in ends:
            end.keep_sound = True
        self.run_for(1000)
        for end, frequency in ((self.left, 1000), (self.right, 440)):
            assert [data for _, _, data in end.received] == MESSAGES
            assert power_at(frequency, end.rate, bytes(end.heard)) > 0.8
            assert sounding_at(frequency, end.rate, bytes(end.heard)) > 0.95
            assert not end.failures
            assert end.states == [core.CONNECTED] * 3


def drops(stats):
    return sum(count for name, count in stats.items() if name.startswith("dropped_"))


def assert_refused(call, receiver, payload, source=None):
    """`payload` is counted, and nothing behind authentication has seen it."""
    before, track = receiver.session.stats(), receiver.session.track_stats(0)
    call.feed(receiver, payload, source)
    after = receiver.session.stats()
    assert drops(after) > drops(before), payload[:16].hex()
    assert {name: after[name] for name in ACCEPTED} == {name: before[name] for name in ACCEPTED}
    assert receiver.session.track_stats(0)["packets_received"] == track["packets_received"]


@pytest.mark.parametrize("flags", [0, core.PREFER_GCM], ids=["cm_sha1", "gcm"])
def test_spoilt_copies_of_every_datagram_of_a_call_are_counted_and_change_nothing(flags):
    rng = random.Random(flags)
    fed = 0

    def spoil(receiver, payload):
        nonlocal fed
        cuts = truncations(payload) if len(payload) < 200 else rng.sample(truncations(payload), 60) + [payload[:-1]]
        bits = rng.sample(range(8 * len(payload)), 40)
        copies = cuts + ([] if is_stun(payload) else [flipped(payload, bit) for bit in bits])
        for copy in copies:
            assert_refused(call, receiver, copy)
        if is_stun(payload):  # what stands behind MESSAGE-INTEGRITY may change without harm (RFC 8489 14.5)
            for bit in bits:
                call.feed(receiver, flipped(payload, bit))
        fed += len(copies) + (len(bits) if is_stun(payload) else 0)

    call = TappedCall(3 + flags, lambda receiver, payload: None, flags=flags)
    call.meet()
    call.extra = spoil
    call.talk()
    assert fed > 10000


def test_what_a_stranger_sends_is_counted_and_changes_nothing_from_the_first_datagram_on():
    rng = random.Random(5)
    fed = 0

    def spoil(receiver, payload):
        nonlocal fed
        copies = rng.sample(truncations(payload), 20) + ([] if is_stun(payload) else [payload])
        copies += [flipped(payload, bit) for bit in rng.sample(range(8 * (len(payload) - 8)), 30)]
        for copy in copies:
            assert_refused(call, receiver, copy, STRANGER)
        fed += len(copies)

    call = TappedCall(5, spoil)
    call.meet()
    call.talk()
    assert fed > 5000


def handshake_datagrams(seed):
    """How many DTLS datagrams a handshake has, both ways."""
    count = []
    TappedCall(seed, lambda receiver, payload: count.append(1) if is_dtls(payload) else None).meet()
    return len(count)


def call_with_a_flip(rng, victim):
    """A call after 3 s, before whose DTLS datagram number `victim` came one like it with a flipped bit."""
    seen = 0

    def spoil(receiver, payload):
        nonlocal seen
        if is_dtls(payload):
            if seen == victim:
                call.feed(receiver, flipped(payload, rng.randrange(8 * len(payload))))
            seen += 1

    call = TappedCall(9, spoil)
    call.connect()
    call.start_sound()
    call.run_for(3000)
    return call


def test_a_flipped_bit_in_the_handshake_is_survived_or_told():
    """DTLS cannot know a forged flight from a true one, so the handshake may fail: then both the state and the
    reason are told, and no keys are in use."""
    rng = random.Random(9)
    total = handshake_datagrams(9)
    survived = failed = 0
    for round_number in range(24):
        call = call_with_a_flip(rng, round_number % total)
        ends = (call.left, call.right)
        if all(end.is_connected for end in ends):
            survived += 1
            call.talk()
        else:
            failed += 1
            assert any(layer == core.DTLS and detail < 0 for end in ends for layer, detail in end.failures)
            assert not any(end.is_connected for end in ends)
            assert not any(end.received or end.session.stats()["rtp_received"] for end in ends)
    assert survived
    print(f"\n{survived} handshakes survived their flipped bit, {failed} failed and told so")


def test_truncated_copies_of_the_handshake_do_not_stop_it():
    rng = random.Random(13)

    def spoil(receiver, payload):
        for copy in rng.sample(truncations(payload), min(len(payload), 60)):
            call.feed(receiver, copy)

    call = TappedCall(13, spoil)
    call.meet()
    call.extra = lambda receiver, payload: None
    call.talk()


def test_each_datagram_delivered_five_times_counts_once():
    repeated = {"left": 0, "right": 0}

    def repeat(receiver, payload):
        for _ in range(4):
            call.feed(receiver, payload)
        repeated[receiver.name] += 128 <= payload[0] <= 191

    call = TappedCall(17, repeat)
    call.meet()
    call.talk()
    call.run_for(100)
    for end in (call.left, call.right):
        stats = end.session.stats()
        assert repeated[end.name] > 50
        assert stats["dropped_srtp_replay"] >= 4 * (repeated[end.name] - 2)  # the last ones are on their way
        sent = call.other(end).session.stats()
        assert stats["rtp_received"] + stats["rtcp_received"] <= sent["rtp_sent"] + sent["rtcp_sent"]
        assert end.session.track_stats(0)["packets_duplicate"] == 0
        assert stats["dropped_srtp_auth"] == 0
