# The cases of the Autobahn test suite that concern a client without
# compression (sections 1-7, 9, 10), as data, under Autobahn's numbers; each
# stream is fed whole, in pieces and byte by byte. Sections 12 and 13
# (compression) do not apply: no extension is ever offered. 9.x is run at 64
# and 256 KiB and, with the limit raised, 1 MiB; beyond the limit: 1009.

from harness import TestCase, main
from linnet import ws
from linnet.errors import Protocol
from ws_server import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    client_frames,
    close_payload,
    drain,
    frame,
    opened,
)

KIB = 1024
BYE = frame(CLOSE, close_payload(1000))

# What must happen: the messages and control frames the caller gets, then how it
# ends: ("bye",) = clean close, or ("fail", code of our close frame).
BYE_END = ("bye",)


def text(value):
    return (ws.TEXT, value)


def binary(value):
    return (ws.BINARY, value)


def ping(value=b""):
    return (ws.PING, value)


def pong(value=b""):
    return (ws.PONG, value)


def fail(code=1002):
    return ("fail", code)


def fragments(opcode, pieces):
    """One message in pieces."""
    out = b""
    for i, piece in enumerate(pieces):
        out += frame(CONT if i else opcode, piece, fin=i == len(pieces) - 1)
    return out


def payload_cases():
    for i, n in enumerate((0, 125, 126, 127, 128, 65535, 65536)):
        yield "1.1.%d" % (i + 1), frame(TEXT, b"*" * n), [text("*" * n)]
        yield "1.2.%d" % (i + 1), frame(BINARY, b"\xfe" * n), [binary(b"\xfe" * n)]


def ping_cases():
    yield "2.1", frame(PING), [ping()]
    yield "2.2", frame(PING, b"Hello, world!"), [ping(b"Hello, world!")]
    yield (
        "2.3",
        frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        [ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
    )
    yield "2.4", frame(PING, b"\xfe" * 125), [ping(b"\xfe" * 125)]
    yield "2.5", frame(PING, b"\xfe" * 126), [fail()]
    yield "2.7", frame(PONG), [pong()]
    yield "2.8", frame(PONG, b"unsolicited"), [pong(b"unsolicited")]
    yield "2.9", frame(PONG, b"unsolicited") + frame(PING, b"p"), [pong(b"unsolicited"), ping(b"p")]
    tens = [b"payload-%d" % i for i in range(10)]
    yield "2.10", b"".join([frame(PING, p) for p in tens]), [ping(p) for p in tens]


def reserved_cases():
    hello = frame(TEXT, b"Hello")
    yield "3.1", frame(TEXT, b"Hello", rsv=1), [fail()]
    yield "3.2", hello + frame(TEXT, b"Hello", rsv=2) + frame(PING), [text("Hello"), fail()]
    yield "3.3", hello + frame(TEXT, b"Hello", rsv=3) + frame(PING), [text("Hello"), fail()]
    yield "3.5", frame(BINARY, b"\xff", rsv=5), [fail()]
    yield "3.6", frame(PING, b"Hello", rsv=6), [fail()]
    yield "3.7", frame(CLOSE, rsv=7), [fail()]
    for i in range(5):
        yield "4.1.%d" % (i + 1), hello + frame(3 + i, b"x"), [text("Hello"), fail()]
        yield "4.2.%d" % (i + 1), hello + frame(11 + i), [text("Hello"), fail()]


def fragment_cases():
    two = fragments(TEXT, (b"fragment1", b"fragment2"))
    both = text("fragment1fragment2")
    yield "5.1", frame(PING, b"fragment1", fin=False) + frame(CONT, b"fragment2"), [fail()]
    yield "5.2", frame(PONG, b"fragment1", fin=False) + frame(CONT, b"fragment2"), [fail()]
    yield "5.3", two, [both]
    between = (
        frame(TEXT, b"fragment1", fin=False) + frame(PING, b"ping") + frame(CONT, b"fragment2")
    )
    yield "5.6", between, [ping(b"ping"), both]
    yield "5.9", frame(CONT, b"nothing") + frame(TEXT, b"x"), [fail()]
    yield "5.12", frame(CONT, b"nothing", fin=False) + frame(TEXT, b"x"), [fail()]
    yield "5.15", two + frame(CONT, b"nothing", fin=False) + frame(TEXT, b"x"), [both, fail()]
    yield "5.18", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), [fail()]
    five = (
        frame(TEXT, b"1", fin=False)
        + frame(CONT, b"2", fin=False)
        + frame(PING, b"p1")
        + frame(CONT, b"3", fin=False)
        + frame(CONT, b"4", fin=False)
        + frame(PING, b"p2")
        + frame(CONT, b"5")
    )
    yield "5.19", five, [ping(b"p1"), ping(b"p2"), text("12345")]


