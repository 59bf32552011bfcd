"""Builds target.c for a processor and runs it in qemu: {mode: {name: value}}.

`-icount` makes time of instructions, so every count is exact and the same on every run and machine. The shift is what
meter.c expects: 0 where an instruction counter is read, 6 (64 ns an instruction) where a 20 MHz timer stands in for it.
"""

import subprocess

from build_tools import fetch

from tests.budgets import cross, samples

HERE = cross.Path(__file__).resolve().parent
WRAPPED = (
    "opus_encode opus_decode opus_encoder_init opus_decoder_init linnet_aes128_ctr linnet_hmac_sha1_compute "
    "linnet_random linnet_random_u32 linnet_dtls_start linnet_dtls_input linnet_dtls_poll linnet_session_size "
    "linnet_session_init linnet_input linnet_poll linnet_pcm_push linnet_pcm_pull linnet_stats linnet_session_wipe "
    "linnet_pb_decode linnet_pb_encode").split()
SHIFT = {"m33": 6, "rv32": 0}
TIMEOUT_S = 240


class Failed(Exception):
    """The program did not build or did not run; the text says how."""


def build(tools):
    folder = tools.folder / "target"
    folder.mkdir(parents=True, exist_ok=True)
    header, text = folder / "samples.h", samples.header()
    if not header.is_file() or header.read_text() != text:
        header.write_text(text)
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", *tools.compile_flags(), f"-I{folder}"]
    # words.c must not become calls of what it defines.
    jobs = [(HERE / f"{name}.c", folder / f"{name}.o", [*flags, "-ffreestanding", "-fno-tree-loop-distribute-patterns"])
            for name in ("target", "meter", "words")]
    objects = tools.core_objects()
    tools.compile(jobs, "target")
    wrap = [f"-Wl,--wrap={name}" for name in WRAPPED]
    inputs = [*(job[1] for job in jobs), *objects, *tools.third_party_archives()]
    return link(tools, folder / "target.elf", inputs, wrap)


def link(tools, program, inputs, flags=()):
    """Again only when something is newer."""
    with fetch.locked(program.parent / ".link"):
        if program.exists() and all(file.stat().st_mtime <= program.stat().st_mtime for file in inputs):
            return program
        command = [*tools.cc, *tools.link_flags(), *flags, *map(str, inputs), "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            program.unlink(missing_ok=True)
            raise Failed(f"{program.name} does not link for {tools.target.title}:\n{done.stderr}")
    return program


def run(tools, program, mode):
    """{name: value} of one run."""
    command = [*tools.target.machine, "-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config",
               f"enable=on,target=native,arg={mode}", "-kernel", str(program)]
    if mode == "count":
        command += ["-icount", f"shift={SHIFT[tools.target.name]}"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Failed(f"target.c ({mode}) on {tools.target.title} did not end within {TIMEOUT_S} s") from None
    found, errors = {}, []
    for line in (done.stdout + done.stderr).splitlines():
        name, _, value = line.rpartition(" ")
        if line.startswith("error "):
            errors.append(line.removeprefix("error "))
        elif value.isdigit():
            found[name] = int(value)
    if errors or done.returncode or found.pop("done", 0) != 1:
        what = "; ".join(errors) or (done.stdout + done.stderr).strip()[-500:] or "it said nothing"
        raise Failed(f"target.c ({mode}) on {tools.target.title} failed with {done.returncode}: {what}")
    return found
