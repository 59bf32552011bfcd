# main.py where there is a command line: MicroPython's unix port, with WAV files as sound.
# The options, exit codes and words are those of `python -m host_sim run`.

import asyncio
import io
import os
import sys
import time

import command_line
import exits
import port_unix
from board_file import Board, load_board
from journal import Journal, Stopwatch, clean, in_short, in_words
from linnet import url as urls
from linnet.compat import can_import
from linnet.errors import LinnetError, Refused, one_line
from linnet.log import Secret, redact
from linnet.port import Port
from linnet.token import TokenSource, inspect
from os_error import reason
from port_mpy import MpyClock, MpyNet, MpyStore, certificates
from port_udp import readable
from run_app import Run, is_program
from wav import WavAudio, WavReader, WavWriter

_LIMIT_S = 12  # for a program that was asked to leave
_DEFAULT_RATE = 16000
_IS_PROGRAM = "A program is a file with: async def main(device)."


class Setup:
    """Everything that a run needs, found and checked before anything is joined."""

    def __init__(self, options, token):
        self.warnings = []
        self.seconds, self.sample_s, self.wav = options.seconds, options.sample, options.wav
        self.board = load_board(options.board) if options.board else Board()
        _check_ca(options.ca)
        source = self._token_source(options, token)
        self.app = options.app or "apps/badge.py"
        self.main = _load_app(options.app)
        if not can_import("_linnet"):
            raise Refused("no-native-module", "this MicroPython was built without the module _linnet",
                          "Build one with it: make micropython")
        audio = self._audio(options)
        net = MpyNet(port_unix.UnixMachine(options.ca))
        home = os.getenv("LINNET_STORE") or (os.getenv("HOME") or ".") + "/.linnet"
        store = MpyStore(home, port_unix.private_folder)
        self.port = Port(net, MpyClock(), audio, store, media_loop=options.driver == "native")

        async def details():
            found = await source.fetch(self.port)
            return options.url or found.server_url, found.participant_token.reveal()

        self.details = details

    def _token_source(self, options, token):
        if options.url:
            urls.parse(options.url)
        if options.token_url:
            return TokenSource.endpoint(options.token_url)
        grants = inspect(token).admin_grants
        if grants:
            self.warnings.append("this token has grants of a backend (%s): keep it off a device" % ", ".join(grants))
        return TokenSource.literal(options.url, token)

    def _audio(self, options):
        if options.mic or options.speaker or not options.wav:
            raise Refused("no-audio-device", "MicroPython's unix port has no microphone and no speaker",
                          "Use --wav and --out.")
        reader = WavReader(options.wav)
        rate = self.board.rate or reader.rate
        if rate != reader.rate:
            said = "%s has %d samples a second, the board has %d" % (options.wav, reader.rate, rate)
            raise Refused("wav-format", said,
                          "Convert it: sox %s -r %d OUT.wav, or change audio.rate of the board." % (options.wav, rate))
        if not options.out:
            self.warnings.append("what the badge hears is not kept: give --out OUT.wav or --speaker")
        return WavAudio(rate, reader, WavWriter(options.out, rate) if options.out else None)


def _check_ca(path):
    try:
        if path is not None and not list(certificates(path)):
            raise Refused("file-missing", "the CA file %s holds no certificate in PEM form" % path)
    except OSError as error:
        raise Refused("file-missing", "the CA file %s cannot be read: %s" % (path, reason(error)))
    except ValueError:
        raise Refused("file-missing", "the CA file %s holds no certificate in PEM form" % path)


# --- the program that runs on the badge ---


def _load_app(path):
    """`main` of a program file."""
    if path is None:
        from apps.badge import main

        return main
    try:
        os.stat(path)
    except OSError:
        raise Refused("file-missing", "there is no program %s" % path)
    names = {"__name__": "app", "__file__": path}
    sys.path.append(path.rpartition("/")[0] or ".")
    try:
        execfile(path, names)  # noqa: F821  (MicroPython's)
    except SyntaxError as error:
        raise Refused("bad-app", "%s line %s: %s" % (path, _line(error, path), error), "Correct the program.")
    except Exception as error:
        raise _app_failed(error, path, "bad-app")
    if not is_program(names.get("main")):
        raise Refused("bad-app", "%s has no coroutine main" % path, _IS_PROGRAM)
    return names["main"]


