"""The dependency rule of the tree, executable: who may include or import whom."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
FIRMWARE = ROOT / "firmware" / "linnet"

# What every protocol may include; siblings beyond that are listed one by one.
COMMON = {"wire.h", "errors.h", "address.h", "crypto.h", "linnet_config.h", "stddef.h", "stdint.h", "string.h"}
SIBLINGS = {
    "net/ice": {"net/stun.h"},
    "net/dcep": {"net/sctp.h"},
    "net/srtp": {"net/dtls.h"},  # the profile numbers of the handshake
    "media/jitter": {"opus_framing"},
    "media/playback": {"net/rtp.h"},
}
# Third-party headers and who may see them.
THIRD_PARTY = {
    "opus": {"media/codec.c", "media/codec.h"},
    "speex": set(),
    "mbedtls/": {
        "mbedtls_srtp.h",
        "crypto_mbedtls.c",
        "crypto_arena.c",
        "net/dtls.c",
        "net/dtls_hello.c",
        "net/dtls_identity.c",
    },
    "pb": {"proto/transcode.c"},
}
MICROPYTHON_MODULES = {"asyncio", "struct", "json", "os", "sys", "time", "binascii", "hashlib", "io"}


def c_files():
    return sorted(p for folder in ("", "net", "media", "proto") for p in (CSRC / folder).glob("*.[ch]"))


def includes(path):
    return re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', path.read_text(), re.M)


def locate(path, name):
    """The included header as a path below csrc/, or None for a header that is not ours."""
    for base in (path.parent, CSRC, CSRC / "include", CSRC / "net", CSRC / "media", CSRC / "proto"):
        found = (base / name).resolve()
        if found.exists() and found.is_relative_to(CSRC):
            return found.relative_to(CSRC).as_posix()
    return None


def module_of(relative):
    """net/ice_pairs.c -> net/ice: files of one module share the name before the first underscore."""
    folder, _, name = relative.rpartition("/")
    stem = name.rsplit(".", 1)[0].split("_")[0]
    return f"{folder}/{stem}"


def test_wire_needs_nothing_but_three_headers_of_the_language():
    assert set(includes(CSRC / "wire.h")) == {"stddef.h", "stdint.h", "string.h"}


@pytest.mark.parametrize("path", c_files(), ids=lambda p: p.relative_to(CSRC).as_posix())
def test_a_protocol_includes_only_what_it_may(path):
    relative = path.relative_to(CSRC).as_posix()
    if relative.startswith(("session", "media/media_config")) or relative in ("errors.h", "mbedtls_config.h"):
        return
    mine = module_of(relative)
    for name in includes(path):
        found = locate(path, name)
        if found is None:
            continue
        if found.rsplit("/", 1)[-1] in COMMON or found == "include/linnet.h" and mine in ("/errors", "proto/transcode"):
            continue
        same_folder = found.split("/")[0] == relative.split("/")[0]
        if mine.startswith("media/") and same_folder:
            continue
        allowed = module_of(found) == mine or found in SIBLINGS.get(mine, ()) or (
            relative.startswith("net/dtls") or relative.startswith("crypto")
        ) and found.startswith("crypto")
        allowed = allowed or mine.startswith("media/") and found == "net/rtp.h"
        assert allowed, f"{relative} includes {name} ({found}): only session*.c composes protocols"


@pytest.mark.parametrize("path", c_files(), ids=lambda p: p.relative_to(CSRC).as_posix())
def test_third_party_headers_stay_behind_their_seam(path):
    relative = path.relative_to(CSRC).as_posix()
    for name in includes(path):
        for prefix, seen_by in THIRD_PARTY.items():
            if name.startswith(prefix) and locate(path, name) is None:
                assert relative in seen_by, f"{relative} sees {name}"


@pytest.mark.parametrize("path", c_files(), ids=lambda p: p.relative_to(CSRC).as_posix())
def test_the_core_asks_no_system(path):
    """No socket, clock, thread, allocator or print in the core; the arena is the backend's own allocator."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
    banned = re.findall(
        r"\b(malloc|calloc|realloc|free|printf|fprintf|puts|socket|sendto|recvfrom|time|clock_gettime|pthread_\w+)\s*\(",
        code,
    )
    assert not banned, f"{path.name} calls {sorted(set(banned))}"


def test_only_the_media_loop_asks_the_system_and_it_sees_no_protocol():
    """csrc/port is a program on top of the public header: libc, sockets and threads, but nothing inside the core."""
    own = {path.name for path in (CSRC / "port").glob("*.h")}
    for path in sorted((CSRC / "port").glob("*.[ch]")):
        ours = {name for name in includes(path) if locate(path, name)}
        assert ours <= own | {"linnet.h", "linnet_config.h", "errors.h"}, path.name
        assert not [name for name in includes(path) if name.startswith(tuple(THIRD_PARTY))], path.name
    for path in c_files():
        assert not {name for name in includes(path) if (locate(path, name) or "").startswith("port/")}, path.name


def test_no_copy_takes_its_length_from_the_wire():
    """A memcpy whose length was read by wire_u* without a check is how neighbours were broken into."""
    for path in c_files():
        if path.name == "wire.h":
            continue
        code = path.read_text()
        assert not re.search(r"mem(cpy|move)\s*\([^;]*wire_u(8|16|24|32|64)", code), path.name


