"""Turns a board file into what a build needs. Boards are data; this writes the constants.

    python -m boards.gen BOARD OUT     (a name such as s3_box3, or a path to your own .json)

OUT/board.py          frozen into the firmware: `import board`, also the `device.board` of apps
OUT/board.h           limits (LINNET_*) for the core, pins and DMA (LINNET_I2S_*) for csrc/port/i2s_esp32.c
OUT/partitions.csv    ESP32: two app slots, otadata, NVS with its keys, files
OUT/sdkconfig.board   ESP32: PSRAM and flash of this board; the rest is boards/esp32/sdkconfig.linnet
OUT/board.env         Raspberry Pi: what install.sh and the service read

Exits 1 with one sentence per mistake. Whether limits fit the RAM and firmware the flash is for `check`
(boards/measure.py): it needs a compiler.
"""

import json
import sys
from pathlib import Path

from boards import rules

GUARD = "Made by boards/gen.py from {}. Edit that, not this."


def limit_rules():
    return rules.schema()["properties"]["limits"]["properties"]


def defines(board):
    """[(macro, value)] of the core's compile-time limits that a board sets."""
    found = limit_rules()
    return [(found[name]["x-define"], value) for name, value in sorted(board["limits"].items())
            if "x-define" in found[name]]


def options(board):
    """{name of a cfg word of linnet.h: value}, names as in firmware/linnet/core.py's config()."""
    found = limit_rules()
    words = {found[name]["x-config"]: value for name, value in board["limits"].items() if "x-config" in found[name]}
    return {"rate": board["audio"]["rate"], "remote_tracks": 2, **words}


# --- board.h ---


def i2s(board):
    """[(macro, value)]; -1 is no pin. One port when microphone and speaker share their clocks."""
    audio = board["audio"]
    shared = audio.get("in_bck") is None

    def pin(name):
        return -1 if audio.get(name) is None else audio[name]

    return [
        ("RATE", audio["rate"]),
        ("SLAVE", int(audio.get("role") == "slave")),
        ("SHARED_CLOCKS", int(shared)),
        ("OUT_PORT", 0), ("IN_PORT", 0 if shared else 1),
        ("MCLK", pin("mclk")), ("MCLK_MULTIPLE", audio.get("mclk_multiple", 256)),
        ("OUT_BCK", pin("bck")), ("OUT_WS", pin("ws")), ("OUT_DATA", pin("dout")),
        ("IN_BCK", pin("bck" if shared else "in_bck")), ("IN_WS", pin("ws" if shared else "in_ws")),
        ("IN_DATA", pin("din")),
        ("SLOT_BITS", audio.get("slot_bits", 32)),
        ("IN_BITS", audio.get("in_bits", 16)), ("IN_GAIN_LOG2", audio.get("in_gain_bits", 0)),
        ("IN_RIGHT", int(audio.get("in_channel") == "right")),
        ("DMA_FRAMES", audio.get("dma_frames", 160)), ("DMA_COUNT", audio.get("dma_count", 4)),
    ]


def board_h(board, source):
    lines = [f"/* {GUARD.format(source)} */", "#ifndef LINNET_BOARD_H", "#define LINNET_BOARD_H", "",
             f'#define LINNET_BOARD "{board["name"]}"', "", "/* limits: csrc/include/linnet_config.h */"]
    lines += [f"#define {macro} {value}" for macro, value in defines(board)]
    if board["family"] == "esp32":
        lines += ["", "/* sound: csrc/port/i2s_esp32.c; -1 is no pin */"]
        lines += [f"#define LINNET_I2S_{name} {'(-1)' if value == -1 else value}" for name, value in i2s(board)]
        lines += ["", "/* csrc/port/loop_thread.c */", f"#define LINNET_LOOP_STACK {rules.LOOP_STACK_KIB << 10}",
                  "", "/* MicroPython */", f"#define LINNET_HEAP {rules.heap_bytes(board)}"]
    return "\n".join([*lines, "", "#endif", ""])


# --- board.py ---


def drivers(board):
    """[(module of firmware/drivers, I2C address, options)] in the order in which they are set up."""
    audio, parts = board["audio"], rules.catalogue()[1]
    roles = {}
    for place, role in (("expander", "amp"), ("codec_out", "out"), ("codec_in", "in")):
        name = audio.get(place)
        if name in parts and "driver" in parts[name]:
            roles.setdefault(name, []).append(role)
    return [(parts[name]["driver"], parts[name]["address"], codec_options(audio, name_roles))
            for name, name_roles in roles.items()]


def codec_options(audio, roles):
    if roles == ["amp"]:
        return {}
    clock = audio["rate"] * audio.get("mclk_multiple", 256)
    from_bck = audio.get("mclk") is None
    found = {"rate": audio["rate"], "bits": audio.get("slot_bits", 32), "clock_from_bck": from_bck,
             "clock_hz": audio["rate"] * 2 * audio.get("slot_bits", 32) if from_bck else clock}
    if "in" in roles:
        found["gain_db"] = audio.get("mic_gain_db", 30)
    return {**found, "microphone": "in" in roles, "speaker": "out" in roles}


