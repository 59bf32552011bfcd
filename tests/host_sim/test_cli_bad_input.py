"""What a person gets for input that cannot work: one line with cause and cure, an exit code, no traceback, no wait."""

import contextlib
import http.server
import json
import socket
import threading
import time

import exits
import pytest

from host_sim.dev_token import make_token, sign_claims
from tests.host_sim.conftest import MICROPYTHON, SENTENCE, not_on_micropython

TOKEN = make_token("badge", "room", api_key="devkey", api_secret="s" * 40)
QUICK_S = 8  # no waiting for a network in it, on a busy machine


def run(cli, *more, url="ws://127.0.0.1:9", token=TOKEN, wav=SENTENCE, **options):
    return cli("run", "--url", url, "--wav", wav, *more, token=token, **options)


# --- the command itself ---


def test_help_lists_every_exit_code(cli):
    for command in [("run", "--help")] + ([] if MICROPYTHON else [("--help",), ("demo", "--help")]):
        ended = cli(*command)
        assert ended.code == 0
        for number, meaning in exits.TABLE:
            assert f"{number:>3}  {meaning}" in ended.out


@not_on_micropython("main.py has one command, run")
def test_no_command_prints_the_help_and_is_an_error(cli):
    ended = cli()
    assert ended.code == exits.BAD_INPUT
    assert "run | demo" in ended.out


@pytest.mark.parametrize(("arguments", "word"), [
    (("run", "--url", "ws://h"), "LINNET_TOKEN"),
    (("run", "--token", TOKEN), "--url"),
    (("run", "--url", "ws://h", "--token", TOKEN, "--token-url", "http://h"), "exclude"),
    (("run", "--url", "ws://h", "--token", TOKEN, "--wav", "a", "--mic"), "--mic"),
    (("run", "--url", "ws://h", "--token", TOKEN, "--seconds", "soon"), "--seconds"),
    (("run", "--url", "ws://h", "--token", TOKEN, "--seconds", "-1"), "--seconds"),
    (("run", "--url", "ws://h", "--token", TOKEN, "--seconds", "nan"), "--seconds"),
    (("run", "--url", "ws://h", "--tokn", TOKEN), "--tokn"),
    (("run", "--url", "ws://h", f"--tokn={TOKEN}"), "--tokn"),
    (("run", "--url", "ws://h", "--tokn", "a-secret-of-another-shape"), "--tokn"),
    (("fly", TOKEN), "fly"),
])
def test_a_wrong_command_is_told_in_one_line_without_any_value(cli, arguments, word):
    ended = cli(*arguments, "--events", "/dev/null") if arguments[0] == "run" else cli(*arguments)
    program = "main.py" if MICROPYTHON else "host_sim run" if arguments[0] == "run" else "host_sim"
    ended.told(exits.BAD_INPUT, word, f"{program} --help.")
    assert TOKEN not in ended.err and "a-secret" not in ended.err


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_the_help_and_a_wrong_command_need_no_streams(cli, closed):
    ended = cli("run", "--help", closed=closed)
    assert (ended.code, ended.err) == (0, "")
    ended = cli("run", "--fly", closed=closed)
    assert (ended.code, ended.out) == (exits.BAD_INPUT, "")


def test_events_to_a_closed_standard_output_are_refused(cli):
    run(cli, "--events", "-", closed=">&-").told(exits.BAD_INPUT, "--events", "standard output is closed")


# --- addresses ---


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:7880", "ws://", "ws://h:99999", "ws://a b", "wss://u:p@h",
                                 "ws://a..b", f"ws://{'a' * 64}"])
def test_a_wrong_url_is_bad_input(cli, url):
    ended = run(cli, url=url)
    ended.told(exits.BAD_INPUT, "URL")
    assert ended.seconds < QUICK_S
    assert ended.events[-1]["error"] in ("bad-url", "bad-url-scheme")


def test_a_wrong_url_of_a_token_server_is_bad_input(cli):
    cli("run", "--token-url", "http://a..b/x", "--wav", SENTENCE).told(exits.BAD_INPUT, "URL", "empty part")


def test_a_host_that_is_down_is_a_network_error(cli):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ended = run(cli, url=f"ws://127.0.0.1:{port}")
    ended.told(exits.NETWORK, "cannot be reached: Connection refused", "Check that the server runs")
    assert ended.seconds < QUICK_S


def test_a_name_without_address_is_a_network_error(cli):
    run(cli, url="ws://nobody.invalid").told(exits.NETWORK, "nobody.invalid", "DNS")


