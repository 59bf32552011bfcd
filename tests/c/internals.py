"""Compiles parts of csrc/ into a cffi module, so that a test can call a protocol's C functions directly.

    from internals import load
    mod = load("stun", sources=["net/stun.c", CRYPTO], headers=["address.h", "net/stun.h"])
    mod.lib.linnet_stun_parse(...)          # functions and constants
    mod.ffi.new("linnet_stun_msg_t *")      # types

load(name, sources, headers, extra_cdef="", extra_source="", libraries=(), include_dirs=(),
     archives=(), defines=(), third_party=())

name         a word for the module and its build folder
sources      C files, relative to csrc/ (or absolute); those of csrc/ get the warnings of the house style as errors
headers      relative to csrc/, in the order in which they need each other. Python sees the text between
             `/* [ffi-begin] ... */` and `/* [ffi-end] */`; of a header without these marks it sees everything
             except preprocessor lines and static inline bodies. A struct that Python need not look into stays
             before the mark and is named in extra_cdef: `typedef struct { ...; } linnet_x_t;` (cffi asks the
             compiler for its size). All limits of linnet_config.h are known, also as array lengths.
extra_cdef   declarations for cffi, before those of the headers
extra_source C text after the includes: wrappers, or what the module under test needs from elsewhere
libraries    names for -l;  include_dirs, archives: absolute paths;  defines: ["LINNET_ICE_PAIRS=4"]

third_party  ["mbedtls", "opus", ...]: headers, macros and archive as csrc/bind/build_tools.py makes them

A module that needs the crypto seam takes it whole: sources=[..., *CRYPTO], third_party=["mbedtls"].

The result is kept in build/tests/ under a hash of everything that goes into it, so a second run costs nothing.

LINNET_SANITIZE=1 in the environment builds with -fsanitize=address,undefined (any other value is the list
itself, e.g. `undefined`). An address-sanitized module needs its runtime in the process first:
    LINNET_SANITIZE=1 ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$(gcc -print-file-name=libasan.so) pytest tests/c
"""

import contextlib
import hashlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import cffi

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
BUILD = ROOT / "build" / "tests"

STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wvla", "-Wshadow"]
CC = os.environ.get("CC", "cc").split()


CRYPTO = ["crypto_mbedtls.c", "crypto_arena.c"]


def _sanitizers():
    value = os.environ.get("LINNET_SANITIZE", "")
    if value in ("", "0"):
        return ""
    return "address,undefined" if value == "1" else value


def _compile_flags():
    flags = ["-fPIC", "-O2", "-g"]
    if _sanitizers():
        flags += ["-fsanitize=" + _sanitizers(), "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    return flags


def _require_sanitizer_runtime():
    if "address" in _sanitizers() and "asan" not in os.environ.get("LD_PRELOAD", ""):
        raise RuntimeError(
            "LINNET_SANITIZE asks for the address sanitizer, whose runtime must be loaded before Python: "
            "run with LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0"
        )


def declarations(header_text):
    """The part of a header that cffi can read: what is marked, or else everything plain."""
    if '#include "include/linnet.h"' in header_text:  # errors.h: the codes, not the session's functions
        header_text += "".join(re.findall(r"(?m)^enum linnet_error \{.*?^\};", (
            CSRC / "include" / "linnet.h").read_text(), re.S))
    marked = re.findall(r"/\* \[ffi-begin\].*?\*/(.*?)/\* \[ffi-end\] \*/", header_text, re.S)
    if marked:
        return "\n".join(marked)
    text = re.sub(r"\\\n", "", header_text)
    text = re.sub(r"(?m)^\s*#.*$", "", text)
    return re.sub(r"(?ms)^static inline .*?^}", "", text)


def limits(defines=()):
    """The limits of linnet_config.h as numbers, overridden by defines."""
    text = (CSRC / "include" / "linnet_config.h").read_text().replace("\\\n", " ")
    found = {}
    for name, value in re.findall(r"(?m)^#define (LINNET_\w+) +([^/\n]+?) *(?:/\*.*)?$", text):
        found[name] = value
    for define in defines:
        name, _, value = define.partition("=")
        if name in found:
            found[name] = value
    numbers = {}
    for name, value in found.items():
        value = re.sub(r"LINNET_\w+", lambda m: "(%s)" % found.get(m.group(0), "?"), value)
        if re.fullmatch(r"[\d\s()*+\-/xXa-fA-F]+", value):
            numbers[name] = int(eval(value.replace("/", "//")))
    return numbers


def _run(command, what):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s does not build:\n%s\n%s" % (what, " ".join(map(str, command)), done.stderr))


def _third_party(names):
    """Flags and archives of what is named, as the build of the extension itself uses them."""
    if not names:
        return [], []
    sys.path.insert(0, str(CSRC / "bind"))
    try:
        from build_tools import Toolchain
    finally:
        sys.path.pop(0)
    tools = Toolchain()
    flags = []
    for name in names:
        recipe = tools.recipe(name)
        flags += [part for folder in recipe.use_includes for part in ("-isystem", str(folder))]
        flags += ["-D" + define for define in recipe.use_defines]
    return flags, [str(tools.third_party_archive(name)) for name in names]


def _content_hash(parts, files):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode())
    for file in files:
        digest.update(str(file).encode() + b"\0" + Path(file).read_bytes())
    return digest.hexdigest()[:16]


