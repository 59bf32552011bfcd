"""The rules of `make budgets`: what grows is red, what is missing is red, what falls is a hint."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "csrc" / "bind"), str(ROOT / "csrc" / "third_party")]

from tests.budgets import __main__ as budgets  # noqa: E402
from tests.budgets import cross, ram, table, text  # noqa: E402


@pytest.fixture
def figures():
    """The committed table, as if measured again."""
    return table.load()


def test_the_committed_table_agrees_with_itself(figures):
    verdict = table.compare(figures, table.load())
    assert not verdict.wrong and not verdict.hints and not verdict.apart
    assert verdict.compared > 100


@pytest.mark.parametrize("target,kind,entry", [
    ("m33", "text", "session text"), ("rv32", "text", "opus text"), ("s3", "text", "ice text"),
    ("m33", "instructions", "send: glue a frame"), ("rv32", "stack", "linnet_input: outside Opus"),
    ("boards", "ram", "s3_box3: total")])
def test_growth_of_three_percent_is_red(figures, target, kind, entry):
    grown = copy.deepcopy(figures)
    grown[target][kind][entry] = round(figures[target][kind][entry] * 1.03)
    verdict = table.compare(grown, figures)
    assert len(verdict.wrong) == 1 and entry in verdict.wrong[0] and "+3.0 %" in verdict.wrong[0]
    assert budgets.judge(grown, figures, {}, False) == 1


def test_growth_of_one_percent_is_not(figures):
    grown = copy.deepcopy(figures)
    grown["m33"]["text"]["core text"] = round(figures["m33"]["text"]["core text"] * 1.01)
    assert budgets.judge(grown, figures, {}, True) == 0


def test_a_few_bytes_of_a_tiny_module_are_not_red_but_twenty_are(figures):
    grown = copy.deepcopy(figures)
    grown["m33"]["text"]["codec rodata"] += 16
    assert not table.compare(grown, figures).wrong
    grown["m33"]["text"]["codec rodata"] += 4
    assert table.compare(grown, figures).wrong


def test_every_aim_stands_in_the_table_and_is_met(figures):
    found = budgets.aims(figures)
    assert [what for what, is_met, _ in found if not is_met] == []
    for name in ram.small_boards():
        assert [what for what, *_ in found if what.endswith(", " + name)] == [
            f"session of 2 tracks outside Opus and the TLS arena <= 64 KiB, {name}",
            f"TLS arena <= 48 KiB, {name}"]


@pytest.mark.parametrize("target,kind,entry,value", [
    ("boards", "ram", "s3_devkitc: total", 64 * 1024 + 60176 + 12544 + 1),
    ("boards", "ram", "s3_box3: TLS arena", 48 * 1024 + 1),
    ("m33", "text", "core text", 80 * 1024 + 1), ("rv32", "stack", "linnet_poll: outside Opus", 6 * 1024 + 1),
    ("m33", "instructions", "send: glue a frame", 45_000)])
def test_a_missed_aim_is_red_even_where_the_table_allows_it(figures, capsys, target, kind, entry, value):
    figures[target][kind][entry] = value
    assert budgets.judge(figures, figures, {}, False) == 1
    assert capsys.readouterr().out.count("aim missed: ") == 1


@pytest.mark.parametrize("readme", ["README.md", "boards/esp32/README.md"])
def test_a_readme_says_what_the_table_says(figures, readme):
    memory, said = figures["boards"]["ram"], (ROOT / readme).read_text()
    for name in ram.small_boards():
        total, opus, tls = (memory[f"{name}: {part}"] / 1024 for part in ("total", "Opus", "TLS arena"))
        for value in (f"{total - opus - tls:.1f}", f"{opus:.1f}", f"{tls:.2f}"):
            assert re.search(rf"\b{re.escape(value)}\b", said), (name, value)


def test_a_fall_of_three_percent_is_a_hint_to_tighten(figures):
    fallen = copy.deepcopy(figures)
    fallen["rv32"]["text"]["sctp text"] = round(figures["rv32"]["text"]["sctp text"] * 0.97)
    verdict = table.compare(fallen, figures)
    assert not verdict.wrong and "sctp text" in verdict.hints[0]


def test_an_entry_without_a_budget_is_red(figures):
    more = copy.deepcopy(figures)
    more["m33"]["text"]["novelty text"] = 5
    assert "has no budget" in table.compare(more, figures).wrong[0]


def test_a_budget_that_nobody_measured_is_red(figures):
    less = copy.deepcopy(figures)
    del less["m33"]["stack"]["linnet_poll: outside Opus"]
    assert "was not measured" in table.compare(less, figures).wrong[0]
    less = copy.deepcopy(figures)
    del less["rv32"]["instructions"]
    assert len(table.compare(less, figures).wrong) == len(figures["rv32"]["instructions"])
    del less["rv32"]
    assert table.compare(less, figures).wrong == ["rv32 has budgets and was not measured"]


def test_a_skipped_target_is_green_unless_all_are_asked_for(figures):
    less = {name: value for name, value in figures.items() if name != "s3"}
    assert budgets.judge(less, figures, {"s3": "no toolchain"}, False) == 0
    assert budgets.judge(less, figures, {"s3": "no toolchain"}, True) == 1


def test_another_compiler_is_not_compared_and_said_to_be_so(figures):
    other = copy.deepcopy(figures)
    other["m33"]["compiler"] = "gcc 99"
    other["m33"]["text"]["core text"] *= 2
    verdict = table.compare(other, figures)
    assert not verdict.wrong and "gcc 99" in verdict.apart[0]
    assert budgets.judge(other, figures, {}, True) == 1


def test_writing_keeps_the_budgets_of_what_was_not_measured(tmp_path, figures):
    path = tmp_path / "budgets.json"
    table.store(figures, path)
    table.store({"m33": {"compiler": "x", "text": {"a text": 1}}}, path)
    written = json.loads(path.read_text())
    assert written["rv32"] == figures["rv32"] and written["m33"]["text"] == {"a text": 1}


def test_a_missing_toolchain_names_the_packages(monkeypatch):
    monkeypatch.setattr(cross.shutil, "which", lambda name: None)
    for target in (cross.M33, cross.RV32):
        with pytest.raises(cross.Missing, match="not found. Debian: apt install gcc-"):
            cross.open_target(target, lambda what: None)


def test_a_missing_xtensa_toolchain_says_how_to_go_on(monkeypatch, tmp_path):
    monkeypatch.setenv("LINNET_CACHE", str(tmp_path))
    monkeypatch.setattr(cross.xtensa.fetch, "apt_mirrors", lambda folder: [])
    with pytest.raises(cross.Missing, match="XTENSA_CC"):
        cross.open_target(cross.S3, lambda what: None)
    monkeypatch.setenv("XTENSA_CC", "/nowhere/xtensa-esp32s3-elf-gcc")
    with pytest.raises(cross.Missing, match="is no program"):
        cross.open_target(cross.S3, lambda what: None)


@pytest.mark.parametrize("file,module", [
    ("net_ice_checks.o", "ice"), ("net_sctp_crc32c.o", "sctp"), ("media_opus_toc.o", "codec"),
    ("session_media.o", "session"), ("crypto_arena.o", "crypto"), ("linnet.pb.o", "nanopb"),
    ("media_media_config.o", "media_config"), ("proto_transcode.o", "transcode"), ("media_capture.o", "capture")])
def test_a_file_belongs_to_the_module_it_is_named_after(file, module):
    assert text.module_of(Path(file)) == module


def test_the_command_refuses_what_it_does_not_know():
    done = subprocess.run([sys.executable, "-m", "tests.budgets", "m34"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "TARGET is m33" in done.stderr


@pytest.mark.skipif(not shutil.which(cross.M33.compiler), reason=f"apt install {cross.M33.packages}")
def test_code_and_constants_are_read_from_an_object(tmp_path):
    tools = cross.open_target(cross.M33, lambda what: None)
    source = tmp_path / "a.c"
    source.write_text("const int table[10] = {1, 2};\nint f(int x);\nint f(int x) { return table[x]; }\n")
    command = [*tools.cc, *tools.cpu, *cross.SIZE, "-g", "-c", str(source), "-o", str(tmp_path / "a.o")]
    subprocess.run(command, check=True)
    [(code, constants)] = text.sections(tools, [tmp_path / "a.o"])
    assert constants == 40 and 4 <= code <= 16
