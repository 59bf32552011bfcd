"""One board of the rig: take it, start it, run scripts on it through mpremote, reset it, give it back.

    with boards.open_board("virt") as board:
        text = board.run(script, timeout_s=60)         # mpremote connect ... run script

An emulated board is started on a free loopback port or a pty; from there on it is driven as a real one is. What
goes wrong with the rig itself is a RigFault; what a script says about itself is ScriptFailed, and never tried again.
"""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.hil import firmware_build, locks, roster
from tests.hil.faults import INFRASTRUCTURE, RigFault

START_TIMEOUT_S = 15
STOP_TIMEOUT_S = 5
PORT_TRIES = 4
QEMU_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-riscv32": "qemu-system-misc"}
# What MicroPython prints when it starts, and at a prompt only a person would use.
BANNER = re.compile(rb"MicroPython v\d+\.\d+[^\n]*; [^\n]*\r?\nType \"help\(\)\"|MPY: soft reboot")
# The one who dies without a word closes the pipe; the one who stops the emulator says so first.
WATCHDOG = 'read -r word || kill -KILL "$1"'


class ScriptFailed(Exception):
    """A script ended with an exception on the board, or said so; `output` is what it printed."""

    def __init__(self, text, output):
        super().__init__(text)
        self.output = output


def why_not(entry):
    """The RigFault that keeps this machine from using the board, or None. Starts and builds nothing."""
    if importlib.util.find_spec("mpremote") is None:
        return RigFault("driver-missing", "mpremote is not installed in this Python",
                        "Run through make: `make hil` installs it")
    if entry["kind"] != "emulated":
        if not os.path.exists(entry["device"]):
            return RigFault("no-answer", f"{entry['device']} of {entry['name']} is not there",
                            "Plug the board in, or take it out of the roster")
        return None
    program = entry["start"][0]
    if not shutil.which(program):
        package = QEMU_PACKAGES.get(program, program)
        return RigFault("emulator-missing", f"{program} is not on the PATH", f"Debian: apt install {package}")
    return firmware_build.missing(entry["firmware"])


@contextlib.contextmanager
def open_board(name, path=None, wait_s=None, firmware=None):
    """The board `name` of the roster, locked, started and answering."""
    entry = roster.find(name, path)
    fault = why_not(entry)
    if fault and not (firmware and fault.code == "toolchain-missing"):
        raise fault
    if wait_s is None:
        wait_s = float(os.environ.get("LINNET_RIG_WAIT") or 0)
    with locks.held(locks.lock_name(entry, path or roster.roster_file()), name, wait_s):
        board = EmulatedBoard(entry, firmware) if entry["kind"] == "emulated" else Board(entry)
        try:
            board.start()
            yield board
        finally:
            board.stop()


class Board:
    """A board on a serial device."""

    def __init__(self, entry):
        self.entry = entry
        self.name = entry["name"]
        self.retries = 0  # of infrastructure faults, for the report

    @property
    def address(self):
        """What `mpremote connect` is given."""
        return self.entry["device"]

    def has(self, fixture):
        return fixture in self.entry.get("fixtures", ())

    def start(self):
        self._retried(self.check_answer)

    def stop(self):
        pass

    def reset(self):
        """A fresh interpreter. "soft" is what mpremote does before every run anyway."""
        how = self.entry.get("reset", "soft")
        if how != "soft":
            subprocess.run(how, check=True, timeout=START_TIMEOUT_S)
            time.sleep(1)  # a USB device comes back when it likes

    def press_reset(self):
        """The reset button, from outside: nobody asks the program."""
        self.reset()

    def check_answer(self):
        try:
            text = self._mpremote(["exec", "print(6 * 7)"], START_TIMEOUT_S)
        except RigFault as fault:
            if fault.code != "timed-out":
                raise
            raise self._no_answer(f"nothing within {START_TIMEOUT_S} s") from None
        if "42" not in text:
            raise self._no_answer(f"it said {text[-80:]!r}")

    def run(self, script, timeout_s, mount=None, when=None):
        """What `script`, a file, printed on the board. ScriptFailed if it ended with an exception there.
        when=(b"words", action) acts once the script has printed the words."""
        where = ["mount", str(mount)] if mount else []
        return self._retried(lambda: self._mpremote([*where, "run", str(script)], timeout_s, when))

    @contextlib.contextmanager
    def line(self, script):
        """Starts `script` and gives the file descriptor of the line to it, for tests/hil/link.py."""
        from mpremote.transport import TransportError
        from mpremote.transport_serial import SerialTransport

        try:
            transport = SerialTransport(self.address, self.entry.get("baud", 115200), timeout=START_TIMEOUT_S)
        except (TransportError, OSError) as error:
            raise self._no_answer(str(error)) from None
        try:
            transport.enter_raw_repl()
            transport.exec_raw_no_follow(Path(script).read_bytes())
            yield transport.serial.fileno()
        except TransportError as error:
            raise self._no_answer(str(error)) from None
        finally:
            with contextlib.suppress(OSError):
                transport.close()

    def _retried(self, action):
        try:
            return action()
        except RigFault as fault:
            if fault.code not in INFRASTRUCTURE:
                raise
            self.retries += 1
        self.reset()
        return action()

    def _no_answer(self, why):
        return RigFault("no-answer", f"the board {self.name} does not answer at {self.address}: {why}",
                        "Is it powered, does it run MicroPython, does another program hold the port?")

    def is_alive(self):
        return os.path.exists(self.entry["device"])

    def _mpremote(self, arguments, timeout_s, when=None):
        command = [sys.executable, "-m", "mpremote", "connect", self.address, *arguments]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as process:
            output = bytearray()
            reader = threading.Thread(target=self._read, args=(process.stdout, output), daemon=True)
            reader.start()
            try:
                self._watch(process, output, timeout_s, when)
            finally:
                if process.poll() is None:
                    process.kill()
                reader.join(STOP_TIMEOUT_S)
        return self._judge(process.returncode, bytes(output))

    @staticmethod
    def _read(stream, output):
        while data := os.read(stream.fileno(), 4096):
            output += data

    def _watch(self, process, output, timeout_s, when):
        """Until mpremote ends. A board that starts anew in the middle would leave it waiting for ever."""
        end = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
                return
            if when and when[0] in output:
                when[1]()
                when = None
            if BANNER.search(output):
                raise self._rebooted("its start message came in the middle of a script")
            if not self.is_alive():
                raise self._rebooted("it is gone")
            if time.monotonic() > end:
                text = bytes(output).decode("utf-8", "replace")
                fault = RigFault("timed-out", f"the board {self.name} was not done within {timeout_s:g} s;"
                                 f" its last words: {text[-200:]!r}", "A faster machine, or a longer limit")
                fault.output = text
                raise fault

    def _rebooted(self, why):
        return RigFault("rebooted", f"the board {self.name} rebooted or died: {why}",
                        "Look for a crash, a watchdog or a loose cable; nothing was half-judged")

    def _judge(self, code, output):
        text = output.decode("utf-8", "replace").replace("\r\n", "\n")
        if BANNER.search(output) or not self.is_alive():
            raise self._rebooted("its start message came in the middle of a script")
        if code == 0:
            return text
        last = text.strip().splitlines()[-1:] or ["nothing"]
        if "could not enter raw repl" in text or "failed to access" in text or "no device found" in text:
            raise self._no_answer(last[0])
        if "TransportError" in text or "SerialException" in text or "timeout waiting" in text:
            raise RigFault("link-broken", f"the serial line to {self.name} broke: {last[0]}",
                           "Check the cable; another program may hold the port")
        raise ScriptFailed(f"on {self.name}: {last[0]}", text)


