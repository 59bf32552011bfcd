/* `_linnet` for MicroPython: linnet.h, and port/loop.h where the port has threads, as a module.
 *
 * Names and semantics are those of host_sim/native.py: a (pointer, length) pair of the C prototype is one
 * bytes-like object, a result is the C result, session_init answers a handle or a negative code. Built as a
 * user C module (micropython.mk, micropython.cmake); natmod.c includes this file for its share. So functions
 * use only what MicroPython's py/dynruntime.h offers too; types live in the part that natmod.c leaves out.
 * Invariants: a handle keeps its memory alive, not unmoved (never resize the bytearray); no call but
 * session_init, loop_open and WakeStream allocates from the interpreter's heap.
 *
 * A reset of the interpreter closes every loop: the first loop_open puts an object with a finaliser behind a
 * root pointer, and a soft reset sweeps the heap (gc_sweep_all). Processes that just end use atexit. */
#ifndef MICROPY_ENABLE_DYNRUNTIME
#include "py/mperrno.h"
#include "py/mpthread.h"
#include "py/obj.h"
#include "py/runtime.h"
#include "py/stream.h"
#endif

#include "linnet.h"

/* --- arguments --- */

typedef struct {
    uint8_t *at;
    size_t len;
} bytes_t;

static bytes_t bytes_of(mp_obj_t object, mp_uint_t flags) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(object, &info, flags);
    bytes_t bytes = {info.buf, info.len};
    return bytes;
}

static bytes_t readable(mp_obj_t object) {
    return bytes_of(object, MP_BUFFER_READ);
}

static bytes_t writable(mp_obj_t object) {
    return bytes_of(object, MP_BUFFER_WRITE);
}

static mp_obj_t result(int value) {
    return MP_OBJ_NEW_SMALL_INT(value);
}

/* --- protobuf --- */

static mp_obj_t pb_decode(mp_obj_t message, mp_obj_t wire_in, mp_obj_t record_in) {
    bytes_t wire = readable(wire_in), record = writable(record_in);
    return result(
        linnet_pb_decode((int)mp_obj_get_int(message), wire.at, wire.len, record.at, record.len));
}
static MP_DEFINE_CONST_FUN_OBJ_3(pb_decode_obj, pb_decode);

static mp_obj_t pb_encode(mp_obj_t message, mp_obj_t record_in, mp_obj_t wire_in) {
    bytes_t record = readable(record_in), wire = writable(wire_in);
    return result(
        linnet_pb_encode((int)mp_obj_get_int(message), record.at, record.len, wire.at, wire.len));
}
static MP_DEFINE_CONST_FUN_OBJ_3(pb_encode_obj, pb_encode);

#ifndef MICROPY_ENABLE_DYNRUNTIME

/* Samples lie at even addresses, as every buffer does that is not an odd slice of one. */
static bool is_pcm(bytes_t bytes) {
    return ((uintptr_t)bytes.at & 1) == 0;
}

/* --- sessions --- */

typedef struct {
    mp_obj_base_t base;
    linnet_session_t *at;
    mp_obj_t memory; /* for the garbage collector */
} handle_t;

static MP_DEFINE_CONST_OBJ_TYPE(handle_type, MP_QSTR_Session, MP_TYPE_FLAG_NONE);

static linnet_session_t *session_of(mp_obj_t object) {
    if (!mp_obj_is_type(object, &handle_type))
        mp_raise_TypeError(MP_ERROR_TEXT("a handle of session_init"));
    return ((handle_t *)MP_OBJ_TO_PTR(object))->at;
}

static mp_obj_t session_size(mp_obj_t cfg_in) {
    bytes_t cfg = readable(cfg_in);
    return result(linnet_session_size(cfg.at, cfg.len));
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_size_obj, session_size);

