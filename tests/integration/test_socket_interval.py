"""reload="interval": events see the session as this process knows it, and that is not for long."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.interval import INTERVAL, SEEN_SOON, note, watched
from tests.support.sites import HeldPeek, Site, eventually, session_id, site, until
from tornado_shared_session.testing import RedisServer

LOAD, SCRIPT = b"HGETALL", b"EVALSHA"


@pytest.fixture
async def a(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The application, whose periodic reload does not come while a test runs."""
    async with site(redis=redis_url, prefix=prefix, reload=INTERVAL) as running:
        yield running


async def test_a_read_asks_redis_for_nothing(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """Not one command: what was loaded at the CONNECT serves every event."""
    async with watched(redis_server, prefix, no_notices=True) as (a, proxy):
        async with a.client(transport, await a.visitor(cart=[1, {"n": 2}])) as client:
            await client.connect()
            proxy.forget()
            for _ in range(5):
                assert await client.emit("get", "cart") == [1, {"n": 2}]
            assert (await client.emit("whoami"))["data"] == {"cart": [1, {"n": 2}]}
            assert not proxy.sent


async def test_a_write_is_one_command_and_the_next_event_sees_it(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """The commit is entered into what is known, so that nothing has to be loaded."""
    async with watched(redis_server, prefix, no_notices=True) as (a, proxy):
        jar = await a.visitor(note=0, gone=1)
        async with a.client(transport, jar) as client:
            await client.connect()
            proxy.forget()
            for value in range(1, 4):
                await client.emit("set", "note", value)
                assert await client.emit("get") == value
            assert (proxy.count(LOAD), proxy.count(SCRIPT)) == (0, 3)
        assert json.loads((await a.http(jar).get("/note")).body) == 3


async def test_what_this_process_writes_is_seen_at_once(a: Site, transport: str) -> None:
    """By a request, by a transaction, and by another socket of the session."""
    jar = await a.visitor(note="old")
    async with a.client(transport, jar) as one, a.client(transport, jar) as two:
        await one.connect()
        await two.connect()
        await a.http(jar).post("/note", {"value": '"by a request"'})
        assert await one.emit("get") == await two.emit("get") == "by a request"
        await one.emit("set", "note", "by a socket")
        assert await two.emit("get") == "by a socket"
        await a.http(jar).post("/count")
        assert await two.emit("get", "count") == 1
        assert [await one.emit("incr"), await two.emit("incr")] == [2, 3]
        assert (await a.http(jar).get("/count")).body == b"3"


async def test_what_others_write_is_seen_within_the_interval(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The periodic reload finds another version, and the next event loads; not before."""
    settings: dict[str, Any] = {"redis": redis_url, "prefix": prefix}
    mine: dict[str, Any] = {"reload": INTERVAL, "reload_interval": SEEN_SOON, "no_notices": True}
    async with site(**settings, **mine) as a, site(**settings) as b:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            peek = HeldPeek(a.manager)
            await peek.reached()
            peek.go.set()
            await a.watcher.look([session_id(jar)])
            await b.http(jar).post("/note", {"value": '"new"'})
            begun = time.monotonic()
            assert await client.emit("get") == "old"

            async def seen() -> bool:
                return bool(await client.emit("get") == "new")

            await eventually(seen)
            assert time.monotonic() - begun < SEEN_SOON + 0.2


async def test_what_a_page_here_loads_is_seen_at_once(
    redis_url: str, prefix: str, transport: str
) -> None:
    """It has asked the store anyway, so the next event sees what others wrote."""
    settings: dict[str, Any] = {"redis": redis_url, "prefix": prefix}
    async with site(**settings, reload=INTERVAL, no_notices=True) as a, site(**settings) as b:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            await b.http(jar).post("/note", {"value": '"new"'})
            assert await client.emit("get") == "old"
            assert (await a.http(jar).get("/note")).body == b'"new"'
            assert await client.emit("get") == "new"


async def test_a_write_meets_what_others_wrote(redis_url: str, prefix: str, transport: str) -> None:
    """The answer to a commit tells a version that was not expected, so the next event loads."""
    settings: dict[str, Any] = {"redis": redis_url, "prefix": prefix}
    async with site(**settings, reload=INTERVAL) as a, site(**settings) as b:
        jar = await a.visitor(note="old")
        async with a.client(transport, jar) as client:
            await client.connect()
            await b.http(jar).post("/note", {"key": "theirs", "value": "1"})
            assert await client.emit("get", "theirs") is None
            await client.emit("set", "note", "mine")
            assert (await client.emit("whoami"))["data"] == {"note": "mine", "theirs": 1}


async def test_a_transaction_begins_with_what_is_known(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """One command if that is right; a conflict, and a load, if others wrote meanwhile."""
    async with watched(redis_server, prefix, no_notices=True) as (a, proxy):
        other = site(redis=proxy.url, prefix=prefix, no_notices=True)
        async with other as b, a.client(transport, jar := await a.visitor()) as client:
            await client.connect()
            proxy.forget()
            assert await client.emit("incr") == 1
            assert (proxy.count(LOAD), proxy.count(SCRIPT)) == (0, 1)
            await b.http(jar).post("/count")
            proxy.forget()
            assert await client.emit("incr") == 3
            assert (proxy.count(LOAD), proxy.count(SCRIPT)) == (1, 2)
            assert await client.emit("get", "count") == 3


async def test_what_an_event_did_not_save_is_nobody_elses(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Each event has an object of its own, also within one event, and values of its own."""
    async with site(redis=redis_url, prefix=prefix, reload=INTERVAL, edit=note) as a:
        async with a.client(transport, await a.visitor(note="old", cart=["a"])) as client:
            await client.connect()
            for _ in range(2):
                assert await client.emit("unsaved") == ["a", "unsaved"]
            assert await client.emit("get", "cart") == ["a"]
            assert await client.emit("get", "other") is None
            assert await client.emit("twice", "new") == ["old", "new", "old"]


async def test_two_events_at_once_keep_each_others_keys(a: Site, transport: str) -> None:
    """The one that began first saves last; neither undoes the other (T25)."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        await client.emit("slow", "slow", 1, ack=False)
        await until(lambda: a.shared.heard("slow"))
        assert await client.emit("set", "quick", 2) == "saved"
        a.shared.go.set()

        async def both() -> bool:
            data = (await client.emit("whoami"))["data"]
            return bool(data == {"note": "", "quick": 2, "slow": 1})

        await eventually(both)
        assert json.loads((await a.http(jar).get("/note?key=slow")).body) == 1
