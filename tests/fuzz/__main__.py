"""`python -m tests.fuzz [NAME...] [--seconds N]`: builds each fuzz_NAME.c with libFuzzer and runs it.

The core is compiled with clang's address and undefined-behaviour sanitizers and coverage; third-party code with the
address sanitizer. A target starts from its committed inputs (corpora/NAME, regressions/NAME) and from what
earlier runs on this machine found (build/fuzz/corpus/NAME). What makes it fail is kept in build/fuzz/crashes
and the line that replays it is printed; a fixed one belongs into regressions/NAME.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "csrc" / "bind"))

from build_tools import BuildError, Toolchain, say  # noqa: E402

OUT = ROOT / "build" / "fuzz"
SANITIZE = "address,undefined"
ONE_INPUT_S = 10        # an input that takes longer is a finding
ENVIRONMENT = {"ASAN_OPTIONS": "abort_on_error=1:detect_stack_use_after_return=1",
               "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def targets():
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))


def committed_inputs(name):
    folders = [HERE / kind / name for kind in ("corpora", "regressions")]
    return [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]


def build(names):
    """The programs, by name. clang, since gcc has no libFuzzer."""
    compiler = os.environ.get("CC", "")
    env = {**os.environ, "CC": compiler if "clang" in compiler else "clang",
           "LINNET_SANITIZE": SANITIZE + ",fuzzer-no-link", "LINNET_VARIANT": "fuzz"}
    tools = Toolchain(env)
    archives = [tools.core_library(), *tools.third_party_archives()]
    objects = {name: OUT / "obj" / f"fuzz_{name}.o" for name in names}
    flags = ["-std=c11", "-Wall", *tools.compile_flags()]
    tools.compile([(HERE / f"fuzz_{name}.c", target, flags) for name, target in objects.items()], "fuzz targets")
    programs = {}
    for name, target in objects.items():
        programs[name] = OUT / f"fuzz_{name}"
        done = subprocess.run([*tools.cc, f"-fsanitize=fuzzer,{SANITIZE}", str(target), *map(str, archives), "-lm",
                               "-o", str(programs[name])], capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"fuzz_{name} does not link (Debian: apt install clang libclang-rt-dev):\n{done.stderr}")
    return programs


def run(name, program, seconds):
    """One line about the run and whether it passed."""
    grown, crashes = OUT / "corpus" / name, OUT / "crashes"
    grown.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    inputs = committed_inputs(name)
    if not inputs:
        return False, f"{name}: no committed inputs in corpora/{name}"
    dictionary = HERE / f"{name}.dict"
    command = [str(program), str(grown), *map(str, inputs), f"-max_total_time={seconds}", f"-timeout={ONE_INPUT_S}",
               "-rss_limit_mb=2048", f"-artifact_prefix={crashes}/{name}-", "-print_final_stats=1"]
    command += [f"-dict={dictionary}"] if dictionary.is_file() else []
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                          env={**os.environ, **ENVIRONMENT})
    text = done.stdout + done.stderr
    runs = int((re.findall(r"number_of_executed_units: *(\d+)", text) or ["0"])[-1])
    covered = (re.findall(r"cov: (\d+)", text) or ["?"])[-1]
    if done.returncode == 0 and runs:
        return True, f"{name}: {runs:,} runs in {time.monotonic() - began:.0f} s, {covered} edges, nothing found"
    kept = (re.findall(r"Test unit written to (\S+)", text) or ["(no input kept)"])[-1]
    return False, f"{name}: FAILED\n{text[-4000:]}\nreplay: {program} {kept}"


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"targets (default: all of {', '.join(targets())})")
    parser.add_argument("--seconds", type=int, default=20, help="time for each target (default: 20)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(targets()))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(targets())}")
    names = arguments.names or targets()
    try:
        programs = build(names)
    except BuildError as problem:
        say(f"fuzz: {problem}")
        return 1
    say(f"fuzz: {len(names)} targets, {arguments.seconds} s each, {os.cpu_count()} at a time")
    failed = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, (passed, line) in zip(names, pool.map(lambda n: run(n, programs[n], arguments.seconds), names)):
            say(line)
            if not passed:
                failed.append(name)
    say(f"fuzz: {len(names) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}".rstrip())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
