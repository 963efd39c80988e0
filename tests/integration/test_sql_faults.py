"""What goes wrong between a SQL store and its database, on a real MariaDB.

The wire is held or cut by a proxy at a statement of the test's choice;
locks and kills come from a connection beside the store's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.databases import MariaDBServer
from tests.support.proxy import FaultProxy
from tests.support.sql import beside, sql, tables
from tornado_shared_session import SessionConflict, StoreError
from tornado_shared_session.record import Delta, generate_id
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing.store_contract import make_record, stored
from tornado_shared_session.testing.store_messages import refusal

pytestmark = pytest.mark.mariadb

PATIENT = 5.0  # seconds; for what must be ended by the test, not by the store's timeout


@pytest.fixture
async def other(mariadb: MariaDBServer) -> AsyncIterator[AsyncConnection]:
    """A connection beside the store's."""
    async with beside(mariadb.url) as connection:
        yield connection


@pytest.fixture
async def store(mariadb: MariaDBServer, table_prefix: str) -> AsyncIterator[SQLStore]:
    """A store that reaches its database directly."""
    async with tables(mariadb.url, table_prefix, timeout=PATIENT) as store:
        yield store


@pytest.fixture
async def proxy(mariadb: MariaDBServer) -> AsyncIterator[FaultProxy]:
    """A wire that can be held and cut."""
    async with FaultProxy(mariadb.port) as proxy:
        yield proxy


@pytest.fixture
async def wired(
    mariadb: MariaDBServer, proxy: FaultProxy, store: SQLStore, table_prefix: str
) -> AsyncIterator[SQLStore]:
    """The same tables, reached through the proxy."""
    url = mariadb.url.replace(str(mariadb.port), str(proxy.port))
    wired = SQLStore(url, prefix=table_prefix, timeout=PATIENT)
    await wired.load(generate_id())
    yield wired
    proxy.heal()
    await wired.close()


async def values_of(store: SQLStore, id: str) -> dict[bytes, bytes]:
    """Return the values of a session that lives."""
    record = await store.load(id)
    assert record is not None
    return record.values


def table(store: SQLStore) -> str:
    """Return the name of the sessions' table."""
    return str(store._schema.sessions.name)


# -- between the read and the write of a commit ---------------------------------------------


async def held_commit(
    wired: SQLStore, proxy: FaultProxy, delta: Delta, meanwhile: Callable[[], Awaitable[Any]]
) -> Any:
    """Hold a commit's UPDATE on the wire while something else happens."""
    hold = proxy.hold(b"UPDATE", count=1)
    commit = asyncio.ensure_future(wired.commit(delta))
    await asyncio.wait_for(hold.reached.wait(), 3)
    await meanwhile()
    hold.release()
    return await commit


async def test_a_rival_with_another_key_loses_nothing(
    store: SQLStore, wired: SQLStore, proxy: FaultProxy
) -> None:
    """The commit that was overtaken merges with what is there by then."""
    id = await stored(store, a=b"1", b=b"1")
    delta = Delta(id, 1, 0, set={b"a": b"2"}, delete=(b"b",))
    rival = Delta(id, 1, 0, set={b"c": b"rival"})
    committed = await held_commit(wired, proxy, delta, lambda: store.commit(rival))
    assert committed.version == 3
    assert await values_of(store, id) == {b"a": b"2", b"c": b"rival"}


async def test_a_rival_is_a_conflict_for_whoever_asked_to_be_told(
    store: SQLStore, wired: SQLStore, proxy: FaultProxy
) -> None:
    """The version that was read is not the one that is written upon."""
    id = await stored(store, a=b"1")
    delta = Delta(id, 1, 0, version=1, set={b"a": b"2"})
    rival = Delta(id, 1, 0, set={b"a": b"rival"})
    with pytest.raises(SessionConflict):
        await held_commit(wired, proxy, delta, lambda: store.commit(rival))
    assert await values_of(store, id) == {b"a": b"rival"}


