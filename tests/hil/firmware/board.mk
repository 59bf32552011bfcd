# What both emulated boards share: our configuration, our clock and input in place of the port's.
HIL_DIR := $(BOARD_DIR)/..

CFLAGS += -DMP_CONFIGFILE='"$(abspath $(HIL_DIR))/hil_mpconfig.h"' -I$(HIL_DIR)
# No threads here, and nobody who sets up thread-local storage.
CFLAGS += -DLINNET_THREAD_LOCAL=
LDFLAGS += -Wl,--wrap=mp_hal_stdio_poll -Wl,--wrap=mp_hal_stdin_rx_chr -Wl,--wrap=mp_stack_set_limit
MICROPY_HEAP_SIZE ?= 6291456
SRC_BOARD_O += shared/timeutils/timeutils.o
