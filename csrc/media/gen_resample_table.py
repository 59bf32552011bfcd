#!/usr/bin/env python3
"""Writes resample_table.h: the filter of resample.c. Run again only to change the filter.

    python3 csrc/media/gen_resample_table.py > csrc/media/resample_table.h

Half of a symmetric windowed sinc: HALF samples of the lower rate to each side, STEPS entries a sample, cut off a
little below the Nyquist frequency so that most of the transition band lies below it; Kaiser window.
"""

import math

HALF, STEPS, CUTOFF, BETA = 16, 128, 0.94, 7.6


def bessel_i0(x):
    total = term = 1.0
    k = 1
    while term > total * 1e-18:
        term *= (x / (2 * k)) ** 2
        total += term
        k += 1
    return total


def entry(i):
    t = i / STEPS
    if t >= HALF:
        return 0
    sinc = 1.0 if t == 0 else math.sin(math.pi * CUTOFF * t) / (math.pi * CUTOFF * t)
    window = bessel_i0(BETA * math.sqrt(1 - (t / HALF) ** 2)) / bessel_i0(BETA)
    return round(32768 * CUTOFF * sinc * window)


def main():
    values = [entry(i) for i in range(HALF * STEPS + 2)]
    print("/* Made by gen_resample_table.py: Kaiser-windowed sinc, %d entries a sample, Q15. Do not edit. */" % STEPS)
    print("#ifndef LINNET_RESAMPLE_TABLE_H\n#define LINNET_RESAMPLE_TABLE_H\n")
    print("#include <stdint.h>\n")
    print("enum { RESAMPLE_STEPS_LOG2 = %d };\n" % int(math.log2(STEPS)))
    print("/* clang-format off */\nstatic const int16_t resample_table[%d] = {" % len(values))
    for i in range(0, len(values), 16):
        print("    " + " ".join("%d," % v for v in values[i:i + 16]))
    print("};\n/* clang-format on */\n\n#endif")


if __name__ == "__main__":
    main()
