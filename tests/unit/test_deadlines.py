"""When to look at which session."""

from __future__ import annotations

import asyncio
import time

from tornado_shared_session.deadlines import Deadlines


async def test_deadlines_of_those_who_left_are_forgotten() -> None:
    """A hundred thousand sessions that last a month come and go: few are kept (I8)."""
    wanted = {"stays"}
    deadlines = Deadlines(lambda id: None, wanted)
    deadlines.start()
    month = time.monotonic() + 30 * 86_400
    deadlines.expect("stays", month)
    for number in range(100_000):
        id = str(number)
        wanted.add(id)
        deadlines.expect(id, month)
        wanted.discard(id)
    assert len(deadlines._heap) <= 1001
    assert len(deadlines._expected) <= 1001
    assert deadlines._expected["stays"] == month
    deadlines.stop()


async def test_tidying_up_loses_no_deadline() -> None:
    """Each of five thousand is called once, in order, though others were forgotten meanwhile."""
    called: list[str] = []
    last = asyncio.Event()

    def due(id: str) -> None:
        called.append(id)
        if id == "4999":
            last.set()

    wanted = {f"{number:04}" for number in range(5000)}
    deadlines = Deadlines(due, wanted)
    now = time.monotonic()
    for number in range(5000):
        deadlines.expect(f"{number:04}", now + number / 1e6)
        deadlines.expect(f"gone {number}", now)
    deadlines.start()
    await asyncio.wait_for(last.wait(), 3)
    deadlines.stop()
    assert [id for id in called if id in wanted] == sorted(wanted)
