"""Instructions per sent, received and played packet outside Opus, of a handshake and of making an identity; heap calls.

bench_packets.c plays a call of 500 frames between two sessions in virtual time under callgrind, once with AES-CM and
once with AES-GCM. The counts depend on compiler and sources alone, so they are a gate (budgets.json); the heap calls
of the core, Opus and Mbed TLS between session_init and wipe must be 0. "send" is one frame pushed, time told and polled
until idle, "receive" one datagram polled until idle, "play" one frame pulled. AES runs on the machine's AES
instructions where it has them: a board without pays more there.
"""

import json
import shutil
import subprocess

from tests.bench import callgrind, gates

FRAMES = 500
TOP = 8
PROFILES = ("cm", "gcm")
OPUS = ("opus_encode", "opus_decode")
PATHS = (("send", "send", "send_path"), ("receive", "listen", "receive_path"), ("play", "listen", "play_path"))
MISSING = "valgrind is not installed: apt install valgrind (it counts the instructions)"


class CannotMeasure(Exception):
    """Something is missing on this machine; the text says what."""


def has_valgrind():
    return shutil.which("valgrind") is not None


def build(tools, limits=None):
    """The harness, linked as the product is; limits: macros of linnet_config.h, as bench_memory.py has them."""
    defines = [f"-D{limit}={value}" for limit, value in (limits or {}).items()]
    core = tools.core_objects(gates.FOLDER / "core-board", defines) if limits else [tools.core_library()]
    program = gates.FOLDER / ("bench_packets-board" if limits else "bench_packets")
    wrap = ["-Wl,--wrap=" + name for name in ("malloc", "calloc", "realloc", "free")]
    command = [*tools.cc, "-Wall", "-Wextra", "-Werror", *tools.compile_flags(), *defines,
               str(gates.HERE / "bench_packets.c"), *map(str, core), *map(str, tools.third_party_archives()),
               *tools.link_flags(), *wrap, "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CannotMeasure(f"bench_packets.c does not build:\n{done.stderr}")
    return program


def call_facts(program, profile, frames=FRAMES):
    """One call without valgrind: packets and heap calls."""
    done = subprocess.run([str(program), profile, str(frames)], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise CannotMeasure(f"the call failed: {done.stderr.strip()} {done.stdout.strip()}")
    return json.loads(done.stdout)


def count(program, profile):
    """{phase: Graph} of one call."""
    if not has_valgrind():
        raise CannotMeasure(MISSING)
    folder = gates.FOLDER / f"callgrind-{profile}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--dump-line=no", "--compress-strings=no",
               "--compress-pos=no", f"--callgrind-out-file={folder}/out", str(program), profile, str(FRAMES)]
    # An environment of its own: its size moves the stack, and with it what memcpy does.
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env={"PATH": "/usr/bin:/bin"})
    if done.returncode:
        raise CannotMeasure(f"callgrind failed:\n{done.stderr[-2000:]}")
    graphs = callgrind.read(sorted(folder.glob("out*")))
    if not {"identity", "client", "server", "send", "listen"} <= set(graphs):
        raise CannotMeasure(f"callgrind counted no phases, only {sorted(graphs)}: valgrind/callgrind.h was not there "
                            "when the harness was compiled; apt install valgrind")
    shutil.rmtree(folder)
    return graphs


def split(graphs):
    """{path: {function: instructions per packet}} outside Opus."""
    result = {}
    for name, phase, root in PATHS:
        own = graphs[phase].under(root, OPUS)
        total = graphs[phase].inclusive(root) - (sum(map(graphs[phase].inclusive, OPUS)) if name != "receive" else 0)
        if abs(total - sum(own.values())) > 0.001 * total:
            raise CannotMeasure(f"{name}: {total} instructions by calls, {sum(own.values())} by functions")
        result[name] = {function: cost / FRAMES for function, cost in own.items()}
    return result


def figures_of(graphs, parts, profile):
    figures = {f"{profile}: {name}": round(sum(own.values())) for name, own in parts.items()}
    if profile == PROFILES[0]:
        figures["identity"] = graphs["identity"].inclusive("linnet_identity_make")
        for side in ("client", "server"):
            figures[f"handshake: {side}"] = graphs[side].entering("linnet_dtls_")
    return figures


def measure(tools=None):
    """(figures, {profile: split}, {profile: facts of the call})."""
    program = build(tools or gates.toolchain())
    facts = {profile: call_facts(program, profile) for profile in PROFILES}
    figures, parts = {}, {}
    for profile in PROFILES:
        graphs = count(program, profile)
        parts[profile] = split(graphs)
        figures.update(figures_of(graphs, parts[profile], profile))
    return figures, parts, facts


def heap_wrongs(facts):
    """The law is zero; and the counter must have seen Opus's own constructor, or zero means nothing."""
    wrong = [f"{profile}: {one['heap_calls']} heap calls between session_init and wipe"
             for profile, one in facts.items() if one["heap_calls"]]
    return wrong + [f"{profile}: the heap counter does not count" for profile, one in facts.items()
                    if one["heap_calls_of_a_known_user"] < 2]


def show(figures, parts, facts):
    names = {"cm": "AES-CM-SHA1-80", "gcm": "AES-GCM"}
    gates.table(["instructions outside Opus", *(names[p] for p in PROFILES)],
                [[f"{name} one packet", *(gates.thousands(figures[f"{p}: {name}"]) for p in PROFILES)]
                 for name, _, _ in PATHS])
    for profile in PROFILES:
        for name, own in parts[profile].items():
            top = sorted(own.items(), key=lambda item: -item[1])[:TOP]
            rest = sum(own.values()) - sum(cost for _, cost in top)
            print(f"  {profile} {name}: " + ", ".join(f"{function} {cost:.0f}" for function, cost in top)
                  + f", {len(own) - len(top)} more {rest:.0f}")
    print(f"  DTLS handshake: client {figures['handshake: client'] / 1e6:.1f} M, server "
          f"{figures['handshake: server'] / 1e6:.1f} M; key and certificate {figures['identity'] / 1e6:.1f} M")
    one = facts["cm"]
    print(f"  {one['frames']} frames, {one['datagram_bytes'] / one['sent']:.0f} B a datagram (cm); heap calls between "
          f"session_init and wipe: " + ", ".join(f"{p} {f['heap_calls']}" for p, f in facts.items()))


def run(accepting=False):
    """What is wrong, one sentence each."""
    tools = gates.toolchain()
    try:
        figures, parts, facts = measure(tools)
    except CannotMeasure as problem:
        return [str(problem)]
    show(figures, parts, facts)
    wrong = heap_wrongs(facts)
    for line in wrong:
        print(f"  WRONG: {line}")
    return wrong + gates.judge("packets", gates.compiler_key(tools), figures, accepting)
