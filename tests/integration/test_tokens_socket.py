"""Clients without cookies: how a socket comes to its session by a token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.proxy import FaultProxy
from tests.support.sites import HeldLoad, Site, raw_redis, site, status_of, until
from tests.support.tokens import (
    EXPIRED,
    NOT_FOUND,
    ask,
    bearer,
    heard,
    id_of,
    logged_in,
    token_of,
    whoami,
)
from tornado_shared_session import BearerToken
from tornado_shared_session.record import Credential
from tornado_shared_session.testing import ConnectionLost, RedisServer


@pytest.fixture
async def a(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The application in token mode."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as running:
        yield running


def kind_of(transport: str) -> str:
    """Return how this transport's handshake begins."""
    return "polling" if transport == "upgrade" else transport


# A valid token, in each of the three ways


@pytest.mark.parametrize("namespace", ["/", "/chat"])
async def test_a_valid_token_gives_the_session(a: Site, transport: str, namespace: str) -> None:
    """getToken in any namespace: same token, no errors, data there; and no cookie on the way."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect(namespace)
        assert await ask(client, {"token": token}, namespace=namespace) == (token, "")
        assert await client.emit("get", namespace=namespace) == "mine"
        assert a.connection.id == id_of(a, token)
        assert not client.handshake_headers.get_list("Set-Cookie")
    await a.empty()


async def test_a_token_in_auth_gives_the_session(a: Site, transport: str) -> None:
    """It is answered with gotToken, before what the connect handler emits; auth loses the token."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect(auth={"token": token, "do": "greet"})
        assert await client.wait_for("greeting") == "hello"
        assert [event.name for event in client.events] == ["gotToken", "greeting"]
        assert heard(client, "gotToken") == [({"token": token, "errors": ""},)]
        assert await client.emit("get") == "mine"
        assert a.shared.heard("auth") == [{"do": "greet"}]


async def test_a_token_in_the_handshakes_header_gives_the_session(a: Site, transport: str) -> None:
    """Nothing is asked; the connect handler runs with the CONNECT, and does not see the header."""
    token = await token_of(a, note="mine")
    async with a.client(transport, headers=bearer(token)) as client:
        await client.connect()
        assert await client.emit("get") == "mine"
        assert not client.handshake_headers.get_list("Set-Cookie")
        assert not heard(client, "gotToken")
        assert "HTTP_AUTHORIZATION" not in a.shared.heard("environ")[0]
        assert await ask(client) == (token, "")


