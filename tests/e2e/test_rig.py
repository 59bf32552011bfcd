"""The rig's own parts: servers that never outlive their parent, tokens and certificates that are refused, measures
that can say no."""

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from host_sim.demo_agent import ANSWER, SpeechDetector
from host_sim.server import LiveKitServer, ServerUnavailable
from tests import audio_quality as quality
from tests.e2e.tls_front import CERTIFICATES
from tests.e2e.tokens import bad_tokens

REPO = Path(__file__).resolve().parents[2]
RATE = 16000


def validate(server, token):
    request = urllib.request.Request(f"{server.http_url}/rtc/validate", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_server_takes_a_good_token_and_refuses_every_bad_one(server, room_name):
    assert validate(server, server.make_token("ann", room_name)) == 200
    refused = {what: validate(server, token) for what, token in bad_tokens(server, "ann", room_name).items()}
    assert refused == dict.fromkeys(refused, 401)


def test_a_server_dies_with_the_parent_that_was_killed(server_binary):
    program = ("import sys, time\nfrom host_sim.server import LiveKitServer\n"
               "server = LiveKitServer(binary=sys.argv[1], log_path=sys.argv[2]).start()\n"
               "print(server.http_port, flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-c", program, str(server_binary), os.devnull], cwd=REPO, text=True,
                          stdout=subprocess.PIPE) as parent:
        held = socket.create_connection(("127.0.0.1", int(parent.stdout.readline())), 10)
        parent.kill()
    # The server keeps a silent connection open for as long as it lives; TimeoutError here is a server that does.
    with held, contextlib.suppress(ConnectionResetError):
        assert held.recv(1) == b""


def test_a_stopped_server_is_gone_and_its_log_is_kept(server_binary):
    with LiveKitServer(binary=server_binary) as server:
        port = server.http_port
        assert server.api("RoomService/ListRooms") == {"rooms": []}
    assert not server.is_running()
    assert "starting LiveKit server" in server.log_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2).close()


def test_a_killed_server_starts_again_on_its_ports(server_binary):
    with LiveKitServer(binary=server_binary) as server:
        url = server.url
        server.kill()
        assert not server.is_running()
        server.start()
        assert server.url == url and server.api("RoomService/ListRooms") == {"rooms": []}


def test_a_server_that_cannot_start_says_why(server_binary):
    with pytest.raises(ServerUnavailable, match="field nonsense not found"):
        LiveKitServer(binary=server_binary, extra={"nonsense": 1}).start()


def test_a_wrong_livekit_server_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("LIVEKIT_SERVER", "/nowhere/livekit-server")
    with pytest.raises(ServerUnavailable, match="LIVEKIT_SERVER=/nowhere/livekit-server is not a program"):
        LiveKitServer().start()


def fetch_over_tls(front):
    context = ssl.create_default_context(cafile=front.ca_path)
    connection = http.client.HTTPSConnection("localhost", front.port, timeout=5, context=context)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_the_tls_front_passes_bytes_through(tls_front):
    assert fetch_over_tls(tls_front) == b"OK"
    assert tls_front.versions[-1] == "TLSv1.3"


@pytest.mark.parametrize("certificate", CERTIFICATES[1:])
def test_a_bad_certificate_is_refused_before_a_byte_passes(start_tls_front, certificate):
    front = start_tls_front(certificate=certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        fetch_over_tls(front)
    assert front.accepted == 0


def test_speech_is_found_late_and_damage_is_told():
    speech, _ = quality.load_wav(ANSWER, RATE)
    late = np.concatenate((np.zeros(RATE // 2), speech, np.zeros(RATE // 4)))
    whole = quality.score(speech, late, RATE)
    assert whole.stoi > 0.999 and whole.delay_s == pytest.approx(0.5, abs=0.001)
    assert quality.find_speech_gaps(speech, whole.aligned, RATE) == []

    assert whole.cut_s == 0
    until = RATE // 2 + np.flatnonzero(np.abs(speech) > 0.01)[-1]       # the last loud sample
    cut = quality.score(speech, late[:until - RATE // 10], RATE)
    assert cut.cut_s == pytest.approx(0.1, abs=0.03)

    late[RATE * 3 // 2:RATE * 8 // 5] = 0           # 100 ms, from second 1.0 of the speech
    holed = quality.score(speech, late, RATE)
    (start, length), = quality.find_speech_gaps(speech, holed.aligned, RATE)
    assert start == pytest.approx(1.0, abs=0.05) and length == pytest.approx(0.1, abs=0.05)
    assert holed.stoi < whole.stoi


def test_noise_and_silence_are_no_speech():
    speech, _ = quality.load_wav(ANSWER, RATE)
    noise = np.random.default_rng(1).normal(0, 0.1, 2 * len(speech))
    assert quality.score(speech, noise, RATE).stoi < 0.5
    assert quality.score(speech, np.zeros(2 * len(speech)), RATE).stoi == 0.0
    assert quality.score(speech, speech[:100], RATE).stoi == 0.0


def test_a_hole_in_a_tone_is_found():
    tone = 0.1 * np.sin(np.arange(2 * RATE) * 0.2)
    assert quality.find_gaps(tone, RATE) == []
    tone[RATE:RATE + RATE // 25] = 0
    assert quality.find_gaps(tone, RATE) == [(1.0, 0.04)]


def test_the_codec_alone_costs_more_at_a_low_rate():
    speech, _ = quality.load_wav(ANSWER, RATE)
    rich, poor = (quality.codec_ceiling(speech, RATE, bitrate=rate).stoi for rate in (32000, 8000))
    assert 0.99 < rich and poor < rich


def hear(*stretches):
    """Events of a SpeechDetector that hears (level, milliseconds) after one another."""
    detector = SpeechDetector()
    return [heard for level, ms in stretches for _ in range(ms // 10) if (heard := detector.feed(level))]


def test_ears_tell_speech_from_clicks_and_wait_out_short_pauses():
    assert hear((-90, 500), (-20, 1000), (-90, 700)) == ["started", "ended"]
    assert hear((-20, 50), (-90, 500), (-20, 50), (-90, 700)) == []
    assert hear((-20, 500), (-90, 500), (-20, 500), (-90, 700)) == ["started", "ended"]
    assert hear((-20, 150), (-90, 700)) == ["started"]
