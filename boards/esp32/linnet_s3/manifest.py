# ruff: noqa: F821  (the names are those of MicroPython's manifest language)
# What is frozen into the firmware of an ESP32 board: MicroPython's own start-up, the client with its
# apps and drivers, and board.py, which boards/gen.py made in LINNET_OUT.
import os

freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
include("$(BOARD_DIR)/../../../firmware/manifest.py")
freeze(os.environ["LINNET_OUT"], "board.py")
