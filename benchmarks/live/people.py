"""Sessions to be measured, and plain sockets that hold them open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..lanes import HOST, HttpLane, SocketLane
from .children import Child

_AT_ONCE = 16


@dataclass(frozen=True)
class Person:
    """One session: its id and the cookie that names it."""

    id: str
    cookie: str


async def people(site: Child, count: int, user: str = "") -> list[Person]:
    """Begin sessions over HTTP, logged in if a user is named."""
    loop = asyncio.get_running_loop()
    found: list[Person] = []
    path = f"/seed?user={user}" if user else "/seed"

    async def begin(number: int) -> None:
        _, lane = await loop.create_connection(HttpLane, HOST, site.ready["port"])
        try:
            for _ in range(number):
                id = (await lane.ask(HttpLane.request("POST", path))).decode()
                # A login sets the cookie twice; the second one counts.
                found.append(Person(id, lane.cookie().split("; ")[-1]))
        finally:
            lane.close()

    share, rest = divmod(count, _AT_ONCE)
    await asyncio.gather(*(begin(share + (number < rest)) for number in range(_AT_ONCE)))
    return found


class Crowd:
    """Sockets that do nothing but answer pings."""

    def __init__(self, site: Child) -> None:
        self._site = site
        self.lanes: list[SocketLane] = []

    async def join(self, some: list[Person]) -> None:
        """Open a socket for each."""
        waiting = iter(some)

        async def connect() -> None:
            loop = asyncio.get_running_loop()
            for person in waiting:
                _, lane = await loop.create_connection(SocketLane, HOST, self._site.ready["port"])
                self.lanes.append(lane)
                await lane.start(person.cookie)

        await asyncio.gather(*(connect() for _ in range(_AT_ONCE)))

    def leave(self) -> None:
        """Close them all."""
        for lane in self.lanes:
            lane.close()


@asynccontextmanager
async def crowd(site: Child) -> AsyncIterator[Crowd]:
    """Return a crowd that leaves in the end."""
    some = Crowd(site)
    try:
        yield some
    finally:
        some.leave()
