"""The rig proves itself: wheel peers and the demo's agent talk through the real server, without Linnet."""

import asyncio

import pytest
from livekit import rtc

from host_sim.demo_agent import ANSWER
from tests import audio_quality as quality
from tests.e2e.peers import RATE, AgentProcess

BADGE = ANSWER.with_name("badge_sentence.wav")
SHARE_OF_CEILING = 0.95


async def talk(speaker, listener, path):
    """`speaker` says the sentence; returns the Score of what `listener` recorded, and the codec's own."""
    sentence, rate = quality.load_wav(path, RATE)
    voice = await speaker.publish_audio()
    recording = await listener.wait_for_track(speaker.identity)
    await speaker.say(voice, sentence, lead_in_s=0.5)
    wanted = recording.seconds + 1.0        # what is still under way: a tail cut off would count as a gap
    await listener.wait_until(lambda: recording.seconds >= wanted, "end of the sentence")
    return quality.score(sentence, recording.samples, rate), quality.codec_ceiling(sentence, rate)


@pytest.mark.asyncio
async def test_two_peers_hear_each_other_as_well_as_the_codec_allows(join):
    """The rig's own bar for sound: not Linnet is judged here."""
    ann, bob = await join("ann"), await join("bob")
    results = await asyncio.gather(talk(ann, bob, BADGE), talk(bob, ann, ANSWER))
    for (heard, ceiling), path in zip(results, (BADGE, ANSWER), strict=True):
        print(f"{path.name}: {heard}; codec alone {ceiling}")
        assert heard.cut_s == 0             # the recording goes on to the end of the sentence
        assert heard.stoi >= SHARE_OF_CEILING * ceiling.stoi
        assert heard.delay_s < 0.9          # of which 0.5 s are lead-in
        assert quality.find_speech_gaps(quality.load_wav(path, RATE)[0], heard.aligned, RATE) == []


@pytest.mark.asyncio
async def test_data_arrives_with_topic_sender_and_kind_and_only_where_it_is_sent(join):
    ann, bob, cyd = await join("ann"), await join("bob"), await join("cyd")
    await ann.send(b"for all", topic="news")
    await ann.send(b"for bob", to=[bob.identity])
    await ann.send(b"in a hurry", reliable=False, topic="news")
    got = {one.data: one for one in await bob.wait_for_data(3)}
    assert set(got) == {b"for all", b"for bob", b"in a hurry"}
    assert got[b"for all"].topic == "news" and got[b"for all"].reliable
    assert got[b"for all"].sender == ann.identity
    assert not got[b"in a hurry"].reliable
    assert b"for bob" not in {one.data for one in await cyd.wait_for_data(2)}


@pytest.mark.asyncio
async def test_rpc_brings_answers_and_errors(join):
    ann, bob = await join("ann"), await join("bob")

    async def refuse(call):
        raise rtc.RpcError(4711, "not today", call.payload)

    bob.answer_rpc("shout", lambda call: call.payload.upper())
    bob.answer_rpc("refuse", refuse)
    assert await ann.call_rpc(bob.identity, "shout", "grüße") == "GRÜSSE"
    with pytest.raises(rtc.RpcError) as refused:
        await ann.call_rpc(bob.identity, "refuse", "why")
    assert (refused.value.code, refused.value.message, refused.value.data) == (4711, "not today", "why")
    with pytest.raises(rtc.RpcError) as unknown:
        await ann.call_rpc(bob.identity, "nobody_wrote_this")
    assert unknown.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD


@pytest.mark.asyncio
async def test_peers_meet_on_an_ice_lite_server(join, lite_server):
    ann, bob = await join("ann", on=lite_server), await join("bob", on=lite_server)
    await ann.send(b"hello")
    assert (await bob.wait_for_data())[0].sender == ann.identity


@pytest.mark.asyncio
async def test_the_agent_hears_answers_and_switches_the_light(join, server, room_name, unique):
    agent_identity = unique("agent")
    async with AgentProcess(server.url, server.make_agent_token(agent_identity, room_name)) as agent:
        await agent.wait_for("published")
        badge = await join("badge")
        switched = []
        badge.answer_rpc("set_led", lambda call: switched.append((call.caller_identity, call.payload)) or "on")
        voice = await badge.publish_audio()
        assert (await agent.wait_for("listening_to"))["identity"] == badge.identity
        sentence, _ = quality.load_wav(BADGE, RATE)
        _, said_at = await badge.say(voice, sentence[:2 * RATE])
        assert (await agent.wait_for("rpc_answered"))["payload"] == "on"
        await agent.wait_for("answer_ended")
        answer = await badge.wait_for_track(agent_identity)
        wanted = answer.seconds + 0.4
        await badge.wait_until(lambda: answer.seconds >= wanted, "end of the answer")
        await badge.close()
        await agent.wait_for("left")
    assert agent.returncode == 0
    assert switched == [(agent_identity, '{"on": true}')]
    assert (answer.name, answer.source) == ("roomio_audio", rtc.TrackSource.SOURCE_MICROPHONE)
    spoken, _ = quality.load_wav(ANSWER, RATE)
    assert quality.score(spoken, answer.since(said_at), RATE).stoi > 0.9
    assert [event["state"] for event in agent.events if event["event"] == "state"] == [
        "listening", "thinking", "speaking", "listening"]


@pytest.mark.asyncio
async def test_the_agent_is_deaf_to_a_track_that_is_no_microphone(join, server, room_name, unique):
    async with AgentProcess(server.url, server.make_agent_token(unique("agent"), room_name)) as agent:
        await agent.wait_for("published")
        badge = await join("badge")
        await badge.publish_audio(source=rtc.TrackSource.SOURCE_UNKNOWN)
        ignored = await agent.wait_for("ignored_track")
        assert ignored["identity"] == badge.identity


@pytest.mark.asyncio
async def test_a_peer_that_waits_in_vain_says_what_it_saw(join):
    ann = await join("ann")
    with pytest.raises(AssertionError, match="no 1 data packets within 0.1 s; last events: "):
        await ann.wait_for_data(timeout_s=0.1)