@pytest.mark.parametrize("delta", [{"set": {b"a": b"late"}}, {"ttl": 3600}], ids=["write", "touch"])
async def test_a_login_in_between_refuses_the_commit(
    store: SQLStore, wired: SQLStore, proxy: FaultProxy, delta: dict[str, Any]
) -> None:
    """A request of the older generation changes nothing, not even the deadline."""
    record = make_record(ttl=60, a=b"1")
    await store.create(record, 7200)
    id = record.meta.id
    login = Delta(id, 1, 0, meta=record.meta.of_user("ann"))
    late = Delta(id, 1, **{"ttl": 0.0, **delta})
    held = held_commit(wired, proxy, late, lambda: store.commit(login))
    assert await refusal(held) == "rotated"
    loaded = await store.load(id)
    assert loaded is not None
    assert (loaded.values, loaded.ttl <= 60) == ({b"a": b"1"}, True)


async def test_a_delete_in_between_is_not_undone(
    store: SQLStore, wired: SQLStore, proxy: FaultProxy
) -> None:
    """The late commit is refused, and there is no record."""
    id = await stored(store, a=b"1")
    late = Delta(id, 1, 3600, set={b"a": b"late"})
    assert await refusal(held_commit(wired, proxy, late, lambda: store.delete(id))) == "expired"
    assert await store.load(id) is None


async def test_what_expires_in_between_stays_expired(
    store: SQLStore, wired: SQLStore, proxy: FaultProxy
) -> None:
    """The deadline is looked at again by the statement that would move it."""
    id = await stored(store, ttl=0.3)

    async def gone() -> None:
        async with asyncio.timeout(3):
            while await store.peek([id]) != [None]:
                await asyncio.sleep(0.02)  # a row announces no expiry

    assert await refusal(held_commit(wired, proxy, Delta(id, 1, 3600), gone)) == "expired"
    assert await store.peek([id]) == [None]


async def test_what_expires_while_its_row_is_locked_stays_expired(
    store: SQLStore, other: AsyncConnection
) -> None:
    """The clock is read after the wait for the lock, not before."""
    id = await stored(store, ttl=0.3)
    await sql(other, "BEGIN")
    await sql(other, f"SELECT id FROM {table(store)} WHERE id = :id FOR UPDATE", id=id)
    commit = asyncio.ensure_future(store.commit(Delta(id, 1, 3600)))
    async with asyncio.timeout(3):
        while await store.peek([id]) != [None]:
            await asyncio.sleep(0.02)  # nor does it here
    assert not commit.done()
    await sql(other, "COMMIT")
    assert await refusal(commit) == "expired"
    assert await store.peek([id]) == [None]


async def test_a_login_in_between_refuses_the_delete(
    store: SQLStore, wired: SQLStore, proxy: FaultProxy
) -> None:
    """A logout of the older generation does not end the session."""
    record = make_record()
    await store.create(record, 60)
    id = record.meta.id
    hold = proxy.hold(b"DELETE", count=1)
    delete = asyncio.ensure_future(wired.delete(id, generation=1))
    await asyncio.wait_for(hold.reached.wait(), 3)
    await store.commit(Delta(id, 1, 0, meta=record.meta.of_user("ann")))
    hold.release()
    assert await refusal(delete) == "rotated"
    assert await store.load(id) is not None


async def test_many_writers_in_two_processes_lose_nothing(
    mariadb: MariaDBServer, store: SQLStore, table_prefix: str
) -> None:
    """Sixty commits of different keys to one session, each counted once."""
    second = SQLStore(mariadb.url, prefix=table_prefix, timeout=PATIENT)
    id = await stored(store)
    keys = [b"%d" % number for number in range(60)]
    done = await asyncio.gather(
        *((store, second)[int(key) % 2].commit(Delta(id, 1, 0, set={key: key})) for key in keys)
    )
    assert sorted(committed.version for committed in done) == list(range(2, 62))
    assert await values_of(store, id) == {key: key for key in keys}
    await second.close()


# -- locks -----------------------------------------------------------------------------------


