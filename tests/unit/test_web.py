"""The mixin, on a store in memory: loading, statuses, headers, activity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from tests.apps.web_app import HANDLERS
from tests.support.web import COOKIE, SECRET, ProbeStore, cookie_of, site
from tornado_shared_session import (
    ConfigurationError,
    SerializationError,
    SessionConflict,
    SessionEnded,
    SessionManager,
    SessionMixin,
    StoreError,
)
from tornado_shared_session.testing import FakeClock, HTTPTestClient, serve


def shown(response: HTTPResponse) -> Any:
    """Return what a JSON page says."""
    assert response.code == 200, response.body
    return json.loads(response.body)


# Who is a visitor ---------------------------------------------------------


async def test_visitor_who_does_not_touch_the_session_costs_nothing() -> None:
    """No cookie, no record, no question to the store."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        for path in ("/untouched", "/unused"):
            response = await served.visitor().get(path)
            assert response.body == b"ok"
            assert "Set-Cookie" not in response.headers
            assert "Vary" not in response.headers
    assert not store.calls


async def test_visitor_who_only_reads_costs_nothing() -> None:
    """Reading an empty session makes no cookie and no record, however often (S46, V7.6.2)."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        for path in ("/", "/cart", "/", "/private"):
            response = await visitor.get(path)
            assert "Set-Cookie" not in response.headers
            assert response.headers["Vary"] == "Cookie"
    assert not store.calls


async def test_visitor_who_writes_gets_one_cookie_and_one_record() -> None:
    """The first write makes both; later requests make neither."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        first = await visitor.post("/", {"note": "x"})
        assert len(first.headers.get_list("Set-Cookie")) == 1
        for _ in range(3):
            assert "Set-Cookie" not in (await visitor.post("/", {"note": "y"})).headers
        assert shown(await visitor.get("/"))["data"] == {"note": "y"}
    assert store.calls["create"] == 1
    assert repr(store) == "<MemoryStore 1 records>"


async def test_anonymous_logout_leaves_no_trace() -> None:
    """destroy() of a session that was never stored makes no record and no cookie (S46)."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        response = await served.visitor().post("/logout")
        assert response.code == 200
        assert "Set-Cookie" not in response.headers
    assert not store.calls


async def test_logout_clears_the_cookie_with_its_attributes() -> None:
    """The cookie that ends the session has the name, path and flags of the one that began it
    (S18).
    """
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        begun = (await visitor.post("/login", {"user": "ann"})).headers["Set-Cookie"]
        out = await visitor.post("/logout")
        assert shown(out) == {"current_user": None}
        ended = out.headers["Set-Cookie"]
        assert ended.startswith(f"{COOKIE}=; Max-Age=0; ")
        assert begun.partition("; ")[2] == "Path=/; HttpOnly; SameSite=Lax"
        assert ended.endswith("Path=/; HttpOnly; SameSite=Lax")


async def test_first_request_starts_the_manager_also_for_a_new_visitor() -> None:
    """Nobody has to open the manager by hand: the store is open before the first write."""

    class Opened(ProbeStore):
        async def open(self) -> None:
            self.calls["open"] += 1

    store = Opened()
    sessions = SessionManager(store)
    app = Application(HANDLERS, cookie_secret=SECRET, session_manager=sessions)
    async with serve(app) as server:
        client = HTTPTestClient(server.url)
        assert (await client.post("/login", {"user": "ann"})).code == 200
        client.close()
    await sessions.close()
    assert next(iter(store.calls)) == "open"
    assert store.calls["open"] == 1


# What a response says to caches --------------------------------------------


async def test_response_that_sets_the_cookie_is_not_cacheable() -> None:
    """Set-Cookie comes with no-store; whatever used the session varies by Cookie (S39)."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        for path in ("/", "/login", "/regenerate", "/logout"):
            response = await visitor.post(path, {"user": "ann"})
            assert "Set-Cookie" in response.headers, path
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Vary"] == "Cookie"
        await visitor.post("/", {"note": "x"})
        plain = await visitor.get("/")
        assert "Cache-Control" not in plain.headers
        assert plain.headers["Vary"] == "Cookie"


# Statuses --------------------------------------------------------------------


class Raising(SessionMixin, RequestHandler):
    """Change the session and raise."""

    errors: dict[str, Exception] = {
        "store": StoreError("out"),
        "conflict": SessionConflict("busy"),
        "ended": SessionEnded("expired"),
        "serialization": SerializationError("no"),
        "configuration": ConfigurationError("no"),
        "bug": ValueError("bug"),
        "400": HTTPError(400),
        "503": HTTPError(503),
    }

    def get(self, what: str) -> None:
        self.session["changed"] = what
        if what == "value":
            self.session["bad"] = object()
            return
        raise self.errors[what]


STATUSES = {
    "store": 503,
    "conflict": 409,
    "ended": 409,
    "serialization": 500,
    "configuration": 500,
    "bug": 500,
    "400": 400,
    "503": 503,
    "value": 500,
}


