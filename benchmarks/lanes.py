"""The clients: raw connections that cost less than what they measure.

A lane is one connection with one request in flight, always the same
bytes. HTTP/1.1 keep-alive and Socket.IO over a websocket differ only in
how an answer is cut out of the stream; everything else (the next
request, the clock, the check of each answer) is theirs alike.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

HOST = "127.0.0.1"


class WrongAnswerError(Exception):
    """A server answered something else than it should."""


class Expect:
    """The counter that each answer must carry.

    ``step`` is 0 when nothing changes, 1 when the session is this
    lane's own, and None when the counter is shared, so that only its
    direction is known.
    """

    def __init__(self, value: int, step: int | None) -> None:
        self.value = value
        self._step = step

    def check(self, answer: bytes) -> None:
        """Take an answer.

        Raises:
            WrongAnswerError: it is not the counter expected.
        """
        before = self.value
        step = self._step
        try:
            self.value = int(answer)
        except ValueError:
            raise WrongAnswerError(f"{answer[:80]!r} instead of a number") from None
        if step is None and self.value > before:
            return
        if step is None or self.value != before + step:
            raise WrongAnswerError(f"answered {self.value}, where the answer before was {before}")


async def _patience(done: asyncio.Future[bytes], seconds: float) -> bytes:
    """Await an end that is due by then, but not for ever."""
    try:
        return await asyncio.wait_for(done, seconds + 10)
    except TimeoutError:
        raise WrongAnswerError("no answer within 10 s") from None


class Lane(asyncio.Protocol):
    """One connection, its request and the times of its answers."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.expect: Expect | None = None
        self.message = b""
        self._buffer = b""
        self._sent = 0.0
        self._until = 0.0
        self._limit = 0
        self._done: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"connection lost: {exc or 'closed by the server'}")

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def send(self, message: bytes) -> None:
        """Send bytes without awaiting an answer."""
        self._transport.write(message)

    async def ask(self, message: bytes) -> bytes:
        """Send bytes and return the answer: for all that is not timed."""
        self.expect = None
        self._done = asyncio.get_running_loop().create_future()
        self.send(message)
        return await _patience(self._done, 0)

    async def drive(self, expect: Expect, seconds: float, limit: int) -> None:
        """Send the request again and again, for a time or a number.

        Raises:
            WrongAnswerError: an answer was not what is expected, or did
                not come.
        """
        self.latencies = []
        self.expect = expect
        self._limit = limit
        self._done = asyncio.get_running_loop().create_future()
        self._sent = perf_counter()
        self._until = self._sent + seconds
        self.send(self.message)
        await _patience(self._done, seconds)

    def answer(self, body: bytes) -> None:
        """Take a complete answer; the framing calls this."""
        expect, done = self.expect, self._done
        if done is None or done.done():
            self.fail("an answer that nobody asked for")
        elif expect is None:
            done.set_result(body)
        else:
            now = perf_counter()
            self.latencies.append(now - self._sent)
            try:
                expect.check(body)
            except WrongAnswerError as error:
                done.set_exception(error)
                return
            if now >= self._until or len(self.latencies) >= self._limit:
                done.set_result(b"")
            else:
                self._sent = now
                self.send(self.message)

    def fail(self, reason: str) -> None:
        """End what is under way, if anything is."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(WrongAnswerError(reason))


class HttpLane(Lane):
    """HTTP/1.1 with keep-alive; answers need a Content-Length."""

    head = b""

    @staticmethod
    def request(method: str, path: str, cookie: str = "") -> bytes:
        """Return the bytes of a request without a body."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
        if cookie:
            lines.append(f"Cookie: {cookie}")
        if method == "POST":
            lines.append("Content-Length: 0")
        return "\r\n".join([*lines, "", ""]).encode()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        self.head = head = data[:end]
        if not head.startswith(b"HTTP/1.1 200 "):
            self.fail(f"{head[:80]!r} instead of 200")
            return
        start = head.lower().find(b"\r\ncontent-length:")
        if start < 0:
            self.fail("an answer without a Content-Length")
            return
        length = int(head[start + 17 :].split(b"\r\n", 1)[0])
        body = data[end + 4 :]
        if len(body) < length:
            self._buffer = data
            return
        self._buffer = b""
        self.answer(body)

    def cookie(self) -> str:
        """Return the cookies that the last answer set, as a header."""
        pairs = [
            line.split(b":", 1)[1].split(b";", 1)[0].strip().decode()
            for line in self.head.split(b"\r\n")
            if line.lower().startswith(b"set-cookie:")
        ]
        return "; ".join(pairs)


class SocketLane(Lane):
    """Socket.IO 5 over a websocket, acknowledged events only."""

    _open = False

    @staticmethod
    def frame(text: str) -> bytes:
        """Return a client's text frame, masked with zeros: a null mask
        is legal, costs the server the same and the client nothing.
        """
        payload = text.encode()
        assert len(payload) < 126
        return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload

    async def start(self, cookie: str) -> None:
        """Shake hands and join the default namespace."""
        head = HttpLane.request("GET", "/socket.io/?EIO=4&transport=websocket", cookie)[:-2]
        opened = await self.ask(
            head + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        joined = await self.ask(self.frame("40"))
        if not opened.startswith(b"0{") or not joined.startswith(b"40{"):
            raise WrongAnswerError(f"refused: {joined[:80]!r}")

    def emit(self, event: str) -> None:
        """Make an event, to be acknowledged, the request of this lane."""
        self.message = self.frame(f'420["{event}"]')

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.fail(f"{head[:80]!r} instead of 101")
                return
            self._open = True
        while len(data) >= 3:  # the shortest that comes is a ping, "2"
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4]), 4
            if len(data) < start + size:
                break
            opcode, packet = data[0], data[start : start + size]
            data = data[start + size :]
            if opcode != 0x81:
                self.fail(f"a websocket frame of type {opcode:#x}: {packet[:80]!r}")
                return
            self._packet(packet)
        self._buffer = data

    def _packet(self, packet: bytes) -> None:
        if packet.startswith(b"430["):
            self.answer(packet[4:-1])
        elif packet == b"2":
            self.send(self.frame("3"))
        else:
            self.answer(packet)