def test_the_border_is_two_headers():
    """What a binding may see of us: the public header and the media loop's."""
    border = {"include/linnet.h", "port/loop.h"}
    # The native .mpy has no session: it offers parts of one, one by one.
    parts = {"bind/modlinnet.c", "crypto_arena.h", "net/rtp.h", "net/srtp.h", "net/dtls.h", "media/jitter.h",
             "media/resample.h"}
    for path in sorted((CSRC / "bind").glob("*.c")):
        seen = {locate(path, name) for name in includes(path)} - {None}
        own = {"natmod.c": parts, "portaudio.c": {"bind/portaudio.h"}}.get(path.name, set())
        assert seen <= border | own, path.name


# --- Python ---


def firmware_files():
    return sorted((ROOT / "firmware").rglob("*.py"))


def imports(path):
    """(level, module, names) of every import of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)


@functools.cache
def shared_with_the_laptop():
    """The modules beside the package linnet that host_sim imports, and what those import."""
    beside = {path.stem: path for path in FIRMWARE.parent.glob("*.py")}
    found, left = set(), sorted((ROOT / "host_sim").glob("*.py"))
    while left:
        named = {module for level, module, _ in imports(left.pop()) if level == 0 and module in beside} - found
        found |= named
        left += [beside[name] for name in named]
    return found


def test_laptop_and_badge_share_how_an_app_is_run():
    shared = shared_with_the_laptop()
    assert shared >= {"run_app", "run_setup", "command_line", "exits", "journal", "wav", "words", "os_error"}
    assert not [name for name in shared if name.startswith(("port_", "main"))]


@pytest.mark.parametrize("path", firmware_files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_firmware_imports_only_itself_and_what_both_interpreters_have(path):
    in_package = path.parent == FIRMWARE
    for level, module, _ in imports(path):
        top = module.split(".")[0]
        if level or (top == "linnet" and not in_package):
            continue
        if module == "_linnet":
            assert path.name == "core.py", f"{path.name} imports the native module; only core.py may"
        elif path.name == "compat.py":
            assert top in MICROPYTHON_MODULES | {"micropython", "traceback", "inspect"}, f"compat.py imports {module}"
        elif path.parent == FIRMWARE.parent:
            own = {other.stem for other in path.parent.iterdir()}  # modules beside it, drivers/ and apps/
            if path.stem in shared_with_the_laptop():
                assert top in MICROPYTHON_MODULES | own | {"errno"}, f"{path.name} imports {module}"
            else:  # adapters and programs of MicroPython alone: machine, network, tls, ffi
                assert top not in ("host_sim", "tests", "cffi", "sounddevice")
        else:
            assert top in MICROPYTHON_MODULES, f"{path.name} imports {module}"


def test_the_modules_of_the_package_import_each_other_in_one_direction():
    graph = {}
    for path in sorted(FIRMWARE.glob("*.py")):
        found = set()
        for node in ast.parse(path.read_text()).body:  # an import inside a function is the way out of a cycle
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                found |= {node.module} if node.module else {alias.name for alias in node.names}
        graph[path.stem] = {name for name in found if (FIRMWARE / f"{name}.py").exists()}

    def visit(name, trail):
        assert name not in trail, "a circle: " + " -> ".join(trail[trail.index(name) :] + [name])
        for other in sorted(graph[name]):
            visit(other, trail + [name])

    for name in graph:
        visit(name, [])


def test_one_file_knows_that_there_are_two_interpreters():
    with_fallback = [
        path.name
        for path in firmware_files()
        if any(
            isinstance(node, ast.ExceptHandler) and node.type is not None and "ImportError" in ast.dump(node.type)
            for node in ast.walk(ast.parse(path.read_text()))
        )
    ]
    assert with_fallback == ["compat.py"]


def test_nothing_but_tests_imports_tests_and_firmware_never_imports_the_simulator():
    for path in sorted((ROOT / "host_sim").glob("*.py")) + firmware_files():
        for level, module, _ in imports(path):
            if level == 0:
                assert module.split(".")[0] != "tests", f"{path} imports tests"
                if path.is_relative_to(ROOT / "firmware"):
                    assert module.split(".")[0] != "host_sim", f"{path} imports host_sim"


def test_no_bare_except_anywhere_in_the_firmware():
    for path in firmware_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path.name}:{node.lineno} would swallow cancellation"


@pytest.mark.parametrize("path", firmware_files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_firmware_speaks_the_dialect(path):
    """What MicroPython does not have must not be written (style: the app layer on two interpreters)."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Match), f"{where}: match"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert not node.args.posonlyargs, f"{where}: positional-only arguments"
        if isinstance(node, ast.Raise):
            assert node.cause is None, f"{where}: exception chaining"
        if isinstance(node, ast.Attribute):
            absent = ("hexdigest", "TaskGroup", "timeout_at", "get_running_loop")
            assert node.attr not in absent, f"{where}: {node.attr}"
        if isinstance(node, ast.comprehension):
            assert not node.is_async, f"{where}: async comprehension"


SIZE_LIMITS = {"csrc": 800, "firmware": 350}


@pytest.mark.parametrize("folder", SIZE_LIMITS)
def test_no_hand_written_file_has_grown_two_jobs(folder):
    generated = {"schema.py", "resample_table.h"}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix in (".c", ".h", ".py") and path.name not in generated:
            lines = len(path.read_text().splitlines())
            assert lines <= SIZE_LIMITS[folder] + 25, f"{path.relative_to(ROOT)} has {lines} lines: split it"
