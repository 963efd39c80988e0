"""A page of another origin, in a real browser: what it may do with the session.

Name `origins` before `browser`: what serves in this process ends
everything of Tornado's in it, and so the browser's own connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from tests.support.browser import Browser, BrowserError, Page
from tests.support.web import SECRET, Site, site
from tornado_shared_session import CORSMixin, RedisStore, SessionMixin, SessionWebSocketMixin
from tornado_shared_session.testing import serve

pytestmark = pytest.mark.browser


class Blank(RequestHandler):
    def get(self) -> None:
        self.write("<!doctype html><title>a page</title>")


class Note(CORSMixin, SessionMixin, RequestHandler):
    """PUT and DELETE need a preflight, POST does not."""

    def get(self) -> None:
        self.set_header("Session-Token", "only for this test")
        self.write({"note": self.session.get("note")})

    def post(self) -> None:
        self.session["note"] = self.get_body_argument("note")

    def put(self) -> None:
        self.session["note"] = "put"

    async def delete(self) -> None:
        await self.session.destroy()


class Events(CORSMixin, SessionMixin, RequestHandler):
    close_on_end = True

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.write(f"data: {self.session['note']}\n\n")
        await self.flush()


class Socket(SessionWebSocketMixin, WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(self.session["note"])


class Origins(NamedTuple):
    """The server with the sessions, and where pages of two origins are."""

    api: Site
    listed: str
    other: str


@pytest.fixture
async def origins(redis_url: str, prefix: str) -> AsyncIterator[Origins]:
    """Two ports; the page of 127.0.0.1 is listed, that of localhost is not."""
    async with serve(Application([(r"/", Blank)])) as pages:
        handlers = [(r"/note", Note), (r"/events", Events), (r"/socket", Socket)]
        store = RedisStore(redis_url, prefix=prefix)
        settings = {"cookie_secret": SECRET, "cross_origin_protection": True}
        async with site(handlers, store, settings, cors_allowed_origins=[pages.url]) as api:
            yield Origins(api, pages.url, f"http://localhost:{pages.port}")


async def visit(browser: Browser, url: str, api: str) -> Page:
    """Open a page with a function `ask` that fetches with credentials."""
    page = await browser.new_page()
    await page.goto(url)
    await page.evaluate(
        "globalThis.ask = async (method, body) => {"
        f" const response = await fetch('{api}/note', {{method, body, credentials: 'include',"
        " headers: method == 'PUT' ? {'X-XSRFToken': 'x'} : {}});"
        " return {status: response.status, text: await response.text(),"
        "  token: response.headers.get('Session-Token')}; }; 0"
    )
    return page


async def test_a_page_of_a_listed_origin_uses_the_session(
    origins: Origins, browser: Browser
) -> None:
    """Over fetch with and without a preflight, an EventSource and a WebSocket, until it ends."""
    api = origins.api.url
    page = await visit(browser, origins.listed, api)
    assert (await page.evaluate("ask('POST', new URLSearchParams({note: 'tea'}))"))["status"] == 200
    answer = await page.evaluate("ask('GET')")
    assert answer == {"status": 200, "text": '{"note": "tea"}', "token": "only for this test"}
    assert (await page.evaluate("ask('PUT')"))["status"] == 200
    event = await page.evaluate(
        f"new Promise((done) => {{ const source = new EventSource('{api}/events',"
        " {withCredentials: true}); source.onmessage = (event) => {"
        " source.close(); done(event.data); }; })"
    )
    assert event == "put"
    socket = f"{api}/socket".replace("http", "ws")
    said = await page.evaluate(
        f"new Promise((done) => {{ globalThis.socket = new WebSocket('{socket}');"
        " socket.onclose = (event) => { globalThis.ending = [event.code, event.reason]; };"
        " socket.onmessage = (event) => done(event.data);"
        " socket.onopen = () => socket.send('?'); })"
    )
    assert said == "put"
    assert (await page.evaluate("ask('DELETE')"))["status"] == 200
    assert await page.wait_for("globalThis.ending") == [1008, "logged_out"]
    assert "session" not in await page.cookies()


async def test_a_page_of_another_origin_uses_nothing(origins: Origins, browser: Browser) -> None:
    """It reads no response, writes nothing, and opens no socket (S22)."""
    api = origins.api.url
    page = await visit(browser, origins.other, api)
    for ask in ("ask('GET')", "ask('PUT')", "ask('POST', new URLSearchParams({note: 'x'}))"):
        with pytest.raises(BrowserError, match="Failed to fetch"):
            await page.evaluate(ask)
    socket = f"{api}/socket".replace("http", "ws")
    closed = await page.evaluate(
        f"new Promise((done) => {{ const socket = new WebSocket('{socket}');"
        " socket.onopen = () => done('open'); socket.onclose = () => done('refused'); })"
    )
    assert closed == "refused"
    assert "created" not in origins.api.kinds
    assert "session" not in await page.cookies()
