"""The same badge on a laptop: runs firmware/ unchanged on CPython over the cffi core."""

import pathlib
import sys

# firmware/ is the root of the import path on a device; here it must be put there.
_FIRMWARE = str(pathlib.Path(__file__).resolve().parent.parent / "firmware")
if _FIRMWARE not in sys.path:
    sys.path.insert(0, _FIRMWARE)
