"""Fixtures of the tests on boards: each board of the roster, its scripts run once, and the report at the end.

The tests of the rig's own code run always. Those on boards run with LINNET_HIL=1, as `make hil` sets it: they build
firmware. An emulated board for which this machine lacks something is skipped with the command that brings it; a real
one that the roster names must be there and answer.
"""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hil import boards, report, roster, scripts
from tests.hil.faults import RigFault

ON_BOARDS = os.environ.get("LINNET_HIL") == "1"
collect_ignore_glob = [] if ON_BOARDS else ["test_on_boards.py", "test_board_*.py"]
LIMIT_S = 180  # for one script on a board


BOARDS = roster.load()  # a bad roster ends the run here: a board that is not found is not tested


def usable(entry):
    """Skips, with the command, when this machine lacks an emulated board's tools; fails without a real board."""
    fault = boards.why_not(entry)
    if fault and entry["kind"] == "emulated":
        pytest.skip(str(fault))
    if fault:
        pytest.fail(str(fault), pytrace=False)
    return entry


class Runs:
    """The scripts of every board, one thread a board, started with the first test that asks."""

    def __init__(self, folder):
        self.folder = folder
        self._pool = ThreadPoolExecutor(4)
        self._laptop = self._pool.submit(self._run_laptop)
        self._boards = {entry["name"]: self._pool.submit(self._run_board, entry) for entry in BOARDS
                        if not boards.why_not(entry)}

    def _run_board(self, entry):
        found = {}
        began = time.monotonic()
        with boards.open_board(entry["name"]) as board:
            report.add(entry["name"], "start", "ok", time.monotonic() - began, "firmware included")
            plan = [("units", [scripts.unit_tests(entry, self.folder)])] if board.has("units") else []
            plan += [("call", [scripts.call_test(entry, self.folder)]), ("app", scripts.app_tests(entry, self.folder))]
            for what, several in plan:
                began = time.monotonic()
                try:
                    found[what] = "".join([board.run(one, LIMIT_S) for one in several])
                except (RigFault, boards.ScriptFailed) as error:
                    found[what] = error
                told = f"retries {board.retries}" if board.retries else ""
                report.add(entry["name"], what, found[what], time.monotonic() - began, told)
        return found

    def _run_laptop(self):
        env = scripts.fixed_environment()
        found = {**scripts.call_on_laptop(self.folder, env), **scripts.units_on_laptop(self.folder, env)}
        for skip in {json.dumps(entry.get("skip", {}), sort_keys=True) for entry in BOARDS}:
            found["app", skip] = scripts.app_on_laptop(self.folder, json.loads(skip))
        return found

    def on_board(self, entry, what):
        """What a script printed; its fault or failure is raised."""
        found = self._boards[entry["name"]].result().get(what)
        if found is None:
            pytest.skip(f"{entry['name']} has no fixture {what!r} in the roster")
        if isinstance(found, Exception):
            raise found
        return found

    def on_laptop(self):
        return self._laptop.result()

    def app_on_laptop(self, entry):
        return self.on_laptop()["app", json.dumps(entry.get("skip", {}), sort_keys=True)]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("hil"))


@pytest.fixture(params=[entry["name"] for entry in BOARDS])
def entry(request):
    """A board of the roster that this machine can use."""
    return usable(roster.find(request.param))


def pytest_terminal_summary(terminalreporter):
    lines = report.table()
    if lines:
        terminalreporter.section("boards")
        for line in lines:
            terminalreporter.write_line(line)
        report.save(lines)
