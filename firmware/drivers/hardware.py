# What of a board is pins: sound chips and amplifier, lamp, button. `board` is the frozen
# board.py, `machine` the module of that name, handed in so that a test can be the machine.

from . import codecs

_WS2812_TIMING = (400, 850, 800, 450)  # ns: high and low of a 0, high and low of a 1
_DIM = 24  # of 255: enough to be seen, not to blind
_BOUNCES = 2


def start_sound(board, machine, sleep_ms):
    """Sets the sound chips up, then switches the amplifier on. Raises OSError with a chip's name."""
    if board.i2c is not None:
        sda, scl, hz = board.i2c
        codecs.start(board, machine.I2C(0, sda=machine.Pin(sda), scl=machine.Pin(scl), freq=hz), sleep_ms)
    if board.amp is not None:
        machine.Pin(board.amp, machine.Pin.OUT, value=1)


def lamp(board, machine):
    """A function that switches the lamp, which is off now; None without one."""
    if board.led is None:
        return None
    if board.led_kind == "ws2812":
        pin = machine.Pin(board.led, machine.Pin.OUT, value=0)
        colours = bytes(3), bytes((_DIM, 0, 0))  # green, red, blue

        def switch(is_on):
            machine.bitstream(pin, 0, _WS2812_TIMING, colours[1 if is_on else 0])
    else:
        lit = 0 if board.led_kind == "inverted" else 1
        pin = machine.Pin(board.led, machine.Pin.OUT, value=1 - lit)

        def switch(is_on):
            pin.value(lit if is_on else 1 - lit)

    switch(False)
    return switch


class Talk:
    """The button, which pulls its pin to ground: ask `pressed()` every 10 ms; it is true once for
    each press. Polled, not interrupted: an interrupt must not run an app."""

    def __init__(self, board, machine):
        self._pin = None
        if board.talk is not None:
            self._pin = machine.Pin(board.talk, machine.Pin.IN, machine.Pin.PULL_UP)
        self._is_down = False
        self._bouncing = 0  # questions for which it may still bounce

    def pressed(self):
        if self._pin is None:
            return False
        if self._bouncing:
            self._bouncing -= 1
            return False
        is_down = self._pin.value() == 0
        if is_down == self._is_down:
            return False
        self._is_down = is_down
        self._bouncing = _BOUNCES
        return is_down
