// os.urandom of the emulated boards; included by MicroPython's extmod/modos.c.
#include "hil_hal.h"

static mp_obj_t mp_os_urandom(mp_obj_t num) {
    mp_int_t n = mp_obj_get_int(num);
    vstr_t vstr;
    vstr_init_len(&vstr, n);
    if (!hil_random((uint8_t *)vstr.buf, n)) {
        mp_raise_msg(&mp_type_OSError, MP_ERROR_TEXT("no entropy: call linnet_units.seed() first"));
    }
    return mp_obj_new_bytes_from_vstr(&vstr);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
