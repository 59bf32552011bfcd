"""What laptop and badge share beside the package linnet: the same tests, and the same results, on MicroPython."""

import os
import re
import subprocess
import sys

import pytest

from tests.host_sim.conftest import REPO
from tests.host_sim.test_main_unix import micropython_binary  # noqa: F401  (a fixture)
from tests.micropython_program import FIRMWARE

HERE = REPO / "tests" / "host_sim"


def ended(interpreter, name, path):
    """The last line of a file of tests, which names how many passed."""
    done = subprocess.run([interpreter, HERE / name], cwd=REPO, text=True, capture_output=True, timeout=120,
                          env=dict(os.environ, **path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["test_events_file.py", "test_run_app.py", "test_words.py"])
def test_the_same_tests_pass_on_both_interpreters(micropython_binary, name):  # noqa: F811
    app = REPO / "tests" / "app"
    there = ended(micropython_binary, name, {"MICROPYPATH": f"{app}:{FIRMWARE}:.frozen"})
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed, 0 skipped", there)
    assert ended(sys.executable, name, {"PYTHONPATH": f"{app}:{REPO / 'firmware'}"}) == there
