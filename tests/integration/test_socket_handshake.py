"""Who may open a transport, what the response says, and what later requests must show."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgpack
import pytest

from tests.support.sites import Site, raw_redis, session_id, site, status_of
from tornado_shared_session.testing import (
    CookieJar,
    SocketIOTestClient,
)
from tornado_shared_session.testing.wire import Wire


async def request(
    client: SocketIOTestClient, jar: CookieJar | None, kind: str, query: str = ""
) -> int:
    """Send one more request of an open connection, with other cookies."""
    headers = {"Cookie": jar.header()} if jar else {}
    target = client.engine._target("websocket" if kind == "upgrade" else "polling") + query
    if kind == "upgrade":
        headers |= {"Upgrade": "websocket", "Connection": "Upgrade"}
        headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x" * 22 + "=="}
    method = "POST" if kind == "post" else "GET"
    async with await Wire.open(client.engine.url) as wire:
        body = b'42["set","note","stolen"]' if kind == "post" else b""
        return (await wire.request(method, target, headers, body)).status


# A visitor without a cookie


async def test_a_cookieless_handshake_sets_the_cookie(
    a: Site, redis_url: str, prefix: str, transport: str
) -> None:
    """Set-Cookie is on the handshake, the record provisional; HTTP sees what the socket wrote
    (V7.6.2).
    """
    jar = CookieJar()
    async with a.client(transport, jar) as client, raw_redis(redis_url) as redis:
        await client.open()
        (cookie,) = client.responses[0].headers.get_list("Set-Cookie")
        assert client.handshake_status == (101 if transport == "websocket" else 200)
        assert cookie.startswith("session=")
        assert "HttpOnly" in cookie
        assert client.handshake_headers["Cache-Control"] == "no-store"
        key = f"{prefix}s:{session_id(jar)}"
        assert await redis.hexists(key, b"\xffp")
        assert 0 < await redis.ttl(key) <= 60
        await client.connect()
        await client.emit("set", "note", "by socket")
        assert not await redis.hexists(key, b"\xffp")
        assert await redis.ttl(key) > 1000
        answer = await a.http(jar).get("/whoami")
        assert json.loads(answer.body)["data"] == {"note": "by socket"}
        assert "Set-Cookie" not in answer.headers


async def test_a_cookie_that_comes_back_makes_the_record_normal(
    a: Site, redis_url: str, prefix: str, transport: str
) -> None:
    """By HTTP, or by the next handshake."""
    jars = [CookieJar(), CookieJar()]
    async with raw_redis(redis_url) as redis:
        for jar in jars:
            assert await status_of(a.client(transport, jar)) in (101, 200)
        await a.http(jars[0]).get("/whoami")
        assert await status_of(a.client(transport, jars[1])) in (101, 200)
        for jar in jars:
            assert await redis.ttl(f"{prefix}s:{session_id(jar)}") > 1000


async def test_a_thousand_cookieless_reconnects_leave_a_minutes_worth(
    a: Site, redis_url: str, prefix: str
) -> None:
    """Every record has a minute at most, and nothing renews it once the client is gone."""

    async def visit(kind: str) -> None:
        async with a.client(kind) as client:
            await client.open()

    for _ in range(20):
        await asyncio.gather(*(visit(kind) for kind in ("polling", "websocket") * 25))
    await a.empty()
    a.watcher._ask_all(renew=True)
    async with raw_redis(redis_url) as redis:
        keys = await redis.keys(f"{prefix}s:*")
        before = [await redis.pttl(key) for key in keys]
        assert len(keys) == 1000
        assert max(before) <= 60_000
        a.watcher._ask_all(renew=True)
        await a.manager.health()
        after = [await redis.pttl(key) for key in keys]
        assert all(new <= old for new, old in zip(after, before, strict=True))


async def test_the_reload_renews_a_provisional_record_while_connected(
    redis_url: str, prefix: str, transport: str
) -> None:
    """A visitor who only listens keeps the session, without a cookie jar."""
    async with site(redis=redis_url, prefix=prefix) as a, raw_redis(redis_url) as redis:
        async with a.client(transport) as client:
            await client.connect()
            key = f"{prefix}s:{a.connection.id}"
            await redis.pexpire(key, 5_000)
            a.watcher._ask_all(renew=True)
            async with asyncio.timeout(3):
                while await redis.pttl(key) <= 5_000:
                    await asyncio.sleep(0.01)  # Redis announces no new expiry
            assert await redis.hexists(key, b"\xffp")


async def test_anonymous_visitors_may_be_refused(
    redis_url: str, prefix: str, transport: str
) -> None:
    """With anonymous="refuse" no session is a 401, with no cookie and no record."""
    async with site(redis=redis_url, prefix=prefix, anonymous="refuse") as a:
        stranger = a.client(transport, CookieJar())
        assert await status_of(stranger) == 401
        assert "Set-Cookie" not in stranger.handshake_headers
        assert not any(a.shared.counts().values())
        assert await status_of(a.client(transport, await a.visitor())) in (101, 200)
        async with raw_redis(redis_url) as redis:
            assert len(await redis.keys(f"{prefix}s:*")) == 1


async def test_a_login_may_be_required(redis_url: str, prefix: str, transport: str) -> None:
    """With login_required nobody comes in who is not logged in, and nothing of them stays."""
    async with site(redis=redis_url, prefix=prefix, login_required=True) as a:
        jar = await a.visitor()
        assert await status_of(a.client(transport, jar)) == 401
        assert await status_of(a.client(transport)) == 401
        assert len(a.manager.connections) == 0
        await a.http(jar).post("/login", {"user": "ann"})
        assert await status_of(a.client(transport, jar)) in (101, 200)


async def test_of_several_cookies_the_live_one_counts(a: Site, transport: str) -> None:
    """A dead one beside it does not matter, then and later; two live ones are nobody."""
    live, dead, other = await a.visitor(note="mine"), await a.visitor(), await a.visitor()
    await a.manager.destroy(session_id(dead))
    both = f"session={dead['session']}; session={live['session']}"
    async with a.client(transport, headers={"Cookie": both}) as client:
        await client.connect()
        assert await client.emit("get") == "mine"
    two = f"session={other['session']}; session={live['session']}"
    refused = a.client(transport, headers={"Cookie": two})
    assert await status_of(refused) == 401
    assert "Set-Cookie" not in refused.handshake_headers


# A connection keeps its session (F7)


@pytest.mark.parametrize("kind", ["get", "post", "upgrade"])
async def test_a_connection_answers_only_its_own_session(a: Site, kind: str) -> None:
    """With another session's cookie, or none, on its id: refused, and nothing is written
    (F7, S26).
    """
    jar, thief = await a.visitor(note="mine"), await a.visitor()
    async with a.client("polling", jar) as client:
        await client.connect()
        for wrong in (thief, None):
            assert await request(client, wrong, kind) == 400
        assert await client.emit("get") == "mine"


@pytest.mark.parametrize("kind", ["get", "post", "upgrade"])
async def test_a_superseded_credential_cannot_use_a_newer_connection(a: Site, kind: str) -> None:
    """The same id with the secret from before the login is as good as another session's
    (F7, S5).
    """
    jar = await a.visitor(note="mine")
    old = CookieJar(jar)
    await a.http(jar).post("/login", {"user": "ann"})
    async with a.client("polling", jar) as client:
        await client.connect()
        assert await request(client, old, kind) == 400
        assert await client.emit("get") == "mine"


@pytest.mark.parametrize("kind", ["get", "post", "upgrade"])
async def test_a_newer_credential_ends_the_connection_of_the_older_one(
    redis_url: str, prefix: str, kind: str
) -> None:
    """The browser after its login, before any notice: it hears why, and nothing is handled."""
    settings: dict[str, Any] = {"no_notices": True, "no_deadlines": True, "reload": "interval"}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        async with site(redis=redis_url, prefix=prefix) as b:
            jar = await a.visitor()
            async with a.client("polling", CookieJar(jar)) as client:
                await client.connect()
                await b.http(jar).post("/login", {"user": "ann"})
                client.engine.cookies = jar
                await a.sio.emit("queued")
                if kind != "get":  # its own next poll is the get
                    wanted = 401 if kind == "upgrade" else 200
                    assert await request(client, jar, kind) == wanted
                assert await client.wait_for("queued") is None
                assert await client.wait_for("session_ended") == {"reason": "rotated"}
                await client.wait_transport_closed()
            await a.empty()
            assert json.loads((await b.http(jar).get("/whoami")).body)["data"] == {"note": ""}


@pytest.mark.parametrize("kind", ["get", "post", "upgrade"])
async def test_one_of_two_ids_in_the_query_does_not_slip_through(a: Site, kind: str) -> None:
    """Engine.IO reads the first, Tornado the last: a repeated parameter is refused."""
    jar, thief = await a.visitor(note="mine"), await a.visitor()
    async with a.client("polling", jar) as client, a.client("polling", thief) as other:
        await asyncio.gather(client.connect(), other.connect())
        assert await request(client, thief, kind, f"&sid={other.eio_sid}") == 400
        assert await client.emit("get") == "mine"


async def test_a_client_without_cookies_stays_without(a: Site, transport: str) -> None:
    """Nothing, or what the handshake set: both are right; any other session is not (F7)."""
    thief = await a.visitor()
    async with a.client(transport) as client:
        await client.connect()
        assert await client.emit("set", "note", 1) == "saved"
    async with a.client("polling", CookieJar()) as client:
        await client.connect()
        assert await request(client, None, "post") == 200
        assert await request(client, thief, "post") == 400


@pytest.mark.expects_log("the carrier is broken", "500")
async def test_a_handshake_that_fails_late_leaves_no_connection(
    redis_url: str, prefix: str
) -> None:
    """A carrier of one's own that raises when it should hand out the credential."""
    async with site(redis=redis_url, prefix=prefix) as a:

        def broken(handler: object, credential: object) -> None:
            raise RuntimeError("the carrier is broken")

        a.manager.credentials.write = broken  # type: ignore[method-assign]  # replaced for the test
        assert await status_of(a.client("polling")) == 500
        await a.empty()


