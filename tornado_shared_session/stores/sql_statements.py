"""The statements of the SQL store, built once per store for its database.

Each runs in a transaction of its own. Time is always the database's:
no statement takes one from us.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Delete,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from .sql_schema import Schema


class Change(NamedTuple):
    """Which parts of a session's row an UPDATE touches or looks at."""

    payload: bool
    meta: bool
    counted: bool
    deadline: bool
    versioned: bool
    confirm: bool


class _Clock(NamedTuple):
    """Milliseconds since the epoch, as the database counts them.

    `now` may be taken once per statement and lets an index be used;
    `live` is read when the row is looked at, after a wait for its lock.
    """

    now: ColumnElement[int]
    live: ColumnElement[int]


def _clock(backend: str) -> _Clock:
    if backend in ("mysql", "mariadb"):
        # UNIX_TIMESTAMP(NOW(6)) is an hour off while summer time ends.
        epoch = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"
        waited = "TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))"
        now, live = f"({epoch} DIV 1000)", f"(({epoch} + {waited}) DIV 1000)"
    elif backend == "postgresql":
        now, live = (
            f"CAST(FLOOR(EXTRACT(EPOCH FROM {clock}()) * 1000) AS BIGINT)"
            for clock in ("statement_timestamp", "clock_timestamp")
        )
    else:
        # A writer of SQLite has its lock before it looks at the clock.
        now = live = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
    return _Clock(literal_column(now, BigInteger), literal_column(live, BigInteger))


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


class Statements:
    """What the store asks its database, with named parameters.

    Attributes:
        load: ``ids`` -> the row and its time left, of each that lives.
        peek: ``ids`` -> id, generation, provisional, time left.
        locate: ``id_`` -> what a commit must know, but for the values.
        read: ``id_`` -> the same, and the values.
        owner: ``id_`` -> generation and meta.
        create: a new row; the id is taken: IntegrityError.
        delete: ``id_``, ``generation_``.
        replace: ``id_`` -> delete it if it has expired.
        outlast: ``user_``, ``id_`` -> what an entry outlasts: the
            deadline of the user's newest, and the session's latest.
        enter: ``user_``, ``id_``, ``lifetime``, ``after``: entered with
            a deadline of at least ``after``.
        leave, enlist: the rest of the index of users.
        expired: for each table, what finds some expired rows and what
            deletes these.
    """

    def __init__(self, schema: Schema, backend: str) -> None:
        s, u = schema.sessions, schema.users
        self._sessions, self._backend = s, backend
        self._clock = clock = _clock(backend)
        self._updates: dict[Change, Update] = {}
        self._most: Any = func.max if backend == "sqlite" else func.greatest
        self._least: Any = func.min if backend == "sqlite" else func.least
        ids: Any = bindparam("ids", expanding=True)
        left = (s.c.deadline - clock.now).label("left")
        cap = (s.c.latest - clock.now).label("cap")
        one = and_(s.c.id == bindparam("id_"), s.c.deadline > clock.now)
        some = and_(s.c.id.in_(ids), s.c.deadline > clock.now)
        numbers = (s.c.generation, s.c.version, s.c.provisional)

        self.load: Select[Any] = select(s.c.id, s.c.meta, s.c.payload, *numbers, left).where(some)
        self.peek: Select[Any] = select(s.c.id, *numbers, left).where(some)
        self.locate: Select[Any] = select(*numbers, left, cap).where(one)
        self.read: Select[Any] = select(s.c.payload, *numbers, left, cap).where(one)
        self.owner: Select[Any] = select(s.c.generation, s.c.meta).where(one)
        self.create: Insert = insert(s).values(
            id=bindparam("id_"),
            meta=bindparam("meta_", type_=s.c.meta.type),
            payload=bindparam("payload_", type_=s.c.payload.type),
            generation=1,
            version=1,
            deadline=clock.now + _number("ttl"),
            latest=clock.now + _number("absolute"),
            provisional=bindparam("provisional_", type_=Integer),
        )
        self.delete: Delete = delete(s).where(one, s.c.generation == _number("generation_"))
        self.replace: Delete = delete(s).where(
            s.c.id == bindparam("id_"), s.c.deadline <= clock.now
        )
        user = bindparam("user_", type_=u.c.user.type)
        newest = select(func.max(u.c.deadline)).where(u.c.user == user)
        latest = select(s.c.latest).where(s.c.id == bindparam("id_"))
        self.outlast: Select[Any] = select(
            newest.scalar_subquery().label("newest"), latest.scalar_subquery().label("latest")
        )
        self.enter: Insert = self._upsert(schema, user)
        self.leave: Delete = delete(u).where(u.c.user == user, u.c.id.in_(ids))
        self.enlist: Select[Any] = (
            select(u.c.id)
            .where(u.c.user == user, u.c.deadline > clock.now)
            .order_by(u.c.deadline, u.c.id)
        )
        limit = bindparam("limit_", type_=Integer)
        users = bindparam("users", expanding=True, type_=u.c.user.type)
        self.expired: list[tuple[Select[Any], Delete]] = [
            (
                select(s.c.id).where(s.c.deadline <= clock.now).order_by(s.c.deadline).limit(limit),
                delete(s).where(s.c.id.in_(ids), s.c.deadline <= clock.now),
            ),
            (
                select(u.c.id, u.c.user)
                .where(u.c.deadline <= clock.now)
                .order_by(u.c.deadline)
                .limit(limit),
                delete(u).where(u.c.user.in_(users), u.c.id.in_(ids), u.c.deadline <= clock.now),
            ),
        ]

    def _upsert(self, schema: Schema, user: Any) -> Insert:
        u = schema.users
        new = self._clock.now + _number("lifetime"), _number("after")
        values = {"user": user, "id": bindparam("id_"), "deadline": self._most(*new)}
        longer = {"deadline": self._most(u.c.deadline, *new)}
        if self._backend in ("mysql", "mariadb"):
            return mysql.insert(u).values(values).on_duplicate_key_update(longer)
        dialect = postgresql if self._backend == "postgresql" else sqlite
        upsert: Insert = (
            dialect.insert(u)
            .values(values)
            .on_conflict_do_update(index_elements=[u.c.user, u.c.id], set_=longer)
        )
        return upsert

    def update(self, change: Change) -> Update:
        """Return the UPDATE of a commit.

        It applies to a row that lives, has the generation
        ``generation_`` and, if `change.versioned`, the version
        ``version_``; it takes ``payload_``, ``meta_`` and ``ttl`` as
        far as they change.
        """
        if change not in self._updates:
            self._updates[change] = self._update(change)
        return self._updates[change]

    def _update(self, change: Change) -> Update:
        s, live = self._sessions, self._clock.live
        values: dict[str, Any] = {}
        if change.payload:
            values["payload"] = bindparam("payload_", type_=s.c.payload.type)
        if change.meta:
            values["meta"] = bindparam("meta_", type_=s.c.meta.type)
            values["generation"] = s.c.generation + 1
        if change.counted:
            values["version"] = s.c.version + 1
        if change.confirm:
            values["provisional"] = 0
        if change.deadline:
            until = self._least(live + _number("ttl"), s.c.latest)
            values["deadline"] = self._most(s.c.deadline, until)
        statement = update(s).where(
            s.c.id == bindparam("id_"),
            s.c.generation == _number("generation_"),
            s.c.deadline > live,
        )
        if change.versioned:
            statement = statement.where(s.c.version == _number("version_"))
        return statement.values(values)
