"""HTTP/1.1 and WebSocket as bytes on a TCP connection, for a test client.

Ordinary clients are too well behaved for tests: they answer close
frames, follow rules and hide response headers. This one shows every
header, can be cut at any moment, and can stay silent or deaf at will.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Response:
    """The head of a response, and its body unless the status is 101."""

    status: int
    headers: HTTPHeaders
    body: bytes


class Wire:
    """One TCP connection to a server: `async with await Wire.open(url)`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.host = host

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the host and port of `url`."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        return cls(reader, writer, parts.netloc)

    async def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Response:
        """Send a request and read its response.

        Raises:
            OSError: the connection ended before the response was complete.
        """
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.writer.write(head + body)
        await self.writer.drain()
        return await self._response()

    async def _response(self) -> Response:
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            start, _, rest = head.partition("\r\n")
            status = int(start.split()[1])
            headers = HTTPHeaders.parse(rest.rstrip("\r\n"))
            body = b"" if status in (101, 204, 304) else await self._body(headers)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the server closed the connection") from error
        return Response(status, headers, body)

    async def _body(self, headers: HTTPHeaders) -> bytes:
        if headers.get("Transfer-Encoding", "").lower() != "chunked":
            return await self.reader.readexactly(int(headers.get("Content-Length", 0)))
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    async def close(self) -> None:
        """Cut the connection; doing so twice is harmless."""
        self.writer.close()
        # A task of its own: wait_closed() awaits a future that all callers
        # share, and a caller who is cancelled would cancel it for the others.
        closed = asyncio.ensure_future(self.writer.wait_closed())
        closed.add_done_callback(lambda done: done.cancelled() or done.exception())  # it broke
        await asyncio.wait([closed])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class WebSocketWire(Wire):
    """A WebSocket (RFC 6455) once `upgrade` has been answered with 101."""

    #: While set, close frames and pings get no reaction.
    silent = False
    #: The code of the close frame that the server has sent.
    close_code: int | None = None

    async def upgrade(self, target: str, headers: Mapping[str, str]) -> Response:
        """Ask for the upgrade; the response tells whether it is one."""
        extra = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        return await self.request("GET", target, {**headers, **extra})

    async def send(self, data: str | bytes) -> None:
        """Send one message.

        Raises:
            OSError: the connection is closed.
        """
        if isinstance(data, str):
            await self._frame(_TEXT, data.encode())
        else:
            await self._frame(_BINARY, data)

    async def send_close(self, code: int = 1000) -> None:
        """Send a close frame; the server then ends the connection."""
        await self._frame(_CLOSE, struct.pack(">H", code))

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None when there will be no more."""
        message = b""
        kind = _TEXT
        try:
            while True:
                final, opcode, data = await self._read_frame()
                if opcode == _CLOSE:
                    self.close_code = int.from_bytes(data[:2], "big") or None
                    if not self.silent:
                        await self._frame(_CLOSE, data[:2])
                        return None
                elif opcode == _PING and not self.silent:
                    await self._frame(_PONG, data)
                elif opcode < _CLOSE:
                    message += data
                    kind = opcode or kind
                    if final:
                        return message.decode() if kind == _TEXT else message
        except (OSError, asyncio.IncompleteReadError):
            return None

    async def _read_frame(self) -> tuple[bool, int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        data = await self.reader.readexactly(size)
        return bool(first & 0x80), first & 0x0F, data

    async def _frame(self, opcode: int, data: bytes) -> None:
        size = len(data)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        # Clients must mask; a mask of zeros is a mask and costs nothing.
        self.writer.write(head + bytes(4) + data)
        await self.writer.drain()
