# A room from connect() to disconnect(): what is told, and that nothing stays open
# whatever goes wrong on the way.

import asyncio

import fake_time
import native_core  # noqa: F401 (linnet.core wants `_linnet` to be importable)
from harness import TestCase, main
from linnet import core
from linnet.errors import Closed, Protocol, Refused, Timeout
from linnet.options import RoomOptions
from linnet.room import ConnectionState
from linnet.track import LocalAudioTrack
from signal_server import JOIN
from worlds import UP, World


class Case(TestCase):
    def setUp(self):
        self.worlds = []

    def tearDown(self):
        for world in reversed(self.worlds):
            world.restore()
            for line in world.lines:
                self.assertFalse(_is_telling(line), line)

    def world(self):
        self.worlds.append(World())
        return self.worlds[-1]

    def run_joined(self, test, options=None):
        """Run `await test(world)` in a room that is connected."""

        async def whole():
            world = self.world()
            await world.join(options)
            await test(world)
            return world

        return fake_time.run(whole())


def _is_telling(line):
    """Whether a log line holds a token, a key or an address."""
    if "eyJ" in line or "c2ln" in line or "pppp" in line:
        return True
    for word in line.replace(",", " ").replace("(", " ").replace(")", " ").split():
        numbers = word.strip(".:'\"").split(":")[0].split(".")
        if len(numbers) == 4 and [n for n in numbers if n.isdigit()] == numbers:
            return True
    return False


class TestJoining(Case):
    def test_telling_lines_are_recognised(self):
        for line in ("x: 192.0.2.10:7882 up", "at (10.0.0.1)", "t eyJhbGci.x.y"):
            self.assertTrue(_is_telling(line))
        for line in ("version 1.13.5", "negotiation: dropped 5 of 7."):
            self.assertFalse(_is_telling(line))

    def test_a_join_publishes_connects_and_says_so(self):
        track = LocalAudioTrack("mic")

        async def test(world):
            room = world.room
            self.assertTrue(room.isconnected())
            self.assertEqual((room.name, room.sid, room.server_version), ("hall", "RM_1", "1.13.5"))
            self.assertEqual(room.local_participant.identity, "badge")
            self.assertEqual(list(room.local_participant.track_publications), ["TR_me"])
            names = world.names()
            self.assertEqual(names[-3:], ["local_track_published", "connection_state_changed", "connected"])
            self.assertIn("token_refreshed", names)
            self.assertIn("media_state_changed", names)
            steps = [step for step, _ in room.timeline()]
            self.assertEqual(steps[:5], ["start", "dns", "tcp", "tls", "ws"])
            self.assertEqual(sorted(steps[5:]), ["dtls", "ice", "join", "sctp"])
            session = world.sessions[0]
            self.assertEqual(len(session.named("add_local_candidate")), 2)
            self.assertEqual(len(session.named("publish")), 1)
            labels = [call[0] for call in session.named("open_channel")]
            self.assertEqual(labels, ["_reliable", "_lossy", "_data_track"])
            self.assertEqual(world.audio.running, 1)
            await room.disconnect()
            self.assertEqual(world.left_open(), [])
            self.assertEqual(world.asked("leave"), [{"reason": 1}])
            self.assertEqual(world.names()[-2:], ["connection_state_changed", "disconnected"])
            self.assertEqual(room.connection_state, ConnectionState.CONN_DISCONNECTED)
            await room.disconnect()
            self.assertEqual(world.names(), [])
            self.assertIn(fake_time.tasks_left(), (None, 0))

        self.run_joined(test, RoomOptions(tracks=(track,)))

    def test_a_join_is_over_when_packets_of_both_kinds_can_come(self):
        async def test():
            world = self.world()
            world.opens_channels = False
            joining = asyncio.create_task(world.join())
            await asyncio.sleep(1)
            engine = world.room._engine
            for handle, label in ((8, "_lossy"), (7, "_reliable")):  # _data_track need not
                self.assertFalse(joining.done())
                self.assertNotIn("connected", world.names())
                world.sessions[0].outputs.append((core.CHANNEL, (handle, True, 0, label)))
                engine.driver.drain()
                await fake_time.turns()
            self.assertTrue(joining.done())
            self.assertEqual(world.names()[-1], "connected")
            await world.room.disconnect()

        fake_time.run(test())

    def test_channels_are_opened_as_the_servers_protocol_wants(self):
        for protocol, ids in ((17, [None] * 3), (18, [100, 101, 102]), (0, [None] * 3)):

            async def test(protocol=protocol, ids=ids):
                world = self.world()
                join = dict(JOIN)
                join["server_info"] = {"version": "1.13.5", "protocol": protocol}
                greet = world.greet
                world.greeting = lambda request: [("join", join)] + greet(request)[1:]
                await world.join()
                opened = world.sessions[0].named("open_channel")
                self.assertEqual([call[3] for call in opened], ids)
                self.assertEqual([call[1:3] for call in opened], [(False, None), (True, 0), (True, 0)])
                await world.room.disconnect()

            fake_time.run(test())

    def test_a_room_can_be_joined_again_after_it_was_left(self):
        async def test(world):
            for _ in range(3):
                await world.room.disconnect()
                self.assertEqual(world.left_open(), [])
                await world.join()
            self.assertEqual(len(world.sessions), 4)
            await world.room.disconnect()

        self.run_joined(test)

    def test_a_prepared_engine_is_used_once_and_a_useless_one_wiped(self):
        async def test():
            world = self.world()
            first, second = RoomOptions(), RoomOptions(remote_tracks=1)
            world.room.prepare(first)
            world.room.prepare(first)
            self.assertEqual(len(world.sessions), 1)
            world.room.prepare(second)
            self.assertEqual([session.wiped for session in world.sessions], [1, 0])
            await world.join(second)
            self.assertEqual(len(world.sessions), 2)
            await world.room.disconnect()
            self.assertEqual(world.left_open(), [])

        fake_time.run(test())

    def test_connecting_twice_is_refused_and_harms_nothing(self):
        async def test(world):
            with self.assertRaises(Refused) as raised:
                await world.join()
            self.assertEqual(raised.exception.code, "already-connected")
            self.assertTrue(world.room.isconnected())
            await world.room.disconnect()
            first = asyncio.create_task(world.join())
            await fake_time.turns(2)
            with self.assertRaises(Refused) as raised:
                await world.join()
            self.assertEqual(raised.exception.code, "already-connected")
            await first
            self.assertTrue(world.room.isconnected())
            await world.room.disconnect()
            self.assertEqual(world.left_open(), [])

        self.run_joined(test)


