# What a person is told: short words for every event, and nothing that a terminal obeys.

from harness import TestCase, main
from words import _WORDS, clean, in_short, in_words

CASES = (
    ("joined", {"room": "r", "identity": "b", "others": ["x", "y"]}, "joined r as b, with x, y"),
    ("joined", {"room": "r", "identity": "b", "others": []}, "joined r as b, alone so far"),
    ("rpc", {"caller": "agent", "method": "set_led", "payload": "{}"}, "agent called set_led {}"),
    ("data", {"identity": "", "bytes": 3, "topic": "t"}, "3 bytes from the server, topic t"),
    ("quality", {"quality": 1}, "connection is good"),
    ("disconnected", {"reason": 2}, "session over: duplicate identity"),
    ("disconnected", {"reason": 77}, "session over: reason 77"),
    ("my_own", {"answer": 42}, "my own answer=42"),
    ("my_own", {"b": (1, 2), "a": "x"}, "my own a=x b=(1, 2)"),
    ("sample", {}, None),
)
FACTS = {"call_s": 1.25, "room": "r", "identity": "b", "timeline": [("dns", 1), ("dtls", 31.6)],
         "link": {"rtp_sent": 10, "rtp_received": 9, "packets_lost": 1}}


class TestWords(TestCase):
    def test_events_are_told_in_words(self):
        for event, fields, said in CASES:
            self.assertEqual(in_words(event, fields), said)

    def test_every_event_has_words_without_its_fields(self):
        for event in _WORDS:
            self.assertTrue(in_words(event, {}), event)

    def test_a_run_is_told_in_one_line(self):
        told = in_short(FACTS)
        self.assertIn("s in r as b, joined in 32 ms: 10 packets of sound sent, 9 received, 1 lost", told)
        self.assertNotIn("joined", in_short(dict(FACTS, timeline=[])))


class TestClean(TestCase):
    def test_what_a_terminal_obeys_is_shown_as_a_question_mark(self):
        self.assertEqual(clean("\x1b[2J\x1b]0;owned\x07\r\nagent\u202egnp\x00\u009b5n"),
                         "?[2J?]0;owned?  agent?gnp??5n")

    def test_what_hides_or_turns_other_text_is_too(self):
        for c in "\u200b\u200f\u202a\u2066\u206f\x7f\x80":
            self.assertEqual(clean("a" + c + "b"), "a?b")

    def test_words_of_people_stay_as_they_are(self):
        for text in ("K\u00fcche 7", "\u65e5\u672c\u8a9e", "caf\u00e9\u00a0\u2014 \u2026", "\U0001f426"):
            self.assertEqual(clean(text), text)


if __name__ == "__main__":
    main()
