"""Token mode with the real JavaScript socket.io-client, which keeps no cookie here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node_client import TRANSPORTS, NodeClient
from tests.support.sites import Site, site
from tests.support.tokens import EXPIRED, NOT_FOUND, id_of, token_of, whoami

pytestmark = pytest.mark.node


def client(a: Site, transport: str, namespace: str = "", **auth: Any) -> NodeClient:
    """Return a client that keeps no cookies."""
    options: dict[str, Any] = {"transports": TRANSPORTS[transport], "auth": auth}
    return NodeClient(a.url + namespace, jar=False, **options)


async def said(node: NodeClient) -> tuple[str, str]:
    """Return what the next gotToken says."""
    answer = (await node.wait("event", name="gotToken"))["args"][0]
    return answer["token"], answer["errors"]


async def test_a_client_gets_a_token_and_comes_back_with_it(
    redis_url: str, prefix: str, transport: str
) -> None:
    """getToken, a login in an event, and auth with the new token after the connection was cut."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        async with client(a, transport) as node:
            await node.wait("connect")
            await a.sio.emit("news", "for members")
            answer = await node.emit("getToken", {"token": "none of yours"})
            assert await said(node) == (answer["token"], NOT_FOUND)
            assert await node.emit("set", "note", "mine") == "saved"
            assert (await whoami(a, answer["token"]))["data"] == {"note": "mine"}
            assert await node.emit("rotate", "login") == "rotated"
            token, errors = await said(node)
            assert errors == ""
            assert id_of(a, token) == id_of(a, answer["token"])
            node.set_auth(token=token)
            node.cut()
            await node.wait("disconnect")
            assert await said(node) == (token, "")
            assert (await node.emit("whoami"))["user"] == "mallory"
            names = [report["name"] for report in node.reports if report["kind"] == "event"]
            assert names == ["gotToken"] * 3
            assert (await node.state())["cookies"] == {}


async def test_a_namespace_with_a_dead_token_is_told_so(
    redis_url: str, prefix: str, transport: str
) -> None:
    """In auth, in a namespace of its own; the connection works with what it was given."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        token = await token_of(a, note="old")
        await a.manager.destroy(id_of(a, token))
        async with client(a, transport, "/chat", token=token, do="greet") as node:
            new, errors = await said(node)
            assert errors == EXPIRED
            assert (await node.wait("event", name="greeting"))["args"] == ["hello"]
            assert (await node.emit("whoami"))["id"] == id_of(a, new)


async def test_a_refusal_that_comes_late_is_a_disconnect(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The client understands the packet, and does not come back by itself."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        token = await token_of(a)
        async with client(a, transport, do="refuse") as node:
            await node.wait("connect")
            await node.emit("getToken", {"token": token})
            assert (await node.wait("disconnect"))["reason"] == "io server disconnect"
            assert not (await node.state())["active"]
        await a.empty()
