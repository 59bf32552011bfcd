# The three data channels: opening, order, limits, and waiting for room.

import asyncio

import fake_time
import native_core
from harness import TestCase, main
from linnet import core, records
from linnet.channels import LOSSY, MAX_PACKET, RELIABLE, Channels
from linnet.errors import Closed, Refused, Timeout
from scripted_engine import Calls, ScriptedEngine

records.bind(native_core.native)


class Line:
    """Channels on a scripted core; `results` are what send_data() gives, 0 for ever at the end."""

    def __init__(self, server_protocol=17):
        self.engine = ScriptedEngine(fake_time.VirtualClock())
        self.results = []
        self.wire = []
        handles = [10, 11, 12]
        self.engine.session = Calls(
            {"open_channel": lambda *args: handles.pop(0), "send_data": self.send_data}
        )
        self.it = Channels(self.engine)
        self.it.open_all(server_protocol)

    def send_data(self, now, handle, data):
        result = self.results.pop(0) if self.results else 0
        if result == 0:
            self.wire.append((handle, records.decode("DataPacket", data)))
        return result

    def up(self):
        for handle in (10, 11, 12):
            self.it.on_state(handle, True)
        return self


def with_line(test, **how):
    async def whole():
        return await test(Line(**how))

    return fake_time.run(whole())


def user(payload):
    return {"user": {"payload": payload}}


class TestOpening(TestCase):
    def test_all_three_in_band_or_by_number(self):
        for protocol, ids in ((17, (None,) * 3), (18, (100, 101, 102)), (20, (100, 101, 102))):
            calls = Line(protocol).engine.session.named("open_channel")
            self.assertEqual([call[1] for call in calls], ["_reliable", "_lossy", "_data_track"])
            self.assertEqual([call[2] for call in calls], [False, True, True])
            self.assertEqual([call[3] for call in calls], [None, 0, 0])
            self.assertEqual(tuple([call[4] for call in calls]), ids)

    def test_sending_waits_until_the_channel_is_open_but_not_for_ever(self):
        async def test(line):
            task = asyncio.create_task(line.it.send(user(b"1"), RELIABLE))
            await asyncio.sleep(5)
            self.assertEqual(line.wire, [])
            line.up()
            await task
            self.assertEqual(len(line.wire), 1)
            line.it.on_state(10, False)
            with self.assertRaises(Timeout) as raised:
                await line.it.send(user(b"2"), RELIABLE)
            self.assertEqual(raised.exception.code, "media-timeout")
            await line.it.send(user(b"3"), LOSSY)

        with_line(test)

    def test_channels_of_somebody_else_are_passed_over(self):
        line = Line()
        line.it.on_state(99, True)
        line.it.on_message(99, b"x")
        self.assertEqual(line.engine.told, [])


class TestSending(TestCase):
    def test_reliable_packets_are_numbered_from_one_and_lossy_ones_not(self):
        async def test(line):
            line.up()
            for n in range(3):
                await line.it.send(user(b"%d" % n), RELIABLE)
                await line.it.send(user(b"%d" % n), LOSSY)
            reliable = [packet for handle, packet in line.wire if handle == 10]
            lossy = [packet for handle, packet in line.wire if handle == 11]
            self.assertEqual([packet["sequence"] for packet in reliable], [1, 2, 3])
            self.assertEqual([packet.get("sequence", 0) for packet in lossy], [0, 0, 0])

        with_line(test)

    def test_order_is_that_of_the_calls_even_if_the_first_must_wait(self):
        async def test(line):
            line.up()
            line.results = [core.ERR_AGAIN, core.ERR_AGAIN]
            tasks = [
                asyncio.create_task(line.it.send(user(b"%d" % n), RELIABLE)) for n in range(5)
            ]
            await fake_time.turns()
            self.assertEqual(line.wire, [])
            line.it.on_sendable(10)
            await fake_time.turns()
            self.assertEqual(line.wire, [])
            line.it.on_sendable(10)
            await asyncio.gather(*tasks)
            sent = [(p["user"]["payload"], p["sequence"]) for _, p in line.wire]
            self.assertEqual(sent, [(b"%d" % n, n + 1) for n in range(5)])

        with_line(test)

    def test_a_queue_that_stays_full_is_a_timeout_and_no_number_is_lost(self):
        async def test(line):
            line.up()
            line.results = [core.ERR_AGAIN]
            start = fake_time.now_us()
            with self.assertRaises(Timeout) as raised:
                await line.it.send(user(b"1"), RELIABLE)
            self.assertEqual(raised.exception.code, "queue-full")
            self.assertLessEqual(abs(fake_time.now_us() - start - 30000000), 50000)
            await line.it.send(user(b"2"), RELIABLE)
            self.assertEqual(line.wire[0][1]["sequence"], 1)

        with_line(test)

    def test_a_lossy_packet_without_room_is_dropped_and_counted(self):
        async def test(line):
            line.up()
            line.results = [core.ERR_AGAIN]
            await line.it.send(user(b"1"), LOSSY)
            self.assertEqual((line.wire, line.it.lossy_dropped), ([], 1))

        with_line(test)

    def test_sizes_and_results_of_the_core_have_their_errors(self):
        async def test(line):
            line.up()
            await line.it.send(user(bytes(MAX_PACKET - 20)), RELIABLE)
            for result, kind, code in (
                (None, Refused, "payload-too-large"),
                (core.ERR_LIMIT, Refused, "payload-too-large"),
                (core.ERR_CLOSED, Closed, "not-connected"),
                (core.ERR_ARG, Closed, "not-connected"),
            ):
                line.results = [result] if result else []
                size = 1 if result else MAX_PACKET
                with self.assertRaises(kind) as raised:
                    await line.it.send(user(bytes(size)), RELIABLE)
                self.assertEqual(raised.exception.code, code)
            await line.it.send(user(b"x"), RELIABLE)
            self.assertEqual(line.wire[-1][1]["sequence"], 2)

        with_line(test)

    def test_a_room_that_is_left_ends_every_wait_at_once(self):
        async def test(line):
            async def code_of(coroutine):
                try:
                    await coroutine
                except Closed as error:
                    return error.code

            waiting = [asyncio.create_task(code_of(line.it.send(user(b"1"), LOSSY)))]
            line.it.on_state(10, True)
            line.results = [core.ERR_AGAIN] * 3
            for _ in range(3):
                waiting.append(asyncio.create_task(code_of(line.it.send(user(b"1"), RELIABLE))))
            await fake_time.turns()
            start = fake_time.now_us()
            line.engine.is_closing = True
            line.it.on_closed()
            self.assertEqual(await asyncio.gather(*waiting), ["not-connected"] * 4)
            self.assertLess(fake_time.now_us() - start, 50000)

        with_line(test)


class TestReceiving(TestCase):
    def test_each_channel_has_its_kind(self):
        line = Line()
        wire = records.encode("DataPacket", user(b"x"))
        line.it.on_message(10, wire)
        line.it.on_message(11, wire)
        line.it.on_message(12, b"\x00raw")
        kinds = [told[:2] for told in line.engine.told]
        self.assertEqual(kinds, [("packet", 0), ("packet", 1), ("data_track", b"\x00raw")])
        self.assertEqual(line.engine.told[0][2]["user"]["payload"], b"x")

    def test_a_packet_that_is_none_is_counted_and_dropped(self):
        line = Line()
        for wire in (b"\xff\xff\xff", b"\x12\x05ab", b"\x0a"):
            line.it.on_message(10, wire)
        self.assertEqual(line.engine.told, [])
        self.assertEqual(line.it.packets_undecodable, 3)


if __name__ == "__main__":
    main()
