"""Sockets where some clients have cookies and some have tokens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sites import session_id, site
from tests.support.tokens import (
    ask,
    bearer,
    enter,
    fallback,
    logged_in,
    token_of_both,
)
from tornado_shared_session import authenticated
from tornado_shared_session.testing import CookieJar

# A socket beside a cookie


async def test_a_socket_that_came_by_cookie_gets_no_token(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Neither by getToken nor by auth: the cookie is HttpOnly, and stays so (S32)."""
    async with fallback(redis_url, prefix) as a:
        jar, token = await a.visitor(note="by cookie"), await token_of_both(a)
        refusal = {"token": "", "errors": "This connection uses a cookie."}
        async with a.client(transport, jar) as client:
            await client.connect(auth={"token": token, "do": "greet"})
            assert await client.wait_for("greeting") == "hello"
            assert await client.wait_for("gotToken") == refusal
            for payload in ({}, {"token": token}, {"token": jar["session"]}):
                assert await ask(client, payload) == ("", refusal["errors"])
            assert await client.emit("get") == "by cookie"
            assert a.connection.id == session_id(jar)
        assert await a.http(jar).get("/whoami")
        async with a.client(transport, jar, headers=bearer(token)) as client:
            await client.connect()
            assert await client.emit("get") == "by token"


async def test_authenticated_goes_by_what_a_socket_came_with(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The user of the cookie's session, or of the token's."""
    async with fallback(redis_url, prefix) as a:
        a.sio.on("mine", authenticated(lambda sid: "ran"))
        jar, token = await a.visitor(), await token_of_both(a)
        for user, answer in (("", {"error": "login required"}), ("ann", "ran")):
            if user:
                await a.http(jar).post("/login", {"user": user})
            async with a.client(transport, jar) as client:
                await client.connect()
                assert await client.emit("mine") == answer
        async with a.client(transport, jar, headers=bearer(token)) as client:
            await client.connect()
            assert await client.emit("mine") == {"error": "login required"}


async def test_a_socket_with_neither_waits_for_a_token(
    redis_url: str, prefix: str, transport: str
) -> None:
    """With a fallback too: it is given no cookie, for it is about to show a token."""
    async with fallback(redis_url, prefix) as a:
        token = await token_of_both(a)
        jar = CookieJar()
        async with a.client(transport, jar) as client:
            await client.connect()
            assert not jar
            assert await ask(client, {"token": token}) == (token, "")
            assert await client.emit("get") == "by token"


@pytest.mark.parametrize("kind", ["another", "none", "one after all", "a cookie"])
async def test_a_connection_shows_the_header_it_began_with(
    redis_url: str, prefix: str, kind: str
) -> None:
    """On each later request: another, none, or one where there was none is refused."""
    async with fallback(redis_url, prefix) as a:
        mine, other = await token_of_both(a), await token_of_both(a)
        jar = await a.visitor() if kind == "a cookie" else None
        first = {} if kind in ("one after all", "a cookie") else bearer(mine)
        async with a.client("polling", headers=first) as client:
            await client.connect(auth=None if first else {"token": mine})
            later = {"another": bearer(other), "one after all": bearer(other)}.get(kind, {})
            target = client.engine._target("polling")
            body = '42["set","note","stolen"]'
            assert (await a.http(jar).post(target, body, headers=later)).code == 400
            assert await client.emit("get") == "by token"


async def test_without_token_mode_gettoken_is_an_event_like_any_other(
    redis_url: str, prefix: str
) -> None:
    """And auth is the connect handler's, whatever is in it."""
    async with site(redis=redis_url, prefix=prefix) as a:

        @a.sio.on("getToken")  # type: ignore[untyped-decorator]  # python-socketio is untyped
        async def get_token(sid: str, *payload: Any) -> Any:
            return ["the application's", *payload]

        async with a.client("websocket", await a.visitor()) as client:
            await client.connect(auth={"token": "theirs"})
            assert await client.emit("getToken", 1) == ["the application's", 1]
            assert a.shared.heard("auth") == [{"token": "theirs"}]
            assert not client.events


async def test_no_log_line_has_a_token(
    redis_url: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG, for what was shown and what was handed out (S35)."""
    caplog.set_level("DEBUG")
    server = {"logger": True, "engineio_logger": True}
    async with site(redis=redis_url, prefix=prefix, credentials="token", server=server) as a:
        caplog.set_level("DEBUG", logger="engineio.server")
        caplog.set_level("DEBUG", logger="socketio.server")
        token = await logged_in(a)
        async with a.client("polling", headers=bearer(token)) as client:
            await client.connect()
        for transport in ("polling", "websocket"):
            async with a.client(transport) as client:
                await enter(client, token)
                await ask(client, {"token": "A" * 300})
                new, _ = await ask(client)
                await client.emit("getToken", token)
                await client.emit("rotate", "login")
        text = "\n".join([*caplog.messages, *(str(record.args) for record in caplog.records)])
        assert "gotToken" in text
        assert "received event" in text
        for secret in (token, new, token[40:80], "A" * 300):
            assert secret not in text
