"""What a response says of its session goes in last, whatever the handler does as it finishes."""

from __future__ import annotations

from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.support.web import cookie_of, site
from tornado_shared_session import SessionMixin


class Page(SessionMixin, RequestHandler):
    """Does with its session what the path says, as it finishes or before."""

    async def get(self, what: str) -> None:
        if what in ("read", "raise"):
            self.session.get("n")
        elif what == "login":
            await self.session.login("ann")
        elif what == "logout":
            await self.session.destroy()
        self.write(what)

    def post(self, what: str) -> None:
        self.session["n"] = 1

    def compute_etag(self) -> str | None:
        if self.path_args[0] in ("raise", "login", "logout") and self.get_status() == 200:
            raise ValueError("on purpose")
        if self.path_args == ["etag"]:
            self.session.get("n")
        if self.path_args == ["put"]:
            self.session["n"] = 1
        return super().compute_etag()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.write("an error page")
        self.flush()

    def on_finish(self) -> None:
        if self.path_args == ["late"]:
            self.session["n"] = 2


HANDLERS = [(r"/(.*)", Page)]


@pytest.mark.parametrize(
    ("path", "vary"), [("read", "Cookie"), ("etag", "Cookie"), ("nothing", "")]
)
async def test_what_has_looked_at_the_session_depends_on_the_cookie(path: str, vary: str) -> None:
    """Once, and whenever it looked; a page that did not may be cached for everybody (S39)."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/")
        response = await visitor.get(f"/{path}")
        assert (response.code, response.headers.get("Vary", "")) == (200, vary)


@pytest.mark.expects_log("GET /raise")
async def test_an_error_page_depends_on_the_cookie_as_well() -> None:
    """One that is streamed, for a page that failed when it was as good as finished."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/")
        response = await visitor.get("/raise")
        assert (response.code, response.headers["Vary"]) == (500, "Cookie")


@pytest.mark.expects_log("GET /log")
@pytest.mark.parametrize("what", ["login", "logout"])
async def test_an_error_page_tells_what_is_new_for_the_client(what: str) -> None:
    """What a page did before it failed was done, so the client hears of it."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        old = cookie_of(await visitor.post("/"))
        response = await visitor.get(f"/{what}")
        new = cookie_of(response)
        assert (response.code, bool(new), new == old) == (500, what == "login", False)
        assert "Set-Cookie" in response.headers


@pytest.mark.expects_log("is not stored")
async def test_what_changes_when_all_is_sent_is_told() -> None:
    """It cannot be stored any more, and somebody thinks that it is."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/")
        assert (await visitor.get("/late")).code == 200


@pytest.mark.expects_log("is not stored")
@pytest.mark.parametrize("known", [True, False])
async def test_a_change_as_a_page_finishes_is_too_late(known: bool) -> None:
    """Also where nobody had looked at the session before; the page itself is whole."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        if known:
            await visitor.post("/")
        response = await visitor.get("/put")
        assert (response.code, response.body) == (200, b"put")
        assert response.headers["Vary"] == "Cookie"
        assert "Set-Cookie" not in response.headers


class Read(SessionMixin, RequestHandler):
    """Reads its session, and changes it if asked to."""

    def get(self) -> None:
        self.session.get("n")
        self.finish({"a": 1})

    def post(self) -> None:
        self.session["n"] = self.session.get("n", 0) + 1
        self.write("ok")


class InWrite(Read):
    """A page in the format that the client accepts."""

    def write(self, chunk: Any) -> None:
        self.set_header("Vary", "Accept")
        super().write(chunk)


class InEtag(Read):
    """The same, later."""

    def compute_etag(self) -> str | None:
        self.set_header("Vary", "Accept")
        return super().compute_etag()


class InFlush(Read):
    """The same, later still."""

    def flush(self, include_footers: bool = False) -> Any:
        self.set_header("Vary", "Accept")
        return super().flush(include_footers)


class Finishing(RequestHandler):
    """A base class with a finish() of its own."""

    def finish(self, chunk: Any = None) -> Any:
        self.set_header("Vary", "Accept")
        return super().finish(chunk)


class InFinish(Read, Finishing):
    """The same, in a base class."""


class Clearing(RequestHandler):
    """A base class that begins its answer anew."""

    def finish(self, chunk: Any = None) -> Any:
        self.clear()
        return super().finish(chunk)


class Cleared(Read, Clearing):
    """Loses its headers as it finishes."""


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("handler", "vary"),
    [
        (InWrite, "Accept,Cookie"),
        (InEtag, "Accept,Cookie"),
        (InFlush, "Accept,Cookie"),
        (InFinish, "Accept,Cookie"),
        (Cleared, "Cookie"),
    ],
)
async def test_nothing_takes_vary_away(handler: Any, vary: str, method: str) -> None:
    """However late a handler sets one of its own, or clears the head: caches must be told (S39)."""
    async with site([("/", handler)]) as served:
        visitor = served.visitor()
        await visitor.post("/")
        response = await getattr(visitor, method)("/")
        etag = handler is InEtag and method == "post"  # of which Tornado makes none
        assert response.headers["Vary"] == ("Cookie" if etag else vary)
