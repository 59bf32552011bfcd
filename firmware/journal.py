# The events of a run as lines: JSON for scripts, as host_sim's journal writes them, and
# short words for people. Every line is one write to the system.

import json
import time

from linnet.compat import ticks_diff, ticks_us, unix_time
from linnet.errors import Refused
from os_error import reason

_OWN = ("time", "at", "event")
_SILENT = ("speakers", "sample", "failed", "exit", "started")


class Stopwatch:
    """Seconds since it was made, also after the clock behind it has gone round."""

    def __init__(self):
        self._last = ticks_us()
        self._us = 0

    def seconds(self):
        now = ticks_us()
        self._us += ticks_diff(now, self._last)
        self._last = now
        return self._us / 1000000


class Journal:
    """JSON lines into `path`, to standard output for "-", or nowhere for None."""

    def __init__(self, path, watch):
        self._watch = watch
        self._is_over = False
        self._file = None
        self.path = path
        self.trouble = ""
        try:
            if path:
                self._file = open(1 if path == "-" else path, "wb")
        except OSError as error:
            raise Refused("file-missing", "the events file %s cannot be written: %s" % (path, reason(error)))

    def write(self, event, fields):
        """One event; the time it got."""
        seconds = self._watch.seconds()
        if self._file is None:
            return seconds
        parts = ['"time": %.4f' % seconds, '"at": "%s"' % _utc(seconds), '"event": %s' % json.dumps(event)]
        for key, value in fields.items():
            key = key + "_" if key in _OWN else key
            parts.append("%s: %s" % (json.dumps(key), json.dumps(_plain(value))))
        try:
            self._file.write(("{" + ", ".join(parts) + "}\n").encode())
        except OSError as error:  # a full disk, or nobody reads: the call goes on, and who asked is told
            self.trouble = "the events in %s are not complete: %s" % (self.path, reason(error))
            self._file = None
        return seconds

    def end(self, code, fields):
        """The last line. May be called twice; the first call counts."""
        if not self._is_over:
            self._is_over = True
            self.write("exit", dict(fields, code=code))


def _utc(seconds):
    year, month, day, hour, minute, second = time.gmtime(unix_time())[:6]
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % (year, month, day, hour, minute, second, int(seconds * 1000) % 1000)


def _plain(value):
    """`value` as json.dumps() writes it right: no bytes, no objects."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return repr(value)


def in_words(event, fields):
    """An event as a person would say it; None for those that only scripts want."""
    if event in _SILENT:
        return None
    if event == "joined":
        others = fields.get("others") or []
        company = ", with " + ", ".join(others) if others else ", alone so far"
        return "joined %s as %s%s" % (fields.get("room", ""), fields.get("identity", ""), company)
    if event == "log":
        return "%s: %s" % (fields.get("where", ""), fields.get("text", ""))
    if event == "stopping":
        return "stopping: %s" % fields.get("why", "")
    shown = [event.replace("_", " ")]
    for key in sorted(fields):
        if not isinstance(fields[key], (dict, list, tuple)):
            shown.append("%s=%s" % (key, fields[key]))
    return " ".join(shown)


def clean(text):
    """One line without characters that a terminal obeys: names come from other people."""
    return "".join([c if c >= " " and c != "\x7f" and not "\x80" <= c < "\xa0" else "?" for c in str(text)])


def in_short(facts):
    """The summary of a run in one line."""
    link, steps = facts["link"], dict(facts["timeline"])
    joined = ", joined in %.0f ms" % steps["dtls"] if "dtls" in steps else ""
    return "%.1f s in %s as %s%s: %d packets of sound sent, %d received, %d lost" % (
        facts["call_s"], facts["room"], facts["identity"], joined, link["rtp_sent"], link["rtp_received"],
        link["packets_lost"])
