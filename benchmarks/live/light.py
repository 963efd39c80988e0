"""Sockets that cost next to nothing, for ends by the thousand.

A JavaScript client takes a fifth of a millisecond to close, so that a
thousand of them measure Node. These say what a client must say: CONNECT,
pong, and the answer to a close frame.
"""

from __future__ import annotations

import asyncio
import time

from ..lanes import HOST, SocketLane, WrongAnswerError
from .children import Child
from .people import Person

_AT_ONCE = 16
_CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"  # masked with zeros, code 1000


class Light(SocketLane):
    """One socket: whether it was told of its end, and when it ended (monotonic seconds)."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = False
        self.told = False
        self.closed: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self.waits:
            super().data_received(data)
            return
        self._buffer += data
        self.told = self.told or b'"session_ended"' in self._buffer
        if b"\x88" in data:  # a close frame: there is none in ASCII, nor in a short length
            self.send(_CLOSE)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(time.monotonic())


async def lights(site: Child, some: list[Person]) -> list[Light]:
    """Connect one for each, which then wait for their end."""
    loop = asyncio.get_running_loop()
    found: list[Light] = []
    waiting = iter(some)

    async def connect() -> None:
        for person in waiting:
            _, lane = await loop.create_connection(Light, HOST, site.ready["port"])
            await lane.start(person.cookie)
            lane.waits = True
            found.append(lane)

    await asyncio.gather(*(connect() for _ in range(_AT_ONCE)))
    return found


async def closed(some: list[Light], seconds: float = 10) -> list[float]:
    """Wait until the server has closed them, and return when it had.

    Raises:
        WrongAnswerError: it has not closed one.
    """
    _, open = await asyncio.wait([one.closed for one in some], timeout=seconds)
    if open:
        raise WrongAnswerError(
            f"{len(open)} of {len(some)} sockets were not closed within {seconds:g} s"
        )
    return [one.closed.result() for one in some]
