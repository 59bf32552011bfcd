"""What makes a board file right, beyond its form: pins, parts, rates, memory and partitions.

    board, findings = load("boards/esp32/s3_box3.json")

A Finding has a stable code, the place in the file, the cause and the cure. Nothing here runs a compiler: RAM and
text are judged with figures handed in (boards/measure.py). Standard library and host_sim.schema_check only.
"""

import json
from pathlib import Path

from host_sim.schema_check import findings as schema_findings

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
MAX_FILE = 65536  # bytes
SLOT_ALIGN_KIB = 64  # an ESP32 maps applications in pages of this size
FIRST_APP_KIB = 64  # bootloader, partition table and the data partitions lie before
FLASH_LEFT = 0.05  # of an app slot stays free, for the next version
LOOP_STACK_KIB = 40  # of the media loop's thread: Opus encodes on it (measured peak: 25 KiB at 48 kHz)
RING_MS, AHEAD_MS = 200, 20  # linnet_loop_open's defaults
MESSAGE_BYTES, DATAGRAM_BYTES = 65536, 1500  # the core's defaults of message_bytes and datagram_bytes
VFS_KIB = 1024
HEAP_KIB = 256
DMA_BYTES = 4092  # of one DMA buffer, ESP-IDF's limit
FLASH_MIB = (2, 4, 8, 16, 32)  # sizes that ESP-IDF's Kconfig has
PSRAM_LEFT_KIB = 256
CODES = ("board-file", "board-json", "board-form", "board-name", "board-chip", "board-part", "board-rate", "board-dma",
         "board-bits", "board-psram", "board-flash",
         "board-pin-missing", "board-pin-twice", "board-pin-absent", "board-pin-taken", "board-pin-careful",
         "board-source", "board-ram", "board-partition")


class Finding:
    """severity "error" stops the build; "warning" is printed."""

    def __init__(self, code, place, cause, cure="", severity="error"):
        assert code in CODES, code
        self.code, self.place, self.cause, self.cure, self.severity = code, place, cause, cure, severity

    def text(self, path):
        return f"{path}: {self.cause}. {self.cure} [{self.code}]"


def schema():
    return json.loads((HERE / "schema.json").read_text(encoding="utf-8"))


def catalogue():
    """(chips, parts) of parts.json."""
    found = json.loads((HERE / "parts.json").read_text(encoding="utf-8"))
    return found["chips"], found["parts"]


def find(name):
    """The file of a board: a name (s3_box3) or a path to one's own JSON."""
    if name.endswith(".json"):
        return Path(name)
    found = sorted(HERE.glob(f"*/{name}.json"))
    return found[0] if found else HERE / f"{name}.json"


def names(family=None):
    return [path.stem for path in sorted(HERE.glob(f"{family or '*'}/*.json")) if path.stem != "measured"]


