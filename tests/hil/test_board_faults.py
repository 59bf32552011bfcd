"""What the rig says when a board fails in the middle; on the emulated boards, where failing is cheap."""

import asyncio
import time

import pytest

from tests.hil import boards, link, scripts
from tests.hil.faults import RigFault

LONG = "import time\nprint('begun')\nwhile True:\n    time.sleep_ms(10)\n"


@pytest.fixture
def board(entry):
    if entry["kind"] != "emulated":
        pytest.skip("a real board is not broken on purpose")
    with boards.open_board(entry["name"]) as one:
        yield one


def script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return path


def test_a_board_that_reboots_in_the_middle_is_told_apart_from_a_failed_test(board, tmp_path):
    pressed = []

    def press():
        pressed.append(time.monotonic())
        board.press_reset()

    with pytest.raises(RigFault) as caught:
        board.run(script(tmp_path, LONG), 60, when=(b"begun", press))
    assert caught.value.code == "rebooted" and board.name in caught.value.cause
    assert len(pressed) == 1 and time.monotonic() - pressed[0] < 15 and board.retries == 0


def test_a_board_whose_power_fails_in_the_middle_is_told_apart(board, tmp_path):
    pulled = []

    def pull():
        pulled.append(board.is_alive())
        board.crash()

    with pytest.raises(RigFault) as caught:
        board.run(script(tmp_path, LONG), 60, when=(b"begun", pull))
    assert caught.value.code == "rebooted" and pulled == [True]


def test_a_script_that_does_not_end_is_given_up_with_its_last_words(board, tmp_path):
    with pytest.raises(RigFault) as caught:
        board.run(script(tmp_path, LONG), 4)
    assert caught.value.code == "timed-out" and "begun" in caught.value.cause


def test_a_board_that_was_left_busy_is_usable_again(board, tmp_path):
    with pytest.raises(RigFault) as caught:
        board.run(script(tmp_path, LONG), 4)
    assert "begun" in caught.value.cause
    assert board.run(script(tmp_path, "print(6 * 7)\n"), 20).strip() == "42"


def test_a_script_that_raises_is_a_failed_test_and_is_not_tried_again(board, tmp_path):
    with pytest.raises(boards.ScriptFailed) as caught:
        board.run(script(tmp_path, "print('one')\nraise ValueError('two')\n"), 20)
    assert "ValueError: two" in str(caught.value) and caught.value.output.count("one") == 1
    assert board.retries == 0


def test_the_second_rig_on_a_board_is_told_who_has_it(board):
    with pytest.raises(RigFault) as caught, boards.open_board(board.name):
        pass
    assert caught.value.code == "board-busy" and "process " in caught.value.cause


def test_a_reboot_in_the_middle_of_a_call_ends_the_wait_for_it(board, tmp_path):
    files = [scripts.HERE / "board" / "link_port.py"]
    text = ("import asyncio, micropython\nfrom link_port import Link\nmicropython.kbd_intr(-1)\n"
            "async def main():\n    link = Link()\n    link.send('H')\n    await link.run()\nasyncio.run(main())\n")
    path = scripts.pack(board.entry, tmp_path, "waiting", files, text)

    async def call(fd):
        line = link.Link(board.name, fd)
        try:
            await line.wait_until(lambda: line.greeted, "greeting", 20)
            board.press_reset()
            with pytest.raises(RigFault) as caught:
                await line.wait_for("joined", 20)
            assert caught.value.code == "rebooted"
        finally:
            await line.close()

    with board.line(path) as fd:
        asyncio.run(call(fd))
