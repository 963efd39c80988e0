"""The process that is measured: one subject on one core.

``python -m benchmarks.server FACTORY REDIS_URL CORE`` prints its port
and serves until its standard input closes, so it cannot outlive the
benchmark that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import importlib
import os
import pstats
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from .content import YOUNG

Factory = Callable[[str], AbstractAsyncContextManager[tornado.web.Application]]


def _factory(path: str) -> Factory:
    module, function = path.split(":")
    found: Factory = getattr(importlib.import_module(f"benchmarks.subjects.{module}"), function)
    return found


async def serve(factory: str, redis_url: str) -> None:
    """Serve a subject until standard input closes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    async with _factory(factory)(redis_url) as application:
        sockets = bind_sockets(0, "127.0.0.1")
        server = HTTPServer(application)
        server.add_sockets(sockets)
        print(sockets[0].getsockname()[1], flush=True)
        await stop.wait()
        loop.remove_reader(sys.stdin.fileno())  # it stays readable, and would be heard in each turn
        server.stop()
        await server.close_all_connections()


def run(factory: str, redis_url: str, loop: str) -> None:
    """Run a subject on asyncio's own loop, or on uvloop."""
    gc.set_threshold(YOUNG)
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if loop == "uvloop":
        new_loop = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(factory, redis_url))


def main() -> None:
    """Run a subject on its core, with a profile if a file is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("factory")
    parser.add_argument("redis_url")
    parser.add_argument("core", type=int)
    parser.add_argument("--loop", default="asyncio")
    parser.add_argument("--profile", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    what = (arguments.factory, arguments.redis_url, arguments.loop)
    if arguments.profile is None:
        run(*what)
        return
    profiler = cProfile.Profile()
    profiler.runcall(run, *what)
    with arguments.profile.open("w") as file:
        stats = pstats.Stats(profiler, stream=file)
        stats.sort_stats("tottime").print_stats(60)
        stats.sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
