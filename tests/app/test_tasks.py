# Loops beside a caller: what ends one from within is told, and close() ends them all.

import asyncio

import fake_time
from harness import TestCase, main
from linnet import log
from linnet.errors import Closed
from linnet.tasks import Tasks


class TestTasks(TestCase):
    def setUp(self):
        self.lines = []
        self.failures = []
        log.set_sink(lambda level, where, text: self.lines.append(where + ": " + text), log.DEBUG)

    def tearDown(self):
        log.set_sink(None, log.WARN)

    def ended_by(self, error):
        """What is told of a loop that raises `error`."""

        async def loop():
            raise error

        async def test():
            tasks = Tasks("owner", self.failures.append)
            tasks.start(loop)
            await fake_time.turns()
            await tasks.close()

        fake_time.run(test())
        return self.failures

    def test_a_mistake_that_ends_a_loop_is_told_and_logged(self):
        error = ValueError("mistake")
        self.assertEqual(self.ended_by(error), [error])
        self.assertEqual(len(self.lines), 1)
        self.assertIn("owner", self.lines[0])
        self.assertIn("mistake", self.lines[0])

    def test_an_end_with_a_known_reason_is_told_and_no_error_of_the_log(self):
        error = Closed("ws-closed", "the server went")
        self.assertEqual(self.ended_by(error), [error])
        self.assertEqual(self.lines, [])

    def test_close_ends_every_loop_and_waits_for_what_it_still_does(self):
        ended = []

        async def loop():
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)
                ended.append(fake_time.now_us())

        async def test():
            tasks = Tasks("owner", self.failures.append)
            for _ in range(3):
                tasks.start(loop)
            await fake_time.turns()
            await tasks.close()
            self.assertEqual(len(ended), 3)
            await tasks.close()

        fake_time.run(test())
        self.assertEqual(self.failures, [])

    def test_a_loop_that_never_ran_is_ended_in_silence(self):
        ran = []

        async def loop():
            ran.append(1)

        async def test():
            tasks = Tasks("owner", self.failures.append)
            tasks.start(loop)
            await tasks.close()
            await fake_time.turns()

        fake_time.run(test())
        self.assertEqual((ran, self.failures), ([], []))

    def test_without_anyone_to_tell_close_raises_what_ended_a_loop(self):
        async def loop():
            raise ValueError("mistake")

        async def test():
            tasks = Tasks("owner")
            tasks.start(loop)
            await fake_time.turns()
            with self.assertRaises(ValueError):
                await tasks.close()

        fake_time.run(test())


if __name__ == "__main__":
    main()
