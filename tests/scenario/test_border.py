"""The native border itself: wrong calls get an error and change nothing, the clock wraps, wiped memory is zero."""

import struct

import host_sim.native as native
import pytest
from host_sim.netem import Link

from tests.scenario.call import MASK, Call, core, tone

SEED = bytes(range(48))


def session(**options):
    return core.Session(SEED, **options)


@pytest.mark.parametrize(
    "options",
    [{"rate": 7999}, {"rate": 96000}, {"remote_tracks": 9}, {"frame_ms": 7}, {"max_message": 262145},
     {"complexity": 11}, {"expected_loss": 101}],
    ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items()),
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(core.CoreError) as refused:
        session(**options)
    assert refused.value.code == core.ERR_ARG


def test_an_unknown_option_is_named():
    with pytest.raises(ValueError, match="colour"):
        session(colour=1)


def test_too_little_memory_or_entropy_is_refused():
    cfg = core.config()
    size = native.session_size(cfg)
    assert native.session_init(bytearray(size - 64), cfg, SEED) == core.ERR_SPACE
    assert native.session_init(bytearray(size), cfg, SEED[:31]) == core.ERR_ARG
    assert native.session_size(cfg + b"x") == core.ERR_ARG
    assert native.session_size(cfg + bytes(4)) == core.ERR_ARG


@pytest.mark.parametrize("kind", range(-1, 20))
@pytest.mark.parametrize("length", [0, 1, 3, 19, 40])
def test_a_record_too_short_or_of_no_kind_is_an_error_not_a_crash(kind, length):
    s = session()
    result = s.input(1000, kind, bytes(length))
    simple = (core.IN_TIME, core.IN_ICE_RESTART, core.IN_CLOSE)
    fits = {core.IN_MUTE: 1, core.IN_HOLD: 1, core.IN_VOLUME: 2, core.IN_CHANNEL: 7, core.IN_PUBLISH: 9,
            core.IN_TRACK: 8}
    if kind in simple or kind in fits and length >= fits[kind]:
        assert result >= 0 or result == core.ERR_LIMIT
    else:
        assert result < 0
    while s.poll() != core.IDLE:
        pass


def test_a_poll_buffer_too_small_loses_nothing():
    s = session()
    assert native.poll(s._s, bytearray(64)) == core.ERR_SPACE
    assert s.poll() == core.LOCAL


def test_a_track_slot_beyond_the_configured_ones_is_refused():
    s = session(remote_tracks=2)
    assert s.input(0, core.IN_TRACK, struct.pack("<BBHI", 2, 111, 0, 5)) == core.ERR_ARG
    assert s.input(0, core.IN_TRACK, struct.pack("<BBHI", 1, 111, 0, 5)) == 0


def test_nothing_is_taken_after_close():
    s = session()
    assert s.close(10) == 0
    while s.poll() != core.IDLE:
        pass
    assert s.input(20, core.IN_TIME) == core.ERR_CLOSED


def test_the_last_counters_stay_readable_after_close_and_not_after_wipe():
    call = Call(5)
    call.connect()
    call.start_sound()
    call.run_for(2000)
    before = call.left.session.stats()
    assert call.left.session.close(call.ticks()) == 0
    call.drain(call.left)
    after, track = call.left.session.stats(), call.left.session.track_stats(0)
    assert after["rtp_received"] == before["rtp_received"] > 50 and after["datagrams_sent"] > before["datagrams_sent"]
    assert track["packets_received"] == before["rtp_received"]
    handle = call.left.session._s
    native.session_wipe(handle)
    assert native.stats(handle, -1, bytearray(512)) == core.ERR_ARG


def test_every_call_on_a_wiped_session_has_an_answer():
    call = Call(8)
    call.connect()
    call.start_sound()
    call.run_for(200)
    s = call.left.session._s
    native.session_wipe(s)
    assert native.input(s, 1, core.IN_TIME, b"") == core.ERR_CLOSED
    assert native.pcm_push(s, bytes(640)) == native.pcm_pull(s, bytearray(640)) == core.ERR_CLOSED
    assert native.stats(s, -1, bytearray(512)) == native.stats(s, 0, bytearray(512)) == core.ERR_ARG
    assert native.poll(s, bytearray(native.poll_size(s))) == core.IDLE
    native.session_wipe(s)
    assert native.pcm_push(s, b"") == core.ERR_CLOSED


def test_a_channel_is_sendable_again_only_when_the_refused_message_fits():
    call = Call(6, left_options={"max_message": 16384, "send_buffer": 20000})
    call.connect(largest={"left": 16384})
    call.run_until(lambda: call.left.is_open("_reliable") and call.right.is_open("_reliable"), 3000)
    handle, session = call.left.channels["_reliable"][0], call.left.session

    def told():
        return sum(kind == core.SENDABLE for _, kind, _ in call.left.events)

    for times, size in enumerate((9000, 16384)):
        assert session.send_data(call.ticks(), handle, bytes(9000)) == 0
        if size == 9000:
            assert session.send_data(call.ticks(), handle, bytes(9000)) == 0
        assert session.send_data(call.ticks(), handle, bytes(size)) == core.ERR_AGAIN
        call.drain(call.left)
        assert told() == times
        call.run_until(lambda: session.stats()["sctp_buffered"] == 0, 3000)
        assert told() == times + 1
        assert session.send_data(call.ticks(), handle, bytes(size)) == 0
        call.drain(call.left)
        call.run_for(1000)
    assert session.send_data(call.ticks(), handle, bytes(16385)) == core.ERR_LIMIT
    assert sum(len(data) for _, _, data in call.right.received) == 9000 + 9000 + 9000 + 9000 + 16384


