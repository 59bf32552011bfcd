"""The command line against a real server: sessions that work, that are refused, and that somebody else ends."""

import json
import time
import wave

import exits
import pytest

from tests.e2e.tls_front import TlsFront
from tests.host_sim.conftest import MICROPYTHON, SENTENCE, end, start

NOT_OURS = MICROPYTHON and "not correctly signed by the trusted CA"     # Mbed TLS has one word for both


def badge(cli, server, room, *more, identity="badge", wav=SENTENCE, **options):
    return cli("run", "--url", server.url, "--wav", wav, *more, token=server.make_token(identity, room), **options)


def started(server, room, events, *more, identity="badge", **options):
    """A badge that is in the room."""
    process = start("run", "--url", server.url, "--wav", SENTENCE, "--events", events, *more,
                    token=server.make_token(identity, room), **options)
    seen(events, "joined", process)
    return process


def seen(events, name, process, limit=15):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and process.poll() is None:
        if events.exists() and f'"event": "{name}"' in events.read_text():
            return
        time.sleep(0.01)
    process.kill()
    pytest.fail(f"no {name}: {process.communicate()}")


def participants(server, room):
    answer = server.api("RoomService/ListParticipants", room=room)
    return [each["identity"] for each in answer["participants"]]


# --- it works ---


