"""Join counted in round trips: virtual time, zero CPU, token in hand, name resolved."""

import asyncio

import pytest
from host_sim.dev_token import make_token
from linnet.options import RoomOptions
from linnet.port import Port
from linnet.room import Room
from linnet.track import LocalAudioTrack

from tests.scenario import virtual_time
from tests.scenario.virtual_room import ToneAudio, VirtualNet, VirtualRoom

RTT = 0.1


async def join(scheme, rtt=RTT):
    """(timeline in round trips, seconds from connect to the first sound in the speaker)."""
    loop = asyncio.get_running_loop()
    server = VirtualRoom(rtt)
    audio = ToneAudio(loop)
    clock = virtual_time.VirtualClock(loop)
    token = make_token("badge", "r", api_key="k", api_secret="s" * 32, now_s=clock.unix_time())
    room = Room(Port(VirtualNet(server), clock, audio))
    start = loop.time()
    try:
        await room.connect(f"{scheme}://server.test", token, RoomOptions(tracks=(LocalAudioTrack("mic"),)))
        connected = (loop.time() - start) / rtt
        while audio.heard_at is None or "sctp" not in dict(room.timeline()):
            await asyncio.sleep(0.005)
        steps = {name: ms / 1000 / rtt for name, ms in room.timeline()}
        steps["connected"] = connected
        return steps, (audio.heard_at - start) / rtt
    finally:
        await room.disconnect()
        server.close()


@pytest.mark.parametrize("scheme, limit", [("ws", 5.0), ("wss", 6.0)])
def test_first_media_leaves_within_the_promised_round_trips(scheme, limit):
    steps, heard = virtual_time.run(join(scheme))
    print(f"\n{scheme}: " + ", ".join(f"{name} {r:.2f}" for name, r in steps.items()) + f", first sound {heard:.2f} R")
    assert steps["first_sent"] <= limit + 0.01
    assert steps["join"] == pytest.approx(limit - 3, abs=0.01)


def test_the_first_remote_sound_comes_one_round_trip_and_the_playout_delay_later():
    steps, heard = virtual_time.run(join("ws", rtt=1.0))
    # The server may send once our last flight has reached it (5.5 R): its sound is here at 6 R. On top come at most
    # 60 ms of playout delay, two frames and the speaker's ring.
    assert steps["first_heard"] <= 6.0 + 0.02
    assert heard <= 6.0 + 0.16


def test_the_association_is_up_two_round_trips_after_the_handshake():
    steps, _ = virtual_time.run(join("ws"))
    assert steps["sctp"] - steps["dtls"] <= 2.0 + 0.05


@pytest.mark.parametrize("scheme, media", [("ws", 5.0), ("wss", 6.0)])
def test_a_join_is_over_two_round_trips_after_the_first_media_left(scheme, media):
    """connect() waits for the data channels and sound does not wait for connect(). The channels are asked for in the
    flight that completes the association, so that they open with it."""
    steps, _ = virtual_time.run(join(scheme))
    print(f"\n{scheme}: first media {steps['first_sent']:.2f} R, connect() returns {steps['connected']:.2f} R")
    assert steps["first_sent"] <= media + 0.01
    assert steps["connected"] == pytest.approx(steps["sctp"], abs=0.01)
    assert steps["connected"] == pytest.approx(media + 2, abs=0.05)
