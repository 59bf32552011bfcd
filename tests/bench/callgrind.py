"""Reads what callgrind wrote, and says how many instructions each function took under one root.

`read(files)` adds dumps up by the name the program gave them; `Graph.under(root, without)` walks the calls down from
`root`, leaving out what lies below the functions in `without` (here: Opus), and gives instructions by function. A
function that is called from inside and outside is split by its callers' shares: exact for leaves such as memcpy.
"""

import re
from collections import defaultdict

_PHASE = re.compile(r"^desc: Trigger: Client Request: (\S+)", re.M)


class Graph:
    """Instructions of one phase: of functions themselves, and of calls."""

    def __init__(self):
        self.own = defaultdict(int)
        self.calls = defaultdict(int)  # (caller, callee) -> instructions, callees included
        self.count = defaultdict(int)

    def add(self, text):
        function = callee = None
        for line in text.splitlines():
            if line.startswith("fn="):
                function = line[3:]
            elif line.startswith("cfn="):
                callee = line[4:]
            elif line.startswith("calls="):
                self.count[function, callee] += int(line[6:].split()[0])
            elif line[:1] in "0123456789+-*" and line:
                cost = int(line.split()[1])
                if callee:
                    self.calls[function, callee] += cost
                    callee = None
                elif function:
                    self.own[function] += cost

    def inclusive(self, function):
        """Instructions of every call of `function`, callees included."""
        return sum(cost for (caller, callee), cost in self.calls.items() if callee == function != caller)

    def entering(self, prefix):
        """Instructions of the calls that enter functions of this prefix from others."""
        return sum(cost for (caller, callee), cost in self.calls.items()
                   if callee.startswith(prefix) and not caller.startswith(prefix))

    def under(self, root, without=()):
        """{function: instructions of its own} below one root."""
        total = defaultdict(int)
        callers = defaultdict(list)
        for (caller, callee), cost in self.calls.items():
            total[callee] += cost
            if callee not in without and callee != caller:
                callers[callee].append((caller, cost))
        share = {root: 1.0}
        for _ in range(60):  # as deep as calls go; cycles settle
            new = {root: 1.0}
            for callee, edges in callers.items():
                if callee != root and total[callee]:
                    new[callee] = sum(share.get(caller, 0) * cost for caller, cost in edges) / total[callee]
            if all(abs(new[name] - share.get(name, 0)) < 1e-9 for name in new):
                break
            share = new
        return {name: share[name] * cost for name, cost in self.own.items() if share.get(name, 0) > 1e-9}


def read(files):
    """{phase name: Graph} of callgrind's dumps, made with --compress-strings=no --compress-pos=no."""
    graphs = defaultdict(Graph)
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        named = _PHASE.search(text)
        if named:
            graphs[named.group(1)].add(text)
    return graphs
