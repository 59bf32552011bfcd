"""Turns csrc/proto/linnet.proto into C with the nanopb generator. Nothing generated is committed or edited."""

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import fetch

PROTO = Path(__file__).resolve().parent.parent / "proto"


class GeneratorError(Exception):
    """The generator is missing or refused the .proto; the text says which."""


def generate(folder, say):
    """The generated .c files in `folder`, made anew when the .proto, its options or the generator changed."""
    with fetch.locked(folder / ".lock"):
        return _generate(folder, say)


def _generate(folder, say):
    proto, options = PROTO / "linnet.proto", PROTO / "linnet.options"
    if not proto.is_file():
        return []
    try:
        version = importlib.metadata.version("nanopb")
    except importlib.metadata.PackageNotFoundError:
        raise GeneratorError("the nanopb generator is not installed in this Python: run through make") from None
    digest = hashlib.sha256(version.encode() + proto.read_bytes())
    digest.update(options.read_bytes() if options.is_file() else b"")
    stamp, source = folder / "linnet.pb.stamp", folder / "linnet.pb.c"
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return [source]
    say(f"protobuf: generating linnet.pb.c with nanopb {version}")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as scratch:
        command = [sys.executable, "-m", "nanopb.generator.nanopb_generator", "-q", "-D", scratch, "-I", str(PROTO),
                   str(proto)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROTO)
        if done.returncode:
            raise GeneratorError(f"nanopb refused {proto}:\n{done.stdout}{done.stderr}")
        for name in ("linnet.pb.h", "linnet.pb.c"):
            os.replace(Path(scratch) / name, folder / name)
    stamp.write_text(digest.hexdigest())
    return [source]
