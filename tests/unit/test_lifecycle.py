"""A manager's own life: start, services, tasks, notices, end."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.core import NotingStore, Paper, again, visit
from tornado_shared_session import MemoryStore, SessionManager, StoreError
from tornado_shared_session.notices import Notice, decode
from tornado_shared_session.record import generate_id


class Worker:
    """A service that notes what happens to it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.notices: list[Notice] = []

    def start(self) -> None:
        """Note it."""
        self.calls.append("start")

    async def stop(self) -> None:
        """Note it."""
        self.calls.append("stop")

    def notice(self, notice: Notice) -> None:
        """Keep it."""
        self.notices.append(notice)

    def health(self) -> Mapping[str, Any]:
        """Be well."""
        return {"worker": True}


class Opening(MemoryStore):
    """A store that counts, that can fail to open, and that can wait at a barrier."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = self.closed = 0
        self.broken = False
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def open(self) -> None:
        """Count."""
        if self.gate is not None:
            self.reached.set()
            await self.gate.wait()
        if self.broken:
            raise StoreError("not now")
        self.opened += 1

    async def close(self) -> None:
        """Count."""
        self.closed += 1


async def test_a_manager_starts_by_itself_and_once() -> None:
    """At its first use; services that come later are started at once."""
    store, early, late = Opening(), Worker(), Worker()
    manager = SessionManager(store)
    manager.attach(early)
    assert (store.opened, early.calls) == (0, [])
    await asyncio.gather(*(manager.resolve([], Paper()) for _ in range(5)))
    manager.attach(late)
    assert (store.opened, early.calls, late.calls) == (1, ["start"], ["start"])
    assert manager.services == (early, late)
    await manager.close()


async def test_it_opens_and_closes_as_a_context() -> None:
    """Closing twice is harmless, and it can be started again."""
    store, worker = Opening(), Worker()
    manager = SessionManager(store)
    manager.attach(worker)
    async with manager as same:
        assert same is manager
        assert (store.opened, worker.calls) == (1, ["start"])
    assert worker.calls == ["start", "stop"]
    await manager.close()
    await manager.start()
    await manager.resolve([], Paper())
    assert store.opened == 2
    await manager.close()


async def test_a_closed_manager_does_not_start_by_itself() -> None:
    """A late request is told so; the user's own start() makes it usable again."""
    store, worker = Opening(), Worker()
    manager = SessionManager(store)
    manager.attach(worker)
    async with manager:
        _, paper = await visit(manager)
    calls = list(worker.calls)
    for late in (manager.resolve([], Paper()), manager.load(paper.credential)):
        with pytest.raises(StoreError, match="the session manager is closed"):
            await late
    assert (store.opened, worker.calls) == (1, calls)
    async with manager:
        assert not (await again(manager, paper))[0].is_new
    assert (store.opened, worker.calls) == (2, ["start", "stop"] * 2)


async def test_one_that_was_closed_before_its_first_use_does_not_start() -> None:
    """For whoever closes it is done with it."""
    store = Opening()
    manager = SessionManager(store)
    await manager.close()
    with pytest.raises(StoreError, match="closed"):
        await manager.resolve([], Paper())
    assert store.opened == 0


async def test_no_request_gets_through_before_the_store_is_open() -> None:
    """The barrier holds open(); a second request waits for the same start."""
    store, worker = Opening(), Worker()
    store.gate = asyncio.Event()
    manager = SessionManager(store)
    manager.attach(worker)
    first = asyncio.ensure_future(manager.resolve([], Paper()))
    await asyncio.wait_for(store.reached.wait(), 5)
    second = asyncio.ensure_future(manager.resolve([], Paper()))
    for _ in range(5):
        await asyncio.sleep(0)  # turns of the loop in which it could get through
    assert not second.done()
    first.cancel()  # its client went away; the start is not the first request's alone
    store.gate.set()
    await asyncio.wait_for(second, 5)
    assert (store.opened, worker.calls) == (1, ["start"])
    await manager.close()