@pytest.mark.parametrize("what", STATUSES)
async def test_each_error_has_its_status(what: str, expect_log: Any) -> None:
    """Changes are saved unless the response is a 5xx; only a store's failure says Retry-After."""
    status = STATUSES[what]
    if status >= 500:
        expect_log(f"{status} GET")
    if status == 500:
        expect_log("Uncaught exception")
    store = ProbeStore()
    async with site([(r"/(.*)", Raising)], store) as served:
        response = await served.visitor().get("/" + what)
    assert response.code == status
    assert (response.headers.get("Retry-After") == "1") == (what == "store")
    assert bool(store.applied) == bool(cookie_of(response)) == (status < 500)


async def test_value_that_cannot_be_stored_leaves_the_old_one(expect_log: Any) -> None:
    """A value that cannot be stored is a 500, and what was stored before is intact."""
    expect_log("session\\['bad'\\]", "500 GET")
    async with site([*HANDLERS, (r"/raise/(.*)", Raising)]) as served:
        visitor = served.visitor()
        await visitor.post("/", {"bad": "good", "changed": "no"})
        assert (await visitor.get("/raise/value")).code == 500
        assert shown(await visitor.get("/"))["data"] == {"bad": "good", "changed": "no"}


# Changes in place --------------------------------------------------------------


async def test_nested_change_is_saved_without_a_flag() -> None:
    """session["cart"]["items"].append(x) is noticed, and a mere read writes nothing."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        for item in ("tea", "milk"):
            await visitor.post("/cart", {"item": item})
        writes = len(store.applied)
        for _ in range(3):
            assert shown(await visitor.get("/cart")) == {"items": ["tea", "milk"]}
            await visitor.post("/cart")
        assert len(store.applied) == writes == 2


# Activity --------------------------------------------------------------------------


async def test_activity_moves_the_deadline_at_most_once_per_touch_interval() -> None:
    """Requests within touch_interval write nothing; the next one does, once."""
    clock = FakeClock()
    store = ProbeStore(clock=clock)
    policy: Any = {"idle_timeout": 100, "absolute_timeout": 10_000, "touch_interval": 10}
    async with site(HANDLERS, store, **policy) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        for wait, commits in ((0, 0), (5, 0), (4, 0), (1, 1), (0, 1), (9, 1), (1, 2)):
            clock.advance(wait)
            await visitor.get("/unused")
            assert store.calls["commit"] == commits
        for _ in range(20):
            clock.advance(90)
            assert shown(await visitor.get("/"))["data"] == {"note": "x"}
        clock.advance(101)
        assert shown(await visitor.get("/"))["new"] is True


async def test_handler_that_is_no_activity_lets_the_session_expire() -> None:
    """With session_touch = False a page that polls does not keep its session alive (S14)."""
    clock = FakeClock()
    store = ProbeStore(clock=clock)
    async with site(HANDLERS, store, idle_timeout=100) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        for _ in range(9):
            clock.advance(11)
            assert shown(await visitor.get("/polled"))["data"] == {"note": "x"}
        clock.advance(2)
        assert shown(await visitor.get("/polled"))["new"] is True
        assert store.calls["commit"] == 0


async def test_what_a_polling_handler_writes_is_stored_without_moving_the_deadline() -> None:
    """By itself or by `save()`; the session still expires."""
    clock = FakeClock()
    async with site(HANDLERS, ProbeStore(clock=clock), idle_timeout=100) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        clock.advance(90)
        for query in ("", "?save"):
            assert (await visitor.post("/polled" + query)).code == 200
        assert shown(await visitor.get("/polled"))["data"] == {"note": "x", "polls": 2}
        clock.advance(11)
        assert shown(await visitor.get("/polled"))["new"] is True


async def test_constant_traffic_does_not_outlive_the_absolute_timeout() -> None:
    """A session that is never idle ends when its absolute timeout has passed (S15, V7.3.2)."""
    clock = FakeClock()
    policy: Any = {"idle_timeout": 100, "absolute_timeout": 300, "touch_interval": 1}
    async with site(HANDLERS, ProbeStore(clock=clock), **policy) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        for _ in range(29):
            clock.advance(10)
            assert shown(await visitor.post("/count")) >= 1
        clock.advance(10.1)
        assert shown(await visitor.get("/"))["new"] is True


async def test_deadline_that_cannot_be_moved_does_not_fail_the_response() -> None:
    """If only the touch fails, the response does not depend on it: 200, and one event."""
    clock = FakeClock()
    store = ProbeStore(clock=clock)
    async with site(HANDLERS, store, idle_timeout=100) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        clock.advance(50)
        store.failures = [StoreError("out")]
        assert shown(await visitor.get("/"))["data"] == {"note": "x"}
        assert served.kinds == ["created", "store_failed"]


def test_the_mixin_on_a_websocket_handler_is_an_error_that_says_so() -> None:
    """A WebSocket handshake calls finish() synchronously and would hang."""
    with pytest.raises(ConfigurationError, match="request handlers"):

        class Socket(SessionMixin, WebSocketHandler):
            pass
