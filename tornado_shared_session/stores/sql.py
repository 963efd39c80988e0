"""Sessions in MySQL, MariaDB, PostgreSQL or SQLite, through SQLAlchemy.

Import it from here; the extra ``tornado_shared_session[sql]`` brings
SQLAlchemy and the drivers. The tables are in `sql_schema.py`, the
statements in `sql_statements.py`, connections and retries in
`sql_engine.py`. Only the files ``sql*.py`` know SQLAlchemy.

A commit reads the row, merges the delta and writes it back with an
UPDATE that applies only if nobody else has written since; else it does
so again. So writers of different keys never lose anything, each change
is one statement, and nothing is ever locked for longer than that.

Round trips: load, peek, create and the index 1; commit, delete and an
entry of the index 2.
The loads of one turn of the event loop share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import greenlet  # type: ignore[import-untyped]  # noqa: F401  # asyncio needs it
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
except ImportError as error:
    raise ImportError(
        "SQLStore needs SQLAlchemy: pip install tornado_shared_session[sql]"
    ) from error

from ..policy import Duration, seconds
from ..record import Delta, Meta, Peek, Record, is_id
from .base import Committed, Deleted, ForeignRecord
from .local import LocalMessages
from .sql_engine import Attempt, Database
from .sql_errors import already_exists
from .sql_loads import Loads
from .sql_purge import Purger
from .sql_schema import milliseconds, padded, schema, unpack, user_digest
from .sql_statements import Statements
from .sql_writes import Writes

_PEEKED_AT_ONCE = 500
_DDL_SECONDS = 30.0


class SQLStore(LocalMessages):
    """A store in one SQL database: MySQL, MariaDB, PostgreSQL or SQLite.

    It carries no messages between processes: others notice the end of a
    session at their next reload.

    Args:
        url_or_engine: ``mysql+aiomysql://``, ``mariadb+aiomysql://``,
            ``postgresql+asyncpg://`` or ``sqlite+aiosqlite:///``; or a
            `sqlalchemy.ext.asyncio.AsyncEngine` of yours, which stays
            yours to close.
        prefix: begins the names of both tables; two applications in one
            database need two.
        timeout: seconds or a `timedelta` within which the database
            answers, connecting and retries included.
        purge_interval: seconds or a `timedelta` between two purges of
            expired rows.

    Raises:
        ConfigurationError: no such database, its driver is not installed
            or not for asyncio, or the prefix cannot be used.
    """

    def __init__(
        self,
        url_or_engine: str | AsyncEngine,
        *,
        prefix: str = "tss_",
        timeout: Duration = 0.9,
        purge_interval: Duration = 60.0,
    ) -> None:
        self._database = database = Database(url_or_engine, seconds("timeout", timeout))
        self._schema = schema(prefix, database.backend)
        self._prefix = prefix
        database.remedy = (
            "a table of the session store is missing, or of another form; call"
            " `await store.create_tables()` once, or run this in the database:\n\n"
            + self._schema.text(database.engine.dialect)
        )
        self._statements = Statements(self._schema, database.backend)
        self._loads = Loads(self._load_rows)
        self._writes = Writes(database, self._statements)
        super().__init__()
        self._purger = Purger(database, self._statements, seconds("purge_interval", purge_interval))

    def __repr__(self) -> str:
        return f"<SQLStore {self._database.backend} {self._prefix}>"

    async def create_tables(self) -> None:
        """Create the tables and indexes that are missing.

        For those who want it; nothing else calls it. It needs a user who
        may create tables. Existing ones stay as they are.

        Raises:
            StoreError: the database failed or refused.
        """

        async def work(connection: AsyncConnection, attempt: Attempt) -> None:
            for element in self._schema.ddl():
                try:
                    await connection.execute(element)
                except DBAPIError as error:
                    if not already_exists(error):
                        raise

        await self._database.run(work, within=_DDL_SECONDS)

    async def load(self, id: str) -> Record | None:
        # What cannot be an id must not spoil the query of those who share it.
        row = await self._loads.row(id) if is_id(id) else None
        if row is None:
            return None
        meta = Meta.decode(row.meta)
        if meta.id != id:
            await self._database.drop()
            raise ForeignRecord("the session store answered with another session")
        values = unpack(row.payload)
        ttl = row.left / 1000
        return Record(meta, row.generation, row.version, ttl, values, bool(row.provisional))

    async def _load_rows(self, ids: list[str]) -> Sequence[Any]:
        return await self._database.ask(self._statements.load, ids=padded(ids))

    async def create(self, record: Record, absolute: float) -> bool:
        return await self._writes.create(record, absolute)

    async def commit(self, delta: Delta) -> Committed:
        return await self._writes.commit(delta)

    async def delete(
        self, id: str, *, generation: int | None = None, user_id: str | None = None
    ) -> Deleted | None:
        return await self._writes.delete(id, generation, user_id)

    async def peek(self, ids: Sequence[str]) -> list[Peek | None]:
        found: dict[str, Peek] = {}
        known = [id for id in ids if is_id(id)]
        for start in range(0, len(known), _PEEKED_AT_ONCE):
            some = padded(known[start : start + _PEEKED_AT_ONCE])
            for row in await self._database.ask(self._statements.peek, ids=some):
                left, provisional = row.left / 1000, bool(row.provisional)
                found[row.id] = Peek(row.generation, left, provisional, row.version)
        return [found.get(id) for id in ids]

    async def index_add(self, user_id: str, id: str, lifetime: float) -> None:
        entry = {"user_": user_digest(user_id), "id_": id}
        statements, kept = self._statements, milliseconds(lifetime)

        async def work(connection: AsyncConnection, attempt: Attempt) -> None:
            # In one statement MySQL would lock what it reads, and logins at once would
            # deadlock. In two these may get one deadline: either is the newer one.
            found = (await connection.execute(statements.outlast, entry)).one()
            after = max((found.newest or 0) + 1, found.latest or 0)
            await connection.execute(statements.enter, {**entry, "lifetime": kept, "after": after})

        await self._database.run(work)

    async def index_remove(self, user_id: str, ids: Sequence[str]) -> None:
        if ids:
            await self._database.tell(
                self._statements.leave, user_=user_digest(user_id), ids=padded(ids)
            )

    async def index_list(self, user_id: str) -> list[str]:
        rows = await self._database.ask(self._statements.enlist, user_=user_digest(user_id))
        return [row.id for row in rows]

    async def purge(self) -> int:
        """Delete rows that have expired, some at a time; return how many.

        An open store does so by itself every `purge_interval`, until
        `close`. What has expired is as good as gone before.

        Raises:
            StoreError: the database failed; the rest is for the next time.
        """
        return await self._purger.purge()

    async def open(self) -> None:
        self._database.open()
        self._purger.start()

    async def close(self) -> None:
        await self._purger.stop()
        await self._loads.close()
        await self._database.close()
