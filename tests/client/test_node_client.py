"""The real JavaScript socket.io-client against two processes of ours."""

from __future__ import annotations

import base64
import time
from contextlib import AsyncExitStack

import pytest

from tests.client.conftest import APP
from tests.client.node import connected, ready, status_of, told
from tests.support.node_client import TRANSPORTS, NodeClient
from tests.support.processes import AppProcess, start_apps
from tornado_shared_session.testing import HTTPTestClient

pytestmark = pytest.mark.node


def heard_before_the_end(client: NodeClient) -> bool:
    """Tell whether the client heard why before its disconnect, not after it came back."""
    names = [report.get("name", report["kind"]) for report in client.reports]
    return names.index("session_ended") < names.index("disconnect")


async def silence(client: NodeClient, kind: str, seconds: float) -> None:
    """Fail if something is reported within that time: here the time is what is tested."""
    with pytest.raises(TimeoutError):
        await client.wait(kind, timeout=seconds)


# Ends -------------------------------------------------------------------


async def test_a_logout_closes_the_clients_of_both_processes_for_good(
    apps: list[AppProcess], transport: str
) -> None:
    """They hear why, are told to stay away, and do."""
    a, b = apps
    http = HTTPTestClient(a.url)
    await http.post("/login", {"user": "ada"})
    async with (
        connected(a.url, http, transport) as at_a,
        connected(b.url, http, transport) as at_b,
    ):
        for client in (at_a, at_b):
            assert (await ready(client, transport))["user"] == "ada"
        assert (await http.post("/logout")).code == 200
        answered = time.monotonic()
        for client in (at_a, at_b):
            ended = await client.wait("event", name="session_ended")
            assert ended["args"] == [{"reason": "logged_out"}]
            assert (await client.wait("disconnect"))["reason"] == "io server disconnect"
            assert time.monotonic() - answered < 1
        await silence(at_a, "reconnect_attempt", 1.5)  # its delay is at most 0.2 s
        for client in (at_a, at_b):
            assert client.count("reconnect_attempt") == 0
            state = await client.state()
            assert (state["connected"], state["active"]) == (False, False)
            order = [r["kind"] for r in client.reports if r["kind"] in ("event", "disconnect")]
            assert order == ["event", "event", "disconnect"]


async def test_after_a_logout_the_page_may_connect_again_as_a_stranger(
    apps: list[AppProcess], transport: str
) -> None:
    """`socket.connect()` brings a new session, not the old one."""
    http = HTTPTestClient(apps[0].url)
    old = (await http.post("/login", {"user": "ada"})).body
    async with connected(apps[1].url, http, transport) as client:
        assert (await ready(client, transport))["id"].encode() in old
        await http.post("/logout")
        await client.wait("disconnect")
        client.reconnect()
        hello = await ready(client, transport)
        assert hello["id"].encode() not in old
        assert hello["user"] is None