async def test_a_deadlock_is_tried_again(store: SQLStore, other: AsyncConnection) -> None:
    """The database chose our statement as the victim (1213): nothing is lost, nor doubled."""
    id, sessions = await stored(store, a=b"1"), table(store)
    extra = f"{sessions}_extra"
    await sql(other, f"CREATE TABLE {extra} (n INT PRIMARY KEY, hits INT) ENGINE=InnoDB")
    await sql(other, f"INSERT INTO {extra} SELECT seq, 0 FROM seq_1_to_500")
    # Each UPDATE of a session also takes row 1 of the other table.
    await sql(
        other,
        f"CREATE TRIGGER {extra}_t BEFORE UPDATE ON {sessions} FOR EACH ROW"
        f" UPDATE {extra} SET hits = hits + 1 WHERE n = 1",
    )
    deadlocks = "SELECT variable_value FROM information_schema.global_status"
    deadlocks += " WHERE variable_name = 'innodb_deadlocks'"
    before = int(await sql(other, deadlocks))
    await sql(other, "BEGIN")
    await sql(other, f"UPDATE {extra} SET hits = 1")  # heavier than ours, so it survives
    commit = asyncio.ensure_future(store.commit(Delta(id, 1, 0, set={b"b": b"2"})))
    await waiting_for_a_lock(other)
    await sql(other, f"SELECT id FROM {sessions} WHERE id = :id FOR UPDATE", id=id)
    await sql(other, "COMMIT")
    assert (await commit).version == 2
    assert await values_of(store, id) == {b"a": b"1", b"b": b"2"}
    assert int(await sql(other, deadlocks)) == before + 1
    assert await sql(other, f"SELECT hits FROM {extra} WHERE n = 1") == 2


async def waiting_for_a_lock(other: AsyncConnection) -> None:
    """Wait until some transaction waits for a lock."""
    count = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    async with asyncio.timeout(3):
        # A snapshot, made anew when nobody has read it for a tenth of a second.
        while not await sql(other, count):
            await asyncio.sleep(0.15)  # as said above


async def test_a_wait_for_a_lock_that_was_too_long_is_tried_again(
    mariadb: MariaDBServer, store: SQLStore, other: AsyncConnection, table_prefix: str
) -> None:
    """The server gives up after a second (1205), the rival after a little more."""
    url = f"{mariadb.url}?init_command=SET SESSION innodb_lock_wait_timeout=1"
    impatient = SQLStore(url, prefix=table_prefix, timeout=PATIENT)
    id = await stored(store)
    await sql(other, "BEGIN")
    await sql(other, f"SELECT id FROM {table(store)} WHERE id = :id FOR UPDATE", id=id)
    started = time.monotonic()
    commit = asyncio.ensure_future(impatient.commit(Delta(id, 1, 0, set={b"a": b"1"})))
    await asyncio.sleep(1.3)  # the server's own timeout is what is tested
    await sql(other, "COMMIT")
    assert (await commit).version == 2
    assert 1.2 < time.monotonic() - started < 3
    await impatient.close()


async def test_a_lock_that_is_never_released_is_an_error_in_time(
    mariadb: MariaDBServer, store: SQLStore, other: AsyncConnection, table_prefix: str
) -> None:
    """The caller waits for the timeout and no longer; so do those who queue behind it."""
    hasty = SQLStore(mariadb.url, prefix=table_prefix, timeout=0.4)
    id = await stored(store)
    await sql(other, "BEGIN")
    await sql(other, f"SELECT id FROM {table(store)} WHERE id = :id FOR UPDATE", id=id)
    started = time.monotonic()
    commits = (hasty.commit(Delta(id, 1, 0, set={b"%d" % i: b"1"})) for i in range(5))
    answers = await asyncio.gather(*commits, return_exceptions=True)
    assert time.monotonic() - started < 0.9
    assert [type(answer) for answer in answers] == [StoreError] * 5
    assert await hasty.load(id) is not None
    await sql(other, "ROLLBACK")
    await hasty.close()
