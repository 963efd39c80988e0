"""A stream and an end at the same instant, and ends that a stream causes itself."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.apps.streams import Events
from tests.support.sites import HeldLoad, session_id, until
from tests.support.streams import Site, Stream, site
from tornado_shared_session.connections import Phase
from tornado_shared_session.testing import RedisServer
from tornado_shared_session.watcher import watch

APP = "tests.apps.streams"
RELOAD_ALONE: dict[str, Any] = {"no_notices": True, "no_deadlines": True, "reload_interval": 1}
HELLO = b"data: hello\n\n"


# The same instant -----------------------------------------------------------------------


async def looked_at(a: Site, reason: str, id: str) -> None:
    """Give notice, and wait until the watcher has acted on what the store says."""
    peek, acted = a.manager.store.peek, asyncio.Event()

    async def seen(ids: Any) -> Any:
        result = await peek(ids)
        if id in ids:
            asyncio.get_running_loop().call_soon(acted.set)
        return result

    a.manager.store.peek = seen  # type: ignore[method-assign]  # this is the barrier
    await a.manager.announce(reason, [id])
    await asyncio.wait_for(acted.wait(), 3)


@pytest.mark.parametrize("how", ["logout", "login"])
async def test_an_end_meets_a_request_that_is_loading(
    redis_url: str, prefix: str, how: str
) -> None:
    """Registered before the load: the load's old answer starts no stream."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        load = HeldLoad(a.manager)
        async with await Stream.begin(a.url, "/events?flush=1", dict(jar)) as stream:
            await load.reached()
            (connection,) = a.manager.connections
            await a.post(f"/do/{how}", jar)
            await until(lambda: connection.phase is Phase.ENDED or connection.minimum == 2)
            load.go.set()
            assert await stream.read_head() == 401
        assert not len(a.manager.connections)
        assert a.streams.heard("streaming") == []


async def test_a_client_that_leaves_while_it_loads_is_forgotten(
    redis_url: str, prefix: str
) -> None:
    """Though its handler does not care, and goes on."""

    class Deaf(Events):
        def on_connection_close(self) -> None:
            pass

    async with site(redis=redis_url, prefix=prefix) as a:
        a.streams.app.add_handlers(r".*", [(r"/deaf", Deaf)])
        jar = await a.visitor()
        load = HeldLoad(a.manager)
        async with await Stream.begin(a.url, "/deaf", jar):
            await load.reached()
        await until(lambda: all(one.closed() for one in a.server.http_server.streams))
        load.go.set()
        await a.heard("streaming")
        assert not len(a.manager.connections)
        a.streams.go.set()
        await a.heard("finished")


async def test_a_store_that_is_down_is_a_503(
    own_redis: RedisServer, prefix: str, expect_log: Any
) -> None:
    """A stream that nobody could end does not begin."""
    expect_log("503 GET")
    async with site(redis=own_redis.url, prefix=prefix) as a:
        jar = await a.visitor()
        own_redis.stop()
        async with await Stream.begin(a.url, "/events?flush=1", jar) as stream:
            assert await stream.read_head() == 503
            assert b"Retry-After: 1" in stream.head
        assert not len(a.manager.connections)


