/* Waking by a file descriptor; loop_wake.h. */
#define _POSIX_C_SOURCE 200809L
#include "loop_wake.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "errors.h"

static int make_quiet(int fd) {
    int flags = fcntl(fd, F_GETFL, 0);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -1;
#ifndef ESP_PLATFORM
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -1;
#endif
    return 0;
}

#if defined(ESP_PLATFORM) || defined(LINNET_WAKE_BY_SOCKET)
static int open_fds(linnet_wake_t *w) {
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w->read_fd = w->write_fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (w->read_fd < 0 || bind(w->read_fd, (struct sockaddr *)&name, sizeof name) < 0) return -1;
    if (getsockname(w->read_fd, (struct sockaddr *)&name, &len) < 0) return -1;
    /* Connected to itself: nobody else's datagrams come in. */
    return connect(w->read_fd, (struct sockaddr *)&name, sizeof name);
}
#else
static int open_fds(linnet_wake_t *w) {
    int fds[2];
    if (pipe(fds) < 0) return -1;
    w->read_fd = fds[0];
    w->write_fd = fds[1];
    return 0;
}
#endif

int linnet_wake_open(linnet_wake_t *w) {
    w->read_fd = w->write_fd = -1;
    if (open_fds(w) == 0 && make_quiet(w->read_fd) == 0 && make_quiet(w->write_fd) == 0) return 0;
    linnet_wake_close(w);
    return LINNET_ERR_CLOSED;
}

void linnet_wake_close(linnet_wake_t *w) {
    if (w->read_fd >= 0) close(w->read_fd);
    if (w->write_fd >= 0 && w->write_fd != w->read_fd) close(w->write_fd);
    w->read_fd = w->write_fd = -1;
}

int linnet_wake_signal(linnet_wake_t *w) {
    char byte = 1;
    return write(w->write_fd, &byte, 1) == 1;
}

void linnet_wake_clear(linnet_wake_t *w) {
    char bytes[16];
    while (read(w->read_fd, bytes, sizeof bytes) > 0) {
    }
}
