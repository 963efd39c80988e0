"""Who may open a socket: decided at its handshake, before the upgrade.

One rule for every kind of connection. What a client may say once it is
in is for others to judge: `socketio_gate.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from tornado.web import RequestHandler

from .connections import Connection
from .errors import ConfigurationError, SessionEnded, SessionError, StoreError
from .manager import SessionManager
from .origins import Origins
from .record import Credential
from .session import Session
from .stored import State
from .watcher import watch

C = TypeVar("C", bound=Connection)


class Refused(Exception):
    """A request that gets no further. Internal.

    Args:
        last: the client should not use this TCP connection again.
    """

    def __init__(self, status: int, message: str, *, last: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self._last = last

    def begin(self, handler: RequestHandler) -> None:
        """Put into a response's head what goes for every refusal."""
        handler.set_status(self.status)
        if self.status == 503:
            handler.set_header("Retry-After", "1")
        if self._last:
            handler.set_header("Connection", "close")


def _leaving() -> Refused:
    return Refused(503, "the server is shutting down", last=True)


class NewCredential:
    """Keeps a credential that is issued, for who then tells the client.

    Attributes:
        credential: None as long as there is none, or once it is worth nothing.
    """

    credential: Credential | None = None

    def can_issue(self) -> bool:
        return True

    def issued(self, credential: Credential, user_id: str | None) -> None:
        self.credential = credential

    def revoked(self) -> None:
        self.credential = None


class Handshaker(Generic[C]):
    """Turns requests into admitted connections.

    Args:
        manager: whose sessions.
        origins: see `Origins`.
        make: makes a connection of a session id and the ids that the
            handshake presented.
        forget: drops what is kept of a connection that got no further.
        anonymous: ``"create"`` gives a visitor without a session a
            provisional one; ``"refuse"`` refuses the visitor.
        login_required: refuse sessions that nobody is logged in to.
        admit_errors: admit without a session whom it could not be loaded for.
    """

    def __init__(
        self,
        manager: SessionManager,
        origins: Origins,
        make: Callable[[str, frozenset[str]], C],
        forget: Callable[[C], None],
        *,
        anonymous: Literal["create", "refuse"],
        login_required: bool,
        admit_errors: bool = False,
    ) -> None:
        if anonymous not in ("create", "refuse"):
            raise ConfigurationError(f'anonymous={anonymous!r}: use "create" or "refuse"')
        if type(login_required) is not bool:
            raise ConfigurationError(f"login_required={login_required!r} must be a bool")
        self.manager = manager
        self.origins = origins
        self._make = make
        self._forget = forget
        self._anonymous = anonymous
        self._login_required = login_required
        self._admit_errors = admit_errors

    def check_open(self) -> None:
        """Raise `Refused` if no new connection gets in, for the process is about to end."""
        if self.manager.draining is not None:
            raise _leaving()

    async def open(self, handler: RequestHandler) -> C:
        """Admit a new connection, or raise `Refused`.

        A credential for a session that was just created is put into the
        handler's response head.
        """
        manager = self.manager
        self.check_open()
        presented = manager.credentials.read(handler.request)
        ids = frozenset(credential.id for credential in presented)
        carrier = NewCredential()
        connection: C | None = None
        try:
            if len(ids) == 1:
                await manager.ready()
                (id,) = ids
                connection, session = await self._join(id, presented, carrier)
            else:
                # Of several cookies, one that names a live session decides.
                session = await manager.resolve(presented, carrier)
                if session._state is State.ENDED:
                    raise SessionEnded(session._reason)
                if session.id in ids:
                    connection, session = await self._join(session.id, presented, carrier)
            if self._login_required and session.user_id is None:
                if connection is not None:
                    self._forget(connection)
                raise Refused(401, "login required")
            if connection is None:
                connection = await self._begin(session, ids)
        except SessionEnded as error:
            if error.reason == "shutdown":
                raise _leaving() from error  # it ended while it loaded
            if self._admit_errors:
                return self._admit_without(handler, ids, error)
            raise Refused(401, str(error)) from error
        except StoreError as error:
            if self._admit_errors:
                manager.report("store_failed", detail=f"handshake without a session: {error}")
                return self._admit_without(handler, ids, error)
            manager.report("store_failed", detail=f"handshake refused: {error}")
            raise Refused(503, "the session store cannot be asked") from error
        if carrier.credential is not None:
            try:
                manager.credentials.write(handler, carrier.credential)
            except BaseException:
                self._forget(connection)
                raise
            handler.set_header("Cache-Control", "no-store")
        connection.session = session
        connection.address = handler.request.remote_ip or ""
        watch(manager).expect(connection.id, connection.deadline)
        return connection

    def _admit_without(
        self, handler: RequestHandler, ids: frozenset[str], error: SessionError
    ) -> C:
        """Whatever follows from the error is for the application to decide."""
        connection = self._make("", ids)
        connection.address = handler.request.remote_ip or ""
        self.manager.connections.add(connection)
        connection.admit_without(error)
        return connection

    async def _join(
        self, id: str, presented: list[Credential], carrier: NewCredential
    ) -> tuple[C | None, Session]:
        """Register, then load, then admit; None with a session that is new."""
        ids = frozenset(credential.id for credential in presented)
        connection = self._make(id, ids)
        self.manager.connections.add(connection)
        try:
            session = await self.manager.resolve(presented, carrier)
            if session._state is State.ENDED:
                raise SessionEnded(session._reason)
            record = session._record
            if record is not None and session.id != id:
                raise SessionEnded("expired")  # another of several cookies lives now
            if record is not None:
                connection.admit(record)
                if record.provisional:  # its cookie came back
                    await self.manager.touch(session)
                    connection.verified(record.ttl, record.provisional)
        except BaseException:
            self._forget(connection)
            raise
        if record is None:
            self._forget(connection)
            return None, session
        return connection, session

    async def _begin(self, session: Session, ids: frozenset[str]) -> C:
        """Give a visitor without a session a provisional one."""
        if self._anonymous == "refuse":
            raise Refused(401, "there is no session")
        await self.manager.create(session, {}, provisional=True)
        record = session._record
        assert record is not None
        # Registered after it is stored: nobody else can know the id yet,
        # and a reload in between must not find it missing.
        connection = self._make(session.id, ids)
        self.manager.connections.add(connection)
        connection.admit(record)
        return connection
