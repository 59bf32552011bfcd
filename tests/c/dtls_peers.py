"""Two ends and a bad network for the DTLS tests: our endpoint, OpenSSL as a peer, and a link in virtual time."""

import heapq
import random
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from crypto_parts import load_with_crypto

CLIENT, SERVER = 0, 1
NEW, HANDSHAKE, CONNECTED, FAILED, CLOSED = range(5)
CM, GCM = 1, 7
ERR_ARG, ERR_PACKET, ERR_SPACE, ERR_STATE, ERR_AGAIN, ERR_CRYPTO, ERR_CLOSED, ERR_LIMIT, ERR_AUTH = range(-1, -10, -1)
MTU = 1200
WRITE_MAX = 1163
NEVER = 2**64 - 1
ALERT, HANDSHAKE_RECORD, DATA = 21, 22, 23  # record types
BAD_NETWORK = dict(delay_us=30_000, loss=0.3, reorder=0.3, duplicate=0.1)

CDEF = """
typedef struct { uint8_t key[32]; uint8_t fingerprint[32]; uint16_t cert_len; uint8_t cert[400]; } linnet_identity_t;
typedef struct linnet_dtls { ...; } linnet_dtls_t;
uint16_t linnet_dtls_hello_profile(const uint8_t *datagram, size_t len, const uint16_t *ours, size_t n_ours);
"""


def load_dtls(defines=()):
    return load_with_crypto("dtls", sources=["net/dtls.c", "net/dtls_hello.c", "net/dtls_identity.c"],
                            headers=["net/dtls.h"], extra_cdef=CDEF, extra_source='#include "dtls_hello.h"',
                            defines=defines)


def records(datagram):
    """(type, epoch, whole record) of each."""
    at = 0
    while at < len(datagram):
        end = at + 13 + int.from_bytes(datagram[at + 11:at + 13], "big")
        yield datagram[at], int.from_bytes(datagram[at + 3:at + 5], "big"), datagram[at:end]
        at = end


def other_role(role):
    return CLIENT + SERVER - role


class Endpoint:
    """One linnet_dtls_t with its generator and identity."""

    def __init__(self, c, role, seed=1):
        self.c, self.role = c, role
        self.rng = c.ffi.new("linnet_rng_t *")
        material = b"endpoint %d %d" % (role, seed)
        assert c.lib.linnet_rng_init(self.rng, material.ljust(32), 32) == 0
        self.identity = c.ffi.new("linnet_identity_t *")
        scratch = c.ffi.new("uint64_t[]", 512)
        assert c.lib.linnet_identity_make(self.identity, self.rng, scratch, 4096) == 0
        self.dtls = c.ffi.new("linnet_dtls_t *")
        self.out = c.ffi.new("uint8_t[]", MTU)
        self.plain = c.ffi.new("uint8_t[]", 1500)
        self.received, self.sent = [], []
        self.connected_at = None

    @property
    def fingerprint(self):
        return bytes(self.identity.fingerprint)

    def expect(self, fingerprint):
        return self.c.lib.linnet_dtls_init(self.dtls, self.rng, self.identity, self.role, fingerprint)

    def offer(self, *profiles):
        assert self.c.lib.linnet_dtls_set_profiles(self.dtls, list(profiles), len(profiles)) == 0

    def start(self, now=0):
        return self.c.lib.linnet_dtls_start(self.dtls, now)

    def input(self, datagram, now=0):
        """As the session does it: one datagram, from a buffer of exactly its size, then read until nothing is left."""
        data = self.c.ffi.new("uint8_t[]", bytes(datagram)) if datagram else self.c.ffi.NULL
        result = self.c.lib.linnet_dtls_input(self.dtls, now, data, len(datagram))
        self.read_all()
        if self.state == CONNECTED and self.connected_at is None:
            self.connected_at = now
        return result

    def read_all(self):
        while (n := self.c.lib.linnet_dtls_read(self.dtls, self.plain, len(self.plain))) > 0:
            self.received.append(bytes(self.plain[0:n]))
        assert n == 0

    def poll(self, now=0):
        while (n := self.c.lib.linnet_dtls_poll(self.dtls, now, self.out, MTU)) > 0:
            self.sent.append(bytes(self.out[0:n]))
            yield self.sent[-1]
        assert n == 0, n

    def write(self, data):
        return self.c.lib.linnet_dtls_write(self.dtls, data, len(data))

    def close(self):
        self.c.lib.linnet_dtls_close(self.dtls)

    @property
    def deadline(self):
        return self.c.lib.linnet_dtls_deadline(self.dtls)

    @property
    def state(self):
        return self.c.lib.linnet_dtls_state(self.dtls)

    @property
    def error(self):
        return self.c.lib.linnet_dtls_error(self.dtls)

    @property
    def alert(self):
        return self.c.lib.linnet_dtls_alert(self.dtls)

    @property
    def counts(self):
        counts = self.c.ffi.new("linnet_dtls_counts_t *")
        self.c.lib.linnet_dtls_counts(self.dtls, counts)
        return counts

    @property
    def arena_peak(self):
        return self.c.lib.linnet_dtls_arena_peak(self.dtls)

    def keys(self):
        """(profile, client key, server key, client salt, server salt), or the error."""
        keys = self.c.ffi.new("linnet_srtp_keys_t *")
        result = self.c.lib.linnet_dtls_srtp_keys(self.dtls, keys)
        if result != 0:
            return result
        n = 12 if keys.profile == GCM else 14
        return (keys.profile, bytes(keys.client_key), bytes(keys.server_key), bytes(keys.client_salt)[:n],
                bytes(keys.server_salt)[:n])


