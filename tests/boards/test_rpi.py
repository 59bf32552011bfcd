"""The kiosk on a Raspberry Pi: what install.sh leaves behind, what the unit says, what the starter hands over.

The whole of it, with packages and build, was run by hand in a Debian 12 root (boards/rpi/README.md); here the same
script runs without packages and build, in an empty root.
"""

import os
import re
import shutil
import stat
import subprocess

import pytest

from boards import rules

FOLDER = rules.HERE / "rpi"
needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("systemctl"),
                                reason="install.sh needs root and systemctl: run as root; apt install systemd")


def install(root, *arguments):
    return subprocess.run([FOLDER / "install.sh", "--root", root, "--no-apt", "--no-build", *arguments],
                          capture_output=True, text=True, env={"PATH": os.environ["PATH"] + ":/usr/sbin"})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "boot" / "firmware").mkdir(parents=True)
    (tmp_path / "boot" / "firmware" / "config.txt").write_text("[all]\n")
    return tmp_path


def tree(root):
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in (root / "etc").rglob("*") if path.is_file()}


@needs_root
def test_a_root_gets_program_board_settings_and_service(root):
    done = install(root, "--board", "zero2w_i2s", "--url", "wss://rooms.example")
    assert done.returncode == 0, done.stderr
    assert (root / "opt" / "linnet" / "host_sim" / "__main__.py").is_file()
    assert os.access(root / "opt" / "linnet" / "boards" / "rpi" / "kiosk.sh", os.X_OK)
    assert "LINNET_BOARD=zero2w_i2s" in (root / "etc" / "linnet" / "board.env").read_text()
    assert "LINNET_URL=wss://rooms.example" in (root / "etc" / "linnet" / "kiosk.conf").read_text().splitlines()
    assert 'playback.pcm "plughw:CARD=wm8960soundcard"' in (root / "etc" / "linnet" / "asound.conf").read_text()
    assert "dtoverlay=wm8960-soundcard" in (root / "boot" / "firmware" / "config.txt").read_text()
    assert (root / "etc" / "systemd" / "system" / "multi-user.target.wants" / "linnet.service").is_symlink()
    secret = root / "etc" / "linnet" / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600 and "to do:" in done.stdout


@needs_root
def test_a_second_run_changes_nothing_and_keeps_what_a_person_wrote(root):
    install(root, "--board", "zero2w_i2s", "--url", "wss://rooms.example")
    (root / "etc" / "linnet" / "secret").write_text("https://tokens.example/x")
    with open(root / "etc" / "linnet" / "kiosk.conf", "a") as file:
        file.write("LINNET_OPTIONS=--verbose\n")
    before, config = tree(root), (root / "boot" / "firmware" / "config.txt").read_bytes()
    done = install(root, "--board", "zero2w_i2s")
    assert done.returncode == 0 and "wrote" not in done.stdout and "to do" not in done.stdout
    assert tree(root) == before and (root / "boot" / "firmware" / "config.txt").read_bytes() == config


@needs_root
def test_another_url_replaces_the_old_one(root):
    install(root, "--url", "wss://old.example")
    install(root, "--url", "wss://new.example")
    text = (root / "etc" / "linnet" / "kiosk.conf").read_text()
    assert text.count("LINNET_URL=") == 1 and "LINNET_URL=wss://new.example" in text


@needs_root
def test_a_file_that_the_new_version_has_no_more_goes(root):
    install(root)
    stale = root / "opt" / "linnet" / "csrc" / "old.c"
    stale.write_text("x")
    install(root)
    assert not stale.exists()


@needs_root
def test_a_usb_board_leaves_config_txt_and_the_default_sound_alone(root):
    assert install(root, "--board", "pi_usb").returncode == 0
    assert (root / "boot" / "firmware" / "config.txt").read_text() == "[all]\n"
    assert "pcm" not in (root / "etc" / "linnet" / "asound.conf").read_text()


@needs_root
def test_the_service_may_use_the_pins_of_a_board_that_has_some(root):
    allowed = root / "etc" / "systemd" / "system" / "linnet.service.d" / "gpio.conf"
    rule = root / "etc" / "udev" / "rules.d" / "60-linnet.rules"
    assert install(root, "--board", "zero2w_i2s").returncode == 0
    assert {"[Service]", "SupplementaryGroups=gpio", "DeviceAllow=char-gpiochip rw"} <= set(
        allowed.read_text().splitlines())
    assert "gpio:" in (root / "etc" / "group").read_text() and 'GROUP="gpio"' in rule.read_text()
    assert install(root, "--board", "pi_usb").returncode == 0
    assert not allowed.exists()


@needs_root
def test_the_rule_of_raspberry_pi_os_is_enough(root):
    (root / "usr" / "lib" / "udev" / "rules.d").mkdir(parents=True)
    (root / "usr" / "lib" / "udev" / "rules.d" / "99-com.rules").write_text('SUBSYSTEM=="gpio", GROUP="gpio"\n')
    assert install(root, "--board", "zero2w_i2s").returncode == 0
    assert not (root / "etc" / "udev").exists()


