# The WebSocket client: handshake, RFC 6455's own examples, limits, hostile bytes.

from harness import TestCase, main
from linnet import url, ws
from linnet.errors import Closed, Protocol, Refused
from linnet.http import MAX_HEAD
from ws_server import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Counter,
    answer_101,
    client_frames,
    close_payload,
    drain,
    frame,
    opened,
    request_key,
)


def client_for(address="ws://host:7880/rtc/v1?a=1", headers=(), **more):
    return ws.WebSocket(url.parse(address), headers, **more)


class TestUpgrade(TestCase):
    def test_accept_key_is_the_one_of_rfc_6455_1_3(self):
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        self.assertEqual(ws.accept_key(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_request_has_target_host_and_headers(self):
        client = client_for(
            "wss://[2001:db8::1]:444/a/rtc?x=%20", [("Authorization", "Bearer t")], rand=Counter()
        )
        lines = client.take().decode().split("\r\n")
        self.assertEqual(lines[0], "GET /a/rtc?x=%20 HTTP/1.1")
        self.assertEqual(lines[1], "Host: [2001:db8::1]:444")
        self.assertEqual(lines[-2:], ["", ""])
        self.assertEqual(
            sorted(lines[2:-2]),
            [
                "Authorization: Bearer t",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: AQEBAQEBAQEBAQEBAQEBAQ==",
                "Sec-WebSocket-Version: 13",
                "Upgrade: websocket",
            ],
        )
        self.assertEqual(client.take(), b"")

    def test_two_clients_have_different_keys_of_16_bytes(self):
        first, second = request_key(client_for().take()), request_key(client_for().take())
        self.assertNotEqual(first, second)
        self.assertEqual(len(first), 24)

    def test_a_token_with_a_line_break_is_refused_and_not_repeated(self):
        with self.assertRaises(Refused) as raised:
            client_for(headers=[("Authorization", "Bearer abc\r\nX: 1")])
        self.assertEqual(raised.exception.code, "bad-argument")
        self.assertNotIn("abc", str(raised.exception))

    def test_answer_may_come_byte_by_byte_and_with_the_first_frame(self):
        for step in (1, 50, 1000):
            client = client_for()
            stream = answer_101(request_key(client.take())) + frame(BINARY, b"first")
            events = []
            for at in range(0, len(stream), step):
                client.feed(stream[at : at + step])
                drain(client, events)
            self.assertEqual(events[0][0], ws.OPEN)
            self.assertEqual(events[1:], [(ws.BINARY, b"first")])

    def test_header_names_and_tokens_are_read_whatever_their_case(self):
        client = client_for()
        key = request_key(client.take())
        client.feed(
            b"HTTP/1.1 101\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, uPGRADE\r\n"
            b"sec-websocket-ACCEPT:" + ws.accept_key(key).encode() + b" \r\n\r\n"
        )
        self.assertEqual(client.next_event()[0], ws.OPEN)
        self.assertTrue(client.is_open)

    def test_a_101_that_is_not_ours_is_an_error(self):
        good = (
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: KEY\r\n\r\n"
        )
        cases = (
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Upgrade: websocket\r\n", ""),
            ("Connection: Upgrade", "Connection: close"),
            ("Connection: Upgrade\r\n", ""),
            ("Accept: KEY", "Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("Accept: KEY", "Accept: "),
            ("Sec-WebSocket-Accept: KEY\r\n", ""),
            ("KEY\r\n", "KEY\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
            ("KEY\r\n", "KEY\r\nSec-WebSocket-Protocol: chat\r\n"),
            ("HTTP/1.1", "HTTP/2.0"),
            ("HTTP/1.1", "ICY"),
            ("Upgrade: web", "Upgrade : web"),
        )
        for old, new in cases:
            with self.subTest(old=old, new=new):
                client = client_for()
                answer = good.replace(old, new)
                client.feed(
                    answer.replace("KEY", ws.accept_key(request_key(client.take()))).encode()
                )
                with self.assertRaises(Protocol) as raised:
                    client.next_event()
                self.assertIn(raised.exception.code, ("ws", "http"))
                self.assertIsNone(client.next_event())
                self.assertEqual(client.take(), b"")

    def test_another_status_is_given_with_reason_and_body(self):
        client = client_for()
        client.feed(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 20\r\n\r\nno permissions to a")
        self.assertIsNone(client.next_event())
        client.feed(b"c and more")
        kind, response = client.next_event()
        self.assertEqual(kind, ws.REJECTED)
        self.assertEqual((response.status, response.reason), (401, "Unauthorized"))
        self.assertEqual(response.body, b"no permissions to ac")
        self.assertIsNone(client.next_event())

    def test_a_rejection_without_length_ends_with_the_stream(self):
        client = client_for()
        client.feed(b"HTTP/1.1 503 Busy\r\n\r\nlater")
        self.assertIsNone(client.next_event())
        client.feed(b"")
        self.assertEqual(client.next_event()[1].body, b"later")

    def test_a_huge_rejection_is_cut(self):
        for head in (b"", b"Content-Length: 99999\r\n", b"Transfer-Encoding: chunked\r\n"):
            client = client_for()
            client.feed(b"HTTP/1.1 404 No\r\n" + head + b"\r\n")
            if head.startswith(b"T"):
                client.feed(b"1869f\r\n")
            client.feed(b"x" * 8000)
            kind, response = client.next_event()
            self.assertEqual((kind, len(response.body)), (ws.REJECTED, ws.MAX_REJECTION))

    def test_an_endless_head_is_given_up(self):
        client = client_for()
        client.feed(b"HTTP/1.1 101 x\r\nA: " + b"x" * MAX_HEAD)
        with self.assertRaises(Protocol) as raised:
            client.next_event()
        self.assertEqual(raised.exception.code, "http-too-large")

    def test_a_server_of_another_protocol_is_told_apart_at_once(self):
        client = client_for()
        client.feed(b"SSH-")
        with self.assertRaises(Protocol):
            client.next_event()

    def test_silence_then_end_is_closed_not_protocol(self):
        client = client_for()
        client.feed(b"")
        with self.assertRaises(Closed):
            client.next_event()

    def test_nothing_can_be_sent_before_the_upgrade(self):
        client = client_for()
        for send in (client.send_binary, client.ping):
            with self.assertRaises(Closed):
                send(b"x")


class TestFrames(TestCase):
    def test_the_examples_of_rfc_6455_5_7(self):
        hello = b"Hello"
        cases = (
            (b"\x81\x05Hello", [(ws.TEXT, "Hello")]),
            (b"\x01\x03Hel\x80\x02lo", [(ws.TEXT, "Hello")]),
            (b"\x89\x05Hello", [(ws.PING, hello)]),
            (b"\x8a\x05Hello", [(ws.PONG, hello)]),
            (b"\x82\x7e\x01\x00" + b"a" * 256, [(ws.BINARY, b"a" * 256)]),
            (b"\x82\x7f\0\0\0\0\0\1\0\0" + b"a" * 65536, [(ws.BINARY, b"a" * 65536)]),
        )
        for stream, expected in cases:
            client = opened()
            events = []
            client.feed(stream)
            drain(client, events)
            self.assertEqual(events, expected)

    def test_the_masked_example_of_rfc_6455_5_7(self):
        client = opened(rand=lambda n: b"\x37\xfa\x21\x3d" * (n // 4))
        client.send_text("Hello")
        self.assertEqual(client.take(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")

    def test_sizes_around_each_border_are_sent_right(self):
        for n in (0, 1, 3, 4, 5, 125, 126, 127, 1023, 1024, 1025, 65535, 65536, 70001):
            client = opened(rand=Counter())
            data = (bytes(range(251)) * (n // 251 + 1))[:n]
            client.send_binary(data)
            self.assertEqual(client_frames(client.take()), [(BINARY, data)])

    def test_each_frame_has_a_mask_of_its_own(self):
        client = opened()
        client.send_binary(bytes(8))
        client.send_binary(bytes(8))
        sent = client.take()
        self.assertNotEqual(sent[2:6], sent[16:20])

    def test_a_memoryview_and_a_bytearray_can_be_sent(self):
        client = opened()
        client.send_binary(memoryview(b"xabcx")[1:4])
        client.send_binary(bytearray(b"def"))
        self.assertEqual(client_frames(client.take()), [(BINARY, b"abc"), (BINARY, b"def")])

    def test_a_control_frame_between_fragments_comes_first(self):
        client = opened()
        client.feed(
            frame(BINARY, b"ab", fin=False) + frame(PING, b"p") + frame(CONT, b"c", fin=False)
        )
        events = []
        drain(client, events)
        self.assertEqual(events, [(ws.PING, b"p")])
        self.assertEqual(client_frames(client.take()), [(PONG, b"p")])
        client.feed(frame(CONT, b"d"))
        self.assertEqual(client.next_event(), (ws.BINARY, b"abcd"))

    def test_only_the_newest_pongs_wait(self):
        client = opened()
        for i in range(ws.MAX_PONGS + 5):
            client.feed(frame(PING, b"%d" % i))
            client.next_event()
        self.assertEqual(client.pongs_dropped, 5)
        pongs = client_frames(client.take())
        self.assertEqual(len(pongs), ws.MAX_PONGS)
        self.assertEqual((pongs[0], pongs[-1]), ((PONG, b"5"), (PONG, b"20")))

    def test_a_long_ping_is_our_own_mistake(self):
        with self.assertRaises(Refused):
            opened().ping(bytes(126))


class TestLimits(TestCase):
    def fails(self, client, stream, close_code, error_code="ws"):
        client.feed(stream)
        with self.assertRaises(Protocol) as raised:
            drain(client, [])
        self.assertEqual(raised.exception.code, error_code)
        sent = client_frames(client.take())
        self.assertEqual(sent, [(CLOSE, close_payload(close_code))])
        self.assertIsNone(client.next_event())

    def test_a_message_of_exactly_the_limit_passes(self):
        client = opened(max_message=1000)
        client.feed(frame(BINARY, bytes(1000)))
        self.assertEqual(client.next_event(), (ws.BINARY, bytes(1000)))
        client.feed(frame(BINARY, bytes(600), fin=False) + frame(CONT, bytes(400)))
        self.assertEqual(client.next_event(), (ws.BINARY, bytes(1000)))

    def test_one_byte_more_is_refused_from_the_header_alone(self):
        client = opened(max_message=1000)
        self.fails(client, frame(BINARY, size=1001), 1009, "ws-too-large")

    def test_fragments_count_together(self):
        client = opened(max_message=1000)
        stream = frame(BINARY, bytes(600), fin=False) + frame(CONT, size=401)
        self.fails(client, stream, 1009, "ws-too-large")

    def test_a_length_of_2_to_the_62_reserves_nothing(self):
        client = opened()
        self.fails(client, frame(BINARY, size=1 << 62), 1009, "ws-too-large")
        self.assertEqual(len(client._message), ws.FIRST_BUFFER)

    def test_the_buffer_never_passes_the_limit_and_shrinks_again(self):
        client = opened(max_message=10000)
        stream = frame(BINARY, bytes(10000))
        most = 0
        for at in range(0, len(stream), 777):
            client.feed(stream[at : at + 777])
            event = client.next_event()
            most = max(most, len(client._message))
        self.assertEqual(len(event[1]), 10000)
        self.assertLessEqual(most, 10000)
        self.assertEqual(len(client._message), ws.FIRST_BUFFER)

    def test_a_length_in_a_longer_form_than_needed_is_refused(self):
        for stream in (
            b"\x82\x7e\x00\x7d",
            b"\x82\x7f\0\0\0\0\0\0\xff\xff",
            b"\x82\x7f\x80\0\0\0\0\1\0\0",
        ):
            self.fails(opened(), stream, 1002)

    def test_a_masked_frame_from_the_server_is_refused(self):
        self.fails(opened(), frame(TEXT, b"\0", mask=b"abcd"), 1002)

    def test_good_messages_before_a_bad_one_are_delivered(self):
        client = opened()
        client.feed(frame(TEXT, b"good") + frame(3))
        self.assertEqual(client.next_event(), (ws.TEXT, "good"))
        with self.assertRaises(Protocol):
            client.next_event()


class TestClosing(TestCase):
    def test_our_close_is_answered(self):
        client = opened()
        client.close(1000, "bye")
        client.close()
        self.assertEqual(client_frames(client.take()), [(CLOSE, close_payload(1000, b"bye"))])
        with self.assertRaises(Closed):
            client.send_binary(b"late")
        client.feed(frame(TEXT, b"still") + frame(PING) + frame(CLOSE, close_payload(1000)))
        events = []
        drain(client, events)
        self.assertEqual(events, [(ws.TEXT, "still"), (ws.PING, b""), (ws.CLOSE, (1000, ""))])
        self.assertEqual(client.take(), b"")

    def test_the_servers_close_is_echoed_once(self):
        client = opened()
        client.feed(frame(CLOSE, close_payload(1001, b"going")) + frame(TEXT, b"late"))
        self.assertEqual(client.next_event(), (ws.CLOSE, (1001, "going")))
        self.assertIsNone(client.next_event())
        self.assertEqual(client_frames(client.take()), [(CLOSE, close_payload(1001))])
        client.feed(b"anything")
        self.assertIsNone(client.next_event())

    def test_a_stream_that_just_ends_is_1006(self):
        for part in (b"", frame(TEXT, b"half")[:3], frame(TEXT, b"half", fin=False)):
            client = opened()
            if part:
                client.feed(part)
            self.assertIsNone(client.next_event())
            client.feed(b"")
            self.assertEqual(client.next_event(), (ws.CLOSE, (1006, "")))
            self.assertIsNone(client.next_event())

    def test_codes_that_may_not_be_sent_are_our_own_mistake(self):
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
            with self.assertRaises(Refused):
                opened().close(code)
        with self.assertRaises(Refused):
            opened().close(1000, "x" * 124)

    def test_giving_up_before_the_upgrade_sends_nothing(self):
        client = client_for()
        client.close()
        self.assertEqual(client.take(), b"")
        self.assertIsNone(client.next_event())


if __name__ == "__main__":
    main()
