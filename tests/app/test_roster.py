# Who is there: participants, their tracks, and the events in livekit.rtc's order of
# arguments (protocol.md 2.3; the table at the top of room.py).

from harness import TestCase, main
from linnet.participant import ConnectionQuality, LocalParticipant
from rooms import MIC, JoinedRoom, info


class TestParticipants(TestCase):
    def test_who_was_there_before_us_is_known_without_events(self):
        room = JoinedRoom([info(tracks=[MIC], name="Bob", attributes={"a": "1"})])
        self.assertEqual(room.took(), [])
        bob = room.remote_participants["bob"]
        self.assertEqual((bob.sid, bob.name, bob.attributes), ("PA_bob", "Bob", {"a": "1"}))
        self.assertEqual(bob.track_publications["TR_b"].kind, 1)

    def test_one_who_comes_is_connected_and_then_publishes(self):
        room = JoinedRoom()
        room.update(info(tracks=[MIC]))
        bob = room.remote_participants["bob"]
        self.assertEqual(
            room.took(),
            [
                ("participant_connected", (bob,)),
                ("participant_active", (bob,)),
                ("track_published", (bob.track_publications["TR_b"], bob)),
            ],
        )

    def test_an_update_that_is_not_newer_is_dropped(self):
        room = JoinedRoom([info(version=5, name="now")])
        for version in (5, 4, 0):
            room.update(info(version=version, name="before", tracks=[MIC]))
        self.assertEqual(room.took(), [])
        self.assertEqual(room.remote_participants["bob"].name, "now")
        room.update(info(version=6, name="then"))
        self.assertEqual(room.names(), ["participant_name_changed"])

    def test_one_who_goes_takes_his_tracks_first(self):
        room = JoinedRoom([info(tracks=[MIC])])
        bob = room.remote_participants["bob"]
        publication = bob.track_publications["TR_b"]
        room._on_engine("track", "TR_b", 0)
        track = publication.track
        room.took()
        room.update(info(version=2, state=3, disconnect_reason=2))
        self.assertEqual(
            room.took(),
            [
                ("track_unsubscribed", (track, publication, bob)),
                ("track_unpublished", (publication, bob)),
                ("participant_disconnected", (bob,)),
            ],
        )
        self.assertEqual(bob.disconnect_reason, 2)
        self.assertEqual(room.remote_participants, {})
        self.assertIn(("TR_b",), room._engine.negotiation.named("forget"))
        self.assertIsNone(track.slot)

    def test_who_leaves_without_saying_why_has_no_reason(self):
        for more in ({}, {"disconnect_reason": 0}):
            room = JoinedRoom([info()])
            bob = room.remote_participants["bob"]
            room.update(info(version=2, state=3, **more))
            self.assertIsNone(bob.disconnect_reason)

    def test_participants_are_counted(self):
        room = JoinedRoom([info()])
        self.assertEqual(room.num_participants, 2)
        room.update(info(sid="PA_eve", identity="eve"), info(version=2, state=3))
        self.assertEqual(room.num_participants, 2)
        room.update(info(sid="PA_eve", identity="eve", version=2, state=3))
        self.assertEqual(room.num_participants, 1)

    def test_permissions_are_attributes_and_a_change_of_any_is_told(self):
        room = JoinedRoom([info(permission={"can_publish": True})])
        bob = room.remote_participants["bob"]
        self.assertTrue(bob.permissions.can_publish)
        self.assertEqual(bob.permissions.can_publish_sources, [])
        self.assertIn("can_publish", repr(bob.permissions))
        for version, more in enumerate(
            ({"can_publish_sources": [2]}, {"can_subscribe": True}, {"can_publish": False}, {"hidden": True})
        ):
            permission = {"can_publish": True}
            permission.update(more)
            room.update(info(version=version + 2, permission=permission))
            self.assertEqual(room.names(), ["participant_permissions_changed"])
            room.update(info(version=version + 2, permission={}))
            room.update(info(version=version + 2, permission=permission))
            self.assertEqual(room.names(), [])

    def test_a_server_that_tells_no_rights_of_ours_decides_itself(self):
        permissions = LocalParticipant({}, None).permissions
        self.assertTrue(permissions.can_publish and permissions.can_publish_data)
        self.assertFalse(permissions.can_update_metadata)

    def test_a_disconnect_of_nobody_or_of_an_older_self_changes_nothing(self):
        room = JoinedRoom([info(sid="PA_new")])
        room.update(info(sid="PA_x", identity="eve", state=3), info(sid="PA_old", version=9, state=3))
        self.assertEqual(room.took(), [])
        self.assertEqual(room.remote_participants["bob"].sid, "PA_new")

    def test_a_new_sid_under_the_same_identity_is_a_leave_and_a_join(self):
        room = JoinedRoom([info(version=7, tracks=[MIC])])
        old = room.remote_participants["bob"]
        room.update(info(sid="PA_again", version=1, tracks=[dict(MIC, sid="TR_c")]))
        new = room.remote_participants["bob"]
        self.assertFalse(new is old)
        self.assertEqual(
            [(name, args[-1]) for name, args in room.took()],
            [
                ("track_unpublished", old),
                ("participant_disconnected", old),
                ("participant_connected", new),
                ("participant_active", new),
                ("track_published", new),
            ],
        )
        self.assertEqual(list(new.track_publications), ["TR_c"])

    def test_one_becomes_active_once(self):
        room = JoinedRoom([info(state=0)])
        bob = room.remote_participants["bob"]
        room.update(info(version=2, state=1), info(version=3), info(version=4, name="n"))
        self.assertEqual(room.took()[0], ("participant_active", (bob,)))
        room.update(info(version=5))
        self.assertNotIn("participant_active", room.names())

    def test_changes_are_told_with_the_old_and_the_new(self):
        room = JoinedRoom([info(name="a", metadata="m", attributes={"x": "1", "y": "2"})])
        bob = room.remote_participants["bob"]
        room.update(
            info(version=2, name="b", metadata="n", attributes={"x": "1", "y": "3", "z": "4"}),
            info(version=3, name="b", metadata="n", attributes={"x": "1"}),
        )
        self.assertEqual(
            room.took(),
            [
                ("participant_name_changed", (bob, "a", "b")),
                ("participant_metadata_changed", (bob, "m", "n")),
                ("participant_attributes_changed", ({"y": "3", "z": "4"}, bob)),
                ("participant_attributes_changed", ({"y": "", "z": ""}, bob)),
            ],
        )

    def test_our_own_changes_are_told_too_and_we_are_nobodys_peer(self):
        room = JoinedRoom()
        me = room.local_participant
        permission = {"can_publish": True, "can_subscribe": True}
        room.update(info(sid="PA_me", identity="badge", version=2, name="n", permission=permission))
        events = room.took()
        self.assertEqual(events[0], ("participant_name_changed", (me, "", "n")))
        name, (participant, permissions) = events[1]
        self.assertEqual((name, participant), ("participant_permissions_changed", me))
        self.assertIs(permissions, me.permissions)
        self.assertTrue(permissions.can_publish and permissions.can_subscribe)
        self.assertFalse(permissions.can_publish_data or permissions.hidden)
        self.assertEqual(room.remote_participants, {})
        room.update(info(sid="PA_me", identity="badge", version=3, name="n", permission=permission))
        room.update(info(sid="PA_me", identity="badge", version=3, name="older"))
        room.update(info(sid="PA_other", identity="badge", version=9, name="other"))
        self.assertEqual(room.took(), [])


