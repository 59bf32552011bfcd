# One app from start to leave, in virtual time: whatever ends it, the room is left and nobody waits for ever.

import asyncio

import fake_time
from harness import TestCase, main
from linnet.errors import Closed, LinnetError
from linnet.events import EventEmitter
from linnet.port import Port
from run_app import Run, Setup

STATS = {"rtt_us": 12500, "microphone_level": 40}
TRACK = {"level": 20, "jitter_us": 3000, "packets_received": 90, "packets_lost": 10, "packets_late": 1,
         "frames_played": 80, "frames_concealed": 5}
for _name in ("rtp_sent", "rtp_received", "bytes_sent", "bytes_received", "remote_packets_lost", "data_sent",
              "data_received", "audio_turns_late", "offers_sent"):
    STATS[_name] = 7


class Journal:
    path, trouble = None, ""

    def __init__(self):
        self.events = []
        self.started = fake_time.now_us()

    def seconds(self):
        return (fake_time.now_us() - self.started) / 1000000

    def write(self, event, fields):
        self.events.append((event, fields))
        return self.seconds()


class Board:
    name, room_options = "test", {"remote_tracks": 1}


class Audio:
    rate, finished = 16000, False
    begun = []  # microseconds

    def begin(self):
        self.begun.append(fake_time.now_us())


class Publication:
    def __init__(self, level, muted=False):
        self.track, self.muted = self, muted
        self._stats = dict(TRACK, level=level)

    def stats(self):
        return self._stats


class Person:
    def __init__(self, identity, *publications):
        self.identity = identity
        self.track_publications = {i: publication for i, publication in enumerate(publications)}


class Room(EventEmitter):
    """A room as a Run sees it."""

    name, server_version = "kitchen", "1.0"

    def __init__(self, leave_ms=0):
        super().__init__()
        self.is_in, self.local_participant, self.remote_participants = False, None, {}
        self.leave_ms, self.leaves = leave_ms, 0

    def join(self, *others):
        self.is_in, self.local_participant = True, Person("badge")
        self.remote_participants = {other.identity: other for other in others}
        self.emit("connected")

    def isconnected(self):
        return self.is_in

    def stats(self):
        return dict(STATS)

    def timeline(self):
        return [("dtls", 30.0)]

    async def disconnect(self):
        self.leaves += 1
        await asyncio.sleep(self.leave_ms / 1000)
        self.is_in = False


class Case(TestCase):
    def prepare(self, app, **changes):
        setup = Setup()
        setup.main, setup.app, setup.board = app, "app.py", Board()
        setup.port = Port(None, fake_time.VirtualClock(), Audio())
        for name, value in changes.items():
            setattr(setup, name, value)
        self.told = []
        self.run_of_app = Run(setup, Journal(), lambda seconds, words: self.told.append(words))
        return self.run_of_app

    def events(self, name=None):
        found = self.run_of_app.journal.events
        return [fields for event, fields in found if event == name] if name else [event for event, _ in found]

    def runs(self, app, during=None, error=None, **changes):
        """Runs an app to its end, `during(run)` beside it; the seconds it took."""

        async def test():
            run = self.prepare(app, **changes)
            beside = asyncio.create_task(during(run)) if during else None
            try:
                await run()
                caught = None
            except (Exception, SystemExit) as problem:
                caught = problem
            if beside is not None:
                await beside
            self.assertIs(caught, error)
            return run.journal.seconds()

        return fake_time.run(test())


def stop_after(seconds):
    async def stop(run):
        await asyncio.sleep(seconds)
        run.stop("the test says so")

    return stop


