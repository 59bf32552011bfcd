# The set-up of sound chips against an I2C bus that keeps what was written. What a
# register means is from the datasheets; here stands what a board must end up with.

from drivers import codecs, es7210, es8311
from harness import TestCase, main


class Bus:
    """Keeps (address, register, value) in order; addresses not in `there` do not answer."""

    def __init__(self, there):
        self.there = there
        self.log = []

    def writeto_mem(self, address, register, data):
        if address not in self.there:
            raise OSError(19)
        for value in data:
            self.log.append((address, register, value))

    def last(self, address):
        return {register: value for at, register, value in self.log if at == address}


class Board:
    def __init__(self, *drivers):
        self.drivers = drivers


ECHO = dict(
    rate=16000,
    bits=32,
    clock_hz=1024000,
    clock_from_bck=True,
    microphone=True,
    speaker=True,
    gain_db=30,
)
BOX = dict(rate=16000, bits=16, clock_hz=4096000, clock_from_bck=False)


class TestClock(TestCase):
    def test_the_converters_get_256_times_the_rate(self):
        for clock, rate in (
            (1024000, 16000),
            (512000, 16000),
            (4096000, 16000),
            (12288000, 16000),
            (12288000, 48000),
            (12288000, 8000),
            (6144000, 24000),
            (11289600, 44100),
            (2048000, 32000),
        ):
            with self.subTest(clock=clock, rate=rate):
                divider, power = es8311.prescaler(clock, rate)
                self.assertEqual(clock * 2**power, 256 * rate * divider)
                self.assertTrue(1 <= divider <= 8 and 0 <= power <= 3)

    def test_a_clock_that_leads_nowhere_has_no_prescaler(self):
        self.assertEqual(es8311.prescaler(1000000, 16000), None)
        self.assertEqual(es8311.prescaler(12288000, 44100), None)


class TestEs8311(TestCase):
    def setUp(self):
        self.bus, self.slept = Bus((0x18,)), []

    def start(self, **options):
        codecs.start(Board(("es8311", 0x18, options)), self.bus, self.slept.append)
        return self.bus.last(0x18)

    def test_reset_comes_first_and_is_waited_for(self):
        self.start(**ECHO)
        self.assertEqual(self.bus.log[0], (0x18, 0x00, 0x1F))
        self.assertEqual(self.bus.log[2], (0x18, 0x00, 0x80))
        self.assertEqual(self.slept, [20])

    def test_bit_clock_as_master_clock(self):
        found = self.start(**ECHO)
        self.assertEqual(found[0x01] & 0x80, 0x80)
        self.assertEqual(found[0x02], 0 << 5 | 2 << 3)  # 1.024 MHz x 4 = 256 x 16 kHz
        self.assertEqual((found[0x09], found[0x0A]), (4 << 2, 4 << 2))

    def test_master_clock_of_its_own(self):
        found = self.start(microphone=False, speaker=True, **BOX)
        self.assertEqual(found[0x01] & 0x80, 0)
        self.assertEqual(found[0x02], 0)
        self.assertEqual(found[0x09], 3 << 2)

    def test_only_what_is_used_is_powered(self):
        found = self.start(microphone=False, speaker=True, **BOX)
        self.assertTrue(0x0E not in found and 0x14 not in found)
        self.assertEqual((found[0x12], found[0x31], found[0x32]), (0x00, 0x00, 0xBF))
        self.bus.log.clear()
        found = self.start(microphone=True, speaker=False, **BOX)
        self.assertTrue(0x12 not in found and 0x32 not in found)

    def test_gain_in_steps_of_three_decibels(self):
        for wish, code in ((0, 0x10), (2, 0x10), (3, 0x11), (30, 0x1A), (42, 0x1A), (-3, 0x10)):
            self.assertEqual(self.start(**dict(ECHO, gain_db=wish))[0x14], code)

    def test_impossible_clocks_are_refused_before_anything_is_written(self):
        for wrong in (dict(clock_hz=1000000), dict(bits=20)):
            with self.assertRaises(ValueError):
                self.start(**dict(ECHO, **wrong))
        self.assertEqual(self.bus.log, [])


class TestEs7210(TestCase):
    def start(self, **options):
        bus = Bus((0x40,))
        options = dict(BOX, microphone=True, speaker=False, gain_db=30, **options)
        codecs.start(Board(("es7210", 0x40, options)), bus, lambda ms: None)
        return bus

    def test_two_microphones_as_left_and_right(self):
        bus = self.start()
        found = bus.last(0x40)
        self.assertEqual((found[0x11], found[0x12]), (0x60, 0x00))
        self.assertEqual((found[0x43], found[0x44]), (0x1A, 0x1A))
        self.assertTrue(0x45 not in found and 0x46 not in found)
        self.assertEqual((found[0x02], found[0x04], found[0x05]), (0xC1, 0x01, 0x00))
        self.assertEqual(bus.log[-1], (0x40, 0x00, 0x41))

    def test_gain_codes(self):
        wishes = ((-1, 0), (0, 0), (30, 10), (33, 11), (34, 11), (36, 13), (42, 13))
        self.assertEqual([es7210.gain_code(db) for db, _ in wishes], [code for _, code in wishes])

    def test_a_rate_it_cannot_make_is_refused(self):
        bus = Bus((0x40,))
        chip = codecs.Registers(bus, 0x40, "es7210")
        with self.assertRaises(ValueError):
            es7210.setup(chip, None, 24000, 16, 256 * 24000, False, True, False)
        with self.assertRaises(ValueError):  # no MCLK, no es7210
            es7210.setup(chip, None, 16000, 32, 1024000, True, True, False)
        self.assertEqual(bus.log, [])


class TestStart(TestCase):
    def test_parts_are_set_up_in_the_board_s_order(self):
        bus = Bus((0x43, 0x18))
        board = Board(("pi4ioe5v6408", 0x43, {}), ("es8311", 0x18, ECHO))
        codecs.start(board, bus, lambda ms: None)
        self.assertEqual(bus.log[0][0], 0x43)
        self.assertEqual(bus.last(0x43), {0x03: 0xFF, 0x05: 0xFF, 0x07: 0x00, 0x0B: 0x00})
        self.assertEqual(bus.log[-1][0], 0x18)

    def test_a_board_without_such_parts_writes_nothing(self):
        bus = Bus(())
        codecs.start(Board(), bus, None)
        self.assertEqual(bus.log, [])

    def test_a_chip_that_does_not_answer_is_named_with_its_address(self):
        with self.assertRaises(OSError) as caught:
            codecs.start(Board(("es8311", 0x18, ECHO)), Bus(()), lambda ms: None)
        number, text = caught.exception.args
        self.assertEqual(number, 19)
        self.assertTrue("es8311" in text and "0x18" in text and "sda" in text)


if __name__ == "__main__":
    main()
