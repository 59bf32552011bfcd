# What we ask of the room about ourselves: our track, mute, name and attributes.

import asyncio

import fake_time
from harness import TestCase, main
from linnet.errors import Closed, Refused, Timeout
from linnet.track import (
    SOURCE_CAMERA,
    SOURCE_MICROPHONE,
    SOURCE_SCREENSHARE_AUDIO,
    LocalAudioTrack,
    TrackPublishOptions,
)
from rooms import JoinedRoom

GRANTED = {"can_publish": True, "can_subscribe": True, "can_update_metadata": True}


def with_room(test, **me):
    async def whole():
        return await test(JoinedRoom(me=me))

    return fake_time.run(whole())


class Case(TestCase):
    async def fails(self, kind, code, coroutine):
        try:
            await coroutine
        except kind as error:
            self.assertEqual(error.code, code)
            return error
        self.fail("no %s" % code)

    async def published(self, room, **info):
        """(track, publication) of our microphone."""
        track = LocalAudioTrack("mic")
        task = asyncio.create_task(room.local_participant.publish_track(track))
        await fake_time.turns()
        self.answer(room, track, **info)
        return track, await task

    def answer(self, room, track, **info):
        fields = {"sid": "TR_me", "name": track.name, "source": track.source}
        fields.update(info)
        room._on_signal("track_published", {"cid": track.cid, "track": fields})


