"""What the demo leaves to look at: one page without scripts or anything to load, in light and dark, for any width.

Shapes are SVG that stretches with the page; all text is HTML beside them, so that it stays readable on a phone.
"""

import collections
import datetime
import html
import importlib.metadata
import platform
import tomllib
from pathlib import Path

from linnet.options import VERSION

from .timeline import rows

STYLE = Path(__file__).resolve().parent / "assets" / "report.css"
PINS = Path(__file__).resolve().parent.parent / "csrc" / "third_party" / "versions.toml"
QUIETEST_DB = 60
SILENCE = 127

Check = collections.namedtuple("Check", "is_good text")


# --- did it happen? ---


def check(story, folder, badge_code, like):
    """The Checks of a demo that ran to its end."""
    from . import compare

    def recording(reference, heard, who):
        path = folder / heard
        if not path.is_file():
            return Check(False, f"{who}: there is no {heard}")
        alike, _ = compare.match(compare.read(reference), compare.read(path))
        return Check(alike >= like, f"{who}: the recording matches by {alike:.2f} (at least {like:.2f} is meant)")

    assets = STYLE.parent
    led, rpc = story.find("badge", "led"), story.find("badge", "rpc")
    return [
        recording(assets / "badge_sentence.wav", "agent_heard.wav", "the badge's sentence reached the agent"),
        recording(assets / "agent_answer.wav", "badge_heard.wav", "the agent's answer reached the badge"),
        Check(bool(led and led["on"] and rpc and rpc["method"] == "set_led" and rpc["caller"] == "agent"),
              "the agent switched the LED over RPC"),
        Check(badge_code == 130 and story.find("agent", "device_left") is not None,
              f"the badge left properly on Ctrl-C (exit code {badge_code}), and the agent saw it"),
    ]


