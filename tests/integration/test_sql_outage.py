"""SQL databases that go away, and callers that do."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.databases import MariaDBServer
from tests.support.proxy import FaultProxy
from tests.support.sql import beside, sql, tables
from tornado_shared_session import StoreError
from tornado_shared_session.record import Delta, generate_id
from tornado_shared_session.stores.base import Deleted
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing.store_contract import make_record, stored

mariadb_only = pytest.mark.mariadb
PATIENT = 5.0


@pytest.fixture
async def store(sql_url: str, table_prefix: str) -> AsyncIterator[SQLStore]:
    """A store on each kind of database."""
    async with tables(sql_url, table_prefix, timeout=PATIENT) as store:
        yield store


@pytest.fixture
async def proxy(mariadb: MariaDBServer) -> AsyncIterator[FaultProxy]:
    """A wire to MariaDB that can be held and cut."""
    async with FaultProxy(mariadb.port) as proxy:
        yield proxy


@pytest.fixture
async def wired(
    mariadb: MariaDBServer, proxy: FaultProxy, table_prefix: str
) -> AsyncIterator[SQLStore]:
    """A store that reaches MariaDB through the proxy."""
    url = mariadb.url.replace(str(mariadb.port), str(proxy.port))
    async with tables(url, table_prefix, timeout=PATIENT) as store:
        yield store
        proxy.heal()


def pool(store: SQLStore) -> Any:
    """Return the pool of a store's connections."""
    return store._database.engine.sync_engine.pool


# -- connections that break ------------------------------------------------------------


async def kill_all(url: str) -> None:
    """Kill every connection to MariaDB but the one that does it."""
    async with beside(url) as other:
        ids = await sql(
            other,
            "SELECT GROUP_CONCAT(id) FROM information_schema.processlist"
            " WHERE id <> CONNECTION_ID() AND command = 'Sleep'",
        )
        for id in ids.split(","):
            await sql(other, f"KILL CONNECTION {id}")


@mariadb_only
async def test_connections_that_were_killed_do_not_count(
    mariadb: MariaDBServer, table_prefix: str
) -> None:
    """Whatever comes next works, writes included, each applied once (C3)."""
    async with tables(mariadb.url, table_prefix) as store:
        id, gone = await stored(store), await stored(store, user_id="ann")
        record = make_record()
        for work, answer in (
            (lambda: store.create(record, 60), True),
            (lambda: store.load(generate_id()), None),
            (lambda: store.peek([generate_id()]), [None]),
            (lambda: store.delete(gone, user_id="ann"), Deleted("ann")),
            (lambda: store.index_add("ann", id, 60), None),
            (lambda: store.index_list("ann"), [id]),
        ):
            await asyncio.gather(*(store.peek([id]) for _ in range(5)))
            assert pool(store).checkedin() > 1
            await kill_all(mariadb.url)
            assert await work() == answer
        await kill_all(mariadb.url)
        assert (await store.commit(Delta(id, 1, 0, set={b"a": b"1"}))).version == 2


@mariadb_only
async def test_a_commit_whose_read_was_cut_is_tried_again(
    wired: SQLStore, proxy: FaultProxy
) -> None:
    """Nothing was changed yet."""
    id = await stored(wired)
    loss = proxy.lose_replies(b"SELECT", count=2)
    committed = await wired.commit(Delta(id, 1, 0, set={b"a": b"1"}))
    assert (committed.version, loss.left) == (2, 0)


@mariadb_only
@pytest.mark.parametrize(
    ("verb", "work"),
    [
        (b"UPDATE", lambda store, id: store.commit(Delta(id, 1, 0, set={b"a": b"1"}))),
        (b"DELETE", lambda store, id: store.delete(id)),
    ],
    ids=["commit", "delete"],
)
async def test_a_lost_answer_is_an_error_and_no_second_try(
    wired: SQLStore,
    proxy: FaultProxy,
    verb: bytes,
    work: Callable[[SQLStore, str], Awaitable[Any]],
) -> None:
    """It may have been applied, and here it was: the caller is told that nothing is known."""
    id = await stored(wired)
    proxy.forget()
    proxy.lose_replies(verb, count=1)
    with pytest.raises(StoreError, match="hung up"):
        await work(wired, id)
    assert proxy.count(verb) == 1
    record = await wired.load(id)
    assert (record and record.version) == (2 if verb == b"UPDATE" else None)


@mariadb_only
async def test_a_create_whose_answer_was_lost_is_found_again(
    wired: SQLStore, proxy: FaultProxy
) -> None:
    """Tried once more, it meets its own row; another's row is still refused."""
    record, rival = make_record(a=b"1"), make_record()
    object.__setattr__(rival.meta, "id", record.meta.id)
    for one, created in ((record, True), (rival, False)):
        proxy.lose_replies(b"INSERT", count=1)
        assert await wired.create(one, 60) is created
    loaded = await wired.load(record.meta.id)
    assert loaded is not None
    assert (loaded.meta, loaded.version) == (record.meta, 1)


@mariadb_only
async def test_a_connection_that_keeps_breaking_is_given_up(
    wired: SQLStore, proxy: FaultProxy
) -> None:
    """Within bounds: a read is sent three times, not forever."""
    id = await stored(wired)
    proxy.forget()
    proxy.lose_replies(b"FROM t")
    with pytest.raises(StoreError, match="hung up"):
        await wired.peek([id])
    assert proxy.count(b"FROM t") == 3


