# Exit codes of main.py on a machine with a command line: host_sim's, number by number (a test compares them).

OK = 0
APP_FAILED = 1
BAD_INPUT = 2
REFUSED = 3
NETWORK = 4
MEDIA = 5
AUDIO = 6
ENDED = 7
NOT_BUILT = 8

TABLE = (
    (OK, "ended as asked: --seconds are over, the program returned, or q"),
    (APP_FAILED, "the program failed (--app), or the demo did not show what it must"),
    (BAD_INPUT, "wrong options, or a file that cannot be used (WAV, board, program, CA, events)"),
    (REFUSED, "refused: token, grant, room, certificate, or no LiveKit server of our kind"),
    (NETWORK, "no way to the server, no answer in time, or the connection was lost: a retry may help"),
    (MEDIA, "signalling works, sound and data do not: UDP, ICE, DTLS or a protocol error"),
    (AUDIO, "no microphone or speaker"),
    (ENDED, "the server ended the session"),
    (NOT_BUILT, "the native core, the server or the demo's packages are missing"),
    (130, "Ctrl-C; 143 for SIGTERM, 129 when the terminal was closed. The room was left properly"),
)

_BY_CODE = {
    BAD_INPUT: "bad-url bad-url-scheme bad-argument wav-format file-missing bad-board bad-app already-connected",
    REFUSED: "tls-refused http http-too-large http-redirect ws token-refused join-refused room-not-found no-rtc-v1"
    " token-malformed token-expired token-not-yet-valid token-no-expiry token-no-identity missing-grant"
    " token-source-refused token-source-answer publish-refused request-refused not-published payload-too-large",
    NETWORK: "name-not-resolved host-unreachable connect-timeout http-timeout ws-closed ws-too-large server-busy"
    " server-error join-timeout signal-timeout request-timeout not-connected queue-full",
    MEDIA: "sdp protobuf signal dtls-fingerprint dtls-failed ice-failed media-timeout media-failed"
    " negotiation-failed",
    AUDIO: "no-audio-device",
    NOT_BUILT: "no-native-module not-built",
}


def exit_code(error):
    """The exit code for a LinnetError. Sessions that the server ended have codes that begin with "left"."""
    code = str(error.code)
    if code == "left" or code.startswith("left-"):
        return ENDED
    for number, codes in _BY_CODE.items():
        if code in codes.split():
            return number
    return APP_FAILED
