"""How each third-party source is compiled: files, include folders, defines. Nothing is run here.

A recipe is a list of groups (files, extra flags): Opus has files that want -mavx2 and are chosen at run time.
What a user of the library must also see (include folders, defines) is USE. No configure script is run: the
file lists come from the projects' own makefile fragments, the defines from toolchains we tested.
"""

import re
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
# In angle brackets: Mbed TLS has a file of this very name beside the header that includes it.
MBEDTLS_DEFINE = "MBEDTLS_CONFIG_FILE=<mbedtls_config.h>"

# Opus, run-time choice of instruction set: (name in *_sources.mk, compiler flags).
OPUS_X86 = [("X86_RTCD", []), ("SSE", ["-msse"]), ("SSE2", ["-msse2"]), ("SSE4_1", ["-msse4.1"]),
            ("AVX2", ["-mavx2", "-mfma", "-mavx"])]
OPUS_X86_DEFINES = ["OPUS_HAVE_RTCD", "CPU_INFO_BY_C", "OPUS_X86_PRESUME_SSE", "OPUS_X86_PRESUME_SSE2"] + [
    "OPUS_X86_MAY_HAVE_" + name for name in ("SSE", "SSE2", "SSE4_1", "AVX2")]
# Every aarch64 has NEON, so nothing is chosen at run time there.
OPUS_ARM64_DEFINES = ["OPUS_ARM_MAY_HAVE_NEON_INTR", "OPUS_ARM_PRESUME_NEON_INTR",
                      "OPUS_ARM_PRESUME_AARCH64_NEON_INTR"]


class Recipe:
    """What to compile, and what its users must know."""

    def __init__(self, groups, includes, defines, use_includes, use_defines=(), headers=(), config=()):
        self.groups = groups
        self.includes = includes
        self.defines = list(defines)
        self.use_includes = use_includes
        self.use_defines = list(use_defines)
        self.headers = list(headers)  # of ours, put before every file of the library
        self.config = list(config)  # of ours, read by the library: part of the cache key


def _makefile_lists(tree, *files):
    """The variables of automake fragments: {"CELT_SOURCES": ["celt/bands.c", ...]}."""
    lists = {}
    for file in files:
        text = (tree / file).read_text(encoding="utf-8").replace("\\\n", " ")
        for name, value in re.findall(r"^(\w+)\s*=(.*)$", text, re.M):
            lists[name] = value.split()
    return lists


def opus(tree, arithmetic, machine):
    """arithmetic: "float" for hosts, "fixed" for devices (and for tests of what a device does)."""
    lists = _makefile_lists(tree, "celt_sources.mk", "silk_sources.mk", "opus_sources.mk")
    fixed = arithmetic == "fixed"
    files = lists["CELT_SOURCES"] + lists["SILK_SOURCES"] + lists["OPUS_SOURCES"]
    files += lists["SILK_SOURCES_FIXED"] if fixed else lists["SILK_SOURCES_FLOAT"] + lists["OPUS_SOURCES_FLOAT"]
    defines = ["OPUS_BUILD", "VAR_ARRAYS", "HAVE_LRINTF", "HAVE_LRINT"]
    if (tree / "package_version").is_file():
        defines.append((tree / "package_version").read_text(encoding="utf-8").strip())
    groups = []
    if fixed:
        defines += ["FIXED_POINT", "DISABLE_FLOAT_API"]
    elif machine == "x86_64":
        defines += OPUS_X86_DEFINES
        for name, flags in OPUS_X86:
            found = [file for key in ("CELT_SOURCES_", "SILK_SOURCES_", "SILK_SOURCES_FLOAT_")
                     for file in lists.get(key + name, ())]
            groups.append(([tree / file for file in found], flags))
    elif machine in ("aarch64", "arm64"):
        defines += OPUS_ARM64_DEFINES
        files += lists["CELT_SOURCES_ARM_NEON_INTR"] + lists["SILK_SOURCES_ARM_NEON_INTR"]
    groups.insert(0, ([tree / file for file in files], []))
    folders = ["include", "celt", "silk", "silk/fixed" if fixed else "silk/float", "."]
    includes, narrow = [tree / folder for folder in folders], REPO / "csrc" / "opus_narrow.h"
    if not (fixed and machine in ("x86_64", "aarch64", "arm64")):
        return Recipe(groups, includes, defines, [tree / "include"])
    return Recipe(groups, [*includes, narrow.parent], defines, [tree / "include"],
                  headers=[narrow.name], config=[narrow])


def mbedtls(tree, arithmetic, machine):
    folders = [tree / "include", tree / "library", REPO / "csrc"]
    return Recipe([(sorted((tree / "library").glob("*.c")), [])], folders, [MBEDTLS_DEFINE], [tree / "include"],
                  [MBEDTLS_DEFINE], ["mbedtls_srtp.h"], sorted((REPO / "csrc").glob("mbedtls_*.h")))


def nanopb(tree, arithmetic, machine):
    files = [tree / name for name in ("pb_common.c", "pb_decode.c", "pb_encode.c")]
    defines = ["PB_BUFFER_ONLY=1"]  # no stream but memory: fewer instructions a byte
    return Recipe([(files, [])], [tree], defines, [tree], defines)


def speexdsp(tree, arithmetic, machine):
    """The resampler alone: the judge of ours in the tests, part of no program (csrc/media/resample.h says why). Under
    names of our own, so that a system libspeexdsp cannot be mixed in."""
    use = ["OUTSIDE_SPEEX", "RANDOM_PREFIX=linnet_speex"]
    return Recipe([([tree / "libspeexdsp" / "resample.c"], [])],
                  [tree / "include" / "speex", tree / "libspeexdsp"], ["FIXED_POINT", *use],
                  [tree / "include" / "speex"], use)


# What programs are linked with; users of a library come before it.
LINKED = ("opus", "mbedtls", "nanopb")
RECIPES = {"opus": opus, "mbedtls": mbedtls, "nanopb": nanopb, "speexdsp": speexdsp}
