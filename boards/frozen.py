"""What the ESP32 firmware freezes: its manifest, read by MicroPython's own tool and compiled by mpy-cross."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from boards import rules

sys.path.insert(0, str(rules.REPO / "csrc" / "bind"))

import micropython_build  # noqa: E402
from build_tools import BUILD, BuildError, fetch  # noqa: E402

MANIFEST = rules.HERE / "esp32" / "linnet_s3" / "manifest.py"
FOLDER = BUILD / "boards" / "frozen"


def files(board_folder, say):
    """[(path here, path on the device)] that the manifest names. BuildError if one is missing."""
    tree = micropython_build.source_tree()
    sys.path.insert(0, str(tree / "tools"))
    import manifestfile
    sys.path.pop(0)

    os.environ["LINNET_OUT"] = str(board_folder)
    reader = manifestfile.ManifestFile(manifestfile.MODE_FREEZE, {
        "MPY_DIR": str(tree), "PORT_DIR": str(tree / "ports" / "esp32"), "BOARD_DIR": str(MANIFEST.parent),
        "MPY_LIB_DIR": str(micropython_build.lib_folder())})
    try:
        reader.execute(str(MANIFEST))
    except (manifestfile.ManifestFileError, OSError) as error:
        raise BuildError(f"{MANIFEST.relative_to(rules.REPO)}: {error}") from None
    return [(entry.full_path, entry.target_path) for entry in reader.files()]


def compile_all(found, say):
    """Bytes of all .mpy together. BuildError with mpy-cross's words for the first file that does not compile."""
    out = micropython_build.out_folder()
    out.mkdir(parents=True, exist_ok=True)
    with fetch.locked(out / ".lock"):
        cross = micropython_build.build_mpy_cross(micropython_build.source_tree(), out)
    FOLDER.mkdir(parents=True, exist_ok=True)

    def one(pair):
        source, target = pair
        made = FOLDER / target.replace("/", "_").replace(".py", ".mpy")
        command = [str(cross), "-march=xtensawin", "-s", target, "-o", str(made), source]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"{source} is no MicroPython: {done.stderr.strip().splitlines()[-1]}")
        return made.stat().st_size

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(one, found))