@pytest.mark.parametrize(("told", "send_buffer", "largest"), [
    (0, 100000, 65536), (65536, 100000, 65536), (65535, 100000, 65535), (100, 100000, 100),
    (200000, 100000, None), (0xFFFFFFFF, 100000, None), (0xFFFFFFFF, 5000, None), (3000, 5000, 3000), (0, 0, 4096),
])
def test_what_may_be_sent_is_what_the_peer_takes_and_the_send_buffer_holds(told, send_buffer, largest):
    """What we take ourselves, here 4096 bytes, is no part of it."""
    call = Call(8, left_options={"max_message": 4096, "send_buffer": send_buffer},
                right_options={"max_message": 200000, "recv_buffer": 400000})
    call.connect(largest={"left": told})
    call.run_until(lambda: call.left.is_open("_reliable") and call.right.is_open("_reliable"), 3000)
    handle, session = call.left.channels["_reliable"][0], call.left.session
    if largest is None:  # the send buffer, less what its records take
        largest = send_buffer
        while session.send_data(call.ticks(), handle, bytes(largest)) == core.ERR_LIMIT:
            largest -= 1
        assert largest > send_buffer * 0.9
    else:
        if send_buffer:
            assert session.send_data(call.ticks(), handle, bytes(largest + 1)) == core.ERR_LIMIT
        assert session.send_data(call.ticks(), handle, bytes(largest)) == 0
    call.drain(call.left)
    call.run_until(lambda: call.right.received, 5000)
    assert [len(data) for _, _, data in call.right.received] == [largest]


def test_a_later_description_may_say_another_limit():
    call = Call(9)
    call.connect(largest={"left": 100})
    call.run_until(lambda: call.left.is_open("_reliable"), 3000)
    handle, session = call.left.channels["_reliable"][0], call.left.session
    assert session.send_data(call.ticks(), handle, bytes(101)) == core.ERR_LIMIT
    fingerprint, ufrag, pwd = call.right.local
    session.set_remote(call.ticks(), ufrag, pwd, fingerprint, False, True, max_message=101)
    assert session.send_data(call.ticks(), handle, bytes(101)) == 0
    assert session.send_data(call.ticks(), handle, bytes(102)) == core.ERR_LIMIT


def test_a_remote_description_without_a_limit_is_whole_and_with_half_of_one_is_not():
    record = bytes(4) + bytes(32) + b"\x04ufrg" + b"\x16" + b"p" * 22
    for tail, result in ((b"", 0), (bytes(4), 0), (bytes(1), core.ERR_ARG), (bytes(3), core.ERR_ARG)):
        assert session().input(1000, core.IN_REMOTE, record + tail) == result


def test_wiped_memory_holds_no_key():
    s = session()
    assert s.poll() == core.LOCAL
    fingerprint, _, pwd = s.event(core.LOCAL)
    assert pwd.encode() in bytes(s._mem) and fingerprint in bytes(s._mem)
    memory = s._mem
    s.wipe()
    assert sum(1 for b in memory if b) <= 1  # the flag that says so


def test_two_sessions_of_one_seed_are_equal_and_of_two_seeds_are_not():
    locals_ = []
    for seed in (SEED, SEED, bytes(48)):
        s = core.Session(seed)
        s.poll()
        locals_.append(s.event(core.LOCAL))
    assert locals_[0] == locals_[1] != locals_[2]


@pytest.mark.parametrize("before_us", [100, 300000, 2000000])
def test_a_call_goes_through_the_wrap_of_the_clock(before_us):
    call = Call(3, (Link(1, delay_us=20000), Link(2, delay_us=20000)), {"complexity": 0}, {"complexity": 0})
    call.now = MASK + 1 - before_us
    call._next_frame = call.now + 20000
    for end in (call.left, call.right):
        call.drain(end)
    call.connect()
    call.start_sound()
    both = (call.left, call.right)
    call.run_until(lambda: all(e.is_connected and e.is_open("_reliable") for e in both), 5000, "the data channel")
    call.run_for(4000)
    assert call.now > MASK + 1
    assert call.right.sounding_frames > 150
    call.send(call.left, "_reliable", b"after")
    call.run_until(lambda: call.right.received, 2000, "a message after the wrap")


def test_the_speaker_always_gets_what_it_asks_for():
    s = session()
    for samples in (1, 160, 319, 320, 2000):
        pcm = bytearray(b"\x55" * (2 * samples))
        assert s.pcm_pull(pcm) == 0
        assert pcm == bytes(2 * samples)


def test_the_level_of_the_microphone_holds_while_a_frame_is_filled():
    """A driver that hands over 10 ms at a time asks for it between two frames as well."""
    session = core.Session(bytes(range(48)), rate=16000)
    sound = tone(440, 16000, 10)
    levels = []
    for at in range(0, len(sound), 320):
        session.pcm_push(sound[at : at + 320])
        levels.append(session.stats()["microphone_level"])
    assert levels[0] == 127 and all(5 <= level <= 25 for level in levels[1:]), levels


def test_muted_nothing_leaves_and_the_samples_are_counted():
    call = Call(5, None, {"complexity": 0}, {"complexity": 0})
    call.connect()
    call.start_sound()
    call.run_until(lambda: call.right.sounding_frames > 20, 5000, "sound")
    call.left.session.mute(call.ticks(), True)
    sent = call.left.session.stats()["rtp_sent"]
    call.run_for(1000)
    stats = call.left.session.stats()
    assert stats["rtp_sent"] == sent
    assert stats["microphone_samples"] >= 16000
    call.left.session.mute(call.ticks(), False)
    call.right.sounding_frames = 0
    call.run_for(1000)
    assert call.left.session.stats()["rtp_sent"] >= sent + 49
    assert call.right.sounding_frames >= 40
