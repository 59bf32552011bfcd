"""A real terminal (a pty): drawn on, listened to, and given back as it was."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from host_sim.signals import hear_again
from host_sim.terminal import Writer, wants_full_screen
from tests.host_sim.conftest import REPO, SENTENCE, environment

LIMIT_S = 20


class Terminal:
    """A badge in a terminal of `rows` by `columns`, with a person's hands and eyes."""

    def __init__(self, server, room, *more, rows=24, columns=90, **changes):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.shown = b""
        command = [sys.executable, "-m", "host_sim", "run", "--url", server.url, "--wav", str(SENTENCE), *more]
        changes = {"TERM": "xterm-256color", "LINNET_TOKEN": server.make_token("badge", room),
                   "PYTHONIOENCODING": "utf-8", **changes}
        kept = {key: value for key, value in environment(**changes).items() if value is not None}
        self.process = subprocess.Popen(command, cwd=REPO, env=kept, stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, start_new_session=True, preexec_fn=self._own)

    def _own(self):
        hear_again()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def read(self, seconds=0.2):
        """What comes within that time; the screen is drawn without end."""
        end = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            if not piece:
                return
            self.shown += piece

    def until(self, text, after=0):
        """Waits until the text (of one line, colours aside) has been shown; where it was."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            self.read(0.05)
            seen = re.sub(rb"\x1b\[[0-9;]*m", b"", self.shown[after:])
            if text.encode() in seen:
                return len(self.shown)
            assert time.monotonic() < deadline, seen[-3000:].decode(errors="replace")
            assert self.process.poll() is None or self.process.poll() == 0, seen[-3000:].decode(errors="replace")

    def end(self):
        deadline = time.monotonic() + LIMIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        self.read(0.1)
        return self.process.poll()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def is_restored(self):
        last = {mode: self.shown.rfind(mode) for mode in (b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h",
                                                          b"\x1b[?7l", b"\x1b[?7h")}
        assert last[b"\x1b[?1049l"] > last[b"\x1b[?1049h"] >= 0
        assert last[b"\x1b[?25h"] > last[b"\x1b[?25l"] >= 0
        assert last[b"\x1b[?7h"] > last[b"\x1b[?7l"] >= 0
        assert termios.tcgetattr(self.slave) == self.before
        return True


def test_keys_mute_unmute_and_leave(server, room):
    with Terminal(server, room) as terminal:
        at = terminal.until(f"joined {room}")
        terminal.type(b"m")
        at = terminal.until("m unmute", at)
        terminal.type(b" ")
        terminal.until("m mute", at)
        terminal.type(b"q")
        assert terminal.end() == 0
        assert terminal.is_restored()
        assert b"Traceback" not in terminal.shown


def test_an_arrow_key_is_no_letter(server, room):
    with Terminal(server, room) as terminal:
        at = terminal.until(f"joined {room}")
        terminal.type(b"\x1bOm")  # as a keypad sends it
        terminal.read(0.5)
        assert terminal.process.poll() is None
        assert b"unmute" not in terminal.shown[at:]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_terminal_is_given_back_after_a_signal(server, room, number, code):
    with Terminal(server, room) as terminal:
        terminal.until("joined")
        terminal.process.send_signal(number)
        assert terminal.end() == code
        assert terminal.is_restored()


def test_ctrl_c_typed_in_the_terminal_leaves(server, room):
    with Terminal(server, room) as terminal:
        terminal.until("joined")
        terminal.type(b"\x03")
        assert terminal.end() == 130
        assert terminal.is_restored()


def test_the_terminal_is_given_back_when_the_join_fails(server, room):
    with Terminal(server, room, "--token", "x.y.z") as terminal:
        assert terminal.end() == 3
        assert termios.tcgetattr(terminal.slave) == terminal.before
        assert terminal.shown.count(b"\n") == 1  # one line, and no screen was opened for it


def test_ctrl_z_hands_the_terminal_over_and_takes_it_again(server, room):
    with Terminal(server, room) as terminal:
        at = terminal.until("joined")
        terminal.type(b"\x1a")
        os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED)
        terminal.read()
        assert terminal.is_restored()
        at = len(terminal.shown)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until("connected", at)
        terminal.type(b"q")
        assert terminal.end() == 0
        assert terminal.is_restored()


def test_a_resize_is_drawn_anew_within_the_new_width(server, room):
    with Terminal(server, room) as terminal:
        terminal.until("joined")
        terminal.resize(12, 50)
        terminal.until("connected", len(terminal.shown))
        at = terminal.shown.rindex(b"\x1b[2J")
        terminal.until("connected", at)
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.shown[at:].decode(errors="replace"))
        assert max(len(line) for line in text.split("\r\n")) <= 2 * 50  # two frames may meet in one line
        terminal.type(b"q")
        assert terminal.end() == 0


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}])
def test_a_person_who_says_no_gets_plain_lines(server, room, changes):
    with Terminal(server, room, "--seconds", "0.5", **changes) as terminal:
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.shown
        assert f"joined {room}".encode() in terminal.shown


def test_plain_is_plain_in_a_terminal_too(server, room):
    with Terminal(server, room, "--seconds", "0.5", "--plain") as terminal:
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.shown


def test_a_pipe_is_no_screen():
    with open(os.devnull) as nowhere:
        assert not wants_full_screen(nowhere, False, {"TERM": "xterm"})


def test_a_terminal_that_stands_still_holds_nobody_up():
    """Ctrl-S: the writer's thread waits, who writes does not."""
    read_end, write_end = os.pipe()
    writer = Writer(write_end)
    started = time.monotonic()
    for _ in range(3000):
        writer.line("x" * 1000 + "\n")
    assert time.monotonic() - started < 2
    os.close(read_end)
    writer.close()
    os.close(write_end)


def test_a_reader_that_left_is_told_once():
    read_end, write_end = os.pipe()
    told = []
    writer = Writer(write_end, lambda: told.append(1))
    os.close(read_end)
    for _ in range(3):
        writer.line("x\n")
    writer.close()
    os.close(write_end)
    assert told == [1]
