"""Builds the core for arm64 as a Raspberry Pi would and runs a session of each Pi profile under emulation.

    python -m boards.arm64

Needs Debian's gcc-aarch64-linux-gnu and qemu-user; about a minute and a half the first time (Opus and Mbed TLS, then
cached), half a minute after a change of the core. Not part of CI for that reason.
"""

import os
import shutil
import subprocess
import sys

from boards import gen, measure, rules
from build_tools import BuildError, Toolchain

CC, RUN, ROOT = "aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu"


class Arm64(Toolchain):
    ar = "aarch64-linux-gnu-ar"

    def __init__(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("LINNET_")}
        super().__init__({**env, "CC": CC, "LINNET_VARIANT": "boards/arm64"})


def session(tools, name):
    board, _ = rules.load(rules.find(name))
    folder = tools.folder / name
    gen.write(board, gen.shown(rules.find(name)), folder)
    program = folder / "session_size"
    objects = tools.core_objects(folder / "obj", ["-include", str(folder / "board.h")])
    command = [*tools.cc, *tools.compile_flags(), f"-I{folder}", str(rules.HERE / "session_size.c"),
               *map(str, objects), *map(str, tools.third_party_archives()), *tools.link_flags(), "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([RUN, "-L", ROOT, program, *map(str, measure.words(board))], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{name}: the session does not start on arm64: {done.stdout}{done.stderr}")
    return int(done.stdout.split()[0])


def main():
    missing = [name for name in (CC, RUN) if not shutil.which(name)]
    if missing:
        print(f"arm64: SKIPPED: {' and '.join(missing)} not found. Debian: apt install gcc-aarch64-linux-gnu "
              "libc6-dev-arm64-cross qemu-user")
        return 0
    try:
        tools = Arm64()
        for name in rules.names("rpi"):
            print(f"arm64: {name}: built, and a session of {session(tools, name):,} bytes starts under {RUN}")
    except BuildError as error:
        print(f"arm64: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
