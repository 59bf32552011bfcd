"""The events file: one whole line for each event, at once, whatever is in it."""

import datetime
import json

import pytest

from host_sim.journal import Journal
from linnet.errors import Refused


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_in_the_file_the_moment_it_is_written(tmp_path):
    path = tmp_path / "e.jsonl"
    journal = Journal(path)
    seconds = journal.write("led", {"on": True})
    [event] = lines(path)
    assert (event["event"], event["on"]) == ("led", True)
    assert abs(event["time"] - seconds) < 0.001
    assert datetime.datetime.fromisoformat(event["at"]).tzinfo is not None


def test_a_field_never_hides_time_at_or_event(tmp_path):
    path = tmp_path / "e.jsonl"
    Journal(path).write("x", {"time": 1, "at": 2, "event": 3})
    [event] = lines(path)
    assert event["event"] == "x"
    assert (event["time_"], event["at_"], event["event_"]) == (1, 2, 3)


def test_what_json_cannot_say_is_said_in_words(tmp_path):
    path = tmp_path / "e.jsonl"
    Journal(path).write("x", {"thing": object(), "bytes": b"\x00", "text": "line\nbreak"})
    assert len(path.read_text().splitlines()) == 1
    assert "object" in lines(path)[0]["thing"]


def test_only_the_first_exit_counts_and_nothing_follows_it(tmp_path):
    path = tmp_path / "e.jsonl"
    journal = Journal(path)
    journal.end(0)
    journal.end(130)
    journal.write("late", {})
    assert [(event["event"], event["code"]) for event in lines(path)] == [("exit", 0)]


def test_a_full_disk_is_remembered_and_hurts_nobody():
    journal = Journal("/dev/full")
    journal.write("x", {})
    journal.write("y", {})
    journal.end(0)
    assert "/dev/full" in journal.trouble


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(Refused):
        Journal(tmp_path / "not" / "there")


def test_without_a_file_time_still_runs():
    journal = Journal(None)
    assert 0 <= journal.write("x", {}) <= journal.seconds()
