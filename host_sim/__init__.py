"""The same badge on a laptop: runs firmware/ unchanged on CPython over the cffi core."""

import os
import sys

# firmware/ is the root of the import path on a device; here it must be put there.
_FIRMWARE = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "firmware")
if _FIRMWARE not in sys.path:
    sys.path.insert(0, _FIRMWARE)
