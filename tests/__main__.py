"""`python -m tests [ARGUMENTS OF PYTEST]`: the tests, in two runs of pytest.

First those in virtual time, on every processor; then the live ones (tests/conftest.py), one after another on a
machine that does nothing else. Each run ends with pytest's own line, and a line of ours sums them up. The exit code is
that of the first run that failed.

LINNET_LIVE_WORKERS=2 runs two files of live tests at a time: for a run that does not judge sound (make sanitize).
"""

import os
import subprocess
import sys
import time

NOTHING_TO_RUN = 5      # pytest's exit code when no test was collected
INTERRUPTED = 2
WORKERS = os.environ.get("LINNET_LIVE_WORKERS")
PHASES = {"together": ("-n", "auto", "--maxprocesses=8", "--dist=loadfile"),
          "alone": ("-n", WORKERS, "--dist=loadfile") if WORKERS else ()}


def run(phase, arguments):
    # The arguments of the caller come last and win: -n0 brings a test back into this terminal.
    command = [sys.executable, "-m", "pytest", f"--phase={phase}", *PHASES[phase], *arguments]
    return subprocess.run(command).returncode


def main(arguments):
    codes = {}
    for phase in PHASES:
        began = time.monotonic()
        codes[phase] = run(phase, arguments)
        said = {0: "passed", NOTHING_TO_RUN: "nothing to run"}.get(codes[phase], f"FAILED ({codes[phase]})")
        print(f"tests, {phase}: {said} in {time.monotonic() - began:.0f} s\n", flush=True)
        if codes[phase] == INTERRUPTED:
            break
    if set(codes.values()) == {NOTHING_TO_RUN}:
        return NOTHING_TO_RUN
    return next((code for code in codes.values() if code not in (0, NOTHING_TO_RUN)), 0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
