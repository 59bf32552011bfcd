/* A file descriptor that one thread makes readable for another: a pipe, or where the system has none (lwIP) a
 * datagram socket that is connected to itself over loopback. Both ends never block. */
#ifndef LINNET_LOOP_WAKE_H
#define LINNET_LOOP_WAKE_H

typedef struct {
    int read_fd, write_fd; /* -1 = not open; equal for the socket */
} linnet_wake_t;

int linnet_wake_open(linnet_wake_t *w); /* 0 or LINNET_ERR_CLOSED: the system gave none */
void linnet_wake_close(linnet_wake_t *w);
int linnet_wake_signal(linnet_wake_t *w); /* 1 when it is readable now */
void linnet_wake_clear(linnet_wake_t *w);

#endif
