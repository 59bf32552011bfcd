"""WAV files as microphone and speaker, in virtual time."""

import array
import os
import wave

import pytest

from host_sim.audio import LOOP_RING_MS, DeviceAudio, PairAudio, WavAudio, read_wav
from linnet import port
from linnet.core_numbers import LOOP_FREE, LOOP_PACED, LOOP_SILENT
from linnet.errors import Refused


class Clock:
    def __init__(self):
        self.us = 0

    def __call__(self):
        return self.us


def samples(*values):
    return array.array("h", values).tobytes()


@pytest.mark.parametrize("adapter", [WavAudio(16000), DeviceAudio(16000), PairAudio(WavAudio(16000), WavAudio(16000))])
def test_every_adapter_keeps_the_contract(adapter):
    assert port.missing(adapter, port.Audio) == []


def test_two_channels_become_one_by_their_mean(write_wav):
    path = write_wav("a.wav", samples(100, 200, -100, -201), channels=2, rate=48000)
    assert read_wav(path) == (48000, samples(150, -151))


def test_a_file_cut_short_keeps_its_whole_samples(write_wav):
    path = write_wav("a.wav", samples(1, 2, 3, 4))
    os.truncate(path, 44 + 5)
    assert read_wav(path) == (16000, samples(1, 2))


def test_a_folder_is_no_wav(tmp_path):
    with pytest.raises(Refused) as caught:
        read_wav(tmp_path)
    assert caught.value.code == "file-missing"


def test_sound_becomes_due_with_time_and_whole_frames_only():
    clock = Clock()
    audio = WavAudio(8000, samples(*range(1, 241)), ticks_us=clock)
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


def test_a_file_that_waits_is_silent_until_it_begins():
    clock = Clock()
    audio = WavAudio(8000, samples(*[7] * 160), wait=True, ticks_us=clock)
    audio.start()
    frame = bytearray(2 * 160)
    clock.us = 20000
    audio.capture_into(frame)
    assert not any(frame) and not audio.finished
    audio.begin()
    clock.us = 40000
    audio.capture_into(frame)
    assert bytes(frame) == samples(*[7] * 160)


def test_what_the_speaker_got_is_in_the_file_with_its_silence(tmp_path):
    clock, path = Clock(), tmp_path / "o.wav"
    audio = WavAudio(8000, out=path, ticks_us=clock)
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


def test_the_speaker_takes_no_more_than_its_ring():
    clock = Clock()
    audio = WavAudio(8000, ticks_us=clock)
    audio.start()
    room = audio.play_room()
    audio.play(bytes(2 * room))
    assert audio.play_room() == 0
    clock.us = 20000
    assert audio.play_room() == 160


def test_a_full_disk_is_told_and_the_call_goes_on():
    audio = WavAudio(8000, out="/dev/full", ticks_us=Clock())
    audio.start()
    for _ in range(20):
        audio.play(bytes(8192))
    audio.stop()
    assert "No space left" in audio.trouble


def test_a_ring_is_filled_with_the_file_and_then_with_silence():
    audio = WavAudio(8000, samples(*range(1, 241)), wait=True)
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
    assert 8000 * LOOP_RING_MS // 1000 <= heard <= 8000


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
