"""A Redis primary, its replica, and the Sentinel that watches over them.

async with failover_group() as group:
    client = group.client()
    group.servers[0].kill()
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from tornado_shared_session.testing import RedisServer
from tornado_shared_session.testing.redis_server import tied_to_parent

NAME = "sessions"
_HOST = "127.0.0.1"
#: Half a second of silence, and the replica is promoted.
_CONFIG = """\
port {port}
bind {host}
dir {folder}
sentinel monitor {name} {host} {primary} 1
sentinel down-after-milliseconds {name} 500
sentinel failover-timeout {name} 3000
sentinel parallel-syncs {name} 1
"""


@dataclass
class Group:
    """Two servers and their Sentinel."""

    servers: tuple[RedisServer, RedisServer]
    sentinel: Sentinel

    def client(self) -> redis.asyncio.Redis:
        """Return a client of whichever server is the primary."""
        found: redis.asyncio.Redis = self.sentinel.master_for(NAME, socket_timeout=0.5)
        return found


async def replicate(replica: RedisServer, primary: RedisServer) -> None:
    """Make one server the replica of another, and wait until it follows."""
    async with redis.asyncio.Redis.from_url(replica.url) as client:
        await client.replicaof(_HOST, primary.port)
        async with asyncio.timeout(10):
            while (await client.info("replication"))["master_link_status"] != "up":
                await asyncio.sleep(0.05)  # a server tells nobody when it is up to date


@asynccontextmanager
async def failover_group() -> AsyncIterator[Group]:
    """Run all three, and wait until the Sentinel knows the replica."""
    with ExitStack() as stack:
        # Replication begins at once, not after the usual five seconds.
        args = ["--repl-diskless-sync-delay", "0"]
        servers = RedisServer(args=args), RedisServer(args=args)
        for server in servers:
            stack.enter_context(server)
        await replicate(servers[1], servers[0])
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tss-sentinel-")))
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port: int = probe.getsockname()[1]
        config = folder / "sentinel.conf"
        text = {"port": port, "host": _HOST, "folder": folder, "name": NAME}
        config.write_text(_CONFIG.format(primary=servers[0].port, **text))
        assert servers[0].binary is not None
        program = shutil.which(servers[0].binary) or servers[0].binary
        process = subprocess.Popen(
            tied_to_parent([program, str(config), "--sentinel"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        sentinel = Sentinel([(_HOST, port)], socket_timeout=0.5)  # type: ignore[no-untyped-call]  # redis-py hides its types
        group = Group(servers, sentinel)
        async with asyncio.timeout(20):
            while not await _knows_replica(group):
                await asyncio.sleep(0.1)  # nor does a Sentinel when it has found a replica
        yield group
        for client in sentinel.sentinels:
            await client.aclose()


async def _knows_replica(group: Group) -> bool:
    with suppress(RedisError, OSError):
        return bool(await group.sentinel.discover_slaves(NAME))
    return False
