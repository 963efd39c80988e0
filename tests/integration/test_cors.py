"""Pages of other sites: `CORSMixin` and `cors_allowed_origins`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from tests.support.logs import LogWatch
from tests.support.web import SECRET, ProbeStore, Site, cookie_of, site
from tornado_shared_session import (
    ConfigurationError,
    CORSMixin,
    SessionManager,
    SessionMixin,
    SessionWebSocketMixin,
)
from tornado_shared_session.testing import HTTPTestClient, serve

OK = "https://ok.example"
LOOK_ALIKES = [
    "https://ok.example.evil.example",
    "https://ok.example:444",
    "http://ok.example",
    "https://OK.example",
    "https://sub.ok.example",
    "https://ok.example.",
    "https://ok.example/",
    "https://evil.example",
    "null",
    "*",
    "",
]


class Base(CORSMixin, SessionMixin, RequestHandler):
    """As the documentation says."""

    async def prepare(self) -> None:
        await super().prepare()
        self.session.get("note")  # never reached by a preflight


class Note(Base):
    def get(self) -> None:
        self.write({"note": self.session.get("note")})

    def post(self) -> None:
        self.session["note"] = "x"

    def delete(self) -> None:
        raise HTTPError(410)

    def put(self) -> None:
        raise ValueError("a bug")


class Options(Base):
    def options(self) -> None:
        self.write("its own")


HANDLERS = [(r"/note", Note), (r"/options", Options)]


def cors_of(response: HTTPResponse) -> dict[str, str]:
    """Return what a response says about CORS."""
    return {
        name: value
        for name, value in response.headers.get_all()
        if name.startswith("Access-Control-")
    }


@pytest.fixture
async def served() -> AsyncIterator[Site]:
    """The handlers, with Tornado's own protection on."""
    settings = {"cross_origin_protection": True}
    async with site(HANDLERS, settings=settings, cors_allowed_origins=[OK]) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 200), ("POST", 200), ("DELETE", 410), ("PUT", 500), ("PATCH", 405)],
)
async def test_a_listed_origin_is_named_on_every_response(
    served: Site, method: str, status: int, expect_log: LogWatch
) -> None:
    """Exactly, with credentials, on error pages too, and caches are told."""
    if status == 500:
        expect_log("a bug", "500 PUT")
    headers = {"Origin": OK, "Sec-Fetch-Site": "cross-site"}
    response = await served.visitor().fetch("/note", method=method, headers=headers)
    assert response.code == status
    assert cors_of(response) == {
        "Access-Control-Allow-Origin": OK,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Session-Token",
    }
    assert "Origin" in response.headers["Vary"].split(",")


async def test_the_session_goes_along(served: Site) -> None:
    """What such a page stores it reads again, and its response varies by both headers."""
    visitor = served.visitor()
    response = await visitor.post("/note", headers={"Origin": OK})
    assert cookie_of(response)
    assert response.headers["Vary"] == "Origin,Cookie"
    assert b'"x"' in (await visitor.get("/note", headers={"Origin": OK})).body


@pytest.mark.parametrize("origin", [*LOOK_ALIKES, None])
async def test_other_origins_get_no_cors_header(served: Site, origin: str | None) -> None:
    """Neither a look-alike, nor a request without Origin; but caches are told."""
    headers = {} if origin is None else {"Origin": origin}
    response = await served.visitor().get("/note", headers=headers)
    assert response.code == 200
    assert not cors_of(response)
    assert "Origin" in response.headers["Vary"].split(",")
    headers["Access-Control-Request-Method"] = "POST"
    preflight = await served.visitor().fetch("/note", method="OPTIONS", headers=headers)
    assert not cors_of(preflight)


@pytest.mark.parametrize("origin", [OK, *LOOK_ALIKES])
async def test_cross_origin_protection_lets_listed_origins_write(served: Site, origin: str) -> None:
    """And refuses the others before the session is looked at (S29)."""
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    response = await served.visitor().post("/note", headers=headers)
    assert response.code == (200 if origin == OK else 403)
    assert bool(cookie_of(response)) == (origin == OK)


async def test_trusted_origins_of_tornado_count_too() -> None:
    """They may write; what they may read is for the manager's list to say."""
    settings = {"cross_origin_protection": True, "trusted_origins": ["https://other.example"]}
    async with site(HANDLERS, settings=settings, cors_allowed_origins=[OK]) as served:
        headers = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
        response = await served.visitor().post("/note", headers=headers)
        assert response.code == 200
        assert not cors_of(response)


