"""Scenarios: two cores, or a core and a room, on one virtual clock. Nothing here sleeps or opens a socket."""

import host_sim.native  # noqa: F401  (makes the core importable for every module of this folder)
