"""The page about nginx is true: its configuration, in a real nginx, before two processes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient

from tests.support.nginx import Nginx
from tests.support.node_client import TRANSPORTS, NodeClient
from tests.support.processes import ROOT
from tests.support.programs import blocks, free_port, program
from tornado_shared_session.testing import (
    ConnectionLost,
    CookieJar,
    HTTPTestClient,
    SocketIOTestClient,
)

PAGE = (ROOT / "docs" / "howto" / "behind-nginx.md").read_text()
SECRET = "the same in both"


@pytest.fixture
async def ports(redis_url: str, tmp_path: Path) -> AsyncIterator[list[int]]:
    """Two processes of the page's program on the private Redis."""
    (source,) = blocks(PAGE, "python")
    path = tmp_path / "app.py"
    path.write_text(source.replace("redis://localhost:6379/0", redis_url))
    found = [free_port(), free_port()]
    async with AsyncExitStack() as stack:
        for port in found:
            running = program(path, port, PORT=str(port), COOKIE_SECRET=SECRET)
            await stack.enter_async_context(running)
        yield found


def by_address() -> str:
    """Return the page's configuration."""
    return blocks(PAGE, "nginx")[0]


def by_cookie() -> str:
    """Return it with the page's second block worked in."""
    second = blocks(PAGE, "nginx")[1]
    (upstream,) = re.findall(r"^upstream .*?^}\n", second, re.MULTILINE | re.DOTALL)
    (userid,) = re.findall(r"^server {\n(.*?)^    #", second, re.MULTILINE | re.DOTALL)
    changed = re.sub(r"^upstream .*?^}\n", upstream, by_address(), flags=re.MULTILINE | re.DOTALL)
    assert changed.count("server {\n") == 1
    return changed.replace("server {\n", f"server {{\n{userid}")


async def use(url: str, transport: Any, jar: CookieJar) -> int:
    """Be a visitor with a page and a socket, to the end; return which process the socket met."""
    page = HTTPTestClient(url, cookies=jar)
    await page.post("/note", {"note": "hello"})
    async with SocketIOTestClient(url, transport=transport, cookies=jar) as client:
        await client.connect()
        pids = set()
        for _ in range(8):
            note, pid = await client.emit("note")
            assert note == "hello"
            pids.add(pid)
        assert (await page.post("/logout")).code == 200
        assert await client.wait_for("session_ended") == {"reason": "logged_out"}
        await client.wait_transport_closed()
    (pid,) = pids
    return int(pid)


@pytest.mark.redis
async def test_sockets_and_requests_pass_on_every_transport(
    ports: list[int], tmp_path: Path, transport: Any
) -> None:
    """A logout closes the socket, whichever process it reaches (W4)."""
    async with Nginx(tmp_path, by_address(), ports=ports) as nginx:
        await use(nginx.url, transport, CookieJar())


@pytest.mark.redis
async def test_without_stickiness_polling_fails(ports: list[int], tmp_path: Path) -> None:
    """So that the test above shows what the line is there for."""
    bare = by_address().replace("    ip_hash;\n", "")
    async with Nginx(tmp_path, bare, ports=ports) as nginx:
        with pytest.raises(ConnectionLost, match="http 400"):
            await use(nginx.url, "polling", CookieJar())


@pytest.mark.redis
async def test_a_cookie_of_nginx_spreads_visitors_of_one_address(
    ports: list[int], tmp_path: Path
) -> None:
    """Each stays with one process, polling, and both processes have some."""
    async with Nginx(tmp_path, by_cookie(), ports=ports) as nginx:
        met = {await use(nginx.url, "polling", CookieJar()) for _ in range(12)}
    assert len(met) == 2


@pytest.mark.redis
async def test_the_processes_know_scheme_and_address(ports: list[int], tmp_path: Path) -> None:
    """From nginx, not from what a visitor sends; so the cookie is Secure."""
    async with Nginx(tmp_path, by_address(), ports=ports) as nginx:
        client = AsyncHTTPClient(force_instance=True)
        for spoofed in ({}, {"X-Scheme": "http", "X-Real-IP": "6.6.6.6"}):
            answer = await client.fetch(
                f"{nginx.tls_url}/note",
                method="POST",
                body="note=hello",
                headers={"Host": "app.example", "X-Forwarded-For": "6.6.6.6", **spoofed},
                validate_cert=False,
            )
            assert json.loads(answer.body)["address"] == "127.0.0.1"
            assert "; Secure" in answer.headers["Set-Cookie"]
        page = {"Origin": "https://app.example", "Host": "app.example"}
        for path, status in ((page, 200), ({**page, "Origin": "https://app.evil"}, 403)):
            answer = await client.fetch(
                f"{nginx.tls_url}/socket.io/?EIO=4&transport=polling",
                headers=path,
                validate_cert=False,
                raise_error=False,
            )
            assert answer.code == status
        client.close()


@pytest.mark.redis
@pytest.mark.node
async def test_the_javascript_client_upgrades_through_nginx(
    ports: list[int], tmp_path: Path
) -> None:
    """From polling to a WebSocket, with the session of its page (W4)."""
    async with Nginx(tmp_path, by_address(), ports=ports) as nginx:
        page = HTTPTestClient(nginx.url)
        await page.post("/note", {"note": "hello"})
        transports = TRANSPORTS["upgrade"]
        async with NodeClient(nginx.url, cookies=page.cookies, transports=transports) as client:
            await client.wait("upgrade", transport="websocket")
            assert (await client.emit("note"))[0] == "hello"
