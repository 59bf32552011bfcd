"""Exit codes: every trouble that Linnet can name has one, and each means one thing."""

import re

import exits
import pytest
from linnet.errors import CURES, Closed, Protocol, Refused
from tests.host_sim.conftest import REPO

CODES = {code: number for number, codes in exits._BY_CODE.items() for code in codes.split()}


def test_no_code_has_two_exit_codes():
    assert len(CODES) == sum(len(codes.split()) for codes in exits._BY_CODE.values())
    assert {code: exits.exit_code(Refused(code)) for code in CODES} == CODES


def test_every_code_that_can_end_a_run_has_an_exit_code():
    session = [code for code in CURES if not code.startswith(("rpc-", "left"))]
    missing = [code for code in session if code not in CODES]
    assert missing == []


def test_every_exit_code_is_in_the_help():
    told = {number for number, _ in exits.TABLE}
    assert set(CODES.values()) <= told
    assert exits.ENDED in told


def test_sessions_that_the_server_ended_have_one_code():
    assert exits.exit_code(Closed("left-duplicate-identity")) == exits.ENDED
    assert exits.exit_code(Closed("left")) == exits.ENDED


def test_a_code_of_an_app_s_own_is_a_failed_program():
    assert exits.exit_code(Refused("no-coffee")) == exits.APP_FAILED
    assert exits.exit_code(Protocol(1500)) == exits.APP_FAILED


def test_codes_raised_by_the_simulator_are_known():
    raised = set()
    for path in [*(REPO / "host_sim").glob("*.py"), *(REPO / "firmware").glob("*.py")]:
        raised |= set(re.findall(r'(?:Refused|Timeout|Closed)\(\s*"([a-z0-9-]+)"', path.read_text()))
    assert raised >= {"bad-board", "no-audio-device", "wav-format"}
    assert {code for code in raised if code not in CODES} == set()


def ending(work, is_verbose=False):
    said = []
    code, error = exits.end_of(work, said.append, is_verbose)
    return code, error, said


def fails(error):
    def work():
        raise error
    return work


def test_work_that_is_done_has_the_code_that_it_gives():
    assert ending(lambda: 7) == (7, None, [])


def test_trouble_that_has_a_name_is_said_once_with_its_cure():
    trouble = Refused("bad-url", "no such thing", "Do it right.")
    assert ending(fails(trouble)) == (exits.BAD_INPUT, trouble, ["no such thing. Do it right."])


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(), 0), (SystemExit(None), 0),
                                           (SystemExit(3), 3), (SystemExit(256), 0), (SystemExit(-1), 255)])
def test_a_program_may_end_with_a_code_of_its_own(end, code):
    assert ending(fails(end)) == (code, None, [])


@pytest.mark.parametrize("words", ["no coffee left", "", 0.0])
def test_a_program_that_ends_with_words_is_heard(words):
    assert ending(fails(SystemExit(words))) == (exits.APP_FAILED, None, [str(words)])


def test_an_error_that_is_no_exception_is_said_too():
    code, error, said = ending(fails(GeneratorExit("odd")))
    assert (code, error.code, len(said)) == (exits.APP_FAILED, "app-failed", 1)


class Journal:
    path = "e.jsonl"

    def __init__(self, trouble="", is_unread=False, breaks=""):
        self.trouble, self.is_unread, self.breaks, self.last = trouble, is_unread, breaks, None

    def end(self, code, fields, error):
        self.last = (code, fields, error)
        self.trouble = self.trouble or self.breaks


@pytest.mark.parametrize(("code", "sound", "journal", "expected", "said"), [
    (0, "", Journal(), 0, []),
    (0, "a", Journal(), exits.BAD_INPUT, ["a"]),
    (0, "", Journal("b"), exits.BAD_INPUT, ["b"]),
    (0, "a", Journal("b"), exits.BAD_INPUT, ["a", "b"]),
    (0, "", Journal(breaks="its last line"), exits.BAD_INPUT, ["its last line"]),
    (0, "", Journal("nobody reads", is_unread=True), 0, ["nobody reads"]),
    (143, "a", Journal("b"), 143, ["a", "b"]),
    (exits.NETWORK, "a", Journal(), exits.NETWORK, ["a"]),
])
def test_a_file_that_is_not_complete_is_told_and_shows_in_the_code(code, sound, journal, expected, said):
    heard = []
    assert exits.close(code, None, journal, {"x": 1}, sound, heard.append) == expected
    assert heard == said
    told_code, facts, error = journal.last
    assert (told_code, facts) == (exits.BAD_INPUT if sound and not code else code, {"x": 1})
    assert (error and error.cause) == (sound if sound and not code else None)


@pytest.mark.parametrize("is_verbose", [False, True])
def test_a_bug_of_ours_is_one_line_and_a_traceback_for_who_asks(is_verbose, capsys):
    code, error, said = ending(fails(KeyError("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJiIn0.c2ln")), is_verbose)
    assert (code, error.code) == (exits.APP_FAILED, "app-failed")
    assert said == ["unexpected KeyError: '***'. Please report this with the output of --verbose."]
    assert ("Traceback" in capsys.readouterr().err) == is_verbose
