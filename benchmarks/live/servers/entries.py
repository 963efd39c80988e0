"""Connections that are only in the registry: thousands of sockets without sockets.

To the watcher they are what a socket is: they have a session, a
generation and a deadline, and they are told to close.
"""

from __future__ import annotations

import asyncio
import time

from tornado_shared_session import SessionManager
from tornado_shared_session.connections import Connection
from tornado_shared_session.record import Meta, Record, generate_id
from tornado_shared_session.watcher import watch

_AT_ONCE = 500  # records that travel to the store together


class Entry(Connection):
    """A connection that notes when it is closed."""

    __slots__ = ("closed_at",)

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.closed_at = 0.0

    def _close(self, reason: str, *, final: bool) -> None:
        self.closed_at = time.monotonic()


class Entries:
    """The entries of one process."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._all: dict[str, Entry] = {}

    async def enter(self, count: int) -> list[str]:
        """Add sessions with a connection each; return their ids."""
        policy = self._manager.policy
        watcher = watch(self._manager)
        added: list[Entry] = []
        for start in range(0, count, _AT_ONCE):
            records = [
                Record(Meta(generate_id(), bytes(32), time.time()), 1, 1, policy.idle_timeout, {})
                for _ in range(start, min(count, start + _AT_ONCE))
            ]
            create = self._manager.store.create
            await asyncio.gather(*(create(one, policy.absolute_timeout) for one in records))
            for record in records:
                entry = Entry(record.meta.id)
                self._manager.connections.add(entry)
                entry.admit(record)
                watcher.expect(entry.id, entry.deadline)
                added.append(entry)
        new = {entry.id: entry for entry in added}
        self._all |= new
        return list(new)

    async def closed(self, ids: list[str]) -> list[float]:
        """Wait until those are closed, and take them out; return when they were.

        Raises:
            TimeoutError: some are not, ten seconds later.
        """
        some = [self._all[id] for id in ids]
        async with asyncio.timeout(10):
            while not all(entry.closed_at for entry in some):
                await asyncio.sleep(0.01)
        for entry in some:
            self._manager.connections.discard(entry)
            del self._all[entry.id]
        return [entry.closed_at for entry in some]