def board_py(board, source):
    audio, ui = board["audio"], board["ui"]
    values = {
        "name": board["name"], "title": board.get("title", board["name"]), "family": board["family"],
        "mcu": board["mcu"],
        "rate": audio["rate"],
        "has_led": ui.get("led") is not None, "led": ui.get("led"), "led_kind": ui.get("led_kind", "plain"),
        "has_button": ui.get("talk") is not None, "talk": ui.get("talk"),
        "amp": audio.get("amp"),
        "i2c": (audio["sda"], audio["scl"], audio.get("i2c_hz", 100000))
        if board["family"] == "esp32" and audio.get("sda") is not None else None,
        "drivers": tuple(drivers(board)),
        "heap_kib": board["limits"].get("heap_kib"),
        "opus_complexity": board["limits"].get("opus_complexity"),
        "remote_tracks": board["limits"].get("remote_tracks", 2),
        "room_options": {name: value for name, value in options(board).items() if name != "rate"},
    }
    if board["family"] == "rpi":
        values["alsa"] = (audio.get("alsa_in", "default"), audio.get("alsa_out", "default"))
    lines = [f"# {GUARD.format(source)}",
             "# room_options: for RoomOptions. drivers: (module of drivers/, I2C address, options)."]
    return "\n".join([*lines, *(f"{name} = {value!r}" for name, value in values.items()), ""])


# --- the rest ---


def partitions_csv(board, source):
    rows = rules.partitions(board)[0]
    lines = [f"# {GUARD.format(source)}", "# Name, Type, SubType, Offset, Size, Flags"]
    lines += [f"{name},{kind},{sub},0x{at:x},0x{size:x},{flags}" for name, kind, sub, at, size, flags in rows]
    return "\n".join([*lines, ""])


def sdkconfig(board, source):
    flash = board["flash_kib"] >> 10
    lines = [f"# {GUARD.format(source)}", f"CONFIG_ESPTOOLPY_FLASHSIZE_{flash}MB=y",
             f'CONFIG_ESPTOOLPY_FLASHSIZE="{flash}MB"', "CONFIG_PARTITION_TABLE_CUSTOM=y"]
    if board["psram_kib"]:
        lines += ["CONFIG_SPIRAM=y", f"CONFIG_SPIRAM_MODE_{'OCT' if board.get('psram_mode') == 'octal' else 'QUAD'}=y",
                  "CONFIG_SPIRAM_SPEED_80M=y", "CONFIG_SPIRAM_USE_MALLOC=y",
                  "# small blocks stay inside, where the DMA and the media loop's stack are",
                  "CONFIG_SPIRAM_MALLOC_ALWAYSINTERNAL=4096", "CONFIG_SPIRAM_MALLOC_RESERVE_INTERNAL=98304"]
    return "\n".join([*lines, ""])


def board_env(board, source):
    audio, ui = board["audio"], board["ui"]
    pins = [ui[name] for name in ("talk", "led") if ui.get(name) is not None]
    pairs = [("LINNET_BOARD", board["name"]), ("LINNET_RATE", audio["rate"]),
             ("LINNET_OVERLAY", audio.get("overlay", "")), ("LINNET_ALSA_IN", audio.get("alsa_in", "default")),
             ("LINNET_ALSA_OUT", audio.get("alsa_out", "default")),
             ("LINNET_I2C", int(audio.get("sda") is not None)), ("LINNET_PINS", ",".join(map(str, pins)))]
    return "\n".join([f"# {GUARD.format(source)}", *(f"{name}={value}" for name, value in pairs), ""])


def files(board, source):
    """{file name: text} of a sound board."""
    made = {"board.h": board_h(board, source), "board.py": board_py(board, source)}
    if board["family"] == "esp32":
        made.update({"partitions.csv": partitions_csv(board, source), "sdkconfig.board": sdkconfig(board, source)})
    else:
        made["board.env"] = board_env(board, source)
    return made


def write(board, source, folder):
    """Only what has changed is written, so that a build stays fresh."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(board, source).items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def told(findings, path, out=sys.stderr):
    """Prints findings; True when none of them is an error."""
    for finding in findings:
        print(f"{finding.severity}: {finding.text(path)}", file=out)
    return not any(finding.severity == "error" for finding in findings)


def shown(path):
    """A path as it stands in generated files: below the repository, else the bare name."""
    path = Path(path).resolve()
    return path.relative_to(rules.REPO).as_posix() if rules.REPO in path.parents else path.name


def main(argv):
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    path = rules.find(argv[0])
    board, findings = rules.load(path)
    if not told(findings, path):
        return 1
    write(board, shown(path), argv[1])
    print(json.dumps({"board": board["name"], "family": board["family"], "files": sorted(files(board, ""))}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
