"""python -m host_sim run | demo"""

import _signal  # the part of `signal` that is in the interpreter: importing the rest takes milliseconds
import os

# Until cli.py takes over nothing is open, so that a Ctrl-C may simply end the program.
if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
    _signal.signal(_signal.SIGINT, lambda number, frame: os._exit(130))

from .cli import main  # noqa: E402

if __name__ == "__main__":
    main()
