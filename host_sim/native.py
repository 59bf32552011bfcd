"""The compiled core under the names of the MicroPython module `_linnet`.

cffi's view of csrc/include/linnet.h and csrc/port/loop.h takes pointers and lengths; MicroPython's takes buffers. This
file is the difference, so that firmware/linnet runs unchanged. Importing it makes it importable as `_linnet`.
A (pointer, length) pair of the C prototype is one bytes-like object here; results are the C results.
"""

import atexit
import importlib.machinery
import importlib.util
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _load():
    variant = os.environ.get("LINNET_VARIANT", "release")
    folder = ROOT / "build" / variant
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / ("_linnet" + suffix)
        if path.exists():
            spec = importlib.util.spec_from_file_location("_linnet", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ImportError(f"the native core is not built ({folder} has no _linnet): run make build")


_module = _load()
ffi = _module.ffi
lib = _module.lib
_buffer = ffi.from_buffer


class _Handle:
    """A session pointer that keeps its memory alive."""

    __slots__ = ("at", "memory")

    def __init__(self, at, memory):
        self.at = at
        self.memory = memory


def session_size(cfg):
    return lib.linnet_session_size(_buffer("uint8_t[]", cfg), len(cfg))


def session_init(mem, cfg, seed):
    """A handle for the other calls, or a negative LINNET_ERR_ code."""
    memory = _buffer(mem)
    result = lib.linnet_session_init(
        memory, len(mem), _buffer("uint8_t[]", cfg), len(cfg), _buffer("uint8_t[]", seed), len(seed)
    )
    if result < 0:
        return result
    return _Handle(lib.linnet_session_at(memory), memory)


def input(s, now, kind, data):  # noqa: A001 (the name of the C function)
    return lib.linnet_input(s.at, now, kind, _buffer("uint8_t[]", data), len(data))


def poll(s, buf):
    return lib.linnet_poll(s.at, _buffer("uint8_t[]", buf), len(buf))


def poll_size(s):
    return lib.linnet_poll_size(s.at)


def pcm_push(s, pcm):
    return lib.linnet_pcm_push(s.at, _buffer("int16_t[]", pcm), len(pcm) // 2)


def pcm_pull(s, pcm):
    return lib.linnet_pcm_pull(s.at, _buffer("int16_t[]", pcm), len(pcm) // 2)


def stats(s, which, buf):
    return lib.linnet_stats(s.at, which, _buffer("uint8_t[]", buf), len(buf))


def session_wipe(s):
    lib.linnet_session_wipe(s.at)


def pb_decode(message, wire, record):
    return lib.linnet_pb_decode(
        message, _buffer("uint8_t[]", wire), len(wire), _buffer("uint8_t[]", record), len(record)
    )


def pb_encode(message, record, wire):
    return lib.linnet_pb_encode(
        message, _buffer("uint8_t[]", record), len(record), _buffer("uint8_t[]", wire), len(wire)
    )


# --- the native media loop (csrc/port/loop.h); every call gives up the interpreter's lock while it runs ---


def loop_open(cfg, seed, loop):
    return lib.linnet_loop_open(
        _buffer("uint8_t[]", cfg), len(cfg), _buffer("uint8_t[]", seed), len(seed),
        _buffer("uint8_t[]", loop), len(loop),
    )


def loop_bind(handle, family):
    return lib.linnet_loop_bind(handle, family)


def loop_start(handle):
    return lib.linnet_loop_start(handle)


def loop_input(handle, kind, data):
    return lib.linnet_loop_input(handle, kind, _buffer("uint8_t[]", data), len(data))


def loop_event(handle, buf):
    return lib.linnet_loop_event(handle, _buffer("uint8_t[]", buf), len(buf))


def loop_event_size(handle):
    return lib.linnet_loop_event_size(handle)


def loop_wake_fd(handle):
    return lib.linnet_loop_wake_fd(handle)


def loop_sound_start(handle):
    return lib.linnet_loop_sound_start(handle)


def loop_sound_stop(handle):
    return lib.linnet_loop_sound_stop(handle)


def loop_mic(handle, pcm):
    return lib.linnet_loop_mic(handle, _buffer("int16_t[]", pcm), len(pcm) // 2)


def loop_speaker(handle, pcm):
    return lib.linnet_loop_speaker(handle, _buffer("int16_t[]", pcm), len(pcm) // 2)


def loop_stats(handle, which, buf):
    return lib.linnet_loop_stats(handle, which, _buffer("uint8_t[]", buf), len(buf))


def loop_close(handle):
    return lib.linnet_loop_close(handle)


def loop_close_all():
    lib.linnet_loop_close_all()


atexit.register(loop_close_all)  # a program that ends leaves its calls politely

sys.modules["_linnet"] = sys.modules[__name__]