@mariadb_only
async def test_killed_in_the_middle_of_an_update(mariadb: MariaDBServer, table_prefix: str) -> None:
    """The caller is told; nothing is applied then or later; the next commit works."""
    async with (
        tables(mariadb.url, table_prefix, timeout=PATIENT) as store,
        beside(mariadb.url) as other,
    ):
        id, name = await stored(store, a=b"1"), store._schema.sessions.name
        await sql(other, "BEGIN")
        await sql(other, f"SELECT id FROM {name} WHERE id = :id FOR UPDATE", id=id)
        commit = asyncio.ensure_future(store.commit(Delta(id, 1, 0, set={b"a": b"2"})))
        find = "SELECT id FROM information_schema.processlist WHERE info LIKE :like"
        async with asyncio.timeout(3):
            while not (victim := await sql(other, find, like=f"UPDATE {name}%")):
                await asyncio.sleep(0.01)  # the list announces nothing
        await sql(other, f"KILL CONNECTION {victim}")
        with pytest.raises(StoreError, match="hung up"):
            await commit
        await sql(other, "COMMIT")
        record = await store.load(id)
        assert record is not None
        assert (record.version, record.values) == (1, {b"a": b"1"})
        assert (await store.commit(Delta(id, 1, 0, set={b"a": b"2"}))).version == 2


@mariadb_only
async def test_nobody_waits_longer_than_the_bound(
    own_mariadb: MariaDBServer, table_prefix: str
) -> None:
    """A server that is frozen, then dead, then back: errors in time, then full service."""
    async with tables(own_mariadb.url, table_prefix, timeout=0.5) as store:
        id = await stored(store)

        async def all_fail() -> None:
            started = time.monotonic()
            answers = await asyncio.gather(
                *(store.load(id) for _ in range(30)),
                *(store.peek([id]) for _ in range(30)),
                *(store.commit(Delta(id, 1, 0, set={b"a": b"1"})) for _ in range(5)),
                store.create(make_record(), 60),
                return_exceptions=True,
            )
            assert {type(answer) for answer in answers} == {StoreError}
            assert time.monotonic() - started < 2  # the timeout, and a busy machine

        own_mariadb.pause()
        await all_fail()
        own_mariadb.resume()
        own_mariadb.kill()
        await all_fail()
        own_mariadb.start()
        back = False
        async with asyncio.timeout(5):
            while not back:
                try:
                    await store.load(id)
                    back = True
                except StoreError:
                    await asyncio.sleep(0.05)  # between two tries
        again = await stored(store)  # what was written last died with the server
        assert (await store.commit(Delta(again, 1, 0, set={b"b": b"1"}))).version == 2


# -- callers that go away -------------------------------------------------------------------


async def test_a_cancelled_commit_is_whole_or_not_at_all(store: SQLStore) -> None:
    """Of many, cancelled at any moment, none leaves half of itself, nor a dirty connection."""
    ids = [await stored(store, a=b"0", b=b"0") for _ in range(20)]
    chance, loop = random.Random(2), asyncio.get_running_loop()
    for number in range(1, 16):
        value = b"%d" % number
        commits = [
            asyncio.ensure_future(store.commit(Delta(id, 1, 0, set={b"a": value, b"b": value})))
            for id in ids
        ]
        for commit in chance.sample(commits, 12):
            loop.call_later(chance.choice((0.0, 0.001, 0.003, 0.01)), commit.cancel)
        answers = await asyncio.gather(*commits, return_exceptions=True)
        for id, answer in zip(ids, answers, strict=True):
            record = await store.load(id)
            assert record is not None
            assert record.meta.id == id
            assert record.values[b"a"] == record.values[b"b"]
            if not isinstance(answer, asyncio.CancelledError):
                assert not isinstance(answer, BaseException), answer
                assert record.values[b"a"] == value
    async with asyncio.timeout(3):
        while store._database._tasks:
            await asyncio.sleep(0.01)  # they announce themselves to the store alone
    assert pool(store).checkedout() == 0


@mariadb_only
async def test_a_cancelled_commit_never_lands_after_a_later_one(
    wired: SQLStore, proxy: FaultProxy
) -> None:
    """Its caller is gone, but the next commit of the session waits for its end."""
    id = await stored(wired)
    hold = proxy.hold(b"UPDATE", count=1)
    first = asyncio.ensure_future(wired.commit(Delta(id, 1, 0, set={b"a": b"first"})))
    await asyncio.wait_for(hold.reached.wait(), 3)
    first.cancel()
    later = asyncio.ensure_future(wired.commit(Delta(id, 1, 0, set={b"a": b"later"})))
    await asyncio.wait([later], timeout=0.2)
    hold.release()
    assert (await later).version == 3
    record = await wired.load(id)
    assert record is not None
    assert record.values == {b"a": b"later"}


async def test_an_interrupted_connection_is_closed_not_given_back(
    sql_url: str, table_prefix: str
) -> None:
    """Operations that run out of time in the middle of a statement spoil none after them."""
    async with tables(sql_url, table_prefix) as store:
        ids = [await stored(store) for _ in range(10)]
        for id in ids:
            await store.commit(Delta(id, 1, 0, set={b"own": id.encode()}))
        chance = random.Random(3)
        for _ in range(40):
            seconds = chance.choice((0.0, 0.0005, 0.001, 0.002, 0.004))
            store._database.timeout = seconds
            await asyncio.gather(*(store.load(id) for id in ids[:5]), return_exceptions=True)
            await asyncio.gather(*(store.peek([id]) for id in ids[:5]), return_exceptions=True)
            store._database.timeout = PATIENT
            for id, record in zip(ids, await asyncio.gather(*map(store.load, ids)), strict=True):
                assert record is not None
                assert (record.meta.id, record.values) == (id, {b"own": id.encode()})