class TestFailing(Case):
    def fails(self, kind, code, prepare, options=None, within_s=40, **claims):
        """A join that fails: the error, nothing left open, and the room can be used again."""

        async def whole():
            world = self.world()
            prepare(world)
            start = fake_time.now_us()
            with self.assertRaises(kind) as raised:
                await world.join(options, **claims)
            self.assertEqual(raised.exception.code, code)
            self.assertLess((fake_time.now_us() - start) / 1e6, within_s)
            self.assertEqual(world.left_open(), [])
            self.assertEqual(world.room.connection_state, 0)
            self.assertNotIn("connected", world.names())
            for track in options.tracks if options else ():
                track.mute()  # is nobody's any more, and does not mind
                self.assertIsNone(track._room)
            self.assertNotIn("eyJ", repr(raised.exception))
            await fake_time.turns()
            self.assertIn(fake_time.tasks_left(), (None, 0))
            return world

        return fake_time.run(whole())

    def test_a_token_that_cannot_work_opens_nothing(self):
        for code, claims in (
            ("token-expired", {"exp": fake_time.UNIX_TIME - 600}),
            ("missing-grant", {"video": {"room": "hall"}}),
        ):
            world = self.fails(Refused, code, lambda world: None, **claims)
            self.assertEqual((world.opened, world.sessions), ([], []))

    def test_no_microphone_grant_is_known_before_anything_is_opened(self):
        options = RoomOptions(tracks=(LocalAudioTrack("mic"),))
        video = {"roomJoin": True, "room": "hall", "canPublish": False}
        world = self.fails(Refused, "publish-refused", lambda world: None, options, video=video)
        self.assertEqual(world.opened, [])

    def test_sockets_that_cannot_be_opened(self):
        error = Refused("host-unreachable", "no network")
        for family in (4, 6):

            def prepare(world, family=family):
                world.udp_fail_at = (family, error)

            self.fails(Refused, "host-unreachable", prepare)

    def test_a_stream_that_cannot_be_opened(self):
        def prepare(world):
            world.fail = Refused("tls-refused", "wrong host")

        self.fails(Refused, "tls-refused", prepare)

    def test_a_server_that_says_no_or_nothing(self):
        def refuses(world):
            world.refuse, world.validate = (401, "no"), (401, "no permission")

        def is_silent(world):
            world.silent = True

        def leaves(world):
            world.greeting = [("leave", {"reason": 5})]

        def leaves_after_the_join(world):
            world.answers = False
            world.extra = [("leave", {"reason": 5})]

        self.fails(Refused, "token-refused", refuses)
        self.fails(Timeout, "join-timeout", is_silent)
        self.fails(Closed, "left-room-deleted", leaves)
        self.fails(Closed, "left-room-deleted", leaves_after_the_join, within_s=1)

    def test_a_server_that_ends_the_connection_after_the_join(self):
        def closes(world):
            world.answers = False
            world.extra = [b"\x88\x02\x03\xe8"]

        def breaks(world):
            world.answers = False
            world.extra = [b"\x82\x03\xff\xff\xff"]

        self.fails(Closed, "ws-closed", closes, within_s=1)
        self.fails(Protocol, "protobuf", breaks, within_s=1)

    def test_answers_that_cannot_be_used(self):
        def no_answer(world):
            world.answers = False

        def nonsense(world):
            world.change_answer = lambda text: "v=0\r\nm=audio x\r\n"

        def without_credentials(world):
            world.change_answer = lambda text: text.replace("a=ice-ufrag", "a=x")

        self.fails(Timeout, "media-timeout", no_answer)
        self.fails(Protocol, "sdp", nonsense, within_s=1)
        self.fails(Protocol, "sdp", without_credentials, within_s=1)

    def test_a_description_that_the_core_refuses(self):
        def prepare(world):
            make = world.make_session

            def making(entropy, **options):
                session = make(entropy, **options)

                def refuse(*args):
                    raise core.CoreError(core.ERR_ARG, "remote description")

                session.set_remote = refuse
                return session

            core.Session = making

        self.fails(Protocol, "sdp", prepare, within_s=1)

    def test_a_media_path_that_does_not_come_up(self):
        for outputs, kind, code in (
            (((core.STATE, (core.ICE, core.FAILED, 0)),), Timeout, "ice-failed"),
            (UP[:1] + ((core.STATE, (core.DTLS, core.FAILED, core.ERR_AUTH)),), Protocol, "dtls-fingerprint"),
            (UP[:1] + ((core.STATE, (core.DTLS, core.FAILED, -6)),), Protocol, "dtls-failed"),
            (UP[:1], Timeout, "media-timeout"),
            ((), Timeout, "media-timeout"),
        ):

            def prepare(world, outputs=outputs):
                world.on_remote = outputs

            with self.subTest(code=code):
                self.fails(kind, code, prepare)

    def test_data_channels_that_do_not_open(self):
        def prepare(world):
            world.opens_channels = False

        self.fails(Timeout, "media-timeout", prepare)

        async def told():
            world = self.world()
            prepare(world)
            with self.assertRaises(Timeout) as raised:
                await world.join()
            self.assertIn("no data channels within", raised.exception.cause)

        fake_time.run(told())

    def test_a_sound_device_that_is_missing(self):
        def prepare(world):
            world.audio.fail = Refused("no-audio-device", "no microphone")

        self.fails(Refused, "no-audio-device", prepare)

    def test_a_track_that_the_server_does_not_take(self):
        def never_says(world):
            world.publishes = False

        def lost_meanwhile(world):
            world.publishes = False

            async def later():
                await asyncio.sleep(2)
                world.sessions[-1].outputs.append((core.STATE, (core.ICE, core.FAILED, 0)))
                world.room._engine.driver.drain()

            asyncio.create_task(later())

        options = RoomOptions(tracks=(LocalAudioTrack("mic"),))
        self.fails(Timeout, "request-timeout", never_says, options)
        self.fails(Timeout, "ice-failed", lost_meanwhile, options, within_s=3)

    def test_a_session_that_is_lost_while_it_becomes_connected(self):
        def prepare(world):
            world.on_remote = UP + ((core.STATE, (core.SCTP, core.FAILED, 0)),)

        options = RoomOptions(tracks=(LocalAudioTrack("mic"),))
        self.fails(Protocol, "negotiation-failed", prepare, options, within_s=1)
        self.fails(Protocol, "negotiation-failed", prepare, within_s=1)

    def test_a_refused_track_names_the_reason(self):
        def prepare(world):
            world.publishes = False

            def greet(request, greet=world.greet):
                cid = request["add_track_requests"][0]["cid"]
                refusal = {"reason": 2, "message": "not granted", "add_track": {"cid": cid}}
                return greet(request) + [("request_response", refusal)]

            world.greeting = greet

        options = RoomOptions(tracks=(LocalAudioTrack("mic"),))
        self.fails(Refused, "publish-refused", prepare, options, within_s=1)

    def test_two_microphones_are_one_too_many(self):
        options = RoomOptions(tracks=(LocalAudioTrack("a"), LocalAudioTrack("b")))
        world = self.fails(Refused, "publish-refused", lambda world: None, options)
        self.assertEqual(world.opened, [])


if __name__ == "__main__":
    main()
