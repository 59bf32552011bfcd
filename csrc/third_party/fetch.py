#!/usr/bin/env python3
"""Brings the third-party C sources named in versions.toml to this machine.

    python3 csrc/third_party/fetch.py [NAME...]      prints the source folder of each

Places, in order: the environment variable of the source (an unpacked tree), the user cache, the
distribution's source packages (any user, no root), the project's own release. What a place
delivers is judged by its SHA-256 alone. Only the standard library is used, two processes may run
this at once, and the folder appears complete or not at all.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
VERSIONS = HERE / "versions.toml"
APT_HELPER = Path("/usr/lib/apt/apt-helper")
POOLS = ("pool/main", "pool/universe", "pool/updates/main")
TIMEOUT_S = 30  # without a byte; a whole download may take TIMEOUT_S * 20


class FetchError(Exception):
    """No place had the source. The text says why each failed and what to do."""


class PlaceError(Exception):
    """One place could not deliver; the text is its reason."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def cache_dir(env=os.environ):
    """$LINNET_CACHE, else $XDG_CACHE_HOME/linnet, else ~/.cache/linnet, else build/cache."""
    if env.get("LINNET_CACHE"):
        return Path(env["LINNET_CACHE"]).absolute()
    if env.get("XDG_CACHE_HOME"):
        return Path(env["XDG_CACHE_HOME"]).absolute() / "linnet"
    home = env.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    cache = Path(home) / ".cache" / "linnet"
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return cache
    return REPO / "build" / "cache"


@contextlib.contextmanager
def locked(path):
    """One process at a time past this point; the kernel frees the lock of one that died."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sha256_of(path):
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_hash(path, expected, origin):
    got = sha256_of(path)
    if got != expected:
        raise PlaceError(f"hash mismatch, refused: {origin} has sha256 {got}, pinned is {expected}")


def apt_mirrors(apt_dir):
    """The archive addresses this machine's own apt is set up with, in its order."""
    lists = [apt_dir / "sources.list"]
    lists += sorted((apt_dir / "sources.list.d").glob("*.list"))
    lists += sorted((apt_dir / "sources.list.d").glob("*.sources"))
    found = []
    for path in lists:
        with contextlib.suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")
            if path.suffix == ".sources":
                lines = re.findall(r"^URIs:((?:.*\n?)(?:^[ \t]+.*\n?)*)", text, re.M | re.I)
                found += [uri for line in lines for uri in line.split()]
            else:
                found += re.findall(r"^\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s*)?(\S+)", text, re.M)
    usable = [uri.rstrip("/") for uri in found if re.match(r"(https?|file):/", uri)]
    return list(dict.fromkeys(usable))


def download(url, target):
    """apt's own helper for http(s) where there is one, since it knows the machine's proxy; else urllib."""
    if url.startswith("http") and APT_HELPER.exists() and "/pool/" in url:
        options = ["-o", f"Acquire::http::Timeout={TIMEOUT_S}", "-o", "Acquire::Retries=1",
                   "-o", "APT::Sandbox::User="]
        run = subprocess.run([APT_HELPER, *options, "download-file", url, target],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=TIMEOUT_S * 20)
        if run.returncode:
            errors = [line[3:] for line in run.stderr.splitlines() if line.startswith("E: ")]
            raise PlaceError(errors[0] if errors else f"{url}: apt-helper ended with {run.returncode}")
        return
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply, open(target, "wb") as out:
            shutil.copyfileobj(reply, out)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise PlaceError(f"{url}: {getattr(error, 'reason', error)}") from error


