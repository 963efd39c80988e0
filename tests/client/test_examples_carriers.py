"""The examples with another carrier than our cookie: tokens, and a cookie as Express signs it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from tests.support.node_client import NodeClient, require_node
from tests.support.programs import example
from tests.support.sites import raw_redis
from tornado_shared_session.testing import (
    CookieJar,
    HTTPTestClient,
    RedisServer,
    SocketIOTestClient,
)

LOGIN = {"user": "ada", "password": "changeit"}


@pytest.fixture(
    params=["memory", "redis", "sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
async def tokens(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path
) -> AsyncIterator[str]:
    """The example with tokens, on each kind of store."""
    env = {"REDIS_URL": redis_url} if request.param == "redis" else {}
    if request.param in ("sqlite", "mariadb"):
        from tornado_shared_session.stores.sql import SQLStore

        env["DATABASE_URL"] = (
            f"sqlite+aiosqlite:///{tmp_path}/sessions.db"
            if request.param == "sqlite"
            else request.getfixturevalue("mariadb").url
        )
        store = SQLStore(env["DATABASE_URL"])
        await store.create_tables()
        await store.close()
    async with example("tokens.py", **env) as url:
        yield url


async def ask(client: SocketIOTestClient, token: Any) -> tuple[str, str]:
    """Send getToken; return the token and the errors in the answer."""
    await client.emit("getToken", {"token": token}, ack=False)
    answer = await client.wait_for("gotToken")
    assert answer.keys() == {"token", "errors"}
    return answer["token"], answer["errors"]


async def test_the_token_brings_the_session_back(tokens: str, transport: Any) -> None:
    """Also to another socket and to HTTP; set, get and clear work as there."""
    async with SocketIOTestClient(tokens, transport=transport, cookies=None) as client:
        await client.connect()
        token, errors = await ask(client, "")
        assert token
        assert errors == "Session Not Found"
        await client.emit("set", "colour", "blue")
        assert await client.emit("get", "colour") == "blue"
        assert await client.emit("get", "missing") == ""
        assert await ask(client, "") == (token, "")  # the one this socket has
    async with SocketIOTestClient(tokens, transport=transport, cookies=None) as client:
        await client.connect()
        assert await ask(client, token) == (token, "")
        assert await client.emit("get", "colour") == "blue"
        page = HTTPTestClient(tokens, headers={"Authorization": f"Bearer {token}"})
        assert json.loads((await page.get("/data")).body) == {"user": None, "colour": "blue"}
        assert page.cookies == {}
        await client.emit("clear")
        assert await client.emit("get", "colour") == ""
        assert await ask(client, token) == (token, "")


async def test_a_foreign_token_is_answered_with_a_new_one(tokens: str) -> None:
    """Whatever it is; it is never adopted."""
    for bad in ("x" * 32, "", 7, None, {"a": 1}):
        async with SocketIOTestClient(tokens, cookies=None) as client:
            await client.connect()
            token, errors = await ask(client, bad)
            assert errors == "Session Not Found"
            assert token
            assert token != bad


async def test_a_token_whose_session_is_over_is_answered_with_an_empty_one(
    own_redis: RedisServer,
) -> None:
    """And with the reason; nothing of the old data comes along."""
    async with example("tokens.py", REDIS_URL=own_redis.url) as url:
        async with SocketIOTestClient(url, cookies=None) as client:
            await client.connect()
            token, _ = await ask(client, "")
            await client.emit("set", "colour", "blue")
        async with raw_redis(own_redis.url) as redis:
            await redis.flushall()
        async with SocketIOTestClient(url, cookies=None) as client:
            await client.connect()
            fresh, errors = await ask(client, token)
            assert errors == "Session Expired"
            assert fresh != token
            assert await client.emit("get", "colour") == ""


async def test_while_the_store_is_down_the_answer_is_a_plain_sentence(
    own_redis: RedisServer,
) -> None:
    """Without a token, an address or a trace."""
    async with example("tokens.py", REDIS_URL=own_redis.url) as url:
        async with SocketIOTestClient(url, cookies=None) as client:
            await client.connect()
            own_redis.stop()
            token, errors = await ask(client, "")
            assert token == ""
            assert re.fullmatch(r"[\w ,;.-]+", errors), errors
            assert "127.0.0.1" not in errors


@pytest.mark.parametrize("user", ["eve", "", None, ["ada"]], ids=str)
async def test_a_login_without_a_password_is_none(user: Any) -> None:
    """A client may send anything: null is what an unknown user's password is not."""
    async with (
        example("tokens.py") as url,
        SocketIOTestClient(url, transport="websocket", cookies=None) as client,
    ):
        await client.connect()
        token, _ = await ask(client, "")
        await client.emit("user:login", {"user": user, "password": None})
        assert await client.emit("user:secured") == {"error": "login required"}
        await client.emit("set", "user", "ada")
        page = HTTPTestClient(url, headers={"Authorization": f"Bearer {token}"})
        assert json.loads((await page.get("/data")).body) == {"user": None}


async def test_a_login_in_an_event_brings_a_new_token(tokens: str) -> None:
    """The old one is worth nothing, and the data is kept."""
    async with SocketIOTestClient(tokens, cookies=None) as client:
        await client.connect()
        token, _ = await ask(client, "")
        assert await client.emit("user:secured") == {"error": "login required"}
        await client.emit("set", "colour", "blue")
        await client.emit("user:login", {**LOGIN, "password": "guess"})
        assert await client.emit("user:secured") == {"error": "login required"}
        await client.emit("user:login", LOGIN)
        answer = await client.wait_for("gotToken")
        assert answer["errors"] == ""
        assert answer["token"] != token
        assert await client.emit("user:secured") == "for ada only"
        assert await client.emit("get", "colour") == "blue"
    for presented, user in ((answer["token"], "ada"), (token, None)):
        page = HTTPTestClient(tokens, headers={"Authorization": f"Bearer {presented}"})
        response = await page.get("/data")
        assert (json.loads(response.body)["user"] if response.code == 200 else None) == user


