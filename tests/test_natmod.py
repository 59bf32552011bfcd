"""The reduced native module (csrc/bind/natmod.c): builds, loads into MicroPython, and agrees with judges.

SRTP is held against libsrtp, protobuf against the module that is compiled in, sound against the same C on CPython.
"""

import json
import math
import platform
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import fetch
import media_lib
import micropython_build
import pytest
import xtensa
from test_micropython import built, run_script  # noqa: F401  (built is a fixture)
from test_parity import HEADER, LOOP_HEADER, declared_functions

ROOT = Path(__file__).resolve().parent.parent
NATMOD = (ROOT / "csrc/bind/natmod.c").read_text()

# What natmod.c offers of the border, and what it offers instead of the rest.
BORDER = {"pb_decode", "pb_encode"}
PARTS = {
    "rtp_read", "rtp_write", "srtp_size", "srtp_init", "srtp_protect", "srtp_open", "srtcp_protect", "srtcp_open",
    "srtp_wipe", "jitter_size", "jitter_init", "jitter_put", "jitter_get", "resample_size", "resample_init", "resample",
}
TEXT_MAX = 48 * 1024  # a board keeps it in executable RAM
COMPILERS = {"armv6m": "arm-none-eabi-gcc", "armv7m": "arm-none-eabi-gcc", "armv7emsp": "arm-none-eabi-gcc",
             "armv7emdp": "arm-none-eabi-gcc", "rv32imc": "riscv64-unknown-elf-gcc"}
MAKEFILE = ROOT / "csrc/bind/natmod/Makefile"


def build(arch, *settings):
    command = ["make", "-C", ROOT / "csrc/bind/natmod", f"ARCH={arch}", "--no-print-directory", *settings]
    done = subprocess.run(command, capture_output=True, text=True, env=micropython_build.make_env())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    file = ROOT / "build" / "natmod" / arch / "_linnet.mpy"
    assert 20000 < file.stat().st_size < TEXT_MAX, f"{arch}: {file.stat().st_size} bytes"
    return file


@pytest.fixture(scope="module")
def parts(built, tmp_path_factory):  # noqa: F811
    """Runs a program with the native module as `parts` and `data`, and gives back what it prints, as JSON."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("MicroPython loads native code of its own processor; this test builds x64 only")
    folder = tmp_path_factory.mktemp("natmod")
    shutil.copy(build("x64"), folder / "parts.mpy")

    def run(program, data=None):
        (folder / "data.json").write_text(json.dumps(data))
        head = "import sys, json\nfrom binascii import hexlify, unhexlify\nsys.path.insert(0, sys.argv[1])\n"
        head += "import parts\ndata = json.load(open(sys.argv[1] + '/data.json'))\n"
        head += "def text(b): return hexlify(b).decode()\n"
        return json.loads(" ".join(run_script(built, head + program, folder)))

    return run


def test_it_offers_a_declared_part_of_the_border_and_nothing_that_is_not_declared():
    stored = re.findall(r"mp_store_global\(MP_QSTR_(\w+), MP_OBJ_FROM_PTR\(&(\w+)_obj\)\)", NATMOD)
    assert all(name == symbol for name, symbol in stored)
    assert {name for name, _ in stored} == BORDER | PARTS
    assert BORDER <= declared_functions() and not PARTS & declared_functions((HEADER, LOOP_HEADER))


def test_the_loaded_module_has_these_names(parts):
    names = parts("print(json.dumps([n for n in dir(parts) if n[0] != '_']))")
    assert set(names) == BORDER | PARTS


@pytest.mark.parametrize("arch", COMPILERS)
def test_it_links_for_boards(built, arch):  # noqa: F811
    if not shutil.which(COMPILERS[arch]):
        pytest.skip(f"no {COMPILERS[arch]}. Debian: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi "
                    "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf")
    build(arch)


def test_it_links_for_the_esp32(built):  # noqa: F811
    """Nothing here runs it: MicroPython on an ESP32 alone can load it."""
    try:
        tools = xtensa.toolchain(say=lambda line: None)
    except fetch.FetchError as missing:
        pytest.skip(str(missing))
    build("xtensawin", f"CROSS={tools.prefix}", f"CFLAGS_EXTRA={' '.join(tools.flags)}")


def test_every_processor_that_the_makefile_names_is_built_here():
    [example] = [line for line in MAKEFILE.read_text().splitlines() if "ARCH=x64      also" in line]
    named = example.split("also")[1].replace("(ESP32)", "").split()
    assert set(named) == {*COMPILERS, "xtensawin"}


@pytest.mark.parametrize("settings, words", [
    (["ARCH=xtensawin", "CROSS=xtensa-of-nobody-"], ["xtensa-of-nobody-gcc", "ESP-IDF", "CROSS="]),
    (["ARCH=armv7m", "CROSS=arm-of-nobody-"], ["arm-of-nobody-gcc", "apt install gcc-arm-none-eabi", "CROSS="]),
    (["ARCH=x64", "MPY_DIR=/nope"], ["MPY_DIR=/nope", "holds no MicroPython", "leave MPY_DIR out"]),
])
def test_what_the_build_lacks_is_one_line_with_its_cure(tmp_path, settings, words):
    command = ["make", "-s", "-C", MAKEFILE.parent, f"BUILD={tmp_path}", *settings]
    done = subprocess.run(command, capture_output=True, text=True, env=micropython_build.make_env())
    told = [line for line in done.stderr.splitlines() if not re.match(r"make|\w+: using ", line)]
    [line] = [line for line in told if "***" in line] or told[-1:]
    assert done.returncode and told == [line], done.stderr
    assert all(word in line for word in words), line


@pytest.mark.parametrize("profile, salt", [(1, 14), (7, 12)], ids=["aes-cm", "gcm"])
def test_srtp_agrees_with_libsrtp_both_ways(parts, profile, salt):
    import pylibsrtp

    key = bytes(range(16)) + bytes(range(32, 32 + salt))
    name = {1: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 7: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM}

    def session(direction):
        return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=name[profile]))

    plain = [struct.pack("!BBHII", 0x80, 111, seq & 0xFFFF, 960 * seq, 0x80001234) + bytes((seq % 7 * 11 + 1,)) * 60
             for seq in range(65530, 65545)]
    sender, receiver = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND), session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
    theirs = [sender.protect(packet) for packet in plain]
    program = """
