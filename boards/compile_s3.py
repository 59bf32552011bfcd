"""Compiles everything of Linnet that an ESP32-S3 firmware holds, without ESP-IDF, and says how large it is.

The compiler is csrc/third_party/xtensa.py's (or XTENSA_CC): the S3's own instructions in the windowed ABI. What ESP-IDF
and MicroPython's port would declare comes from tests/esp_idf: a file that compiles here may still fail there, one that
does not compile here fails there too.
"""

import os
import re
import subprocess
import sys

from boards import rules

sys.path.insert(0, str(rules.REPO / "csrc" / "bind"))

import micropython_build  # noqa: E402
import xtensa  # noqa: E402
from build_tools import BUILD, CSRC, STRICT, Toolchain, fetch  # noqa: E402

IDF = rules.REPO / "tests" / "esp_idf"
FOLDER = BUILD / "boards" / "s3"
# As the firmware: small, and what is not called can go.
CODE = ["-Os", "-ffunction-sections", "-fdata-sections", "-fno-common"]
THIRD_PARTY = ("opus", "mbedtls", "nanopb")


class MissingToolchain(Exception):
    """No compiler for the S3; the text says what to do."""


class S3(Toolchain):
    """The host's Toolchain with the S3's compiler."""

    def __init__(self, say):
        try:
            tools = xtensa.toolchain(say=say)
        except fetch.FetchError as error:
            raise MissingToolchain(str(error)) from None
        self.cpu, self.name, self.size = tools.flags, tools.name, tools.prefix + "size"
        env = {name: value for name, value in os.environ.items() if not name.startswith("LINNET_S")}
        super().__init__({**env, "CC": tools.cc, "LINNET_OPUS": "fixed", "LINNET_VARIANT": "boards/s3"}, say)
        self.ar = tools.prefix + "ar"

    def _code_flags(self):
        return [*CODE, *self.cpu]

    def _base_flags(self):
        return self._code_flags()


def port_jobs(tools, board_folder, name):
    flags = [*STRICT[1:], "-std=gnu11", "-DESP_PLATFORM=1", "-D_GNU_SOURCE=1", "-D_POSIX_MONOTONIC_CLOCK=1", "-isystem",
             str(IDF / "include"), f"-I{board_folder}", *tools.compile_flags()]
    return [(file, tools.folder / name / f"{file.stem}.o", flags) for file in sorted((CSRC / "port").glob("*.c"))]


def module_jobs(tools):
    """modlinnet.c, against MicroPython's own headers and the little that a port adds."""
    tree = micropython_build.source_tree()
    headers = tools.folder / "genhdr"
    headers.mkdir(parents=True, exist_ok=True)
    source = CSRC / "bind" / "modlinnet.c"
    write_genhdr(headers, tree, source.read_text(encoding="utf-8"))
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-DLINNET_MEDIA_LOOP=1",
             "-DMODULE_LINNET_ENABLED=1", "-isystem", str(IDF / "include"), f"-I{IDF}", f"-I{headers.parent}",
             "-isystem", str(tree), *tools.compile_flags()]
    return [(source, tools.folder / "module" / "modlinnet.o", flags)]


def write_genhdr(folder, tree, text):
    """What MicroPython's build would generate: names used here and in its headers, and our root pointers."""
    text += "".join(file.read_text(encoding="utf-8") for file in sorted((tree / "py").glob("*.h")))
    names = sorted(set(re.findall(r"\bMP_QSTR_(\w+)\b", text)))
    roots = re.findall(r"^MP_REGISTER_ROOT_POINTER\((.*)\);", text, re.M)
    made = {"qstrdefs.generated.h": "".join(f'QDEF1(MP_QSTR_{name}, 0, {len(name)}, "{name}")\n' for name in names),
            "root_pointers.h": "".join(f"{root};\n" for root in roots), "moduledefs.h": "", "mpversion.h": ""}
    for name, content in made.items():
        micropython_build.write_if_new(folder / name, content)


def compile_all(boards, board_folder, say):
    """({"core": (files, bytes), ...}, the compiler's name). BuildError names the first file that does not compile.

    boards: names of the ESP32 boards; board_folder(name) is where gen.py wrote board.h."""
    tools = S3(say)
    sizes = {}
    core = tools.core_objects()
    sizes["core"] = core
    for name in boards:
        jobs = port_jobs(tools, board_folder(name), f"port-{name}")
        tools.compile(jobs, f"port for {name}")
        sizes["port"] = [job[1] for job in jobs]
    jobs = module_jobs(tools)
    tools.compile(jobs, "modlinnet")
    sizes["module"] = [job[1] for job in jobs]
    for name in THIRD_PARTY:
        sizes[name] = [tools.third_party_archive(name)]
    return {name: (len(files), text_bytes(tools.size, files)) for name, files in sizes.items()}, tools.name


def text_bytes(size, files):
    """Code and constants: what goes to flash. Xtensa's literals stand in sections of their own."""
    done = subprocess.run([size, "-A", *map(str, files)], capture_output=True, text=True, check=True)
    total = 0
    for line in done.stdout.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1].isdigit() and parts[0].startswith((".text", ".literal", ".rodata", ".data")):
            total += int(parts[1])
    return total
