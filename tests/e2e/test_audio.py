"""Sound of a call, judged by what the codec alone costs: both directions, every device rate, a long call, a mix.

The other side is LiveKit's own SDK. The lead-in of half a second keeps the first second, in which playout buffers
settle, out of the judgement.
"""

import asyncio
import time

import numpy as np
import pytest

from host_sim.demo_agent import ANSWER
from tests import audio_quality as quality
from tests.e2e.peers import RATE

BADGE = ANSWER.with_name("badge_sentence.wav")
SHARE_OF_CEILING = 0.95
LEAD_IN_S = 0.5
COMPLEXITY = 5                  # the core's default (linnet.h); its bit rate: 24 kbit/s up to 16 kHz, else 32
LONG_CALL_S = 60


def codec_rate(rate):
    """The rate at which a device's Opus encoder runs: the next one up that Opus knows."""
    return next(one for one in (8000, 12000, 16000, 24000, 48000) if one >= rate)


async def linnet_speaks(badge, ann, path, seconds=None):
    """(Score of what the wheel heard, ceiling of our encoder's settings, holes in it)."""
    rate = badge.audio.rate
    sentence, _ = quality.load_wav(path, rate)
    sentence = sentence[:int(seconds * rate)] if seconds else sentence
    recording = await ann.wait_for_track(badge.identity)
    started, _ = await badge.say(sentence, rate, lead_in_s=LEAD_IN_S)
    wanted = recording.seconds + 1.0        # rings on the way hold some, and a tail cut off would count as a gap
    await ann.wait_until(lambda: recording.seconds >= wanted, "end of the sentence")
    told = quality.resample(sentence, rate, RATE)
    heard = quality.score(told, recording.since(started - LEAD_IN_S), RATE)
    at_codec = quality.resample(sentence, rate, codec_rate(rate))
    ceiling = quality.codec_ceiling(at_codec, codec_rate(rate), bitrate=24000 if rate <= 16000 else 32000,
                                    complexity=COMPLEXITY)
    return heard, ceiling, quality.find_speech_gaps(told, heard.aligned, RATE)


async def linnet_listens(badge, ann, voice, path, seconds=None):
    """(Score of what our speaker played, ceiling of the wheel's encoder, holes in it)."""
    rate = badge.audio.rate
    sentence, own_rate = quality.load_wav(path, RATE)
    sentence = sentence[:int(seconds * own_rate)] if seconds else sentence
    await badge.wait_for_track(ann.identity)
    started, ended = await ann.say(voice, sentence, lead_in_s=LEAD_IN_S)
    await badge.hears_until(ended + 0.5)
    told = quality.resample(sentence, RATE, rate)
    heard = quality.score(told, badge.audio.since(started - LEAD_IN_S), rate)
    # The wheel's encoder is told by nobody outside it; 64 kbit/s is the strictest it can be.
    ceiling = quality.codec_ceiling(sentence, RATE, bitrate=64000, complexity=10)
    return heard, ceiling, quality.find_speech_gaps(told, heard.aligned, rate)


def judge(what, heard, ceiling, gaps, badge):
    print(f"{what}: {heard}; codec alone {ceiling.stoi:.3f}; share {heard.stoi / ceiling.stoi:.3f}")
    track = badge.room._track_stats(next(iter(badge_tracks(badge)), None)) if badge_tracks(badge) else None
    stats = badge.room.stats()
    state = {"late turns": stats["audio_turns_late"], "underruns": badge.audio.underruns, "track": track,
             "worst late us": stats.get("worst_late_us"), "speaker starved": stats.get("speaker_starved")}
    assert heard.cut_s == 0, f"the rig stopped recording {1000 * heard.cut_s:.0f} ms too early: {state}"
    assert heard.stoi >= SHARE_OF_CEILING * ceiling.stoi, state
    assert gaps == [], state


def badge_tracks(badge):
    return [one.track for them in badge.room.remote_participants.values()
            for one in them.track_publications.values() if one.track]


async def both_ways(badge, ann, seconds=None):
    voice = await ann.publish_audio()
    spoken, heard = await asyncio.gather(linnet_speaks(badge, ann, BADGE, seconds),
                                         linnet_listens(badge, ann, voice, ANSWER, seconds))
    judge(f"Linnet speaks at {badge.audio.rate}", *spoken, badge)
    judge(f"Linnet listens at {badge.audio.rate}", *heard, badge)


