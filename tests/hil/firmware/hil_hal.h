/* The emulated boards' own functions: see hil_hal.c. */
#ifndef LINNET_HIL_HAL_H
#define LINNET_HIL_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void hil_init(void);
void hil_idle(void);
void hil_pump(void); /* takes what the serial port has; a Ctrl-C among it interrupts */

/* urandom is the core's DRBG. seed: >= 32 bytes. False: not enough seed; not seeded yet. */
bool hil_seed(const uint8_t *seed, size_t len);
bool hil_random(uint8_t *out, size_t len);

/* What time() counts from then on. */
void hil_set_time(uint64_t unix_s);

#endif
