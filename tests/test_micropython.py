"""The same program on real MicroPython: what `make micropython` builds, judged beside CPython.

MPY_VERSION=1.25.0 judges the fallback version. Nothing here needs the network once the sources are in the cache.
"""

import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import micropython_build
import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "tests" / "app" / "run_mpy.py"
HEAP = ("-X", "heapsize=64M")


@pytest.fixture(scope="module")
def built():
    """The folder with micropython and mpy-cross, brought up to date."""
    try:
        micropython_build.need_packages()
    except micropython_build.BuildError as missing:
        pytest.skip(str(missing))
    done = subprocess.run([sys.executable, "csrc/bind/micropython_build.py", "unix"], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return micropython_build.out_folder()


def run_script(built, text, *args, timeout=60):
    """What a program prints on MicroPython."""
    done = subprocess.run([built / "micropython", *HEAP, "-c", text, *map(str, args)], capture_output=True, text=True,
                          timeout=timeout, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.split()


def app_tests(command):
    """{(file, test): PASS or SKIP or FAIL, ...} of one interpreter, and its last line."""
    done = subprocess.run([*command, RUNNER, "-v"], capture_output=True, text=True, timeout=600, cwd=ROOT)
    lines = done.stdout.splitlines()
    results, waiting = {}, []
    for line in lines:
        if found := re.match(r"(PASS|SKIP|FAIL) (\w+\.test_\w+)", line):
            waiting.append(found.groups())
        elif found := re.match(r"(test_\w+\.py) +\d+ passed$", line):
            results |= {(found[1], name): result for result, name in waiting}
            waiting = []
    failed = [line for line in lines if line.startswith("FAIL")]
    assert done.returncode == 0 and not failed, "\n".join(failed) + done.stderr[-2000:]
    return results, lines[-1]


def test_the_module_has_the_names_of_cpythons_view(built):
    import host_sim.native as native

    here = {name for name, thing in vars(native).items() if getattr(thing, "__module__", "") == native.__name__}
    there = run_script(built, "import _linnet\nfor name in dir(_linnet): print(name)")
    assert set(there) - {"WakeStream"} == {name for name in here if not name.startswith("_")} | {
        "__class__", "__name__", "__dict__"}


def test_the_app_tests_give_the_same_results_on_both_interpreters(built):
    here, here_last = app_tests([sys.executable])
    there, there_last = app_tests([built / "micropython", *HEAP])
    files = {path.name for path in (ROOT / "tests" / "app").glob("test_*.py")}
    assert len(here) > 300 and {file for file, _ in here} == files
    assert set(here) == set(there), "a test exists on one interpreter only"
    assert {name: result for name, result in here.items() if there[name] != result} == {}
    assert set(here.values()) == {"PASS"}, "neither interpreter lacks the core here, so nothing skips"
    assert here_last == there_last == f"{len(here)} passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("path", sorted((ROOT / "firmware").rglob("*.py")),
                         ids=lambda path: path.relative_to(ROOT / "firmware").as_posix())
def test_mpy_cross_compiles(built, path, tmp_path):
    target = tmp_path / "out.mpy"
    done = subprocess.run([built / "mpy-cross", "-o", target, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert target.stat().st_size > 20


def test_every_file_of_the_firmware_is_in_the_manifest():
    named = set(re.findall(r'"(\w+\.py)"', (ROOT / "firmware" / "manifest.py").read_text()))
    assert named == {path.name for path in (ROOT / "firmware").glob("*.py")} - {"manifest.py"}


WIPED = """
import _linnet, os

s = _linnet.session_init(bytearray(_linnet.session_size(b"")), b"", os.urandom(48))
pcm, record = bytearray(640), bytearray(512)
_linnet.session_wipe(s)
print(_linnet.input(s, 1, 0, b""), _linnet.pcm_push(s, pcm), _linnet.pcm_pull(s, pcm))
print(_linnet.stats(s, -1, record), _linnet.stats(s, 0, record))
print(_linnet.poll(s, bytearray(_linnet.poll_size(s))), _linnet.session_wipe(s), _linnet.pcm_push(s, b""))
"""


def test_every_call_on_a_wiped_session_has_an_answer(built):
    assert run_script(built, WIPED) == ["-7", "-7", "-7", "-1", "-1", "0", "None", "-7"]


LOOP = """
import _linnet, asyncio, gc, os, select
from micropython import heap_lock, heap_unlock

handle = _linnet.loop_open(b"", os.urandom(48), b"\\1\\0\\0\\0")
buf = bytearray(_linnet.loop_event_size(handle))
assert _linnet.loop_bind(handle, 4) > 0 and _linnet.loop_start(handle) == 0

async def readable(stream):
    yield asyncio.core._io_queue.queue_read(stream)

async def main():
    stream = _linnet.WakeStream(handle)
    await asyncio.wait_for(readable(stream), 5)
    print(_linnet.loop_event(handle, buf))
    while _linnet.loop_event(handle, buf):
        pass
    try:
        await asyncio.wait_for(readable(stream), 0.1)
        print("readable-without-news")
    except asyncio.TimeoutError:
        print("quiet")

asyncio.run(main())
assert _linnet.loop_sound_start(handle) == 0
pcm = bytearray(640)
heap_lock()
for _ in range(10):
    _linnet.loop_mic(handle, pcm)
    _linnet.loop_speaker(handle, pcm)
    _linnet.loop_event(handle, buf)
    _linnet.loop_input(handle, 7, b"\\1")
heap_unlock()
print(_linnet.loop_close(handle), _linnet.loop_event(handle, buf), _linnet.loop_close(handle))
poller = select.poll()
poller.register(_linnet.WakeStream(handle), select.POLLIN)  # it has no descriptor any more: its ioctl is asked
print(len(poller.poll(0)))
left = _linnet.loop_open(b"", os.urandom(48), b"")
_linnet.loop_start(left)  # the end of the program closes it
print("end")
"""


def test_the_media_loop_wakes_asyncio_and_needs_no_heap(built):
    local = "2"  # LINNET_OUT_LOCAL: the session describes itself
    assert run_script(built, LOOP, timeout=20) == [local, "quiet", "0", "-7", "-7", "1", "end"]


BUSY = """
import _linnet, os

handle = _linnet.loop_open(b"", os.urandom(48), b"\\1\\0\\0\\0")
assert _linnet.loop_bind(handle, 4) > 0 and _linnet.loop_start(handle) == 0
buf = bytearray(_linnet.loop_event_size(handle))
print("go")
while True:
    _linnet.loop_event(handle, buf)
"""


def test_ctrl_c_in_a_call_of_the_loop_ends_the_program(built):
    """MicroPython's handler jumps out of whatever runs; a lock left behind would stop the end of the program."""
    for after_ms in range(20, 180, 20):
        command = [built / "micropython", "-c", BUSY]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            try:
                assert run.stdout.readline() == "go\n"
                time.sleep(after_ms / 1000)
                run.send_signal(signal.SIGINT)
                assert run.wait(10) == 1 and "KeyboardInterrupt" in run.stdout.read()
            finally:
                run.kill()


SWEEP = """
import _linnet, ffi, os, time
own = ffi.open(None)
sweep, sleep = own.func("v", "gc_sweep_all", ""), own.func("v", "sleep", "i")
for _ in range(2):
    assert _linnet.loop_start(_linnet.loop_open(b"", os.urandom(48), b"")) == 0
print(len(os.listdir("/proc/self/task")))
sweep()  # as a soft reset does: every object is gone
sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_a_soft_reset_closes_every_loop(built):
    """The unix port has no soft reset: this links the same objects once more, with a board's sweep of the heap."""
    settings = micropython_build.unix_settings(built, built / "mpy-cross")
    micropython_build.run_make(micropython_build.source_tree(), "ports/unix", built, "sweep", *settings,
                               "PROG=micropython-sweep",
                               "LDFLAGS_EXTRA=-Wl,--export-dynamic-symbol=gc_sweep_all -Wl,-u,gc_sweep_all")
    with subprocess.Popen([built / "obj" / "micropython-sweep", "-c", SWEEP], stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout.readline() == "3\n"
            until = time.monotonic() + 20
            while len(os.listdir(f"/proc/{run.pid}/task")) > 1 and time.monotonic() < until:
                time.sleep(0.02)
            assert len(os.listdir(f"/proc/{run.pid}/task")) == 1 and run.poll() is None
        finally:
            run.kill()


ONE_LIBRARY = """
import asyncio, sys, tls
sys.path.insert(0, "tests/app")
import harness, native_core
from two_sessions import TwoSessions, square

async def answer(reader, writer):
    writer.write((await reader.readexactly(5)) + b" back")
    await writer.drain()

async def main():
    cert, key = [open(name, "rb").read() for name in sys.argv[1:]]
    server = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    listening = await asyncio.start_server(answer, "127.0.0.1", 0x%x, ssl=server)
    client = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    client.verify_mode = tls.CERT_REQUIRED
    client.load_verify_locations(cert)
    call = TwoSessions()
    call.connect()
    for turn in range(3):
        # A handshake of TLS between the steps of two handshakes of DTLS.
        call.step()
        reader, writer = await asyncio.open_connection("127.0.0.1", 0x%x, ssl=client, server_hostname="badge.test")
        call.step()
        writer.write(b"hello")
        await writer.drain()
        call.step()
        print((await reader.readexactly(10)).decode().replace(" ", "-"))
        writer.close()
    print(call.run(lambda: call.left.is_up() and call.right.is_up()))
    call.start_sound(square())
    call.run_for(300)
    print(call.right.sounding > 5)

asyncio.run(main())
"""


def test_one_mbed_tls_serves_the_core_and_the_tls_module(built, tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "badge.test")])
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(datetime(2020, 1, 1))
            .not_valid_after(datetime.now() + timedelta(days=3650))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("badge.test")]), False)
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    der = serialization.Encoding.DER
    (tmp_path / "cert").write_bytes(cert.public_bytes(der))
    (tmp_path / "key").write_bytes(key.private_bytes(der, serialization.PrivateFormat.TraditionalOpenSSL,
                                                     serialization.NoEncryption()))
    port = 20000 + os.getpid() % 20000
    printed = run_script(built, ONE_LIBRARY % (port, port), tmp_path / "cert", tmp_path / "key")
    assert printed == ["hello-back"] * 3 + ["True", "True"]


