"""What a person sees of a running badge: a screen of text, or one line for each event.

Everything here turns facts into text and touches no terminal: terminal.py does. Names and texts come from other people
in the room, so whatever could move the cursor of a terminal is taken out of them first.
"""

import unicodedata

import words
from words import QUALITY, SILENCE

QUALITY_COLOUR = {0: "red", 1: "yellow", 2: "green", 3: "red"}
QUIETEST_DB = 60  # the left end of a level bar
FALL_DB_PER_S = 40  # of a level that is shown: the eye follows a bar that falls, not one that jumps
MIN_WIDTH, MAX_WIDTH = 40, 110

_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35",
            "cyan": "36", "lamp": "1;93"}
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Style:
    """How a terminal can be written to: with colours or not, with more than ASCII or not."""

    def __init__(self, colour=True, unicode=True):
        self.colour = colour
        self.unicode = unicode

    def paint(self, text, colour):
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colour and text and colour else text

    def sign(self, fancy, plain):
        return fancy if self.unicode else plain


# --- text of unknown origin ---


def clean(text, ascii_only=False):
    """`text` on one line, without characters that a terminal obeys or that hide others."""
    return words.clean(text, lambda c: unicodedata.category(c)[0] == "C" or (ascii_only and c > "~"))


def cells(text):
    """Columns that a text takes."""
    return sum(_cells(character) for character in text)


def _cells(character):
    if unicodedata.combining(character) or unicodedata.category(character) == "Me":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text, width, cut="…"):
    """`text` cut or filled to exactly `width` columns; `cut` stands where it was cut."""
    if cells(text) <= width:
        return text + " " * (width - cells(text))
    kept, used = [], 0
    for character in text:
        if used + _cells(character) > width - 1:
            break
        kept.append(character)
        used += _cells(character)
    return "".join(kept) + (cut if width > 0 else "") + " " * (width - 1 - used)


# --- levels ---


class Meters:
    """Levels as they are shown: they rise at once and fall slowly."""

    def __init__(self):
        self._shown = {}

    def show(self, levels, seconds):
        """{name: -dBov} of now and the time since the last call; the same with slow falls."""
        shown = {}
        for name, level in levels.items():
            before = self._shown.get(name, SILENCE)
            shown[name] = min(level, before + FALL_DB_PER_S * seconds)
        self._shown = shown
        return shown


def bar(level, width, style):
    """A level in -dBov as a bar of `width` columns, green to yellow to red."""
    part = max(0.0, min(1.0, 1 - level / QUIETEST_DB))
    eighths = round(part * width * 8)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[rest] if rest else "")
    if not style.unicode:
        filled = "#" * round(part * width)
    green, yellow = width * 2 // 3, width * 9 // 10  # -20 dB, -6 dB
    parts = ((filled[:green], "green"), (filled[green:yellow], "yellow"), (filled[yellow:], "red"))
    empty = style.sign("·", ".") * (width - len(filled))
    return "".join(style.paint(text, colour) for text, colour in parts) + style.paint(empty, "dim")


def decibels(level):
    return f"{-round(level):3d} dB" if level < QUIETEST_DB else "      "


# --- the screen ---


class Screen:
    """Facts for one drawing. Filled by run.py, drawn by frame()."""

    def __init__(self):
        self.state = "starting"  # then: joining, connected, left
        self.room = self.identity = self.board = ""
        self.seconds = 0.0
        self.has_led = self.has_button = True
        self.led = self.muted = self.keys = False
        self.microphone = SILENCE
        self.volume = 100
        self.others = []  # (name, level, note)
        self.quality = None
        self.rtt_ms = self.loss_percent = self.jitter_ms = None
        self.sent = self.received = self.concealed = 0
        self.events = []  # (seconds, text), oldest first


def frame(screen, width, height, style):
    """The lines of the screen, at most `height` of them, none wider than `width`."""
    width = min(width, MAX_WIDTH)
    if width < MIN_WIDTH or height < 8:
        text = f"{screen.state} {clock(screen.seconds)} {'LED on' if screen.led else ''}"
        return [_fit(text, max(1, width - 1), style)]
    head = [_title(screen, width, style), "", _microphone(screen, width, style)]
    room_for_others = max(1, height - len(head) - 8)
    foot = ["", *_link(screen, width, style), ""]
    others = _others(screen, width, style, room_for_others)
    keys = _keys(screen, width, style)
    left = height - len(head) - len(others) - len(foot) - 1 - len(keys)
    events = _events(screen, width, style, left) if left > 0 else []
    return (head + others + foot + events + keys)[:height]


def clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


def _fit(text, width, style):
    """Text of unknown origin in exactly `width` columns."""
    return fit(clean(text, not style.unicode), width, style.sign("…", "~"))


def _title(screen, width, style):
    colour = {"connected": "green", "left": "dim"}.get(screen.state, "yellow")
    right = f"{style.sign('●', '*')} {screen.state}  {clock(screen.seconds)} "
    where = f"{screen.identity or screen.board}"
    if screen.room:
        where += f" in {screen.room}"
    left = _fit(f" Linnet  {where}", max(8, width - cells(right)), style)
    return style.paint(left[:8], "bold") + left[8:] + style.paint(right, colour)


def _row(label, name, level, note, width, style, label_colour="dim"):
    """label, name, bar, figure, note: the two rows of sound, microphone and others, in the same columns."""
    name_width = 10 if width < 60 else 16
    note_width = 9 if width < 72 else 16
    bar_width = width - 9 - name_width - 2 - 9 - note_width
    if bar_width < 6:
        bar_width, note_width = bar_width + note_width, 0
    shown = f" {style.paint(fit(label, 7), label_colour)} {_fit(name, name_width, style)}"
    shown += f" {bar(level, bar_width, style)} {decibels(level)}"
    return shown + (f"  {style.paint(_fit(note, note_width - 1, style).rstrip(), 'cyan')}" if note_width else "")


def _microphone(screen, width, style):
    level = SILENCE if screen.muted else screen.microphone
    return _row("you", screen.identity or screen.board, level, "muted" if screen.muted else "", width, style)


def _others(screen, width, style, at_most):
    if not screen.others:
        return [f" {style.paint(fit('room', 7), 'dim')} {style.paint('nobody else', 'dim')}"]
    lines = []
    for i, (name, level, note) in enumerate(screen.others[:at_most]):
        lines.append(_row("" if i else "room", name, level, note, width, style))
    hidden = len(screen.others) - at_most
    if hidden > 0:
        lines[-1] = f" {'':7} {style.paint(f'and {hidden + 1} more', 'dim')}"
    return lines


def _link(screen, width, style):
    lines = []
    if screen.has_led:
        lamp = style.paint(style.sign("●", "(*)"), "lamp") + " on" if screen.led else (
            style.paint(style.sign("○", "( )"), "dim") + " off")
        lines.append(f" {style.paint(fit('LED', 7), 'dim')} {lamp}")
    quality = QUALITY.get(screen.quality)
    facts = [(quality, QUALITY_COLOUR.get(screen.quality))] if quality else []
    for value, text in ((screen.rtt_ms, "round trip {:.0f} ms"), (screen.loss_percent, "lost {:.1f} %"),
                        (screen.sent, "sent {}"), (screen.received, "received {}"),
                        (screen.jitter_ms, "jitter {:.0f} ms")):
        if value is not None:
            facts.append((text.format(value), None))
    line, used = f" {style.paint(fit('link', 7), 'dim')} ", 9
    for text, colour in facts:
        if used + len(text) + 3 > width:
            break
        line += style.paint(text, colour) + "   "
        used += len(text) + 3
    lines.append(line.rstrip())
    return lines


def _events(screen, width, style, at_most):
    rule = style.sign("─", "-")
    lines = [style.paint(f" {rule * 2} events " + rule * (width - 12), "dim")]
    for seconds, text in screen.events[-(at_most):] if at_most else []:
        lines.append(f" {style.paint(f'{seconds:7.1f}', 'dim')}  {_fit(text, width - 11, style).rstrip()}")
    return lines + [""] * (at_most + 1 - len(lines))


def _keys(screen, width, style):
    if not screen.keys:
        return []
    keys = [("q", "leave")]
    if screen.has_button:
        keys.insert(0, ("m", "unmute" if screen.muted else "mute"))
    return [" " + "   ".join(f"{style.paint(key, 'bold')} {what}" for key, what in keys)]
