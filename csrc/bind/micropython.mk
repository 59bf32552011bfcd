# The user C module `_linnet` for MicroPython ports built with make:
#
#     make -C $MPY_DIR/ports/unix USER_C_MODULES=<linnet>/csrc MICROPY_PY_BTREE=0
#
# MicroPython looks for USER_C_MODULES/*/micropython.mk, so the folder to name is csrc/. `make micropython` in the
# top folder does all of it. Opus, nanopb, the resampler and (with LINNET_TLS=own) Mbed TLS are compiled with the
# port's compiler and machine flags into archives in the user cache; the core is compiled by the port.
#
# LINNET_TLS     shared: one Mbed TLS for the core and the port's `tls` module (default where the port has that)
#                own: the core brings its own, with csrc/mbedtls_config.h
# LINNET_LOOP    1: with the native media loop (default where the port has threads), 0: without
# LINNET_OPUS    fixed (default but on unix) or float
# LINNET_COPT    optimisation of core and archives (default -O2 on unix, else -Os)
# LINNET_DEFS    more -D for the core: limits of linnet_config.h
# LINNET_PYTHON  a Python 3.11 with the nanopb generator (default <linnet>/build/venv, made by `make venv-build`)

LINNET_CSRC := $(patsubst %/bind,%,$(USERMOD_DIR))
LINNET_ROOT := $(abspath $(LINNET_CSRC)/..)
LINNET_PYTHON ?= $(LINNET_ROOT)/build/venv/bin/python
LINNET_TLS ?= $(if $(filter 1,$(MICROPY_SSL_MBEDTLS)),shared,own)
LINNET_LOOP ?= $(if $(filter 1,$(MICROPY_PY_THREAD)),1,0)
LINNET_IS_UNIX := $(filter unix,$(notdir $(CURDIR)))
ifeq ($(LINNET_OPUS),)
LINNET_OPUS := $(if $(LINNET_IS_UNIX),float,fixed)
endif
LINNET_COPT ?= $(if $(LINNET_IS_UNIX),-O2,-Os)
LINNET_TOOL = $(LINNET_PYTHON) $(LINNET_CSRC)/bind/micropython_build.py

ifeq ($(wildcard $(LINNET_PYTHON)),)
$(error $(LINNET_PYTHON) is missing: run `make venv-build` in $(LINNET_ROOT), or set LINNET_PYTHON)
endif

# What the fragment is made of: a change of it compiles anew, as make itself does not look at flags.
LINNET_SETTINGS = $(LINNET_LOOP) $(LINNET_OPUS) $(LINNET_COPT) $(LINNET_DEFS)

# LINNET_INC (include folders and defines of the third party), LINNET_GENERATED (the protobuf codec).
$(shell mkdir -p $(BUILD); CC="$(CC)" LINNET_OPUS=$(LINNET_OPUS) $(LINNET_TOOL) fragment $(BUILD)/linnet.mk $(LINNET_TLS) '$(LINNET_SETTINGS)')
ifneq ($(.SHELLSTATUS),0)
$(error the module _linnet cannot be built, as said above)
endif
include $(BUILD)/linnet.mk
# MicroPython scans all files for its strings again when a configuration has changed.
QSTR_GLOBAL_DEPENDENCIES += $(BUILD)/linnet.mk

# --- what is compiled ---

LINNET_CORE := $(foreach folder,. net media proto,$(wildcard $(LINNET_CSRC)/$(folder)/*.c))
LINNET_CORE := $(subst /./,/,$(LINNET_CORE)) $(LINNET_GENERATED)
CFLAGS_USERMOD += -I$(LINNET_CSRC)/include -DMODULE_LINNET_ENABLED=1

ifeq ($(LINNET_LOOP),1)
# Files of one system carry its name; _posix is for all that have its calls.
LINNET_PORT := $(filter-out %_esp32.c,$(wildcard $(LINNET_CSRC)/port/*.c))
LINNET_CORE += $(LINNET_PORT)
CFLAGS_USERMOD += $(if $(LINNET_PORT),-DLINNET_MEDIA_LOOP=1)
endif

SRC_USERMOD_C += $(LINNET_CSRC)/bind/modlinnet.c
SRC_USERMOD_LIB_C += $(LINNET_CORE)

LINNET_OBJ := $(addprefix $(BUILD)/,$(patsubst $(LINNET_CSRC)/%,%,$(LINNET_CORE:.c=.o)))
LINNET_FOLDERS := $(foreach folder,. include net media proto port,-I$(LINNET_CSRC)/$(folder))
$(LINNET_OBJ): $(BUILD)/linnet.mk
# The core has its own warnings, checked by its own build; the port's are others, and errors.
$(LINNET_OBJ): CFLAGS += $(LINNET_FOLDERS) $(LINNET_INC) -std=gnu11 $(LINNET_COPT) -Wno-error $(LINNET_DEFS)

# --- Mbed TLS ---

ifeq ($(LINNET_TLS),shared)
MBEDTLS_CONFIG_FILE = \"mbedtls_shared.h\"
CFLAGS_USERMOD += -I$(LINNET_CSRC)/bind
# The buffers of the tls module's records, 16 KiB in and 4 KiB out, are the core's too.
$(LINNET_OBJ): CFLAGS += -DLINNET_TLS_ARENA="(36*1024)"
$(BUILD)/crypto_arena.o: CFLAGS += -DLINNET_TLS_OUTSIDE_CALLOC=calloc -DLINNET_TLS_OUTSIDE_FREE=free
# AEAD_AES_128_GCM for SRTP: see mbedtls_srtp.h.
$(BUILD)/lib/mbedtls/library/ssl_%.o: CFLAGS += -include $(LINNET_CSRC)/mbedtls_srtp.h
endif
ifeq ($(LINNET_LOOP),0)
# Without threads one variable is as good, and needs no thread-local storage of the system.
$(BUILD)/crypto_arena.o: CFLAGS += -DLINNET_THREAD_LOCAL=
endif

# --- archives ---

# Ports link $(LIB) or $(LIBS) after the objects. The recipe sees CFLAGS as the port made them.
LINNET_ARCHIVE := $(BUILD)/liblinnet_third.a
LIB += $(LINNET_ARCHIVE)
LIBS += $(LINNET_ARCHIVE)
$(BUILD)/bind/modlinnet.o: $(LINNET_ARCHIVE)
$(LINNET_ARCHIVE): $(BUILD)/linnet.mk
	$(ECHO) "AR $@"
	$(Q)CC="$(CC)" LINNET_OPUS=$(LINNET_OPUS) $(LINNET_TOOL) archive $@ $(LINNET_TLS) $(LINNET_COPT) $(CFLAGS)