@pytest.mark.parametrize("harm", ["forged", "truncated", "oversized", "unknown", "corrupt"])
async def test_what_names_no_session_makes_a_stranger(
    redis_url: str, prefix: str, transport: str, harm: str
) -> None:
    """Nothing of the client's value is adopted, and the handshake works."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        before = session_id(jar)
        async with raw_redis(redis_url) as redis:
            if harm == "unknown":
                await redis.delete(f"{prefix}s:{before}")
            elif harm == "corrupt":
                await redis.hset(f"{prefix}s:{before}", b"\xffm", b"no bookkeeping")
        value = jar["session"].strip('"')
        shown = {
            "forged": value[:-1] + ("0" if value[-1] != "0" else "1"),
            "truncated": value[:-20],
            "oversized": value * 40,
        }.get(harm, value)
        async with a.client(transport, {"session": shown}) as client:
            await client.connect()
            assert (await client.emit("whoami"))["id"] not in (before, None)


@pytest.mark.expects_log("503", "newer_format")
async def test_a_record_of_a_newer_release_refuses_the_handshake(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Not a stranger: in a rolling deploy nobody is logged out."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with raw_redis(redis_url) as redis:
            newer = msgpack.packb([99, "whatever comes"])
            await redis.hset(f"{prefix}s:{session_id(jar)}", b"\xffm", newer)
        assert await status_of(a.client(transport, jar)) == 503
        await a.empty()