class TestPublishing(Case):
    def test_add_track_then_the_section_then_the_event(self):
        async def test(room):
            track, publication = await self.published(room)
            name, request = room._engine.requested[0]
            self.assertEqual(name, "add_track")
            self.assertEqual((request["cid"], request["name"]), (track.cid, "mic"))
            self.assertEqual((request["type"], request["source"]), (0, 2))
            self.assertTrue(request["disable_red"])
            made = [name for name, _ in room._engine.negotiation.made]
            self.assertEqual(made, ["add_microphone", "renegotiate"])
            self.assertEqual(room.took(), [("local_track_published", (publication, track))])
            self.assertEqual((track.sid, publication.sid), ("TR_me", "TR_me"))
            self.assertIs(room.local_participant.track_publications["TR_me"], publication)
            room._on_signal("track_subscribed", {"track_sid": "TR_me"})
            room._on_signal("track_subscribed", {"track_sid": "TR_x"})
            self.assertEqual(room.took(), [("local_track_subscribed", (track,))])

        with_room(test)

    def test_publish_options_choose_the_source_or_are_refused_with_a_cure(self):
        async def test(room):
            me = room.local_participant
            for wanted, words in (
                ({"dtx": True}, ("dtx", "RoomOptions(dtx=True)")),
                ({"red": True}, ("red", "Leave it away")),
                ({"simulcast": True}, ("simulcast", "Leave it away")),
                ({"stream": "x"}, ("stream", "Leave it away")),
                ({"source": SOURCE_CAMERA}, ("source", "")),
            ):
                options = TrackPublishOptions(**wanted)
                track = LocalAudioTrack("mic")
                error = await self.fails(Refused, "bad-argument", me.publish_track(track, options))
                self.assertIn(words[0], error.cause)
                self.assertIn(words[1], error.cure)
                self.assertEqual(track.source, SOURCE_MICROPHONE)
            await self.fails(Refused, "bad-argument", me.publish_track(track, {"source": 2}))
            self.assertEqual(room._engine.requested, [])
            track = LocalAudioTrack("mic")
            options = TrackPublishOptions(source=SOURCE_SCREENSHARE_AUDIO, dtx=False, red=False)
            task = asyncio.create_task(me.publish_track(track, options=options))
            await fake_time.turns()
            self.answer(room, track)
            await task
            self.assertEqual(room._engine.requested[0][1]["source"], SOURCE_SCREENSHARE_AUDIO)

        with_room(test)

    def test_a_refusal_gives_the_servers_words_and_frees_the_track(self):
        async def test(room):
            track = LocalAudioTrack("mic")
            task = asyncio.create_task(room.local_participant.publish_track(track))
            await fake_time.turns()
            message = {"reason": 2, "message": "no way", "add_track": {"cid": track.cid}}
            room._on_signal("request_response", message)
            error = await self.fails(Refused, "publish-refused", task)
            self.assertIn("no way", error.cause)
            self.assertIsNone(track._room)
            self.assertEqual(room._own._waiting, {})
            self.assertEqual(room._engine.negotiation.made, [])
            track.mute()
            await self.published(room)

        with_room(test)

    def test_queued_and_ok_are_no_refusals(self):
        async def test(room):
            track = LocalAudioTrack("mic")
            task = asyncio.create_task(room.local_participant.publish_track(track))
            await fake_time.turns()
            for reason in (0, 4):
                message = {"reason": reason, "add_track": {"cid": track.cid}}
                room._on_signal("request_response", message)
            self.answer(room, track)
            self.assertEqual((await task).sid, "TR_me")

        with_room(test)

    def test_silence_of_the_server_is_a_timeout_after_ten_seconds(self):
        async def test(room):
            start = fake_time.now_us()
            track = LocalAudioTrack("mic")
            publishing = room.local_participant.publish_track(track)
            await self.fails(Timeout, "request-timeout", publishing)
            self.assertLessEqual(abs(fake_time.now_us() - start - 10000000), 50000)
            self.assertEqual(room._own._waiting, {})
            self.answer(room, track)
            self.assertEqual(room.local_participant.track_publications, {})

        with_room(test)

    def test_a_closed_connection_and_a_left_room_end_the_wait(self):
        async def test(room):
            room._engine.request_error = Closed("ws-closed", "gone")
            track = LocalAudioTrack("mic")
            await self.fails(Closed, "ws-closed", room.local_participant.publish_track(track))
            self.assertEqual((room._own._waiting, track._room), ({}, None))
            room._engine.request_error = None
            task = asyncio.create_task(room.local_participant.publish_track(track))
            await fake_time.turns()
            room._engine = None
            room._own.on_closed()
            await self.fails(Refused, "not-connected", task)

        with_room(test)

    def test_leaving_in_the_moment_of_the_answer_is_no_crash(self):
        async def test(room):
            track = LocalAudioTrack("mic")
            task = asyncio.create_task(room.local_participant.publish_track(track))
            await fake_time.turns()
            self.answer(room, track)
            room._engine = None
            await self.fails(Refused, "not-connected", task)

        with_room(test)

    def test_what_cannot_work_is_refused_before_anything_is_sent(self):
        async def test(room):
            await self.published(room)
            requested = len(room._engine.requested)
            publish = room.local_participant.publish_track
            await self.fails(Refused, "publish-refused", publish(LocalAudioTrack("two")))
            self.assertEqual(len(room._engine.requested), requested)

        with_room(test)

        async def not_granted(room):
            publishing = room.local_participant.publish_track(LocalAudioTrack("mic"))
            error = await self.fails(Refused, "publish-refused", publishing)
            self.assertIn("canPublish", error.cause)

        with_room(not_granted, permission={"can_subscribe": True})

    def test_two_at_the_same_time_are_one_too_many(self):
        async def test(room):
            first, second = LocalAudioTrack("one"), LocalAudioTrack("two")
            task = asyncio.create_task(room.local_participant.publish_track(first))
            await fake_time.turns()
            publishing = room.local_participant.publish_track(second)
            await self.fails(Refused, "publish-refused", publishing)
            self.answer(room, first)
            await task

        with_room(test)

    def test_unpublish_frees_the_section_and_lets_another_follow(self):
        async def test(room):
            track, publication = await self.published(room)
            room.took()
            await room.local_participant.unpublish_track("TR_me")
            self.assertEqual(room.took(), [("local_track_unpublished", (publication,))])
            made = room._engine.negotiation.made
            self.assertEqual(made[-2:], [("remove_microphone", (track.cid,)), ("renegotiate", ())])
            self.assertEqual(len(room._engine.session.named("unpublish")), 1)
            unpublishing = room.local_participant.unpublish_track("TR_me")
            await self.fails(Refused, "not-published", unpublishing)
            room._on_signal("track_unpublished", {"track_sid": "TR_me"})
            track.mute()
            self.assertEqual(room.took(), [])
            await self.published(room, sid="TR_again")

        with_room(test)


