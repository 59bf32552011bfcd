# The contracts: a check that says what an adapter lacks, and that the dialect
# layer is itself a Clock.

from harness import TestCase, main
from linnet import compat, port


class Half:
    rate = 16000

    def start(self):
        pass


class TestContracts(TestCase):
    def test_missing_names_what_an_adapter_lacks(self):
        self.assertEqual(
            port.missing(Half(), port.Audio), ["capture_into", "play", "play_room", "stop"]
        )
        self.assertEqual(port.missing(port.Audio(), port.Audio), [])

    def test_compat_is_a_clock(self):
        self.assertEqual(port.missing(compat, port.Clock), [])

    def test_a_port_holds_four_adapters(self):
        here = port.Port("net", "clock", "audio", "store")
        self.assertEqual((here.net, here.clock), ("net", "clock"))
        self.assertEqual((here.audio, here.store), ("audio", "store"))
        self.assertIsNone(port.Port("net", "clock").audio)


if __name__ == "__main__":
    main()
