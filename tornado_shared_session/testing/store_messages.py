"""The second half of the store contract: ends, peeks, index and messages.

See `store_contract.py`, which is what users import.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from ..errors import SessionEnded
from ..record import Credential, Delta, Meta, Record
from ..stores.base import Deleted, Store

_DAY = 86400.0
_LATE = 5.0  # seconds until a message that has not come is a failure


async def _stored(store: Store, user_id: str | None = None, ttl: float = _DAY) -> str:
    credential = Credential.generate()
    meta = Meta(credential.id, credential.digest, 1_700_000_000.0, user_id)
    assert await store.create(Record(meta, 1, 1, ttl, {}), _DAY)
    return credential.id


async def refusal(work: Awaitable[object]) -> str:
    """Await what must raise SessionEnded; return the reason."""
    try:
        await work
    except SessionEnded as error:
        return error.reason
    raise AssertionError("what should have been refused was accepted")


class Listener:
    """What a store delivers, to wait for."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.gaps: asyncio.Queue[None] = asyncio.Queue()

    async def message(self) -> bytes:
        """Wait for the next message."""
        async with asyncio.timeout(_LATE):
            return await self.messages.get()

    async def gap(self) -> None:
        """Wait for the next (re)connect."""
        async with asyncio.timeout(_LATE):
            await self.gaps.get()


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[Listener]:
    """Listen to a store; begins when it says that it is connected."""
    heard = Listener()
    task = asyncio.ensure_future(
        store.listen(heard.messages.put_nowait, lambda: heard.gaps.put_nowait(None))
    )
    try:
        await heard.gap()
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class MessageContract:
    """Tests of `delete`, `peek`, the index, `publish` and `listen`."""

    # -- delete ----------------------------------------------------------------

    async def test_delete_says_whose_it_was(self, store: Store) -> None:
        """The second time there is nothing to delete."""
        anonymous, ann = await _stored(store), await _stored(store, "ann")
        assert await store.delete(anonymous) == Deleted(None)
        assert await store.delete(ann) == Deleted("ann")
        assert await store.delete(ann) is None
        assert await store.load(ann) is None

    async def test_delete_checks_the_user(self, store: Store) -> None:
        """Another user's record, or nobody's, is as good as none."""
        anonymous, ann = await _stored(store), await _stored(store, "ann")
        assert await store.delete(ann, user_id="bob") is None
        assert await store.delete(ann, user_id="") is None
        assert await store.delete(anonymous, user_id="ann") is None
        assert await store.delete(anonymous, user_id="") is None
        assert None not in await store.peek([anonymous, ann])
        assert await store.delete(ann, user_id="ann") == Deleted("ann")

    async def test_delete_checks_the_generation(self, store: Store) -> None:
        """A request of an older generation cannot end the session."""
        id = await _stored(store)
        assert await refusal(store.delete(id, generation=2)) == "rotated"
        assert await store.load(id) is not None
        assert await store.delete(id, generation=1) == Deleted(None)
        assert await store.delete(id, generation=1) is None

    async def test_a_late_commit_does_not_resurrect(self, store: Store) -> None:
        """After a delete, commits are refused and nothing comes back."""
        id = await _stored(store)
        await store.delete(id)
        assert await refusal(store.commit(Delta(id, 1, _DAY, set={b"a": b"1"}))) == "expired"
        assert await store.peek([id]) == [None]

    # -- peek --------------------------------------------------------------------

    async def test_peek_answers_in_the_order_asked(self, store: Store) -> None:
        """Also for unknown ids, ids that are named twice, and none at all."""
        one, two = await _stored(store), await _stored(store, ttl=100)
        nobody = Credential.generate().id
        first, none, second, again = await store.peek([one, nobody, two, one])
        assert none is None
        assert first is not None
        assert second is not None
        assert again is not None
        assert first.ttl > 100 >= second.ttl > 0
        assert again.ttl > 100
        assert await store.peek([]) == []

    async def test_peek_sees_the_generation(self, store: Store) -> None:
        """It moves on with each rotation."""
        id = await _stored(store)
        record = await store.load(id)
        assert record is not None
        for generation in (1, 2, 3):
            (peek,) = await store.peek([id])
            assert peek is not None
            assert peek.generation == generation
            await store.commit(Delta(id, generation, 0, meta=record.meta))

    async def test_peek_sees_the_version(self, store: Store) -> None:
        """It moves on with each change of values or bookkeeping, and is that of a load."""
        id = await _stored(store)
        for version in (1, 2, 3):
            record, (peek,) = await store.load(id), await store.peek([id])
            assert record is not None
            assert peek is not None
            assert peek.version == record.version == version
            await store.commit(Delta(id, 1, _DAY))
            await store.commit(Delta(id, 1, 0, set={b"a": b"%d" % version}))

    async def test_peek_takes_many_ids(self, store: Store) -> None:
        """Every answer stands where its id stood."""
        live = {await _stored(store) for _ in range(60)}
        some = iter(sorted(live))
        ids = [
            next(some) if number % 20 == 7 else Credential.generate().id for number in range(1200)
        ]
        assert [id for id, peek in zip(ids, await store.peek(ids), strict=True) if peek] == sorted(
            live
        )

    # -- the index ------------------------------------------------------------------

    async def test_the_index_lists_the_oldest_first(self, store: Store) -> None:
        """An id that is entered again becomes the newest."""
        await store.index_add("ann", "A", 1000)
        await store.index_add("ann", "B", 2000)
        await store.index_add("bob", "C", 1000)
        assert await store.index_list("ann") == ["A", "B"]
        await store.index_add("ann", "A", 3000)
        assert await store.index_list("ann") == ["B", "A"]
        assert await store.index_list("bob") == ["C"]
        assert await store.index_list("nobody") == []

    async def test_a_later_entry_is_the_newest_though_it_is_shorter(self, store: Store) -> None:
        """As when `absolute_timeout` was lowered in a deploy; also an entry that was there."""
        await store.index_add("ann", "A", 2000)
        await store.index_add("ann", "B", 1000)
        assert await store.index_list("ann") == ["A", "B"]
        await store.index_add("ann", "C", 10)
        await store.index_add("ann", "A", 1000)
        assert await store.index_list("ann") == ["B", "C", "A"]

    async def test_entries_of_one_moment_keep_their_order(self, store: Store) -> None:
        """That in which they were entered, not that of their names."""
        ids = [f"{number:02}" for number in reversed(range(50))]
        for id in ids:
            await store.index_add("ann", id, 1000)
        assert await store.index_list("ann") == ids

    async def test_entering_again_does_not_shorten_an_entry(self, store: Store) -> None:
        """Its session may live as long as the former entry said."""
        await store.index_add("ann", "A", 1000)
        await store.index_add("ann", "A", 0.1)
        await self.pass_time(store, 0.15)
        await store.index_add("ann", "B", 1000)
        assert await store.index_list("ann") == ["A", "B"]

    async def test_an_entry_stays_as_long_as_its_record_may_live(self, store: Store) -> None:
        """A login may be in a session that a longer `absolute_timeout` has made."""
        id = await _stored(store)
        await store.index_add("ann", id, 0.1)
        await self.pass_time(store, 0.15)
        await store.index_add("ann", "B", 1000)
        await store.index_add("bob", "C", 1000)
        assert await store.index_list("ann") == [id, "B"]

    async def test_the_index_forgets_what_is_removed(self, store: Store) -> None:
        """Unknown ids do not matter, nor does an unknown user."""
        await store.index_add("ann", "A", 1000)
        await store.index_add("ann", "B", 2000)
        await store.index_remove("ann", ["A", "unknown"])
        await store.index_remove("ann", [])
        await store.index_remove("nobody", ["A"])
        assert await store.index_list("ann") == ["B"]
        await store.index_remove("ann", ["B"])
        assert await store.index_list("ann") == []

    async def test_a_shorter_entry_does_not_shorten_the_others(self, store: Store) -> None:
        """As when `absolute_timeout` was lowered in a deploy."""
        await store.index_add("ann", "A", 1000)
        await store.index_add("ann", "B", 0.1)
        await self.pass_time(store, 0.15)
        assert "A" in await store.index_list("ann")

    async def test_the_index_lets_go_of_entries_that_are_over(self, store: Store) -> None:
        """At the latest with the next entry."""
        await store.index_add("ann", "A", 0.1)
        await self.pass_time(store, 0.15)
        await store.index_add("ann", "B", 1000)
        assert await store.index_list("ann") == ["B"]

    # -- messages ---------------------------------------------------------------------

    async def test_messages_reach_every_listener(self, store: Store) -> None:
        """In order, as bytes, also to the one who publishes."""
        async with listening(store) as one, listening(store) as two:
            for message in (b"first", b"\x00\xff\r\n"):
                await store.publish(message)
                assert await one.message() == message
                assert await two.message() == message

    async def test_a_listener_that_left_hears_nothing(self, store: Store) -> None:
        """Publishing without listeners is no error."""
        async with listening(store) as gone:
            pass
        async with listening(store) as stayed:
            await store.publish(b"late")
            assert await stayed.message() == b"late"
        assert gone.messages.empty()

    async def test_the_listeners_are_counted(self, store: Store) -> None:
        """By a store that can tell; one that cannot says None."""
        none = await store.subscribers()
        async with listening(store), listening(store):
            two = await store.subscribers()
        assert (none, two) in ((0, 2), (None, None))

    async def pass_time(self, store: Store, seconds: float) -> None:
        """See `StoreContract`."""
        raise NotImplementedError
