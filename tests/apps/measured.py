"""The application of `tests.apps.shared`, which also measures itself.

``GET /pulse`` says how late its event loop ran callbacks since the last
look; ``GET /vitals`` counts what may leak, which itself takes a while.
``--clock`` sets its wall clock wrong by
so many seconds, and ``POST /clock`` sets it anew while it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import tornado.web

from tests.apps import shared
from tests.apps.runner import run
from tests.apps.shared_events import Shared
from tornado_shared_session import RedisStore
from tornado_shared_session.record import Peek
from tornado_shared_session.watcher import watch

TICK = 0.005  # seconds between two looks at the loop's lag
SAMPLES = 20_000  # of the lag that are kept
_true_time: Callable[[], float] = time.time


def set_clock(seconds: float) -> None:
    """Set the wall clock of this process wrong; monotonic clocks stay right."""
    time.time = lambda: _true_time() + seconds


async def sample(lags: deque[float]) -> None:
    """Note how much later than asked for this task is woken."""
    while True:
        due = time.monotonic() + TICK
        await asyncio.sleep(TICK)
        lags.append(time.monotonic() - due)


def resident() -> int:
    """Return how many bytes of memory this process holds."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def name(task: asyncio.Task[Any]) -> str:
    """Name a task by its coroutine; one that handles a request, by the request too."""
    coroutine: Any = task.get_coro()
    if coroutine.__qualname__ != "RequestHandler._execute":
        return str(coroutine.__qualname__)
    request = coroutine.cr_frame.f_locals["self"].request
    return f"{request.method} {request.uri}"


class Vitals(tornado.web.RequestHandler):
    """Count what may leak."""

    async def get(self) -> None:
        parts: Shared = self.settings["shared"]
        store = parts.manager.store
        assert isinstance(store, RedisStore)
        pool: Any = store._client.connection_pool
        gc.collect()
        tasks = [name(task) for task in asyncio.all_tasks()]
        self.write(
            {
                "counts": parts.counts(),
                "tasks": sorted(tasks),
                "manager_tasks": len(parts.manager._tasks),
                "descriptors": len(os.listdir("/proc/self/fd")),
                "in_use": len(pool._in_use_connections),
                "deadlines": len(watch(parts.manager)._deadlines._heap),  # type: ignore[union-attr]  # they are on
                "objects": len(gc.get_objects()),
                "resident": resident(),
            }
        )


class Pulse(tornado.web.RequestHandler):
    """Say how this process is doing; the lags are forgotten then."""

    async def get(self) -> None:
        lags: deque[float] = self.settings["lags"]
        parts: Shared = self.settings["shared"]
        health = await parts.manager.health()
        self.write({"lags": list(lags), "peeks": self.settings["peeks"], "health": health})
        lags.clear()


class Clock(tornado.web.RequestHandler):
    """Set the wall clock wrong by so many seconds."""

    def post(self) -> None:
        set_clock(float(self.get_body_argument("shift")))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what a test may choose."""
    shared.add_arguments(parser)
    parser.add_argument("--clock", type=float, default=0)
    parser.add_argument("--ping-interval", type=float, default=25)
    parser.add_argument("--ping-timeout", type=float, default=20)


async def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application as a program of its own."""
    set_clock(args.clock)
    pings = {"ping_interval": args.ping_interval, "ping_timeout": args.ping_timeout}
    parts = shared.build(args, **pings)
    # What handlers tell is kept by the application, not by us: not forever.
    parts.said = deque(maxlen=100)  # type: ignore[assignment]  # a list that forgets
    # Neither may grow, for memory is measured.
    lags: deque[float] = deque([0.0] * SAMPLES, maxlen=SAMPLES)
    lags.clear()
    peeks = {"calls": 0, "ids": 0, "most": 0}
    peek = parts.manager.store.peek

    async def counted(ids: Any) -> list[Peek | None]:
        peeks["calls"] += 1
        peeks["ids"] += len(ids)
        peeks["most"] = max(peeks["most"], len(ids))
        return await peek(ids)

    parts.manager.store.peek = counted  # type: ignore[method-assign]  # counted for the test
    parts.app.settings.update(lags=lags, peeks=peeks)
    parts.app.add_handlers(r".*", [(r"/vitals", Vitals), (r"/pulse", Pulse), (r"/clock", Clock)])
    await stack.enter_async_context(parts.manager)
    sampler = asyncio.create_task(sample(lags))
    stack.callback(sampler.cancel)
    return parts.app


if __name__ == "__main__":
    run(make_app, add_arguments)
