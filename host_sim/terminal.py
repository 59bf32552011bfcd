"""The terminal of a running badge: full screen with keys, or plain lines. view.py decides what the text is.

Writing happens in a thread of its own, so that a terminal that is slow or stopped (Ctrl-S) never holds up sound.
"""

import collections
import os
import signal
import sys
import threading

from . import view

try:
    import termios
    import tty
except ImportError:  # no Unix: plain lines only
    termios = tty = None

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # other screen, no cursor, no wrapping at the edge
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_LAST_WORDS_S = 1.0  # for what is still to be written when everything else is over
_LINES_KEPT = 2000  # of a reader that does not read; the oldest go first


def wants_full_screen(stream, plain, environment=os.environ):
    """True for a terminal that can be drawn on, and a person who did not say no."""
    if plain or termios is None or environment.get("TERM", "dumb") == "dumb" or "NO_COLOR" in environment:
        return False
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError):
        return False


def speaks_unicode(stream):
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") in ("utf8", "utf16", "cp65001")


class Writer:
    """Writes text to a file descriptor, in order, from its own thread. `on_broken` is called once nobody reads."""

    def __init__(self, fd, on_broken=None):
        self._fd = fd
        self._on_broken = on_broken
        self._texts = collections.deque()
        self._dropped = 0
        self._frame = None
        self._wake = threading.Condition()
        self._ending = self._broken = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="terminal")
        self._thread.start()

    def line(self, text):
        with self._wake:
            if len(self._texts) >= _LINES_KEPT:
                self._texts.popleft()
                self._dropped += 1
            self._texts.append(text)
            self._wake.notify()

    def frame(self, text):
        """Only the newest frame counts."""
        with self._wake:
            self._frame = text
            self._wake.notify()

    def close(self):
        """Waits a moment for what is left."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join(_LAST_WORDS_S)

    def _run(self):
        while True:
            with self._wake:
                while not (self._texts or self._frame or self._ending):
                    self._wake.wait()
                if not (self._texts or self._frame):
                    return
                texts, self._frame = [*self._texts, self._frame or ""], None
                self._texts.clear()
                if self._dropped:
                    texts.insert(0, f"({self._dropped} lines were not read in time)\n")
                    self._dropped = 0
            self._write("".join(texts).encode("utf-8", "replace"))

    def _write(self, data):
        try:
            while data and not self._broken:
                data = data[os.write(self._fd, data):]
        except OSError:
            self._broken = True
            if self._on_broken:
                self._on_broken()


class Plain:
    """One line for each event, for pipes, logs and terminals that are not drawn on."""

    keys = False

    def __init__(self, stream, on_broken=None):
        stream.flush()
        self._unicode = speaks_unicode(stream)
        self._writer = Writer(stream.fileno(), on_broken)

    def event(self, seconds, text):
        self._writer.line(f"{seconds:8.3f}  {view.clean(text, not self._unicode)}\n")

    def draw(self, screen):
        pass

    def close(self):
        self._writer.close()


class Full:
    """The whole terminal, drawn anew a few times a second. `on_key` gets single characters in the loop's thread."""

    def __init__(self, stream, loop, on_key, on_broken=None):
        stream.flush()
        self._fd = stream.fileno()
        self._style = view.Style(colour=True, unicode=speaks_unicode(stream))
        self._loop = loop
        self._on_key = on_key
        self._events = collections.deque(maxlen=200)
        self._last = None
        self._saved = None
        self._size = None
        self.keys = self._keyboard_is_ours()
        self._is_open = False
        self._enter()
        self._writer = Writer(self._fd, on_broken)
        if self.keys:
            loop.add_reader(sys.stdin.fileno(), self._read_keys)
        signal.signal(signal.SIGTSTP, self._suspend)

    @staticmethod
    def _keyboard_is_ours():
        """Reading or setting the keyboard of somebody else's foreground would stop this program."""
        try:
            return os.isatty(sys.stdin.fileno()) and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        except (OSError, ValueError, AttributeError):
            return False

    def _enter(self):
        if self.keys:
            self._saved = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno())
        self._is_open = True
        self._last = None
        os.write(self._fd, _ENTER.encode())

    def restore(self):
        """Gives the terminal back as it was. May be called twice, and from a signal handler."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            os.write(self._fd, _LEAVE.encode())
            if self._saved is not None:
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._saved)
        except (OSError, termios.error):
            pass  # the terminal is gone

    def _suspend(self, _number, _frame):
        """Ctrl-Z: hand the terminal back, stop as everybody does, and draw again afterwards."""
        self.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.keys = self.keys and self._keyboard_is_ours()
        self._enter()

    def _read_keys(self):
        try:
            typed = os.read(sys.stdin.fileno(), 64)
        except OSError:
            typed = b""
        if not typed:  # the terminal was closed
            self._loop.remove_reader(sys.stdin.fileno())
            return
        if typed[:1] == b"\x1b":
            return  # an arrow or a function key is no letter
        for character in typed.decode("ascii", "ignore"):
            self._on_key(character)

    def event(self, seconds, text):
        self._events.append((seconds, text))

    def draw(self, screen):
        if not self._is_open:
            return
        try:
            width, height = os.get_terminal_size(self._fd)
        except OSError:
            width, height = 80, 24
        screen.events = list(self._events)
        screen.keys = self.keys
        lines = view.frame(screen, width, height, self._style)
        text = "\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
        if (width, height) != self._size:  # what a resize left behind
            self._size = (width, height)
            text = "\x1b[2J" + text
        if text != self._last:
            self._last = text
            self._writer.frame(text)

    def close(self):
        if self.keys:
            self._loop.remove_reader(sys.stdin.fileno())
        self._writer.close()
        self.restore()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