class TestTracks(TestCase):
    def setUp(self):
        self.room = JoinedRoom([info(tracks=[MIC])])
        self.bob = self.room.remote_participants["bob"]
        self.publication = self.bob.track_publications["TR_b"]

    def plays(self, slot=0):
        self.room._on_engine("track", "TR_b", slot)
        return self.publication.track

    def test_playing_is_subscribed_and_heard_once_it_sounds(self):
        track = self.plays(2)
        self.room._on_engine("heard", "TR_b")
        args = (track, self.publication, self.bob)
        self.assertEqual(self.room.took(), [("track_subscribed", args), ("track_heard", args)])
        self.assertTrue(self.publication.subscribed)
        self.assertEqual((track.sid, track.slot, track.name), ("TR_b", 2, "mic"))
        self.plays(1)
        self.assertEqual(self.room.took(), [])
        self.assertEqual(track.slot, 1)

    def test_sound_that_comes_before_its_participant_waits_for_it(self):
        room = JoinedRoom()
        room._on_engine("track", "TR_b", 1)
        self.assertEqual(room.took(), [])
        room.update(info(state=1, tracks=[MIC]))
        expected = ["participant_connected", "track_published", "track_subscribed"]
        self.assertEqual(room.names(), expected)
        self.assertEqual(room.remote_participants["bob"].track_publications["TR_b"].track.slot, 1)

    def test_sound_that_ended_before_its_participant_came_is_forgotten(self):
        room = JoinedRoom()
        room._on_engine("track", "TR_b", 1)
        room._on_engine("track", "TR_b", None)
        room.update(info(state=1, tracks=[MIC]))
        self.assertEqual(room.names(), ["participant_connected", "track_published"])

    def test_a_track_missing_from_the_list_is_unpublished(self):
        track = self.plays()
        self.room.took()
        self.room.update(info(version=2, tracks=[]))
        self.assertEqual(
            self.room.took(),
            [
                ("track_unsubscribed", (track, self.publication, self.bob)),
                ("track_unpublished", (self.publication, self.bob)),
            ],
        )
        self.assertEqual(self.bob.track_publications, {})

    def test_mute_and_unmute_reach_publication_and_track(self):
        track = self.plays()
        self.room.took()
        for version, muted, event in ((2, True, "track_muted"), (3, False, "track_unmuted")):
            self.room.update(info(version=version, tracks=[dict(MIC, muted=muted)]))
            self.assertEqual(self.room.took(), [(event, (self.bob, self.publication))])
            self.assertEqual((self.publication.muted, track.muted), (muted, muted))

    def test_video_is_published_and_left_alone(self):
        video = {"sid": "TR_v", "type": 1, "source": 1}
        self.room.update(info(version=2, tracks=[MIC, video]))
        self.assertEqual(self.room.names(), ["track_published"])
        self.assertEqual(self.bob.track_publications["TR_v"].kind, 2)
        self.assertEqual(self.room._engine.negotiation.named("ignore"), [("TR_v",)])
        self.room._on_engine("track", "TR_v", 0)
        self.assertEqual(self.room.took(), [])

    def test_subscribing_tells_negotiation_and_the_server(self):
        self.publication.set_subscribed(False)
        engine = self.room._engine
        self.assertEqual(engine.negotiation.named("set_wanted"), [("TR_b", False)])
        name, message = engine.signal.named("send_soon")[0]
        self.assertEqual(name, "subscription")
        self.assertEqual((message["track_sids"], message["subscribe"]), (["TR_b"], False))
        self.assertEqual(message["participant_tracks"][0]["participant_sid"], "PA_bob")

    def test_a_withdrawn_permission_ends_the_subscription_once(self):
        track = self.plays()
        self.room.took()
        for _ in range(2):
            denied = {"participant_sid": "PA_bob", "track_sid": "TR_b", "allowed": False}
            self.room._on_signal("subscription_permission_update", denied)
        expected = [("track_unsubscribed", (track, self.publication, self.bob))]
        self.assertEqual(self.room.took(), expected)

    def test_a_failed_subscription_is_told(self):
        self.room._on_signal("subscription_response", {"track_sid": "TR_b", "err": 2})
        self.room._on_signal("subscription_response", {"track_sid": "TR_b"})
        expected = [("track_subscription_failed", (self.bob, "TR_b", 2))]
        self.assertEqual(self.room.took(), expected)

    def test_volume_is_brought_into_the_cores_range(self):
        track = self.plays()
        for volume, gain in ((1.0, 4096), (0.0, 1), (-3, 1), (4.0, 16384), (100.0, 65535)):
            track.set_volume(volume)
            self.assertEqual(self.room._engine.negotiation.receivers.made[-1][1], ("TR_b", gain))


