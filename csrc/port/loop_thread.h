/* The thread of a media loop and the steps it makes. All but start and stop: with the lock held. */
#ifndef LINNET_LOOP_THREAD_H
#define LINNET_LOOP_THREAD_H

#include "loop_table.h"

uint64_t linnet_loop_clock_us(void);
/* One input at the time of now; what follows from it waits for the thread, which drains the core. */
int linnet_loop_step(linnet_loop_t *l, int kind, const uint8_t *data, size_t len);
void linnet_loop_hold(linnet_loop_t *l, int held);
void linnet_loop_poke(linnet_loop_t *l); /* the thread has something to do */
int linnet_loop_start_thread(linnet_loop_t *l);
void linnet_loop_stop_thread(linnet_loop_t *l); /* without the lock */

#endif