async def test_closing_during_a_start_leaves_nothing_running() -> None:
    """The start that is under way is let through, those that wait for it are refused."""
    store, worker = Opening(), Worker()
    store.gate = asyncio.Event()
    manager = SessionManager(store)
    manager.attach(worker)
    first = asyncio.ensure_future(manager.resolve([], Paper()))
    await asyncio.wait_for(store.reached.wait(), 5)
    second = asyncio.ensure_future(manager.resolve([], Paper()))
    await asyncio.sleep(0)  # it queues up
    close = asyncio.ensure_future(manager.close())
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.wait_for(close, 5)
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(outcomes[1], StoreError)
    assert (store.opened, store.closed, worker.calls) == (1, 1, ["start", "stop"])


async def test_a_start_that_failed_is_tried_again() -> None:
    """By the next request."""
    store, worker = Opening(), Worker()
    manager = SessionManager(store)
    manager.attach(worker)
    store.broken = True
    with pytest.raises(StoreError):
        await manager.resolve([], Paper())
    store.broken = False
    await manager.resolve([], Paper())
    assert (store.opened, worker.calls) == (1, ["start"])


async def test_closing_waits_for_tasks_and_cancels_those_that_hang() -> None:
    """Each has an owner that cancels and awaits it (T23)."""
    manager = SessionManager(MemoryStore())
    done: list[str] = []

    async def quick() -> None:
        await asyncio.sleep(0)
        done.append("quick")

    async def hanging() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            done.append("cancelled")

    manager.spawn(quick())
    manager.spawn(hanging())
    await manager.close()
    assert done == ["quick", "cancelled"]
    assert not manager._tasks


async def test_a_task_is_kept_until_it_is_done() -> None:
    """Though nobody else refers to it, nor to what it waits for (T23)."""
    manager = SessionManager(MemoryStore())
    waits: list[weakref.ref[asyncio.Future[None]]] = []
    done = asyncio.Event()

    async def wait() -> None:
        future = asyncio.get_running_loop().create_future()
        waits.append(weakref.ref(future))
        await future
        done.set()

    manager.spawn(wait())
    await asyncio.sleep(0)
    gc.collect()
    future = waits[0]()
    assert future is not None
    future.set_result(None)
    await asyncio.wait_for(done.wait(), 1)
    await manager.close()


async def test_a_notice_is_sent_and_acted_on_here_without_the_detour() -> None:
    """In parts of a thousand; nobody is told of nothing."""
    store, worker = NotingStore(), Worker()
    manager = SessionManager(store)
    manager.attach(worker)
    ids = [generate_id() for _ in range(1001)]
    await manager.announce("revoked", ids)
    assert [notice.ids for notice in worker.notices] == [tuple(ids[:1000]), tuple(ids[1000:])]
    assert [decode(message) for message in store.messages] == worker.notices
    await manager.announce("revoked", [])
    assert len(store.messages) == 2


async def test_health_tells_about_store_and_services() -> None:
    """It answers also when the store does not."""
    store = NotingStore()
    manager = SessionManager(store)
    manager.attach(Worker())
    assert await manager.health() == {"store": "ok", "connections": 0, "worker": True}

    async def peek(ids: object) -> list[None]:
        raise StoreError("the store is away")

    store.peek = peek  # type: ignore[assignment, method-assign]  # replaced for the test
    assert (await manager.health())["store"] == "the store is away"


def test_the_embedded_store_is_warned_about_once_unless_in_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And never where it was chosen."""
    caplog.set_level(logging.WARNING)
    settings = {"cookie_secret": "x" * 40}
    SessionManager().bind({**settings, "debug": True})
    SessionManager(MemoryStore()).bind(settings)
    assert not caplog.records
    manager = SessionManager()
    manager.bind(settings)
    manager.bind(dict(settings))
    (record,) = caplog.records
    assert "RedisStore" in record.getMessage()


def test_the_text_of_a_manager_shows_no_secret() -> None:
    """The store and the number of connections."""
    manager = SessionManager(MemoryStore(), secret="do not show this")
    assert repr(manager) == "<SessionManager <MemoryStore 0 records> 0 connections>"