def versions(ending):
    """[(what, version)] of everything that took part."""
    found = [("Linnet", VERSION), ("livekit-server", ending.get("server_version") or "unknown")]
    for package in ("livekit", "cffi", "nanopb"):
        try:
            found.append((f"{package} (Python)", importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            pass
    try:
        found += sorted(_pins(tomllib.loads(PINS.read_text(encoding="utf-8"))))
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        pass
    found.append(("Python", platform.python_version()))
    return found + [("machine", f"{platform.system()} {platform.machine()}")]


def _pins(data):
    """(name, version) of the C libraries in the native module: the first pin of each is the one that is built."""
    for name in ("opus", "mbedtls", "nanopb"):
        yield name, data[name]["pin"][0]["version"]


# --- the page ---


def page(story, ending, checks, steps, found):
    """The report as text."""
    events = sorted(story.events, key=lambda e: e["at"])
    zero = _first(events, "badge", "joined") or (events[0]["at"] if events else 0.0)
    end = max((e["at"] for e in events if e["who"] == "badge" and e["event"] in ("sample", "leaving")), default=zero)
    span = max(1.0, end - zero)
    good = all(check.is_good for check in checks)
    day = datetime.datetime.fromtimestamp(zero, datetime.timezone.utc)
    verdict = '<p class="verdict good">everything happened</p>' if good else (
        '<p class="verdict bad">something did not happen</p>')
    parts = [
        f'<header><p class="kicker">Linnet {_e(VERSION)}</p><h1>A badge talked with an agent</h1>'
        f'<p class="sub">Room {_e(ending.get("room", ""))} on livekit-server {_e(ending.get("server_version", ""))},'
        f' <time>{day:%Y-%m-%d %H:%M} UTC</time></p>{verdict}</header>',
        _cards(ending, events),
        _section("Join timeline", "Milliseconds since <code>connect()</code>; a bar begins where its step could begin.",
                 _gantt(ending["timeline"])),
        _section("The conversation", "Sound levels of both directions, LED, RPC and the agent's state on one time axis,"
                                     " in seconds since the join.", _conversation(events, zero, span)),
        _section("Did it happen?", "", '<ul class="checks">' + "".join(
            f'<li class="{"good" if c.is_good else "bad"}"><b>{"yes" if c.is_good else "no"}</b>'
            f'<span>{_e(c.text)}</span></li>'
            for c in checks) + "</ul>"),
        '<div class="pair">' + _section("Figures", "", _table(figures(ending, events)))
        + _section("What ran", "", _table(found)) + "</div>",
        _section("Step by step", "", _table([(text, f"{took:.2f} s") for text, took in steps], "steps")),
    ]
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark"><title>Linnet demo</title>\n<style>\n'
            f'{STYLE.read_text(encoding="utf-8")}</style></head>\n<body><main>\n' + "\n".join(parts)
            + "\n</main></body></html>\n")


def _e(text):
    return html.escape(str(text))


def _first(events, who, name):
    return next((e["at"] for e in events if e["who"] == who and e["event"] == name), None)


def _section(title, intro, body):
    intro = f'<p class="intro">{intro}</p>' if intro else ""
    return f"<section><h2>{_e(title)}</h2>{intro}{body}</section>"


def _table(pairs, kind=""):
    lines = "".join(f"<tr><th>{_e(name)}</th><td>{_e(value)}</td></tr>" for name, value in pairs)
    return f'<table class="{kind}">{lines}</table>'


def _number(value, form, unit=""):
    return "-" if value is None else f"{value:{form}}{unit}"


def _cards(ending, events):
    ends, link = dict(ending["timeline"]), ending["link"]
    heard = link["packets_received"] + link["packets_lost"]
    answered = next((e["ms"] for e in events if e["event"] == "rpc_answered"), None)
    load = ending["call_cpu_s"] / ending["call_s"] if ending.get("call_s") else None
    cards = (
        (_number(ends.get("dtls"), ".0f", " ms"), "to a secured media path"),
        (_number(ends.get("first_heard"), ".0f", " ms"), "to the first sound in"),
        (_number(answered, ".0f", " ms"), "for an RPC, there and back"),
        (_number(100 * link["packets_lost"] / heard if heard else None, ".1f", " %"), "of the sound lost"),
        (_number(100 * load if load is not None else None, ".1f", " %"), "of one core during the call"),
        (_number(ending["peak_rss_kib"] / 1024 if ending.get("peak_rss_kib") else None, ".0f", " MiB"),
         "of memory at most, Python included"),
    )
    return '<div class="cards">' + "".join(f"<div><b>{_e(value)}</b><span>{_e(text)}</span></div>"
                                           for value, text in cards) + "</div>"


def figures(ending, events):
    """[(name, figure)] of the call."""
    link, seconds = ending["link"], ending.get("call_s") or 0
    answered = next((e["ms"] for e in events if e["event"] == "rpc_answered"), None)

    def rate(name):
        return f"{8 * link[name] / seconds / 1000:.1f} kbit/s" if seconds else "-"

    frames = link["frames_played"] + link["frames_concealed"]
    return [
        ("call", f"{seconds:.1f} s"),
        ("round trip", _number(link["rtt_ms"], ".1f", " ms")),
        ("jitter in", _number(link["jitter_ms"], ".1f", " ms")),
        ("sound sent", f"{link['rtp_sent']} packets, {link['remote_packets_lost']} lost"),
        ("sound received", f"{link['packets_received']} packets, {link['packets_lost']} lost,"
                           f" {link['packets_late']} late"),
        ("concealed", f"{link['frames_concealed']} of {frames} frames"),
        ("traffic up", rate("bytes_sent")),
        ("traffic down", rate("bytes_received")),
        ("RPC, agent's clock", _number(answered, ".1f", " ms")),
        ("data messages", f"{link['data_sent']} sent, {link['data_received']} received"),
        ("CPU in the call", f"{ending['call_cpu_s']:.2f} s"),
        ("CPU with Python's start", f"{ending['cpu_s']:.2f} s"),
        ("peak memory", _number(ending["peak_rss_kib"] / 1024 if ending.get("peak_rss_kib") else None, ".1f", " MiB")),
        ("audio turns late", link["audio_turns_late"]),
    ]


# --- the join ---


def _gantt(timeline):
    steps = rows(timeline)
    longest = max((end for *_, end in steps if end is not None), default=1.0) or 1.0
    lines = []
    for name, label, began, end in steps:
        if end is None:
            lines.append(f'<div class="row none"><span>{_e(label)}</span><i></i><b>–</b></div>')
            continue
        took = end - began
        lines.append(
            f'<div class="row {_kind(name)}" title="{_e(label)}: {began:.1f} to {end:.1f} ms"><span>{_e(label)}</span>'
            f'<i><u style="left:{100 * began / longest:.2f}%;width:{max(0.4, 100 * took / longest):.2f}%"></u></i>'
            f"<b>{end:.1f}<small>+{took:.1f}</small></b></div>")
    ticks = "".join(f'<em style="left:{100 * at / longest:.2f}%">{at:g}</em>' for at in _ticks(longest, 4))
    return f'<div class="gantt">{"".join(lines)}<div class="row axis"><span></span><i>{ticks}</i><b>ms</b></div></div>'


def _kind(step):
    return {"ws": "signal", "join": "signal", "first_sent": "sound", "first_heard": "sound"}.get(
        step, "media" if step in ("ice", "dtls", "sctp") else "net")


def _ticks(length, wanted):
    """Round places from 0 to `length`, about `wanted` of them."""
    size = 10.0 ** len(str(int(length / wanted)))
    step = next((size * part for part in (0.1, 0.2, 0.5, 1.0) if length / (size * part) <= wanted + 1), size)
    return [step * i for i in range(int(length / step) + 1)]


# --- the conversation ---


def _conversation(events, zero, span):
    samples = [e for e in events if e["who"] == "badge" and e["event"] == "sample"]

    def x(at):
        return max(0.0, min(1000.0, 1000 * (at - zero) / span))

    def level(name):
        points = [(x(e["at"]), 100 * min(1.0, e[name] / QUIETEST_DB)) for e in samples]
        if not points:
            return ""
        line = " ".join(f"L{a:.1f} {b:.1f}" for a, b in points)
        area = f"M{points[0][0]:.1f} 100 {line} L{points[-1][0]:.1f} 100 Z"
        return (f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">'
                f'<path class="area" d="{area}"/><path class="line" d="M{line[1:]}"/></svg>')

    def bands(intervals):
        return "".join(f'<u class="{kind}" style="left:{x(a) / 10:.2f}%;width:{(x(b) - x(a)) / 10:.2f}%"'
                       f' title="{_e(text)}, {max(0, a - zero):.2f} to {b - zero:.2f} s"><s>{_e(text)}</s></u>'
                       for a, b, kind, text in intervals)

    last = zero + span
    calls = [e for e in events if e["who"] == "badge" and e["event"] == "rpc"]
    marks = "".join(f'<q style="left:{x(e["at"]) / 10:.2f}%" title="{_e(e["method"])} {_e(e.get("payload", ""))} at'
                    f' {e["at"] - zero:.2f} s"></q>' for e in calls)
    lines = "".join(f'<hr style="left:{x(e["at"]) / 10:.2f}%">' for e in calls)
    ticks = "".join(f'<em style="left:{100 * at / span:.2f}%">{at:g}</em>' for at in _ticks(span, 6))
    lanes = (
        ("badge speaks", "level badge", level("microphone")),
        ("badge hears", "level agent", level("speaker")),
        ("LED", "bands", bands(_led(events, zero, last))),
        ("RPC", "marks", marks),
        ("agent", "bands", bands(_states(events, zero, last))),
    )
    body = "".join(f'<div class="lane"><span>{name}</span><div class="{kind}">{inside}</div></div>'
                   for name, kind, inside in lanes)
    story = "".join(f"<li><b>{max(0.0, e['at'] - zero):.2f} s</b><span>{_e(text)}</span></li>"
                    for e, text in _told(events))
    return (f'<div class="talk" role="img" aria-label="levels and events over {span:.0f} seconds"><div class="lines">'
            f'{lines}</div>{body}<div class="lane axis"><span></span><div>{ticks}</div></div></div>'
            f'<p class="key">Levels from −{QUIETEST_DB} dB at the bottom of a lane to 0 dB, full scale, at its top.</p>'
            f'<ol class="story">{story}</ol>')


def _led(events, zero, last):
    """(from, to, kind, text) of the time in which the lamp was on."""
    result, since = [], None
    for e in events:
        if e["who"] == "badge" and e["event"] == "led":
            if e["on"]:
                since = e["at"] if since is None else since
            elif since is not None:
                result.append((since, e["at"], "on", "on"))
                since = None
    return result if since is None else [*result, (since, last, "on", "on")]


def _states(events, zero, last):
    changes = [e for e in events if e["who"] == "agent" and e["event"] == "state"]
    result = []
    for i, e in enumerate(changes):
        end = min(last, changes[i + 1]["at"] if i + 1 < len(changes) else last)
        if end > max(e["at"], zero):
            result.append((max(e["at"], zero), end, e["state"], e["state"]))
    return result


_TOLD = {
    ("badge", "joined"): lambda e: "the badge has joined",
    ("badge", "wav_started"): lambda e: "somebody listens, the badge speaks",
    ("agent", "speech_started"): lambda e: "the agent hears speech",
    ("agent", "speech_ended"): lambda e: f"the agent has heard {e['seconds']:.1f} s of it",
    ("badge", "rpc"): lambda e: f"{e['caller']} calls {e['method']} {e.get('payload', '')}",
    ("badge", "led"): lambda e: f"the LED goes {'on' if e['on'] else 'off'}",
    ("agent", "answer_started"): lambda e: "the agent answers",
    ("agent", "answer_ended"): lambda e: "the agent has said everything",
    ("badge", "leaving"): lambda e: "the badge leaves",
}


def _told(events):
    for e in events:
        words = _TOLD.get((e["who"], e["event"]))
        if words is not None:
            yield e, words(e)
