"""Processes that were forked: what was made before is theirs, what was used is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.processes import AppProcess
from tests.support.sites import raw_redis, visitor
from tornado_shared_session.testing import CookieJar, SocketIOTestClient
from tornado_shared_session.testing.wire import Response, Wire

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Child(Wire):
    """A connection to one of the two processes."""

    where: Mapping[str, Any]

    async def post(self, jar: CookieJar, target: str, **values: object) -> Response:
        """Post a form as a visitor."""
        headers = {"Cookie": jar.header(), **FORM}
        response = await self.request("POST", target, headers, urlencode(values).encode())
        jar.store(response.headers.get_list("Set-Cookie"))
        return response

    async def get(self, jar: CookieJar, target: str) -> Response:
        """Get a page as a visitor."""
        return await self.request("GET", target, {"Cookie": jar.header()})


@asynccontextmanager
async def forked(
    redis_url: str, prefix: str, how: str, before: str
) -> AsyncIterator[tuple[AppProcess, Child, Child]]:
    """Run the program; yield it with a connection to each child."""
    app = AppProcess(
        "tests.apps.forked",
        *("--redis", redis_url, "--prefix", prefix, "--how", how, "--before", before),
    )
    async with app, AsyncExitStack() as stack:
        found: dict[int, Child] = {}
        async with asyncio.timeout(15):
            while len(found) < 2:
                child = await stack.enter_async_context(await Child.open(app.url))
                child.where = json.loads((await child.request("GET", "/where", {})).body)
                found.setdefault(child.where["pid"], child)
        one, two = found.values()
        yield app, one, two


async def socket_of(
    stack: AsyncExitStack, app: AppProcess, jar: CookieJar, pid: int
) -> SocketIOTestClient:
    """Return a socket that is connected to one of the processes."""
    async with asyncio.timeout(10):
        while True:
            client = await stack.enter_async_context(SocketIOTestClient(app.url, cookies=jar))
            await client.connect()
            if await client.emit("pid") == pid:
                return client
            await client.close()


@pytest.mark.parametrize("before", ["nothing", "closed"])
@pytest.mark.parametrize("how", ["start", "fork"])
async def test_what_was_made_before_the_fork_works_in_each_child(
    redis_url: str, prefix: str, how: str, before: str
) -> None:
    """Sessions are shared, counts exact, notices heard, and each has its own name (F9, T20)."""
    async with forked(redis_url, prefix, how, before) as (app, one, two), AsyncExitStack() as stack:
        assert one.where["pid"] != two.where["pid"]
        jar = CookieJar()
        assert (await one.post(jar, "/note", key="note", value='"hello"')).status == 200
        assert (await two.get(jar, "/note")).body == b'"hello"'

        async def count(child: Child) -> list[int]:
            return [int((await child.post(jar, "/count")).body) for _ in range(50)]

        counts = await asyncio.gather(count(one), count(two))
        assert sorted(counts[0] + counts[1]) == [*range(1, 101)]

        assert (await one.post(jar, "/login", user="ann")).status == 200
        pids = [one.where["pid"], two.where["pid"]]
        sockets = [await socket_of(stack, app, jar, pid) for pid in pids]
        names = [json.loads((await child.get(jar, "/where")).body)["nonce"] for child in (one, two)]
        assert all(names)
        assert names[0] != names[1]
        async with raw_redis(redis_url) as redis:
            assert await redis.pubsub_numsub(f"{prefix}notices:0") == [
                (f"{prefix}notices:0".encode(), 2)
            ]
        done = json.loads((await two.post(CookieJar(), "/endall", user="ann")).body)
        assert done == {"sessions": 1, "sockets": 2, "processes": 2, "of_processes": 2}
        for client in sockets:
            assert await client.wait_for("session_ended") == {"reason": "revoked"}


@pytest.mark.parametrize("before", ["used", "client"])
async def test_what_was_used_before_the_fork_is_a_clear_error_in_each_child(
    redis_url: str, prefix: str, before: str
) -> None:
    """500 and a line with the remedy: never a reply that was the other's (F9, T20)."""
    async with forked(redis_url, prefix, "fork", before) as (app, one, two):
        jar = CookieJar()
        for child in (one, two):
            assert (await child.get(jar, "/where")).status == 200
        jar = await foreign(redis_url, prefix)

        async def ask(child: Child) -> list[int]:
            answers = [await child.get(jar, "/note") for _ in range(5)]
            return [answer.status for answer in answers]

        statuses = await asyncio.gather(ask(one), ask(two))
        assert [*statuses] == [[500] * 5] * 2
        shake = "/socket.io/?EIO=4&transport=polling"
        assert (await one.get(jar, shake)).status == 500
        assert (await two.get(jar, shake)).status == 500
        assert "used in another event loop or process; create one store" in app.stderr
        assert "after forking" in app.stderr


async def test_a_child_that_goes_on_with_its_parents_loop_is_told(
    redis_url: str, prefix: str
) -> None:
    """The loop is the same object, so the fork itself is what counts; the parent goes on (F9)."""
    arguments = ("--redis", redis_url, "--prefix", prefix, "--before", "loop")
    app = AppProcess("tests.apps.forked", *arguments)
    async with app:
        assert (await app.wait_line("parent", timeout=10))["parent"] == "well"
        for key, what in (("manager", "SessionManager"), ("store", "RedisStore")):
            line = await app.wait_line(key)
            assert f"this {what} was used in another event loop or process" in line[key]


async def foreign(redis_url: str, prefix: str) -> CookieJar:
    """Return the cookies of a visitor of a process that was not forked."""
    async with AppProcess("tests.apps.shared", "--redis", redis_url, "--prefix", prefix) as app:
        return await visitor(app.url)
