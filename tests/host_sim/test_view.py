"""The screen: it fits any terminal, tells what is true, and is deaf to what others write into it."""

import re

import pytest

from host_sim.view import Meters, Screen, Style, bar, cells, clean, fit, frame

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nagent\u202egnp\u0000\u009b5n"


def plain(line):
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def busy_screen():
    screen = Screen()
    screen.state, screen.room, screen.identity = "connected", "room " + "x" * 60, "badge"
    screen.seconds, screen.quality, screen.rtt_ms, screen.loss_percent, screen.jitter_ms = 3725, 2, 12.3, 0.5, 3.2
    screen.sent, screen.received, screen.microphone, screen.keys, screen.led = 123456, 654321, 20, True, True
    screen.others = [(HOSTILE, 0, HOSTILE), ("\u65e5\u672c\u8a9e" * 10, 30, "speaking"), ("quiet", 127, "")] * 5
    screen.events = [(i, HOSTILE * (i % 3 + 1)) for i in range(40)]
    return screen


@pytest.mark.parametrize("style", [Style(True, True), Style(False, True), Style(False, False)])
@pytest.mark.parametrize("width", [1, 10, 39, 40, 52, 60, 71, 80, 100, 110, 200])
@pytest.mark.parametrize("height", [1, 7, 8, 12, 24, 60])
def test_the_screen_fits_every_terminal(style, width, height):
    for screen in (busy_screen(), Screen()):
        lines = frame(screen, width, height, style)
        assert len(lines) <= height
        assert max(cells(plain(line)) for line in lines) <= width
        if not style.unicode:
            assert "".join(lines).isascii()


def test_names_of_others_never_reach_the_terminal_as_commands():
    drawn = "\n".join(frame(busy_screen(), 100, 30, Style(False, True)))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", drawn)
    assert clean(HOSTILE) == "?[2J?]0;owned?  agent?gnp??5n"


def test_more_people_than_lines_are_counted():
    lines = [plain(line) for line in frame(busy_screen(), 100, 16, Style(False))]
    assert any("more" in line for line in lines)


def test_the_screen_tells_what_is_true():
    screen = busy_screen()
    screen.others, screen.events = [("agent", 24, "speaking")], [(1.5, "agent came")]
    text = "\n".join(plain(line) for line in frame(screen, 100, 24, Style(False)))
    for word in ("connected", "1:02:05", "badge", "agent", "-24 dB", "speaking", "on", "excellent", "12 ms", "0.5 %",
                 "agent came", "m mute", "q leave"):
        assert word in text, word
    screen.muted, screen.led, screen.others = True, False, []
    text = "\n".join(plain(line) for line in frame(screen, 100, 24, Style(False)))
    for word in ("muted", "m unmute", "off", "nobody else"):
        assert word in text, word


def test_a_board_without_led_and_button_shows_neither():
    screen = busy_screen()
    screen.has_led = screen.has_button = False
    text = "\n".join(frame(screen, 100, 24, Style(False)))
    assert "LED" not in text and "mute" not in text and "q leave" in text


@pytest.mark.parametrize(("level", "columns"), [(0, 20), (30, 10), (60, 0), (127, 0), (-5, 20)])
def test_a_bar_is_as_long_as_the_level_is_loud(level, columns):
    assert bar(level, 20, Style(False, False)) == "#" * columns + "." * (20 - columns)


def test_a_bar_goes_from_green_to_red():
    painted = bar(0, 20, Style(True, True))
    assert painted.index("\x1b[32m") < painted.index("\x1b[33m") < painted.index("\x1b[31m")


def test_levels_rise_at_once_and_fall_slowly():
    meters = Meters()
    assert meters.show({"a": 10}, 0.1) == {"a": 10}
    assert meters.show({"a": 127}, 0.1) == {"a": 14}
    assert meters.show({"a": 5}, 0.1) == {"a": 5}
    assert meters.show({"b": 127}, 0.1) == {"b": 127}


@pytest.mark.parametrize(("text", "width", "shown"), [
    ("abc", 5, "abc  "), ("abcdef", 4, "abc\u2026"), ("\u65e5\u672c", 3, "\u65e5\u2026"),
    ("\u65e5\u672c", 1, "\u2026"), ("e\u0301e", 2, "e\u0301e"), ("abc", 0, ""),
])
def test_text_is_cut_by_columns_and_not_by_characters(text, width, shown):
    assert fit(text, width) == shown
    assert cells(fit(text, width)) == width
