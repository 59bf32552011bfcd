"""Session memory of every board file, with the board's limits and 32-bit pointers: {"s3_box3: total": bytes, ...}.

tests/bench/bench_memory.c says what the regions take; it is compiled for the emulated Cortex-M33 with each board's
constants (boards/gen.py) and run there. Pointers and alignment are those of the ESP32-S3 too. Boards with equal limits
share their objects.
"""

import hashlib
import json
import subprocess

from boards import gen, measure, rules
from tests.budgets import emulate
from tests.budgets.cross import FOLDER

SOURCE = emulate.HERE.parent / "bench" / "bench_memory.c"
AIM = 64 * 1024  # bytes of a session with two tracks, without Opus' own state and the TLS arena
TLS_AIM = 48 * 1024


def _parts(found):
    """Regions that add up to the total; what belongs to Opus, TLS, SCTP and the jitter buffers stands apart."""
    tracks = found["tracks"]
    parts = {
        "Opus": found["encoder"] + found["decoder"] * tracks,
        "jitter buffers": found["jitter"] * tracks,
        "TLS arena": found["dtls_arena"],
        "DTLS": found["dtls"] - found["dtls_arena"],
        "SCTP buffers": found["sctp_send"] + found["sctp_recv"],
        "sound": found["capture"] - found["encoder"] +
        (found["playback"] - found["decoder"] - found["jitter"]) * tracks,
    }
    return {"total": found["total"], **parts, "rest": found["total"] - sum(parts.values())}


def _program(tools, limits):
    key = hashlib.sha256(repr(limits).encode()).hexdigest()[:12]
    folder = FOLDER / f"limits-{key}"
    defines = [f"-D{macro}={value}" for macro, value in limits]
    objects = tools.core_objects(folder, defines)
    harness = folder / "bench_memory.o"
    tools.compile([(SOURCE, harness, ["-std=gnu11", *tools.compile_flags(), *defines])], "bench_memory")
    return emulate.link(tools, folder / "memory.elf", [harness, *objects, *tools.third_party_archives()])


def board_memory(tools, path):
    board, findings = rules.load(path)
    wrong = [finding.text(path) for finding in findings if finding.severity == "error"]
    if wrong:
        raise emulate.Failed("\n".join(wrong))
    program = _program(tools, gen.defines(board))
    # qemu's own separator is the comma; a doubled one is a comma.
    words = ",,".join(map(str, measure.words(board)))
    command = [*tools.target.machine, "-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config",
               f"enable=on,target=native,arg={board['name']},arg={words}", "-kernel", str(program)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != 1:
        raise emulate.Failed(f"bench_memory.c for {path} failed with {done.returncode}: {done.stderr[-300:]}")
    found = json.loads(lines[0])
    if found["total"] < 0:
        raise emulate.Failed(f"{path}: linnet_session_size refuses the board's options ({found['total']})")
    return _parts(found)


def small_boards():
    """Microcontrollers, which the aim is for."""
    return rules.names("esp32")


def measure_all(tools):
    result = {}
    for name in rules.names():
        for part, value in board_memory(tools, rules.find(name)).items():
            result[f"{name}: {part}"] = value
    return result
