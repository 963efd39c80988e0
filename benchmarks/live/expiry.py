"""From the deadline of a session to its closed socket, in a full Redis.

Beside it what Redis itself tells of expired keys. Those are keys of
their own, with the same deadlines, for the library's look at a session
is what makes Redis notice that its key is due.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import redis.asyncio

from tornado_shared_session.testing.redis_server import RedisServer

from .children import child, server
from .ends import check
from .figures import Figure, percentile
from .javascript import browsers
from .people import Person, people

OTHERS = 200_000  # keys with a time to live that is not over
BOUND = 1000.0  # milliseconds, p99
_FILL = """
for number = 1, ARGV[1] do
  redis.call('SET', 'other:' .. number, 'x', 'EX', 3600 + number % 3600)
end
"""


class Events:
    """Redis's own notices of expired keys."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pubsub = client.pubsub()
        self.at: dict[str, float] = {}

    async def start(self) -> None:
        """Have Redis tell, and listen."""
        await self._client.config_set("notify-keyspace-events", "Ex")
        await self._pubsub.subscribe("__keyevent@0__:expired")
        while await self._pubsub.get_message(timeout=1) is None:
            pass

    async def listen(self) -> None:
        """Note when which key was told of."""
        async for message in self._pubsub.listen():
            if message["type"] == "message":
                self.at[message["data"].decode()] = time.monotonic()


async def _deadlines(client: Any, visitors: list[Person]) -> list[float]:
    """Return when the sessions are due (monotonic seconds), and give other keys the same."""
    deadlines: list[float] = []
    for person in visitors:
        left = await client.pttl(f"live:s:{person.id}")
        now = time.monotonic()
        if left <= 0:
            raise RuntimeError("a session was over before it was measured")
        deadlines.append(now + left / 1000)
        await client.set(f"shadow:{person.id}", "x", px=left)
    return deadlines


async def expiry(quick: bool) -> list[Figure]:
    """Sessions with a short life that nobody prolongs."""
    count, idle, patience = (60, 2.0, 4.0) if quick else (400, 5.0, 25.0)
    async with AsyncExitStack() as stack:
        redis_url = stack.enter_context(RedisServer()).url
        client: Any = redis.asyncio.from_url(redis_url)
        await stack.enter_async_context(client)
        await client.eval(_FILL, 0, OTHERS)
        command = server("ours", redis_url, "--idle", str(idle))
        site = await stack.enter_async_context(child(*command))
        clients = await stack.enter_async_context(browsers())
        await clients.same_clock()
        events = Events(client)
        await events.start()
        listening = asyncio.create_task(events.listen())
        visitors: list[Person] = []
        deadlines: list[float] = []
        first = 0
        for start in range(0, count, 20):  # so that they are due one after the other
            some = await people(site, min(20, count - start))
            number = await clients.open(site, some)
            first = number if start == 0 else first
            deadlines += await _deadlines(client, some)
            visitors += some
        last = max(deadlines)
        ends = await clients.ends(first, count, last - time.monotonic() + 10)
        check(ends, "expired")
        if left := await site.ask("stored", ids=[person.id for person in visitors]):
            raise RuntimeError(f"{left} expired sessions are still stored")
        if left := await site.ask("connections"):
            raise RuntimeError(f"{left} sockets are still registered")
        # Here waiting is what is measured: which events come in that time.
        await asyncio.sleep(max(0.0, last + patience - time.monotonic()))
        listening.cancel()
        await asyncio.wait([listening])
    late = [(end.left - due) * 1000 for end, due in zip(ends, deadlines, strict=True)]
    if not any(key.startswith("live:s:") for key in events.at):
        raise RuntimeError("Redis told of none of the keys that the library has looked at")
    told = [
        (events.at[f"shadow:{person.id}"] - due) * 1000
        for person, due in zip(visitors, deadlines, strict=True)
        if f"shadow:{person.id}" in events.at
    ]
    return _figures(late, [one for one in told if one <= patience * 1000], count, patience)


def _figures(late: list[float], told: list[float], count: int, patience: float) -> list[Figure]:
    if min(late) < -5:
        raise RuntimeError(f"a socket was closed {-min(late):.0f} ms before its deadline")
    note = f"{count} sockets, none missed, the last {max(late):.0f} ms late; {OTHERS:,} other keys"
    title = "from the deadline until the JavaScript client has closed"
    when = f"half of those after {percentile(told, 0.5) / 1000:.1f} s" if told else "none came"
    return [
        Figure("expiry/p50", f"{title}, p50", "ms", percentile(late, 0.5), tuple(late), None, note),
        Figure(
            "expiry/p99", f"{title}, p99", "ms", percentile(late, 0.99), tuple(late), BOUND, note
        ),
        Figure(
            "expiry/events",
            f"beside it: `expired` events of Redis within {patience:g} s",
            f"of {count}",
            len(told),
            tuple(told),
            None,
            f"as many other keys with the same deadlines, which nobody touches; {when}",
        ),
    ]
