"""main_board.py, the program of a badge, in MicroPython's unix port on a pretended ESP32: pins, Wi-Fi and NVS are
stand-ins that keep what they are told; the session, the network and the server are real."""

import json
import subprocess

import pytest

from boards import gen, rules
from host_sim.server import LiveKitServer, ensure_server

BINARY = rules.REPO / "build" / "micropython" / "micropython"
FIRMWARE = rules.REPO / "firmware"

# The pretended board has no IPv6. A server that listens on other interfaces too gives them all the address that it
# tells (node_ip), and one in four times expects the loopback's packets on another one's socket.
LOOPBACK = {"rtc": {"interfaces": {"includes": ["lo"]}}}
STAND_INS = {
    "machine": """
        log = []
        class Pin:
            IN, OUT, PULL_UP = 1, 2, 3
            buttons_down = False
            def __init__(self, number, *mode, value=1):
                self.number, self.level, self.mode = number, value, mode
                log.append(("pin", number, value))
            def value(self, *level):
                if level:
                    self.level = level[0]
                    log.append(("value", self.number, self.level))
                return 0 if Pin.buttons_down and Pin.PULL_UP in self.mode else self.level
        class I2C:
            def __init__(self, number, sda, scl, freq):
                log.append(("i2c", sda.number, scl.number))
            def writeto_mem(self, address, register, data):
                log.append(("write", address, register))
        """,
    "network": """
        STA_IF = 0
        class WLAN:
            PM_NONE = 0
            up, trying, naps = False, True, True  # trying: by itself, after a loss
            def __init__(self, which): pass
            def active(self, on): pass
            def isconnected(self): return WLAN.up
            def config(self, pm): WLAN.naps = pm != WLAN.PM_NONE
            def connect(self, name, key):
                if WLAN.trying:
                    raise OSError("Wifi Internal State Error")
                WLAN.up = (name, key) == ("home", "wifi-key-1")
            def disconnect(self): WLAN.trying = False
            def ifconfig(self): return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
        """,
    "esp32": """
        kept = {}
        well = []
        class NVS:
            def __init__(self, space): pass
            def get_blob(self, key, buffer):
                if key not in kept:
                    raise OSError(-4354)
                buffer[:len(kept[key])] = kept[key]
                return len(kept[key])
            def set_blob(self, key, value):
                assert len(key) <= 15
                kept[key] = bytes(value)
            def erase_key(self, key):
                if kept.pop(key, None) is None:
                    raise OSError(-4354)
            def commit(self): pass
        class Partition:
            @staticmethod
            def mark_app_valid_cancel_rollback(): well.append(1)
        """,
}
SET_UP = """
import asyncio, sys
import esp32, machine, main_board, network, port_esp32
port_esp32.I2sAudio.loop_sound = port_esp32.I2sAudio.loop_speaker_sound = 1  # rings: here is no I2S

def run_two_seconds():
    async def some_time():
        try:
            await asyncio.wait_for(main_board._for_ever(), 2)
        except asyncio.TimeoutError:
            pass
    asyncio.run(some_time())
"""


@pytest.fixture
def board_program(tmp_path):
    """Runs lines of Python on the pretended board; gives (what it printed, the finished process)."""
    if not BINARY.is_file():
        pytest.skip("needs MicroPython's unix port: make micropython")
    for name, text in STAND_INS.items():
        lines = [line[8:] for line in text.splitlines()]
        (tmp_path / f"{name}.py").write_text("\n".join(lines))

    def run(text, board="s3_box3", limit=60):
        (tmp_path / "board.py").write_text(gen.board_py(rules.load(rules.find(board))[0], "x"))
        (tmp_path / "program.py").write_text(SET_UP + text)
        done = subprocess.run([BINARY, tmp_path / "program.py"], capture_output=True, text=True, timeout=limit,
                              env={"MICROPYPATH": f"{tmp_path}:{FIRMWARE}:.frozen"})
        return done.stdout, done
    return run