def _line(error, path):
    """The last line of the program that was running, as text; "" if none of it is in the traceback."""
    text = io.StringIO()
    sys.print_exception(error, text)
    found = ""
    for line in text.getvalue().split("\n"):
        place, _, rest = line.partition('", line ')
        if place.strip() == 'File "' + path:
            found = rest.split(",")[0]
    return found


def _app_failed(error, path, code="app-failed"):
    """One line for an exception of somebody's program: its last line that was running, and the words."""
    name = path.rpartition("/")[2]
    line = _line(error, path)
    place = "%s line %s" % (name, line) if line else name
    cause = "the program failed, %s: %s: %s" % (place, type(error).__name__, error)
    return Refused(code, cause, "Correct it; --verbose shows the whole traceback.")


# --- from start to end ---


class Program:
    """What is needed for every way out."""

    def __init__(self):
        self.watch = Stopwatch()
        self.journal = self.run = None
        self.signal_code = None
        self.is_verbose = False
        self._out = None

    def main(self, arguments):
        """The exit code."""
        try:
            options = command_line.parse(arguments)
            if options.help:
                print(command_line.in_help())
                return exits.OK
            token = Secret(command_line.check(options, lambda name: os.getenv(name) or ""))
        except command_line.Wrong as error:
            _print_error("%s: %s. %s" % (command_line.PROGRAM, redact(error.cause), error.cure))
            return exits.BAD_INPUT
        for name in ("LINNET_TOKEN", "LINNET_TOKEN_URL"):
            os.unsetenv(name)
        self.is_verbose = options.verbose
        self._out = open(2 if options.events == "-" else 1, "wb")
        code, error = exits.BAD_INPUT, None
        try:
            self.journal = Journal(options.events, self.watch)
            signals = port_unix.signals()
            setup = Setup(options, token)
            self.run = Run(setup, self.journal, self.watch, in_words, self._tell, options.verbose)
            self.run.cpu_s = time.clock
            code = self._run(setup, signals)
        except KeyboardInterrupt:
            code = 130
        except LinnetError as problem:
            error = problem
            code = _tell_error(error)
        except SystemExit as end:  # an app may end the program with a code of its own
            value = end.args[0] if end.args else 0
            code = value if isinstance(value, int) else exits.APP_FAILED if value else exits.OK
        except Exception as problem:  # our own bug: still one line for a person, all of it for whoever asks
            error = Refused("app-failed", "unexpected %s: %s" % (type(problem).__name__, redact(str(problem))),
                            "Please report this with the output of --verbose.")
            if options.verbose:
                sys.print_exception(problem, sys.stderr)
            code = _tell_error(error)
        return self._end(self.signal_code if self.signal_code is not None else code, error)

    def _run(self, setup, signals):
        run = self.run
        try:
            task = asyncio.create_task(run())
            if signals is not None:
                asyncio.create_task(self._hear(run, signals))
            while True:
                try:
                    asyncio.get_event_loop().run_until_complete(task)
                    break
                except KeyboardInterrupt:
                    self._asked(130, "Ctrl-C")  # and on with the loop
        except LinnetError:
            raise
        except SystemExit:
            raise
        except Exception as error:
            if self.is_verbose:
                sys.print_exception(error, sys.stderr)
            raise _app_failed(error, setup.app)
        finally:
            if setup.port.audio.trouble:
                _print_error("linnet: " + clean(setup.port.audio.trouble))
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

    def _end(self, code, error):
        if self.journal is not None:
            if self.journal.trouble:
                _print_error("linnet: " + clean(self.journal.trouble))
            facts = self.run.summary() if self.run else {}
            facts["cpu_s"], facts["peak_rss_kib"] = round(time.clock(), 3), port_unix.memory_kib()
            if error is not None:
                facts["error"], facts["cause"], facts["cure"] = str(error.code), redact(error.cause), error.cure
            self.journal.end(code, facts)
        return code


def _tell_error(error):
    _print_error("linnet: " + clean(redact(one_line(error.cause, error.cure))))
    return exits.exit_code(error)


def _print_error(text):
    print(text, file=sys.stderr)


def main(arguments):
    """Never returns: ends the process with one of the codes in exits.py."""
    try:
        code = Program().main(arguments)
    except KeyboardInterrupt:  # before anything was open
        code = 130
    sys.exit(code)
