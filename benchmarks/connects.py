"""The client that connects again and again, rather than asking again."""

from __future__ import annotations

from time import perf_counter

from .lanes import Expect, SocketLane
from .processes import Server


class ConnectLane:
    """One socket at a time: shake hands, join the namespace, close.

    It has the interface of a lane, as far as a measurement needs it.
    """

    def __init__(self, server: Server, cookie: str) -> None:
        self.latencies: list[float] = []
        self._server = server
        self._cookie = cookie

    async def drive(self, expect: Expect, seconds: float, limit: int) -> None:
        """Connect again and again, for a time or a number.

        Raises:
            WrongAnswerError: a connection was refused.
        """
        self.latencies = []
        now = perf_counter()
        until = now + seconds
        while now < until and len(self.latencies) < limit:
            socket = await self._server.connect(SocketLane)
            await socket.start(self._cookie)
            socket.close()
            before, now = now, perf_counter()
            self.latencies.append(now - before)

    async def check(self, expect: Expect) -> None:
        """Connect once more and see whose session it is.

        Raises:
            WrongAnswerError: not the one with that counter.
        """
        socket = await self._server.connect(SocketLane)
        await socket.start(self._cookie)
        socket.emit("read")
        expect.check(await socket.ask(socket.message))
        socket.close()

    def close(self) -> None:
        """Nothing is open between two connections."""
