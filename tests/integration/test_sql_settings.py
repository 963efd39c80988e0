"""How a SQL store is set up, what it says when it fails, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from tests.support.databases import MariaDBServer, PostgresServer
from tests.support.processes import ROOT
from tests.support.sites import eventually, until
from tests.support.sql import beside, no_threads_left, sql, tables
from tornado_shared_session import ConfigurationError, StoreError
from tornado_shared_session.record import Delta, generate_id
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing.store_contract import make_record, stored
from tornado_shared_session.testing.store_messages import listening


@pytest.fixture
async def store(sql_url: str, table_prefix: str) -> AsyncIterator[SQLStore]:
    """A store on each kind of database."""
    async with tables(sql_url, table_prefix) as store:
        yield store


# -- configuration ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://app:hunter2@db.internal/app", r"mysql\+aiomysql://.*\[sql\]"),
        ("mariadb://app:hunter2@db.internal/app", r"mariadb\+aiomysql://.*\[sql\]"),
        ("mysql+pymysql://app:hunter2@db.internal/app", r"mysql\+aiomysql://.*\[sql\]"),
        ("mysql+nosuch://app:hunter2@db.internal/app", r"mysql\+aiomysql://.*\[sql\]"),
        ("mysql+asyncmy://app:hunter2@db.internal/app", r"mysql\+aiomysql://.*\[sql\]"),
        ("postgresql://app:hunter2@db.internal/app", r"postgresql\+asyncpg://.*\[sql\]"),
        ("postgresql+psycopg2://app:hunter2@db.internal/app", r"postgresql\+asyncpg://"),
        ("sqlite:///hunter2/db.internal", r"sqlite\+aiosqlite://.*\[sql\]"),
        ("oracle://app:hunter2@db.internal/app", "MySQL, MariaDB, PostgreSQL and SQLite"),
        ("hunter2 db.internal", "takes the URL"),
        ("mysql+aiomysql://app:hunter2@db.internal:port/app", "takes the URL"),
        (None, "takes the URL"),
    ],
    ids=str,
)
def test_a_url_that_cannot_work_names_the_remedy(url: Any, message: str) -> None:
    """And neither the password nor the address."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        SQLStore(url)
    said = "".join(traceback.format_exception(caught.value))
    said = said.replace(repr(url), "").replace(str(url), "")
    assert "hunter2" not in said
    assert "db.internal" not in said


@pytest.mark.parametrize("prefix", ["", "a-b", "Tss_", "1a", "a" * 33, "a; DROP TABLE", None])
def test_a_prefix_that_begins_no_name_is_refused(prefix: Any) -> None:
    """It becomes part of statements."""
    with pytest.raises(ConfigurationError, match="prefix"):
        SQLStore("sqlite+aiosqlite://", prefix=prefix)


@pytest.mark.parametrize("missing", ["sqlalchemy", "greenlet"])
async def test_without_the_extra_the_import_says_how_to_get_it(missing: str) -> None:
    """And the package itself needs none of it."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import tornado_shared_session, tornado_shared_session.testing\n"
        "assert 'aiosqlite' not in sys.modules\n"
        "try:\n    import tornado_shared_session.stores.sql\n"
        "except ImportError as error:\n    print(error)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert b"pip install tornado_shared_session[sql]" in said


def test_the_package_does_not_import_sqlalchemy() -> None:
    """Only those who ask for the store pay for it."""
    source = (ROOT / "tornado_shared_session/__init__.py").read_text()
    assert "sql" not in source.lower()


async def test_an_engine_of_the_users_stays_theirs(sql_url: str, table_prefix: str) -> None:
    """It serves, with whatever isolation it has, and is open after the store was closed."""
    engine = create_async_engine(sql_url)
    store = SQLStore(engine, prefix=table_prefix, timeout=5)  # rivals on SQLite do not queue
    await store.create_tables()
    ids = await asyncio.gather(*(stored(store, a=b"1") for _ in range(30)))
    await asyncio.gather(*(store.commit(Delta(id, 1, 0, set={b"a": b"2"})) for id in ids))
    for record in await asyncio.gather(*map(store.load, ids)):
        assert record is not None
        assert (record.version, record.values) == (2, {b"a": b"2"})
    await store.close()
    async with engine.connect() as connection:
        assert await sql(connection, "SELECT 1") == 1
    await engine.dispose()


async def test_an_engine_that_shares_one_connection_is_refused() -> None:
    """Statements of several callers would meet on it."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    with pytest.raises(ConfigurationError, match="give SQLStore an engine with a pool"):
        SQLStore(engine)
    await engine.dispose()


