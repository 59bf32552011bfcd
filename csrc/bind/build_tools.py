"""Compiles C for the host: the core, the third-party archives, and what links against them.

    from build_tools import Toolchain
    tools = Toolchain()                      # reads CC, LINNET_SANITIZE, LINNET_OPUS, LINNET_VARIANT
    tools.core_library()                     # build/<variant>/liblinnet.a, brought up to date
    tools.third_party_archives()             # [libopus.a, libmbedtls.a, ...], from the user cache
    tools.compile_flags(), tools.link_flags()  # for a fuzz target or a bench that includes our headers

CC              compiler (default cc)
LINNET_SANITIZE address,undefined | address | undefined | thread; 1 means address,undefined
LINNET_OPUS     float (default) | fixed, the arithmetic of devices
LINNET_VARIANT  folder under build/; by default a name made of the three above, "release" when plain

An object is compiled again when its command or any file it read has changed. Third-party archives live in the
user cache under a hash of sources, compiler and flags, so a second clone or variant costs nothing.
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
CSRC = REPO / "csrc"
BUILD = REPO / "build"
sys.path.insert(0, str(CSRC / "third_party"))

import fetch  # noqa: E402  (after sys.path)
import recipes  # noqa: E402

STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wvla", "-Wshadow"]
CORE_FOLDERS = ("", "net", "media", "proto")
INCLUDE_FOLDERS = ("", "include", "net", "media", "proto", "port")
KEEP_S = 60 * 86400


class BuildError(Exception):
    """The build cannot go on; the text is for the user."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def sanitizers(env):
    value = env.get("LINNET_SANITIZE", "")
    return {"": "", "0": "", "1": "address,undefined"}.get(value, value)


def default_variant(cc, opus, sanitize):
    """"release", or what differs from it: "release-clang-fixed", "sanitize-address-undefined"."""
    name = "sanitize-" + sanitize.replace(",", "-") if sanitize else "release"
    compiler = Path(cc[0]).name
    if compiler not in ("cc", "gcc"):
        name += "-" + compiler
    return name + ("-fixed" if opus == "fixed" else "")


