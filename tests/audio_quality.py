"""Measures how much of a recording is left of the speech that was sent: delay, STOI, correlation, gaps.

All signals are mono float arrays in -1..1. The judge of intelligibility is pystoi, the judge of what the codec alone
costs is libopus through opuslib: neither is our own code. opuslib needs a libopus at run time; the one inside the
PyAV wheel (which aiortc brings) is taken, so nothing has to be installed by hand.
"""

import ctypes.util
import importlib
import importlib.util
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pystoi import stoi as pystoi_stoi
from scipy.signal import correlate, resample_poly

SEGMENT_S = 0.5
MAX_WARP_S = 0.08           # how far one segment may slide against the whole: playout buffers stretch and shrink
QUIET_DBFS = -50.0


def load_opuslib():
    """The opuslib module, with a libopus it can load. Raises RuntimeError with one line when there is none."""
    bundled = importlib.util.find_spec("av")
    found = []
    if bundled and bundled.origin:
        site = Path(bundled.origin).parent.parent
        found = sorted(str(path) for folder in ("av.libs", "av/.dylibs") for path in site.glob(f"{folder}/libopus*"))
    find_library = ctypes.util.find_library
    place = found[0] if found else find_library("opus")
    if not place:
        raise RuntimeError("opuslib needs a libopus: pip install av, or install the Debian package libopus0")
    # opuslib looks once, when it is imported, and offers no way to say where.
    ctypes.util.find_library = lambda name: place if name == "opus" else find_library(name)
    try:
        return importlib.import_module("opuslib")
    finally:
        ctypes.util.find_library = find_library


def load_wav(path, rate=None):
    """(samples, rate) of a 16-bit WAV, mixed to mono, resampled when `rate` is given."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"{path}: {8 * file.getsampwidth()}-bit samples, 16-bit wanted")
        own_rate, channels = file.getframerate(), file.getnchannels()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels)
    mono = samples.mean(axis=1) / 32768.0
    return (resample(mono, own_rate, rate), rate) if rate else (mono, own_rate)


def save_wav(path, samples, rate):
    """For a person who wants to hear what a failing test heard."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_int16(samples).tobytes())


def resample(samples, from_rate, to_rate):
    if from_rate == to_rate:
        return np.asarray(samples, float)
    return resample_poly(samples, to_rate, from_rate)


def to_int16(samples):
    return np.clip(np.round(np.asarray(samples) * 32768.0), -32768, 32767).astype("<i2")


def to_float(samples):
    """16-bit integers as floats; floats pass."""
    samples = np.asarray(samples)
    return samples / 32768.0 if samples.dtype.kind == "i" else samples.astype(float)


def level_dbfs(samples):
    power = float(np.mean(np.square(to_float(samples)))) if len(samples) else 0.0
    return 10 * np.log10(power) if power > 0 else -np.inf


@dataclass
class Segment:
    at_s: float             # where in the reference
    delay_s: float          # how much later in the recording
    correlation: float      # -1..1, of the aligned pieces


@dataclass
class Score:
    """What a recording is worth against its reference."""
    stoi: float
    correlation: float      # median over the segments that hold speech
    delay_s: float
    segments: list
    aligned: np.ndarray     # the recording on the reference's time line
    cut_s: float            # speech at the end of the reference that came after the recording's end: no gap of the call

    def __str__(self):
        return (f"STOI {self.stoi:.3f}, correlation {self.correlation:.3f}, delay {1000 * self.delay_s:.0f} ms"
                f" ({len(self.segments)} segments)")


def find_delay(reference, recording, rate, max_delay_s=None):
    """Seconds by which `recording` holds `reference` later, by cross-correlation over all of it."""
    lags = correlate(recording, reference, mode="full", method="fft")
    zero = len(reference) - 1
    end = len(lags) if max_delay_s is None else min(len(lags), zero + int(max_delay_s * rate) + 1)
    # Polarity does not matter to the ear, so neither does it here.
    return float(np.argmax(np.abs(lags[zero:end]))) / rate


def align(reference, recording, rate):
    """(segments, aligned): each half second of speech placed on its own, around the delay of the whole.

    A playout buffer plays a little faster and slower as the network breathes: one delay for all would punish what
    nobody hears. A segment may move by MAX_WARP_S at most, so lost speech is never found somewhere else."""
    reference, recording = to_float(reference), to_float(recording)
    whole = round(find_delay(reference, recording, rate) * rate)
    warp, size = round(MAX_WARP_S * rate), round(SEGMENT_S * rate)
    aligned = np.zeros(len(reference))
    segments, shift = [], 0
    for start in range(0, len(reference), size):
        piece = reference[start:start + size]
        correlation = 0.0
        if level_dbfs(piece) > QUIET_DBFS:
            window = _slice(recording, start + whole - warp, len(piece) + 2 * warp)
            shift = int(np.argmax(np.abs(correlate(window, piece, mode="valid", method="fft")))) - warp
            heard = _slice(recording, start + whole + shift, len(piece))
            scale = np.linalg.norm(piece) * np.linalg.norm(heard)
            correlation = float(np.dot(piece, heard) / scale) if scale else 0.0
            segments.append(Segment(start / rate, (whole + shift) / rate, correlation))
        aligned[start:start + len(piece)] = _slice(recording, start + whole + shift, len(piece))
    return segments, aligned


