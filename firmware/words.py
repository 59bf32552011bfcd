# What happens, as a person would say it.

from linnet.errors import reason_name

SILENCE = 127  # -dBov
QUALITY = {0: "poor", 1: "good", 2: "excellent", 3: "lost"}
# Shown otherwise, or said again by the line at the end.
_SILENT = ("speakers", "sample", "failed", "exit", "started")


def _who(fields):
    return fields.get("identity") or "somebody"


def _joined(fields):
    others = fields.get("others") or []
    company = ", with " + ", ".join(others) if others else ", alone so far"
    return "joined %s as %s%s" % (fields.get("room", ""), fields.get("identity", ""), company)


def _rpc(fields):
    return "%s called %s %s" % (fields.get("caller", ""), fields.get("method", ""), fields.get("payload", ""))


def _data(fields):
    topic = ", topic " + fields["topic"] if fields.get("topic") else ""
    return "%s bytes from %s%s" % (fields.get("bytes", 0), fields.get("identity") or "the server", topic)


_WORDS = {
    "joined": _joined,
    "participant_connected": lambda f: _who(f) + " came",
    "participant_disconnected": lambda f: _who(f) + " left",
    "track_subscribed": lambda f: "listening to " + _who(f),
    "track_unsubscribed": lambda f: "no longer listening to " + _who(f),
    "first_sound": lambda f: "first sound from " + _who(f),
    "listened": lambda f: "somebody in the room listens",
    "media": lambda f: "media path is up" if f.get("up") else "media path in doubt",
    "track_limit": lambda f: "a track is not heard: this board's limit is reached",
    "muted": lambda f: _who(f) + " muted",
    "unmuted": lambda f: _who(f) + " unmuted",
    "data": _data,
    "quality": lambda f: "connection is " + QUALITY.get(f.get("quality"), "unknown"),
    "led": lambda f: "LED on" if f.get("on") else "LED off",
    "rpc": _rpc,
    "wav_started": lambda f: "speaking %s" % f.get("file", ""),
    "wav_ended": lambda f: "said everything",
    "disconnected": lambda f: "session over: " + reason_name(f.get("reason", 0)).lower().replace("_", " "),
    "leaving": lambda f: "leaving",
    "stopping": lambda f: "stopping: %s" % f.get("why", ""),
    "log": lambda f: "%s: %s" % (f.get("where", ""), f.get("text", "")),
}


def in_words(event, fields):
    """An event as a person would say it; None for those that only scripts want."""
    if event in _SILENT:
        return None
    words = _WORDS.get(event)
    if words is not None:
        return words(fields)
    # Sorted: MicroPython keeps no order, and both shall say the same.
    return " ".join([event.replace("_", " ")] + ["%s=%s" % (key, fields[key]) for key in sorted(fields)])


def in_short(facts):
    """The summary of a run in one line."""
    link, steps = facts["link"], dict(facts["timeline"])
    joined = ", joined in %.0f ms" % steps["dtls"] if "dtls" in steps else ""
    return "%.1f s in %s as %s%s: %d packets of sound sent, %d received, %d lost" % (
        facts["call_s"], facts["room"], facts["identity"], joined, link["rtp_sent"], link["rtp_received"],
        link["packets_lost"])


def _is_obeyed(c):
    """Does a terminal obey this character, or does it turn or hide others?"""
    return c < " " or "\x7f" <= c < "\xa0" or "\u200b" <= c <= "\u200f" or "\u202a" <= c <= "\u202e" or (
        "\u2060" <= c <= "\u206f")


def clean(text, is_unwanted=_is_obeyed):
    """`text` on one line, with ? for what must not reach a terminal: names come from other people."""
    return "".join([" " if c in "\r\n\t" else "?" if is_unwanted(c) else c for c in str(text)])
