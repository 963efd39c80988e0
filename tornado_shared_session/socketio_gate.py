"""The gate between Socket.IO's packets and the sessions.

Nothing of a client is handled unless its session lives. What may be
said to it is decided in `socketio_admission.py`.

The files `socketio*.py` are the only ones that import socketio. This
one overrides its private seams `_handle_eio_*`, `_handle_event`,
`_handle_ack` and `_trigger_event`; `tests/integration/test_seams.py`
fails when one of them goes. The public ``eio.on(...)`` would not do:
`instrument()` replaces handlers that were set with it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from typing import Any

from engineio.packet import MESSAGE
from engineio.packet import Packet as EngineIOPacket
from socketio.packet import DISCONNECT, EVENT

from . import liveness
from .connections import Phase
from .ending import Ending, release
from .errors import SessionConflict, SessionEnded, StoreError
from .events import REASONS, logger
from .known import Known
from .session import Session
from .socketio_admission import Event, current
from .socketio_packets import Packets
from .tokens import BearerToken
from .transport import SocketConnection


class Gate(Packets):
    """The part of the server that every packet of a client passes."""

    _reload_events: bool
    connect_timeout: float
    tokens: BearerToken | None

    # -- for the transport and the handshake -----------------------------------

    def connection_of(self, eio_sid: str) -> SocketConnection | None:
        """Return the connection of an Engine.IO id."""
        return self._by_eio.get(eio_sid)

    def close_transport(self, connection: SocketConnection, reason: str, final: bool) -> None:
        """Begin its end, soon."""
        self.closings.add(Ending(connection, reason, final))

    def farewell(self, connection: SocketConnection, reason: str, final: bool) -> list[Any]:
        """Say why, and with `final` that it should not come back."""
        packets: list[Any] = []
        if reason not in REASONS:
            return packets  # the session lives; this transport was no good
        for namespace in connection.sids.keys() - connection.withheld.keys():
            last = _farewell(self.packet_class, namespace, reason, final)
            # Each its own: one that was encoded for a poll stays as it is.
            packets += [EngineIOPacket(MESSAGE, data) for data in last]
        return packets

    async def tell_expiring(self, connection: SocketConnection, seconds: float) -> None:
        """Tell a client that its session is about to end."""
        for namespace in list(connection.sids):
            data = ["session_expiring", {"seconds": round(seconds)}]
            packet = self.packet_class(EVENT, namespace=namespace, data=data)
            await self._send_packet(connection.eio_sid, packet)

    def forget(self, connection: SocketConnection) -> None:
        """Drop what is kept of a connection; twice is harmless."""
        connection.cancel_timer()
        self.sessions.connections.gone(connection)
        self._by_eio.pop(connection.eio_sid, None)
        # python-socketio frees it only of who was connected to a namespace.
        self._binary_packet.pop(connection.eio_sid, None)
        socket = self.eio.sockets.get(connection.eio_sid)
        if socket is not None:
            # Later, for a request of it may be under way: Engine.IO cannot
            # answer one whose socket goes in the middle.
            asyncio.get_running_loop().call_soon(release, self.eio, socket)

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
            handler.close()  # a WebSocket is open already
            return False
        if connection.phase is Phase.ENDED:
            return False
        connection.eio_sid = eio_sid
        self._by_eio[eio_sid] = connection
        connection.watch_queue()
        environ["REMOTE_ADDR"] = handler.request.remote_ip  # Engine.IO says 127.0.0.1
        # The environ goes to handlers, logs and the admin page; the
        # cookie header, which holds the credential, does not.
        environ.pop("HTTP_COOKIE", None)
        if self.tokens is not None and self.tokens.by_header(handler.request):
            environ.pop("HTTP_AUTHORIZATION", None)
        await super()._handle_eio_connect(eio_sid, environ)
        return None

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
        # A number may be a name for the protocol, but is no handler's.
        if isinstance(data[0], str) and data[0] not in self.reserved_events:
            if self.tokens is not None and await self._took(eio_sid, namespace, id, data):
                return
            await super()._handle_event(eio_sid, namespace, id, data)

    async def _took(self, eio_sid: str, namespace: str, id: Any, data: list[Any]) -> bool:
        """In token mode: whether an event is not one for the application."""
        raise NotImplementedError

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
            handled = Event(connection, None, self._autosave)
            token = current.set(handled)
            try:
                return await self._run(handled, event, namespace, *args)
            except (SessionEnded, SessionConflict, StoreError) as error:
                told = "disconnect of session %s: %s"
                self.sessions.report.warn(connection.id, told, connection.id, error)
                return None
            except Exception:  # else python-socketio would stop, and keep the client
                logger.exception("a disconnect handler raised")
                return None
            finally:
                handled.handed = None  # nobody saves what a task asks for from here on
                current.reset(token)
                self._by_sid.pop(args[0], None)
                connection.sids.pop(namespace, None)
                if not connection.sids and connection.admits:
                    connection.close_unless_connected(self.connect_timeout)
        if connection.leaving:
            return self.not_handled
        self.sessions.connections.begin(connection)
        try:
            go, session = await self._before(connection)
            if not go or args[0] not in self._by_sid:  # it has left meanwhile
                return self.not_handled  # so that no acknowledgement is sent
            id = connection.id
            handled = Event(connection, session, self._autosave)
            token = current.set(handled)
            try:
                result = await self._run(handled, event, namespace, *args)
            except (SessionEnded, SessionConflict, StoreError) as error:
                # What follows from the state of the session or the store is a
                # line, as over HTTP, and no acknowledgement.
                told = "event %.64r of session %s: %s"
                self.sessions.report.warn(connection.id, told, event, connection.id, error)
                return self.not_handled
            finally:
                handled.session = None  # a task that the handler started reads anew
                handled.handed = None  # and saves for itself
                handled.id = ""
                current.reset(token)
            if connection.id is not id:
                return self.not_handled  # it has switched to another session
            await liveness.keep_alive(self.sessions, connection, session)
            go = connection.phase is Phase.OPEN and connection.id is id
            return result if go else self.not_handled
        finally:
            # Its acknowledgement is sent in the same turn of the loop.
            self.sessions.connections.finish(connection)

    async def _before(self, connection: SocketConnection) -> tuple[bool, Session | None]:
        """Whether what the client sent may be handled, and the session if it was read."""
        if connection.phase is not Phase.OPEN:
            return False, None
        if not self._reload_events or connection.error is not None:
            return True, None
        try:
            session = await self.load_session(connection)
        except StoreError as error:
            self.sessions.report("store_failed", connection.id, f"event dropped: {error}")
            return False, None
        return session is not None, session

    async def load_session(self, connection: SocketConnection) -> Session | None:
        """Read a connection's session anew; None, and it will close, if that has ended."""
        id, connections = connection.id, self.sessions.connections
        if not self._reload_events and id in connections:
            # There before the store is asked, it hears of the answer, and of
            # what is committed meanwhile.
            connections.known.setdefault(id, Known())
        return await liveness.reload(self.sessions, connection)


@functools.lru_cache(maxsize=64)  # many may end at once, and for one reason
def _farewell(packet_class: Any, namespace: str, reason: str, final: bool) -> tuple[Any, ...]:
    last = [packet_class(EVENT, namespace=namespace, data=["session_ended", {"reason": reason}])]
    if final:
        last.append(packet_class(DISCONNECT, namespace=namespace))
    return tuple(packet.encode() for packet in last)
