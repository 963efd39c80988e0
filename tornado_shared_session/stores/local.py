"""Messages of a store that has no channel to other processes."""

from __future__ import annotations

import asyncio

from .base import OnGap, OnMessage, Store


class LocalMessages(Store):
    """Delivers messages to the listeners of this very store.

    Other processes hear nothing, and notice with their next reload.
    """

    def __init__(self) -> None:
        self._listeners: set[OnMessage] = set()

    async def publish(self, message: bytes) -> None:
        for listener in list(self._listeners):
            listener(message)

    async def listen(self, on_message: OnMessage, on_gap: OnGap) -> None:
        self._listeners.add(on_message)
        try:
            on_gap()
            await asyncio.get_running_loop().create_future()
        finally:
            self._listeners.discard(on_message)

    async def subscribers(self) -> int:
        return len(self._listeners)
