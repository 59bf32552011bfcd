"""What a run needs, found and checked before anything is joined: files, devices, the token's form, the program."""

import asyncio
import importlib.util
import ssl
import sys
import traceback
from pathlib import Path

from linnet import url as urls
from linnet.errors import Refused
from linnet.token import TokenSource, inspect

from . import audio as sound
from .board import Board, load_board

APP = Path(__file__).resolve().parent.parent / "firmware" / "apps" / "badge.py"
DEFAULT_RATE = 16000


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
        self.media_loop = True


def prepare(options, token):
    """A Setup from the command line's options. Raises LinnetErrors that name the cause and the cure."""
    setup = Setup()
    setup.seconds, setup.sample_s, setup.wav = options.seconds, options.sample, options.wav
    setup.media_loop = options.driver == "native"
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
        raise app_failed(error, path, "bad-app") from error
    main = getattr(module, "main", None)
    if not asyncio.iscoroutinefunction(main):
        raise Refused("bad-app", f"{path} has no coroutine main", cure)
    return main


def app_failed(error, path, code="app-failed"):
    """One line for an exception of somebody's program: its last line that was running, and the words."""
    path = Path(path).resolve()
    places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    place = f"{path.name} line {places[-1]}" if places else path.name
    cause = f"the program failed, {place}: {type(error).__name__}: {error}"
    return Refused(code, cause, "Correct it; --verbose shows the whole traceback.")
