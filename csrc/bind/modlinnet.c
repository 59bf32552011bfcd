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
#if !defined(MICROPY_ENABLE_DYNRUNTIME) && MICROPY_ASYNC_KBD_INTR
#include <signal.h>
#endif
#ifdef LINNET_MEDIA_LOOP
#include <stdlib.h>

#include "../port/loop.h"
#endif

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

/* Ctrl-C of the unix port is a long jump out of the signal handler. Out of a call it would leave a session in the
 * middle of a step, or a loop locked for ever: it waits until the call is over. `call` must not raise, so its arguments
 * are read before. */
#if MICROPY_ASYNC_KBD_INTR
static sigset_t hold_interrupt(void) {
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    return before;
}
#define UNINTERRUPTED(call)                                                                        \
    do {                                                                                           \
        sigset_t before_ = hold_interrupt();                                                       \
        call;                                                                                      \
        pthread_sigmask(SIG_SETMASK, &before_, NULL);                                              \
    } while (0)
#else
#define UNINTERRUPTED(call) call
#endif

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
    int made;
    UNINTERRUPTED(made = linnet_session_init(mem.at, mem.len, cfg.at, cfg.len, seed.at, seed.len));
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
    linnet_session_t *s = session_of(args[0]);
    uint32_t now = (uint32_t)mp_obj_get_int(args[1]);
    int kind = (int)mp_obj_get_int(args[2]), rc;
    bytes_t data = readable(args[3]);
    UNINTERRUPTED(rc = linnet_input(s, now, kind, data.at, data.len));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(input_obj, 4, 4, input);

