# Tokens: what they allow, what is wrong with them, where they come from, and
# that none of their text is ever said.

from harness import TestCase, main, run
from linnet import compat, log
from linnet.errors import LinnetError, Protocol, Refused, Timeout
from linnet.log import Secret
from linnet.port import Port
from linnet.token import TokenSource, inspect
from scripted_net import HANG, ScriptedClock, ScriptedNet

NOW = 1795000000


def part(value):
    data = value if isinstance(value, bytes) else compat.json.dumps(value).encode()
    return compat.b64url_encode(data).rstrip("=")


def jwt(claims, header=None, signature=b"not verified here"):
    return (
        part(header or {"alg": "HS256", "typ": "JWT"}) + "." + part(claims) + "." + part(signature)
    )


def claims(video=None, **more):
    base = {"iss": "devkey", "sub": "badge-1", "exp": NOW + 600}
    base["video"] = {"roomJoin": True, "room": "r"}
    base["video"].update(video or {})
    base.update(more)
    return {k: v for k, v in base.items() if v is not None}


class TestPermissions(TestCase):
    def test_the_smallest_join_token(self):
        c = inspect(jwt(claims()))
        self.assertEqual((c.issuer, c.identity, c.room), ("devkey", "badge-1", "r"))
        self.assertTrue(c.room_join and c.can_subscribe and c.can_publish and c.can_publish_data)
        self.assertFalse(c.can_update_own_metadata or c.hidden or c.can_subscribe_metrics)
        self.assertEqual((c.can_publish_sources, c.admin_grants), ((), ()))
        self.assertEqual((c.kind, c.name, c.metadata), ("standard", "", ""))
        c.check(NOW)

    def test_effective_permissions(self):
        # grants, (subscribe, publish, data, own metadata)
        table = (
            ({"canPublish": False}, (True, False, False, False)),
            ({"canPublish": True}, (True, True, True, False)),
            ({"canPublish": False, "canPublishData": True}, (True, False, True, False)),
            ({"canPublish": True, "canPublishData": False}, (True, True, False, False)),
            ({"canPublishData": False}, (True, True, False, False)),
            ({"canSubscribe": False}, (False, True, True, False)),
            ({"canUpdateOwnMetadata": True}, (True, True, True, True)),
            ({"canPublish": None, "canSubscribe": None}, (True, True, True, False)),
        )
        for grants, expected in table:
            c = inspect(jwt(claims(grants)))
            self.assertEqual(
                (c.can_subscribe, c.can_publish, c.can_publish_data, c.can_update_own_metadata),
                expected,
            )

    def test_sources_limit_what_may_be_published(self):
        table = (
            ({}, True, True),
            ({"canPublishSources": []}, True, True),
            ({"canPublishSources": ["camera"]}, False, True),
            ({"canPublishSources": ["microphone", "camera"]}, True, True),
            ({"canPublishSources": ["microphone"], "canPublish": False}, False, False),
        )
        for grants, microphone, camera in table:
            c = inspect(jwt(claims(grants)))
            self.assertEqual(c.can_publish_source("microphone"), microphone)
            self.assertEqual(c.can_publish_source("camera"), camera)

    def test_grants_of_a_backend_are_named(self):
        c = inspect(jwt(claims({"roomAdmin": True, "roomList": True}, sip={"call": True})))
        self.assertEqual(sorted(c.admin_grants), ["roomAdmin", "roomList", "sip.call"])

    def test_other_claims_are_kept(self):
        c = inspect(
            jwt(claims(name="B", attributes={"a": "b"}, roomConfig={"agents": []}, kind="sip"))
        )
        self.assertEqual((c.name, c.attributes, c.kind), ("B", {"a": "b"}, "sip"))
        self.assertEqual(c.room_config, {"agents": []})

    def test_jti_is_the_identity_when_sub_is_missing(self):
        self.assertEqual(inspect(jwt(claims(sub=None, jti="x"))).identity, "x")


