# URLs: what is accepted, what is refused with which code, and that a pasted
# secret is never repeated.

from harness import TestCase, main
from linnet import url
from linnet.errors import Refused

LONGEST = ".".join(["a" * 63] * 3 + ["a" * 61])  # 253 characters


class TestParse(TestCase):
    def test_parts(self):
        cases = (
            # text, secure, host, port, target, authority
            ("ws://localhost:7880", False, "localhost", 7880, "/", "localhost:7880"),
            ("wss://a.livekit.cloud", True, "a.livekit.cloud", 443, "/", "a.livekit.cloud"),
            ("wss://A.B:443/x/", True, "a.b", 443, "/x/", "a.b"),
            ("http://a:80/", False, "a", 80, "/", "a"),
            ("https://a:80/p?q=1&r", True, "a", 80, "/p?q=1&r", "a:80"),
            ("WS://10.0.0.1?x", False, "10.0.0.1", 80, "/?x", "10.0.0.1"),
            ("ws://[::1]:7880/rtc", False, "::1", 7880, "/rtc", "[::1]:7880"),
            ("wss://[2001:DB8::1]", True, "2001:db8::1", 443, "/", "[2001:db8::1]"),
            ("ws://[::ffff:1.2.3.4]:1", False, "::ffff:1.2.3.4", 1, "/", "[::ffff:1.2.3.4]:1"),
            (" ws://a:65535\n", False, "a", 65535, "/", "a:65535"),
            ("ws://a:/b", False, "a", 80, "/b", "a"),
            ("ws://a.b.:1", False, "a.b.", 1, "/", "a.b.:1"),
            ("ws://%s" % LONGEST, False, LONGEST, 80, "/", LONGEST),
            ("ws://under_score.x-y/%20%C3%A9", False, "under_score.x-y", 80, "/%20%C3%A9", None),
        )
        for text, secure, host, port, target, authority in cases:
            with self.subTest(text=text):
                u = url.parse(text)
                self.assertEqual((u.secure, u.host, u.port, u.target), (secure, host, port, target))
                self.assertEqual(u.authority, authority or host)

    def test_refused(self):
        cases = (
            ("", "bad-url-scheme"),
            ("localhost:7880", "bad-url-scheme"),
            ("ftp://a", "bad-url-scheme"),
            ("wsss://a", "bad-url-scheme"),
            ("//a", "bad-url-scheme"),
            ("ws:/a", "bad-url-scheme"),
            ("ws://", "bad-url"),
            ("ws:///path", "bad-url"),
            ("ws://:80", "bad-url"),
            ("ws://user:pass@host", "bad-url"),
            ("ws://user@host", "bad-url"),
            ("ws://host#frag", "bad-url"),
            ("ws://host/a b", "bad-url"),
            ("ws://host/a\r\nX: y", "bad-url"),
            ("ws://h\u00f6st", "bad-url"),
            ("ws://h\x7fst", "bad-url"),
            ("ws://ho%20st", "bad-url"),
            ("ws://host:0", "bad-url"),
            ("ws://host:65536", "bad-url"),
            ("ws://host:-1", "bad-url"),
            ("ws://host:+80", "bad-url"),
            ("ws://host:8a", "bad-url"),
            ("ws://host:000080", "bad-url"),
            ("ws://::1", "bad-url"),
            ("ws://[::1", "bad-url"),
            ("ws://[::1]80", "bad-url"),
            ("ws://[1.2.3.4]", "bad-url"),
            ("ws://[fe80::1%25eth0]", "bad-url"),
            ("ws://" + "a" * 254, "bad-url"),
            ("ws://" + "a" * 64, "bad-url"),
            ("ws://b." + "a" * 64 + ".c", "bad-url"),
            ("ws://" + "a." * 127 + "a", "bad-url"),
            ("ws://a..b", "bad-url"),
            ("ws://.a", "bad-url"),
            ("ws://a..", "bad-url"),
            ("ws://.", "bad-url"),
            ("ws://a/" + "a" * url.MAX_URL, "bad-url"),
        )
        for text, code in cases:
            with self.subTest(text=text):
                with self.assertRaises(Refused) as raised:
                    url.parse(text)
                self.assertEqual(raised.exception.code, code)

    def test_a_pasted_secret_is_not_repeated(self):
        for text in (
            "eyJhbGciOi.J9.sig",
            "eyJhbGciOi://x",
            "ws://u:hunter2@h",
            "ws://h/?access_token=eyJhbGciOi#",
            "hunter2 ws://h",
            "hunter2://h",
            "hunterhunter://h",
        ):
            with self.assertRaises(Refused) as raised:
                url.parse(text)
            said = str(raised.exception) + repr(raised.exception)
            self.assertNotIn("hunter", said)
            self.assertNotIn("eyJ", said)

    def test_a_user_name_is_named_as_the_trouble(self):
        with self.assertRaises(Refused) as raised:
            url.parse("ws://user:pass@host")
        self.assertIn("user name", str(raised.exception))

    def test_what_is_wrong_with_a_host_name_is_told(self):
        for host, word in (("a..b", "empty part"), ("a" * 64, "63"), ("a." * 127 + "a", "253")):
            with self.assertRaises(Refused) as raised:
                url.parse("ws://" + host)
            self.assertIn(word, raised.exception.cause)

    def test_an_unknown_scheme_is_named(self):
        with self.assertRaises(Refused) as raised:
            url.parse("rtsp://camera")
        self.assertIn("'rtsp'", str(raised.exception))
        self.assertIn("wss://", raised.exception.cure)


class TestBuild(TestCase):
    def test_a_path_prefix_is_kept(self):
        for base in ("wss://h/prefix", "wss://h/prefix/", "wss://h/prefix?old=1"):
            target = url.parse(base).under("/rtc/v1", (("a", 1),)).target
            self.assertEqual(target, "/prefix/rtc/v1?a=1")
        self.assertEqual(url.parse("ws://h").under("/rtc").target, "/rtc")

    def test_the_same_place_over_http(self):
        self.assertEqual(str(url.parse("wss://h:7/p?q").as_http()), "https://h:7/p?q")
        self.assertEqual(str(url.parse("ws://h").as_http()), "http://h/")
        self.assertEqual(str(url.parse("https://h").as_http()), "https://h/")

    def test_query_values_are_percent_encoded(self):
        text = url.query((("join_request", "a-_=+/"), ("n", 5), ("gone", None), ("x y", "\u017c&")))
        self.assertEqual(text, "join_request=a-_%3D%2B%2F&n=5&x%20y=%C5%BC%26")

    def test_quoting_keeps_only_unreserved_characters(self):
        plain = "AZaz09-._~"
        self.assertEqual(url.quote(plain), plain)
        for code in range(128):
            if chr(code) not in url._UNRESERVED:
                self.assertEqual(url.quote(chr(code)), "%%%02X" % code)

    def test_text_of_a_url_parses_to_the_same(self):
        for text in ("ws://[::1]:7880/a?b=c", "https://h/", "wss://h:1/%41"):
            self.assertEqual(str(url.parse(text)), text)


if __name__ == "__main__":
    main()
