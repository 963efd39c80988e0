"""The short way of a packet between a WebSocket and the Socket.IO server.

Engine.IO hands each message over through a queue, a task and a timer,
and each answer through another queue, task and timer. Where nothing is
ahead of a packet, it may pass without, and nothing else changes: what
may not pass goes the long way.

Uses private parts of Engine.IO, here only;
`tests/integration/test_socket_express.py` fails when one of them goes.
"""

from __future__ import annotations

import logging
import re
import time
from json import JSONDecoder, JSONEncoder
from typing import Any

import engineio.json
from engineio.async_socket import AsyncSocket

from . import websocket_line
from .connections import Phase
from .frames import Frames
from .limits import unsent
from .transport import SocketConnection

_LONG_WAY = AsyncSocket._websocket_handler
_EVENT = re.compile(r"42(/[^,?]{0,255},)?([0-9]{1,15})?(\[.*)", re.DOTALL)

# As Engine.IO's, without making a new one for each packet.
_decode = JSONDecoder(parse_int=engineio.json._safe_int).decode
encode = JSONEncoder(separators=(",", ":")).encode


def listens(eio: Any, connection: SocketConnection) -> bool:
    """Whether Engine.IO waits for the next message of a WebSocket, and nobody listens in."""
    socket = eio.sockets.get(connection.eio_sid)
    return (
        socket is not None
        and len(connection.handlers) == 1  # of two one is in an upgrade, with other rules
        and socket.upgraded
        and not socket.upgrading
        and AsyncSocket._websocket_handler is _LONG_WAY  # python-socketio's admin page replaces it
        and not eio.logger.isEnabledFor(logging.INFO)
    )


def read(text: str) -> tuple[str, int | None, list[Any]] | None:
    """Return the namespace, the id and the data of a message that is a plain event, else None."""
    match = _EVENT.fullmatch(text)
    if match is None:
        return None
    namespace, id, body = match.groups()
    try:
        data = _decode(body)
    except (ValueError, RecursionError):
        return None
    if type(data) is not list or not data or type(data[0]) is not str:
        return None
    return namespace[:-1] if namespace else "/", int(id) if id else None, data


def write(eio: Any, connection: SocketConnection, text: str) -> bool:
    """Write a packet to an open connection's WebSocket, if nothing waits to be sent before it."""
    socket = eio.sockets.get(connection.eio_sid)
    handlers = connection.handlers
    if (
        socket is None
        or connection.phase is not Phase.OPEN
        or len(handlers) != 1
        or not socket.upgraded
        or socket.upgrading
        or socket.closing
        or socket.closed
        or socket.queue.undone
        or (socket.last_ping and time.time() - socket.last_ping > eio.ping_timeout)
        or AsyncSocket._websocket_handler is not _LONG_WAY
        or eio.logger.isEnabledFor(logging.INFO)
        or type(handlers[0]).write_message is not Frames.write_message
    ):
        return False
    line: Any = handlers[0].ws_connection
    if line is None or line.is_closing() or unsent(line.stream) > connection.host.max_queued:
        return False  # the long way sees to it
    return websocket_line.send(handlers[0], [text]) is not None
