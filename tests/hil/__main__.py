"""The rig by hand.

    python -m tests.hil list                    the boards, and what this machine lacks for each
    python -m tests.hil firmware [BOARD...]     builds firmware of emulated boards, prints its path
    python -m tests.hil run BOARD SCRIPT        runs a script on a board and prints what it printed
    python -m tests.hil repl BOARD              starts an emulated board and says how to reach it; Ctrl-C ends it

Exit codes: 0, 1 (the script failed), 2 (wrong command line), and those of tests/hil/faults.py.
"""

import sys
import time

from tests.hil import boards, firmware_build, roster
from tests.hil.faults import RigFault


def show():
    for entry in roster.load():
        fault = boards.why_not(entry)
        print(f"{entry['name']:<12} {entry['kind']:<9} {fault or 'usable'}")


def firmware(names):
    for name in names or firmware_build.boards():
        print(firmware_build.build(name))


def run(name, script):
    with boards.open_board(name) as board:
        print(board.run(script, 600), end="")


def repl(name):
    with boards.open_board(name) as board:
        print(f"{name} is at {board.address}: mpremote connect {board.address}", flush=True)
        while board.is_alive():
            time.sleep(0.5)


def main(argv):
    try:
        match argv:
            case ["list"]:
                show()
            case ["firmware", *names]:
                firmware(names)
            case ["run", name, script]:
                run(name, script)
            case ["repl", name]:
                repl(name)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except RigFault as fault:
        print(f"rig: {fault.code}: {fault}", file=sys.stderr)
        return fault.exit_code
    except boards.ScriptFailed as failure:
        print(failure.output, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
