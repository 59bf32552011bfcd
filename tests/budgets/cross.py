"""The processors that budgets are measured for, and how code for each is made: as a board's firmware makes it, -Os.

    for target in TARGETS: tools = open_target(target, say); tools.core_objects(), tools.third_party_archives()

Missing says which Debian packages bring what is not there. Objects go to build/budgets/<target>/, the archives of Opus
and Mbed TLS to the user cache, as those of every other build.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from build_tools import BUILD, Toolchain, fetch
import xtensa

FOLDER = BUILD / "budgets"
SIZE = ["-Os", "-ffunction-sections", "-fdata-sections", "-fno-common"]
PICOLIBC = "--specs=picolibc.specs"


class Missing(Exception):
    """The machine lacks a tool; the text says which package has it."""


class Target:
    """name: key of the table. title: for people. cpu: flags. machine: qemu's command, None when nothing runs it."""

    def __init__(self, name, title, compiler, packages, cpu, machine=None, link=()):
        self.name, self.title, self.compiler, self.packages = name, title, compiler, packages
        self.cpu, self.machine, self.link = list(cpu), machine, list(link)


def _memory(flash, flash_size, ram, ram_size):
    values = {"__flash": flash, "__flash_size": flash_size, "__ram": ram, "__ram_size": ram_size,
              "__stack_size": 1 << 18}
    return [f"-Wl,--defsym={name}={value:#x}" for name, value in values.items()]


M33 = Target("m33", "emulated Cortex-M33", "arm-none-eabi-gcc",
             "gcc-arm-none-eabi picolibc-arm-none-eabi qemu-system-arm",
             ["-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=soft", PICOLIBC],
             ["qemu-system-arm", "-machine", "mps2-an505"],
             _memory(0x10000000, 1 << 22, 0x80000000, 1 << 23))
RV32 = Target("rv32", "emulated RV32", "riscv64-unknown-elf-gcc",
              "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc",
              ["-march=rv32imac", "-mabi=ilp32", "-misa-spec=2.2", PICOLIBC],
              ["qemu-system-riscv32", "-machine", "virt", "-bios", "none"],
              _memory(0x80000000, 1 << 22, 0x80800000, 1 << 23))
S3 = Target("s3", "ESP32-S3 (windowed Xtensa)", "", "", [])
TARGETS = (M33, RV32, S3)


class Cross(Toolchain):
    """Compiles the core, Opus in fixed point, Mbed TLS and nanopb for one target."""

    def __init__(self, target, cc, ar, cpu, say):
        self.cpu = list(cpu)  # before the base class asks for flags
        env = {name: value for name, value in os.environ.items() if not name.startswith("LINNET_S")}
        super().__init__({**env, "CC": cc, "LINNET_OPUS": "fixed", "LINNET_VARIANT": f"budgets/{target.name}"}, say)
        self.target, self.ar = target, ar

    def _code_flags(self):
        return [*SIZE, *self.cpu]

    def _base_flags(self):
        return self._code_flags()

    def link_flags(self):
        return self.cpu + ["--crt0=semihost", "--oslib=semihost", "-Wl,--gc-sections", *self.target.link]


def open_target(target, say):
    """Its Cross, or Missing."""
    if target is S3:
        try:
            tools = xtensa.toolchain(say=say)
        except fetch.FetchError as error:
            raise Missing(str(error)) from None
        return Cross(target, tools.cc, tools.prefix + "ar", tools.flags, say)
    programs = [target.compiler, target.machine[0]]
    lacking = [name for name in programs if not shutil.which(name)]
    if lacking:
        raise Missing(f"{' and '.join(lacking)} not found. Debian: apt install {target.packages}")
    tools = Cross(target, target.compiler, target.compiler[:-3] + "ar", target.cpu, say)
    with tempfile.TemporaryDirectory() as scratch:
        probe = Path(scratch) / "probe.c"
        probe.write_text("#include <string.h>\nint main(void) { return (int)strlen(\"\"); }\n")
        command = [*tools.cc, *tools.link_flags(), str(probe), "-o", str(probe) + ".elf"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"{target.compiler} links nothing ({done.stderr.strip().splitlines()[-1]}). "
                      f"Debian: apt install {target.packages}")
    return tools


def compiler_name(tools):
    """What a figure depends on besides the sources: arm-none-eabi-gcc 12.2.1."""
    return f"{Path(tools.cc[0]).name} {tools._ask('-dumpfullversion')}"
