/* Protobuf <-> record, driven by nanopb's descriptors of linnet.proto.
 *
 * A record is the same message in a form that Python reads with struct: a flat run of items, all
 * numbers little-endian, every item a multiple of 4 bytes long:
 *
 *     u16 field number, u8 kind (linnet_pb_kind), u8 zero, u32 n, then what the kind says:
 *
 *     INT     nothing; n is the value. It stands for the 64-bit number that sign extension
 *             (int32, int64) or zero extension (uint32, uint64, enum) makes of it
 *     INT64   8 bytes, n = 8: a number that does not fit in INT. In a field declared 32 bits
 *             wide only the low 32 bits count, as in every protobuf parser
 *     BOOL    nothing; n is 0 or 1
 *     FLOAT   nothing; n holds the IEEE 754 bits
 *     BYTES   n bytes, then zeros up to a multiple of 4
 *     STRING  the same; always valid UTF-8
 *     MSG     n bytes of items, those of the nested message
 *
 * A repeated field is its item once per element, packed or not on the wire; a map is a repeated
 * MSG of key (1) and value (2). Items come in wire order. What protobuf leaves to the reader
 * stays with the reader: of a field or oneof that occurs again the last one counts, but the same
 * MSG again is merged into the first.
 * A record is at most 8 times as long as its wire bytes, whatever they are. */
#ifndef LINNET_TRANSCODE_H
#define LINNET_TRANSCODE_H

#include <stddef.h>
#include <stdint.h>

enum linnet_pb_kind {
    LINNET_PB_INT = 1,
    LINNET_PB_INT64 = 2,
    LINNET_PB_BOOL = 3,
    LINNET_PB_FLOAT = 4,
    LINNET_PB_BYTES = 5,
    LINNET_PB_STRING = 6,
    LINNET_PB_MSG = 7
};

/* linnet_pb_decode and linnet_pb_encode are declared in linnet.h. `message` is a LINNET_PB_* root.
 * The result is the number of bytes written, or
 *     LINNET_ERR_PACKET  the wire bytes are no protobuf, a string is not UTF-8, or nesting is
 *                        deeper than LINNET_PB_DEPTH_MAX
 *     LINNET_ERR_SPACE   cap is too small; what the buffer then holds has no meaning
 *     LINNET_ERR_ARG     no such message, or a record that this schema cannot mean */

#endif
