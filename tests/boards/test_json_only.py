"""A board is added by writing one JSON file: nothing else, not even in this repository."""

import ast
import contextlib
import io
import shutil
import subprocess
import sys

import pytest

from boards import check, rules

from .conftest import SOUND, changed


def test_a_made_up_board_goes_through_the_generator(write_board, tmp_path):
    done = subprocess.run([sys.executable, "-m", "boards.gen", str(write_board(SOUND)), str(tmp_path / "out")],
                          cwd=rules.REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header = (tmp_path / "out" / "board.h").read_text()
    for line in ('#define LINNET_BOARD "made_up"', "#define LINNET_TRACKS_MAX 1", "#define LINNET_I2S_IN_BCK 14",
                 "#define LINNET_I2S_IN_RIGHT 1", "#define LINNET_I2S_DMA_FRAMES 240"):
        assert line + "\n" in header
    assert "0x10000,0x3b0000" in (tmp_path / "out" / "partitions.csv").read_text()
    config = (tmp_path / "out" / "sdkconfig.board").read_text()
    assert "CONFIG_ESPTOOLPY_FLASHSIZE_8MB=y" in config and "CONFIG_SPIRAM_MODE_QUAD=y" in config
    assert "made_up.json" in header and str(tmp_path) not in header


def test_a_made_up_board_goes_through_the_whole_check(write_board, monkeypatch):
    """With the committed text figures: the compile for the S3 has a test of its own."""
    def no_compiler(*arguments):
        raise check.compile_s3.MissingToolchain("none, says the test")

    monkeypatch.setattr(check.compile_s3, "compile_all", no_compiler)
    monkeypatch.setattr(check, "measure_frozen", lambda esp32, report: 100_000)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = check.run([str(write_board(SOUND))])
    text = out.getvalue()
    with contextlib.redirect_stdout(io.StringIO()):
        assert check.run([str(write_board(SOUND))], is_all=True) == 1  # as CI asks: a skip is a failure
    assert code == 0, text
    assert "SKIPPED: no compiler for the ESP32-S3: none, says the test" in text
    ram = next(line for line in text.splitlines() if line.split()[:1] == ["made_up"]).split()
    assert ram[1] == "1" and float(ram[2]) > 40 and float(ram[4]) > 30 and ram[7] == "512"
    assert "1 boards, 0 errors, 0 warnings, 1 skipped" in text
    assert text.count("made_up") >= 3  # profiles, RAM, flash


def test_check_fails_for_a_board_that_does_not_fit(write_board, monkeypatch):
    def no_compiler(*arguments):
        raise check.compile_s3.MissingToolchain("none")

    monkeypatch.setattr(check.compile_s3, "compile_all", no_compiler)
    monkeypatch.setattr(check, "measure_frozen", lambda esp32, report: 100_000)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = check.run([str(write_board(changed(limits__heap_kib=1900, partitions__app_kib=1024)))])
    assert code == 1
    assert "[board-ram]" in out.getvalue() and "[board-partition]" in out.getvalue()


def test_board_py_runs_on_micropython(write_board, tmp_path):
    binary = rules.REPO / "build" / "micropython" / "micropython"
    if not binary.is_file():
        pytest.skip("needs MicroPython's unix port: make micropython")
    for path in [write_board(SOUND), *(rules.find(name) for name in rules.names())]:
        folder = tmp_path / path.stem
        subprocess.run([sys.executable, "-m", "boards.gen", str(path), str(folder)], cwd=rules.REPO, check=True,
                       capture_output=True)
        done = subprocess.run([binary, "-c", "import board; print(board.name, board.rate, len(board.drivers))"],
                              cwd=folder, env={"MICROPYPATH": str(folder)}, capture_output=True, text=True)
        board = ast.literal_eval(path.read_text().replace("null", "None"))
        assert done.stdout.split()[:2] == [board["name"], str(board["audio"]["rate"])], done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_the_size_of_a_session_follows_the_limits():
    from boards import measure

    one = measure.session_bytes(SOUND)
    more = measure.session_bytes(changed(limits__message_bytes=65536, limits__recv_bytes=131072))
    assert more > one + 100_000