@pytest.mark.asyncio
async def test_speech_passes_both_ways_as_well_as_the_codec_allows(join, linnet, way):
    ann = await join("ann", on=way.server)
    badge = await linnet("badge", way=way)
    await both_ways(badge, ann)


@pytest.mark.asyncio
@pytest.mark.parametrize("rate", [48000])
async def test_speech_passes_at_a_laptops_rate(join, linnet, rate):
    await both_ways(await linnet("badge", rate=rate), await join("ann"))


@pytest.mark.asyncio
@pytest.mark.parametrize("rate", [8000, 24000, 44100])
async def test_speech_passes_at_other_device_rates(join, linnet, rate):
    await both_ways(await linnet("badge", rate=rate), await join("ann"), seconds=2.5)


def level_at(samples, rate, hertz):
    """dBFS of one frequency (a sine of full scale has -3)."""
    window = np.hanning(len(samples))
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    size = 2 * abs(np.sum(samples * window * wave)) / np.sum(window)
    return 20 * np.log10(max(size, 1e-9) / np.sqrt(2))


def tone(hertz, rate, seconds, size=0.15):
    return size * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.asyncio
async def test_three_talkers_are_heard_at_once(join, linnet):
    badge = await linnet("badge")
    tones = (440, 900, 1700)
    talkers = [await join(f"talker{i}", options={"auto_subscribe": False}) for i in range(3)]
    voices = [await one.publish_audio() for one in talkers]
    for one in talkers:
        await badge.wait_for_track(one.identity)
    started = time.monotonic()
    await asyncio.gather(*(one.say(voice, tone(hertz, RATE, 2.5))
                           for one, voice, hertz in zip(talkers, voices, tones, strict=True)))
    sound = badge.audio.since(started + 0.7)[:int(1.5 * badge.audio.rate)]
    levels = [level_at(sound, badge.audio.rate, hertz) for hertz in tones]
    between = [level_at(sound, badge.audio.rate, hertz) for hertz in (650, 1300, 2500)]
    print("tones", [f"{hertz} Hz {level:.1f} dBFS" for hertz, level in zip(tones, levels, strict=True)],
          "between them at most", f"{max(between):.1f} dBFS;", badge.offers, "offers")
    for level in levels:
        assert level == pytest.approx(20 * np.log10(0.15 / np.sqrt(2)), abs=1.5)
    assert max(between) < min(levels) - 25
    assert badge.offers <= 5


@pytest.mark.asyncio
async def test_a_minute_without_a_gap(join, linnet):
    ann, badge = await join("ann"), await linnet("badge")
    voice = await ann.publish_audio()
    recording = await ann.wait_for_track(badge.identity)
    await badge.wait_for_track(ann.identity)
    seconds = LONG_CALL_S + 2
    badge.audio.queue(tone(500, badge.audio.rate, seconds))
    started, ended = await ann.say(voice, tone(700, RATE, seconds))
    ours = badge.audio.since(started + 1)[:LONG_CALL_S * badge.audio.rate]
    theirs = recording.since(started + 1)[:LONG_CALL_S * RATE]
    gaps = {"to us": quality.find_gaps(ours, badge.audio.rate, min_ms=10),
            "to the wheel": quality.find_gaps(theirs, RATE, min_ms=10)}
    track = badge.room._track_stats(badge_tracks(badge)[0])
    stats = badge.room.stats()
    print(f"{LONG_CALL_S} s: gaps {gaps}; packets {track['packets_received']}, lost {track['packets_lost']},"
          f" concealed {track['frames_concealed']}, underruns {badge.audio.underruns},"
          f" late turns {stats['audio_turns_late']}, RTP sent {stats['rtp_sent']},"
          f" lost on the way to the server {stats['remote_packets_lost']}")
    assert len(ours) == LONG_CALL_S * badge.audio.rate and len(theirs) >= (LONG_CALL_S - 0.5) * RATE
    assert gaps == {"to us": [], "to the wheel": []}
    # What is lost on the way to the wheel it conceals: in a tone nobody hears that.
    assert stats["remote_packets_lost"] == 0 and stats["rtp_sent"] >= 50 * LONG_CALL_S
    assert track["packets_lost"] == 0 and track["frames_concealed"] <= track["packets_received"] / 200
    assert level_at(ours, badge.audio.rate, 700) > -25 and level_at(theirs, RATE, 500) > -25
    assert ended - started < seconds + 1