def score(reference, recording, rate):
    """Align, then judge. A recording that holds nothing of the reference scores near 0, it never raises."""
    reference, recording = to_float(reference), to_float(recording)
    if len(recording) < len(reference) // 2 or not np.any(recording):
        return Score(0.0, 0.0, 0.0, [], np.zeros(len(reference)), len(reference) / rate)
    segments, aligned = align(reference, recording, rate)
    correlation = float(np.median([abs(one.correlation) for one in segments])) if segments else 0.0
    delay = float(np.median([one.delay_s for one in segments])) if segments else 0.0
    spoken = np.flatnonzero(np.abs(reference) > 10 ** (QUIET_DBFS / 20))
    cut = delay + (spoken[-1] + 1 if len(spoken) else 0) / rate - len(recording) / rate
    return Score(float(pystoi_stoi(reference, aligned, rate)), correlation, delay, segments, aligned, max(0.0, cut))


def find_gaps(samples, rate, *, min_ms=30, below_dbfs=QUIET_DBFS):
    """[(start_s, length_s)] of the stretches of at least `min_ms` that are quieter than `below_dbfs`.

    For a source that is never quiet (a tone, noise): every quiet stretch is then a hole."""
    samples = to_float(samples)
    step = rate // 200      # 5 ms
    blocks = samples[:len(samples) // step * step].reshape(-1, step)
    with np.errstate(divide="ignore"):
        quiet = 10 * np.log10(np.mean(np.square(blocks), axis=1)) < below_dbfs
    return _runs(quiet, 5, min_ms)


def find_speech_gaps(reference, aligned, rate, *, min_ms=30, drop_db=30):
    """[(start_s, length_s)] where the reference speaks and the aligned recording is silent."""
    reference, aligned = to_float(reference), to_float(aligned)
    step = rate // 100      # 10 ms
    n = min(len(reference), len(aligned)) // step
    wanted, heard = (np.sqrt(np.mean(np.square(x[:n * step].reshape(n, step)), axis=1))
                     for x in (reference, aligned))
    lost = (wanted > 10 ** (QUIET_DBFS / 20) * 3) & (heard < wanted * 10 ** (-drop_db / 20))
    return _runs(lost, 10, min_ms)


def through_codec(samples, rate, *, bitrate=32000, complexity=9, frame_ms=20, out_rate=None):
    """Speech after Opus alone: what a perfect network would deliver. Returned at `out_rate` (default `rate`)."""
    opuslib = load_opuslib()
    out_rate = out_rate or rate
    encoder = opuslib.Encoder(rate, 1, opuslib.APPLICATION_VOIP)
    encoder.bitrate = bitrate
    encoder.complexity = complexity
    decoder = opuslib.Decoder(out_rate, 1)
    size = rate * frame_ms // 1000
    pcm = to_int16(to_float(samples))
    pcm = np.concatenate((pcm, np.zeros(2 * size - len(pcm) % size, "<i2")))    # one more: the codec's delay
    heard = [decoder.decode(encoder.encode(pcm[at:at + size].tobytes(), size), out_rate * frame_ms // 1000)
             for at in range(0, len(pcm), size)]
    return to_float(np.frombuffer(b"".join(heard), "<i2"))


def codec_ceiling(samples, rate, *, judge_rate=48000, **codec):
    """The Score of the speech after Opus alone, with the encoder at `rate`: the best any transport can reach."""
    heard = through_codec(samples, rate, out_rate=judge_rate, **codec)
    return score(resample(to_float(samples), rate, judge_rate), heard, judge_rate)


def _runs(flags, block_ms, min_ms):
    """[(start_s, length_s)] of the runs of true flags, one flag a block, at least `min_ms` long."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(int)))
    return [(float(start * block_ms / 1000), float((end - start) * block_ms / 1000))
            for start, end in edges.reshape(-1, 2) if (end - start) * block_ms >= min_ms]


def _slice(samples, start, length):
    """samples[start:start+length], with silence where there are none."""
    before = max(0, -start)
    taken = samples[max(0, start):max(0, start + length)]
    return np.pad(taken, (min(before, length), max(0, length - len(taken) - min(before, length))))[:length]
