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
import sys
import time

import board
import machine
from drivers import hardware
from journal import Journal, Stopwatch
from linnet.errors import LinnetError, Refused
from linnet.log import redact
from linnet.port import Port
from linnet.token import TokenSource
from port_esp32 import Esp32Machine, I2sAudio, NvsStore, join_wifi, keep_firmware, set_clock
from port_mpy import MpyClock, MpyNet
from run_app import Run, Setup
from words import clean

_SETTINGS = ("wifi_ssid", "wifi_key", "url", "token", "token_url")
_PAUSES_S = (1, 2, 5, 10, 30, 60)  # between two attempts
_BUTTON_MS = 10  # what hardware.Talk wants


def settings(**values):
    """Keep these texts over a restart; None forgets one. Without any: what is set, secrets as ***."""
    store = NvsStore()
    for name, value in values.items():
        if name not in _SETTINGS:
            raise ValueError("settings are " + ", ".join(_SETTINGS))
        store.set(name, value)
    return {name: "***" if "key" in name or "token" in name else store.get(name) for name in _SETTINGS
            if store.get(name) is not None}


class BoardSetup(Setup):
    def __init__(self, store, wlan, main):
        super().__init__()
        self.main = main
        self.board = board
        self.port = Port(MpyNet(Esp32Machine(wlan)), MpyClock(), I2sAudio(board.rate), store, media_loop=True)
        self.url = store.get("url")
        if store.get("token_url"):
            self.source = TokenSource.endpoint(store.get("token_url"))
        elif self.url and store.get("token"):
            self.source = TokenSource.literal(self.url, store.get("token"))
        else:
            raise Refused("bad-argument", "no server is set up",
                          "At the REPL: import main_board; main_board.settings(token_url=...), or url= and token=.")


def _tell(seconds, words):
    print("%7.1f  %s" % (seconds, clean(redact(words))))


async def _watch_button(run):
    button = hardware.Talk(board, machine)
    while board.has_button:
        await asyncio.sleep_ms(_BUTTON_MS)
        if button.pressed() and run.device is not None:
            run.device.button.press()


class BoardRun(Run):
    """A Run whose LED is a lamp: a function that switches it, or None."""

    lamp = None

    def report(self, event, **fields):
        if event == "led" and self.lamp is not None:
            self.lamp(fields["on"])
        super().report(event, **fields)

    def _on_connected(self):
        keep_firmware()  # who has joined a room can also be updated again
        super()._on_connected()


async def _once(store, watch):
    from apps.badge import main as app

    wlan = await join_wifi(store)
    clock = MpyClock()
    if not clock.unix_time() and not await set_clock():
        _tell(watch.seconds(), "no time server answers: certificates cannot be checked")
    run = BoardRun(BoardSetup(store, wlan, app), Journal(None, watch), _tell)
    run.lamp = hardware.lamp(board, machine)
    button = asyncio.create_task(_watch_button(run))
    try:
        await run()
    finally:
        button.cancel()


async def _for_ever():
    store, watch = NvsStore(), Stopwatch()
    hardware.start_sound(board, machine, time.sleep_ms)
    attempt = 0
    while True:
        started = watch.seconds()
        try:
            await _once(store, watch)
        except LinnetError as error:
            _tell(watch.seconds(), str(error))
        except (OSError, MemoryError) as error:  # the system's, not the app's: the next attempt may do
            sys.print_exception(error)
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
