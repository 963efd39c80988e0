"""What tests of the core share: a response made of paper, a store that takes notes."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado_shared_session import MemoryStore, Session, SessionManager, StoreError
from tornado_shared_session.record import Credential, Delta, Record
from tornado_shared_session.stores.base import Committed, Deleted
from tornado_shared_session.testing import FakeClock


class Paper:
    """A carrier: it keeps the credential that a response would carry."""

    def __init__(self, *, open: bool = True) -> None:
        self.open = open
        self.credentials: list[Credential] = []
        self.user_id: str | None = None
        self.cleared = False

    @property
    def credential(self) -> Credential:
        """The last one issued."""
        return self.credentials[-1]

    def can_issue(self) -> bool:
        """As told."""
        return self.open

    def issued(self, credential: Credential, user_id: str | None) -> None:
        """Keep it."""
        self.credentials.append(credential)
        self.user_id = user_id

    def revoked(self) -> None:
        """Note it."""
        self.cleared = True


class NotingStore(MemoryStore):
    """A memory store that notes writes, can fail, and can wait at a barrier.

    Attributes:
        writes: names of the methods that would have changed something.
        failing: names of methods that raise StoreError before doing anything.
        gate: if set, writes wait for it; `reached` is set when one does.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        super().__init__(clock=clock or FakeClock())
        self.writes: list[str] = []
        self.messages: list[bytes] = []
        self.failing: set[str] = set()
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def _note(self, name: str) -> None:
        self.writes.append(name)
        if name in self.failing:
            raise StoreError(f"{name} was told to fail")
        if self.gate is not None:
            self.reached.set()
            await self.gate.wait()

    async def load(self, id: str) -> Record | None:
        """Load, unless told to fail."""
        if "load" in self.failing:
            raise StoreError("load was told to fail")
        return await super().load(id)

    async def create(self, record: Record, absolute: float) -> bool:
        """Note and create."""
        await self._note("create")
        return await super().create(record, absolute)

    async def commit(self, delta: Delta) -> Committed:
        """Note and commit."""
        await self._note("commit")
        return await super().commit(delta)

    async def delete(
        self, id: str, *, generation: int | None = None, user_id: str | None = None
    ) -> Deleted | None:
        """Note and delete."""
        await self._note("delete")
        return await super().delete(id, generation=generation, user_id=user_id)

    async def index_add(self, user_id: str, id: str, lifetime: float) -> None:
        """Note and enter."""
        await self._note("index_add")
        await super().index_add(user_id, id, lifetime)

    async def index_remove(self, user_id: str, ids: Any) -> None:
        """Note and remove."""
        await self._note("index_remove")
        await super().index_remove(user_id, ids)

    async def publish(self, message: bytes) -> None:
        """Keep the message and send it."""
        if "publish" in self.failing:
            raise StoreError("publish was told to fail")
        self.messages.append(message)
        await super().publish(message)


async def visit(
    manager: SessionManager, paper: Paper | None = None, /, **values: Any
) -> tuple[Session, Paper]:
    """Return a stored session with values, and the paper its credential is on."""
    paper = paper or Paper()
    session = await manager.resolve([], paper)
    session.update(values or {"a": 1})
    await session.save()
    return session, paper


async def again(manager: SessionManager, paper: Paper) -> tuple[Session, Paper]:
    """Return the session that the credential on a paper names, in a new request."""
    fresh = Paper()
    return await manager.resolve([paper.credential], fresh), fresh