class EmulatedBoard(Board):
    """A board that an emulator makes: started here, on a port nobody else has."""

    def __init__(self, entry, firmware=None):
        super().__init__(entry)
        self._firmware = firmware
        self._process = self._watchdog = self._folder = None
        self._address = None

    @property
    def address(self):
        return self._address

    def start(self):
        if self._firmware is None:
            self._firmware = firmware_build.build(self.entry["firmware"])
        self._folder = Path(tempfile.mkdtemp(prefix="linnet-board-"))
        self._spawn()
        super().start()

    def stop(self):
        self._end()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def reset(self):
        self._end()
        self._spawn()

    def press_reset(self):
        """qemu's own reset button: the board starts anew and its serial port stays open."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(STOP_TIMEOUT_S)
            control.connect(str(self._folder / "control"))
            lines = control.makefile("rw")
            lines.readline()
            for command in ("qmp_capabilities", "system_reset"):
                lines.write(json.dumps({"execute": command}) + "\n")
                lines.flush()
                while "return" not in json.loads(lines.readline()):
                    pass

    def crash(self):
        """The power fails."""
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)

    def is_alive(self):
        return self._process is not None and self._process.poll() is None

    def cpu_seconds(self):
        """What the emulation has cost until now."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _spawn(self):
        for left in reversed(range(PORT_TRIES)):
            try:
                self._spawn_once()
                return
            except RigFault as fault:
                self._end()
                if not left or "in use" not in fault.cause:
                    raise

    def _spawn_once(self):
        control = self._folder / "control"
        control.unlink(missing_ok=True)
        log = self._folder / "log"
        port = _free_port() if self.entry["serial"] == "tcp" else None
        values = {"serial": f"tcp:127.0.0.1:{port},server=on,wait=off" if port else "pty",
                  "control": f"unix:{control},server=on,wait=off", "firmware": str(self._firmware)}
        command = [_filled(word, values) for word in self.entry["start"]]
        with open(log, "wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT, start_new_session=True)
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "linnet-watchdog", str(self._process.pid)], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self._address = f"socket://127.0.0.1:{port}" if port else None
        self._await_port(log, port)

    def _await_port(self, log, port):
        """Until the emulator's serial port is there. Nobody connects: the board prints its start message to nobody."""
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            words = log.read_text(errors="replace")
            if self._process.poll() is not None:
                last = " / ".join(words.strip().splitlines()[-3:]) or "it said nothing"
                raise RigFault("no-answer", f"{self.entry['start'][0]} ended with {self._process.returncode} at its"
                               f" start: {last}", f"Check \"start\" of {self.name} in the roster")
            found = re.search(r"redirected to (/dev/\S+)", words)
            if found:
                self._address = found.group(1)
            if found or (port and (self._folder / "control").exists()):
                return
            time.sleep(0.02)
        raise RigFault("no-answer", f"the emulator of {self.name} opened no serial port within {START_TIMEOUT_S} s",
                       f"Check \"start\" of {self.name} in the roster")

    def _end(self):
        watchdog, self._watchdog = self._watchdog, None
        process, self._process = self._process, None
        if watchdog:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                watchdog.communicate(b"stop\n", timeout=STOP_TIMEOUT_S)
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_TIMEOUT_S)


def _filled(word, values):
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
