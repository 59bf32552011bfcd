/* csrc/proto/transcode.c: any bytes become a record of at most 8 times their length, and that record becomes protobuf
 * of the same meaning again; any record is refused or becomes protobuf that is read.
 *
 * The first byte chooses the root message, and by its highest bit whether the rest is a record. */
#include <stdlib.h>
#include <string.h>

#include "include/linnet.h"

#define ROOTS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition) {
    if (!condition) abort();
}

/* Of exactly this size, so that the address sanitizer sees the first byte beyond. */
static uint8_t *block(size_t size) {
    uint8_t *memory = malloc(size ? size : 1);
    require(memory != NULL);
    return memory;
}

static void from_wire(int root, const uint8_t *wire, size_t len) {
    uint8_t *record = block(8 * len);
    int n = linnet_pb_decode(root, wire, len, record, 8 * len);
    require(n >= 0 || n == LINNET_ERR_PACKET);
    if (n > 0) {
        require(linnet_pb_decode(root, wire, len, record, (size_t)n - 1) == LINNET_ERR_SPACE);
        require(linnet_pb_decode(root, wire, len, record, 8 * len) == n);
        /* A negative number is an item of 8 bytes and up to 12 on the wire: twice is always enough. */
        uint8_t *again = block(2 * (size_t)n), *same = block((size_t)n);
        int m = linnet_pb_encode(root, record, (size_t)n, again, 2 * (size_t)n);
        require(m >= 0);
        require(linnet_pb_decode(root, again, (size_t)m, same, (size_t)n) == n);
        require(memcmp(record, same, (size_t)n) == 0);
        free(again);
        free(same);
    }
    free(record);
}

static void from_record(int root, const uint8_t *record, size_t len) {
    uint8_t *wire = block(2 * len);
    int n = linnet_pb_encode(root, record, len, wire, 2 * len);
    require(n >= 0 || n == LINNET_ERR_ARG);
    if (n >= 0) {
        uint8_t *again = block(8 * (size_t)n);
        require(linnet_pb_decode(root, wire, (size_t)n, again, 8 * (size_t)n) >= 0);
        free(again);
    }
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy;
    if (size == 0) return 0;
    copy = block(size - 1);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 0x80) {
        from_record(data[0] % ROOTS + 1, copy, size - 1);
    } else {
        from_wire(data[0] % ROOTS + 1, copy, size - 1);
    }
    free(copy);
    return 0;
}