async def test_expiry_closes_the_transport_and_the_client_comes_back(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Within a second of the deadline, with the reason, in both processes."""
    options = ["--redis", redis_url, "--prefix", prefix, "--idle", "2"]
    async with AsyncExitStack() as stack:
        apps = await stack.enter_async_context(start_apps(APP, *options))
        # Node.js takes its time to start, and two seconds are not much.
        clients = [NodeClient(app.url, transports=TRANSPORTS[transport]) for app in apps]
        for client in clients:
            stack.push_async_callback(client.close)
            await client.start()
        http = HTTPTestClient(apps[0].url)
        await http.post("/login", {"user": "ada"})
        for client in clients:
            client.set_cookies(http.cookies)
            client.connect()
        for client in clients:
            assert (await ready(client, transport))["user"] == "ada"
        expires = (await told(http))["expires"]
        for client in clients:
            ended = await client.wait("event", name="session_ended")
            assert ended["args"] == [{"reason": "expired"}]
            assert (await client.wait("disconnect"))["reason"] == "transport close"
            assert -0.05 < time.time() - expires < 1
            assert heard_before_the_end(client)
            await client.wait("reconnect_attempt")
            assert (await ready(client, transport))["user"] is None


# Credentials ------------------------------------------------------------


async def test_a_login_brings_the_client_back_with_the_new_cookie(
    apps: list[AppProcess], transport: str
) -> None:
    """Its socket is closed in reconnect mode and returns as the user (S6)."""
    http = HTTPTestClient(apps[0].url)
    await http.post("/count")
    async with connected(apps[1].url, http, transport) as client:
        before = await ready(client, transport)
        await http.post("/login", {"user": "ada"})
        client.set_cookies(http.cookies)
        ended = await client.wait("event", name="session_ended")
        assert ended["args"] == [{"reason": "rotated"}]
        assert (await client.wait("disconnect"))["reason"] == "transport close"
        assert heard_before_the_end(client)
        hello = await ready(client, transport)
        assert (hello["user"], hello["id"], hello["count"]) == ("ada", before["id"], 1)
        assert hello["room"] != before["room"]
        assert (await client.emit("whoami"))["user"] == "ada"


async def test_a_client_whose_new_cookie_is_late_keeps_trying(
    apps: list[AppProcess], transport: str
) -> None:
    """With the replaced one it is refused, and its jar is left alone."""
    http = HTTPTestClient(apps[0].url)
    await http.post("/count")
    async with connected(apps[0].url, http, transport) as client:
        await ready(client, transport)
        await http.post("/login", {"user": "ada"})
        await client.wait("disconnect")
        for _ in range(2):
            error = await client.wait("connect_error")
            assert status_of(error) == 401
        assert (await client.state())["cookies"]["session"] != http.cookies["session"]
        client.set_cookies(http.cookies)
        hello = await ready(client, transport)
        assert hello["user"] == "ada"
        assert (await client.state())["cookies"] == http.cookies


async def test_a_client_without_a_cookie_gets_one_and_shows_it(
    apps: list[AppProcess], transport: str
) -> None:
    """On its next connection, to the other process, and over HTTP."""
    async with NodeClient(apps[0].url, transports=TRANSPORTS[transport]) as client:
        before = await ready(client, transport)
        await client.emit("keep", "note", "hello")
        cookies = (await client.state())["cookies"]
        assert list(cookies) == ["session"]
        client.cut()
        after = await ready(client, transport)
        assert after["id"] == before["id"]
        assert await client.emit("kept", "note") == "hello"
    http = HTTPTestClient(apps[1].url, cookies=cookies)
    assert (await told(http))["id"] == before["id"]


async def test_a_client_that_keeps_no_cookies_is_a_stranger_each_time(
    apps: list[AppProcess], transport: str
) -> None:
    """It works, with a session for each connection."""
    transports = TRANSPORTS[transport]
    async with NodeClient(apps[0].url, jar=False, transports=transports) as client:
        before = await ready(client, transport)
        await client.emit("keep", "note", "hello")
        assert await client.emit("kept", "note") == "hello"
        client.cut()
        after = await ready(client, transport)
        assert after["id"] != before["id"]
        assert await client.emit("kept", "note") is None


# What sockets are for ---------------------------------------------------


async def test_events_acknowledgements_and_bytes_pass_both_ways(
    apps: list[AppProcess], transport: str
) -> None:
    """Also in the first moment, before an upgrade is through."""
    data = bytes(range(256))
    packed = {"$bytes": base64.b64encode(data).decode()}
    reversed_ = {"$bytes": base64.b64encode(data[::-1]).decode()}
    async with NodeClient(apps[0].url, transports=TRANSPORTS[transport]) as client:
        client.answer_with("yes", packed)
        await client.wait("connect")
        for again in range(2):
            assert await client.emit("reverse", packed) == reversed_
            event = await client.wait("event", name="reversed")
            assert event["args"] == [{"data": reversed_}]
            await client.emit("ask", ack=False)
            answer = await client.wait("event", name="answered")
            assert answer["args"] == ["yes", packed]
            if transport == "upgrade" and not again:
                await client.wait("upgrade")


async def test_what_a_connect_handler_emits_arrives_after_the_connect(
    apps: list[AppProcess], transport: str
) -> None:
    """Each time, and once."""
    async with NodeClient(apps[0].url, transports=TRANSPORTS[transport]) as client:
        for _ in range(3):
            await client.wait("event", name="hello")
            client.disconnect()
            await client.wait("disconnect")
            client.reconnect()
        await client.wait("event", name="hello")
        kinds = [r["kind"] for r in client.reports if r["kind"] in ("connect", "event")]
        assert kinds == ["connect", "event"] * 4


async def test_namespaces_and_processes_share_one_session(
    apps: list[AppProcess], transport: str
) -> None:
    """A counter is moved by all; each namespace hears its own emits, in both processes."""
    a, b = apps
    http = HTTPTestClient(a.url)
    await http.post("/count")
    async with (
        connected(a.url, http, transport) as main,
        connected(f"{b.url}/other", http, transport) as other,
        connected(f"{a.url}/other", http, transport) as neighbour,
    ):
        hellos = [await ready(client, transport) for client in (main, other, neighbour)]
        assert len({hello["id"] for hello in hellos}) == 1
        assert await main.emit("incr") == 2
        assert await other.emit("incr") == 3
        await http.post("/count")
        assert (await main.emit("whoami"))["count"] == 4
        for client, heard in ((main, [2, 4]), (other, [3]), (neighbour, [3])):
            for count in heard:
                await client.wait("event", name="count", args=[count])
            assert sum(r.get("name") == "count" for r in client.reports) == len(heard)
        await http.post("/logout")
        for client in (main, other, neighbour):
            assert (await client.wait("disconnect"))["reason"] == "io server disconnect"
