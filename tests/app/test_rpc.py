# Remote method calls, version 1, both ways and with every code (protocol.md 5.1).

import asyncio

import fake_time
from harness import TestCase, main
from linnet import log
from linnet.errors import Closed, Refused, RpcError
from linnet.port import Port
from linnet.rpc import MAX_CALLS, Rpc, cut_utf8

Code = RpcError.ErrorCode


class ScriptedData:
    """What the room's Data.send() would take; `reply(packet, destinations)` is the other side."""

    def __init__(self):
        self.sent = []
        self.reply = None
        self.error = None
        self.limit = None  # characters of a packet, about

    async def send(self, packet, reliable=True, destinations=()):
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if self.limit is not None and len(str(packet)) > self.limit:
            raise Refused("payload-too-large", "the packet is over the limit of the data channel")
        self.sent.append((packet, reliable, destinations))
        if self.reply is not None:
            self.reply(packet, destinations)

    def of(self, kind):
        return [packet[kind] for packet, _, _ in self.sent if kind in packet]


class ScriptedRoom:
    def __init__(self):
        self.port = Port(None, fake_time.VirtualClock())
        self.remote_participants = {"bob": None}
        self.server_version = "1.13.5"
        self._data = ScriptedData()
        self._rpc = Rpc(self)


def with_room(test):
    """Run `await test(room)` in virtual time."""

    async def whole():
        return await test(ScriptedRoom())

    return fake_time.run(whole())


def answering(room, *steps, after_ms=0):
    """The other side takes these steps, "ack" or fields of RpcResponse, for every request."""

    async def later(request_id):
        await asyncio.sleep(after_ms / 1000)
        for step in steps:
            if step == "ack":
                room._rpc.on_ack({"request_id": request_id})
            else:
                room._rpc.on_response(dict(step, request_id=request_id))

    def reply(packet, destinations):
        if "rpc_request" in packet:
            asyncio.create_task(later(packet["rpc_request"]["id"]))

    room._data.reply = reply


class Case(TestCase):
    def setUp(self):
        self.lines = []
        self.levels = []
        log.set_sink(self.note, log.DEBUG)

    def note(self, level, where, text):
        self.lines.append(text)
        self.levels.append(level)

    def tearDown(self):
        log.set_sink(None, log.WARN)

    async def fails(self, code, coroutine):
        try:
            await coroutine
        except RpcError as error:
            self.assertEqual(error.code, code)
            return error
        self.fail("no RpcError %d" % code)


