"""The events of a run as a file for scripts: firmware/journal.py on this machine's clock."""

import time

import journal


class Watch:
    """Seconds since time.monotonic() was `started`. A signal handler may ask it in the middle of an answer."""

    def __init__(self, started=None):
        self._started = time.monotonic() if started is None else started

    def seconds(self):
        return time.monotonic() - self._started


class Journal(journal.Journal):
    def __init__(self, path=None, started=None):
        super().__init__(path, Watch(started))
        self.summary = None  # gives the fields of the last line
        self.sound_trouble = str  # gives why a sound file is not complete, "" if it is

    def _open(self, path):
        return open(1, "wb", 0, closefd=False) if path == "-" else super()._open(path)
