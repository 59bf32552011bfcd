# MicroPython's view of an ESP32-S3 board that runs Linnet. What differs between boards comes from LINNET_OUT, where
# boards/gen.py wrote it: set by boards/esp32/Makefile.
set(IDF_TARGET esp32s3)

if(NOT DEFINED ENV{LINNET_OUT} OR NOT EXISTS "$ENV{LINNET_OUT}/board.h")
    message(FATAL_ERROR "LINNET_OUT names no folder made by boards/gen.py. Build with: make -C boards/esp32 BOARD=...")
endif()
set(LINNET_OUT $ENV{LINNET_OUT})

set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/sdkconfig.usb
    ${MICROPY_BOARD_DIR}/sdkconfig.linnet
    ${LINNET_OUT}/sdkconfig.board
    ${LINNET_OUT}/sdkconfig.partitions
)
if("$ENV{SECURE}" STREQUAL "1")
    list(APPEND SDKCONFIG_DEFAULTS ${MICROPY_BOARD_DIR}/sdkconfig.secure)
endif()

# board.h: limits of the core for micropython.cmake, pins for csrc/port/i2s_esp32.c.
set(LINNET_BOARD_H ${LINNET_OUT}/board.h)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
