"""main.py on MicroPython's unix port beside host_sim run: the same options, exit codes and words. What both do is
tested by test_cli_*.py (make test-micropython); here is what only one of them has."""

import json
import subprocess
import sys

import exits
import pytest

from host_sim import cli as host_cli
from tests.host_sim.test_exits import CODES
from tests.host_sim.conftest import REPO, SENTENCE, environment
from tests.micropython_program import FIRMWARE, MAIN, PROGRAM


@pytest.fixture
def micropython(micropython_binary):
    """micropython(code, ...) runs a line of MicroPython with firmware/ in its path."""
    def run(*arguments, check=True, **changes):
        done = subprocess.run([micropython_binary, *map(str, arguments)], cwd=REPO, text=True, capture_output=True,
                              timeout=30, env=environment(MICROPYPATH=f"{FIRMWARE}:.frozen", **changes))
        assert not check or done.returncode == 0, done.stderr
        return done
    return run


@pytest.fixture(scope="session")
def micropython_binary():
    if not PROGRAM.exists():
        subprocess.run([sys.executable, REPO / "csrc" / "bind" / "micropython_build.py", "unix"], check=True,
                       stdout=subprocess.DEVNULL)
    return PROGRAM


def host_options():
    """{name: has a value} of `python -m host_sim run`."""
    commands = next(action for action in host_cli.build_parser()._actions if action.dest == "command")
    actions = commands.choices["run"]._actions
    return {action.option_strings[-1]: action.nargs != 0 for action in actions
            if action.option_strings[-1] != "--help"}


def test_both_have_the_same_options(micropython):
    code = ("import command_line as c, json; "
            "print(json.dumps([['--' + o[0], o[1] is not None] for o in c.OPTIONS]))")
    assert dict(json.loads(micropython("-c", code).stdout)) == host_options()


def test_both_end_with_the_same_codes(micropython):
    codes = sorted(host_exits())
    code = ("import exits, json; from linnet.errors import Refused; "
            f"print(json.dumps([exits.exit_code(Refused(c)) for c in {codes!r}]), json.dumps(exits.TABLE))")
    ours, _, table = micropython("-c", code).stdout.partition("] ")
    assert dict(zip(codes, json.loads(ours + "]"), strict=True)) == host_exits()
    assert [tuple(row) for row in json.loads(table)] == list(exits.TABLE)


def host_exits():
    return {**CODES, "left": exits.ENDED, "left-duplicate-identity": exits.ENDED, "something-else": 1}


def test_a_board_file_may_hold_what_the_schema_knows(micropython):
    limits = json.loads((REPO / "boards" / "schema.json").read_text())["properties"]["limits"]["properties"]
    ours = json.loads(micropython("-c", "import board_file, json; print(json.dumps(board_file.LIMITS))").stdout)
    assert sorted(ours) == sorted(limits)


@pytest.mark.parametrize("sound", [(), ("--mic",), ("--wav", SENTENCE, "--speaker"), ("--out", "o.wav")])
def test_there_is_no_sound_device_and_files_are_offered(micropython, sound, unsigned):
    done = micropython(*MAIN, "--url", "ws://127.0.0.1:9", *sound, check=False, LINNET_TOKEN=unsigned)
    assert done.returncode == exits.AUDIO
    assert "--wav" in done.stderr and "--out" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_micropython_without_the_core_is_told_how_to_get_one(micropython, unsigned):
    """As one of another make: the module is there, so main.py is told that it is not."""
    code = ("import main_unix; main_unix.can_import = lambda name: False; "
            f"main_unix.main(['--url', 'ws://h', '--wav', {str(SENTENCE)!r}])")
    done = micropython("-c", code, check=False, LINNET_TOKEN=unsigned)
    assert done.returncode == exits.NOT_BUILT
    assert "make micropython" in done.stderr


@pytest.fixture
def unsigned():
    from host_sim.dev_token import make_token

    return make_token("badge", "room", api_key="devkey", api_secret="s" * 40)
