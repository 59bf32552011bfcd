# The signalling connection: joining, being refused, pinging, leaving (protocol.md 1).

import fake_time
from harness import TestCase, main
from linnet import log
from linnet.errors import Closed, Protocol, Refused, Timeout
from linnet.options import RoomOptions
from linnet.port import Port
from linnet.signalling import SignalClient
from signal_server import JOIN, SignalServer
from ws_server import BINARY, TEXT, frame

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJiYWRnZSJ9.c2lnbmF0dXJl"
OFFER = {"type": "offer", "sdp": "v=0\r\n", "id": 1}
URL = "wss://host.test/prefix"


class Joining:
    """A client and its server. `said` is what the client told, `lost` its end."""

    def __init__(self, server=None, options=None):
        self.server = server or SignalServer()
        self.said = []
        self.lost = []
        self.steps = []
        port = Port(self.server, fake_time.VirtualClock())
        self.client = SignalClient(
            port,
            options or RoomOptions(),
            lambda name, message: self.said.append((name, message)),
            self.lost.append,
        )

    async def connect(self, url=URL, add_tracks=()):
        return await self.client.connect(url, TOKEN, OFFER, list(add_tracks), self.steps.append)

    async def joined(self):
        await self.connect()
        self.client.start()
        await fake_time.turns()
        return self


class Case(TestCase):
    def setUp(self):
        self.lines = []
        log.set_sink(lambda level, where, text: self.lines.append(text), log.DEBUG)

    def tearDown(self):
        log.set_sink(None, log.WARN)
        for line in self.lines:
            self.assertNotIn("eyJ", line)
            self.assertNotIn("c2ln", line)

    def join_fails(self, kind, server, options=None, url=URL):
        """The error of a join that fails; nothing stays open."""
        joining = Joining(server, options)
        with self.assertRaises(kind) as raised:
            fake_time.run(joining.connect(url))
        self.assertTrue(server.all_closed())
        self.assertFalse(joining.client.token)
        self.assertEqual(joining.lost, [])
        self.assertNotIn("eyJ", repr(raised.exception) + str(raised.exception))
        return raised.exception


class TestJoin(Case):
    def test_everything_is_inside_the_url_and_the_token_is_not(self):
        joining = Joining()
        request = {"cid": "TRx", "type": 0, "source": 2}
        join = fake_time.run(joining.connect(add_tracks=[request]))
        self.assertEqual(join["participant"]["identity"], "badge")
        self.assertEqual(joining.server.opened, [("host.test", 443, True)])
        head = joining.server.heads[0]
        self.assertTrue(head.startswith("GET /prefix/rtc/v1?join_request="))
        self.assertIn("\r\nAuthorization: Bearer " + TOKEN + "\r\n", head)
        self.assertEqual(head.count(TOKEN), 1)
        self.assertNotIn("access_token", head)
        self.assertNotIn("Sec-WebSocket-Extensions", head)
        inner, compression = joining.server.join_request()
        self.assertEqual(compression, 0)
        self.assertEqual(inner["publisher_offer"], OFFER)
        self.assertEqual(inner["add_track_requests"][0]["cid"], "TRx")
        self.assertTrue(inner["connection_settings"]["auto_subscribe"])
        self.assertEqual(inner["client_info"]["sdk"], 14)
        self.assertEqual(joining.steps, ["dns", "tcp", "tls", "ws", "join"])

    def test_join_request_is_padded_base64url(self):
        for cid in ("a", "ab", "abc", "abcd"):
            joining = Joining()
            fake_time.run(joining.connect(add_tracks=[{"cid": cid}]))
            target = joining.server.heads[0].split(" ")[1]
            value = target[target.index("join_request=") + 13 :].replace("%3D", "=")
            self.assertEqual(len(value) % 4, 0)
            for c in value:
                self.assertTrue(c.isalpha() or c.isdigit() or c in "-_=", c)

    def test_messages_before_and_after_the_join_are_told_in_order_and_only_after_start(self):
        first = ("refresh_token", "newer")
        rest = [("track_published", {"cid": "x"}), ("trickle", {"candidateInit": "{}"})]
        server = SignalServer([first, rest[0], ("join", JOIN), rest[1]])
        joining = Joining(server)

        async def test():
            await joining.connect()
            self.assertEqual(joining.said, [])
            joining.client.start()
            await fake_time.turns()

        fake_time.run(test())
        self.assertEqual(joining.said, [("refresh_token", None)] + rest)

    def test_text_and_unknown_messages_are_passed_over(self):
        server = SignalServer([frame(TEXT, b"{}"), frame(BINARY, b"\xfa\x3e\x01x"), ("join", JOIN)])
        join = fake_time.run(Joining(server).connect())
        self.assertEqual(join["room"]["name"], "hall")

    def test_more_than_a_first_flight_before_the_join_is_refused(self):
        server = SignalServer([("room_update", {})] * 1000 + [("join", JOIN)])
        self.assertEqual(self.join_fails(Protocol, server).code, "signal")


