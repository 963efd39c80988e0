"""Deletes expired rows, some at a time, in a task of its own."""

from __future__ import annotations

import asyncio
import random

from ..errors import SessionError
from ..events import logger
from .sql_engine import Database
from .sql_schema import padded
from .sql_statements import Statements

AT_ONCE = 500
_MOST = 20  # batches of one table per purge


class Purger:
    """Purges a store's tables at intervals, from `start` to `stop`.

    Args:
        database: where they are.
        statements: what finds and what deletes.
        interval: seconds between two purges.
    """

    def __init__(self, database: Database, statements: Statements, interval: float) -> None:
        self._database = database
        self._statements = statements
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs the running event loop, not the database."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """End; twice is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def purge(self) -> int:
        """Delete what has expired, within bounds; return how many rows.

        Rows are found first and deleted by their keys, so that no range
        of the table is locked against those who log in meanwhile.
        """
        purged = 0
        for find, remove in self._statements.expired:
            for _ in range(_MOST):
                rows = await self._database.ask(find, limit_=AT_ONCE)
                if rows:
                    names = rows[0]._fields
                    some = {
                        f"{name}s": padded([row[i] for row in rows]) for i, name in enumerate(names)
                    }
                    await self._database.tell(remove, **some)
                    purged += len(rows)
                if len(rows) < AT_ONCE:
                    break
        return purged

    async def _work(self) -> None:
        while True:
            # Not all processes of an application at the same moment.
            await asyncio.sleep(self._interval * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
            try:
                await self.purge()
            except SessionError as error:
                reason = str(error).partition(";")[0]
                logger.warning("expired sessions could not be purged: %s", reason)
