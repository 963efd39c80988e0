"""The core over a real Redis, by two managers, as in two processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.core import Paper, again, visit
from tests.support.proxy import FaultProxy
from tests.support.sql import tables
from tornado_shared_session import (
    MemoryStore,
    RedisStore,
    Session,
    SessionEnded,
    SessionEvent,
    SessionManager,
    StoreError,
)
from tornado_shared_session.devices import Revoked
from tornado_shared_session.record import Meta, Record, generate_id
from tornado_shared_session.testing import RedisServer

pytestmark = pytest.mark.redis
LATE = 5  # seconds until what should have happened is a failure


@pytest.fixture
async def managers(redis_url: str, prefix: str) -> AsyncIterator[list[SessionManager]]:
    """Two managers on one database."""
    both = [SessionManager(RedisStore(redis_url, prefix=prefix)) for _ in range(2)]
    yield both
    for manager in both:
        await manager.close()


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FaultProxy]:
    """A wire that can be held."""
    async with FaultProxy(redis_server.port) as proxy:
        yield proxy


def bump(session: Session) -> int:
    """Count."""
    session["n"] = session.get("n", 0) + 1
    return int(session["n"])


async def test_twenty_writers_lose_no_increment(managers: list[SessionManager]) -> None:
    """Ten in each of two managers, fifty times each: exactly a thousand (R11)."""
    _, paper = await visit(managers[0])

    async def write(number: int) -> list[int]:
        manager = managers[number % 2]
        return [await (await again(manager, paper))[0].transact(bump) for _ in range(50)]

    results = await asyncio.gather(*(write(number) for number in range(20)))
    assert sorted(n for some in results for n in some) == list(range(1, 1001))
    assert (await again(managers[0], paper))[0]["n"] == 1000


async def test_writers_of_different_keys_in_two_processes_lose_nothing(
    managers: list[SessionManager],
) -> None:
    """All loaded before any of them saves."""
    _, paper = await visit(managers[0], cart=[])
    sessions = [(await again(managers[i % 2], paper))[0] for i in range(20)]
    for number, session in enumerate(sessions):
        session[f"key{number}"] = number
    sessions[7]["cart"].append(7)
    await asyncio.gather(*(session.save() for session in sessions))
    stored = dict((await again(managers[0], paper))[0])
    assert stored == {"cart": [7], **{f"key{n}": n for n in range(20)}}


async def test_a_commit_held_on_the_wire_does_not_resurrect(
    managers: list[SessionManager], proxy: FaultProxy, prefix: str
) -> None:
    """The session is destroyed while the commit stands at the barrier (S19, C19)."""
    slow_manager = SessionManager(RedisStore(proxy.url, prefix=prefix))
    session, paper = await visit(managers[0], a=1)
    slow, _ = await again(slow_manager, paper)
    slow["a"] = 2
    held = proxy.hold(b"EVALSHA")
    save = asyncio.ensure_future(slow.save())
    await asyncio.wait_for(held.reached.wait(), LATE)
    await session.destroy()
    held.release()
    with pytest.raises(SessionEnded) as caught:
        await save
    assert caught.value.reason == "expired"
    assert await managers[0].store.load(session.id) is None
    await slow_manager.close()


async def test_a_commit_held_on_the_wire_does_not_outlive_a_login(
    managers: list[SessionManager], proxy: FaultProxy, prefix: str
) -> None:
    """The generation moved on while it stood at the barrier."""
    slow_manager = SessionManager(RedisStore(proxy.url, prefix=prefix))
    session, paper = await visit(managers[0], a=1)
    slow, _ = await again(slow_manager, paper)
    slow["a"] = "planted"
    held = proxy.hold(b"EVALSHA")
    save = asyncio.ensure_future(slow.save())
    await asyncio.wait_for(held.reached.wait(), LATE)
    await session.login("ann")
    held.release()
    with pytest.raises(SessionEnded) as caught:
        await save
    assert caught.value.reason == "rotated"
    assert dict((await again(managers[0], paper))[0]) == {"a": 1}
    await slow_manager.close()


async def test_a_replaced_credential_is_refused_by_both_at_once(
    managers: list[SessionManager],
) -> None:
    """There is nothing to wait for: the record decides (S5)."""
    session, paper = await visit(managers[0])
    old = paper.credential
    await session.login("ann")
    for manager in managers:
        late = await manager.resolve([old], Paper())
        assert late.user_id is None
        with pytest.raises(SessionEnded):
            late["a"] = 1
        assert (await again(manager, paper))[0].user_id == "ann"


async def test_logins_in_two_processes_leave_as_many_sessions_as_allowed(
    redis_url: str, prefix: str
) -> None:
    """A hundred at once, half of them in each (S21)."""
    managers = [
        SessionManager(RedisStore(redis_url, prefix=prefix), max_sessions_per_user=3)
        for _ in range(2)
    ]
    visits = [await visit(managers[number % 2]) for number in range(100)]
    logins = (session.login("ann") for session, _ in visits)
    outcomes = await asyncio.gather(*logins, return_exceptions=True)
    assert all(o is None or getattr(o, "reason", "") == "replaced" for o in outcomes)
    store = managers[0].store
    live = {id for id in [s.id for s, _ in visits] if await store.load(id) is not None}
    assert len(live) == 3
    assert {info.id for info in await managers[1].list_user("ann")} == live
    for manager in managers:
        await manager.close()


async def test_a_name_that_nobody_can_have_has_no_sessions(
    managers: list[SessionManager], tmp_path: Path
) -> None:
    """A lone surrogate, which JSON can bring, is refused by login() and found by nobody."""
    nobody = json.loads(r'"ann\ud800"')
    async with (
        tables(f"sqlite+aiosqlite:///{tmp_path}/sessions.db", "tss_") as database,
        SessionManager(database) as other,
    ):
        for manager in (managers[0], other, SessionManager(MemoryStore())):
            session, paper = await visit(manager)
            assert await manager.list_user(nobody) == []
            assert await manager.destroy_user(nobody, keep=[nobody]) == Revoked(0, 0, 0, 0)
            assert not await manager.destroy(session.id, nobody)
            assert not await manager.destroy(nobody, nobody)
            for wrong in (0, b"ann"):  # nor is that taken for "whoever's it is"
                with pytest.raises(TypeError):
                    await manager.destroy(session.id, wrong)  # type: ignore[arg-type]  # wrong on purpose
            assert not (await again(manager, paper))[0].is_new


async def test_a_logout_is_told_to_the_other_process(managers: list[SessionManager]) -> None:
    """The notice names the session and the reason."""
    session, _ = await visit(managers[0])
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ready = asyncio.Event()
    task = asyncio.ensure_future(managers[1].store.listen(heard.put_nowait, ready.set))
    await asyncio.wait_for(ready.wait(), LATE)
    await session.destroy()
    message = await asyncio.wait_for(heard.get(), LATE)
    assert session.id.encode() in message
    assert b"logged_out" in message
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# -- what may stand in the store ---------------------------------------------


async def spoilt(
    managers: list[SessionManager], redis_url: str, prefix: str, field: bytes, value: bytes
) -> tuple[SessionManager, Paper, list[SessionEvent]]:
    """Return a manager, a credential, and the events that a spoilt record causes."""
    session, paper = await visit(managers[0], a=1, cart=[1])
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.hset(f"{prefix}s:{session.id}", field, value)
    await client.aclose()
    events: list[SessionEvent] = []
    return SessionManager(managers[0].store, on_event=events.append), paper, events


async def test_corrupt_bookkeeping_is_a_fresh_session_and_one_event(
    managers: list[SessionManager], redis_url: str, prefix: str
) -> None:
    """Under another id; the visitor is not locked out."""
    manager, paper, events = await spoilt(managers, redis_url, prefix, b"\xffm", b"\xc1garbage")
    session, fresh = await again(manager, paper)
    assert session.is_new
    session["a"] = 2
    await session.save()
    assert fresh.credential.id != paper.credential.id
    assert [event.kind for event in events] == ["corrupt_record", "created"]


async def test_a_corrupt_value_is_an_absent_key_and_one_event(
    managers: list[SessionManager], redis_url: str, prefix: str
) -> None:
    """The rest of the session is intact, and the key can be set again."""
    manager, paper, events = await spoilt(managers, redis_url, prefix, b"cart", b"\xc1")
    session, _ = await again(manager, paper)
    assert session.get("cart") is None
    assert dict(session) == {"a": 1}
    assert events == [SessionEvent("corrupt_value", session.id, "cart")]
    session["cart"] = [2]
    await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 1, "cart": [2]}


@pytest.mark.expects_log("newer_format")
async def test_a_newer_format_is_a_store_error_never_a_fresh_session(
    managers: list[SessionManager], redis_url: str, prefix: str
) -> None:
    """So that a rolling deploy logs nobody out."""
    manager, paper, events = await spoilt(managers, redis_url, prefix, b"\xffm", b"\x92\x02\xc0")
    with pytest.raises(StoreError, match="newer"):
        await again(manager, paper)
    assert [event.kind for event in events] == ["newer_format"]


@pytest.mark.expects_log("foreign_record")
async def test_a_record_of_somebody_else_is_a_store_error(
    managers: list[SessionManager], redis_url: str, prefix: str
) -> None:
    """Never shown to anybody (C2)."""
    foreign = Meta(generate_id(), b"d" * 32, 0.0).encode()
    manager, paper, events = await spoilt(managers, redis_url, prefix, b"\xffm", foreign)
    with pytest.raises(StoreError):
        await again(manager, paper)
    assert [event.kind for event in events] == ["foreign_record"]


async def test_a_digest_from_the_store_logs_nobody_in(managers: list[SessionManager]) -> None:
    """Nothing in Redis lets its reader in (S7)."""
    _, paper = await visit(managers[0])
    record = await managers[0].store.load(paper.credential.id)
    assert isinstance(record, Record)
    stored = record.meta.encode() + b"".join(record.values.values())
    assert paper.credential.secret.encode() not in stored
