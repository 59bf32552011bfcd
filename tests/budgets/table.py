"""Compares figures with the committed table, and prints them.

Figures are {target: {"compiler": name, kind: {entry: value}}}. An entry may grow by 2 %, and by 16 (bytes or
instructions) where 2 % is less; more is red, so is an entry without a budget or a budget whose entry is gone. An entry
that fell by more than that is a hint: tighten the table, or the next growth hides in the slack. Figures of another
compiler are not compared, and said to be so.
"""

import json
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "budgets.json"
ROOM = 0.02
FLOOR = 16


class Verdict:
    """wrong: sentences, each a red. hints: what fell. apart: targets that could not be compared, with the reason."""

    def __init__(self):
        self.wrong, self.hints, self.apart, self.compared = [], [], [], 0


def load(path=TABLE):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def store(figures, path=TABLE):
    """Writes what was measured; what was not keeps its budgets."""
    table = {**load(path), **figures}
    path.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def slack(budget):
    return max(budget * ROOM, FLOOR)


def _percent(value, budget):
    return f"{100 * (value - budget) / budget:+.1f} %" if budget else "from nothing"


def _compare_kind(where, found, budgets, verdict):
    for entry, value in found.items():
        name = f"{where}, {entry}"
        if entry not in budgets:
            verdict.wrong.append(f"{name} is {value} and has no budget")
            continue
        budget = budgets[entry]
        verdict.compared += 1
        if value - budget > slack(budget):
            verdict.wrong.append(f"{name} is {value}, {_percent(value, budget)} over its budget of {budget}")
        elif budget - value > slack(budget):
            verdict.hints.append(f"{name} is {value}, {_percent(value, budget)} below its budget of {budget}")
    verdict.wrong += [f"{where}, {entry} has a budget of {budgets[entry]} and was not measured"
                      for entry in budgets if entry not in found]


def compare(figures, table, skipped=()):
    """skipped: names of targets that this machine cannot measure."""
    verdict = Verdict()
    for target in sorted({*figures, *table}):
        if target in skipped:
            continue
        if target not in figures or target not in table:
            what = "has budgets and was not measured" if target in table else "has no budgets"
            verdict.wrong.append(f"{target} {what}")
            continue
        found, budgets = figures[target], table[target]
        if found["compiler"] != budgets["compiler"]:
            verdict.apart.append(f"{target}: measured with {found['compiler']}, the table is of {budgets['compiler']}")
            continue
        for kind in sorted({*found, *budgets} - {"compiler"}):
            _compare_kind(f"{target} {kind}", found.get(kind, {}), budgets.get(kind, {}), verdict)
    return verdict


# --- printing ---


def cell(value, budget):
    if value is None:
        return "-"
    mark = ""
    if budget is None:
        mark = " new"
    elif abs(value - budget) > slack(budget):
        mark = f" ({_percent(value, budget).replace(' ', '')})"
    return f"{value:,}{mark}"


def rows(figures, table, kind, targets):
    """[[entry, cell of each target]] in the order of the first target that has the entry."""
    entries = list(dict.fromkeys(entry for target in targets for entry in figures.get(target, {}).get(kind, {})))
    return [[entry, *(cell(figures.get(target, {}).get(kind, {}).get(entry),
                            table.get(target, {}).get(kind, {}).get(entry)) for target in targets)]
            for entry in entries]


def layout(title, head, lines):
    """A table with the first column to the left and the others to the right."""
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    shown = [[line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
             for line in [head, *lines]]
    return "\n".join([title, *("  " + "  ".join(line).rstrip() for line in shown)])
