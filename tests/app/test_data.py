# DataPackets: what an application sends and gets, and what goes where.

import fake_time
from harness import TestCase, main
from linnet.errors import Closed, Refused
from rooms import JoinedRoom, info

RELIABLE, LOSSY = 0, 1


def with_room(test, **me):
    async def whole():
        return await test(JoinedRoom([info()], me=me))

    return fake_time.run(whole())


class TestSending(TestCase):
    def sent(self, send):
        """The packets that `await send(local_participant)` gave to the engine."""

        async def test(room):
            await send(room.local_participant)
            return room._engine.sent

        return with_room(test)

    def test_bytes_and_text_topic_and_destinations(self):
        packets = self.sent(lambda me: me.publish_data(b"\x00\xff"))
        self.assertEqual(packets, [({"user": {"payload": b"\x00\xff"}}, RELIABLE)])
        packets = self.sent(
            lambda me: me.publish_data(
                "\u00fc", reliable=False, destination_identities=["bob", "eve"], topic="chat"
            )
        )
        packet, kind = packets[0]
        self.assertEqual(packet["user"], {"payload": b"\xc3\xbc", "topic": "chat"})
        self.assertEqual(packet["destination_identities"], ["bob", "eve"])
        self.assertEqual(kind, LOSSY)
        packets = self.sent(lambda me: me.publish_data(memoryview(bytearray(b"abc"))[1:]))
        self.assertEqual(packets[0][0]["user"]["payload"], b"bc")

    def test_dtmf(self):
        packets = self.sent(lambda me: me.publish_dtmf(11, "#"))
        self.assertEqual(packets, [({"sip_dtmf": {"code": 11, "digit": "#"}}, RELIABLE)])

    def test_a_missing_grant_and_a_missing_room_are_said(self):
        async def test(room):
            with self.assertRaises(Refused) as raised:
                await room.local_participant.publish_data(b"x")
            self.assertEqual(raised.exception.code, "missing-grant")
            self.assertIn("canPublishData", raised.exception.cause)
            room._engine = None
            with self.assertRaises(Closed):
                await room.local_participant.publish_data(b"x")

        with_room(test, permission={"can_publish": True})


class TestReceiving(TestCase):
    def got(self, kind, packet):
        """Events of one received packet, and the room."""
        room = JoinedRoom([info()])
        room._on_engine("packet", kind, packet)
        return room.took(), room

    def test_a_packet_has_data_kind_topic_and_participant(self):
        for kind, public in ((RELIABLE, 1), (LOSSY, 0)):
            packet = {"participant_identity": "bob", "user": {"payload": b"x", "topic": "t"}}
            events, room = self.got(kind, packet)
            name, (packet,) = events[0]
            self.assertEqual((name, packet.data, packet.topic), ("data_received", b"x", "t"))
            self.assertEqual(packet.kind, public)
            self.assertIs(packet.participant, room.remote_participants["bob"])

    def test_hidden_and_unknown_senders_are_none(self):
        for sender in ({}, {"participant_identity": "agent-early"}):
            events, _ = self.got(RELIABLE, dict(sender, user={}))
            packet = events[0][1][0]
            self.assertIsNone(packet.participant)
            self.assertEqual((packet.data, packet.topic), (b"", ""))

    def test_dtmf_has_code_digit_and_participant(self):
        packet = {"participant_identity": "bob", "sip_dtmf": {"code": 11, "digit": "#"}}
        events, room = self.got(RELIABLE, packet)
        name, (dtmf,) = events[0]
        self.assertEqual((name, dtmf.code, dtmf.digit), ("sip_dtmf_received", 11, "#"))
        self.assertIs(dtmf.participant, room.remote_participants["bob"])

    def test_remote_calls_go_to_rpc_with_the_caller(self):
        async def test(room):
            room._rpc.register("m", lambda data: data.caller_identity)
            request = {"id": "r", "method": "m", "version": 1}
            packet = {"participant_identity": "bob", "rpc_request": request}
            room._on_engine("packet", RELIABLE, packet)
            await fake_time.turns()
            answers = [packet for packet, _ in room._engine.sent]
            self.assertEqual(answers[0]["rpc_ack"], {"request_id": "r"})
            self.assertEqual(answers[1]["rpc_response"], {"request_id": "r", "payload": "bob"})
            self.assertEqual(answers[1]["destination_identities"], ["bob"])
            room._on_engine("packet", RELIABLE, {"rpc_ack": {"request_id": "x"}})
            room._on_engine("packet", RELIABLE, {"rpc_response": {"request_id": "x"}})

        with_room(test)

    def test_what_nobody_takes_is_counted(self):
        room = self.got(RELIABLE, {})[1]
        room._on_engine("packet", LOSSY, {"participant_identity": "bob", "transcription": {}})
        self.assertEqual(room.packets_ignored, 2)
        self.assertEqual(room.took(), [])


if __name__ == "__main__":
    main()
