/* csrc/net/ice*.c: an agent under a script of calls and datagrams stays whole.
 *
 * The input is a list of steps: one byte what, then its arguments. Besides raw datagrams there are requests and
 * responses whose attributes are the fuzzer's and whose credentials are right, so that it gets inside. After each
 * step the agent is polled as a session would and its promises are checked. */
#include <stdlib.h>

#include "net/ice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    linnet_ice_t ice;
    linnet_rng_t rng;
    uint64_t now_us;
    linnet_hmac_sha1_t local, remote; /* right now */
    linnet_hmac_sha1_t old_local;     /* before the latest restart */
    char old_ufrag[LINNET_ICE_UFRAG_LEN + 1];
    linnet_addr_t asked;     /* where the latest check went */
    uint8_t transaction[12]; /* and its transaction */
    uint32_t requests_given;
} world_t;

static void require(int condition) {
    if (!condition) abort();
}

static linnet_addr_t address(wire_in_t *in) {
    linnet_addr_t addr;
    uint8_t choice = wire_u8(in);
    memset(&addr, 0, sizeof addr);
    addr.family = choice & 1 ? LINNET_FAMILY_IPV6 : LINNET_FAMILY_IPV4;
    addr.socket = choice >> 1 & 3;
    addr.port = (uint16_t)(1 + (choice >> 3 & 7));
    addr.ip[0] = choice & 1 ? 0x20 : 192;
    addr.ip[3] = choice >> 6;
    return addr;
}

static void update_local_key(world_t *w) {
    w->old_local = w->local;
    linnet_hmac_sha1_init(&w->local, (const uint8_t *)linnet_ice_pwd(&w->ice), LINNET_ICE_PWD_LEN);
}

static void set_remote(world_t *w, wire_in_t *in) {
    uint8_t which = wire_u8(in);
    char ufrag[5] = "peer", pwd[23] = "password of the peer 2";
    ufrag[3] = pwd[21] = (char)('a' + (which & 3));
    if (linnet_ice_set_remote(&w->ice, ufrag, 4, pwd, 22, which & 4) == 0)
        linnet_hmac_sha1_init(&w->remote, (const uint8_t *)pwd, 22);
}

static void give(world_t *w, const linnet_addr_t *from, const uint8_t *data, size_t len) {
    int rc = linnet_ice_input(&w->ice, &w->rng, w->now_us, from, data, len);
    require(rc <= 0 && rc >= LINNET_ERR_AUTH);
    w->requests_given++;
}

/* The fuzzer's attributes in a message with right credentials. */
static void give_signed(world_t *w, wire_in_t *in, int kind, int old) {
    const char *ufrag = old ? w->old_ufrag : linnet_ice_ufrag(&w->ice);
    const linnet_hmac_sha1_t *local = old ? &w->old_local : &w->local;
    uint8_t buf[600];
    wire_out_t out = wire_out(buf, sizeof buf);
    linnet_addr_t from = address(in);
    wire_span_t body = wire_take(in, (size_t)(wire_u8(in) & 0x7C));
    int n;
    if (!wire_ok(in)) return;
    if (kind == LINNET_STUN_REQUEST) {
        uint8_t transaction[12] = {0};
        transaction[0] = (uint8_t)w->requests_given;
        linnet_stun_begin(&out, kind, transaction);
        linnet_stun_put_username(&out, ufrag, LINNET_ICE_UFRAG_LEN, "peer", 4);
        if (!(from.port & 1)) linnet_stun_put_priority(&out, (uint32_t)from.port << 24);
    } else {
        if (from.port & 1) from = w->asked;
        linnet_stun_begin(&out, kind, w->transaction);
        if (kind == LINNET_STUN_SUCCESS) linnet_stun_put_mapped(&out, &from, w->transaction);
    }
    wire_put(&out, body.data, body.len);
    n = linnet_stun_end(&out, kind == LINNET_STUN_REQUEST ? local : &w->remote);
    if (n > 0) give(w, &from, buf, (size_t)n);
}

static void drain(world_t *w) {
    uint8_t buf[256];
    linnet_addr_t to;
    int n, i;
    for (i = 0; (n = linnet_ice_poll(&w->ice, &w->rng, w->now_us, &to, buf, sizeof buf)) != 0;
         i++) {
        require(n > 0 && n <= (int)sizeof buf && i < 64 && linnet_stun_is(buf, (size_t)n));
        if (buf[0] == 0 && buf[1] == 1) {
            w->asked = to;
            memcpy(w->transaction, buf + 8, 12);
        }
    }
    require(linnet_ice_deadline(&w->ice) > w->now_us);
}

static void check(const world_t *w) {
    const struct linnet_ice_counters *c = &w->ice.counters;
    linnet_addr_t to;
    int state = linnet_ice_state(&w->ice);
    require(state >= LINNET_ICE_NEW && state <= LINNET_ICE_CLOSED);
    require(linnet_ice_selected(&w->ice, &to) == linnet_ice_can_send(&w->ice));
    if (linnet_ice_can_send(&w->ice)) require(linnet_ice_accepts(&w->ice, &to) == 1);
    if (state == LINNET_ICE_CONNECTED || state == LINNET_ICE_COMPLETED)
        require(linnet_ice_can_send(&w->ice));
    require(c->answers_sent <= c->requests && c->requests <= w->requests_given);
}

static void step(world_t *w, wire_in_t *in) {
    uint8_t what = wire_u8(in);
    linnet_addr_t addr;
    wire_span_t raw;
    switch (what & 15) {
    case 0:
    case 1: w->now_us += (uint64_t)wire_u8(in) * 1000; break;
    case 2: w->now_us += (uint64_t)wire_u8(in) * 1000000; break;
    case 3: give_signed(w, in, LINNET_STUN_REQUEST, what >> 7); break;
    case 4: give_signed(w, in, LINNET_STUN_SUCCESS, what >> 7); break;
    case 5: give_signed(w, in, LINNET_STUN_ERROR, what >> 7); break;
    case 6:
        addr = address(in);
        raw = wire_take(in, wire_u8(in));
        if (raw.len) give(w, &addr, raw.data, raw.len);
        break;
    case 7:
        addr = address(in);
        (void)linnet_ice_add_local(&w->ice, &addr);
        break;
    case 8:
        addr = address(in);
        (void)linnet_ice_add_remote(&w->ice, &addr, (uint32_t)what << 24, what >> 4);
        break;
    case 9: set_remote(w, in); break;
    case 10:
        memcpy(w->old_ufrag, linnet_ice_ufrag(&w->ice), sizeof w->old_ufrag);
        linnet_ice_restart(&w->ice, &w->rng);
        update_local_key(w);
        break;
    case 11: linnet_ice_remove_local(&w->ice, what >> 4 & 3); break;
    case 12: (void)linnet_ice_set_controlling(&w->ice, what >> 4 & 1); break;
    case 13:
        if (what == 0xFD) linnet_ice_close(&w->ice);
        break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t seed[32] = {1};
    wire_in_t in = wire_in(data, size);
    linnet_ice_config_t config = {0, 0, 0};
    world_t w;
    uint8_t flags = wire_u8(&in);
    memset(&w, 0, sizeof w);
    config.controlling = flags & 1;
    config.lite = (flags & 14) == 2;
    (void)linnet_rng_init(&w.rng, seed, sizeof seed);
    linnet_ice_init(&w.ice, &config, &w.rng);
    update_local_key(&w);
    while (wire_left(&in) > 0) {
        step(&w, &in);
        drain(&w);
        check(&w);
    }
    return 0;
}
