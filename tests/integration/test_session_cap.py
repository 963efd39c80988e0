"""`max_sessions_per_user` in two processes that share a Redis."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from tests.support.core import visit
from tests.support.processes import start_apps
from tests.support.sites import raw_redis
from tornado_shared_session import RedisStore, SessionManager
from tornado_shared_session.testing import CookieJar, HTTPTestClient, SocketIOTestClient

CAP = 3


async def test_a_hundred_parallel_logins_never_leave_more_than_the_cap(
    redis_url: str, prefix: str, transport: str
) -> None:
    """In two processes; the oldest ends with the reason "replaced" (S21)."""
    options = ("--redis", redis_url, "--prefix", prefix, "--max-sessions", str(CAP))
    async with start_apps("tests.apps.shared", *options) as apps:
        oldest = CookieJar()
        await HTTPTestClient(apps[0].url, cookies=oldest).post("/login", {"user": "ann"})
        kind = cast(Any, transport)
        async with SocketIOTestClient(apps[1].url, transport=kind, cookies=oldest) as client:
            await client.connect()
            browsers = [HTTPTestClient(apps[n % 2].url, cookies=CookieJar()) for n in range(100)]
            answers = await asyncio.gather(
                *(browser.post("/login", {"user": "ann"}) for browser in browsers)
            )
            # 409: there were enough faster ones by the time it was through.
            assert {answer.code for answer in answers} <= {200, 409}
            assert await client.wait_for("session_ended") == {"reason": "replaced"}
            assert await client.wait_closed() == "server disconnect packet"
        asked = await asyncio.gather(*(browser.get("/whoami") for browser in browsers))
        live = [json.loads(answer.body)["user"] for answer in asked].count("ann")
        assert 1 <= live <= CAP
        async with raw_redis(redis_url) as redis:
            keys = await redis.keys(f"{prefix}s:*")
            users = [(await redis.hgetall(key)).get(b"\xffu") for key in keys]
            assert users.count(b"ann") == live


async def test_a_login_with_a_shorter_timeout_does_not_give_way_to_an_older_session(
    redis_url: str, prefix: str
) -> None:
    """As after a deploy that lowered `absolute_timeout`: the newest stays, not the longest."""
    for timeout in (43_200, 3600, 1800):
        async with SessionManager(
            RedisStore(redis_url, prefix=prefix), absolute_timeout=timeout, max_sessions_per_user=1
        ) as manager:
            session, _ = await visit(manager)
            await session.login("ann")
            assert [info.id for info in await manager.list_user("ann")] == [session.id]
