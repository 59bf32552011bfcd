"""Bytes of session memory for 1, 2 and 8 tracks, by region, as a laptop has it and as a board would set it.

"badge" asks for smaller messages at run time; "board" is the same on a core compiled with fixed-point Opus and smaller
limits of linnet_config.h. Sizes are of this machine's pointers (`python -m tests.budgets boards` has those of boards);
the total is linnet_session_size and a gate.
"""

import json
import subprocess

from tests.bench import gates

BADGE = {"rate": 16000, "max_message": 16384, "send_buffer": 8192}
SMALL = {"rate": 16000, "max_message": 4096, "send_buffer": 4096}
BOARD_LIMITS = {"LINNET_JITTER_BYTES": 2048, "LINNET_PACKET_MS_MAX": 60, "LINNET_DATAGRAM_MAX": 1280,
                "LINNET_TRACKS_MAX": 2, "LINNET_ICE_REMOTE_CANDIDATES": 8, "LINNET_ICE_PAIRS": 12,
                "LINNET_RTX_BYTES": 2048, "LINNET_DTLS_QUEUE": 1, "LINNET_TLS_ARENA": 13312,
                "MBEDTLS_SSL_IN_CONTENT_LEN": 1280, "LINNET_SCTP_TSN_WINDOW": 512}
REGIONS = ("session", "dtls", "capture", "mixer", "playback", "sctp_send", "sctp_recv")
SLACK = 256  # alignment of regions


def words(rate=0, tracks=0, max_message=0, send_buffer=0, recv_buffer=0):
    return ",".join(map(str, (rate, tracks, 0, 0, 0, 0, 0, max_message, send_buffer, recv_buffer, 0)))


def sizes(tools, name, limits, wanted):
    """{configuration: record} of a core compiled with these limits."""
    defines = [f"-D{limit}={value}" for limit, value in limits.items()]
    objects = tools.core_objects(gates.FOLDER / f"core-{name}" if limits else None, defines)
    program = gates.FOLDER / f"bench_memory-{name}"
    command = [*tools.cc, "-Wall", "-Wextra", "-Werror", *tools.compile_flags(), *defines,
               str(gates.HERE / "bench_memory.c"), *map(str, objects), *map(str, tools.third_party_archives()),
               *tools.link_flags(), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"bench_memory.c does not build:\n{done.stderr}")
    arguments = [part for item in wanted.items() for part in item]
    out = subprocess.run([str(program), *arguments], check=True, capture_output=True, text=True).stdout
    return {record["name"]: record for record in map(json.loads, out.splitlines())}


def measure():
    """{configuration: record}; the parts of each must add up to what linnet_session_size says."""
    found = sizes(gates.toolchain(), "host", {}, {
        **{f"default, {n} track{'s' * (n > 1)}": words(tracks=n) for n in (1, 2, 8)},
        "badge, 2 tracks": words(tracks=2, **BADGE)})
    found.update(sizes(gates.toolchain(LINNET_OPUS="fixed"), "board", BOARD_LIMITS, {
        **{f"board, {n} track{'s' * (n > 1)}": words(tracks=n, **BADGE) for n in (1, 2)},
        "board, 2 tracks, 4 KiB messages": words(tracks=2, **SMALL)}))
    for name, record in found.items():
        parts = sum(record[region] * (record["tracks"] if region == "playback" else 1) for region in REGIONS)
        if not 0 <= record["total"] - parts <= SLACK:
            raise RuntimeError(f"{name}: the parts are {parts} bytes, the whole is {record['total']}")
    return found


def figures_of(found):
    return {name: record["total"] for name, record in found.items()}


def key():
    return f"{gates.toolchain().machine}"


def columns(record):
    opus = record["encoder"] + record["tracks"] * record["decoder"]
    return (record["total"], opus, record["total"] - opus, record["dtls"], record["sctp_send"], record["sctp_recv"],
            record["capture"] - record["encoder"], record["playback"] - record["decoder"], record["session"])


def show(found):
    gates.table(["bytes", "total", "of it Opus", "the rest", "DTLS", "SCTP out", "SCTP in", "capture", "each track",
                 "struct"],
                [[name, *map(gates.thousands, columns(record))] for name, record in found.items()])
    print("  capture and track without Opus; SCTP receives in 4,096 bytes of DTLS too, once the handshake is over")
    for name in ("default, 2 tracks", "board, 2 tracks"):
        record = found[name]
        inside = sorted(record["in_session"].items(), key=lambda item: -item[1])
        print(f"  {name}: encoder {record['encoder']:,}, decoder {record['decoder']:,}, jitter buffer "
              f"{record['jitter']:,}, TLS arena {record['dtls_arena']:,}, mixer {record['mixer']:,}; in the session "
              "struct: " + ", ".join(f"{n} {size:,}" for n, size in inside))


def run(accepting=False):
    """What is wrong, one sentence each."""
    found = measure()
    show(found)
    return gates.judge("memory", key(), figures_of(found), accepting)
