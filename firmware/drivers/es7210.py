# Everest ES7210: four microphone converters, of which we use the first two; I2S slave.
# From the datasheet's register list; the meanings were compared with Espressif's
# component es7210. It has no other clock than MCLK.

_RESET, _MAIN_CLOCK, _LRCK_HIGH, _LRCK_LOW, _POWER_DOWN, _OSR = 0x00, 0x02, 0x04, 0x05, 0x06, 0x07
_TIME_0, _TIME_1, _SDP_1, _SDP_2 = 0x09, 0x0A, 0x11, 0x12
_HPF_12_B, _HPF_12_A, _ANALOG, _BIAS_12, _GAIN_1, _POWER_1 = 0x22, 0x23, 0x40, 0x41, 0x43, 0x47
_POWER_12 = 0x4B
_WORDS = {16: 0x60, 24: 0x00, 32: 0x80}  # format 0 is I2S
# (clock / rate, rate): bits of _MAIN_CLOCK; divider 1, bit 6 doubles, bit 7 bypasses the PLL.
_DOUBLED, _PLAIN = 0xC1, 0x81
_MAIN = {
    (256, 16000): _DOUBLED,
    (256, 44100): _DOUBLED,
    (256, 48000): _DOUBLED,
    (512, 8000): _PLAIN,
    (512, 22050): _PLAIN,
    (512, 24000): _PLAIN,
    (512, 32000): _PLAIN,
}


def gain_code(gain_db):
    """3 dB a step up to 33, then 36: the two half steps between are left out."""
    return 13 if gain_db >= 36 else min(max(gain_db, 0), 33) // 3


def setup(chip, sleep_ms, rate, bits, clock_hz, clock_from_bck, microphone, speaker, gain_db=30):
    main = _MAIN.get((clock_hz // rate, rate))
    if main is None or bits not in _WORDS or clock_from_bck or speaker or not microphone:
        raise ValueError(
            "es7210: no way from a clock of %d Hz with words of %d bits to %d samples a second"
            % (clock_hz, bits, rate)
        )
    multiple = clock_hz // rate
    chip.write_all(((_RESET, 0xFF), (_RESET, 0x32), (_TIME_0, 0x30), (_TIME_1, 0x30)))
    sleep_ms(20)
    chip.write_all(
        (
            (_HPF_12_A, 0x2A),
            (_HPF_12_B, 0x0A),
            (_SDP_1, _WORDS[bits]),
            (_SDP_2, 0x00),  # microphone 1 left, 2 right; no TDM
            (_ANALOG, 0xC3),
            (_BIAS_12, 0x70),  # 2.87 V
            (_GAIN_1, 0x10 | gain_code(gain_db)),
            (_GAIN_1 + 1, 0x10 | gain_code(gain_db)),
            (_POWER_1, 0x08),
            (_POWER_1 + 1, 0x08),
            (_OSR, 0x20),
            (_MAIN_CLOCK, main),
            (_LRCK_HIGH, multiple >> 8),
            (_LRCK_LOW, multiple & 0xFF),
            (_POWER_DOWN, 0x04),  # the PLL, which is bypassed
            (_POWER_12, 0x0F),
            (_RESET, 0x71),
            (_RESET, 0x41),  # run
        )
    )
