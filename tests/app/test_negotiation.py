# Offers, answers, candidates and sections (protocol.md 3.2, 3.3, 11), with the engine
# as a record of what was asked of it.

from answers import DIGEST, HOST, PWD, TCP, UFRAG, answer_to, direction_of, sections_of
from harness import TestCase, main
from linnet.compat import json
from linnet.errors import Protocol
from linnet.negotiation import Negotiation
from scripted_engine import ScriptedEngine

COMPONENT_2 = HOST.replace(" 1 udp", " 2 udp").replace("7882", "7883")


class Talk:
    """A negotiation, and the server's part of it."""

    def __init__(self, mic=False, **options):
        self.engine = ScriptedEngine(**options)
        self.it = Negotiation(self.engine)
        if mic:
            self.it.add_microphone("TRmic")
        self.offer = self.it.first_offer()

    @property
    def offers(self):
        """Offers sent after the first."""
        return len(self.engine.offers)

    def newest(self):
        if self.engine.offers:
            return self.engine.offers[-1]
        return self.offer["sdp"], self.offer["id"]

    def answer(self, playing=None, number=None, to=None, **shape):
        """Answer the newest offer; `playing` is {mid: (sid, ssrc)}."""
        text, newest = self.newest()
        message = {
            "type": "answer",
            "sdp": answer_to(to or text, playing, **shape),
            "id": newest if number is None else number,
            "mid_to_track_id": dict([(mid, playing[mid][0]) for mid in playing or {}]),
        }
        self.it.on_answer(message)

    def allow(self, sid, allowed=True):
        self.it.on_allowed({"track_sid": sid, "allowed": allowed})

    def require(self, audios=0):
        self.it.on_requirement({"num_audios": audios} if audios else {})

    def receivers(self):
        text = self.newest()[0]
        return [a["mid"][0] for k, a in sections_of(text) if direction_of(a) == "recvonly"]

    def refuses(self, case, code, act, *args, **kwargs):
        with case.assertRaises(Protocol) as raised:
            act(*args, **kwargs)
        case.assertEqual(raised.exception.code, code)


