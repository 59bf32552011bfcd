# Exit codes, where there is a command line: what a script can tell from how the program ended.

from linnet.compat import print_exception
from linnet.errors import LinnetError, Refused, one_line
from linnet.log import redact

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
    (BAD_INPUT, "wrong options, or a file that cannot be used (WAV, board, program, CA, events), or is not complete"),
    (REFUSED, "refused: token, grant, room, certificate, or no LiveKit server of our kind"),
    (NETWORK, "no way to the server, no answer in time, or the connection was lost: a retry may help"),
    (MEDIA, "signalling works, sound and data do not: UDP, ICE, DTLS or a protocol error"),
    (AUDIO, "no microphone or speaker"),
    (ENDED, "the server ended the session"),
    (NOT_BUILT, "the native core, the server or the demo's packages are missing"),
    (130, "Ctrl-C; 143 for SIGTERM, 129 when the terminal was closed. The room was left properly"),
)

_ROOM = "Make room, or write to another place."
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
    APP_FAILED: "app-failed",
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


def in_help():
    return "exit codes:\n" + "".join(["  %3d  %s\n" % pair for pair in TABLE])


def end_of(work, say, is_verbose):
    """Runs work() and says what went wrong: (exit code, LinnetError or None)."""
    try:
        return work(), None
    except LinnetError as problem:
        error = problem
    except KeyboardInterrupt:
        return 130, None
    except SystemExit as end:  # an app may end the program with a code of its own
        value = end.args[0] if end.args else None
        if value is None or isinstance(value, int):
            return (value or OK) & 255, None  # as the system will tell it
        say(str(value))
        return APP_FAILED, None
    except BaseException as problem:  # our own bug: still one line for a person, all of it for whoever asks
        if is_verbose:
            print_exception(problem)
        error = Refused("app-failed", "unexpected %s: %s" % (type(problem).__name__, redact(str(problem))),
                        "Please report this with the output of --verbose.")
    say(one_line(error.cause, error.cure))
    return exit_code(error), error


def close(code, error, journal, facts, trouble, say):
    """The end of a run, and its exit code: a script must see that a file is not complete. `trouble` is that of the
    sound files, "" if there was none."""
    if trouble:
        say(trouble)
        if code == OK:
            code, error = BAD_INPUT, Refused("file-missing", trouble, _ROOM)
    journal.end(code, facts, error)
    if journal.trouble:
        say(journal.trouble)
        if code == OK and not journal.is_unread:
            code = BAD_INPUT
    return code
