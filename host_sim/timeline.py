"""The steps of a join, as rows with a beginning and an end: for the terminal and for the report."""

# name in Room.timeline() -> (what a person calls it, the steps that had to be done before)
STEPS = (
    ("start", "key, offer", ()),
    ("dns", "DNS", ("start",)),
    ("tcp", "TCP", ("dns",)),
    ("tls", "TLS", ("tcp",)),
    ("ws", "WebSocket", ("tls", "tcp")),
    ("join", "join", ("ws",)),
    ("ice", "ICE", ("join",)),
    ("dtls", "DTLS", ("ice",)),
    ("sctp", "SCTP", ("dtls",)),
    ("first_sent", "first packet out", ("dtls",)),
    ("first_heard", "first sound in", ("dtls",)),
)
BAR_COLUMNS = 44


def rows(timeline):
    """[(name, label, from ms, to ms)] in the order of the steps; to is None for what did not happen."""
    ends = dict(timeline)
    result = []
    for name, label, before in STEPS:
        began = max((ends[step] for step in before if step in ends), default=0.0)
        end = ends.get(name)
        result.append((name, label, began, end))
    return result


def as_text(timeline, paint=lambda text, code: text):
    """A table with bars, for a terminal."""
    steps = rows(timeline)
    longest = max((end for *_, end in steps if end is not None), default=1.0) or 1.0
    lines = [paint("Join timeline, milliseconds since connect()", "1")]
    for _, label, began, end in steps:
        if end is None:
            lines.append(paint(f"  {label:<17}{'-':>8}", "2"))
            continue
        first = round(began / longest * BAR_COLUMNS)
        last = max(first + 1, round(end / longest * BAR_COLUMNS))
        bar = " " * first + paint("█" * (last - first), "36") + " " * (BAR_COLUMNS - last)
        lines.append(f"  {label:<17}{end:8.1f}  {bar} {paint(f'+{end - began:.1f}', '2')}")
    return "\n".join(lines)
