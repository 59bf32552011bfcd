/* SRTP and SRTCP from the network (csrc/net/srtp.c). The first byte chooses the profile and whether
 * each packet is as it came or is first protected with the right keys, so that the code behind the
 * tag is reached too. The rest is a list of packets: u8 length, then that many bytes. Every packet
 * lies at the end of a block of exactly its size. */
#include <stdlib.h>

#include "dtls.h"
#include "srtp.h"

enum { FLAG_GCM = 1, FLAG_RTCP = 2, FLAG_PROTECT = 4, FLAG_SPOIL = 8 };

static const uint8_t key[16] = {1, 2, 3}, salt[14] = {4, 5, 6};

static void one(linnet_srtp_t *in, linnet_srtp_t *out, int flags, const uint8_t *data, size_t len) {
    size_t room = flags & FLAG_RTCP ? LINNET_SRTCP_ROOM : LINNET_SRTP_ROOM;
    size_t size = flags & FLAG_PROTECT ? len + room : len;
    uint8_t *packet = malloc(size ? size : 1);
    int n = (int)len;
    if (packet == NULL) abort();
    if (len) memcpy(packet, data, len);
    if (flags & FLAG_PROTECT)
        n = flags & FLAG_RTCP ? linnet_srtcp_protect(out, packet, len, size)
                              : linnet_srtp_protect(out, packet, len, size);
    if (n > 0 && flags & FLAG_SPOIL) packet[(size_t)data[0] % (size_t)n] ^= 1;
    if (n >= 0) {
        int opened = flags & FLAG_RTCP ? linnet_srtcp_open(in, packet, (size_t)n)
                                       : linnet_srtp_open(in, packet, (size_t)n);
        int genuine = (flags & FLAG_PROTECT) && !(flags & FLAG_SPOIL);
        if ((opened >= 0) != genuine) abort();
        if (genuine && ((size_t)opened != len || memcmp(packet, data, len) != 0)) abort();
    }
    free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    linnet_srtp_t in, out;
    if (size < 2) return 0;
    int flags = data[0];
    int profile = flags & FLAG_GCM ? LINNET_SRTP_AEAD_AES_128_GCM : LINNET_SRTP_AES128_CM_SHA1_80;
    if (linnet_srtp_init(&in, profile, key, salt) != 0 ||
        linnet_srtp_init(&out, profile, key, salt) != 0)
        abort();
    wire_in_t input = wire_in(data + 1, size - 1);
    while (wire_left(&input) > 1) {
        wire_span_t packet = wire_take(&input, wire_u8(&input));
        if (!wire_ok(&input)) break;
        one(&in, &out, flags, packet.data, packet.len);
    }
    return 0;
}
