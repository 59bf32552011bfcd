"""Board files: what is in them is taken, what is wrong in them is told with its place."""

import json
import re

import pytest

from host_sim.audio import RATES
from host_sim.board import Board, load_board, load_schema, read_board
from linnet.errors import Refused
from linnet.options import RoomOptions
from tests.host_sim.conftest import REPO

FULL = {
    "name": "s3_box3", "family": "esp32", "mcu": "esp32s3", "psram_kib": 8192, "flash_kib": 16384,
    "audio": {"codec_out": "es8311", "codec_in": "es7210", "rate": 16000, "bck": 17, "mclk": 2},
    "ui": {"talk": 0, "led": None},
    "limits": {"remote_tracks": 2, "jitter_packets": 16, "opus_complexity": 3, "heap_kib": 320},
    "hil": {"loopback": "line", "power": "relay3", "min_free_kib": 64},
}


def refusal(fields):
    with pytest.raises(Refused) as caught:
        read_board(fields, "b.json")
    assert caught.value.code == "bad-board"
    return caught.value.cause


def test_a_board_file_of_a_real_device_is_taken(tmp_path):
    path = tmp_path / "b.json"
    path.write_text(json.dumps(FULL))
    board = load_board(path)
    assert (board.name, board.rate, board.remote_tracks, board.opus_complexity) == ("s3_box3", 16000, 2, 3)
    assert (board.has_led, board.has_button) == (False, True)
    assert board.room_options == {"remote_tracks": 2, "complexity": 3}


def test_limits_that_a_session_takes_reach_the_room():
    limits = {"message_bytes": 20000, "send_bytes": 21000, "recv_bytes": 22000, "bitrate": 20000, "jitter_packets": 8}
    options = RoomOptions(**read_board({"limits": limits}).room_options)
    assert (options.max_message, options.send_buffer, options.recv_buffer) == (20000, 21000, 22000)
    assert (options.bitrate, options.remote_tracks) == (20000, 3)


def test_what_is_not_said_has_its_default():
    board, default = read_board({}), Board(name="board")
    assert vars(board) == vars(default)


def test_the_limit_of_tracks_is_the_core_s():
    header = (REPO / "csrc" / "include" / "linnet_config.h").read_text()
    tracks = load_schema()["properties"]["limits"]["properties"]["remote_tracks"]
    assert tracks["maximum"] == int(re.search(r"#define LINNET_TRACKS_MAX (\d+)", header)[1])


def test_the_schema_allows_the_rates_of_the_sound_devices():
    assert tuple(load_schema()["properties"]["audio"]["properties"]["rate"]["enum"]) == RATES


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_of_a_sound_device_is_allowed(rate):
    assert read_board({"audio": {"rate": rate}}).rate == rate


@pytest.mark.parametrize(("fields", "place"), [
    ([], "object"), ({"nam": "x"}, "nam"), ({"name": 3}, "name"), ({"audio": []}, "audio"),
    ({"audio": {"rate": 16000.0}}, "audio.rate"), ({"audio": {"rate": True}}, "audio.rate"),
    ({"audio": {"rat": 16000}}, "audio.rate"), ({"audio": {"rate": 16000, "bck": [1]}}, "audio.bck"),
    ({"limits": {"remote_tracks": 0}}, "limits.remote_tracks"),
    ({"limits": {"remote_tracks": 9}}, "limits.remote_tracks"),
    ({"limits": {"remote_tracks": True}}, "limits.remote_tracks"), ({"limits": {"opus": 1}}, "limits.opus"),
    ({"limits": {"opus_complexity": "3"}}, "limits.opus_complexity"), ({"ui": {"led": {}}}, "ui.led"),
    ({"flash_kib": -1}, "flash_kib"),
])
def test_a_mistake_is_told_with_its_place(fields, place):
    assert place in refusal(fields)


@pytest.mark.parametrize("text", [b"\xff\xfe", b'{"name": "a", "name": "b"}', b"[" * 30000, b" " * 70000, b""])
def test_a_file_that_is_no_board_is_refused(tmp_path, text):
    path = tmp_path / "b.json"
    path.write_bytes(text)
    with pytest.raises(Refused) as caught:
        load_board(path)
    assert caught.value.code == "bad-board"
