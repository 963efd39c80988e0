"""The contract of a store, in words and types.

A store keeps records and applies deltas; it also carries small messages
between processes that share it. It decides about time: how long a
record has left is what the store says, so clocks of different machines
do not matter.

To write one, subclass `Store` and run the contract suite in
`tornado_shared_session.testing.store_contract` against it.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import StoreError
from ..record import Delta, Peek, Record

#: Called with each message that was published; must not block.
OnMessage = Callable[[bytes], None]
#: Called whenever messages may have been missed: after each (re)connect.
OnGap = Callable[[], None]


class ForeignRecord(StoreError):
    """The store answered with another record than the one asked for."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit left behind.

    Attributes:
        version: the record's version now.
        ttl: seconds left to live now, or None: as before.
    """

    version: int
    ttl: float | None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete removed.

    Attributes:
        user_id: who was logged in, or None.
    """

    user_id: str | None


class Store(abc.ABC):
    """Keeps records for all processes that use the same store.

    Every method may raise `StoreError` ("could not be asked"), within a
    bounded time, and then nothing is known: a write may or may not have
    been applied. Writes are never repeated by the store itself unless
    it knows that they were not applied. Cancelling a caller never hands
    its answer to somebody else.
    """

    @abc.abstractmethod
    async def load(self, id: str) -> Record | None:
        """Return the record of an id; None if there is none.

        A record whose bookkeeping cannot be read raises `CorruptRecord`,
        one of a newer release `NewerFormat`, one that names another id
        `ForeignRecord`. Loading never extends life. The record is the
        caller's own copy.
        """

    @abc.abstractmethod
    async def create(self, record: Record, absolute: float) -> bool:
        """Store a new record; False if the id is taken, and nothing changes.

        The record lives `record.ttl` seconds, and never more than
        `absolute` seconds from now, whatever is committed later.
        """

    @abc.abstractmethod
    async def commit(self, delta: Delta) -> Committed:
        """Apply a delta, whole or not at all.

        It never creates a record. The time to live moves forward to
        `delta.ttl`, never back, and never past the absolute deadline;
        with a `delta.ttl` of 0 it stays as it is.
        The version goes up by one if values or bookkeeping change.

        Raises:
            SessionEnded("expired"): there is no such record.
            SessionEnded("rotated"): its generation is another one.
            SessionConflict: `delta.version` is given and differs.
        """

    @abc.abstractmethod
    async def delete(
        self, id: str, *, generation: int | None = None, user_id: str | None = None
    ) -> Deleted | None:
        """Remove a record; None if there was none to remove.

        With `user_id`, only if it is that user's; with `generation`,
        only if it is of that generation, else SessionEnded("rotated").
        """

    @abc.abstractmethod
    async def peek(self, ids: Sequence[str]) -> list[Peek | None]:
        """Say for each id what is left of it, without extending its life.

        The answers come in the order of `ids`; None where there is no
        record. Many ids take few round trips.
        """

    # The index of one user's sessions. An id may stand in it without a
    # record (it expired, or a crash came between the two writes); never
    # the other way round.

    @abc.abstractmethod
    async def index_add(self, user_id: str, id: str, lifetime: float) -> None:
        """Enter an id as the user's newest, also if it is there already.

        The newest whatever its lifetime, that of the others, and the
        clock say; of those that are entered at the same time, either.
        It stays for `lifetime` seconds at least, no shorter than it was
        to stay before, and until the absolute deadline of its record if
        there is one already, which may have been made under a longer
        timeout. Longer does no harm: when its time is over it may be
        left out.
        """

    @abc.abstractmethod
    async def index_remove(self, user_id: str, ids: Sequence[str]) -> None:
        """Take ids out of the index; unknown ones do not matter."""

    @abc.abstractmethod
    async def index_list(self, user_id: str) -> list[str]:
        """Return the user's ids, oldest first."""

    # Messages between processes. A hint, never the truth: they may get
    # lost, and anybody who can reach the store can send them.

    @abc.abstractmethod
    async def publish(self, message: bytes) -> None:
        """Send a message to every listener of this store, here and elsewhere."""

    @abc.abstractmethod
    async def listen(self, on_message: OnMessage, on_gap: OnGap) -> None:
        """Deliver messages until cancelled, reconnecting by itself."""

    def begin(
        self, id: str, then: Callable[[Record | None], None]
    ) -> asyncio.Future[Record | None] | None:
        """Begin to load, for who awaits the answer a moment later, or never.

        The future is as `load()`, and does not complain if nobody awaits
        it. So a page's session is on its way while the framework gets to
        `prepare()`. None, unless a store overrides this: it is loaded then.

        Args:
            then: called with what the future is to have, just before it
                has it: for all that come together one after the other,
                which is faster than in each task when its turn comes.
        """
        return None

    async def subscribers(self) -> int | None:
        """Return how many listeners of this store there are, here and elsewhere.

        For who asks something of all of them and waits for the answers.
        None, unless a store overrides this: it cannot be known, and who
        asks waits its full time.
        """
        return None

    async def open(self) -> None:  # noqa: B027  # most stores need nothing
        """Prepare; called once in the running event loop. Must not need the server."""

    async def close(self) -> None:  # noqa: B027  # nor have they anything to close
        """Let go of connections and tasks; twice is harmless."""
