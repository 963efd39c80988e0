"""How many closings begin at once, and how long one may take. No transport is known here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

_AT_ONCE = 20  # closings that begin in one turn of the event loop


class Host(Protocol):
    """Who runs the closings."""

    def spawn(self, work: Any) -> None:
        """Run a task that the manager owns."""


class Closings:
    """Begins a few closings in each turn of the event loop, so that it stays free.

    Args:
        host: whose they are.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._due: deque[Coroutine[Any, Any, None]] = deque()
        self._begun = 0  # in this turn
        self._begins = False

    def add(self, closing: Coroutine[Any, Any, None]) -> None:
        """Begin a closing: now, or when its turn comes."""
        if not self._begins and self._begun < _AT_ONCE:
            if not self._begun:
                asyncio.get_running_loop().call_soon(self._next_turn)
            self._begun += 1
            self._host.spawn(closing)
            return
        self._due.append(closing)
        if not self._begins:
            self._begins = True
            self._host.spawn(self._begin())

    def _next_turn(self) -> None:
        self._begun = 0

    async def _begin(self) -> None:
        due = self._due
        try:
            while due:
                for _ in range(min(len(due), _AT_ONCE)):
                    self._host.spawn(due.popleft())
                await asyncio.sleep(0)
        finally:
            self._begins = False
            while due:  # it was cancelled
                due.popleft().close()


class Patience:
    """The time that all steps of one closing have together.

    One timer serves them all, and a step that is done at once waits for
    nothing.
    """

    __slots__ = ("_step", "_timer", "over")

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._step: asyncio.Future[bool] | None = None
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end)

    def _end(self) -> None:
        self.over = True
        self.done()

    def done(self) -> None:
        """What is waited for has come."""
        if self._step is not None and not self._step.done():
            self._step.set_result(not self.over)

    async def wait(self, begin: Callable[[Callable[[], None]], None]) -> bool:
        """Wait for a step, which calls what `begin` is given; return whether it came in time."""
        if self.over:
            return False
        step: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._step = step
        begin(self.done)
        try:
            return await step
        finally:
            self._step = None

    def cancel(self) -> None:
        """No more steps."""
        self._timer.cancel()
