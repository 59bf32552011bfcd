"""The command line: python -m host_sim run | demo. One line says what went wrong and what helps; the exit code is
for scripts (firmware/exits.py)."""

import argparse
import asyncio
import os
import sys
import time

import command_line
import exits
from linnet.errors import LinnetError, Refused, one_line
from linnet.log import Secret, redact
from words import in_short

from .journal import Journal
from .signals import Signals
from .view import clean

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
    for each in (parser, run, demo):
        each.set_defaults(parser=each)  # whose --help helps
    demo.add_argument("--folder", metavar="DIR", default=None, help="where report and sound go (default: build/demo)")
    return parser


# Before which option of the table each group begins.
_GROUPS = {"url": "where to", "wav": "sound (default: this machine's microphone and speaker)",
           "board": "what runs, and for how long", "events": "what is shown"}
# Where a laptop does more than the table says.
_MORE = {"mic": "speak through this machine's microphone", "speaker": "play what the badge hears",
         "plain": "lines instead of a screen (also: NO_COLOR, TERM=dumb, a pipe)"}


def _add_run_options(run):
    group, pairs = None, {}
    for name, shown, default, convert, text in command_line.OPTIONS:
        if name in _GROUPS:
            group = run.add_argument_group(_GROUPS[name])
        pair = next((pair for pair in command_line.EXCLUDE if name in pair), None)
        if pair and pair not in pairs:
            pairs[pair] = group.add_mutually_exclusive_group()
        kind = {"action": "store_true"} if shown is None else {"metavar": shown, "type": _argparse_type(convert)}
        pairs.get(pair, group).add_argument(f"--{name}", default=default, help=_MORE.get(name, text), **kind)


def _argparse_type(convert):
    """Its errors in their own words: argparse would show the value instead."""
    def converted(text):
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return converted if convert else None


def main(argv=None):
    """Never returns: ends the process with one of the codes in exits.py."""
    closed = _hold_closed()
    journal = None
    terminal = []  # what must be given back when the process ends at once

    def last_words(code):
        for screen in terminal:
            screen.restore()
        if journal is not None:
            journal.end(code, {"cause": "ended at once"})

    signals = Signals(last_words)
    signals.install()
    started = time.monotonic()
    code = exits.BAD_INPUT
    try:
        parser = build_parser()
        options, unknown = parser.parse_known_args(argv)
        if unknown:
            names = [each.partition("=")[0] for each in unknown if each.startswith("-")] or ["a word too many"]
            options.parser.error(f"unknown: {' '.join(names)}")
        if options.command is None:
            parser.print_help()
        elif options.command == "demo":
            from .demo import demo
            code, _ = _ended(lambda: demo(options, signals), signals)
        else:
            token = _check_run(options, closed)
            try:
                journal = Journal(options.events, started)
            except LinnetError as error:
                _say(one_line(error.cause, error.cure))
                code = exits.exit_code(error)
            else:
                code, error = _ended(lambda: _run(options, token, journal, signals, terminal), signals)
                facts = journal.summary() if journal.summary else {}
                code = exits.close(code, error, journal, facts, journal.sound_trouble(), _say)
    except SystemExit as end:
        code = end.code
    _flush(code)


def _hold_closed():
    """Python has None for a stream that is closed, and everybody who prints would have to know."""
    closed = command_line.hold_closed()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number in closed:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))
    return closed


def _check_run(options, closed):
    """The token, as a Secret; argparse's own way out if the options do not go together."""
    found = {name: os.environ.pop(name, "") for name in ("LINNET_TOKEN", "LINNET_TOKEN_URL")}
    try:
        return Secret(command_line.check(options, found.get, closed))
    except command_line.Wrong as wrong:
        options.parser.error(wrong.cause)


def _ended(work, signals):
    """Runs `work` and says what went wrong: (exit code, LinnetError or None)."""
    code, error = exits.end_of(work, _say, "--verbose" in sys.argv)
    return (code if signals.code is None else signals.code), error


def _run(options, token, journal, signals, terminals):
    from . import terminal

    try:
        from .prepare import Setup  # imports the native core
        from .run import Run
    except ImportError as error:
        raise Refused("no-native-module", str(error).partition(": run ")[0]) from None
    setup = Setup(options, token)
    run = Run(setup, journal, options.verbose)
    journal.summary = run.summary
    journal.sound_trouble = lambda: setup.port.audio.trouble
    out = sys.stderr if options.events == "-" else sys.stdout

    def open_terminal(run):
        if terminal.wants_full_screen(out, options.plain):
            screen = terminal.Full(out, asyncio.get_running_loop(), run.press, lambda: run.stop("nobody reads"))
            terminals.append(screen)
            return screen
        return terminal.Plain(out, lambda: run.stop("nobody reads any more"))

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: _unexpected(run, context))
    task = loop.create_task(run(open_terminal))
    signals.on_first = run.stop
    if signals.code is not None:  # it came while we prepared
        run.stop(signals.why)
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass
    finally:
        _close(loop)
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
