"""The compiler for the ESP32-S3: who wins, what is said when it cannot be had, what is refused."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "csrc" / "third_party"))

import xtensa  # noqa: E402

MIRROR = "http://mirror.example/debian"


@pytest.fixture
def fresh(tmp_path):
    """An environment whose cache holds nothing, and an apt configuration with one mirror."""
    apt = tmp_path / "apt"
    apt.mkdir()
    (apt / "sources.list").write_text(f"deb {MIRROR} stable main\n")
    said = []
    env = {"LINNET_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    return lambda **more: xtensa.toolchain({**env, **more}, said.append, apt), said


def test_xtensa_cc_wins_and_nothing_is_fetched(fresh, tmp_path):
    toolchain, said = fresh
    cc = tmp_path / "xtensa-esp32s3-elf-gcc"
    cc.write_text("#!/bin/sh\necho 14.2.0\n")
    cc.chmod(0o755)
    tools = toolchain(XTENSA_CC=str(cc))
    assert tools.cc == str(cc) and tools.prefix == str(tmp_path / "xtensa-esp32s3-elf-") and "14.2.0" in tools.name
    assert not said and not (tmp_path / "cache" / "toolchain").exists()


@pytest.mark.parametrize("value,cure", [("/nowhere/gcc", "is no program"), ("/bin/sh", "must end in gcc")])
def test_a_wrong_xtensa_cc_is_named(fresh, value, cure):
    with pytest.raises(xtensa.fetch.FetchError, match=cure):
        fresh[0](XTENSA_CC=value)


def test_a_system_without_apt_is_told_what_to_do(fresh, monkeypatch):
    monkeypatch.setattr(xtensa.shutil, "which", lambda name: None)
    with pytest.raises(xtensa.fetch.FetchError, match="apt-get and dpkg-deb not found.*\n.*XTENSA_CC"):
        fresh[0]()


@pytest.fixture
def with_apt(monkeypatch, tmp_path):
    """Programs and keyring look as if they were there; what would be run is handed to `runs`."""
    keyring = tmp_path / "keyring"
    keyring.write_text("key")
    monkeypatch.setattr(xtensa, "KEYRING", keyring)
    monkeypatch.setattr(xtensa.shutil, "which", lambda name: "/bin/true")
    return lambda runs: monkeypatch.setattr(xtensa, "_run", runs)


def test_a_missing_keyring_is_named(fresh, with_apt, monkeypatch):
    monkeypatch.setattr(xtensa, "KEYRING", Path("/nowhere/keyring"))
    with pytest.raises(xtensa.fetch.FetchError, match="/nowhere/keyring is missing.*apt install"):
        fresh[0]()


def test_every_mirror_that_fails_is_named(fresh, with_apt):
    def runs(command, what, **more):
        raise xtensa._error(f"{what}: 404")

    with_apt(runs)
    with pytest.raises(xtensa.fetch.FetchError, match=f"no mirror has it: {MIRROR}: no {xtensa.SUITE}: 404"):
        fresh[0]()


def test_a_package_that_is_not_the_pinned_one_is_refused(fresh, with_apt, tmp_path):
    def runs(command, what, **more):
        if "download" in command:
            (more["cwd"] / next(iter(xtensa.HASHES))).write_bytes(b"another compiler")

    with_apt(runs)
    with pytest.raises(xtensa.fetch.FetchError, match="is not the pinned file, refused"):
        fresh[0]()
    assert not list((tmp_path / "cache" / "toolchain").glob("*/ready"))


def test_a_compiler_for_another_core_is_not_taken_for_the_s3s(tmp_path, monkeypatch):
    monkeypatch.setattr(xtensa, "_run", lambda command, what, **more: "entry a1, 32\nmull a2, a2, a3\nretw.n\n")
    with pytest.raises(xtensa.fetch.FetchError, match="lacks mulsh, nsau"):
        xtensa._try(tmp_path)


def test_a_failing_program_is_told_with_its_last_words():
    with pytest.raises(xtensa.fetch.FetchError, match="it does not run: E: no luck .sh ended with 3"):
        xtensa._run(["sh", "-c", "echo 'E: no luck' >&2; echo later >&2; exit 3"], "it does not run")
