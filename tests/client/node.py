"""What the tests with the JavaScript client have in common."""

from __future__ import annotations

import json
from typing import Any

from tests.support.node_client import TRANSPORTS, NodeClient
from tornado_shared_session.testing import HTTPTestClient


async def ready(client: NodeClient, transport: str) -> dict[str, Any]:
    """Wait until the client is connected, on its final transport; return the greeting."""
    await client.wait("connect")
    if transport == "upgrade":
        await client.wait("upgrade", transport="websocket")
    hello: dict[str, Any] = (await client.wait("event", name="hello"))["args"][0]
    return hello


def connected(url: str, http: HTTPTestClient, transport: str, **options: Any) -> NodeClient:
    """Return a client that has the cookies of an HTTP client."""
    return NodeClient(url, cookies=http.cookies, transports=TRANSPORTS[transport], **options)


def status_of(error: dict[str, Any]) -> int:
    """Return the HTTP status of a refused handshake, which each transport tells its own way."""
    if "status" in error:
        return int(error["status"])
    return int(error["description"].removeprefix("Unexpected server response: "))


async def told(http: HTTPTestClient) -> dict[str, Any]:
    """Return what the server says whose request it is, without extending the session."""
    answer: dict[str, Any] = json.loads((await http.get("/whoami")).body)
    return answer
