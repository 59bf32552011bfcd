/* Declarations for a compile check only: see ../README.md. */
#pragma once
typedef unsigned int nfds_t;
struct pollfd {
    int fd;
    short events, revents;
};
#define POLLIN 0x001
#define POLLOUT 0x008
#define POLLERR 0x020
#define POLLHUP 0x040
#define POLLNVAL 0x080
int poll(struct pollfd *, nfds_t, int);
