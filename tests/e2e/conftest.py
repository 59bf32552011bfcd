"""Fixtures of the end-to-end tests: real livekit-servers, a TLS front, and a room of one's own for every test.

A server that cannot be built or started fails the test with the reason; nothing is skipped. On a machine that is busy
with other work, LINNET_REALTIME=1 runs peers and servers under a real-time scheduler (needs the right to), because
live sound is the first thing that load spoils.
"""

import contextlib
import os
import secrets
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from host_sim.server import LiveKitServer, ServerUnavailable, ensure_server
from tests.e2e.linnet_peer import LinnetPeer
from tests.e2e.peers import WheelPeer
from tests.e2e.tls_front import TlsFront

SERVER_FIXTURES = ("server", "lite_server")
LOG_LINES = 40


def pytest_sessionstart(session):
    if os.environ.get("LINNET_REALTIME") == "1":
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
        except (AttributeError, OSError) as error:
            warnings.warn(f"LINNET_REALTIME=1 has no effect: {error}", stacklevel=1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the server said."""
    report = yield
    if report.failed:
        for name in SERVER_FIXTURES:
            one = getattr(item, "funcargs", {}).get(name)
            if one:
                tail = "\n".join(one.log_text().splitlines()[-LOG_LINES:])
                report.sections.append((f"last lines of the {name}'s log", tail))
    return report


@pytest.fixture(scope="session")
def server_binary(request):
    """The pinned livekit-server; built into the cache the first time, with its progress on the terminal."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        try:
            return ensure_server()
        except ServerUnavailable as problem:
            reason = str(problem)
    pytest.fail(reason, pytrace=False)


@pytest.fixture(scope="session")
def start_server(server_binary, tmp_path_factory):
    """start_server(**options) gives a running LiveKitServer that ends with the session."""
    with contextlib.ExitStack() as running:
        def start(**options):
            log = tmp_path_factory.mktemp("livekit-server") / "server.log"
            one = LiveKitServer(binary=server_binary, log_path=log, **options)
            try:
                return running.enter_context(one)
            except ServerUnavailable as problem:
                reason = str(problem)
            pytest.fail(reason, pytrace=False)
        yield start


@pytest.fixture(scope="session")
def server(start_server):
    """A plain server."""
    return start_server()


@pytest.fixture(scope="session")
def lite_server(start_server):
    """A server that is an ICE-lite peer, as LiveKit Cloud's are."""
    return start_server(use_ice_lite=True)


@pytest.fixture(scope="session")
def tls_front(server, tmp_path_factory):
    """wss:// before `server`; trust its ca_path."""
    with TlsFront(server.http_port, tmp_path_factory.mktemp("tls")) as front:
        yield front


@pytest.fixture
def start_tls_front(server, tmp_path):
    """start_tls_front(certificate="expired") gives a TlsFront before `server` that ends with the test."""
    with contextlib.ExitStack() as running:
        def start(**options):
            return running.enter_context(TlsFront(server.http_port, tmp_path / secrets.token_hex(4), **options))
        yield start


@dataclass
class Way:
    """How Linnet gets to a server; wheel peers go straight to `server`."""
    name: str
    server: LiveKitServer
    url: str
    ca_file: Path | None = None

    def __str__(self):
        return self.name


@pytest.fixture(params=["ws", "ice_lite", "wss"])
def way(request):
    """The three ways: plain, to an ICE-lite server, through the TLS front with an authority of our own."""
    if request.param == "ice_lite":
        lite = request.getfixturevalue("lite_server")
        return Way("ice_lite", lite, lite.url)
    plain = request.getfixturevalue("server")
    if request.param == "wss":
        front = request.getfixturevalue("tls_front")
        return Way("wss", plain, front.url, front.ca_path)
    return Way("ws", plain, plain.url)


@pytest.fixture
def room_name(request):
    """A room nobody else is in: a server remembers rooms and identities for a while."""
    return f"{request.node.name[:40]}-{secrets.token_hex(3)}"


@pytest.fixture
def unique():
    """unique("badge") is an identity no other test uses; the same for the same name within one test."""
    suffix = secrets.token_hex(3)
    return lambda name: f"{name}-{suffix}"


@pytest_asyncio.fixture
async def join(server, room_name, unique):
    """`peer = await join("ann")`: a WheelPeer in this test's room, closed with the test.

    `on=` another server, `room=` another room, `options=` rtc.RoomOptions fields, anything else goes into the token."""
    async with contextlib.AsyncExitStack() as peers:
        async def join(name, *, on=server, room=room_name, options=None, **token):
            peer = await peers.enter_async_context(WheelPeer())
            return await peer.join(on.url, on.make_token(unique(name), room, **token), **(options or {}))
        yield join


@pytest_asyncio.fixture
async def linnet(server, room_name, unique):
    """`badge = await linnet("badge")`: a LinnetPeer in this test's room, closed with the test.

    `way=` or `on=` another server, `room=` another room, `rate=` of its sound device, `options=` of LinnetPeer.join,
    anything else goes into the token."""
    async with contextlib.AsyncExitStack() as peers:
        async def join(name, *, way=None, on=server, room=room_name, rate=16000, options=None, has_audio=True,
                       **token):
            way = way or Way("ws", on, on.url)
            peer = await peers.enter_async_context(
                LinnetPeer(rate=rate, ca_file=way.ca_file, has_audio=has_audio))
            return await peer.join(way.url, way.server.make_token(unique(name), room, **token), **(options or {}))
        yield join
