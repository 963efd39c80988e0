"""The live sockets of this process, by session.

It knows which connection relies on which session and in what state it
is; it knows nothing of transports. `Connection._close` is for those who
do: see `transport.py`.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import ClassVar

from .constants import Constant
from .errors import SessionEnded, SessionError
from .events import Reporter, logger
from .known import Known
from .record import Delta, Peek, Record
from .session import Carrier, Session
from .stores.base import Committed

#: After these a client is told not to come back; after the others
#: (expired, rotated, shutdown) its transport closes and it may try again.
FINAL = frozenset({"logged_out", "revoked", "replaced"})


class Phase(Constant):
    """A connection's life. It hears and speaks only while open."""

    LOADING: ClassVar[Phase]
    OPEN: ClassVar[Phase]
    ENDED: ClassVar[Phase]


class Connection(abc.ABC):
    """One live socket that relies on one session.

    Attributes:
        id: the session's id.
        generation: of the credential it came in with; 0 while loading.
        minimum: a generation that the store was seen to have, while loading.
        deadline: when the session ends as far as known (monotonic seconds).
        digest: of the credential it came in with, or was given.
        phase: see `Phase`.
        provisional: whether the record was, when it was last looked at.
        reason: why it ended, else "".
        seen_at: when the store was last asked (monotonic seconds).
        session: as last loaded; what is seen of it after its end.
        carrier: the way back to the client, where a connection is one.
        rotation: held while an event of its own replaces the credential
            it relies on; None where that cannot be.
        error: why it has no session, if it was admitted without one; its
            `id` is "" then.
        address: of the client, as far as it is known.
        running: how many handlers of what it sent are under way.
        leaving: it may begin nothing any more, but those go on: see `draining.py`.
    """

    __slots__ = (
        "address",
        "carrier",
        "deadline",
        "digest",
        "error",
        "generation",
        "id",
        "leaving",
        "minimum",
        "phase",
        "provisional",
        "reason",
        "rotation",
        "running",
        "seen_at",
        "session",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.address = ""
        self.generation = 0
        self.minimum = 0
        self.deadline = float("inf")
        self.digest = b""
        self.phase = Phase.LOADING
        self.provisional = False
        self.reason = ""
        self.seen_at = 0.0
        self.session: Session | None = None
        self.error: SessionError | None = None
        self.carrier: Carrier | None = None
        self.rotation: asyncio.Lock | None = None
        self.running = 0
        self.leaving = False

    def admit(self, record: Record) -> None:
        """The session was loaded: let the connection hear and speak.

        Raises:
            SessionEnded: it ended, or was rotated, while it loaded.
        """
        if self.phase is Phase.ENDED:
            raise SessionEnded(self.reason)
        if record.generation < self.minimum:
            raise SessionEnded("rotated")
        self.generation = record.generation
        self.digest = record.meta.digest
        self.phase = Phase.OPEN
        self.verified(record.ttl, record.provisional)

    def admit_without(self, error: SessionError) -> None:
        """Let the connection hear and speak though it has no session."""
        self.error = error
        self.phase = Phase.OPEN

    def verified(self, ttl: float, provisional: bool) -> None:
        """The store said how the session stands: `ttl` seconds to live."""
        now = self.seen_at = time.monotonic()
        self.deadline = now + ttl
        self.provisional = provisional

    def end(self, reason: str) -> None:
        """Close it and tell the client why; the second time does nothing."""
        if self.phase is Phase.ENDED:
            return
        self.phase = Phase.ENDED
        self.reason = reason
        self._close(reason, final=reason in FINAL)

    @property
    def live(self) -> bool:
        """Whether somebody is at the other end: neither on the way in nor on the way out."""
        return self.phase is Phase.OPEN

    def outlives(self, reason: str) -> bool:
        """Whether it goes on all the same: what ended is a credential that it replaced itself."""
        return False

    @abc.abstractmethod
    def _close(self, reason: str, *, final: bool) -> None:
        """Say farewell and close the transport, soon; must not block or raise."""


class Connections:
    """The registry. A connection enters it before its session is loaded,
    so that no revocation can slip between.

    Attributes:
        known: by session id, what those who do not ask the store go by.
        running: how many handlers of what clients sent are under way, also of
            those that have left meanwhile.
    """

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self.known: dict[str, Known] = {}
        self.running = 0
        # Most sessions have one, for which a set would be ten times as large.
        self._by_id: dict[str, Connection | set[Connection]] = {}

    def __len__(self) -> int:
        return sum(len(some) if type(some) is set else 1 for some in self._by_id.values())

    def __iter__(self) -> Iterator[Connection]:
        return (connection for id in list(self._by_id) for connection in self.of(id))

    def __contains__(self, id: object) -> bool:
        return id in self._by_id

    def ids(self) -> list[str]:
        """Return the ids of all sessions with a connection here."""
        ids = list(self._by_id)
        if "" in self._by_id:
            ids.remove("")
        return ids

    def of(self, id: str) -> tuple[Connection, ...]:
        """Return the connections of one session."""
        some = self._by_id.get(id)
        if some is None:
            return ()
        return tuple(some) if isinstance(some, set) else (some,)

    def verified(
        self, ids: Iterable[str], peeks: Iterable[Peek | None], now: float
    ) -> list[tuple[Connection, int]]:
        """Enter what the store said at that time (monotonic seconds) of sessions.

        Returns:
            the connections that this is not all for, with the generation
            of their session: they load, or came in with a credential that
            it has no more.
        """
        others, get, is_open = [], self._by_id.get, Phase.OPEN
        for id, peek in zip(ids, peeks, strict=True):
            some = get(id)
            if some is None or peek is None:
                continue
            generation, ttl, provisional, _ = peek
            for connection in some if isinstance(some, set) else (some,):
                if connection.phase is is_open and connection.generation >= generation:
                    # Connection.verified(), without a call for each of thousands.
                    connection.seen_at, connection.deadline = now, now + ttl
                    connection.provisional = provisional
                else:
                    others.append((connection, generation))
        return others

    def doubt(self, ids: Iterable[str], deadline: float) -> None:
        """Rely on nothing known of sessions that are gone, though nobody has said why yet."""
        for id in ids:
            if id in self.known:
                self.known[id].forget()
            for connection in self.of(id):
                connection.deadline = deadline

    def add(self, connection: Connection) -> None:
        """Enter a connection; twice is harmless."""
        some = self._by_id.setdefault(connection.id, connection)
        if isinstance(some, set):
            some.add(connection)
        elif some is not connection:
            self._by_id[connection.id] = {some, connection}

    def discard(self, connection: Connection) -> None:
        """Take a connection out; twice is harmless."""
        some = self._by_id.get(connection.id)
        if isinstance(some, set):
            some.discard(connection)
        if some is connection or some == set():
            del self._by_id[connection.id]
            self.known.pop(connection.id, None)

    def gone(self, connection: Connection) -> None:
        """Its client has left, or was answered: take it out; twice is harmless."""
        if connection.phase is not Phase.ENDED:
            connection.phase, connection.reason = Phase.ENDED, "gone"
        self.discard(connection)

    def begin(self, connection: Connection) -> None:
        """A handler of what it sent begins."""
        connection.running += 1
        self.running += 1

    def finish(self, connection: Connection) -> None:
        """A handler of what it sent is through."""
        connection.running -= 1
        self.running -= 1

    def committed(self, delta: Delta, result: Committed | None) -> None:
        """This process has changed a record; None: it failed, and nobody knows what it did."""
        known = self.known.get(delta.id)
        if known is not None and result is not None:
            known.committed(delta, result.version, result.ttl)
        elif known is not None:
            known.forget()

    def end(self, id: str, reason: str) -> None:
        """End every connection of a session."""
        for connection in self.of(id):
            self.end_one(connection, reason)

    def drop(self, connection: Connection, reason: str, why: str) -> None:
        """End a connection whose client kept to no limit: one event, and its end.

        Args:
            reason: one of `limits.BROKEN_LIMITS`.
            why: a figure or a word; nothing that the client wrote.
        """
        if connection.phase is not Phase.ENDED:
            # Not the session: who keeps no cookies has a new one each time.
            user_id = None if connection.session is None else connection.session.user_id
            source = f"address {connection.address}" if user_id is None else f"user {user_id}"
            self._report("client_dropped", connection.id or None, f"{reason}: {why}", source=source)
            self.end_one(connection, reason)

    def end_one(self, connection: Connection, reason: str) -> None:
        """End one connection; its failure to close is not the others' affair."""
        if connection.phase is not Phase.ENDED and not connection.outlives(reason):
            self._report("connection_closed", connection.id, reason)
            try:
                connection.end(reason)
            except Exception:  # a handler of the application may be what failed
                logger.exception("a connection of session %s could not be closed", connection.id)
