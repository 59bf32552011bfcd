"""firmware/wav.py on both interpreters: what is a WAV, what is not, and what is written."""

import array
import os
import struct
import subprocess
import sys
import wave

import pytest
from linnet.errors import Refused
from wav import WavReader, WavWriter

from tests.host_sim.conftest import REPO, SENTENCE
from tests.host_sim.test_main_unix import micropython, micropython_binary  # noqa: F401  (fixtures)

CASES = REPO / "tests" / "host_sim" / "wav_cases.py"
FIRMWARE = REPO / "firmware"
PCM = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)


def samples(*values):
    return array.array("h", values).tobytes()


def chunk(name, data, length=None):
    return name + struct.pack("<I", len(data) if length is None else length) + data


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def described(channels=1, rate=16000, bits=16, kind=1):
    return struct.pack("<HHIIHH", kind, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)


TWO = samples(1, 2)
LONG = struct.pack("<HHI", 22, 16, 4) + b"\x01\x00" + bytes(14)  # of WAVE_FORMAT_EXTENSIBLE
LONG_FLOAT = LONG[:8] + b"\x03" + LONG[9:]
GOOD = {
    "plain": (riff(chunk(b"fmt ", PCM), chunk(b"data", TWO)), TWO),
    "two channels": (riff(chunk(b"fmt ", described(2)), chunk(b"data", samples(100, 200, -100, -201, 7, 8))),
                     samples(150, -151, 7)),
    "at length": (riff(chunk(b"fmt ", described(kind=0xFFFE) + LONG), chunk(b"data", TWO)), TWO),
    "a word more": (riff(chunk(b"fmt ", PCM + b"\0\0"), chunk(b"data", TWO)), TWO),
    "an odd chunk before": (riff(chunk(b"LIST", b"abc") + b"\0", chunk(b"fmt ", PCM), chunk(b"data", TWO)), TWO),
    "a chunk after": (riff(chunk(b"fmt ", PCM), chunk(b"data", TWO), chunk(b"LIST", b"abcd")), TWO),
    "cut short": (riff(chunk(b"fmt ", PCM), chunk(b"data", samples(1, 2, 3, 4)))[: 44 + 5], TWO),
    "two channels cut short": (riff(chunk(b"fmt ", described(2)), chunk(b"data", samples(2, 4, 6, 8)))[: 44 + 7],
                               samples(3)),
    "without an end": (riff(chunk(b"fmt ", PCM), chunk(b"data", TWO, 0xFFFFFFFF)), TWO),
    "longer than a piece": (riff(chunk(b"fmt ", described(2, 48000)), chunk(b"data", samples(*range(9000)))),
                            samples(*range(0, 9000, 2))),
}
BAD = {
    "nothing": (b"", "does not begin with RIFF and WAVE"),
    "text": (b"hello, I am no sound at all", "does not begin with RIFF and WAVE"),
    "an AVI": (b"RIFF\0\0\0\0AVI fmt ", "does not begin with RIFF and WAVE"),
    "only a head": (riff(), "it ends too early"),
    "half a format": (riff(chunk(b"fmt ", PCM))[:30], "it ends too early"),
    "no data": (riff(chunk(b"fmt ", PCM)), "it ends too early"),
    "no format": (riff(chunk(b"data", TWO)), "its format is missing"),
    "a chunk past the end": (riff(chunk(b"LIST", b"", 0xFFFFFFFE), chunk(b"fmt ", PCM), chunk(b"data", TWO)),
                             "it ends too early"),
    "a format without an end": (riff(chunk(b"fmt ", PCM, 0xFFFFFFFF), chunk(b"data", TWO)), "it ends too early"),
    "float": (riff(chunk(b"fmt ", described(kind=3)), chunk(b"data", TWO)), "its format is 3"),
    "float at length": (riff(chunk(b"fmt ", described(kind=0xFFFE) + LONG_FLOAT), chunk(b"data", TWO)),
                        "its format is 65534"),
    "24 bits": (riff(chunk(b"fmt ", described(bits=24)), chunk(b"data", bytes(6))), "has 24-bit samples"),
    "three channels": (riff(chunk(b"fmt ", described(3)), chunk(b"data", bytes(6))), "has 3 channels"),
    "no channel": (riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, 16000, 0, 0, 16)), chunk(b"data", TWO)),
                   "has 0 channels"),
    "an odd rate": (riff(chunk(b"fmt ", described(rate=12345)), chunk(b"data", TWO)), "has 12345 samples a second"),
    "no sound": (riff(chunk(b"fmt ", PCM), chunk(b"data", b"")), "holds no sound"),
    "half a sample": (riff(chunk(b"fmt ", PCM), chunk(b"data", b"\1")), "holds no sound"),
    "cut at its sound": (riff(chunk(b"fmt ", PCM), chunk(b"data", TWO))[:44], "holds no sound"),
}