def test_the_packages_of_the_pins_are_pinned():
    text = (rules.REPO / "pyproject.toml").read_text()
    for name in re.findall(r"pinned (\w+)\)", (FOLDER / "install.sh").read_text()):
        assert re.search(rf'"{name}==[0-9.]+"', text), name


@needs_root
def test_another_prefix_is_everywhere(root):
    assert install(root, "--prefix", "/srv/kiosk").returncode == 0
    unit = (root / "etc" / "systemd" / "system" / "linnet.service").read_text()
    assert "ExecStart=/srv/kiosk/boards/rpi/kiosk.sh" in unit and "/opt/linnet" not in unit


@needs_root
@pytest.mark.parametrize(("arguments", "words"), [
    (("--board", "zero3"), ("zero3", "pi_usb zero2w_i2s")), (("--nonsense",), ("--nonsense", "--help")),
    (("--prefix", "here"), ("absolute",)), (("--board",), ("wants a value",)),
])
def test_a_wrong_call_is_one_line_and_changes_nothing(root, arguments, words):
    before = tree(root)
    done = install(root, *arguments)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert tree(root) == before


# --- the unit ---


def test_the_unit_holds_no_secret_and_always_comes_back():
    lines = (FOLDER / "linnet.service").read_text().splitlines()
    for line in ("Restart=always", "StartLimitIntervalSec=0", "LoadCredential=secret:/etc/linnet/secret",
                 "DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="):
        assert line in lines
    assert not [line for line in lines if re.match(r"(Environment|ExecStart)=.*(token|secret|key)", line, re.I)]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze: apt install systemd")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    unit = tmp_path / "linnet.service"
    (tmp_path / "linnet.service.d").mkdir()
    (tmp_path / "linnet.service.d" / "gpio.conf").write_text(
        re.search(r"put 644 \$allowed <<END\n(.*?)\nEND\n", (FOLDER / "install.sh").read_text(), re.S)[1])
    unit.write_text((FOLDER / "linnet.service").read_text().replace("/opt/linnet", str(rules.REPO)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    mine = [line for line in done.stderr.splitlines() if "linnet" in line]
    assert done.returncode == 0 and mine == [], done.stderr


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck: apt install shellcheck")
def test_the_scripts_pass_shellcheck():
    done = subprocess.run(["shellcheck", *FOLDER.glob("*.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# --- the starter ---


@pytest.fixture
def kiosk(tmp_path):
    """kiosk(secret, **environment) runs kiosk.sh with a python that says how it was called."""
    prefix = tmp_path / "prefix"
    for folder in ("boards/rpi", "build/venv/bin"):
        (prefix / folder).mkdir(parents=True)
    shutil.copy(FOLDER / "kiosk.sh", prefix / "boards" / "rpi")
    python = prefix / "build" / "venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "args: $*"\necho "token: ${LINNET_TOKEN:-}"\n'
                      'echo "token url: ${LINNET_TOKEN_URL:-}"\necho "other: $(env | grep -c ^secret)"\n')
    python.chmod(0o755)

    def run(secret, **environment):
        if secret is not None:
            (tmp_path / "secret").write_text(secret)
        return subprocess.run([prefix / "boards" / "rpi" / "kiosk.sh"], capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "CREDENTIALS_DIRECTORY": str(tmp_path), **environment})
    return run


def test_an_address_is_a_token_server_and_anything_else_a_token(kiosk):
    text = kiosk("https://tokens.example/a?key=k\n", LINNET_BOARD="pi_usb").stdout
    assert "token url: https://tokens.example/a?key=k\n" in text and "token: \n" in text
    text = kiosk("ey.J.x\n").stdout
    assert "token: ey.J.x\n" in text and "token url: \n" in text


def test_the_secret_is_not_in_the_command_line(kiosk):
    done = kiosk("https://tokens.example/verysecret", LINNET_URL="wss://r.example", LINNET_APP="/a b.py",
                 LINNET_OPTIONS="--seconds 2 --verbose")
    arguments = done.stdout.splitlines()[0]
    assert "verysecret" not in arguments
    assert "--url wss://r.example" in arguments and "--app /a b.py" in arguments
    assert arguments.endswith("--seconds 2 --verbose") and "run --plain --board" in arguments


@pytest.mark.parametrize("secret", [None, "", "\n"])
def test_without_a_secret_it_says_where_to_put_one_and_does_not_try_again(kiosk, secret):
    done = kiosk(secret)
    assert done.returncode == 2 and "/etc/linnet/secret" in done.stderr
    assert "RestartPreventExitStatus=2" in (FOLDER / "linnet.service").read_text()
