# How a room ends: by us, by the server, by trouble, and by cancelling at any moment.

import asyncio

import fake_time
import native_core  # noqa: F401 (linnet.core wants `_linnet` to be importable)
from harness import main
from linnet import core
from linnet.errors import Closed, DisconnectReason, LinnetError
from linnet.options import RoomOptions
from linnet.track import LocalAudioTrack
from test_room import Case
from ws_server import BINARY, frame

TURNS = 60  # more than a join takes in turns of the loop


class TestEnd(Case):
    def ends(self, reason, code, do, within_s=1):
        """The room ends by itself: once, with this reason, and nothing is left open."""

        async def test(world):
            world.events = []
            do(world)
            await fake_time.turns(40)
            await asyncio.sleep(within_s)
            self.assertEqual(world.left_open(), [])
            self.assertEqual(world.events[-2:], [("connection_state_changed", (0,)), ("disconnected", (reason,))])
            self.assertEqual(world.names().count("disconnected"), 1)
            self.assertEqual(world.room.disconnect_error.code, code)
            await world.room.disconnect()
            self.assertEqual(world.names(), [])
            await world.join()
            await world.room.disconnect()
            self.assertIn(fake_time.tasks_left(), (None, 0))

        self.run_joined(test)

    def core_says(self, *output):
        def do(world):
            world.sessions[-1].outputs.append(output)
            world.room._engine.driver.feed(core.IN_TIME)

        return do

    def test_the_server_says_goodbye(self):
        for reason, code in ((2, "left-duplicate-identity"), (4, "left-participant-removed"), (99, "left")):

            def leave_and_close(world, reason=reason):
                world.say("leave", {"reason": reason})
                world.close_frame()

            self.ends(reason, code, lambda world, n=reason: world.say("leave", {"reason": n}))
            self.ends(reason, code, leave_and_close)

    def test_signalling_is_lost(self):
        closed = DisconnectReason.SIGNAL_CLOSE
        self.ends(closed, "ws-closed", lambda world: world.close_frame())
        self.ends(closed, "ws-closed", lambda world: world.end())
        self.ends(closed, "protobuf", lambda world: world.raw(frame(BINARY, b"\xff\xff")))
        self.ends(DisconnectReason.CONNECTION_TIMEOUT, "signal-timeout", lambda world: None, within_s=30)

    def test_media_is_lost(self):
        lost = DisconnectReason.MEDIA_FAILURE
        self.ends(lost, "ice-failed", self.core_says(core.STATE, (core.ICE, core.FAILED, 0)))
        self.ends(lost, "dtls-failed", self.core_says(core.STATE, (core.DTLS, core.FAILED, -6)))

    def test_media_closed_by_the_server_ends_the_room_soon(self):
        for layer in (core.DTLS, core.SCTP):
            errors = []

            def close(world, layer=layer, errors=errors):
                world.room.once("disconnected", lambda _: errors.append(world.room.disconnect_error))
                self.core_says(core.STATE, (layer, core.CLOSED, 0))(world)

            self.ends(DisconnectReason.MEDIA_FAILURE, "media-failed", close, within_s=3)
            self.assertIn("the server closed the", errors[0].cause)
            self.assertIn("Connect again", errors[0].cure)

    def test_media_closed_with_a_leave_before_or_after_it_ends_with_the_reason_of_the_leave(self):
        def close(world):
            self.core_says(core.STATE, (core.SCTP, core.CLOSED, 0))(world)
            self.core_says(core.STATE, (core.DTLS, core.CLOSED, 0))(world)

        def leave(world):
            world.say("leave", {"reason": DisconnectReason.PARTICIPANT_REMOVED})

        async def later(world):
            await asyncio.sleep(0.5)
            leave(world)

        def leave_later(world):
            asyncio.create_task(later(world))

        for steps in ((leave, close), (close, leave), (close, leave_later)):

            def do(world, steps=steps):
                for step in steps:
                    step(world)

            self.ends(DisconnectReason.PARTICIPANT_REMOVED, "left-participant-removed", do, within_s=3)

    def test_media_closed_while_we_leave_is_no_trouble(self):
        async def test(world):
            world.events = []
            close = self.core_says(core.STATE, (core.DTLS, core.CLOSED, 0))
            close(world)
            leaving = asyncio.create_task(world.room.disconnect())
            await fake_time.turns()
            await leaving
            await asyncio.sleep(3)
            self.assertEqual(world.events[-1], ("disconnected", (DisconnectReason.CLIENT_INITIATED,)))
            self.assertEqual(world.room.disconnect_error, None)
            self.assertIn(fake_time.tasks_left(), (None, 0))

        self.run_joined(test)

    def test_the_media_loop_breaks(self):
        def do(world):
            def broken(buf):
                del world.audio.capture_into
                raise ValueError("a broken adapter")

            world.audio.capture_into = broken

        self.ends(DisconnectReason.MEDIA_FAILURE, "media-failed", do)

    def test_a_bad_answer_or_candidate_in_the_middle_of_a_call(self):
        def candidate(world):
            world.say("trickle", {"candidateInit": "{"})

        def answer(world):
            world.room._engine.negotiation.renegotiate()
            world.say("answer", {"type": "answer", "id": 2, "sdp": "nonsense"})

        self.ends(DisconnectReason.SIGNAL_CLOSE, "sdp", candidate)
        self.ends(DisconnectReason.SIGNAL_CLOSE, "sdp", answer)

    def test_an_ice_path_in_doubt_is_told_and_ends_nothing(self):
        async def test(world):
            world.events = []
            self.core_says(core.STATE, (core.ICE, core.DISCONNECTED, 0))(world)
            self.core_says(core.STATE, (core.ICE, core.CONNECTED, 0))(world)
            expected = [("media_state_changed", (False,)), ("media_state_changed", (True,))]
            self.assertEqual(world.events, expected)
            self.assertTrue(world.room.isconnected())
            await world.room.disconnect()

        self.run_joined(test)

    def test_disconnecting_from_two_sides_ends_once(self):
        async def test(world):
            world.events = []
            world.say("leave", {"reason": 2})
            await asyncio.gather(world.room.disconnect(), world.room.disconnect())
            await fake_time.turns()
            self.assertEqual(world.names().count("disconnected"), 1)
            self.assertEqual(world.left_open(), [])

        self.run_joined(test)

    def test_a_handler_may_disconnect_the_room(self):
        async def test(world):
            @world.room.on("room_updated")
            async def leave():
                await world.room.disconnect()

            world.say("room_update", {"room": {"name": "x"}})
            await fake_time.turns(40)
            self.assertEqual(world.left_open(), [])

        self.run_joined(test)

    def test_what_needs_a_room_says_so_without_one(self):
        async def test(world):
            me = world.room.local_participant
            await world.room.disconnect()
            for coroutine in (
                me.publish_data(b"x"),
                me.set_name("n"),
                me.publish_track(LocalAudioTrack("mic")),
                me.unpublish_track("TR_me"),
            ):
                with self.assertRaises(LinnetError) as raised:
                    await coroutine
                self.assertEqual(raised.exception.code, "not-connected")
            self.assertEqual(world.room.stats(), {})

        self.run_joined(test)

    def test_whoever_waits_learns_of_the_end_at_once(self):
        async def test(world):
            async def code_of(coroutine):
                try:
                    await coroutine
                except LinnetError as error:
                    return error.code

            me = world.room.local_participant
            world.say("update", {"participants": [{"sid": "PA_b", "identity": "bob", "version": 1}]})
            await fake_time.turns()
            answered_late = asyncio.create_task(code_of(me.perform_rpc("bob", "m", "")))
            await fake_time.turns()
            world.sessions[-1].send_result = core.ERR_AGAIN
            waiting = [
                asyncio.create_task(code_of(me.publish_track(LocalAudioTrack("mic")))),
                asyncio.create_task(code_of(me.publish_data(b"x"))),
                asyncio.create_task(code_of(me.publish_data(b"y"))),
                asyncio.create_task(code_of(me.perform_rpc("bob", "m", ""))),
            ]
            await fake_time.turns()
            start = fake_time.now_us()
            await world.room.disconnect()
            codes = await asyncio.gather(*waiting)
            self.assertEqual(await answered_late, 1503)
            self.assertLess(fake_time.now_us() - start, 3000000)
            self.assertEqual(codes, ["not-connected"] * 3 + [1505])

        self.run_joined(test)


