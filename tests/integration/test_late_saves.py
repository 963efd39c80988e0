"""Saves and deletes that race, ten thousand times: nothing comes back."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.support.sites import raw_redis
from tornado_shared_session import MemoryStore, RedisStore, SessionEnded, Store
from tornado_shared_session.record import Credential, Delta, Meta, Record
from tornado_shared_session.stores.base import Committed, Deleted

RACES, AT_ONCE = 10_000, 500


@pytest.mark.parametrize("kind", ["redis", "memory"])
async def test_ten_thousand_late_saves_bring_nothing_back(
    kind: str, redis_url: str, prefix: str
) -> None:
    """A save, a rotation and a touch against a delete, of two processes: 0 records are left
    (C19, S19).
    """
    one: Store
    other: Store
    one, other = [RedisStore(redis_url, prefix=prefix, timeout=10) for _ in range(2)]
    if kind == "memory":
        one = other = MemoryStore()
    chance = random.Random(3)
    ids: list[str] = []
    late: list[dict[str, Any]]
    race: list[Any]
    saved = refused = 0
    for _ in range(0, RACES, AT_ONCE):
        made = [Credential.generate() for _ in range(AT_ONCE)]
        metas = {credential.id: Meta(credential.id, credential.digest, 0) for credential in made}
        await asyncio.gather(*(one.create(Record(m, 1, 1, 60, {}), 60) for m in metas.values()))
        work = []
        for id, meta in metas.items():
            late = [{"set": {b"late": b"1"}}, {"meta": meta}, {}]
            race = [chance.choice((one, other)).delete(id)]
            race += [chance.choice((one, other)).commit(Delta(id, 1, 60, **x)) for x in late]
            chance.shuffle(race)
            work += race
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        assert sum(isinstance(outcome, Deleted) for outcome in outcomes) == AT_ONCE
        saved += sum(isinstance(outcome, Committed) for outcome in outcomes)
        refused += sum(isinstance(outcome, SessionEnded) for outcome in outcomes)
        ids += metas
    assert saved + refused == 3 * RACES
    assert min(saved, refused) > RACES / 20  # both happened, again and again
    assert not any(await one.peek(ids))
    if kind == "redis":
        async with raw_redis(redis_url) as redis:
            assert [key async for key in redis.scan_iter(f"{prefix}*", count=1000)] == []
    await one.close()
    await other.close()
