"""The use cases: load, save, rotate, destroy. Policy meets store here.

It knows no HTTP and no Socket.IO: how a credential reaches a client is
the carrier's business, what an ended session does to sockets the
watcher's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from logging import Logger
from typing import Any

from . import rotation, saving, transactions
from .credentials import MOST, Credentials, SignedCookie
from .errors import SessionEnded, StoreError
from .events import Hook, Reporter
from .limits import SESSION, SizeLimits
from .origins import Origins
from .parts import check_parts
from .policy import Duration, make_policy
from .record import Credential, Delta, Meta, Record, Verdict
from .serializers import MsgpackSerializer, Serializer
from .session import Carrier, Session
from .signing import Secret
from .stored import State
from .stores.base import Store
from .stores.memory import MemoryStore
from .users import Begun, UserSessions


class SessionManager(UserSessions):
    """One set of sessions, shared by everything that is given this object.

    Args:
        store: where sessions live; default: this process's memory.
        idle_timeout: a session without activity ends after this long.
        absolute_timeout: no session lives longer.
        touch_interval: activity moves the deadline at most this often;
            default: a tenth of `idle_timeout`, at most a minute.
        reload_interval: how often sessions with open connections are
            looked up.
        max_sessions_per_user: the oldest ends with reason ``replaced``.
        max_session_size, max_value_size: bytes, encoded, of a session and of
            one value; a save that would exceed them raises SerializationError.
        sockets_keep_alive: an open socket counts as activity.
        credentials: how clients carry their credential; default
            `SignedCookie()`.
        serializer: values to bytes; default `MsgpackSerializer()`.
        secret: signs credentials; default: the Application's
            ``cookie_secret``.
        rotation_grace, max_unverified: see `policy.Policy`.
        cors_allowed_origins: exact origins of other sites' pages that may
            use the sessions; see `SessionServer`, `CORSMixin`.
        on_event: called with each `SessionEvent`.
        logger: what logs them; default: ``tornado_shared_session``.

    Durations are seconds or `timedelta`. Raises ConfigurationError,
    which names the setting and the remedy.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        idle_timeout: Duration = 1800,
        absolute_timeout: Duration = 43200,
        touch_interval: Duration | None = None,
        reload_interval: Duration = 15,
        max_sessions_per_user: int | None = None,
        max_session_size: int = SESSION,
        max_value_size: int | None = None,
        sockets_keep_alive: bool = False,
        credentials: Credentials | None = None,
        serializer: Serializer | None = None,
        secret: Secret | None = None,
        rotation_grace: Duration = 60,
        max_unverified: Duration = 30,
        cors_allowed_origins: str | Sequence[str] | None = None,
        on_event: Hook | None = None,
        logger: Logger | None = None,
    ) -> None:
        check_parts(store, credentials, serializer)
        super().__init__(
            MemoryStore() if store is None else store,
            make_policy(
                idle_timeout=idle_timeout,
                absolute_timeout=absolute_timeout,
                touch_interval=touch_interval,
                reload_interval=reload_interval,
                rotation_grace=rotation_grace,
                max_unverified=max_unverified,
                max_sessions_per_user=max_sessions_per_user,
                sockets_keep_alive=sockets_keep_alive,
            ),
            SignedCookie() if credentials is None else credentials,
            Reporter(on_event, logger),
            embedded=store is None,
            secret=secret,
        )
        self.serializer: Serializer = MsgpackSerializer() if serializer is None else serializer
        self.limits = SizeLimits(max_session_size, max_value_size)
        self.origins = Origins(cors_allowed_origins)
        self._queues = transactions.Queues()

    def __repr__(self) -> str:
        return f"<SessionManager {self.store!r} {len(self.connections)} connections>"

    # -- from a credential to a session ------------------------------------

    async def load(self, credential: Credential) -> Session | None:
        """Return the live session that a credential names, or None; or raise StoreError."""
        session = await self.resolve([credential], None)
        return None if session._state is not State.LIVE else session

    async def resolve(
        self, presented: list[Credential], carrier: Carrier | None, begun: Begun | None = None
    ) -> Session:
        """Return the session for what a client presents.

        Nothing, or nothing that the store knows: a new session. A
        superseded credential: one that has ended, so that it neither
        authenticates nor is replaced by a new one. Several live ones, or
        more than are looked up: likewise, for nobody knows who it is.

        Raises:
            StoreError: it could not be found out.
        """
        if self._home is not asyncio.get_running_loop():
            await self._ensure_started()
        if len(presented) > MOST:
            self.report("ambiguous", None, f"more than {MOST} credentials")
            return Session(self, ended="ambiguous")
        live: list[tuple[Credential, Session]] = []
        superseded = False
        for credential in presented:
            record = await self.fetch(credential.id, begun)  # there is one, if that was begun
            if record is None:
                continue
            verdict = self.policy.judge(record, credential)
            if verdict is Verdict.LIVE:
                live.append((credential, Session(self, record, carrier=carrier)))
            elif verdict is Verdict.SUPERSEDED:
                superseded = True
                self.report("superseded", credential.id)
        if len(live) == 1:
            credential, session = live[0]
            if credential.renew and carrier is not None and carrier.can_issue():
                carrier.issued(credential, session.user_id)
            return session
        if live:
            self.report("ambiguous", live[0][0].id, f"{len(live)} live sessions")
            return Session(self, ended="ambiguous")
        if superseded:
            return Session(self, ended="rotated")
        return Session(self, carrier=carrier)

    # -- what sessions ask for ----------------------------------------------

    def unsettled(self, session: Session, touch: bool = True) -> bool:
        """Whether `save()` has anything to do: changes, or a deadline to move."""
        if session._state is State.ENDED:
            return session._is_busy()
        return session._is_modified() or session._is_busy() or (touch and self._touch_due(session))

    def _touch_due(self, session: Session) -> bool:
        record = session._record
        if record is None:
            return False
        if record.provisional:
            return session._carrier is not None  # the client, which came back, keeps cookies
        return self.policy.touch_due(record.ttl, record.meta.created_at)

    async def save(self, session: Session, *, touch: bool = True, prove: bool = False) -> None:
        """Store what changed and a due deadline; with `prove`, ask the store anyway."""
        async with session._alone():
            if session._state is State.ENDED:
                if session.modified:
                    session._check_writable()
                return
            changes, deleted = session._take_changes()
            try:
                if session._state is State.NEW:
                    if changes:
                        await self.create(session, changes)
                    return
                due = touch and self._touch_due(session)
                if changes or deleted or due or prove:
                    ttl = self.policy.idle_timeout if due else 0
                    await self.commit(session, changes, deleted, ttl)
            except BaseException:
                session._put_back(changes, deleted)
                raise

    async def create(
        self,
        session: Session,
        values: Mapping[bytes, bytes],
        *,
        user_id: str | None = None,
        provisional: bool = False,
    ) -> None:
        """Store a new session and hand its credential to the carrier."""
        carrier = rotation.issuing(session, "storing a new session")
        credential = Credential.generate(session.id)
        meta = Meta(session.id, credential.digest, time.time(), user_id)
        meta = rotation.seen_from(carrier, meta)
        ttl = self.policy.provisional_timeout if provisional else self.policy.idle_timeout
        record = Record(meta, 1, 1, ttl, dict(values), provisional)
        if not await self.store.create(record, self.policy.absolute_timeout):
            raise StoreError("the new session's id is taken, by an attempt whose answer was lost")
        session._become(record)
        carrier.issued(credential, user_id)
        self.report("created", session.id)

    async def commit(
        self,
        session: Session,
        changes: Mapping[bytes, bytes],
        deleted: set[str],
        ttl: float,
        *,
        version: int | None = None,
        clear: bool = False,
        meta: Meta | None = None,
    ) -> None:
        """Commit changes of a stored session and let the object know."""
        record = session._record
        assert record is not None
        if record.provisional and (changes or deleted):
            ttl = self.policy.idle_timeout  # what is written in makes it a normal one
        gone = tuple([key.encode() for key in deleted]) if deleted else ()
        delta = Delta(session.id, record.generation, ttl, version, changes, gone, clear, meta)
        try:
            committed = await self.store.commit(delta)
        except BaseException as error:
            saving.failed(self.connections, session, delta, error)
            raise
        saving.stored(self.connections, session, delta, deleted, committed)

    async def reload(self, session: Session) -> None:
        """Read it again; what was not saved is dropped."""
        async with session._alone():
            session._check_writable()
            if session._record is None:
                session._show({})
                return
            record = await self.fetch(session.id)
            if record is None or record.generation != session._record.generation:
                session._end("expired" if record is None else "rotated")
                session._check_writable()
            assert record is not None
            session._adopt(record)

    async def touch(self, session: Session) -> None:
        """Move the deadline forward, if there is anything stored to move."""
        async with session._alone():
            session._check_writable()
            if session._record is not None:
                await self.commit(session, {}, set(), self.policy.idle_timeout)

    async def transact(self, session: Session, fn: Callable[[Session], Any]) -> Any:
        """See `Session.transact`."""
        return await transactions.transact(self, self._queues, session, fn)

    async def rotate(self, session: Session, user_id: str | None, login: bool) -> None:
        """See `Session.regenerate` and `Session.login`."""
        async with session._alone(), rotation.lock(session) or contextlib.nullcontext():
            await rotation.rotate(self, session, user_id, login)

    async def destroy_session(self, session: Session) -> None:
        """Log out. See `Session.destroy`."""
        async with session._alone():
            if session._state is State.ENDED:
                if session._reason in ("rotated", "ambiguous"):
                    session._check_writable()
                return
            record, carrier = session._record, session._carrier
            if record is None:
                session._show({})
                return
            try:
                deleted = await self.store.delete(session.id, generation=record.generation)
            except SessionEnded as error:
                session._end(error.reason)
                raise
            session._end("logged_out")
            if carrier is not None:
                carrier.revoked()
        user_id = None if deleted is None else deleted.user_id
        await self.ended([session.id], "logged_out", user_id)