@pytest.mark.node
async def test_tokens_with_the_javascript_client(transport: str) -> None:
    """As its page does: getToken after each connect, no cookie kept."""
    async with example("tokens.py") as url:
        async with NodeClient(url, jar=False) as client:
            await client.wait("connect")
            await client.emit("getToken", {"token": ""}, ack=False)
            first = (await client.wait("event", name="gotToken"))["args"][0]
            await client.emit("set", "colour", "blue")
            client.cut()
            await client.wait("connect")
            await client.emit("getToken", {"token": first["token"]}, ack=False)
            again = (await client.wait("event", name="gotToken"))["args"][0]
            assert again == {"token": first["token"], "errors": ""}
            assert await client.emit("get", "colour") == "blue"


# -- a cookie as Express signs it --------------------------------------------------


def signed(text: str, secret: str) -> str:
    """Sign as Express' cookie-parser does, and escape as its `res.cookie` does."""
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return quote(f"s:{text}.{base64.b64encode(digest).decode().rstrip('=')}", safe="")


def unsigned(cookie: str) -> str:
    """Return the text in such a cookie."""
    return unquote(cookie).removeprefix("s:").rpartition(".")[0]


async def noted(url: str, cookie: str) -> Any:
    """Return what a visitor with that cookie has noted."""
    page = HTTPTestClient(url, cookies={"shop": cookie})
    return json.loads((await page.get("/")).body).get("note")


async def test_a_cookie_in_the_form_of_express_carries_the_session(transport: Any) -> None:
    """Over HTTP and on a socket; login and logout of such a visitor work as ever."""
    async with example("foreign_cookie.py", SECRETS='["kitten"]') as url:
        page = HTTPTestClient(url)
        await page.post("/", {"note": "hello"})
        text = unsigned(page.cookies["shop"])
        assert page.cookies["shop"] == signed(text, "kitten")
        async with SocketIOTestClient(url, transport=transport, cookies=page.cookies) as client:
            await client.connect()
            assert await client.emit("note") == "hello"
            old = page.cookies["shop"]
            assert (await page.post("/login", {"user": "ada"})).code == 200
            assert await client.wait_for("session_ended") == {"reason": "rotated"}
        assert await noted(url, page.cookies["shop"]) == "hello"
        assert await noted(url, old) is None  # S5: what a login replaces is worth nothing
        async with SocketIOTestClient(url, transport=transport, cookies=CookieJar()) as fresh:
            await fresh.connect()
            assert (fresh.cookies or {}).keys() == {"shop"}


async def test_only_what_we_stored_and_a_known_key_signed_is_believed() -> None:
    """Not an id of theirs, not an unsigned one, not one by another key; nor is it adopted."""
    async with example("foreign_cookie.py", SECRETS='["kitten"]') as url:
        page = HTTPTestClient(url)
        await page.post("/", {"note": "hello"})
        text = unsigned(page.cookies["shop"])
        assert await noted(url, signed(text, "kitten")) == "hello"
        id, _, secret = text.partition(".")
        unknown = signed(f"{id[::-1]}.{secret}", "kitten")
        wrong = signed(f"{id}.{secret[::-1]}", "kitten")
        theirs = signed("x" * 32, "kitten")
        for bad in (text, f"s:{text}", signed(text, "dog"), unknown, wrong, theirs, "s:.", "%FF"):
            visitor = HTTPTestClient(url, cookies={"shop": bad})
            assert json.loads((await visitor.get("/")).body) == {"user": None}
            await visitor.post("/", {"note": "mine"})
            mine = unsigned(visitor.cookies["shop"])
            assert not mine.startswith((id, id[::-1], "x" * 22))
        assert await noted(url, page.cookies["shop"]) == "hello"


async def test_a_cookie_signed_with_an_older_key_is_sent_again() -> None:
    """Under the new one, after which the old key may go."""
    async with example("foreign_cookie.py", SECRETS='["new", "old"]') as url:
        page = HTTPTestClient(url)
        await page.post("/", {"note": "hello"})
        text = unsigned(page.cookies["shop"])
        page.cookies["shop"] = signed(text, "old")
        assert json.loads((await page.get("/")).body)["note"] == "hello"
        assert page.cookies["shop"] == signed(text, "new")


@pytest.mark.node
async def test_node_signs_what_python_reads() -> None:
    """With the standard library that cookie-parser signs with."""
    script = """
        const crypto = require("crypto");
        const [text, secret] = process.argv.slice(1);
        const sign = crypto.createHmac("sha256", secret).update(text).digest("base64");
        console.log(encodeURIComponent("s:" + text + "." + sign.replace(/=+$/, "")));
    """
    process = await asyncio.create_subprocess_exec(
        require_node(), "-e", script, "some.text", "kitten", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == signed("some.text", "kitten")


async def test_without_a_secret_of_express_nobody_can_know_what_signs() -> None:
    """It is a new one with each start, so no cookie survives, and no printed one is believed."""
    cookies = []
    for _ in range(2):
        async with example("foreign_cookie.py", SECRETS="") as url:
            page = HTTPTestClient(url)
            await page.post("/", {"note": "hello"})
            cookies.append(page.cookies["shop"])
            text = unsigned(cookies[-1])
            assert await noted(url, cookies[-1]) == "hello"
            for guess in ("change me", "", "kitten"):
                assert await noted(url, signed(text, guess)) is None
            assert len(cookies) == 1 or await noted(url, cookies[0]) is None
