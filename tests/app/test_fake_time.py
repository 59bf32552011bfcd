# Virtual time must not hide a hang: what the other tests rely on.

import asyncio

import fake_time
from harness import TestCase, main


class TestFakeTime(TestCase):
    def test_an_hour_less_a_second_passes_at_once_and_is_counted(self):
        async def wait():
            start = fake_time.now_us()
            await asyncio.sleep(3599)
            return fake_time.now_us() - start

        passed = fake_time.run(wait())
        self.assertLessEqual(3599000000, passed + 1000)
        self.assertLess(passed, 3599900000)

    def test_a_wait_that_nobody_ends_is_noticed(self):
        async def wait():
            await asyncio.Event().wait()

        with self.assertRaises((asyncio.TimeoutError, AssertionError)):
            fake_time.run(wait())

    def test_limits_end_in_order(self):
        async def wait():
            clock = fake_time.VirtualClock()
            said = []

            async def limited(ms):
                try:
                    await clock.wait_for_ms(asyncio.Event().wait(), ms)
                except asyncio.TimeoutError:
                    said.append(ms)

            await asyncio.gather(limited(300), limited(100), limited(200))
            return said

        self.assertEqual(fake_time.run(wait()), [100, 200, 300])

    def test_a_new_run_has_nothing_of_the_last_one(self):
        ran = []

        async def leave_one():
            async def later():
                await asyncio.sleep(1)
                ran.append("later")

            asyncio.create_task(later())

        async def wait():
            await asyncio.sleep(5)

        fake_time.run(leave_one())
        fake_time.run(wait())
        self.assertEqual(ran, [])


if __name__ == "__main__":
    main()
