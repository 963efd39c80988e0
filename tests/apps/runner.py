"""Turn an Application into a program for `tests.support.processes`.

    if __name__ == "__main__":
        run(make_app)

The program serves on 127.0.0.1 with ``--port`` (0: a free one), prints
one JSON line when it is ready, and ends on SIGTERM or with its parent.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

MakeApp = Callable[[argparse.Namespace, AsyncExitStack], Application | Awaitable[Application]]
AddArguments = Callable[[argparse.ArgumentParser], None]


def run(make_app: MakeApp, add_arguments: AddArguments | None = None) -> None:
    """Serve what `make_app(args, stack)` returns until told to stop.

    `stack` closes what the application opened, once serving is over.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="app")
    if add_arguments:
        add_arguments(parser)
    die_with_parent()
    asyncio.run(_serve(make_app, parser.parse_args()))


def say(**facts: object) -> None:
    """Print one JSON line; `AppProcess.lines` collects them."""
    print(json.dumps(facts), flush=True)


async def _serve(make_app: MakeApp, args: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        app = make_app(args, stack)
        if not isinstance(app, Application):
            app = await app
        server = HTTPServer(app)
        sockets = bind_sockets(args.port, "127.0.0.1")
        server.add_sockets(sockets)
        say(port=sockets[0].getsockname()[1], pid=os.getpid())
        await stopped.wait()
        server.stop()


def die_with_parent() -> None:
    """End with the test run, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
