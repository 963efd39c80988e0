"""The raw Socket.IO client, shown on a plain python-socketio server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
import tornado.web

from tests.apps.plain import Page, app_of, make_server
from tornado_shared_session.testing import (
    ConnectionLost,
    ConnectRefused,
    CookieJar,
    HandshakeRefused,
    HTTPTestClient,
    RunningServer,
    SocketIOTestClient,
    Transport,
    serve,
)
from tornado_shared_session.testing.wire import Wire


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    """A server that has never heard of sessions."""
    async with serve(app_of(make_server(cors_allowed_origins=[]))) as running:
        yield running


@pytest.fixture
async def client(server: RunningServer, transport: Transport) -> AsyncIterator[SocketIOTestClient]:
    """A client of it, on each transport, not yet connected."""
    async with SocketIOTestClient(server.url, transport=transport) as made:
        yield made


async def test_connect_emit_and_acknowledgement(client: SocketIOTestClient) -> None:
    """A client connects, calls a handler and gets its answer."""
    assert await client.connect() == client.sid
    assert client.eio_sid != client.sid
    assert await client.emit("add", 1, 2) == 3
    assert (await client.wait_for("hello"))["cookie"] is None


async def test_the_transport_is_the_one_asked_for(
    client: SocketIOTestClient, transport: str
) -> None:
    """The handshake is a 101 only without polling; an upgrade comes after it."""
    await client.connect()
    statuses = [response.status for response in client.responses]
    assert client.handshake_status == (101 if transport == "websocket" else 200)
    assert (101 in statuses) == (transport != "polling")


async def test_two_namespaces_share_one_connection(client: SocketIOTestClient) -> None:
    """Each namespace has a sid and answers of its own."""
    await client.connect()
    await client.connect("/other")
    assert client.sids["/"] != client.sids["/other"]
    assert await client.emit("add", 1, namespace="/other") == 101
    assert await client.emit("add", 1) == 1


async def test_binary_values_go_there_and_back(client: SocketIOTestClient) -> None:
    """Attachments travel as frames of their own, in an event and in an ack."""
    await client.connect()
    value = {"raw": b"\x00\xff", "text": "ü"}
    assert await client.emit("echo", value, 2) == (value, 2)
    assert await client.wait_for("echo") == (value, 2)


async def test_a_question_of_the_server_is_answered_by_hand(client: SocketIOTestClient) -> None:
    """`sio.call()` waits until the test acknowledges."""
    await client.connect()
    await client.emit("ask", ack=False)
    await client.acknowledge(await client.wait_for_event("question"), "Ada")
    assert await client.wait_for("answered") == "Ada"


async def test_a_refused_namespace_says_why(client: SocketIOTestClient) -> None:
    """CONNECT_ERROR becomes an exception with its data."""
    with pytest.raises(ConnectRefused) as caught:
        await client.connect(auth="bad")
    assert caught.value.data == {"message": "go away", "data": {"why": "bad"}}


async def test_a_refused_handshake_shows_its_status(transport: Transport) -> None:
    """An HTTP error instead of a handshake is an exception with the body."""

    class Refusing(tornado.web.RequestHandler):
        def get(self) -> None:
            self.set_status(401)
            self.set_cookie("why", "refused")
            self.write("no session")

    app = tornado.web.Application([(r"/socket.io/", Refusing)])
    async with serve(app) as server, SocketIOTestClient(server.url, transport=transport) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect()
        assert (caught.value.status, caught.value.body) == (401, "no session")
        assert client.handshake_status == 401
        assert client.cookies == {"why": "refused"}


async def test_server_disconnect_is_only_a_packet(client: SocketIOTestClient) -> None:
    """`sio.disconnect()` leaves the transport open, which is why we close it ourselves (F3)."""
    await client.connect()
    await client.emit("leave", ack=False)
    assert await client.wait_closed() == "server disconnect packet"
    assert not client.closed
    await client.connect()
    assert await client.emit("add", 2, 2) == 4


async def test_engine_close_ends_polling_but_not_a_websocket(
    client: SocketIOTestClient, transport: str
) -> None:
    """`eio.disconnect()` leaves a WebSocket open, which is why we close it ourselves (F4)."""
    await client.connect()
    await client.emit("leave_engine", ack=False)
    assert await client.wait_closed() == "engine close"
    if transport == "polling":
        assert await client.wait_transport_closed() == "engine close"
    else:
        with pytest.raises(TimeoutError):
            await client.wait_transport_closed(0.05)


async def test_a_lost_connection_is_a_transport_close(
    server: RunningServer, client: SocketIOTestClient
) -> None:
    """Who waits for something on it is told at once."""
    await client.connect()
    server.http_server.stop()
    server.cut_connections()
    assert await client.wait_transport_closed() == "transport close"
    with pytest.raises(ConnectionLost):
        await client.wait_for("never")


async def test_a_client_that_answers_no_ping_is_given_up(transport: Transport) -> None:
    """The server ends its connection; another client lives on."""
    sio = make_server(cors_allowed_origins=[], ping_interval=0.2, ping_timeout=1)
    async with (
        serve(app_of(sio)) as server,
        SocketIOTestClient(server.url, transport=transport, answer_pings=False) as dead,
        SocketIOTestClient(server.url, transport=transport) as lively,
    ):
        await dead.connect()
        await lively.connect()
        reason = await dead.wait_transport_closed()
        assert reason == ("http 400" if transport == "polling" else "transport close")
        assert "2" in dead.packets
        assert await lively.emit("add", 1, 1) == 2


async def test_a_mute_client_ignores_a_close_frame() -> None:
    """Only the server's own timeout ends the TCP connection then."""

    sio = make_server(cors_allowed_origins=[])
    handlers: list[Any] = []
    base: Any = socketio.get_tornado_handler(sio)

    class Recording(base):  # type: ignore[misc]  # its base is untyped
        def open(self, *args: Any) -> Any:
            handlers.append(self)
            return super().open(*args)

    app = tornado.web.Application([(r"/socket.io/", Recording)])
    async with serve(app) as server, SocketIOTestClient(server.url) as client:
        await client.connect()
        client.mute = True
        handlers[0].close()
        with pytest.raises(TimeoutError):
            await client.wait_transport_closed(0.05)
        server.cut_connections()
        assert await client.wait_transport_closed() == "transport close"