class TestFirstAnswer(TestCase):
    def test_the_first_offer_has_receivers_up_to_three_and_data_last(self):
        for tracks, receivers in ((1, 1), (3, 3), (8, 3)):
            talk = Talk(mic=True, remote_tracks=tracks)
            kinds = [(kind, direction_of(a)) for kind, a in sections_of(talk.offer["sdp"])]
            self.assertEqual(kinds[0], ("audio", "sendonly"))
            self.assertEqual(kinds[1:-1], [("audio", "recvonly")] * receivers)
            self.assertEqual(kinds[-1][0], "application")
            self.assertEqual(talk.offer["id"], 1)

    def test_the_core_learns_credentials_role_and_fingerprint(self):
        for setup, lite, is_server in (("active", False, True), ("passive", True, False)):
            talk = Talk()
            talk.answer(setup=setup, lite=lite)
            remote = talk.engine.session.named("set_remote")
            self.assertEqual(remote, [(0, UFRAG, PWD, DIGEST, is_server, True, lite, 65535)])
            self.assertFalse(talk.it.outstanding())

    def test_the_core_learns_the_largest_message_that_the_server_takes(self):
        line = "a=max-message-size:65535\r\n"
        for text, largest in (
            ("a=max-message-size:262144\r\n", 262144),
            ("a=max-message-size:0\r\n", 0xFFFFFFFF),  # RFC 8841 6.1: no limit
            ("", 65536),
        ):
            talk = Talk()
            description = answer_to(talk.offer["sdp"])
            self.assertEqual(description.count(line), 1)
            message = {"type": "answer", "id": 1, "sdp": description.replace(line, text)}
            talk.it.on_answer(message)
            self.assertEqual(talk.engine.session.named("set_remote")[0][-1], largest)

    def test_an_answer_that_lacks_something_is_refused(self):
        for broken in (
            lambda sdp: sdp.replace("a=ice-ufrag:" + UFRAG, "a=x"),
            lambda sdp: sdp.replace("a=ice-pwd:" + PWD, "a=x"),
            lambda sdp: sdp.replace("a=setup:active", "a=setup:actpass"),
            lambda sdp: sdp.replace("a=setup:active", "a=x"),
            lambda sdp: sdp.replace("a=fingerprint", "a=x"),
            lambda sdp: sdp[: sdp.rindex("m=")],
            lambda sdp: sdp + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
            lambda sdp: sdp.replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:0 pcmu/8000"),
            lambda sdp: "",
        ):
            talk = Talk(mic=True)
            text = broken(answer_to(talk.offer["sdp"]))
            talk.refuses(self, "sdp", talk.it.on_answer, {"type": "answer", "sdp": text, "id": 1})

    def test_the_microphone_is_published_as_the_answer_says(self):
        talk = Talk(mic=True)
        talk.answer()
        ssrc = int(sections_of(talk.offer["sdp"])[0][1]["ssrc"][0].split(" ")[0])
        self.assertEqual(talk.engine.session.named("publish"), [(0, ssrc, 111, 1, 2, "0")])

    def test_a_rejected_microphone_does_not_send(self):
        talk = Talk(mic=True)
        text = answer_to(talk.offer["sdp"]).replace("m=audio 9", "m=audio 0", 1)
        talk.it.on_answer({"sdp": text, "id": 1})
        self.assertEqual(talk.engine.session.named("publish"), [])
        self.assertEqual(len(talk.engine.session.named("unpublish")), 1)

    def test_a_track_in_the_first_answer_plays_and_needs_no_offer(self):
        talk = Talk()
        talk.allow("TR_a")
        talk.answer({"0": ("TR_a", 77)})
        self.assertEqual(talk.engine.session.named("set_track"), [(0, 0, 77, 111)])
        self.assertEqual(talk.engine.playing, {"TR_a": 0})
        self.assertEqual(talk.offers, 0)
        self.assertEqual(talk.it.receivers.track_in(0), "TR_a")

    def test_a_direction_alone_is_no_proof_of_a_track(self):
        talk = Talk()
        talk.answer()
        self.assertEqual(talk.engine.tracks, [])
        self.assertEqual(talk.engine.session.named("set_track"), [])

    def test_the_map_names_the_track_where_msid_does_not(self):
        talk = Talk()
        text = answer_to(talk.offer["sdp"], {"1": ("TR_a", 5)}).replace(" TR_a\r\n", "\r\n")
        talk.it.on_answer({"sdp": text, "id": 1, "mid_to_track_id": {"1": "TR_a"}})
        self.assertEqual(talk.engine.playing, {"TR_a": 0})


class TestOffers(TestCase):
    def test_one_offer_is_outstanding_and_a_second_waits_for_the_answer(self):
        talk = Talk()
        talk.it.renegotiate()
        talk.it.renegotiate()
        self.assertEqual(talk.offers, 0)
        talk.answer()
        self.assertEqual(talk.offers, 1)
        self.assertEqual(talk.newest()[1], 2)
        talk.it.renegotiate()
        self.assertEqual(talk.offers, 1)
        talk.answer()
        self.assertEqual(talk.offers, 2)
        talk.answer()
        self.assertEqual(talk.offers, 2)

    def test_stale_and_second_answers_are_dropped(self):
        talk = Talk()
        talk.answer()
        talk.answer({"0": ("TR_x", 1)})
        self.assertEqual(talk.engine.tracks, [])
        talk.it.renegotiate()
        talk.answer({"0": ("TR_x", 1)}, number=1)
        self.assertEqual(talk.engine.tracks, [])
        self.assertTrue(talk.it.outstanding())
        talk.answer({"0": ("TR_y", 2)})
        self.assertEqual(talk.engine.playing, {"TR_y": 0})
        self.assertEqual(len(talk.engine.session.named("set_remote")), 1)

    def test_an_answer_without_a_number_counts_once(self):
        talk = Talk()
        talk.answer(number=0)
        self.assertFalse(talk.it.outstanding())
        talk.answer({"0": ("TR_x", 1)}, number=0)
        self.assertEqual(talk.engine.tracks, [])

    def test_sections_added_while_an_offer_is_outstanding_wait_for_the_next(self):
        talk = Talk()
        talk.it.add_microphone("TRlate")
        talk.it.renegotiate()
        talk.answer()
        self.assertEqual(talk.engine.session.named("publish"), [])
        self.assertEqual(len(sections_of(talk.newest()[0])), len(sections_of(talk.offer["sdp"])) + 1)
        talk.answer()
        self.assertEqual(len(talk.engine.session.named("publish")), 1)

    def test_new_credentials_restart_ice_with_new_candidates(self):
        talk = Talk()
        talk.answer(candidates=(HOST,))
        talk.it.renegotiate()
        talk.answer(ufrag="newufragnewufrag", candidates=(HOST,))
        self.assertEqual(len(talk.engine.session.named("set_remote")), 2)
        self.assertEqual(len(talk.engine.session.named("add_remote_candidate")), 2)


