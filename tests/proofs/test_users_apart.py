"""Two hundred users at once, while the wire to Redis misbehaves: nobody sees another."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from tests.support.faults import faults
from tests.support.processes import AppProcess, start_apps
from tests.support.proofs import measured, scale
from tests.support.proxy import FaultProxy
from tests.support.sites import session_id
from tests.support.vitals import as_before, settled
from tornado_shared_session.testing import (
    CookieJar,
    HandshakeRefused,
    HTTPTestClient,
    RedisServer,
    SocketIOTestClient,
)
from tornado_shared_session.testing.client import ConnectionLost, ConnectRefused

USERS = 200
SECONDS = scale(6, long=60)
BACK = 20  # seconds in which all are served again, their own patience included
TRANSPORTS = ("websocket", "polling", "upgrade")
LOST = (HandshakeRefused, ConnectRefused, ConnectionLost, TimeoutError, OSError)


class User:
    """A user whose every value names them; what else they are shown is a breach."""

    def __init__(self, number: int, apps: list[AppProcess]) -> None:
        self.name = f"user-{number:03}-of-nobody-else"
        self.number = number
        self.apps = apps
        self.jar = CookieJar()
        self.id = ""
        self.chance = random.Random(number)
        self.client: SocketIOTestClient | None = None
        self.seen: Counter[str] = Counter()
        #: What should not have been, kept until the end: two hundred are at work.
        self.breaches: list[str] = []
        self._checked = 0

    def check(self, where: str, text: str) -> None:
        """Note whatever was received that names somebody else."""
        self.seen[where] += 1
        names = {part[: len(self.name) - 5] for part in text.split("user-")[1:]}
        right = names <= {self.name[5:]}
        if '"id":' in text:  # a description of the session
            data = json.loads(text)
            right = right and (data["id"], data["user"]) == (self.id, self.name)
        self.expect(right, f"{where}: {text[:300]}")

    def expect(self, right: bool, what: str) -> None:
        """Note what is not as it should be."""
        if not right:
            self.breaches.append(f"{self.name}: {what}")

    async def log_in(self) -> None:
        """Begin, before the faults do."""
        http = HTTPTestClient(self.apps[0].url, cookies=self.jar)
        login = await http.post("/login", {"user": self.name})
        assert login.code == 200
        self.id = session_id(self.jar)
        await http.post("/note", {"value": json.dumps(self.name)})
        http.close()

    async def live(self, over: asyncio.Event) -> None:
        """Do this and that until it is over."""
        while not over.is_set():
            await self.chance.choice((self.read, self.write, self.emit, self.ask, self.leave))()
            self.look()

    async def fetch(self, path: str, body: dict[str, str] | None = None) -> None:
        """Send a request to one of the servers; some are given up midway."""
        http = HTTPTestClient(self.chance.choice(self.apps).url, cookies=self.jar, timeout=10)
        asked = asyncio.ensure_future(http.get(path) if body is None else http.post(path, body))
        patience = self.chance.uniform(0, 0.05) if self.chance.random() < 0.2 else 10
        await asyncio.wait([asked], timeout=patience)
        if asked.done() and asked.exception() is None:
            response = asked.result()
            self.expect(response.code in (200, 503), f"{response.code} {path}")
            self.expect(not response.headers.get_list("Set-Cookie"), f"a cookie from {path}")
            if response.code == 200:
                self.check("http", response.body.decode())
            self.seen[str(response.code)] += 1
        asked.cancel()
        http.close()  # which cuts the connection
        await asyncio.wait([asked])

    async def read(self) -> None:
        """Look at the session."""
        await self.fetch(self.chance.choice(("/whoami", "/note")))

    async def write(self) -> None:
        """Write a name into it."""
        value = f"{self.name} {self.chance.random()}"
        await self.fetch("/note", {"value": json.dumps(value)})

    async def emit(self) -> None:
        """Have the server say the name to the user's sockets, or the session's."""
        await self.fetch(
            "/emit", {"to": self.chance.choice(("user", "session")), "value": self.name}
        )

    async def ask(self) -> None:
        """Send events, and expect acknowledgements of this user only."""
        if self.client is None or self.client.closed:
            await self.leave()
            transport: Any = self.chance.choice(TRANSPORTS)
            url = self.chance.choice(self.apps).url
            self.client = SocketIOTestClient(url, transport=transport, cookies=self.jar, timeout=3)
            try:
                await self.client.connect()
            except LOST:
                await self.leave()  # no namespace was connected
                return
        client = self.client
        with suppress(*LOST):
            if self.chance.random() < 0.5:
                value = f"{self.name} {self.chance.random()}"
                await client.emit("set", "note", value, timeout=2)
            self.check("event", json.dumps(await client.emit("whoami", timeout=2)))
            self.check("event", json.dumps(await client.emit("get", timeout=2)))

    async def leave(self) -> None:
        """Close the socket, politely or not."""
        client, self.client = self.client, None
        if client is not None:
            with suppress(*LOST):
                await (client.close() if self.chance.random() < 0.5 else client.abort())
            self.client = client
            self.look()
            self.client, self._checked = None, 0

    def look(self) -> None:
        """Check every packet that the socket has received."""
        if self.client is not None:
            packets = self.client.packets
            for packet in packets[self._checked :]:
                self.check("socket", str(packet).replace('"id":', '"ID":'))
            self._checked = len(packets)


@pytest.mark.slow
async def test_two_hundred_users_are_never_shown_each_other(
    own_redis: RedisServer, prefix: str
) -> None:
    """200 users for 60 s, two servers, all that can befall the wire: each sees their own, and
    nothing is left of it (I3, I8)."""
    async with FaultProxy(own_redis.port) as proxy:
        args = ["--redis", proxy.url, "--prefix", prefix]
        args += ["--reload-interval", "2", "--ping-interval", "1", "--ping-timeout", "5"]
        async with start_apps("tests.apps.measured", *args) as apps:
            before = [await settled(app) for app in apps]
            users = [User(number, apps) for number in range(USERS)]
            for start in range(0, USERS, 20):
                await asyncio.gather(*(user.log_in() for user in users[start : start + 20]))
            async with faults(proxy, SECONDS) as over:
                await asyncio.gather(*(user.live(over) for user in users))
            since = time.monotonic()
            async with asyncio.timeout(30):
                await asyncio.gather(*(_served(user) for user in users))
            back = time.monotonic() - since
            measured("all 200 users served again after", f"{back:.1f} s")
            seen: Counter[str] = sum((user.seen for user in users), Counter())
            measured("seen", ", ".join(f"{count} x {kind}" for kind, count in sorted(seen.items())))
            assert [breach for user in users for breach in user.breaches] == []
            assert [session_id(user.jar) for user in users] == [user.id for user in users]
            assert back <= BACK
            assert min(seen["http"], seen["event"], seen["socket"], seen["503"]) > 0
            for app, vitals in zip(apps, before, strict=True):
                await as_before(app, vitals)
                errors = [line for line in app.stderr.splitlines() if "ERROR" in line]
                assert all("503" in line for line in errors), errors
                assert "Traceback" not in app.stderr


async def _served(user: User) -> None:
    """Wait until they are who they were, over HTTP and over a socket."""
    before = user.seen["200"], user.seen["event"]
    while user.seen["200"] == before[0] or user.seen["event"] == before[1]:
        await user.read()
        await user.ask()
    await user.leave()