class Fetcher:
    """Finds sources for one environment; tests hand in their own."""

    def __init__(self, versions=VERSIONS, env=os.environ, apt_dir=Path("/etc/apt"), say=say):
        self.table = tomllib.loads(Path(versions).read_text(encoding="utf-8"))
        self.env = env
        self.apt_dir = Path(apt_dir)
        self.say = say
        self.cache = cache_dir(env)

    def names(self):
        return list(self.table)

    def source_dir(self, name, version=None):
        """The folder with the unpacked source; fetched and unpacked first if it has to be.

        Of the pins, only the one of `version` if given. The environment variable wins over that too."""
        entry = self.table[name]
        override = self.env.get(entry["env"])
        if override:
            return self._from_env(name, entry, Path(override))
        if version:
            entry = {**entry, "pin": [pin for pin in entry["pin"] if pin["version"] == version]}
            if not entry["pin"]:
                known = ", ".join(pin["version"] for pin in self.table[name]["pin"])
                raise FetchError(f"{name}: version {version} is not pinned; there are {known}. "
                                 f"Or set {entry['env']} to an unpacked source tree.")
        with locked(self.cache / "lock" / name):
            return self._from_cache(name, entry) or self._from_network(name, entry)

    def _from_env(self, name, entry, tree):
        if not (tree / entry["proof"]).is_file():
            raise FetchError(
                f"{name}: {entry['env']}={tree} has no {entry['proof']}. Point {entry['env']} at an "
                f"unpacked source tree of {name} {entry['pin'][0]['version']}, or unset it.")
        self.say(f"{name}: using {tree} (from {entry['env']})")
        return tree.absolute()

    def _from_cache(self, name, entry):
        for pin in entry["pin"]:
            tree = self._tree(name, pin)
            if (tree / entry["proof"]).is_file():
                self.say(f"{name}: using {pin['version']} from the cache ({tree})")
                return tree
        for pin in entry["pin"]:
            archive = self._archive(pin)
            if archive.is_file():
                try:
                    hashes = (pin["sha256"], pin.get("url_sha256"))
                    if sha256_of(archive) not in hashes:
                        check_hash(archive, pin["sha256"], str(archive))
                    self.say(f"{name}: using {pin['version']} from the cache ({archive})")
                    return self._unpack(name, entry, pin, archive)
                except PlaceError as error:
                    self.say(f"{name}: cache: {error}; fetching it anew")
                    archive.unlink()
        return None

    def _from_network(self, name, entry):
        reasons = [f"environment: {entry['env']} is not set",
                   f"cache: nothing pinned in {self.cache}"]
        for place, pin, url, sha256 in self._addresses(name, entry, reasons):
            archive = self._archive(pin)
            try:
                self._bring(name, place, pin, url, sha256, archive)
            except (PlaceError, subprocess.TimeoutExpired) as error:
                reasons.append(f"{place}: {error}")
                self.say(f"{name}: {place} failed: {error}")
                continue
            self.say(f"{name}: using {pin['version']} from {place}, because "
                     + "; ".join(reasons[:2]) + ("; others failed as said above" if reasons[2:] else ""))
            return self._unpack(name, entry, pin, archive)
        raise FetchError(
            f"{name}: no place has it:\n  " + "\n  ".join(reasons)
            + f"\nTo go on: unpack {name} {entry['pin'][0]['version']} yourself and set {entry['env']}, "
            f"or put {entry['pin'][0]['file']} into {self.cache / 'archives'}.")

    def _addresses(self, name, entry, reasons):
        mirrors = apt_mirrors(self.apt_dir)
        if not mirrors:
            reasons.append(f"distribution: no package mirror found in {self.apt_dir}")
            self.say(f"{name}: {reasons[-1]}")
        for pin in entry["pin"]:
            for mirror in mirrors:
                for pool in POOLS:
                    if ("security" in mirror) != ("updates" in pool) and not mirror.startswith("file:"):
                        continue
                    if pool == "pool/universe" and "ubuntu" not in mirror:
                        continue
                    url = f"{mirror}/{pool}/{entry['pool']}/{pin['file']}"
                    yield "distribution", pin, url, pin["sha256"]
        for pin in entry["pin"]:
            if "url" in pin:
                yield "release", pin, pin["url"], pin.get("url_sha256", pin["sha256"])

    def _bring(self, name, place, pin, url, sha256, archive):
        self.say(f"{name}: downloading {pin['version']} ({pin['bytes'] / 1e6:.1f} MB) from {url}")
        began = time.monotonic()
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".part-") as scratch:
            part = Path(scratch) / archive.name
            download(url, part)
            check_hash(part, sha256, url)
            os.replace(part, archive)
        self.say(f"{name}: downloaded in {time.monotonic() - began:.1f} s, hash is right")

    def _archive(self, pin):
        return self.cache / "archives" / pin["file"]

    def _tree(self, name, pin):
        return self.cache / "src" / f"{name}-{pin['version']}-{pin['sha256'][:8]}"

    def _unpack(self, name, entry, pin, archive):
        tree = self._tree(name, pin)
        self.say(f"{name}: unpacking into {tree}")
        tree.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tree.parent, prefix=".part-") as scratch:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
            tops = [path for path in Path(scratch).iterdir() if (path / entry["proof"]).is_file()]
            if len(tops) != 1:
                raise FetchError(f"{name}: {archive} does not hold one folder with {entry['proof']}")
            shutil.rmtree(tree, ignore_errors=True)
            os.replace(tops[0], tree)
        return tree


def main(argv):
    fetcher = Fetcher()
    unknown = [name for name in argv if name not in fetcher.names()]
    if unknown:
        say(f"fetch.py: unknown source {', '.join(unknown)}; there are {', '.join(fetcher.names())}")
        return 2
    try:
        for name in argv or fetcher.names():
            print(fetcher.source_dir(name))
    except FetchError as error:
        say(f"fetch.py: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
