"""fetch.py keeps its promises: the order of places, the hash above all, and a reason for every failure.

Nothing here leaves the machine: mirrors and releases are folders reached as file: addresses.
"""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "csrc" / "third_party"))

import fetch  # noqa: E402


def make_archive(path, version="1.0", proof="include/song.h"):
    """A source archive like a distribution's: one top folder. Returns its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = f"version {version}\n".encode()
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(f"song-{version}/{proof}")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    return hashlib.sha256(path.read_bytes()).hexdigest()


class World:
    """A machine with one mirror, one release server, a cache and a versions.toml of two pins."""

    def __init__(self, folder):
        self.folder = folder
        self.pool = folder / "mirror" / "pool" / "main" / "s" / "song"
        self.release = folder / "release"
        self.apt = folder / "apt"
        self.said = []
        self.env = {"LINNET_CACHE": str(folder / "cache")}
        self.new = make_archive(self.pool / "song_2.0.orig.tar.gz", "2.0")
        self.old = make_archive(self.pool / "song_1.0.orig.tar.gz", "1.0")
        make_archive(self.release / "song-2.0.tar.gz", "2.0")
        (self.release / "song-2.0.tar.gz").write_bytes((self.pool / "song_2.0.orig.tar.gz").read_bytes())
        self.set_mirrors(f"deb file:{folder}/mirror stable main")
        self.versions = folder / "versions.toml"
        self.versions.write_text(f"""
