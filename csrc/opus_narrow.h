/* Put before every file of Opus when its fixed-point arithmetic is compiled for a 64-bit machine: gives the
 * products of 32-bit devices, bit for bit.
 *
 * Opus multiplies 32 by 32 bits exactly where it believes 64-bit integers cheap, else drops the lowest partial
 * product (celt/fixed_generic.h, silk/macros.h), and decides by these two names alone (celt/arch.h). The system's
 * headers, which need them too, are read first. */
#ifndef LINNET_OPUS_NARROW_H
#define LINNET_OPUS_NARROW_H

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef __x86_64__
#undef __LP64__

#endif
