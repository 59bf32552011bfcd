# What differs between CPython and MicroPython, behind one set of names.
# The only file under firmware/ with try/except ImportError.

import asyncio
import binascii
import hashlib
import json
import os
import sys
import time

IS_MICROPYTHON = sys.implementation.name == "micropython"

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


# Microseconds modulo 2^30, the period of ticks_us() on 32-bit MicroPython. A
# 64-bit MicroPython counts further, so its native functions cannot be used.
_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)

try:
    from time import ticks_add, ticks_diff
    from time import ticks_us as _raw_us

    _NATIVE_PERIOD = ticks_add(0, -1) == _MASK
except ImportError:
    _NATIVE_PERIOD = False

    def _raw_us():
        return time.perf_counter_ns() // 1000


if _NATIVE_PERIOD:
    ticks_us = _raw_us
else:

    def ticks_us():
        """Microseconds of a clock that only goes forward, modulo 2^30."""
        return _raw_us() & _MASK

    def ticks_add(ticks, delta):
        """The instant `delta` microseconds from `ticks` (less than 2^29 either way)."""
        return (ticks + delta) & _MASK

    def ticks_diff(later, earlier):
        """Signed microseconds from `earlier` to `later`, right while under 2^29 apart."""
        return ((later - earlier + _HALF) & _MASK) - _HALF


try:
    from time import ticks_ms as _raw_ms
except ImportError:

    def _raw_ms():
        return time.perf_counter_ns() // 1000000


def ticks_ms():
    """Milliseconds of a clock that only goes forward, modulo 2^30 (12 days)."""
    return _raw_ms() & _MASK


# The year that time.time() counts from is 2000 on most MicroPython boards.
_EPOCH_SHIFT = 946684800 if time.gmtime(0)[0] == 2000 else 0


def unix_time():
    """Whole seconds since 1970, as far as the machine knows."""
    return int(time.time()) + _EPOCH_SHIFT


TimeoutError = asyncio.TimeoutError  # what wait_for_ms() raises; not the built-in everywhere

if hasattr(asyncio, "sleep_ms"):
    _sleep_ms = asyncio.sleep_ms
else:

    def _sleep_ms(ms):
        return asyncio.sleep(ms / 1000)


async def sleep_ms(ms):
    """Give way for `ms` milliseconds. A real coroutine, so wait_for_ms() takes it too."""
    await _sleep_ms(ms)


async def wait_for_ms(coroutine, ms):
    """The coroutine's result, or asyncio.TimeoutError once `ms` milliseconds are over."""
    if hasattr(asyncio, "wait_for_ms"):
        return await asyncio.wait_for_ms(coroutine, ms)
    return await asyncio.wait_for(coroutine, ms / 1000)


def iscoroutine(value):
    """True for what calling an `async def` gives: such a result must be awaited."""
    return hasattr(value, "send") and hasattr(value, "throw")


def positional_count(function):
    """How many arguments a function takes by position; None if any number does, or if the
    interpreter does not tell: MicroPython never does."""
    if IS_MICROPYTHON:
        return None
    from inspect import Parameter, signature

    try:
        kinds = [parameter.kind for parameter in signature(function).parameters.values()]
    except (TypeError, ValueError):  # some built-in functions
        return None
    if Parameter.VAR_POSITIONAL in kinds:
        return None
    by_position = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return len([kind for kind in kinds if kind in by_position])


try:
    from sys import print_exception as _print_exception
except ImportError:
    from traceback import print_exception as _print_exception


def can_import(name):
    """Is there a module of this name?"""
    try:
        __import__(name)
        return True
    except ImportError:
        return False


def print_exception(error, file=None):
    """Write the error with its traceback to `file`, or to standard error."""
    if IS_MICROPYTHON:
        _print_exception(error, file or sys.stderr)
    else:
        _print_exception(type(error), error, error.__traceback__, file=file or sys.stderr)


def rand_bytes(n):
    """n unpredictable bytes from the operating system or the chip."""
    return os.urandom(n)


def sha1(data):
    return hashlib.sha1(data).digest()


def sha256(data):
    return hashlib.sha256(data).digest()


def hexlify(data):
    """Lower-case hexadecimal text."""
    return binascii.hexlify(data).decode()


def b64encode(data):
    """Standard base64 with padding, as text without a line break."""
    return binascii.b2a_base64(data).decode().strip()


def b64url_encode(data):
    """URL-safe base64 with padding (protocol.md 1.3), as text."""
    return b64encode(data).replace("+", "-").replace("/", "_")


_B64_EXTRA = {"std": "+/", "url": "-_"}


def _b64decode(text, extra):
    # binascii skips characters it does not know, and each interpreter others:
    # so look first, then decode.
    body = text.rstrip("=")
    padding = "=" * (-len(body) % 4)
    if len(padding) == 3 or text not in (body, body + padding):
        raise ValueError("not base64")
    for c in body:
        if not ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in extra):
            raise ValueError("not base64")
    body = body.replace("-", "+").replace("_", "/")
    return binascii.a2b_base64(body + padding)


def _is_whole(text):
    """Whether every bracket of a JSON text is closed."""
    depth, in_string, skip = 0, False, False
    for c in text:
        if skip:
            skip = False
        elif in_string:
            skip = c == "\\"
            in_string = c != '"'
        elif c == '"':
            in_string = True
        elif c in "[{":
            depth += 1
        elif c in "]}":
            depth -= 1
    return depth == 0


def _takes_half():
    try:
        json.loads("{")
        return True
    except ValueError:
        return False


_HALF_JSON = _takes_half()  # MicroPython 1.25 reads what was cut off as if it had ended


def json_loads(text):
    """What the JSON text means; ValueError, and nothing else, if it is not JSON."""
    try:
        if not _HALF_JSON or _is_whole(text):
            return json.loads(text)
    except (ValueError, RuntimeError, MemoryError):  # RuntimeError: nested too deep
        pass
    raise ValueError("not JSON")


def b64decode(text):
    """Bytes of standard base64, padded or not; ValueError for anything else."""
    return _b64decode(text, _B64_EXTRA["std"])


def b64url_decode(text):
    """Bytes of URL-safe base64, padded or not; ValueError for anything else."""
    return _b64decode(text, _B64_EXTRA["url"])