class TestMuting(Case):
    def test_sound_stops_before_the_server_is_told(self):
        async def test(room):
            track, publication = await self.published(room)
            room.took()
            for muted, event in ((True, "track_muted"), (False, "track_unmuted")):
                track.mute() if muted else track.unmute()
                track.mute() if muted else track.unmute()
                self.assertEqual(room._engine.muted, muted)
                self.assertEqual(publication.muted, muted)
                sent = room._engine.signal.named("send_soon")[-1]
                self.assertEqual(sent, ("mute", {"sid": "TR_me", "muted": muted}))
                self.assertEqual(room.took(), [(event, (room.local_participant, publication))])

        with_room(test)

    def test_the_server_may_mute_us(self):
        async def test(room):
            track, publication = await self.published(room)
            room.took()
            room._on_signal("mute", {"sid": "TR_me", "muted": True})
            self.assertTrue(track.muted)
            self.assertTrue(room._engine.muted)
            self.assertEqual(room.names(), ["track_muted"])
            room._on_signal("mute", {"sid": "TR_x", "muted": True})
            room._on_signal("mute", {"sid": "TR_me", "muted": True})
            self.assertEqual(room.took(), [])

        with_room(test)

    def test_a_track_that_is_muted_before_it_is_published_starts_silent(self):
        async def test(room):
            track = LocalAudioTrack("mic")
            track.mute()
            task = asyncio.create_task(room.local_participant.publish_track(track))
            await fake_time.turns()
            self.assertTrue(room._engine.requested[0][1]["muted"])
            self.answer(room, track, muted=True)
            await task
            self.assertTrue(room._engine.muted)

        with_room(test)

    def test_muting_while_it_is_being_published_reaches_the_server_too(self):
        async def test(room):
            track = LocalAudioTrack("mic")
            task = asyncio.create_task(room.local_participant.publish_track(track))
            await fake_time.turns()
            track.mute()
            self.answer(room, track)
            publication = await task
            self.assertTrue(room._engine.muted)
            self.assertTrue(publication.muted)
            sent = room._engine.signal.named("send_soon")
            self.assertEqual(sent, [("mute", {"sid": "TR_me", "muted": True})])

        with_room(test)


class TestAttributes(Case):
    def test_each_goes_out_with_its_request_id_and_ends_with_the_answer(self):
        async def test(room):
            me = room.local_participant
            for coroutine, field, value in (
                (me.set_metadata("m"), "metadata", "m"),
                (me.set_name("n"), "name", "n"),
                (me.set_attributes({"a": ""}), "attributes", {"a": ""}),
            ):
                task = asyncio.create_task(coroutine)
                await fake_time.turns()
                name, request = room._engine.requested[-1]
                self.assertEqual((name, request[field]), ("update_metadata", value))
                self.assertFalse(task.done())
                answer = {"request_id": request["request_id"], "reason": 0}
                room._on_signal("request_response", dict(answer, request_id=99))
                room._on_signal("request_response", answer)
                await task
            ids = [request["request_id"] for _, request in room._engine.requested]
            self.assertEqual(ids, [1, 2, 3])

        with_room(test, permission=GRANTED)

    def test_refusals_silence_and_a_missing_grant(self):
        async def test(room):
            me = room.local_participant
            task = asyncio.create_task(me.set_name("n"))
            await fake_time.turns()
            room._on_signal("request_response", {"request_id": 1, "reason": 3, "message": "too long"})
            error = await self.fails(Refused, "request-refused", task)
            self.assertIn("too long", error.cause)
            await self.fails(Timeout, "request-timeout", me.set_name("n"))
            room._engine.request_error = Closed("ws-closed", "gone")
            await self.fails(Closed, "ws-closed", me.set_name("n"))
            self.assertEqual(room._own._waiting, {})

        with_room(test, permission=GRANTED)

        async def not_granted(room):
            setting = room.local_participant.set_name("n")
            error = await self.fails(Refused, "missing-grant", setting)
            self.assertIn("canUpdateOwnMetadata", error.cause)
            self.assertEqual(room._engine.requested, [])

        with_room(not_granted)

    def test_limits_are_checked_here(self):
        async def test(room):
            me = room.local_participant
            for coroutine in (
                me.set_metadata("x" * 524289),
                me.set_name("\u00fc" * 129),
                me.set_attributes({"k": "v" * 65536}),
            ):
                await self.fails(Refused, "payload-too-large", coroutine)
            self.assertEqual(room._engine.requested, [])

        with_room(test, permission=GRANTED)


if __name__ == "__main__":
    main()
