"""Tracks come, go, fall silent and speak again: ours as others see them, and those of others as we see them."""

import asyncio
import time

import numpy as np
import pytest
from livekit import rtc

from linnet.errors import Refused
from tests import audio_quality as quality
from tests.e2e.linnet_peer import LinnetPeer, LocalAudioTrack
from tests.e2e.lying_server import LyingProxy
from tests.e2e.peers import RATE
from tests.e2e.test_audio import level_at, tone

TURNS = 12  # of publishing and stopping in one call: more than SRTP has places for


def rtp_sent(badge):
    return badge.room.stats()["rtp_sent"]


async def hears_tone(peer, recording, hertz, seconds=0.6):
    """Waits until the newest `seconds` of a wheel's recording are that tone, whole."""
    def found():
        newest = np.concatenate(recording.frames[-int(seconds * 100):]) if recording.frames else np.zeros(1)
        return len(newest) >= seconds * RATE * 0.9 and level_at(quality.to_float(newest), RATE, hertz) > -25
    await peer.wait_until(found, f"{hertz} Hz")


async def plays_tone(badge, hertz, seconds=0.5, timeout_s=8):
    """Waits until the newest `seconds` of our speaker are that tone."""
    rate = badge.audio.rate
    await badge.wait_until(
        lambda: len(badge.audio.played) > 2 * seconds * rate
        and level_at(badge.audio.samples[-int(seconds * rate):], rate, hertz) > -25, f"{hertz} Hz", timeout_s)


# --- our own track ---


