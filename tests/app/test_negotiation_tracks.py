# How remote tracks get their sections: early, on request, and never in a storm.

from answers import sections_of
from harness import TestCase, main
from test_negotiation import Talk


class TestAsking(TestCase):
    def test_an_allowed_track_without_a_section_is_asked_for_at_once(self):
        talk = Talk()
        talk.answer()
        talk.allow("TR_a")
        self.assertEqual(talk.offers, 1)
        talk.answer({"0": ("TR_a", 7)})
        self.assertEqual(talk.engine.playing, {"TR_a": 0})
        talk.require()
        self.assertEqual(talk.offers, 1)

    def test_one_that_is_allowed_before_the_answer_is_asked_for_after_it(self):
        talk = Talk()
        talk.allow("TR_a")
        self.assertEqual(talk.offers, 0)
        talk.answer()
        self.assertEqual(talk.offers, 1)

    def test_without_early_reoffer_the_servers_request_decides(self):
        talk = Talk(early_reoffer=False)
        talk.allow("TR_a")
        talk.answer()
        talk.allow("TR_b")
        self.assertEqual(talk.offers, 0)
        talk.require()
        self.assertEqual(talk.offers, 1)

    def test_an_empty_requirement_means_an_offer_only_while_something_is_missing(self):
        talk = Talk()
        talk.answer()
        talk.require()
        self.assertEqual(talk.offers, 0)
        talk.allow("TR_a")
        talk.answer()
        talk.require()
        self.assertEqual(talk.offers, 2)
        talk.answer()
        for _ in range(5):
            talk.require()
        self.assertEqual(talk.offers, 2)

    def test_a_requirement_during_an_offer_is_followed_after_the_answer(self):
        talk = Talk(early_reoffer=False)
        talk.allow("TR_a")
        talk.require()
        self.assertEqual(talk.offers, 0)
        talk.answer()
        self.assertEqual(talk.offers, 1)

    def test_sections_are_added_up_to_the_limit_and_then_it_says_so(self):
        talk = Talk(remote_tracks=4)
        talk.answer({"0": ("TR_0", 1), "1": ("TR_1", 2), "2": ("TR_2", 3)})
        talk.allow("TR_3")
        self.assertEqual(len(talk.receivers()), 4)
        mid = talk.receivers()[-1]
        talk.answer({"0": ("TR_0", 1), "1": ("TR_1", 2), "2": ("TR_2", 3), mid: ("TR_3", 4)})
        offers = talk.offers
        self.assertEqual(sorted(talk.engine.playing.values()), [0, 1, 2, 3])
        for _ in range(3):
            talk.allow("TR_4")
            talk.require(1)
        self.assertEqual(talk.offers, offers)
        self.assertEqual(talk.engine.told, [("limit", "TR_4")])
        self.assertEqual(talk.it.tracks_over_limit, 1)

    def test_num_audios_adds_as_many_sections_as_there_is_room_for(self):
        talk = Talk(remote_tracks=8, early_reoffer=False)
        talk.answer({"0": ("TR_0", 1), "1": ("TR_1", 2), "2": ("TR_2", 3)})
        for n in range(3, 6):
            talk.allow("TR_%d" % n)
        talk.require(3)
        self.assertEqual(len(talk.receivers()), 6)
        self.assertEqual(talk.offers, 1)
        talk.require(1000000)
        talk.answer({"0": ("TR_0", 1), "1": ("TR_1", 2), "2": ("TR_2", 3)})
        self.assertLessEqual(len(talk.receivers()), 16)

    def test_a_track_that_ends_makes_room_for_the_next(self):
        talk = Talk(remote_tracks=1)
        talk.answer({"0": ("TR_a", 1)})
        talk.allow("TR_b")
        self.assertEqual(talk.engine.told, [("limit", "TR_b")])
        offers = talk.offers
        talk.it.forget("TR_a")
        self.assertEqual(talk.offers, offers + 1)
        talk.answer({"0": ("TR_b", 2)})
        self.assertEqual(talk.engine.playing, {"TR_b": 0})

    def test_one_that_comes_without_a_slot_starts_when_a_slot_is_free(self):
        talk = Talk(remote_tracks=1)
        talk.answer({"0": ("TR_a", 1)})
        talk.it._add_sections(1)
        talk.it.renegotiate()
        mid = talk.receivers()[-1]
        talk.answer({"0": ("TR_a", 1), mid: ("TR_b", 2)})
        self.assertEqual(talk.engine.playing, {"TR_a": 0})
        self.assertEqual(talk.engine.told, [("limit", "TR_b")])
        talk.it.forget("TR_a")
        self.assertEqual(talk.engine.playing, {"TR_b": 0})
        self.assertEqual(talk.engine.session.named("set_track")[-1], (0, 0, 2, 111))

    def test_a_video_track_is_never_asked_for(self):
        talk = Talk()
        talk.answer()
        talk.it.ignore("TR_v")
        talk.allow("TR_v")
        talk.require()
        talk.require(1)
        self.assertEqual(talk.offers, 0)
        self.assertEqual(talk.engine.told, [])


