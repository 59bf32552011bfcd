#!/bin/sh
# Installs Linnet as a kiosk on a Raspberry Pi, or any Debian 12 or newer, arm64 or amd64. May be run again at any time.
#
#     sudo boards/rpi/install.sh --board zero2w_i2s --url wss://your.server
#
# --board NAME   a profile of boards/rpi (default pi_usb)
# --url URL      the server; needed unless a token server tells it. Kept in /etc/linnet/kiosk.conf
# --prefix DIR   where the program goes (default /opt/linnet)
# --root DIR     install into the root file system in DIR (an image, a chroot) instead of this machine's
# --no-apt       packages are there already, or somebody else's business
# --no-build     copy files only; build later with: make -C PREFIX build
set -eu

board=pi_usb url='' prefix=/opt/linnet root='' apt=yes build=yes
packages="python3 python3-venv python3-dev gcc libc6-dev make ca-certificates libportaudio2 alsa-utils"
here=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --board | --url | --prefix | --root) [ $# -ge 2 ] || fail "$1 wants a value" ;;
    esac
    case $1 in
        --board) board=$2 && shift ;;
        --url) url=$2 && shift ;;
        --prefix) prefix=$2 && shift ;;
        --root) root=${2%/} && shift ;;
        --no-apt) apt=no ;;
        --no-build) build=no ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit 0 ;;
        *) fail "unknown: $1. Try --help" ;;
    esac
    shift
done

[ -f "$here/boards/rpi/$board.json" ] || fail "there is no board $board; there are:" \
    "$(cd "$here/boards/rpi" && for each in *.json; do printf '%s ' "${each%.json}"; done)"
case $prefix in /?*) ;; *) fail "--prefix wants an absolute path" ;; esac
[ -z "$root" ] || [ -d "$root/etc" ] || fail "--root $root holds no root file system"
[ "$(id -u)" = 0 ] || fail "must be root: sudo $0 ..."

inside() { # run a command in the system that is installed to
    if [ -z "$root" ]; then "$@"; else chroot "$root" "$@"; fi
}

pinned() { # a requirement of pyproject.toml with its version
    sed -n "s/.*\"\($1==[0-9.]*\)\".*/\1/p" "$here/pyproject.toml" | head -n 1
}