class TestCheck(TestCase):
    def refuses(self, fields, code, said, now=NOW):
        with self.assertRaises(Refused) as raised:
            inspect(jwt(fields)).check(now)
        self.assertEqual(raised.exception.code, code)
        self.assertIn(said, str(raised.exception))

    def test_expiry_with_a_minute_of_leeway(self):
        inspect(jwt(claims(exp=NOW - 60))).check(NOW)
        self.refuses(claims(exp=NOW - 61), "token-expired", "expired 1 minute ago")
        self.refuses(claims(exp=NOW - 7300), "token-expired", "expired 2 hours ago")
        self.refuses(claims(exp=NOW - 200000), "token-expired", "expired 2 days ago")
        self.refuses(claims(exp=0), "token-expired", "days ago")
        self.refuses(claims(exp=None), "token-no-expiry", "no expiry")

    def test_not_yet_valid_with_a_minute_of_leeway(self):
        inspect(jwt(claims(nbf=NOW + 60, iat=NOW + 60))).check(NOW)
        self.refuses(claims(nbf=NOW + 61), "token-not-yet-valid", "valid in 1 minute")
        self.refuses(claims(iat=NOW + 3600), "token-not-yet-valid", "issued 1 hour from now")

    def test_a_machine_without_the_time_checks_only_the_rest(self):
        inspect(jwt(claims(exp=1, nbf=NOW * 2))).check(0)
        self.refuses(claims({"room": ""}), "missing-grant", "video.room:", now=0)

    def test_missing_grants_are_named(self):
        self.refuses(claims({"roomJoin": False}), "missing-grant", "video.roomJoin")
        self.refuses(claims({"roomJoin": None}), "missing-grant", "video.roomJoin")
        self.refuses(claims(video={"room": None}), "missing-grant", "video.room:")
        self.refuses(claims(sub=""), "token-no-identity", "no identity")
        fields = claims()
        del fields["video"]
        self.refuses(fields, "missing-grant", "video.roomJoin")


class TestMalformed(TestCase):
    def test_each_defect_is_told_apart(self):
        good = jwt(claims())
        head, body, sig = good.split(".")
        table = (
            ("", "is empty"),
            (None, "is empty"),
            (b"bytes", "is empty"),
            (good + "." + sig, "4 parts"),
            (head + "." + body, "2 parts"),
            ("devkey", "1 parts"),
            ("!" + good, "header that is not base64url"),
            (head + "." + body[:-1] + "\n." + sig, "payload that is not base64url"),
            (good + "=x", "signature that is not base64url"),
            (head + "." + body + ".", "no signature"),
            (part(b"{") + "." + body + "." + sig, "header that is not a JSON object"),
            (head + "." + part(b"[1]") + "." + sig, "payload that is not a JSON object"),
            (head + "." + part(b"\xff\xfe") + "." + sig, "payload that is not a JSON object"),
            (head + "." + part(b"[" * 9000) + "." + sig, "payload that is not a JSON object"),
            (head + ".." + sig, "payload that is not a JSON object"),
            ("a" * 20000, "longer than 16384"),
        )
        for text, said in table:
            with self.subTest(said=said):
                with self.assertRaises(Refused) as raised:
                    inspect(text)
                self.assertEqual(raised.exception.code, "token-malformed")
                self.assertIn(said, str(raised.exception))

    def test_claims_of_the_wrong_type_are_named(self):
        table = (
            (claims(sub=5), "sub"),
            (claims(exp="tomorrow"), "exp"),
            (claims(exp=True), "exp"),
            (claims({"canPublish": "true"}), "video.canPublish"),
            (claims({"roomJoin": 1}), "video.roomJoin"),
            (claims({"canPublishSources": "camera"}), "video.canPublishSources"),
            (dict(claims(), video=[]), "video"),
        )
        for fields, name in table:
            with self.assertRaises(Refused) as raised:
                inspect(jwt(fields))
            self.assertIn("claim " + name, str(raised.exception))

    def test_a_time_with_a_fraction_is_a_time(self):
        body = compat.json.dumps(claims(exp=None, nbf=None)).encode()
        c = inspect(jwt(body[:-1] + b', "exp": 1024.5}'))
        self.assertEqual(c.expires_at, 1024)

    def test_a_number_that_is_none_is_refused(self):
        for text in (b"1e999", b"-1e999"):
            with self.assertRaises(Refused):
                inspect(jwt(b'{"exp": ' + text + b"}"))

    def test_no_defect_makes_it_say_the_token(self):
        good = jwt(claims())
        said = []
        for i in range(len(good)):
            for text in (good[:i], good[:i] + "!" + good[i:], good[:i] + good[i + 1 :]):
                try:
                    inspect(text).check(NOW + 5000)
                except LinnetError as error:
                    said.append(str(error) + repr(error) + repr(error.args))
        self.assertGreater(len(said), len(good))
        for words in said:
            for secret in good.split("."):
                for at in range(0, len(secret) - 12, 6):
                    self.assertNotIn(secret[at : at + 12], words)


