// Configuration of MicroPython's qemu port for the emulated boards of tests/hil: what that port leaves off and a
// board has on. Passed as MP_CONFIGFILE, so nothing in MicroPython's tree is changed.
#ifndef LINNET_HIL_MPCONFIG_H
#define LINNET_HIL_MPCONFIG_H

#include "mpconfigport.h"

#undef MICROPY_PY_TIME
#undef MICROPY_PY_SELECT
#undef MICROPY_PY_ASYNCIO
#undef MICROPY_PY_SYS_STDIO_BUFFER
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS (1)
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_INCLUDEFILE "hil_modtime.c"
#define MICROPY_EPOCH_IS_1970 (1)
#define MICROPY_PY_SELECT (1)
#define MICROPY_PY_ASYNCIO (1)
#define MICROPY_PY_SYS_STDIO_BUFFER (1)
#define MICROPY_KBD_EXCEPTION (1)
#define MICROPY_REPL_STDIN_BUFFER_MAX (4096) // half of it is the window of mpremote's transfers; see ring[]

// urandom is seeded by the rig: an emulated board has no source of entropy.
#define MICROPY_PY_OS (1)
#define MICROPY_PY_OS_URANDOM (1)
#define MICROPY_PY_OS_INCLUDEFILE "hil_modos.c"

// SHA-1 and SHA-256 of the core's own Mbed TLS, as on an ESP32. There is no TLS on these boards.
#define MICROPY_SSL_MBEDTLS (1)
#define MICROPY_PY_HASHLIB (1)
#define MICROPY_PY_HASHLIB_SHA1 (1)
#define MICROPY_PY_HASHLIB_SHA256 (1)

// An idle board sleeps until a byte comes or a millisecond is over: the machine that emulates it has other work.
#include "hil_hal.h"
#define MICROPY_PORT_INIT_FUNC hil_init()
#define MICROPY_INTERNAL_WFE(timeout_ms) hil_idle()
// Ctrl-C while Python runs.
extern uint32_t hil_turns;
#define MICROPY_VM_HOOK_LOOP                                                                       \
    if ((++hil_turns & 1023) == 0) hil_pump();

void mp_hal_delay_ms(mp_uint_t ms);
void mp_hal_delay_us(mp_uint_t us);
mp_uint_t mp_hal_ticks_ms(void);
mp_uint_t mp_hal_ticks_us(void);
mp_uint_t mp_hal_ticks_cpu(void);
uint64_t mp_hal_time_ns(void);

#endif
