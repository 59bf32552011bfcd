"""The demo's page: whole, self-contained, true to the events, and safe against what is in them."""

import html.parser
import re
import types

import pytest

from host_sim import compare, report
from host_sim.timeline import STEPS, as_text, rows
from tests.host_sim.conftest import REPO, SENTENCE

np = pytest.importorskip("numpy", reason="make test installs it")

ANSWER = REPO / "host_sim" / "assets" / "agent_answer.wav"
EVIL = "<script>alert('x')</script><img src=http://elsewhere/>"
TIMELINE = [["start", 0.5], ["dns", 1.0], ["tcp", 1.5], ["ws", 8.0], ["join", 8.5], ["ice", 15.0], ["dtls", 30.0],
            ["first_sent", 31.0], ["sctp", 40.0], ["first_heard", 60.0]]
VOID = ("meta", "hr", "img", "br", "link", "input")


def ending(**changes):
    link = {"packets_received": 99, "packets_lost": 1, "packets_late": 2, "frames_played": 97, "frames_concealed": 3,
            "rtt_ms": 1.25, "jitter_ms": None, "rtp_sent": 100, "rtp_received": 99, "bytes_sent": 10000,
            "bytes_received": 20000, "remote_packets_lost": 0, "data_sent": 4, "data_received": 5,
            "audio_turns_late": 0, "offers_sent": 2}
    return {"timeline": TIMELINE, "link": link, "room": EVIL, "identity": "badge", "server_version": "1.13.5",
            "call_s": 8.0, "call_cpu_s": 0.4, "cpu_s": 0.7, "peak_rss_kib": 30720, **changes}


def told(*events):
    """A story of (at, who, event, fields)."""
    full = [dict(fields, at=1000 + at, who=who, event=name) for at, who, name, fields in events]
    return types.SimpleNamespace(
        events=full, find=lambda who, name: next((e for e in full if (e["who"], e["event"]) == (who, name)), None))


STORY = told(
    (0.0, "badge", "joined", {}),
    (0.1, "badge", "wav_started", {}),
    *[(0.2 + i / 20, "badge", "sample", {"microphone": i % 128, "speaker": 127 - i % 128}) for i in range(100)],
    (0.3, "agent", "state", {"state": "listening"}),
    (4.0, "agent", "state", {"state": EVIL}),
    (4.5, "badge", "rpc", {"method": "set_led", "caller": "agent", "payload": EVIL}),
    (4.5, "badge", "led", {"on": True}),
    (4.9, "agent", "rpc_answered", {"ms": 12.0}),
    (5.0, "badge", "led", {"on": False}),
    (5.1, "agent", "speech_ended", {"seconds": 4.0, "peak_dbfs": -10}),
    (5.2, "badge", "leaving", {}),
    (5.3, "agent", "device_left", {}),
)


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def text():
    checks = [report.Check(True, "it happened"), report.Check(False, EVIL)]
    return report.page(STORY, ending(), checks, [("step " + EVIL, 1.5)], [("Linnet", "0.1.0"), (EVIL, EVIL)])


def test_every_tag_that_is_opened_is_closed(text):
    page = Page(text)
    assert page.open == []
    assert {"svg", "path", "table", "style"} <= set(page.tags)


def test_the_page_loads_nothing_and_runs_nothing(text):
    page = Page(text)
    assert "script" not in page.tags and "img" not in page.tags and "link" not in page.tags
    assert not [a for a in page.attributes if a[1] in ("src", "href") or a[1].startswith("on")]
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    assert "url(" not in style and "@import" not in style and "http" not in style


def test_light_and_dark_and_phones_are_thought_of(text):
    assert "prefers-color-scheme: dark" in text
    assert "max-width: 34rem" in text
    assert 'name="viewport"' in text


def test_the_figures_are_on_the_page(text):
    words = " ".join(Page(text).words)
    for figure in ("30 ms", "60 ms", "12 ms", "1.0 %", "5.0 %", "30 MiB", "8.0 s", "1.2 ms", "100 packets, 0 lost",
                   "99 packets, 1 lost, 2 late", "3 of 100 frames", "10.0 kbit/s", "20.0 kbit/s", "4 sent, 5 received",
                   "0.40 s", "1.13.5", "something did not happen"):
        assert figure in words, figure


