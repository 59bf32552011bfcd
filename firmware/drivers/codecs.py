# Sets up the sound chips of a board, once after power-on and before the I2S clocks are
# needed: start(board, i2c, sleep_ms). `board` is the frozen board.py, `i2c` anything with
# machine.I2C's writeto_mem. The sound itself never passes here.


class Registers:
    """The registers of one chip. `name` is for the message when it does not answer."""

    def __init__(self, i2c, address, name):
        self._i2c = i2c
        self._address = address
        self._name = name
        self._byte = bytearray(1)

    def write(self, register, value):
        self._byte[0] = value
        try:
            self._i2c.writeto_mem(self._address, register, self._byte)
        except OSError as error:
            raise OSError(
                error.args[0] if error.args else 0,
                "%s does not answer on I2C at 0x%02x (register 0x%02x): is the board file right"
                " about sda, scl and the chip?" % (self._name, self._address, register),
            )

    def write_all(self, pairs):
        for register, value in pairs:
            self.write(register, value)


def start(board, i2c, sleep_ms):
    """Runs the driver of each part in the board's order. Raises OSError with the chip's name."""
    for name, address, options in board.drivers:
        driver = getattr(__import__("drivers." + name), name)
        driver.setup(Registers(i2c, address, name), sleep_ms, **options)
