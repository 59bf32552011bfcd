"""The C build: what is compiled again and when, under which name, and what cffi gets to read."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "csrc" / "bind"))

import build_tools  # noqa: E402
import cffi_build  # noqa: E402


class Project:
    """One C file and its header, compiled with whatever compiler the environment names."""

    def __init__(self, folder):
        self.source, self.header, self.target = folder / "a.c", folder / "a.h", folder / "obj" / "a.o"
        self.header.write_text("#define ANSWER 42\n")
        self.source.write_text('#include "a.h"\nint answer(void);\nint answer(void) { return ANSWER; }\n')
        self.age(60)
        self.said = []
        env = {**os.environ, "LINNET_CACHE": str(folder / "cache"), "LINNET_SANITIZE": ""}
        self.tools = build_tools.Toolchain(env, self.said.append)

    def age(self, seconds):
        for file in (self.source, self.header):
            then = file.stat().st_mtime - seconds
            os.utime(file, (then, then))

    def compiles(self, *flags):
        """True when the call compiled something."""
        self.said.clear()
        self.tools.compile([(self.source, self.target, list(flags))], "test")
        return bool(self.said)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_a_file_is_compiled_once(project):
    assert project.compiles()
    assert not project.compiles()


def test_a_changed_source_is_compiled_again(project):
    project.compiles()
    project.source.write_text(project.source.read_text() + "/* new */\n")
    assert project.compiles()


def test_a_changed_header_compiles_its_users_again(project):
    project.compiles()
    project.header.write_text("#define ANSWER 43\n")
    assert project.compiles()


def test_other_flags_compile_again(project):
    project.compiles()
    assert project.compiles("-O1")
    assert not project.compiles("-O1")


def test_a_compiler_error_names_the_file_and_leaves_no_object(project):
    project.source.write_text("int broken(\n")
    with pytest.raises(build_tools.BuildError, match=r"a\.c does not compile"):
        project.compiles()
    assert not project.target.exists()


@pytest.mark.parametrize("cc, opus, sanitize, name", [
    ("cc", "float", "", "release"),
    ("gcc", "float", "", "release"),
    ("/usr/bin/clang", "float", "", "release-clang"),
    ("cc", "fixed", "", "release-fixed"),
    ("cc", "float", "address,undefined", "sanitize-address-undefined"),
    ("clang", "fixed", "thread", "sanitize-thread-clang-fixed"),
])
def test_builds_that_differ_have_folders_that_differ(cc, opus, sanitize, name):
    assert build_tools.default_variant([cc], opus, sanitize) == name


def test_a_missing_compiler_is_named_with_its_cure():
    with pytest.raises(build_tools.BuildError, match="no-such-cc is not on the PATH.*apt install gcc"):
        build_tools.Toolchain({**os.environ, "CC": "no-such-cc"})


def test_cffi_reads_exactly_what_stands_between_the_marks(tmp_path):
    header = tmp_path / "a.h"
    header.write_text("int before(void);\n/* [ffi-begin]  plain */\nint in(void);\n/* [ffi-end] */\nint after(void);\n")
    assert cffi_build.declarations(header) == "int in(void);\n"


def test_a_header_without_marks_is_refused(tmp_path):
    (tmp_path / "a.h").write_text("int a(void);\n")
    with pytest.raises(build_tools.BuildError, match="a.h has no .ffi-begin"):
        cffi_build.declarations(tmp_path / "a.h")