async def test_namespaces_share_the_session_of_one_token(a: Site, transport: str) -> None:
    """Shown in one of them: the connect handlers of both run, and both are in its room."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect()
        await client.connect("/chat")
        assert not a.shared.heard("connect")
        await ask(client, {"token": token}, namespace="/chat")
        assert await client.emit("get") == "mine"
        assert await client.emit("get", namespace="/chat") == "mine"
        assert len(a.shared.heard("connect")) == 2
        room = a.connection.session and a.connection.session.room
        await a.sio.emit("news", 1, room=room)
        await a.sio.emit("news", 2, room=room, namespace="/chat")
        assert await client.wait_for("news", namespace="/") == 1
        assert await client.wait_for("news", namespace="/chat") == 2


async def test_what_the_connect_handler_emits_follows_gottoken(a: Site, transport: str) -> None:
    """Also where the handler had to wait for the token."""
    token = await token_of(a)
    async with a.client(transport) as client:
        await client.connect(auth="greet")
        await client.emit("getToken", {"token": token}, ack=False)
        assert await client.wait_for("greeting") == "hello"
        assert [event.name for event in client.events] == ["gotToken", "greeting"]


# A token that is worth nothing


@pytest.mark.parametrize("how", ["event", "auth", "header"])
async def test_a_token_without_a_record_is_expired(a: Site, transport: str, how: str) -> None:
    """A new session and token, "Session Expired", and none of the old data."""
    token = await token_of(a, note="old")
    await a.manager.destroy(id_of(a, token))
    async with a.client(transport, headers=bearer(token) if how == "header" else {}) as client:
        await client.connect(auth={"token": token} if how == "auth" else None)
        if how == "auth":
            said = await client.wait_for("gotToken")
            new, errors = said["token"], said["errors"]
        else:
            assert not a.shared.heard("connect")
            new, errors = await ask(client, {"token": token})
        assert errors == EXPIRED
        assert id_of(a, new) == a.connection.id != id_of(a, token)
        assert await client.emit("get") is None
        assert (await whoami(a, new))["data"] == {}


async def test_a_superseded_token_is_expired(a: Site, transport: str) -> None:
    """The session lives, and whoever shows the token from before the login is not in it."""
    token = await token_of(a, note="mine")
    await a.http().post("/login", {"user": "ann"}, headers=bearer(token))
    async with a.client(transport, headers=bearer(token)) as client:
        await client.connect()
        new, errors = await ask(client, {"token": token})
        assert errors == EXPIRED
        assert (await client.emit("whoami"))["data"] == {}
        assert id_of(a, new) != id_of(a, token)


MALFORMED: dict[str, Any] = {
    "empty": {"token": ""},
    "no token": {},
    "null": {"token": None},
    "text": "a token",
    "number": {"token": 7},
    "list": [{"token": "x"}],
    "map": {"token": {"token": "x"}},
    "garbage": {"token": "garbage"},
    "not ASCII": {"token": "\u00fc" * 200},
    "oversized": {"token": "A" * 100_000},
    "binary": {"token": b"abc"},
}


@pytest.mark.parametrize("name", [*MALFORMED, "missing", "foreign", "cut", "a cookie"])
async def test_what_is_no_token_of_ours_is_not_found(a: Site, name: str) -> None:
    """A new session and token, "Session Not Found"; nothing of the client's value is adopted."""
    token = await token_of(a)
    payload: list[Any] = [MALFORMED.get(name)] if name in MALFORMED else []
    if name == "foreign":
        stranger = BearerToken()
        stranger.bind("another application's secret", None)
        payload = [{"token": stranger.sign(Credential.generate(id_of(a, token)))}]
    elif name == "cut":
        payload = [{"token": token[:-8]}]
    elif name == "a cookie":
        async with site(credentials="cookie") as other:
            payload = [{"token": (await other.visitor())["session"].strip('"')}]
    async with a.client("websocket") as client:
        await client.connect()
        new, errors = await ask(client, *payload)
        assert errors == NOT_FOUND
        assert id_of(a, new) == a.connection.id
        assert new not in str(payload)
        assert await client.emit("set", "note", 1) == "saved"
        assert (await whoami(a, new))["data"] == {"note": 1}


# Before the token


