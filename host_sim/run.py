"""A Run of firmware/ with what a laptop has more: a screen with meters and keys, threads, and signals."""

import asyncio
import sys
import time

import run_app
from words import SILENCE

from . import gpio
from .view import Meters, Screen, clean


class Run(run_app.Run):
    """`terminal` shows what happens; it is there once the run has begun."""

    idle_ms = 100  # between two drawings
    cpu_s = staticmethod(time.process_time)

    def __init__(self, setup, journal, verbose=False):
        super().__init__(setup, journal, lambda seconds, words: self.terminal.event(seconds, words), verbose)
        self.terminal = None
        self.screen = Screen()
        self._meters = Meters()
        self._drawn = 0.0
        self._loop = None

    async def __call__(self, open_terminal):
        """Run the app to its end. Raises what ended it."""
        self._loop = asyncio.get_running_loop()
        if self.why:  # somebody stopped us before there was a loop
            self._stop.set()
        screen, board = self.screen, self.setup.board
        screen.board, screen.has_led, screen.has_button = board.name, board.has_led, board.has_button
        self.terminal = open_terminal(self)
        try:
            await super().__call__()
        finally:
            self.terminal.close()

    async def _until_over(self):
        with gpio.attached(self.device, self.setup.board, self.report):
            await super()._until_over()

    def report(self, event, **fields):
        super().report(event, **fields)
        if event == "quality":
            self.screen.quality = fields.get("quality")

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

    def memory_kib(self):
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

    # --- the screen ---

    def _look(self):
        stats, tracks = super()._look()
        screen, device, room = self.screen, self.device, self.device.room
        screen.seconds, screen.led, screen.volume = self.journal.seconds(), device.led.is_on, device.volume
        levels, notes = {"": SILENCE}, {}
        if room is not None and room.local_participant is not None:
            screen.state = "connected" if room.isconnected() else ("joining" if self._joined is None else "left")
            screen.room, screen.identity = room.name or screen.room, room.local_participant.identity
            screen.muted = any(p.muted for p in room.local_participant.track_publications.values())
            levels[""] = stats.get("microphone_level", SILENCE)
            for participant in sorted(room.remote_participants.values(), key=lambda p: p.identity):
                levels[participant.identity], notes[participant.identity] = SILENCE, _note(participant)
            for name, is_muted, track in tracks:
                if not is_muted:
                    levels[name] = min(levels[name], track["level"])
            if stats and self._joined is not None:
                self._show_link(self._facts["link"])
        elif room is not None:
            screen.state = "joining"
        shown = self._meters.show(levels, screen.seconds - self._drawn)
        self._drawn = screen.seconds
        screen.microphone = shown[""]
        screen.others = [(name, shown[name], note) for name, note in notes.items()]
        self.terminal.draw(screen)
        return stats, tracks

    def _show_link(self, link):
        screen = self.screen
        screen.sent, screen.received = link["rtp_sent"], link["rtp_received"]
        screen.rtt_ms, screen.jitter_ms = link["rtt_ms"], link["jitter_ms"]
        expected = link["packets_lost"] + link["packets_received"]
        screen.loss_percent = 100 * link["packets_lost"] / expected if expected else None


def _note(participant):
    is_muted = any(publication.muted for publication in participant.track_publications.values())
    return clean(participant.attributes.get("lk.agent.state") or ("muted" if is_muted else ""))