# Section 6, valid UTF-8: each stands for text that must pass, whole and in fragments.
VALID_UTF8 = (
    ("6.2.1", b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"),
    ("6.5.1", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"),
    ("6.6.2", b"\xce\xba"),
    ("6.6.5", b"\xce\xba\xe1\xbd\xb9"),
    ("6.6.7", b"\xce\xba\xe1\xbd\xb9\xcf\x83"),
    ("6.7.1", b"\x00"),
    ("6.7.2", b"\xc2\x80"),
    ("6.7.3", b"\xe0\xa0\x80"),
    ("6.7.4", b"\xf0\x90\x80\x80"),
    ("6.9.1", b"\x7f"),
    ("6.9.2", b"\xdf\xbf"),
    ("6.9.3", b"\xef\xbf\xbf"),
    ("6.9.4", b"\xf4\x8f\xbf\xbf"),
    ("6.11.1", b"\xed\x9f\xbf"),
    ("6.11.2", b"\xee\x80\x80"),
    ("6.11.3", b"\xef\xbf\xbd"),
    ("6.11.4", b"\xf4\x8f\xbf\xbf"),
    ("6.22.1", b"\xef\xbf\xbe"),
    ("6.22.2", b"\xef\xbf\xbf"),
    ("6.22.3", b"\xf0\x9f\xbf\xbe"),
    ("6.22.34", b"\xf4\x8f\xbf\xbf"),
    ("6.23.1", b"\xef\xbf\xb9"),
    ("6.23.7", b"\xef\xbf\xbf"),
)

# Section 6, invalid: (number, bytes, how many of them can still become valid).
INVALID_UTF8 = (
    ("6.3.1", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", 12),
    ("6.6.1", b"\xce", 1),
    ("6.6.3", b"\xce\xba\xe1", 3),
    ("6.6.4", b"\xce\xba\xe1\xbd", 4),
    ("6.6.6", b"\xce\xba\xe1\xbd\xb9\xcf", 6),
    ("6.8.1", b"\xf8\x88\x80\x80\x80", 0),
    ("6.8.2", b"\xfc\x84\x80\x80\x80\x80", 0),
    ("6.10.1", b"\xf7\xbf\xbf\xbf", 0),
    ("6.10.2", b"\xfb\xbf\xbf\xbf\xbf", 0),
    ("6.10.3", b"\xfd\xbf\xbf\xbf\xbf\xbf", 0),
    ("6.11.5", b"\xf4\x90\x80\x80", 1),
    ("6.12.1", b"\x80", 0),
    ("6.12.2", b"\xbf", 0),
    ("6.12.8", b"\x80\xbf\x80\xbf\x80\xbf\xbe", 0),
    ("6.13.1", b"\xc0 \xc1 \xc2 \xc3 ", 0),
    ("6.13.2", b"\xe0 \xe1 \xe2 \xe3 ", 1),
    ("6.13.3", b"\xf0 \xf1 \xf2 \xf3 ", 1),
    ("6.13.4", b"\xf8 \xf9 ", 0),
    ("6.13.5", b"\xfc ", 0),
    ("6.14.1", b"\xc0", 0),
    ("6.14.2", b"\xe0\x80", 1),
    ("6.14.3", b"\xf0\x80\x80", 1),
    ("6.14.6", b"\xdf", 1),
    ("6.14.7", b"\xef\xbf", 2),
    ("6.14.8", b"\xf7\xbf\xbf", 0),
    ("6.16.1", b"\xfe", 0),
    ("6.16.2", b"\xff", 0),
    ("6.16.3", b"\xfe\xfe\xff\xff", 0),
    ("6.17.1", b"\xc0\xaf", 0),
    ("6.17.2", b"\xe0\x80\xaf", 1),
    ("6.17.3", b"\xf0\x80\x80\xaf", 1),
    ("6.18.1", b"\xc1\xbf", 0),
    ("6.18.2", b"\xe0\x9f\xbf", 1),
    ("6.18.3", b"\xf0\x8f\xbf\xbf", 1),
    ("6.19.1", b"\xc0\x80", 0),
    ("6.19.2", b"\xe0\x80\x80", 1),
    ("6.20.1", b"\xed\xa0\x80", 1),
    ("6.20.4", b"\xed\xaf\xbf", 1),
    ("6.20.7", b"\xed\xbf\xbf", 1),
    ("6.21.1", b"\xed\xa0\x80\xed\xb0\x80", 1),
    ("6.21.8", b"\xed\xaf\xbf\xed\xbf\xbf", 1),
)


def utf8_cases():
    yield "6.1.1", frame(TEXT), [text("")]
    yield "6.1.2", fragments(TEXT, (b"", b"", b"")), [text("")]
    yield (
        "6.1.3",
        fragments(TEXT, (b"", b"middle frame payload", b"")),
        [text("middle frame payload")],
    )
    for number, data in VALID_UTF8:
        yield number, frame(TEXT, data), [text(data.decode())]
        pieces = [data[i : i + 1] for i in range(len(data))]
        yield number + "/fragments", fragments(TEXT, pieces), [text(data.decode())]
    for number, data, _ in INVALID_UTF8:
        yield number, frame(TEXT, data), [fail(1007)]
        pieces = [data[i : i + 1] for i in range(len(data))]
        yield number + "/fragments", fragments(TEXT, pieces), [fail(1007)]
        yield number + "/binary", frame(BINARY, data), [binary(data)]


def close_cases():
    late = frame(TEXT, b"late")
    yield "7.1.2", BYE + BYE, []
    yield "7.1.3", BYE + frame(PING), []
    yield "7.1.4", BYE + late, []
    yield "7.1.5", frame(TEXT, b"a", fin=False) + BYE + frame(CONT, b"b"), []
    yield "7.1.6", frame(TEXT, b"B" * 256 * KIB) + BYE + frame(PING), [text("B" * 256 * KIB)]
    yield "7.3.1", frame(CLOSE), [("bye", 1005, "")]
    yield "7.3.2", frame(CLOSE, b"a"), [fail()]
    yield "7.3.3", frame(CLOSE, close_payload(1000)), [("bye", 1000, "")]
    yield "7.3.4", frame(CLOSE, close_payload(1000, b"Hello")), [("bye", 1000, "Hello")]
    yield "7.3.5", frame(CLOSE, close_payload(1000, b"*" * 123)), [("bye", 1000, "*" * 123)]
    yield "7.3.6", frame(CLOSE, close_payload(1000, b"*" * 124)), [fail()]
    yield "7.5.1", frame(CLOSE, close_payload(1000, b"\xce\xba\xed\xa0\x80edited")), [fail(1007)]
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield "7.7/%d" % code, frame(CLOSE, close_payload(code)), [("bye", code, "")]
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield "7.9/%d" % code, frame(CLOSE, close_payload(code)), [fail()]


class TestCases(TestCase):
    def plays(self, number, stream, expected, step):
        """Feed `stream` in steps; compare events, the end, and every frame we sent."""
        expected = list(expected)
        if not expected or expected[-1][0] not in ("bye", "fail"):
            expected.append(("bye", 1000, ""))
            stream = stream + BYE
        client = opened()
        events, sent = [], b""
        try:
            for at in range(0, len(stream), step):
                client.feed(stream[at : at + step])
                drain(client, events)
                sent += client.take()
        except Protocol as error:
            events.append(("fail", 1009 if error.code == "ws-too-large" else None))
        sent = client_frames(sent + client.take())
        where = "%s in steps of %d" % (number, step)
        end = expected.pop()
        got = events.pop()
        self.assertEqual(events, expected, where)
        pongs = [(PONG, value) for kind, value in expected if kind == ws.PING]
        if end[0] == "fail":
            self.assertEqual(got[0], "fail", where)
            self.assertEqual(sent[-1], (CLOSE, close_payload(end[1])), where)
        else:
            self.assertEqual(got, (ws.CLOSE, (end[1], end[2])), where)
            echo = b"" if end[1] == 1005 else close_payload(end[1])
            self.assertEqual(sent, pongs + [(CLOSE, echo)], where)

    def all_of(self, cases, runs):
        count = 0
        for number, stream, expected in cases:
            for step in (len(stream) + 9, 997, 1):
                if step > 1 or len(stream) < 4000:
                    self.plays(number, stream, expected, step)
                    count += 1
        self.assertEqual(count, runs)

    def test_1_payload_lengths(self):
        self.all_of(payload_cases(), 38)

    def test_2_pings_and_pongs(self):
        self.all_of(ping_cases(), 27)

    def test_3_and_4_reserved_bits_and_opcodes(self):
        self.all_of(reserved_cases(), 48)

    def test_5_fragmentation(self):
        self.all_of(fragment_cases(), 27)

    def test_6_utf8(self):
        self.all_of(utf8_cases(), 516)

    def test_6_4_invalid_text_fails_before_it_is_complete(self):
        for number, data, good in INVALID_UTF8:
            client = opened()
            client.feed(frame(TEXT, data[:good], size=100))
            self.assertIsNone(client.next_event(), number)
            if good < len(data):
                client.feed(data[good : good + 1])
                with self.assertRaises(Protocol):
                    client.next_event()

    def test_7_closing(self):
        self.all_of(close_cases(), 110)

    def test_9_and_10_large_messages_in_every_cut(self):
        for size, limit in ((64 * KIB, 0), (256 * KIB, 0), (1024 * KIB, 1024 * KIB)):
            data = b"\xfe" * size
            for cut in (1300, 4096, 64 * KIB, size):
                client = opened(max_message=limit or ws.MAX_MESSAGE)
                got = None
                for at in range(0, size, cut):
                    piece = frame(CONT if at else BINARY, data[at : at + cut], fin=at + cut >= size)
                    client.feed(piece)
                    got = client.next_event()
                self.assertEqual(got[0], ws.BINARY)
                self.assertTrue(got[1] == data, "%d in %d" % (size, cut))
        client = opened()
        client.feed(frame(BINARY, size=1024 * KIB))
        with self.assertRaises(Protocol):
            client.next_event()
        self.assertEqual(client_frames(client.take()), [(CLOSE, close_payload(1009))])


if __name__ == "__main__":
    main()
