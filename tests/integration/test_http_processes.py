"""One session in two server processes, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.processes import AppProcess
from tests.support.proxy import FaultProxy
from tests.support.web import COOKIE, cookie_of
from tornado_shared_session.testing import CookieJar, HTTPTestClient, RedisServer


@dataclass
class Pair:
    """Two processes: A speaks to Redis through a proxy, B directly. One browser at both."""

    a: HTTPTestClient
    b: HTTPTestClient
    proxy: FaultProxy

    def with_cookie(self, cookie: str) -> list[HTTPTestClient]:
        """Return, for each process, a browser that has this cookie."""
        return [HTTPTestClient(one.url, cookies={COOKIE: cookie}) for one in (self.a, self.b)]


@asynccontextmanager
async def started(redis: RedisServer, prefix: str) -> AsyncIterator[Pair]:
    """Start the two processes."""
    module = "tests.apps.web_app"
    async with FaultProxy(redis.port) as proxy:
        a = AppProcess(module, "--redis", proxy.url, "--prefix", prefix)
        b = AppProcess(module, "--redis", redis.url, "--prefix", prefix)
        async with a, b:
            jar = CookieJar()
            pair = Pair(
                HTTPTestClient(a.url, cookies=jar), HTTPTestClient(b.url, cookies=jar), proxy
            )
            yield pair
            pair.a.close()
            pair.b.close()


@pytest.fixture
async def pair(redis_server: RedisServer, prefix: str) -> AsyncIterator[Pair]:
    """The two processes."""
    async with started(redis_server, prefix) as pair:
        yield pair


async def data(client: HTTPTestClient) -> dict[str, Any]:
    """Return what the client's session holds."""
    response = await client.get("/")
    assert response.code == 200
    found: dict[str, Any] = json.loads(response.body)["data"]
    return found


async def test_value_set_in_one_process_is_read_in_the_other_at_once(pair: Pair) -> None:
    """What A has answered for, B reads with the very next request, and the reverse."""
    for number in range(20):
        writer, reader = (pair.a, pair.b) if number % 2 else (pair.b, pair.a)
        assert (await writer.post("/", {"note": number})).code == 200
        assert await data(reader) == {"note": str(number)}


async def test_overlapping_writers_of_different_keys_lose_nothing(pair: Pair) -> None:
    """Two requests, each loaded before the other has saved, keep both keys."""
    await pair.a.post("/", {"start": "1"})
    held = pair.proxy.hold(b"EVALSHA")
    slow = asyncio.create_task(pair.a.post("/", {"from_a": "1"}))
    await asyncio.wait_for(held.reached.wait(), 5)
    assert (await pair.b.post("/", {"from_b": "1"})).code == 200
    held.release()
    assert (await slow).code == 200
    assert await data(pair.b) == {"start": "1", "from_a": "1", "from_b": "1"}


async def test_many_overlapping_writers_lose_nothing(pair: Pair) -> None:
    """Forty concurrent requests in two processes leave forty keys and an exact count (I2)."""
    await pair.a.post("/", {"start": "1"})
    await asyncio.gather(
        *(one.post("/", {f"{name}{n}": "1"}) for name, one in both(pair) for n in range(20)),
        *(one.post("/count") for _, one in both(pair) for n in range(10)),
    )
    found = await data(pair.b)
    assert found.pop("count") == 20
    assert set(found) == {"start"} | {f"{name}{n}" for name in "ab" for n in range(20)}


def both(pair: Pair) -> list[tuple[str, HTTPTestClient]]:
    """Return the two, with their names."""
    return [("a", pair.a), ("b", pair.b)]


async def test_slow_handler_that_saves_after_a_logout_does_not_resurrect(pair: Pair) -> None:
    """A save that reaches Redis after the logout is a 409, and no key comes back (S19)."""
    await pair.a.post("/", {"start": "1"})
    cookie = pair.a.cookies[COOKIE]
    held = pair.proxy.hold(b"EVALSHA")
    slow = asyncio.create_task(pair.with_cookie(cookie)[0].post("/", {"late": "1"}))
    await asyncio.wait_for(held.reached.wait(), 5)
    out = await pair.b.post("/logout")
    assert out.code == 200
    assert "Max-Age=0" in out.headers["Set-Cookie"]
    assert COOKIE not in pair.b.cookies
    held.release()
    assert (await slow).code == 409
    for one in pair.with_cookie(cookie):
        shown = await one.get("/")
        assert json.loads(shown.body) == {"user": None, "new": True, "data": {}}


@pytest.mark.parametrize("path", ["/login", "/regenerate"])
async def test_rotation_refuses_the_old_cookie_at_once_in_both_processes(
    pair: Pair, path: str
) -> None:
    """login() and regenerate() set a new cookie for the same id; the old one is superseded
    (S5, V7.2.4).
    """
    await pair.a.post("/login", {"user": "ann"})
    await pair.a.post("/", {"note": "kept"})
    old = pair.a.cookies[COOKIE]
    before = json.loads((await pair.b.post("/login", {"user": "ann"})).body)["id"]
    old, older = pair.b.cookies[COOKIE], old
    response = await pair.a.post(path, {"user": "ann"})
    assert response.code == 200
    new = cookie_of(response)
    assert new not in ("", old)
    assert json.loads(response.body)["id"] == before
    for one in pair.with_cookie(old) + pair.with_cookie(older):
        read = await one.get("/")
        assert json.loads(read.body) == {"user": None, "new": False, "data": {}}
        denied = await one.get("/private")
        assert denied.code == 302
        assert denied.headers["Location"].startswith("/login?")
        for act in ("/", "/login", "/regenerate", "/logout", "/count"):
            written = await one.post(act, {"user": "eve", "note": "stolen"})
            assert written.code == 409, act
            assert "Set-Cookie" not in written.headers
        for answer in (read, denied):
            assert "Set-Cookie" not in answer.headers
    for one in pair.with_cookie(new):
        assert (await one.get("/private")).body == b"ann"
        assert await data(one) == {"note": "kept"}


async def test_request_that_loaded_the_old_generation_cannot_commit(pair: Pair) -> None:
    """A save held back at Redis while the user logs in elsewhere is a 409 and sets no cookie."""
    await pair.a.post("/", {"note": "before"})
    cookie = pair.a.cookies[COOKIE]
    held = pair.proxy.hold(b"EVALSHA")
    slow = asyncio.create_task(pair.with_cookie(cookie)[0].post("/", {"note": "planted"}))
    await asyncio.wait_for(held.reached.wait(), 5)
    assert (await pair.b.post("/login", {"user": "ann"})).code == 200
    held.release()
    refused = await slow
    assert refused.code == 409
    assert "Set-Cookie" not in refused.headers
    assert await data(pair.b) == {"note": "before"}


async def test_logout_in_one_process_ends_the_session_in_the_other(pair: Pair) -> None:
    """After the logout in A, B treats the cookie as unknown and starts anew on a write
    (C17, V7.4.1).
    """
    await pair.a.post("/login", {"user": "ann"})
    cookie = pair.a.cookies[COOKIE]
    await pair.a.post("/logout")
    (_, other) = pair.with_cookie(cookie)
    assert (await other.get("/private")).code == 302
    fresh = await other.post("/", {"note": "mine"})
    assert fresh.code == 200
    assert cookie_of(fresh) not in ("", cookie)
    assert await data(other) == {"note": "mine"}
