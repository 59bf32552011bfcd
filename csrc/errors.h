/* Results of the core. >= 0 is a count or a kind; < 0 is one of these (also listed in linnet.h, where
 * session.c asserts that the two agree). */
#ifndef LINNET_ERRORS_H
#define LINNET_ERRORS_H

enum {
    LINNET_ERR_ARG = -1,    /* a wrong call: our bug or the application's */
    LINNET_ERR_PACKET = -2, /* wrong bytes from outside: dropped and counted */
    LINNET_ERR_SPACE = -3,  /* the caller's buffer is too small; nothing was consumed */
    LINNET_ERR_STATE = -4,  /* right call, wrong moment */
    LINNET_ERR_AGAIN = -5,  /* a queue is full: poll, then try again */
    LINNET_ERR_CRYPTO = -6, /* the crypto backend failed (arena exhausted, bad key) */
    LINNET_ERR_CLOSED = -7, /* the session, channel or association has ended */
    LINNET_ERR_LIMIT = -8,  /* over a limit of linnet_config.h or of the peer */
    LINNET_ERR_AUTH = -9    /* integrity, fingerprint or replay check failed */
};

#endif