def test_a_handle_survives_a_collection_and_a_wrong_object_is_an_error(built):
    script = """
import _linnet, gc
def make():
    memory = bytearray(_linnet.session_size(b""))
    return _linnet.session_init(memory, b"", bytes(48))
session = make()
for _ in range(3):
    gc.collect()
    junk = [bytearray(50000) for _ in range(20)]
buf = bytearray(_linnet.poll_size(session))
print(_linnet.poll(session, buf), _linnet.session_init(bytearray(10), b"", bytes(48)))
for wrong in (1, None, b"", _linnet):
    try:
        _linnet.poll(wrong, buf)
        print("taken", wrong)
    except TypeError:
        pass
print(_linnet.pcm_push(session, memoryview(buf)[1:9]))
"""
    assert run_script(built, script) == ["2", "-3", "-1"]


def test_a_machine_without_libffi_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "cc -nostdinc")
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    (tmp_path / "cc").symlink_to("/usr/bin/cc")
    with pytest.raises(micropython_build.BuildError, match=r"needs pkg-config and libffi-dev.*apt install pkg-config"):
        micropython_build.need_packages()


def test_a_version_that_is_not_pinned_is_refused_with_those_that_are():
    env = {name: value for name, value in os.environ.items() if name != "MPY_DIR"} | {"MPY_VERSION": "1.19"}
    done = subprocess.run([sys.executable, "csrc/bind/micropython_build.py", "source"], cwd=ROOT, env=env,
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "version 1.19 is not pinned; there are 1.26.1, 1.25.0" in done.stderr
