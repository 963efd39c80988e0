"""Which namespaces of a connection hear and speak: admission.

A namespace CONNECT is checked against the store before python-socketio
sees it, and until its handler has agreed nothing reaches the client.
Nothing does after the session has ended, either.

Overrides python-socketio's `_handle_connect`, `_send_packet` and
`_send_eio_packet`; `tests/integration/test_seams.py` fails when one of
them goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import socketio
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
from .socketio_handlers import Handlers
from .transport import SocketConnection

_WITHHELD = frozenset({EVENT, ACK, BINARY_EVENT, BINARY_ACK})
_CONNECTING = frozenset({CONNECT, CONNECT_ERROR, DISCONNECT})
# Packets kept for a namespace whose connect handler takes its time, attachments
# counted; at that many no other begins.
_WITHHELD_MOST = 256
_REFUSED_GRACE = 1.0  # seconds until a transport with no namespace left is closed
# How a connect handler says no, on purpose.
REFUSALS = (socketio.exceptions.ConnectionRefusedError, ConnectionRefusedError)


class Event:
    """The event being handled.

    Attributes:
        connection: which sent it.
        session: what was loaded for it, until it is handed out.
        id: of the session that it is an event of; "" once the handler is done.
        handed: what `get_session` handed out, with autosave.
        connects: it is a namespace CONNECT.
    """

    __slots__ = ("connection", "connects", "handed", "id", "session")

    def __init__(
        self,
        connection: SocketConnection,
        session: Session | None,
        autosave: bool,
        *,
        connects: bool = False,
    ) -> None:
        self.connection = connection
        self.id = connection.id
        self.session = session
        self.handed: list[Session] | None = [] if autosave else None
        self.connects = connects

    async def save(self) -> None:
        """The handler has returned: store what it changed."""
        for session in self.handed or ():
            await session.save()


current: ContextVar[Event | None] = ContextVar("tornado_shared_session_event", default=None)


class Admission(Handlers):
    """The part of the server that decides whom packets reach."""

    sessions: SessionManager
    _by_eio: dict[str, SocketConnection]
    _by_sid: dict[str, SocketConnection]
    _pass_errors: bool

    async def load_session(self, connection: SocketConnection) -> Session | None:
        """Read a connection's session anew; None if that has ended."""
        raise NotImplementedError

    # -- a namespace CONNECT ---------------------------------------------------------

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        """Check the session again before python-socketio connects the namespace.

        Before: it puts the client into the namespace's room before any
        handler is awaited.
        """
        namespace = namespace or "/"
        connection = self._by_eio[eio_sid]
        if namespace in connection.withheld or namespace in connection.sids:
            await self._refuse(connection, namespace)  # connected, or about to be
            return
        connection.withheld[namespace] = []
        connect = super()._handle_connect
        await self._decide(connection, namespace, lambda: connect(eio_sid, namespace, data))

    async def _decide(
        self,
        connection: SocketConnection,
        namespace: str,
        connect: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            go, session = await self._read_for_connect(connection)
            if go:
                handled = Event(connection, session, self._autosave, connects=True)
                token = current.set(handled)
                try:
                    await connect()
                finally:
                    handled.session = None  # a task that the handler started reads anew
                    handled.handed = None  # and saves for itself
                    handled.id = ""
                    current.reset(token)
        except StoreError as error:
            self.sessions.report("store_failed", connection.id, f"connect refused: {error}")
            await self._unavailable(connection, namespace)
        except Exception:  # a refusal with what no packet can carry, for instance
            logger.exception("a connect could not be answered; the client is refused")
            await self._refuse(connection, namespace)
        finally:
            await self._settle(connection, namespace)

    async def _read_for_connect(self, connection: SocketConnection) -> tuple[bool, Session | None]:
        """Whether the namespace may be connected, and the session if there is one."""
        if connection.error is not None:
            return connection.phase is Phase.OPEN, None
        try:
            session = await self.load_session(connection)
        except StoreError as error:
            if not self._pass_errors:
                raise
            self.sessions.report("store_failed", connection.id, f"connect: {error}")
            return connection.phase is Phase.OPEN, None
        return session is not None, session

    async def _refuse(self, connection: SocketConnection, namespace: str) -> None:
        packet = self.packet_class(CONNECT_ERROR, {"message": "Unable to connect"}, namespace)
        await self._send_packet(connection.eio_sid, packet)

    async def _unavailable(self, connection: SocketConnection, namespace: str) -> None:
        """Refuse for now: the store could not be asked."""
        sid = connection.sids.get(namespace)
        if sid is not None:
            await self.manager.disconnect(sid, namespace, ignore_queue=True)
        if connection.sids.keys() - {namespace}:
            await self._refuse(connection, namespace)
        else:
            # After a CONNECT_ERROR the JavaScript client gives up for
            # good; after the end of its transport it tries again.
            self.sessions.connections.end_one(connection, "unavailable")

    async def _settle(self, connection: SocketConnection, namespace: str) -> None:
        """The CONNECT is through: keep what was connected, undo what was not."""
        eio_sid, sid = connection.eio_sid, connection.sids.get(namespace)
        if sid is None or not self.manager.is_connected(sid, namespace):
            if sid is not None:
                self._by_sid.pop(sid, None)
                del connection.sids[namespace]
            left = self.manager.sid_from_eio_sid(eio_sid, namespace)
            if left is not None and not self.manager.is_connected(left, namespace):
                # Something raised in python-socketio, before it took its own back.
                await self.manager.disconnect(left, namespace, ignore_queue=True)
            try:
                # What was emitted until now is on its way, in tasks that
                # run in this turn of the loop.
                await asyncio.sleep(0)
            finally:
                del connection.withheld[namespace]
            if not connection.sids and connection.phase is Phase.OPEN:
                connection.close_unless_connected(_REFUSED_GRACE)
            return
        withheld = connection.withheld.pop(namespace)
        if connection.admits:
            connection.cancel_timer()
            for send, packet in withheld:
                await send(eio_sid, packet)
        else:
            # The transport went while the handler ran, and Engine.IO's
            # disconnect passes, or has passed, a namespace that connects.
            await self._handle_disconnect(eio_sid, namespace, self.eio.reason.SERVER_DISCONNECT)

    async def _trigger_connect(self, namespace: str, sid: str, *args: Any) -> Any:
        event = current.get()
        if event is None or not event.connection.admits:
            raise socketio.exceptions.ConnectionRefusedError("the session has ended")
        connection = event.connection
        connection.sids[namespace] = sid
        self._by_sid[sid] = connection
        seen = connection.session
        if seen is not None:
            self.manager.basic_enter_room(sid, namespace, seen.room)
            if seen.user_id is not None:
                self.manager.basic_enter_room(sid, namespace, seen.user_room)
        try:
            return await self._run(event, "connect", namespace, sid, *args)
        except (*REFUSALS, StoreError):
            raise
        except Exception as error:
            if isinstance(error, TypeError) and args[1:] == (None,) and connection.admits:
                raise  # perhaps the handler takes no auth: python-socketio tries without
            if not isinstance(error, SessionEnded):
                logger.exception("a connect handler raised; the client is refused")
            raise socketio.exceptions.ConnectionRefusedError("Unable to connect") from error

    async def _run(self, handled: Event, event: str, namespace: str, *args: Any) -> Any:
        """Run a handler, and store what it changed; nothing if it raises."""
        try:
            result = await super()._trigger_event(event, namespace, *args)
            if handled.handed:
                await handled.save()
            return result
        finally:
            if handled.handed:
                handled.handed.clear()  # python-socketio may try with fewer arguments

    # -- out: nothing to whom is not admitted, nothing after the end ------------------

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None:
            return
        if connection.phase is not Phase.OPEN and (
            # A client that has not shown its token yet connects all the same.
            connection.phase is Phase.ENDED or pkt.packet_type not in _CONNECTING
        ):
            return
        send = super()._send_packet
        withheld = connection.withheld and pkt.packet_type in _WITHHELD
        if not withheld or not self._withhold(connection, pkt.namespace or "/", send, pkt):
            await send(eio_sid, pkt)

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.phase is not Phase.OPEN:
            return
        send = super()._send_eio_packet
        if connection.withheld:
            header = self._is_header(eio_pkt.data)
            if header:
                packet = self.packet_class(encoded_packet=eio_pkt.data)
                connection.last_namespace = packet.namespace or "/"
            namespace = connection.last_namespace  # an attachment has that of its packet
            if self._withhold(connection, namespace, send, eio_pkt, header=header):
                return
        await send(eio_sid, eio_pkt)

    def _withhold(
        self,
        connection: SocketConnection,
        namespace: str,
        send: Any,
        packet: Any,
        *,
        header: bool = True,
    ) -> bool:
        """Keep a packet for a namespace whose connect is under way; tell if it is.

        Args:
            header: it is no attachment. Those share the lot of their
                packet: half of one breaks the client's connection.
        """
        held = connection.withheld.get(namespace)
        if held is None:
            return False
        if header:
            connection.keeps = len(held) < _WITHHELD_MOST
        if connection.keeps:
            held.append((send, packet))
        elif header:
            told = "a connect handler takes its time; a packet for its client is dropped"
            self.sessions.report.warn(connection.id, told)
        return True

    def _is_header(self, data: Any) -> bool:
        """Whether an outgoing packet of Engine.IO begins one of Socket.IO."""
        return isinstance(data, str) or self.packet_class is not socketio.packet.Packet
