"""One manager and several event loops; and a process that starts itself anew."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from sqlalchemy.ext.asyncio import create_async_engine
from tornado.web import Application, RequestHandler

from tests.apps.streams import build, options
from tests.support.processes import AppProcess
from tests.support.programs import free_port
from tests.support.sites import Site, raw_redis, session_id, until, until_subscribers, visitor
from tests.support.streams import Site as StreamSite
from tests.support.streams import Socket
from tornado_shared_session import (
    ConfigurationError,
    MemoryStore,
    RedisStore,
    SessionManager,
    SessionMixin,
    Store,
    StoreError,
)
from tornado_shared_session.notices import Notice
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing import CookieJar, HTTPTestClient, SocketIOTestClient, serve
from tornado_shared_session.watcher import watch

SECRET = "a secret that both loops know, and nobody else"
Make = Callable[[str, str, Path], Store]


def sql(url: str, prefix: str, path: Path) -> Store:
    """Return a store in SQLite."""
    return SQLStore(f"sqlite+aiosqlite:///{path}/sessions.db")


STORES: dict[str, Make] = {
    "memory": lambda url, prefix, path: MemoryStore(),
    "redis": lambda url, prefix, path: RedisStore(url, prefix=prefix),
    "sql": sql,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, redis_url: str, prefix: str, tmp_path: Path) -> Store:
    """Run the test on each kind of store."""
    return STORES[request.param](redis_url, prefix, tmp_path)


async def use(manager: SessionManager) -> None:
    """Do what a request does."""
    await manager.resolve([], None)


async def load(store: Store) -> None:
    """Ask the store itself."""
    await store.load("A" * 22)


def in_a_thread(work: Callable[[], Coroutine[Any, Any, None]]) -> Coroutine[Any, Any, None]:
    """Run something in another event loop, in another thread."""
    return asyncio.to_thread(lambda: asyncio.run(work()))


async def test_a_manager_in_use_is_refused_to_another_loop(store: Store) -> None:
    """In a thread: an error with the remedy, also for a close; here it goes on (T20)."""
    manager = SessionManager(store, secret=SECRET)
    async with manager:
        draining = manager.draining = asyncio.get_running_loop().create_future()
        for work in (lambda: use(manager), manager.start, manager.close):
            with pytest.raises(ConfigurationError, match=r"per event loop.*close it there first"):
                await in_a_thread(work)
        assert manager.draining is draining  # refused, so nothing has changed
        if isinstance(store, RedisStore):  # by itself too, for what has a session already
            await store.load("A" * 22)
            with pytest.raises(ConfigurationError, match=r"RedisStore .* another event loop"):
                await in_a_thread(lambda: load(store))
        await use(manager)
    await in_a_thread(manager.start)  # closed here, so it may run there


class Page(SessionMixin, RequestHandler):
    """Begins a session."""

    def get(self) -> None:
        self.session["x"] = 1


class Stream(Page):
    """Ends with its session, so somebody has to watch over that."""

    close_on_end = True


@pytest.mark.expects_log("ConfigurationError", required=False)
@pytest.mark.expects_log("500 GET")
async def test_a_stream_in_another_loop_leaves_this_one_its_watcher() -> None:
    """It is refused before it has begun to be watched there (T20)."""
    manager = SessionManager(MemoryStore(), secret=SECRET)
    handlers: list[Any] = [("/", Stream), ("/page", Page)]
    app = Application(handlers, session_manager=manager)
    async with manager, serve(app) as here:
        jar = CookieJar()
        await HTTPTestClient(here.url, cookies=jar).get("/page")

        async def elsewhere() -> None:
            async with serve(app) as there:
                assert (await HTTPTestClient(there.url, cookies=jar).get("/")).code == 500

        await in_a_thread(elsewhere)
        assert (await HTTPTestClient(here.url, cookies=jar).get("/")).code == 200
        assert watch(manager)._running


@pytest.mark.parametrize("late", ["health", "destroy", "list_user"])
def test_what_comes_after_the_close_opens_nothing(store: Store, late: str) -> None:
    """A StoreError, as for requests, so that the next event loop may begin anew (T20)."""
    manager = SessionManager(store, secret=SECRET)
    holds = not isinstance(store, MemoryStore)  # connections

    async def close_too_early() -> None:
        async with manager:
            await use(manager)
        with pytest.raises(StoreError, match="closed") if holds else nullcontext():
            said = await getattr(manager, late)(*() if late == "health" else ("A" * 22,))
            if late == "health" and said["store"] != "ok":
                raise StoreError(said["store"])

    async def next_time() -> None:
        async with manager:
            await use(manager)

    asyncio.run(close_too_early())
    asyncio.run(next_time())


@pytest.mark.expects_log("Uncaught exception", "500 GET")
async def test_requests_of_a_second_loop_are_500_and_disturb_nobody(a: Site) -> None:
    """A server in a thread that serves the same application (T20, F9)."""
    jar = await a.visitor(note="mine")

    async def elsewhere() -> None:
        async with serve(a.shared.app) as other:
            http = HTTPTestClient(other.url, cookies=jar)
            codes = [(await http.get("/note")).code for _ in range(3)]
            codes.append((await http.get("/socket.io/?EIO=4&transport=polling")).code)
            http.close()
            assert codes == [500] * 4

    async with a.client("websocket", jar) as client:
        await client.connect()
        await in_a_thread(elsewhere)
        assert await client.emit("get") == "mine"
        assert len(a.manager.connections) == 1


def test_loops_one_after_the_other_work_if_it_was_closed_in_between(
    redis_url: str, prefix: str
) -> None:
    """Two asyncio.run() with one manager: requests, sockets and notices as in the first (T20)."""
    streams = build(options(redis=redis_url, prefix=prefix))

    async def visit() -> None:
        async with streams.manager, serve(streams.app) as running:
            a = StreamSite(streams, running)
            jar = await a.visitor()
            async with await Socket.connect(a.url, "/ws", jar) as socket:
                assert await socket.ask("set a b") == "saved"
                # The look at all sessions that begins with the subscription is through.
                id = session_id(jar)
                await until(lambda: watch(a.manager).health()["notices"])
                await watch(a.manager).look([id])
                revoked = asyncio.create_task(a.manager.destroy_user("nobody"))
                # As another process ends it: destroy() would close the socket by itself.
                await a.manager.store.delete(id)
                await a.manager.store.publish(Notice("revoked", (id,)).encode())
                assert await socket.ended() == (1008, "revoked")
                await revoked
            assert (await a.manager.health())["notices"] is True
            await a.empty()

    asyncio.run(visit())
    asyncio.run(visit())


def test_a_loop_after_one_that_was_not_closed_is_an_error(store: Store) -> None:
    """It names the remedy; nothing is waited for that cannot come any more (T20)."""
    manager = SessionManager(store, secret=SECRET)
    asyncio.run(manager.start())
    with pytest.raises(ConfigurationError, match="close it there first"):
        asyncio.run(use(manager))


@pytest.mark.parametrize("yours", ["client", "engine"])
def test_what_is_built_on_connections_of_yours_asks_for_new_ones(
    redis_url: str, prefix: str, tmp_path: Path, yours: str
) -> None:
    """A close leaves those open, so it does not free a store for the next loop, nor is it
    advised (T20).
    """

    def make() -> tuple[Store, Callable[[], Coroutine[Any, Any, None]]]:
        if yours == "client":
            client = redis.asyncio.Redis.from_url(redis_url)
            return RedisStore(client, prefix=prefix), client.aclose
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/sessions.db")
        return SQLStore(engine), engine.dispose

    async def visit(store: Store, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if isinstance(store, SQLStore):
            await store.create_tables()
        async with SessionManager(store, secret=SECRET):
            await store.load("A" * 22)
        await close()

    first = make()
    asyncio.run(visit(*first))
    with pytest.raises(ConfigurationError, match=f"each on a new {yours}") as refused:
        asyncio.run(visit(*first))
    assert "close it there" not in str(refused.value)
    asyncio.run(visit(*make()))


async def test_autoreload_loses_no_session_and_leaves_nothing_behind(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """A file is touched three times: sockets come back, files and listeners stay (T22)."""
    watched = tmp_path / "code.py"
    watched.write_text("")
    app = AppProcess(
        "tests.apps.reloading",
        *("--redis", redis_url, "--prefix", prefix, "--watch", str(watched)),
        *("--port", str(free_port())),
    )
    async with app, raw_redis(redis_url) as redis:
        jar = await visitor(app.url, note="kept")
        times, channel = itertools.count(1), f"{prefix}notices:0"
        for _ in range(3):
            client = SocketIOTestClient(app.url, cookies=jar)
            async with client:
                await client.connect()
                assert await client.emit("get") == "kept"
                await until_subscribers(redis, channel, 1)  # Redis knows of one listener only
                async with asyncio.timeout(10):
                    while not client.closings:  # the first change may be what is seen first
                        os.utime(watched, (0, next(times)))
                        await asyncio.sleep(0.2)  # Tornado looks at the times twice a second
                assert await client.wait_transport_closed() == "transport close"
                assert "server disconnect packet" not in client.closings
            again = await app.wait_line("port", timeout=20)
            assert again == app.ready  # the same process, port, and number of open files
        assert await visitor(app.url)