class TestCancelling(Case):
    def cancelled(self, n, again=None):
        """Cancel a join after n turns, and once more `again` turns later; whether it was."""

        async def test():
            world = self.world()
            track = LocalAudioTrack("mic")
            task = asyncio.create_task(world.join(RoomOptions(tracks=(track,))))
            await fake_time.turns(n)
            task.cancel()
            if again is not None:
                await fake_time.turns(again)
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                await fake_time.turns()
                self.assertEqual(world.left_open(), [])
                self.assertFalse(world.room.isconnected())
                self.assertNotIn("connected", world.names())
                self.assertIn(fake_time.tasks_left(), (None, 0))
                await world.join()
                await world.room.disconnect()
                self.assertEqual(world.left_open(), [])
                return True
            self.assertTrue(world.room.isconnected())
            await world.room.disconnect()
            self.assertEqual(world.left_open(), [])
            return False

        return fake_time.run(test())

    def test_a_join_cancelled_at_any_turn_leaves_nothing_open(self):
        done = [self.cancelled(n) for n in range(TURNS)]
        self.assertTrue(done[0])
        self.assertFalse(done[-1])
        self.assertGreater(done.count(True), 5)

    def test_one_cancelled_twice_neither(self):
        for again in (0, 1, 2, 4):
            for n in range(1, TURNS, 2):
                self.cancelled(n, again)

    def test_disconnecting_at_any_turn_of_a_join_ends_it(self):
        for n in range(TURNS):

            async def test(n=n):
                world = self.world()
                task = asyncio.create_task(world.join())
                await fake_time.turns(n)
                await world.room.disconnect()
                start = fake_time.now_us()
                try:
                    await task
                    was_early = n < 3  # nothing was there yet that could be left
                    self.assertTrue(was_early or not world.room.isconnected())
                except (Closed, LinnetError):
                    pass
                self.assertLess(fake_time.now_us() - start, 3000000)
                await fake_time.turns()
                if world.room.isconnected():
                    await world.room.disconnect()
                self.assertEqual(world.left_open(), [])

            with self.subTest(turns=n):
                fake_time.run(test())

    def test_disconnecting_while_the_answer_is_awaited_ends_the_join_at_once(self):
        async def test():
            world = self.world()
            world.answers = False
            task = asyncio.create_task(world.join())
            await asyncio.sleep(2)
            start = fake_time.now_us()
            await world.room.disconnect()
            with self.assertRaises(Closed) as raised:
                await task
            self.assertEqual(raised.exception.code, "not-connected")
            self.assertLess(fake_time.now_us() - start, 1000000)
            self.assertEqual(world.left_open(), [])

        fake_time.run(test())

    def test_a_disconnect_cancelled_at_any_turn_still_closes_everything(self):
        for n in range(12):

            async def test(world, n=n):
                task = asyncio.create_task(world.room.disconnect())
                await fake_time.turns(n)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                await fake_time.turns()
                if n:
                    self.assertEqual(world.left_open(), [])
                await world.room.disconnect()
                self.assertEqual(world.left_open(), [])

            with self.subTest(turns=n):
                self.run_joined(test)


if __name__ == "__main__":
    main()
