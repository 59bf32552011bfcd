"""The wake descriptor, as a pipe and as the socket of systems that have no pipe."""

import select
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "c"))
from internals import CSRC, load  # noqa: E402


@pytest.fixture(scope="module", params=["pipe", "socket"])
def c(request):
    return load("loop_wake_" + request.param, sources=["port/loop_wake.c"], headers=["port/loop_wake.h"],
                include_dirs=[CSRC / "port"], defines=["LINNET_WAKE_BY_SOCKET"] if request.param == "socket" else [])


def is_readable(fd, wait_s=0.0):
    return bool(select.select([fd], [], [], wait_s)[0])


def test_a_signal_makes_it_readable_until_it_is_cleared(c):
    wake = c.ffi.new("linnet_wake_t *")
    assert c.lib.linnet_wake_open(wake) == 0
    assert not is_readable(wake.read_fd)
    for times in (1, 3, 40):
        for _ in range(times):
            assert c.lib.linnet_wake_signal(wake) == 1
        assert is_readable(wake.read_fd, 1)
        c.lib.linnet_wake_clear(wake)
        assert not is_readable(wake.read_fd)
    c.lib.linnet_wake_close(wake)
    assert wake.read_fd == wake.write_fd == -1
    c.lib.linnet_wake_close(wake)


def test_a_signal_never_blocks_even_when_nobody_clears(c):
    wake = c.ffi.new("linnet_wake_t *")
    assert c.lib.linnet_wake_open(wake) == 0
    for _ in range(100000):
        c.lib.linnet_wake_signal(wake)
    c.lib.linnet_wake_clear(wake)
    assert not is_readable(wake.read_fd)
    c.lib.linnet_wake_close(wake)
