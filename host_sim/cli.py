"""The command line: python -m host_sim run | demo. One line says what went wrong and what helps; the exit code is
for scripts (exits.py)."""

import argparse
import asyncio
import os
import sys
import time
import traceback

from linnet.errors import LinnetError, Refused, one_line
from linnet.log import Secret, redact

from . import exits
from .journal import Journal
from .signals import Signals
from .view import clean, in_short

LEFTOVERS_S = 5  # for tasks that an app left behind


class _Parser(argparse.ArgumentParser):
    """One line for a wrong command, and never a value: it may be a token."""

    def error(self, message):
        self.exit(exits.BAD_INPUT, f"{self.prog}: {redact(message)}. Try {self.prog} --help.\n")


def build_parser():
    parser = _Parser(prog="python -m host_sim", description="A Linnet voice badge on this machine.",
                     epilog=exits.in_help(), formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="run | demo")
    run = commands.add_parser("run", help="join a room as a badge", allow_abbrev=False, epilog=exits.in_help(),
                              formatter_class=argparse.RawDescriptionHelpFormatter,
                              description="Join a room as a badge: microphone, speaker, button, LED and RPC methods.")
    _add_run_options(run)
    demo = commands.add_parser("demo", help="everything at once: server, agent, badge, report (make demo)",
                               allow_abbrev=False, epilog=exits.in_help(),
                               formatter_class=argparse.RawDescriptionHelpFormatter,
                               description="A badge talks with an agent through a real livekit-server on this machine.")
    demo.add_argument("--folder", metavar="DIR", default=None, help="where report and sound go (default: build/demo)")
    return parser


def _add_run_options(run):
    where = run.add_argument_group("where to")
    where.add_argument("--url", help="address of the server, wss://host or ws://host:port")
    where.add_argument("--token", help="access token; better in LINNET_TOKEN in the environment, unseen by ps")
    where.add_argument("--token-url", metavar="URL", help="a token server: its answer has the token, and the address "
                                                          "unless --url is given; or LINNET_TOKEN_URL")
    where.add_argument("--ca", metavar="FILE", help="trust this certificate authority too (PEM)")
    voice = run.add_argument_group("sound (default: this machine's microphone and speaker)")
    ears = voice.add_mutually_exclusive_group()
    ears.add_argument("--wav", metavar="IN.wav", help="speak this 16-bit WAV once, as soon as somebody listens")
    ears.add_argument("--mic", action="store_true", help="speak through this machine's microphone")
    mouth = voice.add_mutually_exclusive_group()
    mouth.add_argument("--out", metavar="OUT.wav", help="write what the badge hears into this file")
    mouth.add_argument("--speaker", action="store_true", help="play what the badge hears")
    what = run.add_argument_group("what runs, and for how long")
    what.add_argument("--board", metavar="FILE", help="JSON of a board: audio.rate, limits, ui")
    what.add_argument("--app", metavar="FILE.py", help="program with async def main(device) (default: the badge)")
    what.add_argument("--seconds", type=_seconds, metavar="N", help="leave N seconds after joining")
    what.add_argument("--driver", choices=("native", "python"), default="native",
                      help="what moves packets and sound: the native media loop, or Python")
    shown = run.add_argument_group("what is shown")
    shown.add_argument("--events", metavar="FILE", help="one JSON object a line as things happen; - is standard output")
    shown.add_argument("--sample", type=_seconds, default=0, metavar="S",
                       help="put the sound levels into --events every S seconds")
    shown.add_argument("--plain", action="store_true",
                       help="lines instead of a screen (also: NO_COLOR, TERM=dumb, a pipe)")
    shown.add_argument("--verbose", action="store_true", help="show the library's log, and tracebacks")


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError("a number of seconds above 0 is meant")
    return value


def main(argv=None):
    """Never returns: ends the process with one of the codes in exits.py."""
    journal = None
    terminal = []  # what must be given back when the process ends at once

    def last_words(code):
        for screen in terminal:
            screen.restore()
        if journal is not None:
            journal.end(code, cause="ended at once")

    signals = Signals(last_words)
    signals.install()
    started = time.monotonic()
    code = exits.BAD_INPUT
    try:
        parser = build_parser()
        options, unknown = parser.parse_known_args(argv)
        if unknown:
            names = [each.partition("=")[0] for each in unknown if each.startswith("-")] or ["a word too many"]
            parser.error(f"unknown: {' '.join(names)}")
        if options.command is None:
            parser.print_help()
        elif options.command == "demo":
            from .demo import demo
            code = _ended(lambda: demo(options, signals), None, signals)
        else:
            token = _check_run(parser, options)
            try:
                journal = Journal(options.events, started)
            except LinnetError as error:
                code = _tell(error)
            else:
                code = _ended(lambda: _run(options, token, journal, signals, terminal), journal, signals)
    except SystemExit as end:
        code = end.code
    _flush(code)


