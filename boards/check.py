"""Everything about boards that can be known without a board and without ESP-IDF: `make -C boards/esp32 check`.

    python -m boards.check [--all] [BOARD...]     (all of them, or names, or paths to your own .json)
    python -m boards.check --only-fit BOARD...     (RAM and app slot alone, before a build; the text as committed)

Validates the profiles, compiles the firmware's C for the ESP32-S3, reads and compiles what the manifest freezes,
measures a session with each board's limits, holds RAM and partitions against it, and prints the tables. A compiler for
the S3 that cannot be had is a skip with its reason, with --all (CI) a failure as everything else that is wrong: the
exit code is 1.

Figures marked ~ are estimates: the RAM that ESP-IDF takes and the text of MicroPython's own application (parts.json).
"""

import json
import sys
import time

from boards import compile_s3, frozen, gen, measure, rules
from build_tools import BUILD, BuildError

FOLDER = BUILD / "boards"
MEASURED = rules.HERE / "measured.json"  # of the last check with a compiler: for machines without one


def say(text):
    print(text, file=sys.stderr, flush=True)


class Report:
    def __init__(self):
        self.errors = self.warnings = self.skips = 0

    def findings(self, findings, path):
        for finding in findings:
            print(f"  {finding.severity}: {finding.text(gen.shown(path))}")
            is_error = finding.severity == "error"
            self.errors += is_error
            self.warnings += not is_error
        return not any(finding.severity == "error" for finding in findings)

    def error(self, text):
        print(f"  error: {text}")
        self.errors += 1

    def skip(self, text):
        print(f"  SKIPPED: {text}")
        self.skips += 1


def read_boards(names, report):
    """{name: (board, path)} of those that are sound; their files are generated."""
    found = {}
    for name in names:
        path = rules.find(name)
        board, findings = rules.load(path)
        if report.findings(findings, path):
            found[board["name"]] = (board, path)
            gen.write(board, gen.shown(path), FOLDER / board["name"])
    return found


def committed():
    return json.loads(MEASURED.read_text(encoding="utf-8"))


def app_bytes(board, text, frozen_bytes):
    return (rules.catalogue()[0][board["mcu"]]["app_base_kib"] << 10) + sum(text.values()) + frozen_bytes


def measure_text(esp32, report):
    """{part: bytes} for the flash, measured now if a compiler is there, else as it was committed."""
    try:
        parts, compiler = compile_s3.compile_all(esp32, lambda name: FOLDER / name, say)
    except compile_s3.MissingToolchain as error:
        report.skip(f"no compiler for the ESP32-S3: {error}")
        print(f"  text as measured before: {gen.shown(MEASURED)}")
        return committed()["text"]
    except BuildError as error:
        report.error(str(error))
        return committed()["text"]
    for name, (count, size) in parts.items():
        print(f"  {name:10} {count:4} file{'s' if count > 1 else ''}  {size:9,} bytes")
    print(f"  compiler: {compiler}, -Os; port once for each of {', '.join(esp32)}")
    return {name: size for name, (_, size) in parts.items()}


def measure_frozen(esp32, report):
    try:
        found = frozen.files(FOLDER / esp32[0], say)
        size = frozen.compile_all(found, say)
    except BuildError as error:
        report.error(str(error))
        return 0
    print(f"  {len(found)} files, all there, all compile: {size:,} bytes of .mpy")
    return size


def kib(size):
    return f"{size / 1024:.0f}"


def table(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  " + "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))))


