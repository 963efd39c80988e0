"""One measurement: one subject, one row, one round.

The sessions are new each time, so that a measurement does not depend on
the ones before it, and beginning them is not counted.
"""

from __future__ import annotations

import asyncio
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
    """How long a measurement lasts; whichever limit is met first.

    ``compile`` is how long each kind of request is sent beforehand to a
    server that compiles what it runs often.
    """

    seconds: float
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


async def measure(cell: Cell, server: Server, redis: RedisMeter, pace: Pace) -> Sample:
    """Measure a cell once.

    Raises:
        WrongAnswerError: an answer, or a counter stored in the end, was
            wrong.
    """
    row = cell.row
    begin = HttpLane.request("POST", f"/seed/{row.size}")
    cookies = [answer.cookie for answer in await server.ask_all([begin] * row.connections)]
    lanes: list[AnyLane] = []
    try:
        for cookie in cookies:
            lanes.append(await _lane(server, row, cookie))
        expects = [_expect(cell, SEED_COUNT) for _ in lanes]
        warm = await _drive(lanes, expects, pace.warm_up, pace.operations)
        commands, redis_cpu = redis.commands(), redis.seconds()
        cpu, start = server.cpu(), perf_counter()
        done = await _drive(lanes, expects, pace.seconds, pace.operations)
        elapsed = perf_counter() - start
        cpu = server.cpu() - cpu
        redis_cpu = redis.seconds() - redis_cpu
        commands = redis.commands() - commands
        await asyncio.gather(
            *(
                lane.check(expect)
                for lane, expect in zip(lanes, expects, strict=True)
                if isinstance(lane, ConnectLane)
            )
        )
        await _verify(cell, server, cookies, expects, warm + done)
    finally:
        for lane in lanes:
            lane.close()
    latencies = sorted(second for lane in lanes for second in lane.latencies)
    return Sample(
        cpu_us=cpu / done * 1e6,
        redis_us=redis_cpu / done * 1e6,
        commands=commands / done,
        per_second=done / elapsed,
        p50_us=percentile(latencies, 0.50) * 1e6,
        p99_us=percentile(latencies, 0.99) * 1e6,
        operations=done,
    )


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