pip() {
    inside "$prefix/build/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

lgpio_of_the_system() { # Raspberry Pi OS has it as a package; a venv does not see that by itself
    [ $apt = no ] || inside apt-get install -y -qq --no-install-recommends python3-lgpio || return 1
    inside env LG_WD=/tmp python3 -c "import lgpio" 2>/dev/null || return 1
    for place in "$root$prefix"/build/venv/lib/python3*/site-packages; do
        echo /usr/lib/python3/dist-packages >"$place/debian.pth"
    done
}

put() { # put MODE FILE: standard input, only when it differs
    mkdir -p "$(dirname "$root$2")"
    cat >"$root$2.new"
    chmod "$1" "$root$2.new"
    if cmp -s "$root$2.new" "$root$2"; then rm "$root$2.new"; else mv "$root$2.new" "$root$2" && echo "wrote $root$2"; fi
}

# --- packages ---
missing=
for package in $packages; do
    # shellcheck disable=SC2016  # dpkg's own variable
    inside dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing="$missing $package"
done
if [ -n "$missing" ] && [ $apt = yes ]; then
    echo "installing$missing"
    inside env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    inside env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
elif [ -n "$missing" ] && [ $build = yes ]; then
    fail "packages are missing: apt install$missing"
fi

# --- the program ---
if [ "$here" != "$root$prefix" ]; then
    mkdir -p "$root$prefix"
    # What a newer version no longer has must go; build/ stays, so the next build is short.
    # shellcheck disable=SC2115  # prefix is an absolute path longer than /
    for part in csrc firmware host_sim boards; do rm -rf "$root$prefix/$part"; done
    tar -C "$here" --exclude=__pycache__ -cf - Makefile pyproject.toml LICENSE README.md csrc firmware host_sim boards |
        tar -C "$root$prefix" --no-same-owner -xf -
fi
if [ $build = yes ]; then
    inside make --no-print-directory -C "$prefix" build
    pip "$(pinned sounddevice)"
fi

# --- the board ---
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
(cd "$here" && python3 -m boards.gen "$board" "$made" >/dev/null) || fail "boards/rpi/$board.json is not sound, as said above"
put 644 /etc/linnet/board.env <"$made/board.env"
# shellcheck disable=SC1091
. "$made/board.env"
{
    echo "# Made by boards/rpi/install.sh: the sound of board $board, for the kiosk and nobody else."
    # "default" is the system's own choice: nothing to say.
    [ "$LINNET_ALSA_OUT$LINNET_ALSA_IN" = defaultdefault ] ||
        echo "pcm.!default { type asym playback.pcm \"$LINNET_ALSA_OUT\" capture.pcm \"$LINNET_ALSA_IN\" }"
} | put 644 /etc/linnet/asound.conf

# --- button and lamp ---
allowed=/etc/systemd/system/linnet.service.d/gpio.conf
if [ -n "$LINNET_PINS" ]; then
    if [ $build = yes ]; then
        pip "$(pinned gpiozero)"
        pip --only-binary=:all: "$(pinned lgpio)" 2>/dev/null || lgpio_of_the_system ||
            echo "button and lamp will not work: there is no lgpio for this Python" >&2
    fi
    # Raspberry Pi OS has a group that may use the pins; Debian has not.
    systemd-sysusers --root="${root:-/}" --inline 'g gpio -' 2>/dev/null
    if ! grep -qs 'SUBSYSTEM=="gpio"' "$root"/usr/lib/udev/rules.d/* "$root"/lib/udev/rules.d/*; then
        echo 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"' | put 644 /etc/udev/rules.d/60-linnet.rules
        [ -n "$root" ] || { udevadm control --reload && udevadm trigger --subsystem-match=gpio; } || true
    fi
    put 644 $allowed <<END
# Made by boards/rpi/install.sh: board $board has a button or a lamp at pins $LINNET_PINS.
[Service]
SupplementaryGroups=gpio
DeviceAllow=char-gpiochip rw
END
else
    rm -f "$root$allowed"
fi

# --- settings: kept when they are there ---
if [ ! -f "$root/etc/linnet/kiosk.conf" ]; then
    put 644 /etc/linnet/kiosk.conf <<END
# Settings of the kiosk. No secrets here: those are in /etc/linnet/secret.
#LINNET_URL=wss://your.server
# A program of your own instead of the badge, and more options of: python -m host_sim run --help
#LINNET_APP=/home/pi/my_kiosk.py
#LINNET_OPTIONS=--verbose
END
fi
if [ -n "$url" ]; then
    sed "/^#\{0,1\}LINNET_URL=/d" "$root/etc/linnet/kiosk.conf" >"$made/kiosk.conf"
    { cat "$made/kiosk.conf" && echo "LINNET_URL=$url"; } | put 644 /etc/linnet/kiosk.conf
fi
if [ ! -f "$root/etc/linnet/secret" ]; then
    : | put 600 /etc/linnet/secret
    echo "to do: the address of your token server (or a token) into $root/etc/linnet/secret"
fi
chmod 600 "$root/etc/linnet/secret"

# --- the sound HAT ---
for config in /boot/firmware/config.txt /boot/config.txt; do
    if [ -n "$LINNET_OVERLAY" ] && [ -f "$root$config" ]; then
        for line in "dtparam=i2c_arm=on" "dtparam=i2s=on" "dtoverlay=$LINNET_OVERLAY"; do
            grep -qxF "$line" "$root$config" || { echo "$line" >>"$root$config" && echo "added $line to $config: reboot"; }
        done
        break
    fi
done

# --- the service ---
sed "s|/opt/linnet|$prefix|g" "$here/boards/rpi/linnet.service" | put 644 /etc/systemd/system/linnet.service
if [ -n "$root" ]; then
    systemctl --root="$root" enable --quiet linnet.service
elif [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable --quiet linnet.service
    [ ! -s /etc/linnet/secret ] || systemctl restart linnet.service
fi
echo "installed board $board in $root$prefix; systemctl status linnet, journalctl -u linnet"
