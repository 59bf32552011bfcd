# A signalling connection that has joined: pings, tokens, trouble and the end.

import asyncio

import fake_time
from harness import main
from linnet.errors import Closed
from signal_server import JOIN, SignalServer
from test_signalling import Case, Joining
from ws_server import BINARY, PING, PONG, frame


def joined(test, greeting=None):
    """Run `await test(joining)` after a join."""

    async def whole():
        joining = await Joining(SignalServer(greeting)).joined()
        await test(joining)
        return joining

    return fake_time.run(whole())


class TestPings(Case):
    def test_pings_leave_at_the_servers_interval_and_measure_the_way(self):
        async def test(joining):
            server = joining.server
            delays = [300, 200]  # far apart: MicroPython's virtual clock runs on while the machine is slow

            def answer(name, message):
                async def later():
                    await asyncio.sleep(delays.pop(0) / 1000)
                    server.say("pong_resp", {"last_ping_timestamp": message["timestamp"]})

                if name == "ping_req" and delays:
                    asyncio.create_task(later())

            server.on_request = answer
            await asyncio.sleep(5.5)
            self.assertLessEqual(abs(joining.client.rtt_ms - 300), 40)
            await asyncio.sleep(5)
            self.assertLessEqual(abs(joining.client.rtt_ms - 200), 40)
            pings = server.asked("ping_req")
            self.assertEqual(len(pings), 2)
            # The clock, and so what is echoed, starts anew every 2^30 us.
            apart = (pings[1]["timestamp"] - pings[0]["timestamp"]) % ((1 << 30) // 1000)
            self.assertLessEqual(abs(apart - 5000), 40)
            self.assertLessEqual(abs(pings[1]["rtt"] - 300), 40)

        joining = joined(test)
        self.assertEqual(joining.said, [])

    def test_the_time_on_the_way_is_right_across_the_wrap_of_the_clock(self):
        async def test(joining):
            seen = []

            def answer(name, message):
                if name == "ping_req":
                    joining.server.say("pong_resp", {"last_ping_timestamp": message["timestamp"]})

            joining.server.on_request = answer
            for _ in range(250):  # 2^30 us are 18 minutes
                await asyncio.sleep(5)
                seen.append(joining.client.rtt_ms)
            self.assertLess(max(seen), 20)
            self.assertEqual(joining.lost, [])

        joined(test)

    def test_a_pong_to_no_ping_of_ours_changes_nothing(self):
        async def test(joining):
            await asyncio.sleep(5.1)
            for stamp in (0, -1, 12345, 0x7FFFFFFFFFFFFFFF):
                joining.server.say("pong_resp", {"last_ping_timestamp": stamp})
                await fake_time.turns()
                self.assertEqual(joining.client.rtt_ms, 0)

        joined(test)

    def test_silence_longer_than_the_servers_timeout_ends_it(self):
        async def test(joining):
            await asyncio.sleep(14.9)
            self.assertEqual(joining.lost, [])
            await asyncio.sleep(10.2)
            self.assertEqual([error.code for error in joining.lost], ["signal-timeout"])

        joined(test)

    def test_any_message_keeps_it_alive(self):
        async def test(joining):
            for i in range(20):
                await asyncio.sleep(9)
                if i % 2:
                    joining.server.say("room_update", {"room": {"name": "x"}})
                else:
                    joining.server.raw(frame(PING, b"12"))
            self.assertEqual(joining.lost, [])
            self.assertEqual(joining.server.asked(PONG), [b"12"] * 10)

        joined(test)

    def test_a_pong_leaves_at_once(self):
        async def test(joining):
            joining.server.raw(frame(PING, b"now"))
            await fake_time.turns()
            self.assertEqual(joining.server.asked(PONG), [b"now"])

        joined(test)

    def test_wild_intervals_of_a_server_are_brought_into_bounds(self):
        for interval, timeout, least, most in ((-5, -1, 1, 100), (0, 0, 1, 100), (2**31 - 1,) * 2 + (0, 100)):
            join = dict(JOIN)
            join.update({"ping_interval": interval, "ping_timeout": timeout})

            async def test(joining, least=least, most=most):
                for _ in range(10):
                    await asyncio.sleep(10)
                    joining.server.say("room_update", {})
                pings = len(joining.server.asked("ping_req"))
                self.assertLessEqual(least, pings)
                self.assertLessEqual(pings, most)
                self.assertEqual(joining.lost, [])

            with self.subTest(interval=interval):
                joined(test, [("join", join)])

    def test_a_server_that_stops_reading_ends_it(self):
        async def test(joining):
            async def chatter():
                while not joining.lost:
                    joining.server.say("room_update", {})
                    await asyncio.sleep(1)

            joining.server.takes_nothing = True
            task = asyncio.create_task(chatter())
            await asyncio.sleep(60)
            self.assertEqual([error.code for error in joining.lost], ["signal-timeout"])
            await task

        joined(test)


class TestTokens(Case):
    def test_the_newest_token_is_kept_and_the_old_one_wiped(self):
        async def test(joining):
            old = joining.client.token
            joining.server.say("refresh_token", "eyJ.second.x")
            joining.server.say("refresh_token", "eyJ.third.x")
            await fake_time.turns()
            self.assertEqual(joining.client.token.reveal(), "eyJ.third.x")
            self.assertEqual(old.reveal(), "")
            self.assertEqual(joining.said, [("refresh_token", None)] * 2)
            await joining.client.close()
            self.assertFalse(joining.client.token)

        joined(test)


class TestEnd(Case):
    def ends_with(self, code, do):
        async def test(joining):
            do(joining.server)
            await fake_time.turns()
            await asyncio.sleep(120)
            self.assertEqual([error.code for error in joining.lost], [code])
            with self.assertRaises(Closed):
                await joining.client.send("mute", {"sid": "x"})
            await joining.client.close()
            self.assertEqual(len(joining.lost), 1)
            self.assertTrue(joining.server.all_closed())

        joined(test)

    def test_each_way_to_end_is_told_once(self):
        self.ends_with("ws-closed", lambda server: server.close_frame(1001))
        self.ends_with("ws-closed", lambda server: server.end())
        self.ends_with("ws-closed", lambda server: server.end(Closed("ws-closed", "reset")))
        self.ends_with("protobuf", lambda server: server.raw(frame(BINARY, b"\xff\xff\xff")))
        self.ends_with("ws", lambda server: server.raw(frame(BINARY, b"x", rsv=4)))
        self.ends_with("ws-too-large", lambda server: server.raw(frame(BINARY, b"", size=1 << 20)))

    def test_a_handler_that_breaks_ends_it_with_words(self):
        async def test(joining):
            def broken(name, message):
                raise KeyError("our own mistake")

            joining.client._on_signal = broken
            joining.server.say("room_update", {})
            await fake_time.turns()
            self.assertEqual([error.code for error in joining.lost], ["signal"])

        joined(test)

    def test_leave_goes_before_the_close_frame_and_the_stream_is_closed(self):
        async def test(joining):
            await joining.client.leave(1)
            self.assertEqual(joining.server.requests, [("leave", {"reason": 1})])
            self.assertIsNone(joining.server.closed_with)
            await joining.client.close()
            self.assertEqual(joining.server.closed_with, b"\x03\xe8")
            self.assertTrue(joining.server.all_closed())
            await joining.client.close()
            await joining.client.leave(1)
            self.assertEqual(len(joining.server.requests), 1)
            self.assertFalse(joining.client.send_soon("mute", {"sid": "x"}))
            self.assertIn(fake_time.tasks_left(), (None, 0))

        joining = joined(test)
        self.assertEqual(joining.lost, [])

    def test_a_dead_connection_does_not_hold_up_the_end(self):
        async def test(joining):
            joining.server.takes_nothing = True
            start = fake_time.now_us()
            await joining.client.leave(1)
            await joining.client.close()
            self.assertLess(fake_time.now_us() - start, 3000000)
            self.assertTrue(joining.server.all_closed())

        joined(test)

    def test_closing_while_the_connection_is_being_made_leaves_nothing_open(self):
        for n in range(12):

            async def test(n=n):
                joining = Joining()
                task = asyncio.create_task(joining.connect())
                await fake_time.turns(n)
                await joining.client.close()
                try:
                    await task
                except Closed:
                    pass
                await fake_time.turns()
                await joining.client.close()
                return joining

            with self.subTest(turns=n):
                joining = fake_time.run(test())
                self.assertTrue(joining.server.all_closed())
                self.assertEqual(joining.lost, [])

    def test_cancelling_the_connection_at_any_turn_leaves_nothing_open(self):
        cancelled = 0
        for n in range(12):

            async def test(n=n):
                joining = Joining()
                task = asyncio.create_task(joining.connect())
                await fake_time.turns(n)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    self.assertTrue(joining.server.all_closed())
                    self.assertFalse(joining.client.token)
                    return True
                return False  # it was done

            cancelled += fake_time.run(test())
        self.assertGreater(cancelled, 3)
        self.assertLess(cancelled, 12)


if __name__ == "__main__":
    main()
