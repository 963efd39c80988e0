"""The processes of a measurement: one server per subject.

The benchmark itself, with its load generator, and Redis share a core;
the servers have the other one, and only one of them is asked at a time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeVar

from . import clocks
from .lanes import HOST, HttpLane, Lane
from .launch import command
from .plan import Subject

FRESH = 1.0
"""After how many idle seconds a server may have closed a connection."""

TOGETHER = 16
"""How many connections set up and verify a measurement."""

AnyLane = TypeVar("AnyLane", bound=Lane)


def pin() -> int:
    """Move this process, and what it starts, to the first core.

    Returns the core for the servers. On a machine with a single core
    they share it, and wall times mean little.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    if len(cores) == 1:
        print("one core only: the figures will be noisy", file=sys.stderr)
    return cores[-1]


class HttpAnswer(NamedTuple):
    """What matters of an answer: its body, and the cookies it has set."""

    body: bytes
    cookie: str


class Server:
    """A running subject: where it listens, and how to ask it things."""

    def __init__(self, subject: Subject, port: int, pid: int = 0) -> None:
        self.subject = subject
        self._port = port
        self._pid = pid
        self._control: HttpLane | None = None
        self._asked = 0.0

    async def connect(self, lane: type[AnyLane]) -> AnyLane:
        """Open a connection of that kind."""
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lane, HOST, self._port))[1]

    async def ask_all(self, requests: list[bytes]) -> list[HttpAnswer]:
        """Send requests that are not part of the measurement, many at a time."""
        answers: dict[int, HttpAnswer] = {}
        waiting = iter(enumerate(requests))

        async def work() -> None:
            lane = await self.connect(HttpLane)
            for number, request in waiting:
                answers[number] = HttpAnswer(await lane.ask(request), lane.cookie())
            lane.close()

        await asyncio.gather(*(work() for _ in range(min(len(requests), TOGETHER))))
        return [answers[number] for number in range(len(requests))]

    async def ask(self, method: str, path: str, cookie: str = "") -> bytes:
        """Send a request that is not part of the measurement."""
        if self._control is None or monotonic() - self._asked > FRESH:
            self.hang_up()
            self._control = await self.connect(HttpLane)
        answer = await self._control.ask(HttpLane.request(method, path, cookie))
        self._asked = monotonic()
        return answer

    def hang_up(self) -> None:
        """Close the connection for what is not measured, if it is open."""
        if self._control is not None:
            self._control.close()
            self._control = None

    async def seed(self, size: str) -> str:
        """Begin a session and return the cookie that names it."""
        await self.ask("POST", f"/seed/{size}")
        assert self._control is not None
        return self._control.cookie()

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used so far."""
        return clocks.seconds(clocks.family(self._pid))


@asynccontextmanager
async def run_server(
    subject: Subject, redis_url: str, core: int, profile: Path | None = None
) -> AsyncIterator[Server]:
    """Run a subject in a process of its own.

    Raises:
        RuntimeError: it did not start; it has said why on stderr.
    """
    start = command(subject, redis_url, core, profile)
    # A session of its own: Ctrl-C is for the benchmark, which then closes stdin.
    process = await asyncio.create_subprocess_exec(
        *start.arguments,
        env=start.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        try:
            port = await asyncio.wait_for(process.stdout.readline(), 20)
        except TimeoutError:
            port = b""
        if not port:
            raise RuntimeError(f"the server of {subject.name} did not start")
        yield Server(subject, int(port), process.pid)
    finally:
        process.stdin.close()  # which is how it is told to stop
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
