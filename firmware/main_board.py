# main.py on a board: Wi-Fi, clock, sound chips, then the app, for ever. What the board is
# stands in the frozen board.py; what is secret or yours stands in the Store, set once at
# the REPL (mpremote):
#
#     import main_board; main_board.settings(wifi_ssid="...", wifi_key="...", token_url="https://...")
#
# Keys: wifi_ssid wifi_key url token token_url. Ctrl-C ends the app and gives the REPL.
# Written for ESP32; not run on a board here.

import asyncio
import gc
import time

import board
import machine
from board_file import Board
from drivers import codecs
from journal import Journal, Stopwatch, clean, in_words
from linnet.errors import LinnetError, Refused
from linnet.log import redact
from linnet.port import Port
from linnet.token import TokenSource
from port_esp32 import Esp32Machine, I2sAudio, NvsStore, join_wifi, set_clock
from port_mpy import MpyClock, MpyNet
from run_app import Run

_SETTINGS = ("wifi_ssid", "wifi_key", "url", "token", "token_url")
_PAUSES_S = (1, 2, 5, 10, 30, 60)  # between two attempts
_BUTTON_MS = 30


def settings(**values):
    """Keep these texts over a restart; None forgets one. Without any: what is set, secrets as ***."""
    store = NvsStore()
    for name, value in values.items():
        if name not in _SETTINGS:
            raise ValueError("settings are " + ", ".join(_SETTINGS))
        store.set(name, value)
    return {name: "***" if "key" in name or "token" in name else store.get(name) for name in _SETTINGS
            if store.get(name) is not None}


class Setup:
    """What run_app.Run needs."""

    def __init__(self, store, wlan, main):
        self.main = main
        self.app = "apps/badge.py"
        self.warnings = []
        self.seconds = self.wav = None
        self.sample_s = 0
        self.board = Board(board.name, board.rate, board.remote_tracks, board.opus_complexity, board.has_led,
                           board.has_button)
        self.port = Port(MpyNet(Esp32Machine(wlan)), MpyClock(), I2sAudio(board.rate), store, media_loop=True)
        self._url = store.get("url")
        if store.get("token_url"):
            self._source = TokenSource.endpoint(store.get("token_url"))
        elif self._url and store.get("token"):
            self._source = TokenSource.literal(self._url, store.get("token"))
        else:
            raise Refused("bad-argument", "no server is set up",
                          "At the REPL: import main_board; main_board.settings(token_url=...), or url= and token=.")

    async def details(self):
        found = await self._source.fetch(self.port)
        return self._url or found.server_url, found.participant_token.reveal()


def _tell(seconds, words):
    print("%7.1f  %s" % (seconds, clean(redact(words))))


def _start_sound():
    """Amplifier on, chips told what to do. Raises OSError with the name of the one that does not answer."""
    if board.amp is not None:
        machine.Pin(board.amp, machine.Pin.OUT, value=1)
    if board.i2c is not None:
        sda, scl, hz = board.i2c
        i2c = machine.I2C(0, sda=machine.Pin(sda), scl=machine.Pin(scl), freq=hz)
        codecs.start(board, i2c, time.sleep_ms)


class Lamp:
    """The board's LED: a plain pin, or one that takes colours ("neopixel")."""

    def __init__(self):
        self._pin = self._pixel = None
        if board.has_led:
            self._pin = machine.Pin(board.led, machine.Pin.OUT)
            if board.led_kind != "plain":
                self._pixel = machine.bitstream

    def show(self, is_on):
        if self._pixel is not None:
            level = 40 if is_on else 0
            self._pixel(self._pin, 0, (400, 850, 800, 450), bytes((level, level, level)))
        elif self._pin is not None:
            self._pin.value(is_on)


async def _watch_button(run):
    if not board.has_button:
        return
    pin = machine.Pin(board.talk, machine.Pin.IN, machine.Pin.PULL_UP)
    was = 1
    while True:
        await asyncio.sleep_ms(_BUTTON_MS)
        now = pin.value()
        if was and not now and run.device is not None:
            run.device.button.press()
        was = now


class BoardRun(Run):
    """A Run whose LED is a lamp."""

    lamp = None

    def report(self, event, **fields):
        if event == "led" and self.lamp is not None:
            self.lamp.show(fields["on"])
        super().report(event, **fields)


async def _once(store, watch):
    from apps.badge import main as app

    wlan = await join_wifi(store)
    clock = MpyClock()
    if not clock.unix_time() and not await set_clock():
        _tell(watch.seconds(), "no time server answers: certificates cannot be checked")
    run = BoardRun(Setup(store, wlan, app), Journal(None, watch), watch, in_words, _tell)
    run.lamp = Lamp()
    button = asyncio.create_task(_watch_button(run))
    try:
        await run()
    finally:
        button.cancel()


async def _for_ever():
    store, watch = NvsStore(), Stopwatch()
    _start_sound()
    attempt = 0
    while True:
        started = watch.seconds()
        try:
            await _once(store, watch)
        except LinnetError as error:
            _tell(watch.seconds(), str(error))
        if watch.seconds() - started > 60:
            attempt = 0  # that was a call
        pause = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
        attempt += 1
        _tell(watch.seconds(), "again in %d s" % pause)
        gc.collect()
        await asyncio.sleep(pause)


def main():
    try:
        asyncio.run(_for_ever())
    except KeyboardInterrupt:
        print("the app was ended; main_board.main() starts it again")
    finally:
        asyncio.new_event_loop()
