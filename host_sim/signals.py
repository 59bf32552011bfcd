"""Ctrl-C and its relatives: the first asks the program to leave, the second ends it at once.

A program that was asked and does not manage it in LIMIT_S is ended too: no Ctrl-C is without effect.
"""

import os
import signal
import threading

LIMIT_S = 12
NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "the terminal was closed"}


def hear_again():
    """For a child that we end by Ctrl-C (preexec_fn): what a shell's background job ignores, its children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Signals:
    """`on_first(why)` runs between two lines of the main thread: it only takes a note. `last_words(code)` is what must
    still be done before the process ends without further ado."""

    def __init__(self, last_words):
        self._last_words = last_words
        self._watchdog = None
        self.on_first = None
        self.code = None  # 128 + the number of the signal that came
        self.why = ""

    def install(self):
        for name in NAMES:
            number = getattr(signal, name, None)
            # What our parent made us ignore (nohup, a shell's background job) stays ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number, _frame):
        again = self.code is not None
        if not again:
            self.code = 128 + number
            self.why = NAMES[signal.Signals(number).name]
        if again or self.on_first is None:
            self._end_now()
        self._watchdog = threading.Timer(LIMIT_S, self._end_now)
        self._watchdog.daemon = True
        self._watchdog.start()
        self.on_first(self.why)

    def _end_now(self):
        try:
            self._last_words(self.code)
        finally:
            os._exit(self.code)
