"""The process that is measured: one subject on one core.

``python -m benchmarks.server FACTORY REDIS_URL CORE [PROFILE]`` prints
its port and serves until its standard input closes, so it cannot
outlive the benchmark that started it.
"""

from __future__ import annotations

import asyncio
import cProfile
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

Factory = Callable[[str], AbstractAsyncContextManager[tornado.web.Application]]


def _factory(path: str) -> Factory:
    module, function = path.split(":")
    found: Factory = getattr(importlib.import_module(f"benchmarks.subjects.{module}"), function)
    return found


async def serve(factory: str, redis_url: str) -> None:
    """Serve a subject until standard input closes."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    async with _factory(factory)(redis_url) as application:
        sockets = bind_sockets(0, "127.0.0.1")
        server = HTTPServer(application)
        server.add_sockets(sockets)
        print(sockets[0].getsockname()[1], flush=True)
        await stop.wait()
        server.stop()
        await server.close_all_connections()


def main(factory: str, redis_url: str, core: str, profile: str = "") -> None:
    """Run a subject on that core, with a profile if a file is named."""
    os.sched_setaffinity(0, {int(core)})
    if not profile:
        asyncio.run(serve(factory, redis_url))
        return
    profiler = cProfile.Profile()
    profiler.runcall(asyncio.run, serve(factory, redis_url))
    with Path(profile).open("w") as file:
        stats = pstats.Stats(profiler, stream=file)
        stats.sort_stats("tottime").print_stats(60)
        stats.sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
