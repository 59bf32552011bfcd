/* For a compile check only: see README.md. */
#include <stdint.h>
