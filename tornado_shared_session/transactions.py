"""Read, compute, write, and again if somebody was faster: `transact()`.

Within a process, transactions of one session queue, so that they do not
fight each other; between processes the version check finds a conflict.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from .errors import SessionConflict, SessionEnded
from .record import Record
from .session import Backend, Session, State

T = TypeVar("T")

_ATTEMPTS = 30
_PAUSE, _LONGEST_PAUSE = 0.002, 0.05  # seconds; it doubles, with jitter


class Queues:
    """One queue per session that has a transaction under way."""

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def of(self, id: str) -> asyncio.Lock:
        """Return the lock of a session id; it lives as long as somebody holds it."""
        lock = self._locks.get(id)
        if lock is None:
            lock = self._locks[id] = asyncio.Lock()
        return lock


class Committer(Backend, Protocol):
    """What a transaction needs of the manager, beyond what a session does."""

    async def fetch(self, id: str) -> Record | None: ...
    async def commit(
        self,
        session: Session,
        changes: Mapping[bytes, bytes],
        deleted: set[str],
        ttl: float,
        *,
        version: int | None = None,
    ) -> None: ...


async def transact(
    manager: Committer,
    queues: Queues,
    session: Session,
    fn: Callable[[Session], T | Awaitable[T]],
) -> T:
    """Run `fn` on a fresh copy and commit with the version check."""
    session._check_writable()
    if session._state is State.NEW:
        # Nobody else can know it yet, so there is nobody to conflict with.
        result = await _run(fn, session)
        await manager.save(session)
        return result
    unsaved, dropped = session._take_changes()
    lock = queues.of(session.id)
    # What was just loaded serves for the first attempt, unless another
    # transaction goes first.
    record = None if lock.locked() else session._record
    try:
        async with lock:
            for attempt in range(_ATTEMPTS):
                copy = await _copy(manager, session, record)
                record = None
                result = await _attempt(manager, copy, fn, unsaved, dropped)
                if copy._state is State.LIVE:
                    assert copy._record is not None
                    session._adopt(copy._record)
                    return result
                pause = min(_LONGEST_PAUSE, _PAUSE * 2**attempt)
                await asyncio.sleep(pause * random.random())  # noqa: S311  # jitter
    except SessionEnded as error:
        session._end(error.reason)
        raise
    except BaseException:
        session._put_back(unsaved, dropped)
        raise
    session._put_back(unsaved, dropped)
    raise SessionConflict(f"the session kept changing; gave up after {_ATTEMPTS} attempts")


async def _attempt(
    manager: Committer,
    copy: Session,
    fn: Callable[[Session], T | Awaitable[T]],
    unsaved: Mapping[bytes, bytes],
    dropped: set[str],
) -> T:
    """Run `fn` on the copy and commit it; on a conflict the copy has ended."""
    copy._stored.update(unsaved)
    for key in dropped:
        copy._stored.pop(key.encode(), None)
    result = await _run(fn, copy)
    changes, deleted = copy._take_changes()
    # The unsaved changes travel along, unless fn undid them.
    values = {**{k: v for k, v in unsaved.items() if k.decode() not in deleted}, **changes}
    gone = {key for key in dropped | deleted if key.encode() not in values}
    if values or gone:
        assert copy._record is not None
        try:
            await manager.commit(copy, values, gone, 0, version=copy._record.version)
        except SessionConflict:
            copy._end("conflict")
    return result


async def _copy(manager: Committer, session: Session, record: Record | None) -> Session:
    """Return a copy of the session, read anew unless a record is given."""
    assert session._record is not None
    if record is None:
        record = await manager.fetch(session.id)
        if record is None or record.generation != session._record.generation:
            session._end("expired" if record is None else "rotated")
            session._check_writable()
    assert record is not None
    return Session(manager, record.copy())


async def _run(fn: Callable[[Session], T | Awaitable[T]], session: Session) -> T:
    result = fn(session)
    if inspect.isawaitable(result):
        return await result
    return result