out, back = bytearray(parts.srtp_size()), bytearray(parts.srtp_size())
key = unhexlify(data["key"])
codes = [parts.srtp_init(state, data["profile"], key) for state in (out, back)]
ours, opened = [], []
for packet in data["plain"]:
    packet = unhexlify(packet)
    box = bytearray(len(packet) + 20)
    box[:len(packet)] = packet
    ours.append(text(box[:parts.srtp_protect(out, box, len(packet))]))
for packet in data["theirs"]:
    box = bytearray(unhexlify(packet))
    opened.append(text(box[:parts.srtp_open(back, box, len(box))]))
codes.append(parts.srtp_open(back, bytearray(unhexlify(data["theirs"][0])), len(box)))
parts.srtp_wipe(out)
codes.append(max(out))
print(json.dumps([codes, ours, opened]))
"""
    codes, ours, opened = parts(program, {
        "key": key.hex(), "profile": profile, "plain": [p.hex() for p in plain], "theirs": [p.hex() for p in theirs]})
    assert ours == [packet.hex() for packet in theirs]
    assert opened == [packet.hex() for packet in plain]
    assert [receiver.unprotect(bytes.fromhex(packet)) for packet in ours] == plain
    assert codes == [0, 0, -9, 0], "begun, begun, the replayed packet refused, wiped"


def test_rtp_is_written_as_the_rfcs_say_and_read_back(parts):
    program = """
import struct
head = bytearray(37)
struct.pack_into("<BBHIIbBBBHHB", head, 0, 111, 1, 65535, 0x12345678, 0x80001111, 20, 1, 1, 2, 0, 0, 1)
head[21] = ord("0")
packet = bytearray(64)
n = parts.rtp_write(head, b"hello", packet)
again = bytearray(37)
again[14:16] = b"\\1\\2"
code = parts.rtp_read(again, memoryview(packet)[:n])
at, size = struct.unpack_from("<HH", again, 16)
print(json.dumps([text(packet[:n]), code, text(again[:16]) == text(head[:16]), again[20:22].decode(),
                  packet[at:at + size].decode(), parts.rtp_read(again, b"\\x80"),
                  parts.rtp_write(head, b"x", bytearray(5))]))
"""
    wire, *rest = parts(program)
    # RFC 3550 5.1; RFC 8285 4.2: 0xbede, one word: id 1 length 1 (voice, level 20), id 2 length 1 ("0").
    assert wire == "90efffff1234567880001111bede0001" + "10942030" + b"hello".hex()
    assert rest == [0, True, "\x010", "hello", -2, -3]


def test_the_playout_buffer_plays_as_on_cpython(parts):
    rng = random.Random(5)
    script = []  # (what, now_us, sequence, payload hex)
    for i in range(120):
        if rng.random() > 0.1:
            script.append(("put", i * 20000 + rng.randrange(15000), 65500 + i, (b"\x78" + bytes([i]) * 20).hex()))
    script += [("get", i * 20000 + 19000, 0, "") for i in range(125)]
    script.sort(key=lambda step: step[1])
    program = """
