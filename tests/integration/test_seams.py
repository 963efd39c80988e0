"""The private seams of python-socketio and Engine.IO that we rely on are still there.

What each is for is shown by the tests named in `tests/mutants/test_sockets.py`;
these here say first which one went when a new release moves them.
"""

from __future__ import annotations

import inspect
import re
import socket
from typing import Any

import engineio
import pytest
import socketio
from engineio import async_socket
from engineio.async_socket import AsyncSocket
from engineio.base_socket import BaseSocket
from tornado.websocket import WebSocketHandler

from tests.support.sites import site, until
from tornado_shared_session import SessionServer
from tornado_shared_session.queues import OutQueue
from tornado_shared_session.serving import Serving
from tornado_shared_session.socketio_admission import Admission
from tornado_shared_session.socketio_express import Express
from tornado_shared_session.socketio_gate import Gate
from tornado_shared_session.socketio_packets import Packets
from tornado_shared_session.socketio_switch import Switching
from tornado_shared_session.socketio_tokens import Tokens
from tornado_shared_session.testing.wire import Wire

OVERRIDES = [
    (kind, name)
    for kind in (Admission, Packets, Gate, Switching, Tokens, Express)
    for name in vars(kind)
    if name.startswith("_") and hasattr(socketio.AsyncServer, name) and callable(vars(kind)[name])
]


def names(function: Any) -> list[str]:
    """Return the names of a method's positional parameters."""
    return list(inspect.signature(function).parameters)


def test_every_seam_is_known() -> None:
    """No more of python-socketio is overridden than the files say."""
    expected = {"_handle_connect", "_handle_event", "_handle_ack", "_trigger_event"}
    expected |= {"_handle_eio_connect", "_handle_eio_message", "_handle_eio_disconnect"}
    expected |= {"_send_packet", "_send_eio_packet"}
    assert {name for _, name in OVERRIDES} == expected
    ours = [vars(kind) for kind in (Admission, Packets, Gate, Switching, Tokens, Express)]
    own = {name for names in ours for name in names} & {*dir(socketio.AsyncServer)}
    assert {name for name in own if not name.startswith("__")} == expected


@pytest.mark.parametrize(("kind", "name"), OVERRIDES)
def test_a_seam_takes_what_it_took(kind: type[Any], name: str) -> None:
    """python-socketio still calls it with these arguments, and it is a coroutine."""
    theirs, ours = getattr(socketio.AsyncServer, name), vars(kind)[name]
    assert inspect.iscoroutinefunction(theirs)
    assert inspect.iscoroutinefunction(ours)
    assert names(theirs) == names(ours)
    chain = [vars(one)[name] for one in SessionServer.__mro__ if name in vars(one)]
    assert ours in chain[: chain.index(theirs)]


def test_engine_io_still_closes_the_way_we_do() -> None:
    """close(wait, abort, reason), a queue that is asked what ours is, a dict of sockets."""
    assert names(AsyncSocket.close) == ["self", "wait", "abort", "reason"]
    eio = engineio.AsyncServer(async_mode="tornado")
    made = AsyncSocket(eio, "sid")
    assert eio.sockets == {}
    assert made.closed is False
    used = set(re.findall(r"\bqueue\.(\w+)\(", inspect.getsource(async_socket)))
    assert used >= {"join", "put_nowait", "get_nowait", "get", "task_done"}
    assert all(callable(getattr(OutQueue, method)) for method in used)
    assert "create_queue()" in inspect.getsource(BaseSocket.__init__)
    assert eio.reason.SERVER_DISCONNECT


def test_tornado_still_has_what_a_hard_close_needs() -> None:
    """A handler knows its protocol, and a protocol its stream."""
    assert "ws_connection" in inspect.getsource(WebSocketHandler.__init__)
    assert "self.stream" in inspect.getsource(
        __import__("tornado.websocket", fromlist=["WebSocketProtocol"]).WebSocketProtocol
    )


async def test_tornado_still_shows_which_requests_are_under_way(redis_url: str) -> None:
    """Idle, in the middle of a head, of a body, and of a handler: what `serving.py` looks at."""
    async with site(redis=redis_url) as a:
        serving = Serving(a.server.http_server)

        async def seen(sent: bytes, busy: int) -> None:
            wire.writer.write(sent)
            await until(lambda: len(serving.busy()) == busy)

        form = b"Content-Type: application/x-www-form-urlencoded\r\n"
        async with await Wire.open(a.url) as wire:
            await until(lambda: a.server.http_server._connections)
            await seen(b"", 0)
            await seen(b"POST /slow HTTP/1.1\r\nHost: a\r\n", 0)
            await seen(form + b"Content-Length: 13\r\n\r\nkey=k", 1)
            await seen(b"&value=1", 1)
            await until(lambda: a.shared.heard("slow"))
            assert len(serving.busy()) == 1
            a.shared.go.set()
            await seen(b"", 0)
            assert a.server.http_server.conn_params.no_keep_alive is False
            serving.last_requests()
            assert (await wire._response()).status == 200
            last = await wire.request("GET", "/note", {})
            assert last.headers["Connection"] == "close"
            assert await wire.reader.read() == b""


@pytest.mark.parametrize("kind", ["websocket", "upgrade"])
async def test_websockets_do_not_wait_for_nagle(redis_url: str, prefix: str, kind: str) -> None:
    """TCP_NODELAY is set on each: a close notice took 42 ms without it, 0.5 ms with (T29)."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with a.client(kind, await a.visitor()) as client:
            await client.connect()
            (handler,) = a.connection.handlers  # type: ignore[attr-defined]  # a SocketConnection
            wire = handler.ws_connection.stream.socket
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
