"""What is special about SQL: its tables, its statements, its clocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import pytest
from sqlalchemy import event

from tests.support.sql import beside, sql, tables
from tornado_shared_session import ConfigurationError, Store, StoreError
from tornado_shared_session.record import CorruptRecord, Delta, NewerFormat, generate_id
from tornado_shared_session.stores import sql_purge
from tornado_shared_session.stores.base import ForeignRecord
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing.store_contract import make_record, stored


@pytest.fixture
async def store(sql_url: str, table_prefix: str) -> AsyncIterator[SQLStore]:
    """A store with tables of its own."""
    async with tables(sql_url, table_prefix) as store:
        yield store


@contextmanager
def statements(store: SQLStore) -> Iterator[list[tuple[str, int]]]:
    """Collect what is sent to the database, and how many rows each applied to."""
    sent: list[tuple[str, int]] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append((statement.split()[0], cursor.rowcount))

    engine = store._database.engine.sync_engine
    event.listen(engine, "after_cursor_execute", note)
    yield sent
    event.remove(engine, "after_cursor_execute", note)


# -- tables ---------------------------------------------------------------------------


async def test_a_missing_table_is_an_error_that_says_how_to_create_it(
    sql_url: str, table_prefix: str
) -> None:
    """Whatever is asked first; nothing is created, and what it says works."""
    store = SQLStore(sql_url, prefix=table_prefix)
    record, id = make_record(user_id="ann", a=b"1"), generate_id()
    message = ""
    for _ in range(2):
        for ask in (
            lambda: store.load(id),
            lambda: store.peek([id]),
            lambda: store.create(record, 60),
            lambda: store.commit(Delta(id, 1, 60, set={b"a": b"1"})),
            lambda: store.delete(id),
            lambda: store.index_add("ann", id, 60),
            lambda: store.index_list("ann"),
            store.purge,
        ):
            with pytest.raises(ConfigurationError, match="create_tables") as caught:
                await ask()
            message = str(caught.value)
    assert message.count("CREATE TABLE") == 2
    async with beside(sql_url) as connection:
        for statement in message.partition("\n\n")[2].split(";"):
            if statement.strip():
                await sql(connection, statement)
    assert await store.create(record, 60)
    await store.index_add("ann", record.meta.id, 60)
    assert await store.index_list("ann") == [record.meta.id]
    await store.close()


async def test_a_table_of_another_form_is_the_same_error(store: SQLStore, sql_url: str) -> None:
    """As after an upgrade, or when the name was taken."""
    async with beside(sql_url) as connection:
        await sql(connection, f"ALTER TABLE {store._schema.sessions.name} DROP COLUMN payload")
    with pytest.raises(ConfigurationError, match="CREATE TABLE"):
        await store.load(generate_id())


async def test_tables_are_created_once_however_many_ask(sql_url: str, table_prefix: str) -> None:
    """Several processes that start at once; what is there stays."""
    stores = [SQLStore(sql_url, prefix=table_prefix) for _ in range(4)]
    await asyncio.gather(*(store.create_tables() for store in stores))
    id = await stored(stores[0])
    await stores[1].create_tables()
    assert await stores[2].load(id) is not None
    for store in stores:
        await store.close()


async def test_prefixes_are_worlds_apart(store: SQLStore, sql_url: str, table_prefix: str) -> None:
    """Neither records nor users pass between them."""
    id = await stored(store)
    await store.index_add("ann", id, 60)
    async with tables(sql_url, f"{table_prefix}other_") as other:
        assert await other.load(id) is None
        assert await other.index_list("ann") == []


async def test_ids_and_users_compare_exactly(store: SQLStore) -> None:
    """Case, accents and blanks count, whatever the database's collation thinks."""
    id = "aBcDeFgHiJkLmNoPqRsTuV"
    records = [make_record(own=name.encode()) for name in (id, id.swapcase(), id.lower())]
    for record in records:
        object.__setattr__(record.meta, "id", record.values[b"own"].decode())
        assert await store.create(record, 60)
    assert await store.delete(id.swapcase()) is not None
    await store.commit(Delta(id, 1, 0, set={b"changed": b"1"}))
    loaded = [await store.load(record.meta.id) for record in records]
    assert [record and record.values for record in loaded] == [
        {b"own": id.encode(), b"changed": b"1"},
        None,
        {b"own": id.lower().encode()},
    ]
    peeks = await store.peek([id, id.upper(), id.lower()])
    assert [peek is not None for peek in peeks] == [True, False, True]
    users = ["ann", "Ann", "ann ", "änn", "a" * 5000, "👩", "", "\x00"]
    for number, user in enumerate(users):
        await store.index_add(user, str(number), 60)
        await store.index_add(user, "a", 60)
        await store.index_add(user, "A", 60)
    for number, user in enumerate(users):
        assert sorted(await store.index_list(user)) == sorted([str(number), "a", "A"])


