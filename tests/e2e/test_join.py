"""Joining: what it takes, step by step, and how soon the first sound of somebody else is heard."""

import asyncio
import statistics
import time

import pytest

from linnet.errors import Refused
from tests.e2e.linnet_peer import LinnetPeer
from tests.e2e.peers import RATE
from tests.e2e.test_audio import tone

JOINS = 8
STEPS = ["start", "dns", "tcp", "tls", "ws", "join", "ice", "dtls", "sctp"]
# Other work on the machine moves single joins by tens of milliseconds; a median of eight by less than this.
MARGIN_S = 0.05


@pytest.mark.asyncio
async def test_every_step_of_a_join_is_in_the_timeline_and_in_order(join, linnet, way):
    ann = await join("ann", on=way.server)
    voice = await ann.publish_audio()
    saying = asyncio.ensure_future(ann.say(voice, tone(600, RATE, 5)))
    badge = await linnet("badge", way=way)
    await badge.wait_until(lambda: {"first_heard", "first_sent"} <= set(dict(badge.room.timeline())), "sound")
    saying.cancel()
    steps = badge.room.timeline()
    print(f"join over {way}: {badge.join_seconds * 1000:.0f} ms;",
          ", ".join(f"{name} {ms:.0f}" for name, ms in steps))
    names = [name for name, _ in steps]
    wanted = [name for name in STEPS if name != "tls" or way.name == "wss"]
    assert [name for name in names if name in STEPS] == wanted
    assert [ms for _, ms in steps] == sorted(ms for _, ms in steps)
    assert badge.join_seconds < 2
    assert badge.room.isconnected() and badge.room.server_version == "1.13.5"
    assert badge.identity in {one["identity"] for one in way.server.api(
        "RoomService/ListParticipants", room=badge.room.name)["participants"]}


async def first_sound(peer, sound_at, started):
    await peer.wait_until(lambda: sound_at() is not None, "first sound", 5)
    return sound_at() - started


@pytest.mark.asyncio
async def test_time_to_the_first_remote_sound_beside_the_wheel(join, linnet, server, room_name):
    """From connect() to the first decoded sound that is no silence. Whatever joins finds a talker in the room."""
    ann = await join("ann", options={"auto_subscribe": False})
    voice = await ann.publish_audio()
    saying = asyncio.ensure_future(ann.say(voice, tone(600, RATE, 120)))
    times = {"linnet, early re-offer": [], "linnet, waiting for the server": [], "wheel": []}
    packets = {True: [], False: []}
    offers = []
    for turn in range(JOINS):
        for early, name in ((True, "linnet, early re-offer"), (False, "linnet, waiting for the server")):
            badge = await linnet(f"badge{turn}{early}", options={"early_reoffer": early})
            times[name].append(
                await first_sound(badge, lambda badge=badge: badge.audio.first_sound_at, badge.joined_from))
            packets[early].append(dict(badge.room.timeline())["first_heard"])
            offers.append((early, badge.offers))
            await badge.close()
        started = time.monotonic()
        wheel = await join(f"wheel{turn}")
        recording = await wheel.wait_for_track(ann.identity)
        times["wheel"].append(await first_sound(wheel, recording.first_sound_at, started))
        await wheel.close()
    saying.cancel()
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"first remote sound, {name}: median {1000 * medians[name]:.0f} ms of {len(values)} joins,"
              f" {1000 * min(values):.0f} to {1000 * max(values):.0f}")
    print(f"first packet of it: early {statistics.median(packets[True]):.0f} ms,"
          f" waiting {statistics.median(packets[False]):.0f} ms; most offers {max(count for _, count in offers)}")
    early, late = medians["linnet, early re-offer"], medians["linnet, waiting for the server"]
    assert early <= late + MARGIN_S
    assert max(count for _, count in offers) <= 3


