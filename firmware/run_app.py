# One app on this machine, from start to leave: on a board, on MicroPython's unix port and on a laptop alike.
# Every wait has a limit, and every way out goes through leave.

import asyncio

from linnet import log
from linnet.compat import print_exception
from linnet.device import Device
from linnet.errors import LinnetError
from linnet.options import RoomOptions
from words import SILENCE, in_words

_TICK_MS = 100
_LEAVE_MS = 4000  # for an app to leave the room by itself
_CANCEL_MS = 4000  # for an app that was cancelled
_LISTENER_MS = 5000  # after joining, a WAV is spoken even if nobody listens
_TRACK_SUMS = ("packets_received", "packets_lost", "packets_late", "frames_played", "frames_concealed")
_STATS = ("rtp_sent", "rtp_received", "bytes_sent", "bytes_received", "remote_packets_lost", "data_sent",
          "data_received", "audio_turns_late", "offers_sent")


class Setup:
    """What a Run needs: `main` is the program, `app` its name; `source` is a TokenSource, and `url` goes before the
    address that it gives. seconds, sample_s and wav are asked for in a command line."""

    app = "apps/badge.py"
    is_own_app = False  # which may never join
    main = board = port = source = url = seconds = wav = None
    sample_s = 0

    def __init__(self):
        self.warnings = []

    async def details(self):
        found = await self.source.fetch(self.port)
        return self.url or found.server_url, found.participant_token.reveal()

    def app_failed(self, error):
        """What is raised for an error of the program that is none of ours: itself, for the REPL to show."""
        return error