# -- what is in them ------------------------------------------------------------------------


async def spoil(store: SQLStore, url: str, id: str, **columns: bytes) -> None:
    """Change columns of a session's row."""
    table = store._schema.sessions
    engine = store._database.engine
    async with engine.connect() as connection:
        done = await connection.execute(table.update().where(table.c.id == id).values(columns))
        assert done.rowcount == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"meta": b"\xc1"},
        {"meta": b""},
        {"payload": b"\xc1"},
        {"payload": msgpack.packb([1])},
        {"payload": msgpack.packb({"text": b""})},
        {"payload": msgpack.packb({b"a": 1})},
    ],
    ids=str,
)
async def test_unreadable_columns_are_a_corrupt_record(
    store: SQLStore, sql_url: str, columns: dict[str, bytes]
) -> None:
    """It is no session; it can be deleted, and the others' answers are as ever."""
    id, good = await stored(store, a=b"1"), await stored(store)
    await spoil(store, sql_url, id, **columns)
    answers = await asyncio.gather(store.load(id), store.load(good), return_exceptions=True)
    assert isinstance(answers[0], CorruptRecord)
    assert answers[1] is not None
    assert None not in await store.peek([id, good])
    if "payload" in columns:
        with pytest.raises(StoreError, match="cannot be read"):
            await store.commit(Delta(id, 1, 0, set={b"b": b"1"}))
    await store.commit(Delta(id, 1, 0, clear=True))
    assert await store.delete(id) is not None


async def test_a_newer_format_is_told_apart(store: SQLStore, sql_url: str) -> None:
    """It must not be taken for a record that is not there, nor for anybody's."""
    id = await stored(store, user_id="ann")
    await spoil(store, sql_url, id, meta=msgpack.packb([2, "whatever"]))
    with pytest.raises(NewerFormat):
        await store.load(id)
    with pytest.raises(StoreError, match="newer"):
        await store.delete(id, user_id="ann")


async def test_a_record_that_names_another_id_is_refused(store: SQLStore, sql_url: str) -> None:
    """It came from a connection that lost count; the connections are dropped (C2)."""
    mine, other = await stored(store), make_record(a=b"not mine")
    await spoil(store, sql_url, mine, meta=other.meta.encode())
    with pytest.raises(ForeignRecord):
        await store.load(mine)
    assert store._database.engine.sync_engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # a QueuePool


async def test_an_expired_row_does_not_keep_an_id(store: SQLStore) -> None:
    """Before it is purged it is as good as gone."""
    record = make_record(ttl=0.01, a=b"old")
    assert await store.create(record, 60)
    await asyncio.sleep(0.05)  # the database's clock is what is tested
    record.ttl, record.values = 60, {b"a": b"new"}
    assert await store.create(record, 60)
    assert not await store.create(record, 60)
    loaded = await store.load(record.meta.id)
    assert loaded is not None
    assert loaded.values == {b"a": b"new"}