async def test_a_preflight_is_204_and_costs_nothing() -> None:
    """The methods that the handler has, the headers that it may be sent; no store command."""
    store = ProbeStore()
    async with site(HANDLERS, store, cors_allowed_origins=[OK]) as served:
        visitor = served.visitor()
        await visitor.post("/note")  # a cookie that would be loaded
        store.calls.clear()
        store.applied.clear()
        headers = {"Origin": OK, "Access-Control-Request-Method": "DELETE"}
        response = await visitor.fetch("/note", method="OPTIONS", headers=headers)
        assert response.code == 204
        assert response.body == b""
        found = cors_of(response)
        assert found["Access-Control-Allow-Origin"] == OK
        assert found["Access-Control-Allow-Methods"] == "GET, POST, DELETE, PUT"
        assert found["Access-Control-Allow-Headers"] == "Content-Type, X-XSRFToken, Authorization"
        assert found["Access-Control-Max-Age"] == "600"
        assert "Set-Cookie" not in response.headers
        assert not store.calls


async def test_an_options_request_that_is_no_preflight_is_the_handlers(served: Site) -> None:
    """It goes the way of any other method."""
    visitor = served.visitor()
    assert (await visitor.fetch("/options", method="OPTIONS")).body == b"its own"
    assert (await visitor.fetch("/note", method="OPTIONS")).code == 405


async def test_without_a_setting_there_is_no_cors() -> None:
    """No header, and nothing for caches to tell apart."""
    async with site(HANDLERS) as served:
        response = await served.visitor().get("/note", headers={"Origin": OK})
        assert not cors_of(response)
        assert response.headers["Vary"] == "Cookie"


@pytest.mark.expects_log("no session manager", "500 GET")
async def test_an_application_without_a_manager_says_so() -> None:
    """A 500 whose log line names the remedy, not a connection that is cut."""
    async with serve(Application(HANDLERS, cookie_secret=SECRET)) as server:
        assert (await HTTPTestClient(server.url).get("/note")).code == 500


@pytest.mark.parametrize("value", ["*", ["*"], [OK + "/"], ["ok.example"], ["https://OK.example"]])
def test_the_managers_origins_are_checked_when_it_is_made(value: Any) -> None:
    """A wildcard, a path, no scheme, what no browser sends: an error that names the setting
    (S23).
    """
    with pytest.raises(ConfigurationError, match="cors_allowed_origins"):
        SessionManager(ProbeStore(), cors_allowed_origins=value)


def test_mixins_in_the_wrong_order_are_refused() -> None:
    """At class creation, with the right order in the message."""
    with pytest.raises(ConfigurationError, match="CORSMixin before SessionMixin"):

        class Late(SessionMixin, CORSMixin, RequestHandler):
            pass

    with pytest.raises(ConfigurationError, match="CORSMixin before RequestHandler"):

        class Last(RequestHandler, CORSMixin):  # type: ignore[misc]  # the test's point
            pass

    with pytest.raises(ConfigurationError, match="SessionWebSocketMixin before the handler"):

        class Socket(WebSocketHandler, SessionWebSocketMixin):  # type: ignore[misc]  # likewise
            pass

    with pytest.raises(ConfigurationError, match="takes SessionMixin"):

        class Page(SessionWebSocketMixin, RequestHandler):
            pass

    with pytest.raises(ConfigurationError, match="SessionWebSocketMixin in its place"):

        class Both(SessionMixin, WebSocketHandler):
            pass


@pytest.mark.parametrize(
    ("name", "value"),
    [("session_anonymous", "no"), ("session_login_required", "yes"), ("session_reload", None)],
)
def test_a_wrong_class_attribute_is_refused(name: str, value: object) -> None:
    """At class creation, by name."""
    with pytest.raises(ConfigurationError, match=name):
        type("Wrong", (SessionWebSocketMixin, WebSocketHandler), {name: value})


async def test_life_cycle_lines_go_to_a_logger_of_ones_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`SessionManager(logger=...)`; anything else is refused."""
    caplog.set_level(logging.INFO)
    async with site(HANDLERS, logger=logging.getLogger("app.sessions")) as served:
        await served.visitor().post("/note")
    lines = [(record.name, record.getMessage()) for record in caplog.records]
    assert [name for name, line in lines if "created" in line] == ["app.sessions"]
    with pytest.raises(ConfigurationError, match="logger="):
        SessionManager(ProbeStore(), logger="app")  # type: ignore[arg-type]  # wrong on purpose
