"""Button and lamp of a Raspberry Pi, on gpiozero's own simulated pins. No Raspberry Pi was at hand."""

import asyncio
import json
import os
import sys
import threading

import gpiozero
import pytest
from board_file import Board
from gpiozero.pins.mock import MockFactory

from host_sim.board import load_board
from host_sim.dev_token import make_token
from host_sim.gpio import attached
from linnet.device import Device
from tests.host_sim.conftest import REPO, SENTENCE, not_on_micropython

PI = dict(name="kiosk", family="rpi", talk=17, led=22)


@pytest.fixture
def pins():
    gpiozero.Device.pin_factory = MockFactory()
    yield gpiozero.Device.pin_factory.pin
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = None


@pytest.fixture
def told():
    return []


@pytest.fixture
def device(told):
    return Device(None, None, None, None, lambda event, **fields: told.append((event, fields)))


def words(told):
    """The one line that was told."""
    [(event, fields)] = told
    assert event == "log" and fields["where"] == "gpio" and "\n" not in fields["text"]
    return fields["text"]


@pytest.mark.asyncio
async def test_a_press_is_the_device_s_button_in_the_thread_of_its_loop(pins, device, told):
    threads = []
    device.button.on_press = lambda: threads.append(threading.current_thread())
    with attached(device, Board(**PI), device.report):
        pressed = asyncio.create_task(device.button.wait())
        await asyncio.to_thread(pins(17).drive_low)        # lgpio calls in a thread of its own
        await asyncio.wait_for(pressed, 5)
        await asyncio.to_thread(pins(17).drive_high)       # let go
        await asyncio.to_thread(pins(17).drive_low)
        await asyncio.sleep(0)
    assert threads == 2 * [threading.main_thread()]
    await asyncio.to_thread(pins(17).drive_high)
    await asyncio.to_thread(pins(17).drive_low)
    await asyncio.sleep(0)
    assert len(threads) == 2 and told == []


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "lit"), [("plain", True), ("inverted", False)])
async def test_the_led_is_told_and_shown_and_dark_in_the_end(pins, device, told, kind, lit):
    with attached(device, Board(**PI, led_kind=kind), device.report):
        assert pins(17).pull == "up" and pins(22).state is not lit
        device.led.set(True)
        device.led.set(True)
        assert pins(22).state is lit and told == [("led", {"on": True})]
        device.led.set(False)
        assert pins(22).state is not lit and told[1:] == [("led", {"on": False})]
        device.led.set(True)
        pins(22).clear_states()
    assert [one.state for one in pins(22).states] == [lit, not lit]
    device.led.set(True)            # by an app that does not end


@pytest.mark.asyncio
async def test_a_pin_that_somebody_has_is_told_and_the_other_works(pins, device, told):
    with gpiozero.LED(17), attached(device, Board(**PI), device.report):
        text = words(told)
        assert "button at GPIO 17" in text and "in use" in text
        device.led.set(True)
        assert pins(22).state is True


@pytest.mark.asyncio
async def test_a_lamp_of_a_kind_that_has_no_driver_is_told(pins, device, told):
    with attached(device, Board(**PI, led_kind="ws2812"), device.report):
        assert "lamp at GPIO 22" in words(told) and "inverted" in words(told)


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["no package", "no pins"])
async def test_a_machine_without_pins_is_told_once_and_nothing_else_changes(device, told, monkeypatch, why):
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "none-like-it")
    if why == "no package":
        monkeypatch.setitem(sys.modules, "gpiozero", None)
    with attached(device, Board(**PI), device.report):
        assert "no button and no lamp here" in words(told) and "boards/rpi/install.sh" in words(told)
        told.clear()
        device.led.set(True)
    assert told == [("led", {"on": True})]


@pytest.mark.asyncio
async def test_the_working_directory_is_not_lgpio_s(device, told, monkeypatch, tmp_path):
    """It goes to LG_WD and stays there; files of the command line may be relative."""
    here = os.getcwd()
    monkeypatch.setattr(gpiozero.Device, "ensure_pin_factory", lambda: os.chdir(tmp_path))
    with attached(device, Board(name="kiosk", family="rpi", led=22, led_kind="ws2812"), device.report):
        assert os.getcwd() == here


@pytest.mark.asyncio
@pytest.mark.parametrize("board", [
    Board("laptop"), Board("kiosk", family="rpi"), load_board(REPO / "boards" / "esp32" / "s3_devkitc.json"),
    load_board(REPO / "boards" / "rpi" / "pi_usb.json")], ids=lambda board: f"{board.family}-{board.name}")
async def test_pins_of_another_machine_are_left_alone(device, told, monkeypatch, board):
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with attached(device, board, device.report):
        pass
    assert told == []

APP = """
import asyncio, gpiozero
async def main(device):
    pin = gpiozero.Device.pin_factory.pin
    pressed = asyncio.create_task(device.button.wait())
    await asyncio.sleep(0)
    pin(17).drive_low()
    await asyncio.wait_for(pressed, 5)
    device.led.set(True)
    device.report("seen", lamp=pin(22).state)
"""


@not_on_micropython("the unix port knows no pins")
@pytest.mark.parametrize(("factory", "lines"), [("mock", 0), ("none-like-it", 1)])
def test_a_kiosk_has_its_button_and_its_lamp(cli, tmp_path, factory, lines):
    profile = json.loads((REPO / "boards" / "rpi" / "zero2w_i2s.json").read_text())
    profile["ui"]["led"] = 22
    (tmp_path / "kiosk.json").write_text(json.dumps(profile))
    (tmp_path / "app.py").write_text(APP if not lines else "async def main(device):\n    device.led.set(True)\n")
    ended = cli("run", "--url", "ws://127.0.0.1:9", "--wav", SENTENCE, "--board", tmp_path / "kiosk.json", "--app",
                tmp_path / "app.py", token=make_token("kiosk", "r", api_key="devkey", api_secret="s" * 40),
                GPIOZERO_PIN_FACTORY=factory)
    assert ended.code == 0, ended.err
    assert [event["where"] for event in ended.events if event["event"] == "log"].count("gpio") == lines
    assert ended.first("led")["on"] is True
    assert lines or ended.first("seen")["lamp"] is True
