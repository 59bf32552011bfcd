"""Just enough of a MicroPython's raw REPL on a pty to test the rig: it can fall silent or reboot when told to."""

import contextlib
import os
import threading
import tty

PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
BANNER = (b"MPY: soft reboot\r\nMicroPython v1.26.1 on 2025-09-11; a fake with nothing\r\n"
          b"Type \"help()\" for more.\r\n>>> ")


class FakeBoard:
    """`behaviour`: "answers" runs nothing and prints `output`; "silent"; "reboots" in the middle; "talks" for ever."""

    def __init__(self, behaviour, output=b"42\r\n"):
        self.behaviour = behaviour
        self.output = output
        self.scripts = []
        self._inside, self._outside = os.openpty()
        tty.setraw(self._outside)
        self.device = os.ttyname(self._outside)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        for fd in (self._outside, self._inside):
            with contextlib.suppress(OSError):
                os.close(fd)

    def _serve(self):
        script, is_raw = b"", False
        with contextlib.suppress(OSError):
            while data := os.read(self._inside, 1024):
                if self.behaviour == "silent":
                    continue
                for byte in data:
                    if byte == 1:  # Ctrl-A
                        is_raw, script = True, b""
                        os.write(self._inside, PROMPT)
                    elif byte == 3:
                        script = b""
                    elif byte == 4 and not script.strip():
                        os.write(self._inside, b"OK\r\nMPY: soft reboot\r\n" + PROMPT)
                    elif byte == 4:
                        self._run(script)
                        script = b""
                    elif byte == 5:
                        script = b"\x05"
                    elif is_raw:
                        script += bytes((byte,))
                        if script == b"\x05A\x01":  # raw paste: not here
                            os.write(self._inside, b"R\x00")
                            script = b""

    def _run(self, script):
        self.scripts.append(script)
        os.write(self._inside, b"OK")
        if self.behaviour == "reboots" and b"6 * 7" not in script:
            os.write(self._inside, b"begun\r\n" + BANNER)
        else:
            os.write(self._inside, self.output + b"\x04\x04>")
