"""No socket outlives its session by more than a stated bound."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import HeldLoad, Site, raw_redis, session_id, site, status_of, until
from tornado_shared_session.events import Reporter
from tornado_shared_session.notices import Notice
from tornado_shared_session.testing import CookieJar, RedisServer, SocketIOTestClient

GRACE = 2.1  # a farewell that nobody fetches, then a second for the WebSocket


async def ttl(redis_url: str, prefix: str, id: str) -> float:
    """Return what the store says is left of a session, in seconds."""
    async with raw_redis(redis_url) as redis:
        return float(await redis.pttl(f"{prefix}s:{id}")) / 1000


async def closed_after(
    a: Site, client: SocketIOTestClient, redis_url: str, prefix: str, timeout: float
) -> float:
    """Return how long after its expiry the client's transport was closed."""
    expiry = time.monotonic() + await ttl(redis_url, prefix, a.connection.id)
    await client.wait_transport_closed(timeout)
    client_side = time.monotonic() - expiry
    assert await client.wait_for("session_ended") == {"reason": "expired"}
    assert "server disconnect packet" not in client.closings  # so that it comes back
    server_side: float = a.shared.heard("at")[-1] - expiry
    if a.shared.heard("transport_closed"):
        server_side = max(server_side, a.shared.heard("transport_closed")[-1] - expiry)
    assert server_side > -0.02
    return max(client_side, server_side)


async def test_a_silent_socket_is_closed_at_its_expiry(
    redis_url: str, prefix: str, transport: str
) -> None:
    """At most a second after, at the server's socket and at the client's event."""
    async with site(redis=redis_url, prefix=prefix, idle=2) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 4) < 1
        await a.empty()


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
            a.watcher._heap.clear()
            a.watcher._expected.clear()
            a.watcher.expect(connection.id, time.monotonic() + first)
            peek = a.manager.store.peek

            async def counted(ids: list[str]) -> object:
                looked.set()
                return await peek(ids)

            a.manager.store.peek = counted  # type: ignore[assignment, method-assign]
            connection.deadline = time.monotonic() + 0.1
            a.watcher.expect(connection.id, connection.deadline)
            await asyncio.wait_for(looked.wait(), 2)


async def test_the_reload_alone_closes_it(redis_url: str, prefix: str, transport: str) -> None:
    """Without notices and deadlines: within one reload_interval and a second."""
    settings: dict[str, Any] = {
        "no_notices": True,
        "no_deadlines": True,
        "reload_interval": 1,
        "idle": 2,
    }
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 6) < 2
        await a.empty()


async def test_the_reload_alone_closes_it_while_pub_sub_is_cut(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """The subscription is reset, and so is each attempt at another one."""
    settings: dict[str, Any] = {"no_deadlines": True, "reload_interval": 1, "idle": 2}
    proxy = FaultProxy(redis_server.port)
    async with proxy, site(redis=proxy.url, prefix=prefix, **settings) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            await until(lambda: a.watcher.health()["notices"])
            cut = proxy.lose_replies(b"SUBSCRIBE")
            proxy.reset()
            assert await closed_after(a, client, redis_server.url, prefix, 6) < 2
            assert cut.reached.is_set()
            assert not a.watcher.health()["notices"]
        await a.empty()


@pytest.mark.slow
async def test_two_hundred_thousand_other_keys_change_nothing(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """Redis may be late to remove an expired key, but it does not say that it lives."""
    async with raw_redis(own_redis.url) as redis:
        await redis.eval(
            "for i = 1, 200000 do redis.call('SET', 'other:' .. i, i, 'EX', 600 + i % 600) end", 0
        )
        assert await redis.dbsize() >= 200_000
    async with site(redis=own_redis.url, prefix=prefix, idle=2) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, own_redis.url, prefix, 4) < 1


async def test_activity_moves_the_deadline(redis_url: str, prefix: str, transport: str) -> None:
    """Events keep a session alive that silence would have ended; the close comes after the last."""
    async with site(redis=redis_url, prefix=prefix, idle=1, touch_interval=0.1) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            until_then = time.monotonic() + 1.5
            while time.monotonic() < until_then:
                assert await client.emit("get") == ""
                await asyncio.sleep(0.15)  # time itself is under test
            assert await closed_after(a, client, redis_url, prefix, 3) < 1


async def test_events_are_activity_with_interval_too(redis_url: str, prefix: str) -> None:
    """A socket that began as a stranger's, and whose record a request then made a normal one."""
    settings: dict[str, Any] = {"reload": "interval", "idle": 1, "touch_interval": 0.1}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:

        @a.sio.on("bare")
        async def bare(sid: str) -> str:
            return "handled"

        jar = CookieJar()
        async with a.client("websocket", jar) as client:
            await client.connect()
            await a.http(client.cookies).get("/note")  # the cookie comes back
            until_then = time.monotonic() + 2.5
            while time.monotonic() < until_then:
                assert await client.emit("bare") == "handled"
                await asyncio.sleep(0.1)  # time itself is under test
            assert await closed_after(a, client, redis_url, prefix, 3) < 1


async def test_polls_and_pings_are_no_activity(redis_url: str, prefix: str, transport: str) -> None:
    """A client that only answers pings loses its session like a silent one."""
    pings = {"ping_interval": 0.2, "ping_timeout": 5}
    async with site(redis=redis_url, prefix=prefix, idle=1, touch_interval=0.1, server=pings) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await closed_after(a, client, redis_url, prefix, 3) < 1
            assert sum(packet == "2" for packet in client.packets) >= 2


# The watcher


async def test_forged_notices_close_nothing(redis_url: str, prefix: str, transport: str) -> None:
    """Garbage and lies on the channel cost a few questions: the store decides."""
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

            a.manager.store.peek = counted  # type: ignore[assignment, method-assign]
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


async def test_a_killed_subscription_comes_back_and_checks_everything(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """What was missed meanwhile is found as soon as the channel is back."""
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
    """A subscription that is open and silent is noticed by the missing heartbeat."""
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
    """With Redis gone a socket outlives its known deadline by max_unverified, and no more."""
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
    """close() and a new start(): notices, deadlines and the reload work as before."""
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
            await a.manager.destroy(session_id(jar))
            assert await client.wait_for("session_ended") == {"reason": "revoked"}


@pytest.mark.expects_log("sessions could not be looked up")
async def test_a_store_that_raises_anything_does_not_stop_the_watcher(
    redis_url: str, prefix: str
) -> None:
    """An unforeseen error is logged, and the question asked again."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with a.client("websocket", jar) as client:
            await client.connect()
            peek = a.manager.store.peek

            async def broken(ids: object) -> None:
                a.manager.store.peek = peek  # type: ignore[method-assign]
                raise ValueError("unforeseen")

            a.manager.store.peek = broken  # type: ignore[assignment, method-assign]
            await a.manager.destroy(session_id(jar))
            assert await client.wait_for("session_ended") == {"reason": "revoked"}
