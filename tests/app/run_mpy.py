# Runs test files of this folder on MicroPython (or CPython), without unittest:
#
#     micropython -X heapsize=64M tests/app/run_mpy.py [-v] [test_ws.py ...]
#
# With no names: every test_*.py here. -v names each test. The last line is "N passed, N failed,
# N skipped"; the exit code is 1 if a test failed or none ran.

import os
import sys

import harness  # also makes firmware/ importable


def test_files():
    names = os.listdir(harness.HERE)
    return sorted([n for n in names if n.startswith("test_") and n.endswith(".py")])


def main(names):
    totals = [0, 0, 0]
    if names and names[0] == "-v":
        harness.is_verbose[0] = True
        names = names[1:]
    for name in names or test_files():
        name = name.replace("\\", "/").split("/")[-1]
        before = tuple(totals)
        try:
            module = __import__(name[:-3] if name.endswith(".py") else name)
        except ImportError as error:
            print("FAIL %s cannot be imported: %s" % (name, error))
            totals[1] += 1
            continue
        harness.run_module(module, totals)
        print("%-24s %d passed" % (name, totals[0] - before[0]))
    print("%d passed, %d failed, %d skipped" % tuple(totals))
    return 0 if totals[0] and not totals[1] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
