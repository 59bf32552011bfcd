"""python -m host_sim run | demo"""

import os
import signal

# Until cli.py takes over nothing is open, so that a Ctrl-C may simply end the program.
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))

from .cli import main  # noqa: E402

if __name__ == "__main__":
    main()
