"""Plain events, their acknowledgements and the answer to a CONNECT, without detours.

The same as what `socketio_packets.py` and python-socketio do with them,
in fewer steps; whatever is not plain goes their way. What is on the way
between here and the WebSocket is in `socketio_wire.py`.

Stands in for python-socketio's `_handle_event_internal` and, for a CONNECT,
its `_send_packet`, unless somebody has put another in their place; and uses
its `_get_event_handler` by way of `_trigger_event`.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import engineio.json
from socketio import AsyncServer
from socketio.packet import ACK, CONNECT, Packet

from . import socketio_wire as wire
from .connections import Phase
from .socketio_admission import Admission
from .socketio_gate import Gate
from .socketio_tokens import Tokens
from .transport import SocketConnection

_HANDLE, _INTERNAL = Gate._handle_event, AsyncServer._handle_event_internal
_SEND = AsyncServer._send_packet
_AT_ONCE = 16  # events of one client that are handled at once by the short way


class Express(Tokens):
    """The part of the server that hurries."""

    def listens(self, connection: SocketConnection) -> bool:
        """Whether what comes next on an idle WebSocket may pass Engine.IO by."""
        return wire.listens(self.eio, connection)

    def take(self, connection: SocketConnection | None, message: str | bytes) -> bool:
        """Handle a message at once, if it may pass Engine.IO by; tell if it did."""
        if (
            connection is None
            or connection.taken >= _AT_ONCE  # it floods: Engine.IO takes its time with each
            or connection.phase is not Phase.OPEN
            or connection.tokens is not None
            or type(message) is not str
            or not self._plain()
        ):
            return False
        event = wire.read(message)
        if event is None:
            return False
        namespace, id, data = event
        sid = connection.sids.get(namespace)
        if (
            sid is None
            or data[0] in self.reserved_events
            or not self.manager.is_connected(sid, namespace)
            or connection.eio_sid in self._binary_packet
        ):
            return False
        connection.taken += 1
        work = self._handle_plain(connection, namespace, sid, id, data)
        task = asyncio.get_running_loop().create_task(work)
        self._events.add(task)
        task.add_done_callback(partial(self._taken, connection))
        return True

    def _taken(self, connection: SocketConnection, task: asyncio.Task[None]) -> None:
        connection.taken -= 1
        self._events.discard(task)

    def _plain(self) -> bool:
        """Whether nobody has changed how python-socketio handles an event, or sends a packet."""
        return (
            getattr(self._handle_event, "__func__", None) is _HANDLE
            and getattr(self._handle_event_internal, "__func__", None) is _INTERNAL
            and getattr(super(Admission, self)._send_packet, "__func__", None) is _SEND
            and self.packet_class is Packet
            and Packet.json is engineio.json
            and self.async_handlers
            and not self.logger.isEnabledFor(logging.INFO)
            and self.eio.handlers.get("message") == self._handle_eio_message
        )

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        if pkt.packet_type == CONNECT and self._plain():
            connection = self._by_eio.get(eio_sid)
            if (
                connection is not None
                and connection.handlers  # else it polls
                and wire.write(self.eio, connection, "4" + pkt.encode())
            ):
                return
        await super()._send_packet(eio_sid, pkt)

    async def _handle_plain(
        self,
        connection: SocketConnection,
        namespace: str,
        sid: str,
        id: int | None,
        data: list[Any],
    ) -> None:
        result = await self._trigger_event(data[0], namespace, sid, *data[1:])
        if result is self.not_handled or id is None:
            return
        if result is None:
            answer: list[Any] = []
        else:
            answer = list(result) if isinstance(result, tuple) else [result]
        if not connection.withheld:
            try:
                said = wire.encode(answer)
            except TypeError:
                said = ""  # bytes are in it
            to = "" if namespace == "/" else namespace + ","
            if said and wire.write(self.eio, connection, f"43{to}{id}{said}"):
                return
        packet = self.packet_class(ACK, namespace=namespace, id=id, data=answer)
        await self._send_packet(connection.eio_sid, packet)