async def test_a_database_in_memory_is_one_database() -> None:
    """Also for many callers at once; for tests."""
    async with tables("sqlite+aiosqlite://", "t_") as store:
        ids = await asyncio.gather(*(stored(store) for _ in range(20)))
        peeks = await asyncio.gather(*(store.peek([id]) for id in ids))
        assert all(peek is not None for (peek,) in peeks)


async def test_a_store_belongs_to_one_event_loop(tmp_path: Path) -> None:
    """In another one it says so, rather than to hang."""
    async with tables(f"sqlite+aiosqlite:///{tmp_path}/db", "t_") as store:
        with pytest.raises(ConfigurationError, match="one store"):
            await asyncio.to_thread(asyncio.run, store.load(generate_id()))


# -- values and clocks -------------------------------------------------------------------


@pytest.mark.mariadb
@pytest.mark.parametrize("mode", ["NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", ""])
async def test_values_are_never_part_of_a_statement(
    mariadb: MariaDBServer, table_prefix: str, mode: str
) -> None:
    """Quotes and backslashes stay what they are in every sql_mode."""
    url = f"{mariadb.url}?init_command=SET SESSION sql_mode='{mode}'"
    async with tables(url, table_prefix) as store:
        value = b"\\' , payload = '', generation = 99 -- \" \\\\' \x00\xff'' %s :a"
        id = await stored(store, a=value)
        await store.commit(Delta(id, 1, 0, set={b"b": value, value: value}))
        record = await store.load(id)
        assert record is not None
        assert record.values == {b"a": value, b"b": value, value: value}
        assert await store.load("' OR '1'='1") is None
        assert await store.load("\\' OR 1=1 -- ") is None
        assert [peek is not None for peek in await store.peek(["' OR '1'='1", id])] == [False, True]


@pytest.mark.mariadb
async def test_time_zones_do_not_matter(mariadb: MariaDBServer, table_prefix: str) -> None:
    """Two connections in different zones mean the same deadline."""
    async with (
        tables(f"{mariadb.url}?init_command=SET time_zone='-07:30'", table_prefix) as west,
        tables(f"{mariadb.url}?init_command=SET time_zone='%2B13:00'", table_prefix) as east,
    ):
        id = await stored(west, ttl=100)
        for store in (west, east):
            (peek,) = await store.peek([id])
            assert peek is not None
            assert 90 < peek.ttl <= 100
        assert (await east.commit(Delta(id, 1, 200))).ttl == pytest.approx(200, abs=1)
        (peek,) = await west.peek([id])
        assert peek is not None
        assert 190 < peek.ttl <= 200


# -- errors -----------------------------------------------------------------------------------

#: Makes each UPDATE of the sessions' table fail with a message of its own.
REFUSE = {
    "sqlite": "CREATE TRIGGER {t}_no BEFORE UPDATE ON {t} BEGIN SELECT RAISE(FAIL, 'refused'); END",
    "mysql": "CREATE TRIGGER {t}_no BEFORE UPDATE ON {t} FOR EACH ROW"
    " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'",
    "postgresql": "CREATE RULE {t}_no AS ON UPDATE TO {t} DO INSTEAD SELECT 1 / 0",
}