class TestEnd(Case):
    def test_a_program_that_returns_ends_the_run(self):
        async def app(device):
            device.report("my_own", answer=42)

        self.assertLess(self.runs(app), 0.2)
        self.assertEqual(self.events(), ["started", "my_own"])
        started = self.events("started")[0]
        self.assertEqual((started["app"], started["board"], started["rate"]), ("app.py", "test", 16000))
        self.assertEqual(started["driver"], "python")
        self.assertEqual(self.told, ["my own answer=42"])

    def test_an_error_of_ours_is_raised_as_it_is(self):
        error = Closed("ws-closed", "gone")

        async def app(device):
            raise error

        self.runs(app, error=error)

    def test_another_error_is_raised_as_the_setup_says_it(self):
        said = LinnetError("app-failed", "line 7")

        async def app(device):
            raise ValueError("x")

        self.runs(app, error=said, app_failed=lambda error: said if isinstance(error, ValueError) else None)

    def test_an_error_that_is_no_exception_is_raised_as_the_setup_says_it_too(self):
        class Own(BaseException):
            pass

        said = LinnetError("app-failed", "line 7")

        async def app(device):
            raise Own("x")

        self.runs(app, error=said, app_failed=lambda error: said if isinstance(error, Own) else None)

    def test_a_program_may_end_everything_with_a_code_of_its_own(self):
        end = SystemExit(3)

        async def app(device):
            raise end

        self.runs(app, error=end)

    def test_who_stopped_a_program_that_then_broke_wanted_to_stop(self):
        async def app(device):
            try:
                await asyncio.sleep(60)
            finally:
                raise Closed("ws-closed", "gone")

        self.runs(app, stop_after(1))

    def test_a_program_that_waits_for_the_network_is_cancelled_at_once(self):
        async def app(device):
            await asyncio.sleep(60)

        self.assertLess(self.runs(app, stop_after(1)), 1.2)
        self.assertEqual(self.events("stopping"), [{"why": "the test says so"}])

    def test_a_stop_before_the_first_step_is_a_stop(self):
        async def app(device):
            await asyncio.sleep(60)

        async def test():
            run = self.prepare(app)
            run.stop("early")
            await run()
            return run.journal.seconds()

        self.assertLess(fake_time.run(test()), 0.2)
        self.assertEqual(self.events(), ["started", "stopping"])

    def test_a_program_that_does_not_end_is_left_behind(self):
        async def app(device):
            end = fake_time.now_us() + 60000000
            while fake_time.now_us() < end:
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    pass

        took = self.runs(app, stop_after(1))
        self.assertTrue(4.9 < took < 5.2, took)
        self.assertEqual(self.events("log")[0]["text"], "the program does not end; it is left behind")


