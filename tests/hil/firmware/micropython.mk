# The user module of the emulated boards: their hardware, and linnet_units for unit tests.
# The core's own user module (csrc/bind) goes beside it and says where the headers are.
HIL_FIRMWARE := $(USERMOD_DIR)

SRC_USERMOD_C += $(HIL_FIRMWARE)/hil_units.c
SRC_USERMOD_LIB_C += $(HIL_FIRMWARE)/hil_hal.c
CFLAGS_USERMOD += -I$(HIL_FIRMWARE)