async def test_an_error_tells_no_statement_no_value_and_no_address(
    store: SQLStore, sql_url: str
) -> None:
    """Neither its message nor what is chained to it; the connections are still good."""
    id, value = await stored(store), generate_id().encode()
    async with beside(sql_url) as connection:
        backend = connection.dialect.name
        await connection.exec_driver_sql(REFUSE[backend].format(t=store._schema.sessions.name))
    with pytest.raises(StoreError) as caught:
        await store.commit(Delta(id, 1, 0, set={b"k": value}))
    said = "".join(traceback.format_exception(caught.value, chain=True))
    assert "refused (" in str(caught.value)
    for secret in ("UPDATE ", value.decode(), value.hex(), sql_url.partition("//")[2], id):
        assert secret not in said
    record = await store.load(id)
    assert record is not None
    assert record.version == 1


async def test_a_server_that_is_not_there_is_an_error_without_its_address() -> None:
    """Port 1 answers nobody; the same for a file that cannot be opened."""
    for url in (
        "mysql+aiomysql://app:hunter2@127.0.0.1:1/app",
        "postgresql+asyncpg://app:hunter2@127.0.0.1:1/app",
        "sqlite+aiosqlite:////no/such/folder/hunter2.db",
    ):
        async with no_threads_left():
            store = SQLStore(url)
            for ask in (store.load(generate_id()), store.create(make_record(), 60)):
                with pytest.raises(StoreError) as caught:
                    await ask
                assert "127.0.0.1" not in str(caught.value)
                assert "hunter2" not in "".join(traceback.format_exception(caught.value))
            await store.close()
        assert "hunter2" not in repr(store)


@pytest.mark.postgres
async def test_connections_that_postgres_ended_do_not_count(
    postgres: PostgresServer, table_prefix: str
) -> None:
    """What comes next works."""
    async with tables(postgres.url, table_prefix) as store, beside(postgres.url) as other:
        id = await stored(store)
        await sql(
            other,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        assert (await store.commit(Delta(id, 1, 0, set={b"a": b"1"}))).version == 2


# -- its own task ------------------------------------------------------------------------------


async def test_an_open_store_purges_by_itself(
    sql_url: str, table_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Again and again, also after a failure, which is a warning; until it is closed."""
    async with tables(sql_url, table_prefix, purge_interval=0.05) as store:
        engine, table = store._database.engine, store._schema.sessions

        async def rows() -> int:
            async with engine.connect() as connection:
                return int(await sql(connection, f"SELECT COUNT(*) FROM {table.name}"))

        async def is_empty() -> None:
            async def empty() -> bool:
                return await rows() == 0

            await eventually(empty)

        await stored(store, ttl=0.01)
        await is_empty()
        async with beside(sql_url) as connection:
            await sql(connection, f"ALTER TABLE {table.name} RENAME TO {table.name}_away")
            await until(lambda: "could not be purged" in caplog.text)
            await sql(connection, f"ALTER TABLE {table.name}_away RENAME TO {table.name}")
        await stored(store, ttl=0.01)
        await is_empty()
    assert all(record.levelno <= logging.WARNING for record in caplog.records)
    assert "CREATE" not in caplog.text


async def test_messages_stay_in_the_process(store: SQLStore, sql_url: str) -> None:
    """There is no channel in the database; a listener is told once that it may have missed some."""
    other = SQLStore(sql_url, prefix=store._prefix)
    async with listening(store) as here, listening(other) as there:
        await store.publish(b"to those who share the store")
        assert await here.message() == b"to those who share the store"
        assert there.messages.empty()
        assert here.gaps.empty()
    await other.close()


async def test_closing_waits_for_what_is_under_way(store: SQLStore) -> None:
    """A commit that was begun is stored; closing twice is harmless."""
    id = await stored(store)
    commit = asyncio.ensure_future(store.commit(Delta(id, 1, 0, set={b"a": b"1"})))
    await asyncio.sleep(0)
    await store.close()
    assert (await commit).version == 2
    await store.close()
