"""A board without a network joins the real livekit-server over its serial line and talks with LiveKit's own SDK."""

import time

import numpy as np
import pytest

from host_sim.server import LiveKitServer, ServerUnavailable, ensure_server
from tests.audio_quality import load_wav, resample, score, to_float
from tests.e2e.peers import RATE, WheelPeer
from tests.hil import boards, report, scripts
from tests.hil.link import Link

ASSETS = scripts.REPO / "host_sim" / "assets"
# The line ends in an IPv4 socket of loopback alone. A server that listens on other interfaces too gives them all the
# address that it tells (node_ip), and one in four times expects the loopback's packets on another one's socket.
LOOPBACK = {"rtc": {"interfaces": {"includes": ["lo"]}}}
CLEAR = 0.85  # STOI; a call that loses nothing has 0.96 and more
BOARD_SAYS, PEER_SAYS = ASSETS / "badge_sentence.wav", ASSETS / "agent_answer.wav"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    try:
        log = tmp_path_factory.mktemp("server") / "log"
        with LiveKitServer(binary=ensure_server(), log_path=log, extra=LOOPBACK) as one:
            yield one
    except ServerUnavailable as problem:
        pytest.fail(str(problem), pytrace=False)


@pytest.mark.asyncio
async def test_a_board_joins_the_real_server_speaks_hears_and_answers(entry, server, tmp_path):
    if "link" not in entry.get("fixtures", ()):
        pytest.skip(f"{entry['name']} has no fixture 'link' in the roster")
    files = [scripts.HERE / "board" / name for name in ("join.py", "link_port.py")] + [BOARD_SAYS]
    script = scripts.pack(entry, tmp_path, "join", files, f"import join\njoin.run({BOARD_SAYS.name!r})\n")
    room = f"hil-{entry['name']}"
    began = time.monotonic()
    with boards.open_board(entry["name"]) as board:
        async with WheelPeer() as peer:
            await peer.join(server.url, server.make_token("wheel", room))
            voice = await peer.publish_audio()
            with board.line(script) as fd:
                line = Link(board.name, fd)
                try:
                    told = await call(line, peer, voice, server.url, server.make_token("board", room), board)
                finally:
                    await line.close()
    report.add(entry["name"], "joins the server", "ok", time.monotonic() - began, told)


async def call(line, peer, voice, url, token, board):
    """One call, and its figures as text."""
    await line.start(url, token)
    joined = await line.wait_for("joined", 30)
    steps = dict(joined["timeline"])
    recording = await peer.wait_for_track("board", timeout_s=20)

    spoken_at, cpu_before = time.monotonic(), board.cpu_seconds() if hasattr(board, "cpu_seconds") else 0
    await line.order("speak")
    speech, _ = load_wav(PEER_SAYS, 16000)
    await peer.say(voice, speech, 16000)
    await line.wait_for("spoken", 30)

    # RPC and data, both ways.
    peer.answer_rpc("ask", lambda data: f"{data.payload} to you")
    assert await peer.call_rpc("board", "set_led", '{"on": true}', timeout_s=10) == '{"on": true}'
    assert (await line.wait_for("led"))["on"] is True
    await line.order("rpc", to="wheel", method="ask", payload="good morning")
    assert (await line.wait_for("rpc_answer", 20))["payload"] == "good morning to you"
    await peer.send(b"hello board", topic="chat")
    assert (await line.wait_for("data", 20, topic="chat"))["bytes"] == 11
    await line.order("data", text="hello peer", topic="chat")
    packet = (await peer.wait_for_data(1, topic="chat"))[0]
    assert (packet.data, packet.sender) == (b"hello peer", "board")
    seconds = time.monotonic() - spoken_at
    share = (board.cpu_seconds() - cpu_before) / seconds if cpu_before else 0

    await line.order("stop")
    leaving = await line.wait_for("leaving", 20)
    figures = await line.wait_for("figures", 20)
    await line.wait_until(lambda: line.is_over, "end of the program", 30)
    stats = leaving["stats"]
    assert stats["dropped_srtp_auth"] == 0 and figures["datagrams_lost"] == line.undelivered == 0
    assert figures["frames_came"] == figures["frames_sent"], f"the line lost frames: {figures} {line.text[-500:]!r}"

    # What each side heard of the other.
    theirs = resample(to_float(recording.pcm), RATE, 16000)
    ours = to_float(np.frombuffer(bytes(line.heard), "<i2"))
    up, down = judged(BOARD_SAYS, theirs), judged(PEER_SAYS, ours)
    assert up > CLEAR and down > CLEAR, f"STOI {up:.2f} at the peer, {down:.2f} on the board: {figures}"
    return (f"joined in {steps['sctp'] - steps['start']:.0f} ms (dtls {steps['dtls'] - steps['ice']:.0f} ms), "
            f"STOI {up:.2f} up {down:.2f} down, {share:.2f} of a core, "
            f"worst turn {figures['worst_late_us'] // 1000} ms late")


def judged(wav, heard):
    """STOI of what was heard beside what was said."""
    speech, _ = load_wav(wav, 16000)
    return score(speech, heard, 16000).stoi
