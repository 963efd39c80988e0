"""The shared session of a Socket.IO client, in python-socketio's spelling.

Which one `get_session` returns: what was loaded for the event, what this
process knows, or what the store says now.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

from .connections import Phase
from .errors import SessionEnded
from .events import REASONS
from .session import Session
from .socketio_admission import current
from .socketio_express import Express
from .transport import SocketConnection


class Sessions(Express):
    """The part of the server that hands out sessions."""

    async def get_session(self, sid: str, namespace: str | None = None) -> Session:
        """Return the shared session of a client, read anew.

        The first call inside an event returns what was loaded for the
        event; with ``reload="interval"`` each call inside an event is
        answered from what this process knows, see `SessionServerMixin`.
        In the disconnect handler of a session that has ended it is what
        was last loaded, read-only.

        Raises:
            KeyError: there is no such client.
            SessionEnded: the session is no more.
            StoreError: it could not be asked.
        """
        session = await self._read_session(sid, namespace)
        event = current.get()
        if event is not None and event.handed is not None:
            event.handed.append(session)
        return session

    def _at_hand(self, sid: str) -> Session | None:
        """Return the session for the event under way, unless the store has to be asked."""
        event = current.get()
        if event is None or self._by_sid.get(sid) is not event.connection:
            return None  # it asks about another client
        session = event.session
        if session is not None:
            event.session = None
        elif not self._reload_events:  # once the handler is done its id is "", and nothing known
            session = self._known_session(event.connection, event.id)
        return session

    def _known_session(self, connection: SocketConnection, id: str) -> Session | None:
        """Return the session as this process knows it, if that may be relied on."""
        manager = self.sessions
        known = manager.connections.known.get(id)
        if known is None or connection.phase is not Phase.OPEN or connection.id is not id:
            return None
        record = known.take(connection.generation, manager.policy.reload_interval)
        if record is None:
            return None
        session = connection.session = Session(manager, record, carrier=connection.carrier)
        return session

    async def _read_session(self, sid: str, namespace: str | None) -> Session:
        at_hand = self._at_hand(sid)
        if at_hand is not None:
            return at_hand
        connection = self._connection(sid, namespace)
        if connection.error is not None:
            raise connection.error.with_traceback(None)
        event = current.get()
        if event is not None and event.connection is not connection:
            event = None  # it asks about another client
        if connection.phase is Phase.LOADING and connection.rotation is not None:
            async with connection.rotation:
                pass  # until it has switched to another session, or has not
        if event is not None and event.id and event.id is not connection.id:
            raise SessionEnded("switched")
        if connection.phase is Phase.ENDED:
            return await self._session_of_ended(connection)
        loaded = await self.load_session(connection)
        if loaded is None:
            raise SessionEnded(connection.reason or "expired")
        return loaded

    def session(
        self, sid: str, namespace: str | None = None
    ) -> AbstractAsyncContextManager[Session]:
        """The shared session as a context: saved at the end of the block.

        Nothing is saved if the block raises.

        Raises:
            KeyError, StoreError, SessionEnded: as in `get_session`.
            SessionEnded, SerializationError, StoreError: at the end of
                the block, as in `Session.save`.
        """
        return _Block(self, sid, namespace)

    async def save_session(
        self, sid: str, session: Mapping[str, Any], namespace: str | None = None
    ) -> None:
        """Save a session that `get_session` returned, or merge a mapping into it.

        Raises:
            KeyError: no such client is connected to the namespace.
            SessionEnded, SerializationError, StoreError: as in
                `Session.save`; nothing is stored.
        """
        if not isinstance(session, Session):
            values = session
            session = await self._read_session(sid, namespace)
            session.update(values)
        await session.save()

    def local(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return a dict of this connection's own; it is never stored.

        Raises:
            KeyError: no such client is connected to the namespace.
        """
        connection = self._connection(sid, namespace)
        if connection.local is None:
            connection.local = {}
        return connection.local

    async def _session_of_ended(self, connection: SocketConnection) -> Session:
        """For a disconnect handler: the session it had, or still has."""
        session = connection.session
        if session is not None and connection.reason in REASONS and connection.reason != "shutdown":
            session._end(connection.reason)
            return session
        # Only the transport is gone; the session lives on without it. Not by
        # `connection.id`: that may be one which it was about to switch to.
        if session is None:
            raise SessionEnded("expired")
        record = await self.sessions.fetch(session.id)
        if record is None or record.generation != connection.generation:
            raise SessionEnded("expired" if record is None else "rotated")
        return Session(self.sessions, record)

    def _connection(self, sid: str, namespace: str | None) -> SocketConnection:
        connection = self._by_sid.get(sid)
        if connection is None:
            raise KeyError(f"no client {sid!r} is connected to {namespace or '/'}")
        return connection


class _Block(AbstractAsyncContextManager[Session]):
    """`sio.session(sid)`; costs half of what `asynccontextmanager` would."""

    __slots__ = ("_namespace", "_server", "_session", "_sid")

    def __init__(self, server: Sessions, sid: str, namespace: str | None) -> None:
        self._server, self._sid, self._namespace = server, sid, namespace

    async def __aenter__(self) -> Session:
        self._session = await self._server._read_session(self._sid, self._namespace)
        return self._session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            await self._session.save()