static mp_obj_t session_init(mp_obj_t mem_in, mp_obj_t cfg_in, mp_obj_t seed_in) {
    bytes_t mem = writable(mem_in), cfg = readable(cfg_in), seed = readable(seed_in);
    MP_THREAD_GIL_EXIT(); /* half a second of key making on a small machine */
    int made = linnet_session_init(mem.at, mem.len, cfg.at, cfg.len, seed.at, seed.len);
    MP_THREAD_GIL_ENTER();
    if (made < 0) return result(made);
    handle_t *handle = mp_obj_malloc(handle_t, &handle_type);
    handle->at = linnet_session_at(mem.at);
    handle->memory = mem_in;
    return MP_OBJ_FROM_PTR(handle);
}
static MP_DEFINE_CONST_FUN_OBJ_3(session_init_obj, session_init);

static mp_obj_t input(size_t n, const mp_obj_t *args) {
    (void)n;
    bytes_t data = readable(args[3]);
    return result(linnet_input(session_of(args[0]), (uint32_t)mp_obj_get_int(args[1]),
                               (int)mp_obj_get_int(args[2]), data.at, data.len));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(input_obj, 4, 4, input);

static mp_obj_t poll_output(mp_obj_t session, mp_obj_t buf_in) {
    bytes_t buf = writable(buf_in);
    return result(linnet_poll(session_of(session), buf.at, buf.len));
}
static MP_DEFINE_CONST_FUN_OBJ_2(poll_obj, poll_output);

static mp_obj_t poll_size(mp_obj_t session) {
    return result(linnet_poll_size(session_of(session)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(poll_size_obj, poll_size);

static mp_obj_t pcm_push(mp_obj_t session, mp_obj_t pcm_in) {
    bytes_t pcm = readable(pcm_in);
    if (!is_pcm(pcm)) return result(LINNET_ERR_ARG);
    return result(linnet_pcm_push(session_of(session), (const int16_t *)pcm.at, pcm.len / 2));
}
static MP_DEFINE_CONST_FUN_OBJ_2(pcm_push_obj, pcm_push);

static mp_obj_t pcm_pull(mp_obj_t session, mp_obj_t pcm_in) {
    bytes_t pcm = writable(pcm_in);
    if (!is_pcm(pcm)) return result(LINNET_ERR_ARG);
    return result(linnet_pcm_pull(session_of(session), (int16_t *)pcm.at, pcm.len / 2));
}
static MP_DEFINE_CONST_FUN_OBJ_2(pcm_pull_obj, pcm_pull);

static mp_obj_t stats(mp_obj_t session, mp_obj_t which, mp_obj_t buf_in) {
    bytes_t buf = writable(buf_in);
    return result(linnet_stats(session_of(session), (int)mp_obj_get_int(which), buf.at, buf.len));
}
static MP_DEFINE_CONST_FUN_OBJ_3(stats_obj, stats);

static mp_obj_t session_wipe(mp_obj_t session) {
    linnet_session_wipe(session_of(session));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_wipe_obj, session_wipe);

/* --- the module --- */

static const mp_rom_map_elem_t globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__linnet)},
    {MP_ROM_QSTR(MP_QSTR_session_size), MP_ROM_PTR(&session_size_obj)},
    {MP_ROM_QSTR(MP_QSTR_session_init), MP_ROM_PTR(&session_init_obj)},
    {MP_ROM_QSTR(MP_QSTR_input), MP_ROM_PTR(&input_obj)},
    {MP_ROM_QSTR(MP_QSTR_poll), MP_ROM_PTR(&poll_obj)},
    {MP_ROM_QSTR(MP_QSTR_poll_size), MP_ROM_PTR(&poll_size_obj)},
    {MP_ROM_QSTR(MP_QSTR_pcm_push), MP_ROM_PTR(&pcm_push_obj)},
    {MP_ROM_QSTR(MP_QSTR_pcm_pull), MP_ROM_PTR(&pcm_pull_obj)},
    {MP_ROM_QSTR(MP_QSTR_stats), MP_ROM_PTR(&stats_obj)},
    {MP_ROM_QSTR(MP_QSTR_session_wipe), MP_ROM_PTR(&session_wipe_obj)},
    {MP_ROM_QSTR(MP_QSTR_pb_decode), MP_ROM_PTR(&pb_decode_obj)},
    {MP_ROM_QSTR(MP_QSTR_pb_encode), MP_ROM_PTR(&pb_encode_obj)},
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t linnet_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR__linnet, linnet_module);

#endif
