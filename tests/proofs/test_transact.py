"""`transact()` never loses an update: two processes, HTTP and sockets, one counter."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from tests.support.core import again, visit
from tests.support.processes import start_apps
from tests.support.proofs import measured
from tests.support.sites import visitor
from tornado_shared_session import RedisStore, Session, SessionConflict, SessionManager
from tornado_shared_session.testing import CookieJar, HTTPTestClient, SocketIOTestClient

pytestmark = pytest.mark.redis
WRITERS, INCREMENTS = 50, 200
TRANSPORTS = ["websocket", "polling", "upgrade"]


async def by_http(url: str, jar: CookieJar) -> list[int]:
    """Count in a request handler."""
    http = HTTPTestClient(url, cookies=jar, timeout=60)
    counts = []
    for _ in range(INCREMENTS):
        response = await http.post("/count", {})
        assert response.code == 200
        counts.append(int(response.body))
    http.close()
    return counts


async def by_socket(url: str, jar: CookieJar, transport: str) -> list[int]:
    """Count in a socket handler."""
    client = SocketIOTestClient(url, transport=cast(Any, transport), cookies=jar, timeout=60)
    async with client:
        await client.connect()
        return [await client.emit("incr") for _ in range(INCREMENTS)]


async def test_fifty_writers_count_to_exactly_ten_thousand(redis_url: str, prefix: str) -> None:
    """25 requesters and 25 sockets in two processes, 200 times each: no count twice (R11)."""
    settings = ("--redis", redis_url, "--prefix", prefix)
    async with start_apps("tests.apps.shared", *settings) as apps:
        jar = await visitor(apps[0].url)
        began = time.monotonic()
        writers = [by_http(apps[n % 2].url, jar) for n in range(WRITERS // 2)]
        writers += [
            by_socket(apps[n % 2].url, jar, TRANSPORTS[n % 3])
            for n in range(WRITERS - WRITERS // 2)
        ]
        counts = await asyncio.gather(*writers)
        took = time.monotonic() - began
        total = WRITERS * INCREMENTS
        assert sorted(count for some in counts for count in some) == list(range(1, total + 1))
        http = HTTPTestClient(apps[1].url, cookies=jar)
        assert (await http.get("/count")).body == b"10000"
        http.close()
    measured("50 writers in two processes", f"exactly 10,000 in {took:.1f} s")


async def test_whoever_cannot_win_gives_up_in_bounded_time(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a rival that always is faster: SessionConflict, after pauses with jitter (R11)."""
    # Luck that always draws the shortest pause: where there is jitter, that is none.
    monkeypatch.setattr(random, "random", lambda: 0.0)
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(SessionManager(RedisStore(redis_url, prefix=prefix)))
            for _ in range(2)
        ]
        session, paper = await visit(one, n=0)
        starts: list[float] = []
        ends: list[float] = []

        async def overtaken(copy: Session) -> None:
            starts.append(time.monotonic())
            copy["n"] += 1000
            rival, _ = await again(other, paper)
            await rival.transact(lambda session: session.update(n=session["n"] + 1))
            ends.append(time.monotonic())

        with pytest.raises(SessionConflict):
            await session.transact(overtaken)
        runs = len(starts)
        assert 10 <= runs <= 100
        assert (await again(one, paper))[0]["n"] == runs
        pauses = [start - end for start, end in zip(starts[1:], ends, strict=False)]
        # Time itself is in question: without jitter the later ones last 50 ms each.
        assert min(pauses[8:]) < 0.04
        measured("transact() against a faster rival", f"gives up after {runs} attempts")
