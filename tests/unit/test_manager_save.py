"""What a save stores and what it leaves alone; which deadlines move."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.core import NotingStore, Paper, again, visit
from tornado_shared_session import (
    SerializationError,
    Session,
    SessionEnded,
    SessionError,
    SessionManager,
    StoreError,
)
from tornado_shared_session.testing import FakeClock


async def test_the_first_change_makes_one_record_and_one_credential(
    manager: SessionManager, store: NotingStore
) -> None:
    """The credential is issued after the record is stored, and only once."""
    paper = Paper()
    session = await manager.resolve([], paper)
    session["a"] = 1
    store.failing = {"create"}
    with pytest.raises(StoreError):
        await session.save()
    assert (paper.credentials, session.is_new, session.modified) == ([], True, True)
    store.failing = set()
    await session.save()
    session["b"] = 2
    await session.save()
    assert len(paper.credentials) == 1
    assert store.writes == ["create", "create", "commit"]


async def test_a_mere_read_never_writes(manager: SessionManager, store: NotingStore) -> None:
    """Also of every value, mutable ones included."""
    _, paper = await visit(manager, a=1, cart=[1, {"b": {2, 3}}])
    session, _ = await again(manager, paper)
    assert dict(session)["cart"][1]["b"] == {2, 3}
    store.writes.clear()
    assert not manager.unsettled(session)
    await session.save()
    assert store.writes == []


async def test_a_nested_change_is_saved(manager: SessionManager) -> None:
    """Without a flag, and more than once on the same object."""
    session, paper = await visit(manager, cart=[1], deep={"a": {"b": [1]}})
    for number in (2, 3):
        session["cart"].append(number)
        session["deep"]["a"]["b"].append(number)
        assert manager.unsettled(session)
        await session.save()
        loaded, _ = await again(manager, paper)
        assert dict(loaded) == dict(session)
    assert session["cart"] == [1, 2, 3]


async def test_writers_of_different_keys_lose_nothing(manager: SessionManager) -> None:
    """Also deletions and nested changes, whoever saves last."""
    _, paper = await visit(manager, a=1, b=1, gone=1, cart=[1])
    one, two, three = [(await again(manager, paper))[0] for _ in range(3)]
    one["a"] = 2
    assert two["a"] == 1
    two["cart"].append(2)
    two["b"] = 2
    del three["gone"]
    three["new"] = 3
    for session in (three, one, two):
        await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 2, "b": 2, "cart": [1, 2], "new": 3}


async def test_a_late_save_does_not_resurrect_a_destroyed_session(
    manager: SessionManager, store: NotingStore
) -> None:
    """A slow handler that saves after the logout is told so."""
    session, paper = await visit(manager)
    slow, slow_paper = await again(manager, paper)
    slow["a"] = 2
    await session.destroy()
    with pytest.raises(SessionEnded) as caught:
        await slow.save()
    assert caught.value.reason == "expired"
    assert await store.load(session.id) is None
    with pytest.raises(SessionEnded):
        slow["a"] = 3
    assert slow_paper.credentials == []


async def test_a_logout_during_a_save_wins(manager: SessionManager, store: NotingStore) -> None:
    """The barrier holds the commit while the record is deleted."""
    session, paper = await visit(manager)
    slow, _ = await again(manager, paper)
    slow["a"] = 2
    store.gate = asyncio.Event()
    save = asyncio.ensure_future(slow.save())
    await asyncio.wait_for(store.reached.wait(), 5)
    gate, store.gate = store.gate, None
    await session.destroy()
    gate.set()
    with pytest.raises(SessionEnded):
        await save
    assert await store.load(session.id) is None


async def test_a_failed_commit_is_tried_again_by_the_next_save(
    manager: SessionManager, store: NotingStore
) -> None:
    """Nothing that was changed is forgotten."""
    session, paper = await visit(manager, a=1, b=1)
    session["a"] = 2
    del session["b"]
    store.failing = {"commit"}
    with pytest.raises(StoreError):
        await session.save()
    assert manager.unsettled(session)
    store.failing = set()
    await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 2}


async def test_a_value_that_cannot_be_stored_leaves_the_old_data(manager: SessionManager) -> None:
    """All of it: a save is whole or not at all."""
    session, paper = await visit(manager, a=1)
    session["a"] = 2
    session["b"] = object()
    with pytest.raises(SerializationError, match="'b'"):
        await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 1}


async def test_two_saves_of_one_object_at_once_are_one_after_the_other(
    manager: SessionManager, store: NotingStore
) -> None:
    """Neither asks for a second record, and each returns when its change is stored."""
    paper = Paper()
    session = await manager.resolve([], paper)

    async def put(key: str) -> None:
        session[key] = 1
        await session.save()
        record = await store.load(session.id)
        assert record is not None
        assert key.encode() in record.values

    store.gate = asyncio.Event()
    puts = asyncio.gather(*(put(key) for key in "abc"))
    await asyncio.wait_for(store.reached.wait(), 5)
    await asyncio.sleep(0)  # the others are at the lock by now
    store.gate.set()
    await puts
    assert len(paper.credentials) == 1
    assert dict((await again(manager, paper))[0]) == {"a": 1, "b": 1, "c": 1}


async def test_a_save_under_way_counts_as_unsettled(
    manager: SessionManager, store: NotingStore
) -> None:
    """A response waits for what another task of its handler is storing."""
    session, _ = await visit(manager)
    session["a"] = 2
    store.gate = asyncio.Event()
    save = asyncio.ensure_future(session.save())
    await asyncio.wait_for(store.reached.wait(), 5)
    assert not session.modified
    assert manager.unsettled(session)
    store.gate.set()
    await save
    assert not manager.unsettled(session)


async def test_a_new_session_needs_a_response(manager: SessionManager, store: NotingStore) -> None:
    """Without one, or after its head has left, nothing is stored."""
    for paper in (None, Paper(open=False)):
        session = await manager.resolve([], paper)
        session["a"] = 1
        with pytest.raises(SessionError, match="response"):
            await session.save()
    assert store.writes == []


# -- deadlines -------------------------------------------------------------------------


async def test_activity_moves_the_deadline_at_most_once_per_interval(
    manager: SessionManager, store: NotingStore, clock: FakeClock
) -> None:
    """A request that changes nothing stores the new deadline; `save()` not even that."""
    _, paper = await visit(manager)
    store.writes.clear()
    for seconds, writes in ((49, 0), (1, 1), (49, 1), (1, 2)):
        clock.advance(seconds)
        session, _ = await again(manager, paper)
        assert manager.unsettled(session) is (len(store.writes) < writes)
        assert not manager.unsettled(session, touch=False)
        await session.save()
        await manager.save(session)
        assert len(store.writes) == writes
    record = await store.load(session.id)
    assert record is not None
    assert (record.ttl, record.version) == (1000, 1)


async def test_a_change_alone_does_not_move_the_deadline(
    manager: SessionManager, store: NotingStore, clock: FakeClock
) -> None:
    """A handler that a page polls may store without counting as activity."""
    _, paper = await visit(manager)
    clock.advance(100)
    session, _ = await again(manager, paper)
    session["a"] = 2
    await manager.save(session, touch=False)
    (peek,) = await store.peek([session.id])
    assert peek is not None
    assert peek.ttl == 900


async def test_a_session_without_activity_ends(manager: SessionManager, clock: FakeClock) -> None:
    """And its visitor is a new one (V7.3.1)."""
    session, paper = await visit(manager)
    clock.advance(1001)
    loaded, _ = await again(manager, paper)
    assert loaded.is_new
    assert loaded.id != session.id


async def test_no_activity_outlasts_the_absolute_timeout(
    manager: SessionManager, clock: FakeClock
) -> None:
    """Constant traffic does not help (S15)."""
    _, paper = await visit(manager)
    for _ in range(9):
        clock.advance(500)
        session, _ = await again(manager, paper)
        assert not session.is_new
        await session.touch()
    clock.advance(501)
    assert (await again(manager, paper))[0].is_new


async def test_what_is_written_into_makes_a_provisional_record_a_normal_one(
    manager: SessionManager, store: NotingStore
) -> None:
    """By a save or by a transaction, from a socket, whose session has no response."""
    for way in ("save", "transact"):
        session = await manager.resolve([], Paper())
        await manager.create(session, {}, provisional=True)
        (peek,) = await store.peek([session.id])
        assert peek is not None
        assert (peek.provisional, peek.ttl) == (True, 60)
        on_socket = Session(manager, await store.load(session.id))
        assert not manager.unsettled(on_socket)
        if way == "save":
            on_socket["a"] = 1
            await manager.save(on_socket, touch=False)
        else:
            await on_socket.transact(lambda session: session.update(a=1))
        (peek,) = await store.peek([session.id])
        assert peek is not None
        assert (peek.provisional, peek.ttl) == (False, 1000)


async def test_a_provisional_record_whose_cookie_came_back_is_a_normal_one(
    manager: SessionManager, store: NotingStore
) -> None:
    """A request with it says that the client keeps cookies."""
    paper = Paper()
    await manager.create(await manager.resolve([], paper), {}, provisional=True)
    session, _ = await again(manager, paper)
    assert manager.unsettled(session)
    await manager.save(session)
    (peek,) = await store.peek([session.id])
    assert peek is not None
    assert (peek.provisional, peek.ttl) == (False, 1000)
