"""Sessions in this process's memory: for development and for tests.

The embedded default. Nothing survives a restart and no other process
sees it; otherwise it keeps the whole contract, on a clock that tests
can turn.
"""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Callable, Sequence

from ..errors import SessionConflict, SessionEnded
from ..record import Delta, Peek, Record
from .base import Committed, Deleted
from .local import LocalMessages


class _Entry:
    __slots__ = ("absolute", "deadline", "record")

    def __init__(self, record: Record, deadline: float, absolute: float) -> None:
        self.record = record
        self.deadline = deadline
        self.absolute = absolute


class MemoryStore(LocalMessages):
    """A store in a dict.

    Args:
        clock: seconds, monotonic; a test may pass a clock of its own.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._users: dict[str, dict[str, float]] = {}
        # Deadlines as they first were, for the purge: of entries, of users' indexes.
        self._queue: list[tuple[float, str]] = []
        self._user_queue: list[tuple[float, str]] = []
        self._queued: set[str] = set()  # the users in it, each once

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._entries)} records>"

    def _find(self, id: str) -> _Entry | None:
        entry = self._entries.get(id)
        if entry is not None and entry.deadline <= self._clock():
            del self._entries[id]
            self._unlist(entry.record.meta.user_id, id)
            return None
        return entry

    def _unlist(self, user_id: str | None, id: str) -> None:
        if user_id is None or user_id not in self._users:
            return
        index = self._users[user_id]
        index.pop(id, None)
        if not index:
            del self._users[user_id]

    def _purge(self) -> None:
        """Forget what has expired: an entry or an index is looked at when it may have."""
        now = self._clock()
        while self._queue and self._queue[0][0] <= now:
            _, id = heapq.heappop(self._queue)
            entry = self._find(id)
            if entry is not None:
                heapq.heappush(self._queue, (entry.deadline, id))
        while self._user_queue and self._user_queue[0][0] <= now:
            _, user_id = heapq.heappop(self._user_queue)
            self._queued.discard(user_id)
            self._prune(user_id, now)
            self._enqueue(user_id)

    def _prune(self, user_id: str, now: float) -> None:
        index = self._users.get(user_id, {})
        for old in [old for old, deadline in index.items() if deadline <= now]:
            self._unlist(user_id, old)

    def _enqueue(self, user_id: str) -> None:
        index = self._users.get(user_id)
        if index and user_id not in self._queued:
            self._queued.add(user_id)
            heapq.heappush(self._user_queue, (min(index.values()), user_id))

    async def load(self, id: str) -> Record | None:
        entry = self._find(id)
        if entry is None:
            return None
        record = entry.record
        return dataclasses.replace(
            record, values=dict(record.values), ttl=entry.deadline - self._clock()
        )

    async def create(self, record: Record, absolute: float) -> bool:
        self._purge()
        id = record.meta.id
        if self._find(id) is not None:
            return False
        now = self._clock()
        deadline = now + min(record.ttl, absolute)
        copy = dataclasses.replace(record, values=dict(record.values))
        self._entries[id] = _Entry(copy, deadline, now + absolute)
        heapq.heappush(self._queue, (deadline, id))
        return True

    async def commit(self, delta: Delta) -> Committed:
        entry = self._find(delta.id)
        if entry is None:
            raise SessionEnded("expired")
        record = entry.record
        if record.generation != delta.generation:
            raise SessionEnded("rotated")
        if delta.version is not None and delta.version != record.version:
            raise SessionConflict("the session was changed meanwhile")
        if delta.clear:
            record.values.clear()
        record.values.update(delta.set)
        for key in delta.delete:
            record.values.pop(key, None)
        if delta.meta is not None:
            record.meta = delta.meta
            record.generation += 1
        if delta.changes_values:
            record.version += 1
        if delta.confirm:
            record.provisional = False
        if not delta.ttl:
            return Committed(record.version, None)
        now = self._clock()
        entry.deadline = max(entry.deadline, min(now + delta.ttl, entry.absolute))
        return Committed(record.version, entry.deadline - now)

    async def delete(
        self, id: str, *, generation: int | None = None, user_id: str | None = None
    ) -> Deleted | None:
        entry = self._find(id)
        if entry is None:
            return None
        record = entry.record
        if user_id is not None and record.meta.user_id != user_id:
            return None
        if generation is not None and record.generation != generation:
            raise SessionEnded("rotated")
        del self._entries[id]
        return Deleted(record.meta.user_id)

    async def peek(self, ids: Sequence[str]) -> list[Peek | None]:
        now = self._clock()
        found = (self._find(id) for id in ids)
        return [
            None
            if entry is None
            else Peek(
                entry.record.generation,
                entry.deadline - now,
                entry.record.provisional,
                entry.record.version,
            )
            for entry in found
        ]

    async def index_add(self, user_id: str, id: str, lifetime: float) -> None:
        self._purge()
        now = self._clock()
        self._prune(user_id, now)
        entry = self._find(id)
        latest = now if entry is None else entry.absolute
        index = self._users.setdefault(user_id, {})
        index[id] = max(index.pop(id, now), now + lifetime, latest)
        self._enqueue(user_id)

    async def index_remove(self, user_id: str, ids: Sequence[str]) -> None:
        for id in ids:
            self._unlist(user_id, id)

    async def index_list(self, user_id: str) -> list[str]:
        return list(self._users.get(user_id, ()))