async def test_a_socket_without_a_token_hears_nothing(a: Site, transport: str) -> None:
    """No broadcast, no emit to a room, no binary one, in no namespace; they are not kept either."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        sid = await client.connect()
        await client.connect("/chat")
        for namespace in ("/", "/chat"):
            await a.sio.emit("news", "for members", namespace=namespace)
            await a.sio.emit("news", b"binary", namespace=namespace)
        await a.sio.emit("news", "to the sid", to=sid)
        await ask(client, {"token": token})
        assert await client.emit("get") == "mine"
        assert await client.emit("get", namespace="/chat") == "mine"
        assert not heard(client, "news")
        await a.sio.emit("news", "now")
        assert await client.wait_for("news") == "now"


async def test_a_socket_without_a_token_runs_no_event(a: Site, transport: str) -> None:
    """No handler, no acknowledgement, and no answer to what the server asked is believed."""
    token = await token_of(a, note="mine")
    answered: list[Any] = []
    async with a.client(transport) as client:
        sid = await client.connect()
        a.sio.manager._generate_ack_id(sid, lambda *values: answered.append(values))
        await client.emit("set", "note", "theirs", ack=False)
        await client.send_raw("431[1]")
        with pytest.raises(TimeoutError):
            await client.emit("get", timeout=0.2)  # time is what is meant: none comes
        assert sid not in a.sio._by_sid
        with pytest.raises(KeyError):
            await a.sio.get_session(sid)
        await ask(client, {"token": token})
        assert await client.emit("get") == "mine"
    assert not answered
    assert not a.shared.heard("set")
    assert len(a.shared.heard("connect")) == 1


async def test_a_socket_that_shows_no_token_is_closed(
    redis_url: str, prefix: str, transport: str
) -> None:
    """After auth_timeout, though its namespace is connected; nothing of it stays."""
    settings: dict[str, Any] = {"credentials": "token", "connect_timeout": 30}
    async with site(redis=redis_url, prefix=prefix, server={"auth_timeout": 0.5}, **settings) as a:
        token = await token_of(a)
        async with a.client(transport) as client, a.client(transport) as other:
            began = time.monotonic()
            await client.connect()
            await other.connect()
            await ask(other, {"token": token})
            await client.wait_transport_closed(3)
            assert time.monotonic() - began >= 0.5
            assert not client.events
            assert not other.closed
            assert await other.emit("get") == ""
        await a.empty()
    assert len(a.shared.heard("disconnect")) == 1


async def test_a_socket_that_connects_no_namespace_is_closed_earlier(
    redis_url: str, prefix: str, transport: str
) -> None:
    """connect_timeout holds for it too."""
    settings: dict[str, Any] = {"credentials": "token", "connect_timeout": 0.3}
    async with site(redis=redis_url, prefix=prefix, **settings) as a:
        async with a.client(kind_of(transport)) as client:
            await client.open()
            await client.wait_transport_closed(3)
        async with a.client(transport) as client:
            await client.connect()
            # Time is what is tested: this one may take longer.
            with pytest.raises(TimeoutError):
                await client.wait_transport_closed(0.6)
        await a.empty()


async def test_a_client_that_leaves_before_its_token_leaves_nothing(
    a: Site, transport: str
) -> None:
    """No handler has run, neither connect nor disconnect; a namespace that was left stays quiet."""
    token = await token_of(a)
    async with a.client(transport) as client:
        await client.connect()
    await a.empty()
    async with a.client(transport) as client:
        await client.connect("/chat")
        await client.disconnect("/chat")
        await client.connect()
        await ask(client, {"token": token})
    await a.empty()
    assert len(a.shared.heard("connect")) == len(a.shared.heard("disconnect")) == 1


async def test_a_closing_manager_closes_who_waits(redis_url: str, prefix: str) -> None:
    """They are not forgotten for having no session."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        client = a.client("websocket")
        await client.connect()
        await a.manager.close()
        await client.wait_transport_closed(3)
        await client.abort()
        assert not client.events


# Register, then load, then admit


async def test_a_logout_meets_a_token_that_is_loading(a: Site, transport: str) -> None:
    """Registered before the load: the load's old answer admits nobody."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect()
        load = HeldLoad(a.manager)
        await client.emit("getToken", {"token": token}, ack=False)
        await load.reached()
        await a.manager.destroy(id_of(a, token))
        await until(lambda: not a.sio._by_eio or a.connection.reason)
        load.go.set()
        await client.wait_transport_closed(3)
        assert not heard(client, "gotToken")
    await a.empty()
    assert not a.shared.heard("connect")


async def test_a_login_meets_a_token_that_is_loading(a: Site, transport: str) -> None:
    """The notice leaves a minimum: the token from before the login is an expired one."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect()
        load = HeldLoad(a.manager)
        asking = asyncio.ensure_future(ask(client, {"token": token}))
        await load.reached()
        await a.http().post("/login", {"user": "ann"}, headers=bearer(token))
        await until(lambda: a.connection.minimum == 2)
        load.go.set()
        new, errors = await asking
        assert errors == EXPIRED
        assert (await client.emit("whoami"))["data"] == {}
        assert id_of(a, new) != id_of(a, token)