def test_the_lamp_shines_from_on_to_off(text):
    [band] = re.findall(r'<u class="on" style="left:([\d.]+)%;width:([\d.]+)%"', text)
    assert float(band[0]) == pytest.approx(100 * 4.5 / 5.2, abs=0.1)
    assert float(band[1]) == pytest.approx(100 * 0.5 / 5.2, abs=0.1)


def test_everything_stays_within_its_axis(text):
    for value in re.findall(r"left:(-?[\d.]+)%", text):
        assert 0 <= float(value) <= 100
    for left, width in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", text):
        assert float(left) + float(width) <= 100.5


def test_a_story_of_nothing_still_makes_a_page():
    quiet = ending(timeline=[], peak_rss_kib=None, call_s=0,
                   link=dict(ending()["link"], packets_received=0, packets_lost=0, rtt_ms=None))
    assert Page(report.page(told(), quiet, [], [], [])).open == []


def test_versions_name_everything_that_took_part():
    found = dict(report.versions(ending()))
    assert found["livekit-server"] == "1.13.5"
    assert {"Linnet", "opus", "mbedtls", "nanopb", "Python"} <= set(found)
    assert not {"speexdsp", "micropython"} & set(found)     # fetched, and in no part of this program


# --- did it happen? ---


def folder_with(tmp_path, agent=SENTENCE, badge=ANSWER):
    if agent:
        (tmp_path / "agent_heard.wav").write_bytes(agent.read_bytes())
    if badge:
        (tmp_path / "badge_heard.wav").write_bytes(badge.read_bytes())
    return tmp_path


def verdicts(story, folder, code=130):
    return [check.is_good for check in report.check(story, folder, code, 0.6)]


def test_a_demo_in_which_everything_happened_is_good(tmp_path):
    assert verdicts(STORY, folder_with(tmp_path)) == [True] * 4


def test_each_thing_that_did_not_happen_is_found(tmp_path):
    good = folder_with(tmp_path)
    without_led = told(*[(e["at"], e["who"], e["event"], e) for e in STORY.events if e["event"] != "led"])
    assert verdicts(without_led, good) == [True, True, False, True]
    assert verdicts(STORY, good, code=1) == [True, True, True, False]
    (tmp_path / "swapped").mkdir()
    assert verdicts(STORY, folder_with(tmp_path / "swapped", ANSWER, SENTENCE)) == [False, False, True, True]
    (tmp_path / "silent").mkdir()
    assert verdicts(STORY, folder_with(tmp_path / "silent", None, None)) == [False, False, True, True]


def test_speech_is_known_again_late_quiet_noisy_and_at_another_rate():
    speech = compare.read(SENTENCE)
    noise = np.random.default_rng(7).normal(0, 100, len(speech) + 8000)
    late = np.concatenate((np.zeros(8000), 0.1 * speech)) + 0.1 * noise
    alike, delay = compare.match(speech, late)
    assert alike > 0.95 and delay == pytest.approx(0.5, abs=0.01)
    stretched = np.concatenate((speech[:32000], np.zeros(1200), speech[32000:]))  # a playout buffer's 75 ms
    assert compare.match(speech, stretched)[0] > 0.9


@pytest.mark.parametrize("heard", [
    lambda: compare.read(ANSWER), lambda: np.zeros(80000), lambda: np.random.default_rng(7).normal(0, 3000, 80000),
    lambda: np.zeros(0), lambda: compare.read(SENTENCE)[::-1].copy(),
])
def test_other_sounds_are_not_taken_for_it(heard):
    assert compare.match(compare.read(SENTENCE), heard())[0] < 0.45


# --- the join as rows ---


def test_each_step_begins_where_its_last_condition_ended():
    table = {name: (began, end) for name, _, began, end in rows(TIMELINE)}
    assert table["ws"] == (1.5, 8.0)  # no TLS: TCP is the condition
    assert table["tls"] == (1.5, None)
    assert table["sctp"] == (30.0, 40.0) and table["first_heard"] == (30.0, 60.0)
    assert {name for name, *_ in STEPS} == set(table)


def test_the_table_in_the_terminal_has_a_line_for_each_step():
    lines = as_text(TIMELINE).splitlines()
    assert len(lines) == 1 + len(STEPS)
    assert max(len(line) for line in lines) <= 90
    assert lines[-1].split()[3] == "60.0" and "+30.0" in lines[-1]