import struct
state, head, box = bytearray(parts.jitter_size()), bytearray(37), bytearray(1400)
parts.jitter_init(state, 60)
said = []
for what, now, sequence, payload in data:
    if what == "put":
        payload = unhexlify(payload)
        struct.pack_into("<BBHIIbBBBHHB", head, 0, 111, 0, sequence & 0xffff, sequence * 960, 1, -1, 0, 0, 0, 0,
                         len(payload), 0)
        said.append([parts.jitter_put(state, now, head, payload), 0, ""])
    else:
        answer = parts.jitter_get(state, now, box)
        duration, n = struct.unpack_from("<HH", box, 0)
        said.append([answer, duration, text(box[4:4 + n])])
print(json.dumps(said))
"""
    said = parts(program, script)
    mod = media_lib.jitter()
    ffi, lib = mod.ffi, mod.lib
    state, data, size = ffi.new("linnet_jitter_t *"), ffi.new("uint8_t **"), ffi.new("size_t *")
    lib.linnet_jitter_init(state, 60)
    expected = []
    for what, now, sequence, payload in script:
        if what == "put":
            payload = bytes.fromhex(payload)
            done = lib.linnet_jitter_put(state, now, sequence & 0xFFFF, sequence * 960, payload, len(payload))
            expected.append([done, 0, ""])
        else:
            data[0], size[0] = ffi.NULL, 0
            answer = lib.linnet_jitter_get(state, now, ffi.cast("const uint8_t **", data), size)
            got = bytes(ffi.buffer(data[0], size[0])).hex() if data[0] != ffi.NULL else ""
            expected.append([answer, lib.linnet_jitter_duration(state), got])
    assert said == expected
    assert {answer for answer, duration, _ in said if duration} >= {1, 3}, "some played, some lost"


@pytest.mark.parametrize("rates", [(48000, 16000), (16000, 48000), (44100, 16000)])
def test_the_resampler_gives_the_same_samples_as_on_cpython(parts, rates):
    pcm = struct.pack("<960h", *(int(9000 * math.sin(i / 9) + 4000 * math.sin(i / 2.3)) for i in range(960)))
    program = """
state, out = bytearray(parts.resample_size()), bytearray(8000)
code = parts.resample_init(state, *data["rates"])
n = parts.resample(state, unhexlify(data["pcm"]), out)
print(json.dumps([code, n, text(out[:2 * n]), parts.resample(state, bytes(200), bytearray(20)),
                  parts.resample_init(state, 1, 2)]))
"""
    code, n, made, short, wrong = parts(program, {"rates": rates, "pcm": pcm.hex()})
    mod = media_lib.jitter()
    ffi, lib = mod.ffi, mod.lib
    state, out, taken = ffi.new("linnet_resampler_t *"), ffi.new("int16_t[4000]"), ffi.new("size_t *")
    assert lib.linnet_resampler_init(state, *rates) == 0 == code
    count = lib.linnet_resample(state, ffi.cast("int16_t *", ffi.from_buffer(pcm)), 960, taken, out, 4000)
    assert (n, made) == (count, bytes(ffi.buffer(out, 2 * count)).hex()) and count > 300
    assert (short, wrong) == (-3, -1)


def test_protobuf_is_that_of_the_module_compiled_in(parts):
    # The fuzzer's first byte chooses the message.
    wires = [path.read_bytes()[1:].hex() for path in sorted((ROOT / "tests/fuzz/corpora/proto").iterdir())]
    program = """
import _linnet
good = differ = 0
for wire in data:
    wire = unhexlify(wire)
    for message in range(1, 7):
        a, b = bytearray(8 * len(wire) + 64), bytearray(8 * len(wire) + 64)
        n = parts.pb_decode(message, wire, a)
        differ += n != _linnet.pb_decode(message, wire, b) or a != b
        if n > 0:
            back, other = bytearray(n + 64), bytearray(n + 64)
            good += 1
            differ += parts.pb_encode(message, a[:n], back) != _linnet.pb_encode(message, b[:n], other) or back != other
print(json.dumps([good, differ]))
"""
    good, differ = parts(program, wires)
    assert good > 20 and differ == 0


def test_a_state_of_another_part_is_refused(parts):
    program = """
state = bytearray(parts.jitter_size())
said = []
for call in (lambda: parts.srtp_open(state, bytearray(40), 40), lambda: parts.jitter_get(state, 0, bytearray(1400)),
             lambda: parts.resample_init(bytearray(8), 8000, 16000)):
    try:
        call()
        said.append("taken")
    except ValueError:
        said.append("refused")
parts.jitter_init(state, 60)
said.append(parts.jitter_get(state, 0, bytearray(1400)))
print(json.dumps(said))
"""
    assert parts(program) == ["refused"] * 3 + [0]
