"""A real livekit-server on free loopback ports, for the demo and the tests.

    with LiveKitServer() as server:
        token = server.make_token("badge", "room")      # then connect to server.url

It needs no network: no STUN of its own, no redis, only 127.0.0.1 (`host` opens it to a board on the LAN). It dies
with its parent, however the parent ends: a watchdog kills it when the pipe to the parent closes. (Linux's parent
death signal is no help: it fires when the *thread* that forked ends.) Standard library only.
"""

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from host_sim.dev_token import make_token
from host_sim.server_build import ServerUnavailable, ensure_server

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 5
API_TIMEOUT_S = 10
PORT_TRIES = 4                          # a free port can be taken between our look and the server's bind
# The one who dies without a word closes the pipe; the one who stops the server says so first.
WATCHDOG = 'read -r word || kill -KILL "$1"'


class LiveKitServer:
    """One server process; a context manager in synchronous and in asynchronous code."""

    def __init__(self, *, use_ice_lite=False, force_tcp=False, extra=None, host="127.0.0.1", port=0,
                 api_key="devkey", api_secret=None, log_path=None, log_level="info", binary=None):
        """`extra` is merged into the configuration, key by key. `port` 0 takes a free one.
        Without `log_path` the log lives in a temporary folder until stop(); log_text() still has it afterwards."""
        self.api_key = api_key
        self.api_secret = api_secret or secrets.token_hex(20)
        self.host = host
        self.http_port = self.udp_port = self.tcp_port = None
        self._options = {"use_ice_lite": use_ice_lite, "force_tcp": force_tcp}
        self._extra = extra or {}
        self._wanted_port = port
        self._log_level = log_level
        self._log_path = Path(log_path) if log_path else None
        self._log_kept = ""
        self._log_folder = None
        self._binary = binary
        self._process = None
        self._watchdog = None

    @property
    def url(self):
        return f"ws://{self.host}:{self.http_port}"

    @property
    def http_url(self):
        return f"http://{self.host}:{self.http_port}"

    @property
    def pid(self):
        return self._process.pid if self._process else None

    def is_running(self):
        return self._process is not None and self._process.poll() is None

    def make_token(self, identity, room, **options):
        """A join token for this server; options as in dev_token.make_token."""
        options.setdefault("api_key", self.api_key)
        options.setdefault("api_secret", self.api_secret)
        return make_token(identity, room, **options)

    def make_agent_token(self, identity, room, **options):
        """A token as agents have it: their kind, and the right to tell the room their state."""
        return self.make_token(identity, room, kind="agent", can_update_own_metadata=True, **options)

    def config(self):
        """The hermetic configuration as a dictionary."""
        base = {
            "port": self.http_port,
            "bind_addresses": [self.host],
            "keys": {self.api_key: self.api_secret},
            "logging": {"level": self._log_level},
            "rtc": {
                "udp_port": self.udp_port,
                "tcp_port": self.tcp_port,
                "use_external_ip": False,
                "node_ip": self.host,
                "enable_loopback_candidate": True,
                # Clients are told to ask this server for their address, not a public one.
                "stun_servers": [f"{self.host}:{self.udp_port}"],
                **{key: True for key, wanted in self._options.items() if wanted},
            },
            "room": {"empty_timeout": 5, "departure_timeout": 2},
        }
        return _merged(base, self._extra)

    def start(self):
        """Starts the server and returns when it answers. Raises ServerUnavailable with its last words."""
        if self.is_running():
            return self
        binary = str(self._binary or ensure_server())
        if self._log_path is None:
            self._log_folder = tempfile.mkdtemp(prefix="linnet-server-")
            self._log_path = Path(self._log_folder) / "server.log"
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        for tries_left in reversed(range(PORT_TRIES)):
            if self.http_port is None:
                self.http_port, self.udp_port, self.tcp_port = _free_ports(self.host, self._wanted_port)
            try:
                self._spawn(binary)
                self._await_answer()
                return self
            except BaseException as error:
                self._end_process()
                taken = "address already in use" in self.log_text()
                if not (isinstance(error, ServerUnavailable) and taken and tries_left):
                    self.stop()
                    raise
                self.http_port = None

    def stop(self):
        """Ends the server at once and for good. Harmless when it is not running."""
        self._end_process()
        if self._log_folder:
            self._log_kept = self.log_text()
            shutil.rmtree(self._log_folder, ignore_errors=True)
            self._log_folder = self._log_path = None

    def kill(self):
        """The crash test: the process is gone, ports and keys are kept for the next start()."""
        self._end_process()

    def log_text(self):
        if self._log_path and self._log_path.exists():
            return self._log_path.read_text(encoding="utf-8", errors="replace")
        return self._log_kept

    def api(self, method, /, room=None, **body):
        """One server API call, such as api("RoomService/ListRooms"); returns the decoded answer."""
        token = self.make_token("admin", room, room_join=None, room_admin=True, room_list=True,
                                room_create=True, ttl_s=60)
        if room is not None:
            body.setdefault("room", room)
        request = urllib.request.Request(
            f"{self.http_url}/twirp/livekit.{method}", data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        # A proxy from the environment must not see, or break, a call to our own loopback server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=API_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            detail = error.read().decode("utf-8", "replace")
            raise ServerUnavailable(f"{method} answered {error.code}: {detail}") from None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    async def __aenter__(self):
        starting = asyncio.get_running_loop().run_in_executor(None, self.start)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(ServerUnavailable):
                await starting          # the thread cannot be stopped, so its server is stopped after it
            self.stop()
            raise

    async def __aexit__(self, *_):
        self.stop()

    def _spawn(self, binary):
        with open(self._log_path, "ab") as log:
            # Its own session: Ctrl-C in a terminal reaches our program first, which then stops the server.
            self._process = subprocess.Popen(
                [binary], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env=self._environment())
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "linnet-watchdog", str(self._process.pid)], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def _environment(self):
        """The configuration travels in the environment: its secret on a command line is everybody's to read."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("LIVEKIT_")}
        return dict(own, LIVEKIT_CONFIG=json.dumps(self.config()))

    def _await_answer(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerUnavailable(f"livekit-server ended with {self._process.returncode} at its start:"
                                        f" {self._last_words()}")
            connection = http.client.HTTPConnection(self.host, self.http_port, timeout=1)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", "/")
                if connection.getresponse().status == 200:
                    return
            time.sleep(0.02)
        raise ServerUnavailable(f"livekit-server did not answer within {START_TIMEOUT_S} s:"
                                f" {self._last_words()}")

    def _end_process(self):
        watchdog, self._watchdog = self._watchdog, None
        process, self._process = self._process, None
        if watchdog:
            # Dismissed before the process is reaped: a process id that is free again is never killed.
            with contextlib.suppress(OSError):
                watchdog.communicate(b"stop\n", timeout=STOP_TIMEOUT_S)
        if process:
            process.kill()
            process.wait(STOP_TIMEOUT_S)

    def _last_words(self):
        lines = [line for line in self.log_text().splitlines() if line.strip()]
        return " / ".join(lines[-4:]) or "it said nothing"


def _merged(base, extra):
    """`base` with `extra` laid over it; dictionaries are merged, anything else is replaced."""
    result = dict(base)
    for key, value in extra.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _free_ports(host, wanted):
    """Three free ports (HTTP, UDP, TCP), held together while they are looked for so that they differ."""
    with contextlib.ExitStack() as held:
        ports = []
        for kind, port in ((socket.SOCK_STREAM, wanted), (socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, 0)):
            probe = held.enter_context(socket.socket(socket.AF_INET, kind))
            try:
                probe.bind((host, port))
            except OSError as error:
                raise ServerUnavailable(f"port {port} on {host} is not free: {error}") from None
            ports.append(probe.getsockname()[1])
        return ports
