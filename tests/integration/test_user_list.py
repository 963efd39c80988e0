"""What "your devices" shows of each session, from real requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.core import Paper, again, visit
from tests.support.proxy import FaultProxy
from tests.support.sites import Site, raw_redis, session_id, site
from tests.support.tokens import enter, token_of
from tornado_shared_session import MemoryStore, SessionManager
from tornado_shared_session.record import Meta, Record
from tornado_shared_session.testing import CookieJar, FakeClock, RedisServer


async def test_each_session_shows_where_it_was_logged_in_from(a: Site) -> None:
    """Of a hostile user agent so much as a page can show (V7.5.2)."""
    phone, laptop = CookieJar(), CookieJar()
    await a.http(phone).post("/login", {"user": "ann"}, headers={"User-Agent": "Phone/1\t(<b>)"})
    await a.http(laptop).post("/login", {"user": "ann"}, headers={"User-Agent": "L" * 9000})
    await a.http(phone).post("/note", {"value": "1"}, headers={"User-Agent": "another"})
    first, second = await a.manager.list_user("ann")
    assert (first.id, first.address, first.user_agent) == (
        session_id(phone),
        "127.0.0.1",
        "Phone/1 (<b>)",
    )
    assert (second.address, second.user_agent) == ("127.0.0.1", "L" * 160)
    await a.http(phone).post("/regenerate", headers={"User-Agent": "Phone/2"})
    assert [info.user_agent for info in await a.manager.list_user("ann")] == ["Phone/2", "L" * 160]


async def test_a_login_over_a_socket_shows_where_the_socket_came_from(
    redis_url: str, prefix: str
) -> None:
    """Its handshake's address and user agent."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        async with a.client("websocket", headers={"User-Agent": "App/3"}) as client:
            await enter(client, await token_of(a))
            assert await client.emit("rotate", "login") == "rotated"
            (info,) = await a.manager.list_user("mallory")
            assert (info.address, info.user_agent, info.sockets) == ("127.0.0.1", "App/3", 1)


async def test_of_a_visitor_nothing_is_kept(a: Site, redis_url: str, prefix: str) -> None:
    """The bookkeeping is what it was, byte for byte."""
    jar = CookieJar()
    http = a.http(jar)
    for path in ("/note", "/regenerate"):
        await http.post(path, {"value": "1"}, headers={"User-Agent": "Phone/1"})
        async with raw_redis(redis_url) as redis:
            record = await redis.hgetall(f"{prefix}s:{session_id(jar)}")
        packed = record[b"\xffm"]
        meta = Meta.decode(packed)
        assert (meta.address, meta.user_agent) == ("", "")
        assert b"Phone" not in packed


async def test_an_ordinary_read_or_write_does_not_send_it(
    redis_server: RedisServer, prefix: str
) -> None:
    """It travels to the store with a login, and not again."""
    async with FaultProxy(redis_server.port) as proxy:
        async with site(redis=proxy.url, prefix=prefix) as a:
            await a.http(CookieJar()).post("/login", {"user": "bob"})  # Redis learns the script
            http = a.http(CookieJar())
            http.headers = {"User-Agent": "Phone/1"}
            await http.post("/login", {"user": "ann"})
            assert proxy.count(b"Phone/1") == 1
            for number in range(5):
                await http.get("/note")
                await http.post("/note", {"value": str(number)})
            assert proxy.count(b"Phone/1") == 1


async def test_the_last_activity_is_told_by_the_deadline() -> None:
    """Nothing is stored for it."""
    clock = FakeClock()
    manager = SessionManager(
        MemoryStore(clock=clock), idle_timeout=1000, absolute_timeout=5000, touch_interval=50
    )
    session, paper = await visit(manager, Paper())
    await session.login("ann")

    async def seen() -> float:
        (info,) = await manager.list_user("ann")
        assert info.created_at <= info.last_seen <= datetime.now(UTC)
        return (datetime.now(UTC) - info.last_seen) / timedelta(seconds=1)

    assert await seen() < 1
    record = session._record
    assert record is not None
    await _made_earlier(manager, session.id, 4900)
    clock.advance(600)
    assert 599 < await seen() < 601
    later, _ = await again(manager, paper)
    await later.touch()
    assert await seen() < 1
    for _ in range(6):
        clock.advance(650)
        await later.touch()
    # 4500 s old: it ends at 5000, whatever happens, which says less.
    assert 499 < await seen() < 501


async def test_a_session_that_may_live_longer_than_the_others_is_not_missed() -> None:
    """Made before `absolute_timeout` was lowered, logged in after; the index is trimmed."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    before, after = (
        SessionManager(store, idle_timeout=timeout, absolute_timeout=timeout, touch_interval=0)
        for timeout in (5000, 1000)
    )
    _, paper = await visit(before)
    session, paper = await again(after, paper)
    await session.login("ann")
    for _ in range(6):
        clock.advance(800)
        await session.touch()
        other, _ = await visit(after)
        await other.login("bob")
    assert [info.id for info in await after.list_user("ann")] == [session.id]
    assert (await after.destroy_user("ann")).sessions == 1
    assert (await again(after, paper))[0].is_new


async def test_a_session_whose_record_came_late_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The entry of the index was made first, and is not over first."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    manager = SessionManager(store, idle_timeout=1000, absolute_timeout=1000)
    real = store.create

    async def late(record: Record, absolute: float) -> bool:
        clock.advance(5)
        return await real(record, absolute)

    monkeypatch.setattr(store, "create", late)
    session = await manager.resolve([], Paper())
    await session.login("ann")
    clock.advance(993)
    other, _ = await visit(manager)  # it comes late as well
    await other.login("bob")
    assert [info.id for info in await manager.list_user("ann")] == [session.id]


async def _made_earlier(manager: SessionManager, id: str, seconds: float) -> None:
    """Set back the wall clock's part of a record: FakeClock turns only the store's."""
    store = manager.store
    assert isinstance(store, MemoryStore)
    record = store._entries[id].record
    meta = record.meta
    record.meta = Meta(
        meta.id, meta.digest, meta.created_at - seconds, meta.user_id, meta.superseded
    )
