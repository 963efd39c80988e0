"""Notices, deadlines and the reload each lead to one question to the store."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import (
    HeldLoad,
    HeldPeek,
    closed_after,
    raw_redis,
    session_id,
    site,
    status_of,
    ttl,
    until,
)
from tornado_shared_session.connections import Phase
from tornado_shared_session.deadlines import Deadlines
from tornado_shared_session.events import Reporter
from tornado_shared_session.notices import Notice
from tornado_shared_session.record import Delta
from tornado_shared_session.testing import RedisServer


async def test_a_handshake_that_loads_when_the_deadline_comes_hides_no_expiry(
    redis_url: str, prefix: str, transport: str
) -> None:
    """What a loading connection does not know yet is no reason not to look at the open one."""
    settings: dict[str, Any] = {"reload_interval": 60, "idle": 1}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        jar = await a.visitor()
        async with a.client(transport, dict(jar)) as client:
            await client.connect()
            expiry = time.monotonic() + await ttl(redis_url, prefix, session_id(jar))
            load = HeldLoad(a.manager, before=True)
            kind = "polling" if transport == "upgrade" else transport
            opening = asyncio.ensure_future(status_of(a.client(kind, dict(jar))))
            await load.reached()
            try:
                await client.wait_transport_closed(4)
                assert time.monotonic() - expiry < 1
            finally:
                load.go.set()
                await opening
        await a.empty()


@pytest.mark.parametrize("first", [float("inf"), 3600.0])
async def test_an_earlier_deadline_takes_the_place_of_a_later_one(
    redis_url: str, prefix: str, first: float
) -> None:
    """What was expected first does not decide when the watcher looks."""
    async with site(redis=redis_url, prefix=prefix, reload_interval=60) as a:
        looked = asyncio.Event()
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            connection = a.connection
            assert a.watcher._deadlines is not None
            a.watcher._deadlines.stop()
            a.watcher._deadlines = Deadlines(a.watcher._on_deadline, a.manager.connections)
            a.watcher._deadlines.start()  # it knows of none yet
            a.watcher.expect(connection.id, time.monotonic() + first)
            peek = a.manager.store.peek

            async def counted(ids: list[str]) -> object:
                looked.set()
                return await peek(ids)

            a.manager.store.peek = counted  # type: ignore[assignment, method-assign]  # replaced for the test
            connection.deadline = time.monotonic() + 0.1
            a.watcher.expect(connection.id, connection.deadline)
            await asyncio.wait_for(looked.wait(), 2)


async def test_forged_notices_close_nothing(redis_url: str, prefix: str, transport: str) -> None:
    """Garbage and lies on the channel cost a few questions: the store decides (C5, C6)."""
    async with site(redis=redis_url, prefix=prefix) as a, raw_redis(redis_url) as redis:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            id = a.connection.id
            await until(lambda: a.watcher.health()["notices"])
            peeks = 0
            peek = a.manager.store.peek

            async def counted(ids: list[str]) -> object:
                nonlocal peeks
                peeks += 1
                return await peek(ids)

            a.manager.store.peek = counted  # type: ignore[assignment, method-assign]  # replaced for the test
            channel = f"{prefix}notices:0"
            lies = [Notice(reason, (id,)).encode() for reason in ("logged_out", "rotated", "")]
            noise = [b"", b"\xc1", b"\x93\x01", Notice("x" * 65, (id,)).encode(), b"x" * 10_000]
            for _ in range(200):
                async with redis.pipeline(transaction=False) as pipe:
                    for message in lies + noise:
                        pipe.publish(channel, message)
                    await pipe.execute()
            assert await client.emit("get") == ""
            assert 1 <= peeks < 200
            assert not client.closings


@pytest.mark.parametrize("kept_by", ["a visitor's socket", "sockets_keep_alive"])
async def test_forged_notices_do_not_end_what_an_open_socket_keeps_alive(
    redis_url: str, prefix: str, kept_by: str
) -> None:
    """However many name it, the reload renews the session, and no notice does (C5)."""
    keep = kept_by == "sockets_keep_alive"
    settings: dict[str, Any] = {"idle": 1, "touch_interval": 0.2, "reload_interval": 0.2}
    async with (
        site(redis=redis_url, prefix=prefix, sockets_keep_alive=keep, **settings) as a,
        raw_redis(redis_url) as redis,
        a.client("websocket", await a.visitor() if keep else None) as client,
    ):
        await client.connect()
        assert a.connection.provisional is not keep
        commits, commit = 0, a.manager.store.commit

        async def counted(delta: Delta) -> object:
            nonlocal commits
            commits += 1
            return await commit(delta)

        a.manager.store.commit = counted  # type: ignore[assignment, method-assign]  # replaced for the test
        lie = Notice("revoked", (a.connection.id,)).encode()
        until_then = time.monotonic() + 2
        while time.monotonic() < until_then:
            await redis.publish(f"{prefix}notices:0", lie)
            await asyncio.sleep(0.001)  # time itself is under test
        assert not client.closings
        assert 2 <= commits <= 2 / 0.16 + 1  # one for each reload


async def test_a_killed_subscription_comes_back_and_checks_everything(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """What was missed meanwhile is found as soon as the channel is back (R12)."""
    settings: dict[str, Any] = {"no_deadlines": True, "reload_interval": 60}
    async with site(redis=own_redis.url, prefix=prefix, **settings) as a:
        async with raw_redis(own_redis.url) as redis:
            async with a.client(transport, await a.visitor()) as client:
                await client.connect()
                await until(lambda: a.watcher.health()["notices"])
                await redis.delete(f"{prefix}s:{a.connection.id}")  # nobody is told
                await redis.client_kill_filter(_type="pubsub")
                await client.wait_transport_closed()
                assert await client.wait_for("session_ended") == {"reason": "expired"}
            assert len(await redis.client_list(_type="pubsub")) == 1


async def test_a_deaf_process_subscribes_anew(redis_server: RedisServer, prefix: str) -> None:
    """A subscription that is open and silent is noticed by the missing heartbeat (R12)."""
    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix, reload_interval=0.1) as a:
        kinds: list[str] = []
        a.manager.report = Reporter(lambda event: kinds.append(event.kind))
        await a.visitor()
        await until(lambda: a.watcher.health()["notices"])
        hold = proxy.hold_replies(b"message")  # the channel's connection goes deaf
        await until(lambda: proxy.count(b"SUBSCRIBE\r\n") >= 2)
        hold.release()
        await until(lambda: a.watcher.health()["notices"])
        assert [kind for kind in kinds if "notices" in kind] == ["notices_lost", "notices_back"]


async def test_unverified_sockets_live_a_while(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """With Redis gone a socket outlives its known deadline by max_unverified, and no more (R2)."""
    settings: dict[str, Any] = {"idle": 1, "max_unverified": 0.5, "reload_interval": 0.2}
    async with site(redis=own_redis.url, prefix=prefix, **settings) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            deadline = a.connection.deadline
            own_redis.kill()
            await client.wait_transport_closed(6)
            assert 0.5 <= time.monotonic() - deadline < 3
        await a.empty()


async def test_a_watcher_that_starts_again_watches_again(
    redis_url: str, prefix: str, transport: str
) -> None:
    """close() and a new start(): deadlines and notices work as before."""
    async with site(redis=redis_url, prefix=prefix, idle=1) as a:
        await a.visitor()
        await a.manager.close()
        await a.manager.close()
        await a.manager.start()
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 3) < 1
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            # As another process does it: destroy() would close the socket by itself.
            await a.manager.store.delete(session_id(jar))
            await a.manager.store.publish(Notice("revoked", (session_id(jar),)).encode())
            assert await client.wait_for("session_ended") == {"reason": "revoked"}


async def test_why_a_session_ended_is_heard_while_the_store_answers(
    redis_url: str, prefix: str
) -> None:
    """A deadline was looked at, and the notice that says why came before the answer (R12)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            id = a.connection.id
            await a.manager.store.delete(id)
            peek = HeldPeek(a.manager)
            a.watcher._ask(id, "expired")  # as when its deadline comes
            await peek.reached()
            a.watcher.notice(Notice("logged_out", (id,)))
            peek.go.set()
            assert await client.wait_for("session_ended") == {"reason": "logged_out"}


