# Runs first on a board, before main.py. Nothing here may wait or fail: the way to the REPL
# (mpremote, Ctrl-C) must stay open whatever main.py does.

import gc

gc.collect()
