#!/usr/bin/env python3
"""Builds MicroPython with the module `_linnet`, and what other builds of it need.

    python csrc/bind/micropython_build.py unix        build/micropython/{micropython,mpy-cross}, brought up to date
    python csrc/bind/micropython_build.py mpy-cross   only the cross compiler
    python csrc/bind/micropython_build.py source      prints the source tree, ready to build: other ports start here
    python csrc/bind/micropython_build.py lib         prints a folder for MPY_LIB_DIR, which makefiles want to exist

For micropython.mk, micropython.cmake and natmod/Makefile:
    ... fragment TARGET shared|own SETTING...      make variables: include folders, generated sources
    ... archive TARGET shared|own OPT FLAGS...     one archive of the third-party code for the compiler CC
    ... cmake FOLDER OPT FLAGS...                  for CMake: such an archive, Mbed TLS in it under other names
    ... natmod TARGET                              make variables for natmod/Makefile

MPY_VERSION  1.26.1 (default) or 1.25.0, in build/micropython-1.25.0; MPY_DIR: your own tree instead (nothing is
             downloaded, nothing in it changed)
FROZEN       1: build/micropython/micropython-frozen, one file with firmware/ in it (run it with -m main); default 0,
             programs find firmware/ through MICROPYPATH or sys.path
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_tools import BUILD, CSRC, REPO, BuildError, Toolchain, fetch, say  # noqa: E402
from protobuf_build import GeneratorError  # noqa: E402

DEFAULT_VERSION = "1.26.1"
THIRD_PARTY = {"shared": ("opus", "nanopb"), "own": ("opus", "nanopb", "mbedtls")}
NATMOD_TOOLS = ("pyelftools==0.33", "ar==1.0.0")
# Of the port's flags those that choose machine and ABI, and where the C library is.
MACHINE_FLAGS = ("-m", "-f", "--specs", "-isystem", "--sysroot", "-target")
NOT_OURS = ("-flto",)


class PortToolchain(Toolchain):
    """Compiles the third party as a MicroPython port compiles itself."""

    def __init__(self, optimise, flags, **more):
        super().__init__(**more)
        self.ar = self.tool("ar")
        self.flags = [optimise, *(flag for flag in flags if flag.startswith(MACHINE_FLAGS) and flag not in NOT_OURS)]

    def _code_flags(self):
        return [*self.flags, "-ffunction-sections", "-fdata-sections"]

    def tool(self, name):
        """ar, nm or objcopy of this compiler."""
        return self.cc[0][:-3] + name if self.cc[0].endswith("-gcc") else name


def wanted_version(env=os.environ):
    return env.get("MPY_VERSION") or DEFAULT_VERSION


def out_folder(env=os.environ):
    version = wanted_version(env)
    return BUILD / ("micropython" if version == DEFAULT_VERSION else "micropython-" + version)


def is_frozen(env=os.environ):
    return env.get("FROZEN") == "1"


def program(env=os.environ):
    """Where the interpreter is once it is built. The frozen one has the same objects, so it is there in seconds."""
    return out_folder(env) / ("micropython-frozen" if is_frozen(env) else "micropython")


def source_tree(env=os.environ):
    """MicroPython's source with an Mbed TLS in lib/mbedtls."""
    fetcher = fetch.Fetcher(env=env, say=say)
    tree = fetcher.source_dir("micropython", wanted_version(env))
    inside = tree / "lib" / "mbedtls"
    if (inside / "library" / "ssl_tls.c").is_file():
        return tree
    if env.get("MPY_DIR"):
        raise BuildError(f"MPY_DIR={tree} has no Mbed TLS in lib/mbedtls. In that tree: make -C ports/unix submodules")
    ours = fetcher.source_dir("mbedtls")
    with fetch.locked(fetcher.cache / "lock" / "micropython"):
        if not (inside / "library" / "ssl_tls.c").is_file():
            inside.unlink() if inside.is_symlink() else inside.rmdir()
            inside.symlink_to(ours)
    return tree


def lib_folder():
    """MicroPython's makefiles want a micropython-lib to exist when anything is frozen; we freeze nothing of it."""
    folder = BUILD / "micropython-lib"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text("Empty on purpose: see csrc/bind/micropython_build.py.\n")
    return folder


def run_make(tree, port, out, what, *settings):
    log = out / f"{what}.log"
    command = ["make", "-C", str(tree / port), f"-j{min(os.cpu_count() or 1, 4)}", *settings]
    with open(log, "w", encoding="utf-8") as text:
        done = subprocess.run(command, stdout=text, stderr=subprocess.STDOUT, env=make_env())
    if done.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        raise BuildError(f"{what} does not build:\n{tail}\nall of it: {log}\ncommand: {shlex.join(command)}")


def make_env():
    """Without the settings of a make above us; its variables would be taken for MicroPython's (MBEDTLS_DIR is one)."""
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "CFLAGS", "LDFLAGS", "BUILD", "FROZEN")
    return {name: value for name, value in os.environ.items() if name not in ours}