@pytest.mark.expects_log("sessions could not be looked up")
async def test_a_store_that_raises_anything_does_not_stop_the_watcher(
    redis_url: str, prefix: str
) -> None:
    """An unforeseen error is logged, and the question asked again (T17)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with a.client("websocket", jar) as client:
            await client.connect()
            peek = a.manager.store.peek

            async def broken(ids: object) -> None:
                a.manager.store.peek = peek  # type: ignore[method-assign]  # replaced for the test
                raise ValueError("unforeseen")

            a.manager.store.peek = broken  # type: ignore[assignment, method-assign]  # replaced for the test
            await a.manager.store.delete(session_id(jar))  # so that only the watcher ends it
            a.watcher.notice(Notice("revoked", (session_id(jar),)))
            assert await client.wait_for("session_ended") == {"reason": "revoked"}


@pytest.mark.expects_log("the heartbeat could not be sent")
async def test_a_heartbeat_that_raises_anything_does_not_stop_the_reload(
    redis_url: str, prefix: str
) -> None:
    """The next reload comes all the same, and health() says what is wrong (T17)."""
    settings: dict[str, Any] = {"no_deadlines": True, "reload_interval": 0.3}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        jar = await a.visitor()
        async with a.client("websocket", jar) as client:
            await client.connect()
            failed = asyncio.Event()

            async def broken(message: bytes) -> None:
                failed.set()
                raise ValueError("unforeseen")

            a.manager.store.publish = broken  # type: ignore[method-assign]  # replaced for the test
            await asyncio.wait_for(failed.wait(), 3)
            await until(lambda: not a.watcher.health()["notices"])
            await a.manager.store.delete(session_id(jar))  # nobody is told
            assert await client.wait_for("session_ended") == {"reason": "expired"}


async def test_who_asks_while_the_store_answers_is_told_later(redis_url: str, prefix: str) -> None:
    """What the store said before the question is no answer to it."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            id, peek = a.connection.id, HeldPeek(a.manager)
            first = asyncio.ensure_future(a.watcher.look([id]))
            await peek.reached()
            await a.manager.store.delete(id)  # nobody is told
            second = asyncio.ensure_future(a.watcher.look([id], "revoked"))
            await asyncio.sleep(0)
            peek.go.set()
            await asyncio.wait_for(second, 3)
            assert {one.phase for one in a.manager.connections} <= {Phase.ENDED}
            assert await client.wait_for("session_ended") == {"reason": "revoked"}
            await asyncio.wait_for(first, 3)
            await a.watcher.look(["A" * 22])  # it has no connection here
