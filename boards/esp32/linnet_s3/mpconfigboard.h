/* MicroPython's settings for every ESP32-S3 board of Linnet; board.h is the board's own (boards/gen.py). */
#include "board.h"

#define MICROPY_HW_BOARD_NAME "Linnet " LINNET_BOARD
#define MICROPY_HW_MCU_NAME "ESP32S3"

/* The REPL is on USB; GPIO 43 and 44 may be the board's sound. */
#define MICROPY_HW_ENABLE_UART_REPL (0)

/* Bluetooth is off in the sdkconfig; MicroPython has it on and then wants its headers. */
#define MICROPY_PY_BLUETOOTH (0)

/* In PSRAM, because it is larger than what malloc keeps inside. */
#define MICROPY_GC_INITIAL_HEAP_SIZE (LINNET_HEAP)

/* Signalling and the app run here; the sound has a task of its own (LINNET_LOOP_STACK). */
#define MICROPY_TASK_STACK_SIZE (24 * 1024)
