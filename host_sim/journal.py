"""The events of a run as a file for scripts: one JSON object a line, written the moment it happens.

    {"time": 0.213, "at": "2026-11-21T01:02:03.456Z", "event": "joined", "room": "demo", ...}

`time` is seconds since the program began, `at` the same moment in UTC; the event's own fields follow. The last line is
always `exit` with its code. A field that would hide one of these three gets an underscore.
"""

import datetime
import json
import os
import time

from linnet.errors import Refused

_OWN = ("time", "at", "event")


class Journal:
    """Writes to `path`, to standard output for "-", or nowhere for None. Each line is one write to the system, so
    that nothing is left in a buffer however the program ends."""

    def __init__(self, path=None, started=None):
        self._started = time.monotonic() if started is None else started
        self._fd = None
        self._is_over = False
        self.trouble = ""
        self.path = path
        self.summary = None  # gives the fields of the last line
        if path == "-":
            self._fd = os.dup(1)
        elif path:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            except OSError as error:
                raise Refused("file-missing", f"the events file {path} cannot be written: {error.strerror}") from None

    def seconds(self):
        """Since the program began."""
        return time.monotonic() - self._started

    def write(self, event, fields):
        """One event; the time it got."""
        seconds = self.seconds()
        if self._fd is None:
            return seconds
        now = datetime.datetime.now(datetime.timezone.utc)
        record = {"time": round(seconds, 4), "at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                  "event": event}
        for key, value in fields.items():
            record[key + "_" if key in _OWN else key] = value
        line = (json.dumps(record, default=repr) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._fd, line):]
        except OSError as error:  # a full disk, or nobody reads: the call goes on, and who asked is told
            self.trouble = f"the events in {self.path} are not complete: {error.strerror}"
            self._close()
        return seconds

    def end(self, code, **fields):
        """The last line. May be called twice; the first call counts."""
        if not self._is_over:
            self._is_over = True
            self.write("exit", dict(code=code, **fields))
            self._close()

    def _close(self):
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
