# What test_wav.py runs on CPython and on MicroPython: reads each file named on the command line
# and writes one beside it, through firmware/wav.py. Prints what it saw.

import sys

sys.path.insert(0, sys.argv[1])

from linnet.errors import Refused  # noqa: E402
from wav import WavReader, WavWriter  # noqa: E402

PIECES = (6, 1000, 2, 4096, 30)  # bytes asked for at once, in turn


def read(path):
    reader = WavReader(path)
    said = b""
    turn = 0
    while not reader.is_over and turn < 100000:
        buf = bytearray(b"\xaa" * PIECES[turn % len(PIECES)])
        n = reader.read_into(buf)
        said += bytes(buf[:n])
        assert bytes(buf[n:]) == b"\xaa" * (len(buf) - n)
        turn += 1
    assert reader.read_into(bytearray(8)) == 0 and reader.trouble == ""
    return reader.rate, said


for path in sys.argv[2:]:
    name = path.split("/")[-1]
    try:
        rate, said = read(path)
    except Refused as error:
        print(name, error.code, error.cause.replace(path, "FILE"))
        continue
    total = 0
    for byte in said:
        total = (total * 31 + byte) % 1000003
    print(name, rate, len(said), total)
    writer = WavWriter(path + ".out", rate)
    for part in (said[:100], said[100:]):
        writer.write(memoryview(part))
        writer.close()
        writer.close()
    print(name, "trouble", writer.trouble)
