/* The loops of this process, by handle; loop_table.h.
 *
 * A child of fork() has no thread of its parent and must not speak in its name: it finds the table empty, with the
 * descriptors of the parent's loops closed. Their memory is left behind, as it may be locked in the middle of a step.
 * Not so of a loop that another thread is closing at that moment: it is in no table, and the child keeps its
 * descriptors until it runs another program (they are close-on-exec) or ends. */
#define _POSIX_C_SOURCE 200809L
#include "loop_table.h"

#include <string.h>
#include <unistd.h>

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t nobody_is_in = PTHREAD_COND_INITIALIZER;
static linnet_loop_t *table[LINNET_LOOPS_MAX];
static int last_handle;

#ifndef ESP_PLATFORM
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void) {
    pthread_mutex_lock(&table_lock);
}

static void in_parent(void) {
    pthread_mutex_unlock(&table_lock);
}

static void in_child(void) {
    size_t i, j;
    for (i = 0; i < LINNET_LOOPS_MAX; i++) {
        linnet_loop_t *l = table[i];
        if (!l) continue;
        for (j = 0; j < 2; j++) {
            if (l->sockets[j] >= 0) close(l->sockets[j]);
        }
        linnet_wake_close(&l->control);
        linnet_wake_close(&l->news);
        table[i] = NULL;
    }
    pthread_mutex_unlock(&table_lock);
}

static void watch_forks(void) {
    (void)pthread_atfork(before_fork, in_parent, in_child);
}
#endif

int linnet_loop_add(linnet_loop_t *l) {
    size_t i;
    int rc = LINNET_ERR_LIMIT;
#ifndef ESP_PLATFORM
    (void)pthread_once(&once, watch_forks);
#endif
    pthread_mutex_lock(&table_lock);
    for (i = 0; i < LINNET_LOOPS_MAX && rc < 0; i++) {
        if (table[i]) continue;
        l->handle = rc = ++last_handle;
        l->users = 0;
        table[i] = l;
    }
    pthread_mutex_unlock(&table_lock);
    return rc;
}

static linnet_loop_t **find(int handle) {
    size_t i;
    for (i = 0; i < LINNET_LOOPS_MAX; i++) {
        if (table[i] && table[i]->handle == handle) return &table[i];
    }
    return NULL;
}

linnet_loop_t *linnet_loop_enter(int handle) {
    linnet_loop_t **place, *l;
    pthread_mutex_lock(&table_lock);
    place = find(handle);
    l = place ? *place : NULL;
    if (l) l->users++;
    pthread_mutex_unlock(&table_lock);
    return l;
}

void linnet_loop_leave(linnet_loop_t *l) {
    pthread_mutex_lock(&table_lock);
    if (--l->users == 0) pthread_cond_broadcast(&nobody_is_in);
    pthread_mutex_unlock(&table_lock);
}

linnet_loop_t *linnet_loop_remove(int handle) {
    linnet_loop_t **place, *l = NULL;
    pthread_mutex_lock(&table_lock);
    place = find(handle);
    if (place) {
        l = *place;
        *place = NULL;
        while (l->users) pthread_cond_wait(&nobody_is_in, &table_lock);
    }
    pthread_mutex_unlock(&table_lock);
    return l;
}

int linnet_loop_any(void) {
    size_t i;
    int handle = 0;
    pthread_mutex_lock(&table_lock);
    for (i = 0; i < LINNET_LOOPS_MAX && !handle; i++) {
        if (table[i]) handle = table[i]->handle;
    }
    pthread_mutex_unlock(&table_lock);
    return handle;
}