class TestCalling(Case):
    def test_the_request_is_complete_reliable_and_to_one(self):
        async def test(room):
            answering(room, "ack", {"payload": "fine"})
            self.assertEqual(await room._rpc.perform("bob", "m", "p\u00fc", 9.5), "fine")
            packet, reliable, destinations = room._data.sent[0]
            request = packet["rpc_request"]
            self.assertEqual((reliable, destinations), (True, ("bob",)))
            self.assertEqual(request["method"], "m")
            self.assertEqual(request["payload"], "p\u00fc")
            self.assertEqual(request["response_timeout_ms"], 9500)
            self.assertEqual(request["version"], 1)
            parts = request["id"].split("-")
            self.assertEqual([len(part) for part in parts], [8, 4, 4, 4, 12])
            self.assertEqual(parts[2][0], "4")
            self.assertIn(parts[3][0], "89ab")
            self.assertEqual(room._rpc._calls, {})

        with_room(test)

    def test_the_answer_may_come_before_the_ack_or_without_one(self):
        async def test(room):
            for steps in (({"payload": "x"},), ({"payload": "x"}, "ack"), ("ack", "ack", {"payload": "x"})):
                answering(room, *steps)
                self.assertEqual(await room._rpc.perform("bob", "m", "", 5), "x")

        with_room(test)

    def test_an_error_of_the_other_side_keeps_code_message_and_data(self):
        async def test(room):
            answering(room, "ack", {"error": {"code": 1400, "message": "none", "data": "d"}})
            error = await self.fails(1400, room._rpc.perform("bob", "m", "", 5))
            self.assertEqual((error.message, error.data), ("none", "d"))
            answering(room, "ack", {"error": {}})
            await self.fails(0, room._rpc.perform("bob", "m", "", 5))

        with_room(test)

    def test_without_an_ack_it_gives_up_after_seven_seconds_or_earlier(self):
        async def test(room):
            for timeout, waited in ((15, 7000), (2, 2000)):
                start = fake_time.now_us()
                await self.fails(Code.CONNECTION_TIMEOUT, room._rpc.perform("bob", "m", "", timeout))
                self.assertLessEqual(abs((fake_time.now_us() - start) // 1000 - waited), 5)

        with_room(test)

    def test_with_an_ack_and_no_answer_it_is_a_response_timeout(self):
        async def test(room):
            answering(room, "ack", after_ms=100)
            start = fake_time.now_us()
            await self.fails(Code.RESPONSE_TIMEOUT, room._rpc.perform("bob", "m", "", 3))
            self.assertLess(fake_time.now_us() - start, 3200000)
            self.assertEqual(room._rpc._calls, {})

        with_room(test)

    def test_the_response_timeout_counts_from_the_request_however_late_the_ack_is(self):
        async def test(room):
            answering(room, "ack", after_ms=900)
            start = fake_time.now_us()
            await self.fails(Code.RESPONSE_TIMEOUT, room._rpc.perform("bob", "m", "", 1.0))
            self.assertLessEqual(abs((fake_time.now_us() - start) // 1000 - 1000), 5)

        with_room(test)

    def test_no_timeout_is_fifteen_seconds_here_and_on_the_wire(self):
        async def test(room):
            answering(room, "ack", after_ms=100)
            start = fake_time.now_us()
            await self.fails(Code.RESPONSE_TIMEOUT, room._rpc.perform("bob", "m", "", None))
            self.assertLessEqual(abs((fake_time.now_us() - start) // 1000 - 15000), 5)
            self.assertEqual(room._data.of("rpc_request")[0]["response_timeout_ms"], 15000)

        with_room(test)

    def test_the_limit_for_the_ack_can_be_chosen(self):
        async def test(room):
            for latency, waited in ((2.5, 2500), (12, 12000), (60, 15000)):
                start = fake_time.now_us()
                call = room._rpc.perform("bob", "m", "", 15, latency)
                await self.fails(Code.CONNECTION_TIMEOUT, call)
                self.assertLessEqual(abs((fake_time.now_us() - start) // 1000 - waited), 5)

        with_room(test)

    def test_a_limit_beyond_any_timer_is_cut_to_an_hour(self):
        async def test(room):
            answering(room, {"payload": ""})
            await room._rpc.perform("bob", "m", "", 1e9)
            self.assertEqual(room._data.of("rpc_request")[0]["response_timeout_ms"], 3600000)

        with_room(test)

    def test_payload_limit_is_exactly_15360_bytes_of_utf8(self):
        async def test(room):
            answering(room, "ack", {"payload": ""})
            await room._rpc.perform("bob", "m", "x" * 15360, 5)
            await room._rpc.perform("bob", "m", "\u00fc" * 7680, 5)
            for payload in ("x" * 15361, "\u00fc" * 7680 + "x"):
                too_large = Code.REQUEST_PAYLOAD_TOO_LARGE
                await self.fails(too_large, room._rpc.perform("bob", "m", payload, 5))
            self.assertEqual(len(room._data.sent), 2)

        with_room(test)

    def test_nobody_of_that_name_and_an_old_server_are_known_before_anything_is_sent(self):
        async def test(room):
            await self.fails(Code.RECIPIENT_NOT_FOUND, room._rpc.perform("eve", "m", "", 5))
            for version in ("1.7.9", "1.7", "0.0.1", "1"):
                room.server_version = version
                await self.fails(Code.UNSUPPORTED_SERVER, room._rpc.perform("bob", "m", "", 5))
            self.assertEqual(room._data.sent, [])
            answering(room, {"payload": ""})
            for version in ("", "1.8", "1.8.0", "1.13.5-rc1", "2", "1.1\u00b20", "v1.9"):
                room.server_version = version
                if version not in ("1.1\u00b20", "v1.9"):
                    await room._rpc.perform("bob", "m", "", 5)
                else:
                    try:  # no version at all: refused or not, but no other error
                        await room._rpc.perform("bob", "m", "", 5)
                    except RpcError:
                        pass

        with_room(test)

    def test_a_channel_that_does_not_send_is_1505_with_its_cause(self):
        async def test(room):
            room._data.error = Closed("not-connected", "the room was left")
            error = await self.fails(Code.SEND_FAILED, room._rpc.perform("bob", "m", "", 5))
            self.assertIn("the room was left", error.message)
            self.assertEqual(room._rpc._calls, {})

        with_room(test)

    def test_calls_to_somebody_who_leaves_fail_at_once_and_others_go_on(self):
        async def test(room):
            room.remote_participants["eve"] = None
            gone = asyncio.create_task(self.fails(1503, room._rpc.perform("bob", "m", "", 60)))
            other = asyncio.create_task(room._rpc.perform("eve", "m", "", 60))
            await fake_time.turns()
            start = fake_time.now_us()
            room._rpc.on_participant_gone("bob")
            await gone
            self.assertLess(fake_time.now_us() - start, 50000)
            request = [p["rpc_request"] for p, _, to in room._data.sent if to == ("eve",)][0]
            room._rpc.on_response({"request_id": request["id"], "payload": "still here"})
            self.assertEqual(await other, "still here")

        with_room(test)

    def test_when_the_room_closes_every_call_fails_at_once(self):
        async def test(room):
            calls = [
                asyncio.create_task(self.fails(1503, room._rpc.perform("bob", "m", "", 60)))
                for _ in range(5)
            ]
            await fake_time.turns()
            room._rpc.on_closed()
            await asyncio.gather(*calls)

        with_room(test)

    def test_a_hundred_calls_in_flight_find_their_answers(self):
        async def test(room):
            calls = [asyncio.create_task(room._rpc.perform("bob", "m", str(n), 5)) for n in range(100)]
            await fake_time.turns()
            requests = room._data.of("rpc_request")
            self.assertEqual(len(requests), 100)
            self.assertEqual(len(set([request["id"] for request in requests])), 100)
            for request in reversed(requests):
                room._rpc.on_ack({"request_id": request["id"]})
                answer = "re " + request["payload"]
                room._rpc.on_response({"request_id": request["id"], "payload": answer})
            self.assertEqual(await asyncio.gather(*calls), ["re %d" % n for n in range(100)])

        with_room(test)

    def test_there_is_a_most_of_calls(self):
        async def test(room):
            calls = [
                asyncio.create_task(self.fails(1503, room._rpc.perform("bob", "m", "", 60)))
                for _ in range(MAX_CALLS)
            ]
            await fake_time.turns()
            await self.fails(Code.SEND_FAILED, room._rpc.perform("bob", "m", "", 60))
            room._rpc.on_closed()
            await asyncio.gather(*calls)

        with_room(test)

    def test_answers_and_acks_to_no_call_are_passed_over(self):
        async def test(room):
            room._rpc.on_ack({})
            room._rpc.on_ack({"request_id": "x"})
            room._rpc.on_response({"request_id": "x", "payload": "p"})
            room._rpc.on_response({})

        with_room(test)

    def test_a_cancelled_call_leaves_nothing_behind(self):
        async def test(room):
            call = asyncio.create_task(room._rpc.perform("bob", "m", "", 60))
            await fake_time.turns()
            call.cancel()
            try:
                await call
                self.fail("was not cancelled")
            except asyncio.CancelledError:
                pass
            self.assertEqual(room._rpc._calls, {})

        with_room(test)


class TestCutting(TestCase):
    def test_it_cuts_between_characters(self):
        for text, limit, kept in (
            ("", 4, ""),
            ("abcd", 4, "abcd"),
            ("abcde", 4, "abcd"),
            ("abc\u00fc", 4, "abc"),
            ("ab\u20acx", 4, "ab"),
            ("a\U0001f426x", 4, "a"),
            ("\U0001f426x", 4, "\U0001f426"),
            ("\U0001f426", 3, ""),
        ):
            with self.subTest(text=text):
                self.assertEqual(cut_utf8(text, limit), kept)


if __name__ == "__main__":
    main()