def need_packages():
    """Says what is missing before a compiler does."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    missing = []
    if not shutil.which("pkg-config"):
        missing.append("pkg-config")
    probe = [*compiler, "-E", "-x", "c", "-"]
    if subprocess.run(probe, input="#include <ffi.h>\n", capture_output=True, text=True).returncode:
        found = shutil.which("pkg-config") and subprocess.run(["pkg-config", "--exists", "libffi"]).returncode == 0
        if not found:
            missing.append("libffi-dev")
    if missing:
        raise BuildError(f"MicroPython's unix port needs {' and '.join(missing)}. "
                         f"Debian: apt install {' '.join(missing)}")


def compiler_settings():
    return [f"CC={os.environ['CC']}"] if os.environ.get("CC") else []


def build_mpy_cross(tree, out):
    """The cross compiler does not know about us, so the user cache keeps it for every clone."""
    tools = Toolchain()
    digest = hashlib.sha256(f"{tools.identity()}\n{tree}".encode()).hexdigest()[:16]
    cached = tools.fetcher.cache / "lib" / f"mpy-cross-{digest}" / "mpy-cross"
    with fetch.locked(tools.fetcher.cache / "lock" / f"mpy-cross-{digest}"):
        if not cached.is_file():
            say("mpy-cross: compiling (25 s)")
            build = out / "mpy-cross.build"
            run_make(tree, "mpy-cross", out, "mpy-cross", f"BUILD={build}", *compiler_settings())
            cached.parent.mkdir(parents=True, exist_ok=True)
            part = cached.with_suffix(".part")
            shutil.copy2(build / "mpy-cross", part)
            os.replace(part, cached)
            shutil.rmtree(build)
    target = out / "mpy-cross"
    if not target.exists() or target.read_bytes() != cached.read_bytes():
        shutil.copy2(cached, target)
    return target


def write_if_new(file, text):
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
    return file


def manifest(out):
    lines = ['include("$(MPY_DIR)/extmod/asyncio")\n']
    if is_frozen():
        lines.append(f'include("{REPO / "firmware" / "manifest.py"}", unix=1)\n')
    return write_if_new(out / "manifest.py", "".join(lines))


def forget_another_build(build, tree):
    """Objects of another source tree or compiler look up to date to make; they are not."""
    made_of, stamp = f"{tree}\n{Toolchain().identity()}", build / "linnet.stamp"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != made_of:
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir(parents=True)
        stamp.write_text(made_of, encoding="utf-8")


def forget_other_content(out):
    """MicroPython freezes anew when a file is newer; one that is not to be frozen any more is not newer."""
    files = sorted(str(path) for path in (REPO / "firmware").rglob("*.py")) if is_frozen() else []
    wanted, stamp = "\n".join([manifest(out).read_text(encoding="utf-8"), *files]), out / "obj" / "linnet.frozen"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        (out / "obj" / "frozen_content.c").unlink(missing_ok=True)
        stamp.write_text(wanted, encoding="utf-8")


def unix_settings(out, cross):
    return [f"BUILD={out / 'obj'}", f"USER_C_MODULES={CSRC}", f"FROZEN_MANIFEST={manifest(out)}",
            f"MPY_LIB_DIR={lib_folder()}", f"MICROPY_MPYCROSS={cross}", "MICROPY_MPYCROSS_DEPENDENCY=",
            "MICROPY_PY_BTREE=0", f"LINNET_PYTHON={sys.executable}", *compiler_settings()]


def build_unix():
    need_packages()
    out = out_folder()
    out.mkdir(parents=True, exist_ok=True)
    with fetch.locked(out / ".lock"):
        tree = source_tree()
        cross = build_mpy_cross(tree, out)
        build = out / "obj"
        forget_another_build(build, tree)
        forget_other_content(out)
        target = program()
        made = build / target.name
        fresh = not made.exists()
        if not any(build.glob("micropython*")):
            say(f"micropython: compiling {wanted_version()} with the core (about a minute)")
        run_make(tree, "ports/unix", out, "micropython", *unix_settings(out, cross), f"PROG={target.name}")
        if fresh or not target.exists() or target.stat().st_mtime < made.stat().st_mtime:
            part = target.with_suffix(".part")
            shutil.copy(made, part)
            os.replace(part, target)
            say(f"micropython: {target}")
    return target


# --- for micropython.mk ---


def write_fragment(target, tls, settings):
    """Changes when anything changes that the port's own rules do not see."""
    tools = Toolchain()
    include = []
    for name in THIRD_PARTY[tls]:
        recipe = tools.recipe(name)
        include += [part for folder in recipe.use_includes for part in ("-isystem", str(folder))]
        include += ["-D" + define for define in recipe.use_defines]
    generated = tools.generated_sources()
    include.append(f"-I{tools.generated()}")
    parts = [tools.recipe(name) for name in THIRD_PARTY[tls]]
    files = [CSRC / "bind" / "micropython.mk", CSRC / "bind" / "mbedtls_shared.h"]
    files += [file for recipe in parts for file in recipe.config]
    digest = hashlib.sha256(repr([settings, [(r.groups, r.defines, r.headers) for r in parts]]).encode())
    for file in files:
        digest.update(file.read_bytes())
    write_if_new(target, f"# {digest.hexdigest()}\nLINNET_INC := {' '.join(map(shlex.quote, include))}\n"
                         f"LINNET_GENERATED := {' '.join(map(str, generated))}\n")


