"""The table of one run of the rig: what ran on which board, how it ended, how long it took."""

import threading
from pathlib import Path

from tests.hil import scripts

FILE = Path(__file__).resolve().parents[2] / "build" / "hil" / "report.txt"
_rows = []
_lock = threading.Lock()


def add(board, what, outcome, seconds, told=""):
    """`outcome` is a word, what a script printed, or the exception that ended it."""
    with _lock:
        _rows.append((board, what, word(outcome), seconds, told))


def word(outcome):
    if isinstance(outcome, BaseException):
        return getattr(outcome, "code", None) or "failed"
    found = scripts.counts(outcome)
    if found:
        return "%d passed, %d failed, %d skipped" % found
    return outcome if len(outcome) < 30 and "\n" not in outcome else "ok"


def table():
    with _lock:
        rows = sorted(_rows)
    if not rows:
        return []
    lines = [f"{'board':<12} {'what':<18} {'s':>6}  outcome"]
    for board, what, outcome, seconds, told in rows:
        lines.append(f"{board:<12} {what:<18} {seconds:6.1f}  {outcome}{'; ' + told if told else ''}")
    return lines


def save(lines):
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
