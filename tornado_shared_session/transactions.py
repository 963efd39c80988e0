"""Read, compute, write, and again if somebody was faster: `transact()`.

Within a process, transactions of one session queue, so that they do not
fight each other; between processes the version check finds a conflict.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from .errors import SessionConflict, SessionEnded, SessionError
from .record import Record
from .rotation import Storing
from .session import Session
from .stored import State

_ATTEMPTS = 30
_PAUSE, _LONGEST_PAUSE = 0.002, 0.05  # seconds; it doubles, with jitter


class _Queue(asyncio.Lock):
    turn: object = None  # whose turn it is


_turns: ContextVar[tuple[object, ...]] = ContextVar("tornado_shared_session_turns", default=())


class Queues:
    """One queue per session that has a transaction under way."""

    def __init__(self) -> None:
        self._queues: weakref.WeakValueDictionary[str, _Queue] = weakref.WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, id: str) -> AsyncIterator[bool]:
        """Wait for the turn; say whether others had theirs first.

        Raises:
            SessionError: it is the caller's turn already, so it would
                wait for itself.
        """
        queue = self._queues.get(id)
        if queue is None:
            queue = self._queues[id] = _Queue()
        if queue.turn is not None and queue.turn in _turns.get():
            raise SessionError(
                "transact() inside transact() of the same session would wait for itself;"
                " use the session that the function is given"
            )
        waited = queue.locked()
        async with queue:
            queue.turn = object()
            token = _turns.set((*_turns.get(), queue.turn))
            try:
                yield waited
            finally:
                _turns.reset(token)
                queue.turn = None


class Committer(Storing, Protocol):
    """What a transaction needs of the manager, beyond what stores a session."""

    async def fetch(self, id: str) -> Record | None: ...


async def transact(
    manager: Committer,
    queues: Queues,
    session: Session,
    fn: Callable[[Session], Any],
) -> Any:
    """Run `fn` on a fresh copy and commit with the version check."""
    async with queues.turn(session.id) as waited:
        session._check_writable()
        # What was loaded before serves for the first attempt, unless
        # another transaction went first.
        known = None if waited or session._state is State.NEW else session._snapshot()
        unsaved, dropped = session._take_changes()
        try:
            for attempt in range(_ATTEMPTS):
                if attempt > 1:
                    pause = min(_LONGEST_PAUSE, _PAUSE * 2**attempt)
                    await asyncio.sleep(pause * random.random())  # noqa: S311  # jitter
                copy = await _copy(manager, session, known)
                result, changed = await _attempt(manager, session, copy, fn, unsaved, dropped)
                # A mere look at what was loaded before is no transaction.
                if changed or (changed is None and known is None):
                    session._advance(copy._record)
                    return result
                known = None
            raise SessionConflict(f"the session kept changing; gave up after {_ATTEMPTS} attempts")
        except BaseException:
            session._put_back(unsaved, dropped)
            raise


async def _attempt(
    manager: Committer,
    session: Session,
    copy: Session,
    fn: Callable[[Session], Any],
    unsaved: Mapping[bytes, bytes],
    dropped: set[str],
) -> tuple[Any, bool | None]:
    """Run `fn` on the copy and commit it.

    Says with the result whether that worked; None: nothing to commit.
    """
    copy._stored.update(unsaved)
    for key in dropped:
        copy._stored.pop(key.encode(), None)
    result = await _run(fn, copy)
    changes, deleted = copy._take_changes()
    # The unsaved changes travel along, unless fn undid them.
    values = {**{k: v for k, v in unsaved.items() if k.decode() not in deleted}, **changes}
    gone = {key for key in dropped | deleted if key.encode() not in values}
    try:
        copy._check_writable()  # fn may have destroyed it
        if copy._record is None:
            return result, await _create(manager, session, copy, values) if values else None
        if not values and not gone:
            return result, None
        await manager.commit(copy, values, gone, 0, version=copy._record.version)
    except SessionEnded as error:
        its, known = copy._record, session._record
        if its and known and its.generation != known.generation:
            return result, False  # this very object has a new credential meanwhile
        session._end(error.reason)
        raise
    except SessionConflict:
        return result, False
    return result, True


async def _create(
    manager: Committer, session: Session, copy: Session, values: Mapping[bytes, bytes]
) -> bool:
    """Store what was new; say whether nobody was faster."""
    async with session._alone():
        if session._state is not State.NEW:
            return False
        copy._carrier = session._carrier
        await manager.create(copy, values)
        return True


async def _copy(manager: Committer, session: Session, known: Record | None) -> Session:
    """Return another object of the session, with what is known or read anew of it."""
    if session._state is not State.NEW:
        return Session(manager, known or await _fetch(manager, session))
    copy = Session(manager)
    copy._id = session.id
    return copy


async def _fetch(manager: Committer, session: Session) -> Record:
    """Read the record anew."""
    assert session._record is not None
    record = await manager.fetch(session.id)
    if record is not None and record.generation == session._record.generation:
        return record
    reason = "expired" if record is None else "rotated"
    session._end(reason)
    raise SessionEnded(reason)


async def _run(fn: Callable[[Session], Any], session: Session) -> Any:
    result = fn(session)
    if inspect.isawaitable(result):
        return await result
    return result
