"""`tests.apps.shared` with Tornado's autoreload: it starts anew when a file changes."""

from __future__ import annotations

import argparse
import asyncio
import os

import tornado.autoreload
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from tests.apps.runner import die_with_parent, say
from tests.apps.shared import add_arguments, build


async def main(args: argparse.Namespace) -> None:
    """Serve until a file changes."""
    shared = build(args)
    sockets = bind_sockets(args.port, "127.0.0.1")
    HTTPServer(shared.app).add_sockets(sockets)
    tornado.autoreload.watch(args.watch)
    tornado.autoreload.start(check_time=50)
    # Asked once, so that what the first question opens is open.
    await shared.manager.list_user("nobody")
    files = len(os.listdir("/proc/self/fd"))
    say(port=sockets[0].getsockname()[1], pid=os.getpid(), files=files)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--redis", "--prefix", "--name", "--watch"):
        parser.add_argument(name, default="")
    parser.add_argument("--port", type=int, default=0)
    add_arguments(parser)
    die_with_parent()
    asyncio.run(main(parser.parse_args()))
