"""The gate between Socket.IO's packets and the sessions.

In: nothing of a client is handled unless its session lives. Out:
nothing reaches a client before it is admitted or after its session has
ended (SECURITY F1, F2).

This file and `socketio.py` are the only ones that import socketio, and
this one alone overrides its private seams (`_handle_eio_*`,
`_handle_event`, `_handle_ack`, `_trigger_event`, `_send_packet`,
`_send_eio_packet`); `tests/integration/test_seams.py` fails when one of
them goes. The public ``eio.on(...)`` would not do: `instrument()`
replaces handlers that were set with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import socketio
from engineio.packet import MESSAGE
from engineio.packet import Packet as EngineIOPacket
from socketio.packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
)

from .connections import Phase
from .errors import SessionEnded, StoreError
from .events import logger
from .manager import SessionManager
from .session import Session
from .transport import SocketConnection

_WITHHELD = frozenset({EVENT, ACK, BINARY_EVENT, BINARY_ACK})
_WITHHELD_MOST = 256  # packets kept for a namespace whose connect handler takes its time
_REFUSED_GRACE = 1.0  # seconds until a transport with no namespace left is closed
_NOTICE_GRACE = 0.1  # seconds for the notice that says why a record is gone


class Event:
    """The event being handled: its connection, and what was loaded for it."""

    __slots__ = ("connection", "session")

    def __init__(self, connection: SocketConnection, session: Session | None) -> None:
        self.connection = connection
        self.session = session


current: ContextVar[Event | None] = ContextVar("tornado_shared_session_event", default=None)

if TYPE_CHECKING:
    from socketio import AsyncServer as _Server
else:
    _Server = object


class Gate(_Server):  # type: ignore[misc]  # python-socketio is untyped
    """The part of the server that every packet passes, both ways."""

    sessions: SessionManager
    _reload_events: bool
    _connect_timeout: float
    _by_eio: dict[str, SocketConnection]
    _by_sid: dict[str, SocketConnection]

    # -- for the transport and the handshake -----------------------------------

    def connection_of(self, eio_sid: str) -> SocketConnection | None:
        """Return the connection of an Engine.IO id."""
        return self._by_eio.get(eio_sid)

    def farewell(self, connection: SocketConnection, reason: str, final: bool) -> list[Any]:
        """Say why, and with `final` that it should not come back."""
        packets = []
        for namespace in connection.sids:
            said = {"reason": reason}
            last = [self.packet_class(EVENT, namespace=namespace, data=["session_ended", said])]
            if final:
                last.append(self.packet_class(DISCONNECT, namespace=namespace))
            packets += [EngineIOPacket(MESSAGE, packet.encode()) for packet in last]
        return packets

    def forget(self, connection: SocketConnection) -> None:
        """Drop what is kept of a connection; twice is harmless."""
        connection.cancel_timer()
        if connection.phase is not Phase.ENDED:
            connection.phase, connection.reason = Phase.ENDED, "gone"
        self.sessions.connections.discard(connection)
        self._by_eio.pop(connection.eio_sid, None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that the manager owns."""
        self.sessions.spawn(work)

    # -- in: transports, packets, events -----------------------------------------

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> bool | None:
        handler = environ["tornado.handler"]
        connection = getattr(handler, "session_connection", None)
        if not isinstance(connection, SocketConnection):
            logger.error(
                "a Socket.IO client was refused: the Application's handlers must contain"
                " tornado_shared_session.get_tornado_handler(sio), not python-socketio's"
            )
            return False
        if connection.phase is Phase.ENDED:
            return False
        connection.eio_sid = eio_sid
        self._by_eio[eio_sid] = connection
        connection.close_unless_connected(self._connect_timeout)
        environ["REMOTE_ADDR"] = handler.request.remote_ip  # Engine.IO says 127.0.0.1
        # The environ goes to handlers, logs and the admin page; the
        # cookie header, which holds the credential, does not.
        environ.pop("HTTP_COOKIE", None)
        await super()._handle_eio_connect(eio_sid, environ)
        return None

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.phase is not Phase.OPEN:
            return
        namespace = self._connect_namespace(eio_sid, data)
        if namespace is None:
            await super()._handle_eio_message(eio_sid, data)
        else:
            await self._admit(connection, namespace, data)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        try:
            await super()._handle_eio_disconnect(eio_sid, reason)
        finally:
            connection = self._by_eio.get(eio_sid)
            if connection is not None:
                self.forget(connection)

    async def _handle_event(self, eio_sid: str, namespace: str, id: Any, data: Any) -> None:
        # "connect" and "disconnect" are the server's to trigger; from a
        # client they would run those handlers past every check.
        if data and data[0] not in self.reserved_events:
            await super()._handle_event(eio_sid, namespace, id, data)

    async def _handle_ack(self, eio_sid: str, namespace: str, id: Any, data: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is not None and (await self._before(connection))[0]:
            await super()._handle_ack(eio_sid, namespace, id, data)

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        connection = self._by_sid.get(args[0])
        if event == "connect":
            return await self._trigger_connect(namespace, *args)
        if connection is None:
            return self.not_handled
        if event == "disconnect":
            token = current.set(None)
            try:
                return await super()._trigger_event(event, namespace, *args)
            finally:
                current.reset(token)
                self._by_sid.pop(args[0], None)
                connection.sids.pop(namespace, None)
        go, session = await self._before(connection)
        if not go:
            return self.not_handled  # so that no acknowledgement is sent
        token = current.set(Event(connection, session))
        try:
            result = await super()._trigger_event(event, namespace, *args)
        finally:
            current.reset(token)
        await self._after(connection, session)
        return result if connection.phase is Phase.OPEN else self.not_handled

    async def _before(self, connection: SocketConnection) -> tuple[bool, Session | None]:
        """Whether what the client sent may be handled, and the session if it was read."""
        if connection.phase is not Phase.OPEN:
            return False, None
        if not self._reload_events:
            return True, None
        try:
            session = await self._load(connection)
        except StoreError as error:
            self.sessions.report("store_failed", connection.id, f"event dropped: {error}")
            return False, None
        return session is not None, session

    async def _after(self, connection: SocketConnection, session: Session | None) -> None:
        """An event is activity: move the deadline, at most once per touch_interval."""
        seen = session or connection.session
        record = None if seen is None else seen._record
        if record is None or record.provisional or connection.phase is not Phase.OPEN:
            return
        if session is not None:
            connection.verified(record.ttl)
        left = connection.deadline - time.monotonic()
        if self.sessions.touch_due(left, record.meta.created_at):
            try:
                await self.sessions.extend(connection)
            except (StoreError, SessionEnded) as error:
                self.sessions.report("store_failed", connection.id, f"not touched: {error}")

    async def _load(self, connection: SocketConnection) -> Session | None:
        """Read a connection's session anew; None, and it will close, if that has ended."""
        record = await self.sessions.fetch(connection.id)
        if connection.phase is not Phase.OPEN:
            return None
        end_one = self.sessions.connections.end_one
        if record is None:
            # The notice that says why may be on its way, and decides
            # whether the client should come back.
            later = asyncio.get_running_loop().call_later
            later(_NOTICE_GRACE, end_one, connection, "expired")
            return None
        if record.generation != connection.generation:
            end_one(connection, "rotated")
            return None
        connection.verified(record.ttl)
        session = connection.session = Session(self.sessions, record)
        return session

    # -- a namespace CONNECT ---------------------------------------------------------

    def _connect_namespace(self, eio_sid: str, data: Any) -> str | None:
        """Return the namespace that a packet asks to connect to, if it does.

        It must be known before python-socketio sees the packet: that
        puts the client into the namespace's room before any handler is
        awaited.
        """
        if eio_sid in self._binary_packet:
            return None
        if isinstance(data, str):
            if not data.startswith(str(CONNECT)):
                return None
        elif not self._binary_protocol:
            return None
        packet = self.packet_class(encoded_packet=data)
        return (packet.namespace or "/") if packet.packet_type == CONNECT else None

    @property
    def _binary_protocol(self) -> bool:
        return self.packet_class is not socketio.packet.Packet

    async def _admit(self, connection: SocketConnection, namespace: str, data: Any) -> None:
        """Check the session again, then let python-socketio connect the namespace."""
        eio_sid = connection.eio_sid
        if connection.withheld is None:
            connection.withheld = {}
        connection.withheld[namespace] = []
        try:
            session = await self._load(connection)
            if session is None:
                return
            token = current.set(Event(connection, session))
            try:
                await super()._handle_eio_message(eio_sid, data)
            finally:
                current.reset(token)
        except StoreError as error:
            await self._refuse(connection, namespace, error)
        except Exception as error:
            logger.exception("a connect handler raised; the client is refused")
            await self._refuse(connection, namespace, error)
        finally:
            packets = connection.withheld.pop(namespace, [])
            if not connection.withheld:
                connection.withheld = None
            await self._settle(connection, namespace, packets)

    async def _refuse(self, connection: SocketConnection, namespace: str, error: Exception) -> None:
        if isinstance(error, StoreError):
            self.sessions.report("store_failed", connection.id, f"connect refused: {error}")
        await self._send_packet(
            connection.eio_sid,
            self.packet_class(
                CONNECT_ERROR, data={"message": "Unable to connect"}, namespace=namespace
            ),
        )
        sid = self.manager.sid_from_eio_sid(connection.eio_sid, namespace)
        if sid is not None:
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    async def _settle(
        self, connection: SocketConnection, namespace: str, packets: list[Any]
    ) -> None:
        """The CONNECT is through: keep what was connected, undo what was not."""
        eio_sid = connection.eio_sid
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        connected = sid is not None and self.manager.is_connected(sid, namespace)
        if connected and connection.phase is Phase.OPEN:
            connection.cancel_timer()
            for packet in packets:
                if isinstance(packet, EngineIOPacket):
                    await self._send_eio_packet(eio_sid, packet)
                else:
                    await self._send_packet(eio_sid, packet)
            return
        if connected:
            # The transport went while the handler ran, and Engine.IO's
            # disconnect found no namespace to tell.
            await self._handle_disconnect(eio_sid, namespace, self.eio.reason.SERVER_DISCONNECT)
        for known, namespaced in list(connection.sids.items()):
            if known == namespace and not connected:
                self._by_sid.pop(namespaced, None)
                del connection.sids[known]
        if not connection.sids and connection.phase is Phase.OPEN:
            connection.close_unless_connected(_REFUSED_GRACE)

    async def _trigger_connect(self, namespace: str, sid: str, *args: Any) -> Any:
        event = current.get()
        if event is None or event.connection.phase is not Phase.OPEN:
            raise socketio.exceptions.ConnectionRefusedError("the session has ended")
        connection = event.connection
        connection.sids[namespace] = sid
        self._by_sid[sid] = connection
        seen = connection.session
        assert seen is not None
        self.manager.basic_enter_room(sid, namespace, seen.room)
        if seen.user_id is not None:
            self.manager.basic_enter_room(sid, namespace, seen.user_room)
        return await super()._trigger_event("connect", namespace, sid, *args)

    # -- out: nothing to whom is not admitted, nothing after the end ------------------

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.phase is not Phase.OPEN:
            return
        if connection.withheld is not None and pkt.packet_type in _WITHHELD:
            held = connection.withheld.get(pkt.namespace or "/")
            if held is not None:
                if len(held) < _WITHHELD_MOST:
                    held.append(pkt)
                return
        await super()._send_packet(eio_sid, pkt)

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.phase is not Phase.OPEN:
            return
        if connection.withheld is not None:
            held = connection.withheld.get(self._packet_namespace(connection, eio_pkt.data))
            if held is not None:
                if len(held) < _WITHHELD_MOST:
                    held.append(eio_pkt)
                return
        await super()._send_eio_packet(eio_sid, eio_pkt)

    def _packet_namespace(self, connection: SocketConnection, data: Any) -> str:
        """Read an outgoing packet's namespace; an attachment has that of its packet."""
        if isinstance(data, str) or self._binary_protocol:
            connection.last_namespace = self.packet_class(encoded_packet=data).namespace or "/"
        return connection.last_namespace
