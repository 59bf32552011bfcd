"""The button and the lamp that a Raspberry Pi's board file names, through gpiozero and lgpio (boards/rpi/install.sh).

A press is device.button's, device.led is the lamp too. Where there are no such pins (a laptop with a Pi's board file, a
missing package, a pin that somebody else has) one line says why, and the program goes on without them.
"""

import asyncio
import contextlib
import os
import tempfile

from linnet import log
from linnet.device import Led

BOUNCE_S = 0.01


@contextlib.contextmanager
def attached(device, board, report):
    """With the pins of `board`, if it is a Raspberry Pi that names any. Inside a running loop."""
    wanted = [(what, pin, attach) for what, pin, attach in
              (("button", board.talk, _attach_button), ("lamp", board.led, _attach_lamp)) if pin is not None]
    with contextlib.ExitStack() as pins:
        if board.family == "rpi" and wanted:
            try:
                gpiozero = _library()
            except Exception as error:  # gpiozero's, lgpio's and the system's have nothing else in common
                nothing = " and no ".join(what for what, *_ in wanted)
                _tell(report, f"no {nothing} here; on a Raspberry Pi boards/rpi/install.sh sees to them", error)
                wanted = []
            for what, pin, attach in wanted:
                try:
                    pins.enter_context(attach(gpiozero, device, board, report))
                except Exception as error:
                    _tell(report, f"the {what} at GPIO {pin} does not work", error)
        yield


def _library():
    # One way to the pins with one reason if it fails; gpiozero by itself would try four.
    os.environ.setdefault("GPIOZERO_PIN_FACTORY", "lgpio")
    # lgpio makes a pipe in the working directory, which a service may not write to, or in LG_WD, and stays there.
    os.environ.setdefault("LG_WD", tempfile.gettempdir())
    here = os.getcwd()
    try:
        import gpiozero

        gpiozero.Device.ensure_pin_factory()
    finally:
        os.chdir(here)
    return gpiozero


def _tell(report, what, error):
    report("log", level=log.WARN, where="gpio", text=f"{what} ({type(error).__name__}: {error})")


@contextlib.contextmanager
def _attach_button(gpiozero, device, board, report):
    loop = asyncio.get_running_loop()
    with gpiozero.Button(board.talk, pull_up=True, bounce_time=BOUNCE_S) as button:
        button.when_pressed = lambda: loop.call_soon_threadsafe(device.button.press)  # called in lgpio's thread
        yield


@contextlib.contextmanager
def _attach_lamp(gpiozero, device, board, report):
    if board.led_kind == "ws2812":
        raise ValueError("ui.led_kind ws2812 has no driver for a Raspberry Pi; plain and inverted have")
    with gpiozero.LED(board.led, active_high=board.led_kind != "inverted") as lamp:
        def show(is_on):
            lamp.value = is_on
            report("led", on=is_on)

        without, device.led = device.led, Led(show)
        try:
            yield
        finally:
            device.led = without
            lamp.off()
