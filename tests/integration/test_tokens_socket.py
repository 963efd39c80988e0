"""Clients without cookies: how a socket comes to its session by a token."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.sites import Site, kind_of, site, status_of
from tests.support.tokens import (
    EXPIRED,
    NOT_FOUND,
    REPLACED,
    ask,
    bearer,
    heard,
    id_of,
    token_of,
    whoami,
)
from tornado_shared_session import BearerToken
from tornado_shared_session.record import Credential

CREDENTIALS = "token"  # of `a`, the application


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
    """It is answered with gotToken, before what the connect handler emits; auth loses the token
    (W10).
    """
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


async def test_a_superseded_token_is_answered_with_none(a: Site, transport: str) -> None:
    """A client that shows it a moment too early is about to be told the new one, and waits."""
    token = await token_of(a, note="mine")
    response = await a.http().post("/login", {"user": "ann"}, headers=bearer(token))
    assert await status_of(a.client(kind_of(transport), headers=bearer(token))) == 401
    async with a.client(transport) as client:
        await client.connect()
        assert await ask(client, {"token": token}) == ("", REPLACED)
        assert a.connection.id == ""
        assert (await ask(client, {"token": response.headers["Session-Token"]}))[1] == ""
        assert (await client.emit("whoami"))["user"] == "ann"


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
    """No broadcast, no emit to a room, no binary one, in no namespace; they are not kept either
    (F2, S33).
    """
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
    """No handler, no acknowledgement, and no answer to what the server asked is believed
    (F2, S33).
    """
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


async def test_an_event_from_before_the_token_is_not_run_after_it() -> None:
    """Sent in one payload with it, and with a store that answers within the same turn."""
    async with site(credentials="token") as a:
        token = await token_of(a, note="mine")
        async with a.client("polling") as client:
            await client.connect()
            shown = '42["getToken",{"token":"' + token + '"}]'
            assert await client.send_raw('42["set","note","theirs"]\x1e' + shown) == 200
            assert (await client.wait_for("gotToken"))["errors"] == ""
            assert await client.emit("get") == "mine"
            assert not a.shared.heard("set")


async def test_a_socket_that_shows_no_token_is_closed(
    redis_url: str, prefix: str, transport: str
) -> None:
    """After auth_timeout, though its namespace is connected; nothing of it stays (S33)."""
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
