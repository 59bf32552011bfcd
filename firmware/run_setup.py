# What a run from a command line needs, found and checked before anything is joined: files, sound, the form of the
# token, the program. How a machine does that is in a class below this one: main_unix.py's and host_sim's.

from board_file import Board
from linnet import url as urls
from linnet.errors import LinnetError, Refused
from linnet.token import TokenSource, inspect
from run_app import Setup

DEFAULT_RATE = 16000  # without WAV and board


class CommandSetup(Setup):
    """Raises LinnetErrors that name the cause and the cure."""

    machine = ""  # the name of a board without a file

    def __init__(self, options, token):
        super().__init__()
        self.seconds, self.sample_s, self.wav, self.url = options.seconds, options.sample, options.wav, options.url
        self.board = self.load_board(options.board) if options.board else Board(self.machine)
        if options.ca is not None:
            self.check_ca(options.ca)
        self.source = self._token_source(options, token)
        self.is_own_app = options.app is not None
        if self.is_own_app:
            self.app = options.app
        self.main = self._load_app()
        self.port = self.make_port(options)
        if options.wav and not (options.out or options.speaker):
            self.warnings.append("what the badge hears is not kept: give --out OUT.wav or --speaker")

    # --- what a machine does its own way ---

    def load_board(self, path):
        """The Board of a file."""

    def check_ca(self, path):
        """Refuse a file that holds no certificate."""

    def run_file(self, path):
        """The names of a program file, as a dict."""

    def is_program(self, main):
        """Is this an `async def`?"""

    def line_of(self, error):
        """The last line of the program that was running, "" if it was none of its own."""

    def place_of(self, error):
        """(file, line, words) of a SyntaxError."""

    def make_port(self, options):
        """The linnet.port.Port, with its sound opened as far as that shows whether it can be."""

    # --- what is the same everywhere ---

    def _token_source(self, options, token):
        if options.url:
            urls.parse(options.url)
        if options.token_url:
            return TokenSource.endpoint(options.token_url)
        claims = inspect(token)
        if claims.admin_grants:
            grants = ", ".join(claims.admin_grants)
            self.warnings.append("this token has grants of a backend (%s): keep it off a device" % grants)
        if not claims.can_subscribe:
            self.warnings.append("this token lacks the grant canSubscribe: the device hears nobody")
        if not claims.can_publish_data:
            words = "the device sends no data and answers no remote calls"
            self.warnings.append("this token lacks the grant canPublishData: " + words)
        return TokenSource.literal(options.url, token)

    def rate_with(self, wav_rate):
        """Samples a second of the board, which must be those of its WAV."""
        rate = self.board.rate or wav_rate
        if rate != wav_rate:
            raise Refused("wav-format",
                          "%s has %d samples a second, the board has %d" % (self.wav, wav_rate, rate),
                          "Convert it: sox %s -r %d OUT.wav, or change audio.rate of the board." % (self.wav, rate))
        return rate

    def _load_app(self):
        if not self.is_own_app:
            from apps.badge import main

            return main
        path, cure = self.app, "A program is a file with: async def main(device)."
        try:
            open(path, "rb").close()
        except OSError:
            raise Refused("file-missing", "there is no program %s" % path)
        try:
            main = self.run_file(path).get("main")
        except LinnetError:
            raise
        except SyntaxError as error:
            raise Refused("bad-app", "%s line %s: %s" % self.place_of(error), "Correct the program.")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise self.app_failed(error, "bad-app")
        if not self.is_program(main):
            raise Refused("bad-app", "%s has no coroutine main" % path, cure)
        return main

    def app_failed(self, error, code="app-failed"):
        """One line for an error of the program: its last line that was running, and the words."""
        line = self.line_of(error)
        place = self.app.rpartition("/")[2] + (" line %s" % line if line else "")
        cause = "the program failed, %s: %s: %s" % (place, type(error).__name__, error)
        return Refused(code, cause, "Correct it; --verbose shows the whole traceback.")
