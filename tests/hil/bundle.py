"""Packs Python files into one script for `mpremote run`: on the board they lie in a file system in memory.

`mpremote mount` serves files one by one at 10 ms a request, a minute for tests/app; this is one transfer, and works
on a board without a file system. Compiled with MicroPython's own cross compiler if there is one, else as source.
"""

import binascii
import subprocess
import tempfile
import zlib
from pathlib import Path

PIECE = 2048  # characters
LOADER = '''
import sys, io, os, vfs, binascii, deflate
class _Files:
    def __init__(self, files):
        self.files = files
    def mount(self, readonly, mkfs):
        pass
    def umount(self):
        pass
    def chdir(self, path):
        pass
    def getcwd(self):
        return "/"
    def stat(self, path):
        path = path.lstrip("/")
        if path == "":
            return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        if path not in self.files:
            raise OSError(2)
        return (0x8000, 0, 0, 0, 0, 0, len(self.files[path]), 0, 0, 0)
    def ilistdir(self, path):
        return iter([(name, 0x8000, 0, len(data)) for name, data in self.files.items()])
    def open(self, path, mode):
        path = path.lstrip("/")
        if path not in self.files:
            raise OSError(2)
        return io.BytesIO(self.files[path]) if "b" in mode else io.StringIO(self.files[path].decode())
_files = {}
_parts = []
_part = _parts.append
def _add(name):
    packed = io.BytesIO(binascii.a2b_base64("".join(_parts)))
    _parts.clear()
    _files[name] = deflate.DeflateIO(packed, deflate.ZLIB).read()
'''
START = '''
vfs.mount(_Files(_files), "/bundle")
os.chdir("/bundle")
sys.path.insert(0, "/bundle")
'''


def pack(files, script, target, mpy_cross=None, march=None):
    """Writes `target`: `files` are paths or {name on the board: bytes}, `script` is Python text run after them."""
    if not isinstance(files, dict):
        files = {Path(file).name: Path(file) for file in files}
    lines = [LOADER]
    for name, content in sorted(files.items()):
        if isinstance(content, Path):
            name, content = _compiled(name, content, mpy_cross, march)
        text = binascii.b2a_base64(zlib.compress(content, 9), newline=False).decode()
        # In pieces: a board reads a long string by enlarging it again and again.
        pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        lines += [f"_part({piece!r})\n" for piece in pieces] + [f"_add({name!r})\n"]
    Path(target).write_text("".join(lines) + START + script, encoding="utf-8")
    return target


def _compiled(name, path, mpy_cross, march):
    if mpy_cross is None or not name.endswith(".py"):
        return name, path.read_bytes()
    with tempfile.NamedTemporaryFile(suffix=".mpy") as out:
        machine = [f"-march={march}"] if march else []
        done = subprocess.run([str(mpy_cross), *machine, "-s", name, "-o", out.name, str(path)], capture_output=True,
                              text=True)
        if done.returncode:
            raise ValueError(f"{path} does not compile for MicroPython: {done.stderr.strip()}")
        return name[:-3] + ".mpy", Path(out.name).read_bytes()
