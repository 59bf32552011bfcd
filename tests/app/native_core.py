# Makes `_linnet` importable for linnet.core: the compiled core where there is
# one, else a module that can only encode protobuf (pb_codec.py), in Python.
# HAS_CORE says which; a test that needs the core itself skips without it.

import sys

import harness

try:
    import _linnet
except ImportError:
    if harness.IS_MICROPYTHON:
        import pb_codec as _linnet

        sys.modules["_linnet"] = _linnet
    else:
        sys.path.insert(0, harness.HERE + "/../..")
        from host_sim import native as _linnet

HAS_CORE = hasattr(_linnet, "session_init")
native = _linnet

NEEDS_CORE = "this interpreter has no native core: use a firmware that has it, or CPython"