static mp_obj_t poll_output(mp_obj_t session, mp_obj_t buf_in) {
    linnet_session_t *s = session_of(session);
    bytes_t buf = writable(buf_in);
    int rc;
    UNINTERRUPTED(rc = linnet_poll(s, buf.at, buf.len));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_2(poll_obj, poll_output);

static mp_obj_t poll_size(mp_obj_t session) {
    return result(linnet_poll_size(session_of(session)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(poll_size_obj, poll_size);

static mp_obj_t pcm_push(mp_obj_t session, mp_obj_t pcm_in) {
    linnet_session_t *s = session_of(session);
    bytes_t pcm = readable(pcm_in);
    int rc;
    if (!is_pcm(pcm)) return result(LINNET_ERR_ARG);
    UNINTERRUPTED(rc = linnet_pcm_push(s, (const int16_t *)pcm.at, pcm.len / 2));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_2(pcm_push_obj, pcm_push);

static mp_obj_t pcm_pull(mp_obj_t session, mp_obj_t pcm_in) {
    linnet_session_t *s = session_of(session);
    bytes_t pcm = writable(pcm_in);
    int rc;
    if (!is_pcm(pcm)) return result(LINNET_ERR_ARG);
    UNINTERRUPTED(rc = linnet_pcm_pull(s, (int16_t *)pcm.at, pcm.len / 2));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_2(pcm_pull_obj, pcm_pull);

static mp_obj_t stats(mp_obj_t session, mp_obj_t which, mp_obj_t buf_in) {
    bytes_t buf = writable(buf_in);
    return result(linnet_stats(session_of(session), (int)mp_obj_get_int(which), buf.at, buf.len));
}
static MP_DEFINE_CONST_FUN_OBJ_3(stats_obj, stats);

static mp_obj_t session_wipe(mp_obj_t session) {
    linnet_session_t *s = session_of(session);
    UNINTERRUPTED(linnet_session_wipe(s));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_wipe_obj, session_wipe);

#ifdef LINNET_MEDIA_LOOP

/* --- the native media loop --- */

static mp_obj_t guard_del(mp_obj_t self) {
    (void)self;
    MP_STATE_VM(linnet_guard) = MP_OBJ_NULL;
    MP_THREAD_GIL_EXIT();
    linnet_loop_close_all();
    MP_THREAD_GIL_ENTER();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(guard_del_obj, guard_del);

static const mp_rom_map_elem_t guard_table[] = {
    {MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&guard_del_obj)},
};
static MP_DEFINE_CONST_DICT(guard_dict, guard_table);
static MP_DEFINE_CONST_OBJ_TYPE(guard_type, MP_QSTR_Guard, MP_TYPE_FLAG_NONE, locals_dict,
                                &guard_dict);
MP_REGISTER_ROOT_POINTER(mp_obj_t linnet_guard);

/* The interpreter may be reset, or end, with loops running. A reset takes the guard with it; what is registered with
 * atexit stays until the process ends, so it is registered once. */
static void watch_for_the_end(void) {
#if defined(__unix__) || defined(__APPLE__)
    static bool has_exit; /* of the process, as the loops are */
    if (!has_exit) has_exit = atexit(linnet_loop_close_all) == 0;
#endif
    if (MP_STATE_VM(linnet_guard) != MP_OBJ_NULL) return;
    MP_STATE_VM(linnet_guard) =
        MP_OBJ_FROM_PTR(mp_obj_malloc_with_finaliser(mp_obj_base_t, &guard_type));
}

static mp_obj_t loop_open(mp_obj_t cfg_in, mp_obj_t seed_in, mp_obj_t loop_in) {
    bytes_t cfg = readable(cfg_in), seed = readable(seed_in), loop = readable(loop_in);
    watch_for_the_end();
    int handle;
    MP_THREAD_GIL_EXIT();
    UNINTERRUPTED(handle = linnet_loop_open(cfg.at, cfg.len, seed.at, seed.len, loop.at, loop.len));
    MP_THREAD_GIL_ENTER();
    return result(handle);
}
static MP_DEFINE_CONST_FUN_OBJ_3(loop_open_obj, loop_open);

static mp_obj_t loop_bind(mp_obj_t handle_in, mp_obj_t family_in) {
    int handle = (int)mp_obj_get_int(handle_in), family = (int)mp_obj_get_int(family_in), rc;
    UNINTERRUPTED(rc = linnet_loop_bind(handle, family));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_2(loop_bind_obj, loop_bind);

static mp_obj_t loop_start(mp_obj_t handle_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    UNINTERRUPTED(rc = linnet_loop_start(handle));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_1(loop_start_obj, loop_start);

static mp_obj_t loop_input(mp_obj_t handle_in, mp_obj_t kind_in, mp_obj_t data_in) {
    int handle = (int)mp_obj_get_int(handle_in), kind = (int)mp_obj_get_int(kind_in), rc;
    bytes_t data = readable(data_in);
    UNINTERRUPTED(rc = linnet_loop_input(handle, kind, data.at, data.len));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_3(loop_input_obj, loop_input);

static mp_obj_t loop_event(mp_obj_t handle_in, mp_obj_t buf_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    bytes_t buf = writable(buf_in);
    UNINTERRUPTED(rc = linnet_loop_event(handle, buf.at, buf.len));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_2(loop_event_obj, loop_event);

static mp_obj_t loop_event_size(mp_obj_t handle_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    UNINTERRUPTED(rc = linnet_loop_event_size(handle));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_1(loop_event_size_obj, loop_event_size);

static mp_obj_t loop_wake_fd(mp_obj_t handle_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    UNINTERRUPTED(rc = linnet_loop_wake_fd(handle));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_1(loop_wake_fd_obj, loop_wake_fd);

static mp_obj_t loop_sound_start(mp_obj_t handle_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    UNINTERRUPTED(rc = linnet_loop_sound_start(handle));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_1(loop_sound_start_obj, loop_sound_start);

static mp_obj_t loop_sound_stop(mp_obj_t handle_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    UNINTERRUPTED(rc = linnet_loop_sound_stop(handle));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_1(loop_sound_stop_obj, loop_sound_stop);

static mp_obj_t loop_mic(mp_obj_t handle_in, mp_obj_t pcm_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    bytes_t pcm = readable(pcm_in);
    if (!is_pcm(pcm)) return result(LINNET_ERR_ARG);
    UNINTERRUPTED(rc = linnet_loop_mic(handle, (const int16_t *)pcm.at, pcm.len / 2));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_2(loop_mic_obj, loop_mic);

static mp_obj_t loop_speaker(mp_obj_t handle_in, mp_obj_t pcm_in) {
    int handle = (int)mp_obj_get_int(handle_in), rc;
    bytes_t pcm = writable(pcm_in);
    if (!is_pcm(pcm)) return result(LINNET_ERR_ARG);
    UNINTERRUPTED(rc = linnet_loop_speaker(handle, (int16_t *)pcm.at, pcm.len / 2));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_2(loop_speaker_obj, loop_speaker);

static mp_obj_t loop_stats(mp_obj_t handle_in, mp_obj_t which_in, mp_obj_t buf_in) {
    int handle = (int)mp_obj_get_int(handle_in), which = (int)mp_obj_get_int(which_in), rc;
    bytes_t buf = writable(buf_in);
    UNINTERRUPTED(rc = linnet_loop_stats(handle, which, buf.at, buf.len));
    return result(rc);
}
static MP_DEFINE_CONST_FUN_OBJ_3(loop_stats_obj, loop_stats);

static mp_obj_t loop_close(mp_obj_t handle_in) {
    int handle = (int)mp_obj_get_int(handle_in), closed;
    MP_THREAD_GIL_EXIT();
    UNINTERRUPTED(closed = linnet_loop_close(handle));
    MP_THREAD_GIL_ENTER();
    return result(closed);
}
static MP_DEFINE_CONST_FUN_OBJ_1(loop_close_obj, loop_close);

static mp_obj_t loop_close_all(void) {
    MP_THREAD_GIL_EXIT();
    UNINTERRUPTED(linnet_loop_close_all());
    MP_THREAD_GIL_ENTER();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(loop_close_all_obj, loop_close_all);

/* --- WakeStream(handle): what asyncio waits on; readable while events wait, or once the loop is closed --- */

typedef struct {
    mp_obj_base_t base;
    int handle;
} wake_t;

static mp_obj_t wake_make(const mp_obj_type_t *type, size_t n, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n, n_kw, 1, 1, false);
    wake_t *wake = mp_obj_malloc(wake_t, type);
    wake->handle = (int)mp_obj_get_int(args[0]);
    return MP_OBJ_FROM_PTR(wake);
}

/* An event in front does not fit into the length word alone, so nothing is consumed by asking. */
static mp_uint_t wake_readiness(int handle, mp_uint_t asked) {
    uint8_t length[4];
    int kind;
    UNINTERRUPTED(kind = linnet_loop_event(handle, length, sizeof length));
    if (kind == LINNET_OUT_IDLE) return 0;
    return asked & MP_STREAM_POLL_RD;
}

static mp_uint_t wake_ioctl(mp_obj_t self, mp_uint_t request, uintptr_t arg, int *error) {
    wake_t *wake = MP_OBJ_TO_PTR(self);
    int fd;
    switch (request) {
    case MP_STREAM_POLL: return wake_readiness(wake->handle, arg);
    case MP_STREAM_GET_FILENO:
        UNINTERRUPTED(fd = linnet_loop_wake_fd(wake->handle));
        if (fd >= 0) return (mp_uint_t)fd;
        *error = MP_EBADF;
        return MP_STREAM_ERROR;
    default: *error = MP_EINVAL; return MP_STREAM_ERROR;
    }
}

static const mp_stream_p_t wake_protocol = {.ioctl = wake_ioctl};
static MP_DEFINE_CONST_OBJ_TYPE(wake_type, MP_QSTR_WakeStream, MP_TYPE_FLAG_NONE, make_new,
                                wake_make, protocol, &wake_protocol);

#endif

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
#ifdef LINNET_MEDIA_LOOP
    {MP_ROM_QSTR(MP_QSTR_loop_open), MP_ROM_PTR(&loop_open_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_bind), MP_ROM_PTR(&loop_bind_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_start), MP_ROM_PTR(&loop_start_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_input), MP_ROM_PTR(&loop_input_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_event), MP_ROM_PTR(&loop_event_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_event_size), MP_ROM_PTR(&loop_event_size_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_wake_fd), MP_ROM_PTR(&loop_wake_fd_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_sound_start), MP_ROM_PTR(&loop_sound_start_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_sound_stop), MP_ROM_PTR(&loop_sound_stop_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_mic), MP_ROM_PTR(&loop_mic_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_speaker), MP_ROM_PTR(&loop_speaker_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_stats), MP_ROM_PTR(&loop_stats_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_close), MP_ROM_PTR(&loop_close_obj)},
    {MP_ROM_QSTR(MP_QSTR_loop_close_all), MP_ROM_PTR(&loop_close_all_obj)},
    {MP_ROM_QSTR(MP_QSTR_WakeStream), MP_ROM_PTR(&wake_type)},
#endif
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t linnet_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR__linnet, linnet_module);

#endif
