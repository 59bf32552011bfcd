"""`python -m tests.server build | run`: the pinned livekit-server, built into the cache or run by hand."""

import argparse
import sys
import time

from host_sim.server import LiveKitServer, ServerUnavailable
from host_sim.server_build import ensure_server, pinned_version


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.server",
        description=f"livekit-server {pinned_version()}, pinned by tests/server/go.mod. LIVEKIT_SERVER=/path wins.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build it into the user cache (80 s, once) and print its path")
    run = commands.add_parser("run", help="run it until Ctrl-C; prints the URL, the keys and two tokens")
    run.add_argument("--port", type=int, default=0, help="HTTP port (default: a free one)")
    run.add_argument("--host", default="127.0.0.1", help="address to listen on, for a board on the LAN")
    run.add_argument("--room", default="demo", help="room of the printed tokens (default: demo)")
    run.add_argument("--ice-lite", action="store_true", help="use ICE-lite, as LiveKit Cloud does")
    run.add_argument("--force-tcp", action="store_true", help="media over ICE-TCP only")
    run.add_argument("--log", metavar="FILE", help="keep the server's log here")
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            print(ensure_server())
        else:
            run_by_hand(arguments)
    except ServerUnavailable as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 0


def run_by_hand(arguments):
    with LiveKitServer(use_ice_lite=arguments.ice_lite, force_tcp=arguments.force_tcp, host=arguments.host,
                       port=arguments.port, log_path=arguments.log) as server:
        print(f"url      {server.url}\nkey      {server.api_key}\nsecret   {server.api_secret}")
        for identity in ("badge", "friend"):
            print(f"token    {identity} in room {arguments.room}:\n  {server.make_token(identity, arguments.room)}")
        print("Ctrl-C stops it.", flush=True)
        while server.is_running():
            time.sleep(0.5)
        raise ServerUnavailable(f"livekit-server ended by itself: {server.log_text()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
