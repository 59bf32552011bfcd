"""One rig at a time on a board: a kernel file lock, freed by the kernel when its holder dies.

The file also says who holds it, for the message to the second.
"""

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path

from tests.hil.faults import RigFault

POLL_S = 0.1


def folder():
    """Shared by all users of this machine: a board on a USB port is."""
    path = Path(tempfile.gettempdir()) / "linnet-rig"
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o1777)
    return path


def lock_name(entry, roster_path):
    """A real board is its device, whatever a roster calls it; an emulated one belongs to its roster."""
    what = os.path.realpath(entry["device"]) if entry["kind"] == "serial" else f"{roster_path}:{entry['name']}"
    return f"{entry['name']}-{hashlib.sha256(what.encode()).hexdigest()[:12]}" if entry["kind"] != "serial" \
        else "device-" + hashlib.sha256(what.encode()).hexdigest()[:12]


@contextlib.contextmanager
def held(name, board, wait_s=0.0):
    """Holds the lock `name`; RigFault("board-busy") tells who has it and since when."""
    path = folder() / name
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise _busy(handle, board, wait_s) from None
                time.sleep(POLL_S)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} since {time.strftime('%H:%M:%S')}".encode(), 0)
        yield path
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _busy(handle, board, wait_s):
    who = os.pread(handle, 200, 0).decode("utf-8", "replace") or "somebody"
    waited = f" (waited {wait_s:g} s)" if wait_s else ""
    return RigFault("board-busy", f"another rig has the board {board}: {who}{waited}",
                    "Let it finish, or set LINNET_RIG_WAIT to the seconds you want to wait for it")
