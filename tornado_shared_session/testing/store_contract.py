"""The contract of `Store`, as tests: for those who write a store.

With pytest and pytest-asyncio (``asyncio_mode = "auto"``), subclass
`StoreContract` under a name that begins with ``Test`` and give it a
fixture named ``store``::

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self):
            store = MyStore(...)
            await store.open()
            yield store
            await store.close()

Each test then runs against a store of its own. Tests of expiry wait in
real time, a fraction of a second; a store with a clock that can be
turned overrides `pass_time`. Nothing here imports pytest.
"""

from __future__ import annotations

import asyncio
import random

from ..errors import SessionConflict
from ..record import Credential, Delta, Meta, Record
from ..stores.base import Store
from .store_messages import MessageContract, refusal

_DAY = 86400.0
_SOON = 0.4  # seconds; long enough for some round trips, short enough to wait for


def make_record(
    *, ttl: float = _DAY, user_id: str | None = None, provisional: bool = False, **values: bytes
) -> Record:
    """Return a new record with a random id; keyword arguments are its values."""
    credential = Credential.generate()
    meta = Meta(credential.id, credential.digest, 1_700_000_000.0, user_id)
    data = {key.encode(): value for key, value in values.items()}
    return Record(meta, 1, 1, ttl, data, provisional)


async def stored(store: Store, *, absolute: float = _DAY, **options: object) -> str:
    """Create a record and return its id."""
    record = make_record(**options)  # type: ignore[arg-type]  # as make_record takes them
    assert await store.create(record, absolute)
    return record.meta.id


