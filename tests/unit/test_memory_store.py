"""What the memory store forgets by itself."""

from __future__ import annotations

from tornado_shared_session import MemoryStore
from tornado_shared_session.record import Credential, Meta, Record
from tornado_shared_session.testing import FakeClock


async def enter(store: MemoryStore, user_id: str, *, ttl: float, absolute: float = 1000) -> str:
    """Create a session of a user as a login does: first the index, then the record."""
    credential = Credential.generate()
    meta = Meta(credential.id, credential.digest, 1.0, user_id)
    await store.index_add(user_id, credential.id, absolute)
    assert await store.create(Record(meta, 1, 1, ttl, {}), absolute)
    return credential.id


async def test_a_session_that_expired_is_no_longer_listed() -> None:
    """When it is asked for; the user's others stay."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    short, long = await enter(store, "ann", ttl=5), await enter(store, "ann", ttl=50)
    clock.advance(10)
    assert await store.load(short) is None
    assert await store.index_list("ann") == [long]
    clock.advance(50)
    assert await store.peek([long]) == [None]
    assert store._users == {}


async def test_users_whose_sessions_expired_are_forgotten() -> None:
    """Nobody needs to ask for them: other sessions are created."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        await enter(store, f"user{number}", ttl=5)
        clock.advance(1)
    assert len(store._users) <= 6
    assert len(store._entries) <= 6


async def test_a_user_whose_sessions_were_never_created_is_forgotten() -> None:
    """The index is written first, and what follows may fail."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    await store.index_add("ann", "A", 10)
    await store.index_add("ann", "B", 20)
    clock.advance(10)
    await enter(store, "bob", ttl=5)
    assert await store.index_list("ann") == ["B"]
    clock.advance(10)
    await enter(store, "bob", ttl=5)
    assert list(store._users) == ["bob"]


async def test_logging_in_and_out_again_and_again_leaves_nothing_behind() -> None:
    """A user is queued for the purge once."""
    store = MemoryStore(clock=FakeClock())
    for _ in range(100):
        await store.index_add("ann", "A", 1000)
        await store.index_remove("ann", ["A"])
    assert store._users == {}
    assert len(store._user_queue) == 1
