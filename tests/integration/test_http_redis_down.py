"""Promise 4 over HTTP: while Redis cannot be asked, nobody is logged in or out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.apps.web_app import HANDLERS
from tests.support.proxy import FaultProxy
from tests.support.web import Site, site
from tornado_shared_session import RedisStore, SessionMixin
from tornado_shared_session.testing import HTTPTestClient, RedisServer

BOUND = 2.0  # seconds within which everything is answered
USES = ("/", "/cart", "/private", "/polled")


class ErrorPage(SessionMixin, RequestHandler):
    """An error page that shows who is logged in."""

    def get(self) -> None:
        self.write(str(self.current_user))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        assert not self.session  # nothing is known, and the page is about that
        self.write(f"{status_code} for {self.current_user}")
        self.finish()


@pytest.fixture
async def proxy(own_redis: RedisServer) -> AsyncIterator[FaultProxy]:
    """What stands between us and Redis."""
    async with FaultProxy(own_redis.port) as proxy:
        yield proxy


@pytest.fixture
async def served(proxy: FaultProxy) -> AsyncIterator[Site]:
    """The handlers, on Redis behind the proxy."""
    handlers = [*HANDLERS, (r"/error-page", ErrorPage)]
    async with site(handlers, RedisStore(proxy.url), idle_timeout=100, touch_interval=0) as served:
        yield served


async def refused(proxy: FaultProxy, redis: RedisServer) -> None:
    """Redis is not there."""
    await proxy.refuse()


async def black_holed(proxy: FaultProxy, redis: RedisServer) -> None:
    """Connections are accepted, also new ones, and nothing comes back."""
    proxy.black_hole()


async def half_open(proxy: FaultProxy, redis: RedisServer) -> None:
    """Commands arrive, and answers do not."""
    proxy.hold_replies()


async def frozen(proxy: FaultProxy, redis: RedisServer) -> None:
    """The server process stands still."""
    redis.pause()


async def killed(proxy: FaultProxy, redis: RedisServer) -> None:
    """The server process is gone."""
    redis.kill()


OUTAGES: dict[str, Callable[[FaultProxy, RedisServer], Awaitable[None]]] = {
    "refused": refused,
    "black hole": black_holed,
    "half open": half_open,
    "frozen": frozen,
    "killed": killed,
}


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.expects_log("503")
async def test_outage_is_an_explicit_503_and_ends_by_itself(
    outage: str, served: Site, proxy: FaultProxy, own_redis: RedisServer
) -> None:
    """503 with Retry-After within 2 s, cookies untouched; others serve; then all works in 5 s
    (S48, C20, I6, I7, R1, R4).
    """
    visitor = served.visitor()
    await visitor.post("/login", {"user": "ann"})
    await visitor.post("/cart", {"item": "tea"})
    cookie = visitor.cookies["session"]
    await OUTAGES[outage](proxy, own_redis)
    answers = await asyncio.gather(
        *(timed(visitor, path) for path in USES),
        *(timed(visitor, "/", {"note": "lost"}) for _ in range(3)),
        timed(served.visitor(), "/", {"note": "new visitor"}),
        timed(visitor, "/logout", {}),
        timed(visitor, "/login", {"user": "eve"}),
    )
    for answer in answers:
        assert answer.code == 503
        assert answer.headers["Retry-After"] == "1"
        assert "Set-Cookie" not in answer.headers
    for path in ("/untouched", "/unused"):
        assert (await timed(visitor, path)).body == b"ok"
    page = await timed(visitor, "/error-page")
    assert (page.code, page.body) == (503, b"503 for None")
    assert visitor.cookies["session"] == cookie
    await end(proxy, own_redis, outage)
    since = time.monotonic()
    while (response := await visitor.get("/private")).code == 503:
        assert time.monotonic() - since < 5
        await asyncio.sleep(0.05)  # the visitor's own Retry-After, in short
    if outage == "killed":
        # The restarted server is empty: that is a logout, not an error.
        assert response.code == 302
        assert (await visitor.post("/login", {"user": "ann"})).code == 200
    assert (await visitor.get("/private")).body == b"ann"
    assert (await visitor.post("/", {"note": "back"})).code == 200


async def timed(client: HTTPTestClient, path: str, body: Any = None) -> Any:
    """Send a request that must be answered in time."""
    before = time.monotonic()
    response = await client.fetch(path, body=body, method="GET" if body is None else "POST")
    assert time.monotonic() - before < BOUND, path
    return response


async def end(proxy: FaultProxy, redis: RedisServer, outage: str) -> None:
    """End the outage."""
    if outage == "frozen":
        redis.resume()
    elif outage == "killed":
        redis.start()
    await proxy.normal()


@pytest.mark.expects_log("503")
async def test_outage_between_load_and_save_is_a_503(served: Site, proxy: FaultProxy) -> None:
    """The load works and the commit is not answered: 503, never a 200, in 2 s (R1, R10)."""
    visitor = served.visitor()
    await visitor.post("/", {"note": "before"})
    proxy.lose_replies(b"EVAL", count=1)
    lost = await timed(visitor, "/", {"note": "lost reply"})
    assert lost.code == 503
    held = proxy.hold(b"EVAL")
    slow = await timed(visitor, "/", {"note": "never sent"})
    assert slow.code == 503
    assert held.reached.is_set()
    await proxy.normal()
    assert (await visitor.post("/", {"note": "after"})).code == 200


async def test_touch_that_is_not_answered_does_not_fail_a_read(
    served: Site, proxy: FaultProxy
) -> None:
    """If only the deadline cannot be moved, what was read is answered, within 2 s (R3)."""
    visitor = served.visitor()
    await visitor.post("/cart", {"item": "tea"})
    proxy.hold(b"EVAL")
    response = await timed(visitor, "/cart")
    assert (response.code, response.body) == (200, b'{"items": ["tea"]}')
    assert served.kinds == ["created", "store_failed"]