def _compile(sources, include_flags, defines, folder):
    objects = []
    for i, source in enumerate(sources):
        ours = CSRC in source.parents
        target = folder / ("%d_%s.o" % (i, source.stem))
        _run(CC + _compile_flags() + (STRICT if ours else ["-w"]) + ["-D" + d for d in defines]
             + include_flags + ["-c", str(source), "-o", str(target)], source)
        objects.append(str(target))
    return objects


def _import(module_name, path):
    spec = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name, sources, headers, extra_cdef="", extra_source="", libraries=(), include_dirs=(),
         archives=(), defines=(), third_party=()):
    _require_sanitizer_runtime()
    sources = [CSRC / s for s in sources]  # an absolute path stays as it is
    third_party_flags, third_party_archives = _third_party(third_party)
    archives = [str(a) for a in archives] + third_party_archives
    dirs = [CSRC, CSRC / "include", CSRC / "net", CSRC / "media", *include_dirs]
    include_flags = ["-I%s" % d for d in dirs] + third_party_flags

    settings = [name, headers, extra_cdef, extra_source, list(libraries), include_flags, archives,
                list(defines), _compile_flags(), CC, sys.version, cffi.__version__,
                Path(__file__).read_text()]
    key = _content_hash(settings, sources + sorted(CSRC.rglob("*.h")) + archives)
    module_name = "_internals_%s_%s" % (re.sub(r"\W", "_", name), key)
    target = BUILD / (module_name + (sysconfig.get_config_var("EXT_SUFFIX") or ".so"))
    if target.exists():
        return _import(module_name, target)

    ffi = cffi.FFI()
    constants = "".join("#define %s %d\n" % item for item in limits(defines).items())
    ffi.cdef(constants + extra_cdef)
    for header in headers:
        ffi.cdef(declarations((CSRC / header).read_text()))
    includes = '#include "linnet_config.h"\n' + "".join('#include "%s"\n' % h for h in headers)
    ffi.set_source(module_name, includes + extra_source)

    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        folder = Path(scratch)
        glue = folder / "glue.c"
        with contextlib.redirect_stdout(io.StringIO()):  # cffi announces its work
            ffi.emit_c_code(str(glue))
        objects = _compile(sources, include_flags, defines, folder)
        made = folder / "module.so"
        link = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
        _run(CC + _compile_flags() + ["-shared", "-w"] + ["-D" + d for d in defines] + include_flags
             + ["-I" + sysconfig.get_paths()["include"], str(glue)] + objects + archives
             + ["-l" + lib for lib in libraries] + link + ["-o", str(made)], name)
        _import(module_name, made)  # a symbol that is missing shows here, before anything is kept
        os.replace(made, target)  # atomic: several test runs may build at once
    return _import(module_name, target)
