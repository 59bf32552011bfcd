"""What is wrong in a board file is told with its code, its place, the cause and the cure."""

import json
import subprocess
import sys

import pytest

from boards import gen, rules

from .conftest import SOUND, changed


def errors(board, path=None):
    return [finding for finding in rules.check(board, path) if finding.severity == "error"]


def test_the_made_up_board_is_sound():
    assert errors(SOUND) == []


@pytest.mark.parametrize(("board", "code", "place", "words"), [
    (changed(audio__din=9), "board-pin-twice", "audio.din", ("pin 9", "audio.bck")),
    (changed(ui__led=33), "board-pin-twice", "ui.led", ("pin 33", "audio.sda")),
    (changed(ui__led=22), "board-pin-absent", "ui.led", ("no pin 22", "0-21, 26-48")),
    (changed(ui__led=27), "board-pin-taken", "ui.led", ("flash", "26-32")),
    (changed(psram_mode="octal"), "board-pin-taken", "audio.sda", ("octal PSRAM", "33-37")),
    (changed(audio__bck=None), "board-pin-missing", "audio.bck", ("bck",)),
    (changed(audio__in_ws=None), "board-pin-missing", "audio.in_ws", ("both",)),
    (changed(audio__sda=None), "board-pin-missing", "audio.sda", ("I2C",)),
    (changed(audio__mclk=None), "board-pin-missing", "audio.mclk", ("clock",)),
    (changed(audio__codec_out="es9999"), "board-part", "audio.codec_out", ("es9999", "es8311", "firmware/drivers")),
    (changed(audio__codec_in="max98357a"), "board-part", "audio.codec_in", ("max98357a", "inmp441")),
    (changed(audio__codec_in=None), "board-part", "audio.codec_in", ("missing", "inmp441")),
    (changed(audio__codec_in="usb_audio"), "board-part", "audio.codec_in", ("Linux", "esp32")),
    (changed(audio__rate=24000), "board-rate", "audio.rate", ("24000", "mclk_multiple 512")),
    (changed(audio__codec_in="xu316_lite", audio__role="slave"), "board-rate", "audio.rate", ("48000", "16000 only")),
    (changed(audio__codec_in="xu316_lite", audio__rate=16000), "board-part", "audio.role", ("slave",)),
    (changed(audio__codec_in="inmp441", audio__slot_bits=16), "board-part", "audio.slot_bits", ("16", "32")),
    (changed(audio__dma_frames=1000), "board-dma", "audio.dma_frames", ("4092", "511")),
    (changed(audio__dma_frames=160, audio__dma_count=None), "board-dma", "audio.dma_count", ("20 ms", "960", "6")),
    (changed(audio__slot_bits=16), "board-bits", "audio.in_bits", ("24", "16", "slot_bits")),
    (changed(audio__role="slave"), "board-part", "audio.role", ("clocks", "master")),
    (changed(audio__codec_in="xu316_lite", audio__rate=16000, audio__role="slave"), "board-part", "audio.role",
     ("es8311", "clocks")),
    (changed(psram_mode=None), "board-psram", "psram_mode", ("2048", "quad", "octal")),
    (changed(flash_kib=12288), "board-flash", "flash_kib", ("12288", "8192", "16384")),
    (changed(mcu="esp32s9"), "board-chip", "mcu", ("esp32s9", "esp32s3")),
    (changed(family="rpi"), "board-chip", "mcu", ("esp32s3", "bcm2711")),
    (changed(sources=[]), "board-source", "audio.bck", ("no source", "schematic")),
    (changed(audio__amp=3), "board-source", "audio.amp", ("no source",)),
    (changed(partitions__app_kib=4096), "board-partition", "partitions", ("4096", "8192")),
    (changed(partitions__app_kib=1000), "board-partition", "partitions.app_kib", ("64", "960")),
    (changed(limits__remote_track=1), "board-form", "limits.remote_track", ("limits.remote_tracks",)),
    (changed(limits__opus_complexity=11), "board-form", "limits.opus_complexity", ("0 to 10",)),
    (changed(audio__bck="9"), "board-form", "audio.bck", ("whole number",)),
    (changed(name=None), "board-form", "name", ("missing",)),
])
def test_a_mistake_is_told(board, code, place, words):
    found = [finding for finding in errors(board) if (finding.code, finding.place) == (code, place)]
    assert found, [(finding.code, finding.place, finding.cause) for finding in errors(board)]
    text = found[0].text("my.json")
    assert text.startswith("my.json: ") and text.endswith(f"[{code}]") and place in text
    for word in words:
        assert word in text
    assert found[0].cure


