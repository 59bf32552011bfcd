"""A path that goes and comes back: nothing is lost that was promised, and nothing waits longer than it must."""

from host_sim.netem import Link

from tests.scenario.call import Call, core


def connected_call(seed=1):
    call = Call(seed, (Link(1, delay_us=20000), Link(2, delay_us=20000)), {"complexity": 0}, {"complexity": 0})
    call.connect()
    both = (call.left, call.right)
    call.run_until(lambda: all(e.is_connected and e.is_open("_reliable") for e in both), 5000, "the data channel")
    return call


def cut(call, seconds):
    """Nothing passes for this long, from now on."""
    for link in call.links:
        link.outages.append((call.now, call.now + int(seconds * 1e6)))


def test_a_message_sent_into_a_twelve_second_outage_arrives_soon_after_it():
    call = connected_call()
    cut(call, 12)
    call.send(call.left, "_reliable", b"through the dark")
    call.run_for(11000)
    assert call.left.states[core.ICE] == core.DISCONNECTED
    call.run_for(1000)
    took = call.run_until(lambda: call.right.received, 5000, "the message")
    assert call.right.received == [("_reliable", False, b"through the dark")]
    # The next consent check (at most 6 s apart by RFC 7675 5.1) finds the path, or SCTP's own timer does.
    assert took <= 2000
    call.run_until(lambda: call.left.states[core.ICE] == core.CONNECTED, 8000, "ICE connected again")


def test_consent_expires_after_thirty_seconds_and_nothing_is_sent_any_more():
    call = connected_call()
    call.start_sound()
    call.run_for(1000)
    cut(call, 60)
    call.run_for(32000)
    assert call.left.states[core.ICE] == core.FAILED
    sent = call.left.session.stats()["rtp_sent"]
    call.run_for(2000)
    assert call.left.session.stats()["rtp_sent"] == sent


def test_sound_goes_on_by_itself_after_an_outage_of_five_seconds():
    call = connected_call()
    call.start_sound()
    call.run_for(2000)
    cut(call, 5)
    call.run_for(5000)
    call.right.sounding_frames = 0
    call.run_for(1000)
    assert call.right.sounding_frames >= 40


def test_an_ice_restart_keeps_the_call_and_gets_new_credentials():
    call = connected_call()
    call.start_sound()
    call.run_for(1000)
    old = call.left.local[1]
    for end in (call.left, call.right):
        end.session.ice_restart(call.ticks())
        call.drain(end)
    assert call.left.local[1] != old
    for end in (call.left, call.right):
        fingerprint, ufrag, pwd = call.other(end).local
        is_left = end is call.left
        end.session.set_remote(call.ticks(), ufrag, pwd, fingerprint, dtls_server=not is_left, controlling=is_left)
        end.session.add_remote_candidate(call.ticks(), *call.other(end).address, 2130706431, 0)
        call.drain(end)
    call.right.sounding_frames = 0
    call.run_for(2000)
    assert call.right.sounding_frames >= 90
    call.send(call.left, "_reliable", b"after the restart")
    call.run_until(lambda: call.right.received, 2000, "a message after the restart")
    assert [e.states[core.ICE] for e in (call.left, call.right)] == [core.CONNECTED] * 2


def test_closing_tells_the_peer_in_order_and_then_says_nothing():
    call = connected_call()
    call.start_sound()
    call.run_for(500)
    call.left.session.close(call.ticks())
    call.drain(call.left)
    assert call.left.states == [core.CLOSED] * 3 or call.left.states[core.ICE] == core.CLOSED
    call.sound = False
    call.run_for(500)
    assert call.right.states[core.SCTP] != core.CONNECTED
    assert call.right.states[core.DTLS] == core.CLOSED  # by close_notify
    assert any(kind == core.BYE for _, kind, _ in call.right.events)
    before = call.datagrams
    call.left.session.input(call.ticks(), core.IN_TIME)
    call.drain(call.left)
    assert call.datagrams == before