def answer(body, status=200):
    data = body if isinstance(body, bytes) else compat.json.dumps(body).encode()
    return [b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(data)), data]


def good_answer(exp=NOW + 600):
    return answer({"server_url": "wss://h", "participant_token": jwt(claims(exp=exp)), "more": 1})


class TestSources(TestCase):
    def setUp(self):
        self.logged = []
        log.set_sink(lambda level, where, text: self.logged.append(text), log.DEBUG)

    def tearDown(self):
        log.set_sink(None, log.WARN)
        self.assertNotIn("eyJ", str(self.logged))

    def source(self, **options):
        return TokenSource.endpoint("https://t.example/api", **options)

    def test_literal_gives_what_it_was_given(self):
        details = run(TokenSource.literal("ws://h", "eyJ.x.y").fetch(None))
        self.assertEqual(details.server_url, "ws://h")
        self.assertEqual(details.participant_token.reveal(), "eyJ.x.y")
        self.assertNotIn("eyJ", repr(details) + str(details.participant_token))
        again = TokenSource.literal("ws://h", Secret("eyJ.x.y"))
        self.assertEqual(run(again.fetch(None)).participant_token.reveal(), "eyJ.x.y")

    def test_endpoint_posts_json_and_reads_the_answer(self):
        net = ScriptedNet(good_answer())
        source = self.source(headers={"X-Sandbox-ID": "s"})
        options = {
            "room_name": "r",
            "participant_attributes": {"a": "b"},
            "agent_name": "ag",
            "agent_metadata": "m",
        }
        details = run(source.fetch(Port(net, ScriptedClock(NOW)), **options))
        self.assertEqual(details.server_url, "wss://h")
        self.assertEqual(inspect(details.participant_token).identity, "badge-1")
        self.assertEqual(net.opened, [("t.example", 443, True)])
        head, _, body = net.streams[0].sent.decode().partition("\r\n\r\n")
        self.assertEqual(head.split("\r\n")[0], "POST /api HTTP/1.1")
        self.assertIn("\r\nContent-Type: application/json\r\n", head)
        self.assertIn("\r\nX-Sandbox-ID: s\r\n", head)
        self.assertEqual(
            compat.json.loads(body),
            {
                "room_name": "r",
                "participant_attributes": {"a": "b"},
                "room_config": {"agents": [{"agent_name": "ag", "metadata": "m"}]},
            },
        )

    def test_camel_case_and_201_are_accepted(self):
        for name in ("serverUrl", "serverURL"):
            body = {name: "ws://h", "participantToken": jwt(claims())}
            details = run(
                self.source().fetch(Port(ScriptedNet(answer(body, 201)), ScriptedClock(NOW)))
            )
            self.assertEqual(details.server_url, "ws://h")

    def test_an_answer_is_kept_until_it_expires_or_the_options_change(self):
        clock = ScriptedClock(NOW)
        net = ScriptedNet(*[good_answer() for _ in range(4)])
        port, source = Port(net, clock), self.source()
        first = run(source.fetch(port, room_name="a"))
        clock.now = NOW + 599
        self.assertIs(run(source.fetch(port, room_name="a")), first)
        self.assertEqual(len(net.opened), 1)
        run(source.fetch(port, room_name="b"))
        self.assertEqual(len(net.opened), 2)
        clock.now = NOW + 600
        run(source.fetch(port, room_name="b"))
        self.assertEqual(len(net.opened), 3)
        source.forget()
        run(source.fetch(port, room_name="b"))
        self.assertEqual(len(net.opened), 4)

    def test_a_token_without_expiry_or_a_machine_without_time_keeps_nothing(self):
        for now, exp in ((NOW, None), (0, NOW + 600)):
            net = ScriptedNet(good_answer(exp), good_answer(exp))
            port, source = Port(net, ScriptedClock(now)), self.source()
            run(source.fetch(port))
            run(source.fetch(port))
            self.assertEqual(len(net.opened), 2)

    def test_every_trouble_of_the_endpoint_is_told_apart(self):
        token_text = jwt(claims())
        said_token = answer(b"bad token " + token_text.encode(), 403)
        table = (
            (said_token, Refused, "token-source-refused", "answered 403: bad token ***"),
            (answer(b"", 500), Refused, "token-source-refused", "answered 500."),
            (answer(b"", 302), Refused, "http-redirect", "302"),
            (answer(b"<html>"), Protocol, "token-source-answer", "not a JSON object"),
            (answer(b"\xff"), Protocol, "token-source-answer", "not a JSON object"),
            (answer([]), Protocol, "token-source-answer", "not a JSON object"),
            (
                answer({"participant_token": token_text}),
                Protocol,
                "token-source-answer",
                "server_url",
            ),
            (
                answer({"server_url": "ws://h"}),
                Protocol,
                "token-source-answer",
                "participant_token",
            ),
            (answer({"server_url": 5}), Protocol, "token-source-answer", "server_url"),
            (
                answer({"server_url": "h", "participant_token": token_text}),
                Refused,
                "bad-url-scheme",
                "",
            ),
            (
                answer({"server_url": "ws://h", "participant_token": "x"}),
                Refused,
                "token-malformed",
                "1 parts",
            ),
            ([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70000], Protocol, "http-too-large", ""),
            ([], LinnetError, "ws-closed", ""),
            (Refused("host-unreachable", "no route"), Refused, "host-unreachable", ""),
        )
        for script, kind, code, said in table:
            with self.subTest(code=code, said=said):
                port = Port(ScriptedNet(script), ScriptedClock(NOW))
                with self.assertRaises(kind) as raised:
                    run(self.source().fetch(port))
                words = str(raised.exception) + repr(raised.exception)
                self.assertEqual(raised.exception.code, code)
                self.assertIn(said, words)
                self.assertNotIn("eyJ", words)

    def test_a_silent_endpoint_is_a_timeout(self):
        port = Port(ScriptedNet([HANG]), ScriptedClock(NOW))
        with self.assertRaises(Timeout) as raised:
            run(self.source(timeout_ms=5).fetch(port))
        self.assertEqual(raised.exception.code, "http-timeout")

    def test_an_unknown_option_is_our_own_mistake(self):
        with self.assertRaises(Refused) as raised:
            run(self.source().fetch(Port(None, None), room="r"))
        self.assertEqual(raised.exception.code, "bad-argument")

    def test_a_wrong_address_is_known_at_once(self):
        with self.assertRaises(Refused):
            TokenSource.endpoint("t.example/api")


if __name__ == "__main__":
    main()
