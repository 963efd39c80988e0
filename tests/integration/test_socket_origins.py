"""Which pages may talk to the sockets, and what else a handshake must look like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import socketio
from tornado.web import Application

from tests.apps.shared import SECRET, build, options
from tests.support.sites import Site, session_id, site, status_of
from tornado_shared_session import ConfigurationError
from tornado_shared_session.origins import Origins
from tornado_shared_session.testing import CookieJar, serve
from tornado_shared_session.testing.wire import WebSocketWire


@pytest.fixture
async def a(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The application on real Redis."""
    async with site(redis=redis_url, prefix=prefix, origin=["https://ok.example"]) as running:
        yield running


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://ok.example", True),
        ("same", True),
        ("https://ok.example.evil.example", False),
        ("https://ok.example:444", False),
        ("http://ok.example", False),
        ("https://OK.example.", False),
        ("https://sub.ok.example", False),
        ("null", False),
        ("", False),
        ("https://evil.example", False),
    ],
)
@pytest.mark.parametrize("kind", ["polling", "websocket"])
async def test_only_listed_origins_and_the_pages_own_come_in(
    a: Site, kind: str, origin: str | None, allowed: bool
) -> None:
    """One rule for polling and WebSocket, before the 101 (F6, S22, T9)."""
    own = f"http://127.0.0.1:{a.server.port}"
    headers = {} if origin is None else {"Origin": own if origin == "same" else origin}
    # Tornado skips its own check for such a request.
    headers["Sec-Fetch-Site"] = "same-origin"
    client = a.client(kind, headers=headers)
    assert await status_of(client) == ((101 if kind == "websocket" else 200) if allowed else 403)
    if not allowed:
        assert "Set-Cookie" not in client.handshake_headers
        assert "Access-Control-Allow-Origin" not in client.handshake_headers


async def test_allowed_origins_get_their_cors_headers(a: Site) -> None:
    """On polling, the listed origin is named, with credentials."""
    client = a.client("polling", headers={"Origin": "https://ok.example"})
    await status_of(client)
    assert client.handshake_headers["Access-Control-Allow-Origin"] == "https://ok.example"
    assert client.handshake_headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
async def test_a_cross_site_request_without_origin_is_refused(
    a: Site, where: str, transport: str
) -> None:
    """A polling GET carries no Origin in some browsers, but says that it is cross-site (S24)."""
    assert await status_of(a.client(transport, headers={"Sec-Fetch-Site": where})) == 403


@pytest.mark.parametrize("value", ["*", ["*"], ["https://a.example/path"], ["a.example"]])
def test_origins_are_exact_or_an_error(value: Any) -> None:
    """With cookies, a wildcard would let every site act as its visitors (S23)."""
    with pytest.raises(ConfigurationError, match="cors_allowed_origins"):
        Origins(value)


async def test_jsonp_and_other_protocols_are_refused(a: Site) -> None:
    """j=, an older Engine.IO, a transport that does not fit, an unknown sid: 400 (S25)."""
    for query in ("j=0", "j=", "EIO=3", "EIO=4&EIO=3", "transport=websocket", "sid=nobody"):
        name = query.split("=")[0]
        base = {"EIO": "4", "transport": "polling"}
        rest = "&".join(f"{k}={v}" for k, v in base.items() if k != name)
        answer = await a.http().get(f"/socket.io/?{rest}&{query}")
        assert answer.code == 400, query
        assert "Set-Cookie" not in answer.headers


async def test_polling_works_with_xsrf_cookies(redis_url: str, prefix: str, transport: str) -> None:
    """Polling POSTs carry no token, for the origin rule protects them; other handlers must
    (S29).
    """
    async with site(redis=redis_url, prefix=prefix, xsrf=True) as a:
        own = {"Origin": a.url, "Sec-Fetch-Site": "same-origin"}
        async with a.client(transport, CookieJar(), headers=own) as client:
            await client.connect()
            assert await client.emit("set", "note", 1) == "saved"
        assert (await a.http().post("/note", {"value": "1"})).code == 403


async def test_handlers_see_the_real_address_and_no_cookie(
    redis_url: str, prefix: str, transport: str
) -> None:
    """REMOTE_ADDR is the client's own behind a proxy; the environ has no credential in it
    (S50, T28).
    """
    shared = build(options(redis=redis_url, prefix=prefix))
    async with shared.manager, serve(shared.app, xheaders=True) as server:
        jar = await Site(shared, server).visitor()
        headers = {"X-Real-Ip": "203.0.113.9"}
        async with Site(shared, server).client(transport, jar, headers=headers) as client:
            await client.connect()
            (environ,) = shared.sio.environ.values()
            assert environ["REMOTE_ADDR"] == "203.0.113.9"
            assert "HTTP_COOKIE" not in environ
            texts = [value for value in environ.values() if isinstance(value, str)]
            assert not any(session_id(jar) in text for text in texts)


@pytest.mark.parametrize(("kind", "status"), [("polling", 200), ("websocket", 101)])
async def test_a_proxy_may_name_the_port_that_browsers_leave_out(
    redis_url: str, kind: str, status: int
) -> None:
    """`Host: app.example:443` is the server of https://app.example (S22)."""
    shared = build(options(redis=redis_url))
    async with shared.manager, serve(shared.app, xheaders=True) as server:
        for origin, expected in (("https://app.example", status), ("http://app.example", 403)):
            async with await WebSocketWire.open(server.url) as wire:
                wire.host = "app.example:443"
                headers = {"X-Scheme": "https", "Origin": origin}
                target = f"/socket.io/?EIO=4&transport={kind}"
                ask = wire.upgrade if kind == "websocket" else partial(wire.request, "GET")
                assert (await ask(target, headers)).status == expected


@pytest.mark.expects_log("get_tornado_handler")
async def test_python_socketios_own_handler_is_refused(redis_url: str, transport: str) -> None:
    """Without our handler in front nobody comes in, and the log says what to do."""
    shared = build(options(redis=redis_url))
    handler = socketio.get_tornado_handler(shared.sio)
    app = Application([(r"/socket.io/", handler)], cookie_secret=SECRET)
    async with shared.manager, serve(app) as server:
        client = Site(shared, server).client(transport)
        with pytest.raises(Exception, match=r"401|close"):
            await client.connect()
        await client.abort()
        assert not any(shared.counts().values())