def all_of(reader):
    said = bytearray(1 << 16)
    return bytes(said[: reader.read_into(said)])


@pytest.fixture
def write(tmp_path):
    def write(data, name="a.wav"):
        path = tmp_path / name
        path.write_bytes(data)
        return path
    return write


@pytest.mark.parametrize("name", GOOD)
def test_what_is_16_bit_pcm_is_read(write, name):
    data, said = GOOD[name]
    reader = WavReader(write(data))
    assert all_of(reader) == said and reader.is_over and reader.trouble == ""


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_16_bit_pcm_is_told_with_the_cause(write, name):
    data, words = BAD[name]
    with pytest.raises(Refused) as caught:
        WavReader(write(data))
    assert caught.value.code == "wav-format" and words in caught.value.cause and "16-bit PCM" in str(caught.value)


def test_a_folder_and_a_file_that_is_not_there_are_told_apart(tmp_path):
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "none.wav", "No such file")):
        with pytest.raises(Refused) as caught:
            WavReader(path)
        assert caught.value.code == "file-missing" and words in caught.value.cause


def test_a_pipe_is_read_as_its_header_says():
    reading, writing = os.pipe()
    os.write(writing, GOOD["an odd chunk before"][0])
    os.close(writing)
    assert all_of(WavReader(f"/dev/fd/{reading}")) == TWO
    os.close(reading)


def test_a_file_that_breaks_while_it_is_read_is_told(write, tmp_path):
    reader = WavReader(write(GOOD["plain"][0]))
    other = os.open(tmp_path, os.O_RDONLY)
    os.dup2(other, reader._file.fileno())  # what was a file cannot be read any more
    os.close(other)
    assert reader.read_into(bytearray(8)) == 0 and reader.is_over
    assert "a.wav was not read to its end: Is a directory" in reader.trouble


def test_what_is_written_in_two_calls_is_one_file(tmp_path):
    path = tmp_path / "o.wav"
    writer = WavWriter(path, 8000)
    for part in (samples(1, 2), samples(3)):
        writer.write(part)
        writer.close()
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.readframes(99)) == (8000, 1, samples(1, 2, 3))


def test_a_file_that_was_never_closed_is_still_a_wav(tmp_path):
    writer = WavWriter(tmp_path / "o.wav", 8000)
    writer.write(samples(5))
    with wave.open(str(tmp_path / "o.wav")) as file:
        assert file.getframerate() == 8000
    writer.close()


def test_a_recording_ends_where_a_wav_can_hold_no_more(tmp_path):
    path = tmp_path / "o.wav"
    writer = WavWriter(path, 48000)
    writer._bytes = 0xFFFFFFFF - 36 - 3
    writer.write(samples(1))
    assert writer.trouble == ""
    writer.write(samples(2))
    assert "4 GiB" in writer.trouble
    writer.close()
    head = path.read_bytes()[:44]
    assert struct.unpack("<I", head[4:8])[0] == 0xFFFFFFFE and struct.unpack("<I", head[40:])[0] == 0xFFFFFFFE - 36


def test_micropython_reads_and_writes_the_same(write, micropython, tmp_path):  # noqa: F811
    paths = [write(data, name.replace(" ", "_")) for name, (data, _) in {**GOOD, **BAD}.items()]
    paths += [write(SENTENCE.read_bytes(), "sentence"), tmp_path / "none", tmp_path]

    def written():
        files = {file.name: file.read_bytes() for file in tmp_path.glob("*.out")}
        for name in files:
            (tmp_path / name).unlink()
        return files

    here = subprocess.run([sys.executable, CASES, FIRMWARE, *paths], capture_output=True, text=True, timeout=60)
    assert here.returncode == 0, here.stderr
    here_written = written()
    there = micropython(CASES, FIRMWARE, *paths)
    assert there.stdout.splitlines() == here.stdout.splitlines()
    assert written() == here_written and len(here_written) == len(GOOD) + 1
    with wave.open(str(SENTENCE)) as file:
        assert here_written["sentence.out"][44:] == file.readframes(file.getnframes())