def _check_run(parser, options):
    """The token, as a Secret; argparse's own way out if the options do not go together."""
    from_environment = os.environ.pop("LINNET_TOKEN", "")
    token_url = os.environ.pop("LINNET_TOKEN_URL", "")
    if not (options.token or options.token_url or from_environment):
        options.token_url = token_url or None
    token = options.token or ("" if options.token_url else from_environment)
    options.token = None
    if not token and not options.token_url:
        parser.error("run needs a token: --token, LINNET_TOKEN in the environment, or --token-url")
    if token and options.token_url:
        parser.error("--token and --token-url exclude each other")
    if token and not options.url:
        parser.error("run needs the server's address: --url")
    if options.sample and not options.events:
        parser.error("--sample needs --events")
    return Secret(token)


def _ended(work, journal, signals):
    """Runs `work`, says what went wrong, and gives the exit code."""
    error = None
    try:
        code = work()
    except LinnetError as problem:
        error = problem
        code = _tell(problem)
    except SystemExit as end:  # an app may end the program with a code of its own
        code = end.code if isinstance(end.code, int) else exits.APP_FAILED if end.code else exits.OK
    except Exception as problem:  # our own bug: still one line for a person, all of it for whoever asks
        error = Refused("app-failed", f"unexpected {type(problem).__name__}: {redact(str(problem))}",
                        "Please report this with the output of --verbose.")
        if "--verbose" in sys.argv:
            traceback.print_exception(problem, file=sys.stderr)
        code = _tell(error)
    if signals.code is not None:
        code = signals.code
    if journal is not None:
        if journal.trouble:
            _say(journal.trouble)
        facts = journal.summary() if journal.summary else {}
        if error is not None:
            facts.update(error=str(error.code), cause=redact(error.cause), cure=error.cure)
        journal.end(code, **facts)
    return code


def _run(options, token, journal, signals, terminals):
    from . import terminal

    try:
        from . import port_host  # noqa: F401  (the native core)
        from .prepare import prepare
        from .run import Run
    except ImportError as error:
        raise Refused("no-native-module", str(error).partition(": run ")[0]) from None
    setup = prepare(options, token)
    run = Run(setup, journal, options.verbose)
    journal.summary = run.summary
    out = sys.stderr if options.events == "-" else sys.stdout

    def open_terminal(run):
        if terminal.wants_full_screen(out, options.plain):
            screen = terminal.Full(out, asyncio.get_running_loop(), run.press, lambda: run.stop("nobody reads"))
            terminals.append(screen)
            return screen
        return terminal.Plain(out, lambda: run.stop("nobody reads any more"))

    def on_first(why):
        run.stop(why)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: _unexpected(run, context))
    task = loop.create_task(run(open_terminal))
    signals.on_first = on_first
    if signals.code is not None:  # it came while we prepared
        run.stop(signals.why)
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass
    finally:
        _close(loop)
        if setup.audio.trouble:
            _say(setup.audio.trouble)
    facts = run.summary()
    if "link" in facts:
        try:
            print(clean(in_short(facts)), file=out, flush=True)
        except OSError:
            pass  # nobody reads any more
    return exits.OK


def _unexpected(run, context):
    """What asyncio found in a task that nobody waits for."""
    error = context.get("exception")
    text = f"{context.get('message', '')} {type(error).__name__ + ': ' + str(error) if error else ''}"
    if run.terminal is not None:
        run.report("log", level=30, where="loop", text=redact(text))


def _close(loop):
    """Cancels what is left, waits a moment for it, and closes. asyncio.run() would wait for ever."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=LEFTOVERS_S))
    loop.set_exception_handler(lambda loop, context: None)
    loop.close()


def _tell(error):
    _say(one_line(error.cause, error.cure))
    return exits.exit_code(error)


def _say(text):
    print(f"linnet: {clean(redact(text))}", file=sys.stderr)


def _flush(code):
    """The end. A reader that has gone is no news any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
