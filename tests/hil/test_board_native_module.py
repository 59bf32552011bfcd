"""The native .mpy (csrc/bind/natmod) loads on boards and gives the laptop's bytes."""

import platform
import shutil
import subprocess

import pytest

import micropython_build
from tests.hil import boards
from tests.test_natmod import build

ARCH = {"mps2": "armv7m", "virt": "rv32imc"}  # firmware -> machine code that it loads
SCRIPT = """
import struct, sys
from binascii import hexlify
{path}
import parts

def say(*what):
    print(*[hexlify(w).decode() if isinstance(w, (bytes, bytearray)) else w for w in what])

for profile, n in ((1, 30), (7, 28)):
    out, back = bytearray(parts.srtp_size()), bytearray(parts.srtp_size())
    say(parts.srtp_init(out, profile, bytes(range(n))), parts.srtp_init(back, profile, bytes(range(n))))
    for sequence in range(65530, 65540):
        box = bytearray(80)
        struct.pack_into("!BBHII", box, 0, 0x80, 111, sequence & 0xffff, sequence, 7)
        n = parts.srtp_protect(out, box, 60)
        say(box[:n], parts.srtp_open(back, box, n), parts.srtp_open(back, box, n))
resampler, made = bytearray(parts.resample_size()), bytearray(4000)
for rates in ((48000, 16000), (16000, 48000), (44100, 16000)):
    parts.resample_init(resampler, *rates)
    n = parts.resample(resampler, struct.pack("<480h", *[i * 377 % 9000 - 4500 for i in range(480)]), made)
    say(n, made[:2 * n])
jitter, head, box = bytearray(parts.jitter_size()), bytearray(37), bytearray(1400)
parts.jitter_init(jitter, 60)
for i in range(12):
    struct.pack_into("<BBHII", head, 0, 111, 0, 100 + i, 960 * i, 1)
    struct.pack_into("<HH", head, 16, 0, 20)
    if i != 5:
        parts.jitter_put(jitter, 20000 * i, head, b"\\x78" + bytes([i]) * 19)
    say(parts.jitter_get(jitter, 20000 * i + 9000, box), box[:24])
record, wire = bytearray(200), bytearray(100)
n = parts.pb_decode(4, b"\\x0a\\x06\\x0a\\x01x\\x12\\x01y\\x40\\x01", record)
say(n, record[:max(n, 0)], parts.pb_encode(4, record[:max(n, 0)], wire), wire[:12])
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the laptop's side is built for x86-64 only")
def test_the_native_module_gives_the_laptops_bytes(entry, runs, tmp_path):
    if entry.get("firmware") not in ARCH:
        pytest.skip(f"tests/hil/test_board_native_module.py knows no machine code for {entry['name']}")
    runs.on_board(entry, "app")  # the board is free again after these
    folders = {}
    for side, arch in (("board", ARCH[entry["firmware"]]), ("laptop", "x64")):
        folders[side] = tmp_path / side
        folders[side].mkdir()
        shutil.copy(build(arch), folders[side] / "parts.mpy")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(path=""))
    with boards.open_board(entry["name"]) as board:
        on_board = board.run(script, 120, mount=folders["board"])
    here = subprocess.run([micropython_build.build_unix(), "-X", "heapsize=16M", "-c",
                           SCRIPT.format(path="sys.path.insert(0, sys.argv[1])"), folders["laptop"]],
                          capture_output=True, text=True, check=True)
    lines = here.stdout.splitlines()
    assert len(lines) == 2 * 11 + 3 + 12 + 1
    assert on_board.splitlines()[-len(lines):] == lines