def test_a_server_that_never_answers_is_a_timeout(cli):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended = run(cli, url=f"ws://127.0.0.1:{silent.getsockname()[1]}", limit=30)
    ended.told(exits.NETWORK, "no answer within")
    assert ended.seconds < 22


# --- tokens ---


@pytest.mark.parametrize(("token", "word"), [
    ("not-a-token", "parts"),
    ("a.b.c", "token"),
    (TOKEN.rpartition(".")[0], "parts"),
    (TOKEN[:-8] + "\u00e4" * 8, "signature"),
    (make_token("badge", "room", api_key="k", api_secret="s" * 40, ttl_s=-7200), "expired 2 hours ago"),
    (make_token("badge", "room", api_key="k", api_secret="s" * 40, room_join=None), "video.roomJoin"),
    (make_token("badge", None, api_key="k", api_secret="s" * 40), "video.room"),
    (make_token("badge", "room", api_key="k", api_secret="s" * 40, can_publish=False), "microphone"),
    (sign_claims({"iss": "k", "sub": "b", "video": {"roomJoin": True, "room": "r"}}, "s" * 40), "no expiry"),
    (sign_claims({"iss": "k", "exp": int(time.time()) + 600, "video": {"roomJoin": True, "room": "r"}}, "s" * 40),
     "identity"),
])
def test_a_token_that_cannot_work_is_refused_before_the_network_is_asked(cli, token, word):
    ended = run(cli, token=token)
    ended.told(exits.REFUSED, word)
    assert ended.seconds < QUICK_S


def test_a_token_with_the_grants_of_a_backend_is_warned_about(cli):
    ended = run(cli, token=make_token("badge", "room", api_key="k", api_secret="s" * 40, room_admin=True))
    assert any("roomAdmin" in event.get("text", "") for event in ended.events)


@pytest.mark.parametrize(("missing", "words"), [
    ({"can_subscribe": False}, ("canSubscribe", "hears nobody")),
    ({"can_publish_data": False}, ("canPublishData", "answers no remote calls")),
])
def test_a_token_that_leaves_the_device_half_deaf_or_mute_is_warned_about(cli, missing, words):
    ended = run(cli, token=make_token("badge", "room", api_key="k", api_secret="s" * 40, **missing))
    warnings = [event["text"] for event in ended.events if words[0] in event.get("text", "")]
    assert len(warnings) == 1 and words[1] in warnings[0]


def test_a_whole_token_is_not_warned_about(cli):
    assert not [event for event in run(cli).events if "this token" in event.get("text", "")]


# --- a token server ---


class Answers(http.server.BaseHTTPRequestHandler):
    """Says what the test wants; a body of None never comes."""

    status, body = 200, b""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self):
        if self.body is None:
            self.server.over.wait(30)
            return
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def web_server(status, body):
    handler = type("Handler", (Answers,), {"status": status, "body": body})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.over = True, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.over.set()
        server.shutdown()


@pytest.mark.parametrize(("status", "body", "code", "word"), [
    (403, b"not you", exits.REFUSED, "403"),
    (200, b"<html>", exits.REFUSED, "not a JSON object"),
    (200, b"{}", exits.REFUSED, "server_url"),
    (200, json.dumps({"server_url": "ws://h", "participant_token": "x"}).encode(), exits.REFUSED, "parts"),
    (302, b"", exits.REFUSED, "redirect"),
])
def test_a_token_server_that_refuses_is_told(cli, status, body, code, word):
    with web_server(status, body) as where:
        cli("run", "--token-url", f"http://{where}/token", "--wav", SENTENCE).told(code, word)


def test_a_token_server_that_never_answers_is_a_timeout(cli):
    with web_server(200, None) as where:
        ended = cli("run", "--token-url", f"http://{where}/token", "--wav", SENTENCE)
    ended.told(exits.NETWORK)
    assert ended.seconds < 18


def test_a_token_server_s_answer_that_repeats_a_token_stays_unseen(cli):
    with web_server(500, f"cannot sign {TOKEN}".encode()) as where:
        ended = cli("run", "--token-url", f"http://{where}/token", "--wav", SENTENCE)
    ended.told(exits.REFUSED, "500")
    assert TOKEN not in ended.err + json.dumps(ended.events)


# --- what answers is no LiveKit server of our kind ---