def build_for_cmake(folder, optimise, flags):
    """liblinnet_third.a, renames.h (a port's own Mbed TLS has the old names), linnet.cmake."""
    folder.mkdir(parents=True, exist_ok=True)
    tools = PortToolchain(optimise, flags)
    archive = folder / "liblinnet_third.a"
    build_archive(archive, "own", optimise, flags)
    tls = tools.third_party_archive("mbedtls")
    listed = subprocess.run([tools.tool("nm"), "-g", "--defined-only", tls], capture_output=True, text=True, check=True)
    names = sorted({line.split()[2] for line in listed.stdout.splitlines() if len(line.split()) == 3})
    pairs = folder / "renames.txt"
    pairs.write_text("".join(f"{name} linnet_{name}\n" for name in names), encoding="utf-8")
    subprocess.run([tools.tool("objcopy"), f"--redefine-syms={pairs}", archive], check=True)
    write_if_new(folder / "renames.h", "".join(f"#define {name} linnet_{name}\n" for name in names))
    parts = [tools.recipe(name) for name in THIRD_PARTY["own"]]
    include = [str(path) for recipe in parts for path in recipe.use_includes] + [str(tools.generated())]
    defines = [define for recipe in parts for define in recipe.use_defines]
    lists = {"INCLUDES": include, "DEFINES": defines}
    text = "".join(f"set(LINNET_THIRD_{name} {' '.join(f'{chr(34)}{v}{chr(34)}' for v in values)})\n"
                   for name, values in lists.items())
    sources = " ".join(f'"{file}"' for file in tools.generated_sources())
    write_if_new(folder / "linnet.cmake", f"{text}set(LINNET_GENERATED {sources})\n")


def natmod_tools():
    """Python packages of MicroPython's mpy_ld.py, apart from the venv's."""
    folder = BUILD / "natmod" / "tools"
    if not folder.is_dir():
        part = folder.with_name(f"tools.{os.getpid()}.part")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
                   "--target", str(part), *NATMOD_TOOLS]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"pip could not install {' '.join(NATMOD_TOOLS)}:\n{done.stderr}")
        os.replace(part, folder)
    return folder


def write_natmod(target):
    tools = Toolchain()
    tls, codec = tools.recipe("mbedtls"), tools.recipe("nanopb")
    [library] = [folder for folder in tls.includes if folder.name == "library"]
    files = [library / name for name in ("aes.c", "gcm.c", "block_cipher.c", "sha1.c", "constant_time.c")]
    files += [*codec.groups[0][0], *tools.generated_sources()]
    include = [f"-isystem {folder}" for folder in (*tls.use_includes, *codec.use_includes, library)]
    include += [f"-I{tools.generated()}", "-DMBEDTLS_CONFIG_FILE='<mbedtls_natmod.h>'"]
    write_if_new(target, f"MPY_DIR := {source_tree()}\nNATMOD_TOOLS := {natmod_tools()}\n"
                         f"NATMOD_INC := {' '.join(include)}\nNATMOD_THIRD := {' '.join(map(str, files))}\n")


def build_archive(target, tls, optimise, flags):
    tools = PortToolchain(optimise, flags)
    objects = target.with_suffix(".objects")
    shutil.rmtree(objects, ignore_errors=True)
    for name in THIRD_PARTY[tls]:
        folder = objects / name
        folder.mkdir(parents=True)
        subprocess.run([tools.ar, "x", str(tools.third_party_archive(name))], check=True, cwd=folder)
    target.unlink(missing_ok=True)
    tools.archive(target, sorted(objects.glob("*/*.o")))
    shutil.rmtree(objects)


def main(argv):
    try:
        match argv:
            case ["unix"]:
                print(build_unix())
            case ["mpy-cross"]:
                out_folder().mkdir(parents=True, exist_ok=True)
                print(build_mpy_cross(source_tree(), out_folder()))
            case ["source"]:
                print(source_tree())
            case ["lib"]:
                print(lib_folder())
            case ["fragment", target, ("shared" | "own") as tls, *settings]:
                write_fragment(Path(target).absolute(), tls, settings)
            case ["cmake", folder, optimise, *flags]:
                build_for_cmake(Path(folder).absolute(), optimise, flags)
            case ["natmod", target]:
                write_natmod(Path(target).absolute())
            case ["archive", target, ("shared" | "own") as tls, optimise, *flags]:
                build_archive(Path(target).absolute(), tls, optimise, flags)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (BuildError, GeneratorError, fetch.FetchError) as error:
        print(f"build failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
