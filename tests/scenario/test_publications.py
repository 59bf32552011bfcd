"""Publishing, stopping and publishing again in one call: each publication is a new SSRC under the same SRTP keys."""

import struct

import pytest
from internals import limits

from tests.scenario.call import Call, core

PUBLICATIONS = limits()["LINNET_TRACKS_MAX"] + 4  # two more than SRTP has places for
FIRST = 0xFFFFFFF0  # so that they pass 2^32
OURS = 0x1111  # of start_sound()


def in_call(**options):
    call = Call(21, left_options=options)
    call.connect()
    call.run_until(lambda: call.left.is_connected and call.right.is_connected, 3000)
    call.start_sound()
    call.run_for(500)
    return call


def publish(call, ssrc):
    call.left.session.publish(call.ticks(), ssrc, 111, 1, 2, "0")
    call.right.session.set_track(call.ticks(), 0, ssrc, 111)
    call.drain(call.left)


def stop(call):
    call.left.session.unpublish(call.ticks())
    call.drain(call.left)


def rtp_of(call):
    """Every (SSRC, sequence number) that leaves the left side from here on."""
    found = []

    def tap(end, payload):
        if end is call.left and 128 <= payload[0] <= 191 and not 192 <= payload[1] <= 223:
            found.append((struct.unpack_from("!I", payload, 8)[0], struct.unpack_from("!H", payload, 2)[0]))
        return payload

    call.on_datagram = tap
    return found


def byes(call):
    return [fields[0] for _, kind, fields in call.right.events if kind == core.BYE]


@pytest.mark.parametrize("flags", [0, 8], ids=["AES-CM", "GCM"])
@pytest.mark.parametrize("with_stop", [True, False], ids=["stopped", "replaced"])
def test_any_number_of_publications_is_heard(with_stop, flags):
    call = in_call(flags=flags)
    for turn in range(PUBLICATIONS):
        if with_stop:
            stop(call)
            call.run_for(100)
        publish(call, (FIRST + 3 * turn) & 0xFFFFFFFF or 1)
        sent, heard = call.left.session.stats(), call.right.session.stats()
        sounding = call.right.sounding_frames
        call.run_for(3500)
        for name, before, end in (("rtp_sent", sent, call.left), ("rtcp_sent", sent, call.left),
                                  ("rtp_received", heard, call.right), ("rtcp_received", heard, call.right)):
            least = 1 if "rtcp" in name else 165
            assert end.session.stats()[name] - before[name] >= least, (turn, name)
        assert call.right.sounding_frames - sounding > 150, turn
    for end in (call.left, call.right):
        assert not end.failures and end.is_connected
        stats = end.session.stats()
        dropped = {name: stats[name] for name in stats if name.startswith(("dropped_rt", "dropped_srtp"))}
        assert dropped.pop("dropped_rtp_unmapped") < PUBLICATIONS and set(dropped.values()) == {0}, dropped


def test_a_source_that_is_replaced_says_bye():
    call = in_call()
    call.left.session.publish(call.ticks(), OURS + 1, 111, 1, 2, "0")
    call.drain(call.left)
    call.run_for(100)
    assert byes(call) == [OURS]
    stop(call)
    call.run_for(100)
    assert byes(call) == [OURS], "it may go on"


def test_a_source_that_stopped_goes_on_where_it_was():
    call = in_call()
    packets = rtp_of(call)
    for _ in range(5):
        stop(call)
        call.run_for(100)
        publish(call, OURS)
        call.run_for(500)
    assert len(packets) > 100 and {ssrc for ssrc, _ in packets} == {OURS}
    assert len(set(packets)) == len(packets), "no packet index is used twice"
    assert call.left.session.stats()["dropped_rtp"] == 0
    assert call.right.session.stats()["dropped_srtp_auth"] == 0


def test_a_source_never_comes_back_after_another():
    """Its packet index is forgotten: a second packet of the same index would show both (RFC 3711 9.1)."""
    call = in_call()
    packets = rtp_of(call)
    publish(call, OURS + 100)
    call.run_for(300)
    for spent in (OURS, OURS + 1, OURS + 99):
        with pytest.raises(core.CoreError) as refused:
            publish(call, spent)
        assert refused.value.code == core.ERR_ARG
    call.run_for(300)
    stop(call)
    with pytest.raises(core.CoreError):
        publish(call, OURS)
    publish(call, OURS - 1)  # the last that there is
    call.run_for(300)
    with pytest.raises(core.CoreError):
        publish(call, OURS + 101)
    assert {ssrc for ssrc, _ in packets} == {OURS + 100, OURS - 1}


def test_sources_change_while_nothing_can_leave():
    call = in_call()
    before = call.left.session.stats()["rtp_sent"]
    for link in call.links:
        link.outages.append((call.now, call.now + 15_000_000))
    call.run_until(lambda: call.left.states[core.ICE] == core.DISCONNECTED, 14000)
    for turn in range(PUBLICATIONS):
        publish(call, OURS + 1 + turn)
        call.run_for(200)
    call.run_until(lambda: call.left.states[core.ICE] == core.CONNECTED, 30000)
    call.run_for(2000)
    assert call.left.session.stats()["rtp_sent"] > before + 90
    assert call.left.session.stats()["dropped_rtp"] == 0
