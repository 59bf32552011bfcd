"""Exit codes: every trouble that Linnet can name has one, and each means one thing."""

import re

from host_sim import exits
from linnet.errors import CURES, Closed, Protocol, Refused
from tests.host_sim.conftest import REPO


def test_every_code_that_can_end_a_run_has_an_exit_code():
    session = [code for code in CURES if not code.startswith(("rpc-", "left"))]
    missing = [code for code in session if code not in exits._EXITS]
    assert missing == []


def test_every_exit_code_is_in_the_help():
    told = {number for number, _ in exits.TABLE}
    assert set(exits._EXITS.values()) <= told
    assert exits.ENDED in told


def test_sessions_that_the_server_ended_have_one_code():
    assert exits.exit_code(Closed("left-duplicate-identity")) == exits.ENDED
    assert exits.exit_code(Closed("left")) == exits.ENDED


def test_a_code_of_an_app_s_own_is_a_failed_program():
    assert exits.exit_code(Refused("no-coffee")) == exits.APP_FAILED
    assert exits.exit_code(Protocol(1500)) == exits.APP_FAILED


def test_codes_raised_by_the_simulator_are_known():
    raised = set()
    for path in (REPO / "host_sim").glob("*.py"):
        raised |= set(re.findall(r'(?:Refused|Timeout|Closed)\(\s*"([a-z0-9-]+)"', path.read_text()))
    assert raised >= {"bad-board", "no-audio-device", "wav-format"}
    assert {code for code in raised if code not in exits._EXITS} == set()