async def test_a_connect_handler_that_waited_may_refuse(a: Site, transport: str) -> None:
    """Its namespace is disconnected and hears nothing; another one goes on."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect(auth="refuse")
        await client.connect("/chat")
        await ask(client, {"token": token})
        assert await client.wait_closed() == "server disconnect packet"
        await a.sio.emit("news", "for members")
        assert await client.emit("get", namespace="/chat") == "mine"
        assert not heard(client, "news")
        assert len(a.sio._by_sid) == 1
    await a.empty()
    assert len(a.shared.heard("disconnect")) == 1


async def test_nothing_is_heard_while_a_handler_that_waited_decides(
    a: Site, transport: str
) -> None:
    """gotToken, and no broadcast until the handler has agreed; then what was withheld."""
    token = await token_of(a, note="mine")
    async with a.client(kind_of(transport)) as client:
        await client.connect(auth="slow")
        await client.connect("/chat", auth="slow")
        await client.emit("getToken", {"token": token}, ack=False)
        assert (await client.wait_for("gotToken"))["errors"] == ""
        await until(lambda: a.shared.heard("connect"))
        await a.sio.emit("news", "root")
        await a.sio.emit("news", "chat", namespace="/chat")
        assert not heard(client, "news")
        a.shared.go.set()
        assert await client.emit("get", namespace="/chat") == "mine"
        assert heard(client, "news") == [("root",), ("chat",)]


async def test_a_client_that_leaves_during_a_late_connect_leaks_nothing(
    a: Site, transport: str
) -> None:
    """One connect, one disconnect, and no room keeps it."""
    token = await token_of(a)
    client = a.client(kind_of(transport))
    await client.connect(auth="slow")
    asking = asyncio.ensure_future(client.emit("getToken", {"token": token}, ack=False))
    await until(lambda: a.shared.heard("connect"))
    if transport == "websocket":
        await asking
    (eio_sid,) = a.sio._by_eio
    await client.abort()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await a.sio.eio.disconnect(eio_sid)
    a.shared.go.set()
    await until(lambda: a.shared.heard("disconnect"))
    await a.empty()
    assert a.shared.heard("disconnect") == a.shared.heard("connect")


# Who gets no session


async def test_anonymous_clients_may_be_refused(
    redis_url: str, prefix: str, transport: str
) -> None:
    """No session is made; the socket goes on waiting, and a good token is good."""
    async with site(redis=redis_url, prefix=prefix, credentials="token", anonymous="refuse") as a:
        gone, token = await token_of(a), await token_of(a, note="mine")
        await a.manager.destroy(id_of(a, gone))
        async with a.client(transport) as client, raw_redis(redis_url) as redis:
            await client.connect()
            assert await ask(client) == ("", NOT_FOUND)
            assert await ask(client, {"token": gone}) == ("", EXPIRED)
            assert len(await redis.keys(f"{prefix}s:*")) == 1
            assert not a.shared.heard("connect")
            assert await ask(client, {"token": token}) == (token, "")
            assert await ask(client, {"token": "bad"}) == ("", NOT_FOUND)
            assert await client.emit("get") == "mine"


async def test_a_login_may_be_required(redis_url: str, prefix: str, transport: str) -> None:
    """A session that nobody is logged in to does not do; another token may follow."""
    async with site(redis=redis_url, prefix=prefix, credentials="token", login_required=True) as a:
        anonymous, token = await token_of(a), await logged_in(a, note="mine")
        assert await status_of(a.client(kind_of(transport), headers=bearer(anonymous))) == 401
        async with a.client(transport) as client:
            await client.connect()
            assert await ask(client, {"token": anonymous}) == ("", "login required")
            assert await ask(client, {"token": "bad"}) == ("", NOT_FOUND)
            assert not a.shared.heard("connect")
            assert await ask(client, {"token": token}) == (token, "")
            assert (await client.emit("whoami"))["user"] == "ann"


async def test_an_outage_is_said_in_a_sentence(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """No address, no trace, no token; the socket stays as it was, and may ask again."""
    async with FaultProxy(redis_server.port) as proxy:
        async with site(redis=proxy.url, prefix=prefix, credentials="token") as a:
            token = await token_of(a, note="mine")
            async with a.client(transport) as client:
                await client.connect()
                await proxy.refuse()
                for payload in ({"token": token}, {}):
                    new, errors = await ask(client, payload)
                    assert new == ""
                    assert errors == "The session store cannot be asked; try again later."
                assert await status_of(a.client(kind_of(transport), headers=bearer(token))) == 503
                assert not a.shared.heard("connect")
                await proxy.normal()
                assert await ask(client, {"token": token}) == (token, "")
                assert await client.emit("get") == "mine"
            await a.empty()


async def test_a_session_that_ends_closes_a_socket_that_came_by_token(
    a: Site, transport: str
) -> None:
    """Logged out over HTTP with the token: told why, for good."""
    token = await token_of(a)
    async with a.client(transport) as client:
        await client.connect()
        await ask(client, {"token": token})
        await a.http().post("/logout", headers=bearer(token))
        assert await client.wait_for("session_ended") == {"reason": "logged_out"}
        await client.wait_transport_closed(3)
    with pytest.raises(ConnectionLost):
        await client.emit("get")
    await a.empty()
