# One way to say something: log(level, where, *args). A sink decides where it
# goes. Secrets are wrapped in Secret when they enter the program and stay so:
# what is logged or printed by mistake is then "***".

import sys

DEBUG = 10
INFO = 20
WARN = 30
ERROR = 40

_LETTERS = {DEBUG: "D", INFO: "I", WARN: "W", ERROR: "E"}


class Secret:
    """Wraps text that must not be seen. reveal() is the only way to it, and easy to search for."""

    def __init__(self, value):
        self._value = value.reveal() if isinstance(value, Secret) else value

    def reveal(self):
        return self._value

    def wipe(self):
        """Forget the value."""
        self._value = ""

    def __bool__(self):
        return bool(self._value)

    def __repr__(self):
        return "***"

    def __str__(self):
        return "***"


def to_stderr(level, where, text):
    """The sink that is there at the start."""
    print(_LETTERS.get(level, "?"), where + ":", text, file=sys.stderr)


class _State:
    def __init__(self):
        # In the instance: a function of the class would be called as its method.
        self.level = WARN
        self.sink = to_stderr


_state = _State()


def set_sink(sink, level=INFO):
    """Send what is at least `level` to sink(level, where, text); None goes back to stderr."""
    _state.sink = sink or to_stderr
    _state.level = level


def log(level, where, *args):
    """Say `args`, joined by spaces, in the name of `where` ("ws", "token", ...)."""
    if level >= _state.level:
        _state.sink(level, where, redact(" ".join([str(a) for a in args])))


def _is_token_char(c):
    return "a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in "-_."


# How base64 of a JSON object starts: {" and, with white space or nothing inside, the others.
_MARKS = ("eyJ", "eyA", "ewo", "ew0", "ewk", "e30.")


def _token_start(run):
    """Where in a run of token characters a token starts; its length if there is none."""
    first = len(run)
    for mark in _MARKS:
        at = run.find(mark)
        # eyJ is no part of a word; the others may be, so look for length and a second part.
        if at >= 0 and (mark == "eyJ" or (len(run) - at >= 20 and "." in run[at:])):
            first = min(first, at)
    return first


def redact(text):
    """`text` with everything that looks like a token as ***.

    The second line of defence, for words that come from outside: livekit-server
    itself repeats a token that it refuses, and so may a proxy's error page."""
    if not [m for m in _MARKS if m in text]:
        return text
    out = []
    at = 0
    while at < len(text):
        end = at
        while end < len(text) and _is_token_char(text[end]):
            end += 1
        start = at + _token_start(text[at:end])
        out.append(text[at:start] + ("***" if start < end else "") + text[end : end + 1])
        at = end + 1
    return "".join(out)
