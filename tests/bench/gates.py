"""Budgets of deterministic figures: committed in budgets.json, red when a figure grows by more than 2 %.

Figures belong to a key, the toolchain or machine they were counted on: another compiler gives other counts. A key that
has no budget yet is said aloud, not compared with a stranger's. `--accept` writes what was measured.
"""

import json
import os
import re
import sys
from pathlib import Path

from build_tools import BUILD, Toolchain

HERE = Path(__file__).resolve().parent
BUDGETS = HERE / "budgets.json"
FOLDER = BUILD / "bench"
ROOM = 1.02


def toolchain(**settings):
    """A plain release build: whatever sanitizer or variant the environment asks for does not count here."""
    plain = {name: value for name, value in os.environ.items()
             if name not in ("LINNET_SANITIZE", "LINNET_VARIANT", "LINNET_OPUS")}
    FOLDER.mkdir(parents=True, exist_ok=True)
    return Toolchain({**plain, **settings}, say=_say)


def _say(text):
    if "from the cache" not in text:
        print("  " + text, file=sys.stderr, flush=True)


def compiler_key(tools):
    """gcc-12 x86_64: what decides how many instructions a source becomes."""
    first = tools.identity().splitlines()[1]
    name = "clang" if "clang" in first else "gcc"
    version = re.search(r"(\d+)\.\d+", first.split(")")[-1] or first)
    flags = _cpu_flags() if tools.machine == "x86_64" else set()
    lacking = [f"no-{flag}" for flag in ("aes", "avx2") if tools.machine == "x86_64" and flag not in flags]
    return " ".join([f"{name}-{version.group(1) if version else '?'}", tools.machine, *lacking])


def _cpu_flags():
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    return set(found.group(1).split()) if found else set()


def load(path=BUDGETS):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def budget_for(bench, key):
    """{figure: budget}, None when nothing was accepted for this key."""
    return load().get(bench, {}).get(key)


def over_budget(figures, budget):
    """What is wrong, one sentence each: grown figures, figures without a budget, budgets without a figure."""
    wrong = []
    for name, value in figures.items():
        if name not in budget:
            wrong.append(f"{name} is {value} and has no budget")
        elif value > budget[name] * ROOM:
            grown = f"{100 * (value / budget[name] - 1):.1f} % " if budget[name] else ""
            wrong.append(f"{name} is {value}, {grown}over its budget of {budget[name]}")
    wrong += [f"{name} has a budget and was not measured" for name in budget if name not in figures]
    return wrong


def accept(bench, key, figures, path=BUDGETS):
    budgets = load(path)
    budgets.setdefault(bench, {})[key] = figures
    path.write_text(json.dumps(budgets, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def judge(bench, key, figures, accepting=False):
    """Prints the verdict and returns what is wrong, [] when all is well."""
    if accepting:
        accept(bench, key, figures)
        print(f"  accepted {len(figures)} figures for {key} into {BUDGETS.name}: read the diff, then commit it")
        return []
    budget = budget_for(bench, key)
    if budget is None:
        print(f"  no budget for {key!r}: nothing was compared; python -m tests.bench {bench} --accept makes one")
        return []
    wrong = over_budget(figures, budget)
    for line in wrong:
        print(f"  OVER BUDGET: {line}")
    if wrong:
        print(f"  if that is wanted: python -m tests.bench {bench} --accept, and commit {BUDGETS.name}")
    for name, value in figures.items():
        if name in budget and value * ROOM < budget[name]:
            print(f"  {name} is {value}, well under its budget of {budget[name]}: --accept keeps the gain")
    return wrong


def table(head, rows):
    """One table: the first column left, the others right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        first, *others = (cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))
        print("  " + "  ".join([first, *others]).rstrip())


def thousands(n):
    return f"{round(n):,}"
