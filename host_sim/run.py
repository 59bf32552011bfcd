"""One badge on this machine: the app of firmware/ between this machine's network, sound and terminal.

Every wait has a limit, and every way out goes through leave.
"""

import asyncio
import sys
import time
import traceback

from linnet import log
from linnet.errors import LinnetError

from .prepare import APP, app_failed
from .view import SILENCE, Meters, Screen, clean, in_words

TICK_S = 0.1  # between two drawings
LEAVE_S = 4  # for an app to leave the room by itself
CANCEL_S = 4  # for an app that was cancelled
LISTENER_S = 5  # after joining, a WAV is spoken even if nobody listens


class Run:
    """One run of an app. `journal` keeps its events, `terminal` shows them."""

    def __init__(self, setup, journal, verbose=False):
        self.setup = setup
        self.journal = journal
        self.terminal = None
        self.verbose = verbose
        self.screen = Screen()
        self.device = None
        self.error = None
        self._meters = Meters()
        self._stop = None  # Event: why is in self.why
        self.why = ""
        self._loop = None
        self._drawn = self._sampled = 0.0
        self._joined = None
        self._speaking = False
        self._facts = {}  # for the end: timeline and link, as they were last seen
        self._cpu_joined = None

    # --- what happens ---

    def report(self, event, **fields):
        """What the app, the log and this file tell: to the file, to the person, and to the sound."""
        seconds = self.journal.write(event, fields)
        words = in_words(event, fields)
        if words is not None:
            self.terminal.event(seconds, words)
        if event == "quality":
            self.screen.quality = fields.get("quality")

    def _on_log(self, level, where, text):
        if level >= log.WARN or self.verbose:
            self.report("log", level=level, where=where, text=text)

    def _on_room(self, room):
        if room is None:
            return
        room.on("connected", self._on_connected)
        room.on("local_track_subscribed", lambda track: self._on_listened())
        room.on("media_state_changed", self._on_media)
        room.on("track_limit_reached", lambda sid: self.report("track_limit", track=sid))

    def _on_connected(self):
        self._joined = time.monotonic()
        self._cpu_joined = time.process_time()
        self._limit()
        if self.setup.wav:
            self._loop.call_later(LISTENER_S, self._speak)

    def _on_media(self, is_up):
        if self._joined:  # before, it is a step of the join
            self.report("media", up=is_up)

    def _limit(self):
        """--seconds count from now on."""
        if self.setup.seconds is not None:
            self._loop.call_later(self.setup.seconds, self.stop, f"{self.setup.seconds:g} s are over")

    def _on_listened(self):
        self.report("listened")
        self._speak()

    def _speak(self):
        if self.setup.wav and not self._speaking:
            self._speaking = True
            self.setup.audio.begin()
            self.report("wav_started", file=str(self.setup.wav))

    def stop(self, why):
        """Ask the app to leave. Safe from a signal handler and from other threads."""
        if not self.why:
            self.why = why
        if self._loop is None:
            return  # not begun yet: __call__ will see it
        try:
            self._loop.call_soon_threadsafe(self._stop.set)
        except RuntimeError:
            pass  # it is over already

    def press(self, key):
        if key in ("m", " ") and self.setup.board.has_button:
            self.device.button.press()
        elif key in ("q", "Q"):
            self.stop("q was pressed")

    # --- from start to end ---

    async def __call__(self, open_terminal):
        """Run the app to its end. Raises the LinnetError that ended it."""
        from linnet.device import Device
        from linnet.options import RoomOptions
        from linnet.port import Port

        from .port_host import HostClock, HostNet

        setup, board = self.setup, self.setup.board
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self.why:
            self._stop.set()
        port = Port(HostNet(ca_file=setup.ca_file), HostClock(), setup.audio,
                    media_loop=setup.media_loop)
        options = RoomOptions(device_model=f"Linnet {board.name}"[:64], **board.room_options)
        self.device = Device(port, board, lambda: setup.details(port), options, self.report, self._on_room)
        self.screen.board, self.screen.has_led, self.screen.has_button = board.name, board.has_led, board.has_button
        self.terminal = open_terminal(self)
        log.set_sink(self._on_log, log.DEBUG if self.verbose else log.WARN)
        try:
            self.report("started", app=str(setup.app), board=board.name, rate=setup.audio.rate,
                        driver="native" if setup.media_loop else "python")
            for text in setup.warnings:
                self.report("log", level=log.WARN, where="note", text=text)
            if self.device.room is None and self.setup.app != APP:
                self._loop.call_later(LISTENER_S, lambda: self.device.room is None and self._limit())
            await self._until_over()
        finally:
            log.set_sink(None, log.WARN)
            self.terminal.close()

    async def _until_over(self):
        app = asyncio.create_task(self.setup.main(self.device))
        ticker = asyncio.create_task(self._tick())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((app, stop), return_when=asyncio.FIRST_COMPLETED)
            if not app.done():
                await self._end_app(app)
        finally:
            # Also when the app took the loop down with it: nobody's place in the room is left to a timeout.
            await self._cancel(app)
            await self._leave()
            for task in (ticker, stop):
                task.cancel()
            await asyncio.wait((ticker, stop), timeout=1)
        self._judge(app)

    async def _end_app(self, app):
        self._look(time.monotonic())  # the last figures before the room is left
        self.report("stopping", why=self.why)
        self.device.stopping.set()
        room = self.device.room
        # An app that has not joined yet waits for the network, not for `stopping`: it is cancelled at once.
        if room is not None and room.isconnected():
            await asyncio.wait((app,), timeout=LEAVE_S)

    async def _cancel(self, app):
        if not app.done():
            app.cancel()
            await asyncio.wait((app,), timeout=CANCEL_S)
        if not app.done():
            self.report("log", level=log.WARN, where="run", text="the program does not end; it is left behind")

    async def _leave(self):
        """The room is left even if the app forgot to."""
        room = self.device.room
        if room is not None and room.isconnected():
            try:
                await asyncio.wait_for(room.disconnect(), LEAVE_S)
            except asyncio.TimeoutError:
                self.report("log", level=log.WARN, where="run", text="the server did not take our leave in time")

    def _judge(self, app):
        """Raise what ended the app, in the words for a person."""
        if not app.done() or app.cancelled():
            return
        error = app.exception()
        if error is None:
            return
        if isinstance(error, LinnetError):
            # Whoever stopped us while something broke wanted to stop.
            if not self.why:
                raise error
            return
        if self.verbose:
            traceback.print_exception(error, file=sys.stderr)
        raise app_failed(error, self.setup.app) from None

    # --- ten times a second ---

    async def _tick(self):
        while True:
            now = time.monotonic()
            try:
                levels = self._look(now)
                self.terminal.draw(self.screen)
                if self.setup.sample_s and now - self._sampled >= self.setup.sample_s:
                    self._sampled = now
                    self._sample(levels)
                if self.journal.trouble and self.journal.path == "-":
                    self.stop("nobody reads the events")
                if self._speaking and self.setup.audio.finished:
                    self._speaking = None
                    self.report("wav_ended", file=str(self.setup.wav))
                    self.setup.wav = None
            except LinnetError as error:
                self.report("log", level=log.WARN, where="view", text=str(error))
            await asyncio.sleep(min(TICK_S, self.setup.sample_s or TICK_S))

    def _look(self, now):
        """Fill the screen with what is true now; {name: -dBov} of this moment."""
        screen, device, room = self.screen, self.device, self.device.room
        screen.seconds = self.journal.seconds()
        screen.led, screen.volume = device.led.is_on, device.volume
        levels = {"": SILENCE}
        others = []
        if room is not None and room.local_participant is not None:
            stats = room.stats()
            screen.state = "connected" if room.isconnected() else ("left" if self._joined else "joining")
            screen.room, screen.identity = room.name or screen.room, room.local_participant.identity
            screen.muted = any(p.muted for p in room.local_participant.track_publications.values())
            levels[""] = stats.get("microphone_level", SILENCE)
            others = [_other(p) for p in sorted(room.remote_participants.values(), key=lambda p: p.identity)]
            levels.update({name: level for name, level, _, _ in others})
            tracks = [track for *_, tracks in others for track in tracks]
            self._link(stats, tracks)
            if stats and self._joined:
                self._keep(room, stats, tracks)
        elif room is not None:
            screen.state = "joining"
        shown = self._meters.show(levels, now - self._drawn)
        self._drawn = now
        screen.microphone = shown[""]
        screen.others = [(name, shown[name], note) for name, _, note, _ in others]
        return levels

    def _link(self, stats, tracks):
        screen = self.screen
        if not stats:
            return
        screen.sent, screen.received = stats["rtp_sent"], stats["rtp_received"]
        screen.rtt_ms = stats["rtt_us"] / 1000 if stats["rtt_us"] else None
        lost = sum(track["packets_lost"] for track in tracks)
        expected = lost + sum(track["packets_received"] for track in tracks)
        screen.loss_percent = 100 * lost / expected if expected else None
        screen.jitter_ms = max((track["jitter_us"] for track in tracks), default=0) / 1000 if tracks else None

    def _keep(self, room, stats, tracks):
        total = {name: sum(track[name] for track in tracks) for name in
                 ("packets_received", "packets_lost", "packets_late", "frames_played", "frames_concealed")}
        self._facts.update(
            room=room.name, identity=room.local_participant.identity, server_version=room.server_version,
            timeline=room.timeline(), call_s=round(time.monotonic() - self._joined, 3),
            call_cpu_s=round(time.process_time() - self._cpu_joined, 3),
            link=dict(total, rtt_ms=self.screen.rtt_ms, jitter_ms=self.screen.jitter_ms, **{
                name: stats[name] for name in ("rtp_sent", "rtp_received", "bytes_sent", "bytes_received",
                                               "remote_packets_lost", "data_sent", "data_received",
                                               "audio_turns_late", "offers_sent")}))

    def summary(self):
        """Figures of the whole run, for the last line of the events and for people."""
        return dict(self._facts, cpu_s=round(time.process_time(), 3), peak_rss_kib=_peak_rss_kib())

    def _sample(self, levels):
        room = self.device.room
        if room is None or not room.isconnected():
            return
        remote = [level for name, level in levels.items() if name]
        self.journal.write("sample", {"microphone": levels[""], "speaker": min(remote, default=SILENCE),
                                      "rtt_ms": self.screen.rtt_ms})


def _other(participant):
    """(name, level, note, stats of its tracks) of somebody in the room."""
    level, notes, tracks = SILENCE, [], []
    for publication in participant.track_publications.values():
        stats = publication.track.stats() if publication.track is not None else None
        if stats is not None:
            tracks.append(stats)
            if not publication.muted:
                level = min(level, stats["level"])
        if publication.muted:
            notes = ["muted"]
    state = participant.attributes.get("lk.agent.state")
    return participant.identity, level, clean(state or "".join(notes)), tracks


def _peak_rss_kib():
    """The most memory this program had. Not ru_maxrss, in which Linux counts whoever started us."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
