"""An application that has no room for messages holds them back: they wait at the sender, everything else goes on."""

from host_sim.netem import Link

from tests.scenario.call import Call, core


def connected_call(seed=1, **right_options):
    call = Call(seed, (Link(1, delay_us=20000), Link(2, delay_us=20000)), {"complexity": 0},
                {"complexity": 0, **right_options})
    call.connect()
    both = (call.left, call.right)
    call.run_until(lambda: all(e.is_connected and e.is_open("_reliable") for e in both), 5000, "the data channel")
    return call


def hold(call, held):
    assert call.right.session.input(call.ticks(), core.IN_HOLD, bytes((held,))) == 0
    call.drain(call.right)


def test_nothing_reliable_is_lost_while_it_is_held_and_the_sender_is_stopped():
    call = connected_call(recv_buffer=20000, max_message=16000)
    call.start_sound()
    call.run_for(1000)
    concealed = call.right.session.track_stats(0)["frames_concealed"]
    hold(call, 1)
    handle = call.left.channels["_reliable"][0]
    messages = [bytes([i]) * 10000 for i in range(40)]
    waiting = list(messages)
    for _ in range(30):
        while waiting and call.left.session.send_data(call.ticks(), handle, waiting[0]) == 0:
            waiting.pop(0)
        call.run_for(100)
    assert call.right.received == [] and len(waiting) > 20  # its own buffer is 128 KiB
    assert call.right.session.track_stats(0)["frames_concealed"] == concealed
    hold(call, 0)

    def all_there():
        while waiting and call.left.session.send_data(call.ticks(), handle, waiting[0]) == 0:
            waiting.pop(0)
        call.drain(call.left)
        return len(call.right.received) == len(messages)

    call.run_until(all_there, 20000, "every message")
    assert [data for _, _, data in call.right.received] == messages


def test_states_and_our_own_messages_pass_while_others_are_held():
    call = connected_call()
    hold(call, 1)
    call.send(call.right, "_reliable", b"from the one that holds")
    call.run_until(lambda: call.left.received, 2000, "the message")
    call.right.session.ice_restart(call.ticks())
    call.drain(call.right)
    assert [kind for _, kind, _ in call.right.events].count(core.LOCAL) == 2


def test_a_hold_longer_than_the_peers_patience_does_not_end_the_association():
    """RFC 9260 6.1: a peer whose window is closed is probed for as long as it answers."""
    call = connected_call(recv_buffer=20000, max_message=16000)
    hold(call, 1)
    handle = call.left.channels["_reliable"][0]
    for i in range(6):
        assert call.left.session.send_data(call.ticks(), handle, bytes([i]) * 10000) == 0
    call.drain(call.left)
    call.run_for(120000)
    assert call.left.states[core.SCTP] == call.right.states[core.SCTP] == core.CONNECTED
    hold(call, 0)
    call.run_until(lambda: len(call.right.received) == 6, 30000, "every message")
