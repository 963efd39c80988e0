"""`drain()`: what has begun is finished, what has not is refused, everybody is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tornado.web

from tests.support import streams
from tests.support.sites import (
    HeldLoad,
    Site,
    draining,
    raw_redis,
    session_id,
    site,
    status_of,
    until,
)
from tests.support.streams import Socket, Stream
from tornado_shared_session import (
    RedisStore,
    SessionManager,
    StoreError,
    drain,
)
from tornado_shared_session.serializers import MsgpackSerializer
from tornado_shared_session.testing import CookieJar, serve
from tornado_shared_session.testing.wire import Wire

SHUTDOWN = {"reason": "shutdown"}
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


async def stored(redis_url: str, prefix: str, jar: CookieJar, key: str) -> Any:
    """Return what Redis holds under a key of a visitor's session."""
    async with raw_redis(redis_url) as redis:
        found: Any = await redis.hget(f"{prefix}s:{session_id(jar)}", key)
        return None if found is None else MsgpackSerializer().decode(found)


async def test_a_request_under_way_is_answered_and_what_it_wrote_is_stored(
    a: Site, redis_url: str, prefix: str
) -> None:
    """Nobody gets in meanwhile, and the manager is closed only then (R21, T19)."""
    jar = await a.visitor()
    http = a.http(jar)
    slow = asyncio.create_task(http.post("/slow", {"key": "k", "value": "1"}))
    await until(lambda: a.shared.heard("slow"))
    done = draining(a)
    await asyncio.sleep(0)
    with pytest.raises(OSError):
        await Wire.open(a.url)
    await asyncio.sleep(0.2)  # time is meant: it waits for as long as the request takes
    assert not done.done()
    a.shared.go.set()
    assert (await slow).code == 200
    result = await asyncio.wait_for(done, 3)
    assert (result.requests, result.sockets, result.cut) == (1, 0, 0)
    assert await stored(redis_url, prefix, jar, "k") == 1
    with pytest.raises(StoreError, match="closed"):
        await a.manager.resolve([], None)
    http.close()


async def test_requests_that_know_no_session_are_finished_too(redis_url: str) -> None:
    """A handler without the mixin, and one whose body is still on its way (R21, T19)."""
    go, begun = asyncio.Event(), asyncio.Event()

    class Plain(tornado.web.RequestHandler):
        async def get(self) -> None:
            begun.set()
            await go.wait()
            self.write("done")

        def post(self) -> None:
            self.write(str(len(self.request.body)))

    manager = SessionManager(RedisStore(redis_url), secret="s" * 32)
    async with manager, serve(tornado.web.Application([("/", Plain)])) as running:
        async with await Wire.open(running.url) as one, await Wire.open(running.url) as two:
            got = asyncio.create_task(one.request("GET", "/", {}))
            head = f"POST / HTTP/1.1\r\nHost: {two.host}\r\nContent-Length: 6\r\n\r\nabc"
            two.writer.write(head.encode())
            await begun.wait()
            busy = {"/": 2}
            done = asyncio.create_task(drain([running.http_server], manager))
            await asyncio.sleep(0.1)  # time is meant: neither is cut meanwhile
            assert not done.done()
            two.writer.write(b"def")
            assert (await two._response()).body == b"6"
            assert not done.done()
            go.set()
            assert (await got).body == b"done"
            assert (await asyncio.wait_for(done, 3)).requests == busy["/"]
            assert await one.reader.read() == b""  # kept alive until then, and closed


@pytest.mark.expects_log("503 GET")
async def test_a_kept_alive_connection_serves_no_new_socket_and_one_last_request(a: Site) -> None:
    """A handshake is 503 with Retry-After; a request is served, as the last (R21)."""
    jar = await a.visitor(note="old")
    slow = asyncio.create_task(a.http(jar).post("/slow", {"key": "k", "value": "1"}))
    await until(lambda: a.shared.heard("slow"))
    cookie = {"Cookie": jar.header()}
    async with (
        await Wire.open(a.url) as one,
        await Wire.open(a.url) as two,
        await Wire.open(a.url) as idle,
    ):
        for wire in (one, two, idle):
            assert (await wire.request("GET", "/note", cookie)).status == 200
        done = draining(a)
        await asyncio.sleep(0)
        refused = await one.request("GET", HANDSHAKE, cookie)
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.headers["Connection"] == "close"
        assert "Set-Cookie" not in refused.headers
        assert not len(a.manager.connections)
        last = await two.request("GET", "/note", cookie)
        assert (last.body, last.headers["Connection"]) == (b'"old"', "close")
        assert await two.reader.read() == b""
        a.shared.go.set()
        assert (await slow).code == 200
        await asyncio.wait_for(done, 3)
        assert await idle.reader.read() == b""


async def test_every_socket_hears_shutdown_and_may_come_back(a: Site, transport: str) -> None:
    """Told why, not told to stay away, and really closed (R21)."""
    jar = await a.visitor(note="kept")
    async with a.client(transport, jar) as client:
        client.engine.keep_alive = True
        await client.connect()
        result = await asyncio.wait_for(draining(a), 5)
        assert await client.wait_for("session_ended") == SHUTDOWN
        await client.wait_transport_closed()
        assert "server disconnect packet" not in client.closings
        assert (result.sockets, result.cut) == (1, 0)
        assert result.seconds < 3
    assert not any(a.shared.counts().values())


