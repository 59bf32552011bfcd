# The subset of SDP that LiveKit speaks (RFC 8866, 8829, 8839, 8841; protocol.md 3.4, 3.5):
# build our offer, read the server's answer.
#
# Sections are never removed and never change their place (RFC 8829 5.2.2);
# a section without a job is `inactive` and is reused. Text from outside is
# bounded before it is looked at; what does not parse raises Protocol("sdp").

from .compat import const
from .errors import Protocol

OPUS = const(111)
AUDIO_LEVEL_ID = const(1)
MID_ID = const(2)
MAX_SDP = const(65536)  # bytes; a server's answer for 20 sections is about 12 KiB
MAX_SECTIONS = const(64)
MAX_LINES = const(4096)

_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"


def hex_fingerprint(digest):
    """`AA:BB:...` of 32 bytes (RFC 8122 5)."""
    return ":".join(["%02X" % b for b in digest])


def parse_fingerprint(text):
    """The 32 bytes of `AA:BB:...`; Protocol("sdp") for anything else."""
    digest = [_hex(part) if len(part) == 2 else None for part in text.split(":")]
    if len(digest) != 32 or None in digest:
        raise Protocol("sdp", "the fingerprint is not a SHA-256 one")
    return bytes(digest)


def _hex(text):
    """The number, or None. int() would take signs, spaces and underscores too."""
    for c in text:
        if c not in "0123456789abcdefABCDEF":
            return None
    return int(text, 16) if text else None


def _decimal(text, most):
    """The number, at most `most`, or None. isdigit() would take digits of any script."""
    for c in text:
        if not "0" <= c <= "9":
            return None
    return int(text) if 0 < len(text) <= 10 and int(text) <= most else None


class LocalSection:
    """One m-section of our own offer.

    `kind` is "audio" or "application". A sending audio section has a `cid` (the client id of
    AddTrack, which the server looks for in msid) and an `ssrc`."""

    def __init__(self, kind, mid, direction, cid="", ssrc=0):
        self.kind = kind
        self.mid = mid
        self.direction = direction
        self.cid = cid
        self.ssrc = ssrc

    def lines(self, out, transport, max_message):
        if self.kind == "audio":
            out.append("m=audio 9 UDP/TLS/RTP/SAVPF %d" % OPUS)
        else:
            out.append("m=application 9 UDP/DTLS/SCTP webrtc-datachannel")
        out.append("c=IN IP4 0.0.0.0")
        out.extend(transport)
        out.append("a=mid:" + self.mid)
        out.append("a=" + self.direction)
        if self.kind == "application":
            out.append("a=sctp-port:5000")
            out.append("a=max-message-size:%d" % max_message)
            return
        out.append("a=rtcp-mux")
        out.append("a=rtpmap:%d opus/48000/2" % OPUS)
        # Verbatim: the server prefers an exact match (protocol.md 3.5, 5).
        out.append("a=fmtp:%d minptime=10;useinbandfec=1" % OPUS)
        out.append("a=extmap:%d %s" % (AUDIO_LEVEL_ID, _LEVEL_URI))
        out.append("a=extmap:%d %s" % (MID_ID, _MID_URI))
        if self.cid:
            # msid before ssrc, exactly one SSRC (protocol.md 3.5, 4).
            out.append("a=msid:linnet " + self.cid)
            out.append("a=ssrc:%d cname:linnet" % self.ssrc)


class LocalDescription:
    """Our side of the one peer connection: a growing list of sections."""

    def __init__(self, max_message=65536):
        self.sections = []
        self.version = 0
        self.max_message = max_message

    def add(self, kind, direction, cid="", ssrc=0):
        """Append a section; its mid is its place in the list."""
        section = LocalSection(kind, str(len(self.sections)), direction, cid, ssrc)
        self.sections.append(section)
        return section

    def audio(self, direction):
        """The audio sections with this direction, in order."""
        return [s for s in self.sections if s.kind == "audio" and s.direction == direction]

    def offer(self, ufrag, pwd, fingerprint, setup="actpass"):
        """The text of the next offer. `setup` must be the same in every offer of a session."""
        self.version += 1
        transport = (
            "a=ice-ufrag:" + ufrag,
            "a=ice-pwd:" + pwd,
            "a=ice-options:trickle",
            "a=fingerprint:sha-256 " + hex_fingerprint(fingerprint),
            "a=setup:" + setup,
        )
        out = [
            "v=0",
            "o=- 1 %d IN IP4 127.0.0.1" % self.version,
            "s=-",
            "t=0 0",
            "a=group:BUNDLE " + " ".join([s.mid for s in self.sections]),
        ]
        for section in self.sections:
            section.lines(out, transport, self.max_message)
        return "\r\n".join(out) + "\r\n"


class Candidate:
    """One ICE candidate: packed IP, port, priority, kind (0 host, 1 srflx, 2 prflx, 3 relay)."""

    def __init__(self, ip, port, priority, kind, transport, component, ufrag):
        self.ip = ip
        self.port = port
        self.priority = priority
        self.kind = kind
        self.transport = transport
        self.component = component
        self.ufrag = ufrag


_KINDS = {"host": 0, "srflx": 1, "prflx": 2, "relay": 3}


def parse_ip(text):
    """Packed bytes of an IP literal, or None (a name, mDNS, nonsense)."""
    if ":" in text:
        return _parse_ipv6(text)
    parts = text.split(".")
    if len(parts) != 4:
        return None
    out = bytearray(4)
    for i in range(4):
        value = _decimal(parts[i], 255)
        if value is None or len(parts[i]) > 3:
            return None
        out[i] = value
    return bytes(out)


