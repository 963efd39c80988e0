"""The whole application on SQL: HTTP, sockets, logins, in one process and in two."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from tests.support.processes import ROOT, AppProcess, start_apps
from tests.support.sites import Site, session_id, site, until, visitor
from tests.support.sql import tables
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing import (
    ConnectionLost,
    CookieJar,
    HTTPTestClient,
    SocketIOTestClient,
)

# PostgreSQL has the store's own tests; these are about the application.
pytestmark = pytest.mark.parametrize(
    "sql_url", ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)], indirect=True
)

RELOAD = 1.0  # seconds between two reloads of the processes
Apps = list[AppProcess]


@pytest.fixture
async def store(sql_url: str, table_prefix: str) -> AsyncIterator[SQLStore]:
    """A store on each kind of database."""
    async with tables(sql_url, table_prefix) as store:
        yield store


@pytest.fixture
async def a(store: SQLStore) -> AsyncIterator[Site]:
    """The application in this process."""
    async with site(store=store) as running:
        yield running


@pytest.fixture
async def apps(store: SQLStore, sql_url: str, table_prefix: str) -> AsyncIterator[Apps]:
    """Two processes on one database."""
    options = ["--sql", sql_url, "--prefix", table_prefix, "--reload-interval", str(RELOAD)]
    async with start_apps("tests.apps.shared", *options) as both:
        yield both


def client(app: AppProcess, transport: str, jar: CookieJar) -> SocketIOTestClient:
    """Return a Socket.IO client of one process."""
    return SocketIOTestClient(app.url, transport=cast(Any, transport), cookies=jar)


async def login(url: str, jar: CookieJar, user: str = "ann") -> None:
    """Log a visitor in."""
    response = await HTTPTestClient(url, cookies=jar).post("/login", {"user": user})
    assert response.code == 200


async def test_http_and_sockets_share_one_session(a: Site, transport: str) -> None:
    """What one writes the other reads, at once, and counting loses nothing."""
    jar = await a.visitor(note="from HTTP")
    async with a.client(transport, jar) as socket:
        await socket.connect()
        assert await socket.emit("get") == "from HTTP"
        await socket.emit("set", "note", ["from", "socket"])
        assert json.loads((await a.http(jar).get("/note")).body) == ["from", "socket"]
        http = [a.http(jar).post("/count") for _ in range(10)]
        counts = await asyncio.gather(*http, *(socket.emit("incr") for _ in range(10)))
        numbers = [int(getattr(count, "body", count)) for count in counts]
        assert sorted(numbers) == list(range(1, 21))


async def test_logout_closes_the_sockets_of_the_process_at_once(a: Site, transport: str) -> None:
    """They hear why, and the cookie answers no more."""
    jar = await a.visitor(note="x")
    await login(a.url, jar)
    cookie = CookieJar(jar)
    async with a.client(transport, jar) as socket:
        await socket.connect()
        assert (await socket.emit("whoami"))["user"] == "ann"
        started = time.monotonic()
        assert (await a.http(jar).post("/logout")).code == 200
        assert await socket.wait_for("session_ended") == {"reason": "logged_out"}
        await socket.wait_transport_closed()
        assert time.monotonic() - started < 1
    assert json.loads((await a.http(cookie).get("/whoami")).body)["user"] is None
    await a.empty()


async def test_the_sessions_of_a_user_are_listed_and_ended(a: Site) -> None:
    """Log in twice, list both, log out everywhere."""
    jars = [await a.visitor(note="x"), await a.visitor(note="y")]
    for jar in jars:
        await login(a.url, jar)
    listed = [info.id for info in await a.manager.list_user("ann")]
    assert listed == [session_id(jar) for jar in jars]
    assert (await a.manager.destroy_user("ann")).sessions == 2
    assert await a.manager.list_user("ann") == []


async def test_a_login_cuts_off_what_came_in_before_it(a: Site) -> None:
    """The socket of the old credential is closed, and comes back as the user."""
    jar = await a.visitor(note="x")
    async with a.client("websocket", CookieJar(jar)) as old:
        await old.connect()
        await login(a.url, jar)
        assert await old.wait_for("session_ended") == {"reason": "rotated"}
        await old.wait_transport_closed()
    async with a.client("websocket", jar) as new:
        await new.connect()
        assert (await new.emit("whoami"))["user"] == "ann"


async def test_a_session_expires_by_the_clock_of_the_database(store: SQLStore) -> None:
    """Its socket is closed at the deadline, not at the next reload."""
    async with site(store=store, idle=1.0, touch_interval=0.1) as a:
        jar = await a.visitor(note="x")
        async with a.client("websocket", jar) as socket:
            await socket.connect()
            assert await socket.emit("get") == "x"
            started = time.monotonic()
            assert await socket.wait_for("session_ended", timeout=4) == {"reason": "expired"}
            assert 0.5 < time.monotonic() - started < 2.5


async def test_a_missing_table_shows_in_the_log_and_not_to_the_visitor(
    sql_url: str, table_prefix: str, expect_log: Any
) -> None:
    """The operator reads how to create it; the visitor reads 500."""
    expect_log("CREATE TABLE", "500 POST")
    async with site(store=SQLStore(sql_url, prefix=table_prefix)) as a:
        response = await a.http().post("/note", {"value": "1"})
        assert response.code == 500
        assert b"CREATE" not in response.body
        assert "session" not in response.headers.get("Set-Cookie", "")


async def test_the_snippet_in_the_documentation_runs(sql_url: str) -> None:
    """It creates the tables, and the manager serves."""
    page = (ROOT / "docs/operations.md").read_text().partition("## Sessions in SQL")[2]
    (snippet,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[:1]
    snippet = re.sub('URL = ".*?"', f"URL = {sql_url!r}", snippet)
    names: dict[str, Any] = {}
    check = """assert (await sessions.health())["store"] == "ok" #"""
    exec(snippet.replace("...  ", check), names)
    await names["create_tables"]()
    await names["main"]()


