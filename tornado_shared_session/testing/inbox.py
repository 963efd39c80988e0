"""What a Socket.IO test client has received, and how to wait for more."""

# ruff: noqa: ASYNC109 - a timeout argument is what a test wants to read

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from . import packets
from .engine import ConnectionLost
from .packets import Packet

T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """One event from the server; `id` is set when it wants an answer."""

    name: str
    args: tuple[Any, ...]
    namespace: str
    id: int | None


class Inbox:
    """Sort Engine.IO packets into connects, refusals, acks and events."""

    def __init__(self, closings: list[str]) -> None:
        self.closings = closings
        self.closed = False
        self.sids: dict[str, str] = {}
        self.refusals: dict[str, Any] = {}
        self.acks: dict[tuple[str, int], Any] = {}
        self.events: list[Event] = []
        self.unread: list[Event] = []
        self.packets: list[str | bytes] = []
        self._partial: Packet | None = None
        self._changed = asyncio.Event()

    async def until(
        self,
        ready: Callable[[], T | None],
        what: str,
        timeout: float,
        *,
        lost: bool = True,
    ) -> T:
        """Return the first result of `ready()` that is not None.

        Raises:
            TimeoutError: it did not come; says what came instead.
            ConnectionLost: with `lost`, the connection ended first.
        """
        try:
            async with asyncio.timeout(timeout):
                while (result := ready()) is None:
                    if lost and self.closed:
                        raise ConnectionLost(self.closings[0])
                    self._changed.clear()
                    await self._changed.wait()
                return result
        except TimeoutError:
            got = f"events {[event.name for event in self.events]}"
            ends = f"closings {self.closings}"
            raise TimeoutError(f"waited for {what}; {got}, {ends}") from None

    def end(self) -> None:
        """Take note that nothing more will come."""
        self.closed = True
        self._changed.set()

    def receive(self, packet: str | bytes) -> None:
        """Take in one Engine.IO packet."""
        self.packets.append(packet)
        self._changed.set()
        if isinstance(packet, bytes):
            if self._partial is not None:
                self._partial.parts.append(packet)
        elif packet.startswith(packets.MESSAGE):
            self._partial = packets.decode(packet[1:])
        if self._partial is not None and self._partial.complete:
            whole, self._partial = self._partial, None
            self._sort(whole)

    def _sort(self, packet: Packet) -> None:
        namespace = packet.namespace
        data = packets.put_back(packet.data, packet.parts)
        match packet.kind:
            case packets.CONNECT:
                self.sids[namespace] = data["sid"]
            case packets.CONNECT_ERROR:
                self.refusals[namespace] = data
            case packets.DISCONNECT:
                suffix = "" if namespace == "/" else f" {namespace}"
                self.closings.append(f"server disconnect packet{suffix}")
            case packets.ACK | packets.BINARY_ACK if packet.id is not None:
                self.acks[namespace, packet.id] = data
            case packets.EVENT | packets.BINARY_EVENT:
                name, *args = data
                event = Event(name, tuple(args), namespace, packet.id)
                self.events.append(event)
                self.unread.append(event)