class TestStorms(TestCase):
    def settles(self, talk, react, most):
        """Answer every offer and let the server react, until nobody says anything more."""
        answered = 0
        while talk.it.outstanding():
            talk.answer()
            answered += 1
            self.assertLess(answered, 100)
            react(talk)
        self.assertLessEqual(answered, most)

    def test_a_server_that_asks_after_every_answer_is_left_alone_soon(self):
        for tracks in (1, 3, 8):
            for audios in (0, 1, 2):
                talk = Talk(remote_tracks=tracks)
                talk.allow("TR_a")
                with self.subTest(tracks=tracks, audios=audios):
                    self.settles(talk, lambda talk, n=audios: talk.require(n), 4 + 2 * tracks)

    def test_even_if_it_asks_in_turns_and_announces_more_tracks(self):
        talk = Talk(remote_tracks=3)
        state = [0]

        def react(talk):
            state[0] += 1
            talk.require(state[0] % 2)
            if state[0] < 6:
                talk.allow("TR_%d" % state[0])

        self.settles(talk, react, 20)

    def test_with_nothing_wanted_no_requirement_starts_an_offer(self):
        talk = Talk()
        talk.answer()
        for audios in (0, 1, 5):
            talk.require(audios)
        self.assertEqual(talk.offers, 0)


class TestSections(TestCase):
    def test_a_section_may_bring_another_track_later(self):
        talk = Talk()
        talk.answer({"0": ("TR_a", 1)})
        talk.it.renegotiate()
        talk.answer({"0": ("TR_b", 2)})
        self.assertEqual(talk.engine.tracks, [("TR_a", 0), ("TR_a", None), ("TR_b", 0)])
        self.assertEqual(talk.engine.session.named("set_track")[-1], (0, 0, 2, 111))

    def test_a_track_that_moves_to_another_section_still_plays(self):
        for before, after in (("0", "1"), ("1", "0")):
            talk = Talk()
            talk.answer({before: ("TR_a", 1)})
            talk.it.renegotiate()
            talk.answer({after: ("TR_a", 2)})
            with self.subTest(after=after):
                self.assertEqual(list(talk.engine.playing), ["TR_a"])
                slot = talk.engine.playing["TR_a"]
                last = [args for args in talk.engine.session.named("set_track") if args[1] == slot]
                self.assertEqual(last[-1], (0, slot, 2, 111))

    def test_two_that_change_places_both_play(self):
        talk = Talk()
        talk.answer({"0": ("TR_a", 1), "1": ("TR_b", 2)})
        talk.it.renegotiate()
        talk.answer({"0": ("TR_b", 2), "1": ("TR_a", 1)})
        self.assertEqual(sorted(talk.engine.playing), ["TR_a", "TR_b"])
        ssrc_of = {}
        for args in talk.engine.session.named("set_track"):
            ssrc_of[args[1]] = args[2]
        self.assertEqual(ssrc_of[talk.engine.playing["TR_a"]], 1)
        self.assertEqual(ssrc_of[talk.engine.playing["TR_b"]], 2)

    def test_an_answer_that_changes_nothing_does_nothing(self):
        talk = Talk()
        talk.answer({"0": ("TR_a", 1)})
        talk.it.renegotiate()
        made = len(talk.engine.session.named("set_track"))
        talk.answer({"0": ("TR_a", 1)})
        self.assertEqual(len(talk.engine.session.named("set_track")), made)
        self.assertEqual(talk.engine.tracks, [("TR_a", 0)])

    def test_a_section_that_falls_silent_frees_its_slot(self):
        talk = Talk()
        talk.answer({"1": ("TR_a", 1)})
        talk.it.renegotiate()
        talk.answer()
        self.assertEqual(talk.engine.tracks, [("TR_a", 0), ("TR_a", None)])
        self.assertEqual(talk.engine.session.named("set_track")[-1][:3], (0, 0, 0))

    def test_sections_never_move_or_go(self):
        talk = Talk(remote_tracks=8)
        seen = [kind for kind, _ in sections_of(talk.offer["sdp"])]
        for n in range(5):
            talk.answer()
            talk.allow("TR_%d" % n)
            kinds = [kind for kind, _ in sections_of(talk.newest()[0])]
            self.assertEqual(kinds[: len(seen)], seen)
            seen = kinds


