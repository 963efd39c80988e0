"""Loads of one turn of the event loop travel as one query.

As the Redis store's do: a busy server pays for one round trip, and one
connection, per batch rather than per request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

_AT_ONCE = 100  # rows with all their values

#: Asked for some ids, answers with one row of those that live.
Ask = Callable[[list[str]], Awaitable[Sequence[Any]]]


class Loads:
    """Gathers ids and hands each caller its row.

    Args:
        ask: queries the database; may raise, bounded in time.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._waiting: list[tuple[str, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def row(self, id: str) -> Any | None:
        """Return the row of an id; None if there is none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((id, future))
        if self._task is None:
            self._task = loop.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                # Whoever was cancelled meanwhile is not asked for.
                batch = [(id, future) for id, future in batch if not future.done()]
                if batch:
                    await self._serve(batch)
        finally:
            self._task = None

    async def _serve(self, batch: list[tuple[str, asyncio.Future[Any]]]) -> None:
        try:
            rows = await self._ask(list({id for id, _ in batch}))
        except Exception as error:
            # Those who queued up behind it have waited long enough too.
            for _, future in batch + self._waiting:
                if not future.done():
                    future.set_exception(_copy(error))
            self._waiting = []
            return
        found = {row.id: row for row in rows}
        for id, future in batch:
            if not future.done():
                future.set_result(found.get(id))

    async def close(self) -> None:
        """Wait for the batch under way."""
        if self._task is not None:
            await asyncio.wait([self._task])


def _copy(error: Exception) -> Exception:
    """Return an error of one's own, as each caller adds to its traceback."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