class TestSpeakers(TestCase):
    def setUp(self):
        self.room = JoinedRoom([info(), info(sid="PA_eve", identity="eve")])
        self.bob = self.room.remote_participants["bob"]
        self.eve = self.room.remote_participants["eve"]

    def speak(self, *speakers):
        changed = [{"sid": sid, "level": level, "active": active} for sid, level, active in speakers]
        self.room._on_signal("speakers_changed", {"speakers": changed})
        return self.room.took()

    def test_it_is_a_delta_and_the_loudest_comes_first(self):
        me = self.room.local_participant
        self.assertEqual(
            self.speak(("PA_bob", 0.2, True), ("PA_eve", 0.6, True)),
            [("active_speakers_changed", ([self.eve, self.bob],))],
        )
        self.assertEqual(
            self.speak(("PA_me", 0.4, True)),
            [("active_speakers_changed", ([self.eve, me, self.bob],))],
        )
        self.assertEqual(
            self.speak(("PA_eve", 0.6, False), ("PA_bob", 0.9, True)),
            [("active_speakers_changed", ([self.bob, me],))],
        )
        self.assertEqual((self.eve.audio_level, round(self.bob.audio_level, 1)), (0.0, 0.9))

    def test_unknown_speakers_are_passed_over(self):
        self.assertEqual(self.speak(("PA_x", 1.0, True)), [("active_speakers_changed", ([],))])

    def test_one_who_leaves_speaks_no_more(self):
        self.speak(("PA_bob", 0.2, True), ("PA_eve", 0.6, True))
        self.room.update(info(version=2, state=3))
        self.assertEqual(self.room.active_speakers, [self.eve])
        self.assertIn(("active_speakers_changed", ([self.eve],)), self.room.took())

    def test_quality_is_unknown_until_it_is_kept_and_told(self):
        self.assertEqual(self.bob.connection_quality, ConnectionQuality.QUALITY_UNKNOWN)
        updates = [{"participant_sid": "PA_bob", "quality": 2}, {"participant_sid": "PA_x"}]
        self.room._on_signal("connection_quality", {"updates": updates})
        self.assertEqual(self.room.took(), [("connection_quality_changed", (self.bob, 2))])
        self.assertEqual(self.bob.connection_quality, 2)

    def test_room_updates_tell_of_metadata_and_bring_a_late_sid(self):
        self.room._on_signal("room_update", {"room": {"sid": "RM_2", "name": "hall", "metadata": "n"}})
        self.assertEqual(
            self.room.took(), [("room_metadata_changed", ("m", "n")), ("room_updated", ())]
        )
        self.assertEqual((self.room.sid, self.room.name, self.room.metadata), ("RM_2", "hall", "n"))

    def test_signals_that_nobody_knows_are_passed_over(self):
        self.room._on_signal("stream_state_update", {})
        self.assertEqual(self.room.took(), [])


if __name__ == "__main__":
    main()
