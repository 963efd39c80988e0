"""One round of a row: some subjects, by turns.

A neighbour on a shared machine makes a second half as slow again, and
not the next. Turns of a tenth of one hit those that are compared alike:
what is added to a page varies by 14 us then from round to round, and by
50 where each is measured in one go (on a busy machine, 0.3 s of each).

The sessions are new each time, so that a measurement does not depend on
the ones before it, and beginning them is not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from .clocks import RedisMeter
from .connects import ConnectLane
from .content import SEED_COUNT
from .lanes import Expect, HttpLane, Lane, SocketLane, WrongAnswerError
from .plan import Cell, Row
from .processes import Server

AnyLane = Lane | ConnectLane

REQUESTS = {
    "read": ("GET", "/read"),
    "write": ("POST", "/write"),
    "cookieless": ("GET", "/plain"),
    "untouched": ("GET", "/plain"),
}


@dataclass(frozen=True)
class Pace:
    """How long a measurement lasts.

    ``turns`` is how many of ``seconds`` each; one also ends after so many
    ``operations``. ``compile`` is how long each kind of request is sent
    beforehand to a server that compiles what it runs often.
    """

    seconds: float
    turns: int
    warm_up: float
    compile: float
    operations: int = 20_000


@dataclass(frozen=True)
class Sample:
    """What one measurement found, each operation's share of it.

    ``cpu_us`` is the server's processor time, ``redis_us`` that of
    Redis, and ``commands`` what Redis was asked.
    """

    cpu_us: float
    redis_us: float
    commands: float
    per_second: float
    p50_us: float
    p99_us: float
    operations: int


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of sorted values lies."""
    return values[min(len(values) - 1, int(len(values) * share))]


async def _lane(server: Server, row: Row, cookie: str) -> AnyLane:
    """Open a connection that is ready to send this row's request."""
    if row.action == "connect":
        return ConnectLane(server, cookie)
    if row.family == "socketio":
        socket = await server.connect(SocketLane)
        await socket.start(cookie)
        socket.emit("incr" if row.changes else "read")
        return socket
    lane = await server.connect(HttpLane)
    method, path = REQUESTS[row.action]
    lane.message = HttpLane.request(method, path, "" if row.action == "cookieless" else cookie)
    return lane


def _expect(cell: Cell, value: int) -> Expect:
    if not cell.row.changes:
        return Expect(value, 0)
    return Expect(value, 1 if cell.subject.per_session else None)


async def _drive(
    lanes: list[AnyLane], expects: list[Expect], seconds: float, operations: int
) -> int:
    """Drive all lanes at once and return how much they did."""
    share = max(1, operations // len(lanes))
    ends = await asyncio.gather(
        *(lane.drive(expect, seconds, share) for lane, expect in zip(lanes, expects, strict=True)),
        return_exceptions=True,
    )
    for end in ends:
        if end is not None:
            raise end
    return sum(len(lane.latencies) for lane in lanes)


class Measurement:
    """A cell under measurement: set up, driven when it is its turn, verified."""

    def __init__(self, cell: Cell, server: Server, redis: RedisMeter, operations: int) -> None:
        self.cell = cell
        self._server, self._redis, self._operations = server, redis, operations
        self._cookies: list[str] = []
        self._lanes: list[AnyLane] = []
        self._expects: list[Expect] = []
        self._latencies: list[float] = []
        self._warm = self._commands = 0
        self._cpu = self._redis_cpu = self._elapsed = 0.0

    async def begin(self, warm_up: float) -> None:
        """Open the connections, each with a session of its own, and use them for a while."""
        row = self.cell.row
        begin = HttpLane.request("POST", f"/seed/{row.size}")
        answers = await self._server.ask_all([begin] * row.connections)
        self._cookies = [answer.cookie for answer in answers]
        for cookie in self._cookies:
            self._lanes.append(await _lane(self._server, row, cookie))
        self._expects = [_expect(self.cell, SEED_COUNT) for _ in self._lanes]
        self._warm = await _drive(self._lanes, self._expects, warm_up, self._operations)

    async def turn(self, seconds: float) -> None:
        """Drive all connections for a while."""
        commands, redis_cpu = self._redis.commands(), self._redis.seconds()
        cpu, start = self._server.cpu(), perf_counter()
        await _drive(self._lanes, self._expects, seconds, self._operations)
        self._elapsed += perf_counter() - start
        self._cpu += self._server.cpu() - cpu
        self._redis_cpu += self._redis.seconds() - redis_cpu
        self._commands += self._redis.commands() - commands
        self._latencies += [second for lane in self._lanes for second in lane.latencies]

    async def end(self) -> Sample:
        """Verify what the clients have been told, and what is stored."""
        await asyncio.gather(
            *(
                lane.check(expect)
                for lane, expect in zip(self._lanes, self._expects, strict=True)
                if isinstance(lane, ConnectLane)
            )
        )
        done, latencies = len(self._latencies), sorted(self._latencies)
        await _verify(self.cell, self._server, self._cookies, self._expects, self._warm + done)
        return Sample(
            cpu_us=self._cpu / done * 1e6,
            redis_us=self._redis_cpu / done * 1e6,
            commands=self._commands / done,
            per_second=done / self._elapsed,
            p50_us=percentile(latencies, 0.50) * 1e6,
            p99_us=percentile(latencies, 0.99) * 1e6,
            operations=done,
        )

    def close(self) -> None:
        """Close the connections."""
        for lane in self._lanes:
            lane.close()


async def measure(
    servers: Mapping[Cell, Server], redis: RedisMeter, pace: Pace
) -> dict[Cell, Sample]:
    """Measure cells of one row, by turns.

    Raises:
        WrongAnswerError: an answer, or a counter stored in the end, was
            wrong; the message names the cell.
    """
    some = [Measurement(cell, server, redis, pace.operations) for cell, server in servers.items()]
    samples = {}
    try:
        for one in some:
            with _named(one.cell):
                await one.begin(pace.warm_up)
        for _ in range(pace.turns):
            for one in some:
                with _named(one.cell):
                    await one.turn(pace.seconds)
        for one in some:
            with _named(one.cell):
                samples[one.cell] = await one.end()
    finally:
        for one in some:
            one.close()
    return samples


@contextmanager
def _named(cell: Cell) -> Iterator[None]:
    try:
        yield
    except WrongAnswerError as error:
        raise WrongAnswerError(f"{cell.label}: {error}") from error


async def _verify(
    cell: Cell, server: Server, cookies: list[str], expects: list[Expect], done: int
) -> None:
    """Compare what is stored with what the clients have been told.

    Each answer has been checked to be one more than the last, so the
    last one is the number of increments made; the page loads the
    session again, so it answers what the store holds.
    """
    if not cell.subject.per_session:
        total = SEED_COUNT + (done if cell.row.changes else 0)
        wanted = [total] * len(cookies)
    else:
        wanted = [expect.value for expect in expects]
    reads = [HttpLane.request("GET", "/read", cookie) for cookie in cookies]
    for answer, value in zip(await server.ask_all(reads), wanted, strict=True):
        if int(answer.body) != value:
            raise WrongAnswerError(f"stored counter is {answer.body!r} instead of {value}")
