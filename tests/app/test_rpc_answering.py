# Answering remote method calls: ack first, then the result or the right code.

import asyncio

import fake_time
from harness import main
from linnet import log
from linnet.errors import Closed, Refused, RpcError
from linnet.rpc import MAX_CALLS
from test_rpc import Case, with_room

REQUEST = {"id": "r1", "method": "m", "payload": "in", "response_timeout_ms": 8000, "version": 1}


class TestAnswering(Case):
    def answer_of(self, handler, **changes):
        """The RpcResponse to one request; its ack was sent first, both to the caller alone."""
        answers = []

        async def test(room):
            if handler is not None:
                room._rpc.register("m", handler)
            request = dict(REQUEST)
            request.update(changes)
            room._rpc.on_request("bob", request)
            await asyncio.sleep(100)
            kinds = [list(packet)[0] for packet, _, _ in room._data.sent]
            self.assertEqual(kinds, ["rpc_ack", "rpc_response"])
            for packet, reliable, destinations in room._data.sent:
                self.assertEqual((reliable, destinations), (True, ("bob",)))
                self.assertEqual(list(packet.values())[0]["request_id"], "r1")
            answers.append(room._data.sent[1][0]["rpc_response"])

        with_room(test)
        return answers[0]

    def code_of(self, handler, **changes):
        answer = self.answer_of(handler, **changes)
        self.assertNotIn("payload", answer)
        return answer["error"]["code"]

    def test_handlers_plain_and_async_get_everything_and_their_text_goes_back(self):
        got = []

        def plain(data):
            got.append(data)
            return "out"

        async def slow(data):
            await asyncio.sleep(2)
            return plain(data)

        for handler in (plain, slow):
            self.assertEqual(self.answer_of(handler)["payload"], "out")
        for data in got:
            self.assertEqual(data.request_id, "r1")
            self.assertEqual(data.caller_identity, "bob")
            self.assertEqual(data.payload, "in")
            self.assertEqual(data.response_timeout, 8.0)
            self.assertEqual(data.method, "m")

    def test_no_result_is_an_empty_text(self):
        self.assertEqual(self.answer_of(lambda data: None)["payload"], "")
        self.assertEqual(self.answer_of(lambda data: "")["payload"], "")

    def test_unknown_methods_and_other_versions_have_their_codes(self):
        self.assertEqual(self.code_of(None), 1400)
        for version in (0, 2, 99):
            self.assertEqual(self.code_of(lambda data: "x", version=version), 1404)

    def test_a_handler_that_breaks_or_answers_no_text_is_1500(self):
        async def breaks_later(data):
            await asyncio.sleep(1)
            raise ValueError("secret detail")

        def breaks(data):
            raise KeyError("secret detail")

        for handler in (breaks, breaks_later, lambda data: 5, lambda data: b"x", lambda data: ["x"]):
            answer = self.answer_of(handler)
            self.assertEqual(answer["error"]["code"], 1500)
            self.assertNotIn("secret", answer["error"]["message"])

    def test_a_handlers_own_rpc_error_goes_out_as_it_is_and_cut(self):
        def fails(data):
            raise RpcError(2001, "\u20ac" * 200, "d" * 20000)

        error = self.answer_of(fails)["error"]
        self.assertEqual(error["code"], 2001)
        self.assertEqual(error["message"], "\u20ac" * 85)
        self.assertEqual(len(error["data"]), 15360)

    def test_an_rpc_error_that_fits_no_wire_still_is_an_answer(self):
        for code in (-1, 1 << 40, "x", None, 2.5):

            def fails(data, code=code):
                raise RpcError(code, "m")

            with self.subTest(code=code):
                self.assertEqual(self.code_of(fails), 1500)

    def test_a_slow_handler_is_stopped_at_the_callers_limit(self):
        stopped = []

        async def slow(data):
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                stopped.append(1)
                raise

        self.assertEqual(self.code_of(slow), 1502)
        self.assertEqual(stopped, [1])

    def test_limits_of_a_caller_that_are_absent_or_wild_are_brought_into_bounds(self):
        seen = []

        async def handler(data):
            seen.append(data.response_timeout)
            await asyncio.sleep(1)
            return "x"

        for timeout in (0, 0xFFFFFFFF):
            self.assertEqual(self.answer_of(handler, response_timeout_ms=timeout)["payload"], "x")
        self.assertEqual(seen[0], 15.0)
        self.assertLessEqual(seen[1], 3600.0)

    def test_the_answer_limit_is_exactly_15360_bytes(self):
        self.assertEqual(len(self.answer_of(lambda data: "x" * 15360)["payload"]), 15360)
        self.assertEqual(self.code_of(lambda data: "x" * 15361), 1504)
        self.assertEqual(self.code_of(lambda data: "\u00fc" * 7681), 1504)

    def test_the_ack_does_not_wait_for_the_handler(self):
        async def test(room):
            async def slow(data):
                await asyncio.sleep(5)

            room._rpc.register("m", slow)
            room._rpc.on_request("bob", dict(REQUEST))
            await fake_time.turns()
            self.assertEqual(room._data.of("rpc_ack"), [{"request_id": "r1"}])
            self.assertEqual(room._data.of("rpc_response"), [])

        with_room(test)

    def test_register_is_a_decorator_too_and_unregister_forgets(self):
        async def test(room):
            @room._rpc.register("m", None)
            def handler(data):
                return "x"

            self.assertEqual(handler(None), "x")
            room._rpc.unregister("m")
            room._rpc.unregister("never")
            room._rpc.on_request("bob", dict(REQUEST))
            await fake_time.turns()
            self.assertEqual(room._data.of("rpc_response")[0]["error"]["code"], 1400)

        with_room(test)

    def test_more_calls_at_once_than_allowed_are_answered_with_an_error(self):
        async def test(room):
            async def slow(data):
                await asyncio.sleep(5)
                return "x"

            room._rpc.register("m", slow)
            for n in range(MAX_CALLS + 3):
                room._rpc.on_request("bob", dict(REQUEST, id=str(n)))
            await asyncio.sleep(10)
            answers = room._data.of("rpc_response")
            self.assertEqual(len(answers), MAX_CALLS + 3)
            self.assertEqual(len([a for a in answers if a.get("payload") == "x"]), MAX_CALLS)
            self.assertEqual(len([a for a in answers if "error" in a]), 3)

        with_room(test)

    def test_an_answer_that_the_channel_does_not_take_is_1504(self):
        async def test(room):
            room._data.limit = 1000
            room._rpc.register("m", lambda data: "x" * 1000)
            room._rpc.on_request("bob", dict(REQUEST))
            await fake_time.turns()
            (answer,) = room._data.of("rpc_response")
            self.assertEqual((answer["request_id"], answer["error"]["code"]), ("r1", 1504))
            self.assertNotIn("payload", answer)

        with_room(test)

    def test_an_error_that_the_channel_does_not_take_goes_without_its_data(self):
        async def test(room):
            def fails(data):
                raise RpcError(4711, "not today", "x" * 1000)

            room._data.limit = 1000
            room._rpc.register("m", fails)
            room._rpc.on_request("bob", dict(REQUEST))
            await fake_time.turns()
            error = {"code": 4711, "message": "not today"}
            self.assertEqual(room._data.of("rpc_response"), [{"request_id": "r1", "error": error}])

        with_room(test)

    def test_an_answer_that_cannot_be_sent_is_a_warning_with_its_cause_and_nothing_else(self):
        for error in (
            Closed("not-connected", "the data channel is closed"),
            Refused("missing-grant", "the token does not grant canPublishData"),
            Refused("payload-too-large", "even an error is over the limit"),
        ):

            async def test(room, error=error):
                room._rpc.register("m", lambda data: "x")
                room._data.error = error
                room._rpc.on_request("bob", dict(REQUEST))
                room._rpc.on_request("", {})
                await fake_time.turns()
                self.assertEqual(room._rpc._answering, 0)

            self.lines, self.levels = [], []
            with_room(test)
            self.assertEqual(self.levels, [log.WARN] * 2)
            self.assertIn(error.cause, self.lines[0])
            self.assertIn("bob", self.lines[0])


if __name__ == "__main__":
    main()
