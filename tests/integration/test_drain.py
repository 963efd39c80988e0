"""`drain()`: what has begun is finished, what has not is refused, everybody is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import tornado.web

from tests.support import streams
from tests.support.sites import HeldLoad, Site, raw_redis, session_id, status_of, until
from tests.support.streams import Socket, Stream
from tornado_shared_session import (
    ConfigurationError,
    RedisStore,
    SessionError,
    SessionManager,
    StoreError,
    drain,
)
from tornado_shared_session.draining import Drained
from tornado_shared_session.serializers import MsgpackSerializer
from tornado_shared_session.testing import CookieJar, serve
from tornado_shared_session.testing.wire import Wire

SHUTDOWN = {"reason": "shutdown"}


def draining(a: Site | streams.Site, **options: Any) -> asyncio.Task[Drained]:
    """Start to drain; it goes on beside the test."""
    return asyncio.create_task(drain(a.server.http_server, a.manager, **options))


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
        refused = await one.request("GET", "/socket.io/?EIO=4&transport=polling", cookie)
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


async def test_sockets_are_told_a_few_at_a_time(a: Site) -> None:
    """40 of them at 40 a second take about a second, and end all through it (R17, R21)."""
    clients = [a.client("websocket", await a.visitor()) for _ in range(40)]
    await asyncio.gather(*(client.connect() for client in clients))
    began = time.monotonic()
    ends: list[float] = []

    async def heard(client: Any) -> None:
        await client.wait_for("session_ended")
        ends.append(time.monotonic() - began)

    done = draining(a, pace=40)
    await asyncio.gather(*map(heard, clients))
    assert (await done).sockets == 40
    # Time is what is tested: the jitter moves a batch by half a tick.
    assert 0.8 < max(ends) < 2
    quarters = [sum(n / 4 <= end < (n + 1) / 4 for end in ends) for n in range(4)]
    assert min(quarters) >= 4, quarters
    for client in clients:
        await client.close()


async def test_a_second_call_waits_for_the_first_and_says_the_same(a: Site) -> None:
    """Also afterwards; and the manager may be started again."""
    jar = await a.visitor()
    http = a.http(jar)
    slow = asyncio.create_task(http.post("/slow", {"key": "k", "value": "1"}))
    await until(lambda: a.shared.heard("slow"))
    first, second = draining(a), draining(a)
    impatient = draining(a)
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    a.shared.go.set()
    await slow
    assert await first == await second == await draining(a)
    await a.manager.start()
    assert a.manager.draining is None
    http.close()


async def test_who_waits_for_a_drain_that_is_cancelled_is_told(a: Site) -> None:
    """It does not wait for ever, nor is it told that all went well."""
    slow = asyncio.create_task(a.http(await a.visitor()).post("/slow", {"key": "k", "value": "1"}))
    await until(lambda: a.shared.heard("slow"))
    first, second = draining(a), draining(a)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(SessionError, match="did not end"):
        await second
    a.shared.go.set()
    assert (await slow).code == 200


async def test_what_does_not_end_is_cut_and_counted(a: Site) -> None:
    """A request and an event that hang: the drain is through within its timeout (R21)."""
    jar = await a.visitor()
    http = a.http(jar)
    request = asyncio.create_task(http.post("/slow", {"key": "k", "value": "1"}))
    async with a.client("websocket", jar) as client:
        await client.connect()
        event = asyncio.create_task(client.emit("slow", "k", 1))
        await until(lambda: len(a.shared.heard("slow")) == 2)
        began = time.monotonic()
        result = await drain(a.server.http_server, a.manager, timeout=1.5)
        # Time is what is tested.
        assert 0.9 < time.monotonic() - began < 1.6
        assert await client.wait_for("session_ended") == SHUTDOWN
        assert (result.cut, result.requests, result.sockets) == (2, 0, 1)
        outcomes = await asyncio.gather(request, event, return_exceptions=True)
        assert all(isinstance(one, Exception) for one in outcomes)
    a.shared.go.set()
    await until(lambda: not a.manager.connections.ids())
    http.close()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda server, manager: drain(server, manager, pace=0), "pace=0"),
        (lambda server, manager: drain(server, manager, pace=True), "pace=True"),
        (lambda server, manager: drain(server, manager, timeout=-1), "timeout"),
        (lambda server, manager: drain([manager], manager), "listen"),
        (lambda server, manager: drain(server, server), "SessionManager"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_stops(
    a: Site, call: Callable[[Any, Any], Awaitable[Drained]], said: str
) -> None:
    """Each is named, and the server goes on."""
    with pytest.raises(ConfigurationError, match=said):
        await call(a.server.http_server, a.manager)
    assert json.loads((await a.http(await a.visitor(note="x")).get("/note")).body) == "x"
