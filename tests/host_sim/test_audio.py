"""WAV files as microphone and speaker, in virtual time, and what stands for both of a machine."""

import array
import wave

import pytest
import wav

from host_sim.audio import DeviceAudio, PairAudio, WavAudio, read_wav
from linnet import port
from linnet.core_numbers import LOOP_FREE, LOOP_PACED, LOOP_SILENT
from linnet.errors import Refused


@pytest.fixture
def clock(monkeypatch):
    """clock.us is the time that WAV files see."""
    class Clock:
        us = 0

    monkeypatch.setattr(wav, "ticks_us", lambda: Clock.us)
    return Clock


def samples(*values):
    return array.array("h", values).tobytes()


@pytest.fixture
def file_of(write_wav):
    """file_of(1, 2) gives what WavAudio speaks of a file with these samples."""
    return lambda *values: read_wav(write_wav("spoken.wav", samples(*values), rate=8000))[1]


@pytest.mark.parametrize("adapter", [WavAudio(16000), DeviceAudio(16000), PairAudio(WavAudio(16000), WavAudio(16000))])
def test_every_adapter_keeps_the_contract(adapter):
    assert port.missing(adapter, port.Audio) == []


def test_sound_becomes_due_with_time_and_whole_frames_only(clock, file_of):
    audio = WavAudio(8000, file_of(*range(1, 241)))
    audio.start()
    frame = bytearray(2 * 160)
    assert audio.capture_into(frame) == 0
    clock.us = 20000
    assert audio.capture_into(frame) == 160
    assert bytes(frame) == samples(*range(1, 161))
    clock.us = 40000
    assert audio.capture_into(frame) == 160
    assert bytes(frame) == samples(*range(161, 241)) + bytes(160)
    assert audio.finished


def test_a_file_that_waits_is_silent_until_it_begins(clock, file_of):
    audio = WavAudio(8000, file_of(*[7] * 160), wait=True)
    audio.start()
    frame = bytearray(2 * 160)
    clock.us = 20000
    audio.capture_into(frame)
    assert not any(frame) and not audio.finished
    audio.begin()
    clock.us = 40000
    audio.capture_into(frame)
    assert bytes(frame) == samples(*[7] * 160)


def test_what_the_speaker_got_is_in_the_file_with_its_silence(clock, tmp_path):
    path = tmp_path / "o.wav"
    audio = WavAudio(8000, out=path)
    audio.check()
    audio.start()
    audio.play(samples(1, 2))
    clock.us = 1000  # 8 samples: 6 of them the device had to make up
    audio.play_room()
    audio.play(samples(3))
    audio.stop()
    with wave.open(str(path)) as file:
        assert file.readframes(99) == samples(1, 2, 0, 0, 0, 0, 0, 0, 3)
    assert audio.underruns == 1 and audio.trouble == ""


def test_the_speaker_takes_no_more_than_its_ring(clock):
    audio = WavAudio(8000)
    audio.start()
    room = audio.play_room()
    audio.play(bytes(2 * room))
    assert audio.play_room() == 0
    clock.us = 20000
    assert audio.play_room() == 160


def test_a_full_disk_is_told_and_the_call_goes_on(clock):
    audio = WavAudio(8000, out="/dev/full")
    audio.start()
    for _ in range(20):
        audio.play(bytes(8192))
    audio.stop()
    assert "No space left" in audio.trouble


def test_a_ring_is_filled_with_the_file_and_then_with_silence(file_of):
    audio = WavAudio(8000, file_of(*range(1, 241)), wait=True)
    audio.loop_start(None)
    frame = bytearray(2 * 160)
    audio.ring_fill(frame)
    assert not any(frame) and not audio.finished
    audio.begin()
    audio.ring_fill(frame)
    assert bytes(frame) == samples(*range(1, 161))
    audio.ring_fill(frame)
    assert bytes(frame) == samples(*range(161, 241)) + bytes(160)
    heard = 0
    while not audio.finished:  # what was filled is heard only after what is in the ring
        audio.ring_fill(frame)
        heard += 160
        assert not any(frame)
    assert 8000 * wav.LOOP_RING_MS // 1000 <= heard <= 8000


def test_what_a_ring_heard_is_the_file_written(tmp_path):
    path = tmp_path / "o.wav"
    audio = WavAudio(8000, out=path)
    audio.loop_start(None)
    audio.ring_heard(memoryview(samples(1, 2, 3)))
    audio.ring_heard(memoryview(samples(4)))
    audio.loop_stop()
    audio.loop_stop()
    with wave.open(str(path)) as file:
        assert file.readframes(99) == samples(1, 2, 3, 4)


def test_a_second_call_is_heard_in_the_same_file(tmp_path):
    path = tmp_path / "o.wav"
    audio = WavAudio(8000, out=path)
    for value in (1, 2):
        audio.loop_start(None)
        audio.ring_heard(samples(value))
        audio.loop_stop()
    with wave.open(str(path)) as file:
        assert file.readframes(99) == samples(1, 2)


def test_the_file_that_is_spoken_is_not_overwritten(write_wav, tmp_path):
    path = write_wav("a.wav", samples(1, 2))
    (tmp_path / "link.wav").symlink_to(path)
    before = path.read_bytes()
    for out in (path, str(path), tmp_path / "link.wav"):
        with pytest.raises(Refused) as caught:
            WavAudio(16000, read_wav(path)[1], out=out).check()
        assert caught.value.code == "file-missing" and "it is the file that is spoken" in caught.value.cause
    assert path.read_bytes() == before


def test_a_pair_may_have_a_file_on_one_side_and_a_device_on_the_other():
    file, device = WavAudio(16000), DeviceAudio(16000, microphone=False)
    pair = PairAudio(file, device)
    assert (pair.loop_sound, pair.loop_speaker_sound) == (LOOP_PACED, LOOP_FREE)
    assert pair.ring_fill == file.ring_fill
    pair = PairAudio(DeviceAudio(16000, speaker=False), file)
    assert (pair.loop_sound, pair.loop_speaker_sound) == (LOOP_FREE, LOOP_PACED)
    assert pair.ring_heard == file.ring_heard
    assert device.loop_sound == LOOP_SILENT


def test_a_pair_gives_up_both_when_one_does_not_open(tmp_path):
    microphone = WavAudio(8000, out=tmp_path / "mic.wav")
    speaker = WavAudio(8000, out=tmp_path / "not there" / "o.wav")
    pair = PairAudio(microphone, speaker)
    with pytest.raises(Refused):
        pair.start()
    assert microphone.capture_into(bytearray(2)) == 0
