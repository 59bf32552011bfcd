# main.py where there is a command line: MicroPython's unix port, with WAV files as sound.
# The options, exit codes and words are those of `python -m host_sim run`.

import asyncio
import io
import os
import sys
import time

import board_file
import command_line
import exits
import port_unix
from journal import Journal, Stopwatch
from linnet.compat import can_import
from linnet.errors import Refused
from linnet.log import Secret, redact
from linnet.port import Port
from os_error import reason
from port_mpy import MpyClock, MpyNet, MpyStore, certificates
from port_udp import readable
from run_app import Run
from run_setup import CommandSetup
from wav import WavAudio, WavReader, WavWriter
from words import clean, in_short

_LIMIT_S = 12  # for a program that was asked to leave


class Setup(CommandSetup):
    machine = "micropython"

    def load_board(self, path):
        return board_file.load_board(path)

    def check_ca(self, path):
        try:
            if list(certificates(path)):
                return
        except OSError as error:
            raise Refused("file-missing", "the CA file %s cannot be read: %s" % (path, reason(error)))
        except ValueError:
            pass
        raise Refused("file-missing", "the CA file %s holds no certificate in PEM form" % path)

    def make_port(self, options):
        if not can_import("_linnet"):
            raise Refused("no-native-module", "this MicroPython was built without the module _linnet",
                          "Build one with it: make micropython")
        if options.mic or options.speaker or not options.wav:
            raise Refused("no-audio-device", "MicroPython's unix port has no microphone and no speaker",
                          "Use --wav and --out.")
        reader = WavReader(options.wav)
        rate = self.rate_with(reader.rate)
        audio = WavAudio(rate, reader, WavWriter(options.out, rate, reader) if options.out else None)
        home = os.getenv("LINNET_STORE") or (os.getenv("HOME") or ".") + "/.linnet"
        store = MpyStore(home, port_unix.private_folder)
        net = MpyNet(port_unix.UnixMachine(options.ca))
        return Port(net, MpyClock(), audio, store, media_loop=options.driver == "native")

    # --- the program that runs on the badge ---

    def run_file(self, path):
        names = {"__name__": "app", "__file__": path}
        sys.path.append(path.rpartition("/")[0] or ".")
        execfile(path, names)  # noqa: F821  (MicroPython's)
        return names

    def is_program(self, main):
        return type(main).__name__ in ("generator", "closure")

    def place_of(self, error):
        return self.app, self.line_of(error), error

    def line_of(self, error):
        text = io.StringIO()
        sys.print_exception(error, text)
        found = ""
        for line in text.getvalue().split("\n"):
            place, _, rest = line.partition('", line ')
            if place.strip() == 'File "' + self.app:
                found = rest.split(",")[0]
        return found


# --- from start to end ---


class Program:
    """What is needed for every way out."""

    def __init__(self):
        self._watch = Stopwatch()
        self.journal = self.run = self.signal_code = self._out = None
        self._closed = command_line.hold_closed()

    def main(self, arguments):
        """The exit code."""
        try:
            options = command_line.parse(arguments)
            if options.help:
                print(command_line.in_help())
                return exits.OK
            token = Secret(command_line.check(options, lambda name: os.getenv(name) or "", self._closed))
        except command_line.Wrong as error:
            _print_error("%s: %s. %s" % (command_line.PROGRAM, redact(error.cause), error.cure))
            return exits.BAD_INPUT
        for name in ("LINNET_TOKEN", "LINNET_TOKEN_URL"):
            os.unsetenv(name)
        self._out = open(2 if options.events == "-" else 1, "wb")
        code, error = exits.end_of(lambda: self._run(options, token), _tell_error, options.verbose)
        if self.signal_code is not None:
            code = self.signal_code
        if self.journal is None:
            return code
        run = self.run
        facts, trouble = (run.summary(), run.setup.port.audio.trouble) if run else ({}, "")
        return exits.close(code, error, self.journal, facts, trouble, _tell_error)

    def _run(self, options, token):
        signals = port_unix.signals()  # first of all: a frozen program (-m main) would just be killed
        self.journal = Journal(options.events, self._watch)
        setup = Setup(options, token)
        run = self.run = Run(setup, self.journal, self._tell, options.verbose)
        run.cpu_s, run.memory_kib = time.clock, port_unix.memory_kib
        task = asyncio.create_task(run())
        if signals is not None:
            asyncio.create_task(self._hear(run, signals))
        while True:
            try:
                asyncio.get_event_loop().run_until_complete(task)
                break
            except KeyboardInterrupt:
                self._asked(130, "Ctrl-C")  # and on with the loop
        facts = run.summary()
        if "link" in facts:
            self._say(clean(in_short(facts)))
        return exits.OK

    async def _hear(self, run, signals):
        while True:
            await readable(signals)
            found = port_unix.signal_in(signals)
            if found is not None:
                self._asked(128 + found[0], found[1])

    def _asked(self, code, why):
        """The first signal asks the program to leave, the second ends it at once; so does the limit."""
        if self.signal_code is not None:
            raise SystemExit(self.signal_code)
        self.signal_code = code
        self.run.stop(why)
        asyncio.create_task(self._limit())

    async def _limit(self):
        await asyncio.sleep(_LIMIT_S)
        raise SystemExit(self.signal_code)

    def _tell(self, seconds, words):
        self._say("%7.1f  %s" % (seconds, clean(words)))

    def _say(self, text):
        try:
            self._out.write((text + "\n").encode())
        except OSError:
            self.run.stop("nobody reads any more")


def _tell_error(text):
    _print_error("linnet: " + clean(redact(text)))


def _print_error(text):
    print(text, file=sys.stderr)


def main(arguments):
    """Never returns: ends the process with one of the codes in exits.py."""
    try:
        code = Program().main(arguments)
    except KeyboardInterrupt:  # before anything was open
        code = 130
    sys.exit(code)
