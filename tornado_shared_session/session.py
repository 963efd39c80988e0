"""The session in the user's hands.

This file does no I/O: what needs the store is delegated to a `Backend`,
which the manager implements. It knows records and serializers, and
nothing of Tornado, Socket.IO or Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, overload

from .errors import SessionError
from .limits import SizeLimits
from .record import Credential, Record
from .rooms import session_room, user_room
from .serializers import Serializer
from .stored import State, StoredMapping

T = TypeVar("T")


class Carrier(Protocol):
    """The way back to the client: a response whose head is not yet sent."""

    def can_issue(self) -> bool:
        """Whether a new credential can still reach the client."""

    def issued(self, credential: Credential, user_id: str | None) -> None:
        """Take the new credential; it leaves with the response."""

    def revoked(self) -> None:
        """The session was destroyed: tell the client to drop its credential."""


class Backend(Protocol):
    """What a session asks of its manager."""

    serializer: Serializer
    limits: SizeLimits

    def report(self, kind: str, id: str | None = None, detail: str = "") -> None: ...
    async def save(self, session: Session, *, touch: bool = True) -> None: ...
    async def reload(self, session: Session) -> None: ...
    async def touch(self, session: Session) -> None: ...
    async def rotate(self, session: Session, user_id: str | None, login: bool) -> None: ...
    async def destroy_session(self, session: Session) -> None: ...
    async def transact(self, session: Session, fn: Callable[[Session], Any]) -> Any: ...


class Session(StoredMapping):
    """One user's data, shared by HTTP handlers and sockets.

    Use it as a dict: keys are strings of 1 to 255 characters, values
    whatever the serializer takes. What changed, in place or by
    assignment, is found out at `save()`; a mere read writes nothing. Deleting or assigning affects
    the named key only, so two handlers that write different keys never
    undo each other.
    """

    __slots__ = ("_backend", "_carrier")

    def __init__(
        self,
        backend: Backend,
        record: Record | None = None,
        *,
        carrier: Carrier | None = None,
        ended: str | None = None,
    ) -> None:
        super().__init__(backend.serializer, backend.limits, record, ended)
        self._backend = backend
        self._carrier = carrier

    # -- who it is -----------------------------------------------------

    @property
    def id(self) -> str:
        """The public id: stable for the session's life, safe in logs."""
        return self._get_id()

    @property
    def is_new(self) -> bool:
        """Whether nothing of it is stored yet."""
        return self._state is State.NEW

    @property
    def user_id(self) -> str | None:
        """Who is logged in, or None."""
        if self._state is State.ENDED or self._record is None:
            return None
        return self._record.meta.user_id

    @property
    def created_at(self) -> datetime | None:
        """When it was first stored (aware, UTC), or None."""
        if self._record is None:
            return None
        return datetime.fromtimestamp(self._record.meta.created_at, UTC)

    @property
    def expires_at(self) -> datetime | None:
        """When it ends if nothing more happens (aware, UTC), or None.

        Counted from the last load or save: another process may have
        moved it forward since.
        """
        if self._state is not State.LIVE or self._record is None:
            return None
        return datetime.fromtimestamp(self._loaded_at + self._record.ttl, UTC)

    @property
    def room(self) -> str:
        """The Socket.IO room of every connection of this session.

        It names the generation, so what is sent right after a login
        does not reach sockets that came in before it.

        Raises:
            SessionError: nothing is stored yet. (None as a room would
                mean everybody.)
            SessionEnded: it was reached by a replaced credential.
        """
        if self._record is None:
            self._check_writable()
            raise SessionError("the session is not stored yet, so it has no room; save() it first")
        return session_room(self.id, self._record.generation)

    @property
    def user_room(self) -> str:
        """The Socket.IO room of every connection of this user.

        Raises:
            SessionError: nobody is logged in.
        """
        if self.user_id is None:
            raise SessionError("nobody is logged in, so there is no user room")
        return user_room(self.user_id)

    # -- what needs the store -------------------------------------------

    async def save(self) -> None:
        """Store what changed; nothing happens if nothing did.

        HTTP handlers need not call it: the mixin saves before the
        response leaves.

        Raises:
            SessionEnded: it was destroyed or expired, or its credential
                replaced, meanwhile.
            SerializationError: a value cannot be stored, or is too large,
                or the session with it; it names the key, and what was
                stored before is intact.
            StoreError: the store failed; the change may or may not have
                been applied.
        """
        await self._backend.save(self, touch=False)  # whoever counts activity moves the deadline

    async def reload(self) -> None:
        """Read it again. Changes that were not saved are dropped.

        Raises:
            SessionEnded: it is no more.
            StoreError: the store failed; the object is as before.
        """
        await self._backend.reload(self)

    async def touch(self) -> None:
        """Move the idle deadline forward, without storing changes.

        Raises:
            SessionEnded, StoreError: as in `save()`.
        """
        await self._backend.touch(self)

    async def regenerate(self) -> None:
        """Give the session a new secret, keeping its id and its data.

        Call it whenever privileges change, so that a credential planted
        before the change is worthless after it (OWASP Session Management
        Cheat Sheet, "Renew the Session ID After Any Privilege Level
        Change"). The new cookie leaves with this response; connections
        that came in with the old one are closed and reconnect. Unsaved
        changes are stored with it.

        Raises:
            SessionError: nothing can carry the new credential to the
                client: a script, a response whose head has left, or a
                socket event of a client that has a cookie.
            SessionEnded: the session was destroyed or expired meanwhile.
            StoreError: the store failed; the old credential may still
                be valid.
        """
        await self._backend.rotate(self, None, False)

    async def login(self, user_id: str) -> None:
        """Log a user in: `regenerate()`, and `user_id` is stored.

        If somebody else was logged in, the data is cleared first.

        Raises:
            TypeError, ValueError: `user_id` is not a string of 1 to 255
                characters that UTF-8 can encode.
            SessionError, SessionEnded, StoreError: as in `regenerate()`.
        """
        if not isinstance(user_id, str):
            raise TypeError(f"user_id must be a str, not {type(user_id).__qualname__}")
        if not user_id or len(user_id) > 255:
            raise ValueError("user_id must have 1 to 255 characters")
        user_id.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
        await self._backend.rotate(self, user_id, True)

    async def destroy(self) -> None:
        """End the session, everywhere: log out.

        The record is deleted, the cookie cleared, and every connection
        of it is closed, in every process. A session that was never
        stored is only forgotten.

        Raises:
            SessionEnded: reached by a replaced credential, or by a request
                that names several sessions.
            StoreError: the store failed; the session may still live.
        """
        await self._backend.destroy_session(self)

    @overload
    async def transact(self, fn: Callable[[Session], Coroutine[Any, Any, T]]) -> T: ...
    @overload
    async def transact(self, fn: Callable[[Session], T]) -> T: ...
    async def transact(self, fn: Callable[[Session], Any]) -> Any:
        """Run `fn(session)` so that no update is lost, and commit.

        `fn` may be a function or a coroutine function. It is given a
        fresh copy of the session and may run several times, so it
        should do nothing but compute and assign. Unsaved changes of
        this object travel along. When this returns, the result is
        stored and this object shows it; values read from it before are
        no longer part of it.

        Raises:
            SessionConflict: others kept changing the session.
            SessionError: called in `fn`, on the same session.
            SessionEnded, SerializationError, StoreError: as in `save()`.
        """
        return await self._backend.transact(self, fn)

    def _report_unreadable(self, key: str) -> None:
        self._backend.report("corrupt_value", self._id, key)
