# The dialect layer gives the same answers on both interpreters.

import asyncio

from harness import TestCase, main, run
from linnet import compat, utf8

PERIOD = 1 << 30


class TestTicks(TestCase):
    def test_ticks_stay_in_30_bits_and_go_forward(self):
        first = compat.ticks_us()
        second = compat.ticks_us()
        self.assertTrue(0 <= first < PERIOD and 0 <= second < PERIOD)
        self.assertLessEqual(0, compat.ticks_diff(second, first))
        self.assertTrue(0 <= compat.ticks_ms() < PERIOD)

    def test_add_and_diff_go_around_the_border(self):
        cases = (
            (0, 1, 1),
            (PERIOD - 1, 1, 0),
            (0, -1, PERIOD - 1),
            (5, (1 << 29) - 1, (1 << 29) + 4),
            (PERIOD - 10, 20, 10),
        )
        for start, delta, end in cases:
            self.assertEqual(compat.ticks_add(start, delta), end)
            self.assertEqual(compat.ticks_diff(end, start), delta)
        self.assertEqual(compat.ticks_diff(0, 1 << 29), -(1 << 29))

    def test_unix_time_is_after_2024(self):
        self.assertGreater(compat.unix_time(), 1700000000)


class TestWaiting(TestCase):
    def test_sleep_ms_can_be_limited(self):
        async def wait():
            with self.assertRaises(compat.TimeoutError):
                await compat.wait_for_ms(compat.sleep_ms(5000), 1)
            return await compat.wait_for_ms(self.answer(), 5000)

        self.assertEqual(run(wait()), 42)

    async def answer(self):
        await compat.sleep_ms(0)
        return 42

    def test_iscoroutine_tells_async_results_from_plain_ones(self):
        coroutine = self.answer()
        self.assertTrue(compat.iscoroutine(coroutine))
        self.assertEqual(run(coroutine), 42)
        for plain in (None, 1, "x", len, self.answer, asyncio.sleep):
            self.assertFalse(compat.iscoroutine(plain))


class TestBytes(TestCase):
    def test_digests(self):
        self.assertEqual(
            compat.hexlify(compat.sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d"
        )
        self.assertEqual(compat.hexlify(compat.sha256(b"abc"))[:16], "ba7816bf8f01cfea")

    def test_random_bytes_differ(self):
        self.assertNotEqual(compat.rand_bytes(16), compat.rand_bytes(16))
        self.assertEqual(len(compat.rand_bytes(5)), 5)

    def test_base64_there_and_back(self):
        for n in range(40):
            data = bytes(range(250 - n, 250))
            for encode, decode in (
                (compat.b64encode, compat.b64decode),
                (compat.b64url_encode, compat.b64url_decode),
            ):
                text = encode(data)
                self.assertEqual(decode(text), data)
                self.assertEqual(decode(text.rstrip("=")), data)
        self.assertEqual(compat.b64url_encode(b"\xfb\xef\xff"), "--__")
        self.assertEqual(compat.b64encode(b"\xfb\xef\xff\xfe"), "++///g==")

    def test_what_is_no_base64_is_a_value_error(self):
        for text in (
            "a",
            "abcde",
            "ab=c",
            "a===",
            "ab c",
            "ab\n",
            "a+b/",
            "\u017cabc",
            "=",
            "====",
        ):
            with self.assertRaises(ValueError):
                compat.b64url_decode(text)
        with self.assertRaises(ValueError):
            compat.b64decode("a-b_")

    def test_json_that_is_none_is_a_value_error_and_nothing_else(self):
        self.assertEqual(compat.json_loads('{"a": [1, null, "x"]}'), {"a": [1, None, "x"]})
        for text in ("", "{", '{"a"', "[" * 20000, "nul", "\u017c"):
            with self.assertRaises(ValueError):
                compat.json_loads(text)


class TestUtf8(TestCase):
    def test_every_border_of_every_length(self):
        for good in (0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF):
            self.assertTrue(utf8.is_utf8(chr(good).encode()))

    def test_overlong_surrogate_cut_and_too_large_are_refused(self):
        for bad in (
            b"\xc0\x80",
            b"\xe0\x9f\xbf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe2\x82",
        ):
            self.assertFalse(utf8.is_utf8(bad))

    def test_cut_ends_between_characters(self):
        data = "a\u017c\u20ac\U0001f422".encode()
        lengths = [len(utf8.cut(data, n)) for n in range(12)]
        self.assertEqual(lengths, [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10])


if __name__ == "__main__":
    main()