[song]
env = "SONG_DIR"
proof = "include/song.h"
pool = "s/song"
[[song.pin]]
version = "2.0"
file = "song_2.0.orig.tar.gz"
bytes = 200
sha256 = "{self.new}"
url = "file:{self.release}/song-2.0.tar.gz"
[[song.pin]]
version = "1.0"
file = "song_1.0.orig.tar.gz"
bytes = 200
sha256 = "{self.old}"
""")

    def set_mirrors(self, text):
        self.apt.mkdir(exist_ok=True)
        (self.apt / "sources.list").write_text(text + "\n")

    def fetcher(self):
        self.said.clear()
        return fetch.Fetcher(self.versions, self.env, self.apt, self.said.append)

    def get(self):
        return (self.fetcher().source_dir("song") / "include" / "song.h").read_text()

    def log(self):
        return "\n".join(self.said)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_the_environment_variable_wins_over_everything(world):
    world.get()
    tree = world.folder / "mine"
    (tree / "include").mkdir(parents=True)
    (tree / "include" / "song.h").write_text("mine\n")
    world.env["SONG_DIR"] = str(tree)
    assert world.get() == "mine\n"
    assert world.log() == f"song: using {tree} (from SONG_DIR)"


def test_an_environment_variable_that_names_a_wrong_folder_is_an_error_with_its_cure(world):
    world.env["SONG_DIR"] = str(world.folder)
    with pytest.raises(fetch.FetchError, match=r"SONG_DIR=.* has no include/song.h.*song 2\.0.*or unset it"):
        world.get()


def test_the_distribution_comes_before_the_release_and_the_line_says_why(world):
    assert world.get() == "version 2.0\n"
    assert "using 2.0 from distribution, because environment: SONG_DIR is not set; cache: nothing pinned" in world.log()
    assert "release" not in world.log()


def test_the_cache_is_used_when_every_other_place_is_gone(world):
    world.get()
    world.set_mirrors("")
    (world.release / "song-2.0.tar.gz").unlink()
    assert world.get() == "version 2.0\n"
    assert "from the cache" in world.log() and "downloading" not in world.log()


def test_an_archive_in_the_cache_is_unpacked_without_a_download(world):
    archives = world.folder / "cache" / "archives"
    archives.mkdir(parents=True)
    (world.pool / "song_1.0.orig.tar.gz").rename(archives / "song_1.0.orig.tar.gz")
    assert world.get() == "version 1.0\n"
    assert "downloading" not in world.log()


def test_an_archive_with_another_hash_is_refused_and_the_next_place_is_asked(world):
    make_archive(world.pool / "song_2.0.orig.tar.gz", "2.0-evil")
    got = fetch.sha256_of(world.pool / "song_2.0.orig.tar.gz")
    (world.pool / "song_1.0.orig.tar.gz").unlink()
    assert world.get() == "version 2.0\n"
    assert "distribution failed: hash mismatch, refused" in world.log()
    assert f"has sha256 {got}, pinned is {world.new}" in world.log()
    assert "using 2.0 from release" in world.log()


def test_a_refused_archive_leaves_nothing_behind(world):
    for path in (world.pool / "song_2.0.orig.tar.gz", world.release / "song-2.0.tar.gz"):
        make_archive(path, "2.0-evil")
    (world.pool / "song_1.0.orig.tar.gz").unlink()
    with pytest.raises(fetch.FetchError):
        world.get()
    assert list((world.folder / "cache" / "archives").iterdir()) == []
    assert not (world.folder / "cache" / "src").exists()


def test_a_damaged_archive_in_the_cache_is_fetched_anew(world):
    archive = world.folder / "cache" / "archives" / "song_2.0.orig.tar.gz"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"half a file")
    assert world.get() == "version 2.0\n"
    assert "hash mismatch" in world.log() and "fetching it anew" in world.log()


def test_an_older_pin_serves_when_the_distribution_has_dropped_the_newer(world):
    (world.pool / "song_2.0.orig.tar.gz").unlink()
    (world.release / "song-2.0.tar.gz").unlink()
    assert world.get() == "version 1.0\n"


def test_a_version_may_be_asked_for_by_name(world):
    assert world.fetcher().source_dir("song", "1.0").name.startswith("song-1.0")
    assert world.get() == "version 1.0\n", "any pinned version that is there will do"
    tree = world.fetcher().source_dir("song", "2.0")
    assert (tree / "include" / "song.h").read_text() == "version 2.0\n"


def test_a_version_that_is_not_pinned_is_an_error_that_names_those_that_are(world):
    with pytest.raises(fetch.FetchError, match=r"version 3\.0 is not pinned; there are 2\.0, 1\.0\..*SONG_DIR"):
        world.fetcher().source_dir("song", "3.0")


def test_a_release_archive_may_have_a_hash_of_its_own(world):
    repacked = make_archive(world.release / "song-2.0.tar.gz", "2.0-repacked")
    text = world.versions.read_text().replace('song-2.0.tar.gz"', f'song-2.0.tar.gz"\nurl_sha256 = "{repacked}"')
    world.versions.write_text(text)
    world.set_mirrors("")
    assert world.get() == "version 2.0-repacked\n"
    (world.release / "song-2.0.tar.gz").unlink()
    for tree in (world.folder / "cache" / "src").iterdir():
        tree.rename(world.folder / "gone")
    assert world.get() == "version 2.0-repacked\n", "the cached archive has the other hash and is right"


def test_when_no_place_has_it_every_reason_is_told_in_order_and_so_is_the_cure(world):
    for path in (*world.pool.iterdir(), *world.release.iterdir()):
        path.unlink()
    with pytest.raises(fetch.FetchError) as caught:
        world.get()
    places = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:-1]]
    assert list(dict.fromkeys(places)) == ["environment", "cache", "distribution", "release"]
    assert "set SONG_DIR" in str(caught.value) and "song_2.0.orig.tar.gz into" in str(caught.value)


def test_a_machine_without_package_mirrors_goes_on_to_the_release(world):
    world.set_mirrors("# nothing\ndeb cdrom:[disc]/ stable main")
    assert world.get() == "version 2.0\n"
    assert "no package mirror found" in world.log() and "using 2.0 from release" in world.log()


def test_an_archive_that_holds_something_else_is_refused(world):
    digest = make_archive(world.pool / "song_2.0.orig.tar.gz", "2.0", proof="README")
    world.versions.write_text(world.versions.read_text().replace(world.new, digest))
    with pytest.raises(fetch.FetchError, match="does not hold one folder with include/song.h"):
        world.get()


def test_processes_that_fetch_at_once_download_once_and_agree(world):
    # The download is made slow, so that without the lock all four would be in it together.
    script = (f"import sys, time; sys.path.insert(0, {str(fetch.HERE)!r}); import fetch; quick = fetch.download\n"
              f"fetch.download = lambda url, target: (time.sleep(0.5), quick(url, target))\n"
              f"print(fetch.Fetcher({str(world.versions)!r}, {world.env!r}, {str(world.apt)!r}).source_dir('song'))")
    runs = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(4)]
    results = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, results
    assert len({out for out, _ in results}) == 1
    assert sum("downloading" in err for _, err in results) == 1
    leftovers = [path for path in (world.folder / "cache").rglob(".part-*")]
    assert leftovers == []


@pytest.mark.parametrize("env, expected", [
    ({"LINNET_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
    ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/linnet"),
])
def test_the_cache_folder_follows_the_environment(env, expected):
    assert fetch.cache_dir(env) == Path(expected)


def test_an_empty_home_gets_a_cache_and_an_unwritable_one_falls_back_to_build(tmp_path):
    assert fetch.cache_dir({"HOME": str(tmp_path)}) == tmp_path / ".cache" / "linnet"
    (tmp_path / "file").write_text("no folder")
    assert fetch.cache_dir({"HOME": str(tmp_path / "file")}) == ROOT / "build" / "cache"


def test_mirrors_are_read_from_both_formats_of_apt_in_order_and_once(tmp_path):
    (tmp_path / "sources.list").write_text(
        "# deb http://commented.example/debian x main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian/ stable main\n"
        "deb-src http://one.example/debian stable main\ndeb cdrom:[x]/ stable main\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a.sources").write_text(
        "Types: deb\nURIs: https://two.example/debian\n http://three.example/debian\nSuites: stable\n\n"
        "Types: deb\nURIs: http://one.example/debian\nSuites: other\n")
    assert fetch.apt_mirrors(tmp_path) == [
        "http://one.example/debian", "https://two.example/debian", "http://three.example/debian"]


def test_every_pin_of_the_project_is_complete():
    table = tomllib.loads(fetch.VERSIONS.read_text())
    assert set(table) == {"opus", "mbedtls", "nanopb", "speexdsp", "micropython"}
    for name, entry in table.items():
        assert entry["env"] == {"micropython": "MPY_DIR"}.get(name, name.upper() + "_DIR")
        assert entry["pool"].endswith("/" + name)
        assert "url" in entry["pin"][0], f"{name}: the first pin names the project's own release"
        for pin in entry["pin"]:
            assert re.fullmatch(r"[0-9a-f]{64}", pin["sha256"]) and pin["version"] in pin["file"]
            assert pin["bytes"] > 100_000


def test_the_nanopb_runtime_and_generator_are_of_one_version():
    pins = tomllib.loads(fetch.VERSIONS.read_text())["nanopb"]["pin"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["build"]
    assert {f"nanopb=={pin['version']}" for pin in pins} == {req for req in build if req.startswith("nanopb")}
