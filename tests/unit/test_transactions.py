"""`transact()`: read, compute, write, and never lose an update."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.core import NotingStore, Paper, again, visit
from tornado_shared_session import (
    SerializationError,
    Session,
    SessionConflict,
    SessionEnded,
    SessionManager,
    StoreError,
)

LATE = 5  # seconds until what should have happened is a failure


def bump(session: Session) -> int:
    """Count."""
    session["n"] = session.get("n", 0) + 1
    return int(session["n"])


async def write(manager: SessionManager, paper: Paper, **values: Any) -> None:
    """Change the session behind everybody's back."""
    other, _ = await again(manager, paper)
    other.update(values)
    await other.save()


async def test_the_result_is_stored_and_shown(manager: SessionManager) -> None:
    """By a function or by a coroutine function."""

    async def slowly(session: Session) -> int:
        await asyncio.sleep(0)
        return bump(session)

    session, paper = await visit(manager, n=1)
    assert await session.transact(bump) == session["n"] == 2
    assert await session.transact(slowly) == session["n"] == 3
    assert not session.modified
    assert dict((await again(manager, paper))[0]) == {"n": 3}


async def test_it_costs_one_commit_and_no_load_where_nobody_interferes(
    manager: SessionManager, store: NotingStore
) -> None:
    """What the request has loaded serves for the first attempt."""
    _, paper = await visit(manager)
    session, _ = await again(manager, paper)
    store.writes.clear()
    store.failing = {"load"}
    await session.transact(bump)
    assert store.writes == ["commit"]


async def test_a_conflict_runs_it_again_on_what_is_stored(manager: SessionManager) -> None:
    """Somebody wrote between the load and the commit."""
    session, paper = await visit(manager, n=1)
    seen: list[int] = []

    async def count(copy: Session) -> None:
        seen.append(copy["n"])
        if len(seen) < 4:
            await write(manager, paper, n=10 * len(seen))
        copy["n"] += 1

    await session.transact(count)
    assert seen == [1, 10, 20, 30]
    assert dict((await again(manager, paper))[0]) == {"n": 31}


async def test_what_others_wrote_before_an_own_save_is_not_overlooked(
    manager: SessionManager,
) -> None:
    """The object does not show it, so its version must not vouch for it."""
    session, paper = await visit(manager, n=1)
    await write(manager, paper, n=10)
    session["other"] = 1
    await session.save()
    assert await session.transact(bump) == 11
    await write(manager, paper, n=20)
    await session.touch()
    assert await session.transact(bump) == 21
    await write(manager, paper, n=30)
    await session.regenerate()
    assert await session.transact(bump) == 31


async def test_a_mere_look_is_a_fresh_one(manager: SessionManager, store: NotingStore) -> None:
    """It reads what is stored now, and writes nothing."""
    session, paper = await visit(manager, n=1)
    await write(manager, paper, n=2)
    store.writes.clear()
    assert await session.transact(lambda copy: copy["n"]) == session["n"] == 2
    assert store.writes == []


async def test_unsaved_changes_travel_along(manager: SessionManager) -> None:
    """Assigned, nested and deleted ones, unless the function undoes them."""
    session, paper = await visit(manager, a=1, cart=[1], gone=1, back=1)
    session["a"] = 2
    session["cart"].append(2)
    session["undone"] = 1
    del session["gone"], session["back"]

    def change(copy: Session) -> None:
        assert dict(copy) == {"a": 2, "cart": [1, 2], "undone": 1}
        del copy["undone"]
        copy["back"] = 2

    await session.transact(change)
    assert dict(session) == {"a": 2, "cart": [1, 2], "back": 2}
    assert dict((await again(manager, paper))[0]) == dict(session)


async def test_what_is_assigned_to_the_outer_session_meanwhile_is_kept(
    manager: SessionManager,
) -> None:
    """It stays unsaved, rather than vanish."""
    session, paper = await visit(manager, a=1, b=1)

    def change(copy: Session) -> None:
        session["a"] = 2
        del session["b"]
        copy["n"] = 1

    await session.transact(change)
    assert dict(session) == {"a": 2, "n": 1}
    assert session.modified
    await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 2, "n": 1}


async def test_a_login_of_the_same_object_does_not_end_it(manager: SessionManager) -> None:
    """The credential is its own, so the function runs again."""
    session, paper = await visit(manager, n=1)

    async def slowly(copy: Session) -> int:
        if session.user_id is None:
            await session.login("ann")
        return bump(copy)

    assert await session.transact(slowly) == 2
    assert session.user_id == "ann"
    assert dict((await again(manager, paper))[0]) == {"n": 2}


@pytest.mark.parametrize("error", [ValueError, SessionEnded("expired"), asyncio.CancelledError])
async def test_a_function_that_raises_changes_nothing(manager: SessionManager, error: Any) -> None:
    """What was unsaved before is unsaved again; the session goes on."""
    session, paper = await visit(manager, a=1, b=1)
    session["a"] = 2
    del session["b"]

    def fail(copy: Session) -> None:
        copy["a"] = 3
        raise error

    with pytest.raises(error if isinstance(error, type) else SessionEnded):
        await session.transact(fail)
    assert dict((await again(manager, paper))[0]) == {"a": 1, "b": 1}
    assert dict(session) == {"a": 2}
    await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 2}


@pytest.mark.parametrize("failing", ["load", "commit"])
async def test_a_store_that_fails_changes_nothing(
    manager: SessionManager, store: NotingStore, failing: str
) -> None:
    """Nor does a value that cannot be stored."""
    session, paper = await visit(manager, n=1)
    session["a"] = 2
    store.failing = {failing}
    if failing == "commit":
        with pytest.raises(StoreError):
            await session.transact(bump)
    else:
        with pytest.raises(SerializationError, match="'bad'"):
            await session.transact(lambda copy: copy.update(bad=object()))
    store.failing = set()
    assert dict((await again(manager, paper))[0]) == {"n": 1}
    assert await session.transact(bump) == 2
    assert dict((await again(manager, paper))[0]) == {"n": 2, "a": 2}


async def test_it_gives_up_after_a_bounded_number_of_conflicts(manager: SessionManager) -> None:
    """With SessionConflict, and everything unsaved as before."""
    session, paper = await visit(manager, n=1)
    session["a"] = 2
    runs = 0

    async def count(copy: Session) -> None:
        nonlocal runs
        runs += 1
        await write(manager, paper, n=100 + runs)
        copy["n"] += 1

    with pytest.raises(SessionConflict, match="gave up"):
        await session.transact(count)
    assert 10 <= runs <= 100
    assert dict((await again(manager, paper))[0]) == {"n": 100 + runs}
    assert session["a"] == 2
    assert session.modified


async def test_a_session_that_ended_meanwhile_says_so(manager: SessionManager) -> None:
    """Before the function runs or while it does; the object has ended too."""
    for moment in ("before", "during"):
        session, _ = await visit(manager, n=1)

        async def count(copy: Session, id: str = session.id, moment: str = moment) -> None:
            if moment == "during":
                await manager.destroy(id)
            copy["n"] += 1

        if moment == "before":
            await manager.destroy(session.id)
        with pytest.raises(SessionEnded) as caught:
            await session.transact(count)
        assert caught.value.reason == "expired"
        with pytest.raises(SessionEnded):
            session["n"] = 2
