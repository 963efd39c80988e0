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
from .light import closed, lights
from .people import Person, people

TOGETHER = 1_000  # sockets that are closed at once
P50, P99, MANY = 1.5, 10.0, 150.0  # the bounds, in ms
_LOOKS = 20  # for sockets that are still registered
TIMER = 30.0  # seconds of the guide's timer per socket


@dataclass(frozen=True)
class World:
    """Two processes that share a Redis, and the clients of the second."""

    a: Child
    b: Child
    clients: Browsers

    async def empty(self, ended: list[Person]) -> None:
        """See that nothing is left of ended sessions, within a second.

        Raises:
            WrongAnswerError: a session is stored, or a socket open, still.
        """
        if left := await self.a.ask("stored", ids=[person.id for person in ended]):
            raise WrongAnswerError(f"{left} sessions are still stored")
        # Of many all are told before one is freed.
        for _ in range(_LOOKS):
            if not (left := await self.b.ask("connections")):
                return
            await asyncio.sleep(1 / _LOOKS)
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
            # Asked for beforehand, so that Node has nothing else to do by then.
            seen = asyncio.create_task(some.clients.ends(first + number))
            await asyncio.sleep(pause.uniform(0.002, 0.012))
            began = await some.a.ask("destroy", id=person.id)
            (end,) = await seen
            ended.append((began, end))
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
        _share(f"{name}/p50", f"{title} has closed, p50", left, 0.5, P50, note),
        _share(f"{name}/p99", f"{title} has closed, p99", left, 0.99, P99, note),
        _share(
            f"{name}/tcp/p99",
            f"{title} has no TCP connection left, p99",
            closed,
            0.99,
            P99,
            "with the WebSocket's close handshake",
        ),
    ]


def _share(
    name: str, title: str, times: list[float], share: float, bound: float | None, note: str
) -> Figure:
    return Figure(name, title, "ms", percentile(times, share), tuple(times), bound, note, True)


@dataclass(frozen=True)
class Burst:
    """A thousand ends at once, in milliseconds.

    Attributes:
        left, closed: until the last client had closed, and its TCP connection.
        a, b, node: processor time of the processes.
        untold: clients that did not hear why.
    """

    left: float
    closed: float
    a: float
    b: float
    node: float
    untold: int


async def _burst(some: World, user: str) -> Burst:
    """End all sessions of a user, or else each by itself."""
    visitors = await people(some.a, TOGETHER, user)
    first = await some.clients.open(some.b, visitors)
    seen = asyncio.create_task(some.clients.ends(first, TOGETHER))
    await asyncio.sleep(0.3)  # until the connects are over everywhere
    before = await _cpu(some)
    if user:
        began = await some.a.ask("destroy_user", user=user, sessions=TOGETHER)
    else:
        began = await some.a.ask("destroy_all", ids=[person.id for person in visitors])
    ends = await seen
    after = await _cpu(some)
    check([end for end in ends if end.told is not None])
    await some.empty(visitors)
    a, b, node = [(now - then) * 1000 for now, then in zip(after, before, strict=True)]
    left = max(end.left for end in ends) - began
    closed = max(end.closed for end in ends) - began
    untold = sum(end.told is None for end in ends)
    return Burst(left * 1000, closed * 1000, a, b, node, untold)


async def _cpu(some: World) -> tuple[float, float, float]:
    return await some.a.ask("cpu"), await some.b.ask("cpu"), await some.clients.cpu()


async def _light(some: World) -> tuple[float, int]:
    """The same with clients that cost next to nothing: until the last is closed, and the untold."""
    visitors = await people(some.a, TOGETHER)
    sockets = await lights(some.b, visitors)
    await asyncio.sleep(0.3)  # until the connects are over everywhere
    times = asyncio.create_task(closed(sockets, 20))
    began: float = await some.a.ask("destroy_all", ids=[person.id for person in visitors])
    last = max(await times) - began
    await some.empty(visitors)
    return last * 1000, sum(not one.told for one in sockets)


async def many(quick: bool) -> list[Figure]:
    """A thousand sessions that end at once."""
    rounds = 1 if quick else 5
    gathered: list[Burst] = []
    by_user: list[Burst] = []
    light: list[float] = []
    untold: list[int] = []
    async with world() as some:
        for turn in range(rounds):
            gathered.append(await _burst(some, ""))
            by_user.append(await _burst(some, f"user-{turn}"))
            time, missed = await _light(some)
            light.append(time)
            untold.append(missed)
    title = f"the first call until the last of {TOGETHER:,} clients"
    note = f"median of {rounds}; A, B, Redis and the {TOGETHER:,} clients share this machine"
    both = gathered + by_user
    least = f"clients that cost next to nothing; the best is {min(light):.0f}"
    return [
        _of("light", f"{title} has no TCP connection, gathered destroy()", light, least),
        _of("destroy", f"{title} has closed, gathered destroy()", [x.left for x in gathered], note),
        _of("user", f"{title} has closed, destroy_user()", [x.left for x in by_user], note),
        Figure(
            "ends/many/tcp",
            f"{title} has no TCP connection left",
            "ms",
            median(one.closed for one in both),
            tuple(one.closed for one in both),
            None,
            "median of both; with the WebSocket's close handshake",
        ),
        Figure(
            "ends/many/untold",
            "clients that were closed and not told why, at most",
            f"of {TOGETHER:,}",
            max(untold + [one.untold for one in both]),
            tuple(map(float, untold + [one.untold for one in both])),
            0,
            "a closing takes 0.8 s at most; what is not said by then is not said",
        ),
        _used("a", "A, which ends them one by one", [one.a for one in gathered]),
        _used("a-user", "A, by destroy_user()", [one.a for one in by_user]),
        _used("b", "B, which closes them", [one.b for one in both]),
        _used("node", "Node, all clients of which are in one process", [x.node for x in both]),
    ]


def _of(name: str, title: str, values: list[float], note: str) -> Figure:
    return Figure(f"ends/many/{name}", title, "ms", median(values), tuple(values), MANY, note, True)


def _used(name: str, who: str, values: list[float]) -> Figure:
    title = f"processor time of {who}"
    note = f"of all {TOGETHER:,}; does not depend on the neighbours as much"
    return Figure(f"ends/many/cpu/{name}", title, "ms", median(values), tuple(values), None, note)


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
