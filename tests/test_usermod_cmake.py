"""csrc/bind/micropython.cmake, in a project that includes it as MicroPython's CMake ports do (py/usermod.cmake).

A whole CMake port needs its SDK; boards/esp32 builds one on a machine that has ESP-IDF. Here the host's compiler takes
part in its place: the module compiles against MicroPython's headers, and the core runs beside another Mbed TLS.
"""

import shutil
import subprocess
from pathlib import Path

import micropython_build
import pytest
from test_micropython import built  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parent.parent

PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(port C)
set(LINNET_LOOP ON)
set(LINNET_BOARD_H {folder}/board.h)
set(USER_C_MODULES {root}/csrc/bind/micropython.cmake)
include({tree}/py/usermod.cmake)
file(WRITE {folder}/scanned "${{MICROPY_SOURCE_USERMOD}}")
file(WRITE {folder}/scan_includes "${{MICROPY_INC_USERMOD}}")
file(WRITE {folder}/scan_definitions "${{MICROPY_CPP_DEF_EXTRA}}")
# What a port compiles: the module's own files, with its own headers.
add_library(glue OBJECT empty.c)
target_link_libraries(glue PRIVATE usermod)
target_include_directories(glue PRIVATE {tree} {tree}/ports/unix {tree}/ports/unix/variants/standard {generated})
add_executable(calls main.c)
target_link_libraries(calls linnet_core m)
target_include_directories(calls PRIVATE ${{MICROPY_INC_USERMOD}})
"""
MAIN = """
#include "linnet.h"
#include <stdio.h>
#include <stdlib.h>
int mbedtls_ssl_setup(void) { abort(); } /* the port's own library has these names */
int main(void) {
    uint8_t seed[48] = {1};
    int size = linnet_session_size(NULL, 0);
    void *memory = aligned_alloc(16, (size_t)size);
    int made = linnet_session_init(memory, (size_t)size, seed, 0, seed, sizeof seed);
    printf("%d %d\\n", size, made);
    return 0;
}
"""


@pytest.fixture(scope="module")
def project(built, tmp_path_factory):  # noqa: F811
    if not shutil.which("cmake"):
        pytest.skip("no cmake. Debian: apt install cmake")
    folder = tmp_path_factory.mktemp("port")
    text = PROJECT.format(folder=folder, root=ROOT, tree=micropython_build.source_tree(), generated=built / "obj")
    (folder / "CMakeLists.txt").write_text(text)
    (folder / "main.c").write_text(MAIN)
    (folder / "empty.c").write_text("typedef int nothing;\n")
    (folder / "board.h").write_text("#define LINNET_JITTER_PACKETS 8\n")
    for command in (["cmake", "-S", folder, "-B", folder / "b"], ["cmake", "--build", folder / "b", "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True, env=micropython_build.make_env())
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_micropython_compiles_the_glue_and_the_media_loop_is_a_library(project):
    """What MicroPython compiles itself, ESP-IDF compiles once more without ESP_PLATFORM, and links that."""
    assert [Path(name).name for name in (project / "scanned").read_text().split(";")] == ["modlinnet.c"]
    [glue] = project.glob("b/CMakeFiles/glue.dir/**/modlinnet.c.o")
    names = subprocess.run(["nm", glue], capture_output=True, text=True, check=True).stdout
    assert " U linnet_loop_open" in names and " U linnet_poll" in names
    inside = subprocess.run(["ar", "t", project / "b" / "liblinnet_port.a"], capture_output=True, text=True).stdout
    assert set(inside.split()) == {path.name + ".o" for path in (ROOT / "csrc/port").glob("*.c")}


def test_micropython_finds_the_names_of_the_media_loop(project):
    """As py/mkrules.cmake scans: with the folders of the modules, without definitions and options of their targets."""
    tree = micropython_build.source_tree()
    folders = [*(project / "scan_includes").read_text().split(";"), tree, tree / "ports/unix",
               tree / "ports/unix/variants/standard"]
    definitions = (project / "scan_definitions").read_text().split(";")
    flags = [*(f"-I{folder}" for folder in folders), *(f"-D{each}" for each in definitions), "-DNO_QSTR"]
    sources = (project / "scanned").read_text().split(";")
    scanned = subprocess.run(["cc", "-E", *flags, *sources], capture_output=True, text=True)
    assert scanned.returncode == 0, scanned.stderr
    for name in ("MP_QSTR__linnet", "MP_QSTR_session_init", "MP_QSTR_loop_open", "MP_REGISTER_ROOT_POINTER"):
        assert name in scanned.stdout, name


def test_the_core_runs_beside_another_mbed_tls_with_the_boards_limits(project):
    size, made = subprocess.run([project / "b" / "calls"], capture_output=True, text=True, check=True).stdout.split()
    assert made == "0" and int(size) > 50000
    without = subprocess.run(["nm", project / "b" / "liblinnet_core.a"], capture_output=True, text=True).stdout
    assert " U linnet_mbedtls_ssl_setup" in without and " U mbedtls_ssl_setup" not in without
    (project / "board.h").write_text("#define LINNET_JITTER_PACKETS 16\n")
    subprocess.run(["cmake", "--build", project / "b", "-j2"], capture_output=True, check=True)
    more = subprocess.run([project / "b" / "calls"], capture_output=True, text=True, check=True).stdout.split()[0]
    assert int(more) > int(size), "board.h did not reach the core"
