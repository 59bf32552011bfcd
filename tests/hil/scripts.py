"""What runs on a board through mpremote, and its twin on the laptop: bundles of files of the tests, and their results.

A board's results are read from lines that begin with RESULT, its tests from the last line that harness prints.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

from tests.hil import bundle

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
APP = REPO / "tests" / "app"
VECTORS = REPO / "tests" / "vectors"
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
GROUP = 12  # files of tests/app that share an interpreter
ALONE = ("test_room_end.py", "test_ws_cases.py")  # makes hundreds of cores; wants megabytes in one piece
SKIPPING = """
import harness
_skip, _run = %r, harness._run_one
def _run_or_skip(case, name, totals):
    if case.__name__ in _skip or case.__name__ + "." + name in _skip:
        totals[2] += 1
    else:
        _run(case, name, totals)
harness._run_one = _run_or_skip
"""
CALL = """
import json
import call, units_sound
call.say("call", call.results(units_sound.sound(50)))
call.say("protobuf", call.protobuf())
"""


def mpy_cross():
    """MicroPython's cross compiler, if a firmware was built here; bundles are smaller with it."""
    path = REPO / "build" / "hil" / "mpy-cross"
    return path if path.is_file() else None


def started(entry):
    """Lines that a script begins with on this board: its time and randomness, which an emulated one has none of."""
    if "units" not in entry.get("fixtures", ()):
        return ""
    return (f"import linnet_units\nlinnet_units.seed({secrets.token_bytes(48)!r})\n"
            f"linnet_units.set_time({int(time.time())})\n")


def pack(entry, folder, name, files, script):
    """Writes the script `name` for a board: `files` and then `script`."""
    more = {}
    for package in entry.get("mount", ()):
        for file in sorted((REPO / "firmware" / package).glob("*.py")):
            more[f"{package}/{file.name}"] = file
    content = {Path(file).name: Path(file) for file in files}
    return bundle.pack({**more, **content}, started(entry) + script, Path(folder) / f"{entry['name']}-{name}.py",
                       mpy_cross())


def app_files():
    return sorted(APP.glob("test_*.py"))


def app_groups():
    """The files of tests/app, in groups: each gets a fresh interpreter."""
    files = [file for file in app_files() if file.name not in ALONE]
    return [files[at : at + GROUP] for at in range(0, len(files), GROUP)] + [[APP / name] for name in ALONE]


def app_tests(entry, folder):
    """Scripts that run all of tests/app but what the roster skips."""
    helpers = [file for file in APP.glob("*.py") if not file.name.startswith("test_")]
    helpers += [APP / "test_records.py", APP / "test_room.py"]  # others take from them
    return [pack(entry, folder, f"app-{i}", sorted({*helpers, *group}), app_script(group, entry.get("skip", {})))
            for i, group in enumerate(app_groups())]


def app_script(files, skip):
    names = [file.name for file in files if file.name not in skip]
    return SKIPPING % skip + f"import run_mpy\nrun_mpy.main({names!r})\n"


def unit_tests(entry, folder):
    files = [HERE / "board" / "units.py", APP / "harness.py", *VECTORS.glob("*.json")]
    return pack(entry, folder, "units", files, """
import json, harness, units
print("%d passed, %d failed, %d skipped" % tuple(harness.run_module(units, [0, 0, 0])))
print("RESULT", json.dumps({"units": units.results()}))
""")


def call_test(entry, folder):
    return pack(entry, folder, "call", [HERE / "board" / "call.py", _sound_alone(folder), *_call_needs()], CALL)


def _call_needs():
    return [APP / name for name in ("two_sessions.py", "native_core.py", "harness.py", "test_records.py",
                                    "pb_codec.py")]


def _sound_alone(folder):
    """units.sound() as a module that needs no board."""
    text = (HERE / "board" / "units.py").read_text(encoding="utf-8")
    body = text[text.index("def sound("): text.index("class TestChecksums")]
    path = Path(folder) / "units_sound.py"
    path.write_text("RATE = 16000\n\n\n" + body, encoding="utf-8")
    return path


def counts(text):
    """(passed, failed, skipped), all counts in what a board printed together."""
    found = [tuple(map(int, one)) for one in COUNTS.findall(text)]
    return tuple(map(sum, zip(*found, strict=True))) if found else None


def counts_by_file(text):
    """{file: passed} as run_mpy prints them."""
    return {name: int(n) for name, n in re.findall(r"^(test_\w+\.py)\s+(\d+) passed", text, re.M)}


def results(text):
    """{name: value} of the RESULT lines."""
    found = {}
    for line in re.findall(r"^RESULT (.*)$", text, re.M):
        found.update(json.loads(line))
    return found


# --- the same on the laptop, with the arithmetic of devices ---


def fixed_environment():
    """Builds the fixed-point module of this machine once; the environment for a Python that uses it."""
    env = dict(os.environ, LINNET_OPUS="fixed", PYTHONUNBUFFERED="1")
    for name in ("LINNET_VARIANT", "LINNET_SANITIZE"):
        env.pop(name, None)
    tool = str(REPO / "csrc" / "bind" / "cffi_build.py")
    subprocess.run([sys.executable, tool, "extension"], env=env, check=True, capture_output=True)
    env["LINNET_VARIANT"] = subprocess.run([sys.executable, tool, "variant"], env=env, check=True, text=True,
                                           capture_output=True).stdout.strip()
    return env


def _laptop(script, folder, paths, env):
    places = [str(path) for path in (folder, *paths)]
    text = f"import sys\nsys.path[:0] = {places!r}\n" + script
    done = subprocess.run([sys.executable, "-c", text], env=env, text=True, capture_output=True, timeout=120, cwd=REPO)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def call_on_laptop(folder, env):
    _sound_alone(folder)
    return results(_laptop(CALL, folder, [HERE / "board", APP, REPO / "firmware", REPO], env))


def units_on_laptop(folder, env):
    script = "import json, units\nprint('RESULT', json.dumps({'units': units.results()}))\n"
    return results(_laptop("from tests.hil import laptop_units\n" + script, folder,
                           [REPO, HERE / "board", APP, REPO / "tests" / "c", REPO / "csrc" / "bind"], env))


def app_on_laptop(folder, skip):
    """What the same script prints on CPython."""
    text = f"import sys\nsys.path[:0] = [{str(APP)!r}]\n" + app_script(app_files(), skip)
    done = subprocess.run([sys.executable, "-c", text], text=True, capture_output=True, timeout=300, cwd=REPO)
    return done.stdout
