"""The native media loop as a thing with an owner: handles, start, stop, the end, and whoever dies."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from host_sim import native
from linnet import core
from tests.port.loops import LOOPBACK, End, descriptors, introduce, pair, resident_kib, run, run_until, threads

SEED = bytes(range(48))
IS_LINUX = sys.platform == "linux"
only_linux = pytest.mark.skipif(not IS_LINUX, reason="counts by /proc: run it on Linux")
is_sanitized = bool(os.environ.get("LINNET_SANITIZE"))


def options(*words):
    return b"".join(word.to_bytes(4, "little") for word in words)


# --- handles ---


def test_a_handle_is_never_used_again():
    first = native.loop_open(b"", SEED, b"")
    assert native.loop_close(first) == 0
    second = native.loop_open(b"", SEED, b"")
    assert second > first > 0
    assert native.loop_close(first) == core.ERR_CLOSED
    assert native.loop_close(second) == 0


@pytest.mark.parametrize("call", [
    lambda h: native.loop_bind(h, 4), native.loop_start, lambda h: native.loop_input(h, core.IN_CLOSE, b""),
    lambda h: native.loop_event(h, bytearray(100)), native.loop_event_size, native.loop_wake_fd,
    native.loop_sound_start, native.loop_sound_stop, lambda h: native.loop_mic(h, bytes(4)),
    lambda h: native.loop_speaker(h, bytearray(4)), lambda h: native.loop_stats(h, -2, bytearray(999)),
    native.loop_close,
])
@pytest.mark.parametrize("handle", [0, -1, 2**31 - 1])
def test_a_handle_that_is_none_is_refused(call, handle):
    assert call(handle) == core.ERR_CLOSED


@pytest.mark.parametrize("record", [
    b"\0", options(4), options(0, 60001), options(1, 0, 60001), options(1, 0, 10, 20), options(0, 0, 0, 0, 0, 8192),
    options(0, 0, 0, 0, 0, 1 << 24), options(3, 0, 0, 0, 0, 0, 2), options(1, 0, 0, 0, 0, 0, 4),
    options(0, 0, 0, 0, 0, 0, 0, 0),
])
def test_a_record_that_cannot_be_is_refused(record):
    assert native.loop_open(b"", SEED, record) == core.ERR_ARG


def test_what_the_core_refuses_the_loop_refuses():
    assert native.loop_open(options(7999), SEED, b"") == core.ERR_ARG
    assert native.loop_open(b"", SEED[:31], b"") == core.ERR_ARG


SPOKEN = """
import sys; sys.path[:0] = ['.', 'firmware']
from tests.port.loops import core, native
from tests.port.test_loop import SEED, options
handle = native.loop_open(b"", SEED, options(core.LOOP_PACED))
speech = bytearray(4096)
for i in range(len(speech)): speech[i] = (i * i + 7) % 251
assert native.loop_mic(handle, speech) == len(speech) // 2
for i in range(len(speech)): speech[i] = 0
print("open", flush=True); input()
assert native.loop_close(handle) == 0
print("closed", flush=True); input()
"""


def is_in_memory(pid, wanted):
    """Whether a process has these bytes anywhere that it may write."""
    found = False
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            area, rights = line.split()[:2]
            start, end = (int(part, 16) for part in area.split("-"))
            if rights.startswith("rw") and "[v" not in line:
                memory.seek(start)
                found = found or wanted in memory.read(end - start)
    return found


@only_linux
@pytest.mark.skipif(is_sanitized, reason="a sanitizer maps more memory than can be read")
def test_nothing_that_was_spoken_stays_in_memory_after_the_close():
    middle = bytes((i * i + 7) % 251 for i in range(2000, 2251))
    command = [sys.executable, "-c", SPOKEN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        for word in ("open", "closed"):
            assert run.stdout.readline() == word + "\n"
            assert is_in_memory(run.pid, middle) == (word == "open")
            run.stdin.write("\n")
            run.stdin.flush()
        assert run.wait(10) == 0


def test_a_machine_without_a_device_of_its_own_says_so():
    assert native.loop_open(b"", SEED, options(core.LOOP_DEVICE)) == core.ERR_STATE


@only_linux
def test_one_loop_too_many_is_refused_and_costs_nothing():
    before = descriptors()
    handles = []
    while (handle := native.loop_open(b"", SEED, b"")) > 0:
        handles.append(handle)
        assert len(handles) < 100
    full = descriptors()
    assert handle == core.ERR_LIMIT
    assert native.loop_open(b"", SEED, b"") == core.ERR_LIMIT
    assert descriptors() == full
    native.loop_close_all()
    assert descriptors() == before
    assert all(native.loop_close(handle) == core.ERR_CLOSED for handle in handles)


# --- what may be asked when ---


def test_time_datagrams_and_hold_are_the_loops_own():
    end = End()
    for kind in (core.IN_TIME, core.IN_DATAGRAM, core.IN_HOLD):
        assert end.loop.input(0, kind, bytes(40)) == core.ERR_ARG
    end.loop.wipe()


def test_a_family_is_bound_once_and_before_the_start():
    end = End()
    handle = end.loop._handle
    assert native.loop_bind(handle, 4) == core.ERR_STATE
    assert native.loop_bind(handle, 5) == core.ERR_ARG
    end.start()
    assert native.loop_bind(handle, 6) == core.ERR_STATE
    assert native.loop_start(handle) == core.ERR_STATE
    end.loop.wipe()


def test_what_was_told_before_the_start_can_be_polled_right_after_it():
    end = End()
    assert end.loop.poll() == core.IDLE
    end.loop.start()
    assert end.loop.poll() == core.LOCAL
    end.loop.wipe()


def test_sound_without_a_device_or_twice_is_refused():
    silent, paced = End(sound=core.LOOP_SILENT), End()
    assert silent.loop.sound_start() == core.ERR_STATE
    assert silent.loop.mic(bytes(20)) == 0 and silent.loop.speaker(bytearray(20)) == 0
    assert paced.loop.sound_stop() == core.ERR_STATE
    assert paced.loop.sound_start() == 0
    assert paced.loop.sound_start() == core.ERR_STATE
    assert paced.loop.sound_stop() == 0
    assert paced.loop.sound_start() == 0
    silent.loop.wipe()
    paced.loop.wipe()


def test_an_event_that_does_not_fit_the_buffer_stays():
    end = End()
    end.loop.start()
    assert native.loop_event(end.loop._handle, bytearray(8)) == core.ERR_SPACE
    assert native.loop_event(end.loop._handle, bytearray(3)) == core.ERR_SPACE
    assert end.loop.poll() == core.LOCAL
    end.loop.wipe()


# --- again and again ---


@only_linux
def test_two_hundred_starts_and_stops_leave_nothing_behind():
    def once(i):
        end = End(speaker_ms=200, mic_ms=200)
        end.start()
        if i % 2:
            end.loop.sound_start()
        if i % 3 == 0:
            end.loop.sound_stop()
        end.loop.wipe()
        end.loop.wipe()

    for i in range(20):
        once(i)
    before = descriptors(), threads()
    resident = resident_kib()
    for i in range(200):
        once(i)
    assert (descriptors(), threads()) == before
    assert is_sanitized or resident_kib() - resident < 2048


def test_a_call_can_follow_a_call():
    for _ in range(3):
        with pair() as (left, right):
            left.loop.send_data(0, left.open["_reliable"], b"again")
            run_until(lambda end=right: end.messages, left, right)
            assert right.messages == [b"again"]


def test_a_loop_may_be_closed_while_others_use_it():
    for _ in range(10):
        end = End()
        end.start()
        end.loop.sound_start()
        handle = end.loop._handle
        wrong, go = [], threading.Event()

        def use(handle=handle, wrong=wrong, go=go):
            buffer, pcm, words = bytearray(100000), bytearray(640), bytearray(1000)
            go.wait()
            while True:
                results = (native.loop_event(handle, buffer), native.loop_mic(handle, pcm),
                           native.loop_speaker(handle, pcm), native.loop_stats(handle, -2, words),
                           native.loop_input(handle, core.IN_MUTE, b"\1"))
                if core.ERR_CLOSED in results:
                    wrong.extend(r for r in results if r < 0 and r != core.ERR_CLOSED)
                    return

        users = [threading.Thread(target=use) for _ in range(3)]
        for user in users:
            user.start()
        go.set()
        time.sleep(0.01)
        closers = [threading.Thread(target=native.loop_close, args=(handle,)) for _ in range(2)]
        for each in closers:
            each.start()
        for each in users + closers:
            each.join(10)
            assert not each.is_alive()
        assert wrong == []


@only_linux
def test_what_came_before_a_turn_of_sound_is_taken_before_it():
    """A loop that overslept finds a turn that is due and a datagram that may hold its sound."""
    program = (
        "import sys; sys.path[:0] = ['.', 'firmware']\n"
        "from tests.port.loops import End\n"
        "end = End(); end.start(); end.loop.sound_start()\n"
        "print(end.port, flush=True)\n"
        "input()\n"
        "stats = end.stats()\n"
        "print(stats['datagrams_received'], stats['datagrams_overtaken'])\n")
    rounds = 20
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as asleep, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        to = "127.0.0.1", int(asleep.stdout.readline())
        for _ in range(rounds):
            os.kill(asleep.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, asleep.pid, os.WSTOPPED)
            sender.sendto(b"none of ours", to)
            time.sleep(0.03)
            os.kill(asleep.pid, signal.SIGCONT)
            time.sleep(0.03)
        found, _ = asleep.communicate("\n", timeout=10)
    assert found.split() == [str(rounds), "0"]


# --- whoever dies ---


def test_a_loop_whose_python_side_died_leaves_the_call_politely():
    with pair(left_options={"dead_ms": 300}) as (left, right):
        run_until(lambda: right.states[core.SCTP] == core.CLOSED, right)  # nobody asks `left` for anything
        run_until(lambda: left.loop.loop_stats()["is_over"], right)
        assert left.loop.input(0, core.IN_MUTE, b"\1") == core.ERR_CLOSED
        left.poll()
        assert left.states[core.ICE] == core.CLOSED
        assert right.loop.stats()["rtcp_received"] > 0  # the BYE is one


def test_a_python_side_that_asks_now_and_then_lives():
    with pair(left_options={"dead_ms": 400}, right_options={"dead_ms": 400}) as (left, right):
        run(1.2, left, right)
        assert not left.loop.loop_stats()["is_over"] and left.is_up()


def test_closing_says_goodbye():
    with pair() as (left, right):
        left.loop.wipe()
        run_until(lambda: right.states[core.SCTP] == core.CLOSED, right)


def test_a_program_that_ends_says_goodbye():
    """Whoever forgets to close, or fails: the peer need not wait for a timeout."""
    program = (
        "import sys; sys.path[:0] = ['.', 'firmware']\n"
        "from tests.port.loops import End, run_until, LOOPBACK, core\n"
        "end = End(0x1111); end.start(); f, u, p = end.local\n"
        "print(f.hex(), u, p, end.port, flush=True)\n"
        "f, u, p, port = input().split()\n"
        "end.loop.set_remote(0, u, p, bytes.fromhex(f), dtls_server=False, controlling=True)\n"
        "end.loop.add_remote_candidate(0, LOOPBACK, int(port), 2130706431, 0)\n"
        "end.loop.open_channel(0, 'x')\n"
        "run_until(end.is_up, end)\n"
        "raise SystemExit(3)\n")
    right = End(0x2222)
    right.start()
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        f, u, p, port = other.stdout.readline().split()
        right.loop.set_remote(0, u, p, bytes.fromhex(f), dtls_server=True, controlling=False)
        right.loop.add_remote_candidate(0, LOOPBACK, int(port), 2130706431, 0)
        fingerprint, ufrag, pwd = right.local
        other.stdin.write(f"{fingerprint.hex()} {ufrag} {pwd} {right.port}\n")
        other.stdin.flush()
        run_until(lambda: right.states[core.SCTP] == core.CLOSED, right)
        assert other.wait(10) == 3
    right.loop.wipe()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_has_no_loop_and_the_parent_keeps_its_own():
    with pair() as (left, right):
        handle = left.loop._handle
        child = os.fork()
        if child == 0:
            ok = native.loop_close(handle) == core.ERR_CLOSED and native.loop_open(b"", SEED, b"") > handle
            os._exit(0 if ok else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        left.loop.send_data(0, left.open["_reliable"], b"still here")
        run_until(lambda: right.messages, left, right)


def test_an_ipv6_call_where_there_is_ipv6():
    ends = [End(0x1111, sound=core.LOOP_SILENT), End(0x2222, sound=core.LOOP_SILENT)]
    six = bytes(15) + b"\1"
    try:
        for end in ends:
            end.port = native.loop_bind(end.loop._handle, 6)
            if end.port == core.ERR_CLOSED:
                pytest.skip("this machine has no IPv6")
            end.loop.add_local_candidate(0, six, end.port)
            end.start()
        left, right = ends
        for end, other, is_left in ((left, right, True), (right, left, False)):
            fingerprint, ufrag, pwd = other.local
            end.loop.set_remote(0, ufrag, pwd, fingerprint, dtls_server=not is_left, controlling=is_left)
            end.loop.add_remote_candidate(0, six, other.port, 2130706431, 0)
        run_until(lambda: left.is_up() and right.is_up(), left, right)
    finally:
        for end in ends:
            end.loop.wipe()


def test_introduce_is_what_pair_does():
    """The helper itself: without a description nobody connects."""
    left, right = End(0x1111), End(0x2222)
    left.start()
    right.start()
    run(0.2, left, right)
    assert left.states == right.states == [core.NEW] * 3
    introduce(left, right)
    run_until(lambda: left.is_up() and right.is_up(), left, right)
    left.loop.wipe()
    right.loop.wipe()
