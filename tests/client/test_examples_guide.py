"""The examples that do what Socket.IO's guides to express-session and Passport do."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.client.node import connected, status_of
from tests.support.node_client import TRANSPORTS, NodeClient
from tests.support.programs import example
from tornado_shared_session.testing import (
    CookieJar,
    HandshakeRefused,
    HTTPTestClient,
    SocketIOTestClient,
)

ELSEWHERE = "http://localhost:4200"


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_the_guides_counter_and_logout(redis_url: str, store: str, transport: Any) -> None:
    """`/incr`, `current count` in the session's room, `incr` with an answer, `/logout` 204."""
    async with AsyncExitStack() as stack:
        env = {"REDIS_URL": redis_url if store == "redis" else ""}
        url = await stack.enter_async_context(example("guide.py", **env))
        page, stranger = HTTPTestClient(url), HTTPTestClient(url)
        assert b"current count" in (await page.get("/")).body
        assert (await page.post("/incr")).body == b"1"
        assert (await stranger.post("/incr")).body == b"1"
        one, two, other = [
            await stack.enter_async_context(
                SocketIOTestClient(url, transport=transport, cookies=cookies)
            )
            for cookies in (page.cookies, page.cookies, stranger.cookies)
        ]
        for client in (one, two, other):
            await client.connect()
        assert (await page.post("/incr")).body == b"2"
        assert await one.emit("incr") == 3
        for client in (one, two):
            assert [await client.wait_for("current count") for _ in range(2)] == [2, 3]
        assert await one.emit("note", "first") is None
        assert await two.emit("note", "second") == "first"
        answer = await page.post("/logout")
        assert (answer.code, answer.body, page.cookies) == (204, b"", {})
        for client in (one, two):
            assert await client.wait_for("session_ended") == {"reason": "logged_out"}
            await client.wait_transport_closed()
        assert await other.emit("incr") == 2
        assert [event.args for event in other.events] == [(2,)]


@pytest.mark.node
async def test_the_guide_with_the_javascript_client(transport: str) -> None:
    """The same from JavaScript: it hears the count, and stays away after the logout."""
    async with example("guide.py") as url:
        page = HTTPTestClient(url)
        await page.post("/incr")
        async with connected(url, page, transport) as client:
            await client.wait("connect")
            assert await client.emit("incr") == 2
            assert (await page.post("/incr")).body == b"3"
            for count in (2, 3):
                await client.wait("event", name="current count", args=[count])
            assert (await page.post("/logout")).code == 204
            assert (await client.wait("disconnect"))["reason"] == "io server disconnect"
            assert (await client.state())["active"] is False


async def test_one_setting_lets_a_page_of_another_site_in() -> None:
    """Its preflight, its requests with credentials and its socket; no other site's."""
    async with example("guide.py") as url:
        for origin, allowed in ((ELSEWHERE, True), ("http://localhost:4201", False)):
            page = HTTPTestClient(url, headers={"Origin": origin})
            preflight = await page.fetch(
                "/incr", method="OPTIONS", headers={"Access-Control-Request-Method": "POST"}
            )
            answer = await page.post("/incr")
            for response in (preflight, answer):
                said = response.headers.get("Access-Control-Allow-Origin")
                credentials = response.headers.get("Access-Control-Allow-Credentials")
                assert (said, credentials) == ((origin, "true") if allowed else (None, None))
            assert preflight.code == 204 or not allowed
            assert answer.code == (200 if allowed else 403)
            client = SocketIOTestClient(url, cookies=CookieJar(), headers={"Origin": origin})
            async with client:
                if allowed:
                    await client.connect()
                    assert await client.emit("incr") == 1
                else:
                    with pytest.raises(HandshakeRefused):
                        await client.connect()


# -- with a login ------------------------------------------------------------------


async def logged_in(url: str, user: str) -> HTTPTestClient:
    """Return a browser in which somebody has logged in."""
    page = HTTPTestClient(url)
    answer = await page.post("/login", {"user": user, "password": "changeit"})
    assert answer.code == 302
    return page


async def test_without_a_login_there_is_no_socket(transport: Any) -> None:
    """A handshake is a 401, a page leads to the login, a wrong password is a 401."""
    async with example("guide_login.py") as url:
        page = HTTPTestClient(url)
        assert (await page.get("/")).headers["Location"].startswith("/login")
        assert b"password" in (await page.get("/login")).body
        wrong = await page.post("/login", {"user": "john", "password": "?"})
        assert wrong.code == 401
        async with SocketIOTestClient(url, transport=transport) as client:
            with pytest.raises(HandshakeRefused) as refusal:
                await client.connect()
            assert refusal.value.status == 401


async def test_rooms_of_the_session_and_of_the_user(transport: Any) -> None:
    """`whoami`, who is online, a word to all devices of a user, a logout of one of them."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(example("guide_login.py"))
        pages = [await logged_in(url, user) for user in ("john", "john", "mary")]
        laptop, phone, mary = pages
        assert b"whoami" in (await laptop.get("/")).body
        for user, online in (("john", False), ("mary", False)):
            assert json.loads((await mary.get(f"/online/{user}")).body) == {"online": online}
        sockets = [
            await stack.enter_async_context(
                SocketIOTestClient(url, transport=transport, cookies=page.cookies)
            )
            for page in pages
        ]
        for socket, user in zip(sockets, ("john", "john", "mary"), strict=True):
            await socket.connect()
            assert await socket.emit("whoami") == user
            assert await socket.wait_for("told") == f"{user} is here"
        assert json.loads((await mary.get("/online/john")).body) == {"online": True}
        assert (await mary.post("/tell/john", {"text": "hello"})).code == 200
        assert await sockets[0].wait_for("told") == "john is here"  # on the phone
        for socket in sockets[:2]:
            assert await socket.wait_for("told") == "mary: hello"
        assert (await phone.post("/logout")).code == 204
        await sockets[1].wait_transport_closed()
        assert await sockets[0].emit("whoami") == "john"
        assert json.loads((await mary.get("/online/john")).body) == {"online": True}
        assert (await laptop.post("/logout")).code == 204
        await sockets[0].wait_transport_closed()
        assert json.loads((await mary.get("/online/john")).body) == {"online": False}
        assert [event.args for event in sockets[2].events] == [("mary is here",)]


@pytest.mark.node
async def test_the_login_variant_with_the_javascript_client(transport: str) -> None:
    """Refused without a login, at home with one."""
    async with example("guide_login.py") as url:
        async with NodeClient(url, transports=TRANSPORTS[transport]) as client:
            error = await client.wait("connect_error")
            assert status_of(error) == 401
            page = await logged_in(url, "john")
            client.set_cookies(page.cookies)
            await client.wait("connect")
            assert await client.emit("whoami") == "john"
            await client.wait("event", name="told", args=["john is here"])
