# One entry to everything. `make` alone prints what there is.
#
# Needs Python 3.11+ (with venv and headers), a C compiler and make. Everything else is fetched at pinned versions into
# build/ and the user cache ($LINNET_CACHE, else $XDG_CACHE_HOME/linnet, else ~/.cache/linnet).

CC ?= cc
export CC
# Third-party and native builds read these; see csrc/bind/build_tools.py.
export LINNET_SANITIZE LINNET_OPUS LINNET_VARIANT MPY_VERSION FROZEN

VENV := build/venv
PY := $(VENV)/bin/python
BUILD_PY := $(PY) csrc/bind/cffi_build.py
# Python that finds the native module of this CC, LINNET_OPUS and LINNET_SANITIZE.
RUN = LINNET_VARIANT=$$($(BUILD_PY) variant) $(PY)
C_FILES = $(shell git ls-files 'csrc/*.c' 'csrc/*.h')
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 20
# Everything in which the native module takes part, but: what judges sound in real time (test_audio.py, and two of the
# media loop) or the memory of the process (test_soak.py, test_micropython.py), which the sanitizers stretch; and what
# is about the other side alone (test_peers.py, test_rig.py). The tests directly in tests/
# have other builds or none.
SANITIZE_TESTS ?= $(wildcard tests/c tests/app tests/scenario tests/interop tests/port tests/e2e tests/host_sim \
	tests/test_parity.py) $(addprefix --ignore=tests/e2e/,test_audio.py test_soak.py test_peers.py test_rig.py test_micropython.py) \
	--deselect=tests/port/test_loop_call.py::test_a_garbage_collection_and_a_busy_interpreter_are_not_heard \
	--deselect=tests/e2e/test_drivers.py::test_a_busy_interpreter_does_not_disturb_a_call
SANITIZE_SEEDS ?= 50
SANITIZE_WORKERS ?= 2
# test_rig.py and test_peers.py are about the other side alone.
MICROPYTHON_TESTS ?= $(filter-out %/test_rig.py %/test_peers.py,$(wildcard tests/e2e/test_*.py)) $(wildcard tests/host_sim/test_cli_*.py)

# The first Python that is new enough; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help
help: ## print this list
	@echo "Linnet: a LiveKit client for small machines"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo "Settings: CC, PYTHON, LINNET_OPUS=fixed, LINNET_SANITIZE=address,undefined, LINNET_CACHE, PYTEST_ARGS,"
	@echo "          MPY_VERSION=1.25.0, FROZEN=1 (make micropython, make test-micropython)"
	@echo "          OPUS_DIR MBEDTLS_DIR NANOPB_DIR SPEEXDSP_DIR MPY_DIR LIVEKIT_SERVER (use these, download nothing)"

.PHONY: demo
demo: venv-demo extension livekit-server ## a simulated badge talks with an agent in a real room
	$(RUN) -m host_sim demo

.PHONY: build
build: venv-build extension ## compile the native module into build/release

.PHONY: micropython
micropython: venv-build ## build/micropython/micropython: MicroPython's unix port with the core (1 min, once), and mpy-cross
	@$(PY) csrc/bind/micropython_build.py unix >/dev/null

.PHONY: test
test: venv-test extension livekit-server ## every test, against a real livekit-server too
	$(RUN) -m tests $(PYTEST_ARGS)

.PHONY: test-micropython
test-micropython: venv-test extension livekit-server micropython ## the end-to-end tests and those of the command line, with Linnet on MicroPython
	LINNET_INTERPRETER=micropython $(RUN) -m pytest $(MICROPYTHON_TESTS) $(PYTEST_ARGS)

.PHONY: server
server: venv-build livekit-server ## build the pinned livekit-server into the cache (80 s, once)

.PHONY: sanitize
sanitize: venv-test livekit-server ## the tests of all native code under the address and undefined-behaviour sanitizers
	LINNET_SANITIZE=$${LINNET_SANITIZE:-address,undefined} $(MAKE) --no-print-directory extension sanitized-tests

.PHONY: sanitize-threads
sanitize-threads: venv-test ## the tests of the native media loop under the thread sanitizer
	LINNET_SANITIZE=thread $(MAKE) --no-print-directory extension sanitized-tests SANITIZE_TESTS=tests/port SANITIZE_WORKERS=

.PHONY: fuzz
fuzz: venv-test ## run each fuzz target for FUZZ_SECONDS (20), with its corpus
	$(PY) -m tests.fuzz --seconds $(FUZZ_SECONDS)

.PHONY: bench
bench: venv-test extension livekit-server ## costs beside the peers, in one run; BENCH=call: one of them
	$(RUN) -m tests.bench $(BENCH)

.PHONY: hil
hil: venv-test extension livekit-server ## the tests on boards: the emulated ones and those you add to tests/hil/rig.json
	LINNET_HIL=1 $(RUN) -m pytest tests/hil $(PYTEST_ARGS)

.PHONY: hil-firmware
hil-firmware: venv-test ## only the firmware of the emulated boards (2 min, once)
	@$(PY) -m tests.hil firmware

.PHONY: budgets
budgets: venv-test ## text, RAM, stack and instructions on emulated boards, against the committed table
	$(PY) -m tests.budgets $(BUDGETS_ARGS)

.PHONY: lint
lint: venv-lint ## style of Python and C
	$(VENV)/bin/ruff check
	$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)

.PHONY: format
format: venv-lint ## let clang-format lay out csrc/
	$(VENV)/bin/clang-format -i $(C_FILES)

.PHONY: core-objects
core-objects: venv-build ## compile the core alone into build/core/*.o, for nm
	@$(BUILD_PY) core-objects

.PHONY: library
library: venv-build ## build/release/liblinnet.a, for C programs
	@$(BUILD_PY) library

.PHONY: clean
clean: ## remove build/ (the user cache stays)
	rm -rf build

# --- steps ---

.PHONY: venv-build venv-demo venv-test venv-lint
venv-build venv-demo venv-test venv-lint: venv-%:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found. Debian: apt install python3 python3-venv python3-dev;" \
		"or set PYTHON=" >&2; exit 1; }
	@$(PYTHON) csrc/bind/make_venv.py $* $(VENV)

.PHONY: extension
extension: | venv-build
	@$(BUILD_PY) extension >/dev/null

.PHONY: livekit-server
livekit-server: | venv-build
	@$(PY) -m tests.server build >/dev/null

.PHONY: sanitized-tests
sanitized-tests:
	env $$($(BUILD_PY) sanitizer-env) LINNET_SEEDS=$(SANITIZE_SEEDS) LINNET_LIVE_WORKERS=$(SANITIZE_WORKERS) LINNET_VARIANT=$$($(BUILD_PY) variant) \
		$(PY) -m tests $(SANITIZE_TESTS) $(PYTEST_ARGS)
