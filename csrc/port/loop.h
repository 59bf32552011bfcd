/* loop.h: the native media loop. A thread that owns the UDP sockets, the clock and the sound of one session,
 * steps the core and wakes the interpreter for events only, so that a garbage collection is not heard.
 *
 * BSD sockets, poll() and POSIX threads: Linux, macOS, and ESP-IDF through its POSIX layer. Unlike the rest of
 * csrc/, port/ may allocate: a loop's memory is the system's, not the interpreter's, because the thread outlives a
 * reset of the interpreter by some milliseconds. A loop is named by a handle > 0 that is never reused while the
 * process lives; a handle that was closed gives LINNET_ERR_CLOSED. Every function may be called from any thread,
 * and waits at most for one step of the core. Results as in linnet.h; records too. */
#ifndef LINNET_LOOP_H
#define LINNET_LOOP_H

#include "linnet.h"

/* [ffi-begin]  plain declarations only: no macro, inline, variadic, callback */

/* Sound of a loop. A device moves samples without the interpreter; PACED and FREE are rings that it fills and
 * empties with linnet_loop_mic and linnet_loop_speaker. */
enum linnet_loop_sound {
    LINNET_LOOP_SILENT = 0, /* no sound: data only */
    LINNET_LOOP_PACED =
        1, /* rings read and written at the pace of the loop's clock: WAV files, tests */
    LINNET_LOOP_FREE = 2,  /* rings read and written at the pace of whoever fills them: PortAudio */
    LINNET_LOOP_DEVICE = 3 /* the audio device of this machine (audio_device.h): I2S */
};

/* Makes a loop and its session (keys, certificate), not running yet. cfg, seed: as linnet_session_init. loop is a
 * record of u32 words, 0 or missing = the default in brackets: 0 sound (0); 1 microphone ring in ms (200);
 * 2 speaker ring in ms (200); 3 ms of sound kept ahead in the speaker ring or device (20); 4 ms without any call
 * of linnet_loop_event after which the interpreter counts as dead and the session is closed politely (30000);
 * 5 bytes of the event ring (twice the largest data message + 8192); 6 sound of the speaker plus 1, if it is
 * another than that of the microphone (as 0).
 * Returns the handle, or LINNET_ERR_ARG, _LIMIT (too many loops), _SPACE (no memory), _CRYPTO. */
int linnet_loop_open(const uint8_t *cfg, size_t cfg_len, const uint8_t *seed, size_t seed_len,
                     const uint8_t *loop, size_t loop_len);
/* Binds the datagram socket of a family (4 or 6) to any address and a free port; returns the port. _STATE: the
 * family has one, or the loop runs; _CLOSED: the system has no such family. */
int linnet_loop_bind(int handle, int family);
/* Starts the thread. The inputs given before are done first. */
int linnet_loop_start(int handle);
/* linnet_input at the loop's own time. LINNET_IN_TIME, _DATAGRAM and _HOLD are refused: they are the loop's. */
int linnet_loop_input(int handle, int kind, const uint8_t *data, size_t len);
/* The next output but datagrams, in the form of linnet_poll; LINNET_OUT_IDLE (empty body) when there is none.
 * Reliable messages that find the ring full stay in the core and close the receive window. */
int linnet_loop_event(int handle, uint8_t *buf, size_t cap);
/* Bytes of the largest event. */
int linnet_loop_event_size(int handle);
/* A file descriptor that is readable while events wait, or LINNET_ERR_STATE where the system has none. */
int linnet_loop_wake_fd(int handle);
/* Opens the device or starts the clock of the rings. */
int linnet_loop_sound_start(int handle);
int linnet_loop_sound_stop(int handle);
/* Microphone ring: takes up to n samples; returns how many. */
int linnet_loop_mic(int handle, const int16_t *pcm, size_t n);
/* Speaker ring: gives up to n samples; returns how many. */
int linnet_loop_speaker(int handle, int16_t *pcm, size_t n);
/* which >= -1: linnet_stats. -2: the loop's own u64 words (LOOP_STATS of firmware/linnet/core.py). Bytes written. */
int linnet_loop_stats(int handle, int which, uint8_t *buf, size_t cap);
/* LINNET_IN_CLOSE, its datagrams sent, thread joined, keys wiped, memory freed. */
int linnet_loop_close(int handle);
/* Every loop of the process: for an interpreter that resets. */
void linnet_loop_close_all(void);
/* [ffi-end] */

#endif
