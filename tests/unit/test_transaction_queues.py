"""Transactions of one session, one after the other; of two, beside each other."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.core import NotingStore, again, visit
from tornado_shared_session import Session, SessionError, SessionManager

LATE = 5  # seconds until what should have happened is a failure


def bump(session: Session) -> int:
    """Count."""
    session["n"] = session.get("n", 0) + 1
    return int(session["n"])


async def test_transactions_of_one_session_queue(
    manager: SessionManager, store: NotingStore
) -> None:
    """Within a process they never conflict: each commits once."""
    _, paper = await visit(manager)
    sessions = [(await again(manager, paper))[0] for _ in range(30)]
    store.writes.clear()

    async def slowly(session: Session) -> int:
        await asyncio.sleep(0)
        return bump(session)

    results = await asyncio.gather(*(session.transact(slowly) for session in sessions))
    assert sorted(results) == list(range(1, 31))
    assert store.writes == ["commit"] * 30


async def test_transactions_of_two_sessions_do_not_wait_for_each_other(
    manager: SessionManager,
) -> None:
    """One may even run inside the other."""
    one, _ = await visit(manager, n=1)
    two, _ = await visit(manager, n=1)

    async def both(copy: Session) -> int:
        return bump(copy) + await two.transact(bump)

    assert await asyncio.wait_for(one.transact(both), LATE) == 4


async def test_a_transaction_inside_itself_is_an_error_not_a_deadlock(
    manager: SessionManager,
) -> None:
    """Also through a task of its own; afterwards the session is free."""
    session, _ = await visit(manager, n=1)

    async def inside(copy: Session) -> None:
        await asyncio.gather(session.transact(bump))

    with pytest.raises(SessionError, match="inside"):
        await asyncio.wait_for(session.transact(inside), LATE)
    assert await session.transact(bump) == 2


async def test_a_task_that_a_transaction_left_behind_may_have_its_own(
    manager: SessionManager,
) -> None:
    """It waits for its turn like any other, while somebody else has theirs."""
    session, _ = await visit(manager, n=1)
    later: list[asyncio.Task[int]] = []
    may_go = asyncio.Event()

    async def afterwards() -> int:
        await may_go.wait()
        return await session.transact(bump)

    def leave(copy: Session) -> None:
        later.append(asyncio.ensure_future(afterwards()))

    async def wait(copy: Session) -> None:
        may_go.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    await session.transact(leave)
    await session.transact(wait)
    assert await asyncio.wait_for(later[0], LATE) == 2


async def test_nothing_is_kept_of_a_transaction(manager: SessionManager) -> None:
    """The queues go with those who stand in them."""
    session, _ = await visit(manager)
    await session.transact(bump)
    assert len(manager._queues._queues) == 0
