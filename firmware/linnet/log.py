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
    level = WARN
    sink = to_stderr


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


def redact(text):
    """`text` with everything that looks like a token (a JWT starts with eyJ) as ***.

    The second line of defence, for words that come from outside: a proxy's
    error page may repeat the request."""
    at = text.find("eyJ")
    while at >= 0:
        end = at
        while end < len(text) and _is_token_char(text[end]):
            end += 1
        text = text[:at] + "***" + text[end:]
        at = text.find("eyJ", at + 3)
    return text
