"""One border: what linnet.h and loop.h declare, what core.py calls, and what cffi's view and MicroPython's module offer
are the same names."""

import re
from pathlib import Path

import host_sim.native as native
from linnet import core

ROOT = Path(__file__).resolve().parent.parent
HEADER = (ROOT / "csrc/include/linnet.h").read_text()
LOOP_HEADER = (ROOT / "csrc/port/loop.h").read_text()
MODULE = (ROOT / "csrc/bind/modlinnet.c").read_text()

# linnet_session_at gives C the pointer that a binding keeps inside its handle: no binding shows it.
INTERNAL = {"session_at"}


def declared_functions(headers=(HEADER, LOOP_HEADER)):
    found = set()
    for header in headers:
        text = header[header.index("[ffi-begin]") : header.index("[ffi-end]")]
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        found |= set(re.findall(r"\blinnet_(\w+)\s*\(", text))
    return found


def declared_enums():
    found = {}
    for body in re.findall(r"enum linnet_\w+ \{(.*?)\};", HEADER + LOOP_HEADER, re.S):
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
        found.update({name: int(value) for name, value in re.findall(r"LINNET_(\w+) = (-?\d+)", body)})
    return found


def offered():
    things = {name: thing for name, thing in vars(native).items() if not name.startswith("_")}
    return {name for name, thing in things.items() if getattr(thing, "__module__", "") == native.__name__}


def test_the_cffi_view_offers_exactly_the_functions_of_the_header():
    assert offered() == declared_functions() - INTERNAL


def micropython_names(text):
    """name -> C function that is called for it, of the module's table."""
    table = text[text.index("globals_table[] = {") :]
    rows = re.findall(r"MP_QSTR_(\w+)\), MP_ROM_PTR\(&(\w+)_obj\)", table)
    return {name: re.search(rf"{symbol}_obj,(?: \d,)* (\w+)\);", text)[1] for name, symbol in rows}


def test_the_micropython_module_offers_exactly_the_functions_of_the_headers():
    names = micropython_names(MODULE)
    assert set(names) == declared_functions() - INTERNAL == offered()
    loop = MODULE.split("#ifdef LINNET_MEDIA_LOOP\n\n", 1)[1]  # the part that a port without threads lacks
    assert declared_functions((LOOP_HEADER,)) == {name for name, function in names.items() if f" {function}(" in loop}
    for name, function in names.items():
        body = re.search(rf"static mp_obj_t {function}\(.*?^}}", MODULE, re.S | re.M)[0]
        assert f"linnet_{name}(" in body, f"{name} calls something else"


def test_what_cpython_alone_has_is_one_callback_and_no_name_of_the_module():
    """A C function for a C library's thread, csrc/bind/portaudio.h: nothing that a program calls."""
    header = (ROOT / "csrc/bind/portaudio.h").read_text()
    functions = {name for name in dir(native.lib) if name.startswith("linnet_")}
    names = {"linnet_" + name for name in declared_functions()}
    assert functions - names == {"linnet_" + name for name in declared_functions((header,))} == {
        "linnet_portaudio_callback"}
    assert "portaudio" not in MODULE + HEADER + LOOP_HEADER


def test_core_uses_only_functions_of_the_header():
    used = set(re.findall(r"\bnative\.(\w+)\(", (ROOT / "firmware/linnet/core.py").read_text()))
    assert used <= declared_functions()
    assert used >= declared_functions() - INTERNAL - {"pb_decode", "pb_encode", "loop_close_all"}


def test_every_number_of_the_header_has_the_same_value_in_core():
    enums = declared_enums()
    assert len(enums) > 40
    for prefix, strip in (("IN_", ""), ("ERR_", ""), ("OUT_", "OUT_"), ("STATE_", "STATE_"), ("LAYER_", "LAYER_"),
                          ("LOOP_", "")):
        for name, value in enums.items():
            if name.startswith(prefix):
                assert getattr(core, name.removeprefix(strip)) == value, name


def test_the_compiled_module_agrees_with_the_header():
    for name, value in declared_enums().items():
        assert getattr(native.lib, "LINNET_" + name) == value, name


def test_statistics_have_as_many_names_as_words():
    session = core.Session(bytes(range(48)))
    words = bytearray(4096)
    assert native.stats(session._s, -1, words) == 8 * len(core.SESSION_STATS)
    assert native.stats(session._s, 0, words) == 8 * len(core.TRACK_STATS)
    loop = core.Loop(bytes(range(48)))
    assert native.loop_stats(loop._handle, -2, words) == 8 * len(core.LOOP_STATS)
    loop.wipe()


def test_the_public_header_is_short_enough_to_read():
    assert len(HEADER.splitlines()) <= 150
