"""How a record is created, changed and removed in a SQL database.

See `sql.py` for the idea: read, then one statement that applies only to
what was read.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import SessionConflict, SessionEnded, StoreError
from ..record import CorruptRecord, Delta, Meta, NewerFormat, Record
from .base import Committed, Deleted
from .sql_engine import Attempt, Database
from .sql_schema import milliseconds, pack, unpack
from .sql_statements import Change, Statements


class Writes:
    """What a store does to one record, as its contract says.

    Args:
        database: runs it.
        statements: what it runs.
    """

    def __init__(self, database: Database, statements: Statements) -> None:
        self._database = database
        self._statements = statements
        # Held while a session is committed: those of this process queue, and
        # one whose caller went away is over before the next begins.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, record: Record, absolute: float) -> bool:
        """See `Store.create`."""
        meta, statements = record.meta, self._statements
        row = {
            "id_": meta.id,
            "meta_": meta.encode(),
            "payload_": pack(record.values),
            "ttl": milliseconds(min(record.ttl, absolute)),
            "absolute": milliseconds(absolute),
            "provisional_": int(record.provisional),
        }

        async def work(connection: AsyncConnection, attempt: Attempt) -> bool:
            while True:
                try:
                    await connection.execute(statements.create, row)
                    return True
                except IntegrityError:
                    found = await connection.execute(statements.owner, {"id_": meta.id})
                    if (stored := found.first()) is not None:
                        # Nobody else has this secret: a row with it is what
                        # was sent before the connection broke.
                        return attempt.repeated and stored.meta == row["meta_"]
                    expired = await connection.execute(statements.replace, {"id_": meta.id})
                    if not expired.rowcount:
                        raise

        return await self._database.run(work)

    async def commit(self, delta: Delta) -> Committed:
        """See `Store.commit`."""
        lock = self._turns.get(delta.id)
        if lock is None:
            self._turns[delta.id] = lock = asyncio.Lock()
        work = functools.partial(self._merge, delta)
        return await self._database.run(work, turn=lock)

    async def _merge(
        self, delta: Delta, connection: AsyncConnection, attempt: Attempt
    ) -> Committed:
        packs = bool(delta.set or delta.delete or delta.clear)
        merges = packs and not delta.clear
        find = self._statements.read if merges else self._statements.locate
        want, rivals = milliseconds(delta.ttl), 0
        while True:
            row = (await connection.execute(find, {"id_": delta.id})).first()
            if row is None:
                raise SessionEnded("expired")
            if row.generation != delta.generation:
                raise SessionEnded("rotated")
            if delta.version is not None and delta.version != row.version:
                raise SessionConflict("the session was changed meanwhile")
            counted = delta.changes_values
            change = Change(
                payload=packs,
                meta=delta.meta is not None,
                counted=counted,
                deadline=want > 0,
                versioned=counted or delta.version is not None,
                confirm=delta.confirm and bool(row.provisional),
            )
            values: dict[str, Any] = {"id_": delta.id, "generation_": delta.generation}
            if packs:
                values["payload_"] = pack(_merged(row.payload if merges else None, delta))
            if delta.meta is not None:
                values["meta_"] = delta.meta.encode()
            if change.deadline:
                values["ttl"] = want
            if change.versioned:
                values["version_"] = row.version
            if counted or change.deadline or change.confirm:
                attempt.unsafe = True
                answer = await connection.execute(self._statements.update(change), values)
                attempt.unsafe = False
                if not answer.rowcount:  # somebody was faster: look again
                    rivals += 1
                    await self._database.pause(rivals)
                    continue
            left = max(row.left, min(want, row.cap)) / 1000 if change.deadline else None
            return Committed(row.version + counted, left)

    async def delete(self, id: str, generation: int | None, user_id: str | None) -> Deleted | None:
        """See `Store.delete`."""

        async def work(connection: AsyncConnection, attempt: Attempt) -> Deleted | None:
            while True:
                found = await connection.execute(self._statements.owner, {"id_": id})
                if (row := found.first()) is None:
                    return None
                owner = _owner(row.meta)
                if user_id is not None and owner != user_id:
                    return None
                if generation is not None and row.generation != generation:
                    raise SessionEnded("rotated")
                # The user changes only with the generation.
                this = {"id_": id, "generation_": row.generation}
                attempt.unsafe = True
                answer = await connection.execute(self._statements.delete, this)
                attempt.unsafe = False
                if answer.rowcount:
                    return Deleted(owner)

        return await self._database.run(work)


def _merged(payload: bytes | None, delta: Delta) -> dict[bytes, bytes]:
    try:
        values = {} if payload is None else unpack(payload)
    except CorruptRecord:
        raise StoreError("the stored values cannot be read") from None
    values.update(delta.set)
    for key in delta.delete:
        values.pop(key, None)
    return values


def _owner(meta: bytes) -> str | None:
    """Return whose a record is, as far as that can be read."""
    try:
        return Meta.decode(meta).user_id
    except CorruptRecord:
        return None
    except NewerFormat:
        raise StoreError("the session was written by a newer release") from None
