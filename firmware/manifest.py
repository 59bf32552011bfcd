# ruff: noqa: F821  (the names are those of MicroPython's manifest language)
# What is frozen into a firmware: the client, its apps, and the program of the device. A board's own
# manifest adds MicroPython's asyncio, the drivers and board.py; main_unix.py is for the unix port.
package("linnet", base_path=".")
package("apps", base_path=".")
package("drivers", base_path=".")
for name in (
    "port_mpy.py", "port_udp.py", "os_error.py", "journal.py", "words.py", "run_app.py", "wav.py", "boot.py", "main.py",
):
    module(name, base_path=".")
if options.unix:
    for name in ("port_unix.py", "command_line.py", "exits.py", "board_file.py", "run_setup.py", "main_unix.py"):
        module(name, base_path=".")
else:
    for name in ("port_esp32.py", "main_board.py"):
        module(name, base_path=".")
