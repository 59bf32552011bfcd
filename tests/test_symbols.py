"""What the core needs from the world and what it keeps: judged by nm on the plain objects (make core-objects)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OBJECTS = ROOT / "build" / "core"

# The whole libc the core may use.
LIBC = {"memcpy", "memmove", "memset", "memcmp"}
# What the compiler may add by itself: position-independent code and the stack protector's check.
COMPILER = {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
SEAMS = ("linnet_", "opus_", "mbedtls_", "pb_", "livekit_")
# What these would bring of the world by the back door: sockets, clocks, heaps, files, words.
WORLD = re.compile(r"mbedtls_(net_|timing_|ms_time|hardware_|entropy_|platform_(?!zeroize)|psa_|threading_|debug_|"
                   r".*_file$|(calloc|free|v?[fs]?n?printf|time|exit)$)|opus_.*(_create|_destroy)$|pb_(release|.*_fd$)")
# The one permitted variable: which arena the TLS backend allocates from, thread-local.
BACKEND = {"crypto_arena.o"}


@pytest.fixture(scope="module")
def symbols():
    built = subprocess.run([sys.executable, "csrc/bind/cffi_build.py", "core-objects"], cwd=ROOT, capture_output=True,
                           text=True)
    assert built.returncode == 0, built.stderr[-2000:]
    objects = sorted(OBJECTS.glob("*.o"))
    assert len(objects) > 25
    table = {}
    for path in objects:
        lines = subprocess.run(["nm", str(path)], check=True, capture_output=True, text=True).stdout.splitlines()
        table[path.name] = [tuple(line.split()[-2:]) for line in lines if line.strip()]
    return table


def test_the_core_has_no_writable_data(symbols):
    writable = {
        f"{name}: {symbol}"
        for name, rows in symbols.items()
        if not any(name.endswith(backend) for backend in BACKEND)
        for kind, symbol in rows
        if kind in "dDbBC"
    }
    assert not writable


def test_the_core_needs_nothing_but_mem_functions_and_its_seams(symbols):
    needed = {symbol for rows in symbols.values() for kind, symbol in rows if kind == "U"}
    foreign = {s for s in needed if s not in LIBC | COMPILER and (not s.startswith(SEAMS) or WORLD.match(s))}
    assert not foreign


def test_the_back_doors_of_the_libraries_are_known():
    for name in ("mbedtls_net_send", "mbedtls_ms_time", "mbedtls_calloc", "mbedtls_x509_crt_parse_file", "mbedtls_free",
                 "mbedtls_platform_gmtime_r", "opus_decoder_create", "mbedtls_entropy_func", "mbedtls_printf"):
        assert WORLD.match(name), name
    for name in ("mbedtls_ssl_read", "mbedtls_pk_free", "mbedtls_platform_zeroize", "mbedtls_ssl_set_timer_cb"):
        assert not WORLD.match(name), name


def test_the_backend_keeps_one_thread_local_variable_and_no_other(symbols):
    kept = [
        (kind, symbol)
        for name, rows in symbols.items()
        if any(name.endswith(backend) for backend in BACKEND)
        for kind, symbol in rows
        if kind in "dDbBC"
    ]
    assert len(kept) <= 1, kept


def test_every_exported_name_carries_the_prefix(symbols):
    exported = {symbol for rows in symbols.values() for kind, symbol in rows if kind in "TRDB"}
    stray = {s for s in exported if not s.startswith(("linnet_", "livekit_"))}
    assert not stray
