"""When a closing is begun and finished, and how long it may take. No transport is known here.

Of many connections that end together all are told before anything else is
done for one of them: what follows takes as long again, and no client waits
for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .events import logger

_AT_ONCE = 20  # closings that are begun, or finished, in one turn of the event loop
_LONGEST = 0.4  # seconds that one is kept from its finish by others that begin


class Closing(Protocol):
    """A connection on its way out; none of these must block or raise."""

    def begin(self) -> None:
        """Tell the client."""

    def finish(self) -> None:
        """Do the rest; called if it asked for that."""

    def give_up(self) -> None:
        """Let go of everything: nobody will finish it."""


class Host(Protocol):
    """Who runs the closings."""

    def spawn(self, work: Any) -> None:
        """Run a task that the manager owns."""


class Closings:
    """Begins and finishes a few closings in each turn of the event loop, so that it stays free.

    Args:
        host: whose they are.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._due: deque[Closing] = deque()
        self._begun: deque[tuple[float, Closing]] = deque()  # to be finished, and by when
        self._in_turn = 0  # how many were begun in it
        self._runs = False

    def add(self, closing: Closing) -> None:
        """Begin a closing: now, or when its turn comes."""
        self._run()
        if self._due or self._in_turn == _AT_ONCE:
            self._due.append(closing)
        else:
            self._in_turn += 1
            closing.begin()

    def then(self, closing: Closing) -> None:
        """Finish a closing once no others begin, or they have done so for long."""
        self._begun.append((asyncio.get_running_loop().time() + _LONGEST, closing))
        self._run()

    def _run(self) -> None:
        if not self._runs:
            self._runs = True
            self._host.spawn(self._turns())

    async def _turns(self) -> None:
        due, begun, now = self._due, self._begun, asyncio.get_running_loop().time
        try:
            while due or begun or self._in_turn:
                calm, self._in_turn = not self._in_turn, 0
                while due and self._in_turn < _AT_ONCE:
                    self._in_turn += 1
                    closing = due.popleft()
                    self._step(closing, closing.begin)
                if begun and ((calm and not self._in_turn) or begun[0][0] < now()):
                    for _ in range(min(len(begun), _AT_ONCE)):
                        closing = begun.popleft()[1]
                        self._step(closing, closing.finish)
                await asyncio.sleep(0)
        finally:
            self._runs = False
            while due or begun:  # it was cancelled
                (due.popleft() if due else begun.popleft()[1]).give_up()

    def _step(self, closing: Closing, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # what is wrong with one is not the others' affair
            logger.exception("a connection could not be closed, and is let go of")
            closing.give_up()


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
