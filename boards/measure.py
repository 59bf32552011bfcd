"""What a board's limits and the firmware cost: session RAM by running the core here, text by compiling it for the S3.

The session is measured with this machine's pointers, so it is an upper estimate for a 32-bit board: everything but
pointers and what Opus rounds has the same size there. Text is what the compiler made of every file, before the linker
drops what nobody calls: an upper estimate too.
"""

import hashlib
import os
import subprocess
import sys

from boards import gen, rules

sys.path.insert(0, str(rules.REPO / "csrc" / "bind"))

from build_tools import BUILD, BuildError, Toolchain, fetch  # noqa: E402

# Order of the words in linnet.h's cfg record.
CFG = ("rate", "remote_tracks", "frame_ms", "bitrate", "complexity", "flags", "playout_delay_ms", "max_message",
       "send_buffer", "recv_buffer", "expected_loss")
FOLDER = BUILD / "boards"


def quiet(text):
    pass


def words(board):
    values = gen.options(board)
    if "complexity" in values:
        values["complexity"] += 1
    return [values.get(name, 0) for name in CFG]


def session_bytes(board, say=quiet):
    return session_parts(board, say)["total"]


def session_parts(board, say=quiet):
    """{"total", "tls", "opus", "event"}: bytes of linnet_session_size with the board's limits, of its TLS arena and
    Opus' state in them, and of linnet_poll_size; linnet_session_init has worked with them."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LINNET_S")}
    tools = Toolchain({**env, "LINNET_OPUS": "fixed", "LINNET_VARIANT": "boards"}, say)
    limits = gen.defines(board)
    key = hashlib.sha256(repr(limits).encode()).hexdigest()[:12]
    folder = FOLDER / f"limits-{key}"
    header = folder / "board.h"
    folder.mkdir(parents=True, exist_ok=True)
    text = gen.board_h({**board, "name": "measured", "family": "rpi"}, "a board's limits")
    if not header.is_file() or header.read_text() != text:
        header.write_text(text)
    flags = ["-O1", "-include", str(header)]
    objects = tools.core_objects(folder, flags)
    program = folder / "session_size"
    source = rules.HERE / "session_size.c"
    archives = tools.third_party_archives()
    inputs = [source, *objects, *archives]
    with fetch.locked(folder / ".link"):
        if not program.exists() or any(file.stat().st_mtime > program.stat().st_mtime for file in inputs):
            command = [*tools.cc, "-Wall", "-Wextra", "-Werror", *tools.compile_flags(), f"-I{folder}",
                       *map(str, inputs), *tools.link_flags(), "-o", str(program)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise BuildError(f"{board['name']}: the core does not link with its board.h:\n{done.stderr}")
    done = subprocess.run([str(program), *map(str, words(board))], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{board['name']}: linnet_session_init refuses the limits and options of the board file "
                         f"({done.stdout.strip() or 'no size'}): see enum linnet_error in linnet.h")
    total, _, tls, opus, event = map(int, done.stdout.split())
    return {"total": total, "tls": tls, "opus": opus, "event": event}