@pytest.mark.asyncio
async def test_a_track_that_comes_later_is_heard_sooner_with_the_early_re_offer(join, linnet):
    """From the news that there is a track to the place in the session where it is heard, all three in one room."""
    ann = await join("ann", options={"auto_subscribe": False})
    wheel = await join("wheel")
    peers = {"linnet, early re-offer": await linnet("early", options={"early_reoffer": True}),
             "linnet, waiting for the server": await linnet("late", options={"early_reoffer": False}),
             "wheel": wheel}
    times = {name: [] for name in peers}

    def moments(peer, event, sid):
        """When the event about the track was told."""
        return next((at for at, name, arguments in peer.events
                     if name == event and sid in [getattr(one, "sid", "") for one in arguments]), None)

    for _ in range(JOINS):
        voice = await ann.publish_audio()
        saying = asyncio.ensure_future(ann.say(voice, tone(600, RATE, 5)))
        sid = voice.publication.sid
        for name, peer in peers.items():
            await peer.wait_until(lambda peer=peer, sid=sid: moments(peer, "track_subscribed", sid), "the track")
            times[name].append(moments(peer, "track_subscribed", sid) - moments(peer, "track_published", sid))
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
        await ann.unpublish(voice)
        for peer in peers.values():
            await peer.wait_until(lambda peer=peer, sid=sid: moments(peer, "track_unpublished", sid), "its end")
        await asyncio.sleep(0.25)       # the server's own pause before it tidies up
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        offers = f", {peers[name].offers} offers" if name != "wheel" else ""
        print(f"published to subscribed, {name}: median {1000 * medians[name]:.0f} ms of {len(values)},"
              f" {1000 * min(values):.0f} to {1000 * max(values):.0f}{offers}")
    # The server asks 8 to 17 ms after the news; an early offer that does nothing would wait for that, too.
    assert medians["linnet, early re-offer"] < medians["linnet, waiting for the server"] - 0.002
    for name in list(peers)[:2]:
        assert peers[name].offers <= 1 + 3 * JOINS


@pytest.mark.asyncio
async def test_a_crowded_room_causes_no_storm_either_way(join, linnet):
    talkers = [await join(f"talker{i}", options={"auto_subscribe": False}) for i in range(3)]
    for one in talkers:
        await one.publish_audio()
    for early in (True, False):
        badge = await linnet(f"badge{early}", options={"early_reoffer": early, "remote_tracks": 3})
        await badge.wait_for_event("track_subscribed", count=3)
        await asyncio.sleep(0.4)
        print(f"three talkers at once, early_reoffer {early}: {badge.offers} offers")
        assert badge.offers <= 4
        await badge.close()


@pytest.mark.asyncio
async def test_a_second_connect_is_refused_and_harms_nothing(linnet, server, room_name, unique):
    badge = await linnet("badge")
    with pytest.raises(Refused) as refused:
        await badge.room.connect(server.url, server.make_token(unique("again"), room_name))
    assert refused.value.code == "already-connected"
    assert badge.room.isconnected()
    await badge.send(b"still here")


@pytest.mark.asyncio
async def test_a_device_without_sound_joins_for_data_only(join, linnet):
    ann = await join("ann")
    await ann.publish_audio()
    badge = await linnet("badge", has_audio=False)
    await badge.send(b"hello")
    assert (await ann.wait_for_data(1))[0].data == b"hello"
    assert badge.me.track_publications == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("after_ms", [0, 3, 8, 15, 30])
async def test_a_join_can_be_cancelled_at_any_moment(server, room_name, unique, after_ms):
    badge = LinnetPeer()
    before = badge.process.tasks()
    joining = asyncio.ensure_future(badge.join(server.url, server.make_token(unique("badge"), room_name)))
    await asyncio.sleep(after_ms / 1000)
    joining.cancel()
    ended = await asyncio.wait_for(asyncio.gather(joining, return_exceptions=True), 3)
    if isinstance(ended[0], asyncio.CancelledError):
        assert not badge.room.isconnected() and badge.net._sockets == {}
    await badge.room.disconnect()
    await asyncio.sleep(0)
    assert badge.process.tasks() == before
    # And the room object is not spoilt by it.
    await badge.join(server.url, server.make_token(unique("badge"), room_name))
    assert badge.room.isconnected()
    await badge.close()