class TestMicrophone(TestCase):
    def test_it_is_added_removed_and_its_section_reused(self):
        talk = Talk()
        talk.answer()
        section = talk.it.add_microphone("TRone")
        talk.it.renegotiate()
        talk.answer()
        first = talk.engine.session.named("publish")[0]
        self.assertEqual(first[1], section.ssrc)
        talk.it.remove_microphone("TRone")
        talk.it.renegotiate()
        attributes = sections_of(talk.newest()[0])[int(section.mid)][1]
        self.assertEqual(direction_of(attributes), "inactive")
        talk.answer()
        self.assertEqual(talk.engine.session.made[-1][0], "unpublish")
        again = talk.it.add_microphone("TRtwo")
        self.assertIs(again, section)
        talk.it.renegotiate()
        attributes = sections_of(talk.newest()[0])[int(section.mid)][1]
        self.assertEqual(attributes["msid"], ["linnet TRtwo"])
        talk.answer()
        second = talk.engine.session.named("publish")[-1]
        self.assertNotEqual(second[1], first[1])

    def test_a_server_that_does_not_receive_it_gets_no_sound(self):
        talk = Talk(mic=True)
        text = answer_to(talk.offer["sdp"]).replace("a=recvonly", "a=inactive")
        talk.it.on_answer({"sdp": text, "id": 1})
        self.assertEqual(talk.engine.session.named("publish"), [])


class TestCandidates(TestCase):
    def trickle(self, talk, line, **more):
        init = {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}
        talk.it.on_trickle({"candidateInit": json.dumps(init), "target": 0})

    def added(self, talk):
        return talk.engine.session.named("add_remote_candidate")

    def test_one_before_the_answer_waits_for_it(self):
        talk = Talk()
        self.trickle(talk, HOST)
        self.assertEqual(self.added(talk), [])
        talk.answer()
        self.assertEqual(self.added(talk), [(0, bytes((192, 0, 2, 10)), 7882, 2130706431, 0)])
        made = [name for name, _ in talk.engine.session.made]
        self.assertLess(made.index("set_remote"), made.index("add_remote_candidate"))

    def test_one_after_the_answer_is_used_at_once(self):
        talk = Talk()
        talk.answer()
        drains = talk.engine.drains
        self.trickle(talk, HOST)
        self.assertEqual(len(self.added(talk)), 1)
        self.assertEqual(talk.engine.drains, drains + 1)

    def test_duplicates_tcp_names_and_component_2_are_passed_over(self):
        talk = Talk()
        talk.answer(candidates=(HOST, HOST, TCP, COMPONENT_2))
        self.trickle(talk, HOST)
        self.trickle(talk, TCP)
        self.trickle(talk, HOST.replace("192.0.2.10", "1d0e.local"))
        self.trickle(talk, "")
        talk.it.on_trickle({})
        self.assertEqual(len(self.added(talk)), 1)

    def test_nonsense_is_refused_or_passed_over(self):
        talk = Talk()
        for text in ("x", "{", '"x"', "[]", "5", "null", '{"candidate":5}', "[" * 2000):
            with self.subTest(text=text[:20]):
                talk.refuses(self, "sdp", talk.it.on_trickle, {"candidateInit": text})
        for text in ("{}", '{"candidate":null}', '{"candidate":"x"}', '{"extra":{}}'):
            talk.it.on_trickle({"candidateInit": text})
        talk.answer()
        self.assertEqual(self.added(talk), [])

    def test_the_number_of_candidates_is_bounded(self):
        for when in ("before", "after"):
            talk = Talk()
            if when == "after":
                talk.answer()
            for port in range(1, 1000):
                self.trickle(talk, HOST.replace("7882", str(port)))
            if when == "before":
                talk.answer()
            with self.subTest(when=when):
                self.assertLessEqual(len(self.added(talk)), 64)
                self.assertGreaterEqual(len(self.added(talk)), 16)


if __name__ == "__main__":
    main()
