# Descriptions of the other side, for tests: livekit-server's answer to an offer of
# ours (the shape of protocol.md 3.4 and 11), and whole answers of other stacks.

DIGEST = bytes(range(32))
FINGERPRINT = ":".join(["%02X" % b for b in DIGEST])
UFRAG = "VcgXqOkNCmuwgzIN"
PWD = "kqkbLGfZMeTXJXGyfBzBrRVXYNuPWxHs"
HOST = "candidate:233762139 1 udp 2130706431 192.0.2.10 7882 typ host ufrag " + UFRAG
TCP = "candidate:233762140 1 tcp 1671430143 192.0.2.10 7881 typ host tcptype passive ufrag " + UFRAG


def sections_of(offer):
    """[(kind, {attribute: [values]})] of an offer, read without the code under test."""
    sections = []
    for line in offer.split("\r\n"):
        if line.startswith("m="):
            sections.append((line[2:].split(" ")[0], {}))
        elif line.startswith("a=") and sections:
            name, _, value = line[2:].partition(":")
            sections[-1][1].setdefault(name, []).append(value)
    return sections


def direction_of(attributes):
    for name in ("sendonly", "recvonly", "sendrecv", "inactive"):
        if name in attributes:
            return name
    return None


def answer_to(offer, playing=None, setup="active", ufrag=UFRAG, candidates=(), lite=False):
    """livekit-server's answer. `playing` is {mid: (track_sid, ssrc)} for receive sections."""
    playing = playing or {}
    sections = sections_of(offer)
    mids = [attributes["mid"][0] for _, attributes in sections]
    lines = [
        "v=0",
        "o=- 7263817263 1763683200 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=msid-semantic:WMS *",
        "a=fingerprint:sha-256 " + FINGERPRINT,
        "a=extmap-allow-mixed",
        "a=group:BUNDLE " + " ".join(mids),
    ]
    if lite:
        lines.insert(4, "a=ice-lite")
    for kind, attributes in sections:
        lines += _section(kind, attributes, playing, setup, ufrag)
        lines += ["a=" + line for line in candidates]
        candidates = ()
    return "\r\n".join(lines) + "\r\n"


def _section(kind, attributes, playing, setup, ufrag):
    mid = attributes["mid"][0]
    transport = ["c=IN IP4 0.0.0.0", "a=setup:" + setup, "a=mid:" + mid]
    transport += ["a=ice-ufrag:" + ufrag, "a=ice-pwd:" + PWD]
    if kind == "application":
        head = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel"]
        return head + transport + ["a=sctp-port:5000", "a=max-message-size:65535", "a=sendrecv"]
    lines = ["m=audio 9 UDP/TLS/RTP/SAVPF 111"] + transport
    lines += ["a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:111 opus/48000/2"]
    lines += ["a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1", "a=rtcp-fb:111 nack"]
    lines += ["a=extmap:" + value for value in attributes.get("extmap", ())]
    offered = direction_of(attributes)
    if offered == "recvonly":
        if mid in playing:
            sid, ssrc = playing[mid]
            lines.append("a=ssrc:%d cname:PA_x|%s" % (ssrc, sid))
            lines.append("a=ssrc:%d msid:PA_x|%s %s" % (ssrc, sid, sid))
            lines.append("a=msid:PA_x|%s %s" % (sid, sid))
        lines.append("a=sendonly")
    else:
        lines.append("a=" + {"sendonly": "recvonly", "inactive": "inactive"}[offered])
    return lines


# aiortc answering one audio and one application section: candidates in each, three fingerprints.
AIORTC = (
    """v=0
o=- 3973152033 3973152033 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic:WMS *
m=audio 52410 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.7
a=recvonly
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:mid
a=mid:0
a=msid:5d9e 6f4a
a=rtcp:9 IN IP4 0.0.0.0
a=rtcp-mux
a=ssrc:2764862112 cname:f1a2
a=rtpmap:111 opus/48000/2
a=candidate:8f0c 1 udp 2130706431 192.0.2.7 52410 typ host
a=candidate:91c1 1 udp 2130706175 2001:db8::7 41032 typ host
a=candidate:5f01 1 udp 1694498815 198.51.100.4 52410 typ srflx raddr 192.0.2.7 rport 52410
a=end-of-candidates
a=ice-ufrag:9pLS
a=ice-pwd:fTDcQVAs7WDfpxkTqwTsJZ
a=fingerprint:sha-256 """
    + FINGERPRINT
    + """
a=fingerprint:sha-384 """
    + ":".join(["AB"] * 48)
    + """
a=fingerprint:sha-512 """
    + ":".join(["CD"] * 64)
    + """
a=setup:active
m=application 52410 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.7
a=mid:1
a=sctp-port:5000
a=max-message-size:65536
a=candidate:8f0c 1 udp 2130706431 192.0.2.7 52410 typ host
a=end-of-candidates
a=ice-ufrag:9pLS
a=ice-pwd:fTDcQVAs7WDfpxkTqwTsJZ
a=fingerprint:sha-512 """
    + ":".join(["CD"] * 64)
    + """
a=fingerprint:sha-256 """
    + FINGERPRINT
    + """
a=setup:active
"""
).replace("\n", "\r\n")

# A server that wants none of the audio: port 0, format 0, no mid.
REJECTING = (
    """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 """
    + FINGERPRINT
    + """
a=ice-lite
a=group:BUNDLE 1
m=audio 0 UDP/TLS/RTP/SAVPF 0
c=IN IP4 0.0.0.0
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=setup:passive
a=mid:1
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=sctp-port:5000
"""
).replace("\n", "\r\n")
