"""One badge on this machine: the app of firmware/ between this machine's network, sound and terminal.

`prepare()` finds what is wrong with files and devices before anything is joined; `run()` joins, shows and leaves.
Every wait has a limit, and every way out goes through leave.
"""

import asyncio
import importlib.util
import ssl
import sys
import time
import traceback
from pathlib import Path

from linnet import log, url as urls
from linnet.errors import LinnetError, Refused
from linnet.token import TokenSource, inspect

from . import audio as sound
from .board import Board, load_board
from .view import SILENCE, Meters, Screen, clean, in_words

APP = Path(__file__).resolve().parent.parent / "firmware" / "apps" / "badge.py"
DEFAULT_RATE = 16000
TICK_S = 0.1  # between two drawings
LEAVE_S = 4  # for an app to leave the room by itself
CANCEL_S = 4  # for an app that was cancelled
LISTENER_S = 5  # after joining, a WAV is spoken even if nobody listens


class Setup:
    """Everything that run() needs, checked."""

    def __init__(self):
        self.board = self.audio = self.main = self.details = None
        self.ca_file = None
        self.seconds = None
        self.sample_s = 0
        self.wav = None
        self.app = APP
        self.warnings = []


def prepare(options, token):
    """A Setup from the command line's options. Raises LinnetErrors that name the cause and the cure."""
    setup = Setup()
    setup.seconds, setup.sample_s, setup.wav = options.seconds, options.sample, options.wav
    setup.board = load_board(options.board) if options.board else Board()
    setup.ca_file = _checked_ca(options.ca)
    setup.details = _details(options, token, setup.warnings)
    setup.app = Path(options.app) if options.app else APP
    setup.main = load_app(setup.app)
    setup.audio = _audio(options, setup.board, setup.warnings)
    setup.audio.check()
    return setup


def _checked_ca(path):
    if path is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise Refused("file-missing", f"the CA file {path} holds no certificate in PEM form") from None
    except OSError as error:
        raise Refused("file-missing", f"the CA file {path} cannot be read: {error.strerror}") from None
    return path


def _details(options, token, warnings):
    """The coroutine function behind device.details()."""
    if options.url:
        urls.parse(options.url)
    if options.token_url:
        source = TokenSource.endpoint(options.token_url)
    else:
        claims = inspect(token)
        if claims.admin_grants:
            grants = ", ".join(claims.admin_grants)
            warnings.append(f"this token has grants of a backend ({grants}): keep it off a device")
        source = TokenSource.literal(options.url, token)

    async def details(port):
        found = await source.fetch(port)
        return options.url or found.server_url, found.participant_token.reveal()

    return details


def _audio(options, board, warnings):
    samples, rate = b"", board.rate or DEFAULT_RATE
    if options.wav:
        wav_rate, samples = sound.read_wav(options.wav)
        rate = board.rate or wav_rate
        if wav_rate != rate:
            raise Refused("wav-format", f"{options.wav} has {wav_rate} samples a second, the board has {rate}",
                          f"Convert it: sox {options.wav} -r {rate} OUT.wav, or change audio.rate of the board.")
    has_microphone = options.mic or not options.wav
    has_speaker = options.speaker or (has_microphone and not options.out)
    files = sound.WavAudio(rate, samples, out=options.out, wait=True)
    if not (has_microphone or has_speaker):
        if not options.out:
            warnings.append("what the badge hears is not kept: give --out OUT.wav or --speaker")
        return files
    device = sound.DeviceAudio(rate, has_microphone, has_speaker)
    if has_microphone and has_speaker:
        return device
    return sound.PairAudio(device, files) if has_microphone else sound.PairAudio(files, device)


# --- the program that runs on the badge ---


def load_app(path):
    """`main` of a program file. Raises Refused("bad-app") or Refused("file-missing")."""
    cure = "A program is a file with: async def main(device)."
    if not path.is_file():
        raise Refused("file-missing", f"there is no program {path}")
    spec = importlib.util.spec_from_file_location("linnet_app_" + path.stem, path)
    if spec is None:
        raise Refused("bad-app", f"{path} is no Python file", cure)
    module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        place = f"{error.filename or path} line {error.lineno}"
        raise Refused("bad-app", f"{place}: {error.msg}", "Correct the program.") from None
    except Exception as error:
        raise _app_failed(error, path, "bad-app") from error
    main = getattr(module, "main", None)
    if not asyncio.iscoroutinefunction(main):
        raise Refused("bad-app", f"{path} has no coroutine main", cure)
    return main


def _app_failed(error, path, code="app-failed"):
    """One line for an exception of somebody's program: its last line that was running, and the words."""
    path = Path(path).resolve()
    places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    place = f"{path.name} line {places[-1]}" if places else path.name
    cause = f"the program failed, {place}: {type(error).__name__}: {error}"
    return Refused(code, cause, "Correct it; --verbose shows the whole traceback.")


# --- the run ---


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
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        port = Port(HostNet(ca_file=setup.ca_file), HostClock(), setup.audio)
        options = RoomOptions(remote_tracks=board.remote_tracks, complexity=board.opus_complexity,
                              device_model=f"Linnet {board.name}"[:64])
        self.device = Device(port, board, lambda: setup.details(port), options, self.report, self._on_room)
        self.screen.board, self.screen.has_led, self.screen.has_button = board.name, board.has_led, board.has_button
        self.terminal = open_terminal(self)
        log.set_sink(self._on_log, log.DEBUG if self.verbose else log.WARN)
        try:
            self.report("started", app=str(setup.app), board=board.name, rate=setup.audio.rate)
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
            await self._leave()
        finally:
            for task in (ticker, stop):
                task.cancel()
            await asyncio.wait((ticker, stop), timeout=1)
        self._judge(app)

    async def _end_app(self, app):
        self.report("stopping", why=self.why)
        self.device.stopping.set()
        room = self.device.room
        # An app that has not joined yet waits for the network, not for `stopping`: it is cancelled at once.
        if room is not None and room.isconnected():
            await asyncio.wait((app,), timeout=LEAVE_S)
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
        raise _app_failed(error, self.setup.app) from None

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
            self._link(stats, [track for *_, tracks in others for track in tracks])
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
