"""What one process asks all of them: how many sockets, and whether they are closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.support.core import Paper, visit
from tests.support.sites import (
    HeldPeek,
    Site,
    raw_redis,
    session_id,
    site,
    until,
    until_subscribers,
)
from tornado_shared_session import MemoryStore, RedisStore, SessionManager
from tornado_shared_session.connections import Phase
from tornado_shared_session.devices import Revoked
from tornado_shared_session.notices import Answer, Notice
from tornado_shared_session.questions import Questions
from tornado_shared_session.record import generate_id
from tornado_shared_session.testing import CookieJar, RedisServer


@pytest.fixture
async def b(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """A second server with the same sessions."""
    async with site(redis=redis_url, prefix=prefix) as running:
        yield running


async def ann(a: Site) -> CookieJar:
    """Return the cookies of a browser that is logged in."""
    jar = CookieJar()
    assert (await a.http(jar).post("/login", {"user": "ann"})).code == 200
    return jar


async def listening(*sites: Site) -> None:
    """Wait until each hears the notice channel."""
    await until(lambda: all(one.watcher.health()["notices"] for one in sites))


async def test_the_sockets_of_every_process_are_closed_and_counted(
    a: Site, b: Site, transport: str
) -> None:
    """destroy_user returns when both have said so, and long before it gives up."""
    await listening(a, b)
    here, there = await ann(a), await ann(a)
    async with (
        a.client(transport, here) as one,
        b.client(transport, here) as two,
        b.client(transport, there) as three,
    ):
        await asyncio.gather(one.connect(), two.connect(), three.connect())
        infos = {info.id: info.sockets for info in await b.manager.list_user("ann")}
        assert infos == {session_id(here): 2, session_id(there): 1}
        begun = time.monotonic()
        assert await a.manager.destroy_user("ann") == Revoked(2, 3, 2, 2)
        assert time.monotonic() - begun < 0.9
        left = (*a.manager.connections, *b.manager.connections)
        assert {one.phase for one in left} <= {Phase.ENDED}
        for client in (one, two, three):
            assert await client.wait_for("session_ended") == {"reason": "revoked"}


async def test_a_socket_that_took_its_leave_is_not_counted(a: Site) -> None:
    """Nor is one that did not come yet: only their transports are there."""
    jar = await ann(a)
    async with a.client("websocket", jar) as client:
        await client.open()
        assert [info.sockets for info in await a.manager.list_user("ann")] == [0]
        await client.connect()
        assert [info.sockets for info in await a.manager.list_user("ann")] == [1]
        await client.disconnect()
        await until(lambda: not a.sio.manager.rooms)
        assert len(a.manager.connections) == 1
        assert [info.sockets for info in await a.manager.list_user("ann")] == [0]


async def test_what_is_kept_is_not_counted(a: Site, b: Site) -> None:
    """Log out everywhere else."""
    await listening(a, b)
    here, there = await ann(a), await ann(a)
    async with a.client("websocket", here) as one, b.client("websocket", there) as two:
        await asyncio.gather(one.connect(), two.connect())
        revoked = await a.manager.destroy_user("ann", keep=[session_id(here)])
        assert revoked == Revoked(1, 1, 2, 2)
        assert await two.wait_for("session_ended") == {"reason": "revoked"}
        assert [info.sockets for info in await a.manager.list_user("ann")] == [1]


async def test_who_serves_nothing_asks_those_who_do(a: Site, redis_url: str, prefix: str) -> None:
    """A script: it is no process that acknowledges, and it hears those that are."""
    await listening(a)
    jar = await ann(a)
    async with a.client("websocket", jar) as client:
        await client.connect()
        async with SessionManager(RedisStore(redis_url, prefix=prefix)) as script:
            assert [info.sockets for info in await script.list_user("ann")] == [1]
            assert [info.sockets for info in await a.manager.list_user("ann")] == [1]
            assert await script.destroy_user("ann") == Revoked(1, 1, 1, 1)
            assert await client.wait_for("session_ended") == {"reason": "revoked"}
            assert await script.destroy_user("ann") == Revoked(0, 0, 0, 0)
        async with raw_redis(redis_url) as redis:
            channel = f"{prefix}notices:0"
            await until_subscribers(redis, channel, 1)


async def test_a_process_that_does_not_answer_is_not_waited_for_long(
    a: Site, redis_url: str, prefix: str
) -> None:
    """It is one of those that should have; what the others said counts."""
    await listening(a)
    jar = await ann(a)
    async with raw_redis(redis_url) as redis, redis.pubsub() as mute:
        await mute.subscribe(f"{prefix}notices:0")
        await until_subscribers(redis, f"{prefix}notices:0", 2)
        async with a.client("websocket", jar) as client:
            await client.connect()
            begun = time.monotonic()
            assert await a.manager.destroy_user("ann") == Revoked(1, 1, 1, 2)
            assert 0.9 < time.monotonic() - begun < 2
    assert not a.manager.questions._inquiries


async def test_a_lost_store_in_one_process_is_no_acknowledgement(
    redis_url: str, prefix: str, a: Site, b: Site
) -> None:
    """Who could not look has closed nothing, and says nothing."""
    await listening(a, b)
    jar = await ann(a)
    async with b.client("websocket", jar) as client:
        await client.connect()
        peek = HeldPeek(b.manager, before=True)
        assert await a.manager.destroy_user("ann") == Revoked(1, 0, 1, 2)
        peek.go.set()
        assert await client.wait_for("session_ended") == {"reason": "revoked"}


async def test_forged_questions_and_answers_change_nothing(
    redis_url: str, prefix: str, a: Site
) -> None:
    """10,000 of them cost a bounded number of answers and of looks at the store (C5, C6)."""
    await listening(a)
    jar = await ann(a)
    async with raw_redis(redis_url) as redis, a.client("websocket", jar) as client:
        await client.connect()
        id, store = session_id(jar), a.manager.store
        peeks: list[int] = []
        sent: list[bytes] = []
        peek, publish = store.peek, store.publish

        async def counted_peek(ids: list[str]) -> object:
            peeks.append(len(ids))
            return await peek(ids)

        async def counted_publish(message: bytes) -> None:
            sent.append(message)
            await publish(message)

        store.peek = counted_peek  # type: ignore[assignment, method-assign]  # replaced for the test
        store.publish = counted_publish  # type: ignore[method-assign]  # replaced for the test
        begun = time.monotonic()
        for number in range(50):
            async with redis.pipeline(transaction=False) as pipe:
                for _ in range(50):
                    forged: list[Notice | Answer] = [
                        Notice("revoked", (id,), "n" * 32),
                        Notice("", (id, generate_id()), str(number)),
                        Answer("n" * 32, "who", (1_000_000,)),
                        Answer("", "", ()),
                    ]
                    for one in forged:
                        pipe.publish(f"{prefix}notices:0", one.encode())
                await pipe.execute()
        assert await client.emit("get") is None
        await until(lambda: a.manager.questions._worker is None)
        lasted = time.monotonic() - begun
        assert 1 <= len(sent) <= 110 + 200 * lasted
        assert len(sent) < 2000
        assert 1 <= len(peeks) < 2000
        assert not client.closings
        assert not a.manager.questions._inquiries
        assert not a.manager.questions._pending
        assert [info.sockets for info in await a.manager.list_user("ann")] == [1]


async def test_a_replayed_answer_is_counted_once(redis_url: str, prefix: str, a: Site) -> None:
    """And one that does not fit its question not at all."""
    await listening(a)
    jar = await ann(a)
    channel, id = f"{prefix}notices:0", session_id(jar)
    async with raw_redis(redis_url) as redis, redis.pubsub() as forger, redis.pubsub() as mute:
        await forger.subscribe(channel)
        await mute.subscribe(channel)
        await until_subscribers(redis, channel, 3)
        asking = asyncio.ensure_future(a.manager.list_user("ann"))
        async for message in forger.listen():
            if message["type"] == "message" and id.encode() in message["data"]:
                break
        (nonce,) = a.manager.questions._inquiries
        for who, counts in (("liar", (7, 7)), ("liar", ()), ("forger", (5,)), ("forger", (5,))):
            await redis.publish(channel, Answer(nonce, who, counts).encode())
        assert [info.sockets for info in await asking] == [5]
        assert not a.manager.questions._inquiries
        await redis.publish(channel, Answer(nonce, "late", (9,)).encode())
    await until(lambda: a.watcher.health()["notices"])
    assert [info.sockets for info in await a.manager.list_user("ann")] == [0]


@pytest.mark.slow
async def test_ten_thousand_sessions_end_in_five_seconds(
    own_redis: RedisServer, prefix: str
) -> None:
    """And both processes have said so; the last session's socket is closed as the first's."""
    async with AsyncExitStack() as stack:
        a, b = [
            await stack.enter_async_context(site(redis=own_redis.url, prefix=prefix))
            for _ in range(2)
        ]
        await listening(a, b)
        jars = [await ann(a), await ann(b)]
        papers = [Paper() for _ in range(9_999)]
        for start in range(0, 9_999, 500):
            some = [visit(a.manager, paper) for paper in papers[start : start + 500]]
            sessions = [session for session, _ in await asyncio.gather(*some)]
            await asyncio.gather(*(session.login("ann") for session in sessions))
        jars.append(await ann(a))
        clients = [
            await stack.enter_async_context(one.client("websocket", jar))
            for one, jar in zip((a, b, a), jars, strict=True)
        ]
        await asyncio.gather(*(client.connect() for client in clients))
        assert len(await a.manager.list_user("ann")) == 10_002
        begun = time.monotonic()
        revoked = await a.manager.destroy_user("ann", keep=[session_id(jars[1])])
        assert time.monotonic() - begun <= 5
        assert revoked == Revoked(10_001, 2, 2, 2)
        assert [info.sockets for info in await b.manager.list_user("ann")] == [1]


async def test_a_store_that_cannot_tell_is_waited_for(prefix: str) -> None:
    """Its listeners are not known, so nobody knows that the last one has answered."""

    class Unknown(MemoryStore):
        async def subscribers(self) -> None:  # type: ignore[override]  # as a store that cannot tell
            return None

    async with SessionManager(Unknown()) as manager:
        session, _ = await visit(manager)
        await session.login("ann")
        begun = time.monotonic()
        assert (await manager.list_user("ann"))[0].sockets == 0
        assert 0.9 < time.monotonic() - begun < 2


async def test_a_question_waits_for_what_is_asked_after_it() -> None:
    """Answers to the first of two notices are not all of them."""
    manager = SessionManager(MemoryStore())
    questions = Questions(manager)
    first, second = generate_id(), generate_id()

    async def two() -> int:
        return 2

    questions.heard.set()
    manager.store.subscribers = two  # type: ignore[method-assign]  # replaced for the test
    inquiry = await questions.inquire()
    asked = [inquiry.ask(Notice("revoked", (first,)))]
    assert questions.take(Answer(asked[0].nonce, "b", (1,)).encode())
    asked.append(inquiry.ask(Notice("revoked", (second,))))
    result = asyncio.ensure_future(inquiry.result())
    await asyncio.sleep(0)
    assert not result.done()
    questions.take(Answer(asked[1].nonce, "b", (2,)).encode())
    await result
    assert (inquiry.processes, inquiry.of_processes) == (1, 1)
    assert inquiry.counts == {first: 1, second: 2}
