"""The committed profiles: sound, generated, and taken by everything that reads them."""

import ast
import inspect
import json
import re
import subprocess

import pytest

from boards import gen, measure, rules
from host_sim.board import load_board
from linnet.options import RoomOptions

from .conftest import SOUND, changed, every_profile


@pytest.mark.parametrize("path", every_profile())
def test_every_profile_is_sound(path):
    board, findings = rules.load(path)
    assert board["name"] == path.stem and board["family"] == path.parent.name
    assert [finding.text(path) for finding in findings if finding.severity == "error"] == []


@pytest.mark.parametrize("path", every_profile())
def test_every_profile_generates_what_its_family_builds_from(path, tmp_path):
    board, _ = rules.load(path)
    gen.write(board, "x.json", tmp_path)
    wanted = {"esp32": {"board.h", "board.py", "partitions.csv", "sdkconfig.board"},
              "rpi": {"board.h", "board.py", "board.env"}}[board["family"]]
    assert {file.name for file in tmp_path.iterdir()} == wanted


@pytest.mark.parametrize("path", every_profile())
def test_the_simulator_takes_every_profile(path):
    board, _ = rules.load(path)
    assert load_board(path).rate == board["audio"]["rate"]


@pytest.mark.parametrize("path", every_profile())
def test_every_pin_names_a_document(path):
    board, _ = rules.load(path)
    for source in board["sources"]:
        assert re.match(r"https://|this file", source["where"]), source


def test_a_build_is_not_made_stale_by_generating_again(tmp_path):
    board, _ = rules.load(rules.find("s3_box3"))
    gen.write(board, "x.json", tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    gen.write(board, "x.json", tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def values(text):
    """What a generated board.py says; it must be plain assignments of literals."""
    found = {}
    for node in ast.parse(text).body:
        assert isinstance(node, ast.Assign)
        found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


@pytest.mark.parametrize("path", every_profile())
def test_board_py_has_what_apps_and_drivers_read(path):
    board, _ = rules.load(path)
    found = values(gen.board_py(board, "x"))
    assert set(vars(load_board(path))) <= set(found)  # device.board on the laptop and on the device
    assert found["rate"] == board["audio"]["rate"] and found["has_button"] == (board["ui"]["talk"] is not None)
    for module, address, _ in found["drivers"]:
        assert (rules.REPO / "firmware" / "drivers" / f"{module}.py").is_file() and 0 < address < 0x80


def test_the_drivers_accept_what_the_profiles_tell_them():
    from drivers import codecs

    class Bus:
        def writeto_mem(self, address, register, data):
            pass

    class Board:
        pass

    for name in rules.names("esp32"):
        board, _ = rules.load(rules.find(name))
        Board.drivers = values(gen.board_py(board, "x"))["drivers"]
        codecs.start(Board, Bus(), lambda ms: None)


def test_the_generator_speaks_the_core_s_words():
    """x-config and x-define of the schema are names that linnet.h's record and linnet_config.h really have."""
    header = (rules.REPO / "csrc" / "include" / "linnet_config.h").read_text()
    for name, rule in gen.limit_rules().items():
        if "x-define" in rule:
            assert f"#ifndef {rule['x-define']}\n" in header, name
        if "x-config" in rule:
            assert rule["x-config"] in measure.CFG, name
    core = (rules.REPO / "firmware" / "linnet").glob("*.py")
    record = next(text for text in (file.read_text() for file in core) if "\n_CONFIG = (" in text)
    listed = ast.literal_eval(re.search(r"\n_CONFIG = (\(.*?\n\))", record, re.S)[1])
    assert tuple(listed) == measure.CFG


def test_micropython_takes_the_same_limits_into_a_room():
    text = (rules.REPO / "firmware" / "board_file.py").read_text()
    known = {name: rule["x-config"] for name, rule in gen.limit_rules().items() if "x-config" in rule}
    assert ast.literal_eval(re.search(r"\nROOM_OPTIONS = (\{.*?\n\})", text, re.S)[1]) == known
    assert set(inspect.signature(RoomOptions).parameters) >= set(known.values())
    path = rules.find("s3_box3")
    found = values(gen.board_py(rules.load(path)[0], "x"))["room_options"]
    assert load_board(path).room_options == found
    binary = rules.REPO / "build" / "micropython" / "micropython"
    if not binary.is_file():
        pytest.skip("the rest needs MicroPython's unix port: make micropython")
    code = f"import board_file, json; print(json.dumps(board_file.load_board({str(path)!r}).room_options))"
    done = subprocess.run([binary, "-c", code], cwd=rules.REPO / "firmware", capture_output=True, text=True)
    assert json.loads(done.stdout) == found, done.stderr


def test_every_i2s_name_of_a_board_is_read_by_the_driver_and_no_other():
    text = (rules.REPO / "csrc" / "port" / "i2s_esp32.c").read_text()
    made = set(re.findall(r"#define (LINNET_I2S_\w+)", gen.board_h(SOUND, "x")))
    assert set(re.findall(r"\bLINNET_I2S_(?!DUPLEX|NOTHING|IN_ONLY|OUT_ONLY)\w+", text)) == made


def test_one_port_when_the_clocks_are_shared_and_two_when_not():
    two = dict(gen.i2s(SOUND))
    assert (two["SHARED_CLOCKS"], two["IN_PORT"], two["IN_BCK"], two["OUT_BCK"]) == (0, 1, 14, 9)
    one = dict(gen.i2s(changed(audio__in_bck=None, audio__in_ws=None)))
    assert (one["SHARED_CLOCKS"], one["IN_PORT"], one["IN_BCK"], one["IN_WS"]) == (1, 0, 9, 10)


def test_partitions_follow_each_other_and_end_with_the_flash():
    for name in rules.names("esp32"):
        board, _ = rules.load(rules.find(name))
        rows = rules.partitions(board)[0]
        assert [row[0] for row in rows] == ["nvs", "otadata", "nvs_keys", "ota_0", "ota_1", "vfs"]
        for (_, _, _, at, size, _), after in zip(rows, rows[1:]):
            assert at + size <= after[3]
        assert rows[-1][3] + rows[-1][4] == board["flash_kib"] << 10
        slots = [row for row in rows if row[1] == "app"]
        assert slots[0][4] == slots[1][4] and all(row[3] % 0x10000 == 0 for row in slots)
        assert rows[2][5] == "encrypted"


@pytest.mark.parametrize("path", every_profile())
def test_board_h_is_c(path, tmp_path):
    board, _ = rules.load(path)
    gen.write(board, "x.json", tmp_path)
    text = '#include "board.h"\n#include "board.h"\nconst char *name(void) { return LINNET_BOARD; }\n'
    done = subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", f"-I{tmp_path}", "-fsyntax-only", "-xc", "-"],
                          input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_session_lives_with_each_board_s_limits_and_fits_its_ram():
    """Compiles the core with board.h and runs linnet_session_init (boards/session_size.c)."""
    for name in rules.names("esp32"):
        board, _ = rules.load(rules.find(name))
        size = measure.session_bytes(board)
        assert 50_000 < size < 300_000
        assert rules.check_ram(board, size) == []


@pytest.mark.parametrize("message_bytes", [1200, 16384, None])
def test_the_ram_table_knows_how_large_an_event_of_the_core_is(message_bytes):
    """linnet_poll_size: the loop has a ring of two and the one in its hand, Python has one in its heap."""
    board = changed(limits__message_bytes=message_bytes)
    event = measure.session_parts(board)["event"]
    assert rules.event_bytes(board) == event
    assert rules.memory(board, 0)["events"] == 3 * event + 8192
