"""The watcher, with a store that answers what the test wants."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

from tornado_shared_session import MemoryStore, SessionManager
from tornado_shared_session.connections import Connection
from tornado_shared_session.record import Peek, generate_id
from tornado_shared_session.watcher import watch


class Fading(MemoryStore):
    """A store in which one session is left, a provisional one."""

    def __init__(self, left: str) -> None:
        super().__init__()
        self._left = left

    async def peek(self, ids: Sequence[str]) -> list[Peek | None]:
        """Say so."""
        return [Peek(1, 30.0, True) if id == self._left else None for id in ids]


class Noted(Connection):
    """A connection that sets an event when it is closed."""

    def __init__(self, id: str, closed: asyncio.Event) -> None:
        super().__init__(id)
        self._closed = closed

    def _close(self, reason: str, *, final: bool) -> None:
        self._closed.set()


async def test_a_stop_between_many_closings_leaves_nothing_half_begun() -> None:
    """What was still to be renewed is not: no coroutine is left that nobody awaits (T23)."""
    left, closed = generate_id(), asyncio.Event()
    async with SessionManager(Fading(left)) as manager:
        watcher = watch(manager)
        await asyncio.sleep(0)  # its first look, at nothing
        for id in (left, *(generate_id() for _ in range(60))):
            manager.connections.add(Noted(id, closed))
        watcher._ask_all(renew=True)
        await closed.wait()
        await watcher.stop()
        gc.collect()  # which is when Python complains
