"""What a run needs, found and checked before anything is joined: firmware/run_setup.py with the ways of a laptop."""

import asyncio
import importlib.util
import ssl
import sys
import traceback
from pathlib import Path

from linnet.errors import Refused
from linnet.port import Port
from run_setup import DEFAULT_RATE, CommandSetup

from . import audio as sound
from .board import load_board
from .port_host import HostClock, HostNet

APP = Path(__file__).resolve().parent.parent / "firmware" / "apps" / "badge.py"


class Setup(CommandSetup):
    machine = "laptop"
    app = str(APP)

    def load_board(self, path):
        return load_board(path)

    def check_ca(self, path):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError:
            raise Refused("file-missing", f"the CA file {path} holds no certificate in PEM form") from None
        except OSError as error:
            raise Refused("file-missing", f"the CA file {path} cannot be read: {error.strerror}") from None

    def make_port(self, options):
        audio = self._audio(options)
        audio.check()
        return Port(HostNet(ca_file=options.ca), HostClock(), audio, media_loop=options.driver == "native")

    def _audio(self, options):
        reader, rate = None, self.board.rate or DEFAULT_RATE
        if options.wav:
            wav_rate, reader = sound.read_wav(options.wav)
            rate = self.rate_with(wav_rate)
        has_microphone = options.mic or not options.wav
        has_speaker = options.speaker or (has_microphone and not options.out)
        files = sound.WavAudio(rate, reader, out=options.out, wait=True)
        if not (has_microphone or has_speaker):
            return files
        device = sound.DeviceAudio(rate, has_microphone, has_speaker)
        if has_microphone and has_speaker:
            return device
        return sound.PairAudio(device, files) if has_microphone else sound.PairAudio(files, device)

    # --- the program that runs on the badge ---

    def run_file(self, path):
        path = Path(path)
        spec = importlib.util.spec_from_file_location("linnet_app_" + path.stem, path)
        if spec is None:
            raise Refused("bad-app", f"{path} is no Python file", "A program is a file with: async def main(device).")
        module = importlib.util.module_from_spec(spec)
        sys.path.append(str(path.parent.resolve()))
        spec.loader.exec_module(module)
        return vars(module)

    def is_program(self, main):
        return asyncio.iscoroutinefunction(main)

    def place_of(self, error):
        return error.filename or self.app, error.lineno, error.msg

    def line_of(self, error):
        app = Path(self.app).resolve()
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == app]
        return lines[-1] if lines else ""
