# Lamp, button, amplifier and sound chips of a board, on a machine that keeps what it is told.

from drivers import hardware
from harness import TestCase, main


class Pin:
    IN, OUT, PULL_UP = 1, 2, 3

    def __init__(self, machine, number, *mode, value=None):
        self.machine, self.number, self.mode, self.level = machine, number, mode, value
        machine.log.append(("pin", number, mode, value))

    def value(self, *level):
        if level:
            self.level = level[0]
            self.machine.log.append(("value", self.number, level[0]))
        return self.level


class PinMaker:
    """Stands in for the class machine.Pin, constants and all."""

    IN, OUT, PULL_UP = Pin.IN, Pin.OUT, Pin.PULL_UP

    def __init__(self, machine):
        self.machine = machine

    def __call__(self, number, *mode, value=None):
        self.machine.pins[number] = Pin(self.machine, number, *mode, value=value)
        return self.machine.pins[number]


class Machine:
    def __init__(self):
        self.log = []
        self.pins = {}
        self.Pin = PinMaker(self)

    def I2C(self, number, sda, scl, freq):
        self.log.append(("i2c", sda.number, scl.number, freq))
        return self

    def writeto_mem(self, address, register, data):
        self.log.append(("write", address))

    def bitstream(self, pin, encoding, timing, data):
        self.log.append(("bits", pin.number, bytes(data)))


class Board:
    def __init__(self, **changes):
        self.i2c = self.amp = self.led = self.talk = None
        self.led_kind = "plain"
        self.drivers = ()
        for name, value in changes.items():
            setattr(self, name, value)


class TestSound(TestCase):
    def test_the_amplifier_comes_on_after_the_chips(self):
        machine = Machine()
        board = Board(i2c=(8, 18, 400000), amp=46, drivers=(("pi4ioe5v6408", 0x43, {}),))
        hardware.start_sound(board, machine, lambda ms: None)
        kinds = [entry[0] for entry in machine.log]
        self.assertTrue(("i2c", 8, 18, 400000) in machine.log)
        self.assertEqual(machine.log[-1], ("pin", 46, (Pin.OUT,), 1))
        self.assertTrue("write" in kinds)

    def test_a_board_of_wires_only_needs_nothing(self):
        machine = Machine()
        hardware.start_sound(Board(), machine, None)
        self.assertEqual(machine.log, [])


class TestLamp(TestCase):
    def test_plain_and_inverted(self):
        for kind, on, off in (("plain", 1, 0), ("inverted", 0, 1)):
            machine = Machine()
            switch = hardware.lamp(Board(led=21, led_kind=kind), machine)
            self.assertEqual(machine.log[0], ("pin", 21, (Pin.OUT,), off))
            self.assertEqual(machine.pins[21].level, off)
            switch(True)
            self.assertEqual(machine.pins[21].level, on)
            switch(False)
            self.assertEqual(machine.pins[21].level, off)

    def test_one_that_wants_a_bit_stream(self):
        machine = Machine()
        switch = hardware.lamp(Board(led=48, led_kind="ws2812"), machine)
        self.assertEqual(machine.log[-1], ("bits", 48, b"\x00\x00\x00"))
        switch(True)
        self.assertTrue(machine.log[-1][2][0] > 0)

    def test_none(self):
        self.assertEqual(hardware.lamp(Board(), Machine()), None)


class TestTalk(TestCase):
    def test_a_press_counts_once_and_bouncing_does_not(self):
        machine = Machine()
        talk = hardware.Talk(Board(talk=0), machine)
        pin = machine.pins[0]
        self.assertEqual(machine.log[0], ("pin", 0, (Pin.IN, Pin.PULL_UP), None))
        heard = []
        levels = [1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 0, 0]
        for step, level in enumerate(levels):
            pin.level = level
            if talk.pressed():
                heard.append(step)
        self.assertEqual(heard, [2, 17])

    def test_a_board_without_a_button_is_never_pressed(self):
        talk = hardware.Talk(Board(), Machine())
        self.assertEqual([talk.pressed() for _ in range(10)], [False] * 10)


if __name__ == "__main__":
    main()
