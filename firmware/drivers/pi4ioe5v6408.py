# Diodes PI4IOE5V6408, an 8-bit port expander: all pins out and high, which is what
# switches the amplifier of M5Stack's Echo Base on (the pin itself is in no public text).

_DIRECTION, _OUTPUT, _HIGH_Z, _PULL = 0x03, 0x05, 0x07, 0x0B


def setup(chip, sleep_ms):
    chip.write_all(((_OUTPUT, 0xFF), (_DIRECTION, 0xFF), (_HIGH_Z, 0x00), (_PULL, 0x00)))
