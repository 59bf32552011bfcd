import copy
import json

import pytest

from boards import rules

SOUND = {
    "name": "made_up", "title": "A board that does not exist", "family": "esp32", "mcu": "esp32s3", "psram_kib": 2048,
    "psram_mode": "quad", "flash_kib": 8192, "partitions": {"vfs_kib": 512},
    "audio": {"codec_in": "es7210", "codec_out": "es8311", "rate": 48000, "bck": 9, "ws": 10, "din": 11, "dout": 12,
              "mclk": 13, "in_bck": 14, "in_ws": 15, "slot_bits": 32, "in_bits": 24, "in_channel": "right",
              "dma_frames": 240, "dma_count": 6, "sda": 33, "scl": 34, "mic_gain_db": 24},
    "ui": {"talk": 1, "led": 2, "led_kind": "plain"},
    "limits": {"remote_tracks": 1, "opus_complexity": 2, "bitrate": 32000, "message_bytes": 16896, "send_bytes": 17920,
               "recv_bytes": 16896, "heap_kib": 512},
    "sources": [{"says": ["audio.bck", "audio.ws", "audio.din", "audio.dout", "audio.mclk", "audio.in_bck",
                          "audio.in_ws", "audio.sda", "audio.scl", "ui.talk", "ui.led"], "where": "nowhere at all"}],
}


def changed(**places):
    """SOUND with values put at places: audio__bck=5; None removes."""
    board = copy.deepcopy(SOUND)
    for place, value in places.items():
        *path, last = place.split("__")
        where = board
        for name in path:
            where = where.setdefault(name, {})
        if value is None:
            where.pop(last, None)
        else:
            where[last] = value
    return board


@pytest.fixture
def write_board(tmp_path):
    def write(board, name=None):
        path = tmp_path / f"{name or board['name']}.json"
        path.write_text(json.dumps(board))
        return path
    return write


def every_profile():
    return [pytest.param(rules.find(name), id=name) for name in rules.names()]
