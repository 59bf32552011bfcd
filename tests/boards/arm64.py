"""The core as a Raspberry Pi has it, arm64, run under emulation: a call between two sessions, and each Pi's limits.

    python -m tests.boards.arm64

The call is tests/budgets/target.c (ICE, DTLS, SCTP, sound both ways, losses, data, goodbye, in virtual time), without
its meters. Needs Debian's gcc-aarch64-linux-gnu and qemu-user; two and a half minutes the first time on a busy machine
(Opus and Mbed TLS, then cached), half a minute after a change of the core. Not part of CI for that reason.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from boards import gen, measure, rules
from build_tools import BuildError, Toolchain  # found by boards.measure

from tests.budgets import samples

CC, RUN, ROOT = "aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu"
BUDGETS = Path(samples.__file__).resolve().parent
# Counters are for processors without an operating system.
NO_METER = """
#include "meter.h"
void meter_start(void) {}
void meter_begin(void) {}
void meter_end(meter_sum_t *sum) { (void)sum; }
int meter_enter(int kind) { return kind; }
void meter_leave(int was) { (void)was; }
void meter_handshaking(int is_so) { (void)is_so; }
uint64_t meter_total(const meter_sum_t *sum) { (void)sum; return 0; }
void meter_paint(int on) { (void)on; }
void meter_print_stacks(void) {}
void meter_opus_afresh(void) {}
uint32_t meter_opus_stack(void) { return 0; }
"""


class Arm64(Toolchain):
    ar = "aarch64-linux-gnu-ar"

    def __init__(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("LINNET_")}
        super().__init__({**env, "CC": CC, "LINNET_VARIANT": "boards/arm64"})

    def program(self, name, sources, objects, flags):
        target = self.folder / name
        command = [*self.cc, "-std=gnu11", *self.compile_flags(), *flags, *map(str, sources), *map(str, objects),
                   *map(str, self.third_party_archives()), *self.link_flags(), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"{name} does not build for arm64:\n{done.stderr}")
        return target


def run(program, *arguments):
    done = subprocess.run([RUN, "-L", ROOT, program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise BuildError(f"{program.name} fails on arm64: {done.stdout}{done.stderr}")
    return done.stdout


def call(tools):
    """Raises BuildError unless both kinds of call were good ones."""
    objects = tools.core_objects()
    (tools.folder / "samples.h").write_text(samples.header(), encoding="utf-8")
    (tools.folder / "meter.c").write_text(NO_METER, encoding="utf-8")
    program = tools.program("call", [BUDGETS / "target.c", tools.folder / "meter.c"], objects,
                            [f"-I{BUDGETS}", f"-I{tools.folder}"])
    for mode in ("count", "stack"):
        if "done 1" not in run(program, mode):
            raise BuildError(f"the call ({mode}) did not come to its end on arm64")


def session(tools, name):
    """Bytes of a session with the limits of a board; linnet_session_init has worked."""
    board, _ = rules.load(rules.find(name))
    folder = tools.folder / name
    gen.write(board, gen.shown(rules.find(name)), folder)
    objects = tools.core_objects(folder / "obj", ["-include", str(folder / "board.h")])
    program = tools.program(f"session-{name}", [rules.HERE / "session_size.c"], objects, [f"-I{folder}"])
    return int(run(program, *measure.words(board)).split()[0])


def main():
    missing = [name for name in (CC, RUN) if not shutil.which(name)]
    if missing:
        print(f"arm64: SKIPPED: {' and '.join(missing)} not found. Debian: apt install gcc-aarch64-linux-gnu "
              "libc6-dev-arm64-cross qemu-user")
        return 0
    try:
        tools = Arm64()
        call(tools)
        print(f"arm64: a call between two sessions came to its end under {RUN}, with and without losses")
        for name in rules.names("rpi"):
            print(f"arm64: {name}: a session of {session(tools, name):,} bytes starts")
    except BuildError as error:
        print(f"arm64: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