def test_a_server_without_rtc_v1_is_named(cli):
    with web_server(404, b"404 page not found") as where:
        run(cli, url=f"ws://{where}").told(exits.REFUSED, "404", "1.9.10")


@pytest.mark.parametrize(("status", "code"), [(200, exits.REFUSED), (400, exits.REFUSED), (500, exits.NETWORK),
                                              (503, exits.NETWORK)])
def test_a_web_server_of_another_kind_is_told_with_its_status(cli, status, code):
    with web_server(status, b"hello") as where:
        run(cli, url=f"ws://{where}").told(code, str(status))


def test_a_plain_server_behind_wss_is_refused(cli):
    with web_server(200, b"hello") as where:
        run(cli, url=f"wss://{where}").told(exits.REFUSED, "TLS")


# --- files ---


@pytest.mark.parametrize(
    "make", ["eight bits", "24 bits", "text", "nothing", "cut", "three channels", "odd rate", "no sound"])
def test_a_wav_that_is_not_16_bit_pcm_is_bad_input(cli, write_wav, tmp_path, make):
    if make == "eight bits":
        path = write_wav("a.wav", bytes(800), width=1)
    elif make == "24 bits":
        path = write_wav("a.wav", bytes(900), width=3)
    elif make == "three channels":
        path = write_wav("a.wav", bytes(600), channels=3)
    elif make == "odd rate":
        path = write_wav("a.wav", bytes(600), rate=12345)
    elif make == "no sound":
        path = write_wav("a.wav", b"")
    else:
        path = tmp_path / "a.wav"
        path.write_bytes({"text": b"hello, I am no sound", "nothing": b"", "cut": SENTENCE.read_bytes()[:30]}[make])
    ended = run(cli, wav=path)
    ended.told(exits.BAD_INPUT, "a.wav", "16-bit PCM")
    assert ended.events[-1]["error"] == "wav-format"


def test_a_float_wav_is_bad_input(cli, tmp_path):
    path = tmp_path / "float.wav"
    data = bytearray(SENTENCE.read_bytes())
    data[20:22] = (3).to_bytes(2, "little")  # WAVE_FORMAT_IEEE_FLOAT
    path.write_bytes(data)
    run(cli, wav=path).told(exits.BAD_INPUT, "float.wav")


def test_a_wav_at_another_rate_than_the_board_is_told_how_to_convert(cli, tmp_path):
    board = tmp_path / "board.json"
    board.write_text('{"audio": {"rate": 48000}}')
    run(cli, "--board", board).told(exits.BAD_INPUT, "16000", "48000", "sox")


@pytest.mark.parametrize("option", ["--wav", "--board", "--app", "--ca"])
def test_a_file_that_is_not_there_is_named(cli, option):
    arguments = ["run", "--url", "ws://h", option, "/nowhere/file"]
    if option != "--wav":
        arguments += ["--wav", SENTENCE]
    cli(*arguments, token=TOKEN).told(exits.BAD_INPUT, "/nowhere/file")


@pytest.mark.parametrize("option", ["--out", "--events"])
def test_a_file_that_cannot_be_written_is_named(cli, option):
    cli("run", "--url", "ws://h", "--wav", SENTENCE, option, "/nowhere/file", token=TOKEN).told(
        exits.BAD_INPUT, "/nowhere/file", "written")


def test_a_recording_over_the_file_that_is_spoken_is_bad_input(cli, write_wav):
    path = write_wav("a.wav", bytes(800))
    before = path.read_bytes()
    run(cli, "--out", path, wav=path).told(exits.BAD_INPUT, "a.wav", "the file that is spoken")
    assert path.read_bytes() == before


@pytest.mark.parametrize(("one", "other"), [("out", "events"), ("events", "wav"), ("events", "app"), ("out", "board")])
def test_a_file_is_not_written_over_another_that_is_named(cli, tmp_path, one, other):
    path = tmp_path / "file"
    path.write_text("dear to somebody")
    arguments = [f"--{one}", path, f"--{other}", f"{tmp_path}/./file"]
    sound = [] if other == "wav" else ["--wav", SENTENCE]
    cli("run", "--url", "ws://127.0.0.1:9", *sound, *arguments, *([] if "events" in (one, other) else [
        "--events", "/dev/null"]), token=TOKEN).told(exits.BAD_INPUT, f"--{one}", f"--{other}", "the same file")
    assert path.read_text() == "dear to somebody"


def test_one_new_file_for_recording_and_events_is_refused(cli, tmp_path):
    run(cli, "--out", tmp_path / "new", "--events", f"{tmp_path}/./new").told(exits.BAD_INPUT, "the same file")
    assert not (tmp_path / "new").exists()


