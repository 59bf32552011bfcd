#!/usr/bin/env python3
"""Keeps build/venv in step with the pinned requirements of pyproject.toml.

    python3 csrc/bind/make_venv.py build|demo|test|lint [FOLDER]

Does nothing when the venv already holds the named set. A change of the pins, of the Python or of the folder
makes a new venv; a further set is installed into the one that is there. Standard library only.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent


class VenvError(Exception):
    """The venv cannot be made; the text says what is missing."""


def say(text):
    print(f"venv: {text}", file=sys.stderr, flush=True)


def load_requirements():
    """({set name: [requirement, ...]}, [constraint, ...]) from pyproject.toml."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    sets = {name: [req for extra in names for req in extras[extra]]
            for name, names in project["tool"]["linnet"]["venvs"].items()}
    return sets, project["tool"]["linnet"]["constraints"]


def fingerprint(folder, sets, constraints):
    what = [str(folder), sys.version, sys.base_prefix, sets, constraints]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def installed_sets(folder, key):
    """The sets that the venv holds, or None when it must be made anew."""
    with contextlib.suppress(OSError, ValueError):
        stamp = json.loads((folder / "linnet-stamp.json").read_text(encoding="utf-8"))
        if stamp["key"] == key and (folder / "bin" / "python").exists():
            return stamp["sets"]
    return None


def create(folder):
    if importlib.util.find_spec("ensurepip") is None:
        raise VenvError(f"{sys.executable} has no ensurepip and cannot make a venv. Debian: apt install python3-venv")
    say(f"creating {folder} with Python {sys.version.split()[0]}")
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise VenvError(f"python -m venv failed:\n{done.stdout}{done.stderr}")


def install(folder, requirements, constraints):
    say(f"installing {len(requirements)} packages and what they need (a minute or two on a slow line)")
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.write("\n".join(constraints) + "\n")
        pins.flush()
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input",
                   "--disable-pip-version-check", "-c", pins.name, *requirements]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise VenvError(f"pip could not install {' '.join(requirements)}:\n{done.stdout}{done.stderr}")
    say(f"installed in {time.monotonic() - began:.0f} s")


def ensure(name, folder):
    sets, constraints = load_requirements()
    if name not in sets:
        raise VenvError(f"no set {name!r}; there are {', '.join(sets)}")
    key = fingerprint(folder, sets, constraints)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        present = installed_sets(folder, key)
        if present is None:
            create(folder)
            present = []
        have = {req for other in present for req in sets[other]}
        missing = [req for req in sets[name] if req not in have]
        if missing:
            install(folder, missing, constraints)
        if name not in present:
            stamp = {"key": key, "sets": [*present, name]}
            (folder / "linnet-stamp.json").write_text(json.dumps(stamp), encoding="utf-8")


def main(argv):
    if not 1 <= len(argv) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(argv[1]) if len(argv) == 2 else REPO / "build" / "venv"
    try:
        ensure(argv[0], folder.absolute())
    except VenvError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
