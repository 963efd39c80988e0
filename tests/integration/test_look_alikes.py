"""Origins that look like an allowed one: refused alike, wherever a page could knock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
from tornado.websocket import WebSocketHandler

from tests.apps.shared_events import Shared
from tests.support.sites import Site, raw_redis, site, status_of
from tornado_shared_session import SessionWebSocketMixin
from tornado_shared_session.testing import CookieJar, SocketIOTestClient
from tornado_shared_session.testing.wire import Response, WebSocketWire

LISTED = ["https://ok.example", "https://two.example:8443"]

#: `{own}` is the page's own origin, `{port}` its port.
LOOK_ALIKES = """
    https://ok.example.evil.example   https://ok.example:443            https://ok.example:444
    https://ok.example:               https://ok.example:8443           https://ok.example.
    https://ok.example/               https://ok.example/x              https://ok.example?
    https://ok.example#               https://ok.example%20             https://ok.example%00
    https://ok.example@evil.example   https://evil.example@ok.example   https://:@ok.example
    https://sub.ok.example            https://.ok.example               https://okkexample
    https://ok-example                https://ok.example,evil.example   https://ok.examplee
    https://k.example                 https://ook.example               https://ok.exam
    https://OK.example                HTTPS://ok.example                https://Ok.Example
    http://ok.example                 ws://ok.example                   wss://ok.example
    ok.example                        //ok.example                      https:ok.example
    https:/ok.example                 https:///ok.example               https:\\\\ok.example
    https://ok.example;evil.example   https://ok.example\\@evil.example  https://xn--k-xtb.example
    https://two.example               https://two.example:443           https://two.example:84433
    https://two.example:08443         http://two.example:8443           *
    null                              file://                           about:blank
    {own}.evil.example                https://127.0.0.1:{port}          http://127.0.0.1
    http://localhost:{port}           http://127.1:{port}               http://[::1]:{port}
    http://2130706433:{port}          http://127.0.0.1:{port}@evil      http://evil@127.0.0.1:{port}
""".split()  # noqa: SIM905  # a table to be read
#: Not even a URL: what parses one raises.
NO_URL = ["http://[", "https://[ok.example", "https://ok.example]", "https://[::1]ok.example"]
#: What cannot stand in a table, the empty one for instance.
ODD = [
    "",
    *NO_URL,
    "https://ok.example https://evil.example",
    "https://ok.example, https://evil.example",
    "https://evil.example,https://ok.example",
    "https://\u043ek.example".encode().decode("latin-1"),  # a Cyrillic o
    "https://ok\u3002example".encode().decode("latin-1"),  # an ideographic full stop
    "https://ok.example\xa0",
]
KINDS = ["polling", "poll", "post", "websocket", "upgrade", "plain websocket"]


class Plain(SessionWebSocketMixin, WebSocketHandler):
    """A WebSocket without Socket.IO."""


def with_plain(shared: Shared) -> None:
    """Serve it beside the rest, with the same list."""
    shared.app.add_handlers(r".*", [(r"/ws", Plain)])
    shared.manager.origins = shared.sio.handshaker.origins


@pytest.fixture
async def a(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The application with two origins listed."""
    async with site(redis=redis_url, prefix=prefix, origin=LISTED, edit=with_plain) as running:
        yield running


async def knock(
    a: Site, jar: CookieJar, kind: str, headers: Mapping[str, str], sid: str | None
) -> Response:
    """Ask as a browser would in which a hostile page is open."""
    named = {"Cookie": jar.header(), **headers}
    upgrades = kind in ("websocket", "upgrade")
    target = f"/socket.io/?EIO=4&transport={'websocket' if upgrades else 'polling'}"
    if kind in ("poll", "post", "upgrade"):
        target += f"&sid={sid}"
    async with await WebSocketWire.open(a.url) as wire:
        if kind == "plain websocket":
            return await wire.upgrade("/ws", named)
        if upgrades:
            return await wire.upgrade(target, named)
        body = b'42["set","note","theirs"]' if kind == "post" else b""
        return await wire.request("POST" if body else "GET", target, named, body)


def alike(a: Site) -> list[str]:
    """Return every look-alike."""
    port = str(a.server.port)
    table = [one.replace("{own}", f"http://127.0.0.1:{port}") for one in LOOK_ALIKES]
    return [*ODD, *(one.replace("{port}", port) for one in table)]


@pytest.mark.parametrize("kind", KINDS)
async def test_look_alikes_are_refused_before_anything_else(
    a: Site, kind: str, redis_url: str, prefix: str
) -> None:
    """Over fifty, with the visitor's cookie: 403, no cookie, no record, no CORS header
    (S22, F6, T9, W5).
    """
    assert len(set(alike(a))) == len(alike(a)) >= 50
    jar = await a.visitor(note="mine")
    async with a.client("polling", jar) as client, raw_redis(redis_url) as redis:
        await client.connect()
        keys = await redis.keys(f"{prefix}*")
        for origin in alike(a):
            # Tornado's own check is skipped for what says so of itself.
            for said in ("same-origin", "cross-site"):
                headers = {"Origin": origin, "Sec-Fetch-Site": said}
                answer = await knock(a, jar, kind, headers, client.eio_sid)
                assert answer.status == 403, origin
                assert "Set-Cookie" not in answer.headers
                assert "Access-Control-Allow-Origin" not in answer.headers
        assert await redis.keys(f"{prefix}*") == keys
        assert await client.emit("get") == "mine"
        assert len(a.manager.connections) == 1
        assert len(a.sio.eio.sockets) == 1
    await a.empty()


