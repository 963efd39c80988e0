"""R21: a process with thousands of sockets is drained under load, and nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import redis.asyncio

from tests.support.processes import AppProcess
from tests.support.proofs import measured, scale
from tests.support.sites import raw_redis, session_id, visitor
from tornado_shared_session.serializers import MsgpackSerializer
from tornado_shared_session.testing import ConnectionLost, CookieJar, SocketIOTestClient
from tornado_shared_session.testing.wire import Wire

SOCKETS = scale(300, long=2_000)
SPAN = scale(4, long=8)  # seconds over which they are told
HTTP_WRITERS = 20
_PAUSE = 0.02  # seconds between two writes: all clients are in this one process
TRANSPORTS = ("websocket", "polling", "upgrade")


class Writer:
    """Writes 1, 2, 3, ... to one key until the process is gone.

    Attributes:
        acknowledged: the last number whose write was acknowledged.
    """

    def __init__(self, jar: CookieJar) -> None:
        self.jar = jar
        self.key = "written"
        self.acknowledged = 0

    async def check(self, client: redis.asyncio.Redis, prefix: str) -> bool:
        """Whether Redis holds what was acknowledged last, or what was under way after it."""
        found: Any = await client.hget(f"{prefix}s:{session_id(self.jar)}", self.key)
        stored = 0 if found is None else MsgpackSerializer().decode(found)
        return stored in (self.acknowledged, self.acknowledged + 1)


class OverHTTP(Writer):
    """With requests on one TCP connection that is kept alive."""

    async def run(self, url: str) -> None:
        """Write until the connection ends."""
        form = "application/x-www-form-urlencoded"
        headers = {"Cookie": self.jar.header(), "Content-Type": form}
        try:
            async with await Wire.open(url) as wire:
                for number in itertools.count(1):
                    body = urlencode({"key": self.key, "value": number}).encode()
                    response = await wire.request("POST", "/note", headers, body)
                    assert response.status == 200
                    self.acknowledged = number
                    if response.headers.get("Connection") == "close":
                        return
                    await asyncio.sleep(_PAUSE)  # a pace is meant
        except OSError:
            return  # what was under way was not acknowledged


class Client(Writer):
    """A socket that writes: all the time, or once."""

    def __init__(self, url: str, number: int) -> None:
        client = SocketIOTestClient(url, transport=TRANSPORTS[number % 3], timeout=60)  # type: ignore[arg-type]  # one of these
        client.engine.keep_alive = True
        assert client.cookies is not None
        super().__init__(client.cookies)
        self.client = client
        self.diligent = number % 20 in (0, 1)
        self.heard_at = 0.0

    async def connect(self) -> None:
        """Connect, and write for the first time."""
        await self.client.connect()
        await self.client.emit("set", self.key, 1)
        self.acknowledged = 1

    async def run(self) -> None:
        """Write, until told of the end."""
        work = asyncio.create_task(self._write())
        with suppress(ConnectionLost):
            assert await self.client.wait_for("session_ended", timeout=60) == {"reason": "shutdown"}
            self.heard_at = time.monotonic()
            await self.client.wait_transport_closed(60)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    async def _write(self) -> None:
        try:
            for number in itertools.count(2):
                await self.client.emit("set", self.key, number)
                self.acknowledged = number
                if not self.diligent:
                    return
                await asyncio.sleep(5 * _PAUSE)  # a pace is meant
        except ConnectionLost:
            return


async def test_a_process_is_drained_under_load_and_nothing_acknowledged_is_lost(
    redis_url: str, prefix: str
) -> None:
    """Every socket hears shutdown, at a pace, and may come back; it exits in time (R21, R17)."""
    app = AppProcess(
        "tests.apps.drained",
        *("--redis", redis_url, "--prefix", prefix, "--pace", str(SOCKETS / SPAN)),
    )
    await app.start()
    try:
        clients = [Client(app.url, number) for number in range(SOCKETS)]
        writers = [OverHTTP(await visitor(app.url)) for _ in range(HTTP_WRITERS)]
        for start in range(0, SOCKETS, 50):
            await asyncio.gather(*(client.connect() for client in clients[start : start + 50]))
        work = [asyncio.create_task(writer.run(app.url)) for writer in writers]
        work += [asyncio.create_task(client.run()) for client in clients]
        await asyncio.sleep(1)  # time is meant: the load runs for a while before the end
        began = time.monotonic()
        assert await app.terminate(timeout=32) == 0
        took = time.monotonic() - began
        await asyncio.wait_for(asyncio.gather(*work), 30)
        for client in clients:
            await client.client.abort()
    finally:
        await app.kill()
    (said,) = [line["drained"] for line in app.lines if "drained" in line]

    everybody: list[Writer] = [*clients, *writers]
    async with raw_redis(redis_url) as asked:
        kept = [await writer.check(asked, prefix) for writer in everybody]
    writes = sum(writer.acknowledged for writer in everybody)
    assert [one.client.closings for one in clients if not one.heard_at] == []
    assert kept.count(False) == 0
    assert writes > 1.5 * SOCKETS
    assert said["sockets"] == SOCKETS
    assert said["cut"] == 0
    assert took < 30
    assert not any("server disconnect packet" in one.client.closings for one in clients)

    heard = sorted(client.heard_at - began for client in clients)
    measured(
        f"drain of {SOCKETS} sockets under load",
        f"{writes} writes acknowledged, 0 lost; told from {heard[0]:.1f} to {heard[-1]:.1f} s"
        f" (median {statistics.median(heard):.1f}); exit after {took:.1f} s",
    )
    measured("what it said", json.dumps(said))
    assert heard[-1] - heard[0] > SPAN * 0.7
    # They are clients of one process, which may lag: at no moment most of them at once.
    herd = max(
        sum(at <= other < at + SPAN / 8 for other in heard) for at in heard[:: SOCKETS // 100]
    )
    assert herd < SOCKETS * 0.6
