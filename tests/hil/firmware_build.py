"""Builds the firmware of the emulated boards: MicroPython's qemu port with the core, asyncio and the client.

    build("mps2")      the path of an ELF file, from the user cache when nothing that goes into it has changed
    missing("mps2")    None, or a RigFault that says what this machine lacks and how to get it

A build makes what is out of date in build/hil/<board>; the result is kept in the user cache under a hash of all
sources, the compiler and MicroPython's version, so that a second clone costs nothing.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "csrc" / "bind"))

import micropython_build as mpy  # noqa: E402
from build_tools import KEEP_S, BuildError, fetch  # noqa: E402
from protobuf_build import GeneratorError  # noqa: E402

from tests.hil.faults import RigFault  # noqa: E402

HERE = Path(__file__).resolve().parent / "firmware"
# board -> compiler, a header only a complete C library has, Debian packages
COMPILERS = {
    "mps2": ("arm-none-eabi-gcc", "gcc-arm-none-eabi picolibc-arm-none-eabi"),
    "virt": ("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
}
# Everything that goes into a firmware, besides MicroPython and the compiler.
INPUTS = (("csrc", "*.c"), ("csrc", "*.h"), ("csrc", "*.mk"), ("csrc", "*.py"), ("csrc/proto", "linnet.*"),
          ("csrc/third_party", "*.toml"), ("firmware/linnet", "*.py"), ("firmware/apps", "*.py"),
          ("firmware/drivers", "*.py"), ("tests/hil/firmware", "*"))


def say(text):
    print(text, file=sys.stderr, flush=True)


def boards():
    return sorted(COMPILERS)


def missing(board, env=os.environ):
    """The RigFault that tells why this machine cannot build for `board`, or None."""
    if board not in COMPILERS:
        return RigFault("bad-roster", f"there is no firmware {board!r}", f"There are {', '.join(boards())}")
    compiler, packages = COMPILERS[board]
    path = env.get("PATH")
    if not shutil.which(compiler, path=path):
        return RigFault("toolchain-missing", f"{compiler} is not on the PATH", f"Debian: apt install {packages}")
    probe = subprocess.run([compiler, *_specs(compiler), "-E", "-x", "c", "-"], input="#include <math.h>\n",
                           capture_output=True, text=True)
    if probe.returncode:
        return RigFault("toolchain-missing", f"{compiler} has no C library", f"Debian: apt install {packages}")
    if not shutil.which("make", path=path):
        return RigFault("toolchain-missing", "make is not on the PATH", "Debian: apt install make")
    return None


def _specs(compiler):
    found = subprocess.run([compiler, "--print-file-name=picolibc.specs"], capture_output=True, text=True)
    path = found.stdout.strip()
    return [f"--specs={path}"] if path != "picolibc.specs" else []


def key(board, tree):
    compiler = COMPILERS[board][0]
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(f"{board}\n{version}\n{tree}\n".encode())
    for folder, pattern in INPUTS:
        for file in sorted((REPO / folder).rglob(pattern)):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(REPO)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def build(board):
    """The firmware of `board`, brought up to date; RigFault when it cannot be had."""
    fault = missing(board)
    if fault:
        raise fault
    try:
        tree = mpy.source_tree()
        cache = fetch.cache_dir() / "hil"
        kept = cache / f"{board}-{key(board, tree)}" / "firmware.elf"
        with fetch.locked(fetch.cache_dir() / "lock" / f"hil-{kept.parent.name}"):
            if not kept.is_file():
                _keep(_make(board, tree), kept)
        with contextlib.suppress(OSError):
            os.utime(kept.parent)
        _forget(cache)
        return kept
    except (BuildError, GeneratorError, fetch.FetchError) as error:
        raise RigFault("build-failed", f"the firmware of {board} does not build: {error}",
                       "Right what the compiler names") from None


def _make(board, tree):
    out = REPO / "build" / "hil"
    target = out / board
    target.mkdir(parents=True, exist_ok=True)
    with fetch.locked(out / f"{board}.lock"):
        cross = _cross(tree, out)
        if _config_changed(target):
            shutil.rmtree(target)  # MicroPython does not see that its configuration header has changed
            target.mkdir()
        say(f"hil: building the firmware of {board} (40 s from scratch)")
        began = time.monotonic()
        mpy.run_make(tree, "ports/qemu", out, board, f"BOARD=linnet_{board}", f"BOARD_DIR={HERE / board}",
                     f"BUILD={target}", f"USER_C_MODULES={REPO / 'csrc'}", f"FROZEN_MANIFEST={HERE / 'manifest.py'}",
                     f"MICROPY_MANIFEST_LINNET_DIR={REPO}", f"MPY_LIB_DIR={mpy.lib_folder()}",
                     f"MICROPY_MPYCROSS={cross}", "MICROPY_MPYCROSS_DEPENDENCY=", f"LINNET_PYTHON={sys.executable}")
        say(f"hil: {board} built in {time.monotonic() - began:.0f} s")
        (target / "config.stamp").write_text(_config_hash())
    return target / "firmware.elf"


def _cross(tree, out):
    with fetch.locked(out / "mpy-cross.lock"):
        return mpy.build_mpy_cross(tree, out)


def _config_hash():
    files = [HERE / "hil_mpconfig.h", HERE / "board.mk", *sorted(HERE.glob("*/mpconfigboard.mk"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _config_changed(target):
    stamp = target / "config.stamp"
    return any(target.iterdir()) and (not stamp.is_file() or stamp.read_text() != _config_hash())


def _keep(elf, kept):
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part")
    shutil.copy(elf, part)
    os.replace(part, kept)


def _forget(cache):
    for old in cache.glob("*"):
        if time.time() - old.stat().st_mtime > KEEP_S:
            shutil.rmtree(old, ignore_errors=True)
