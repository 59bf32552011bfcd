"""Our side of the end-to-end tests: `LinnetPeer`, a linnet Room on CPython or, with LINNET_INTERPRETER=micropython, in
a process of MicroPython's unix port (make test-micropython).

It notes every event, keeps what it heard and waits with a limit, as WheelPeer in peers.py does. It is thin on purpose:
what is tested is `peer.room`, through the same calls an application makes.
"""

import os

from tests.e2e.our_peer import EVENTS  # noqa: F401

INTERPRETERS = ("cpython", "micropython")
INTERPRETER = os.environ.get("LINNET_INTERPRETER", "cpython")

if INTERPRETER == "cpython":
    from linnet.track import LocalAudioTrack  # noqa: F401
    from tests.e2e.cpython_peer import CPythonPeer as LinnetPeer  # noqa: F401
elif INTERPRETER == "micropython":
    from tests.e2e.micropython_peer import LocalAudioTrack  # noqa: F401
    from tests.e2e.micropython_peer import MicroPythonPeer as LinnetPeer  # noqa: F401
else:
    raise ValueError(f"LINNET_INTERPRETER is {INTERPRETER}, not one of {', '.join(INTERPRETERS)}")
