"""Who may open a Socket.IO transport: decided before the upgrade.

One rule for polling and WebSocket alike, put in front of
python-socketio's Tornado handler by `make_handler`. What a client may
say once it is in is for `socketio_gate.py` to judge.
"""

from __future__ import annotations

import json
from typing import Any, Literal, Protocol

from tornado.websocket import WebSocketHandler

from .connections import Phase
from .errors import ConfigurationError, SessionEnded, StoreError
from .manager import SessionManager
from .origins import Origins
from .record import Credential
from .session import Session, State
from .transport import Host, SocketConnection
from .watcher import watch

_NONE: frozenset[str | None] = frozenset([None])


class Refused(Exception):
    """A request that gets no further. Internal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Carrier:
    """The way from a session to the client: the handshake's response."""

    def __init__(self) -> None:
        self.credential: Credential | None = None

    def can_issue(self) -> bool:
        return True

    def issued(self, credential: Credential, user_id: str | None) -> None:
        self.credential = credential

    def revoked(self) -> None:
        self.credential = None


class Handshaker:
    """Turns requests into admitted connections.

    Args:
        manager: whose sessions.
        host: the Socket.IO server.
        origins: see `Origins`.
        anonymous: ``"create"`` gives a visitor without a session a
            provisional one; ``"refuse"`` refuses the visitor.
        login_required: refuse sessions that nobody is logged in to.
    """

    def __init__(
        self,
        manager: SessionManager,
        host: Host,
        origins: Origins,
        *,
        anonymous: Literal["create", "refuse"],
        login_required: bool,
    ) -> None:
        if anonymous not in ("create", "refuse"):
            raise ConfigurationError(f'anonymous={anonymous!r}: use "create" or "refuse"')
        self.manager = manager
        self.origins = origins
        self._host = host
        self._anonymous = anonymous
        self._login_required = login_required

    async def open(self, handler: WebSocketHandler) -> SocketConnection:
        """Admit a new connection, or raise `Refused`.

        A credential for a session that was just created is put into the
        handler's response head.
        """
        manager = self.manager
        presented = manager.credentials.read(handler.request)
        carrier = _Carrier()
        try:
            if len(presented) > 1:
                session = await manager.resolve(presented, None)
                presented = [c for c in presented if c.id == session._id]
                if session._state is State.ENDED:
                    raise Refused(401, "the session was replaced; try again")
            ids: frozenset[str | None] = frozenset(c.id for c in presented) or _NONE
            connection: SocketConnection | None = None
            if presented:
                connection, session = await self._join(presented[0], ids, carrier)
            else:
                session = await manager.resolve([], carrier)
            if self._login_required and session.user_id is None:
                if connection is not None:
                    self._host.forget(connection)
                raise Refused(401, "login required")
            if connection is None:
                connection = await self._begin(session, ids)
        except SessionEnded as error:
            raise Refused(401, str(error)) from error
        except StoreError as error:
            manager.report("store_failed", detail=f"handshake refused: {error}")
            raise Refused(503, "the session store cannot be asked") from error
        if carrier.credential is not None:
            manager.credentials.write(handler, carrier.credential)
            handler.set_header("Cache-Control", "no-store")
        connection.session = session
        watch(manager).expect(connection.id, connection.deadline)
        return connection

    async def _join(
        self, credential: Credential, ids: frozenset[str | None], carrier: _Carrier
    ) -> tuple[SocketConnection | None, Session]:
        """Register, then load, then admit; None with a session that is new."""
        connection = SocketConnection(self._host, credential.id, ids)
        self.manager.connections.add(connection)
        try:
            session = await self.manager.resolve([credential], carrier)
            if session._state is State.ENDED:
                raise SessionEnded(session._reason)
            record = session._record
            if record is not None:
                connection.admit(record)
                if record.provisional:  # its cookie came back
                    await self.manager.touch(session)
                    connection.verified(record.ttl)
        except BaseException:
            self._host.forget(connection)
            raise
        if record is None:
            self._host.forget(connection)
            return None, session
        return connection, session

    async def _begin(self, session: Session, ids: frozenset[str | None]) -> SocketConnection:
        """Give a visitor without a session a provisional one."""
        if self._anonymous == "refuse":
            raise Refused(401, "there is no session")
        await self.manager.create(session, {}, provisional=True)
        record = session._record
        assert record is not None
        # Registered after it is stored: nobody else can know the id yet,
        # and a reload in between must not find it missing.
        connection = SocketConnection(self._host, session.id, ids | {session.id})
        self.manager.connections.add(connection)
        connection.admit(record)
        return connection


