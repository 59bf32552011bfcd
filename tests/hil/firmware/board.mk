# What both emulated boards share: our configuration, our clock and input in place of the port's, linnet_units.
# Build with USER_C_MODULES=csrc, which brings the core; tests/hil/firmware_build.py does all of it.
HIL_DIR := $(abspath $(BOARD_DIR)/..)
HIL_CSRC := $(abspath $(HIL_DIR)/../../../csrc)

CFLAGS += -DMP_CONFIGFILE='"$(HIL_DIR)/hil_mpconfig.h"' -I$(HIL_DIR)
# linnet_units looks inside the core, modhashlib uses its Mbed TLS.
CFLAGS += $(foreach folder,. include net media,-I$(HIL_CSRC)/$(folder)) $(LINNET_INC)
LDFLAGS += -Wl,--wrap=mp_hal_stdio_poll -Wl,--wrap=mp_hal_stdin_rx_chr -Wl,--wrap=mp_stack_set_limit
CSUPEROPT = -O3
MICROPY_HEAP_SIZE ?= 12582912

SRC_C += $(HIL_DIR)/hil_hal.c $(HIL_DIR)/hil_units.c
SRC_BOARD_O += shared/timeutils/timeutils.o
# The port sets LIBS anew on ARM; this comes after.
$(BUILD)/firmware.elf: LIBS += $(BUILD)/liblinnet_third.a
