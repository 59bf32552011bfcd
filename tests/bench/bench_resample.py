"""Our resampler beside speexdsp's fixed-point one: how clean, how many instructions per 20 ms frame, how many bytes.

At the rates that Opus does not know, which are all that we resample. Quality 3 and 5 of speexdsp are the ones around
the length of our filter. How clean: dB between a tone and everything else in the output, the worst of three tones.
Figures for a person: why csrc/media/resample.h is ours. The gate is tests/c/test_resample_peer.py.
"""

import re
import subprocess
import sys

from tests.bench import gates
from tests.bench.bench_packets import MISSING, CannotMeasure, has_valgrind

sys.path.insert(0, str(gates.HERE.parent / "c"))

FEW, MANY = 10, 30
OURS = -1


def build(tools):
    program = gates.FOLDER / "bench_resample"
    judge = tools.recipe("speexdsp")
    flags = [*tools.compile_flags(), *(part for folder in judge.use_includes for part in ("-isystem", str(folder))),
             *("-D" + define for define in judge.use_defines)]
    wrap = ["-Wl,--wrap=calloc", "-Wl,--wrap=realloc"]
    command = [*tools.cc, "-Wall", "-Wextra", "-Werror", *flags, str(gates.HERE / "bench_resample.c"),
               str(tools.core_library()), str(tools.third_party_archive("speexdsp")), *tools.link_flags(), *wrap,
               "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CannotMeasure(f"bench_resample.c does not build:\n{done.stderr}")
    return program


def instructions(program, *words):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise CannotMeasure(f"callgrind failed:\n{done.stderr[-2000:]}")
    return int(found.group(1))


def cost(program, from_hz, to_hz, quality):
    """(instructions per frame, bytes)"""
    few, many = (instructions(program, from_hz, to_hz, quality, frames) for frames in (FEW, MANY))
    size = subprocess.run([str(program), str(from_hz), str(to_hz), str(quality), "1"], capture_output=True, text=True,
                          check=True).stdout
    return (many - few) // (MANY - FEW), int(size)


def run(accepting=False):
    """What is wrong, one sentence each."""
    import test_resample_peer as peer

    if not has_valgrind():
        return [MISSING]
    try:
        program, rows = build(gates.toolchain()), []
        for from_hz, to_hz in peer.DEVICE_PAIRS:
            row = [f"{from_hz} to {to_hz} Hz"]
            for quality in (OURS, *peer.QUALITIES):
                def make(quality=quality, pair=(from_hz, to_hz)):
                    return peer.Resampler(*pair) if quality == OURS else peer.Speex(*pair, quality)
                clean = peer.worst_cleanness(make, from_hz, to_hz)
                count, size = cost(program, from_hz, to_hz, quality)
                row.append(f"{clean:.0f} dB {gates.thousands(count)} {size} B")
            rows.append(row)
    except CannotMeasure as problem:
        return [str(problem)]
    gates.table(["clean, instructions per frame, bytes", "ours", *(f"speexdsp {q}" for q in peer.QUALITIES)], rows)
    return []
