/* csrc/net/rtcp.c: any compound is read to its end within bounds, and the statistics it moves give
 * a good compound.
 *
 * The first byte counts the RTP packets received before (u16 sequence, u16 milliseconds later
 * each); the rest is a compound from outside. */
#include <stdlib.h>

#include "net/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition) {
    if (!condition) abort();
}

typedef struct {
    linnet_rtcp_send_stats_t send;
    linnet_rtcp_recv_stats_t recv;
    uint64_t now_us;
} ends_t;

static size_t read_compound(ends_t *ends, const uint8_t *data, size_t size) {
    linnet_rtcp_reader_t reader;
    linnet_rtcp_item_t item;
    uint16_t asked[17];
    size_t items = 0;
    int kind;
    if (linnet_rtcp_read(&reader, data, size) != 0) return 0;
    while ((kind = linnet_rtcp_next(&reader, &item)) != 0) {
        require(++items <= size); /* no item is smaller than its header */
        if (kind < 0) continue;
        ends->recv.ssrc = item.sender; /* so that the paths behind the comparison are reached */
        ends->send.ssrc = item.subject;
        if (kind == LINNET_RTCP_SR) linnet_rtcp_on_sr(&ends->recv, ends->now_us, &item);
        if (kind == LINNET_RTCP_REPORT) linnet_rtcp_on_report(&ends->send, ends->now_us, 0, &item);
        if (kind == LINNET_RTCP_NACK) {
            int n = linnet_rtcp_nack_list(&item, asked);
            require(n >= 1 && n <= 17);
        }
    }
    require(linnet_rtcp_next(&reader, &item) == 0);
    return items;
}

static void build_compound(ends_t *ends) {
    static const uint8_t name[] = "device";
    linnet_rtcp_recv_stats_t *sources[] = {&ends->recv};
    linnet_rtcp_compound_t c;
    uint8_t buf[200];
    int n;
    memset(&c, 0, sizeof c);
    c.ssrc = ends->send.ssrc;
    c.cname.data = name;
    c.cname.len = 6;
    c.send = &ends->send;
    c.recv = sources;
    c.n_recv = 1;
    c.bye = 1;
    n = linnet_rtcp_build(&c, ends->now_us, buf, sizeof buf);
    require(n > 0 && n % 4 == 0);
    require(read_compound(ends, buf, (size_t)n) == (size_t)(ends->recv.is_started ? 4 : 3));
    require(linnet_rtcp_build(&c, ends->now_us, buf, (size_t)n - 1) == LINNET_ERR_SPACE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wire_in_t in = wire_in(data, size);
    ends_t ends;
    uint8_t packets = wire_u8(&in);
    wire_span_t compound;
    linnet_rtcp_send_init(&ends.send, 1, 48000);
    linnet_rtcp_recv_init(&ends.recv, 2, 48000);
    ends.now_us = 1000000;
    linnet_rtcp_sent(&ends.send, ends.now_us, 960, 60);
    while (packets-- > 0 && wire_left(&in) >= 4) {
        uint16_t sequence = wire_u16(&in);
        ends.now_us += (uint64_t)wire_u16(&in) * 1000;
        (void)linnet_rtcp_received(&ends.recv, ends.now_us, sequence, sequence * 960u);
    }
    compound = wire_take(&in, wire_left(&in));
    (void)read_compound(&ends, compound.data, compound.len);
    build_compound(&ends);
    return 0;
}
