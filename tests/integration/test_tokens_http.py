"""Clients without cookies over HTTP: the Authorization header and Session-Token."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.sites import Site, raw_redis, site, ttl
from tests.support.tokens import (
    ask,
    bearer,
    enter,
    fallback,
    id_of,
    logged_in,
    token_of,
    token_of_both,
    whoami,
)
from tornado_shared_session.testing import CookieJar

CREDENTIALS = "token"  # of `a`, the application


async def test_a_new_token_leaves_in_a_header(a: Site) -> None:
    """No cookie goes with it, no cache keeps it, and shown again it gives the session."""
    response = await a.http().post("/note", {"value": json.dumps("mine")})
    token = response.headers["Session-Token"]
    assert "Set-Cookie" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Vary"] == "Authorization"
    again = await a.http().get("/note", headers=bearer(token))
    assert json.loads(again.body) == "mine"
    assert "Session-Token" not in again.headers
    assert again.headers["Vary"] == "Authorization"


async def test_reading_costs_no_token(a: Site) -> None:
    """Nothing is stored, so there is nothing to hand out, whatever was shown."""
    for headers in ({}, bearer("bad")):
        response = await a.http().get("/note", headers=headers)
        assert response.body == b"null"
        assert "Session-Token" not in response.headers


async def test_a_login_hands_out_a_new_token(a: Site) -> None:
    """The one before authenticates nobody, gets no new one, and cannot write (S5)."""
    token = await token_of(a, note="mine")
    response = await a.http().post("/login", {"user": "ann"}, headers=bearer(token))
    new = response.headers["Session-Token"]
    assert (await whoami(a, new))["user"] == "ann"
    assert id_of(a, new) == id_of(a, token)
    old = await a.http().get("/whoami", headers=bearer(token))
    assert json.loads(old.body)["user"] is None
    assert "Session-Token" not in old.headers
    assert (await a.http().post("/note", {"value": "1"}, headers=bearer(token))).code == 409


async def test_a_logout_takes_nothing_away(a: Site) -> None:
    """There is no header that says so; the token is worth nothing."""
    token = await token_of(a)
    response = await a.http().post("/logout", headers=bearer(token))
    assert response.code == 200
    assert "Session-Token" not in response.headers
    assert "Set-Cookie" not in response.headers
    assert (await whoami(a, token))["id"] is None


async def test_a_token_in_the_query_is_not_read(a: Site) -> None:
    """Query strings end up in logs (S30)."""
    token = await token_of(a, note="mine")
    for name in ("token", "access_token", "Authorization", "Session-Token"):
        assert (await a.http().get(f"/note?{name}={token}")).body == b"null"


# Two carriers never mix


@pytest.mark.parametrize("shown", ["bad", "", "a cookie's value", "another's"])
async def test_the_header_decides_alone(redis_url: str, prefix: str, shown: str) -> None:
    """The cookie beside it is ignored, even when the token is bad, and none is set (S31)."""
    async with fallback(redis_url, prefix) as a:
        jar = await a.visitor(note="by cookie")
        token, data = shown, {}
        if shown == "another's":
            token, data = await token_of_both(a), {"note": "by token"}
        elif shown == "a cookie's value":
            token = jar["session"].strip('"')
        before = dict(jar)
        response = await a.http(jar).get("/whoami", headers=bearer(token))
        assert json.loads(response.body)["data"] == data
        wrote = await a.http(jar).post("/note", {"key": "k", "value": "1"}, headers=bearer(token))
        assert wrote.code == 200
        assert "Set-Cookie" not in wrote.headers
        assert ("Session-Token" in wrote.headers) == (not data)
        assert wrote.headers["Vary"] == "Authorization, Cookie"
        assert dict(jar) == before
        assert json.loads((await a.http(jar).get("/whoami")).body)["data"] == {"note": "by cookie"}


async def test_without_the_header_the_cookie_decides(redis_url: str, prefix: str) -> None:
    """A token's value in the cookie is nothing; a proxy's Basic password does not matter."""
    async with fallback(redis_url, prefix) as a:
        jar = await a.visitor(note="by cookie")
        basic = {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}
        response = await a.http(jar).get("/note", headers=basic)
        assert json.loads(response.body) == "by cookie"
        assert "Session-Token" not in response.headers
        token = await token_of_both(a)
        response = await a.http(CookieJar(session=token)).get("/note")
        assert response.body == b"null"


async def test_only_the_header_is_exempt_from_the_xsrf_check(redis_url: str, prefix: str) -> None:
    """No page can make a browser send a Bearer token; it sends cookies and Basic passwords."""
    async with fallback(redis_url, prefix, xsrf=True) as a:
        for header in bearer("bad"), bearer(""):
            response = await a.http().post("/note", {"value": "1"}, headers=header)
            assert response.code == 200
        for header in {}, {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}:
            response = await a.http().post("/note", {"value": "1"}, headers=header)
            assert response.code == 403


async def test_a_token_signed_with_an_older_key_is_sent_again(redis_url: str, prefix: str) -> None:
    """Under the present one, over HTTP and in gotToken; without the old key it is foreign (S37)."""
    settings: dict[str, Any] = {"redis": redis_url, "prefix": prefix, "credentials": "token"}

    def keys(**secrets: Any) -> Any:
        def edit(shared: Any) -> None:
            shared.app.settings |= secrets

        return edit

    old = {"cookie_secret": {1: "old"}, "key_version": 1}
    both = {"cookie_secret": {1: "old", 2: "new"}, "key_version": 2}
    async with site(edit=keys(**old), **settings) as a:
        token = await token_of(a, note="mine")
    async with site(edit=keys(**both), **settings) as a:
        response = await a.http().get("/note", headers=bearer(token))
        assert json.loads(response.body) == "mine"
        new = response.headers["Session-Token"]
        async with a.client("websocket") as client:
            await client.connect()
            said, errors = await ask(client, {"token": token})
            assert (said != token, errors) == (True, "")
            assert id_of(a, said) == id_of(a, token)
    async with site(edit=keys(cookie_secret={2: "new"}, key_version=2), **settings) as a:
        assert (await whoami(a, new))["data"] == {"note": "mine"}
        assert (await whoami(a, said))["data"] == {"note": "mine"}
        assert (await whoami(a, token))["data"] == {}


# What the session does, whatever carries it


async def test_clear_keeps_the_token(a: Site) -> None:
    """The data is gone; the token, the session and who is logged in stay."""

    @a.sio.on("clear")  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def clear(sid: str) -> None:
        async with a.sio.session(sid) as session:
            session.clear()

    token = await logged_in(a, note="mine")
    async with a.client("websocket") as client:
        await enter(client, token)
        await client.emit("clear")
        assert await ask(client) == (token, "")
    found = await whoami(a, token)
    assert (found["id"], found["user"], found["data"]) == (id_of(a, token), "ann", {})


async def test_get_has_a_default_and_set_persists_in_one_call(a: Site) -> None:
    """get(key, default) in an event; save_session(sid, {...}) stores at once."""

    @a.sio.on("first")  # type: ignore[untyped-decorator]  # python-socketio is untyped
    async def first(sid: str) -> Any:
        found = (await a.sio.get_session(sid)).get("no such key", "a default")
        await a.sio.save_session(sid, {"key": found})
        return found

    async with a.client("websocket") as client:
        await client.connect()
        token, _ = await ask(client)
        assert await client.emit("first") == "a default"
        assert (await whoami(a, token))["data"] == {"key": "a default"}


async def test_an_expiration_in_seconds_is_what_counts(redis_url: str, prefix: str) -> None:
    """The record lives that long, is extended by use, and its token is nothing after that."""
    async with site(redis=redis_url, prefix=prefix, credentials="token", idle=1) as a:
        token = await token_of(a, note="mine")
        id = id_of(a, token)
        assert 0.5 < await ttl(redis_url, prefix, id) <= 1
        async with a.client("websocket") as client:
            await enter(client, token)
            assert await client.wait_for("session_ended", 3) == {"reason": "expired"}
        async with raw_redis(redis_url) as redis:
            async with asyncio.timeout(2):
                while await redis.exists(f"{prefix}s:{id}"):
                    await asyncio.sleep(0.01)  # Redis announces no expiry
        assert (await whoami(a, token))["data"] == {}