def _parse_ipv6(text):
    halves = text.split("::")
    if len(halves) > 2:
        return None
    groups = []
    for half in halves:
        words = []
        for word in half.split(":") if half else []:
            value = _hex(word)
            if value is None or len(word) > 4:
                return None
            words.append(value >> 8)
            words.append(value & 255)
        groups.append(words)
    if len(halves) == 1:
        return bytes(groups[0]) if len(groups[0]) == 16 else None
    fill = 16 - len(groups[0]) - len(groups[1])
    if fill < 2:
        return None
    return bytes(groups[0] + [0] * fill + groups[1])


def parse_candidate(text):
    """A Candidate from `candidate:...` (RFC 8839 5.1), or None if it is not one we can use."""
    if text.startswith("a="):
        text = text[2:]
    if not text.startswith("candidate:"):
        return None
    words = text[10:].split()
    if len(words) < 8 or words[6] != "typ":
        return None
    ip = parse_ip(words[4])
    component = _decimal(words[1], 256)
    priority = _decimal(words[3], 0xFFFFFFFF)
    port = _decimal(words[5], 65535)
    if None in (ip, component, priority, port) or words[7] not in _KINDS:
        return None
    ufrag = ""
    for i in range(8, len(words) - 1, 2):
        if words[i] == "ufrag":
            ufrag = words[i + 1]
    return Candidate(ip, port, priority, _KINDS[words[7]], words[2].lower(), component, ufrag)


class RemoteSection:
    """One m-section of the peer's description."""

    def __init__(self, kind, port):
        self.kind = kind
        self.port = port
        self.mid = ""
        self.direction = "sendrecv"
        self.track_id = ""  # the second token of msid
        self.stream_id = ""
        self.ssrc = 0  # the first one
        self.payload_types = {}  # number -> "opus/48000/2"
        self.extensions = {}  # uri -> id
        self.candidates = []
        self.max_message = 65536  # RFC 8841 6.1 default
        self.attributes = {}

    @property
    def rejected(self):
        return self.port == 0


class RemoteDescription:
    """The peer's description, read. Session-level ICE and DTLS attributes are inherited."""

    def __init__(self):
        self.sections = []
        self.attributes = {}
        self.lite = False

    def _transport(self, name):
        for section in self.sections:
            if name in section.attributes and not section.rejected:
                return section.attributes[name]
        return self.attributes.get(name, "")

    @property
    def ufrag(self):
        return self._transport("ice-ufrag")

    @property
    def pwd(self):
        return self._transport("ice-pwd")

    @property
    def setup(self):
        return self._transport("setup")

    @property
    def fingerprint(self):
        """The SHA-256 fingerprint, 32 bytes; Protocol("sdp") without one."""
        words = self._transport("fingerprint").split()
        if len(words) != 2 or words[0].lower() != "sha-256":
            raise Protocol("sdp", "the description has no SHA-256 fingerprint")
        return parse_fingerprint(words[1])

    def section(self, mid):
        for section in self.sections:
            if section.mid == mid:
                return section
        return None


def _int(text, what, most):
    value = _decimal(text, most)
    if value is None:
        raise Protocol("sdp", "%s is not a number in range" % what)
    return value


def _media_line(description, value):
    words = value.split()
    if len(words) < 4:
        raise Protocol("sdp", "an m= line is too short")
    if len(description.sections) >= MAX_SECTIONS:
        raise Protocol("sdp", "more than %d sections" % MAX_SECTIONS)
    section = RemoteSection(words[0], _int(words[1].split("/")[0], "a port", 65535))
    description.sections.append(section)
    return section


def _media_attribute(section, name, value):
    if name in ("sendrecv", "sendonly", "recvonly", "inactive"):
        section.direction = name
    elif name == "mid":
        section.mid = value
    elif name == "msid":
        words = value.split()
        section.stream_id = words[0] if words else ""
        section.track_id = words[1] if len(words) > 1 else ""
    elif name == "ssrc":
        if not section.ssrc:
            section.ssrc = _int(value.split(" ")[0], "an SSRC", 0xFFFFFFFF)
    elif name == "rtpmap":
        words = value.split()
        if len(words) != 2:
            raise Protocol("sdp", "an rtpmap is not complete")
        section.payload_types[_int(words[0], "a payload type", 127)] = words[1].lower()
    elif name == "extmap":
        words = value.split()
        if len(words) < 2:
            raise Protocol("sdp", "an extmap is not complete")
        section.extensions[words[1]] = _int(words[0].split("/")[0], "an extension id", 255)
    elif name == "candidate":
        candidate = parse_candidate("candidate:" + value)
        if candidate is not None:
            section.candidates.append(candidate)
    elif name == "max-message-size":
        section.max_message = _int(value, "max-message-size", 0xFFFFFFFF)
    else:
        _keep_attribute(section.attributes, name, value)


def _keep_attribute(attributes, name, value):
    """A description may list a fingerprint for each of several hashes: only SHA-256 counts."""
    if name == "fingerprint" and not value.lower().startswith("sha-256 "):
        return
    attributes[name] = value


def parse(text):
    """Read a description. Unknown lines are skipped (RFC 8866 5); broken ones raise
    Protocol("sdp")."""
    if len(text) > MAX_SDP:
        raise Protocol("sdp", "a description of more than %d bytes" % MAX_SDP)
    lines = text.split("\n")
    if len(lines) > MAX_LINES or lines[0].strip() != "v=0":
        raise Protocol("sdp", "this is no session description")
    description = RemoteDescription()
    section = None
    for line in lines:
        line = line.rstrip("\r")
        if line.startswith("m="):
            section = _media_line(description, line[2:])
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            if section is not None:
                _media_attribute(section, name, value)
            elif name == "ice-lite":
                description.lite = True
            else:
                _keep_attribute(description.attributes, name, value)
    return description
