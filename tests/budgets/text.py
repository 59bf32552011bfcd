"""Bytes of code and constants by module, from the section headers of the objects.

A module is what a file of csrc/ is named after: net/ice.c, net/ice_checks.c and so on are "ice". Read with
`size -A` of the target's own tools; Xtensa's literal pools stand beside the code and count as code. Debug text does
not count, and writable data is no budget: it is refused (tests/test_symbols.py).
"""

import subprocess
from collections import defaultdict

ALIASES = {"opus": "codec", "crc32c": "sctp", "media": "media_config", "linnet": "nanopb"}
# Not ours: totals of their own, outside of the aim for the core.
APART = ("opus", "mbedtls")
AIM = 80 * 1024  # bytes of code of everything else on the M33


def module_of(object_file):
    """net_ice_checks.o -> ice; linnet.pb.o -> nanopb; crypto_arena.o -> crypto."""
    parts = object_file.name.removesuffix(".o").split(".")[0].split("_")
    if parts[0] in ("net", "media", "proto") and len(parts) > 1:
        parts = parts[1:]
    if parts[:2] == ["media", "config"]:
        return "media_config"
    return ALIASES.get(parts[0], parts[0])


def sections(tools, files):
    """[(text, rodata)] of object files or archives, in order."""
    size = tools.ar.removesuffix("ar") + "size"
    result = []
    for file in files:
        done = subprocess.run([size, "-A", str(file)], capture_output=True, text=True, check=True)
        text = rodata = 0
        for line in done.stdout.splitlines():
            parts = line.split()
            if len(parts) == 3 and parts[1].isdigit():
                if parts[0].startswith((".text", ".literal")):
                    text += int(parts[1])
                elif parts[0].startswith((".rodata", ".srodata")):
                    rodata += int(parts[1])
        result.append((text, rodata))
    return result


def measure(tools):
    """{"stun text": bytes, "stun rodata": ...}, with "core" for all of ours and what serves it."""
    modules = defaultdict(lambda: [0, 0])
    objects = tools.core_objects()
    archives = {name: tools.third_party_archive(name) for name in ("opus", "mbedtls", "nanopb")}
    names = [module_of(file) for file in objects] + list(archives)
    for name, (text, rodata) in zip(names, sections(tools, [*objects, *archives.values()]), strict=True):
        modules[name][0] += text
        modules[name][1] += rodata
    core = [sum(pair[i] for name, pair in modules.items() if name not in APART) for i in (0, 1)]
    modules["core"] = core
    return {f"{name} {kind}": value for name, pair in modules.items() for kind, value in
            zip(("text", "rodata"), pair, strict=True) if value}
