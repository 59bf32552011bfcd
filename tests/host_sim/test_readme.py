"""What the README says works as it stands there."""

import re

from tests.host_sim.conftest import REPO, SENTENCE, end, start
from tests.host_sim.test_cli_session import seen

README = (REPO / "README.md").read_text(encoding="utf-8")


def test_the_first_code_block_is_two_commands_of_the_makefile():
    block = re.findall(r"```\n(make .*?)```", README, re.S)[0]
    commands = [line.split("#")[0].split() for line in block.strip().splitlines()]
    assert commands == [["make", "demo"], ["make", "test"]]
    makefile = (REPO / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for _, target in commands)


def test_every_file_that_is_linked_is_there():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links and all((REPO / link).exists() for link in links if "://" not in link)


def test_every_option_that_is_named_exists():
    from host_sim.cli import build_parser

    help_text = build_parser()._subparsers._group_actions[0].choices["run"].format_help()
    for option in set(re.findall(r"(--[a-z][a-z-]+)", README)) - {"--help"}:
        assert option in help_text, option


def test_the_program_runs_and_its_led_is_switched(server, room, tmp_path):
    app, events = tmp_path / "my_badge.py", tmp_path / "e.jsonl"
    [code] = re.findall(r"```python\n(.*?)```", README, re.S)
    app.write_text(code + "\n")
    process = start("run", "--url", server.url, "--wav", SENTENCE, "--app", app, "--events", events, "--sample", "0.1",
                    token=server.make_token("badge", room))
    seen(events, "sample", process)
    server.api("RoomService/SendData", room=room, kind="RELIABLE", data="aGVsbG8=", topic="chat")
    seen(events, "told", process)
    answer = server.api("RoomService/PerformRpc", room=room, destination_identity="badge", method="set_led",
                        payload="on", response_timeout_ms=5000)
    assert answer["payload"] == "done"
    process.terminate()
    ended = end(process, events)
    assert (ended.code, ended.err) == (143, "")
    assert ended.first("told")["text"] == "hello"
    assert ended.first("led")["on"] is True
