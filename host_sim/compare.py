"""Is this recording that speech? Needs numpy, which LiveKit's SDK brings along; the badge itself never imports this."""

import wave

import numpy

RATE = 16000
BLOCK_S = 0.4  # short enough that a playout buffer's stretching within it does not matter
DRIFT_S = 0.15  # how far a block may lie from where the whole lies
LOUD_DB = 25  # a block counts as speech if it is at most this much quieter than the loudest


def read(path):
    """A mono 16-bit WAV as floats at RATE."""
    with wave.open(str(path), "rb") as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = numpy.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    samples = samples.reshape(-1, channels).mean(axis=1)
    return samples if rate == RATE else _resample(samples, rate)


def _resample(samples, rate):
    """Through the spectrum: what lies above the new rate's half is cut off."""
    n = round(len(samples) * RATE / rate)
    spectrum = numpy.fft.rfft(samples)
    wanted = numpy.zeros(n // 2 + 1, complex)
    common = min(len(wanted), len(spectrum))
    wanted[:common] = spectrum[:common]
    return numpy.fft.irfft(wanted, n) * (n / max(1, len(samples)))


def match(reference, heard):
    """(how alike, delay in seconds): the correlation of the waveforms, block by block, 1.0 for the same sound.

    Other speech reaches about 0.2, noise less."""
    if len(heard) < BLOCK_S * RATE or not heard.any():
        return 0.0, 0.0
    delay = _best_shift(reference, heard)
    block, drift = int(BLOCK_S * RATE), int(DRIFT_S * RATE)
    starts = range(0, len(reference) - block + 1, block)
    energies = [float(numpy.dot(reference[s:s + block], reference[s:s + block])) for s in starts]
    loud = max(energies, default=0) / 10 ** (LOUD_DB / 10)
    total = weight = 0.0
    for start, energy in zip(starts, energies, strict=True):
        if energy < loud or energy == 0:
            continue
        area = _slice(heard, start + delay - drift, start + delay + block + drift)
        total += energy ** 0.5 * _best_correlation(reference[start:start + block], area)
        weight += energy ** 0.5
    return (total / weight if weight else 0.0), delay / RATE


def _best_shift(reference, heard):
    size = 1 << (len(reference) + len(heard)).bit_length()
    product = numpy.fft.irfft(numpy.fft.rfft(heard, size) * numpy.conj(numpy.fft.rfft(reference, size)), size)
    best = int(numpy.argmax(product))
    return best - size if best > size // 2 else best


def _slice(samples, start, end):
    """samples[start:end] with silence where there are none."""
    piece = numpy.zeros(end - start)
    low, high = max(0, start), min(len(samples), end)
    if high > low:
        piece[low - start:high - start] = samples[low:high]
    return piece


def _best_correlation(block, area):
    products = numpy.correlate(area, block, "valid")
    squares = numpy.concatenate(([0.0], numpy.cumsum(area * area)))
    energies = squares[len(block):] - squares[:-len(block)]
    norms = numpy.sqrt(numpy.maximum(energies, 1e-9) * float(numpy.dot(block, block)))
    return max(0.0, float(numpy.max(products / numpy.maximum(norms, 1e-9))))
