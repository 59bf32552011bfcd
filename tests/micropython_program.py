"""The MicroPython that tests run, and how: what `make micropython` builds with the MPY_VERSION and FROZEN of the
environment, or LINNET_MICROPYTHON. A frozen one is shown no firmware/ but its own.
"""

import os
from pathlib import Path

import micropython_build

REPO = Path(__file__).resolve().parent.parent
PROGRAM = Path(os.environ.get("LINNET_MICROPYTHON") or micropython_build.program())
IS_FROZEN = PROGRAM.name == micropython_build.program({"FROZEN": "1"}).name
FIRMWARE = ".frozen" if IS_FROZEN else str(REPO / "firmware")       # an entry of sys.path
MAIN = ("-m", "main") if IS_FROZEN else (str(REPO / "firmware" / "main.py"),)
