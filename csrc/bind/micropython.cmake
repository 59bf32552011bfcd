# The user C module `_linnet` for MicroPython ports built with CMake (ESP32, RP2):
#
#     make -C $MPY_DIR/ports/esp32 BOARD=... USER_C_MODULES=<linnet>/csrc/bind/micropython.cmake
#
# boards/esp32 does all of it. The core and the third party are libraries of their own, compiled with the port's
# compiler and machine flags; only the glue and the media loop see MicroPython and the port. The core brings its own
# Mbed TLS under other names (linnet_mbedtls_...), because a port's library is configured otherwise: hardware
# accelerators with contexts of another size, its own allocator, no AEAD_AES_128_GCM for SRTP. 90 KB of flash.
#
# LINNET_BOARD_H  header with limits of linnet_config.h and pins, forced on every file (boards/gen.py)
# LINNET_LOOP     ON: with the native media loop (default: on ESP32)
# LINNET_OPUS     fixed (default) or float
# LINNET_COPT     optimisation of core and third party (default -Os)
# LINNET_PYTHON   a Python 3.11 with the nanopb generator (default <linnet>/build/venv, made by `make venv-build`)

get_filename_component(LINNET_CSRC "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
get_filename_component(LINNET_ROOT "${LINNET_CSRC}/.." ABSOLUTE)
set(LINNET_OUT_DIR "${CMAKE_BINARY_DIR}/linnet")
if(NOT LINNET_PYTHON)
    set(LINNET_PYTHON "${LINNET_ROOT}/build/venv/bin/python")
endif()
if(NOT LINNET_OPUS)
    set(LINNET_OPUS fixed)
endif()
if(NOT LINNET_COPT)
    set(LINNET_COPT -Os)
endif()
if(NOT DEFINED LINNET_LOOP)
    if(ESP_PLATFORM)
        set(LINNET_LOOP ON)
    else()
        set(LINNET_LOOP OFF)
    endif()
endif()
if(NOT EXISTS "${LINNET_PYTHON}")
    message(FATAL_ERROR "${LINNET_PYTHON} is missing: run `make venv-build` in ${LINNET_ROOT}, or set LINNET_PYTHON")
endif()

# --- the third party: liblinnet_third.a, from the user cache when it is there, and what its users must know ---

separate_arguments(LINNET_PORT_FLAGS UNIX_COMMAND "${CMAKE_C_FLAGS}")
execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env "CC=${CMAKE_C_COMPILER}" "LINNET_OPUS=${LINNET_OPUS}" "${LINNET_PYTHON}"
        "${LINNET_CSRC}/bind/micropython_build.py" cmake "${LINNET_OUT_DIR}" ${LINNET_COPT} ${LINNET_PORT_FLAGS}
    RESULT_VARIABLE LINNET_RESULT)
if(NOT LINNET_RESULT EQUAL 0)
    message(FATAL_ERROR "the module _linnet cannot be built, as said above")
endif()
# LINNET_THIRD_INCLUDES, LINNET_THIRD_DEFINES, LINNET_GENERATED
include("${LINNET_OUT_DIR}/linnet.cmake")

add_library(linnet_third STATIC IMPORTED)
set_target_properties(linnet_third PROPERTIES IMPORTED_LOCATION "${LINNET_OUT_DIR}/liblinnet_third.a")

# --- the core ---

file(GLOB LINNET_CORE CONFIGURE_DEPENDS
    "${LINNET_CSRC}/*.c" "${LINNET_CSRC}/net/*.c" "${LINNET_CSRC}/media/*.c" "${LINNET_CSRC}/proto/*.c")
add_library(linnet_core STATIC ${LINNET_CORE} ${LINNET_GENERATED})
set_target_properties(linnet_core PROPERTIES C_STANDARD 11)
target_include_directories(linnet_core PRIVATE
    "${LINNET_CSRC}" "${LINNET_CSRC}/include" "${LINNET_CSRC}/net" "${LINNET_CSRC}/media" "${LINNET_CSRC}/proto")
target_include_directories(linnet_core SYSTEM PRIVATE ${LINNET_THIRD_INCLUDES})
target_compile_definitions(linnet_core PRIVATE ${LINNET_THIRD_DEFINES})
target_compile_options(linnet_core PRIVATE
    ${LINNET_COPT} -ffunction-sections -fdata-sections "SHELL:-include '${LINNET_OUT_DIR}/renames.h'")
target_link_libraries(linnet_core PUBLIC linnet_third)

# --- the module ---

add_library(usermod_linnet INTERFACE)
target_sources(usermod_linnet INTERFACE "${LINNET_CSRC}/bind/modlinnet.c")
target_include_directories(usermod_linnet INTERFACE "${LINNET_CSRC}/include")
target_compile_definitions(usermod_linnet INTERFACE MODULE_LINNET_ENABLED=1)
if(LINNET_LOOP)
    # Not sources of the interface, as MicroPython wants of what it scans: those ESP-IDF compiles a second time for
    # the .elf, without ESP_PLATFORM and optimisation, and links that copy.
    file(GLOB LINNET_PORT CONFIGURE_DEPENDS "${LINNET_CSRC}/port/*.c")
    add_library(linnet_port STATIC ${LINNET_PORT})
    set_target_properties(linnet_port PROPERTIES C_STANDARD 11)
    target_include_directories(linnet_port PRIVATE "${LINNET_CSRC}/include")
    # errors.h by quotes alone: the port has headers of such names.
    target_compile_options(linnet_port PRIVATE
        ${LINNET_COPT} -ffunction-sections -fdata-sections "SHELL:-iquote '${LINNET_CSRC}'")
    target_link_libraries(linnet_port PUBLIC linnet_core)
    if(ESP_PLATFORM)
        target_link_libraries(linnet_port PRIVATE idf::pthread idf::lwip idf::vfs idf::newlib idf::esp_driver_i2s)
    endif()
    target_link_libraries(usermod_linnet INTERFACE linnet_port)
    target_compile_definitions(usermod_linnet INTERFACE LINNET_MEDIA_LOOP=1)
    # The scan for names does not see definitions of an interface.
    list(APPEND MICROPY_CPP_DEF_EXTRA LINNET_MEDIA_LOOP=1)
else()
    # Without threads one variable is as good, and needs no thread-local storage of the system.
    target_compile_definitions(linnet_core PRIVATE LINNET_THREAD_LOCAL=)
endif()
if(LINNET_BOARD_H)
    get_filename_component(LINNET_BOARD_DIR "${LINNET_BOARD_H}" DIRECTORY)
    target_include_directories(usermod_linnet INTERFACE "${LINNET_BOARD_DIR}")
    target_compile_options(linnet_core PRIVATE "SHELL:-include '${LINNET_BOARD_H}'")
    if(LINNET_LOOP)
        target_include_directories(linnet_port PRIVATE "${LINNET_BOARD_DIR}")
        target_compile_options(linnet_port PRIVATE "SHELL:-include '${LINNET_BOARD_H}'")
    endif()
endif()
target_link_libraries(usermod_linnet INTERFACE linnet_core)
target_link_libraries(usermod INTERFACE usermod_linnet)