class StoreContract(MessageContract):
    """What every store must do. See the module's text for how to run it."""

    async def pass_time(self, store: Store, seconds: float) -> None:
        """Let time pass for a store; override it for one with a fake clock."""
        await asyncio.sleep(seconds)

    # -- load and create -------------------------------------------------------

    async def test_an_unknown_id_has_no_record(self, store: Store) -> None:
        """Loading what was never created gives None."""
        assert await store.load(Credential.generate().id) is None

    async def test_what_was_created_is_loaded(self, store: Store) -> None:
        """Bookkeeping, values and time to live come back."""
        record = make_record(user_id="ann", provisional=True, a=b"1", ü=b"\xff\x00")
        assert await store.create(record, 2 * _DAY)
        loaded = await store.load(record.meta.id)
        assert loaded is not None
        assert (loaded.meta, loaded.values) == (record.meta, record.values)
        assert (loaded.generation, loaded.version, loaded.provisional) == (1, 1, True)
        assert _DAY - 60 < loaded.ttl <= _DAY

    async def test_a_loaded_record_is_the_callers_own(self, store: Store) -> None:
        """Changing a loaded or a created record changes nothing in the store."""
        record = make_record(a=b"1")
        await store.create(record, _DAY)
        record.values[b"a"] = b"spoiled"
        loaded = await store.load(record.meta.id)
        assert loaded is not None
        assert loaded.values == {b"a": b"1"}
        loaded.values.clear()
        again = await store.load(record.meta.id)
        assert again is not None
        assert again.values == {b"a": b"1"}

    async def test_create_refuses_an_id_that_exists(self, store: Store) -> None:
        """The first record stays as it was."""
        id = await stored(store, a=b"first")
        second = make_record(b=b"second")
        second.meta = Meta(id, second.meta.digest, 0.0)
        assert not await store.create(second, _DAY)
        loaded = await store.load(id)
        assert loaded is not None
        assert loaded.values == {b"a": b"first"}

    # -- commit ------------------------------------------------------------------

    async def test_commit_never_creates(self, store: Store) -> None:
        """A commit to an id without a record is refused and leaves no record."""
        id = Credential.generate().id
        assert await refusal(store.commit(Delta(id, 1, _DAY, set={b"a": b"1"}))) == "expired"
        assert await store.load(id) is None

    async def test_a_commit_sets_and_deletes_the_named_keys_only(self, store: Store) -> None:
        """Two commits on different keys, from the same load, both last."""
        id = await stored(store, a=b"1", b=b"1", c=b"1")
        await store.commit(Delta(id, 1, 0, set={b"a": b"2"}))
        await store.commit(Delta(id, 1, 0, set={b"d": b"2"}, delete=(b"b", b"unknown")))
        loaded = await store.load(id)
        assert loaded is not None
        assert loaded.values == {b"a": b"2", b"c": b"1", b"d": b"2"}

    async def test_clear_removes_every_key_first(self, store: Store) -> None:
        """What the same delta sets stays, and so does the bookkeeping."""
        id = await stored(store, user_id="ann", a=b"1", b=b"1")
        await store.commit(Delta(id, 1, 0, clear=True, set={b"b": b"2"}))
        loaded = await store.load(id)
        assert loaded is not None
        assert loaded.values == {b"b": b"2"}
        assert loaded.meta.user_id == "ann"

    async def test_the_version_counts_changes_not_touches(self, store: Store) -> None:
        """A touch keeps it; each commit of values moves it on by one."""
        id = await stored(store, a=b"1")
        assert (await store.commit(Delta(id, 1, _DAY))).version == 1
        assert (await store.commit(Delta(id, 1, 0, set={b"a": b"2"}))).version == 2
        assert (await store.commit(Delta(id, 1, 0, delete=(b"a",)))).version == 3
        loaded = await store.load(id)
        assert loaded is not None
        assert loaded.version == 3

    async def test_another_version_is_a_conflict(self, store: Store) -> None:
        """A commit that names an old version changes nothing."""
        id = await stored(store, a=b"1")
        await store.commit(Delta(id, 1, 0, version=1, set={b"a": b"2"}))
        try:
            await store.commit(Delta(id, 1, 0, version=1, set={b"a": b"3"}))
        except SessionConflict:
            pass
        else:
            raise AssertionError("the commit was accepted")
        loaded = await store.load(id)
        assert loaded is not None
        assert (loaded.version, loaded.values) == (2, {b"a": b"2"})

    async def test_new_bookkeeping_moves_the_generation_on(self, store: Store) -> None:
        """A rotation stores meta and user, and cuts the old generation off."""
        record = make_record(a=b"1")
        await store.create(record, _DAY)
        id = record.meta.id
        meta = record.meta.rotated(b"\x01" * 32, 5.0, 60).of_user("ann")
        committed = await store.commit(Delta(id, 1, 0, set={b"b": b"2"}, meta=meta))
        assert committed.version == 2
        loaded = await store.load(id)
        assert loaded is not None
        assert (loaded.meta, loaded.generation) == (meta, 2)
        assert loaded.values == {b"a": b"1", b"b": b"2"}
        assert await refusal(store.commit(Delta(id, 1, 0, set={b"a": b"late"}))) == "rotated"
        assert await store.delete(id, user_id="ann") is not None

    async def test_confirm_makes_a_provisional_record_a_normal_one(self, store: Store) -> None:
        """Only a delta that says so."""
        id = await stored(store, provisional=True)
        for confirm in (False, True):
            await store.commit(Delta(id, 1, _DAY, confirm=confirm))
            loaded, (peek,) = await store.load(id), await store.peek([id])
            assert loaded is not None
            assert peek is not None
            assert loaded.provisional is peek.provisional is not confirm

    async def test_thousands_of_keys_in_one_delta(self, store: Store) -> None:
        """Created, set, deleted and cleared at once."""
        record = make_record()
        record.values = {b"%d" % i: b"old" for i in range(9000)}
        assert await store.create(record, _DAY)
        id = record.meta.id
        # The first and the last of them stay; some in the middle are deleted as well.
        changes = {b"%d" % i: b"new" for i in (*range(9000, 13_002), *range(4001, 9000))}
        gone = tuple(b"%d" % i for i in range(5001))
        await store.commit(Delta(id, 1, 0, set=changes, delete=gone))
        loaded = await store.load(id)
        assert loaded is not None
        expected = {b"%d" % i: b"old" if i < 4001 else b"new" for i in range(5001, 13_002)}
        assert loaded.values == expected
        await store.commit(Delta(id, 1, 0, clear=True))
        loaded = await store.load(id)
        assert loaded is not None
        assert loaded.values == {}

    # -- time ------------------------------------------------------------------------

    async def test_a_record_expires(self, store: Store) -> None:
        """After its time to live it can be neither loaded, seen nor changed."""
        id = await stored(store, ttl=_SOON, a=b"1")
        await self.pass_time(store, _SOON + 0.05)
        assert await store.load(id) is None
        assert await store.peek([id]) == [None]
        assert await store.delete(id) is None
        await self._expect_expired(store, id)

    async def test_loading_and_peeking_do_not_extend_life(self, store: Store) -> None:
        """Nor does a commit with a time to live of 0."""
        id = await stored(store, ttl=_SOON)
        await store.load(id)
        await store.peek([id])
        committed = await store.commit(Delta(id, 1, 0, set={b"a": b"1"}))
        assert committed.ttl is None
        await self.pass_time(store, _SOON + 0.05)
        assert await store.load(id) is None

    async def test_the_deadline_moves_forward(self, store: Store) -> None:
        """A commit with a longer time to live extends life, and says to what."""
        id = await stored(store, ttl=_DAY / 2)
        committed = await store.commit(Delta(id, 1, _DAY - 5))
        assert committed.ttl is not None
        assert _DAY - 65 < committed.ttl <= _DAY - 5
        (peek,) = await store.peek([id])
        assert peek is not None
        assert peek.ttl > _DAY - 65

    async def test_the_deadline_never_moves_back(self, store: Store) -> None:
        """A commit with a shorter time to live leaves it alone."""
        id = await stored(store)
        committed = await store.commit(Delta(id, 1, 1, set={b"a": b"1"}))
        assert committed.ttl is not None
        assert committed.ttl > _DAY - 60
        loaded = await store.load(id)
        assert loaded is not None
        assert loaded.ttl > _DAY - 60

    async def test_the_absolute_deadline_holds(self, store: Store) -> None:
        """Neither creation nor any number of commits gets past it."""
        id = await stored(store, absolute=_SOON)
        committed = await store.commit(Delta(id, 1, _DAY, set={b"a": b"1"}))
        assert committed.ttl is not None
        assert committed.ttl < _SOON + 0.01
        await self.pass_time(store, _SOON + 0.05)
        await self._expect_expired(store, id)

    async def _expect_expired(self, store: Store, id: str) -> None:
        assert await refusal(store.commit(Delta(id, 1, _DAY, set={b"a": b"1"}))) == "expired"

    # -- concurrency --------------------------------------------------------------------

    async def test_a_cancelled_caller_never_gives_its_answer_to_another(self, store: Store) -> None:
        """Of many loads, many of them cancelled, each answer is its own."""
        ids = [await stored(store) for _ in range(50)]
        for id in ids:
            await store.commit(Delta(id, 1, 0, set={b"own": id.encode()}))
        chance = random.Random(1)  # noqa: S311  # the same cancellations each time
        loop, answered = asyncio.get_running_loop(), 0
        for _ in range(20):
            loads = [asyncio.ensure_future(store.load(id)) for id in ids]
            for load in chance.sample(loads, 20):
                loop.call_later(chance.choice((0.0, 0.0005, 0.002)), load.cancel)
            answers = await asyncio.gather(*loads, return_exceptions=True)
            for id, answer in zip(ids, answers, strict=True):
                if not isinstance(answer, asyncio.CancelledError):
                    assert isinstance(answer, Record), answer
                    assert (answer.meta.id, answer.values) == (id, {b"own": id.encode()})
                    answered += 1
        assert answered >= 600
