"""python -m tests.bench [NAME ...] [--accept]: all benches or the named ones, one table each, then a summary.

Exits 1 when a gate fails or a bench could not be run. Gates are on deterministic figures (packets, memory) and, with
room for noise, on what a call costs beside the wheel; other figures of time depend on what else the machine does and
are for a person to read.
"""

import argparse
import sys
import time

from tests.bench import NAMES, runner


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(NAMES))
    parser.add_argument("--accept", action="store_true", help="make what is measured the new budget, in budgets.json")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(NAMES)}")
    rows, failed = [], False
    for name in args.names or NAMES:
        print(f"\n{name}: {NAMES[name]}", flush=True)
        began = time.monotonic()
        try:
            wrong = runner(name)(accepting=args.accept)
        except Exception as problem:  # the other benches still run; this one counts as failed
            wrong = [f"{type(problem).__name__}: {problem}"]
            print(f"  {wrong[0]}")
        failed = failed or bool(wrong)
        rows.append((name, f"{time.monotonic() - began:.0f} s", wrong))
    print("\nsummary")
    for name, seconds, wrong in rows:
        print(f"  {name:8} {seconds:>6}  " + ("FAILED: " + "; ".join(line.splitlines()[0] for line in wrong)
                                             if wrong else "ok"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
