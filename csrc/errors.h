/* The result codes of the core are those of the public header: one list, LINNET_ERR_*.
 * LINNET_ERR_ARG is our own wrong call, LINNET_ERR_PACKET wrong bytes from outside: never confuse them. */
#ifndef LINNET_ERRORS_H
#define LINNET_ERRORS_H

#include "include/linnet.h"

#endif