class TestWishes(TestCase):
    def playing(self):
        talk = Talk()
        talk.allow("TR_a")
        talk.answer({"0": ("TR_a", 1)})
        return talk

    def test_an_unsubscribed_track_stops_at_once_and_stays_silent(self):
        talk = self.playing()
        talk.it.set_wanted("TR_a", False)
        self.assertEqual(talk.engine.playing, {})
        self.assertEqual(talk.engine.session.named("set_track")[-1][:3], (0, 0, 0))
        talk.it.renegotiate()
        talk.answer({"0": ("TR_a", 1)})
        self.assertEqual(talk.engine.playing, {})
        talk.require()
        self.assertFalse(talk.it.outstanding())

    def test_one_that_is_wanted_again_plays_again(self):
        talk = self.playing()
        talk.it.set_wanted("TR_a", False)
        talk.it.set_wanted("TR_a", True)
        offers = talk.offers
        talk.allow("TR_a")
        self.assertEqual(talk.offers, offers + 1)
        talk.answer({"0": ("TR_a", 3)})
        self.assertEqual(talk.engine.playing, {"TR_a": 0})

    def test_a_withdrawn_permission_ends_the_track(self):
        talk = self.playing()
        talk.allow("TR_a", False)
        self.assertEqual(talk.engine.playing, {})
        talk.require()
        self.assertEqual(talk.offers, 0)
        talk.allow("TR_a")
        self.assertEqual(talk.offers, 1)

    def test_one_that_is_allowed_anew_is_asked_for_anew(self):
        talk = Talk()
        talk.answer()
        for n in range(1, 4):
            talk.allow("TR_a")
            talk.answer()
            self.assertEqual(talk.offers, n)
            talk.allow("TR_a", False)

    def test_a_forgotten_track_is_not_asked_for_and_an_old_answer_does_not_revive_it(self):
        talk = self.playing()
        talk.it.renegotiate()
        talk.it.forget("TR_a")
        talk.answer({"0": ("TR_a", 1)})
        self.assertEqual(talk.engine.playing, {})
        talk.require()
        self.assertFalse(talk.it.outstanding())

    def test_the_gain_reaches_the_slot_that_plays(self):
        talk = self.playing()
        talk.it.receivers.set_gain("TR_a", 2048)
        self.assertEqual(talk.engine.session.named("set_track")[-1], (0, 0, 1, 111, 2048))
        talk.it.receivers.set_gain("TR_none", 2048)
        self.assertEqual(len(talk.engine.session.named("set_track")), 2)


if __name__ == "__main__":
    main()
