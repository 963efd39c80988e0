"""The Engine.IO half of the test client: open, poll, upgrade, close.

What arrives is handed to `on_packet`; why the connection ended is kept
in `closings`. Socket.IO is in `client.py`, bytes are in `wire.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal
from urllib.parse import urlencode

from . import packets
from .cookies import CookieJar
from .wire import Response, WebSocketWire, Wire

Transport = Literal["polling", "websocket", "upgrade"]


class HandshakeRefused(Exception):
    """The server answered a handshake or an upgrade with an error."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.body.decode(errors="replace")
        super().__init__(f"HTTP {self.status}: {self.body[:200]}")


class ConnectionLost(Exception):
    """The connection ended while somebody waited for something on it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Engine:
    """One Engine.IO connection, on polling or on a WebSocket."""

    def __init__(
        self,
        url: str,
        *,
        path: str,
        cookies: CookieJar | None,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        answer_pings: bool,
        mute: bool,
    ) -> None:
        self.url = url.rstrip("/")
        self.path = path
        self.cookies = cookies
        self.headers = dict(headers)
        self.query = dict(query)
        self.answer_pings = answer_pings
        self._mute = mute
        self.sid: str | None = None
        self.responses: list[Response] = []
        self.closings: list[str] = []
        self.closed = False
        self.reading = asyncio.Event()
        self.reading.set()
        #: What to call with each packet, and once when all is over.
        self.on_packet: Callable[[str | bytes], None] = lambda packet: None
        self.on_end: Callable[[], None] = lambda: None
        self._socket: WebSocketWire | None = None
        self._pump: asyncio.Task[None] | None = None
        self._upgrading = False
        #: Whether to use a TCP connection again, as browsers do.
        self.keep_alive = False
        self._idle: list[Wire] = []
        self._sending = asyncio.Lock()

    @property
    def mute(self) -> bool:
        """Whether to react to nothing that the server sends."""
        return self._mute

    @mute.setter
    def mute(self, value: bool) -> None:
        self._mute = value
        if self._socket is not None:
            self._socket.silent = value

    async def open(self, transport: Transport) -> None:
        """Do the handshake and start to receive."""
        if transport == "websocket":
            self._socket = await self._web_socket()
            first = [await self._socket.receive()]
        else:
            response = await self._http("GET")
            if response.status != 200:
                raise HandshakeRefused(response)
            first = [*packets.from_payload(response.body)]
        opened = first.pop(0)
        if not isinstance(opened, str) or not opened.startswith(packets.OPEN):
            await self._drop_socket()
            raise ConnectionLost("transport close")
        self.sid = json.loads(opened[1:])["sid"]
        self._start([packet for packet in first if packet is not None])

    async def upgrade(self) -> None:
        """Move a polling connection to a WebSocket, as browsers do.

        Raises:
            HandshakeRefused: the server refused the WebSocket.
            ConnectionLost: the connection ended meanwhile.
        """
        socket = await self._web_socket()
        try:
            # From here on a poll that returns is not followed by another.
            self._upgrading = True
            await socket.send(packets.PING + "probe")
            if await socket.receive() != packets.PONG + "probe":
                raise ConnectionLost("upgrade failed")
            if self._pump is not None:
                await self._pump
            if self.closed:
                raise ConnectionLost(self.closings[0])
            await socket.send(packets.UPGRADE)
        except BaseException:
            await socket.close()
            raise
        self._socket = socket
        self._start([])

    async def send(self, *parcel: str | bytes) -> int:
        """Send Engine.IO packets together; return the HTTP status, or 101.

        Raises:
            ConnectionLost: the connection is closed.
        """
        try:
            async with self._sending:
                if self._socket is None:
                    body = packets.to_payload(parcel)
                    return (await self._http("POST", body)).status
                for packet in parcel:
                    await self._socket.send(packet)
                return 101
        except OSError as error:
            raise ConnectionLost("transport close") from error

    async def close(self) -> None:
        """Say goodbye, wait a moment for the server's, and disconnect."""
        if not self.closed and self._pump is not None:
            with suppress(ConnectionLost, OSError):
                if self._socket is None:
                    await self.send(packets.CLOSE)
                else:
                    await self._socket.send_close()
                    await asyncio.wait([self._pump], timeout=0.5)
        await self.abort()

    async def abort(self) -> None:
        """Disconnect without a word."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        await self._drop_socket()
        while self._idle:
            await self._idle.pop().close()
        self._end("client close")

    def _start(self, waiting: list[str | bytes]) -> None:
        pump = self._poll(waiting) if self._socket is None else self._listen()
        self._pump = asyncio.create_task(pump)

    async def _poll(self, waiting: list[str | bytes]) -> None:
        for packet in waiting:
            await self._receive(packet)
        while not self._upgrading:
            await self.reading.wait()
            try:
                response = await self._http("GET")
            except OSError:
                self._end("transport close")
                return
            if response.status != 200:
                self._end(f"http {response.status}")
                return
            received = packets.from_payload(response.body)
            for packet in received:
                await self._receive(packet)
            if packets.CLOSE in received and not self.mute:
                self._end("engine close")
                return

    async def _listen(self) -> None:
        assert self._socket is not None
        while True:
            await self.reading.wait()
            message = await self._socket.receive()
            if message is None:
                await self._socket.close()
                self._end("transport close")
                return
            await self._receive(message)

    async def _receive(self, packet: str | bytes) -> None:
        if packet == packets.CLOSE:
            # JavaScript clients ignore it on a WebSocket; so do we.
            self.closings.append("engine close")
        if packet == packets.PING and self.answer_pings and not self.mute:
            with suppress(ConnectionLost):
                await self.send(packets.PONG)
        self.on_packet(packet)

    def _end(self, reason: str) -> None:
        if not self.closed:
            self.closed = True
            if reason not in self.closings:
                self.closings.append(reason)
            self.on_end()

    async def _drop_socket(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def _http(self, method: str, body: bytes = b"") -> Response:
        wire = self._idle.pop() if self._idle else await Wire.open(self.url)
        target, reusable = self._target("polling"), False
        try:
            response = await wire.request(method, target, self._headers(), body)
            reusable = self.keep_alive and response.headers.get("Connection") != "close"
        finally:
            if reusable:
                self._idle.append(wire)
            else:
                await wire.close()
        return self._keep(response)

    async def _web_socket(self) -> WebSocketWire:
        wire = await WebSocketWire.open(self.url)
        wire.silent = self.mute
        try:
            target = self._target("websocket")
            response = self._keep(await wire.upgrade(target, self._headers()))
            if response.status != 101:
                raise HandshakeRefused(response)
        except BaseException:
            await wire.close()
            raise
        return wire

    def _keep(self, response: Response) -> Response:
        self.responses.append(response)
        if self.cookies is not None:
            self.cookies.store(response.headers.get_list("Set-Cookie"))
        return response

    def _target(self, transport: str) -> str:
        query = {"EIO": "4", "transport": transport, **self.query}
        if self.sid is not None:
            query["sid"] = self.sid
        return f"{self.path}?{urlencode(query)}"

    def _headers(self) -> dict[str, str]:
        headers = dict(self.headers)
        if self.cookies and "Cookie" not in headers:
            headers["Cookie"] = self.cookies.header()
        return headers
