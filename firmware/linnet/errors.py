# Errors that name the cause and the cure, each with a stable code.
#
# Four classes say what kind of trouble it is; the code says which, and never
# changes its meaning; CURES is the one table of what to do about it. A cause
# is written for the person in front of the device: it never holds a token, a
# key or a whole URL.


class LinnetError(Exception):
    """Base of everything that Linnet raises on purpose.

    `code` is for programs, `cause` and `cure` are for people; str() gives both
    in one line. Raise one of the four subclasses, not this."""

    def __init__(self, code, cause="", cure=None):
        super().__init__(code, cause)
        self.code = code
        self.cause = cause or code
        self.cure = CURES.get(code, "") if cure is None else cure

    def __str__(self):
        return one_line(self.cause, self.cure)

    def __repr__(self):
        return "%s(%r, %r)" % (type(self).__name__, self.code, self.cause)


class Refused(LinnetError):
    """Somebody said no (server, certificate check, our own check): do not retry unchanged."""


class Timeout(LinnetError):
    """Nobody answered within the limit: a retry may succeed."""


class Closed(LinnetError):
    """It was open and is not any more."""


class Protocol(LinnetError):
    """The other side sent what its protocol does not allow."""


class RpcError(LinnetError):
    """A remote method call that failed; `code`, `message`, `data` as in livekit.rtc.

    Codes 1001 to 1999 are LiveKit's, listed in ErrorCode; applications use others."""

    class ErrorCode:
        UNSUPPORTED_METHOD = 1400
        RECIPIENT_NOT_FOUND = 1401
        REQUEST_PAYLOAD_TOO_LARGE = 1402
        UNSUPPORTED_SERVER = 1403
        UNSUPPORTED_VERSION = 1404
        APPLICATION_ERROR = 1500
        CONNECTION_TIMEOUT = 1501
        RESPONSE_TIMEOUT = 1502
        RECIPIENT_DISCONNECTED = 1503
        RESPONSE_PAYLOAD_TOO_LARGE = 1504
        SEND_FAILED = 1505

    # The words that the other LiveKit SDKs put on the wire for these codes.
    ErrorMessage = {
        1400: "Method not supported at destination",
        1401: "Recipient not found",
        1402: "Request payload too large",
        1403: "RPC not supported by server",
        1404: "Unsupported RPC version",
        1500: "Application error in method handler",
        1501: "Connection timeout",
        1502: "Response timeout",
        1503: "Recipient disconnected",
        1504: "Response payload too large",
        1505: "Failed to send",
    }

    def __init__(self, code, message="", data=None):
        message = message or self.ErrorMessage.get(code, "")
        super().__init__(
            code,
            "RPC error %d: %s" % (code, message or "no message"),
            CURES.get("rpc-%d" % code, ""),
        )
        self.message = message
        self.data = data


class DisconnectReason:
    """livekit.DisconnectReason, the number in LeaveRequest and ParticipantInfo."""

    UNKNOWN_REASON = 0
    CLIENT_INITIATED = 1
    DUPLICATE_IDENTITY = 2
    SERVER_SHUTDOWN = 3
    PARTICIPANT_REMOVED = 4
    ROOM_DELETED = 5
    STATE_MISMATCH = 6
    JOIN_FAILURE = 7
    MIGRATION = 8
    SIGNAL_CLOSE = 9
    ROOM_CLOSED = 10
    USER_UNAVAILABLE = 11
    USER_REJECTED = 12
    SIP_TRUNK_FAILURE = 13
    CONNECTION_TIMEOUT = 14
    MEDIA_FAILURE = 15
    AGENT_ERROR = 16


_REASON_NAMES = (
    "UNKNOWN_REASON",
    "CLIENT_INITIATED",
    "DUPLICATE_IDENTITY",
    "SERVER_SHUTDOWN",
    "PARTICIPANT_REMOVED",
    "ROOM_DELETED",
    "STATE_MISMATCH",
    "JOIN_FAILURE",
    "MIGRATION",
    "SIGNAL_CLOSE",
    "ROOM_CLOSED",
    "USER_UNAVAILABLE",
    "USER_REJECTED",
    "SIP_TRUNK_FAILURE",
    "CONNECTION_TIMEOUT",
    "MEDIA_FAILURE",
    "AGENT_ERROR",
)


def reason_name(reason):
    """The name of a DisconnectReason; a number that is not known yet comes back as text."""
    if 0 <= reason < len(_REASON_NAMES):
        return _REASON_NAMES[reason]
    return "REASON_%d" % reason


def closed_by_server(reason):
    """The Closed error that tells an application why the server ended the session."""
    name = reason_name(reason)
    code = "left-" + name.lower().replace("_", "-")
    if code not in CURES:
        code = "left"
    return Closed(code, "the session ended: %s" % name)


def one_line(cause, cure):
    """Cause and cure as one line of text, whatever line breaks are in them."""
    text = " ".join(str(cause).split())
    if text and text[-1] not in ".!?":
        text += "."
    cure = " ".join(str(cure).split())
    return text + " " + cure if cure else text


