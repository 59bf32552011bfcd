/* Every compile-time limit of the core, each with its price in bytes per session.
 *
 * Override with -DNAME=value; no protocol file has an #if of its own. "Price" is RAM in the caller-owned
 * session memory unless a line says otherwise. A packet or message over a limit is refused with
 * LINNET_ERR_LIMIT or dropped and counted, never truncated in silence. */
#ifndef LINNET_CONFIG_H
#define LINNET_CONFIG_H

/* --- datagrams --- */
#ifndef LINNET_MTU
#define LINNET_MTU 1200 /* largest UDP payload we send; receive accepts LINNET_DATAGRAM_MAX */
#endif
#ifndef LINNET_DATAGRAM_MAX
#define LINNET_DATAGRAM_MAX 1500 /* 1.5 KiB scratch for decryption in place */
#endif

/* --- ICE (RFC 8445) --- */
#ifndef LINNET_ICE_LOCAL_CANDIDATES
#define LINNET_ICE_LOCAL_CANDIDATES 4 /* x 32 B */
#endif
#ifndef LINNET_ICE_REMOTE_CANDIDATES
#define LINNET_ICE_REMOTE_CANDIDATES 12 /* x 32 B, learned peer-reflexive ones included */
#endif
#ifndef LINNET_ICE_PAIRS
#define LINNET_ICE_PAIRS 24 /* x 64 B; at most 255 */
#endif

/* --- DTLS (RFC 6347, 5764) --- */
#ifndef LINNET_TLS_ARENA
#define LINNET_TLS_ARENA                                                                           \
    (16 * 1024) /* fixed pool of the TLS backend; a handshake needs 12.8 KB on 64-bit machines */
#endif
#ifndef LINNET_TLS_SPARE
#define LINNET_TLS_SPARE                                                                           \
    4096 /* of the arena, given back after the handshake: SCTP receives there. Less than it says is an error of SCTP */
#endif
#ifndef LINNET_DTLS_QUEUE
#define LINNET_DTLS_QUEUE                                                                          \
    2 /* outgoing datagrams x LINNET_MTU = 2.4 KiB; the rest of a flight waits in the TLS backend */
#endif

/* --- SCTP and data channels (RFC 9260, 8831, 8832) --- */
#ifndef LINNET_SCTP_STREAMS
#define LINNET_SCTP_STREAMS 8 /* open channels, in any direction; x ~64 B */
#endif
#ifndef LINNET_SCTP_LABEL_MAX
#define LINNET_SCTP_LABEL_MAX 32 /* bytes of a channel label that are kept, x LINNET_SCTP_STREAMS */
#endif

/* --- media --- */
#ifndef LINNET_TRACKS_MAX
#define LINNET_TRACKS_MAX 8 /* remote audio tracks a session can be configured for */
#endif
#ifndef LINNET_JITTER_PACKETS
#define LINNET_JITTER_PACKETS 16 /* x 24 B per remote track; a power of two */
#endif
#ifndef LINNET_JITTER_BYTES
#define LINNET_JITTER_BYTES                                                                        \
    6144 /* x 1 B per remote track: what the packets held may have together; >= the largest one. 60 ms of
            the largest there are, 16 frames of 150 kb/s; 2048 is enough for speech and some music */
#endif
#ifndef LINNET_PACKET_MS_MAX
#define LINNET_PACKET_MS_MAX                                                                       \
    120 /* x 2 B x codec rate per remote track; what is longer is concealed. Nearly all send 20, few over 60 */
#endif
#ifndef LINNET_OPUS_PACKET_MAX
#define LINNET_OPUS_PACKET_MAX                                                                     \
    1275 /* largest Opus frame there is (RFC 6716 3.4): what comes may be music; no price of its own */
#endif
#ifndef LINNET_OPUS_SEND_MAX
#define LINNET_OPUS_SEND_MAX 320 /* largest packet of our own: 128 kb/s at 20 ms; x 1 B */
#endif
#ifndef LINNET_MID_MAX
#define LINNET_MID_MAX 16 /* bytes of an SDP mid */
#endif

#ifndef LINNET_RTX_PACKETS
#define LINNET_RTX_PACKETS                                                                         \
    16 /* x 16 B: protected packets kept for NACK, 320 ms at 20 ms; a power of two */
#endif
#ifndef LINNET_RTX_BYTES
#define LINNET_RTX_BYTES                                                                           \
    4096 /* x 1 B: their bytes together, those that wait for the next poll included; >= 2000. 16 x 110 B are
            speech at 24 kb/s */
#endif
#ifndef LINNET_RTX_PACKET_MAX
#define LINNET_RTX_PACKET_MAX                                                                      \
    400 /* Opus payload + RTP header, extensions, tag; larger ones are not kept */
#endif
#ifndef LINNET_RTCP_INTERVAL_MS
#define LINNET_RTCP_INTERVAL_MS                                                                    \
    2000 /* mean time between reports; each is x (0.5 .. 1.5), so <= 3333 keeps 5 s */
#endif
#ifndef LINNET_RTCP_FIRST_MS
#define LINNET_RTCP_FIRST_MS 100 /* first report after the first packet */
#endif

/* --- protobuf transcoder --- */
#ifndef LINNET_PB_DEPTH_MAX
#define LINNET_PB_DEPTH_MAX 8 /* nested messages; costs stack, about 200 B a level */
#endif

#endif