async def test_what_cannot_be_an_id_spoils_nobodys_query(store: SQLStore) -> None:
    """It has no record, and those who ask at the same moment get theirs."""
    id = await stored(store)
    strange = ["", "\x00", "\ud800", "ü" * 22, "x" * 100_000]
    answers = await asyncio.gather(*(store.load(each) for each in [*strange, id]))
    assert [answer is not None for answer in answers] == [False] * 5 + [True]
    assert [peek is not None for peek in await store.peek([*strange, id])] == [False] * 5 + [True]
    with statements(store) as sent:
        await store.load(strange[0])
        await store.peek(strange)
    assert not sent


async def test_each_operation_takes_few_statements(store: SQLStore) -> None:
    """As the module says; loads of one turn of the loop share theirs, peeks their batch."""
    ids = [await stored(store, a=b"1") for _ in range(30)]
    nobody = [generate_id() for _ in range(400)]
    for work, most in (
        (lambda: store.load(ids[0]), 1),
        (lambda: asyncio.gather(*(store.load(id) for id in ids)), 1),
        (lambda: store.peek([*ids, *nobody]), 1),
        (lambda: store.create(make_record(), 60), 1),
        (lambda: store.commit(Delta(ids[0], 1, 60, set={b"b": b"1"})), 2),
        (lambda: store.commit(Delta(ids[0], 1, 60)), 2),
        (lambda: store.commit(Delta(ids[0], 1, 0)), 1),
        (lambda: store.delete(ids[1]), 2),
        (lambda: store.index_add("ann", ids[0], 60), 2),
        (lambda: store.index_list("ann"), 1),
        (lambda: store.index_remove("ann", ids), 1),
    ):
        with statements(store) as sent:
            await work()
        assert len(sent) == most, sent


# -- the purge --------------------------------------------------------------------------------


async def expired(store: Store, count: int) -> list[str]:
    """Leave sessions, and entries of a user, that have expired."""
    ids = [await stored(store, absolute=0.01) for _ in range(count)]
    await asyncio.gather(*(store.index_add("ann", id, 0.01) for id in ids))
    await asyncio.sleep(0.05)  # the database's clock is what is tested
    return ids


async def test_a_purge_deletes_what_has_expired_in_bounded_batches(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement deletes more than a batch, and nothing that lives is deleted."""
    monkeypatch.setattr(sql_purge, "AT_ONCE", 10)
    await expired(store, 25)
    live = await stored(store, user_id="ann")
    await store.index_add("ann", live, 60)
    with statements(store) as sent:
        assert await store.purge() == 50
    assert [rows for verb, rows in sent if verb == "DELETE"] == [10, 10, 5] * 2
    with statements(store) as sent:
        assert await store.purge() == 0
    assert "DELETE" not in [verb for verb, _ in sent]
    assert await store.load(live) is not None
    assert await store.index_list("ann") == [live]


async def test_one_purge_is_bounded_as_a_whole(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves is for the next one."""
    monkeypatch.setattr(sql_purge, "AT_ONCE", 1)
    await expired(store, 25)
    assert [await store.purge() for _ in range(3)] == [40, 10, 0]


async def test_what_is_renewed_meanwhile_is_not_purged(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found expired, but created or entered anew before the DELETE: it stays."""
    (id,) = await expired(store, 1)
    record, ask = make_record(), store._database.ask
    object.__setattr__(record.meta, "id", id)

    async def slow(statement: Any, **values: Any) -> Any:
        rows = await ask(statement, **values)
        if "user" in rows[0]._fields:
            await store.index_add("ann", id, 60)
        else:
            assert await store.create(record, 60)
        return rows

    monkeypatch.setattr(store._database, "ask", slow)
    await store.purge()
    monkeypatch.undo()
    assert await store.load(id) is not None
    assert await store.index_list("ann") == [id]