# code -> what to do about it. Sorted by where a person meets it.
CURES = {
    # The address.
    "bad-url": "Give the address as ws://host:port or wss://host.",
    "bad-url-scheme": "Start the address with wss:// (or ws:// for a server on your desk).",
    "name-not-resolved": "Check the host name and that the device's network has a DNS server.",
    "host-unreachable": "Check that the server runs, and its host, port and firewall.",
    "connect-timeout": "Check the address and the network, then try again.",
    "tls-refused": "Install the CA of this server, correct its certificate, or set the clock.",
    # The HTTP and WebSocket layers.
    "http": "The address may belong to something other than a LiveKit server.",
    "http-too-large": "The answer is over the limit: check the address.",
    "http-redirect": "Use the address that the server redirects to.",
    "http-timeout": "Check the network and the server's load, then try again.",
    "ws": "The address may belong to a proxy that does not pass WebSocket.",
    "ws-too-large": "Raise the message limit, or make the room smaller.",
    "ws-closed": "The connection to the server was lost: connect again.",
    # The answer of the server to a join.
    "token-refused": "Ask for a new token, signed with the key of this server.",
    "join-refused": "Check room name, identity and attributes in the token.",
    "room-not-found": "Create the room first, or allow the server to create rooms.",
    "no-rtc-v1": "Use livekit-server 1.9.10 or newer.",
    "server-busy": "The server is at its limits: try again later.",
    "server-error": "Look at the server's log, then try again.",
    "join-timeout": "Check the network and the server's load, then try again.",
    # The token.
    "token-malformed": "Give the whole token: three parts with dots between them.",
    "token-expired": "Ask for a new token.",
    "token-not-yet-valid": "Set the clock of the device or of the token server.",
    "token-no-expiry": "Mint the token with an expiry: the server refuses one without.",
    "token-no-identity": "Mint the token with an identity (the claim sub).",
    "missing-grant": "Mint the token with the grant named here.",
    "token-source-refused": "Check the address, headers and log of the token server.",
    "token-source-answer": "It must be JSON with server_url and participant_token.",
    # Media and protocol trouble after the join.
    "sdp": "Please report this with the server's version.",
    "protobuf": "Please report this with the server's version.",
    "signal": "Please report this with the server's version.",
    "signal-timeout": "The server did not answer: connect again.",
    "dtls-fingerprint": "Somebody may sit between device and server: check the network.",
    "dtls-failed": "Check that UDP passes the firewall unchanged.",
    "ice-failed": "Open the server's UDP port, or use a TURN server.",
    "media-failed": "Please report this with the log.",
    "media-timeout": "Check that UDP passes between device and server.",
    "negotiation-failed": "Please report this with the server's version.",
    # What an application asks for.
    "not-connected": "Call connect() first, and wait for it.",
    "already-connected": "Call disconnect() first, or use a second Room.",
    "not-published": "Publish the track first.",
    "publish-refused": "Mint the token with canPublish, and the source in canPublishSources.",
    "request-refused": "Check the grants in the token.",
    "request-timeout": "The server did not answer this request: try again.",
    "payload-too-large": "Send less in one packet, or use a stream.",
    "queue-full": "Send slower: wait for the earlier packets to leave.",
    "bad-argument": "Correct the call.",
    # This machine.
    "no-audio-device": "Connect a microphone and speaker, or use --wav and --out.",
    "wav-format": "Convert it: 16-bit PCM WAV, for example with sox IN -b 16 OUT.wav.",
    "file-missing": "Check the path.",
    "bad-board": "Correct the board file.",
    "no-native-module": "Build it with: make.",
    # How a session ends.
    "left": "Connect again if this was not intended.",
    "left-client-initiated": "",
    "left-duplicate-identity": "Another participant joined with this identity: give each its own.",
    "left-server-shutdown": "The server was stopped: connect again in a while.",
    "left-participant-removed": "Somebody removed this participant: do not rejoin by yourself.",
    "left-room-deleted": "The room was deleted: do not rejoin by yourself.",
    "left-state-mismatch": "Connect again; please report it if it repeats.",
    "left-join-failure": "Check the network, then connect again.",
    "left-connection-timeout": "The media path was lost: check the network, connect again.",
    # Remote method calls, by LiveKit's numbers.
    "rpc-1400": "Register the method on the other side, or correct its name.",
    "rpc-1401": "Check the identity: nobody of that name is in the room.",
    "rpc-1402": "Send at most 15 KiB, or use a stream.",
    "rpc-1403": "Use livekit-server 1.8.0 or newer.",
    "rpc-1404": "Update the older one of the two sides.",
    "rpc-1500": "Look at the log of the other side: its handler failed.",
    "rpc-1501": "The other side did not acknowledge: check that it is still there.",
    "rpc-1502": "Give the handler more time with response_timeout.",
    "rpc-1503": "The other side left during the call: try again when it is back.",
    "rpc-1504": "Answer with at most 15 KiB, or use a stream.",
    "rpc-1505": "The data channel was not open: try again when connected.",
}
