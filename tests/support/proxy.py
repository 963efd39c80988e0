"""A TCP proxy that misbehaves on demand, in the test's own event loop.

    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url)
        proxy.latency(to_client=0.2)

Put it in front of Redis to make the wire slow, deaf, broken or lossy.
Faults apply to existing and to new connections, from the next chunk on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

_HOST = "127.0.0.1"


class Hold:
    """A chunk of bytes that waits at the proxy until it is let go."""

    def __init__(self, pattern: bytes, count: int | None) -> None:
        self.pattern = pattern
        self.left = count
        #: Set as soon as a matching command has arrived at the proxy.
        self.reached = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let everything held go on, and hold nothing more."""
        self._released.set()

    def matches(self, chunk: bytes) -> bool:
        """Tell whether to act on this chunk, counting down."""
        if self._released.is_set() or self.left == 0 or self.pattern not in chunk:
            return False
        if self.left is not None:
            self.left -= 1
        self.reached.set()
        return True

    async def wait(self) -> None:
        """Wait for the release."""
        await self._released.wait()


class FaultProxy:
    """Forward a local port to another, as badly as asked."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        #: How many connections were accepted so far.
        self.accepted = 0
        #: Everything clients sent since the last `forget()`: for counting.
        self.sent = bytearray()
        #: How many pieces that came in: what is sent together is one, unless big.
        self.chunks = 0
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._flow = asyncio.Event()
        self._flow.set()
        self.to_server = self.to_client = 0.0
        self.slice = 0
        self.delays: list[tuple[bytes, float]] = []
        self.holds: list[Hold] = []
        self.reply_holds: list[Hold] = []
        self.losses: list[Hold] = []

    @property
    def url(self) -> str:
        """The address of database 0 behind this proxy."""
        return f"redis://{_HOST}:{self.port}/0"

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._links)

    def count(self, pattern: bytes) -> int:
        """Return how often `pattern` was sent by clients."""
        return self.sent.count(pattern)

    def forget(self) -> None:
        """Start to count anew."""
        self.sent.clear()

    # Faults

    def latency(self, *, to_server: float = 0.0, to_client: float = 0.0) -> None:
        """Hold back every chunk, by seconds per direction."""
        self.to_server, self.to_client = to_server, to_client

    def slice_replies(self, size: int = 1) -> None:
        """Hand replies to the client in pieces of `size` bytes."""
        self.slice = size

    def black_hole(self) -> None:
        """Accept connections and bytes, and forward nothing, either way."""
        self._flow.clear()

    async def refuse(self) -> None:
        """Stop listening, and reset what is connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()
        await asyncio.sleep(0)

    def reset(self) -> None:
        """Reset every connection (RST); new ones are welcome."""
        for link in list(self._links):
            link.reset()

    def delay(self, pattern: bytes, seconds: float) -> None:
        """Hold back the chunks from clients that contain `pattern`."""
        self.delays.append((pattern, seconds))

    def hold(self, pattern: bytes, *, count: int | None = None) -> Hold:
        """Stop chunks that contain `pattern` until `release()`.

        Later chunks of the same connection wait behind. Await `reached`
        to know that one is there: this is a barrier, not a sleep.
        """
        self.holds.append(Hold(pattern, count))
        return self.holds[-1]

    def hold_replies(self, pattern: bytes = b"") -> Hold:
        """Stop chunks from the server that contain `pattern`."""
        self.reply_holds.append(Hold(pattern, None))
        return self.reply_holds[-1]

    def lose_replies(self, pattern: bytes = b"", *, count: int | None = None) -> Hold:
        """Forward commands with `pattern`, then reset instead of replying."""
        self.losses.append(Hold(pattern, count))
        return self.losses[-1]

    async def normal(self) -> None:
        """Undo every fault, and listen again on the same port."""
        self.heal()
        if self._server is None:
            await self._listen()

    def heal(self) -> None:
        """Undo every fault but `refuse`."""
        self.to_server = self.to_client = 0.0
        self.slice = 0
        for held in (*self.holds, *self.reply_holds):
            held.release()
        for faults in (self.delays, self.holds, self.reply_holds, self.losses):
            faults.clear()
        self._flow.set()

    # Plumbing

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, _HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(self, writer)
        self._links.add(link)
        try:
            await link.run(reader)
        finally:
            self._links.discard(link)

    async def upwards(self, chunk: bytes, link: _Link) -> bytes:
        """Apply the faults on the way to the server."""
        self.sent += chunk
        self.chunks += 1
        await self._flow.wait()
        for held in self.holds:
            if held.matches(chunk):
                await held.wait()
        seconds = self.to_server + sum(wait for what, wait in self.delays if what in chunk)
        if seconds:
            await asyncio.sleep(seconds)
        if any(loss.matches(chunk) for loss in self.losses):
            link.loses_reply = True
        return chunk

    async def downwards(self, chunk: bytes, link: _Link) -> bytes:
        """Apply the faults on the way to the client."""
        await self._flow.wait()
        if link.loses_reply:
            link.reset()
            return b""
        for held in self.reply_holds:
            if held.matches(chunk):
                await held.wait()
        if self.to_client:
            await asyncio.sleep(self.to_client)
        return chunk

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.heal()
        links = list(self._links)
        await self.refuse()
        if tasks := [link.task for link in links if link.task]:
            await asyncio.wait(tasks, timeout=1)


class _Link:
    """One client's connection and the one to the server behind it."""

    def __init__(self, proxy: FaultProxy, client: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.client = client
        self.loses_reply = False
        self.task = asyncio.current_task()
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Pump both ways until either side ends or a reset."""
        try:
            server_reader, server = await asyncio.open_connection(_HOST, self.proxy.target_port)
        except OSError:
            self.reset()
            return
        self._pumps = [
            asyncio.create_task(self._pump(reader, server, self.proxy.upwards)),
            asyncio.create_task(self._pump(server_reader, self.client, self.proxy.downwards)),
        ]
        try:
            await asyncio.wait(self._pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in self._pumps:
                pump.cancel()
            await asyncio.wait(self._pumps)
            for writer in (server, self.client):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Callable[[bytes, _Link], Awaitable[bytes]],
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(1 << 16):
                await self._write(writer, await faults(chunk, self))

    async def _write(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        size = self.proxy.slice if writer is self.client else 0
        for start in range(0, len(chunk), size or len(chunk) or 1):
            writer.write(chunk[start : start + (size or len(chunk))])
            await writer.drain()
            if size:
                await asyncio.sleep(0)

    def reset(self) -> None:
        """End the client's connection with a RST."""
        connection = self.client.get_extra_info("socket")
        if connection is not None and not self.client.is_closing():
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.client.transport.abort()
        for pump in self._pumps:
            pump.cancel()
