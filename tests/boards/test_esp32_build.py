"""The ESP32 build as far as it goes without ESP-IDF: what is missing is said, and the C compiles for the S3."""

import os
import re
import shutil
import subprocess

import pytest

from boards import compile_s3, frozen, gen, rules

FOLDER = rules.HERE / "esp32"


def make(*arguments, **environment):
    # Not through the venv target: make would run make_venv again.
    env = {name: value for name, value in os.environ.items() if name not in ("IDF_PATH", "MPY_DIR", "MAKEFLAGS")}
    return subprocess.run(["make", "-s", "-C", str(FOLDER), *arguments], env={**env, **environment},
                          capture_output=True, text=True)


def fake_idf(folder, version):
    (folder / "tools" / "cmake").mkdir(parents=True)
    (folder / "tools" / "cmake" / "version.cmake").write_text(
        "set(IDF_VERSION_MAJOR {})\nset(IDF_VERSION_MINOR {})\nset(IDF_VERSION_PATCH 2)\n".format(*version.split(".")))
    return folder


def fake_tools(folder):
    folder.mkdir()
    for name in ("idf.py", "xtensa-esp32s3-elf-gcc"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("target", ["firmware", "flash", "monitor"])
def test_without_esp_idf_one_line_says_how_to_get_it(target):
    done = make(target, "BOARD=s3_devkitc")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(told) == 1
    assert "IDF_PATH" in told[0] and "git clone" in told[0] and "export.sh" in told[0]


def test_each_missing_tool_has_its_own_line(tmp_path):
    old, idf = fake_idf(tmp_path / "old", "5.1"), fake_idf(tmp_path / "idf", "5.4")
    path = fake_tools(tmp_path / "bin")
    mpy = tmp_path / "mpy"
    cases = [
        ({"IDF_PATH": str(tmp_path)}, "holds no ESP-IDF"),
        ({"IDF_PATH": str(old)}, "is 5.1"),
        ({"IDF_PATH": str(idf)}, "idf.py is not on the PATH"),
        ({"IDF_PATH": str(idf), "PATH": path}, "MPY_DIR is not set"),
        ({"IDF_PATH": str(idf), "PATH": path, "MPY_DIR": str(mpy)}, "holds no MicroPython"),
    ]
    for environment, words in cases:
        done = make("firmware", "BOARD=s3_devkitc", **environment)
        assert done.returncode and words in done.stderr, (environment, done.stderr)
    (mpy / "ports" / "esp32").mkdir(parents=True)
    (mpy / "ports" / "esp32" / "Makefile").write_text("")
    done = make("firmware", "BOARD=s3_devkitc", IDF_PATH=str(idf), PATH=path, MPY_DIR=str(mpy))
    assert "submodules" in done.stderr


def fake_builder(folder, makefile):
    """The environment of a board's build with pretended tools; `makefile` is that of MicroPython's ESP32 port."""
    idf, mpy = fake_idf(folder / "idf", "5.4"), folder / "mpy"
    for name in ("ports/esp32", "mpy-cross", "lib/micropython-lib"):
        (mpy / name).mkdir(parents=True)
    (mpy / "lib" / "micropython-lib" / "README.md").write_text("")
    (mpy / "mpy-cross" / "Makefile").write_text("all:\n")
    (mpy / "ports" / "esp32" / "Makefile").write_text(makefile)
    return {"IDF_PATH": str(idf), "PATH": fake_tools(folder / "bin"), "MPY_DIR": str(mpy)}


@pytest.mark.parametrize("target", ["firmware", "flash", "monitor"])
def test_a_board_that_is_not_named_is_missed_before_any_tool(target):
    done = make(target)
    told = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode and len(told) == 1
    assert told[0].startswith("BOARD is not set.") and "s3_devkitc" in told[0]


def test_the_help_is_the_head_of_the_makefile_and_no_comment_below_it():
    head = (FOLDER / "Makefile").read_text().split("\n\n")[0]
    told = make("help").stdout
    assert told.splitlines() == [line[2:] for line in head.splitlines()]
    assert "BOARD" in told and "One after the other" not in told


@pytest.mark.parametrize(("old", "new", "code", "words"), [
    ('"heap_kib": 1024', '"heap_kib": 16384', "board-ram", "heap 16384 KiB"),
    ('"vfs_kib": 1024', '"vfs_kib": 1024, "app_kib": 1024', "board-partition", "an app slot of 1024 KiB is too small"),
])
def test_a_board_that_does_not_fit_is_not_built(tmp_path, old, new, code, words):
    environment = fake_builder(tmp_path, "all deploy:\n\t@echo $@\n")
    board = tmp_path / f"fit{os.getpid()}.json"
    text = rules.find("xiao_s3_respeaker").read_text().replace('"xiao_s3_respeaker"', f'"{board.stem}"')
    assert old in text
    try:
        for target, name in (("firmware", "all"), ("flash", "deploy")):
            board.write_text(text.replace(old, new))
            done = make(target, f"BOARD={board}", **environment)
            assert done.returncode and name not in done.stdout.split(), done.stdout
            [told] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
            assert f"[{code}]" in told and words in told and str(board) in told
            board.write_text(text)
            done = make(target, f"BOARD={board}", **environment)
            assert done.returncode == 0 and done.stdout.split() == [name], done.stderr
    finally:
        shutil.rmtree(rules.REPO / "build" / "esp32" / board.stem, ignore_errors=True)


def test_the_makefile_hands_the_board_to_micropython_s_build(tmp_path):
    """A pretended MicroPython prints what it was asked for; the board's files must be there by then."""
    environment = fake_builder(
        tmp_path, "all deploy monitor:\n\t@echo $@ BOARD=$(BOARD) DIR=$(BOARD_DIR) MODULES=$(USER_C_MODULES) "
        "MANIFEST=$(FROZEN_MANIFEST) PORT=$(PORT)\n\t@ls $$LINNET_OUT\n")
    for target, name in (("firmware", "all"), ("flash", "deploy"), ("monitor", "monitor")):
        done = make(target, "BOARD=s3_box3", "PORT=/dev/ttyX", **environment)
        assert done.returncode == 0, done.stderr
        words = done.stdout.split()
        assert words[0] == name and "BOARD=linnet_s3" in words and "PORT=/dev/ttyX" in words
        assert {"board.h", "board.py", "partitions.csv", "sdkconfig.board", "sdkconfig.partitions"} <= set(words)
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        assert (rules.Path(settings["DIR"]) / "mpconfigboard.cmake").is_file()
        assert rules.Path(settings["MANIFEST"]).is_file()


def test_changed_settings_are_settled_anew(tmp_path):
    """ESP-IDF keeps what its first build settled in BUILD/sdkconfig, whatever the defaults say later: SECURE=1 too."""
    environment = fake_builder(tmp_path, "all:\n\t@mkdir -p $(BUILD); test -f $(BUILD)/sdkconfig && echo kept || "
                               "echo anew; touch $(BUILD)/sdkconfig\n")
    board = tmp_path / f"try{os.getpid()}.json"
    text = rules.find("s3_box3").read_text()

    def build(text, *more):
        board.write_text(text.replace('"s3_box3"', f'"{board.stem}"'))
        done = make("firmware", f"BOARD={board}", *more, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    try:
        assert [build(text), build(text)] == ["anew", "kept"]
        assert [build(text, "SECURE=1"), build(text, "SECURE=1")] == ["anew", "kept"]
        assert build(text.replace('"app_kib": 3072', '"app_kib": 3136'), "SECURE=1") == "kept"  # no setting
        assert build(text.replace('"flash_kib": 16384', '"flash_kib": 32768'), "SECURE=1") == "anew"
    finally:
        shutil.rmtree(rules.REPO / "build" / "esp32" / board.stem, ignore_errors=True)


def test_what_the_sdkconfig_leaves_out_micropython_leaves_out_too():
    cmake, header = ((FOLDER / "linnet_s3" / name).read_text() for name in ("mpconfigboard.cmake", "mpconfigboard.h"))
    assert "sdkconfig.ble" not in cmake and "#define MICROPY_PY_BLUETOOTH (0)" in header


MODULES = {
    "socket": ("modsocket.c",),
    "network": ("network_wlan.c", "modnetwork_globals.h"),
    "esp32": ("modesp32.c", "esp32_nvs.c", "esp32_partition.c"),
    "machine": ("modmachine.c", "machine_i2c.c", "machine_pin.c", "../../extmod/modmachine.c"),
}


def test_the_port_uses_only_names_that_micropython_s_esp32_port_has():
    import ast

    import micropython_build

    port = micropython_build.source_tree() / "ports" / "esp32"
    known = {module: set(re.findall(r"\bMP_QSTR_(\w+)", "".join((port / name).read_text() for name in names)))
             for module, names in MODULES.items()}
    used = set()
    for name in ("port_esp32", "port_mpy", "port_udp", "main_board", "drivers/hardware"):
        for node in ast.walk(ast.parse((rules.REPO / "firmware" / f"{name}.py").read_text())):
            chain = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else [""]
            if chain[0] in MODULES and all(part.isidentifier() for part in chain):
                used.update((chain[0], part) for part in chain[1:])
    assert ("network", "PM_NONE") in used and ("socket", "getaddrinfo") in used and ("machine", "PULL_UP") in used
    assert not {pair for pair in used if pair[1] not in known[pair[0]]}


def test_the_board_folder_names_files_that_exist():
    folder = FOLDER / "linnet_s3"
    text = (folder / "mpconfigboard.cmake").read_text()
    for name in re.findall(r"\$\{MICROPY_BOARD_DIR\}/([\w.]+)", text):
        assert (folder / name).is_file()
    for file in folder.glob("sdkconfig.*"):
        for line in file.read_text().splitlines():
            assert not line or re.fullmatch(r"#.*|CONFIG_[A-Z0-9_]+=(y|n|\d+)", line), (file.name, line)


def test_limits_and_pins_reach_the_module_s_build():
    """micropython.cmake forces the header that mpconfigboard.cmake names on the core and the port."""
    assert "set(LINNET_BOARD_H ${LINNET_OUT}/board.h)" in (FOLDER / "linnet_s3" / "mpconfigboard.cmake").read_text()
    assert "LINNET_BOARD_H" in (rules.REPO / "csrc" / "bind" / "micropython.cmake").read_text()


@pytest.mark.skipif(not shutil.which("cmake"), reason="needs cmake: apt install cmake")
def test_cmake_reads_the_board_s_settings(tmp_path):
    board, _ = rules.load(rules.find("s3_box3"))
    gen.write(board, "x", tmp_path / "out")
    script = tmp_path / "try.cmake"
    script.write_text(f'set(MICROPY_BOARD_DIR "{FOLDER}/linnet_s3")\n'
                      'include("${MICROPY_BOARD_DIR}/mpconfigboard.cmake")\n'
                      'message("${IDF_TARGET} ${LINNET_BOARD_H} ${SDKCONFIG_DEFAULTS}")\n')

    def run(**changes):
        return subprocess.run(["cmake", "-P", script], capture_output=True, text=True, env={**os.environ, **changes})

    told = run(LINNET_OUT=str(tmp_path / "out")).stderr
    assert told.startswith("esp32s3 ") and "sdkconfig.linnet" in told and "sdkconfig.secure" not in told
    assert "sdkconfig.secure" in run(LINNET_OUT=str(tmp_path / "out"), SECURE="1").stderr
    lost = run(LINNET_OUT=str(tmp_path))
    assert lost.returncode and "make -C boards/esp32 BOARD=" in " ".join(lost.stderr.split())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    names = rules.names("esp32")
    folder = tmp_path_factory.mktemp("s3")
    for name in names:
        gen.write(rules.load(rules.find(name))[0], "x", folder / name)
    try:
        return compile_s3.compile_all(names, lambda name: folder / name, lambda text: None)[0]
    except compile_s3.MissingToolchain as error:
        pytest.skip(f"no compiler for the ESP32-S3: {error}")


def test_every_c_file_of_the_firmware_compiles_for_the_s3(compiled):
    sources = len(list((rules.REPO / "csrc" / "port").glob("*.c")))
    assert compiled["port"][0] == sources and compiled["module"][0] == 1
    assert 60_000 < compiled["core"][1] < 150_000
    assert compiled["port"][1] > 5_000 and compiled["module"][1] > 1_000


def test_the_committed_text_figures_are_not_far_off(compiled):
    import json

    committed = json.loads((rules.HERE / "measured.json").read_text())["text"]
    assert set(committed) == set(compiled)
    now, then = sum(size for _, size in compiled.values()), sum(committed.values())
    assert abs(now - then) < 0.1 * then, "make -C boards/esp32 measured, and commit boards/measured.json"


def test_a_c_file_that_does_not_compile_is_named(tmp_path, monkeypatch):
    from build_tools import BuildError

    try:
        tools = compile_s3.S3(lambda text: None)
    except compile_s3.MissingToolchain as error:
        pytest.skip(f"no compiler for the ESP32-S3: {error}")
    broken = tmp_path / "broken.c"
    broken.write_text("int f(void) { return x; }\n")
    with pytest.raises(BuildError, match="broken.c does not compile"):
        tools.compile([(broken, tmp_path / "broken.o", [])], "test")


def test_a_frozen_file_that_is_no_micropython_is_named(tmp_path):
    from build_tools import BuildError

    wrong = tmp_path / "wrong.py"
    wrong.write_text("match x:\n    case 1: pass\n")
    with pytest.raises(BuildError, match="wrong.py is no MicroPython"):
        frozen.compile_all([(str(wrong), "wrong.py")], lambda text: None)


def test_a_frozen_file_that_is_missing_is_named(tmp_path):
    from build_tools import BuildError

    with pytest.raises(BuildError, match="board.py"):
        frozen.files(tmp_path / "nowhere", lambda text: None)
