# Logging: the sink gets what it asked for, and secrets are never seen.

from harness import TestCase, main
from linnet import log
from linnet.log import Secret

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-_"


class TestSecret(TestCase):
    def test_no_way_of_printing_shows_it(self):
        secret = Secret(TOKEN)
        for shown in (
            str(secret),
            repr(secret),
            "%s" % secret,
            "%r" % secret,
            "{}".format(secret),
            f"{secret}",
            str([secret]),
            str({"token": secret}),
        ):
            self.assertIn("***", shown)
            self.assertNotIn("eyJ", shown)

    def test_reveal_gives_it_and_wipe_forgets_it(self):
        secret = Secret(Secret(TOKEN))
        self.assertEqual(secret.reveal(), TOKEN)
        self.assertTrue(secret)
        secret.wipe()
        self.assertFalse(secret)
        self.assertEqual(secret.reveal(), "")


class TestBeforeAnybodyAskedForASink(TestCase):
    def test_a_warning_is_said_and_breaks_nothing(self):
        fresh = log._State()
        self.assertEqual(fresh.level, log.WARN)
        fresh.sink(log.WARN, "tests", "this line on stderr is meant")


class TestLog(TestCase):
    def setUp(self):
        self.lines = []
        log.set_sink(lambda level, where, text: self.lines.append((level, where, text)))

    def tearDown(self):
        log.set_sink(None, log.WARN)

    def test_the_sink_gets_level_where_and_joined_text(self):
        log.log(log.WARN, "ws", "closed with", 1006, None)
        self.assertEqual(self.lines, [(log.WARN, "ws", "closed with 1006 None")])

    def test_less_than_the_level_is_not_said(self):
        log.log(log.DEBUG, "ws", "detail")
        self.assertEqual(self.lines, [])

    def test_secrets_and_token_shaped_text_become_stars(self):
        log.log(log.INFO, "x", Secret("hunter2"), "Bearer " + TOKEN + ",", TOKEN)
        self.assertEqual(self.lines[0][2], "*** Bearer ***, ***")

    def test_redact_leaves_other_text_alone(self):
        for text in ("", "key eJ", "the room is closed", "ey J", "viewok.", "keyAlias.of.x"):
            self.assertEqual(log.redact(text), text)
        for start in ("eyA", "ewo", "ew0", "ewk", "e30."):
            self.assertEqual(log.redact("x " + start + TOKEN[3:] + " y"), "x *** y")
        self.assertEqual(log.redact("a=" + TOKEN + "&b=" + TOKEN), "a=***&b=***")


if __name__ == "__main__":
    main()