def test_a_badge_alone_joins_says_so_and_leaves_after_its_seconds(cli, server, room, tmp_path):
    out = tmp_path / "out.wav"
    ended = badge(cli, server, room, "--out", out, "--seconds", "1")
    assert (ended.code, ended.err) == (0, "")
    assert f"joined {room} as badge" in ended.out
    assert ended.names()[:1] == ["started"] and "joined" in ended.names() and "leaving" in ended.names()
    steps = dict(ended.events[-1]["timeline"])
    assert {"dns", "tcp", "ws", "join", "ice", "dtls"} <= set(steps)
    with wave.open(str(out)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert 0.8 < file.getnframes() / 16000 < 3


@pytest.mark.parametrize("options, driver", [((), "native"), (("--driver", "python"), "python")])
def test_the_driver_is_the_native_loop_unless_another_is_asked_for(cli, server, room, tmp_path, options, driver):
    ended = badge(cli, server, room, "--out", tmp_path / "out.wav", "--seconds", "1", *options)
    assert ended.code == 0
    assert ended.events[0]["driver"] == driver
    assert ended.events[-1]["link"]["audio_turns_late"] >= 0


def test_lines_are_plain_when_nobody_looks(cli, server, room):
    ended = badge(cli, server, room, "--seconds", "0.5")
    assert "\x1b" not in ended.out
    assert ended.out.splitlines()[-1].startswith("0.5 s in ")


def test_a_board_sets_rate_and_limits(cli, server, room, tmp_path, write_wav):
    board, out = tmp_path / "board.json", tmp_path / "out.wav"
    board.write_text('{"name": "test board", "audio": {"rate": 24000}, "limits": {"opus_complexity": 0}}')
    ended = badge(cli, server, room, "--board", board, "--out", out, "--seconds", "0.5",
                  wav=write_wav("in.wav", bytes(48000), rate=24000))
    assert ended.code == 0
    assert (ended.first("started")["board"], ended.first("started")["rate"]) == ("test board", 24000)
    with wave.open(str(out)) as file:
        assert file.getframerate() == 24000


def test_events_can_go_to_standard_output(cli, server, room):
    ended = badge(cli, server, room, "--events", "-", "--seconds", "0.5", "--sample", "0.1")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert events[-1]["event"] == "exit"
    assert sum(event["event"] == "sample" for event in events) >= 3
    assert f"joined {room}" in ended.err


def test_the_own_app_gets_the_device(cli, server, room, tmp_path):
    app = tmp_path / "app.py"
    app.write_text("from linnet.room import Room\n"
                   "async def main(device):\n"
                   "    room = device.room = Room(device.port)\n"
                   "    url, token = await device.details()\n"
                   "    await room.connect(url, token, device.options)\n"
                   "    device.led.set(True)\n"
                   "    device.report('my_own', answer=42)\n")
    ended = badge(cli, server, room, "--app", app)
    assert ended.code == 0
    assert ended.first("my_own")["answer"] == 42
    assert ended.first("led")["on"] is True
    assert participants(server, room) == []  # the app forgot to leave, the simulator did not


def test_a_token_server_gives_address_and_token(cli, server, room):
    from tests.host_sim.test_cli_bad_input import web_server

    answer = {"server_url": server.url, "participant_token": server.make_token("badge", room)}
    with web_server(200, json.dumps(answer).encode()) as where:
        ended = cli("run", "--token-url", f"http://{where}/", "--wav", SENTENCE, "--seconds", "0.5")
    assert ended.code == 0
    assert ended.first("joined")["room"] == room
    assert answer["participant_token"] not in ended.out + ended.err + json.dumps(ended.events)


def test_a_token_server_may_stand_in_the_environment(cli, server, room):
    """It may hold a key; what stands in the command line is seen by everybody."""
    from tests.host_sim.test_cli_bad_input import web_server

    answer = {"server_url": server.url, "participant_token": server.make_token("badge", room)}
    with web_server(200, json.dumps(answer).encode()) as where:
        ended = cli("run", "--wav", SENTENCE, "--seconds", "0.5", LINNET_TOKEN_URL=f"http://{where}/?key=k")
    assert ended.code == 0 and ended.first("joined")["room"] == room


# --- TLS ---


def test_a_server_with_our_own_authority_is_joined(cli, server, room, tmp_path):
    with TlsFront(server.http_port, tmp_path / "tls") as front:
        ended = cli("run", "--url", front.url, "--ca", front.ca_path, "--wav", SENTENCE, "--seconds", "0.5",
                    token=server.make_token("badge", room))
    assert ended.code == 0
    assert "tls" in dict(ended.events[-1]["timeline"])


@pytest.mark.parametrize(("certificate", "word"), [
    ("expired", "expired"), ("not_yet_valid", "starts in the future" if MICROPYTHON else "not yet valid"),
    ("wrong_host", "localhost"), ("self_signed", NOT_OURS or "self-signed"), ("unknown_ca", NOT_OURS or "issuer"),
])
def test_a_certificate_that_is_not_right_is_refused_with_its_trouble(cli, server, room, tmp_path, certificate, word):
    with TlsFront(server.http_port, tmp_path / "tls", certificate=certificate) as front:
        ended = cli("run", "--url", front.url, "--ca", front.ca_path, "--wav", SENTENCE,
                    token=server.make_token("badge", room))
    ended.told(exits.REFUSED, "certificate", word)
    assert ended.events[-1]["error"] == "tls-refused"


def test_an_authority_nobody_told_us_of_is_refused(cli, server, room, tmp_path):
    with TlsFront(server.http_port, tmp_path / "tls") as front:
        cli("run", "--url", front.url, "--wav", SENTENCE, token=server.make_token("badge", room)).told(
            exits.REFUSED, "certificate")


# --- the server says no ---


def test_a_token_of_another_server_is_refused_with_the_server_s_reason(cli, server, room):
    token = server.make_token("badge", room, api_secret="of another server, quite long enough")
    ended = cli("run", "--url", server.url, "--wav", SENTENCE, token=token)
    ended.told(exits.REFUSED, "401")
    assert ended.events[-1]["error"] == "token-refused"


def test_a_room_that_is_not_there_is_told(cli, start_server, room):
    strict = start_server(extra={"room": {"auto_create": False}})
    ended = badge(cli, strict, room)
    ended.told(exits.REFUSED, "room", "Create the room first")
    assert ended.events[-1]["error"] == "room-not-found"


# --- somebody else ends it ---


def test_a_badge_that_is_removed_says_so(server, room, tmp_path):
    events = tmp_path / "e.jsonl"
    process = started(server, room, events)
    server.api("RoomService/RemoveParticipant", room=room, identity="badge")
    end(process, events).told(exits.ENDED, "PARTICIPANT_REMOVED")


def test_a_badge_whose_room_is_deleted_says_so(server, room, tmp_path):
    events = tmp_path / "e.jsonl"
    process = started(server, room, events)
    server.api("RoomService/DeleteRoom", room=room)
    end(process, events).told(exits.ENDED, "ROOM_DELETED")


def test_a_second_badge_of_the_same_identity_ends_the_first(cli, server, room, tmp_path):
    events = tmp_path / "e.jsonl"
    process = started(server, room, events)
    assert badge(cli, server, room, "--seconds", "0.5").code == 0
    end(process, events).told(exits.ENDED, "DUPLICATE_IDENTITY", "identity")


def test_a_server_that_dies_is_a_lost_connection(start_server, room, tmp_path):
    mortal = start_server()
    events = tmp_path / "e.jsonl"
    process = started(mortal, room, events)
    mortal.kill()
    ended = end(process, events)
    ended.told(exits.NETWORK)
    assert ended.events[-1]["error"] == "ws-closed"


# --- nobody looks, or nobody looks any more ---


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_badge_whose_streams_are_closed_runs_as_any_other(server, room, tmp_path, closed):
    """A file that it opens gets the number of such a stream, but no line that is meant for it."""
    events = tmp_path / "e.jsonl"
    process = start("run", "--url", server.url, "--wav", SENTENCE, "--events", events, "--seconds", "0.5",
                    token=server.make_token("badge", room), closed=closed)
    ended = end(process, events)
    assert (ended.code, ended.err) == (0, "")
    assert ("joined" in ended.out) == (">&-" not in closed.split())
    assert "joined" in ended.names()


def test_a_reader_that_goes_away_ends_the_badge_quietly(server, room, tmp_path):
    events = tmp_path / "e.jsonl"
    process = started(server, room, events)
    process.stdout.close()
    server.api("RoomService/SendData", room=room, kind="RELIABLE", data="aGVsbG8=", topic="wake")
    process.wait(15)
    err = process.stderr.read()
    process.stderr.close()
    assert (process.returncode, err) == (0, "")
    assert json.loads(events.read_text().splitlines()[-1])["event"] == "exit"


def test_a_disk_that_is_full_ends_the_recording_and_not_the_call(cli, server, room):
    ended = badge(cli, server, room, "--out", "/dev/full", "--seconds", "1")
    ended.told(exits.BAD_INPUT, "/dev/full", "not complete")
    assert ended.events[-1]["call_s"] > 0.5
    assert "No space left" in ended.events[-1]["cause"]


def test_events_that_cannot_be_written_are_told_once(server, room):
    process = start("run", "--url", server.url, "--wav", SENTENCE, "--events", "/dev/full", "--seconds", "1",
                    token=server.make_token("badge", room))
    end(process).told(exits.BAD_INPUT, "/dev/full", "not complete")


def test_a_file_that_is_not_complete_is_not_the_worst_that_may_happen(cli, server, room, tmp_path):
    app = tmp_path / "app.py"
    app.write_text("async def main(device):\n    raise SystemExit(9)\n")
    assert badge(cli, server, room, "--app", app, "--out", "/dev/full").code == 9


def test_a_wav_is_spoken_when_somebody_listens(server, room, tmp_path):
    """The second badge is the listener; the first speaks the moment it is there, and the second hears it."""
    first, second, out = tmp_path / "1.jsonl", tmp_path / "2.jsonl", tmp_path / "heard.wav"
    talker = started(server, room, first, identity="talker")
    assert "wav_started" not in first.read_text()
    listener = started(server, room, second, "--out", out, identity="listener")
    seen(first, "wav_ended", talker)
    listener.terminate()
    ended = end(listener, second)
    assert ended.code == 143
    talker.terminate()
    assert end(talker, first).code == 143
    names = [json.loads(line)["event"] for line in first.read_text().splitlines()]
    assert names.index("listened") < names.index("wav_started") < names.index("wav_ended")
    from host_sim import compare
    alike, _ = compare.match(compare.read(SENTENCE), compare.read(out))
    assert alike > 0.6




def test_a_script_that_reads_no_more_events_ends_the_badge(server, room):
    process = start("run", "--url", server.url, "--wav", SENTENCE, "--events", "-", "--sample", "0.1", "--plain",
                    token=server.make_token("badge", room))
    while '"joined"' not in process.stdout.readline():
        assert process.poll() is None
    process.stdout.close()
    assert process.wait(15) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_even_the_verbose_log_shows_no_token(cli, server, room):
    ended = badge(cli, server, room, "--seconds", "0.5", "--verbose")  # cli looks for the token in all that was shown
    assert (ended.code, ended.err) == (0, "")
    assert "DTLS connected" in ended.out
    assert "eyJ" not in ended.out + json.dumps(ended.events)