def ram_table(sound, report):
    rows = []
    for name, (board, path) in sound.items():
        try:
            parts = measure.session_parts(board, say)
        except BuildError as error:
            report.error(str(error))
            continue
        report.findings(rules.check_ram(board, parts["total"]), path)
        use, limits = rules.memory(board, parts["total"]), board["limits"]
        session = [f"{(parts['total'] - parts['opus']) / 1024:.1f}", f"{parts['tls'] / 1024:.2f}",
                   f"{parts['opus'] / 1024:.1f}"]
        record = kib(parts["event"])
        if board["family"] != "esp32":
            rows.append([name, limits.get("remote_tracks", 2), *session, kib(use["rings"]),
                         kib(use["events"]), "-", record, "-", "-", "-", "-"])
            continue
        chip = rules.catalogue()[0][board["mcu"]]
        outside = sum(use[part] for part in ("session", "events", "heap"))
        inside = use["dma"] + use["stack"]
        room = (chip["ram_kib"] - chip["ram_system_kib"]) << 10
        spare = (board["psram_kib"] << 10) - outside if board["psram_kib"] else room - inside - outside
        rows.append([name, limits.get("remote_tracks", 2), *session, "-", kib(use["events"]),
                     kib(use["heap"]), record, kib(use["stack"]), kib(use["dma"]), kib(spare),
                     "~" + kib(room - inside)])
    table(["board, KiB of RAM", "tracks", "session", "TLS in it", "Opus", "rings", "events", "Python heap",
           "event in it", "loop stack", "DMA", "PSRAM free", "inside free"], rows)


def flash_table(sound, text, frozen_bytes, report):
    rows = []
    for name, (board, path) in sound.items():
        if board["family"] != "esp32":
            continue
        base = rules.catalogue()[0][board["mcu"]]["app_base_kib"] << 10
        app = app_bytes(board, text, frozen_bytes)
        report.findings(rules.check_flash(board, app), path)
        made = {row[0]: row[4] for row in rules.partitions(board)[0]}
        rows.append([name, board["flash_kib"], "~" + kib(base), kib(text["core"] + text["port"] + text["module"]),
                     kib(text["opus"]), kib(text["mbedtls"]), kib(text["nanopb"]),
                     kib(frozen_bytes), "~" + kib(app), kib(made["ota_0"]), f"{100 * (1 - app / made['ota_0']):.0f} %",
                     kib(made["vfs"])])
    table(["board, KiB of flash", "flash", "MicroPython", "Linnet", "Opus", "Mbed TLS", "nanopb", "frozen", "app",
           "slot, twice", "free", "files"], rows)


def does_fit(name):
    """Whether RAM and app slot hold a board, with a sentence for each that does not."""
    path, figures = rules.find(name), committed()
    board, findings = rules.load(path)
    found = [finding for finding in findings if finding.severity == "error"]
    if not found and board["family"] == "esp32":
        try:
            found = rules.check_ram(board, measure.session_bytes(board, say))
        except BuildError as error:
            say(f"error: {error}")
            return False
        found += rules.check_flash(board, app_bytes(board, figures["text"], figures["frozen"]))
    return gen.told(found, path)


def run(names, out_measured=None, is_all=False):
    began, report = time.monotonic(), Report()
    print(f"profiles: {', '.join(names)}")
    sound = read_boards(names, report)
    esp32 = [name for name, (board, _) in sound.items() if board["family"] == "esp32"]
    if esp32:
        print("C for the ESP32-S3:")
        text = measure_text(esp32, report)
        print("frozen manifest:")
        size = measure_frozen(esp32, report)
        if out_measured and not report.skips and not report.errors:
            out_measured.write_text(json.dumps({"text": text, "frozen": size}, indent=2) + "\n", encoding="utf-8")
    print("RAM (session without Opus' state, and that state: with this machine's pointers, so no more on the board):")
    ram_table(sound, report)
    if esp32:
        print("flash (text before the linker drops what nobody calls):")
        flash_table(sound, text, size, report)
    for name, (board, _) in sound.items():
        if board.get("untested"):
            print(f"untested: {name}: {board['untested']}")
    print(f"{len(sound)} boards, {report.errors} errors, {report.warnings} warnings, {report.skips} skipped, "
          f"{time.monotonic() - began:.0f} s")
    return 1 if report.errors or (is_all and report.skips) else 0


def main(argv):
    unknown = {name for name in argv if name.startswith("-")} - {"--measured", "--all", "--only-fit"}
    if unknown:
        say(f"{unknown.pop()} is no option of this check")
        return 2
    update = "--measured" in argv
    names = [name for name in argv if not name.startswith("-")] or rules.names()
    if "--only-fit" in argv:
        return 0 if all([does_fit(name) for name in names]) else 1
    return run(names, MEASURED if update else None, "--all" in argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
