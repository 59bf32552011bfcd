"""Which tests may run side by side, and which want the machine to themselves.

Live are those that talk with a real server, a foreign peer or a board in real time: they judge sound and delays,
which other work on the machine would spoil. Everything else is in virtual time or counts instructions and bytes.
`python -m tests` runs the one kind on every processor and then the other alone; `-m live` names them to pytest.

LINNET_SKIPS=0 lets no test be skipped (or 11 at most): a machine that claims to have run everything, has.
"""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LIVE_FOLDERS = tuple(HERE / name for name in ("e2e", "interop", "port", "hil"))
LIVE_FIXTURES = {"start_server"}        # of tests/host_sim: what runs a livekit-server


def pytest_addoption(parser):
    parser.addoption("--phase", choices=["together", "alone"], help="only tests that are not live, or only live ones")


def is_live(item):
    return any(folder in item.path.parents for folder in LIVE_FOLDERS) or bool(
        LIVE_FIXTURES & set(getattr(item, "fixturenames", ())))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if is_live(item):
            item.add_marker("live")
    phase = config.getoption("--phase")
    if phase:
        items[:] = [item for item in items if is_live(item) == (phase == "alone")]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    allowed = os.environ.get("LINNET_SKIPS")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if allowed is None or reporter is None:     # one of xdist's workers has no reporter
        return
    skipped = reporter.stats.get("skipped", [])
    if len(skipped) > int(allowed) and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.ensure_newline()
        for report in skipped:
            reporter.write_line(f"skipped: {report.nodeid}: {report.longrepr[-1]}")
        reporter.write_line(f"{len(skipped)} tests were skipped, {allowed} may be (LINNET_SKIPS)", red=True)