async def test_a_close_that_is_cancelled_spoils_no_other(server: RunningServer) -> None:
    """Nobody is cancelled who was not meant."""
    wire = await Wire.open(server.url)
    first = asyncio.create_task(wire.close())
    await asyncio.sleep(0)  # it waits for the transport now
    first.cancel()
    await wire.close()
    await asyncio.wait([first])
    assert first.cancelled()


async def test_a_paused_client_receives_later(client: SocketIOTestClient) -> None:
    """What was sent meanwhile waits in the server and on the wire."""
    await client.connect()
    client.pause_reading()
    await client.emit("echo", 1, ack=False)
    client.resume_reading()
    assert await client.wait_for("echo") == 1


async def test_raw_packets_are_sent_as_they_are(client: SocketIOTestClient) -> None:
    """A test may speak the protocol by hand."""
    await client.connect()
    await client.send_raw('42["echo","by hand"]')
    assert await client.wait_for("echo") == "by hand"
    assert any("by hand" in str(packet) for packet in client.packets)


async def test_one_jar_makes_two_clients_one_browser(
    server: RunningServer, transport: Transport
) -> None:
    """What a page sets, the handshake sends; and the reverse."""
    http = HTTPTestClient(server.url)
    await http.get("/")
    async with SocketIOTestClient(server.url, transport=transport, cookies=http.cookies) as client:
        await client.connect()
        assert "page=seen" in (await client.wait_for("hello"))["cookie"]
    if transport != "websocket":  # python-socketio sets its own cookie on polling only
        assert client.handshake_headers["Set-Cookie"].startswith("io=")
        assert "io=" in (await http.get("/")).body.decode()


async def test_without_a_jar_nothing_is_sent_back(
    server: RunningServer, transport: Transport
) -> None:
    """A client without a jar shows cookies to the test only."""
    async with SocketIOTestClient(server.url, transport=transport, cookies=None) as client:
        await client.connect()
        assert client.cookies is None
        assert (await client.wait_for("hello"))["cookie"] is None


async def test_extra_headers_reach_the_server(server: RunningServer, transport: Transport) -> None:
    """A test may claim any cookie."""
    headers = {"Cookie": "a=b"}
    async with SocketIOTestClient(server.url, transport=transport, headers=headers) as client:
        await client.connect()
        assert (await client.wait_for("hello"))["cookie"] == "a=b"


def test_a_jar_forgets_what_has_expired() -> None:
    """Max-Age=0 and a past Expires both delete; quotes are kept."""
    jar = CookieJar(a="1", b="2")
    jar.store(['c="2|1:0"; Path=/; HttpOnly', "a=; Max-Age=0"])
    assert jar == {"c": '"2|1:0"', "b": "2"}
    jar.store(["c=; expires=Thu, 01 Jan 1970 00:00:00 GMT"])
    assert jar == {"b": "2"}
    assert jar.header() == "b=2"


async def test_the_page_of_the_plain_app() -> None:
    """`serve` also serves pages alone, and the client keeps cookies."""
    async with serve(tornado.web.Application([(r"/", Page)])) as server:
        http = HTTPTestClient(server.url)
        await http.get("/")
        assert "page=seen" in (await http.get("/")).body.decode()