@pytest.mark.asyncio
async def test_mute_stops_the_packets_and_tells_the_room(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")
    recording = await ann.wait_for_track(badge.identity)
    badge.audio.queue(tone(600, 16000, 60))
    await hears_tone(ann, recording, 600)

    badge.track.mute()
    at_mute = rtp_sent(badge)
    muted = await ann.wait_for_event("track_muted")
    assert (muted[0].identity, muted[1].sid, muted[1].muted) == (badge.identity, badge.track.sid, True)
    await asyncio.sleep(0.5)
    assert rtp_sent(badge) == at_mute
    quiet = recording.since(time.monotonic() - 0.3)
    assert len(quiet) == 0 or quality.level_dbfs(quiet) < -60

    badge.track.unmute()
    await ann.wait_for_event("track_unmuted")
    await hears_tone(ann, recording, 600)
    await badge.wait_until(lambda: rtp_sent(badge) > at_mute + 20, "packets")
    own = [args for _, name, args in badge.events if name in ("track_muted", "track_unmuted")]
    assert badge.names("track_muted", "track_unmuted") == ["track_muted", "track_unmuted"]
    assert all(args == (badge.me, badge.me.track_publications[badge.track.sid]) for args in own)


@pytest.mark.asyncio
async def test_what_is_said_while_muted_is_never_heard(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")
    recording = await ann.wait_for_track(badge.identity)
    badge.track.mute()
    await badge.say(tone(900, 16000, 0.6), 16000)
    badge.track.unmute()
    badge.audio.queue(tone(600, 16000, 60))
    await hears_tone(ann, recording, 600)
    heard = recording.samples
    steps = [level_at(heard[at:at + RATE // 5], RATE, 900) for at in range(0, len(heard) - RATE // 5, RATE // 10)]
    assert max(steps) < -50


@pytest.mark.asyncio
async def test_the_server_can_mute_us(join, linnet, server, room_name):
    ann, badge = await join("ann"), await linnet("badge")
    await ann.wait_for_track(badge.identity)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, lambda: server.api(
        "RoomService/MutePublishedTrack", room=room_name, identity=badge.identity, trackSid=badge.track.sid,
        muted=True))
    participant, publication = await badge.wait_for_event("track_muted")
    assert participant is badge.me and publication.sid == badge.track.sid
    assert badge.track.muted and publication.muted
    at_mute = rtp_sent(badge)
    await asyncio.sleep(0.3)
    assert rtp_sent(badge) == at_mute
    await ann.wait_for_event("track_muted")
    badge.track.unmute()
    await ann.wait_for_event("track_unmuted")
    await badge.wait_until(lambda: rtp_sent(badge) > at_mute + 10, "packets")


@pytest.mark.asyncio
async def test_a_track_may_be_published_muted(join, linnet):
    ann = await join("ann")
    badge = await linnet("badge", options={"microphone": False})
    track = LocalAudioTrack("shy")
    track.mute()
    publication = await badge.me.publish_track(track)
    badge.audio.queue(tone(600, 16000, 60))
    await ann.wait_for_participant(badge.identity)
    seen = await ann.wait_until(
        lambda: ann.room.remote_participants[badge.identity].track_publications.get(publication.sid), "publication")
    assert seen.muted and publication.muted
    await asyncio.sleep(0.3)
    assert rtp_sent(badge) == 0
    track.unmute()
    await hears_tone(ann, await ann.wait_for_track(badge.identity), 600)


@pytest.mark.asyncio
async def test_unpublish_and_publish_again_on_one_connection(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")
    badge.audio.queue(tone(600, 16000, 60))
    sids, offers = [], []
    track = badge.track
    for turn in range(TURNS):
        recording = await ann.wait_until(lambda one=track: ann.recordings.get(one.sid), "our track")
        await hears_tone(ann, recording, 600)
        sids.append(track.sid)
        await badge.me.unpublish_track(track.sid)
        gone = await ann.wait_until(
            lambda sid=track.sid: [args for _, name, args in ann.events
                                   if name == "track_unpublished" and args[0].sid == sid], "the track to go")
        assert gone[0][1].identity == badge.identity
        at_end = rtp_sent(badge)
        await asyncio.sleep(0.1)
        assert rtp_sent(badge) == at_end
        if turn == 1:
            track = LocalAudioTrack("another")
        publication = await badge.me.publish_track(track)
        assert publication.track is track and publication.sid == track.sid
        offers.append(badge.offers)
    await hears_tone(ann, await ann.wait_until(lambda: ann.recordings.get(track.sid), "our track"), 600)
    assert len(set(sids)) == TURNS
    assert len(badge.room._engine.negotiation.local.sections) == 5, "sections are used again"
    assert badge.offers <= 1 + 2 * TURNS + 1, offers
    assert badge.names("local_track_published", "local_track_unpublished") == [
        "local_track_published"] + ["local_track_unpublished", "local_track_published"] * TURNS


@pytest.mark.asyncio
async def test_publish_after_connect_is_heard(join, linnet):
    ann = await join("ann")
    badge = await linnet("badge", options={"microphone": False})
    assert badge.me.track_publications == {}
    badge.audio.queue(tone(600, 16000, 60))
    publication = await badge.me.publish_track(LocalAudioTrack("late"))
    recording = await ann.wait_for_track(badge.identity)
    assert (recording.sid, recording.name) == (publication.sid, "late")
    await hears_tone(ann, recording, 600)
    subscribed, = await badge.wait_for_event("local_track_subscribed")
    assert subscribed is publication.track


@pytest.mark.asyncio
async def test_the_microphone_of_the_join_needs_no_further_offer(join, linnet):
    badge = await linnet("badge")
    ann = await join("ann")
    recording = await ann.wait_for_track(badge.identity)
    assert (recording.sid, recording.name, recording.source) == (badge.track.sid, "mic", 2)
    assert recording.mime == "audio/opus"
    assert badge.offers == 1
    assert badge.names("local_track_published", "connected") == ["local_track_published", "connected"]


@pytest.mark.asyncio
async def test_a_second_microphone_and_an_unknown_track_are_refused(linnet):
    badge = await linnet("badge")
    with pytest.raises(Refused) as second:
        await badge.me.publish_track(LocalAudioTrack("second"))
    with pytest.raises(Refused) as unknown:
        await badge.me.unpublish_track("TR_nobody")
    assert (second.value.code, unknown.value.code) == ("publish-refused", "not-published")


@pytest.mark.asyncio
async def test_who_may_not_publish_is_told_before_and_after_the_join(linnet, server, room_name, unique):
    with pytest.raises(Refused) as at_join:
        await linnet("badge", can_publish=False)
    badge = await linnet("mute", can_publish=False, options={"microphone": False})
    with pytest.raises(Refused) as later:
        await badge.me.publish_track(LocalAudioTrack("mic"))
    camera_only = await linnet("camera", can_publish_sources=["camera"], options={"microphone": False})
    with pytest.raises(Refused) as source:
        await camera_only.me.publish_track(LocalAudioTrack("mic"))
    assert {one.value.code for one in (at_join, later, source)} == {"publish-refused"}


@pytest.mark.asyncio
async def test_a_track_published_while_an_offer_is_under_way(join, server, room_name, unique):
    """Its section is added before the answer to an offer without it has come."""
    def slow_answer(name, message):
        return [0.3, message] if name == "answer" and badge.room.isconnected() else message
    ann = await join("ann")
    async with LyingProxy(server, slow_answer) as proxy, LinnetPeer() as badge:
        await badge.join(proxy.url, server.make_token(unique("badge"), room_name), microphone=False)
        publishing = asyncio.ensure_future(badge.me.publish_track(LocalAudioTrack("late")))
        await asyncio.sleep(0)
        badge.room._engine.negotiation.renegotiate()
        await publishing
        badge.audio.queue(tone(600, 16000, 60))
        await hears_tone(ann, await ann.wait_for_track(badge.identity), 600)
        assert badge.offers == 3 and badge.room.isconnected()


# --- tracks of others ---


@pytest.mark.asyncio
@pytest.mark.parametrize("places", [1, 3])
async def test_a_wheel_may_unpublish_and_publish_again(join, linnet, places):
    ann, badge = await join("ann"), await linnet("badge", options={"remote_tracks": places})
    tones = (500, 800, 1300, 2000)
    for turn, hertz in enumerate(tones):
        voice = await ann.publish_audio(f"turn {turn}")
        track = await badge.wait_for_track(ann.identity)
        assert track.slot == 0
        saying = asyncio.ensure_future(ann.say(voice, tone(hertz, RATE, 2)))
        await plays_tone(badge, hertz)
        saying.cancel()
        await ann.unpublish(voice)
        await badge.wait_for_event("track_unpublished", count=turn + 1)
    ours = [(name, args) for _, name, args in badge.events
            if name in ("track_published", "track_subscribed", "track_unsubscribed", "track_unpublished",
                        "track_heard")]
    assert [name for name, _ in ours] == [
        "track_published", "track_subscribed", "track_heard", "track_unsubscribed", "track_unpublished"] * len(tones)
    participant = badge.room.remote_participants[ann.identity]
    for name, args in ours:
        publication = args[-2]
        assert args[-1] is participant
        assert len(args) == (2 if name in ("track_published", "track_unpublished") else 3)
        if len(args) == 3:
            assert args[0].sid == publication.sid
    print(f"{len(tones)} tracks one after another in {places} places: {badge.offers} offers")
    assert badge.offers <= 1 + 3 * len(tones)
    assert participant.track_publications == {}


@pytest.mark.asyncio
async def test_a_wheel_may_leave_and_come_back(join, linnet, server, room_name, unique):
    badge = await linnet("badge")
    for turn in range(2):
        ann = await join("ann")
        voice = await ann.publish_audio()
        track = await badge.wait_for_track(ann.identity)
        assert track.slot == 0
        saying = asyncio.ensure_future(ann.say(voice, tone(700 + 300 * turn, RATE, 1.5)))
        await plays_tone(badge, 700 + 300 * turn)
        await saying
        await ann.close()
        await badge.wait_for_event("participant_disconnected", count=turn + 1)
    assert badge.names("participant_connected", "participant_disconnected", "track_published", "track_subscribed",
                       "track_unsubscribed", "track_unpublished") == [
        "participant_connected", "track_published", "track_subscribed", "track_unsubscribed", "track_unpublished",
        "participant_disconnected"] * 2
    assert badge.room.remote_participants == {}
    assert badge.offers <= 1 + 2 * 2


@pytest.mark.asyncio
async def test_a_wheels_mute_is_seen(join, linnet):
    ann = await join("ann")
    voice = await ann.publish_audio()
    badge = await linnet("badge")
    track = await badge.wait_for_track(ann.identity)
    voice.mute()
    participant, publication = await badge.wait_for_event("track_muted")
    assert participant.identity == ann.identity and publication.track is track
    assert publication.muted and track.muted
    voice.mute(False)
    await badge.wait_for_event("track_unmuted")
    assert not publication.muted and not track.muted
    saying = asyncio.ensure_future(ann.say(voice, tone(700, RATE, 1.5)))
    await plays_tone(badge, 700)
    await saying


@pytest.mark.asyncio
async def test_subscribing_by_hand(join, linnet):
    ann = await join("ann")
    voice = await ann.publish_audio()
    badge = await linnet("badge", options={"auto_subscribe": False})
    publication = await badge.wait_for_publication(ann.identity)
    await asyncio.sleep(0.4)
    assert publication.track is None and not publication.subscribed
    assert badge.names("track_subscribed") == []

    saying = asyncio.ensure_future(ann.say(voice, tone(700, RATE, 5)))
    for turn in range(2):
        publication.set_subscribed(True)
        await badge.wait_for_event("track_subscribed", count=turn + 1)
        assert publication.subscribed
        await plays_tone(badge, 700)
        publication.set_subscribed(False)
        await badge.wait_for_event("track_unsubscribed", count=turn + 1)
        assert publication.track is None and not publication.subscribed
        received = badge.room.stats()["rtp_received"]
        await asyncio.sleep(0.4)
        assert badge.room.stats()["rtp_received"] <= received + 5
        assert quality.level_dbfs(badge.audio.samples[-3200:]) < -60
    saying.cancel()
    assert badge.names("track_unpublished") == []
    assert badge.offers <= 1 + 2 * 2


@pytest.mark.asyncio
async def test_an_unsubscribed_track_can_be_had_back_in_auto_mode(join, linnet):
    ann = await join("ann")
    voice = await ann.publish_audio()
    badge = await linnet("badge")
    publication = await badge.wait_for_publication(ann.identity)
    await badge.wait_for_event("track_subscribed")
    saying = asyncio.ensure_future(ann.say(voice, tone(700, RATE, 4)))
    publication.set_subscribed(False)
    await badge.wait_for_event("track_unsubscribed")
    await asyncio.sleep(0.3)
    publication.set_subscribed(True)
    await badge.wait_for_event("track_subscribed", count=2)
    await plays_tone(badge, 700)
    saying.cancel()


@pytest.mark.asyncio
async def test_more_tracks_than_we_play_cause_no_storm_of_offers(join, linnet):
    talkers = [await join(f"talker{i}", options={"auto_subscribe": False}) for i in range(4)]
    voices = [await one.publish_audio() for one in talkers]
    badge = await linnet("badge", options={"remote_tracks": 2})
    await badge.wait_for_event("track_limit_reached")
    await badge.wait_for_event("track_subscribed", count=2)
    await asyncio.sleep(1)
    playing = [identity for identity, one in badge.room.remote_participants.items()
               for publication in one.track_publications.values() if publication.track]
    print(f"4 tracks for 2 places: {badge.offers} offers, {badge.names().count('track_limit_reached')} times told,"
          f" {badge.room._engine.negotiation.tracks_over_limit} counted")
    assert len(playing) == 2
    assert badge.offers <= 6
    assert 1 <= badge.names().count("track_limit_reached") <= 8
    told = {args[0] for _, name, args in badge.events if name == "track_limit_reached"}
    assert told <= {voice.publication.sid for voice in voices}

    # A place that becomes free is taken by one of those who waited.
    first = next(one for one in talkers if one.identity == playing[0])
    waiting = [one for one in talkers if one.identity not in playing]
    await first.close()
    await badge.wait_for_event("track_subscribed", count=3, timeout_s=5)
    now = {identity for identity, one in badge.room.remote_participants.items()
           for publication in one.track_publications.values() if publication.track}
    assert len(now) == 2 and now & {one.identity for one in waiting}
    assert badge.offers <= 9


@pytest.mark.asyncio
async def test_a_fourth_and_fifth_talker_get_sections_of_their_own(join, linnet):
    """More tracks than the first offer has sections for, and places for all."""
    badge = await linnet("badge", options={"remote_tracks": 5})
    talkers = [await join(f"talker{i}", options={"auto_subscribe": False}) for i in range(5)]
    voices = [await one.publish_audio() for one in talkers]
    await badge.wait_for_event("track_subscribed", count=5)
    tones = (400, 600, 900, 1300, 1900)
    saying = asyncio.gather(*(one.say(voice, tone(hertz, RATE, 2, 0.08))
                              for one, voice, hertz in zip(talkers, voices, tones, strict=True)))
    await badge.wait_until(
        lambda: all(level_at(badge.audio.samples[-8000:], 16000, hertz) > -30 for hertz in tones), "five tones")
    await saying
    print(f"5 talkers one after another: {badge.offers} offers")
    assert badge.offers <= 1 + 2 * 5


@pytest.mark.asyncio
async def test_volume_of_one_track_and_of_all(join, linnet):
    ann = await join("ann")
    voice = await ann.publish_audio()
    badge = await linnet("badge")
    track = await badge.wait_for_track(ann.identity)
    saying = asyncio.ensure_future(ann.say(voice, tone(700, RATE, 6)))
    await plays_tone(badge, 700)

    async def level_after(change):
        change()
        await asyncio.sleep(0.5)
        return level_at(badge.audio.samples[-4800:], 16000, 700)

    full = await level_after(lambda: None)
    half = await level_after(lambda: track.set_volume(0.5))
    quarter = await level_after(lambda: badge.room.set_volume(0.5))
    none = await level_after(lambda: badge.room.set_volume(0.0))
    saying.cancel()
    assert half == pytest.approx(full - 6, abs=0.7)
    assert quarter == pytest.approx(full - 12, abs=0.7)
    assert none < -60


@pytest.mark.asyncio
async def test_speakers_are_told_both_ways(join, linnet):
    ann = await join("ann")
    voice = await ann.publish_audio()
    badge = await linnet("badge")
    await badge.wait_for_track(ann.identity)
    badge.audio.queue(tone(600, 16000, 3, 0.4))
    saying = asyncio.ensure_future(ann.say(voice, tone(700, RATE, 3, 0.4)))
    await badge.wait_until(lambda: {ann.identity, badge.identity} == {one.identity for one in
                                                                     badge.room.active_speakers}, "two speakers")
    await ann.wait_until(
        lambda: any(badge.identity in [one.identity for one in args[0]] for _, name, args in ann.events
                    if name == "active_speakers_changed"), "the wheel to see us speak")
    await saying
    await badge.wait_until(lambda: badge.room.active_speakers == [], "silence")


@pytest.mark.asyncio
async def test_a_camera_in_the_room_takes_no_place_and_causes_no_offers(join, linnet):
    ann = await join("ann")
    source = rtc.VideoSource(64, 48)
    camera = rtc.LocalVideoTrack.create_video_track("camera", source)
    badge = await linnet("badge", options={"remote_tracks": 1})
    await ann.room.local_participant.publish_track(camera)
    for _ in range(20):
        source.capture_frame(rtc.VideoFrame(64, 48, rtc.VideoBufferType.RGBA, bytes(64 * 48 * 4)))
        await asyncio.sleep(0.03)
    publication = await badge.wait_for_publication(ann.identity)
    assert publication.kind == 2 and publication.track is None
    await asyncio.sleep(0.3)
    silent = badge.offers
    voice = await ann.publish_audio()
    saying = asyncio.ensure_future(ann.say(voice, tone(700, RATE, 2)))
    await plays_tone(badge, 700)
    saying.cancel()
    await source.aclose()
    print(f"a camera: {silent - 1} offers for it")
    assert silent <= 2 and badge.offers <= silent + 2
    assert badge.names("track_limit_reached") == []
    assert len(badge.room._engine.negotiation.local.sections) == 3