class TestRoom(Case):
    def room_app(self, leave_ms=0, stays=True, leaves=True):
        rooms = []

        async def app(device):
            room = device.room = Room(leave_ms)
            rooms.append(room)
            room.join()
            if stays:
                await device.stopping.wait()
            if leaves:
                await room.disconnect()

        return app, rooms

    def test_a_program_in_a_room_is_asked_and_leaves_by_itself(self):
        app, rooms = self.room_app()
        self.assertLess(self.runs(app, stop_after(1)), 1.2)
        self.assertEqual((rooms[0].is_in, rooms[0].leaves), (False, 1))

    def test_the_room_is_left_even_if_the_program_forgot_to(self):
        app, rooms = self.room_app(stays=False, leaves=False)
        self.runs(app)
        self.assertEqual((rooms[0].is_in, rooms[0].leaves), (False, 1))

    def test_a_leave_that_nobody_takes_has_a_limit(self):
        app, rooms = self.room_app(60000, stays=False, leaves=False)
        took = self.runs(app)
        self.assertTrue(3.9 < took < 4.2, took)
        self.assertEqual(self.events("log")[0]["text"], "the server did not take our leave in time")

    def test_a_run_that_is_cancelled_from_outside_leaves_the_room(self):
        app, rooms = self.room_app()

        async def test():
            task = asyncio.create_task(self.prepare(app)())
            await asyncio.sleep(1)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass

        fake_time.run(test())
        self.assertEqual(rooms[0].is_in, False)

    def test_seconds_count_from_the_moment_of_joining(self):
        async def app(device):
            room = device.room = Room()
            await asyncio.sleep(3)
            room.join()
            await device.stopping.wait()
            await room.disconnect()

        took = self.runs(app, seconds=1.5)
        self.assertTrue(4.4 < took < 4.7, took)
        self.assertEqual(self.events("stopping"), [{"why": "1.5 s are over"}])

    def test_seconds_of_a_program_that_never_joins_count_after_a_while(self):
        async def app(device):
            await asyncio.sleep(60)

        took = self.runs(app, seconds=1, is_own_app=True)
        self.assertTrue(5.9 < took < 6.2, took)

    def test_facts_are_those_of_the_call_and_survive_its_end(self):
        async def app(device):
            room = device.room = Room()
            room.join(Person("ann", Publication(30), Publication(10, muted=True)), Person("bob"))
            await asyncio.sleep(2)
            await room.disconnect()

        self.runs(app, sample_s=0.5)
        samples = self.events("sample")
        self.assertTrue(3 <= len(samples) <= 5, samples)
        self.assertEqual(samples[0], {"microphone": 40, "speaker": 30, "rtt_ms": 12.5})
        facts = self.run_of_app.summary()
        self.assertEqual((facts["room"], facts["identity"], facts["server_version"]), ("kitchen", "badge", "1.0"))
        link = facts["link"]
        self.assertEqual((link["packets_lost"], link["packets_received"], link["rtp_sent"]), (20, 180, 7))
        self.assertEqual((link["rtt_ms"], link["jitter_ms"]), (12.5, 3.0))
        self.assertTrue(1.5 < facts["call_s"] < 2.2, facts["call_s"])
        self.assertNotIn("cpu_s", facts)

    def test_what_only_the_machine_knows_is_told_where_it_is_known(self):
        cpu = [4.0]

        async def app(device):
            room = device.room = Room()
            room.join()
            cpu[0] = 5.5
            await asyncio.sleep(2)
            await room.disconnect()

        async def test():
            run = self.prepare(app)
            run.cpu_s, run.memory_kib = lambda: cpu[0], lambda: 1234
            await run()
            return run.summary()

        facts = fake_time.run(test())
        self.assertEqual((facts["call_cpu_s"], facts["cpu_s"], facts["peak_rss_kib"]), (1.5, 5.5, 1234))


class TestSound(Case):
    def speaks_at(self, seconds, listened_s=None):
        """With a listener after so many seconds in the room, or none, the WAV begins after `seconds`."""

        async def app(device):
            room = device.room = Room()
            room.join()
            if listened_s is not None:
                await asyncio.sleep(listened_s)
                room.emit("local_track_subscribed", None)
            await asyncio.sleep(10)
            device.port.audio.finished = True
            await asyncio.sleep(1)
            await room.disconnect()

        Audio.begun = []
        self.runs(app, wav="in.wav")
        self.assertEqual(self.events("wav_started"), [{"file": "in.wav"}])
        self.assertEqual(self.events("wav_ended"), [{"file": "in.wav"}])
        self.assertEqual(len(Audio.begun), 1)
        begun = (Audio.begun[0] - self.run_of_app.journal.started) / 1000000
        self.assertTrue(seconds - 0.1 < begun < seconds + 0.2, begun)

    def test_a_wav_is_spoken_when_somebody_listens(self):
        self.speaks_at(1, listened_s=1)

    def test_a_wav_is_spoken_after_a_while_even_if_nobody_listens(self):
        self.speaks_at(5)

    def test_a_script_that_reads_no_events_ends_the_run(self):
        async def app(device):
            await asyncio.sleep(60)

        async def breaks(run):
            await asyncio.sleep(1)
            run.journal.path, run.journal.trouble = "-", "gone"

        self.assertLess(self.runs(app, breaks), 2.2)
        self.assertEqual(self.events("stopping"), [{"why": "nobody reads the events"}])


if __name__ == "__main__":
    main()