async def test_an_event_under_way_is_acknowledged_before_its_socket_is_told(
    a: Site, transport: str, redis_url: str, prefix: str
) -> None:
    """What is sent after that is not begun (R21)."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        client.engine.keep_alive = True
        await client.connect()
        slow = asyncio.create_task(client.emit("slow", "k", 1))
        await until(lambda: a.shared.heard("slow"))
        done = draining(a)
        await until(lambda: a.connection.leaving)
        late = asyncio.create_task(client.emit("set", "late", 1))
        await asyncio.sleep(0.2)  # time is meant: that nothing happens in it
        assert not done.done()
        assert not client.closings
        a.shared.go.set()
        await slow
        assert await client.wait_for("session_ended") == SHUTDOWN
        assert (await asyncio.wait_for(done, 5)).cut == 0
        assert not late.done() or late.exception()
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
    assert await stored(redis_url, prefix, jar, "k") == 1
    assert await stored(redis_url, prefix, jar, "late") is None
    assert a.shared.heard("set") == []


async def test_an_event_whose_client_has_left_is_let_through(
    a: Site, transport: str, redis_url: str, prefix: str
) -> None:
    """The store is closed only then, so what it saves is stored (R21)."""
    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        await client.emit("slow", "k", 1, ack=False)
        await until(lambda: a.shared.heard("slow"))
    await until(lambda: not len(a.manager.connections))
    done = draining(a)
    await asyncio.sleep(0.2)  # time is meant: it waits for as long as the handler takes
    assert not done.done()
    a.shared.go.set()
    assert (await asyncio.wait_for(done, 3)).cut == 0
    assert await stored(redis_url, prefix, jar, "k") == 1


async def test_plain_websockets_and_streams_end_too(redis_url: str, prefix: str) -> None:
    """With 1001 once its message is handled; an event stream stops whole (R21)."""
    async with streams.site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with (
            await Socket.connect(a.url, "/ws", jar) as idle,
            await Socket.connect(a.url, "/ws", jar) as busy,
            await Stream.begin(a.url, "/events?flush=1", jar) as events,
        ):
            assert await idle.ask("set a b") == "saved"
            await busy.send("slow")
            await a.heard("message", 2)
            assert await events.read_head() == 200
            assert await events.chunk() == b"data: hello\n\n"
            await a.heard("streaming")
            done = draining(a)
            assert await idle.ended() == (1001, "shutdown")
            assert await events.chunk() == b""
            await busy.send("set late x")
            assert not done.done()
            a.streams.go.set()
            assert await asyncio.wait_for(busy.receive(), 3) == "slow"
            assert await busy.ended() == (1001, "shutdown")
            result = await asyncio.wait_for(done, 5)
        assert (result.sockets, result.cut) == (3, 0)
        assert await stored(redis_url, prefix, jar, "slow") == "x"
        assert await stored(redis_url, prefix, jar, "late") is None


@pytest.mark.expects_log("503 GET")
async def test_a_new_websocket_is_refused(redis_url: str, prefix: str) -> None:
    """503 on a connection that is still open; nothing is registered (R21)."""
    async with streams.site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        cookie = {"Cookie": jar.header()}
        async with (
            await Socket.connect(a.url, "/ws", jar) as busy,
            await Socket.open(a.url) as kept,
        ):
            await busy.send("slow")
            await a.heard("message")
            assert (await kept.request("GET", "/note", cookie)).status == 200
            done = draining(a)
            await asyncio.sleep(0)
            refused = await kept.upgrade("/ws", cookie)
            assert (refused.status, refused.headers["Connection"]) == (503, "close")
            a.streams.go.set()
            assert (await asyncio.wait_for(done, 5)).sockets == 1


@pytest.mark.expects_log("503 GET")
async def test_a_client_that_waits_for_its_token_ends_too_and_no_other_gets_in(
    redis_url: str, prefix: str
) -> None:
    """In token mode nothing is stored for who is still to show one (R21)."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        slow = asyncio.create_task(a.http().post("/slow", {"key": "k", "value": "1"}))
        await until(lambda: a.shared.heard("slow"))
        async with a.client("websocket") as client, await Wire.open(a.url) as kept:
            await client.open()
            assert (await kept.request("GET", "/note", {})).status == 200
            done = draining(a)
            await asyncio.sleep(0)
            assert (await kept.request("GET", HANDSHAKE, {})).status == 503
            await client.wait_transport_closed()
            assert "server disconnect packet" not in client.closings
            a.shared.go.set()
            assert (await slow).code == 200
            assert (await asyncio.wait_for(done, 5)).sockets == 1


async def test_a_handshake_under_way_is_let_in_and_told_or_refused_for_now(a: Site) -> None:
    """Its load is held while the drain begins: 200 and shutdown, never a final refusal (R21)."""
    jar = await a.visitor()
    held = HeldLoad(a.manager)
    client = a.client("polling", jar)
    opened = asyncio.create_task(status_of(client))
    await held.reached()
    done = draining(a)
    await asyncio.sleep(0.1)  # time is meant: the drain looks at sockets meanwhile
    assert not opened.done()
    held.go.set()
    assert await opened == 200
    assert (await asyncio.wait_for(done, 5)).sockets == 1


@pytest.mark.expects_log("503 GET")
async def test_a_handshake_that_takes_too_long_is_503(a: Site) -> None:
    """It is ended while it loads; 401 would say that the session is no good (R21)."""
    jar = await a.visitor()
    held = HeldLoad(a.manager)
    opened = asyncio.create_task(status_of(a.client("polling", jar)))
    await held.reached()
    done = draining(a)
    await until(lambda: not len(a.manager.connections))
    assert not opened.done()
    held.go.set()
    assert await opened == 503
    assert (await asyncio.wait_for(done, 5)).cut == 0
