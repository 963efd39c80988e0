"""A primary that becomes a replica, and a failover by a real Sentinel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
import redis.asyncio

from tests.support.proofs import measured
from tests.support.proxy import FaultProxy
from tests.support.sentinel import failover_group, replicate
from tests.support.sites import eventually, status_of, until
from tests.support.sites import site as serve_site
from tornado_shared_session import RedisStore, StoreError
from tornado_shared_session.record import Delta, generate_id
from tornado_shared_session.testing import CookieJar, RedisServer
from tornado_shared_session.testing.store_contract import stored


async def test_a_primary_that_became_a_replica_is_left(
    redis_server: RedisServer, prefix: str
) -> None:
    """READONLY is one typed error, and the next connection goes where the address points (R6)."""
    args = ["--repl-diskless-sync-delay", "0"]
    with RedisServer(args=args) as old, RedisServer(args=args) as new:
        await replicate(new, old)
        async with FaultProxy(old.port) as proxy:  # the address, as DNS or a load balancer moves it
            store = RedisStore(proxy.url, prefix=prefix)
            id = await stored(store)
            await store.commit(Delta(id, 1, 0, set={b"a": b"1"}))
            replica = RedisStore(new.url, prefix=prefix)

            async def replicated() -> bool:
                record = await replica.load(id)
                return record is not None and record.values == {b"a": b"1"}

            await eventually(replicated, 5)
            await replica._client.replicaof("NO", "ONE")
            await replicate(old, new)
            proxy.target_port = new.port
            with pytest.raises(StoreError, match=r"READONLY|ReadOnlyError"):
                await store.commit(Delta(id, 1, 0, set={b"a": b"2"}))
            await store.commit(Delta(id, 1, 0, set={b"a": b"3"}))
            record = await replica.load(id)
            assert record is not None
            assert record.values == {b"a": b"3"}
            await store.close()
            await replica.close()


@pytest.mark.slow
@pytest.mark.expects_log("503", required=False)
async def test_a_failover_by_sentinel_is_an_outage_of_seconds(prefix: str) -> None:
    """503 while there is no primary; then sessions, sockets and notices go on (R5, R6)."""
    async with failover_group() as group, aclosing(group.client()) as client:
        store = RedisStore(client, prefix=prefix)
        async with serve_site(store=store, reload_interval=1) as a:
            jar = await a.visitor(note="kept")
            async with a.client("websocket", jar) as socket:
                await socket.connect()
                await until(lambda: a.watcher.health()["notices"])
                await _replicated(client)
                group.servers[0].kill()
                began, kept = time.monotonic(), CookieJar(jar)
                assert (await a.http(jar).get("/note")).code == 503
                assert await status_of(a.client("websocket", jar)) == 503

                async def served() -> bool:
                    return (await a.http(jar).get("/note")).code != 503

                await eventually(served, 20)
                response = await a.http(jar).get("/note")
                measured("failover by Sentinel", f"{time.monotonic() - began:.1f} s of 503")
                assert (response.code, response.body, jar) == (200, b'"kept"', kept)
                assert await socket.emit("set", "note", "new") == "saved"
                assert not socket.closings
                await until(lambda: a.watcher.health()["notices"], 10)

                async def logged_out() -> bool:
                    # A Sentinel that gets no processor finds the new primary down for a moment.
                    return (await a.http(jar).post("/logout")).code != 503

                await eventually(logged_out, 20)
                assert await socket.wait_for("session_ended") == {"reason": "logged_out"}


async def _replicated(client: redis.asyncio.Redis) -> None:
    """Wait until the replica has what was written."""
    async with asyncio.timeout(5):
        while await client.wait(1, 300) < 1:
            await asyncio.sleep(0)


#: What a server may say to everything, and what of it is told.
ANSWERS = {
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "no password": b"-NOAUTH Authentication required.\r\n",
    "no right": b"-NOPERM this user has no permissions to run the command\r\n",
    "full": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "disk": b"-MISCONF Redis is configured to save RDB snapshots\r\n",
    "replica": b"-READONLY You can't write against a read only replica.\r\n",
    "orphan": b"-MASTERDOWN Link with MASTER is down\r\n",
    "unknown": b"-HELLO sailor\r\n",
    "garbage": b"\x00\xff\x13garbage\r\n",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "another type": b"+OK\r\n",
    "a number": b":7\r\n",
    "nothing": b"$-1\r\n",
    "an array": b"*1\r\n$1\r\nx\r\n",
    "cut short": b"$100\r\nshort",
    "an end": b"",
}
#: To these it is an answer like any other: a user's name, a list of sessions.
FITS = {"another type": "delete", "an array": "index_list"}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_whatever_the_server_says_is_one_typed_error(
    answer: str, redis_server: RedisServer, prefix: str
) -> None:
    """A StoreError without the server's words, in time; and it works as soon as that ends (R7)."""
    async with Parrot(ANSWERS[answer]) as parrot, FaultProxy(parrot.port) as proxy:
        store = RedisStore(proxy.url, prefix=prefix, timeout=0.5)
        id = generate_id()
        works: dict[str, Callable[[], Awaitable[Any]]] = {
            "load": lambda: store.load(id),
            "commit": lambda: store.commit(Delta(id, 1, 0, set={b"a": b"1"})),
            "peek": lambda: store.peek([id]),
            "delete": lambda: store.delete(id),
            "index_list": lambda: store.index_list("ann"),
            "subscribers": store.subscribers,
        }
        works.pop(FITS.get(answer, ""), None)
        for work in works.values():
            async with asyncio.timeout(2):
                with pytest.raises(StoreError) as caught:
                    await work()
            for word in ("garbage", "sailor", "Redis is", str(parrot.port)):
                assert word not in str(caught.value)
        proxy.target_port = redis_server.port
        proxy.reset()
        assert await store.load(id) is None  # asked again, where a write would not be
        id = await stored(store)
        assert await store.load(id) is not None
        await store.close()


class Parrot:
    """A server that gives one answer to each command, whatever it is."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.port = 0

    async def __aenter__(self) -> Parrot:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            # A command is an array; no part of ours begins like one.
            commands = chunk.count(b"\r\n*") + chunk.startswith(b"*")
            answer = b"+OK\r\n" if b"CLIENT" in chunk else self._answer
            writer.write(answer * commands)
            if not self._answer and b"CLIENT" not in chunk:
                break
            await writer.drain()
        writer.close()
