"""What a client's Socket.IO packet may look like, and how much of it there may be.

python-socketio logs a traceback for each packet that it cannot read,
and keeps attachments until memory ends. Here such a client is dropped,
as Node's server does, with one line in the log.

Overrides python-socketio's private seam `_handle_eio_message`, and keeps
unfinished packets where it does, in `_binary_packet`.
"""

from __future__ import annotations

from typing import Any

from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, DISCONNECT, EVENT

from .connections import Phase
from .limits import MALFORMED, TOO_LARGE
from .socketio_admission import Admission
from .transport import SocketConnection

_EVENTS = frozenset({EVENT, BINARY_EVENT})
_ACKS = frozenset({ACK, BINARY_ACK})
_BINARY = frozenset({BINARY_EVENT, BINARY_ACK})


class _TooLarge(Exception):
    """There is more of a packet than there may be."""


class Packets(Admission):
    """The part of the server that reads what clients send."""

    max_attachments: int

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.phase is Phase.ENDED:
            return
        try:
            packet = self._read(connection, data)
        except Exception as error:  # it is a stranger who wrote it
            self._binary_packet.pop(eio_sid, None)
            large = isinstance(error, _TooLarge)
            why = str(error) if large else type(error).__name__
            reason = TOO_LARGE if large else MALFORMED
            self.sessions.connections.drop(connection, reason, why)
            return
        if packet is None:
            return  # its attachments follow
        kind, namespace = packet.packet_type, packet.namespace
        if kind in _EVENTS:
            await self._handle_event(eio_sid, namespace, packet.id, packet.data)
        elif kind in _ACKS:
            await self._handle_ack(eio_sid, namespace, packet.id, packet.data)
        elif kind == CONNECT:
            await self._handle_connect(eio_sid, namespace, packet.data)
        else:
            await self._handle_disconnect(eio_sid, namespace, reason=self.reason.CLIENT_DISCONNECT)

    def _read(self, connection: SocketConnection, data: Any) -> Any:
        """Return a packet that is complete and of the right form, else None.

        Raises:
            Exception: any, if it cannot be one.
        """
        waiting = self._binary_packet
        packet = waiting.get(connection.eio_sid) if waiting else None
        if packet is None:
            packet = self.packet_class(encoded_packet=data)
            _check(packet)
            if packet.packet_type not in _BINARY or not packet.attachment_count:
                return packet
            if packet.attachment_count > self.max_attachments:
                raise _TooLarge(f"{packet.attachment_count} attachments")
            connection.attached = len(data)
            waiting[connection.eio_sid] = packet
            return None
        if type(data) is not bytes:
            raise TypeError
        connection.attached += len(data)
        if connection.attached > self.eio.max_http_buffer_size:
            raise _TooLarge(f"{connection.attached} bytes of one packet")
        if not packet.add_attachment(data):
            return None
        del waiting[connection.eio_sid]
        return packet


def _check(packet: Any) -> None:
    """Raise TypeError unless the packet's parts are what their readers expect."""
    kind, data, id = packet.packet_type, packet.data, packet.id
    if packet.namespace is not None and type(packet.namespace) is not str:
        raise TypeError
    if kind in _EVENTS:
        fine = type(data) is list and len(data) > 0 and type(data[0]) in (str, int)
        fine = fine and (id is None or type(id) is int)
    elif kind in _ACKS:
        # python-socketio counts from 1. At 0, among the callbacks, is its counter.
        fine = type(data) is list and type(id) is int and id > 0
    else:
        fine = kind in (CONNECT, DISCONNECT)
    if not fine:
        raise TypeError
