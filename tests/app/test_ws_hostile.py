# The WebSocket client against bytes that are cut, flipped or noise.

from harness import TestCase, main
from linnet import url, ws
from linnet.errors import Closed, Protocol
from ws_server import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Counter,
    answer_101,
    close_payload,
    drain,
    frame,
    opened,
)


def client_for(**more):
    return ws.WebSocket(url.parse("ws://host:7880/rtc/v1?a=1"), **more)


class TestHostileBytes(TestCase):
    """Whatever comes, only the documented errors are raised and memory is bounded."""

    def good_stream(self):
        return (
            frame(TEXT, "żółw \U0001f422".encode())
            + frame(BINARY, bytes(range(64)), fin=False)
            + frame(PING, b"are you there")
            + frame(CONT, bytes(130), fin=False)
            + frame(CONT)
            + frame(PONG)
            + frame(CLOSE, close_payload(1000, b"done"))
        )

    def survives(self, client, stream):
        events = []
        try:
            client.feed(stream)
            drain(client, events)
            client.feed(b"")
            drain(client, events)
        except (Protocol, Closed):
            pass
        self.assertIsNone(client.next_event())
        client.take()
        self.assertLessEqual(len(client._message), max(ws.FIRST_BUFFER, client._max))
        return events

    def test_every_truncation_of_a_good_stream(self):
        stream = self.good_stream()
        whole = self.survives(opened(), stream)
        self.assertEqual(len(whole), 5)
        for n in range(1, len(stream)):
            events = self.survives(opened(), stream[:n])
            self.assertEqual(events[-1], (ws.CLOSE, (1006, "")))
            self.assertEqual(events[:-1], whole[: len(events) - 1])

    def test_every_flipped_bit_of_a_good_stream(self):
        stream = self.good_stream()
        same = 0
        whole = self.survives(opened(), stream)
        for bit in range(8 * len(stream)):
            flipped = bytearray(stream)
            flipped[bit >> 3] ^= 1 << (bit & 7)
            same += self.survives(opened(max_message=5000), bytes(flipped)) == whole
        # FIN of "ab|ping" and the like may go unseen; a changed payload byte may not.
        self.assertLessEqual(same, 2)

    def test_every_flipped_bit_and_truncation_of_a_good_answer(self):
        answer = answer_101("AQEBAQEBAQEBAQEBAQEBAQ==", "Server: x\r\n")
        outcomes = set()
        for bit in range(8 * len(answer)):
            flipped = bytearray(answer)
            flipped[bit >> 3] ^= 1 << (bit & 7)
            client = client_for(rand=Counter())
            events = self.survives(client, bytes(flipped) + frame(TEXT, b"x"))
            outcomes.add(events[0][0] if events else None)
        self.assertEqual(outcomes, {ws.OPEN, ws.REJECTED, None})
        for n in range(len(answer)):
            self.assertEqual(self.survives(client_for(rand=Counter()), answer[:n]), [])

    def test_noise(self):
        state = 1
        for _ in range(300):
            noise = bytearray()
            for _ in range(60):
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                noise.append(state >> 16 & 255)
            self.survives(opened(max_message=5000), bytes(noise))
            self.survives(client_for(), bytes(noise))


if __name__ == "__main__":
    main()
