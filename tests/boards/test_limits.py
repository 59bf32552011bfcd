"""Every limit of boards/schema.json: a session lives with its largest and its smallest value, and what lies beyond is
refused with the place and what may stand there."""

import subprocess
import sys

import pytest

from boards import gen, measure, rules
from build_tools import BuildError  # found by boards.measure

from .conftest import changed

LIMITS = gen.limit_rules()


def largest(rule):
    return max(rule["enum"]) if "enum" in rule else rule["maximum"]


def smallest(rule):
    return min(rule["enum"]) if "enum" in rule else rule["minimum"]


def board_with(limits):
    return changed(limits=limits)


def at(extreme):
    """{limit: value}, each as far as `extreme` says."""
    return {name: extreme(rule) for name, rule in LIMITS.items()}


@pytest.mark.parametrize("beyond", [lambda rule: largest(rule) + 1, lambda rule: smallest(rule) - 1],
                         ids=["more than the largest", "less than the smallest"])
def test_one_beyond_a_limit_is_refused_with_what_may_stand_there(beyond, write_board, tmp_path):
    path = write_board(board_with(at(beyond)))
    done = subprocess.run([sys.executable, "-m", "boards.gen", str(path), str(tmp_path / "out")], cwd=rules.REPO,
                          capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    for (name, rule), line in zip(LIMITS.items(), done.stderr.splitlines(), strict=True):
        wish = f"from {smallest(rule)} to {largest(rule)}"
        if "enum" in rule:
            wish = f"one of {', '.join(map(str, rule['enum']))}"
        assert line.startswith(f"error: {path}: limits.{name} must be") and line.endswith("[board-form]")
        assert f"{wish}, not {beyond(rule)}." in line


@pytest.mark.parametrize("extreme", [largest, smallest], ids=["largest", "smallest"])
def test_a_session_lives_with_every_limit_at_its_extreme(extreme):
    """Compiled with all of them: an assertion of the core names one that it cannot hold."""
    board = board_with(at(extreme))
    assert [finding.cause for finding in rules.check(board) if finding.severity == "error"] == []
    assert measure.session_bytes(board) > 40_000


@pytest.mark.parametrize(("limit", "words"), [
    ({"send_bytes": 8192}, ("send_bytes", "from 17920", "15 KiB", "fragments")),
    ({"message_bytes": 16384}, ("message_bytes", "from 16896", "15 KiB", "Every client")),
], ids=str)
def test_a_board_that_cannot_carry_15_kib_of_data_is_refused_with_the_reason(limit, words):
    finding, = rules.check(changed(**{f"limits__{name}": value for name, value in limit.items()}))
    assert finding.severity == "error" and all(word in finding.text("b.json") for word in words), finding.text("b.json")


OF_A_SESSION = [name for name, rule in LIMITS.items() if "x-config" in rule and "x-define" not in rule]


@pytest.mark.parametrize("name", OF_A_SESSION)
def test_what_a_session_takes_when_it_is_made_ends_where_the_schema_ends(name):
    with pytest.raises(BuildError, match="refuses the limits and options"):
        measure.session_bytes(board_with({**at(largest), name: largest(LIMITS[name]) + 1}))
