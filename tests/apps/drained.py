"""`tests.apps.shared` as a program that drains on SIGTERM, and says what came of it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from dataclasses import asdict

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from tests.apps.runner import die_with_parent, say
from tests.apps.shared import add_arguments, build
from tornado_shared_session import drain


async def main(args: argparse.Namespace) -> None:
    """Serve until SIGTERM, then drain."""
    shared = build(args)
    await shared.manager.start()
    server = HTTPServer(shared.app)
    sockets = bind_sockets(args.port, "127.0.0.1", backlog=4096)
    server.add_sockets(sockets)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    say(port=sockets[0].getsockname()[1], pid=os.getpid())
    await stop.wait()
    say(drained=asdict(await drain(server, shared.manager, timeout=30, pace=args.pace)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--redis", "--prefix", "--name"):
        parser.add_argument(name, default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pace", type=float, default=500)
    add_arguments(parser)
    die_with_parent()
    asyncio.run(main(parser.parse_args()))
