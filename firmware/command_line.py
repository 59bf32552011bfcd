# The options of main.py and of `python -m host_sim run`, and what must hold between them. host_sim gives the table to
# argparse; MicroPython has none, so that parse() reads the arguments here.

import exits
from linnet.errors import LinnetError
from linnet.log import redact
from wav import is_same

PROGRAM = "main.py"


class Wrong(LinnetError):
    """A command that cannot be meant. Its text never holds a value: it may be a token."""

    def __init__(self, said):
        super().__init__("bad-argument", said, "Try %s --help." % PROGRAM)


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise ValueError("a number of seconds above 0 is meant")
    return value


def _driver(text):
    if text not in ("native", "python"):
        raise ValueError("native or python is meant")
    return text


# name, what stands for its value in the help (None: no value), default, conversion, help
OPTIONS = (
    ("url", "URL", None, None, "address of the server, wss://host or ws://host:port"),
    ("token", "TOKEN", None, None, "access token; better in LINNET_TOKEN in the environment, unseen by ps"),
    ("token-url", "URL", None, None, "a token server: its answer has the token, and the address unless --url is given;"
     " or LINNET_TOKEN_URL"),
    ("ca", "FILE", None, None, "trust this certificate authority too (PEM)"),
    ("wav", "IN.wav", None, None, "speak this 16-bit WAV once, as soon as somebody listens"),
    ("mic", None, False, None, "speak through this machine's microphone (boards only)"),
    ("out", "OUT.wav", None, None, "write what the badge hears into this file"),
    ("speaker", None, False, None, "play what the badge hears (boards only)"),
    ("board", "FILE", None, None, "JSON of a board: audio.rate, limits, ui"),
    ("app", "FILE.py", None, None, "program with async def main(device) (default: the badge)"),
    ("seconds", "N", None, _seconds, "leave N seconds after joining"),
    ("driver", "native|python", "native", _driver, "what moves packets and sound: the native media loop, or Python"),
    ("events", "FILE", None, None, "one JSON object a line as things happen; - is standard output"),
    ("sample", "S", 0, _seconds, "put the sound levels into --events every S seconds"),
    ("plain", None, False, None, "lines instead of a screen: here it is always lines"),
    ("verbose", None, False, None, "show the library's log, and tracebacks"),
)
EXCLUDE = (("mic", "wav"), ("speaker", "out"))
# Which files are written over, and what must not be: not out over wav, of which WavWriter tells more.
_WRITTEN = (("out", ("events", "board", "app", "ca")), ("events", ("wav", "board", "app", "ca")))
_held = []


class Options:
    """What was asked for, by name with _ for -."""

    help = False

    def __init__(self):
        for name, _, default, _, _ in OPTIONS:
            setattr(self, name.replace("-", "_"), default)


def parse(arguments):
    """Options of a list of arguments. Raises Wrong."""
    options, given = Options(), []
    rest = list(arguments)
    if rest and not rest[0].startswith("-"):
        command = rest.pop(0)
        if command != "run":
            raise Wrong("there is no command %s, only run" % redact(command))
    while rest:
        word = rest.pop(0)
        if word in ("--help", "-h"):
            options.help = True
            return options
        name, has_value, value = word.partition("=")
        found = [one for one in OPTIONS if "--" + one[0] == name]
        if not found:
            raise Wrong("unknown: " + (redact(name) if word.startswith("-") else "a word too many"))
        name, shown, _, convert, _ = found[0]
        if shown is None:
            if has_value:
                raise Wrong("argument --%s: it takes no value" % name)
            value = True
        elif not has_value:
            if not rest or rest[0].startswith("--"):
                raise Wrong("argument --%s: expected one argument" % name)
            value = rest.pop(0)
        try:
            value = convert(value) if convert else value
        except ValueError as error:
            raise Wrong("argument --%s: %s" % (name, error))
        given.append(name)
        setattr(options, name.replace("-", "_"), value)
    for one, other in EXCLUDE:
        if one in given and other in given:
            raise Wrong("argument --%s: not allowed with argument --%s" % (one, other))
    return options


def hold_closed():
    """The numbers of the standard streams that whoever started us closed. The next file opened would get such a number,
    and the lines for people with it: from here on they go to /dev/null."""
    while True:
        try:
            file = open("/dev/null", "r+b", 0)
        except OSError:
            break
        if file.fileno() > 2:
            file.close()
            break
        _held.append(file)
    return [file.fileno() for file in _held]


def check(options, environment, closed=()):
    """The token. `environment(name)` is the text of a variable, "" if there is none; `closed` is what hold_closed()
    found. Raises Wrong."""
    token = options.token or ("" if options.token_url else environment("LINNET_TOKEN"))
    options.token = None
    if not token and not options.token_url:
        options.token_url = environment("LINNET_TOKEN_URL") or None
    if not token and not options.token_url:
        raise Wrong("run needs a token: --token, LINNET_TOKEN in the environment, or --token-url")
    if token and options.token_url:
        raise Wrong("--token and --token-url exclude each other")
    if token and not options.url:
        raise Wrong("run needs the server's address: --url")
    if options.sample and not options.events:
        raise Wrong("--sample needs --events")
    if options.events == "-" and 1 in closed:
        raise Wrong("--events - cannot be: standard output is closed")
    _keep_apart(options)
    return token


def _keep_apart(options):
    for name, others in _WRITTEN:
        path = getattr(options, name)
        for other in others:
            other_path = getattr(options, other)
            if path not in (None, "-") and other_path is not None and is_same(path, other_path):
                raise Wrong("--%s and --%s name the same file" % (name, other))


def in_help():
    lines = ["usage: micropython %s [options]" % PROGRAM, "", "Join a room as a badge.", ""]
    for name, shown, _, _, text in OPTIONS:
        lines.append("  %-26s %s" % ("--" + name + (" " + shown if shown else ""), text))
    return "\n".join(lines) + "\n\n" + exits.in_help()