def test_strapping_and_usb_pins_are_a_warning():
    for pin, word in ((45, "strapping"), (20, "USB")):
        found = [each for each in rules.check(changed(ui__led=pin)) if each.code == "board-pin-careful"]
        assert found[0].severity == "warning" and word in found[0].cause


def test_a_name_that_is_not_the_file_s_is_told(tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(SOUND))
    assert [finding.code for finding in rules.load(path)[1]] == ["board-name"]


@pytest.mark.parametrize("text", [b"{", b'{"name": 1, "name": 2}', b"\xff", b"[" * 50000, b" " * 70000, b"[]", b"3"])
def test_a_file_that_is_no_board_is_told(tmp_path, text):
    path = tmp_path / "b.json"
    path.write_bytes(text)
    assert rules.load(path)[1][0].code in ("board-json", "board-form")


def test_limits_that_do_not_fit_are_told_with_the_largest_first():
    board = changed(limits__heap_kib=1900)
    found = rules.check_ram(board, 200 << 10)
    assert [(each.code, each.place) for each in found] == [("board-ram", "limits")]
    assert "PSRAM" in found[0].cause and "(heap 1900 KiB, session 200 KiB" in found[0].cause
    assert rules.check_ram(changed(limits__heap_kib=900), 200 << 10) == []


def test_a_record_that_python_s_heap_does_not_hold_is_told():
    found = rules.check_ram(changed(limits__heap_kib=64, limits__message_bytes=65536), 200 << 10)
    assert [(each.code, each.place) for each in found] == [("board-ram", "limits.heap_kib")]
    assert "65 KiB" in found[0].cause and "message_bytes" in found[0].cure
    assert rules.check_ram(changed(limits__heap_kib=66, limits__message_bytes=65536), 200 << 10) == []


def test_an_i2s_loop_has_no_rings_and_a_raspberry_pi_has_two():
    """200 ms each at 48 kHz; a loop with the machine's device moves sound between the DMA and the core."""
    assert "rings" not in rules.memory(SOUND, 0)
    assert rules.memory(rules.load(rules.find("pi_usb"))[0], 0)["rings"] == 2 * 19200


def test_without_psram_everything_has_to_fit_inside():
    board = changed(psram_kib=0)
    assert "no PSRAM" in rules.check_ram(board, 200 << 10)[0].cause
    board["limits"]["heap_kib"] = 40
    assert rules.check_ram(board, 100 << 10) == []


def test_a_slot_that_the_firmware_outgrows_is_told_with_what_it_needs():
    board = changed(partitions__app_kib=2048)
    assert rules.check_flash(board, 1900 << 10) == []
    found = rules.check_flash(board, 2000 << 10)
    assert found[0].code == "board-partition" and "2000 KiB" in found[0].cause and "2112 KiB" in found[0].cure
    fitting = changed(partitions__app_kib=2112)
    assert rules.check_flash(fitting, 2000 << 10) == []


def run_gen(*arguments):
    return subprocess.run([sys.executable, "-m", "boards.gen", *map(str, arguments)], cwd=rules.REPO,
                          capture_output=True, text=True)


def test_a_board_that_is_wrong_generates_nothing(write_board, tmp_path):
    path = write_board(changed(audio__din=9, ui__led=22))
    done = run_gen(path, tmp_path / "out")
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert done.stderr.count("error: ") == 2 and "[board-pin-twice]" in done.stderr and str(path) in done.stderr


def test_a_board_that_is_not_there_is_told_with_those_that_are(tmp_path):
    done = run_gen("s3_bax", tmp_path / "out")
    assert done.returncode == 1
    assert "[board-file]" in done.stderr and "s3_box3" in done.stderr and "Traceback" not in done.stderr


def test_every_code_is_listed():
    assert len(set(rules.CODES)) == len(rules.CODES)
    with pytest.raises(AssertionError):
        rules.Finding("board-nonsense", "", "")


def test_texts_that_name_a_path_outside_keep_only_its_name(tmp_path):
    assert gen.shown(tmp_path / "x.json") == "x.json"
    assert gen.shown(rules.find("s3_box3")) == "boards/esp32/s3_box3.json"
