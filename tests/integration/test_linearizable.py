"""One key of a session, read and written by several at once: as if one after the other."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache

import pytest

from tests.support.core import Paper, again, visit
from tests.support.proxy import FaultProxy
from tornado_shared_session import RedisStore, SessionManager
from tornado_shared_session.testing import RedisServer

ROUNDS, CLIENTS, EACH = 40, 4, 3


@dataclass(frozen=True)
class Operation:
    """A read or a write of one value, from its begin to its end."""

    writes: bool
    value: int
    begun: int
    ended: int


def is_linearizable(operations: list[Operation], first: int) -> bool:
    """Whether some order explains what was read: each operation at one instant within its time."""

    @cache
    def possible(left: frozenset[int], value: int) -> bool:
        if not left:
            return True
        earliest = min(operations[n].ended for n in left)
        for n in left:
            one = operations[n]
            if one.begun > earliest:
                continue  # somebody who is left had ended before this one began
            if (one.writes or one.value == value) and possible(left - {n}, one.value):
                return True
        return False

    return possible(frozenset(range(len(operations))), first)


def test_the_judge_tells_histories_apart() -> None:
    """A read of what was overwritten before it began has no explanation; beside the write it has
    one.
    """
    write = Operation(True, 1, 0, 1)
    assert is_linearizable([write, Operation(False, 1, 2, 3)], 0)
    assert not is_linearizable([write, Operation(False, 0, 2, 3)], 0)
    assert is_linearizable([Operation(True, 1, 0, 5), Operation(False, 0, 2, 3)], 0)
    flicker = [Operation(False, 1, 1, 2), Operation(False, 0, 3, 4)]
    assert not is_linearizable([Operation(True, 1, 0, 5), *flicker], 0)


@pytest.fixture
async def managers(redis_server: RedisServer, prefix: str) -> AsyncIterator[list[SessionManager]]:
    """Two managers on one database, one of them behind a wire that is slow and slices."""
    async with FaultProxy(redis_server.port) as proxy:
        both = [
            SessionManager(RedisStore(url, prefix=prefix)) for url in (redis_server.url, proxy.url)
        ]
        await visit(both[1])
        proxy.latency(to_server=0.001, to_client=0.002)
        proxy.slice_replies(20)
        yield both
        for manager in both:
            await manager.close()


async def test_reads_and_writes_of_a_key_look_as_if_done_one_after_the_other(
    managers: list[SessionManager],
) -> None:
    """Four clients of two processes, in random order: each history has an explanation (I1)."""
    chance = random.Random(7)
    _, paper = await visit(managers[0], value=0)
    clock, values, last = itertools.count(), itertools.count(1), 0
    overlapped = 0
    for _ in range(ROUNDS):
        history: list[Operation] = []

        async def client(manager: SessionManager, paper: Paper, history: list[Operation]) -> None:
            for _ in range(EACH):
                writes, turns = chance.random() < 0.5, chance.randrange(4)
                for _ in range(turns):
                    await asyncio.sleep(0)  # one turn of the loop: an interleaving, not a wait
                value, begun = next(values), next(clock)
                session, _ = await again(manager, paper)
                if writes:
                    session["value"] = value
                    await session.save()
                else:
                    value = session["value"]
                history.append(Operation(writes, value, begun, next(clock)))

        await asyncio.gather(*(client(managers[n % 2], paper, history) for n in range(CLIENTS)))
        assert is_linearizable(history, last), history
        overlapped += any(
            one.begun < other.begun < one.ended
            for one, other in itertools.permutations(history, 2)
            if one.writes
        )
        last = (await again(managers[0], paper))[0]["value"]
        assert last in {one.value for one in history}
    assert overlapped > ROUNDS / 2
