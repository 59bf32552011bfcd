# RV32 as qemu's "virt" machine emulates it: 128 MiB, of which 20 are used.
QEMU_ARCH = riscv32
QEMU_MACHINE = virt

# gcc 12 knows Zicsr as an extension of its own, and then picks the 64-bit libgcc: ask for the older names.
RV32_ARCH = rv32imac
AFLAGS += -misa-spec=2.2
CFLAGS += -DQEMU_SOC_VIRT
CFLAGS += -DMICROPY_HW_MCU_NAME='"RV32IMAC"'
MPY_CROSS_FLAGS += -march=rv32imc

LDSCRIPT = $(BOARD_DIR)/memory.ld
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o

include $(BOARD_DIR)/../board.mk
