# What the system's errors mean in words: MicroPython has only their numbers.

import errno
import os

_WORDS = {
    "ECONNREFUSED": "Connection refused",
    "ECONNRESET": "Connection reset by peer",
    "ECONNABORTED": "Connection aborted",
    "EHOSTUNREACH": "No route to host",
    "ENETUNREACH": "Network is unreachable",
    "ETIMEDOUT": "Connection timed out",
    "ENOENT": "No such file or directory",
    "EACCES": "Permission denied",
    "EISDIR": "Is a directory",
    "ENOSPC": "No space left on device",
    "EADDRINUSE": "Address already in use",
    "EBADF": "Bad file descriptor",
    "EINVAL": "Invalid argument",
}
_KNOWS_WORDS = hasattr(os, "strerror")
_RESOLVER = {"-2": "Name or service not known", "-3": "Temporary failure in name resolution"}
_NUMBERS = {101: "ENETUNREACH", 28: "ENOSPC", 32: "ECONNRESET"}  # what `errno` may not name


def reason(error):
    """The trouble of an OSError or ValueError in words, without numbers and file names."""
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        name = errno.errorcode.get(number) or _NUMBERS.get(number)
        if name is not None:
            return _WORDS.get(name) or (os.strerror(number) if _KNOWS_WORDS else name)
    for word in error.args[1:] or error.args[:1]:  # Mbed TLS puts its own name second
        text = " ".join(str(word).split())
        return _RESOLVER.get(text[-3:-1], text) if text.startswith("[addrinfo") else text
    return type(error).__name__
