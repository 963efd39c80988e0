"""The notice channel: anybody may speak on it, it may break, and it may go deaf."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.support.proofs import measured
from tests.support.proxy import FaultProxy
from tests.support.sites import Site, raw_redis, session_id, site, until
from tornado_shared_session.events import REASONS, Reporter
from tornado_shared_session.notices import Answer, Notice, decode
from tornado_shared_session.record import Peek, generate_id
from tornado_shared_session.testing import CookieJar, RedisServer, SocketIOTestClient

MESSAGES = 10_000
CUTS = 100
TRANSPORTS = ("polling", "websocket", "upgrade")
#: The watcher's questions, and the answers to forged ones, are so many a second at most.
PER_SECOND = 1 / 0.005

Visitor = tuple[CookieJar, SocketIOTestClient]


@asynccontextmanager
async def sockets(a: Site, count: int) -> AsyncIterator[list[Visitor]]:
    """Connect visitors, each with a session and a socket."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            jar = await a.visitor(note=number)
            client = a.client(TRANSPORTS[number % 3], jar, timeout=20)
            await stack.enter_async_context(client)
            await client.connect()
            found.append((jar, client))
        await until(lambda: a.watcher.health()["notices"])
        yield found


def peeked(a: Site) -> list[list[str]]:
    """Return what the store is asked about from here on."""
    asked: list[list[str]] = []
    peek = a.manager.store.peek

    async def noted(ids: list[str]) -> list[Peek | None]:
        asked.append(list(ids))
        return await peek(ids)

    a.manager.store.peek = noted  # type: ignore[assignment, method-assign]  # counted for the test
    return asked


async def overheard(a: Site, redis_url: str, channel: str, jar: CookieJar) -> list[bytes]:
    """Return what the channel really carried while a session was rotated and another ended."""
    async with raw_redis(redis_url) as redis, redis.pubsub() as ear:
        await ear.subscribe(channel)
        await a.http(jar).post("/login", {"user": "ann"})
        await a.manager.destroy(session_id(await a.visitor()))
        await a.manager.list_user("ann")
        heard: list[bytes] = []
        async with asyncio.timeout(5):
            while len(heard) < 2:
                message = await ear.get_message(ignore_subscribe_messages=True, timeout=1)
                heard += [message["data"]] if message else []
    reasons = [notice.reason for notice in map(decode, heard) if notice is not None]
    assert reasons == ["rotated", "revoked"]
    return heard


def forged(chance: random.Random, ids: list[str], replayed: list[bytes]) -> bytes:
    """Return one message that an enemy of the visitors might send."""
    some = chance.sample(ids, chance.randint(1, len(ids)))
    strangers = [generate_id() for _ in range(chance.randint(1, 20))]
    nonce = f"{chance.getrandbits(64):x}"
    match chance.randrange(8):
        case 0 | 1:
            return Notice(chance.choice(REASONS), tuple(some)).encode()
        case 2:
            return Notice(chance.choice(REASONS), tuple(some), nonce).encode()
        case 3:
            return Notice("", tuple(some), nonce).encode()
        case 4:
            return Notice(chance.choice(REASONS), tuple(strangers)).encode()
        case 5:
            return Answer(nonce, "who", (chance.randrange(99),)).encode()
        case 6:
            return chance.randbytes(chance.randrange(200))
        case _:
            return chance.choice(replayed)


@pytest.mark.slow
async def test_ten_thousand_forged_or_replayed_messages_close_nothing(
    own_redis: RedisServer, prefix: str
) -> None:
    """Every socket stays, and the store is asked 200 times a second at most (C5, C6)."""
    channel, chance = f"{prefix}notices:0", random.Random(4)
    async with (
        site(redis=own_redis.url, prefix=prefix) as a,
        raw_redis(own_redis.url) as redis,
        sockets(a, 12) as visitors,
        a.client("websocket") as again,
    ):
        # The socket of a session that was rotated, and came back: a replay names it.
        replayed = await overheard(a, own_redis.url, channel, visitors[0][0])
        await visitors[0][1].wait_transport_closed()
        visitors[0] = (visitors[0][0], a.client("websocket", visitors[0][0]))
        await visitors[0][1].connect()
        ids = [session_id(jar) for jar, _ in visitors]
        assert ids[0] in decode(replayed[0]).ids  # type: ignore[union-attr]  # it is a notice
        await again.connect()
        victim = next(one.id for one in a.manager.connections if one.id not in ids)
        asked = peeked(a)
        published = (await redis.info("commandstats"))["cmdstat_publish"]["calls"]
        started = time.monotonic()
        for _ in range(MESSAGES):  # one by one, so that each could be a question of its own
            await redis.publish(channel, forged(chance, ids, replayed))
        # A true notice, after all of the others, is acted upon.
        await a.manager.store.delete(victim)
        await redis.publish(channel, Notice("revoked", (victim,)).encode())
        assert await again.wait_for("session_ended") == {"reason": "revoked"}
        took, peeks = time.monotonic() - started, len(asked)
        answers = (await redis.info("commandstats"))["cmdstat_publish"]["calls"]
        answers -= published + MESSAGES + 1
        for number, (_, client) in enumerate(visitors):
            assert await client.emit("get") == number
            assert client.closings == []
        measured(f"{MESSAGES} forged notices in {took:.1f} s", f"{peeks} peeks, {answers} answers")
        # Questions wait for the watcher, and each look of theirs is one of its peeks.
        assert 1 <= peeks <= took * PER_SECOND + 5
        assert 1 <= answers <= took * PER_SECOND + 5
        assert {id for some in asked for id in some} <= {*ids, victim}
        await visitors[0][1].close()