class TestRefusals(Case):
    def test_the_status_says_what_is_wrong(self):
        for status, text, code in (
            (401, "invalid token", "token-refused"),
            (401, "permissions denied", "token-refused"),
            (403, "no", "token-refused"),
            (400, "missing room", "join-refused"),
            (404, "requested room does not exist", "room-not-found"),
            (404, "404 page not found", "no-rtc-v1"),
            (500, "could not start session", "server-error"),
            (502, "", "server-error"),
            (503, "node limits reached", "server-busy"),
        ):
            with self.subTest(status=status, text=text):
                error = self.join_fails(Refused, SignalServer(refuse=(status, text), validate=None))
                self.assertEqual(error.code, code)
                self.assertIn(text, error.cause)

    def test_validate_is_asked_with_the_same_query_and_knows_better(self):
        server = SignalServer(refuse=(404, "page not found"), validate=(401, "invalid API key: x"))
        error = self.join_fails(Refused, server)
        self.assertEqual(error.code, "token-refused")
        self.assertIn("invalid API key", error.cause)
        first, second = server.heads
        query = first.split(" ")[1].split("?")[1]
        self.assertEqual(second.split(" ")[1], "/prefix/rtc/v1/validate?" + query)
        self.assertIn("Authorization: Bearer " + TOKEN, second)
        self.assertEqual(server.opened, [("host.test", 443, True)] * 2)

    def test_validate_that_says_success_or_hangs_leaves_the_first_answer(self):
        for validate in ((200, "success"), None):
            server = SignalServer(refuse=(503, "full"), validate=validate)
            self.assertEqual(self.join_fails(Refused, server).code, "server-busy")

    def test_a_token_that_the_server_repeats_is_not_shown(self):
        server = SignalServer(refuse=(401, "bad: " + TOKEN), validate=(401, "bad: " + TOKEN))
        self.assertEqual(self.join_fails(Refused, server).code, "token-refused")

    def test_leave_instead_of_join_gives_the_reason(self):
        server = SignalServer([("leave", {"reason": 2})])
        self.assertEqual(self.join_fails(Closed, server).code, "left-duplicate-identity")

    def test_a_close_before_the_join(self):
        server = SignalServer([frame(8, b"\x03\xe8")])
        self.assertEqual(self.join_fails(Closed, server).code, "ws-closed")

    def test_a_stream_that_ends_before_any_answer(self):
        server = SignalServer(refuse=None)
        server.on_bytes = lambda stream, data: stream.end()
        self.assertEqual(self.join_fails(Closed, server).code, "ws-closed")

    def test_silence_before_the_upgrade_and_before_the_join_is_a_timeout(self):
        server = SignalServer()
        server.silent = True
        self.assertEqual(self.join_fails(Timeout, server).code, "join-timeout")
        self.assertEqual(self.join_fails(Timeout, SignalServer([])).code, "join-timeout")

    def test_a_server_that_takes_no_bytes_is_a_timeout(self):
        server = SignalServer()
        server.takes_nothing = True
        self.assertEqual(self.join_fails(Timeout, server).code, "join-timeout")

    def test_a_refused_connection_keeps_its_error(self):
        server = SignalServer()
        server.fail = Refused("tls-refused", "the certificate is for another host")
        self.assertEqual(self.join_fails(Refused, server).code, "tls-refused")

    def test_garbage_instead_of_a_join(self):
        server = SignalServer([frame(BINARY, b"\xff\xff\xff")])
        self.assertEqual(self.join_fails(Protocol, server).code, "protobuf")

    def test_a_wrong_url_opens_nothing(self):
        server = SignalServer()
        self.assertEqual(self.join_fails(Refused, server, url="ftp://host").code, "bad-url-scheme")
        self.assertEqual(server.opened, [])


if __name__ == "__main__":
    main()
