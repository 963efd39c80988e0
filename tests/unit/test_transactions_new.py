"""`transact()` on a session of which nothing is stored yet: the same promises."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.core import NotingStore, Paper, again
from tests.unit.test_transactions import bump
from tornado_shared_session import Session, SessionManager, StoreError


async def test_a_new_session_is_stored(manager: SessionManager) -> None:
    """With one record and one credential, also for several at once."""

    async def slowly(session: Session) -> int:
        count = int(session.get("n", 0))
        await asyncio.sleep(0)
        session["n"] = count + 1
        return count + 1

    paper = Paper()
    session = await manager.resolve([], paper)
    assert sorted(await asyncio.gather(*(session.transact(slowly) for _ in range(5)))) == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert len(paper.credentials) == 1
    assert dict((await again(manager, paper))[0]) == {"n": 5}


async def test_a_new_session_is_as_it_was_if_it_fails(
    manager: SessionManager, store: NotingStore
) -> None:
    """The function raised, or the store failed: what it did is not there, what was is."""

    def fail(copy: Session) -> None:
        copy["half"] = True
        copy["cart"].append(2)
        raise ValueError

    paper = Paper()
    session = await manager.resolve([], paper)
    session["cart"] = [1]
    with pytest.raises(ValueError):
        await session.transact(fail)
    store.failing = {"create"}
    with pytest.raises(StoreError):
        await session.transact(bump)
    assert dict(session) == {"cart": [1]}
    assert (session.is_new, paper.credentials) == (True, [])
    store.failing = set()
    assert await session.transact(bump) == 1
    assert dict((await again(manager, paper))[0]) == {"cart": [1], "n": 1}


async def test_a_new_session_that_is_saved_meanwhile_is_a_stored_one(
    manager: SessionManager,
) -> None:
    """The function runs again, on what was stored."""
    paper = Paper()
    session = await manager.resolve([], paper)
    id = session.id

    async def slowly(copy: Session) -> int:
        assert copy.id == id
        if session.is_new:
            session["n"] = 5
            await session.save()
        return bump(copy)

    assert await session.transact(slowly) == session["n"] == 6
    assert len(paper.credentials) == 1
    assert dict((await again(manager, paper))[0]) == {"n": 6}


async def test_a_new_session_from_which_all_is_taken_stays_new(
    manager: SessionManager, store: NotingStore
) -> None:
    """What was not saved yet travels along, and what is assigned meanwhile stays."""
    session = await manager.resolve([], Paper())
    session["a"] = 1

    def change(copy: Session) -> None:
        del copy["a"]
        session["b"] = 2

    await session.transact(change)
    assert (dict(session), session.is_new, store.writes) == ({"b": 2}, True, [])