@pytest.mark.slow
async def test_a_hundred_cuts_are_each_followed_by_a_full_check(
    own_redis: RedisServer, prefix: str
) -> None:
    """However it is cut: what ended unheard closes at once, the others stay (R12)."""
    settings: dict[str, Any] = {"no_deadlines": True, "reload_interval": 600}
    proxy = FaultProxy(own_redis.port)
    async with (
        proxy,
        site(redis=proxy.url, prefix=prefix, **settings) as a,
        raw_redis(own_redis.url) as redis,
        sockets(a, 6) as staying,
    ):
        ids = {session_id(jar) for jar, _ in staying}
        late = []
        asked = peeked(a)
        for number in range(CUTS):
            async with a.client("websocket", await a.visitor()) as client:
                await client.connect()
                (id,) = {one.id for one in a.manager.connections} - ids
                asked.clear()
                if number % 4 == 3:
                    proxy.lose_replies(b"SUBSCRIBE\r\n", count=2)  # it takes three attempts
                await redis.delete(f"{prefix}s:{id}")  # nobody is told
                cut = time.monotonic()
                if number % 2:
                    proxy.reset()
                else:
                    await redis.client_kill_filter(_type="pubsub")
                await client.wait_transport_closed(10)
                late.append(time.monotonic() - cut)
                assert await client.wait_for("session_ended") == {"reason": "expired"}
                assert {*ids, id} in [set(some) for some in asked]
                await until(lambda: len(a.manager.connections) == len(ids))
        late.sort()
        measured(
            f"{CUTS} cuts of the channel, until what was missed is closed",
            f"median {late[CUTS // 2] * 1000:.0f} ms, longest {late[-1] * 1000:.0f} ms",
        )
        assert late[-1] < 5
        assert len(await redis.client_list(_type="pubsub")) == 1
        assert (await a.manager.health())["notices"]
        for number, (_, client) in enumerate(staying):
            assert await client.emit("get") == number
            assert client.closings == []


async def test_deafness_is_noticed_and_told(own_redis: RedisServer, prefix: str) -> None:
    """No heartbeat comes back: health() says so, the reload goes on, then all is heard (R12)."""
    interval = 0.3
    settings: dict[str, Any] = {"no_deadlines": True, "reload_interval": interval}
    proxy = FaultProxy(own_redis.port)
    async with proxy, site(redis=proxy.url, prefix=prefix, **settings) as a, sockets(a, 3) as some:
        kinds: list[str] = []
        a.manager.report = Reporter(lambda event: kinds.append(event.kind))
        assert await a.manager.health() == {"store": "ok", "connections": 3, "notices": True}
        deaf = proxy.hold_replies(b"message")  # the subscription stays open, and says nothing
        await asyncio.wait_for(deaf.reached.wait(), 5)
        since = time.monotonic()
        lost = proxy.hold_replies(b"subscribe")  # so does each one that follows
        async with raw_redis(own_redis.url) as redis:
            await redis.delete(f"{prefix}s:{session_id(some[0][0])}")
        await some[0][1].wait_transport_closed(interval * 1.25 + 1.9)
        await until(lambda: not a.watcher.health()["notices"], 5)
        noticed = time.monotonic() - since
        health = await a.manager.health()
        assert (health["store"], health["notices"]) == ("ok", False)
        deaf.release()
        lost.release()
        await until(lambda: a.watcher.health()["notices"], 5)
        assert [kind for kind in kinds if "notices" in kind] == ["notices_lost", "notices_back"]
        await a.manager.store.delete(session_id(some[1][0]))
        async with raw_redis(own_redis.url) as redis:
            notice = Notice("revoked", (session_id(some[1][0]),))
            await redis.publish(f"{prefix}notices:0", notice.encode())
        assert await some[1][1].wait_for("session_ended") == {"reason": "revoked"}
        measured("deafness noticed", f"{noticed / interval:.1f} x reload_interval")
        assert noticed < 3 * interval + 2


async def test_health_tells_of_a_store_that_is_gone(own_redis: RedisServer, prefix: str) -> None:
    """At once of the store, at the next heartbeat of the notices; and of both when it is back."""
    async with site(redis=own_redis.url, prefix=prefix, reload_interval=1) as a:
        await a.visitor()
        await until(lambda: a.watcher.health()["notices"])
        own_redis.kill()
        assert "cannot be reached" in (await a.manager.health())["store"]
        # By then a heartbeat was due, and none could have been missed twice.
        await until(lambda: not a.watcher.health()["notices"], 2.2)
        own_redis.start()
        await until(lambda: a.watcher.health()["notices"], 5)
        assert (await a.manager.health())["store"] == "ok"
