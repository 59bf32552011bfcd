#!/usr/bin/env python3
"""Builds the CPython extension `_linnet` from csrc/, and what C tests need.

    python csrc/bind/cffi_build.py [extension]     build/<variant>/_linnet.*.so
    python csrc/bind/cffi_build.py third-party     the third-party archives only
    python csrc/bind/cffi_build.py library         build/<variant>/liblinnet.a
    python csrc/bind/cffi_build.py core-objects    build/core/*.o, plain, for checks with nm
    python csrc/bind/cffi_build.py variant         prints the variant's name
    python csrc/bind/cffi_build.py sanitizer-env   prints NAME=value lines that a sanitized run needs

The text between the [ffi-begin] and [ffi-end] lines of linnet.h, loop.h and portaudio.h goes to cffi's cdef unchanged.
The last is CPython's alone. What the build reads from the environment is listed in build_tools.py.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_tools import BUILD, CSRC, STRICT, BuildError, Toolchain, fetch  # noqa: E402
from protobuf_build import GeneratorError  # noqa: E402

HEADERS = (CSRC / "include" / "linnet.h", CSRC / "port" / "loop.h", CSRC / "bind" / "portaudio.h")


def declarations(header):
    """What cffi may read of a public header: everything between the two marks."""
    text = header.read_text(encoding="utf-8")
    found = re.search(r"^/\* \[ffi-begin\].*?$\n(.*?)^/\* \[ffi-end\] \*/$", text, re.M | re.S)
    if not found:
        raise BuildError(f"{header} has no [ffi-begin] ... [ffi-end] part")
    return found.group(1)


def build_extension(tools):
    import cffi

    include = Path(sysconfig.get_paths()["include"])
    if not (include / "Python.h").is_file():
        raise BuildError(f"{include}/Python.h is missing. Debian: apt install python3-dev")
    archives = tools.third_party_archives()
    objects = tools.core_objects() + tools.port_objects()
    ffi = cffi.FFI()
    ffi.cdef("".join(declarations(header) for header in HEADERS))
    ffi.set_source("_linnet", "".join(f'#include "{header.name}"\n' for header in HEADERS))
    target = tools.folder / ("_linnet" + sysconfig.get_config_var("EXT_SUFFIX"))
    with fetch.locked(tools.folder / ".lock"):
        glue = tools.folder / "_linnet.c"
        with contextlib.redirect_stdout(io.StringIO()):
            ffi.emit_c_code(str(glue))  # writes only when the text has changed
        glue_object = tools.folder / "obj" / "_linnet.o"
        sound_object = tools.folder / "obj" / "bind_portaudio.o"
        tools.compile([
            (CSRC / "bind" / "portaudio.c", sound_object, [*STRICT, *tools.compile_flags()]),
            (glue, glue_object, ["-w", *tools.compile_flags(), f"-I{CSRC / 'bind'}", f"-I{include}"]),
        ], "_linnet")
        inputs = [*objects, sound_object, glue_object, *archives]
        if not target.exists() or any(file.stat().st_mtime > target.stat().st_mtime for file in inputs):
            link(tools, target, inputs)
    return target


def link(tools, target, inputs):
    """Nothing but PyInit is exported: the process may hold other copies of Opus and Mbed TLS."""
    began = time.monotonic()
    flags = ["-shared", "-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic", "-Wl,-z,relro,-z,now"]
    if sys.platform == "darwin":
        flags = ["-bundle", "-undefined", "dynamic_lookup"]
    part = target.with_name(target.name + ".part")
    command = [*tools.cc, *flags, *map(str, inputs), *tools.link_flags(), "-o", str(part)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"_linnet does not link:\n{done.stderr}")
    try_import(tools, part)
    part.replace(target)
    tools.say(f"_linnet: linked {target} in {time.monotonic() - began:.1f} s")


def try_import(tools, path):
    """A shared object links with names missing; only loading it, with every name bound at once, tells."""
    code = ("import importlib.machinery as m, importlib.util as u, sys\n"
            "loader = m.ExtensionFileLoader('_linnet', sys.argv[1])\n"
            "u.module_from_spec(u.spec_from_loader('_linnet', loader)).lib.linnet_loop_open\n")
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True,
                          env={**os.environ, **tools.sanitizer_env()})
    if done.returncode:
        raise BuildError(f"_linnet does not load: {(done.stderr.strip() or 'no text').splitlines()[-1]}")


def build_core_objects(tools):
    """No sanitizer, no PIC, no hardening, no debug text: what nm shows is what the sources say."""
    plain = {name: value for name, value in os.environ.items() if name not in ("LINNET_SANITIZE", "LINNET_VARIANT")}
    flags = ["-fno-pic", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-g0"]
    objects = Toolchain(plain, tools.say).core_objects(BUILD / "core", flags)
    for left in set((BUILD / "core").glob("*.o")) - set(objects):
        left.unlink()  # its source is gone
    return objects


def main(argv):
    what = argv[0] if argv else "extension"
    actions = {
        "extension": lambda tools: [build_extension(tools)],
        "third-party": lambda tools: tools.third_party_archives(),
        "library": lambda tools: [tools.core_library()],
        "core-objects": build_core_objects,
        "variant": lambda tools: [tools.variant],
        "sanitizer-env": lambda tools: [f"{name}={value}" for name, value in tools.sanitizer_env().items()],
    }
    if what not in actions or len(argv) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for line in actions[what](Toolchain()):
            print(line)
    except (BuildError, GeneratorError, fetch.FetchError) as error:
        print(f"build failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