class Table(Host, Protocol):
    """What the handler needs of the Socket.IO server beyond a `Host`."""

    handshaker: Handshaker

    def connection_of(self, eio_sid: str) -> SocketConnection | None:
        """Return the connection of an Engine.IO id."""


def make_handler(base: type[Any], server: Table) -> type[WebSocketHandler]:
    """Return python-socketio's handler class with the session in front."""

    class SessionSocketHandler(base):  # type: ignore[misc]  # python-socketio is untyped
        """The `/socket.io/` endpoint."""

        session_connection: SocketConnection | None = None

        async def prepare(self) -> None:
            following = super().prepare()
            if following is not None:
                await following
            if self._finished:
                return
            try:
                await self._decide()
            except Refused as refusal:
                self.set_status(refusal.status)
                if refusal.status == 503:
                    self.set_header("Retry-After", "1")
                self.set_header("Content-Type", "application/json")
                self.finish(json.dumps({"message": str(refusal)}))

        async def _decide(self) -> None:
            handshaker = server.handshaker
            handshaker.manager.bind(self.settings)
            if not handshaker.origins.allows(self.request):
                raise Refused(403, "this origin is not accepted")
            if "j" in self.request.query_arguments:
                raise Refused(400, "JSONP is not supported")
            if self.request.method == "OPTIONS":
                return
            upgrade = self.request.headers.get("Upgrade", "").lower() == "websocket"
            if upgrade != (self.get_query_argument("transport", "polling") == "websocket"):
                raise Refused(400, "the transport does not match the request")
            eio_sid = self.get_query_argument("sid", None)
            if eio_sid is not None:
                self._check_later(eio_sid, upgrade)
            elif self.request.method != "GET" or self.get_query_argument("EIO", "") != "4":
                raise Refused(400, "not an Engine.IO 4 handshake")
            else:
                self.session_connection = await handshaker.open(self)

        def _check_later(self, eio_sid: str, upgrade: bool) -> None:
            """A request of an open connection shows the session it began with."""
            connection = server.connection_of(eio_sid)
            if connection is None:
                raise Refused(400, "unknown sid")
            if connection.phase is Phase.ENDED:
                if upgrade:
                    raise Refused(400, "the connection is closing")
                return  # after a logout there is no cookie left to show
            presented = server.handshaker.manager.credentials.read(self.request)
            if not connection.may_present(presented):
                raise Refused(400, "this connection belongs to another session")
            if upgrade:
                self.session_connection = connection

        def on_finish(self) -> None:
            super().on_finish()
            connection = self.session_connection
            if connection is not None and not connection.eio_sid and self.get_status() != 101:
                server.forget(connection)

        async def open(self, *args: Any, **kwargs: Any) -> None:
            self.set_nodelay(True)  # Nagle held a close notice back for 40 ms
            connection = self.session_connection
            if connection is None or connection.phase is Phase.ENDED:
                self.close()
                return
            connection.handlers.append(self)
            server.spawn(self._run())

        async def _run(self) -> None:
            try:
                await server.eio.handle_request(self)
            finally:
                self.close()  # also after a refusal, which Engine.IO cannot send any more

        def on_close(self) -> None:
            super().on_close()
            connection = self.session_connection
            if connection is not None:
                if self in connection.handlers:
                    connection.handlers.remove(self)
                if not connection.eio_sid:
                    server.forget(connection)

        # The origin was judged in prepare(), by the one rule there is.

        def check_origin(self, origin: str) -> bool:
            return server.handshaker.origins.allows(self.request)

        def check_trusted_origin(self, origin: str) -> bool:
            return server.handshaker.origins.allows(self.request)

        def check_xsrf_cookie(self) -> None:
            """Polling POSTs carry no token; the origin rule protects them."""

        @property
        def max_message_size(self) -> int:
            return int(server.eio.max_http_buffer_size)

    return SessionSocketHandler
