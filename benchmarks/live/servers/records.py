"""Stored sessions that nobody has a connection to, and what it costs to use them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from tornado_shared_session import SessionManager
from tornado_shared_session.record import Credential, Meta, Record

from .program import CONTENT

_STORED_AT_ONCE = 500
_USED_AT_ONCE = 32  # as many requests as a busy process has under way


class Records:
    """The stored sessions of one process."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._all: list[Credential] = []
        self._random = random.Random(5)  # so that each run asks for the same

    async def fill(self, count: int, keys: int) -> None:
        """Store so many sessions of so many keys."""
        pack = self._manager.serializer.encode
        values = {f"key-{number}".encode(): pack(f"value-{number}") for number in range(keys)}
        values[b"count"] = pack(CONTENT["count"])
        policy, create = self._manager.policy, self._manager.store.create
        for start in range(0, count, _STORED_AT_ONCE):
            some = [Credential.generate() for _ in range(min(_STORED_AT_ONCE, count - start))]
            metas = [Meta(one.id, one.digest, time.time()) for one in some]
            records = [Record(meta, 1, 1, policy.idle_timeout, values) for meta in metas]
            await asyncio.gather(*(create(one, policy.absolute_timeout) for one in records))
            self._all += some

    async def read(self, number: int) -> float:
        """Load sessions and read a key of each; return the CPU seconds of one."""

        async def use(credential: Credential) -> None:
            session = await self._manager.load(credential)
            if session is None or session["count"] < 0:
                raise RuntimeError("a stored session was not found")

        return await self._timed(number, use)

    async def change(self, number: int) -> float:
        """Load sessions and change a key of each; return the CPU seconds of one."""

        async def use(credential: Credential) -> None:
            session = await self._manager.load(credential)
            if session is None:
                raise RuntimeError("a stored session was not found")
            session["count"] += 1
            await session.save()

        return await self._timed(number, use)

    async def _timed(self, number: int, use: Callable[[Credential], Awaitable[None]]) -> float:
        turns = [self._random.sample(self._all, _USED_AT_ONCE) for _ in range(number)]
        began = time.process_time()
        for some in turns:
            await asyncio.gather(*map(use, some))
        return (time.process_time() - began) / (number * _USED_AT_ONCE)
