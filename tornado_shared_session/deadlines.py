"""When to look at which session: one timer for many deadlines.

It knows nothing of sessions but their ids; what a deadline means is for
who set it.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Container, Mapping

_AT_ONCE = 500  # deadlines of one moment that are handled in one turn of the loop
_FEW = 1000  # deadlines that are not worth tidying up
_CLOSE = 0.01  # seconds by which one may be late rather than set anew


class Deadlines:
    """Calls back when a session's time has come; the earliest one counts.

    Args:
        due: called with the id, once per deadline; may set another one.
        wanted: the ids that matter. Deadlines of others are forgotten
            before they are half of all: a session may last a month, and
            its sockets a minute.
    """

    def __init__(self, due: Callable[[str], None], wanted: Container[str]) -> None:
        self._due = due
        self._wanted = wanted
        self._most = _FEW
        self._heap: list[tuple[float, str]] = []
        self._expected: dict[str, float] = {}  # what of the heap counts: one time per session
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def start(self) -> None:
        """Begin; what was expected before counts."""
        self._running = True
        self._set_timer()

    def stop(self) -> None:
        """Call nobody any more."""
        self._running = False
        self._cancel()

    def expect(self, id: str, when: float) -> None:
        """Call back at a time (monotonic seconds), unless an earlier one is set.

        Or one that is later by next to nothing, as after each reload: when
        a session ends is known to within the time that its store took to say so.
        """
        self.expect_all({id: when})

    def expect_all(self, due: Mapping[str, float]) -> None:
        """The same for many, by id."""
        expected, first = self._expected.get, self._heap[0] if self._heap else None
        for id, when in due.items():
            if when < expected(id, math.inf) - _CLOSE:
                if len(self._heap) >= self._most:
                    self._tidy()
                    expected = self._expected.get
                self._expected[id] = when
                heapq.heappush(self._heap, (when, id))
        if self._heap and self._heap[0] != first:
            self._set_timer()

    def _tidy(self) -> None:
        self._expected = {id: when for id, when in self._expected.items() if id in self._wanted}
        self._heap = [(when, id) for id, when in self._expected.items()]
        heapq.heapify(self._heap)
        self._most = max(_FEW, 2 * len(self._heap))

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._cancel()
        if self._heap and self._running:
            delay = max(0.0, self._heap[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = time.monotonic()
        for _ in range(_AT_ONCE):
            if not self._heap or self._heap[0][0] > now:
                break
            when, id = heapq.heappop(self._heap)
            if self._expected.get(id) == when:  # else an earlier time has taken its place
                del self._expected[id]
                self._due(id)
        self._set_timer()