async def test_tornados_own_protection_fails_at_no_origin(a: Site) -> None:
    """It parses the Origin of a POST before any prepare(), unless Sec-Fetch-Site is there (S29)."""
    target = "/socket.io/?EIO=4&transport=polling"
    a.shared.app.settings["cross_origin_protection"] = True
    for origin in (*NO_URL, "null", "https://evil.example"):
        async with await WebSocketWire.open(a.url) as wire:
            assert (await wire.request("POST", target, {"Origin": origin})).status == 403, origin


@pytest.mark.parametrize("kind", ["polling", "post", "websocket", "plain websocket"])
@pytest.mark.parametrize("origin", [*LISTED, "own"])
async def test_what_they_look_like_is_let_in(a: Site, kind: str, origin: str) -> None:
    """So that it is the origin which the others are refused for (S22)."""
    jar = await a.visitor(note="mine")
    async with a.client("polling", jar) as client:
        await client.connect()
        headers = {"Origin": a.url if origin == "own" else origin, "Sec-Fetch-Site": "cross-site"}
        answer = await knock(a, jar, kind, headers, client.eio_sid)
        assert answer.status == (101 if "websocket" in kind else 200)
        await a.sio.eio.disconnect()
    await a.empty()


@pytest.mark.parametrize("kind", ["websocket", "plain websocket"])
async def test_the_origin_of_the_old_drafts_is_an_origin(a: Site, kind: str) -> None:
    """Tornado takes Sec-WebSocket-Origin for one; a good Origin beside it decides (T10)."""
    jar = await a.visitor()
    for origin, status in (("https://evil.example", 403), (LISTED[0], 101), (a.url, 101)):
        old = {"Sec-WebSocket-Origin": origin}
        assert (await knock(a, jar, kind, old, None)).status == status
        both = {"Sec-WebSocket-Origin": LISTED[0], "Origin": origin}
        assert (await knock(a, jar, kind, both, None)).status == status
    await a.empty()


@pytest.mark.parametrize("target", ["/socket.io/?EIO=4&transport=websocket", "/ws"])
@pytest.mark.parametrize("version", ["", "0", "7", "8", "12", "14"])
async def test_other_versions_of_the_protocol_are_not_spoken(
    a: Site, target: str, version: str
) -> None:
    """426, and nothing of the handshake is left (W2)."""
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": version,
        "Cookie": (await a.visitor()).header(),
    }
    async with await WebSocketWire.open(a.url) as wire:
        assert (await wire.request("GET", target, fields)).status == 426
    await a.empty()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", ["cross-site", "same-site", "nonsense"])
async def test_a_request_that_names_no_origin_must_not_come_from_another_site(
    a: Site, kind: str, said: str
) -> None:
    """A polling GET has none in some browsers; an image or a script never has (S24)."""
    jar = await a.visitor()
    async with a.client("polling", jar) as client:
        await client.connect()
        headers = {"Sec-Fetch-Site": said}
        answer = await knock(a, jar, kind, headers, client.eio_sid)
        assert answer.status == 403
        assert await client.emit("get") == ""
    await a.empty()


@pytest.mark.parametrize("kind", ["websocket", "plain websocket"])
async def test_compression_is_not_agreed_to(a: Site, kind: str) -> None:
    """Though the client offers it: what is secret must not be measured (W3)."""
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    answer = await knock(a, await a.visitor(), kind, headers, None)
    assert answer.status == 101
    assert "Sec-WebSocket-Extensions" not in answer.headers
    await a.empty()


async def test_a_token_in_the_query_opens_nothing(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Nor does a cookie's value there: such a client is a stranger (S30)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor(note="mine")
        query = dict.fromkeys(("token", "session", "auth", "Authorization"), jar["session"])
        async with SocketIOTestClient(a.url, transport=transport, query=query) as client:  # type: ignore[arg-type]  # one of the three
            await client.connect()
            assert await client.emit("get") is None


async def test_an_origin_that_was_let_in_once_is_asked_again(a: Site) -> None:
    """By each request: what a connection's handshake said of itself is no licence (F6, S22)."""
    jar = await a.visitor()
    async with a.client("polling", jar, headers={"Origin": LISTED[0]}) as client:
        await client.connect()
        client.engine.headers["Origin"] = LISTED[0] + ".evil.example"
        with pytest.raises(Exception, match=r"403|close"):
            await client.emit("get", timeout=1)
    refused = a.client("polling", jar, headers={"Origin": LISTED[0] + ".evil.example"})
    assert await status_of(refused) == 403
