# Everest ES8311: microphone and speaker codec, I2S slave. From the datasheet's register
# list; the meanings were compared with Espressif's component es8311.
#
# Its converters want a clock of 256 times the rate, which it makes from the MCLK pin or
# from the bit clock: divided by 1 to 8, multiplied by 1, 2, 4 or 8. Not used: master
# mode, digital microphones, equaliser, automatic level.

_RESET, _CLOCKS, _PRESCALE, _ADC_OSR, _DAC_OSR, _DIVIDE = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05
_SDP_IN, _SDP_OUT = 0x09, 0x0A
_ANALOG, _ADC_POWER, _DAC_POWER, _OUTPUT, _MIC = 0x0D, 0x0E, 0x12, 0x13, 0x14
_ADC_VOLUME, _ADC_FILTER, _DAC_MUTE, _DAC_VOLUME, _DAC_RAMP = 0x17, 0x1C, 0x31, 0x32, 0x37
_WORDS = {16: 3, 24: 0, 32: 4}  # length codes of _SDP_*, which stand at bit 2; format 0 is I2S
_ZERO_DB = 0xBF  # of both volumes, half a dB a step


def prescaler(clock_hz, rate):
    """(divider, power of two) that make 256 * rate of clock_hz, or None."""
    for power in range(4):
        for divider in range(1, 9):
            if clock_hz << power == 256 * rate * divider:
                return divider, power
    return None


def setup(chip, sleep_ms, rate, bits, clock_hz, clock_from_bck, microphone, speaker, gain_db=30):
    found = prescaler(clock_hz, rate)
    if found is None or bits not in _WORDS:
        raise ValueError(
            "es8311: no way from a clock of %d Hz with words of %d bits to %d samples a second"
            % (clock_hz, bits, rate)
        )
    divider, power = found
    chip.write(_RESET, 0x1F)
    sleep_ms(20)
    chip.write_all(
        (
            (_RESET, 0x00),
            (_RESET, 0x80),  # state machine on, slave
            (_CLOCKS, 0xBF if clock_from_bck else 0x3F),  # all clocks on
            (_PRESCALE, (divider - 1) << 5 | power << 3),
            (_ADC_OSR, 0x10),  # single speed
            (_DAC_OSR, 0x10),
            (_DIVIDE, 0x00),
            (_SDP_IN, _WORDS[bits] << 2),
            (_SDP_OUT, _WORDS[bits] << 2),
            (_ANALOG, 0x01),
        )
    )
    if microphone:
        gain = min(max(gain_db, 0), 30) // 3
        chip.write_all(
            (
                (_ADC_POWER, 0x02),
                (_MIC, 0x10 | gain),  # analog input 1, differential
                (_ADC_VOLUME, _ZERO_DB),
                (_ADC_FILTER, 0x6A),  # equaliser bypassed, no offset
            )
        )
    if speaker:
        chip.write_all(
            (
                (_DAC_POWER, 0x00),
                (_OUTPUT, 0x10),  # drive the output pin
                (_DAC_RAMP, 0x08),  # equaliser bypassed
                (_DAC_MUTE, 0x00),
                (_DAC_VOLUME, _ZERO_DB),
            )
        )