def test_what_nobody_wants_may_all_go_to_dev_null(cli):
    run(cli, "--out", "/dev/null", "--events", "/dev/null", url="ws://nobody.invalid").told(exits.NETWORK)


def test_a_ca_file_without_a_certificate_is_bad_input(cli, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    run(cli, "--ca", path).told(exits.BAD_INPUT, "ca.pem", "PEM")


@pytest.mark.parametrize(("text", "word"), [
    ("{", "line 1"), ("[]", "object"), ('{"limits": {"remote_track": 1}}', "limits.remote_track"),
    ('{"audio": {"rate": 44}}', "audio.rate"), ('{"audio": {}}', "audio.rate"),
    ('{"limits": {"opus_complexity": 11}}', "from 0 to 10"),
])
def test_a_bad_board_is_told_with_the_place(cli, tmp_path, text, word):
    path = tmp_path / "board.json"
    path.write_text(text)
    ended = run(cli, "--board", path)
    ended.told(exits.BAD_INPUT, "board.json", word)
    assert ended.events[-1]["error"] == "bad-board"


@pytest.mark.parametrize(("text", "code", "word"), [
    ("def main(device:\n", exits.BAD_INPUT, "line 2" if MICROPYTHON else "line 1"),
    ("x = 1\n", exits.BAD_INPUT, "async def main(device)"),
    ("def main(device): pass\n", exits.BAD_INPUT, "async def main(device)"),
    ("\nimport nothing_of_that_name\nasync def main(device): pass\n", exits.BAD_INPUT, "line 2"),
    ("async def main(device):\n    x = 1\n    x / 0\n", exits.APP_FAILED, "line 3: ZeroDivisionError"),
    ("async def main(device):\n    raise SystemExit(3)\n", 3, ""),
    ("class Own(BaseException): pass\nasync def main(device):\n    raise Own('mine')\n", exits.APP_FAILED,
     "line 3: Own: mine"),
    ("x = 1\nclass Own(BaseException): pass\nraise Own('mine')\n", exits.BAD_INPUT, "line 3: Own: mine"),
])
def test_a_program_that_fails_is_told_with_its_line(cli, tmp_path, text, code, word):
    path = tmp_path / "app.py"
    path.write_text(text)
    ended = run(cli, "--app", path)
    assert ended.code == code, ended.err
    if word:
        ended.told(code, "app.py", word)


@pytest.mark.parametrize("where", ["async def main(device): ", ""])
def test_a_program_that_ends_with_words_is_heard(cli, tmp_path, where):
    path = tmp_path / "app.py"
    path.write_text(f"{where}raise SystemExit('no coffee left')\n")
    run(cli, "--app", path).told(exits.APP_FAILED, "no coffee left")


def test_verbose_shows_the_traceback_of_a_program(cli, tmp_path):
    path = tmp_path / "app.py"
    path.write_text("async def main(device):\n    1 / 0\n")
    ended = run(cli, "--app", path, "--verbose")
    assert ended.code == exits.APP_FAILED
    assert "Traceback" in ended.err


# --- sound devices ---


@not_on_micropython("the unix port has no sound device; test_main_unix.py looks at what it says")
def test_a_machine_without_portaudio_says_so_and_offers_files(cli, tmp_path):
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    for sound in ((), ("--mic",), ("--wav", SENTENCE, "--speaker"), ("--out", tmp_path / "o.wav")):
        ended = cli("run", "--url", "ws://127.0.0.1:9", *sound, token=TOKEN, PYTHONPATH=str(tmp_path))
        ended.told(exits.AUDIO, "PortAudio", "--wav", "--out")


@not_on_micropython("the unix port has no sound device; test_main_unix.py looks at what it says")
def test_a_machine_without_sounddevice_says_so_and_offers_files(cli, tmp_path):
    (tmp_path / "sounddevice.py").write_text('raise ImportError("No module named sounddevice")\n')
    cli("run", "--url", "ws://127.0.0.1:9", token=TOKEN, PYTHONPATH=str(tmp_path)).told(
        exits.AUDIO, "sounddevice", "--wav", "--out")


@not_on_micropython("the core is in the binary; test_main_unix.py runs one without it")
def test_a_core_that_is_not_built_is_told_with_the_command(cli):
    run(cli, LINNET_VARIANT="of-nobody").told(exits.NOT_BUILT, "make")
