"""How a server of the benchmark is run, and how it is asked."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from ...content import YOUNG
from .meter import Meter

#: Nobody's, but as long as one should be.
COOKIE_SECRET = "benchmarks.live: not a secret, but as long as one should be"
COOKIE = "session"
#: What is in each session: about 80 bytes.
CONTENT = {
    "count": 7,
    "user": "u-8f14e45fceea167a",
    "name": "Ada Lovelace",
    "theme": "dark",
    "lang": "en-GB",
}
_LONGEST = 1 << 26  # bytes of a line

Serve = Callable[
    [argparse.Namespace], AbstractAsyncContextManager[tuple[tornado.web.Application, Meter]]
]


def main(serve: Serve) -> None:
    """Serve until standard input closes, and answer what it asks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("redis")
    parser.add_argument("--idle", type=float, default=1800)
    parser.add_argument("--reload", type=float, default=15)
    parser.add_argument("--ping", type=float, default=25)
    gc.set_threshold(YOUNG)
    asyncio.run(_main(serve, parser.parse_args()))


def application(*rules: Any, **settings: Any) -> tornado.web.Application:
    """Return an Application that logs no requests."""
    return tornado.web.Application(
        list(rules), cookie_secret=COOKIE_SECRET, log_function=lambda handler: None, **settings
    )


async def _main(serve: Serve, arguments: argparse.Namespace) -> None:
    async with serve(arguments) as (app, commands):
        sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
        http = HTTPServer(app)
        http.add_sockets(sockets)
        await _answer(commands, sockets[0].getsockname()[1])
        http.stop()


async def _answer(commands: Meter, port: int) -> None:
    """Do what each line of standard input asks for, one after the other."""
    reader = asyncio.StreamReader(limit=_LONGEST)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"port": port}), flush=True)
    async for line in reader:
        asked = json.loads(line)
        number, do = asked.pop("call"), asked.pop("do")
        try:
            said = {"call": number, "value": await getattr(commands, do)(**asked)}
        except Exception as error:  # the benchmark is told, and fails
            said = {"call": number, "error": f"{do}: {error!r}"}
        print(json.dumps(said), flush=True)
