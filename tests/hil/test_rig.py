"""The rig's own code, without a board: roster, locks, what is missing, boards that fail, frames."""

import json
import os
import random
import subprocess
import sys

import pytest

from tests.hil import __main__ as command
from tests.hil import boards, conftest, firmware_build, link, locks, report, roster, scripts
from tests.hil.fake_board import FakeBoard
from tests.hil.faults import EXITS, INFRASTRUCTURE, RigFault

EMULATED = {"name": "one", "kind": "emulated", "firmware": "virt", "serial": "tcp",
            "start": ["qemu-system-riscv32", "-serial", "{serial}", "-kernel", "{firmware}"]}


def fault_of(action, *arguments, **options):
    with pytest.raises(RigFault) as caught:
        action(*arguments, **options)
    return caught.value


def written(tmp_path, boards_list):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps({"boards": boards_list}))
    return path


# --- the roster ---


def test_the_roster_of_this_repository_is_right():
    names = [entry["name"] for entry in roster.load(roster.DEFAULT)]
    assert names == ["mps2", "virt"]
    assert all(entry["firmware"] in firmware_build.boards() for entry in roster.load(roster.DEFAULT))


def test_a_real_board_needs_three_words_only(tmp_path):
    path = written(tmp_path, [{"name": "badge", "kind": "serial", "device": "/dev/ttyACM0"}])
    entry = roster.find("badge", path)
    assert boards.Board(entry).address == "/dev/ttyACM0"


@pytest.mark.parametrize("entry, words", [
    ({"kind": "serial"}, "no name for board 1"),
    ({"name": "x"}, "kind None"),
    ({"name": "x", "kind": "wifi"}, "kind 'wifi'"),
    ({"name": "x", "kind": "serial"}, "lacks 'device'"),
    ({"name": "x", "kind": "serial", "device": "/dev/x", "speed": 9}, "field 'speed'"),
    ({"name": "x", "kind": "serial", "device": "/dev/x", "fixtures": ["radio"]}, "fixture 'radio'"),
    ({**EMULATED, "serial": "usb"}, "serial 'usb'"),
    ({**EMULATED, "start": ["qemu"]}, "does not use {serial}"),
])
def test_a_wrong_entry_is_named_with_what_is_wrong(tmp_path, entry, words):
    fault = fault_of(roster.load, written(tmp_path, [entry]))
    assert fault.code == "bad-roster" and words in fault.cause and "rig.json" in fault.cause


def test_two_boards_on_one_device_or_of_one_name_are_refused(tmp_path):
    one = {"name": "a", "kind": "serial", "device": "/dev/null"}
    link_to_it = tmp_path / "alias"
    link_to_it.symlink_to("/dev/null")
    assert "twice" in fault_of(roster.load, written(tmp_path, [one, {**one, "device": "/dev/zero"}])).cause
    assert "twice" in fault_of(roster.load, written(tmp_path, [one, {**one, "name": "b", "device": str(link_to_it)}])
                               ).cause


def test_a_roster_that_cannot_be_read_and_a_board_that_is_not_in_it(tmp_path):
    assert "cannot be read" in fault_of(roster.load, tmp_path / "none.json").cause
    (tmp_path / "bad.json").write_text("{")
    assert "not JSON" in fault_of(roster.load, tmp_path / "bad.json").cause
    fault = fault_of(roster.find, "moon", roster.DEFAULT)
    assert fault.code == "no-such-board" and "mps2, virt" in fault.cause


# --- locks ---


HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.hil import locks
with locks.held(sys.argv[2], "b"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another rig that holds the lock `name`."""
    name = f"test-{os.getpid()}-{tmp_path.name}"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(scripts.REPO), name], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield name, process
    process.kill()
    process.wait()
    process.stdout.close()
    (locks.folder() / name).unlink(missing_ok=True)


def take(name, wait_s=0.0):
    with locks.held(name, "badge", wait_s):
        pass


def test_the_second_rig_is_told_who_has_the_board(holder):
    name, process = holder
    fault = fault_of(take, name)
    assert fault.code == "board-busy"
    assert "badge" in fault.cause and f"process {process.pid} since" in fault.cause and "LINNET_RIG_WAIT" in fault.cure


def test_a_rig_that_died_leaves_the_board_free(holder):
    name, process = holder
    process.kill()
    process.wait()
    take(name)


def test_waiting_for_a_board_has_its_limit(holder):
    assert "waited 0.3 s" in fault_of(take, holder[0], 0.3).cause


def test_a_device_is_one_board_whatever_rosters_call_it(tmp_path):
    alias = tmp_path / "badge"
    alias.symlink_to("/dev/null")
    one = locks.lock_name({"name": "a", "kind": "serial", "device": "/dev/null"}, "rig.json")
    assert one == locks.lock_name({"name": "b", "kind": "serial", "device": str(alias)}, "other.json")
    assert locks.lock_name(EMULATED, "one.json") != locks.lock_name(EMULATED, "two.json")


# --- what is missing ---


def test_a_missing_compiler_is_named_with_the_command_that_brings_it(tmp_path):
    for board, package in (("mps2", "gcc-arm-none-eabi"), ("virt", "gcc-riscv64-unknown-elf")):
        fault = firmware_build.missing(board, {"PATH": str(tmp_path)})
        assert fault.code == "toolchain-missing"
        assert "is not on the PATH" in fault.cause and f"apt install {package}" in fault.cure


def test_a_compiler_without_a_c_library_is_no_toolchain(tmp_path, monkeypatch):
    compiler = tmp_path / "arm-none-eabi-gcc"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    fault = firmware_build.missing("mps2")
    assert fault.code == "toolchain-missing" and "no C library" in fault.cause and "picolibc" in fault.cure


@pytest.mark.parametrize("program, package", [("qemu-system-arm", "qemu-system-arm"),
                                              ("qemu-system-riscv32", "qemu-system-misc")])
def test_a_missing_emulator_is_named_with_the_command_that_brings_it(tmp_path, monkeypatch, program, package):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(boards.importlib.util, "find_spec", lambda name: object())
    fault = boards.why_not({**EMULATED, "start": [program, "{serial}"]})
    assert fault.code == "emulator-missing" and f"apt install {package}" in fault.cure


def test_a_missing_mpremote_is_told(monkeypatch):
    monkeypatch.setattr(boards.importlib.util, "find_spec", lambda name: None)
    fault = boards.why_not(EMULATED)
    assert fault.code == "driver-missing" and "make hil" in fault.cure


def test_only_an_emulated_board_is_skipped_a_real_one_must_be_there(tmp_path):
    with pytest.raises(pytest.skip.Exception, match="no-such-emulator is not on the PATH. Debian: apt install"):
        conftest.usable({**EMULATED, "start": ["no-such-emulator", "{serial}"]})
    with pytest.raises(pytest.fail.Exception, match="ttyACM0 of badge is not there. Plug the board in"):
        conftest.usable({"name": "badge", "kind": "serial", "device": str(tmp_path / "ttyACM0")})


def test_a_device_that_is_not_plugged_in_is_told(tmp_path):
    path = written(tmp_path, [{"name": "badge", "kind": "serial", "device": str(tmp_path / "ttyACM0")}])
    fault = fault_of(boards.open_board("badge", path).__enter__)
    assert fault.code in ("no-answer", "driver-missing") and "Plug" in fault.cure or "make hil" in fault.cure


# --- boards that fail ---


@pytest.fixture
def on_a_pty(tmp_path, monkeypatch):
    """on_a_pty("silent") gives the roster of one board that behaves so."""
    pytest.importorskip("mpremote", reason="mpremote is not installed: run through make")
    monkeypatch.setattr(boards, "START_TIMEOUT_S", 4)
    running = []

    def start(behaviour, **options):
        fake = FakeBoard(behaviour, **options)
        running.append(fake)
        fake.__enter__()
        return written(tmp_path, [{"name": "badge", "kind": "serial", "device": fake.device}]), fake

    yield start
    for fake in running:
        fake.__exit__()


def script(tmp_path, text="print('x')\n"):
    path = tmp_path / "script.py"
    path.write_text(text)
    return path


def test_a_board_that_does_not_answer_is_asked_twice_and_then_told(on_a_pty):
    path, _ = on_a_pty("silent")
    fault = fault_of(boards.open_board("badge", path).__enter__)
    assert fault.code == "no-answer"
    assert "badge" in fault.cause and "/dev/pts/" in fault.cause and "powered" in fault.cure


def test_a_board_that_answers_runs_a_script(on_a_pty, tmp_path):
    path, fake = on_a_pty("answers")
    with boards.open_board("badge", path) as board:
        assert board.run(script(tmp_path), 10).strip() == "42"
    assert len(fake.scripts) == 2


def test_a_reboot_in_the_middle_is_no_failed_test_and_not_tried_again(on_a_pty, tmp_path):
    path, fake = on_a_pty("reboots")
    with boards.open_board("badge", path) as board:
        fault = fault_of(board.run, script(tmp_path), 20)
    assert fault.code == "rebooted" and "badge" in fault.cause
    assert len(fake.scripts) == 2


def test_an_emulator_that_ends_at_once_is_told_with_its_words(tmp_path):
    entry = {**EMULATED, "start": ["/bin/sh", "-c", "echo no such machine; exit 3", "{serial}"]}
    path = written(tmp_path, [entry])
    fault = fault_of(boards.open_board("one", path, firmware="none").__enter__)
    if fault.code == "driver-missing":
        pytest.skip(str(fault))
    assert fault.code == "no-answer" and "no such machine" in fault.cause and "ended with 3" in fault.cause


def test_only_faults_of_the_line_are_tried_again():
    assert set(INFRASTRUCTURE) == {"no-answer", "link-broken"}
    calls = []

    class Once(boards.Board):
        def reset(self):
            calls.append("reset")

    def fails(code):
        def action():
            calls.append(code)
            if calls.count(code) == 1:
                raise RigFault(code, "x", "y")
            return "done"
        return action

    board = Once({"name": "b", "kind": "serial", "device": "/dev/null"})
    assert board._retried(fails("link-broken")) == "done" and calls == ["link-broken", "reset", "link-broken"]
    assert fault_of(board._retried, fails("rebooted")).code == "rebooted" and board.retries == 1


# --- exit codes and the report ---


def test_exit_codes_are_all_different_and_stay_what_they_are():
    assert len(set(EXITS.values())) == len(EXITS) and not {0, 1, 2} & set(EXITS.values())
    assert EXITS["toolchain-missing"] == 5 and EXITS["board-busy"] == 9
    assert EXITS["no-answer"] == 10 and EXITS["rebooted"] == 11


def test_the_command_ends_with_the_code_of_the_fault(capsys):
    assert command.main(["run", "moon", "x.py"]) == EXITS["no-such-board"]
    assert "rig: no-such-board: the roster has no board 'moon'" in capsys.readouterr().err
    assert command.main(["fly"]) == 2


def test_the_report_says_in_a_word_how_it_ended():
    assert report.word("x\n3 passed, 0 failed, 1 skipped\n") == "3 passed, 0 failed, 1 skipped"
    assert report.word(RigFault("rebooted", "a", "b")) == "rebooted"
    assert report.word(boards.ScriptFailed("a", "b")) == "failed"


def test_results_and_counts_are_read_from_what_a_board_printed():
    text = "test_a.py   3 passed\ntest_b.py  12 passed\nRESULT {\"x\": 1}\n15 passed, 0 failed, 2 skipped\n"
    assert scripts.counts(text) == (15, 0, 2) and scripts.results(text) == {"x": 1}
    assert scripts.counts_by_file(text) == {"test_a.py": 3, "test_b.py": 12}


# --- frames ---


def test_frames_and_text_are_told_apart_however_they_are_cut():
    r = random.Random(4)
    for _ in range(200):
        expected, text, stream = [], b"", b""
        for _ in range(8):
            words = r.choice([b"", b"a line\r\n", b"\xf5", b"\xf5\x4cz", b"\xf5\x4c\xff\xff\xff"])
            kind, payload = r.choice("HSE"), r.randbytes(r.choice((0, 1, 200, 2048)))
            stream += words + link.frame(kind, payload)
            text += words
            expected.append((kind, payload))
        frames, found = link.Frames(), []
        while stream:
            n = r.choice((1, 2, 3, 7, 500, 5000))
            found += frames.feed(stream[:n])
            stream = stream[n:]
        assert found == expected and bytes(frames.text) == text


def test_addresses_are_the_cores_records():
    assert link.read_addr(link.put_addr("127.0.0.1", 5000)) == ("127.0.0.1", 5000)
    assert link.read_addr(link.put_addr("2001:db8::7", 65535)) == ("2001:db8::7", 65535)
