#!/usr/bin/env python3
"""A compiler for the ESP32-S3's instruction set (Xtensa LX7, windowed ABI), without ESP-IDF and without root.

    python3 csrc/third_party/xtensa.py       prints CC and PREFIX
    import xtensa; tools = xtensa.toolchain(); tools.cc, tools.flags, tools.prefix + "size"

Debian's cross compiler is made for the ESP8266 and takes another processor's description from a plugin. Its
packages come from the distribution through an apt configuration of our own (the system's is only read for its
mirror), are unpacked into the user cache, and run with the C library they were made for. The plugin is compiled
there and then from binutils' own tables: it is GPL code, never committed and never part of a firmware.

What it is good for: does every file compile, and how big is it. It has no C library in the windowed ABI, so
nothing is linked with it; a firmware is built with Espressif's toolchain. XTENSA_CC (such as ESP-IDF's
xtensa-esp32s3-elf-gcc) wins and then nothing is fetched.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import fetch  # noqa: E402  (after sys.path)

SUITE = "trixie"  # a stable one: its packages stay as they are
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
GCC = "13.3.0"
# What decides about the code we get is pinned; the libraries it runs on are whatever the suite holds today,
# authenticated by the distribution's signature.
TOOLS = ("gcc-xtensa-lx106", "binutils-xtensa-lx106", "binutils-source", "picolibc-xtensa-lx106-elf")
LIBRARIES = ("libc6", "libgmp10", "libisl23", "libmpc3", "libmpfr6", "zlib1g", "libzstd1", "libstdc++6", "libgcc-s1")
HASHES = {
    "gcc-xtensa-lx106_13.3.0-16+14+b4_amd64.deb": "1d61537d9ac09a6aaed48355fee5c63529c644c63ee3636a8c22f52b583d88bd",
    "binutils-xtensa-lx106_2.44-3+6+b2_amd64.deb": "434f0712a0ea19f96fe09a55a3e943a4960408802e8e6031e2c162f6bbb0b235",
    "binutils-source_2.44-3_all.deb": "5537e9ee460ac2c02a422efdf251f12b449febf0cc54dfbcca91417b694c135f",
    "picolibc-xtensa-lx106-elf_1.8.10-2_all.deb": "34e6b9e3593cd4c8c6875e7f1b12faa10e9b0d93daa87056113185a3b651f5f7",
}
RECIPE = 1  # counts changes of how the packages become a toolchain
PROGRAMS = ("gcc", "as", "ld", "ar", "nm", "size", "objdump", "objcopy", "readelf", "strip", "ranlib")
PREFIX = "xtensa-s3-elf-"

# The ESP32-S3's core, in the words of xtensa-config.h; what is not named keeps the value of the generic core there.
# Its earliest hardware release is 270012; from 270000 on GCC uses SALT, which binutils' generic tables lack.
CORE = {
    "XCHAL_HAVE_BE": 0, "XCHAL_HAVE_DENSITY": 1, "XCHAL_HAVE_CONST16": 0, "XCHAL_HAVE_ABS": 1, "XCHAL_HAVE_ADDX": 1,
    "XCHAL_HAVE_L32R": 1, "XSHAL_USE_ABSOLUTE_LITERALS": 0, "XSHAL_HAVE_TEXT_SECTION_LITERALS": 1,
    "XCHAL_HAVE_MAC16": 1, "XCHAL_HAVE_MUL16": 1, "XCHAL_HAVE_MUL32": 1, "XCHAL_HAVE_MUL32_HIGH": 1,
    "XCHAL_HAVE_DIV32": 1, "XCHAL_HAVE_NSA": 1, "XCHAL_HAVE_MINMAX": 1, "XCHAL_HAVE_SEXT": 1, "XCHAL_HAVE_LOOPS": 1,
    "XCHAL_HAVE_THREADPTR": 1, "XCHAL_HAVE_RELEASE_SYNC": 1, "XCHAL_HAVE_S32C1I": 1, "XCHAL_HAVE_BOOLEANS": 1,
    "XCHAL_HAVE_FP": 1, "XCHAL_HAVE_FP_DIV": 1, "XCHAL_HAVE_FP_RECIP": 1, "XCHAL_HAVE_FP_SQRT": 1,
    "XCHAL_HAVE_FP_RSQRT": 1, "XCHAL_HAVE_DFP": 0, "XCHAL_HAVE_WINDOWED": 1, "XCHAL_NUM_AREGS": 64,
    "XCHAL_HAVE_WIDE_BRANCHES": 0, "XCHAL_HAVE_PREDICTED_BRANCHES": 0, "XCHAL_ICACHE_SIZE": 0, "XCHAL_DCACHE_SIZE": 0,
    "XCHAL_HAVE_MMU": 0, "XCHAL_MAX_INSTRUCTION_SIZE": 4, "XCHAL_INST_FETCH_WIDTH": 4, "XTHAL_ABI_WINDOWED": 0,
    "XTHAL_ABI_CALL0": 1, "XSHAL_ABI": 0, "XCHAL_M_STAGE": 0, "XTENSA_MARCH_LATEST": 260000,
    "XTENSA_MARCH_EARLIEST": 260000, "XCHAL_HAVE_CLAMPS": 1, "XCHAL_HAVE_DEPBITS": 0, "XCHAL_HAVE_EXCLUSIVE": 0,
    "XCHAL_HAVE_XEA3": 0, "XCHAL_DATA_WIDTH": 16, "XCHAL_UNALIGNED_LOAD_EXCEPTION": 0,
    "XCHAL_UNALIGNED_STORE_EXCEPTION": 0, "XCHAL_UNALIGNED_LOAD_HW": 1, "XCHAL_UNALIGNED_STORE_HW": 1,
}


class Tools:
    """cc: the compiler. prefix: cc without "gcc", for size, nm, ar and so on. flags: every compilation needs them.
    name: for reports. env: what must be set for programs that are not started through `prefix` (usually nothing)."""

    def __init__(self, cc, prefix, flags, name, env=()):
        self.cc, self.prefix, self.flags, self.name, self.env = str(cc), str(prefix), list(flags), name, dict(env)


def toolchain(env=os.environ, say=fetch.say, apt_dir=Path("/etc/apt")):
    """The Tools, fetched first if they have to be. Raises fetch.FetchError, whose text is for the user."""
    own = env.get("XTENSA_CC")
    if own:
        return _from_env(own)
    root = fetch.cache_dir(env) / "toolchain" / f"xtensa-s3-gcc{GCC}-{_key()}"
    with fetch.locked(fetch.cache_dir(env) / "lock" / root.name):
        if not (root / "ready").is_file():
            _build(root, env, say, apt_dir)
    prefix = root / "bin" / PREFIX
    flags = ["-mlongcalls", "-isystem", str(root / "include")]
    return Tools(f"{prefix}gcc", prefix, flags, f"gcc {GCC} (Debian {SUITE}) with the ESP32-S3's core",
                 {"XTENSA_GNU_CONFIG": str(root / "esp32s3.so")})


def _from_env(cc):
    if not shutil.which(cc):
        raise fetch.FetchError(f"xtensa: XTENSA_CC={cc} is no program. "
                               "Point it at xtensa-esp32s3-elf-gcc, or unset it.")
    if not cc.endswith("gcc"):
        raise fetch.FetchError(f"xtensa: XTENSA_CC={cc} must end in gcc, so that size and nm are found beside it.")
    version = subprocess.run([cc, "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return Tools(cc, cc[:-3], ["-mlongcalls"], f"gcc {version} (XTENSA_CC)")


def _key():
    return hashlib.sha256(repr((RECIPE, SUITE, TOOLS, HASHES, PROGRAMS, CORE)).encode()).hexdigest()[:12]


def _build(root, env, say, apt_dir):
    began = time.monotonic()
    _check_programs()
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".part-") as scratch:
        scratch = Path(scratch)
        packages = _download(scratch, say, apt_dir)
        say(f"xtensa: unpacking {len(packages)} packages into {root}")
        shutil.rmtree(root, ignore_errors=True)  # of a build that did not end
        for package in packages:
            _run(["dpkg-deb", "-x", package, root], "cannot unpack")
        _make_runnable(root)
        _build_plugin(root, scratch, env)
    _write_programs(root)
    _try(root)
    for left in ("usr/src", "usr/share"):
        shutil.rmtree(root / left, ignore_errors=True)
    (root / "ready").write_text("yes\n")
    say(f"xtensa: ready in {time.monotonic() - began:.1f} s")


def _check_programs():
    missing = [name for name in ("apt-get", "dpkg-deb") if not shutil.which(name)]
    if missing:
        raise _error(f"{' and '.join(missing)} not found; the toolchain is made from Debian's packages")
    if not KEYRING.is_file():
        raise _error(f"{KEYRING} is missing. Debian, Ubuntu: apt install debian-archive-keyring")


def _error(reason):
    return fetch.FetchError(f"xtensa: {reason}.\nTo go on: set XTENSA_CC to ESP-IDF's xtensa-esp32s3-elf-gcc.")


def _run(command, what, **more):
    try:
        done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=900, **more)
    except subprocess.TimeoutExpired:
        raise _error(f"{what}: no end after 15 minutes") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no text").splitlines()
        errors = [line for line in lines if line.startswith(("E: ", "Err"))]
        raise _error(f"{what}: {(errors or lines)[-1]} ({Path(command[0]).name} ended with {done.returncode})")
    return done.stdout


def _download(scratch, say, apt_dir):
    mirrors = [uri for uri in fetch.apt_mirrors(apt_dir) if "security" not in uri]
    mirrors.sort(key=lambda uri: "debian" not in uri)
    if not mirrors:
        raise _error(f"no package mirror found in {apt_dir}")
    reasons = []
    for mirror in mirrors:
        try:
            return _download_from(mirror, scratch, say)
        except fetch.FetchError as error:
            reasons.append(str(error).splitlines()[0].removeprefix("xtensa: "))
            say(f"xtensa: {reasons[-1]}")
    raise _error("no mirror has it: " + "; ".join(reasons))


def _download_from(mirror, scratch, say):
    apt, deb = scratch / "apt", scratch / "deb"
    for folder in (apt / "lists/partial", apt / "cache/archives/partial", deb):
        folder.mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {SUITE} main\n")
    options = {"Dir::Etc::sourcelist": apt / "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::Lists":
               apt / "lists", "Dir::Cache": apt / "cache", "APT::Sandbox::User": "", "Acquire::Languages": "none",
               "Acquire::http::Timeout": fetch.TIMEOUT_S, "Acquire::Retries": 1, "APT::Update::Error-Mode": "any",
               "Debug::NoLocking": "true", "APT::Update::Post-Invoke-Success::": "true"}
    command = ["apt-get", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    say(f"xtensa: fetching {SUITE}'s package lists and {len(TOOLS + LIBRARIES)} packages (95 MB) from {mirror}")
    _run([*command, "update"], f"{mirror}: no {SUITE}")
    _run([*command, "download", *TOOLS, *LIBRARIES], f"{mirror}: no packages", cwd=deb)
    packages = sorted(deb.glob("*.deb"))
    for package in packages:
        expected = HASHES.get(package.name)
        if expected and fetch.sha256_of(package) != expected:
            raise _error(f"{package.name} from {mirror} is not the pinned file, refused")
    return packages


def _loader(root):
    """The dynamic loader and the library folder of the unpacked C library."""
    found = sorted((root / "usr").glob("lib*/ld-linux*.so.*")) or sorted((root / "usr/lib").glob("*/ld-linux*.so.*"))
    libraries = sorted((root / "usr/lib").glob("*/libc.so.6"))
    if not found or not libraries:
        raise _error(f"Debian's libc6 for {platform.machine()} has no loader where we know of")
    return found[0], libraries[0].parent


def _make_runnable(root):
    """These programs want a newer C library than the machine may have: start each with the one unpacked beside it."""
    loader, libraries = _loader(root)
    patterns = ("usr/bin/*", "usr/lib/gcc/xtensa-lx106-elf/*/*", "usr/libexec/gcc/xtensa-lx106-elf/*/*",
                "usr/lib/xtensa-lx106-elf/bin/*")
    for path in [path for pattern in patterns for path in sorted(root.glob(pattern))]:
        if path.is_symlink() or not path.is_file() or ".so" in path.name:
            continue
        with open(path, "rb") as handle:
            start = handle.read(18)
        if start[:4] == b"\x7fELF" and start[16] in (2, 3):
            real = path.with_name(path.name + ".real")
            path.rename(real)
            path.write_text(f'#!/bin/sh\nexec "{loader}" --library-path "{libraries}" --argv0 "$0" "{real}" "$@"\n')
            path.chmod(0o755)


def _build_plugin(root, scratch, env):
    """Binutils' header lays out the description, CORE fills it in, binutils' table of instructions goes with it."""
    source = scratch / "binutils"
    archive = next((root / "usr/src/binutils").glob("binutils-*.tar.xz"))
    wanted = ("bfd/xtensa-modules.c", "include/xtensa-isa.h", "include/xtensa-isa-internal.h", "include/ansidecl.h",
              "include/xtensa-config.h", "include/xtensa-dynconfig.h")
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            if name in wanted:
                target = source / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())
    lines = ["#define XTENSA_CONFIG_DEFINITION", '#include "xtensa-config.h"']
    for name, value in CORE.items():
        lines += [f"#undef {name}", f"#define {name} {value}"]
    strings = ", ".join(f'"__{name}={value}"' for name, value in CORE.items() if not name.startswith("XTENSA_"))
    lines += ['#include "xtensa-dynconfig.h"', "int plugin_is_GPL_compatible;", "XTENSA_CONFIG_INSTANCE_LIST;",
              f"const char *const xtensa_config_strings[] = {{{strings}, 0}};"]
    (source / "esp32s3.c").write_text("\n".join(lines) + "\n")
    cc = env.get("CC") or "cc"
    if not shutil.which(cc.split()[0]):
        raise _error(f"no C compiler: {cc} is not on the PATH. Debian: apt install gcc libc6-dev")
    _run([*cc.split(), "-shared", "-fPIC", "-nostdlib", "-O1", "-w", f"-I{source / 'include'}", source / "esp32s3.c",
          source / "bfd/xtensa-modules.c", "-o", root / "esp32s3.so"], "the plugin does not compile")


def _write_programs(root):
    (root / "bin").mkdir(exist_ok=True)
    for name in PROGRAMS:
        real = root / "usr/bin" / f"xtensa-lx106-elf-{name}"
        script = root / "bin" / (PREFIX + name)
        script.write_text(f'#!/bin/sh\nXTENSA_GNU_CONFIG="{root}/esp32s3.so" exec "{real}" "$@"\n')
        script.chmod(0o755)
    # The header files of a C library alone: its code is of the ESP8266's ABI.
    shutil.copytree(root / "usr/lib/xtensa-lx106-elf/include", root / "include", dirs_exist_ok=True)


def _try(root):
    """An entry instruction, a 32-bit high multiplication and nsau say that this is the S3's code."""
    sample = root / "sample.c"
    sample.write_text("#include <stdint.h>\n#include <string.h>\n"
                      "int32_t f(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b) >> 32); }\n"
                      "int g(unsigned a) { return __builtin_clz(a) + f(3, 4); }\n")
    prefix = root / "bin" / PREFIX
    _run([f"{prefix}gcc", "-Os", "-mlongcalls", "-isystem", root / "include", "-c", sample, "-o", root / "sample.o"],
         "the compiler does not run")
    text = _run([f"{prefix}objdump", "-d", root / "sample.o"], "the disassembler does not run")
    lacking = [word for word in ("entry", "mulsh", "nsau", "retw") if word not in text]
    if lacking:
        raise _error(f"the compiler runs, but its code for the ESP32-S3 lacks {', '.join(lacking)}")


def main():
    try:
        tools = toolchain()
    except fetch.FetchError as error:
        fetch.say(f"xtensa.py: {error}")
        return 1
    print(f"CC={tools.cc}\nPREFIX={tools.prefix}\nCFLAGS={' '.join(tools.flags)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
