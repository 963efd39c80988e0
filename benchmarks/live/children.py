"""Processes that are measured, or measure, and how they are asked.

Each reads JSON lines, ``{"call": 1, "do": "destroy", ...}``, and answers
with ``{"call": 1, "value": ...}`` or ``{"call": 1, "error": "..."}``; its
first line says that it is ready. It ends when its standard input does,
so it cannot outlive the benchmark.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

_START = 20.0  # seconds to become ready
_LONGEST = 1 << 26  # bytes of a line
ALL_CORES = frozenset(range(os.cpu_count() or 1))


class Child:
    """One running process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.ready: dict[str, Any] = {}
        self._process = process
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ask(self, do: str, *, within: float = 120.0, **arguments: Any) -> Any:
        """Let it do something, and return the answer.

        Raises:
            RuntimeError: it failed, or did not answer in time.
        """
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"call": number, "do": do, **arguments}) + "\n"
        self._process.stdin.write(line.encode())
        try:
            return await asyncio.wait_for(answer, within)
        except TimeoutError:
            raise RuntimeError(f"{do!r} was not done within {within:g} s") from None
        finally:
            del self._asked[number]

    async def read(self) -> None:
        """Take what it says, until it says no more."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            answer = self._asked.get(said["call"])
            if answer is None or answer.done():
                continue
            if "error" in said:
                answer.set_exception(RuntimeError(said["error"]))
            else:
                answer.set_result(said["value"])
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(RuntimeError("the process has ended"))

    async def start(self) -> None:
        """Wait until it is ready.

        Raises:
            RuntimeError: it is not; it has said why on stderr.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _START)
        except TimeoutError:
            line = b""
        if not line:
            raise RuntimeError("a process of the benchmark did not start")
        self.ready = json.loads(line)

    async def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()  # which is how it is told to
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def child(*command: str, cores: Iterable[int] = ALL_CORES) -> AsyncIterator[Child]:
    """Run a command on some cores, whichever its parent was moved to."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        # A session of its own: Ctrl-C is for the benchmark.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LONGEST,
        )
    finally:
        os.sched_setaffinity(0, own)
    running = Child(process)
    reading: asyncio.Task[None] | None = None
    try:
        await running.start()
        reading = asyncio.create_task(running.read())
        yield running
    finally:
        await running.stop()
        if reading is not None:
            await asyncio.wait([reading])


def server(kind: str, redis_url: str, *options: str) -> tuple[str, ...]:
    """Return the command that runs one of `servers/`."""
    return (sys.executable, "-m", f"benchmarks.live.servers.{kind}", redis_url, *options)
