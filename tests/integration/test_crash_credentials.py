"""A process that is killed leaves whole records, and of each session one credential."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from typing import Any

from tests.support.processes import AppProcess
from tests.support.sites import raw_redis, session_id
from tornado_shared_session.testing import CookieJar, HTTPTestClient

PATHS = ("/login", "/note", "/regenerate", "/note", "/login", "/logout")
WHOLE = {b"\xffm", b"\xffg", b"\xffv", b"\xffa"}


async def test_a_killed_process_leaves_one_credential_and_whole_records(
    redis_url: str, prefix: str
) -> None:
    """kill -9 in the middle of saves, regenerates, logins and logouts, six times (R14, I5)."""
    issued: dict[str, set[str]] = {}  # the cookies of each session
    options = ("--redis", redis_url, "--prefix", prefix)
    for seed in range(6):
        app = AppProcess("tests.apps.shared", *options)
        await app.start()

        async def visit_until_killed(url: str = app.url) -> None:
            jar = CookieJar()
            http = HTTPTestClient(url, cookies=jar)
            with suppress(Exception):  # the connection breaks
                while True:
                    for path in PATHS:
                        response = await http.post(path, {"user": "ann", "value": "1"})
                        assert response.code == 200
                        if "session" in jar:
                            issued.setdefault(session_id(jar), set()).add(jar["session"])

        visitors = [asyncio.ensure_future(visit_until_killed()) for _ in range(12)]
        # Time itself: where in the middle it dies is up to chance.
        await asyncio.sleep(random.Random(seed).uniform(0.2, 0.5))
        await app.kill()
        await asyncio.wait_for(asyncio.gather(*visitors), 10)
    async with raw_redis(redis_url) as redis:
        keys: list[Any] = await redis.keys(f"{prefix}s:*")
        for key in keys:
            assert set(await redis.hgetall(key)) >= WHOLE
            assert await redis.pttl(key) > 0
    alive = {key.decode().rpartition(":")[2] for key in keys}
    assert len(alive & set(issued)) > 12
    rotated = 0
    async with AppProcess("tests.apps.shared", *options) as app:
        for id in alive & set(issued):
            answers = [
                await HTTPTestClient(app.url, cookies={"session": cookie}).get("/whoami")
                for cookie in issued[id]
            ]
            known = [json.loads(answer.body)["id"] for answer in answers]
            assert known.count(id) <= 1
            rotated += len(known) > 1
    assert rotated > 0
