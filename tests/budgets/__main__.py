"""What the core costs on boards, against the committed table: `make budgets`.

    python -m tests.budgets [--update] [--all] [TARGET...]

TARGET is m33, rv32, s3 or boards (session memory); without one, all. Emulated processors are called emulated: they
count instructions, not cycles, and say nothing of caches and flash.

The aims at the end of the output are hard: a missed one is a failure whatever the table says.

--update    write what was measured to budgets.json, tightening or accepting
--all       a target that cannot be measured here is a failure (CI)
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "csrc" / "bind"), str(ROOT / "csrc" / "third_party"), str(ROOT / "firmware")]

from build_tools import BuildError, fetch  # noqa: E402
from protobuf_build import GeneratorError  # noqa: E402

from tests.budgets import cross, emulate, ram, table, text  # noqa: E402

NAMES = [target.name for target in cross.TARGETS] + ["boards"]
STACK_AIM = 6 * 1024
GLUE_AIM = 0.05
CODEC = "16 kHz complexity 0"


def say(what):
    if "from the cache" not in what:
        print("  " + what, file=sys.stderr, flush=True)


def measure_target(target):
    """Figures of one processor."""
    tools = cross.open_target(target, say)
    figures = {"compiler": cross.compiler_name(tools), "text": text.measure(tools)}
    if target.machine:
        program = emulate.build(tools)
        with ThreadPoolExecutor(2) as pool:
            counted, stacks = pool.map(lambda mode: emulate.run(tools, program, mode), ("count", "stack"))
        figures["instructions"], figures["stack"] = counted, stacks
    return figures


def measure_boards():
    tools = cross.open_target(cross.M33, say)
    return {"compiler": cross.compiler_name(tools), "ram": ram.measure_all(tools)}


def measure(names):
    """({name: figures}, {name: why it was skipped})."""
    figures, skipped = {}, {}
    targets = {target.name: target for target in cross.TARGETS}
    for name in names:
        began = time.monotonic()
        try:
            figures[name] = measure_target(targets[name]) if name in targets else measure_boards()
        except cross.Missing as error:
            skipped[name] = str(error)
            continue
        say(f"{name}: measured in {time.monotonic() - began:.1f} s")
    return figures, skipped


# --- aims: figures worked out from figures ---


def glue(counts):
    """(instructions of a sent and a heard frame outside of Opus and crypto, of Opus, of crypto)."""
    paths = [f"{path}: {{}} a frame" for path in ("send", "receive", "play")]
    add = lambda kind: sum(counts.get(path.format(kind), 0) for path in paths)  # noqa: E731
    return add("glue"), add("Opus"), add("crypto")


def aims(figures):
    """[(what, is met, how it stands)]"""
    found = []
    for target in cross.TARGETS:
        mine = figures.get(target.name, {})
        if target is cross.M33 and "text" in mine:
            code = mine["text"]["core text"]
            found.append(("core text without Opus and Mbed TLS <= 80 KiB, M33 -Os", code <= text.AIM,
                          f"{code / 1024:.1f} KiB"))
        if "stack" in mine:
            deepest = max((value, entry) for entry, value in mine["stack"].items() if "outside Opus" in entry)
            found.append((f"stack outside Opus <= 6 KiB, {target.title}", deepest[0] <= STACK_AIM,
                          f"{deepest[0]} bytes ({deepest[1].partition(':')[0]})"))
        if "instructions" in mine:
            ours, opus, crypto = glue(mine["instructions"])
            found.append((f"glue <= 5 % of Opus at {CODEC}, {target.title}", ours <= GLUE_AIM * opus,
                          f"{100 * ours / opus:.1f} % ({ours:,} of {opus:,}; crypto {crypto:,} more)"))
    memory = figures.get("boards", {}).get("ram", {})
    for name in ram.small_boards():
        if f"{name}: total" not in memory:
            continue
        total, opus, tls = (memory.get(f"{name}: {part}", 0) for part in ("total", "Opus", "TLS arena"))
        found.append((f"session of 2 tracks outside Opus and the TLS arena <= 64 KiB, {name}",
                      total - opus - tls <= ram.AIM,
                      f"{(total - opus - tls) / 1024:.1f} KiB; Opus {opus / 1024:.1f} KiB beside it"))
        found.append((f"TLS arena <= 48 KiB, {name}", 0 < tls <= ram.TLS_AIM, f"{tls / 1024:.2f} KiB"))
    return found


# --- printing ---


def _text_rows(figures, budgets, targets):
    """text and rodata of a module side by side."""
    modules = list(dict.fromkeys(entry.rpartition(" ")[0] for target in targets for entry in figures[target]["text"]))
    modules.sort(key=lambda name: (name in ("core", *text.APART), name == "core", name))

    def cell(target, entry):
        value = figures[target]["text"].get(entry)
        return table.cell(value, budgets.get(target, {}).get("text", {}).get(entry))

    return [[name, *(cell(target, f"{name} {kind}") for target in targets for kind in ("text", "rodata"))]
            for name in modules]


def show(figures, budgets):
    targets = [target.name for target in cross.TARGETS if target.name in figures]
    if targets:
        head = ["module", *(f"{name} {kind}" for name in targets for kind in ("text", "rodata"))]
        print(table.layout("Code and constants in bytes, -Os", head, _text_rows(figures, budgets, targets)))
    emulated = [name for name in targets if "stack" in figures[name]]
    for kind, title in (("stack", "Stack in bytes, emulated"), ("instructions", "Instructions, emulated")):
        if emulated:
            print(table.layout(title, ["", *emulated], table.rows(figures, budgets, kind, emulated)))
    if "boards" in figures:
        _show_boards(figures["boards"]["ram"], budgets.get("boards", {}).get("ram", {}))
    for what, is_met, how in aims(figures):
        print(f"{'aim met   ' if is_met else 'AIM MISSED'}  {what}: {how}")


def _show_boards(found, budgets):
    boards = list(dict.fromkeys(entry.partition(": ")[0] for entry in found))
    parts = list(dict.fromkeys(entry.partition(": ")[2] for entry in found))
    lines = [[part, *(table.cell(found.get(f"{board}: {part}"), budgets.get(f"{board}: {part}")) for board in boards)]
             for part in parts]
    print(table.layout("Session memory in bytes, 32-bit", ["", *boards], lines))


def main(argv):
    options = {arg for arg in argv if arg.startswith("--")}
    names = [arg for arg in argv if not arg.startswith("--")] or NAMES
    if options - {"--update", "--all"} or set(names) - set(NAMES):
        print(__doc__, file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        figures, skipped = measure(names)
    except (emulate.Failed, BuildError, GeneratorError, fetch.FetchError) as error:
        print(f"budgets: {error}", file=sys.stderr)
        return 1
    budgets = {name: value for name, value in table.load().items() if name in names}
    show(figures, budgets)
    for name, why in skipped.items():
        print(f"SKIPPED {name}: {why}")
    print(f"{time.monotonic() - began:.0f} s")
    if "--update" in options:
        table.store(figures)
        print(f"written to {table.TABLE.relative_to(ROOT)}: {', '.join(figures) or 'nothing'}")
        return 0
    return judge(figures, budgets, skipped, "--all" in options)


def judge(figures, budgets, skipped, must_have_all):
    verdict = table.compare(figures, budgets, skipped)
    for sentence in verdict.hints:
        print(f"tighten: {sentence}")
    for sentence in verdict.apart:
        print(f"not compared: {sentence}")
    for sentence in verdict.wrong:
        print(f"over budget: {sentence}")
    missed = [what for what, is_met, _ in aims(figures) if not is_met]
    for what in missed:
        print(f"aim missed: {what}")
    if verdict.hints or verdict.wrong:
        print("`make budgets BUDGETS_ARGS=--update` writes the table; the commit says why a figure grew")
    missing = len(skipped) + len(verdict.apart)
    print(f"budgets: {verdict.compared} compared, {len(verdict.wrong)} wrong, {len(missed)} aims missed, "
          f"{missing} targets left out")
    return 1 if verdict.wrong or missed or (must_have_all and missing) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
