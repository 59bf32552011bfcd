"""Which tests may run side by side, and which want the machine to themselves.

Live are those that talk with a real server, a foreign peer or a board in real time: they judge sound and delays,
which other work on the machine would spoil. Everything else is in virtual time or counts instructions and bytes.
`python -m tests` runs the one kind on every processor and then the other alone; `-m live` names them to pytest.

LINNET_SKIPS=0 lets no test be skipped: a machine that claims to have run everything, has. A file there instead of 0
names those that are skipped, one a line, and must be. Only what no package brings may be missing all the same: reasons
that begin with "this machine has no".
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


def may_be_skipped():
    """The tests that LINNET_SKIPS names; None: any."""
    given = os.environ.get("LINNET_SKIPS")
    if given is None or given == "0":
        return given and set()
    lines = [line.strip() for line in Path(given).read_text(encoding="utf-8").splitlines()]
    return {line for line in lines if line and not line.startswith("#")}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    allowed = may_be_skipped()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if allowed is None or reporter is None:     # one of xdist's workers has no reporter
        return
    skipped = reporter.stats.get("skipped", [])
    wrong = [f"skipped: {report.nodeid}: {report.longrepr[-1]}" for report in skipped
             if report.nodeid not in allowed and "Skipped: this machine has no " not in report.longrepr[-1]]
    wrong += [f"not skipped any more: {report.nodeid}" for report in reporter.stats.get("passed", [])
              if report.nodeid in allowed]
    if wrong and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.ensure_newline()
        for line in wrong:
            reporter.write_line(line)
        reporter.write_line(f"{len(wrong)} tests are not as LINNET_SKIPS={os.environ['LINNET_SKIPS']} says", red=True)
