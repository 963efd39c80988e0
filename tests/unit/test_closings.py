"""Closings begin a few at a time, and share one time."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado_shared_session.closings import Closings, Patience


class Host:
    """Runs tasks, and notes how many were begun."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Any) -> None:
        """Run a task."""
        self.tasks.append(asyncio.ensure_future(work))


async def test_many_closings_begin_a_few_in_each_turn_of_the_loop() -> None:
    """Those that come meanwhile come last, and all come."""
    host, begun = Host(), list[int]()
    closings = Closings(host)

    async def close(n: int) -> None:
        begun.append(n)
        if n == 0:
            closings.add(close(60))

    for n in range(60):
        closings.add(close(n))
    turns = []
    while len(begun) < 61:
        before = len(begun)
        await asyncio.sleep(0)
        turns.append(len(begun) - before)
    assert begun == list(range(61))
    assert max(turns) == 20
    assert len(host.tasks) == 62  # one of them for the others


async def test_the_first_ones_wait_for_no_turn() -> None:
    """An end that comes alone is said at once; twenty in the next turn as well."""
    host = Host()
    closings = Closings(host)
    for turn in range(3):
        for n in range(20):
            closings.add(asyncio.sleep(0))
            assert len(host.tasks) == 20 * turn + n + 1
        await asyncio.sleep(0)
    await asyncio.gather(*host.tasks)


async def test_those_that_were_not_begun_end_with_their_owner() -> None:
    """No coroutine is left that nobody awaits (T23)."""
    host = Host()
    closings = Closings(host)
    for _ in range(60):
        closings.add(asyncio.sleep(0))
    await asyncio.sleep(0)
    host.tasks[20].cancel()  # the one for those that did not begin at once
    await asyncio.gather(*host.tasks, return_exceptions=True)
    assert len(host.tasks) == 41
    closings.add(asyncio.sleep(0))
    assert len(host.tasks) == 42
    await host.tasks[-1]


async def test_all_steps_share_one_time() -> None:
    """One that is done at once takes none of it; after it there are no more."""
    patience = Patience(0.05)
    assert await patience.wait(lambda done: done())
    late: list[Any] = []
    assert not await patience.wait(late.append)
    late[0]()  # too late, and nobody minds
    assert not await patience.wait(lambda done: done())
