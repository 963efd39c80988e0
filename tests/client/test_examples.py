"""The examples for those who come from express-socket.io-session and session.socket.io."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.programs import example
from tornado_shared_session.testing import (
    CookieJar,
    HTTPTestClient,
    RedisServer,
    SocketIOTestClient,
)

SHARED = "express_socket_io_session.py"
ADA = {"user": "ada", "password": "changeit"}


async def me(page: HTTPTestClient) -> dict[str, Any]:
    """Return the session as a request handler sees it."""
    answer: dict[str, Any] = json.loads((await page.get("/me")).body)
    return answer


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_userdata_comes_and_goes_with_login_and_logout_events(
    redis_url: str, store: str, transport: Any
) -> None:
    """`login` answers `logged_in`, `logout` answers `logged_out`, and HTTP sees both."""
    async with example(SHARED, REDIS_URL=redis_url if store == "redis" else "") as url:
        page = HTTPTestClient(url)
        assert b"socket.io.min.js" in (await page.get("/")).body
        async with SocketIOTestClient(url, transport=transport, cookies=page.cookies) as client:
            await client.connect()
            assert await client.wait_for("sessiondata") == {"connects": 1}
            await client.emit("login", {"name": "Ada"})
            stored = {"connects": 1, "userdata": {"name": "Ada"}}
            assert await client.wait_for("logged_in") == stored
            seen = await me(page)
            assert len(seen.pop("id")) == 22
            assert seen == {"user": None, **stored}
            assert await client.emit("checksession") == stored
            await client.emit("logout")
            assert await client.wait_for("logged_out") == {"connects": 1}
            assert "userdata" not in await me(page)


async def test_what_a_connect_handler_changes_is_stored_by_autosave() -> None:
    """Each connection of the browser counts, and its requests see how many there were."""
    async with example(SHARED) as url:
        page = HTTPTestClient(url)
        for count in (1, 2):
            async with SocketIOTestClient(url, cookies=page.cookies) as client:
                await client.connect()
                assert await client.wait_for("sessiondata") == {"connects": count}
            assert (await me(page))["connects"] == count


async def test_userdata_is_no_login_but_a_password_over_http_is() -> None:
    """`whoami` wants the second; the socket comes back with the new credential."""
    async with example(SHARED) as url:
        page = HTTPTestClient(url)
        async with SocketIOTestClient(url, cookies=page.cookies) as client:
            await client.connect()
            await client.emit("login", {"name": "ada", "user_id": "ada"})
            assert await client.emit("whoami") == {"error": "login required"}
            assert (await page.post("/login", {**ADA, "password": "guess"})).code == 401
            before = dict(page.cookies)
            assert (await page.post("/login", ADA)).code == 302
            assert await client.wait_for("session_ended") == {"reason": "rotated"}
            assert page.cookies != before
        async with SocketIOTestClient(url, cookies=page.cookies) as client:
            await client.connect()
            assert await client.emit("whoami") == "ada"
            assert (await client.emit("checksession"))["userdata"]["name"] == "ada"
            assert (await page.post("/logout")).code == 204
            assert await client.wait_for("session_ended") == {"reason": "logged_out"}
            await client.wait_transport_closed()


async def test_an_event_may_destroy_the_session() -> None:
    """Its socket closes, its siblings too, and the data is gone."""
    async with example(SHARED) as url:
        jar = CookieJar()
        async with (
            SocketIOTestClient(url, cookies=jar) as client,
            SocketIOTestClient(url, cookies=jar, transport="polling") as sibling,
        ):
            await client.connect()
            await client.emit("login", {"name": "Ada"})
            await sibling.connect()
            await client.emit("forget", ack=False)
            for socket in (client, sibling):
                assert await socket.wait_for("session_ended") == {"reason": "logged_out"}
                await socket.wait_transport_closed()
        assert "userdata" not in await me(HTTPTestClient(url, cookies=jar))


# -- session.socket.io, express-session.io -----------------------------------------


CHAT = "/chat"


async def test_a_namespace_of_its_own_with_the_session_of_all() -> None:
    """What is said is heard there only; the name is the same on every namespace."""
    async with example("namespaces.py") as url:
        async with (
            SocketIOTestClient(url, cookies=CookieJar()) as ada,
            SocketIOTestClient(url, cookies=CookieJar()) as bob,
        ):
            for client, name in ((ada, "Ada"), (bob, "Bob")):
                await client.connect()
                await client.connect(CHAT)
                assert await client.wait_for("welcome") == "?"
                await client.emit("name", name, namespace=CHAT)
                assert await client.emit("whisper") == name
            assert await ada.emit("who", namespace=CHAT) == ["Ada", "Bob"]
            await bob.emit("say", "hello", namespace=CHAT)
            for client in (ada, bob):
                heard = await client.wait_for_event("said")
                assert (heard.namespace, heard.args) == (CHAT, ({"from": "Bob", "text": "hello"},))
            await bob.disconnect(CHAT)
            async with SocketIOTestClient(url, cookies=bob.cookies) as again:
                await again.connect(CHAT)
                assert await again.wait_for("welcome") == "Bob"
                assert list(bob.cookies or {}) == ["connect.sid"]


async def test_a_name_that_is_no_text_spoils_nobodys_list() -> None:
    """A client may send anything, and the list is for all."""
    async with example("namespaces.py") as url:
        async with (
            SocketIOTestClient(url, cookies=CookieJar()) as ada,
            SocketIOTestClient(url, cookies=CookieJar()) as eve,
        ):
            for client, name in ((ada, "Ada"), (eve, {"no": ["text"]})):
                await client.connect(CHAT)
                await client.emit("name", name, namespace=CHAT)
            assert "Ada" in await ada.emit("who", namespace=CHAT)


async def test_an_unsigned_cookie_of_that_name_is_never_believed() -> None:
    """Nor is one that lost a part of its signature."""
    async with example("namespaces.py") as url:
        jar = CookieJar()
        async with SocketIOTestClient(url, cookies=jar) as client:
            await client.connect(CHAT)
            await client.emit("name", "Ada", namespace=CHAT)
        signed = jar["connect.sid"].strip('"')
        payload = signed.split("|")[4].split(":")[1]
        for forged in (payload, f"s:{payload}", signed[:-1], signed.rsplit("|", 1)[0] + "|"):
            guest = CookieJar({"connect.sid": forged})
            async with SocketIOTestClient(url, cookies=guest) as client:
                await client.connect(CHAT)
                assert await client.wait_for("welcome") == "?"


async def test_a_socket_without_a_session_is_left_to_the_connect_handler(
    own_redis: RedisServer,
) -> None:
    """With the store down it is a guest, and stays."""
    async with example("namespaces.py", REDIS_URL=own_redis.url) as url:
        jar = CookieJar()
        async with SocketIOTestClient(url, cookies=jar) as client:
            await client.connect(CHAT)
            await client.emit("name", "Ada", namespace=CHAT)
        own_redis.stop()
        async with SocketIOTestClient(url, cookies=jar) as guest:
            await guest.connect(CHAT)
            assert await guest.wait_for("guest") == "StoreError"


async def test_a_guest_whose_credential_was_replaced_listens_only() -> None:
    """It hears the others, is not among them, and what needs a session does not run."""
    async with example("namespaces.py") as url:
        page = HTTPTestClient(url)
        await page.post("/login", {"name": "Ada"})
        old = CookieJar(page.cookies)
        await page.post("/login", {"name": "Ada"})
        async with (
            SocketIOTestClient(url, cookies=old) as guest,
            SocketIOTestClient(url, cookies=page.cookies) as ada,
        ):
            await guest.connect(CHAT)
            assert await guest.wait_for("guest") == "SessionEnded"
            await ada.connect(CHAT)
            assert await ada.wait_for("welcome") == "Ada"
            await guest.emit("say", "let me in", namespace=CHAT, ack=False)
            await ada.emit("say", "hello", namespace=CHAT)
            assert await guest.wait_for("said") == {"from": "Ada", "text": "hello"}
            assert await ada.emit("who", namespace=CHAT) == ["Ada"]
            assert [event.name for event in ada.events] == ["welcome", "said"]
