"""What tests of token mode need: tokens, and clients that show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.support.sites import Site, site
from tornado_shared_session import BearerToken
from tornado_shared_session.testing import SocketIOTestClient

NOT_FOUND = "Session Not Found"
EXPIRED = "Session Expired"
REPLACED = "Session Replaced"


def bearer(token: str) -> dict[str, str]:
    """Return the request header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


async def token_of(a: Site, **values: Any) -> str:
    """Return the token of a new session that holds some values."""
    http = a.http()
    for key, value in (values or {"note": ""}).items():
        form = {"key": key, "value": json.dumps(value)}
        response = await http.post("/note", form, headers=http.headers)
        assert response.code == 200
        if new := response.headers.get("Session-Token"):
            http.headers = bearer(new)
    assert not http.cookies
    return http.headers["Authorization"].removeprefix("Bearer ")


async def logged_in(a: Site, user: str = "ann", **values: Any) -> str:
    """Return the token of a new session that somebody is logged in to."""
    token = await token_of(a, **values)
    response = await a.http().post("/login", {"user": user}, headers=bearer(token))
    return response.headers["Session-Token"]


def id_of(a: Site, token: str) -> str:
    """Return the id of the session that a token names."""
    credentials = a.manager.credentials
    assert isinstance(credentials, BearerToken)
    credential = credentials.verify(token)
    assert credential is not None
    return credential.id


async def whoami(a: Site, token: str) -> Mapping[str, Any]:
    """Return what the application says over HTTP to who shows a token."""
    answer: dict[str, Any] = json.loads((await a.http().get("/whoami", headers=bearer(token))).body)
    return answer


async def ask(client: SocketIOTestClient, *payload: Any, namespace: str = "/") -> tuple[str, str]:
    """Send `getToken`; return token and errors, which event and acknowledgement agree on."""
    acknowledged = await client.emit("getToken", *payload, namespace=namespace)
    assert await client.wait_for("gotToken", namespace=namespace) == acknowledged
    return acknowledged["token"], acknowledged["errors"]


async def enter(client: SocketIOTestClient, token: str, namespace: str = "/") -> str:
    """Connect a namespace with a valid token in its auth; return its sid."""
    sid = await client.connect(namespace, auth={"token": token})
    assert await client.wait_for("gotToken") == {"token": token, "errors": ""}
    return sid


def heard(client: SocketIOTestClient, name: str) -> list[Any]:
    """Return the events of a name that a client has received."""
    return [event.args for event in client.events if event.name == name]


def fallback(redis_url: str, prefix: str, **changes: Any) -> AbstractAsyncContextManager[Site]:
    """Return the application for both kinds of clients."""
    return site(redis=redis_url, prefix=prefix, credentials="both", **changes)


async def token_of_both(a: Site) -> str:
    """Return a token of a session, where visitors without a header get a cookie."""
    form = {"value": json.dumps("by token")}
    response = await a.http().post("/note", form, headers=bearer(""))
    return response.headers["Session-Token"]