def test_settings_are_kept_and_secrets_not_shown(board_program):
    out, done = board_program("""
print(main_board.settings(wifi_ssid="home", wifi_key="wifi-key-1", token_url="https://t.example/secret"))
print(main_board.settings(token_url=None))
try:
    main_board.settings(pin="1")
except ValueError as error:
    print("refused:", error)
""")
    assert done.returncode == 0, done.stderr
    assert "home" in out and "***" in out and "refused: settings are" in out
    assert "wifi-key-1" not in out and "secret" not in out
    assert "token_url" not in out.splitlines()[1]


@pytest.mark.parametrize(("text", "words"), [
    ("", ("no Wi-Fi is set up", "main_board.settings(wifi_ssid")),
    ('main_board.settings(wifi_ssid="home", wifi_key="wifi-key-1")', ("no server is set up", "token_url")),
])
def test_what_is_not_set_up_is_told_with_how_and_tried_again(board_program, text, words):
    out, done = board_program(f"""
{text}
run_two_seconds()
""")
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in out
    assert "again in 1 s" in out and "again in 2 s" in out


def test_trouble_of_the_system_does_not_end_the_program(board_program):
    out, done = board_program("""
main_board.settings(wifi_ssid="home", wifi_key="wifi-key-1", url="ws://127.0.0.1:9", token="t")
def no_memory(self):
    raise MemoryError("no room")
network.WLAN.ifconfig = network.WLAN.isconnected = no_memory
run_two_seconds()
""")
    assert done.returncode == 0, done.stderr
    assert "no room" in out and "again in 2 s" in out


CALL = """
main_board.settings(wifi_ssid="home", wifi_key="wifi-key-1", url={url!r}, token={token!r})
last = []
call = main_board.Run.__call__
async def kept(self):
    last.append(self)
    await call(self)
main_board.BoardRun.__call__ = kept
seen = []
report = main_board.BoardRun.report
def noted(self, event, **fields):
    seen.append(event)
    report(self, event, **fields)
main_board.BoardRun.report = noted
async def until(what):
    for _ in range(200):
        if what():
            return
        await asyncio.sleep_ms(50)
async def one_call():
    task = asyncio.create_task(main_board._for_ever())
    await until(lambda: "joined" in seen)
    last[0].device.led.set(True)
    machine.Pin.buttons_down = True
    await until(lambda: "muted" in seen)
    last[0].stop("the test is over")
    await until(lambda: len(last) > 1)
    task.cancel()
asyncio.run(one_call())
import json
print("WELL", bool(esp32.well), "NAPS", network.WLAN.naps)
print("LOG", json.dumps(machine.log))
"""


@pytest.mark.parametrize(("name", "writes", "entries"), [
    ("m5_atoms3r_echo", [0x43, 0x18], [["i2c", 38, 39], ["pin", 41, 1]]),
    ("xiao_s3_respeaker", [], [["pin", 21, 1], ["value", 21, 0]]),  # a lamp that lights when low
    ("s3_box3", [0x18, 0x40], [["i2c", 8, 18], ["pin", 46, 1]]),
])
def test_a_badge_sets_itself_up_joins_and_is_heard_of(board_program, name, writes, entries):
    ensure_server()
    with LiveKitServer(extra=LOOPBACK) as server:
        token = server.make_token("badge", "kitchen")
        out, done = board_program(CALL.format(url=server.url, token=token), board=name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "joined kitchen as badge" in out and token not in out and "again in 1 s" in out
    assert "muted" in out and "WELL True NAPS False" in out  # the button was pressed, the firmware kept
    log = json.loads(out.rpartition("LOG ")[2])
    chips = [entry[1] for entry in log if entry[0] == "write"]
    assert sorted(set(chips), key=chips.index) == writes
    for entry in entries:
        assert entry in log
    if writes:
        last_write = max(i for i, entry in enumerate(log) if entry[0] == "write")
        assert all(i > last_write for i, entry in enumerate(log) if entry == ["pin", 46, 1])
