# One app on this machine, from start to leave: what main.py does on a board and on the
# unix port alike. Every wait has a limit, and every way out goes through leave.

import asyncio

from linnet import log
from linnet.compat import iscoroutine
from linnet.device import Device
from linnet.errors import LinnetError
from linnet.options import RoomOptions

_TICK_MS = 100
_LEAVE_MS = 4000  # for an app to leave the room by itself
_CANCEL_MS = 4000  # for an app that was cancelled
_LISTENER_MS = 5000  # after joining, a WAV is spoken even if nobody listens
_SILENCE = 127  # -dBov
_TRACK_SUMS = ("packets_received", "packets_lost", "packets_late", "frames_played", "frames_concealed")
_STATS = ("rtp_sent", "rtp_received", "bytes_sent", "bytes_received", "remote_packets_lost", "data_sent",
          "data_received", "audio_turns_late", "offers_sent")


class Run:
    """`setup` has main, port, board, details, app, seconds, sample_s, wav, warnings; `journal`
    keeps events, `tell(seconds, words)` shows them."""

    def __init__(self, setup, journal, watch, words_of, tell, verbose=False):
        self.setup = setup
        self.journal = journal
        self.why = ""
        self._watch = watch
        self._words_of = words_of
        self._tell = tell
        self._verbose = verbose
        self._stop = asyncio.Event()
        self._alarms = []
        self._joined = None  # seconds
        self._speaking = False
        self._sampled = 0
        self._facts = {}
        self._cpu_joined = None
        self.cpu_s = None  # function: seconds of processor time, where the machine knows
        self.device = None

    # --- what happens ---

    def report(self, event, **fields):
        """What the app, the log and this file tell: to the file and to the person."""
        seconds = self.journal.write(event, fields)
        words = self._words_of(event, fields)
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
        room.on("media_state_changed", lambda is_up: self._joined and self.report("media", up=is_up))
        room.on("track_limit_reached", lambda sid: self.report("track_limit", track=sid))

    def _on_connected(self):
        self._joined = self._watch.seconds()
        self._cpu_joined = self.cpu_s and self.cpu_s()
        self._limit()
        if self.setup.wav:
            self._later(_LISTENER_MS, self._speak)

    def _limit(self):
        """--seconds count from now on."""
        seconds = self.setup.seconds
        if seconds is not None:
            self._later(int(seconds * 1000), lambda: self.stop("%g s are over" % seconds))

    def _later(self, ms, function):
        async def wait():
            await asyncio.sleep_ms(ms)
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
        setup, board = self.setup, self.setup.board
        options = RoomOptions(device_model=("Linnet " + board.name)[:64], **board.room_options)
        self.device = Device(setup.port, board, setup.details, options, self.report, self._on_room)
        log.set_sink(self._on_log, log.DEBUG if self._verbose else log.WARN)
        try:
            self.report("started", app=setup.app, board=board.name, rate=setup.port.audio and setup.port.audio.rate)
            for text in setup.warnings:
                self.report("log", level=log.WARN, where="note", text=text)
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
        await self._stop.wait()
        try:
            if not over.is_set():
                await self._end_app(over)
        finally:
            await self._cancel(app, over)
            await self._leave()
            for task in [ticker] + self._alarms:
                task.cancel()
        error = ended[0] if ended else None
        # Whoever stopped us while something broke wanted to stop.
        if error is not None and not (self.why and isinstance(error, LinnetError)):
            raise error

    async def _end_app(self, over):
        self._keep()  # the last figures before the room is left
        self.report("stopping", why=self.why)
        self.device.stopping.set()
        room = self.device.room
        # An app that has not joined yet waits for the network, not for `stopping`: it is cancelled at once.
        if room is not None and room.isconnected():
            await _wait_ms(over.wait(), _LEAVE_MS)

    async def _cancel(self, app, over):
        if not over.is_set():
            app.cancel()
            if not await _wait_ms(over.wait(), _CANCEL_MS):
                self.report("log", level=log.WARN, where="run", text="the program does not end; it is left behind")

    async def _leave(self):
        """The room is left even if the app forgot to."""
        room = self.device.room
        if room is not None and room.isconnected():
            self._keep()
            if not await _wait_ms(room.disconnect(), _LEAVE_MS):
                self.report("log", level=log.WARN, where="run", text="the server did not take our leave in time")

    # --- ten times a second ---

    async def _tick(self):
        setup = self.setup
        while True:
            await asyncio.sleep_ms(_TICK_MS if setup.wav or setup.sample_s else 10 * _TICK_MS)
            if self.journal.trouble and self.journal.path == "-":
                self.stop("nobody reads the events")
            if setup.sample_s and self._watch.seconds() - self._sampled >= setup.sample_s:
                self._sampled = self._watch.seconds()
                self._sample()
            if self._speaking and setup.port.audio.finished:
                self._speaking = None
                self.report("wav_ended", file=setup.wav)
                setup.wav = None
            if self._joined:
                self._keep()

    def _tracks(self):
        """The stats of every remote track that plays."""
        found = []
        for participant in self.device.room.remote_participants.values():
            for publication in participant.track_publications.values():
                stats = publication.track.stats() if publication.track is not None else None
                if stats is not None:
                    found.append(stats)
        return found

    def _sample(self):
        room = self.device.room
        if room is None or not room.isconnected():
            return
        stats, tracks = room.stats(), self._tracks()
        self.journal.write("sample", {
            "microphone": stats.get("microphone_level", _SILENCE),
            "speaker": min([track["level"] for track in tracks] + [_SILENCE]),
            "rtt_ms": stats.get("rtt_us", 0) / 1000 or None})

    def _keep(self):
        room = self.device.room
        stats = room.stats() if room is not None and self._joined else None
        if not stats:
            return
        link = dict.fromkeys(_TRACK_SUMS, 0)
        for track in self._tracks():
            for name in _TRACK_SUMS:
                link[name] += track[name]
        for name in _STATS:
            link[name] = stats[name]
        link["rtt_ms"] = stats["rtt_us"] / 1000 or None
        facts = self._facts
        facts["room"], facts["identity"] = room.name, room.local_participant.identity
        facts["server_version"], facts["timeline"] = room.server_version, room.timeline()
        facts["call_s"], facts["link"] = round(self._watch.seconds() - self._joined, 3), link
        if self._cpu_joined is not None:
            facts["call_cpu_s"] = round(self.cpu_s() - self._cpu_joined, 3)

    def summary(self):
        """Figures of the whole run, for the last line of the events and for people."""
        return dict(self._facts)


async def _wait_ms(coroutine, ms):
    """False if it did not end within `ms` milliseconds; it is cancelled then."""
    try:
        await asyncio.wait_for_ms(coroutine, ms)
        return True
    except asyncio.TimeoutError:
        return False


def is_program(main):
    """Is this an `async def`?"""
    return type(main).__name__ in ("generator", "closure") or iscoroutine(main)
