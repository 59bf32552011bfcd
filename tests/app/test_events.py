# on(), once(), off() and emit() as in livekit.rtc; a broken handler harms nobody else.

import asyncio

import fake_time
from harness import IS_MICROPYTHON, TestCase, main
from linnet import log
from linnet.events import EventEmitter


class TestEvents(TestCase):
    def setUp(self):
        self.it = EventEmitter()
        self.got = []
        self.lines = []
        log.set_sink(lambda level, where, text: self.lines.append((level, where, text)))

    def tearDown(self):
        log.set_sink(None, log.WARN)

    def test_handlers_get_the_arguments_in_the_order_of_registration(self):
        self.it.on("e", lambda *args: self.got.append(("first",) + args))
        self.it.on("e", lambda *args: self.got.append(("second",) + args))
        self.it.on("other", lambda *args: self.got.append("never"))
        self.it.emit("e", 1, "two")
        self.assertEqual(self.got, [("first", 1, "two"), ("second", 1, "two")])

    def test_on_and_once_are_decorators_that_give_the_function_back(self):
        @self.it.on("e")
        def always(n):
            self.got.append(n)

        @self.it.once("e")
        def only_once(n):
            self.got.append(-n)

        always(0)
        only_once(0)
        self.it.emit("e", 1)
        self.it.emit("e", 2)
        self.assertEqual(self.got, [0, 0, 1, -1, 2])

    def test_off_forgets_and_does_not_mind_what_was_never_there(self):
        handler = self.it.on("e", self.got.append)
        self.it.off("e", print)
        self.it.off("never", print)
        self.it.emit("e", 1)
        self.it.off("e", handler)
        self.it.emit("e", 2)
        self.assertEqual(self.got, [1])

    def test_an_event_that_nobody_wants_is_nothing(self):
        self.it.emit("nobody", 1, 2, 3)

    def test_once_counts_once_even_if_it_causes_the_event_itself(self):
        def again():
            self.got.append("once")
            if len(self.got) < 5:
                self.it.emit("e")

        self.it.on("e", lambda: self.got.append("on") or len(self.got) < 2 and self.it.emit("e"))
        self.it.once("e", again)
        self.it.emit("e")
        self.assertEqual(self.got.count("once"), 1)

    def test_a_handler_taken_off_by_an_earlier_one_is_not_called(self):
        def second():
            self.got.append("second")

        self.it.on("e", lambda: self.it.off("e", second))
        self.it.on("e", second)
        self.it.once("e", second)
        self.it.emit("e")
        self.assertEqual(self.got, [])

    def test_a_handler_with_fewer_parameters_gets_so_many_arguments_where_python_tells(self):
        class Screen:
            def show(this, first):
                self.got.append(("method", first))

            def __call__(this, first, second):
                self.got.append(("object", first, second))

        async def slow(first):
            self.got.append(("async", first))

        def with_default(first, second=None):
            self.got.append(("default", first, second))

        async def test():
            for handler in (lambda: self.got.append(("none",)), Screen().show, Screen(), slow, with_default):
                self.it.on("e", handler)
            self.it.once("e", lambda first: self.got.append(("once", first)))
            self.it.emit("e", 1, 2, 3)
            await asyncio.sleep(0)

        fake_time.run(test())
        if IS_MICROPYTHON:
            self.assertEqual(self.got, [])
            self.assertEqual(len(self.lines), 6)
        else:
            expected = [("none",), ("method", 1), ("object", 1, 2), ("default", 1, 2), ("once", 1), ("async", 1)]
            self.assertEqual((self.got, self.lines), (expected, []))

    def test_a_failure_is_one_line_that_names_event_handler_and_error(self):
        def fragile(n):
            raise ValueError("no such lamp")

        class Lamp:
            def __call__(self, n):
                raise ValueError("no such lamp")

        for handler, name in ((fragile, "fragile"), (Lamp(), "Lamp")):
            self.lines.clear()
            emitter = EventEmitter()
            emitter.on("lamp_changed", handler)
            emitter.emit("lamp_changed", 1)
            ((level, _, text),) = self.lines
            self.assertEqual(level, log.WARN)
            for word in (name, "lamp_changed", "ValueError", "no such lamp"):
                self.assertIn(word, text)

    def test_its_traceback_is_told_at_debug(self):
        def fragile(n):
            raise ValueError("no such lamp")

        log.set_sink(lambda level, where, text: self.lines.append((level, where, text)), log.DEBUG)
        self.it.on("e", fragile)
        self.it.emit("e", 1)
        self.assertEqual(self.lines[0][0], log.WARN)
        rest = self.lines[1:]
        self.assertEqual([level for level, _, _ in rest], [log.DEBUG] * len(rest))
        self.assertTrue([text for _, _, text in rest if "test_events.py" in text and "fragile" in text])

    def test_a_broken_handler_is_logged_and_the_next_one_runs(self):
        self.it.on("e", lambda: self.got[7])
        self.it.on("e", lambda: self.got.append("next"))
        self.it.emit("e")
        self.assertEqual(self.got, ["next"])
        self.assertEqual([(level, where) for level, where, _ in self.lines], [(log.WARN, "events")])

    def test_a_coroutine_runs_as_a_task_and_its_failure_is_logged(self):
        async def slow(n):
            await asyncio.sleep(1)
            self.got.append(n)
            raise KeyError("x")

        async def test():
            self.it.on("e", slow)
            self.it.emit("e", 5)
            self.assertEqual(self.got, [])
            await asyncio.sleep(2)

        fake_time.run(test())
        self.assertEqual(self.got, [5])
        self.assertEqual(len(self.lines), 1)


if __name__ == "__main__":
    main()
