"""Queues that cost next to nothing while they are empty, which they mostly are.

`asyncio.Queue` takes 3 KiB for each, and its `get()` a task where it is
waited for with a timeout. These have the part of its interface that
Engine.IO uses; what is put while somebody waits goes to who waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from .limits import QUEUED


class Queue:
    """First in, first out.

    Attributes:
        waiting: bytes of the items that nobody has taken yet.
    """

    __slots__ = ("_getters", "_items", "waiting")

    def __init__(self) -> None:
        self._items: deque[Any] | None = None
        self._getters: tuple[asyncio.Future[Any], ...] = ()
        self.waiting = 0

    def qsize(self) -> int:
        """Return how many items nobody has taken yet."""
        return 0 if self._items is None else len(self._items)

    def put_nowait(self, item: Any) -> None:
        """Put an item at the end."""
        while self._getters:
            getter, *others = self._getters
            self._getters = tuple(others)
            if not getter.done():  # else it has given up
                getter.set_result(item)
                return
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        self.waiting += self._size(item)

    async def put(self, item: Any) -> None:
        """Put an item at the end; it never waits."""
        self.put_nowait(item)

    def get(self) -> asyncio.Future[Any]:
        """Return a future of the first item; who cancels it takes none."""
        getter = asyncio.get_running_loop().create_future()
        if self._items is None:
            self._getters = (*self._getters, getter)
        else:
            getter.set_result(self.get_nowait())
        return getter

    def get_nowait(self) -> Any:
        """Take the first item.

        Raises:
            asyncio.QueueEmpty: there is none.
        """
        items = self._items
        if items is None:
            raise asyncio.QueueEmpty
        item = items.popleft()
        self.waiting -= self._size(item)
        if not items:
            self._items = None
        return item

    def _size(self, item: Any) -> int:
        """Return the bytes of an item."""
        return len(item) if item else 0


class OutQueue(Queue):
    """What Engine.IO has to send to one client; it knows how many bytes that is.

    A packet that comes while more than `most` wait is one too many:
    `overflow` is called with their number.

    Attributes:
        undone: how many were put, and are not on their way yet.
    """

    __slots__ = ("_drained", "most", "overflow", "undone")

    def __init__(self) -> None:
        super().__init__()
        self.undone = 0
        self._drained: list[Callable[[], None]] | None = None
        self.most = QUEUED
        self.overflow: Callable[[int], None] | None = None

    def put_nowait(self, item: Any) -> None:
        """Put a packet at the end, or None: there will be no more."""
        self.undone += 1
        if self.waiting > self.most and self.overflow is not None and self._size(item):
            self.overflow(self.waiting)
        super().put_nowait(item)

    def end(self) -> None:
        """Let everybody who waits know that there will be no more."""
        for _ in self._getters or (None,):
            self.put_nowait(None)

    def task_done(self) -> None:
        """One that was taken is on its way."""
        self.undone -= 1
        if self.undone == 0 and self._drained is not None:
            drained, self._drained = self._drained, None
            for call in drained:
                call()

    def when_drained(self, call: Callable[[], None]) -> None:
        """Call once all that was put is on its way."""
        if self.undone == 0:
            call()
        elif self._drained is None:
            self._drained = [call]
        else:
            self._drained.append(call)

    async def join(self) -> None:
        """Wait until all that was put is on its way."""
        drained = asyncio.Event()
        self.when_drained(drained.set)
        await drained.wait()

    def _size(self, item: Any) -> int:
        return len(item.data) if item is not None and item.data else 0
