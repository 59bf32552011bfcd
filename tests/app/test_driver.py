# The law of the core (one input, then drain), its clock, sockets and sound.

import asyncio

import fake_time
import native_core  # noqa: F401 (linnet.core wants `_linnet` to be importable)
from harness import TestCase, main
from linnet import core, log
from linnet.driver import Driver
from linnet.errors import Closed
from linnet.port import Port

HOME = (bytes((192, 0, 2, 1)), 7882)


class Session:
    """A core whose outputs are a list of (kind, fields or (ip, port, payload))."""

    def __init__(self):
        self.inputs = []
        self.outputs = []
        self.candidates = []
        self.record = bytearray(1600)
        self.body = memoryview(self.record)
        self.next_us = 500000
        self.polls = 0
        self.wiped = 0
        self.pulled = 0
        self.pushed = []
        self._now = None

    def add_local_candidate(self, now, ip, port):
        self.candidates.append((ip, port))

    def input(self, now, kind, data=b""):
        self.inputs.append((fake_time.now_us() // 1000, kind, bytes(data)))
        return 0

    def poll(self):
        self.polls += 1
        if not self.outputs:
            return core.IDLE
        kind, self._now = self.outputs.pop(0)
        if kind == core.DATAGRAM:
            ip, port, payload = self._now
            core.put_addr(self.record, ip, port)
            self.record[20 : 20 + len(payload)] = payload
        return kind

    def body_len(self):
        return 20 + len(self._now[2])

    def event(self, kind):
        return self._now

    def deadline(self):
        return (fake_time.now_us() + self.next_us) & 0x3FFFFFFF

    def close(self, now):
        self.inputs.append("close")
        return 0

    def wipe(self):
        self.wiped += 1

    def pcm_push(self, pcm):
        self.pushed.append(len(pcm))

    def pcm_pull(self, pcm):
        self.pulled += 1


class Machine:
    """Net, clock and sound of a driver."""

    rate = 16000

    def __init__(self, listens=True, audio=True, addresses=(bytes((10, 0, 0, 1)),)):
        self.listens = listens
        self.addresses = list(addresses)
        self.opened = []
        self.sent = []
        self.takes = True
        self.arrived = []
        self.event = asyncio.Event()
        self.callback = None
        self.closed = 0
        self.captured = 0
        self.played = 0
        self.running = None
        self.session = Session()
        self.events = []
        self.failures = []
        self.depth = self.deepest = 0
        port = Port(self, fake_time.VirtualClock(), self if audio else None)
        self.driver = Driver(port, self.session, self.on_event, self.failures.append)

    def on_event(self, kind, fields):
        self.events.append((kind, fields))
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        self.driver.drain()  # whoever is told may ask for more at once, and gets it afterwards
        self.depth -= 1

    # Net

    def local_addresses(self):
        return self.addresses

    async def udp_open(self, family, address=None):
        self.opened.append(family)
        return bytes(4), 50000 + family

    def udp_send(self, addr, view):
        if self.takes:
            self.sent.append((addr, bytes(view)))
        return self.takes

    def udp_listen(self, callback):
        self.callback = callback
        return self.listens

    def udp_recv_now(self, view):
        if not self.arrived:
            return None
        data = self.arrived.pop(0)
        view[: len(data)] = data
        return len(data), HOME

    async def udp_recv_into(self, view):
        while True:
            received = self.udp_recv_now(view)
            if received is not None:
                return received
            if self.closed:
                raise Closed("not-connected", "closed")
            self.event.clear()
            await self.event.wait()

    def udp_close(self):
        self.closed += 1
        self.event.set()

    def arrive(self, *datagrams):
        self.arrived += datagrams
        if self.listens:
            self.callback()
        else:
            self.event.set()

    # Audio

    def start(self):
        self.running = True
        self.started = fake_time.now_us()

    def stop(self):
        self.running = False

    def _due(self):
        return (fake_time.now_us() - self.started) // 20000

    def capture_into(self, buf):
        if self.captured >= self._due():
            return 0
        self.captured += 1
        return len(buf) // 2

    def play_room(self):
        return 320 * max(0, self._due() + 1 - self.played)

    def play(self, buf):
        self.played += 1
        return len(buf) // 2


def running(test, **how):
    """Run `await test(machine)` with an open driver, which is closed afterwards."""

    async def whole():
        machine = Machine(**how)
        await machine.driver.open()
        try:
            await test(machine)
        finally:
            await machine.driver.close()
        return machine

    return fake_time.run(whole())


class TestDriver(TestCase):
    def setUp(self):
        self.lines = []
        log.set_sink(lambda level, where, text: self.lines.append(text), log.DEBUG)

    def tearDown(self):
        log.set_sink(None, log.WARN)

    def test_one_socket_a_family_and_every_address_is_a_candidate(self):
        async def test(machine):
            self.assertEqual(machine.opened, [4, 6])
            found = sorted(machine.session.candidates)
            expected = [
                (bytes((10, 0, 0, 1)), 50004),
                (bytes((10, 0, 0, 2)), 50004),
                (bytes(15) + b"\x01", 50006),
            ]
            self.assertEqual(found, sorted(expected))

        addresses = (bytes((10, 0, 0, 1)), bytes(15) + b"\x01", bytes((10, 0, 0, 2)))
        running(test, addresses=addresses)

    def test_outputs_are_taken_until_idle_and_each_goes_where_it_belongs(self):
        async def test(machine):
            machine.session.outputs = [
                (core.DATAGRAM, HOME + (b"one",)),
                (core.STATE, (0, 2, 0)),
                (core.DATAGRAM, HOME + (b"three",)),
                (core.DATAGRAM, (bytes(15) + b"\x02", 9, b"v6")),
            ]
            machine.driver.feed(core.IN_TIME)
            self.assertEqual(machine.session.outputs, [])
            sent = [(HOME, b"one"), (HOME, b"three"), ((bytes(15) + b"\x02", 9), b"v6")]
            self.assertEqual(machine.sent, sent)
            self.assertEqual(machine.events, [(core.STATE, (0, 2, 0))])

        running(test)

    def test_one_event_is_told_to_its_end_before_the_next(self):
        async def test(machine):
            machine.session.outputs = [(core.STATE, (0, n, 0)) for n in range(5)]
            machine.driver.drain()
            self.assertEqual([fields[1] for _, fields in machine.events], [0, 1, 2, 3, 4])
            self.assertEqual(machine.deepest, 1)

        running(test)

    def test_what_the_socket_does_not_take_is_counted(self):
        async def test(machine):
            machine.takes = False
            machine.session.outputs = [(core.DATAGRAM, HOME + (b"x",))] * 3
            machine.driver.drain()
            self.assertEqual(machine.driver.unsent, 3)

        running(test)

    def test_datagrams_reach_the_core_with_their_sender_either_way(self):
        for listens in (True, False):

            async def test(machine):
                machine.session.inputs = []
                machine.arrive(b"first", b"second")
                await fake_time.turns()
                machine.arrive(b"third")
                await fake_time.turns()
                records = [data for _, kind, data in machine.session.inputs if kind == core.IN_DATAGRAM]
                sender = bytes(core.addr(HOME[0], HOME[1]))
                self.assertEqual(records, [sender + b"first", sender + b"second", sender + b"third"])

            with self.subTest(listens=listens):
                running(test, listens=listens)

    def test_time_is_fed_at_the_deadline_and_not_before(self):
        async def test(machine):
            machine.session.inputs = []
            await asyncio.sleep(2.2)
            times = [at for at, kind, _ in machine.session.inputs if kind == core.IN_TIME]
            self.assertLessEqual(4, len(times))
            self.assertLessEqual(len(times), 5)

        running(test, audio=False)

    def test_an_earlier_deadline_wakes_the_timer(self):
        async def test(machine):
            machine.session.next_us = 900000
            await asyncio.sleep(2)
            machine.session.inputs = []
            machine.session.next_us = 50000
            start = fake_time.now_us() // 1000
            machine.driver.drain()
            await asyncio.sleep(0.1)
            self.assertLessEqual(machine.session.inputs[0][0] - start, 52)

        running(test, audio=False)

    def test_a_deadline_that_is_always_now_does_not_starve_the_rest(self):
        async def test(machine):
            machine.session.next_us = 0
            machine.driver.drain()
            await fake_time.turns(50)
            machine.session.next_us = 500000
            self.assertLess(machine.session.polls, 500)

        running(test, audio=False)

    def test_sound_moves_every_20_ms_both_ways(self):
        async def test(machine):
            machine.driver.start_audio()
            self.assertTrue(machine.running)
            await asyncio.sleep(2.01)
            self.assertLessEqual(abs(len(machine.session.pushed) - 100), 2)
            self.assertLessEqual(abs(machine.played - 100), 2)
            self.assertEqual(set(machine.session.pushed), set([640]))
            self.assertEqual(machine.session.pulled, machine.played)
            self.assertEqual(machine.driver.frames_late, 0)

        self.assertFalse(running(test).running)

    def test_closing_says_goodbye_once_and_wipes_once(self):
        async def test(machine):
            machine.session.outputs = [(core.DATAGRAM, HOME + (b"bye",))]
            await machine.driver.close()
            self.assertEqual(machine.sent, [(HOME, b"bye")])
            await machine.driver.close()
            await asyncio.sleep(5)

        machine = running(test)
        self.assertEqual(machine.session.inputs.count("close"), 1)
        self.assertEqual((machine.session.wiped, machine.closed), (1, 1))

    def test_one_that_never_opened_is_closed_and_wiped_too(self):
        async def test():
            machine = Machine()
            await machine.driver.close()
            return machine

        machine = fake_time.run(test())
        self.assertEqual((machine.session.wiped, machine.session.inputs), (1, []))

    def test_a_loop_that_breaks_is_told(self):
        async def test(machine):
            def broken(buf):
                raise ValueError("adapter")

            machine.capture_into = broken
            machine.driver.start_audio()
            await fake_time.turns()
            self.assertEqual([type(error) for error in machine.failures], [ValueError])

        running(test)


if __name__ == "__main__":
    main()