def load(path):
    """(the decoded board or None, [Finding])."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE + 1)
    except OSError as error:
        return None, [Finding("board-file", "", f"the file cannot be read: {error.strerror}",
                              f"Boards that exist: {', '.join(names())}. Or name a .json file of your own.")]
    if len(text) > MAX_FILE:
        return None, [Finding("board-json", "", f"the file is longer than {MAX_FILE} bytes", "Is it a board file?")]
    try:
        board = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        return None, [Finding("board-json", "", f"this is no JSON: {error}", "Correct the line.")]
    return board, check(board, path)


def _without_repeats(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in twice if twice.count(name) > 1)} stands there twice")
    return fields


def _why(place):
    section, _, name = place.partition(".")
    rule = schema()["properties"].get(section, {}).get("properties", {}).get(name, {})
    return rule.get("x-why", "boards/schema.json says what may stand there.")


def check(board, path=None):
    """[Finding] of a decoded board. Rules that need a sound form come after the form."""
    form = [Finding("board-form", place, cause, _why(place)) for place, cause in schema_findings(board, schema())]
    if form:
        return form
    found = []
    if path is not None and Path(path).stem != board["name"]:
        found.append(Finding("board-name", "name", f"name is {board['name']!r}, the file is {Path(path).name}",
                             "Give both the same name: builds are found by it."))
    chips, parts = catalogue()
    chip = chips.get(board["mcu"])
    if chip is None or chip["family"] != board["family"]:
        known = ", ".join(name for name, each in chips.items() if each["family"] == board["family"])
        return found + [Finding("board-chip", "mcu", f"mcu: {board['mcu']!r} is no chip of family {board['family']}",
                                f"Known are {known}. A new chip is an entry in boards/parts.json.")]
    found += _check_parts(board, parts)
    found += _check_pins(board, chip)
    found += _check_sources(board)
    if board["family"] == "esp32":
        found += _check_clocks(board, parts)
        found += _check_dma(board["audio"])
        found += _check_chips(board)
        found += partitions(board)[1]
    return found


def _check_dma(audio):
    """What linnet_i2s_dma_bytes (csrc/port/i2s_words.c) refuses when the sound of a call is started."""
    slot, bits, rate = audio.get("slot_bits", 32), audio.get("in_bits", 16), audio["rate"]
    frames, count = audio.get("dma_frames", 160), audio.get("dma_count", 4)
    frame, found = 2 * slot // 8, []
    if bits > slot:
        found.append(Finding("board-bits", "audio.in_bits", f"audio.in_bits: a word of {slot} bits (slot_bits) has no "
                             f"{bits} bits of microphone", f"Take in_bits {slot}, or slot_bits 32."))
    if frames * frame > DMA_BYTES:
        found.append(Finding("board-dma", "audio.dma_frames", f"audio.dma_frames: {frames} frames of {frame} bytes are "
                             f"more than the {DMA_BYTES} bytes of a DMA buffer",
                             f"Take at most {DMA_BYTES // frame}, and more dma_count."))
    if frames * count * 1000 < AHEAD_MS * rate:
        ahead = -(-AHEAD_MS * rate // 1000)
        found.append(Finding("board-dma", "audio.dma_count", f"audio.dma_count: {count} buffers of {frames} frames are "
                             f"less than the {AHEAD_MS} ms ({ahead} frames) that are kept ready for the speaker",
                             f"With these dma_frames take a dma_count of {-(-ahead // frames)} or more."))
    return found


def _check_chips(board):
    """The memories beside the processor: what gen.sdkconfig can name."""
    found, sizes = [], [mib << 10 for mib in FLASH_MIB]
    if board["psram_kib"] and "psram_mode" not in board:
        found.append(Finding("board-psram", "psram_mode", f"psram_mode is missing, of the {board['psram_kib']} KiB of "
                             "PSRAM", 'Write "quad" or "octal", as the datasheet of the module says.'))
    if board["flash_kib"] not in sizes:
        found.append(Finding("board-flash", "flash_kib", f"flash_kib: {board['flash_kib']} KiB is no size of flash "
                             "that ESP-IDF knows", f"Take {', '.join(map(str, sizes))}: the largest that is not more."))
    return found


# --- parts ---


def used_parts(board, parts):
    """{place: part} of the known parts of a board."""
    audio = board["audio"]
    places = {"audio.codec_in": audio.get("codec_in"), "audio.codec_out": audio.get("codec_out"),
              "audio.expander": audio.get("expander")}
    return {place: parts[name] for place, name in places.items() if name in parts}


def _check_parts(board, parts):
    audio, found = board["audio"], []
    for role, place in (("in", "codec_in"), ("out", "codec_out"), ("expander", "expander")):
        name = audio.get(place)
        if name is None and role == "expander":
            continue
        able = ", ".join(sorted(each for each, part in parts.items() if role in part["does"]))
        if name is None:
            found.append(Finding("board-part", f"audio.{place}", f"audio.{place} is missing", f"Known are {able}."))
        elif name not in parts or role not in parts[name]["does"]:
            found.append(Finding("board-part", f"audio.{place}", f"audio.{place}: {name!r} is not known there",
                                 f"Known are {able}. A part that needs no code is an entry in boards/parts.json; one "
                                 f"that needs a set-up over I2C also a driver, firmware/drivers/{name}.py."))
        else:
            found += _check_part(board, f"audio.{place}", name, parts[name])
    return found


def _check_part(board, place, name, part):
    audio, found = board["audio"], []
    if part.get("alsa", False) != (board["family"] == "rpi") and "expander" not in part["does"]:
        found.append(Finding("board-part", place, f"{place}: {name} is "
                             + ("driven by Linux" if part.get("alsa") else "a part for a microcontroller"),
                             f"Choose another for the family {board['family']}."))
        return found
    driver = part.get("driver")
    if driver and not (REPO / "firmware" / "drivers" / f"{driver}.py").is_file():
        found.append(Finding("board-part", place, f"{place}: the driver firmware/drivers/{driver}.py is missing",
                             "Write it: the profile alone cannot set the chip up."))
    low, high = part.get("rates", (0, 1 << 30))
    rate, multiple = audio["rate"], audio.get("mclk_multiple", 256)
    clocks = part.get("clocks", {}).get(str(multiple))
    if not low <= rate <= high:
        found.append(Finding("board-rate", "audio.rate", f"audio.rate: {name} does not run at {rate} samples a second",
                             f"It can do {low} to {high}." if low < high else f"It runs at {low} only."))
    elif clocks is not None and rate not in clocks:
        found.append(Finding("board-rate", "audio.rate",
                             f"audio.rate: {name} cannot make {rate} from a master clock of {multiple} times the rate",
                             "It can make " + "; ".join(f"{', '.join(map(str, rates))} with mclk_multiple {each}"
                                                        for each, rates in part["clocks"].items()) + "."))
    slot = audio.get("slot_bits", 32)
    if "slot_bits" in part and slot not in part["slot_bits"]:
        found.append(Finding("board-part", "audio.slot_bits", f"audio.slot_bits: {name} does not work with {slot}",
                             f"It takes {' or '.join(map(str, part['slot_bits']))}."))
    if part.get("role", audio.get("role", "master")) != audio.get("role", "master"):
        found.append(Finding("board-part", "audio.role", f"audio.role: {name} makes the clocks itself",
                             f'Write "role": "{part["role"]}".'))
    return found


def _check_clocks(board, parts):
    """A chip that waits for clocks needs a maker of them: one on clocks that both share, else one on each port."""
    audio = board["audio"]
    if audio.get("role") != "slave":
        return []
    names = [audio[place] for place in ("codec_in", "codec_out") if audio.get(place) in parts]
    silent = sorted({name for name in names if parts[name].get("role") != "slave"})
    if not silent or (audio.get("in_bck") is None and len(silent) < len(set(names))):
        return []
    return [Finding("board-part", "audio.role", f"audio.role: nobody makes the clocks, {board['mcu']} waits for them "
                    f"as slave and so does {' and '.join(silent)}", 'Write "role": "master", or leave it out.')]


# --- pins ---


def pins(board):
    """{place: number} of every pin that the board file names."""
    found, root = {}, schema()
    for section in ("audio", "ui"):
        for name, rule in root["properties"][section]["properties"].items():
            number = board.get(section, {}).get(name)
            if rule.get("$ref") == "#/$defs/pin" and number is not None:
                found[f"{section}.{name}"] = number
    return found


def _check_pins(board, chip):
    found, owner = [], {}
    for place, number in pins(board).items():
        if number in owner:
            found.append(Finding("board-pin-twice", place,
                                 f"{place}: pin {number} is used twice, {owner[number]} has it too",
                                 "Give one of them another pin. (Microphone and speaker that share their clocks leave "
                                 "in_bck and in_ws out.)"))
        owner.setdefault(number, place)
        if number not in chip["pins"]:
            found.append(Finding("board-pin-absent", place, f"{place}: {board['mcu']} has no pin {number}",
                                 f"It has {_ranges(chip['pins'])}."))
            continue
        for taken in chip["taken"]:
            if number in taken["pins"] and taken.get("when") in (None, board.get("psram_mode")):
                found.append(Finding("board-pin-taken", place, f"{place}: pin {number} belongs to {taken['by']}",
                                     f"Pins {_ranges(taken['pins'])} are not free on this board."))
        for careful in chip["careful"]:
            if number in careful["pins"]:
                found.append(Finding("board-pin-careful", place,
                                     f"{place}: pin {number} with care, {careful['because']}",
                                     "Leave it if the board is built so.", "warning"))
    return found + [Finding("board-pin-missing", place, f"{place} is missing", why) for place, why in _missing(board)]


def _missing(board):
    audio = board["audio"]
    if board["family"] != "esp32":
        return
    for name in ("bck", "ws", "din", "dout"):
        if audio.get(name) is None:
            yield f"audio.{name}", "The sound of an ESP32 needs bck, ws, din and dout."
    if (audio.get("in_bck") is None) != (audio.get("in_ws") is None):
        name = "in_ws" if audio.get("in_ws") is None else "in_bck"
        yield f"audio.{name}", "A second port for the microphone needs both in_bck and in_ws."
    parts = used_parts(board, catalogue()[1])
    if any(part.get("bus") == "i2c" for part in parts.values()):
        for name in ("sda", "scl"):
            if audio.get(name) is None:
                yield f"audio.{name}", "A part of this board is set up over I2C."
    if any(part.get("mclk") == "needed" for part in parts.values()) and audio.get("mclk") is None:
        yield "audio.mclk", "A part of this board makes no clock of its own."


def _ranges(numbers):
    """1, 2, 3, 7 -> "1-3, 7"."""
    parts, start = [], None
    for i, number in enumerate(numbers):
        start = number if start is None else start
        if i + 1 == len(numbers) or numbers[i + 1] != number + 1:
            parts.append(str(start) if start == number else f"{start}-{number}")
            start = None
    return ", ".join(parts)


def _check_sources(board):
    said = {place for source in board["sources"] for place in source["says"]}
    found = [Finding("board-source", place, f"{place}: no source says that it is pin {number}",
                     "Add the schematic or document to sources, with this place in its says.")
             for place, number in pins(board).items() if place not in said]
    for place in sorted(said):
        section, _, name = place.partition(".")
        if name not in board.get(section, {}):
            found.append(Finding("board-source", place, f"sources: {place} does not stand in this file",
                                 "Remove it there, or write the value."))
    return found


# --- flash ---

# Before the first app slot at 64 KiB; the bootloader and the table itself end at 0x9000.
_DATA = (("nvs", "data", "nvs", 0x9000, 0x4000, ""), ("otadata", "data", "ota", 0xD000, 0x2000, ""),
         ("nvs_keys", "data", "nvs_keys", 0xF000, 0x1000, "encrypted"))


def partitions(board):
    """([(name, type, subtype, offset, size, flags)], [Finding]) of an ESP32 board."""
    wish, flash = board.get("partitions", {}), board["flash_kib"]
    vfs = wish.get("vfs_kib", VFS_KIB)
    app = wish.get("app_kib", (flash - FIRST_APP_KIB - vfs) // 2 // SLOT_ALIGN_KIB * SLOT_ALIGN_KIB)
    found = []
    if app % SLOT_ALIGN_KIB:
        found.append(Finding("board-partition", "partitions.app_kib", f"partitions.app_kib: {app} is no multiple of "
                             f"{SLOT_ALIGN_KIB}", f"Take {app // SLOT_ALIGN_KIB * SLOT_ALIGN_KIB}."))
    if app < SLOT_ALIGN_KIB or FIRST_APP_KIB + 2 * app + vfs > flash:
        found.append(Finding("board-partition", "partitions", f"partitions: two app slots of {max(app, 0)} KiB and "
                             f"{vfs} KiB of files do not fit {flash} KiB of flash",
                             "Make app_kib or vfs_kib smaller."))
        return [], found
    first, size = FIRST_APP_KIB << 10, app << 10
    rows = [*_DATA, ("ota_0", "app", "ota_0", first, size, ""), ("ota_1", "app", "ota_1", first + size, size, ""),
            ("vfs", "data", "fat", first + 2 * size, (flash << 10) - first - 2 * size, "")]
    return rows, found


def check_flash(board, app_bytes):
    """app_bytes: what an application of this board is measured or estimated to have."""
    rows = partitions(board)[0]
    slot = next((row[4] for row in rows if row[0] == "ota_0"), 0)
    need = int(app_bytes * (1 + FLASH_LEFT))
    if not slot or need <= slot:
        return []
    fits = -(-need // (SLOT_ALIGN_KIB << 10)) * SLOT_ALIGN_KIB
    return [Finding("board-partition", "partitions.app_kib",
                    f"partitions.app_kib: an app slot of {slot >> 10} KiB is too small for {app_bytes >> 10} KiB of "
                    f"firmware and {FLASH_LEFT:.0%} for the next version",
                    f"It needs {fits} KiB, twice: make vfs_kib smaller, or take a board with more flash.")]


# --- RAM ---


def heap_bytes(board):
    return board["limits"].get("heap_kib", HEAP_KIB) << 10


def event_bytes(board):
    """linnet_poll_size: a data message or a datagram, whichever is larger, with what stands before it."""
    limits = board["limits"]
    return max(8 + limits.get("message_bytes", MESSAGE_BYTES), 24 + limits.get("datagram_bytes", DATAGRAM_BYTES))


def memory(board, session_bytes):
    """{"session", "events", "heap", ...}: bytes. events: the ring of two and the one in the loop's hand; the one in
    Python's hand is of the heap. A Raspberry Pi has rings of sound besides; an ESP32 has dma and stack, which are
    inside even where PSRAM has the others: its loop moves sound between the DMA and the core."""
    audio = board["audio"]
    parts = {"session": session_bytes, "events": 3 * event_bytes(board) + 8192, "heap": heap_bytes(board)}
    if board["family"] != "esp32":
        return {**parts, "rings": 2 * (audio["rate"] * 2 * RING_MS // 1000)}
    frame = 2 * audio.get("slot_bits", 32) // 8
    return {**parts, "dma": 2 * audio.get("dma_frames", 160) * audio.get("dma_count", 4) * frame,
            "stack": LOOP_STACK_KIB << 10}


def check_ram(board, session_bytes):
    chip = catalogue()[0][board["mcu"]]
    if board["family"] != "esp32":
        return []
    parts = memory(board, session_bytes)
    inside = (chip["ram_kib"] - chip["ram_system_kib"]) << 10
    bulk = {name: parts[name] for name in ("session", "events", "heap")}
    fixed = {name: parts[name] for name in ("dma", "stack")}
    if board["psram_kib"]:
        rooms = [("its PSRAM", bulk, (board["psram_kib"] - PSRAM_LEFT_KIB) << 10), ("its internal RAM", fixed, inside)]
    else:
        rooms = [("its internal RAM (it has no PSRAM)", {**bulk, **fixed}, inside)]
    found = []
    for where, uses, room in rooms:
        need = sum(uses.values())
        if need > room:
            most = ", ".join(f"{name} {size >> 10} KiB" for name, size in sorted(uses.items(), key=lambda u: -u[1]))
            found.append(Finding("board-ram", "limits", f"limits: this needs {need >> 10} KiB of {where}, which has "
                                 f"{room >> 10} KiB free ({most})",
                                 "Lower heap_kib, remote_tracks, jitter_packets, message_bytes, send_bytes or "
                                 "recv_bytes, whichever is largest."))
    if event_bytes(board) > heap_bytes(board):
        found.append(Finding("board-ram", "limits.heap_kib", f"limits.heap_kib: {heap_bytes(board) >> 10} KiB do not "
                             f"hold the {-(-event_bytes(board) >> 10)} KiB in which Python takes an event of the core",
                             "Raise heap_kib, or lower message_bytes."))
    return found
