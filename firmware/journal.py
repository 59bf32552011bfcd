# The events of a run as a file for scripts: one JSON object a line, written the moment it happens.
#
#     {"time": 0.2130, "at": "2026-11-21T01:02:03.456Z", "event": "joined", "room": "demo", ...}
#
# `time` is seconds since the program began, `at` the same moment in UTC; the event's own fields follow. The last
# line is always `exit` with its code. A field that would hide one of these three gets an underscore.

import errno
import json
import time

from linnet.compat import ticks_diff, ticks_us
from linnet.errors import Refused
from linnet.log import redact
from os_error import reason

_OWN = ("time", "at", "event")
_EPIPE = 32  # which MicroPython's errno does not name


class Stopwatch:
    """Seconds since it was made, also after the clock behind it has gone round: asked at least every 8 minutes."""

    def __init__(self):
        self._last = ticks_us()
        self._us = 0

    def seconds(self):
        now = ticks_us()
        self._us += ticks_diff(now, self._last)
        self._last = now
        return self._us / 1000000


class Journal:
    """Writes to `path`, to standard output for "-", or nowhere for None. Each line is one write to the system, so
    that nothing is left in a buffer however the program ends."""

    def __init__(self, path, watch):
        self._watch = watch
        self._is_over = False
        self._file = None
        self.path = path
        self.trouble = ""
        self.is_unread = False  # whoever read it has gone, and misses nothing
        try:
            if path:
                self._file = self._open(path)
        except OSError as error:
            raise Refused("file-missing", "the events file %s cannot be written: %s" % (path, reason(error)))

    def _open(self, path):
        return open(1 if path == "-" else path, "wb", 0)

    def seconds(self):
        """Since the program began."""
        return self._watch.seconds()

    def write(self, event, fields):
        """One event; the time it got."""
        seconds = self.seconds()
        if self._file is None:
            return seconds
        parts = ['"time": %.4f' % seconds, '"at": "%s"' % _utc(), '"event": %s' % json.dumps(event)]
        for key, value in fields.items():
            key = key + "_" if key in _OWN else key
            parts.append("%s: %s" % (json.dumps(key), json.dumps(_plain(value))))
        line = ("{" + ", ".join(parts) + "}\n").encode()
        try:
            while line:
                n = self._file.write(line)
                if not n:  # a pipe that does not block, and is full
                    raise OSError(errno.EAGAIN)
                line = line[n:]
        except OSError as error:  # a full disk, or nobody reads: the call goes on, and who asked is told
            self.trouble = "the events in %s are not complete: %s" % (self.path, reason(error))
            self.is_unread = error.args[:1] == (_EPIPE,)
            self._close()
        return seconds

    def end(self, code, fields=None, error=None):
        """The last line, with the LinnetError that ended the run. May be called twice; the first call counts."""
        if self._is_over:
            return
        self._is_over = True
        last = dict(fields or {}, code=code)
        if error is not None:
            last["error"], last["cause"], last["cure"] = str(error.code), redact(error.cause), error.cure
        self.write("exit", last)
        self._close()

    def _close(self):
        if self._file is not None and self.path != "-":
            self._file.close()
        self._file = None


def _utc():
    # gmtime() counts from the same year as time_ns(), whichever that is on this machine.
    ms = time.time_ns() // 1000000
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % (tuple(time.gmtime(ms // 1000)[:6]) + (ms % 1000,))


def _plain(value):
    """`value` as json.dumps() writes it right: no bytes, no objects."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return repr(value)