class Run:
    """`journal` keeps the events, `tell(seconds, words)` shows them."""

    idle_ms = 1000  # between two looks at what is true, when no sound and no sample waits for one
    cpu_s = memory_kib = None  # functions, where the machine knows: seconds of processor time, the most memory it had

    def __init__(self, setup, journal, tell, verbose=False):
        self.setup = setup
        self.journal = journal
        self.device = None
        self.why = ""
        self._tell = tell
        self._verbose = verbose
        self._clock = setup.port.clock
        self._stop = asyncio.Event()  # why is in self.why
        self._alarms = []
        self._joined = None  # seconds
        self._speaking = False
        self._sampled = 0
        self._facts = {}  # for the end: timeline and link, as they were last seen
        self._cpu_joined = None

    # --- what happens ---

    def report(self, event, **fields):
        """What the app, the log and this file tell: to the file and to the person."""
        seconds = self.journal.write(event, fields)
        words = in_words(event, fields)
        if words is not None:
            self._tell(seconds, words)

    def _on_log(self, level, where, text):
        if level >= log.WARN or self._verbose:
            self.report("log", level=level, where=where, text=text)

    def _on_room(self, room):
        if room is None:
            return
        room.on("connected", self._on_connected)
        room.on("local_track_subscribed", lambda track: self._on_listened())
        room.on("media_state_changed", self._on_media)
        room.on("track_limit_reached", lambda sid: self.report("track_limit", track=sid))

    def _on_connected(self):
        self._joined = self.journal.seconds()
        self._cpu_joined = self.cpu_s and self.cpu_s()
        self._limit()
        if self.setup.wav:
            self._later(_LISTENER_MS, self._speak)

    def _on_media(self, is_up):
        if self._joined is not None:  # before, it is a step of the join
            self.report("media", up=is_up)

    def _limit(self):
        """--seconds count from now on."""
        seconds = self.setup.seconds
        if seconds is not None:
            self._later(int(seconds * 1000), lambda: self.stop("%g s are over" % seconds))

    def _later(self, ms, function):
        async def wait():
            await self._clock.sleep_ms(ms)
            function()

        self._alarms.append(asyncio.create_task(wait()))

    def _on_listened(self):
        self.report("listened")
        self._speak()

    def _speak(self):
        if self.setup.wav and not self._speaking:
            self._speaking = True
            self.setup.port.audio.begin()
            self.report("wav_started", file=self.setup.wav)

    def stop(self, why):
        """Ask the app to leave."""
        if not self.why:
            self.why = why
        self._stop.set()

    # --- from start to end ---

    async def __call__(self):
        """Run the app to its end. Raises what ended it."""
        setup, board, port = self.setup, self.setup.board, self.setup.port
        options = RoomOptions(device_model=("Linnet " + board.name)[:64], **board.room_options)
        self.device = Device(port, board, setup.details, options, self.report, self._on_room)
        log.set_sink(self._on_log, log.DEBUG if self._verbose else log.WARN)
        try:
            self.report("started", app=setup.app, board=board.name, rate=port.audio and port.audio.rate,
                        driver="native" if port.media_loop else "python")
            for text in setup.warnings:
                self.report("log", level=log.WARN, where="note", text=text)
            if setup.is_own_app:
                self._later(_LISTENER_MS, lambda: self.device.room is None and self._limit())
            await self._until_over()
        finally:
            log.set_sink(None, log.WARN)

    async def _until_over(self):
        ended = []  # the error, or None
        over = asyncio.Event()

        async def work():
            try:
                await self.setup.main(self.device)
                ended.append(None)
            except asyncio.CancelledError:
                raise
            except KeyboardInterrupt:  # in the middle of the program: as when it comes at any other moment
                self.stop("Ctrl-C")
                raise
            except BaseException as error:
                ended.append(error)
            finally:
                over.set()
                self._stop.set()

        app = asyncio.create_task(work())
        ticker = asyncio.create_task(self._tick())
        try:
            await self._clock.sleep_ms(0)  # a task that is cancelled before its first step would never be over
            await self._stop.wait()
            if not over.is_set():
                await self._end_app(over)
        finally:
            # Also when the loop was taken down from outside: nobody's place in the room is left to a timeout.
            await self._cancel(app, over)
            await self._leave()
            for task in [ticker] + self._alarms:
                task.cancel()
        if ended and ended[0] is not None:
            self._judge(ended[0])

    def _judge(self, error):
        """Raise what ended the app."""
        if isinstance(error, LinnetError):
            # Whoever stopped us while something broke wanted to stop.
            if not self.why:
                raise error
        elif isinstance(error, SystemExit):
            raise error
        else:
            if self._verbose:
                print_exception(error)
            raise self.setup.app_failed(error)

    async def _end_app(self, over):
        self._look()  # the last figures before the room is left
        self.report("stopping", why=self.why)
        self.device.stopping.set()
        room = self.device.room
        # An app that has not joined yet waits for the network, not for `stopping`: it is cancelled at once.
        if room is not None and room.isconnected():
            await self._wait_ms(over.wait(), _LEAVE_MS)

    async def _cancel(self, app, over):
        if not over.is_set():
            app.cancel()
            if not await self._wait_ms(over.wait(), _CANCEL_MS):
                self.report("log", level=log.WARN, where="run", text="the program does not end; it is left behind")

    async def _leave(self):
        """The room is left even if the app forgot to."""
        room = self.device.room
        if room is not None and room.isconnected():
            self._look()
            if not await self._wait_ms(room.disconnect(), _LEAVE_MS):
                self.report("log", level=log.WARN, where="run", text="the server did not take our leave in time")

    async def _wait_ms(self, coroutine, ms):
        """False if it did not end within `ms` milliseconds; it is cancelled then."""
        try:
            await self._clock.wait_for_ms(coroutine, ms)
            return True
        except asyncio.TimeoutError:
            return False

    # --- ten times a second ---

    async def _tick(self):
        setup = self.setup
        while True:
            try:
                self._turn()
            except LinnetError as error:
                self.report("log", level=log.WARN, where="run", text=str(error))
            pause = _TICK_MS if setup.wav or setup.sample_s else self.idle_ms
            if setup.sample_s:
                pause = max(1, min(pause, int(1000 * setup.sample_s)))
            await self._clock.sleep_ms(pause)

    def _turn(self):
        setup, seconds = self.setup, self.journal.seconds()
        stats, tracks = self._look()
        if setup.sample_s and seconds - self._sampled >= setup.sample_s:
            self._sampled = seconds
            self._sample(stats, tracks)
        if self.journal.trouble and self.journal.path == "-":
            self.stop("nobody reads the events")
        if self._speaking and setup.port.audio.finished:
            self._speaking = None
            self.report("wav_ended", file=setup.wav)
            setup.wav = None

    def _look(self):
        """What is true now: the room's stats, {} without one, and [(identity, is it muted, stats)] of every remote
        track that plays."""
        room, tracks = self.device.room, []
        if room is None or room.local_participant is None:
            return {}, tracks
        for participant in room.remote_participants.values():
            for publication in participant.track_publications.values():
                stats = publication.track.stats() if publication.track is not None else None
                if stats is not None:
                    tracks.append((participant.identity, publication.muted, stats))
        stats = room.stats()
        if stats and self._joined is not None:
            self._keep(room, stats, [one for _, _, one in tracks])
        return stats, tracks

    def _sample(self, stats, tracks):
        room = self.device.room
        if room is None or not room.isconnected():
            return
        self.journal.write("sample", {
            "microphone": stats.get("microphone_level", SILENCE),
            "speaker": min([one["level"] for _, is_muted, one in tracks if not is_muted] + [SILENCE]),
            "rtt_ms": stats.get("rtt_us", 0) / 1000 or None})

    def _keep(self, room, stats, tracks):
        link = {name: sum([one[name] for one in tracks]) for name in _TRACK_SUMS}
        link["rtt_ms"] = stats["rtt_us"] / 1000 or None
        link["jitter_ms"] = max([one["jitter_us"] for one in tracks]) / 1000 if tracks else None
        for name in _STATS:
            link[name] = stats[name]
        facts = self._facts
        facts["room"], facts["identity"] = room.name, room.local_participant.identity
        facts["server_version"], facts["timeline"] = room.server_version, room.timeline()
        facts["call_s"], facts["link"] = round(self.journal.seconds() - self._joined, 3), link
        if self._cpu_joined is not None:
            facts["call_cpu_s"] = round(self.cpu_s() - self._cpu_joined, 3)

    def summary(self):
        """Figures of the whole run, for the last line of the events and for people."""
        facts = dict(self._facts)
        if self.cpu_s:
            facts["cpu_s"] = round(self.cpu_s(), 3)
        if self.memory_kib:
            facts["peak_rss_kib"] = self.memory_kib()
        return facts
