"""All are told before one is finished, a few at a time, and a closing's steps share one time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tornado_shared_session import closings
from tornado_shared_session.closings import Closings, Patience


class Host:
    """Runs tasks."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Any) -> None:
        """Run a task."""
        self.tasks.append(asyncio.ensure_future(work))


class Noted:
    """A closing that notes what becomes of it; one that begins may have others begin."""

    def __init__(self, closings: Closings, log: list[tuple[str, int]], number: int) -> None:
        self._closings, self._log, self._number = closings, log, number
        self.next: list[Noted] = []

    def begin(self) -> None:
        """Ask for its finish, as one does that told its client at once."""
        self._log.append(("begun", self._number))
        self._closings.then(self)
        for closing in self.next:
            self._closings.add(closing)

    def finish(self) -> None:
        """The end."""
        self._log.append(("finished", self._number))

    def give_up(self) -> None:
        """Nobody is there to finish it."""
        self._log.append(("given up", self._number))


def some(count: int) -> tuple[Host, Closings, list[Noted], list[tuple[str, int]]]:
    """Return closings, and so many to be closed, with their log."""
    host, log = Host(), list[tuple[str, int]]()
    closings = Closings(host)
    return host, closings, [Noted(closings, log, n) for n in range(count)], log


async def test_all_are_told_before_one_is_finished() -> None:
    """A few in each turn of the loop; those that come meanwhile come last, and all come."""
    host, closings, noted, log = some(61)
    noted[30].next = [noted[60]]
    for one in noted[:60]:
        closings.add(one)
    turns = []
    while len(log) < 2 * 61:
        before = len(log)
        await asyncio.sleep(0)
        turns.append(len(log) - before)
    both = range(61)
    assert log == [*(("begun", n) for n in both), *(("finished", n) for n in both)]
    assert max(turns) == 20
    await asyncio.gather(*host.tasks)
    assert len(host.tasks) == 1  # for all of them


async def test_the_first_ones_wait_for_no_turn() -> None:
    """An end that comes alone is said at once; twenty in the next turn as well."""
    host, closings, noted, log = some(60)
    for turn in range(3):
        for n in range(20 * turn, 20 * turn + 20):
            closings.add(noted[n])
            assert log[-1] == ("begun", n)
        await asyncio.sleep(0)
    await asyncio.gather(*host.tasks)
    assert len(log) == 120


async def test_one_is_not_kept_from_its_finish_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sessions end without pause the oldest are finished beside them."""
    monkeypatch.setattr(closings, "_LONGEST", 0.02)
    host, busy, noted, log = some(1)
    busy.add(noted[0])

    async def others() -> None:
        for number in range(1, 1_000_000):
            busy.add(Noted(busy, log, number))
            await asyncio.sleep(0)
            if ("finished", 0) in log[-40:]:
                return

    async with asyncio.timeout(5):
        await others()
    begun = log.index(("finished", 0))
    assert begun > 2  # others came first
    await asyncio.gather(*host.tasks)
    assert {what for what, _ in log} == {"begun", "finished"}


@pytest.mark.expects_log("could not be closed")
@pytest.mark.parametrize("step", ["begin", "finish"])
async def test_one_that_fails_is_let_go_of_and_the_others_go_on(step: str) -> None:
    """Whatever raised: each of the others is begun and finished."""
    host, closings, noted, log = some(60)

    def fail() -> None:
        raise ValueError("unforeseen")

    setattr(noted[30], step, fail)
    for one in noted:
        closings.add(one)
    await asyncio.gather(*host.tasks)
    assert ("given up", 30) in log
    assert sorted(n for what, n in log if what == "finished" and n != 30) == [
        n for n in range(60) if n != 30
    ]


async def test_those_that_were_not_begun_end_with_their_owner() -> None:
    """Nor are those forgotten that were not finished (T23)."""
    host, closings, noted, log = some(60)
    for one in noted:
        closings.add(one)
    await asyncio.sleep(0)
    host.tasks[0].cancel()
    await asyncio.gather(*host.tasks, return_exceptions=True)
    assert sorted(n for what, n in log if what == "given up") == list(range(60))
    assert not [n for what, n in log if what == "finished"]
    closings.add(noted[0])  # and it goes on for who comes later
    await asyncio.gather(*host.tasks, return_exceptions=True)
    assert log[-2:] == [("begun", 0), ("finished", 0)]


async def test_all_steps_share_one_time() -> None:
    """One that is done at once takes none of it; after it there are no more."""
    patience = Patience(0.05)
    assert await patience.wait(lambda done: done())
    late: list[Any] = []
    assert not await patience.wait(late.append)
    late[0]()  # too late, and nobody minds
    assert not await patience.wait(lambda done: done())