@pytest.mark.parametrize("query", ["flush=1&", ""])
async def test_the_response_with_the_new_credential_goes_on(
    redis_url: str, prefix: str, query: str
) -> None:
    """A login inside such a handler ends the other streams of the old credential, not its own."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with (
            await Stream.begin(a.url, "/events?flush=1", jar) as other,
            await Stream.begin(a.url, f"/events?{query}login=ann", jar, "POST") as own,
        ):
            await a.heard("streaming", 2)
            if not query:
                # What tells the others, once the head has left; here before.
                await looked_at(a, "rotated", session_id(jar))
            await other.read_head()
            assert [await other.chunk(), await other.chunk()] == [HELLO, b""]
            assert [c.generation for c in a.manager.connections if c.phase is Phase.OPEN] == [2]
            a.streams.go.set()
            assert await own.read_head() == 200
            assert b"Set-Cookie" in own.head
            await a.empty()


async def test_a_reload_in_the_middle_of_a_login_ends_nothing(redis_url: str, prefix: str) -> None:
    """The store has the new generation, and the handler does not know it yet."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        commit, go, committed = a.manager.store.commit, asyncio.Event(), asyncio.Event()

        async def held(delta: Any) -> Any:
            result = await commit(delta)
            if delta.meta is not None:
                committed.set()
                await go.wait()
            return result

        a.manager.store.commit = held  # type: ignore[method-assign]  # this is the barrier
        async with await Stream.begin(a.url, "/events?flush=1&login=ann", jar) as own:
            await asyncio.wait_for(committed.wait(), 3)
            await looked_at(a, "rotated", session_id(jar))
            (connection,) = a.manager.connections
            assert connection.phase is Phase.OPEN
            go.set()
            assert await own.read_head() == 200
            assert await own.chunk() == HELLO
            # And it is followed under its new credential.
            await until(lambda: connection.generation == 2)
            await a.manager.destroy(session_id(jar))
            assert await own.chunk() == b""


async def test_a_rotation_elsewhere_during_a_save_ends_the_stream(
    redis_url: str, prefix: str
) -> None:
    """The save may have been a login of its own, so it is looked at again after it."""
    async with site(redis=redis_url, prefix=prefix, **RELOAD_ALONE | {"reload_interval": 15}) as a:
        jar = await a.visitor()
        async with await Stream.begin(a.url, "/events?flush=1", dict(jar)) as stream:
            await stream.read_head()
            assert await stream.chunk() == HELLO
            (connection,) = a.manager.connections
            assert connection.session is not None
            async with connection.session._alone():
                await a.post("/do/login", jar)
                lock = connection.session._alone()
                await until(lambda: lock._waiters)  # the one that looks again
                assert connection.phase is Phase.OPEN
            assert await stream.chunk() == b""


async def test_a_session_that_began_with_the_stream_ends_it(redis_url: str, prefix: str) -> None:
    """The cookie is in the stream's own head."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with await Stream.begin(a.url, "/events?flush=1&change=x") as stream:
            await stream.read_head()
            assert b"Set-Cookie" in stream.head
            id = await a.heard("streaming")
            assert await stream.chunk() == HELLO
            assert await a.manager.destroy(id)
            assert await stream.chunk() == b""


async def test_a_handler_may_end_its_own_session(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its response is the one that clears the cookie, and ends once its head has left."""

    class Farewell(Events):
        async def get(self) -> None:
            await self.session.destroy()
            streams = self.settings["streams"]
            streams.tell(destroyed=True)
            await streams.go.wait()
            self.write("data: hello\n\n")
            await self.flush()
            await self.gone.wait()

    async with site(redis=redis_url, prefix=prefix) as a:
        a.streams.app.add_handlers(r".*", [(r"/farewell", Farewell)])
        jar = await a.visitor()
        # Neither the look that comes with the subscription nor the notice, which comes back
        # from Redis when it likes, is to end the stream here.
        await until(lambda: watch(a.manager).health()["notices"])
        monkeypatch.setattr(a.manager.store, "publish", AsyncMock())
        async with await Stream.begin(a.url, "/farewell", jar) as stream:
            await a.heard("destroyed")
            await looked_at(a, "logged_out", session_id(jar))
            a.streams.go.set()
            assert await stream.read_head() == 200
            assert b"Max-Age=0" in stream.head
            assert [await stream.chunk(), await stream.chunk()] == [HELLO, b""]
        await a.empty()


@pytest.mark.expects_log("503 GET")
async def test_shutdown_ends_streams(redis_url: str, prefix: str) -> None:
    """A stream stops; a long poll is told to come back, for its session lives on."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with (
            await Stream.begin(a.url, "/events?flush=1", jar) as stream,
            await Stream.begin(a.url, "/events", jar) as poll,
        ):
            await a.heard("streaming", 2)
            await a.manager.close()
            await stream.read_head()
            assert [await stream.chunk(), await stream.chunk()] == [HELLO, b""]
            assert await poll.read_head() == 503
