# The events file: one whole line for each event, at once, whatever is in it.

import json
import os
import time

import journal
from harness import TestCase, main
from journal import Journal, Stopwatch
from linnet.errors import Refused

PATH = "/tmp/linnet-test-journal-%d.jsonl" % (time.time_ns() % 1000000000)


class ShortFile:
    """Takes seven bytes at a time, as a pipe may."""

    def __init__(self, most=7):
        self.taken = []
        self.most = most

    def write(self, data):
        self.taken.append(bytes(data[: self.most]))
        return len(self.taken[-1]) or None

    def close(self):
        pass


class BrokenFile:
    def __init__(self, number):
        self.number = number

    def write(self, data):
        raise OSError(self.number)

    def close(self):
        pass


class TestJournal(TestCase):
    def setUp(self):
        self.journal = Journal(PATH, Stopwatch())

    def tearDown(self):
        self.journal.end(0)
        os.remove(PATH)

    def lines(self):
        with open(PATH) as file:
            return [json.loads(line) for line in file.read().split("\n") if line]

    def test_an_event_is_in_the_file_the_moment_it_is_written(self):
        seconds = self.journal.write("led", {"on": True})
        event = self.lines()[0]
        self.assertEqual((event["event"], event["on"]), ("led", True))
        self.assertLess(abs(event["time"] - seconds), 0.001)

    def test_at_is_the_same_moment_in_utc_to_the_millisecond(self):
        before = time.time_ns() // 1000000
        self.journal.write("x", {})
        after = time.time_ns() // 1000000
        known = []
        for ms in range(before, after + 1):
            known.append("%04d-%02d-%02dT%02d:%02d:%02d" % tuple(time.gmtime(ms // 1000)[:6]) + ".%03dZ" % (ms % 1000))
        self.assertIn(self.lines()[0]["at"], known)

    def test_time_at_and_event_come_first_and_no_field_hides_them(self):
        self.journal.write("x", {"time": 1, "at": 2, "event": 3})
        event = self.lines()[0]
        self.assertEqual(event["event"], "x")
        self.assertEqual((event["time_"], event["at_"], event["event_"]), (1, 2, 3))
        with open(PATH) as file:
            text = file.read()
        self.assertTrue(text.startswith('{"time": '))
        self.assertLess(text.find('"at": '), text.find('"event": '))

    def test_what_json_cannot_say_is_said_in_words(self):
        self.journal.write("x", {"thing": object(), "bytes": b"\x00", "text": "line\nbreak", "in": [{1: (2, b"3")}]})
        event = self.lines()[0]
        self.assertIn("object", event["thing"])
        self.assertEqual((event["bytes"], event["text"]), (repr(b"\x00"), "line\nbreak"))
        self.assertEqual(event["in"], [{"1": [2, repr(b"3")]}])

    def test_only_the_first_exit_counts_and_nothing_follows_it(self):
        self.journal.end(3, {"call_s": 1.5}, Refused("bad-url", "no such thing", "Do it right."))
        self.journal.end(130)
        self.journal.write("late", {})
        self.assertEqual(len(self.lines()), 1)
        event = self.lines()[0]
        self.assertEqual((event["event"], event["code"], event["call_s"]), ("exit", 3, 1.5))
        self.assertEqual((event["error"], event["cause"], event["cure"]), ("bad-url", "no such thing", "Do it right."))

    def test_a_token_in_a_cause_is_not_written(self):
        self.journal.end(3, {}, Refused("ws", "the server said eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJiIn0.c2ln"))
        self.assertEqual(self.lines()[0]["cause"], "the server said ***")

    def test_a_line_that_is_taken_in_pieces_is_whole(self):
        file = self.journal._file = ShortFile()
        self.journal.write("x", {"text": "y" * 100})
        self.assertGreater(len(file.taken), 10)
        self.assertEqual(json.loads(b"".join(file.taken))["text"], "y" * 100)
        self.assertEqual(self.journal.trouble, "")

    def test_a_reader_that_takes_nothing_is_remembered_and_not_waited_for(self):
        self.journal._file = ShortFile(0)
        self.journal.write("x", {})
        self.assertIn("not complete", self.journal.trouble)
        self.assertIsNone(self.journal._file)


class TestTrouble(TestCase):
    def test_a_full_disk_is_remembered_and_hurts_nobody(self):
        journal = Journal("/dev/full", Stopwatch())
        for event in "xy":
            journal.write(event, {})
        journal.end(0)
        self.assertEqual(journal.trouble, "the events in /dev/full are not complete: No space left on device")

    def test_only_a_reader_that_went_is_no_loss(self):
        for number, is_unread in ((28, False), (11, False), (32, True)):
            journal = Journal(None, Stopwatch())
            journal._file = BrokenFile(number)
            journal.write("x", {})
            self.assertEqual((bool(journal.trouble), journal.is_unread), (True, is_unread))

    def test_a_file_that_cannot_be_written_is_refused(self):
        with self.assertRaises(Refused) as caught:
            Journal("/not/there", Stopwatch())
        self.assertEqual(caught.exception.code, "file-missing")
        self.assertIn("/not/there cannot be written: No such file or directory", caught.exception.cause)

    def test_without_a_file_time_still_runs(self):
        journal = Journal(None, Stopwatch())
        self.assertLessEqual(0, journal.write("x", {}))
        self.assertLessEqual(journal.write("y", {}), journal.seconds())


class TestStopwatch(TestCase):
    def test_a_clock_that_goes_round_does_not_turn_it_back(self):
        real, now = journal.ticks_us, [(1 << 30) - 1000]
        journal.ticks_us = lambda: now[0] & 0x3FFFFFFF
        try:
            watch = Stopwatch()
            seen = []
            for _ in range(8):
                now[0] += 400000000
                seen.append(watch.seconds())
        finally:
            journal.ticks_us = real
        self.assertEqual(seen, [400.0 * i for i in range(1, 9)])


if __name__ == "__main__":
    main()
