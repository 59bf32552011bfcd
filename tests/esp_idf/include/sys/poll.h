/* Declarations for a compile check only: see ../../README.md. */
#pragma once
typedef unsigned int nfds_t;
struct pollfd {
    int fd;
    short events, revents;
};
#define POLLIN (1u << 0)
#define POLLOUT (1u << 3)
#define POLLERR (1u << 5)
#define POLLHUP (1u << 6)
#define POLLNVAL (1u << 7)
int poll(struct pollfd *, nfds_t, int);
