"""From `destroy()` in one process to the closed socket in another.

The clock starts when A calls `destroy()` and stops in a real JavaScript
client that is connected to B. Nothing is pinned: on two cores A, B,
Redis and Node would only wait for each other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median

from tornado_shared_session.testing.redis_server import RedisServer

from ..lanes import WrongAnswerError
from .children import Child, child, server
from .figures import Figure, percentile
from .javascript import Browsers, End, browsers
from .people import Person, people

TOGETHER = 1_000  # sockets that are closed at once
TIMER = 30.0  # seconds of the guide's timer per socket


@dataclass(frozen=True)
class World:
    """Two processes that share a Redis, and the clients of the second."""

    a: Child
    b: Child
    clients: Browsers

    async def empty(self, ended: list[Person]) -> None:
        """See that nothing is left of ended sessions.

        Raises:
            WrongAnswerError: a session is stored, or a socket open, still.
        """
        if left := await self.a.ask("stored", ids=[person.id for person in ended]):
            raise WrongAnswerError(f"{left} sessions are still stored")
        if left := await self.b.ask("connections"):
            raise WrongAnswerError(f"{left} sockets are still registered")


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Run it, with warm clients and scripts."""
    async with AsyncExitStack() as stack:
        redis_url = stack.enter_context(RedisServer()).url
        a, b = [
            await stack.enter_async_context(child(*server("ours", redis_url))) for _ in range(2)
        ]
        clients = await stack.enter_async_context(browsers())
        await clients.same_clock()
        yield World(a, b, clients)


def check(ends: list[End], reason: str = "revoked") -> None:
    """See that every client was told the truth.

    Raises:
        WrongAnswerError: one was not.
    """
    for end in ends:
        if end.told is None or end.reason != reason:
            raise WrongAnswerError(f"a client heard {end.reason!r} of its end, not {reason!r}")


async def one(quick: bool) -> list[Figure]:
    """Sessions that end one by one."""
    count = 300 if quick else 1_000
    pause = random.Random(5)  # so that each run is the same
    ended: list[tuple[float, End]] = []
    async with world() as some:
        # They begin in A: a site's login and its socket are seldom in one process.
        visitors = await people(some.a, count + 20)
        first = await some.clients.open(some.b, visitors)
        for number, person in enumerate(visitors):
            began = await some.a.ask("destroy", id=person.id)
            (end,) = await some.clients.ends(first + number)
            ended.append((began, end))
            await asyncio.sleep(pause.uniform(0.002, 0.015))
        await some.empty(visitors)
        version = some.clients.version
    ended = ended[20:]  # the first ones warm it up
    check([end for _, end in ended])
    told = [((end.told or 0) - began) * 1000 for began, end in ended]
    left = [(end.left - began) * 1000 for began, end in ended]
    closed = [(end.closed - began) * 1000 for began, end in ended]
    note = f"{count} ends, one at a time; {version}"
    name, title = "ends/one", "destroy in A until the client of B"
    return [
        _share(f"{name}/told/p50", f"{title} hears why, p50", told, 0.5, None, note),
        _share(f"{name}/p50", f"{title} has closed, p50", left, 0.5, 1.5, note),
        _share(f"{name}/p99", f"{title} has closed, p99", left, 0.99, 10, note),
        _share(
            f"{name}/tcp/p99",
            f"{title} has no TCP connection left, p99",
            closed,
            0.99,
            10,
            "with the WebSocket's close handshake",
        ),
    ]


def _share(
    name: str, title: str, times: list[float], share: float, bound: float | None, note: str
) -> Figure:
    return Figure(name, title, "ms", percentile(times, share), tuple(times), bound, note)


async def many(quick: bool) -> list[Figure]:
    """A thousand sessions that end at once."""
    rounds = 1 if quick else 7
    gathered: list[float] = []
    by_user: list[float] = []
    tcp: list[float] = []
    async with world() as some:
        for turn in range(rounds):
            for times, user in ((gathered, ""), (by_user, f"user-{turn}")):
                visitors = await people(some.a, TOGETHER, user)
                first = await some.clients.open(some.b, visitors)
                if user:
                    began = await some.a.ask("destroy_user", user=user, sessions=TOGETHER)
                else:
                    began = await some.a.ask("destroy_all", ids=[one.id for one in visitors])
                ends = await some.clients.ends(first, TOGETHER)
                check(ends)
                times.append((max(end.left for end in ends) - began) * 1000)
                tcp.append((max(end.closed for end in ends) - began) * 1000)
                await some.empty(visitors)
    title = f"the first call until the last of {TOGETHER:,} clients"
    note = f"median of {rounds}; server B, A, Redis and the 1,000 clients share this machine"
    every = "median of both; with the WebSocket's close handshake"
    return [
        Figure(
            "ends/many/destroy",
            f"{title} has closed, gathered destroy()",
            "ms",
            median(gathered),
            tuple(gathered),
            150,
            note,
        ),
        Figure(
            "ends/many/user",
            f"{title} has closed, destroy_user()",
            "ms",
            median(by_user),
            tuple(by_user),
            150,
            note,
        ),
        Figure(
            "ends/many/tcp",
            f"{title} has no TCP connection left",
            "ms",
            median(tcp),
            tuple(tcp),
            None,
            every,
        ),
    ]


async def guide(quick: bool) -> list[Figure]:
    """The way of the express-session guide: a timer per socket, scaled down."""
    count, timer = (100, 1.0) if quick else (300, 3.0)
    times_longer = TIMER / timer
    phase = random.Random(5)
    async with AsyncExitStack() as stack:
        redis_url = stack.enter_context(RedisServer()).url
        command = server("guide", redis_url, "--reload", str(timer))
        site = await stack.enter_async_context(child(*command))
        clients = await stack.enter_async_context(browsers())
        await clients.same_clock()
        visitors = await people(site, count)
        first = await clients.open(site, visitors)

        async def end(number: int) -> float:
            await asyncio.sleep(phase.uniform(0, 2 * timer))  # anywhere in the timer's turn
            began = await site.ask("destroy", id=visitors[number].id)
            (seen,) = await clients.ends(first + number)
            return float(seen.left - began)

        delays = await asyncio.gather(*map(end, range(count)))
    times = tuple(delay * times_longer * 1000 for delay in delays)
    note = (
        f"measured with a timer of {timer:g} s and {count} sockets, times {times_longer:g};"
        " by arithmetic 15 s and 29.7 s, for the end comes anywhere in the timer's turn."
        " It asks Redis once per socket and turn, besides"
    )
    title = "the same with a timer of 30 s per socket, "
    return [
        Figure("ends/guide/p50", f"{title}p50", "ms", percentile(times, 0.5), times, None, note),
        Figure("ends/guide/p99", f"{title}p99", "ms", percentile(times, 0.99), times, None, note),
    ]