class Toolchain:
    ar = "ar"  # the host's; it cannot index objects of other processors

    def __init__(self, env=os.environ, say=say):
        self.say = say
        self.env = env
        self.cc = shlex.split(env.get("CC") or "cc")
        if not shutil.which(self.cc[0]):
            raise BuildError(f"no C compiler: {self.cc[0]} is not on the PATH. "
                             "Debian: apt install gcc libc6-dev; or set CC.")
        self.opus = env.get("LINNET_OPUS") or "float"
        if self.opus not in ("float", "fixed"):
            raise BuildError(f"LINNET_OPUS is {self.opus!r}; it must be float or fixed")
        self.sanitize = sanitizers(env)
        self.variant = env.get("LINNET_VARIANT") or default_variant(self.cc, self.opus, self.sanitize)
        self.folder = BUILD / self.variant
        # The compiler's word, not the kernel's: a Raspberry Pi may run 32-bit programs on a 64-bit kernel.
        self.machine = self._ask("-dumpmachine").split("-")[0]
        self.fetcher = fetch.Fetcher(env=env, say=say)
        self._recipes = {}
        self._identity = None

    # --- flags ---

    def _code_flags(self):
        """How code is made, ours and the third party's alike; a cross compiler has its own (tests/budgets)."""
        return ["-O2", "-fPIC", "-fvisibility=hidden"]

    def _base_flags(self):
        flags = [*self._code_flags(), "-g"]
        if self.sanitize:
            flags += ["-O1", "-fsanitize=" + self.sanitize, "-fno-sanitize-recover=all",
                      "-fno-omit-frame-pointer"]
        return flags

    def compile_flags(self):
        """For a C file that includes headers of csrc/ and of the third party; without the warnings (STRICT)."""
        flags = self._base_flags() + [f"-I{CSRC / folder}" for folder in INCLUDE_FOLDERS]
        flags.append(f"-I{self.generated()}")
        for name in recipes.LINKED:
            recipe = self.recipe(name)
            flags += [part for folder in recipe.use_includes for part in ("-isystem", str(folder))]
            flags += ["-D" + define for define in recipe.use_defines]
        return flags

    def link_flags(self):
        flags = ["-fsanitize=" + self.sanitize] if self.sanitize else []
        if self.sanitize and "clang" in self.cc[0]:
            flags.append("-shared-libsan")
        return flags + ["-lm", "-pthread"]

    def include_dirs(self):
        ours = [CSRC / folder for folder in INCLUDE_FOLDERS] + [self.generated()]
        return ours + [folder for name in recipes.LINKED for folder in self.recipe(name).use_includes]

    def sanitizer_env(self):
        """What a Python that loads a sanitized module must be started with."""
        if not self.sanitize:
            return {}
        tag = "tsan" if "thread" in self.sanitize else "asan" if "address" in self.sanitize else "ubsan"
        names = [f"libclang_rt.{tag}-{self.machine}.so" if "clang" in self.cc[0] else f"lib{tag}.so"]
        if tag == "ubsan" and "clang" in self.cc[0]:
            names = [f"libclang_rt.ubsan_standalone-{self.machine}.so"]
        found = [self._ask("-print-file-name=" + name) for name in names]
        # Python's own allocator would hide an overrun of a small buffer; leaks are Python's own until it exits.
        return {"LD_PRELOAD": ":".join(found), "PYTHONMALLOC": "malloc",
                "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1",
                "LINNET_SANITIZE": self.sanitize}

    def _ask(self, *args):
        return subprocess.run([*self.cc, *args], capture_output=True, text=True, check=True).stdout.strip()

    def identity(self):
        """Compiler and target, for cache keys."""
        if self._identity is None:
            self._identity = " ".join(self.cc) + "\n" + self._ask("--version") + "\n" + self._ask("-dumpmachine")
        return self._identity

    # --- compiling ---

    def compile(self, jobs, what):
        """jobs: (source, object, flags). Only what is out of date; says how many and how long it took."""
        stale = [job for job in jobs if not self._is_fresh(*job)]
        if not stale:
            return
        self.say(f"{what}: compiling {len(stale)} of {len(jobs)} files with {self.cc[0]} ({self.variant})")
        began = time.monotonic()
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for problem in pool.map(lambda job: self._compile_one(*job), stale):
                if problem:
                    pool.shutdown(cancel_futures=True)
                    raise BuildError(problem)
        self.say(f"{what}: compiled in {time.monotonic() - began:.1f} s")

    def _command(self, source, target, flags):
        return [*self.cc, *flags, "-MMD", "-MF", str(target) + ".d", "-c", str(source), "-o", str(target)]

    def _compile_one(self, source, target, flags):
        target.parent.mkdir(parents=True, exist_ok=True)
        command = self._command(source, target, flags)
        began = time.time_ns()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            target.unlink(missing_ok=True)
            return f"{source} does not compile:\n{done.stderr}\ncommand: {shlex.join(command)}"
        if done.stderr.strip():
            self.say(done.stderr.rstrip())
        os.utime(target, ns=(began, began))  # a file edited while the compiler ran counts as newer
        Path(str(target) + ".cmd").write_text(self.identity() + repr(command))
        return None

    def _is_fresh(self, source, target, flags):
        command, depends = Path(str(target) + ".cmd"), Path(str(target) + ".d")
        try:
            if command.read_text() != self.identity() + repr(self._command(source, target, flags)):
                return False
            made = target.stat().st_mtime_ns
            files = depends.read_text().replace("\\\n", " ").split(":", 1)[1].split()
            return all(os.stat(file).st_mtime_ns < made for file in files)
        except (OSError, IndexError):
            return False

    def archive(self, target, objects):
        part = target.with_suffix(f".{os.getpid()}.part")
        subprocess.run([self.ar, "crs", str(part), *map(str, objects)], check=True)
        os.replace(part, target)
        return target

    # --- third party ---

    def recipe(self, name):
        if name not in self._recipes:
            tree = self.fetcher.source_dir(name)
            self._recipes[name] = recipes.RECIPES[name](tree, self.opus, self.machine)
        return self._recipes[name]

    def _third_party_flags(self, recipe):
        # UBSan stays out: these projects rely on two's complement here and there, which is their business.
        flags = ["-std=gnu11", *self._code_flags(), "-w", "-Werror=implicit-function-declaration"]
        for kind in ("address", "thread"):
            if kind in self.sanitize.split(","):
                flags += ["-g", "-fsanitize=" + kind, "-fno-omit-frame-pointer"]
        flags += [f"-I{folder}" for folder in recipe.includes]
        flags += [part for header in recipe.headers for part in ("-include", header)]
        return flags + ["-D" + define for define in recipe.defines]

    def _third_party_key(self, recipe):
        digest = hashlib.sha256(self.identity().encode())
        digest.update(repr(self._third_party_flags(recipe)).encode())
        files = {file for group, flags in recipe.groups for file in group} | set(recipe.config)
        for folder in recipe.includes:
            if REPO not in folder.parents:
                files |= set(folder.glob("*.h"))
        for group, flags in recipe.groups:
            digest.update(repr((sorted(file.name for file in group), flags)).encode())
        for file in sorted(files):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:16]

    def third_party_archive(self, name):
        recipe = self.recipe(name)
        folder = self.fetcher.cache / "lib" / f"{name}-{self._third_party_key(recipe)}"
        library = folder / f"lib{name}.a"
        if library.is_file():
            with contextlib.suppress(OSError):
                os.utime(folder)  # in use: see _forget_old_archives
            return library
        with fetch.locked(self.fetcher.cache / "lock" / f"lib-{folder.name}"):
            if not library.is_file():
                self._build_third_party(name, recipe, folder)
        return library

    def _build_third_party(self, name, recipe, folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as scratch:
            scratch = Path(scratch)
            flags = self._third_party_flags(recipe)
            jobs = []
            for files, extra in recipe.groups:
                jobs += [(file, scratch / f"{len(jobs) + i}_{file.stem}.o", flags + extra)
                         for i, file in enumerate(files)]
            self.compile(jobs, name)
            ready = scratch / "ready"
            ready.mkdir()
            self.archive(ready / f"lib{name}.a", [job[1] for job in jobs])
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(ready, folder)
        self._forget_old_archives(folder.parent, name)

    @staticmethod
    def _forget_old_archives(parent, name):
        """Every change of flags or compiler leaves an archive behind: those unused for KEEP_S go."""
        for old in parent.glob(f"{name}-*"):
            if time.time() - old.stat().st_mtime > KEEP_S:
                shutil.rmtree(old, ignore_errors=True)

    def third_party_archives(self):
        """What a program is linked with, in link order."""
        return [self.third_party_archive(name) for name in recipes.LINKED]

    # --- the core ---

    def generated(self):
        return BUILD / "generated"

    def core_sources(self):
        return [file for folder in CORE_FOLDERS for file in sorted((CSRC / folder).glob("*.c"))]

    def generated_sources(self):
        import protobuf_build
        return protobuf_build.generate(self.generated(), self.say)

    def core_objects(self, folder=None, extra_flags=()):
        """Objects of the core alone, in build/<variant>/obj or in `folder`; the generated codec is among them."""
        folder = folder or self.folder / "obj"
        generated = self.generated_sources()
        flags = self.compile_flags() + list(extra_flags)
        jobs = [(file, folder / ("_".join(file.relative_to(CSRC).with_suffix(".o").parts)), STRICT + flags)
                for file in self.core_sources()]
        jobs += [(file, folder / (file.stem + ".o"), ["-std=c11", "-w", *flags]) for file in generated]
        with fetch.locked(folder / ".lock"):
            self.compile(jobs, "linnet")
        return [job[1] for job in jobs]

    def port_objects(self):
        """The native media loop, which may use POSIX and is no part of the core."""
        folder = self.folder / "obj"
        jobs = [(file, folder / f"port_{file.stem}.o", [*STRICT, *self.compile_flags()])
                for file in sorted((CSRC / "port").glob("*.c"))]
        with fetch.locked(folder / ".lock"):
            self.compile(jobs, "linnet's media loop")
        return [job[1] for job in jobs]

    def core_library(self):
        return self.archive(self.folder / "liblinnet.a", self.core_objects())
