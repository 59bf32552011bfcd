// The calendar of the emulated boards: seconds since 1970 once linnet_units.set_time() was told, else since the start.
// Included by MicroPython's extmod/modtime.c.
#include "shared/timeutils/timeutils.h"

static mp_obj_t mp_time_time_get(void) {
    return mp_obj_new_int_from_ull(mp_hal_time_ns() / 1000000000);
}

#if MICROPY_VERSION_MAJOR > 1 || MICROPY_VERSION_MINOR >= 26
static mp_obj_t mp_time_localtime_get(void) {
    mp_raise_NotImplementedError(MP_ERROR_TEXT("this board has no calendar"));
}
#else
static void mp_time_localtime_get(timeutils_struct_time_t *tm) {
    (void)tm;
    mp_raise_NotImplementedError(MP_ERROR_TEXT("this board has no calendar"));
}
#endif