async def test_two_processes_share_a_session(apps: Apps) -> None:
    """Written here, read there, at once; writers of different keys lose nothing."""
    one, two = apps
    jar = await visitor(one.url, note="from one")
    https = [HTTPTestClient(app.url, cookies=jar) for app in apps]
    assert json.loads((await https[1].get("/note")).body) == "from one"
    async with client(two, "websocket", jar) as socket:
        await socket.connect()
        for number in range(5):
            await https[0].post("/note", {"value": str(number)})
            assert await socket.emit("get") == number
    await asyncio.gather(
        *(https[n % 2].post("/note", {"key": f"k{n}", "value": str(n)}) for n in range(20))
    )
    values = [json.loads((await https[0].get(f"/note?key=k{n}")).body) for n in range(20)]
    assert values == list(range(20))
    counts = await asyncio.gather(*(https[n % 2].post("/count") for n in range(20)))
    assert sorted(int(count.body) for count in counts) == list(range(1, 21))


async def test_a_logout_reaches_the_other_process_with_its_next_reload(
    apps: Apps, transport: str
) -> None:
    """At once in its own process; elsewhere within `reload_interval` and a second."""
    one, two = apps
    jar = await visitor(one.url, note="x")
    await login(one.url, jar)
    async with client(one, transport, jar) as here, client(two, transport, jar) as there:
        await asyncio.gather(here.connect(), there.connect())
        started = time.monotonic()
        assert (await HTTPTestClient(one.url, cookies=CookieJar(jar)).post("/logout")).code == 200
        assert await here.wait_for("session_ended") == {"reason": "logged_out"}
        await here.wait_transport_closed()
        assert time.monotonic() - started < 1
        assert await there.wait_for("session_ended") == {"reason": "expired"}
        await there.wait_transport_closed()
        assert time.monotonic() - started < RELOAD + 1


async def test_an_event_in_the_other_process_is_refused_before_that(apps: Apps) -> None:
    """Each event looks the session up, so none runs after the end."""
    one, two = apps
    jar = await visitor(one.url, note="x")
    async with client(two, "websocket", jar) as socket:
        await socket.connect()
        assert (await HTTPTestClient(one.url, cookies=CookieJar(jar)).post("/logout")).code == 200
        with pytest.raises((TimeoutError, ConnectionLost)):
            await socket.emit("set", "note", "after the end", timeout=0.5)
        assert not any("set" in line for line in two.lines)
        await until(lambda: socket.closings)