def pair(c, seed=1):
    """A client and a server that know each other's fingerprint."""
    client, server = Endpoint(c, CLIENT, seed), Endpoint(c, SERVER, seed)
    assert client.expect(server.fingerprint) == 0
    assert server.expect(client.fingerprint) == 0
    return client, server


def check_honest(client, server):
    """Nobody has keys without a connection, and two connections have the same."""
    for end in (client, server):
        if end.state != CONNECTED:
            assert end.keys() == ERR_STATE
    if client.state == server.state == CONNECTED:
        assert client.keys() == server.keys()


class Link:
    """Both directions between two endpoints, in virtual time."""

    def __init__(self, a, b, seed=0, delay_us=10_000, loss=0.0, reorder=0.0, duplicate=0.0, outage=(0, 0)):
        self.ends = (a, b)
        self.rng = random.Random(seed)
        self.delay_us, self.loss, self.reorder, self.duplicate, self.outage = delay_us, loss, reorder, duplicate, outage
        self.flying, self.count, self.now = [], 0, 0
        self.filter = lambda to, datagram: [datagram]

    def _send(self, to, datagram):
        for part in self.filter(to, datagram):
            for _ in range(2 if self.rng.random() < self.duplicate else 1):
                if self.rng.random() < self.loss or self.outage[0] <= self.now < self.outage[1]:
                    continue
                late = self.rng.randrange(2 * self.delay_us) if self.rng.random() < self.reorder else 0
                self.count += 1
                heapq.heappush(self.flying, (self.now + self.delay_us + late, self.count, to, part))

    def _drain(self):
        for i, end in enumerate(self.ends):
            for datagram in end.poll(self.now):
                self._send(1 - i, datagram)

    def run(self, until=60_000_000, stop=None):
        """Until nothing is left to happen, `stop()` is true, or the time is up. Returns the virtual time."""
        stop = stop or (lambda: False)
        self._drain()
        while not stop():
            moments = [end.deadline for end in self.ends] + ([self.flying[0][0]] if self.flying else [])
            moment = min(moments)
            if moment > until:
                break
            self.now = max(self.now, moment)
            while self.flying and self.flying[0][0] <= self.now:
                _, _, to, datagram = heapq.heappop(self.flying)
                self.ends[to].input(datagram, self.now)
            self._drain()
        return self.now

    def both_connected(self):
        return all(end.state == CONNECTED for end in self.ends)


def connect(client, server, **conditions):
    link = Link(client, server, **conditions)
    server.start(0)
    assert client.start(0) == 0
    link.run(stop=lambda: link.both_connected() or FAILED in (client.state, server.state))
    return link


def connected_pair(c):
    """(client, server, link), with everything that the handshake sent delivered."""
    client, server = pair(c)
    link = connect(client, server)
    assert link.both_connected()
    link.run(until=link.now + 5_000_000)
    return client, server, link


class OpenSsl:
    """The same role played by OpenSSL, with memory BIOs. It has a clock of its own, so only lossless links."""

    def __init__(self, role, profiles=b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM", mtu=1200, certificate=True,
                 cookie=False, padding=0):
        key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._self_signed(key, padding)
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        if certificate:
            context.use_certificate(self.certificate)
            context.use_privatekey(key)
        if profiles:
            context.set_tlsext_use_srtp(profiles)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        self.waiting_for_cookie = cookie
        if cookie:
            context.set_cookie_generate_callback(lambda _: b"a cookie of sixteen")
            context.set_cookie_verify_callback(lambda _, value: value == b"a cookie of sixteen")
        self.connection = SSL.Connection(context)
        self.connection.set_ciphertext_mtu(mtu)
        (self.connection.set_accept_state if role == SERVER else self.connection.set_connect_state)()
        self.connected, self.failed, self.received = False, None, []

    @staticmethod
    def _self_signed(key, padding):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "openssl")])
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(1).not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2040, 1, 1)))
        if padding:
            filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(padding))
            builder = builder.add_extension(filler, critical=False)
        return builder.sign(key, hashes.SHA256())

    @property
    def fingerprint(self):
        return self.certificate.fingerprint(hashes.SHA256())

    def step(self):
        try:
            if self.waiting_for_cookie:
                self.connection.DTLSv1_listen()
                self.waiting_for_cookie = False
            if not self.connected:
                self.connection.do_handshake()
                self.connected = True
            while True:
                self.received.append(self.connection.recv(2000))
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.failed = error

    def input(self, datagram):
        self.connection.bio_write(datagram)
        self.step()

    def output(self):
        """Its records, each as a datagram of its own: a memory BIO does not keep the borders."""
        try:
            data = self.connection.bio_read(65536)
        except SSL.WantReadError:
            return []
        return [record for _, _, record in records(data)]


def converse_more(ours, peer):
    """Passes what each has to say, once."""
    for datagram in list(ours.poll(0)):
        peer.input(datagram)
    for datagram in peer.output():
        ours.input(datagram)


def converse(ours, peer, rounds=12):
    """A handshake between our endpoint and OpenSSL, until both are silent."""
    if ours.role == CLIENT:
        assert ours.start(0) == 0
    else:
        peer.step()
    for _ in range(rounds):
        converse_more(ours, peer)
